/* SPDX-License-Identifier: Apache-2.0 */
/* From a name to an inode. What is known is answered within the attribute times; what is not is
 * asked of the bucket, always: another pod may have closed it a moment ago. */
#include "absent.h"
#include "access.h"
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "link.h"
#include "removal.h"
#include "statahead.h"

void found_done(struct found *f)
{
    store_obj_done(&f->obj);
    *f = (struct found){0};
}

int name_head(struct vfs *v, const char *key, struct found *ret)
{
    struct store_req req = {.op = STORE_HEAD, .key = key};
    struct store_rsp rsp = {0};
    int64_t asked = clock_boot_ns();
    int r;

    lock_assert_may_block();
    r = store_call(v->store, &req, &rsp);
    if (r == 0) {
        store_obj_done(&ret->obj);
        ret->obj = rsp.obj;
        rsp.obj = (struct store_obj){0};
        ret->has_obj = true;
        ret->checked_ns = asked;
    }
    store_rsp_done(&rsp);
    return r;
}

/* Is there a directory: a marker, or any key below? One LIST for the first key, and a HEAD for the
 * marker's attributes. 0, STORE_NOT_FOUND, -errno. */
int name_ask_dir(struct vfs *v, const char *key, struct found *ret)
{
    char dir_key[VFS_KEY_MAX + 2];
    struct store_req req = {.op = STORE_LIST, .prefix = dir_key, .max_keys = 1};
    struct store_rsp rsp = {0};
    int64_t asked = clock_boot_ns();
    int r;

    /* A directory's key is at least one byte longer than the name's, its children's yet another. */
    if (snprintf(dir_key, sizeof(dir_key), "%s/", key) > VFS_KEY_MAX)
        return STORE_NOT_FOUND;
    r = store_call(v->store, &req, &rsp);
    if (r == 0 && rsp.list.n == 0)
        r = STORE_NOT_FOUND;
    if (r == 0) {
        bool has_marker = strcmp(rsp.list.v[0].key, dir_key) == 0;

        ret->is_dir = true;
        ret->checked_ns = asked;
        if (has_marker)
            r = name_head(v, dir_key, ret);
        if (r == STORE_NOT_FOUND)
            r = 0; /* removed between the two: the directory was there when asked */
    }
    store_rsp_done(&rsp);
    return r;
}

int name_ask(struct vfs *v, const char *key, bool dir_first, struct found *ret)
{
    int r = STORE_NOT_FOUND;

    found_done(ret);
    if (dir_first)
        r = name_ask_dir(v, key, ret);
    if (r == STORE_NOT_FOUND && strlen(key) <= VFS_KEY_MAX)
        r = name_head(v, key, ret);
    if (r == STORE_NOT_FOUND && !dir_first)
        r = name_ask_dir(v, key, ret);
    if (r == STORE_NOT_FOUND)
        return -ENOENT;
    return err_fold(r);
}

/* What the disk cache remembers, if the attribute times still cover it. */
static bool ask_cache(struct vfs *v, const char *key, struct found *ret)
{
    struct cache_obj known = {0};

    *ret = (struct found){0};
    if (cache_obj_get(v->cache, key, &known) != 0)
        return false;
    if (!known.has_hdrs || known.checked_ns == 0 ||
        clock_boot_ns() - known.checked_ns >= v->conf.acregmin_ns) {
        cache_obj_done(&known);
        return false;
    }
    ret->has_obj = true;
    ret->obj = known.obj;
    ret->checked_ns = known.checked_ns;
    return true;
}

static bool is_same_version(const struct inode *i, const struct found *f)
{
    return store_etag_equal(&i->etag, &f->obj.etag);
}

/* A new inode for what was found; attached, referenced. */
static int adopt_locked(struct vfs *v, struct inode *dir, const char *name, const char *key,
                        const struct found *f, struct inode **ret)
{
    struct inode *i = inode_new(v);
    char full[VFS_KEY_MAX + 3];
    int r;

    if (i == NULL)
        return -ENOMEM;
    snprintf(full, sizeof(full), "%s%s", key, f->is_dir ? "/" : "");
    inode_set_obj_locked(v, i, full, f->has_obj ? &f->obj : NULL, f->checked_ns);
    r = inode_attach_locked(v, i, dir, name);
    if (r < 0) {
        inode_unref_locked(v, i);
        return r;
    }
    *ret = i;
    return 0;
}

/* What is being written here stands, and so does the directory that it is written in: its commit
 * finds out what else is there. */
static bool stays_locked(struct inode *i)
{
    if (inode_is_dir(i))
        return inode_waits_locked(i) || i->is_new || inode_find_dirty_locked(i, INT64_MAX) != NULL;
    return i->is_new || i->is_linking || i->is_dirty;
}

/* VFS-5: the inode in the tree becomes what was found, or gives its name to a new one. *ret is
 * referenced. */
static int apply_locked(struct vfs *v, struct inode *dir, const char *name, const char *key,
                        const struct found *f, struct inode **ret)
{
    struct inode *i = inode_child_locked(v, dir, name);
    char full[VFS_KEY_MAX + 3];

    if (f->nlink > 0)
        return link_apply_locked(v, dir, name, key, f, ret);
    if (i == NULL)
        return adopt_locked(v, dir, name, key, f, ret);
    if ((stays_locked(i) && !(i->is_guessed && f->is_dir)) || (i->is_busy && !f->is_dir && is_same_version(i, f))) {
        i->refs++;
        *ret = i;
        return 0;
    }
    if (i->attr.link_gen != 0) { /* what is there is not a name of that file, or not any more */
        dentry_abandon_locked(v, dentry_find_locked(v, dir, name));
        return adopt_locked(v, dir, name, key, f, ret);
    }
    if (inode_is_dir(i) != f->is_dir ||
        (!f->is_dir && (i->n_open > 0 || i->is_busy) && !is_same_version(i, f))) {
        inode_replaced_locked(v, i, key, f->is_dir ? NULL : &f->obj);
        return adopt_locked(v, dir, name, key, f, ret);
    }
    if (!f->is_dir && !is_same_version(i, f)) {
        data_file_unref(i->data); /* nobody has it open */
        i->data = NULL;
    }
    snprintf(full, sizeof(full), "%s%s", key, f->is_dir ? "/" : "");
    inode_set_obj_locked(v, i, full, f->has_obj ? &f->obj : NULL, f->checked_ns);
    i->is_guessed = false;
    i->refs++;
    *ret = i;
    return 0;
}

/* The bucket has no such name: 0 and *ret if it stands all the same, -ENOENT. id: of the hard link
 * that has lost it. */
static int gone_locked(struct vfs *v, struct inode *dir, const char *name, char id[33],
                       struct inode **ret)
{
    struct inode *i = inode_child_locked(v, dir, name);

    if (i != NULL && stays_locked(i)) {
        i->refs++;
        *ret = i;
        return 0;
    }
    if (i != NULL && i->attr.link_gen != 0)
        memcpy(id, i->attr.id, sizeof(i->attr.id));
    if (i != NULL)
        dentry_abandon_locked(v, dentry_find_locked(v, dir, name));
    return -ENOENT;
}

/* 0 and *ret; 1: ask the bucket about key; -errno. anew: what is known does not answer, but for
 * what the bucket can't know better. */
static int lookup_known_locked(struct vfs *v, struct inode *dir, const char *name, bool anew,
                               char key[VFS_KEY_MAX + 2], bool *ret_was_dir, struct inode **ret)
{
    struct inode *i;
    int r;

    if (!inode_is_dir(dir))
        return err_set(-ENOTDIR, "not a directory");
    r = inode_key_locked(v, dir, name, key);
    if (r < 0)
        return r;
    i = inode_child_locked(v, dir, name);
    *ret_was_dir = i != NULL && inode_is_dir(i);
    if (i == NULL && (dir->is_blank || removal_stands_locked(v, key))) /* MKD-2, REM-2 */
        return -ENOENT;
    if (i == NULL || !dentry_is_fresh_locked(v, dentry_find_locked(v, dir, name)) ||
        (anew && !i->is_new && !i->is_dirty && !(*ret_was_dir && inode_waits_locked(i))))
        return 1;
    i->refs++;
    *ret = i;
    return 0;
}

/* What the caller's system call says that it will do with a name. */
static enum creating what_for(struct vfs *v, const struct vfs_ctx *x, const struct inode *dir, const char *name)
{
    char dir_name[VFS_NAME_MAX + 1];
    int r;

    if (x == NULL)
        return CREATES_NOT;
    lock_take(&v->tree);
    r = str_copy(dir_name, sizeof(dir_name), dir->name);
    lock_drop(&v->tree);
    return r < 0 ? CREATES_NOT : creator_asks(v, x, dir_name, name);
}

/* The same of one of which nothing is known; one that the cache knows of, from a listing for one, is there as a rule. */
static enum creating how_creates(struct vfs *v, const struct vfs_ctx *x, const struct inode *dir,
                                 const char *name, const char *key)
{
    struct cache_obj known = {0};
    int r = cache_obj_get(v->cache, key, &known);

    cache_obj_done(&known);
    return r == 0 ? CREATES_KNOWN : what_for(v, x, dir, name);
}

/* VFS-4 for what the disk cache remembers: a change of the name that came before the entry is seen
 * as it is put, or after it, and one that comes later drops or replaces the entry itself. */
static void keep_answer(struct vfs *v, const struct asking *a, const char *key,
                        const struct found *f)
{
    if (a->is_stale)
        return;
    cache_obj_put_answer(v->cache, key, &f->obj, f->checked_ns, &a->is_stale);
    if (a->is_stale)
        key_forget(v, key);
}

/* What the lookup shall bring beside the attributes: bytes, where it is a reader's and no inode here has the name. */
static struct asker asker_of(struct vfs *v, const struct vfs_ctx *x, const struct inode *dir, const char *name,
                             enum creating how)
{
    if (how >= CREATES_BY_RENAME)
        return (struct asker){0};
    return reading_expect(v, x, dir, how == CREATES_KNOWN ? what_for(v, x, dir, name) : how);
}

/* Asks the bucket about a name that was no directory when last seen. */
static int ask_unknown(struct vfs *v, const char *key, enum creating how, const struct asker *a, struct found *ret)
{
    int64_t asked = clock_boot_ns();
    int r;

    intents_glance(v);
    r = how >= CREATES_BY_RENAME ? name_ask_new(v, key, ret) : reading_ask(v, a, key, ret);
    ret->is_asked = true;
    ret->absent_ns = r == -ENOENT ? asked : 0;
    return r;
}

static int ask_dir_anew(struct vfs *v, const char *key, struct found *ret)
{
    intents_glance(v);
    return name_ask(v, key, true, ret);
}

/* What the answer is good for in the rest of the caller's system call. */
static void note_asked_locked(struct vfs *v, const struct vfs_ctx *x, const struct inode *dir, const char *name,
                              int r, const struct inode *i, const struct found *f)
{
    if (r == 0 && f->is_asked)
        reading_found_locked(v, x, dir, i, f);
    if (r == -ENOENT && x != NULL && f->absent_ns != 0)
        absent_note_locked(v, dir, name, f->absent_ns);
}

/* x: of whom the kernel asks for; NULL: we ask ourselves. */
static int lookup_once(struct vfs *v, const struct vfs_ctx *x, struct inode *dir, const char *name,
                       struct inode **ret, bool *ret_again)
{
    bool anew = x != NULL && v->conf.lookup_always, is_known;
    char key[VFS_KEY_MAX + 2], id[33] = "";
    struct found f = {0};
    struct asking a;
    uint64_t since = 0;
    bool was_dir = false;
    enum creating how;
    struct asker asker;
    int r;

    *ret_again = false;
    lock_take(&v->tree);
    r = lookup_known_locked(v, dir, name, anew, key, &was_dir, ret);
    is_known = inode_child_locked(v, dir, name) != NULL;
    if (r == 1)
        asking_begin_locked(v, &a, dir, name);
    lock_drop(&v->tree);
    if (r != 1)
        return r;

    how = is_known ? CREATES_NOT : how_creates(v, x, dir, name, key);
    if (v->conf.excl == VFS_EXCL_CLOSE && how >= CREATES_OVER) {
        r = -ENOENT; /* its PUT decides */
    } else if (!anew && ask_cache(v, key, &f) && !link_is_doubtful(v, key, &f)) {
        r = 0;
    } else if ((asker = asker_of(v, x, dir, name, how)).window == 0 && !anew &&
               statahead_answer(v, dir, name, &f)) {
        r = 0;
        keep_answer(v, &a, key, &f);
    } else {
        r = was_dir ? ask_dir_anew(v, key, &f) : ask_unknown(v, key, how, &asker, &f);
        if (r == 0 && f.has_obj && !f.is_dir) /* a marker is no entry of what it marks */
            keep_answer(v, &a, key, &f);
    }
    if (r == 0 && intents_hide(v, key, &since)) {
        found_done(&f);
        r = -ENOENT;
    }
    if (r == 0)
        r = link_look(v, key, &f);

    lock_take(&v->tree);
    asking_end_locked(v, &a);
    if (a.is_stale)
        *ret_again = true;
    else if (r == 0)
        r = apply_locked(v, dir, name, key, &f, ret);
    else if (r == -ENOENT)
        r = gone_locked(v, dir, name, id, ret);
    note_asked_locked(v, x, dir, name, *ret_again ? -EAGAIN : r, *ret, &f);
    lock_drop(&v->tree);
    if (id[0] != '\0')
        link_lost_name(v, id, key);
    found_done(&f);
    return r;
}

static int look_up(struct vfs *v, const struct vfs_ctx *x, struct inode *dir, const char *name,
                   struct inode **ret)
{
    char dir_key[VFS_KEY_MAX + 2];
    bool again = true;
    int r;

    if (strlen(name) > VFS_NAME_MAX)
        return -ENAMETOOLONG;
    if (name_check(name) < 0)
        return -ENOENT; /* no object can have it */
    lock_take(&v->tree);
    r = inode_key_locked(v, dir, NULL, dir_key);
    lock_drop(&v->tree);
    if (r < 0)
        return r;
    if (name_is_hidden(v, dir_key, name))
        return -ENOENT;
    while (again)
        r = lookup_once(v, x, dir, name, ret, &again);
    return r;
}

int name_lookup(struct vfs *v, struct inode *dir, const char *name, struct inode **ret)
{
    return look_up(v, NULL, dir, name, ret);
}

int vfs_lookup(struct vfs *v, const struct vfs_ctx *x, uint64_t dir_node, const char *name,
               struct vfs_entry *ret)
{
    struct inode *dir, *i = NULL;
    int r = inode_get(v, dir_node, &dir);

    if (r < 0)
        return r;
    lock_take(&v->tree);
    reading_forget_locked(v, x); /* whoever answers this one */
    lock_drop(&v->tree);
    i = inode_follow_name(v, dir, name);
    if (i == NULL)
        r = enforce(v, dir, ACCESS_X);
    if (r == 0)
        r = look_up(v, x, dir, name, &i);
    lock_take(&v->tree);
    if (r == 0) {
        int64_t named_ns = i->named_ns;

        inode_entry_locked(v, i, ret);
        if (reading_is_due_locked(v, x, i)) { /* READ-1 */
            ret->entry_ns = 0;
            i->named_ns = named_ns;
        }
        inode_unref_locked(v, i);
    }
    inode_unref_locked(v, dir);
    lock_drop(&v->tree);
    return r;
}

/* By its first name. 1: there was none of this name any more. */
static int revalidate_first(struct vfs *v, struct inode *i)
{
    char name[VFS_NAME_MAX + 1];
    struct inode *dir, *now = NULL;
    bool settled;
    int r;

    lock_take(&v->tree);
    settled = i->parent == NULL || i->n_open > 0 || inode_is_fresh_locked(v, i);
    if (settled) {
        lock_drop(&v->tree);
        return 0; /* the root, a removed file, an open one (pinned), or known well enough */
    }
    dir = i->parent;
    dir->refs++;
    r = str_copy(name, sizeof(name), i->name);
    lock_drop(&v->tree);
    if (r == 0)
        r = name_lookup(v, dir, name, &now);
    if (r == 0 && now != i)
        r = err_set(-ESTALE, "%s is another file now", name);
    else if (r == -ENOENT)
        r = 1;
    lock_take(&v->tree);
    if (r == 1 && i->parent == NULL)
        r = err_set(-ESTALE, "%s was removed by another client", name);
    inode_unref_locked(v, now);
    inode_unref_locked(v, dir);
    lock_drop(&v->tree);
    return r;
}

int inode_revalidate(struct vfs *v, struct inode *i)
{
    int r;

    do
        r = revalidate_first(v, i);
    while (r > 0);
    return r;
}
