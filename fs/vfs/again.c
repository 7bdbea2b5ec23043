/* SPDX-License-Identifier: Apache-2.0 */
/* A call by name that comes again, whose daemon died between its effect and its answer: what it was
 * at has an id, which is in the table before the first request that may take effect (KEEP-5). So it
 * is told from what others did to the same names: a directory that was there before, a file that
 * another mount made after ours was removed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "cache/table.h"
#include "keep.h"
#include "removal.h"
#include "rename.h"

#define ID 33
#define TRIES_MAX 16 /* of one call: each daemon that died may have made one */

void keep_try(struct vfs *v, const struct inode *i)
{
    char text[TRIES_MAX * ID];
    struct table_item item = {.kind = KEEP_TRY, .id = keep_unique(v), .data = text};
    _cleanup_free_ void *old = NULL;
    size_t len = 0;

    if (item.id == 0)
        return;
    if (table_get(v->conf.table, KEEP_TRY, item.id, &old, &len) < 0)
        err_clear();
    len = old != NULL && len <= sizeof(text) - ID ? len : 0;
    if (len > 0)
        memcpy(text, old, len);
    lock_take(&v->tree);
    memcpy(text + len, i->attr.id, ID);
    lock_drop(&v->tree);
    item.len = len + ID;
    (void)!table_write(v->conf.table, &item,
                       1); /* a table that can't be written says so itself (TABLE-2) */
    keep_note_try();
}

/* Was this call at a file of this id? NULL: at any. */
static bool was_tried(struct vfs *v, const char *id)
{
    _cleanup_free_ char *text = NULL;
    uint64_t unique = keep_unique(v);
    bool is_found = false;
    void *got = NULL;
    size_t len = 0;

    if (unique == 0 || table_get(v->conf.table, KEEP_TRY, unique, &got, &len) < 0) {
        err_clear();
        return false;
    }
    text = got;
    keep_note_try();
    for (size_t at = 0; at + ID <= len && !is_found; at += ID)
        is_found = id == NULL || (text[at + ID - 1] == '\0' && strcmp(text + at, id) == 0);
    return is_found;
}

/* --- what the bucket has --- */

enum seen { SEEN_OURS, SEEN_OTHER, SEEN_NONE };

/* Asks past the cache, of a file and of a directory. -errno. *ret: of ours, with its key. */
static int see(struct vfs *v, struct inode *dir, const char *name, char key[VFS_KEY_MAX + 3],
               struct store_obj *ret)
{
    const struct objattr_defaults d = vfs_defaults(v);
    int r, seen = SEEN_NONE;

    lock_take(&v->tree);
    r = inode_key_locked(v, dir, name, key);
    lock_drop(&v->tree);
    for (int k = 0; k < 2 && r >= 0 && seen != SEEN_OURS; k++) {
        struct objattr attr;

        if (k == 1)
            memcpy(key + strlen(key), "/", 2);
        r = key_head(v, key, ret);
        if (r == 0) {
            objattr_decode(&d, key, k == 1, ret, &attr);
            seen = was_tried(v, attr.id) ? SEEN_OURS : SEEN_OTHER;
        }
        if (seen != SEEN_OURS) {
            store_obj_done(ret);
            *ret = (struct store_obj){0};
        }
    }
    return r < 0 ? r : seen;
}

/* What is known of the name is from before the call. */
static void forget_name(struct vfs *v, struct inode *dir, const char *name, bool is_there,
                        bool is_dir)
{
    char key[VFS_KEY_MAX + 2];
    int r;

    lock_take(&v->tree);
    r = inode_key_locked(v, dir, name, key);
    names_changed_locked(v, dir, name, is_there, is_dir);
    lock_drop(&v->tree);
    if (r == 0)
        key_forget(v, key);
    listing_forget(v, dir);
}

bool vfs_was_tried(struct vfs *v)
{
    return was_tried(v, NULL);
}

int vfs_was_made(struct vfs *v, const struct vfs_ctx *x, uint64_t dir_node, const char *name,
                 struct vfs_entry *ret)
{
    char key[VFS_KEY_MAX + 3];
    struct store_obj obj = {0};
    struct inode *dir;
    int r;

    if (!was_tried(v, NULL))
        return 0;
    r = inode_get(v, dir_node, &dir);
    if (r < 0)
        return r;
    r = see(v, dir, name, key, &obj);
    store_obj_done(&obj);
    if (r == SEEN_OURS)
        forget_name(v, dir, name, true, str_ends(key, "/"));
    inode_unref(v, dir);
    if (r != SEEN_OURS)
        return r < 0 ? r : 0;
    r = vfs_lookup(v, x, dir_node, name, ret);
    return r < 0 ? r : 1;
}

bool vfs_was_linked(struct vfs *v, const struct vfs_ctx *x, uint64_t node, uint64_t dir,
                    const char *name, struct vfs_entry *ret)
{
    struct stat st;
    int64_t ns;

    if (!was_tried(v, NULL) || vfs_lookup(v, x, dir, name, ret) != 0)
        return false;
    if (vfs_getattr(v, node, 0, &st, &ns) == 0 && st.st_ino == ret->st.st_ino)
        return true;
    vfs_forget(v, ret->node, 1);
    return false;
}

/* What is here of a name whose file is gone. false: it is only here, and goes when the call is made
 * again. */
static bool drop_name(struct vfs *v, struct inode *dir, const char *name)
{
    const struct inode *i;
    bool is_unsent;

    lock_take(&v->tree);
    i = inode_child_locked(v, dir, name);
    is_unsent = i != NULL && i->is_new && !store_etag_is_set(&i->etag);
    if (i != NULL && !is_unsent && inode_is_dir(i))
        subdirs_remove_locked(dir);
    if (i != NULL && !is_unsent)
        dentry_abandon_locked(v, dentry_find_locked(v, dir, name));
    lock_drop(&v->tree);
    return !is_unsent;
}

/* commit=local: the journal has the removal, which is as good as made. */
static bool is_removal_journaled(struct vfs *v, struct inode *dir, const char *name)
{
    const struct removal *m = NULL;
    char key[VFS_KEY_MAX + 2], id[ID];

    lock_take(&v->tree);
    if (inode_key_locked(v, dir, name, key) == 0)
        m = removal_find_locked(v, key);
    if (m != NULL)
        memcpy(id, m->id, ID);
    lock_drop(&v->tree);
    return m != NULL && was_tried(v, id);
}

int vfs_was_removed(struct vfs *v, uint64_t dir_node, const char *name)
{
    char key[VFS_KEY_MAX + 3];
    struct store_obj obj = {0};
    struct inode *dir;
    int r;

    if (!was_tried(v, NULL))
        return 0;
    r = inode_get(v, dir_node, &dir);
    if (r < 0)
        return r;
    if (is_removal_journaled(v, dir, name)) {
        inode_unref(v, dir);
        return 1;
    }
    r = see(v, dir, name, key, &obj);
    store_obj_done(&obj);
    if ((r == SEEN_OTHER || r == SEEN_NONE) && !drop_name(v, dir, name))
        r = SEEN_OURS;
    if (r == SEEN_OTHER || r == SEEN_NONE)
        forget_name(v, dir, name, r == SEEN_OTHER, false);
    inode_unref(v, dir);
    return r < 0 ? r : r != SEEN_OURS;
}

/* --- renames --- */

/* A rename that its daemon left is carried to its end first, or undone. */
static int wait_for_left(struct vfs *v, struct inode *dir, const char *name)
{
    char key[VFS_KEY_MAX + 3];
    int r;

    lock_take(&v->tree);
    r = inode_key_locked(v, dir, name, key);
    lock_drop(&v->tree);
    if (r == 0)
        r = intents_wait(v, key, false);
    if (r == 0) {
        memcpy(key + strlen(key), "/", 2);
        r = intents_wait(v, key, true);
    }
    return r < 0 ? r : 0;
}

/* Is anything below open here? Its content would have to follow. */
static bool is_open_below_locked(const struct inode *i)
{
    for (const struct dentry *d = i->child; d != NULL; d = d->next)
        if (d->inode->data != NULL || is_open_below_locked(d->inode))
            return true;
    return false;
}

/* The node follows, so that who has it open goes on. What was written to it and not sent stays
 * where it is: its close says ESTALE, as the bucket may have those bytes already. */
static void follow_name(struct vfs *v, struct rename_names *n, const char *key,
                        const struct store_obj *obj)
{
    struct inode *i, *over;
    bool may_follow;

    names_take_all(v);
    lock_take(&v->tree);
    i = inode_child_locked(v, n->dir, n->name);
    over = inode_child_locked(v, n->new_dir, n->new_name);
    may_follow = i != NULL && inode_is_file_of(v, i, key, obj) && !i->is_dirty && !i->is_new &&
                 i->attr.link_gen == 0 && !is_open_below_locked(i);
    if (over != NULL && over != i)
        dentry_abandon_locked(v, dentry_find_locked(v, n->new_dir, n->new_name));
    if (i != NULL && over != i)
        i->refs++;
    if (may_follow && over != i) {
        inode_detach_locked(v, i);
        may_follow = inode_attach_locked(v, i, n->new_dir, n->new_name) == 0;
    } else if (i != NULL && over != i) {
        dentry_abandon_locked(v, dentry_find_locked(v, n->dir, n->name));
    }
    lock_drop(&v->tree);
    if (i != NULL && over != i && may_follow && !inode_is_dir(i)) {
        inode_io_take(v, i);
        if (inode_move(v, i, key, obj, clock_boot_ns()) < 0)
            log_warn("takeover.rename", "key=%s cause=%s", LOG_Q(key), LOG_Q(err_text()));
        inode_io_drop(v, i);
    }
    if (i != NULL && over != i)
        inode_unref(v, i);
    pthread_rwlock_unlock(&v->names);
}

/* A file that the bucket does not have yet: was it renamed here, and nobody heard of it? */
static bool is_renamed_here(struct vfs *v, const struct rename_names *n)
{
    const struct inode *i, *old;
    char id[ID];
    bool is_moved;

    lock_take(&v->tree);
    old = inode_child_locked(v, n->dir, n->name);
    i = inode_child_locked(v, n->new_dir, n->new_name);
    is_moved = i != NULL && (i->is_new || i->is_dirty) && (old == NULL || strcmp(old->attr.id, i->attr.id) != 0);
    if (is_moved)
        memcpy(id, i->attr.id, ID);
    lock_drop(&v->tree);
    return is_moved && was_tried(v, id);
}

static int renamed(struct vfs *v, struct rename_names *n)
{
    char key[VFS_KEY_MAX + 3], old_key[VFS_KEY_MAX + 3];
    struct store_obj now = {0}, old = {0};
    int r = wait_for_left(v, n->dir, n->name), there;

    if (r == 0)
        r = wait_for_left(v, n->new_dir, n->new_name);
    if (r < 0)
        return r;
    there = see(v, n->new_dir, n->new_name, key, &now);
    r = there == SEEN_OURS ? see(v, n->dir, n->name, old_key, &old) : SEEN_OURS;
    store_obj_done(&old);
    if (there < 0 || r < 0 || r == SEEN_OURS) {
        store_obj_done(&now);
        return there < 0 ? there : r < 0 ? r : is_renamed_here(v, n);
    }
    follow_name(v, n, key, &now);
    store_obj_done(&now);
    forget_name(v, n->dir, n->name, r == SEEN_OTHER, false);
    forget_name(v, n->new_dir, n->new_name, true, str_ends(key, "/"));
    return 1;
}

int vfs_was_renamed(struct vfs *v, uint64_t dir, const char *name, uint64_t new_dir,
                    const char *new_name)
{
    struct rename_names n = {.name = name, .new_name = new_name};
    int r;

    if (!was_tried(v, NULL))
        return 0;
    r = inode_get(v, dir, &n.dir);
    if (r < 0)
        return r;
    r = inode_get(v, new_dir, &n.new_dir);
    if (r == 0) {
        r = renamed(v, &n);
        inode_unref(v, n.new_dir);
    }
    inode_unref(v, n.dir);
    return r;
}

bool vfs_was_implied(struct vfs *v, const struct vfs_ctx *x, uint64_t new_dir, const char *new_name)
{
    struct vfs_entry e = {0};
    const struct inode *i;
    bool is;

    if (!was_tried(v, NULL) || vfs_lookup(v, x, new_dir, new_name, &e) != 0)
        return false;
    lock_take(&v->tree);
    i = inode_by_node_locked(v, e.node);
    is = i != NULL && inode_is_dir(i) && !store_etag_is_set(&i->etag);
    lock_drop(&v->tree);
    vfs_forget(v, e.node, 1);
    return is;
}
