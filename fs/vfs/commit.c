/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing a file into the bucket (protocol 1-2): under If-None-Match:* when it is new here, else
 * under If-Match of the version it started from. What happens to a commit that meets another
 * version is in merge.c. */
#include "internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "aside.h"
#include "fold.h"
#include "grown.h"
#include "idle.h"
#include "keep.h"
#include "link.h"
#include "linked.h"
#include "makedir.h"
#include "mime.h"
#include "outbox.h"
#include "relocate.h"
#include "removal.h"
#include "stored.h"

void vfs_set_error(struct vfs *v, const char *fmt, ...)
{
    va_list ap;

    lock_take(&v->tree);
    va_start(ap, fmt);
    vsnprintf(v->locked.last_error, sizeof(v->locked.last_error), fmt, ap);
    va_end(ap);
    lock_drop(&v->tree);
}

void commit_mark_dirty_locked(struct inode *i)
{
    if (i->dirty_since_ns == 0)
        i->dirty_since_ns = clock_boot_ns();
    i->is_dirty = true;
    i->out_is_behind = i->out != NULL;
}

/* The base of the file's content, as far as data/ needs to know it. */
static struct store_obj base_of(const struct inode *i)
{
    return (struct store_obj){.etag = i->etag, .size = i->obj_size, .mtime_ns = i->obj_mtime_ns};
}

int content_open(struct vfs *v, struct inode *i)
{
    char key[VFS_KEY_MAX + 2];
    struct data_file *f = NULL;
    struct store_obj base;
    bool has_base;
    int r;

    lock_take(&v->tree);
    if (i->data != NULL) {
        lock_drop(&v->tree);
        return 0;
    }
    r = inode_key_locked(v, i, NULL, key);
    base = base_of(i);
    has_base = store_etag_is_set(&i->etag);
    lock_drop(&v->tree);
    if (r < 0)
        return r;
    r = data_file_new(v->data, key, has_base ? &base : NULL, &f);
    if (r < 0)
        return r;
    lock_take(&v->tree);
    i->data = f; /* the caller holds i->io: nobody else made one */
    idle_charge_locked(v, i);
    lock_drop(&v->tree);
    return 0;
}

/* The type that the object has stays unless the bytes say otherwise, or it said nothing. */
static int set_content_type(struct inode *i, const char *name, struct data_file *f, bool is_same,
                            struct store_hdrs *hdrs)
{
    const char *old = store_hdrs_get(hdrs, "content-type"), *type = NULL;
    unsigned char head[MIME_HEAD];
    ssize_t n = 0;

    if (!S_ISREG(atomic_load(&i->type)))
        return old != NULL ? 0 : store_hdrs_set(hdrs, "content-type", MIME_UNKNOWN);
    if (f != NULL && ((data_is_dirty(f) && !is_same) || mime_is_vague(old)))
        n = data_read(f, 0, head, sizeof(head));
    if (n == -ESTALE) /* the version below is gone: the commit will meet the one that is there */
        n = 0;
    if (n < 0)
        return (int)n;
    type = mime_from_bytes(head, (size_t)n);
    if (type == NULL || mime_is_vague(type)) {
        const char *by_name = mime_from_name(name);

        if (mime_is_vague(old) && by_name != NULL)
            type = by_name;
        else if (!mime_is_vague(old))
            type = old;
    }
    if (type == NULL)
        type = old != NULL ? old : MIME_UNKNOWN;
    return type == old ? 0 : store_hdrs_set(hdrs, "content-type", type);
}

/* Of a file whose bytes stay, what the object says stays true. */
static int note_growth(struct data_file *f, const struct store_etag *etag, uint64_t old_size,
                       struct store_hdrs *hdrs)
{
    if (f == NULL || !data_is_dirty(f))
        return 0;
    if (data_is_grown(f))
        return grown_set(hdrs, etag, old_size, data_size(f));
    grown_unset(hdrs);
    return 0;
}

int commit_headers(struct vfs *v, struct inode *i, const char *key, const char *name,
                   struct store_hdrs *ret)
{
    struct data_file *f;
    struct store_etag etag;
    struct objattr attr;
    uint64_t old_size;
    int r;

    lock_take(&v->tree);
    r = store_hdrs_copy(ret, &i->hdrs);
    if (r == 0)
        r = edits_apply(&i->edits, ret);
    attr = i->attr;
    etag = i->etag;
    old_size = i->obj_size;
    f = i->data != NULL ? data_file_ref(i->data) : NULL;
    lock_drop(&v->tree);
    if (r == 0)
        r = objattr_encode(&attr, key, ret);
    if (r == 0)
        r = note_growth(f, &etag, old_size, ret);
    if (r == 0)
        moved_touch(ret);
    if (r == 0 && !edits_type_is_set(ret))
        r = set_content_type(i, name, f, relocate_is_same(i), ret);
    data_file_unref(f);
    return r;
}

void commit_took(struct vfs *v, struct inode *i, const char *key, struct store_obj *now,
                 uint64_t change)
{
    uint64_t size;

    data_committed(i->data, key, now, change);
    size = data_size(i->data);
    cache_obj_put(v->cache, key, now, clock_boot_ns());
    lock_take(&v->tree);
    inode_moved_locked(i, now);
    store_hdrs_done(&i->hdrs);
    i->hdrs = now->hdrs;
    now->hdrs = (struct store_hdrs){0};
    i->attr.size = size;
    i->checked_ns = clock_boot_ns();
    i->ac_ns = v->conf.acregmin_ns;
    merge_clean_locked(v, i);
    lock_drop(&v->tree);
    atomic_fetch_add(&v->commits, 1);
}

/* Who asks, and what a hard link's commit does with its other names. */
struct commit_way {
    bool is_waited; /* a close or fsync */
    bool is_link;   /* it becomes a hard link */
    struct link_commit group;
};

/* A commit of the journal that an earlier process made, or that is told from one by nobody: what the
 * bucket has is what counts, byte for byte. */
static int replayed_took(struct vfs *v, struct inode *i, const char *key,
                         const struct store_obj *now)
{
    outbox_sent(v, i);
    atomic_fetch_add(&v->commits, 1);
    return merge_landed(v, i, key, now);
}

/* The bucket has it: under this key, or by now under the one that another mount gave the file. */
static int went_up(struct vfs *v, struct inode *i, const char *key, const char *name,
                   enum store_if cond, struct store_obj *now, uint64_t change)
{
    int r = late_write(v, i, key, name, cond, now);

    if (r < 0) { /* it is there, for all we know: who tries again must not put it there twice */
        upload_disown(v->upload, key, i->data, now);
        return r;
    }
    if ((outbox_is_replayed(i) || keep_is_retry(i)) && r == 0)
        return replayed_took(v, i, key, now);
    outbox_sent(v, i);
    commit_took(v, i, key, now, change);
    crash_point("commit.taken");
    if (r == LATE_ELSEWHERE) {
        cache_obj_drop(v->cache, key);
        lock_take(&v->tree);
        inode_abandon_locked(v, i); /* a lookup finds it under its new name */
        lock_drop(&v->tree);
    }
    return 0;
}

/* An earlier try of these bytes is in the bucket, and below what others wrote. 1: what was set here since goes on as a change
 * of attributes alone, onto that; 0; -errno. */
static int landed(struct vfs *v, struct inode *i, const char *key, const struct store_obj *now, struct store_cond *cond)
{
    bool is_left = inode_is_file_of(v, i, key, now);
    int r;

    lock_take(&v->tree);
    is_left = is_left && stored_is_left_locked(i, now);
    lock_drop(&v->tree);
    if (is_left && relocate_source(i) != NULL) {
        log_error("commit.attributes_lost", "key=%s cause=\"it was renamed here and changed by another client, and what was set "
                  "here since could not follow\"", LOG_Q(key));
        is_left = false;
    }
    if (!is_left) {
        outbox_sent(v, i);
        return merge_landed(v, i, key, now);
    }
    r = merge_goes_on(v, i, key, now, cond);
    if (r < 0) { /* it is as it was: the next try must know its own again */
        for (unsigned k = 0; k < i->out->n_doubts; k++)
            upload_doubt(v->upload, key, i->out->doubts[k]);
        return r;
    }
    if (outbox_put(v, i) == 0) /* else the entry has a mark that goes with what is left now */
        keep_inode(v, i);
    return 1;
}

/* a: what the readers of an older version keep. */
static int commit_tries(struct vfs *v, struct inode *i, const char *key, const char *name,
                        struct commit_way *way, struct aside *a)
{
    struct store_cond cond = {store_etag_is_set(&i->etag) ? STORE_IF_MATCH : STORE_IF_ABSENT,
                              i->etag};
    uint64_t change = data_change(i->data);
    struct contest contest;
    bool is_retry;
    const char *mark = outbox_mark(i, &is_retry) ?: keep_mark(v, i, &is_retry);
    int r;

    contest_begin(v, i, &contest);
    for (;;) {
        struct store_hdrs hdrs = {0};
        struct store_obj now = {0};

        r = locks_before_commit(v, i);
        if (r == 0)
            r = link_claim(v, i, key, &way->group, &now);
        if (r == 0)
            r = commit_headers(v, i, key, name, &hdrs);
        if (r == 0) {
            const struct upload_req req = {
                .key = key,
                .src_key = relocate_source(i),
                .file = i->data,
                .hdrs = &hdrs,
                .other_etag = way->is_link,
                .mark = mark,
                .is_retry = is_retry,
                .finds_tries = stored_finds_tries(v, i),
                .cond = cond};

            crash_point("commit.ready");
            r = commit_upload(v, &req, &now);
        }
        if (r == UPLOAD_CHANGED || r == UPLOAD_LANDED)
            r = aside_begin(v, i, key, &now, a) ?: r;
        if (r == 0) {
            crash_point("commit.stored");
            r = went_up(v, i, key, name, cond.kind, &now, change)
                    ?: link_spread(v, i, key, &way->group);
        } else if (r == UPLOAD_LANDED) {
            r = landed(v, i, key, &now, &cond);
            mark = r > 0 ? outbox_mark(i, &is_retry) : NULL;
        } else if (r > 0) {
            r = locks_may_rebase(v, i)
                    ?: merge_resolve(v, i, key, r, &now, way->is_waited, &cond) ?: 1;
            link_saw(v, i, key, &now, &way->group);
        }
        store_hdrs_done(&hdrs);
        store_obj_done(&now);
        if (r > 0)
            r = contest_lost(i, key, &contest) ?: 1;
        if (r <= 0)
            return r;
        change = data_change(i->data);
    }
}

static int commit_as(struct vfs *v, struct inode *i, const char *key, const char *name,
                     struct commit_way *way)
{
    struct aside a = {0};

    return aside_end(v, i, key, &a, commit_tries(v, i, key, name, way, &a));
}

/* Where the inode's bytes belong. */
static int key_of_locked(struct vfs *v, struct inode *i, char key[VFS_KEY_MAX + 2],
                         char name[VFS_NAME_MAX + 1])
{
    int r;

    if (inode_is_stale_locked(v, i) && i->newer_key != NULL)
        r = str_copy(key, VFS_KEY_MAX + 2, i->newer_key);
    else if (inode_is_stale_locked(v, i))
        r = err_set(-ESTALE, "%s was replaced or removed by another client", i->name);
    else
        r = inode_key_locked(v, i, NULL, key);
    return r == 0 ? str_copy(name, VFS_NAME_MAX + 1, i->name) : r;
}

/* One try, under the first name. */
static int commit_first(struct vfs *v, struct inode *i, struct commit_way *way)
{
    char key[VFS_KEY_MAX + 2], name[VFS_NAME_MAX + 1];
    bool needed;
    int r = 0;

    lock_take(&v->tree);
    needed = inode_is_owed_locked(v, i);
    if (needed)
        r = key_of_locked(v, i, key, name);
    if (needed && r == 0 && i->torn != 0)
        r = err_set(i->torn, "a write to %s failed, so it is not sent", key);
    lock_drop(&v->tree);
    if (!needed)
        return 0;
    if (r == 0)
        r = content_open(v, i);
    if (r == 0)
        r = outbox_before(v, i);
    if (r == 0) /* what is back meets the condition of the PUT */
        r = removal_settle(v, key);
    if (r >= 0)
        r = shadow_check(v, i, key);
    if (r == 0)
        r = merge_see_attr(v, i, key);
    if (r == 0)
        r = commit_as(v, i, key, name, way);
    if (r < 0)
        atomic_fetch_add(&v->commit_errors, 1);
    else
        strict_end(v, i);
    lock_take(&v->tree);
    i->failed = r;
    free(i->failed_why);
    i->failed_why = r < 0 ? strdup(err_text()) : NULL;
    i->is_cut_now = false;
    i->is_sent = i->is_new && r < 0 && r != -EEXIST && r != -ESTALE;
    lock_drop(&v->tree);
    return r;
}

int commit_stored_link(struct vfs *v, struct inode *i, bool is_waited)
{
    struct commit_way way = {.is_waited = is_waited && !outbox_waits(i)}; /* OUT-4 */
    int r;

    do {
        r = link_ready(v, i);
        if (r < 0)
            return r;
        link_commit_begin(v, i, &way.group);
        r = commit_first(v, i, &way);
        link_commit_end(v, i, &way.group, r);
    } while (r == -ESTALE && link_moves_on(v, i));
    return r;
}

static int commit(struct vfs *v, struct inode *i, bool is_waited)
{
    int r = inode_is_dir(i) ? makedir_ready(v, i) : makedir_settle(v, i); /* MKD-1 */

    if (r == 0 && linked_waits(v, i))
        r = linked_commit(v, i, is_waited);
    if (r < 0 || inode_is_dir(i))
        return r;
    return commit_stored_link(v, i, is_waited);
}

int commit_inode(struct vfs *v, struct inode *i)
{
    if (fold_any(v)) {
        bool is_owed;

        lock_take(&v->tree);
        is_owed = inode_is_owed_locked(v, i);
        lock_drop(&v->tree);
        if (is_owed)
            fold_end(v);
    }
    return commit(v, i, true);
}

int commit_inode_unwaited(struct vfs *v, struct inode *i)
{
    return commit(v, i, false);
}

int commit_as_link(struct vfs *v, struct inode *i)
{
    struct commit_way way = {.is_waited = true, .is_link = true};

    return commit_first(v, i, &way);
}

int commit_new_link(struct vfs *v, struct inode *i, bool is_waited)
{
    struct commit_way way = {.is_waited = is_waited && !outbox_waits(i)};

    return commit_first(v, i, &way);
}

/* The file is what the bucket was last seen to have; nothing here or in the kernel knows better. */
static void as_stored_locked(struct vfs *v, struct inode *i, const char *key)
{
    struct store_obj was = {.etag = i->etag, .size = i->obj_size, .mtime_ns = i->obj_mtime_ns};

    if (store_hdrs_copy(&was.hdrs, &i->hdrs) == 0)
        inode_set_obj_locked(v, i, key, &was, 0);
    store_hdrs_done(&was.hdrs);
    store_hdrs_done(&i->edits);
    i->checked_ns = 0; /* ask the bucket what is there */
    i->kernel_etag = (struct store_etag){""};
}

bool commit_give_up(struct vfs *v, struct inode *i, int error, const char *when)
{
    char why[ERR_TEXT_MAX + 128], key[VFS_KEY_MAX + 2] = "", *path = NULL;
    struct data_file *f;
    bool is_kept = true;

    snprintf(why, sizeof(why), "%s: %s: %s", when, strerror(-error), err_text());
    lock_take(&v->tree);
    if (inode_key_locked(v, i, NULL, key) < 0 &&
        str_copy(key, sizeof(key), i->newer_key != NULL ? i->newer_key : i->name) < 0)
        key[0] = '\0';
    f = i->data;
    if (f != NULL && i->n_open > 0 && !data_is_dirty(f))
        f = NULL; /* attributes alone: who has it open goes on, and what he writes is the inode's */
    else
        i->data = NULL;
    i->is_dirty = i->is_trunc = i->is_replacing = false;
    i->dirty_since_ns = 0;
    i->attr_set = i->attr_new = 0;
    i->tail = (struct tail){0};
    i->failed = i->torn = 0;
    if (i->is_new) {
        for (const struct dentry *d = i->names; d != NULL; d = d->other)
            names_changed_locked(v, d->parent, d->name, false, false);
        inode_detach_locked(v, i);
        i->is_new = false;
    } else if (!i->is_stale) {
        as_stored_locked(v, i, key);
    }
    idle_charge_locked(v, i);
    lock_drop(&v->tree);
    if (f != NULL)
        upload_forget(v->upload, f); /* else what others wrote since would keep each later commit in doubt, too */
    if (f != NULL && data_is_dirty(f))
        is_kept = data_keep(f, key, why, &path) == 0;
    if (!is_kept)
        log_error("commit.bytes_lost", "key=%s cause=%s keep=%s", LOG_Q(key), LOG_Q(why),
                  LOG_Q(err_text()));
    else
        log_error("commit.failed", "key=%s cause=%s kept=%s", LOG_Q(key), LOG_Q(why),
                  path != NULL ? LOG_Q(path) : "-");
    vfs_set_error(v, "%s: %s", key, why);
    locks_gave_up(v, i);
    data_file_unref(f);
    free(path);
    return is_kept;
}
