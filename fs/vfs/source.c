/* SPDX-License-Identifier: Apache-2.0 */
/* The source of a file's rename, which other clients may write to until it is gone: what is moved
 * is what is there at that moment, and nobody's write makes the rename fail. */
#include <errno.h>

#include "base/clock.h"
#include "base/err.h"
#include "rename.h"

/* Another version of the same file stands under the old name: it is the one that moves. Its bytes
 * come here, if they are few. Who has the old one open stays with that (VFS-5), and the name has
 * another inode then: RENAME_AGAIN. */
static int take_newer(struct vfs *v, struct inode *i, struct intent_claim *cl)
{
    int r = inode_check(v, i, true);
    bool is_link;

    if (r == -ESTALE)
        return RENAME_AGAIN;
    lock_take(&v->tree);
    cl->what.source = i->etag;
    is_link = i->attr.link_gen != 0;
    lock_drop(&v->tree);
    return r == 0 && is_link ? RENAME_AGAIN : r;
}

int source_check(struct vfs *v, struct inode *i, struct intent_claim *cl)
{
    const char *from = cl->what.from;
    struct store_obj there = {0};
    int r = key_head(v, from, &there);
    bool is_same = r == 0 && store_etag_equal(&there.etag, &i->etag);

    store_obj_done(&there);
    if (r < 0 || is_same)
        return r;
    key_forget(v, from);
    lock_take(&v->tree);
    i->checked_ns = 0;
    lock_drop(&v->tree);
    if (i->is_new || i->is_dirty)
        return commit_inode(v, i) ?: RENAME_AGAIN; /* by the rules of a commit (protocol 2) */
    return r == STORE_NOT_FOUND ? err_set(-ENOENT, "removed by another client")
                                : take_newer(v, i, cl);
}

int source_moved_on(struct vfs *v, struct inode *i, struct intent_claim *cl)
{
    struct store_etag was = cl->what.source;
    struct err_copy cause;
    int r;

    err_copy(&cause);
    r = source_check(v, i, cl);
    if (r != 0 || !store_etag_equal(&was, &cl->what.source))
        return r != 0 ? r : SOURCE_NEWER;
    err_restore(&cause);
    return -ESTALE;
}

int source_delete(struct vfs *v, struct inode *i, struct intent_claim *cl, bool was_dirty)
{
    struct moved one = {
        .from = cl->what.from, .to = cl->what.to, .etag = cl->what.source, .is_copied = true};
    int r = rename_delete(v, one.from, &one.etag, cl->what.session);
    struct contest contest;

    if (r == RENAME_CHANGED)
        key_forget(v, one.from);
    if (r != RENAME_CHANGED || was_dirty || !cl->has_session)
        return r == RENAME_CHANGED ? 0 : r;
    one.now.etag = i->etag;
    contest_begin(v, NULL, &contest);
    do {
        r = move_newer(v, cl, &one);
        if (r == -EAGAIN)
            r = contest_same(one.from, &one.etag, &contest) ?: -EAGAIN;
    } while (r == -EAGAIN && contest_lost(NULL, one.from, &contest) == 0);
    lock_take(&v->tree);
    i->checked_ns = 0;
    lock_drop(&v->tree);
    key_forget(v, one.to);
    store_obj_done(&one.now);
    return r == RENAME_CHANGED ? 0
                               : r; /* another file by now: the rename is done, and that stays */
}
