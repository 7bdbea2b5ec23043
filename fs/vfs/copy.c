/* SPDX-License-Identifier: Apache-2.0 */
/* copy_file_range(2). A whole stored file onto one that has nothing yet is copied within the
 * bucket, under conditions on both ends, and is there when the call returns; every other range is
 * copied here, into the bytes that go up at close. The copy is another file: it keeps its own id
 * (protocol 2), owner and headers. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "fold.h"
#include "makedir.h"
#include "mime.h"
#include "removal.h"

#define STEP ((size_t)1 << 20)
/* Of bytes that pass here: then the caller may be stopped. */
#define CALL_MAX ((uint64_t)128 << 20)

struct range {
    struct handle *in, *out;
    uint64_t in_off, out_off, len;
};

/* What the bucket copies. */
struct whole {
    char from[VFS_KEY_MAX + 2], to[VFS_KEY_MAX + 2], name[VFS_NAME_MAX + 1], type[256];
    struct store_obj base;
    struct store_cond cond;
};

static bool is_settled_locked(const struct vfs *v, const struct inode *i)
{
    return !inode_is_gone_locked(v, i) && !inode_is_stale_locked(v, i) && i->torn == 0;
}

/* Is the range a whole object as the bucket has it, and is there nothing on the other side? */
static bool find_whole(struct vfs *v, const struct range *x, struct whole *w)
{
    struct inode *in = x->in->inode, *out = x->out->inode;
    const char *type;
    bool is_whole;

    *w = (struct whole){
        .base = {.etag = data_base_etag(x->in->data), .size = data_size(x->in->data)}};
    if (in == out || x->in_off != 0 || x->out_off != 0 || x->len < w->base.size ||
        w->base.size == 0 || data_is_dirty(x->in->data))
        return false;
    if (data_size(x->out->data) != 0 || !data_is_whole(x->out->data))
        return false;
    lock_take(&v->tree);
    /* A hard link's commit has more to write than one object (protocol 9). */
    is_whole = out->attr.link_gen == 0 && x->in->data == in->data && x->out->data == out->data &&
               !in->is_new && store_etag_is_set(&in->etag) &&
               store_etag_equal(&in->etag, &w->base.etag) && is_settled_locked(v, in) &&
               is_settled_locked(v, out) && inode_key_locked(v, in, NULL, w->from) == 0 &&
               inode_key_locked(v, out, NULL, w->to) == 0 &&
               str_copy(w->name, sizeof(w->name), out->name) == 0 &&
           !removal_stands_locked(v, w->to); /* REM-3: a commit settles it */
    w->cond = (struct store_cond){store_etag_is_set(&out->etag) ? STORE_IF_MATCH : STORE_IF_ABSENT,
                                  out->etag};
    type = store_hdrs_get(&in->hdrs, "content-type");
    if (type == NULL || str_copy(w->type, sizeof(w->type), type) < 0)
        w->type[0] = '\0';
    lock_drop(&v->tree);
    /* What a rename could take away goes up by a commit, which looks for that (protocol 4). */
    return is_whole && !late_is_due(v, w->cond.kind) && upload_can_copy(v->upload, w->cond.kind, w->base.size);
}

/* The name says what the bytes are; where it does not, the source's type does. */
static int copy_headers(struct vfs *v, struct inode *out, const struct whole *w,
                        struct store_hdrs *ret)
{
    int r = commit_headers(v, out, w->to, w->name, ret);

    if (r == 0 && w->type[0] != '\0' && mime_is_vague(store_hdrs_get(ret, "content-type")))
        r = store_hdrs_set(ret, "content-type", w->type);
    return r;
}

static int send_whole(struct vfs *v, struct inode *out, const struct whole *w)
{
    struct data_file *source = NULL;
    struct store_hdrs hdrs = {0};
    struct store_obj now = {0};
    uint64_t change = data_change(out->data);
    int r = makedir_settle(v, out); /* MKD-1 */

    if (r == 0)
        r = locks_before_commit(v, out);
    if (r == 0)
        r = shadow_check(v, out, w->to);
    if (r == 0)
        r = data_file_new(v->data, w->from, &w->base, &source);
    if (r == 0)
        r = copy_headers(v, out, w, &hdrs);
    if (r == 0) {
        const struct upload_req req = {.key = w->to,
                                       .file = source,
                                       .src_key = w->from,
                                       .hdrs = &hdrs,
                                       .cond = w->cond,
                                       .by_copy = true};

        r = commit_upload(v, &req, &now);
    }
    if (r == 0)
        commit_took(v, out, w->to, &now, change);
    else if (r == UPLOAD_LANDED) /* and another client has written on top of it */
        r = merge_landed(v, out, w->to, &now);
    if (r == 0)
        strict_end(v, out);
    store_hdrs_done(&hdrs);
    store_obj_done(&now);
    data_file_unref(source);
    return r;
}

/* 0: done, in the bucket. Else the bytes are to be copied here: whatever stood in the way, the
 * close of the copy meets it again and has its rules for it. */
static int copy_whole(struct vfs *v, const struct range *x, uint64_t *ret_n)
{
    struct inode *out = x->out->inode;
    struct whole w;
    int r;

    if (!find_whole(v, x, &w))
        return 1;
    lock_take(&v->tree);
    out->attr.mtime_ns = out->attr.ctime_ns = clock_wall_ns();
    lock_drop(&v->tree);
    r = send_whole(v, out, &w);
    if (r != 0) {
        log_debug("copy.here", "from=%s to=%s result=%d cause=%s", LOG_Q(w.from), LOG_Q(w.to), r,
                  LOG_Q(err_text()));
        return 1;
    }
    lock_take(&v->tree);
    out->failed = 0;
    lock_drop(&v->tree);
    x->out->has_written = x->out->is_fresh = false;
    *ret_n = w.base.size;
    return 0;
}

/* The next run of data, or of a hole, at in_off; 0: the end of the source. */
static uint64_t next_run(struct data_file *f, uint64_t off, uint64_t len, bool *ret_hole)
{
    uint64_t size = data_size(f), end = 0;
    int r;

    if (off >= size)
        return 0;
    if (len > size - off)
        len = size - off;
    r = data_seek(f, off, false, &end);
    *ret_hole = r == -ENXIO || (r == 0 && end > off);
    if (!*ret_hole && (r < 0 || data_seek(f, off, true, &end) < 0))
        end = off + len;
    else if (r == -ENXIO)
        end = size;
    return end - off < len ? end - off : len;
}

static int copy_run(struct data_file *in, uint64_t in_off, struct data_file *out, uint64_t out_off,
                    uint64_t *len, bool is_hole, void *buf, int *ret_torn)
{
    ssize_t n;

    if (is_hole)
        return *ret_torn = data_zero(out, out_off, *len, false);
    n = data_read(in, in_off, buf, *len < STEP ? (size_t)*len : STEP);
    if (n <= 0)
        return n < 0 ? (int)n : err_set(-EIO, "the file was cut while it was copied");
    *len = (uint64_t)n;
    return *ret_torn = data_write(out, out_off, buf, (size_t)n);
}

/* What was copied before an error counts; *ret_n is how much. *ret_torn: what a write of it said.
 */
static int copy_here(const struct range *x, uint64_t *ret_n, int *ret_torn)
{
    _cleanup_free_ char *buf = malloc(STEP);
    uint64_t done = 0, len = x->len < CALL_MAX ? x->len : CALL_MAX, n;
    bool is_hole;
    int r = buf != NULL ? 0 : -ENOMEM;

    while (r == 0 && done < len) {
        n = next_run(x->in->data, x->in_off + done, len - done, &is_hole);
        if (n == 0)
            break;
        r = copy_run(x->in->data, x->in_off + done, x->out->data, x->out_off + done, &n, is_hole,
                     buf, ret_torn);
        if (r == 0)
            done += n;
    }
    *ret_n = done;
    return done > 0 ? 0 : r;
}

/* As after a write of that range. A write that failed is one that its caller meant: what has a hole
 * there is not sent as if it were whole. */
static void note_copied(struct vfs *v, const struct vfs_ctx *x, const struct range *c, uint64_t n,
                        int torn)
{
    struct inode *out = c->out->inode;

    if (n == 0 && torn == 0)
        return;
    if (n == 0) {
        lock_take(&v->tree);
        note_write_locked(out, c->out_off, c->out_off + c->len, torn);
        lock_drop(&v->tree);
        return;
    }
    handle_note_writer(v, c->out, x->pid);
    c->out->has_written = true;
    c->out->is_fresh = false;
    lock_take(&v->tree);
    note_write_locked(out, c->out_off, c->out_off + n, 0);
    tail_note_locked(out, c->out_off, c->out_off + n, false);
    out->attr.mtime_ns = out->attr.ctime_ns = clock_wall_ns();
    if (c->out->data == out->data)
        out->attr.size = data_size(c->out->data);
    commit_mark_dirty_locked(out);
    lock_drop(&v->tree);
}

static int copy_range(struct vfs *v, const struct vfs_ctx *x, const struct range *c,
                      uint64_t *ret_n)
{
    struct inode *first = c->in->inode, *second = c->out->inode;
    int r;

    if (second < first) {
        first = second;
        second = c->in->inode;
    }
    pthread_rwlock_rdlock(&v->names);
    inode_io_take(v, first);
    if (second != first)
        inode_io_take(v, second);
    r = copy_whole(v, c, ret_n);
    if (r != 0) {
        int torn = 0;

        r = copy_here(c, ret_n, &torn);
        note_copied(v, x, c, *ret_n, torn);
    }
    if (second != first)
        inode_io_drop(v, second);
    inode_io_drop(v, first);
    pthread_rwlock_unlock(&v->names);
    writeback_wake(v);
    return r;
}

ssize_t vfs_copy_range(struct vfs *v, const struct vfs_ctx *x, uint64_t fh_in, uint64_t off_in,
                       uint64_t fh_out, uint64_t off_out, uint64_t len)
{
    struct range c = {handle_get(v, fh_in), handle_get(v, fh_out), off_in, off_out, len};
    uint64_t n = 0;
    int r;

    if (c.in == NULL || c.out == NULL || c.in->data == NULL || c.out->data == NULL ||
        !c.out->is_writer)
        return err_set(-EBADF, "not open, or not for writing");
    if (off_in > INT64_MAX || off_out > INT64_MAX)
        return err_set(-EFBIG, "past the largest offset");
    if (len > INT64_MAX - off_in)
        c.len = INT64_MAX - off_in;
    if (c.len > INT64_MAX - off_out)
        c.len = INT64_MAX - off_out;
    if (c.len == 0)
        return 0;
    fold_before_change(v, c.out->inode);
    r = copy_range(v, x, &c, &n);
    if (r == 0 && n > 0 && v->conf.sync_writes)
        r = vfs_fsync(v, fh_out);
    return r < 0 ? r : (ssize_t)n;
}
