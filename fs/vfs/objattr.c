/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX attributes <-> object metadata. */
#include "objattr.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/macros.h"
#include "base/sha256.h"
#include "base/str.h"
#include "theirs.h"

#define META(name) STORE_USER_META name
#define TARGET_ROOM 4096

static void digest_hex(const char *a, const char *b, const char *c, char ret[33])
{
    /* The parts are told apart by their NULs. */
    const struct sha256_part parts[] = {{a, strlen(a) + 1}, {b, strlen(b) + 1}, {c, strlen(c) + 1}};
    unsigned char md[SHA256_LEN];

    sha256_parts(parts, ARRAY_LEN(parts), md);
    str_hex(md, 16, ret);
}

void objattr_id_of_name(const char *key, char ret[33])
{
    digest_hex("name", key, "", ret);
}

/* Of Last-Modified only whole seconds count: some servers' listings tell more, no HEAD does. */
static void id_of_version(const char *key, const struct store_obj *obj, char ret[33])
{
    char version[sizeof(obj->etag.s) + 32];

    snprintf(version, sizeof(version), "%s %" PRId64, obj->etag.s,
             obj->mtime_ns - obj->mtime_ns % NS_PER_S);
    digest_hex("version", key, version, ret);
}

int objattr_new_id(char ret[33])
{
    unsigned char raw[16];

    if (RAND_bytes(raw, sizeof(raw)) != 1)
        return err_set(-EIO, "no random bytes");
    str_hex(raw, sizeof(raw), ret);
    return 0;
}

uint64_t objattr_ino(const struct objattr *a)
{
    uint64_t v = 0;
    char head[17];

    memcpy(head, a->id, 16);
    head[16] = '\0';
    if (str_u64(head, 16, &v) < 0)
        v = str_hash(a->id, strlen(a->id));
    return v > 1 ? v : v + 2; /* 0 is nobody's, 1 the root's */
}

static bool get_u64(const struct store_hdrs *h, const char *name, unsigned base, uint64_t *ret)
{
    const char *s = store_hdrs_get(h, name);

    return s != NULL && str_u64(s, base, ret) == 0;
}

static bool get_mode(const struct store_hdrs *h, uint64_t *ret)
{
    if (get_u64(h, META("file-permissions"), 8, ret))
        return *ret <= 0177777;
    return theirs_mode(h, ret);
}

static bool get_id(const struct store_hdrs *h, const char *a, const char *b, const char *c,
                   uint32_t *ret)
{
    uint64_t v;

    if (!get_u64(h, a, 10, &v) && !get_u64(h, b, 10, &v) && !get_u64(h, c, 10, &v))
        return false;
    if (v >= UINT32_MAX)
        return false;
    *ret = (uint32_t)v;
    return true;
}

/* DataSync: "1595002920000000000ns", without suffix milliseconds. */
static bool get_ns(const struct store_hdrs *h, const char *name, int64_t *ret)
{
    const char *s = store_hdrs_get(h, name);
    uint64_t v;
    size_t n = s != NULL ? theirs_number(s, 23, &v) : 0;

    if (n == 0 || v > INT64_MAX)
        return false;
    if (strcmp(s + n, "ns") == 0) {
        *ret = (int64_t)v;
        return true;
    }
    if (s[n] != '\0' || v > INT64_MAX / NS_PER_MS)
        return false;
    *ret = (int64_t)v * NS_PER_MS;
    return true;
}

/* DataSync's convention has no sign. Of a time before 1970, 0 stands under its name, and the time
 * itself under a name of ours; who writes the first knows nothing of the second. */
static const struct time_names {
    const char *name, *early;
} mtime_names = {META("file-mtime"), META("s3efs-mtime")},
  atime_names = {META("file-atime"), META("s3efs-atime")};

static bool get_time(const struct store_hdrs *h, const struct time_names *t, int64_t *ret)
{
    const char *s;
    uint64_t v;
    size_t n;

    if (!get_ns(h, t->name, ret))
        return false;
    s = *ret == 0 ? store_hdrs_get(h, t->early) : NULL;
    n = s != NULL && s[0] == '-' ? theirs_number(s + 1, 19, &v) : 0;
    if (n > 0 && v <= INT64_MAX && strcmp(s + 1 + n, "ns") == 0)
        *ret = -(int64_t)v;
    return true;
}

/* "<32 hex> <32 hex of the key it was written for>": a copy under another key does not count. */
static bool get_file_id(const struct store_hdrs *h, const char *key, char ret[33])
{
    const char *s = store_hdrs_get(h, META("s3efs-id"));
    char bound[33], raw[16];

    if (s == NULL || strlen(s) != 65 || s[32] != ' ')
        return false;
    objattr_id_of_name(key, bound);
    if (strcmp(s + 33, bound) != 0)
        return false;
    memcpy(ret, s, 32);
    ret[32] = '\0';
    return str_unhex(ret, raw, 16) == 0;
}

/* "<file id> <generation>": bound to the key as the id is. */
static uint64_t get_link(const struct store_hdrs *h, const char *id)
{
    const char *s = store_hdrs_get(h, META("s3efs-link"));
    uint64_t gen;

    if (s == NULL || strncmp(s, id, 32) != 0 || s[32] != ' ' || str_u64(s + 33, 10, &gen) != 0 ||
        gen > INT64_MAX)
        return 0;
    return gen;
}

/* The kernel fails a lookup with EIO where the type is none of these. */
static bool is_special(uint64_t mode)
{
    return S_ISLNK(mode) || S_ISCHR(mode) || S_ISBLK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode);
}

static void decode_mode(const struct objattr_defaults *d, bool is_dir, const struct store_obj *obj,
                        struct objattr *ret)
{
    mode_t type = is_dir ? S_IFDIR : S_IFREG;
    uint64_t mode;

    ret->mode = type | (is_dir ? d->dir_mode : d->file_mode);
    if (obj == NULL || !get_mode(&obj->hdrs, &mode)) {
        if (obj != NULL && !is_dir && store_hdrs_get(&obj->hdrs, META("--symlink-target")) != NULL)
            ret->mode = S_IFLNK | 0777;
        return;
    }
    if (is_special(mode) && !is_dir)
        type = (mode_t)(mode & S_IFMT);
    ret->mode = type | (mode_t)(mode & 07777);
}

static uint64_t link_size(const struct store_hdrs *h)
{
    _cleanup_buf_ struct buf target = BUF_INIT(TARGET_ROOM);

    return theirs_link_target(h, &target) ? target.len : 0;
}

void objattr_decode(const struct objattr_defaults *d, const char *key, bool is_dir,
                    const struct store_obj *obj, struct objattr *ret)
{
    uint64_t rdev;

    *ret = (struct objattr){.uid = d->uid, .gid = d->gid};
    decode_mode(d, is_dir, obj, ret);
    if (obj == NULL) {
        objattr_id_of_name(key, ret->id);
        return;
    }
    ret->size = is_dir ? 0 : obj->size;
    if (S_ISLNK(ret->mode) && obj->size == 0)
        ret->size = link_size(&obj->hdrs);
    get_id(&obj->hdrs, META("file-owner"), META("uid"), META("owner"), &ret->uid);
    get_id(&obj->hdrs, META("file-group"), META("gid"), META("group"), &ret->gid);
    if (!get_time(&obj->hdrs, &mtime_names, &ret->mtime_ns) &&
        !theirs_time(&obj->hdrs, "mtime", &ret->mtime_ns))
        ret->mtime_ns = obj->mtime_ns;
    if (!get_ns(&obj->hdrs, META("s3efs-ctime"), &ret->ctime_ns) &&
        !theirs_time(&obj->hdrs, "ctime", &ret->ctime_ns))
        ret->ctime_ns = obj->mtime_ns != 0 ? obj->mtime_ns : ret->mtime_ns;
    if (!get_time(&obj->hdrs, &atime_names, &ret->atime_ns) &&
        !theirs_time(&obj->hdrs, "atime", &ret->atime_ns))
        ret->atime_ns = ret->mtime_ns;
    if (get_u64(&obj->hdrs, META("s3efs-rdev"), 10, &rdev) || theirs_rdev(&obj->hdrs, &rdev))
        ret->rdev = (dev_t)rdev;
    if (get_file_id(&obj->hdrs, key, ret->id)) {
        ret->link_gen = is_dir ? 0 : get_link(&obj->hdrs, ret->id);
    } else {
        if (is_dir)
            objattr_id_of_name(key,
                               ret->id); /* markers are rewritten often; the name is what stays */
        else
            id_of_version(key, obj, ret->id);
    }
}

static int set_f(struct store_hdrs *hdrs, const char *name, const char *fmt, ...) _printf_(3, 4);
static int set_f(struct store_hdrs *hdrs, const char *name, const char *fmt, ...)
{
    char value[128];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(value, sizeof(value), fmt, ap);
    va_end(ap);
    return store_hdrs_set(hdrs, name, value);
}

static int64_t not_negative(int64_t ns)
{
    return ns > 0 ? ns : 0;
}

static int set_time(struct store_hdrs *hdrs, const struct time_names *t, int64_t ns)
{
    store_hdrs_remove(hdrs, t->early);
    if (ns == INT64_MIN)
        ns++; /* its digits alone are no int64_t */
    if (ns < 0 && set_f(hdrs, t->early, "%" PRId64 "ns", ns) < 0)
        return -ENOMEM;
    return set_f(hdrs, t->name, "%" PRId64 "ns", not_negative(ns));
}

int objattr_encode(const struct objattr *a, const char *key, struct store_hdrs *hdrs)
{
    char bound[33];
    int r;

    theirs_drop(hdrs);
    objattr_id_of_name(key, bound);
    r = set_f(hdrs, META("file-permissions"), "0%o", (unsigned)a->mode);
    if (r == 0)
        r = set_f(hdrs, META("file-owner"), "%u", (unsigned)a->uid);
    if (r == 0)
        r = set_f(hdrs, META("file-group"), "%u", (unsigned)a->gid);
    if (r == 0)
        r = set_time(hdrs, &mtime_names, a->mtime_ns);
    if (r == 0)
        r = set_time(hdrs, &atime_names, a->atime_ns);
    if (r == 0)
        r = set_f(hdrs, META("s3efs-ctime"), "%" PRId64 "ns", not_negative(a->ctime_ns));
    if (r == 0)
        r = set_f(hdrs, META("s3efs-id"), "%s %s", a->id, bound);
    store_hdrs_remove(hdrs, META("s3efs-link"));
    if (r == 0 && a->link_gen != 0)
        r = set_f(hdrs, META("s3efs-link"), "%s %" PRIu64, a->id, a->link_gen);
    if (r == 0 && (S_ISCHR(a->mode) || S_ISBLK(a->mode)))
        r = set_f(hdrs, META("s3efs-rdev"), "%" PRIu64, (uint64_t)a->rdev);
    return r;
}
