/* SPDX-License-Identifier: Apache-2.0 */
/* See stored.h. */
#include "stored.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/err.h"
#include "xattr_code.h"

bool stored_attr_waits_locked(const struct inode *i)
{
    return outbox_waits(i) && !i->is_new && store_etag_is_set(&i->etag) && !i->is_replacing &&
           i->data != NULL && !data_is_dirty(i->data);
}

#define AGE_BITS 4
#define AGE_MAX 15u /* or more: more than that many tries are not told apart */

static unsigned age_of(uint32_t ages, unsigned kind)
{
    return ages >> (kind * AGE_BITS) & AGE_MAX;
}

uint32_t stored_ages(uint32_t ages, unsigned char since, bool is_tried)
{
    uint32_t now = 0;

    for (unsigned k = 0; k < CHAR_BIT; k++) {
        unsigned age = age_of(ages, k);

        if ((since & 1u << k) != 0)
            age = 0;
        else if (is_tried && age < AGE_MAX)
            age++;
        now |= (uint32_t)age << (k * AGE_BITS);
    }
    return now;
}

unsigned char stored_since(uint32_t ages, unsigned n)
{
    unsigned kinds = 0;

    for (unsigned k = 0; k < CHAR_BIT; k++)
        if (age_of(ages, k) <= n)
            kinds |= 1u << k;
    return (unsigned char)kinds;
}

unsigned char stored_kinds(const struct store_hdrs *edits)
{
    bool has_user = store_hdrs_get(edits, XATTR_CODE_HDR) != NULL;

    return (unsigned char)((has_user ? STORED_USER : 0) | (edits->n > has_user ? STORED_HDRS : 0));
}

bool stored_was_tried_locked(const struct inode *i)
{
    return outbox_waits(i) && i->out->n_doubts > 0 && (i->attr_set != 0 || i->edits.n > 0);
}

static void settle_locked(struct inode *i, const struct store_obj *there)
{
    unsigned char since;
    unsigned n = 0;

    while (n < i->out->n_doubts && !upload_has_mark(&there->hdrs, i->out->doubts[i->out->n_doubts - 1 - n]))
        n++;
    if (n == i->out->n_doubts)
        return;
    since = stored_since(i->out->attr_ages, n) | i->attr_new;
    i->attr_set &= since | (unsigned)VFS_SET_SIZE; /* which is the bytes' */
    edits_drop(&i->edits, (since & STORED_USER) == 0, (since & STORED_HDRS) == 0);
}

void stored_settle_locked(struct inode *i, const struct store_obj *there)
{
    if (stored_was_tried_locked(i) && !i->is_new && !i->is_replacing)
        settle_locked(i, there);
}

bool stored_is_left_locked(struct inode *i, const struct store_obj *there)
{
    if (!stored_was_tried_locked(i) || upload_has_mark(&there->hdrs, i->out->mark))
        return false;
    settle_locked(i, there);
    return (i->attr_set & ~(unsigned)VFS_SET_SIZE) != 0 || i->edits.n > 0;
}

bool stored_finds_tries(struct vfs *v, struct inode *i)
{
    bool finds;

    lock_take(&v->tree);
    finds = stored_attr_waits_locked(i);
    lock_drop(&v->tree);
    return finds;
}

bool stored_is_local_locked(const struct vfs *v, const struct inode *i)
{
    const bool is_local = v->conf.commit == VFS_COMMIT_LOCAL ||
                          (v->conf.commit == VFS_COMMIT_FSYNC && !v->conf.sync_writes);

    /* A file's headers are asked for again before it is sent. */
    return is_local && (S_ISREG(atomic_load(&i->type)) || outrec_holds(&i->hdrs));
}

int stored_commit(struct vfs *v, struct inode *i)
{
    bool is_local;

    lock_take(&v->tree);
    is_local = stored_is_local_locked(v, i);
    lock_drop(&v->tree);
    return is_local ? outbox_commit(v, i) : commit_inode(v, i);
}

/* Is the version that the entry is a change of the newest one? 1: it is; 0; -errno. */
static int is_newest(struct vfs *v, struct inode *i, bool wants_bytes)
{
    char key[VFS_KEY_MAX + 2];
    struct store_obj obj = {0};
    struct store_etag known;
    uint64_t size;
    int r;

    lock_take(&v->tree);
    r = inode_key_locked(v, i, NULL, key);
    known = i->etag;
    size = wants_bytes ? i->attr.size : UINT64_MAX;
    lock_drop(&v->tree);
    if (r < 0)
        return r;
    r = data_fetch(v->data, key, &known, size, &obj);
    if (r == STORE_NOT_MODIFIED || (r == 0 && store_etag_equal(&obj.etag, &known)))
        r = 1;
    else if (r > 0)
        r = 0;
    store_obj_done(&obj);
    return r;
}

int stored_check(struct vfs *v, struct inode *i, bool wants_bytes)
{
    int r = is_newest(v, i, wants_bytes);

    if (r != 0)
        return r < 0 ? r : 0;
    r = outbox_send(v, i);
    if (r < 0 && outbox_waits(i))
        return r;
    lock_take(&v->tree);
    r = 0;
    if (inode_is_stale_locked(v, i)) /* who has it open stays on that version (aside.h) */
        r = err_set(-ESTALE, "%s has a new version while an old one is open: look it up again", i->name);
    lock_drop(&v->tree);
    if (r < 0)
        return r;
    return inode_check(v, i, wants_bytes); /* also where the entry was given up, and told */
}
