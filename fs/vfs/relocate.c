/* SPDX-License-Identifier: Apache-2.0 */
/* See relocate.h. What the journal is told is in outbox.c, the order of the sending in sending.c. */
#include "relocate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "stored.h"

#define CTIME_HDR STORE_USER_META "s3efs-ctime"

/* Attributes that wait go along: the entry says all of them, and i->hdrs what the bucket has under the old name. But a try of
 * theirs may have changed that. */
static bool attr_goes_along_locked(const struct inode *i)
{
    return stored_attr_waits_locked(i) && outbox_has_all_locked(i) && i->out->from == NULL && !i->out->is_tried &&
           i->out->n_doubts == 0 && !i->is_trunc && !i->tail.is_on;
}

static bool is_due_locked(const struct vfs *v, const struct inode *i)
{
    return v->conf.journal != NULL && v->conf.commit == VFS_COMMIT_LOCAL && v->conf.excl != VFS_EXCL_STRICT &&
           v->keep == NULL && S_ISREG(atomic_load(&i->type)) && store_etag_is_set(&i->etag) && !i->is_new &&
           ((!i->is_dirty && i->out == NULL) || attr_goes_along_locked(i)) && i->n_writers == 0 && i->locks == NULL &&
           i->aside == NULL && i->attr.size <= RELOCATE_MAX && i->obj_size == i->attr.size && i->failed == 0 &&
           !i->is_sent && outbox_can_wait_locked(v, i) && outrec_holds(&i->hdrs);
}

static bool fill_locked(const struct vfs *v, const struct inode *i, const char *key, struct removerec *rec)
{
    const char *ctime = store_hdrs_get(&i->hdrs, CTIME_HDR);

    if (!is_due_locked(v, i) || str_copy(rec->key, sizeof(rec->key), key) < 0 ||
        str_copy(rec->ctime, sizeof(rec->ctime), ctime != NULL ? ctime : "") < 0)
        return false;
    rec->etag = i->etag;
    rec->obj_size = i->obj_size;
    rec->is_moved = true;
    memcpy(rec->id, i->attr.id, sizeof(rec->id));
    return true;
}

/* Whoever has it open may have brought all of it here, too; but that a server sends it again is not waited for. */
static bool is_here(struct vfs *v, struct inode *i, const char *key)
{
    return data_is_here(v->data, key, &i->etag, i->obj_size) && content_open(v, i) == 0 && data_own(i->data) == 0;
}

void relocate_begin(struct vfs *v, struct inode *i, const char *key, struct removal **ret)
{
    struct removerec rec = {0};
    bool is;

    *ret = NULL;
    if (!outroom_is(v))
        return;
    lock_take(&v->tree);
    is = fill_locked(v, i, key, &rec);
    lock_drop(&v->tree);
    if (!is || (*ret = removal_new(&rec)) == NULL)
        return;
    if (is_here(v, i, key))
        return;
    free(*ret);
    *ret = NULL;
}

void relocate_cancel(struct vfs *v, struct inode *i, struct removal *m)
{
    struct store_obj was = {.etag = i->etag, .size = i->obj_size, .mtime_ns = i->obj_mtime_ns};

    (void)v;
    if (data_follow(i->data, m->key, &was) < 0)
        log_error("rename.local", "key=%s cause=%s", LOG_Q(m->key), LOG_Q(err_text()));
    free(m);
}

void relocate_undo(struct vfs *v, struct inode *i)
{
    char key[VFS_KEY_MAX + 1] = "";

    lock_take(&v->tree);
    if (i->out != NULL && i->out->from != NULL) {
        memcpy(key, i->out->from->key, strlen(i->out->from->key) + 1);
        removal_unhold_locked(v, i->out->from);
        i->out->from = NULL;
    }
    lock_drop(&v->tree);
    if (key[0] == '\0')
        return;
    log_warn("rename.undone", "key=%s effect=\"the old name is there again\"", LOG_Q(key));
    key_forget(v, key);
}

const char *relocate_source(const struct inode *i)
{
    return outbox_waits(i) && i->out->from != NULL ? i->out->from->key : NULL;
}

bool relocate_is_same(const struct inode *i)
{
    return outbox_waits(i) && i->out->keeps_hdrs && i->data != NULL && i->out->same_change == data_change(i->data);
}

struct removal *relocate_of_record(const struct outrec *rec)
{
    struct removerec from = {.etag = rec->from.etag, .obj_size = rec->from.obj_size, .is_moved = true};

    memcpy(from.key, rec->from.key, sizeof(from.key));
    memcpy(from.ctime, rec->from.ctime, sizeof(from.ctime));
    memcpy(from.id, rec->attr.id, sizeof(from.id));
    return removal_new(&from);
}

struct inode *relocate_holder_locked(struct vfs *v, const char *key)
{
    const struct removal *m = v->locked.n_held > 0 ? removal_find_locked(v, key) : NULL;

    return m != NULL ? m->holder : NULL;
}

struct inode *relocate_blocker_locked(struct vfs *v, const struct inode *i)
{
    char key[VFS_KEY_MAX + 2];

    if (v->locked.n_held == 0 || i->parent == NULL || inode_key_locked(v, i, NULL, key) < 0)
        return NULL;
    return relocate_holder_locked(v, key);
}

struct removal *relocate_below_locked(struct vfs *v, const char *prefix)
{
    if (v->locked.n_held == 0)
        return NULL;
    for (const struct outgoing *o = v->locked.out_first; o != NULL; o = o->next)
        if (o->from != NULL && str_starts(o->from->key, prefix))
            return o->from;
    return NULL;
}

bool relocate_is_held(struct vfs *v, const char *key)
{
    bool is;

    lock_take(&v->tree);
    is = relocate_holder_locked(v, key) != NULL;
    lock_drop(&v->tree);
    return is;
}

bool relocate_holds_below(struct vfs *v, const char *prefix)
{
    bool is;

    lock_take(&v->tree);
    is = relocate_below_locked(v, prefix) != NULL;
    lock_drop(&v->tree);
    return is;
}

bool relocate_rings(struct vfs *v, const struct inode *i, const char *key)
{
    const struct inode *h;
    unsigned n = 0;

    lock_take(&v->tree);
    h = relocate_holder_locked(v, key);
    if (h == i) /* back to where it was */
        h = NULL;
    while (h != NULL && h != i && ++n < RELOCATE_CHAIN)
        h = relocate_blocker_locked(v, h);
    lock_drop(&v->tree);
    return h != NULL;
}
