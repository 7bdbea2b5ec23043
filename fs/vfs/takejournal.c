/* SPDX-License-Identifier: Apache-2.0 */
/* Unsent files (commit=local) in a takeover. Both stores outlived the daemon: the table has a file
 * as it was when io was dropped last (KEEP-1), the journal what was acknowledged of it, and either
 * may be the newer by one call, which was not answered and comes again. What the table has is never
 * older than what was acknowledged, so it is the file, and the entry is what it waits to be sent
 * by. A file whose entry is gone was sent, or its name was about to go: it is committed under the
 * entry's mark, as one that was being sent (finish_commits), and is found in the bucket, or goes
 * again. */
#include "keepwrite.h"
#include "relocate.h"
#include "removal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"

static uint64_t seq_of(const struct inode *i)
{
    return i->kept != NULL ? i->kept->taken_seq : 0;
}

/* The file that the entry is of. Of several versions the one that it was made of. *ret_is_gone:
 * there is none, but for one whose name was removed here, or has another file. */
static struct inode *find_locked(struct vfs *v, uint64_t seq, const struct objattr *attr,
                                 bool *ret_is_gone)
{
    const uint64_t ino = objattr_ino(attr);
    struct inode *found = NULL;
    bool is_nameless = false;

    for (struct map_link *l = map_first(&v->locked.by_ino, ino); l != NULL; l = map_next(l)) {
        struct inode *i = container_of(l, struct inode, by_ino);
        const mode_t type = atomic_load(&i->type);

        if (S_ISDIR(type) || i->is_stale || strcmp(i->attr.id, attr->id) != 0)
            continue;
        if (i->parent == NULL)
            is_nameless = true;
        else if (found == NULL || seq_of(i) == seq)
            found = i;
    }
    *ret_is_gone = found == NULL && is_nameless;
    return found;
}

/* Does the file stand under that key? */
static bool is_at_locked(struct vfs *v, const struct inode *i, const char *want)
{
    char key[VFS_KEY_MAX + 2];

    return i->parent != NULL && inode_key_locked(v, i, NULL, key) == 0 && strcmp(key, want) == 0;
}

/* Nothing was written to it since the entry was made, as far as the table knows. */
static bool is_as_entry_locked(struct vfs *v, const struct inode *i, uint64_t seq,
                               const struct outrec *rec)
{
    return i->kept != NULL && i->kept->taken_seq == seq && !i->kept->taken_is_behind && is_at_locked(v, i, rec->key);
}

/* Its bytes are not in the table: a mount before this one had left it, and nobody has touched it
 * since; or they were lost. */
static int read_entry(struct vfs *v, struct inode *i, uint64_t seq, struct outrec *rec,
                      bool has_file)
{
    bool is_lost = i->kept != NULL && (i->kept->taken_seq != seq || i->kept->taken_is_behind);
    struct data_file *f = NULL;
    int r = replay_file(v, seq, rec, has_file, &f);

    if (r < 0)
        return r;
    lock_take(&v->tree);
    replay_fill_locked(i, rec, f);
    if (!is_lost) /* what was acknowledged is all that there was */
        i->torn = 0;
    lock_drop(&v->tree);
    return 0;
}

/* What the call that the daemon died in had told the journal of the file's base: a new file takes over a removal of its
 * name, and is from then on another version of what that removed. */
static void take_base_locked(struct vfs *v, struct inode *i, uint64_t seq, const struct outrec *rec)
{
    if (i->kept == NULL || i->kept->taken_seq == seq || !is_at_locked(v, i, rec->key))
        return;
    replay_base_locked(i, rec);
}

static int join(struct vfs *v, struct inode *i, uint64_t seq, struct outrec *rec, bool has_file)
{
    struct outgoing *o;
    bool is_behind;
    int r = i->data == NULL ? read_entry(v, i, seq, rec, has_file) : 0;

    if (r < 0)
        return r;
    o = replay_marks(rec);
    if (o == NULL)
        return err_set(-ENOMEM, "no memory for the journal");
    for (unsigned k = 0; k < rec->n_doubts; k++)
        upload_doubt(v->upload, rec->key, rec->doubts[k]);
    if (rec->is_replacing)
        removal_replayed_over(v, rec->key, &rec->etag);
    lock_take(&v->tree);
    take_base_locked(v, i, seq, rec);
    is_behind = i->kept != NULL && !is_as_entry_locked(v, i, seq, rec);
    outbox_join_locked(v, i, o, seq);
    replay_links_locked(v, i, rec);
    if (rec->n_links > 0 && !i->is_new && i->attr.link_gen != 0) /* sent, and the entry stood for the names that were not made */
        i->is_linking = true;
    if (i->kept != NULL)
        i->kept->is_retry = false; /* the entry's senders do so */
    i->out_is_behind = is_behind;
    lock_drop(&v->tree);
    return 0;
}

/* A name whose removal is in the journal is gone, whether its caller has heard of it or not. */
static int take_removal(struct vfs *v, uint64_t seq, const void *text, size_t len, bool has_file)
{
    struct objattr attr = {.id = ""};
    struct removerec rec;
    struct inode *i;
    bool is_gone;
    int r = replay_one(v, seq, text, len, has_file);

    if (r < 0 || removerec_decode(text, len, &rec) < 0)
        return r;
    memcpy(attr.id, rec.id, sizeof(attr.id));
    lock_take(&v->tree);
    i = find_locked(v, 0, &attr, &is_gone);
    if (i != NULL && is_at_locked(v, i, rec.key))
        inode_detach_locked(v, i);
    lock_drop(&v->tree);
    return 0;
}

/* The name under which it was stored is gone, too. */
static int drop_gone(struct vfs *v, uint64_t seq, const struct outrec *rec)
{
    struct removal *m;
    int r;

    if (rec->from.key[0] == '\0')
        return journal_drop(v->conf.journal, seq);
    m = relocate_of_record(rec);
    if (m == NULL)
        return -ENOMEM;
    lock_take(&v->tree);
    removal_hold_locked(v, m, NULL);
    lock_drop(&v->tree);
    r = removal_begin(v, &m, seq);
    if (r < 0) { /* the entry stands, and says it again */
        lock_take(&v->tree);
        removal_unhold_locked(v, m);
        lock_drop(&v->tree);
    }
    return r;
}

static int take_entry(void *arg, uint64_t seq, const void *text, size_t len, bool has_file)
{
    _cleanup_(outrec_done) struct outrec rec = {0};
    struct vfs *v = arg;
    struct inode *i;
    uint64_t old = 0;
    bool is_gone;
    int r;

    if (removerec_is(text, len))
        return take_removal(v, seq, text, len, has_file);
    r = outrec_decode(text, len, &rec);
    if (r < 0)
        return r == -ENOMEM ? r : replay_one(v, seq, text, len, has_file); /* which says so */
    lock_take(&v->tree);
    i = find_locked(v, seq, &rec.attr, &is_gone);
    if (i != NULL && i->out != NULL) { /* an older entry, which the journal would not drop */
        old = i->out->seq;
        i->out->seq = seq;
        i->out_is_behind = true;
    }
    lock_drop(&v->tree);
    if (is_gone) /* what is in its place was journaled before that took it */
        return drop_gone(v, seq, &rec);
    if (i == NULL)
        return replay_one(v, seq, text, len, has_file);
    if (old != 0)
        return journal_drop(v->conf.journal, old);
    return join(v, i, seq, &rec, has_file);
}

int take_journal(struct vfs *v)
{
    return v->conf.journal != NULL ? journal_each(v->conf.journal, take_entry, v) : 0;
}
