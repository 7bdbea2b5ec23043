/* SPDX-License-Identifier: Apache-2.0 */
/* The start of a mount whose journal has entries: each becomes the file that it was when its close
 * returned, in the tree before the kernel asks, and goes to the senders (outbox.h). Of directories
 * that have no entry nothing is known but that they are there: a lookup asks for the rest. */
#include "makedir.h"
#include "relocate.h"
#include "removal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"

/* The directory of this name, made if it is not known. *ret is referenced, the reference to dir is
 * taken over. */
static int step_locked(struct vfs *v, struct inode *dir, const char *name, struct inode **ret)
{
    struct inode *i = inode_child_locked(v, dir, name);
    char key[VFS_KEY_MAX + 2];
    int r = 0;

    if (i != NULL) {
        i->refs++;
    } else {
        i = inode_new(v);
        if (i == NULL)
            return -ENOMEM;
        r = inode_key_locked(v, dir, name, key);
        if (r == 0 && strlen(key) >= VFS_KEY_MAX)
            r = err_set(-ENAMETOOLONG, "a key that is too long");
        if (r == 0)
            memcpy(key + strlen(key), "/", 2);
        if (r == 0)
            inode_set_obj_locked(v, i, key, NULL, 0);
        i->is_guessed = true;
        if (r == 0)
            r = inode_attach_locked(v, i, dir, name);
    }
    if (r == 0 && !inode_is_dir(i))
        r = err_set(-ENOTDIR, "%s is a file", name);
    if (r < 0) {
        inode_unref_locked(v, i);
        return r;
    }
    inode_unref_locked(v, dir);
    *ret = i;
    return 0;
}

/* The directory of a key, referenced, and the name in it. */
static int walk_locked(struct vfs *v, const char *key, struct inode **ret_dir,
                       const char **ret_name)
{
    const char *rest = key + strlen(v->prefix), *slash;
    struct inode *dir = v->locked.root;
    int r = str_starts(key, v->prefix) ? 0 : err_set(-EINVAL, "%s is not of this mount", key);

    dir->refs++;
    for (; r == 0 && (slash = strchr(rest, '/')) != NULL; rest = slash + 1) {
        char name[VFS_NAME_MAX + 1] = "";

        if ((size_t)(slash - rest) < sizeof(name))
            memcpy(name, rest, (size_t)(slash - rest));
        r = name_check(name);
        if (r == 0)
            r = step_locked(v, dir, name, &dir);
    }
    if (r == 0)
        r = name_check(rest);
    if (r < 0) {
        inode_unref_locked(v, dir);
        return r;
    }
    *ret_dir = dir;
    *ret_name = rest;
    return 0;
}

/* An older entry of the same name: a rename has put this one in its place, and a crash came before
 * that one was dropped. */
static int make_way(struct vfs *v, struct inode *dir, const char *name)
{
    struct inode *old;
    int r = 0;

    lock_take(&v->tree);
    old = inode_child_locked(v, dir, name);
    if (old != NULL && old->out == NULL)
        r = err_set(-EISDIR, "%s is a directory", name);
    else if (old != NULL)
        old->refs++;
    lock_drop(&v->tree);
    if (old == NULL || r < 0)
        return r;
    lock_take(&v->tree);
    if (old->names->other != NULL) { /* its bytes have other names */
        dentry_detach_locked(v, dentry_find_locked(v, dir, name));
        old->has_lost_key = false;
        old->out_is_behind = true;
        inode_unref_locked(v, old);
        lock_drop(&v->tree);
        return 0;
    }
    inode_detach_locked(v, old);
    old->is_new = old->is_dirty = false;
    lock_drop(&v->tree);
    outbox_replaced(v, old);
    inode_unref(v, old);
    return 0;
}

void replay_base_locked(struct inode *i, const struct outrec *rec)
{
    i->etag = rec->etag;
    i->obj_size = rec->obj_size;
    i->obj_mtime_ns = rec->obj_mtime_ns;
    i->is_new = rec->is_new;
    i->is_excl = rec->is_excl;
    i->is_trunc = rec->is_trunc;
    i->is_replacing = rec->is_replacing;
}

void replay_content_locked(struct inode *i, const struct outrec *rec, struct data_file *f)
{
    replay_base_locked(i, rec);
    i->attr.size = rec->bytes.size;
    i->attr.mtime_ns = rec->attr.mtime_ns;
    i->tail = (struct tail){rec->tail_off, rec->tail_end, rec->tail_is_on, rec->tail_is_mixed};
    i->is_dirty = true;
    i->data = f;
}

void replay_fill_locked(struct inode *i, struct outrec *rec, struct data_file *f)
{
    i->attr = rec->attr;
    i->ino = objattr_ino(&i->attr);
    atomic_store(&i->type, i->attr.mode & S_IFMT);
    replay_content_locked(i, rec, f);
    i->is_sent = rec->is_new; /* who knows */
    i->attr_set = rec->attr_set;
    i->attr_new = 0;
    i->edits = rec->edits;
    rec->edits = (struct store_hdrs){0};
    if (i->hdrs.n == 0) {
        store_hdrs_done(&i->hdrs);
        i->hdrs = rec->hdrs;
        rec->hdrs = (struct store_hdrs){0};
    }
    i->dirty_since_ns = clock_boot_ns();
}

struct outgoing *replay_marks(const struct outrec *rec)
{
    struct outgoing *o = calloc(1, sizeof(*o));

    if (o == NULL)
        return NULL;
    memcpy(o->mark, rec->mark, sizeof(o->mark));
    o->order = rec->order;
    o->attr_ages = rec->attr_ages;
    o->keeps_hdrs = rec->is_new && rec->hdrs.n > 0;
    o->is_same = rec->from.is_same;
    if (rec->from.key[0] != '\0')
        o->from = relocate_of_record(rec);
    if ((rec->from.key[0] != '\0' && o->from == NULL) || outgoing_set_doubts(o, rec) < 0) {
        outgoing_free(o);
        return NULL;
    }
    return o;
}

void replay_links_locked(struct vfs *v, struct inode *i, const struct outrec *rec)
{
    for (unsigned k = 0; k < rec->n_links; k++) {
        struct inode *dir = NULL, *there = NULL;
        const char *name;
        int r = walk_locked(v, rec->links[k], &dir, &name);

        if (r == 0 && (there = inode_child_locked(v, dir, name)) == NULL)
            r = inode_attach_locked(v, i, dir, name);
        if (r == 0 && there != NULL && there != i)
            r = err_set(-EEXIST, "it is another file's");
        if (r == 0 && there == NULL)
            names_changed_locked(v, dir, name, false, false);
        if (r < 0)
            log_error("journal.link", "key=%s of=%s error=%d cause=%s", LOG_Q(rec->links[k]), LOG_Q(rec->key), -r,
                      LOG_Q(err_text()));
        if (dir != NULL)
            inode_unref_locked(v, dir);
    }
}

/* A new inode gets its name. Takes *f, and on success *o. */
static int attach_locked(struct vfs *v, struct inode *i, struct inode *dir, const char *name,
                         uint64_t seq, struct outrec *rec, struct outgoing **o,
                         struct data_file **f)
{
    int r;

    replay_fill_locked(i, rec, steal(f));
    i->ac_ns = v->conf.acregmin_ns;
    r = inode_attach_locked(v, i, dir, name);
    if (r == 0) {
        names_changed_locked(v, dir, name, !i->is_new, false);
        replay_links_locked(v, i, rec);
        outbox_join_locked(v, i, steal(o), seq);
    } else {
        i->is_new = i->is_dirty = false;
    }
    return r;
}

/* Consumes f. */
static int insert(struct vfs *v, uint64_t seq, struct outrec *rec, struct data_file *f)
{
    struct outgoing *o = replay_marks(rec);
    struct inode *dir = NULL, *i = inode_new(v);
    const char *name;
    int r = o != NULL && i != NULL ? 0 : -ENOMEM;

    lock_take(&v->tree);
    if (r == 0)
        r = walk_locked(v, rec->key, &dir, &name);
    lock_drop(&v->tree);
    if (r == 0)
        r = make_way(v, dir, name);
    lock_take(&v->tree);
    if (r == 0)
        r = attach_locked(v, i, dir, name, seq, rec, &o, &f);
    if (i != NULL)
        inode_unref_locked(v, i);
    if (dir != NULL)
        inode_unref_locked(v, dir);
    lock_drop(&v->tree);
    outgoing_free(o);
    data_file_unref(f);
    return r;
}

/* Nobody uses it, and it is the version that the entry was made on: else what was acknowledged since
 * would be hidden by what was before. */
static bool is_idle_locked(const struct inode *i, const struct outrec *rec)
{
    return S_ISREG(atomic_load(&i->type)) && i->n_open == 0 && !i->is_new && !i->is_dirty &&
           !i->is_stale && i->out == NULL && i->attr.link_gen == 0 &&
           strcmp(i->attr.id, rec->attr.id) == 0 && store_etag_equal(&i->etag, &rec->etag);
}

/* i, which is in the tree already, is what the entry says. Takes *o and *f on success. */
static int become(struct vfs *v, struct inode *i, uint64_t seq, struct outrec *rec,
                  struct outgoing **o, struct data_file **f)
{
    struct data_file *was = NULL;
    int r = 0;

    inode_io_take(v, i);
    lock_take(&v->tree);
    if (is_idle_locked(i, rec)) {
        was = i->data;
        replay_fill_locked(i, rec, steal(f));
        replay_links_locked(v, i, rec);
        outbox_join_locked(v, i, steal(o), seq);
        inode_kernel_behind_locked(v, i);
    } else {
        r = err_set(-EBUSY, "it is in use");
    }
    lock_drop(&v->tree);
    inode_io_drop(v, i);
    data_file_unref(was);
    inode_tell_kernel(v, i);
    return r;
}

int replay_late(struct vfs *v, uint64_t seq, struct outrec *rec, struct data_file *f)
{
    struct outgoing *o = replay_marks(rec);
    struct inode *dir = NULL, *old = NULL, *i = inode_new(v);
    const char *name;
    int r = o != NULL && i != NULL ? 0 : -ENOMEM;

    lock_take(&v->tree);
    if (r == 0)
        r = walk_locked(v, rec->key, &dir, &name);
    if (r == 0)
        old = inode_child_locked(v, dir, name);
    if (old != NULL)
        old->refs++;
    else if (r == 0)
        r = attach_locked(v, i, dir, name, seq, rec, &o, &f);
    if (i != NULL)
        inode_unref_locked(v, i);
    if (dir != NULL)
        inode_unref_locked(v, dir);
    lock_drop(&v->tree);
    if (old != NULL) {
        r = become(v, old, seq, rec, &o, &f);
        inode_unref(v, old);
    }
    outgoing_free(o);
    data_file_unref(f);
    return r;
}

int replay_file(struct vfs *v, uint64_t seq, const struct outrec *rec, bool has_file,
                struct data_file **ret)
{
    const struct store_obj base = {
        .etag = rec->etag, .size = rec->obj_size, .mtime_ns = rec->obj_mtime_ns};
    bool has_base = store_etag_is_set(&rec->etag);
    struct cache_stage *stage = NULL;
    int r = has_file ? journal_stage(v->conf.journal, seq, &stage) : 0;

    if (r == 0)
        r = data_file_restore(v->data, rec->key, has_base ? &base : NULL, stage, &rec->bytes, ret);
    if (r == 0)
        data_rest(*ret);
    return r;
}

static int restore(struct vfs *v, uint64_t seq, struct outrec *rec, bool has_file)
{
    struct data_file *f = NULL;
    int r = replay_file(v, seq, rec, has_file, &f);

    return r == 0 ? insert(v, seq, rec, f) : r;
}

/* A directory. What the bucket has below it, if its marker was sent after all, is asked for. */
static int replay_dir(struct vfs *v, uint64_t seq, struct outrec *rec)
{
    struct outgoing *o = replay_marks(rec);
    struct inode *dir = NULL, *i = NULL;
    const char *name;
    int r = o != NULL ? 0 : -ENOMEM;

    rec->key[strlen(rec->key) - 1] = '\0';
    lock_take(&v->tree);
    if (r == 0)
        r = walk_locked(v, rec->key, &dir, &name);
    if (r == 0)
        r = step_locked(v, dir, name, &i);
    if (r == 0 && i->out != NULL)
        r = err_set(-EEXIST, "another entry is of this directory");
    if (r == 0)
        makedir_replay_locked(v, i, rec, steal(&o), seq);
    inode_unref_locked(v, i != NULL ? i : dir);
    lock_drop(&v->tree);
    outgoing_free(o);
    return r;
}

static int replay_file_entry(struct vfs *v, uint64_t seq, const void *text, size_t len, bool has_file,
                             struct outrec *rec)
{
    int r = outrec_decode(text, len, rec);

    if (r == 0 && S_ISDIR(rec->attr.mode))
        return replay_dir(v, seq, rec);
    if (r == 0)
        r = restore(v, seq, rec, has_file);
    if (r == 0 && rec->is_replacing) /* it had taken that over, and a crash came before it was dropped */
        removal_replayed_over(v, rec->key, &rec->etag);
    for (unsigned k = 0; k < rec->n_doubts && r == 0; k++)
        upload_doubt(v->upload, rec->key, rec->doubts[k]);
    if (r == 0) /* it may be in the bucket, too, whatever follows it here before it is tried again */
        upload_doubt(v->upload, rec->key, rec->mark);
    return r;
}

/* The file of a key that is known already, or NULL. */
static struct inode *known_locked(struct vfs *v, const char *key)
{
    const char *rest = key + strlen(v->prefix), *slash;
    struct inode *dir = v->locked.root;

    for (; dir != NULL && (slash = strchr(rest, '/')) != NULL; rest = slash + 1) {
        char name[VFS_NAME_MAX + 1] = "";

        if ((size_t)(slash - rest) < sizeof(name))
            memcpy(name, rest, (size_t)(slash - rest));
        dir = inode_child_locked(v, dir, name);
    }
    return dir != NULL ? inode_child_locked(v, dir, rest) : NULL;
}

/* An unlink of what was renamed over that version: a crash came between its removal and the one of the name before the rename,
 * which takes the place of the file's entry. The entry stands, so nobody has heard of the unlink. */
static int replay_removal(struct vfs *v, uint64_t seq, const void *text, size_t len)
{
    const struct inode *i;
    struct removerec rec;
    bool is_half = false;
    int r = removal_replay(v, seq, text, len);

    if (r < 0 || removerec_decode(text, len, &rec) < 0)
        return r;
    lock_take(&v->tree);
    i = known_locked(v, rec.key);
    if (i != NULL && !inode_is_dir(i) && i->out != NULL)
        is_half = i->is_new && i->is_replacing && i->out->from != NULL && store_etag_equal(&i->etag, &rec.etag);
    lock_drop(&v->tree);
    if (is_half)
        removal_replayed_over(v, rec.key, &rec.etag);
    return r;
}

int replay_one(void *arg, uint64_t seq, const void *text, size_t len, bool has_file)
{
    _cleanup_(outrec_done) struct outrec rec = {0};
    struct vfs *v = arg;
    bool is_removal = removerec_is(text, len);
    int r = is_removal ? replay_removal(v, seq, text, len)
                       : replay_file_entry(v, seq, text, len, has_file, &rec);

    crash_point("replay.entry");
    if (r == 0 || r == -ENOMEM) /* the start fails, and the next one has it all */
        return r;
    log_error("journal.entry",
              "seq=%llu key=%s error=%d cause=%s effect=\"it stays in the journal\"",
              (unsigned long long)seq, LOG_Q(rec.key), -r, LOG_Q(err_text()));
    reread_add(v, seq, !is_removal && r != -EBADMSG && !S_ISDIR(rec.attr.mode));
    return 0;
}

int vfs_replay(struct vfs *v)
{
    int r = v->conf.journal != NULL ? journal_each(v->conf.journal, replay_one, v) : 0;

    for (unsigned k = 0; k < VFS_SENDERS; k++)
        outbox_wake(v);
    return r;
}
