/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept beside an object's bytes, in one xattr of its file:
 *
 *     s3efs 1
 *     size N            of the body, and
 *     file-time NS      the file's mtime: if either is no longer so, the file was changed by hand
 *     mtime NS          Last-Modified
 *     md5 HEX           of the whole body
 *     etag TEXT
 *     upload ID         if a multipart upload made it
 *     (empty line)
 *     name: value       the headers
 *
 * It is written before the file gets its name, and never changed after. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "base/sys.h"
#include "dir_int.h"

#define XATTR_ROOM 65536 /* the kernel's limit */

void dir_meta_done(struct dir_meta *m)
{
    store_hdrs_done(&m->hdrs);
    *m = (struct dir_meta){0};
}

/* Tells versions apart. Wraps for times that have no ns in 64 bits: file systems go beyond 2262. */
static int64_t file_time(const struct stat *st)
{
    return (int64_t)((uint64_t)st->st_mtim.tv_sec * (uint64_t)NS_PER_S +
                     (uint64_t)st->st_mtim.tv_nsec);
}

static int64_t shown_time(const struct stat *st)
{
    if (st->st_mtim.tv_sec >= INT64_MAX / NS_PER_S)
        return INT64_MAX;
    if (st->st_mtim.tv_sec <= INT64_MIN / NS_PER_S)
        return INT64_MIN;
    return file_time(st);
}

void dir_meta_foreign(const struct stat *st, struct dir_meta *ret)
{
    /* The '-' keeps readers from taking it for an MD5. */
    snprintf(ret->etag.s, sizeof(ret->etag.s), "%" PRIx64 "-%" PRIx64 "-%" PRIx64,
             (uint64_t)st->st_ino, (uint64_t)st->st_size, (uint64_t)file_time(st));
    ret->mtime_ns = shown_time(st);
    ret->is_verifiable = false;
    ret->upload[0] = '\0';
}

struct parse {
    struct dir_meta *m;
    uint64_t size, file_time, mtime;
    bool has_size, has_time, has_mtime, has_md5;
};

/* One "name value" line. Unknown names are a later version's. */
static int parse_field(struct parse *p, const char *name, const char *value)
{
    int r = 0;
    if (strcmp(name, "size") == 0) {
        r = str_u64(value, 10, &p->size);
        p->has_size = true;
    } else if (strcmp(name, "file-time") == 0) {
        r = str_u64(value, 10, &p->file_time);
        p->has_time = true;
    } else if (strcmp(name, "mtime") == 0) {
        r = str_u64(value, 10, &p->mtime);
        if (r == 0 && p->mtime > INT64_MAX)
            r = -ERANGE;
        p->has_mtime = true;
    } else if (strcmp(name, "md5") == 0) {
        r = str_unhex(value, p->m->md5, STORE_MD5_LEN);
        p->has_md5 = true;
    } else if (strcmp(name, "etag") == 0) {
        p->m->etag = store_etag_make(value);
    } else if (strcmp(name, "upload") == 0) {
        r = str_copy(p->m->upload, sizeof(p->m->upload), value);
    }
    return r;
}

static int parse_line(struct parse *p, char *line, bool is_header)
{
    const char *gap = is_header ? ": " : " ";
    char *end = strstr(line, gap);
    if (end == NULL)
        return -EINVAL;
    *end = '\0';
    const char *value = end + strlen(gap);
    return is_header ? store_hdrs_set(&p->m->hdrs, line, value) : parse_field(p, line, value);
}

/* 0; -ENOMEM; else it is not ours. Cuts text into pieces. */
static int parse_text(struct parse *p, char *text)
{
    static const char magic[] = "s3efs 1\n";
    bool in_headers = false;
    if (!str_starts(text, magic))
        return -EINVAL;
    for (char *line = text + strlen(magic), *next; line != NULL && *line != '\0'; line = next) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        if (line[0] == '\0') {
            in_headers = true;
            continue;
        }
        int r = parse_line(p, line, in_headers);
        if (r < 0)
            return r;
    }
    return p->has_size && p->has_time && p->has_mtime && p->has_md5 &&
                   store_etag_is_set(&p->m->etag)
               ? 0
               : -EINVAL;
}

static int xattr_read(int fd, char **ret)
{
    size_t room = 4096;
    for (;;) {
        _cleanup_free_ char *text = malloc(room + 1);
        if (text == NULL)
            return err_set(-ENOMEM, "no memory for an object's headers");
        ssize_t n = fgetxattr(fd, DIR_XATTR, text, room);
        if (n >= 0) {
            text[n] = '\0';
            *ret = steal(&text);
            return (int)n;
        }
        if (errno != ERANGE || room == XATTR_ROOM)
            return errno == ENODATA || errno == EOPNOTSUPP
                       ? -ENODATA
                       : dir_fail(-errno, "reading an object's headers");
        room = XATTR_ROOM;
    }
}

int dir_meta_read(int fd, const struct stat *st, struct dir_meta *ret)
{
    _cleanup_free_ char *text = NULL;
    struct parse p = {.m = ret};
    int r = xattr_read(fd, &text);
    if (r < 0 && r != -ENODATA)
        return r;
    if (r >= 0)
        r = parse_text(&p, text);
    if (r == -ENOMEM) {
        dir_meta_done(ret);
        return err_set(r, "no memory for an object's headers");
    }
    if (r < 0) {
        /* None of ours, or unreadable: the bytes are an object all the same. */
        dir_meta_done(ret);
        dir_meta_foreign(st, ret);
        return 0;
    }
    ret->mtime_ns = (int64_t)p.mtime;
    ret->is_verifiable = true;
    if (p.size != (uint64_t)st->st_size || (int64_t)p.file_time != file_time(st))
        dir_meta_foreign(st, ret); /* changed in place: another version, with the headers it had */
    return 0;
}

static void format(struct buf *b, const struct dir_meta *m, const struct stat *st)
{
    char md5[2 * STORE_MD5_LEN + 1];
    str_hex(m->md5, STORE_MD5_LEN, md5);
    buf_addf(
        b, "s3efs 1\nsize %" PRIu64 "\nfile-time %" PRId64 "\nmtime %" PRId64 "\nmd5 %s\netag %s\n",
        (uint64_t)st->st_size, file_time(st), m->mtime_ns, md5, m->etag.s);
    if (m->upload[0] != '\0')
        buf_addf(b, "upload %s\n", m->upload);
    buf_addc(b, '\n');
    for (size_t i = 0; i < m->hdrs.n; i++)
        buf_addf(b, "%s: %s\n", m->hdrs.v[i].name, m->hdrs.v[i].value);
}

int dir_meta_write(int fd, const struct dir_meta *m)
{
    _cleanup_buf_ struct buf b = BUF_INIT(XATTR_ROOM);
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)(m->mtime_ns / NS_PER_S), .tv_nsec = (long)(m->mtime_ns % NS_PER_S)},
    };
    struct stat st;
    /* Read back: a file system may keep coarser times than it is given. */
    if (futimens(fd, times) < 0 || fstat(fd, &st) < 0)
        return dir_fail(-errno, "stamping an object");
    format(&b, m, &st);
    if (b.error == -E2BIG)
        return err_set(-ENOSPC, "an object's headers are larger than %d bytes", XATTR_ROOM);
    if (buf_failed(&b))
        return err_set(-ENOMEM, "no memory for an object's headers");
    if (fsetxattr(fd, DIR_XATTR, b.data, b.len, 0) < 0)
        return dir_fail(errno == E2BIG ? -ENOSPC : -errno, "writing an object's headers");
    int r = sys_fsync(fd);
    return r < 0 ? dir_fail(r, "writing an object") : 0;
}
