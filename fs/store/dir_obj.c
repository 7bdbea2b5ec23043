/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, putting, copying and deleting objects. */
#include <errno.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/sys.h"
#include "dir_int.h"

/* Fills in what a reply says of a version; the headers move there when want_hdrs. */
static void tell(struct dir_meta *m, uint64_t size, bool want_hdrs, struct store_obj *ret)
{
    *ret = (struct store_obj){.etag = m->etag, .size = size, .mtime_ns = m->mtime_ns};
    if (want_hdrs) {
        ret->hdrs = m->hdrs;
        m->hdrs = (struct store_hdrs){0};
    }
}

int dir_read(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp)
{
    struct dir_name n;
    _cleanup_dirfile_ struct dir_file f = DIR_FILE_INIT;
    uint64_t off = 0, len = 0;
    int r = dir_name_make(req->key, &n);
    if (r == 0)
        r = dir_file_current(d, &n, &f);
    if (r != 0)
        return r;
    uint64_t size = (uint64_t)f.st.st_size;
    r = store_cond_read(&req->cond, &f.meta.etag);
    if (r == 0 && req->op == STORE_GET)
        r = store_range_clip(req->range.off, req->range.len, size, &off, &len);
    if (r == 0 && req->op == STORE_GET) {
        bool whole = req->range.off == 0 && req->range.len == 0;
        r = dir_io_to_sink(f.fd, off, len, req->sink,
                           whole && f.meta.is_verifiable ? f.meta.md5 : NULL);
    }
    if (r != 0)
        return r;
    rsp->body_len = len;
    tell(&f.meta, size, true, &rsp->obj);
    return store_tags_show(&rsp->obj.hdrs);
}

int dir_get_tags(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp)
{
    struct dir_name n;
    _cleanup_dirfile_ struct dir_file f = DIR_FILE_INIT;
    int r = dir_name_make(req->key, &n);
    if (r == 0)
        r = dir_file_current(d, &n, &f);
    return r == 0 ? store_tags_get(&f.meta.hdrs, &rsp->tags) : r;
}

/* S3 shows milliseconds. */
static int64_t now_ms(void)
{
    int64_t now = clock_wall_ns();
    return now - now % NS_PER_MS;
}

static bool made_by(const struct dir_file *f, const char *upload)
{
    return upload[0] != '\0' && strcmp(f->meta.upload, upload) == 0;
}

/* Under the key's lock. */
static int commit_locked(const struct dir_store *d, const struct dir_name *n,
                         const struct store_req *req, struct dir_temp *t, struct dir_meta *meta,
                         struct store_obj *ret)
{
    _cleanup_dirfile_ struct dir_file current = DIR_FILE_INIT;
    struct stat st;
    int r = dir_file_current(d, n, &current);
    if (r < 0)
        return r;
    bool is_there = r == 0;
    if (is_there && made_by(&current, meta->upload)) {
        /* This upload was completed before: by a twin of this request, or one whose reply was lost.
         */
        tell(&current.meta, (uint64_t)current.st.st_size, false, ret);
        return 0;
    }
    r = store_cond_write(&req->cond, is_there ? &current.meta.etag : NULL);
    if (r != 0)
        return r;
    if (is_there && current.meta.mtime_ns >= meta->mtime_ns) {
        /* Later versions have later times. */
        meta->mtime_ns = current.meta.mtime_ns + NS_PER_MS;
        r = dir_meta_write(t->fd, meta);
        if (r < 0)
            return r;
    }
    if (fstat(t->fd, &st) < 0)
        return dir_fail(-errno, "writing an object");
    r = dir_publish(d, n, is_there ? &current : NULL, t);
    if (r == 0)
        tell(meta, (uint64_t)st.st_size, false, ret);
    return r;
}

int dir_commit(const struct dir_store *d, const struct dir_name *n, const struct store_req *req,
               struct dir_temp *t, struct dir_meta *meta, struct store_obj *ret)
{
    _cleanup_close_ int lock = -1;
    meta->mtime_ns = now_ms();
    /* To disk before the lock is taken: others wait for the rename only. */
    int r = dir_meta_write(t->fd, meta);
    crash_point("dir.temp_written");
    if (r == 0)
        r = dir_lock_key(d, req->key, &lock);
    return r < 0 ? r : commit_locked(d, n, req, t, meta, ret);
}

int dir_put(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp)
{
    struct dir_name n;
    _cleanup_temp_ struct dir_temp t = DIR_TEMP_INIT;
    _cleanup_meta_ struct dir_meta meta = {.is_verifiable = true};
    int r = dir_name_make(req->key, &n);
    if (r == 0)
        r = store_hdrs_check(req->hdrs);
    if (r == 0 && req->hdrs != NULL)
        r = store_hdrs_copy(&meta.hdrs, req->hdrs);
    if (r == 0)
        r = dir_temp_new(d, &t);
    if (r == 0)
        r = dir_io_from_src(req->src, t.fd, meta.md5);
    if (r < 0)
        return r;
    meta.etag = store_etag_md5(meta.md5);
    return dir_commit(d, &n, req, &t, &meta, &rsp->obj);
}

int dir_source(const struct dir_store *d, const struct store_req *req, struct dir_file *ret)
{
    struct dir_name n;
    int r = dir_name_make(req->src_key, &n);
    if (r == 0)
        r = dir_file_current(d, &n, ret);
    return r != 0 ? r : store_cond_read(&req->src_cond, &ret->meta.etag);
}

int dir_copy(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp)
{
    struct dir_name n;
    _cleanup_dirfile_ struct dir_file from = DIR_FILE_INIT;
    _cleanup_temp_ struct dir_temp t = DIR_TEMP_INIT;
    _cleanup_meta_ struct dir_meta meta = {.is_verifiable = true};
    int r = dir_name_make(req->key, &n);
    if (r == 0 && req->replace)
        r = store_hdrs_check(req->hdrs);
    if (r < 0)
        return r;
    if (!req->replace && strcmp(req->key, req->src_key) == 0)
        return err_set(-EINVAL, "a copy onto itself that changes nothing");
    r = dir_source(d, req, &from);
    if (r != 0)
        return r;
    const struct store_hdrs *hdrs = req->replace ? req->hdrs : &from.meta.hdrs;
    if (hdrs != NULL)
        r = store_hdrs_copy(&meta.hdrs, hdrs);
    if (r == 0)
        r = dir_temp_new(d, &t);
    if (r == 0)
        r = dir_io_copy(from.fd, 0, (uint64_t)from.st.st_size, t.fd, 0, NULL, meta.md5);
    if (r == 0 && from.meta.is_verifiable && memcmp(meta.md5, from.meta.md5, STORE_MD5_LEN) != 0)
        r = err_set(-EIO, "a copy's source has not the bytes that were put: the MD5 differs");
    if (r < 0)
        return r;
    /* As on S3, the copy of a multipart object is a plain one. */
    meta.etag = store_etag_md5(meta.md5);
    return dir_commit(d, &n, req, &t, &meta, &rsp->obj);
}

int dir_delete(const struct dir_store *d, const struct store_req *req)
{
    struct dir_name n;
    _cleanup_close_ int lock = -1;
    _cleanup_dirfile_ struct dir_file current = DIR_FILE_INIT;
    int r = dir_name_make(req->key, &n);
    if (r == 0)
        r = dir_lock_key(d, req->key, &lock);
    if (r == 0)
        r = dir_file_current(d, &n, &current);
    if (r == STORE_NOT_FOUND)
        return 0;
    if (r == 0)
        r = store_cond_write(&req->cond, &current.meta.etag);
    return r != 0 ? r : dir_unpublish(d, &n, true);
}

/* etag: only as this version; NULL: as it is. */
static int delete_one(const struct dir_store *d, const char *key, const struct store_etag *etag)
{
    struct dir_name n;
    _cleanup_close_ int lock = -1;
    _cleanup_dirfile_ struct dir_file current = DIR_FILE_INIT;
    int r = dir_name_make(key, &n);
    if (r == 0)
        r = dir_lock_key(d, key, &lock);
    if (r == 0 && etag != NULL)
        r = dir_file_current(d, &n, &current);
    if (r == STORE_NOT_FOUND)
        return 0;
    if (r == 0 && etag != NULL)
        r = store_cond_write(&(struct store_cond){STORE_IF_MATCH, *etag}, &current.meta.etag);
    return r != 0 ? r : dir_unpublish(d, &n, false);
}

int dir_delete_many(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp)
{
    if (req->n_keys == 0 || req->n_keys > STORE_PAGE_MAX)
        return err_set(-EINVAL, "%zu keys in one multi-object delete", req->n_keys);
    rsp->key_results = calloc(req->n_keys, sizeof(int));
    if (rsp->key_results == NULL)
        return err_set(-ENOMEM, "no memory for the results");
    for (size_t i = 0; i < req->n_keys; i++)
        rsp->key_results[i] = delete_one(d, req->keys[i], req->etags != NULL ? &req->etags[i] : NULL);
    /* Once for all of them. */
    return syncfs(d->root_fd) < 0 ? dir_fail(-errno, "deleting objects") : 0;
}
