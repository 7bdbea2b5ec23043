/* SPDX-License-Identifier: Apache-2.0 */
/* Multipart uploads: .s3efs-dir/uploads/ID/ holds `init` (its body is the key, its headers the
 * object's) and part.NNNNN (with their MD5s as ETags). An upload ends by the rename of its
 * directory into tmp/: from then on no request finds it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "base/sys.h"
#include "dir_int.h"

#define ID_LEN 32

static bool id_is_ours(const char *id)
{
    return id != NULL && strlen(id) == ID_LEN && strspn(id, "0123456789abcdef") == ID_LEN;
}

static void part_path(const char *id, uint32_t number, char *out, size_t size)
{
    snprintf(out, size, "uploads/%s/part.%05u", id, number);
}

/* --- create --- */

/* The init file inside the new directory. 0, -ENOENT (a sweep took the directory), -errno. */
static int write_init(int dir, const char *key, const struct dir_meta *meta)
{
    _cleanup_close_ int fd = sys_openat(dir, "init", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
    if (fd < 0)
        return fd;
    int r = sys_write_all(fd, key, strlen(key));
    if (r == 0)
        r = dir_meta_write(fd, meta);
    if (r == 0)
        r = sys_fsync(dir);
    return r;
}

/* Built in tmp/, so that an upload is there whole or not at all. */
static int try_create(const struct dir_store *d, const char *key, const struct dir_meta *meta,
                      char id[ID_LEN + 1])
{
    char temp[64], final[64];
    int r = dir_random_name("tmp/", temp, sizeof(temp));
    if (r < 0)
        return r;
    if (mkdirat(d->meta_fd, temp, 0777) < 0)
        return -errno;
    _cleanup_close_ int dir = sys_openat(d->meta_fd, temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (dir < 0)
        return dir;
    if (flock(dir, LOCK_EX | LOCK_NB) < 0)
        return -ENOENT;
    memcpy(id, temp + strlen("tmp/"), ID_LEN + 1);
    snprintf(final, sizeof(final), "uploads/%s", id);
    r = write_init(dir, key, meta);
    if (r == 0 && renameat(d->meta_fd, temp, d->meta_fd, final) < 0)
        r = -errno;
    if (r < 0)
        dir_remove_tree(d, temp);
    return r;
}

int dir_mpu_create(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp)
{
    _cleanup_meta_ struct dir_meta meta = {.etag = {.s = "init"}, .mtime_ns = clock_wall_ns()};
    char id[ID_LEN + 1];
    int r = store_hdrs_check(req->hdrs);
    if (r == 0 && req->hdrs != NULL)
        r = store_hdrs_copy(&meta.hdrs, req->hdrs);
    if (r < 0)
        return r;
    if (d->meta_fd < 0)
        return dir_fail(d->meta_error, "writing");
    for (int tries = 0; tries < 100; tries++) {
        r = try_create(d, req->key, &meta, id);
        if (r != -ENOENT)
            break;
    }
    if (r < 0)
        return dir_fail(r, "starting a multipart upload");
    rsp->upload_id = strdup(id);
    return rsp->upload_id == NULL ? err_set(-ENOMEM, "no memory for an upload") : 0;
}

/* --- looking --- */

/* The upload's headers and start. ret_key (may be NULL; 1,025 bytes): its key. 0, STORE_NO_UPLOAD,
 * -errno. */
static int read_init(const struct dir_store *d, const char *id, char *ret_key, struct dir_meta *ret)
{
    char path[64];
    _cleanup_dirfile_ struct dir_file f = DIR_FILE_INIT;
    if (d->meta_fd < 0 || !id_is_ours(id))
        return STORE_NO_UPLOAD;
    snprintf(path, sizeof(path), "uploads/%s/init", id);
    int r = dir_file_open(d->meta_fd, path, &f);
    if (r != 0)
        return r == STORE_NOT_FOUND ? STORE_NO_UPLOAD : r;
    ssize_t n = sys_pread(f.fd, ret_key, STORE_KEY_MAX, 0);
    if (n < 0)
        return dir_fail((int)n, "reading a multipart upload");
    ret_key[n] = '\0';
    *ret = f.meta;
    f.meta = (struct dir_meta){0};
    return 0;
}

/* Is there such an upload, for this key? */
static int check_upload(const struct dir_store *d, const struct store_req *req,
                        struct dir_meta *ret)
{
    char key[STORE_KEY_MAX + 1];
    int r = read_init(d, req->upload_id, key, ret);
    if (r != 0)
        return r;
    return strcmp(key, req->key) == 0 ? 0 : STORE_NO_UPLOAD;
}

/* --- parts --- */

static int check_part(const struct dir_store *d, const struct store_req *req)
{
    _cleanup_meta_ struct dir_meta init = {0};
    if (req->part_number < 1 || req->part_number > STORE_PARTS_MAX)
        return err_set(-EINVAL, "part number %u is not within 1 to %d", req->part_number,
                       STORE_PARTS_MAX);
    return check_upload(d, req, &init);
}

static int sync_upload(const struct dir_store *d, const char *path)
{
    _cleanup_close_ int dir = -1;
    int r = dir_walk(d->meta_fd, path, false, &dir);
    return r == 0 ? sys_fsync(dir) : r;
}

/* The temp file becomes the part. */
static int finish_part(const struct dir_store *d, const struct store_req *req, struct dir_temp *t,
                       struct dir_meta *meta, struct store_rsp *rsp)
{
    char path[64];
    struct stat st;
    meta->etag = store_etag_md5(meta->md5);
    meta->mtime_ns = clock_wall_ns();
    int r = dir_meta_write(t->fd, meta);
    if (r < 0)
        return r;
    if (fstat(t->fd, &st) < 0)
        return dir_fail(-errno, "writing a part");
    part_path(req->upload_id, req->part_number, path, sizeof(path));
    if (renameat(d->meta_fd, t->name, d->meta_fd, path) < 0)
        return errno == ENOENT ? STORE_NO_UPLOAD : dir_fail(-errno, "writing a part");
    t->name[0] = '\0';
    r = sync_upload(d, path);
    if (r < 0)
        return dir_is_nothing(r) ? STORE_NO_UPLOAD : dir_fail(r, "writing a part");
    rsp->part = (struct store_part){
        .number = req->part_number, .size = (uint64_t)st.st_size, .etag = meta->etag};
    return 0;
}

int dir_mpu_part(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp)
{
    _cleanup_temp_ struct dir_temp t = DIR_TEMP_INIT;
    struct dir_meta meta = {.is_verifiable = true};
    int r = check_part(d, req);
    if (r == 0)
        r = dir_temp_new(d, &t);
    if (r == 0)
        r = dir_io_from_src(req->src, t.fd, meta.md5);
    return r == 0 ? finish_part(d, req, &t, &meta, rsp) : r;
}

int dir_mpu_part_copy(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp)
{
    _cleanup_temp_ struct dir_temp t = DIR_TEMP_INIT;
    _cleanup_dirfile_ struct dir_file from = DIR_FILE_INIT;
    struct dir_meta meta = {.is_verifiable = true};
    uint64_t off = 0, len = 0;
    int r = check_part(d, req);
    if (r == 0)
        r = dir_source(d, req, &from);
    if (r == 0)
        r = store_range_clip(req->range.off, req->range.len, (uint64_t)from.st.st_size, &off, &len);
    if (r == 0)
        r = dir_temp_new(d, &t);
    if (r == 0)
        r = dir_io_copy(from.fd, off, len, t.fd, 0, NULL, meta.md5);
    return r == 0 ? finish_part(d, req, &t, &meta, rsp) : r;
}

/* --- complete --- */

static int open_part(const struct dir_store *d, const struct store_req *req, size_t i,
                     struct dir_file *ret)
{
    char path[64];
    part_path(req->upload_id, req->parts[i].number, path, sizeof(path));
    int r = dir_file_open(d->meta_fd, path, ret);
    if (r < 0)
        return r;
    if (r == STORE_NOT_FOUND || !store_etag_equal(&ret->meta.etag, &req->parts[i].etag))
        return err_set(-EINVAL, "part %u was not uploaded, or has another ETag",
                       req->parts[i].number);
    if (i + 1 < req->n_parts && (uint64_t)ret->st.st_size < STORE_PART_MIN)
        return err_set(-EINVAL,
                       "part %u has %llu bytes: all parts but the last have at least 5 MiB",
                       req->parts[i].number, (unsigned long long)ret->st.st_size);
    return 0;
}

/* All parts are looked at before the first byte is copied. */
static int check_parts(const struct dir_store *d, const struct store_req *req)
{
    int r = store_parts_check(req->parts, req->n_parts);
    for (size_t i = 0; r == 0 && i < req->n_parts; i++) {
        _cleanup_dirfile_ struct dir_file f = DIR_FILE_INIT;
        r = open_part(d, req, i, &f);
    }
    return r;
}

static int join_parts(const struct dir_store *d, const struct store_req *req, int to,
                      EVP_MD_CTX *whole)
{
    uint64_t at = 0;
    for (size_t i = 0; i < req->n_parts; i++) {
        _cleanup_dirfile_ struct dir_file f = DIR_FILE_INIT;
        unsigned char md5[STORE_MD5_LEN];
        int r = open_part(d, req, i, &f);
        if (r == 0)
            r = dir_io_copy(f.fd, 0, (uint64_t)f.st.st_size, to, at, whole, md5);
        if (r < 0)
            return r;
        if (memcmp(md5, f.meta.md5, sizeof(md5)) != 0)
            return err_set(-EIO, "part %u has not the bytes that were sent: the MD5 differs",
                           req->parts[i].number);
        at += (uint64_t)f.st.st_size;
    }
    return 0;
}

/* 0, or STORE_NO_UPLOAD if somebody else ended it. */
static int end_upload(const struct dir_store *d, const char *id)
{
    char from[64], to[64];
    int r = dir_random_name("tmp/", to, sizeof(to));
    if (r < 0)
        return r;
    snprintf(from, sizeof(from), "uploads/%s", id);
    if (renameat(d->meta_fd, from, d->meta_fd, to) < 0)
        return errno == ENOENT ? STORE_NO_UPLOAD : dir_fail(-errno, "ending a multipart upload");
    crash_point("dir.upload_ended");
    dir_remove_tree(d, to);
    return 0;
}

/* The upload is gone: because this very request was answered before? */
static int complete_again(const struct dir_store *d, const struct dir_name *n,
                          const struct store_req *req, struct store_rsp *rsp)
{
    _cleanup_dirfile_ struct dir_file f = DIR_FILE_INIT;
    int r = id_is_ours(req->upload_id) ? dir_file_current(d, n, &f) : STORE_NOT_FOUND;
    if (r < 0)
        return r;
    if (r == STORE_NOT_FOUND || strcmp(f.meta.upload, req->upload_id) != 0)
        return STORE_NO_UPLOAD;
    rsp->obj.etag = f.meta.etag;
    rsp->obj.size = (uint64_t)f.st.st_size;
    rsp->obj.mtime_ns = f.meta.mtime_ns;
    return 0;
}

static int complete(const struct dir_store *d, const struct dir_name *n,
                    const struct store_req *req, struct dir_meta *meta, struct store_rsp *rsp)
{
    _cleanup_temp_ struct dir_temp t = DIR_TEMP_INIT;
    EVP_MD_CTX *whole = dir_io_md5_new();
    int r = whole == NULL ? err_set(-ENOMEM, "no memory for a digest") : dir_temp_new(d, &t);
    if (r == 0)
        r = join_parts(d, req, t.fd, whole);
    if (r == 0)
        r = dir_io_md5_end(whole, meta->md5);
    EVP_MD_CTX_free(whole);
    if (r == 0)
        r = store_etag_parts(req->parts, req->n_parts, &meta->etag);
    if (r == 0)
        r = str_copy(meta->upload, sizeof(meta->upload), req->upload_id);
    if (r < 0)
        return r;
    return dir_commit(d, n, req, &t, meta, &rsp->obj);
}

int dir_mpu_complete(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp)
{
    struct dir_name n;
    _cleanup_meta_ struct dir_meta meta = {0};
    int r = dir_name_make(req->key, &n);
    if (r == 0)
        r = check_upload(d, req, &meta);
    if (r == STORE_NO_UPLOAD)
        return complete_again(d, &n, req, rsp);
    if (r == 0)
        r = check_parts(d, req);
    if (r == 0)
        r = complete(d, &n, req, &meta, rsp);
    if (r == -EINVAL) {
        /* Parts that are not there may be so because the upload ended meanwhile. */
        _cleanup_meta_ struct dir_meta again = {0};
        return check_upload(d, req, &again) == STORE_NO_UPLOAD ? complete_again(d, &n, req, rsp)
                                                               : r;
    }
    if (r != 0)
        return r;
    r = end_upload(d, req->upload_id);
    return r < 0 ? r : 0;
}

int dir_mpu_abort(const struct dir_store *d, const struct store_req *req)
{
    _cleanup_meta_ struct dir_meta init = {0};
    int r = check_upload(d, req, &init);
    return r == 0 ? end_upload(d, req->upload_id) : r;
}

/* --- list --- */

struct upload_room {
    struct store_rsp *rsp;
    size_t cap;
};

static int make_room(struct upload_room *m)
{
    size_t cap = m->cap != 0 ? 2 * m->cap : 16;
    struct store_upload *v;

    if (m->rsp->uploads.n < m->cap)
        return 0;
    v = reallocarray(m->rsp->uploads.v, cap, sizeof(*v));
    if (v == NULL)
        return err_set(-ENOMEM, "no memory for a listing");
    m->rsp->uploads.v = v;
    m->cap = cap;
    return 0;
}

/* Adds the upload if its key has the prefix and comes after the page before. */
static int list_one(const struct dir_store *d, const char *id, const struct store_req *req,
                    struct upload_room *m)
{
    const char *prefix = req->prefix == NULL ? "" : req->prefix;
    char key[STORE_KEY_MAX + 1];
    _cleanup_meta_ struct dir_meta init = {0};
    int r = read_init(d, id, key, &init);
    if (r != 0)
        return r < 0 ? r : 0;
    if (!str_starts(key, prefix) || !store_uploads_wants(req, key, id))
        return 0;
    r = make_room(m);
    if (r < 0)
        return r;
    struct store_upload *u = &m->rsp->uploads.v[m->rsp->uploads.n++];
    *u = (struct store_upload){
        .key = strdup(key), .upload_id = strdup(id), .started_ns = init.mtime_ns};
    return u->key == NULL || u->upload_id == NULL ? err_set(-ENOMEM, "no memory for a listing") : 0;
}

int dir_mpu_list(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp)
{
    struct upload_room room = {.rsp = rsp};

    if (d->meta_fd < 0)
        return 0;
    int fd = sys_openat(d->meta_fd, "uploads", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return fd < 0 && dir_is_nothing(fd) ? 0 : dir_fail(fd < 0 ? fd : -ENOMEM, "listing");
    }
    int r = 0;
    for (const struct dirent *e; r == 0 && (e = readdir(dir)) != NULL;)
        r = list_one(d, e->d_name, req, &room);
    closedir(dir);
    return r == 0 ? store_uploads_cut(req, STORE_PAGE_MAX, rsp) : r;
}
