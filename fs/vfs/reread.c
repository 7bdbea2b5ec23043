/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of the journal that the start of the mount could not read: they are tried again while it
 * runs, after a second and ever more seldom, to once a minute, and at a drain. One that can be read
 * goes into the tree as at a start, but only where nothing is in its way: by then its name may have
 * been looked up, opened or written. */
#include "outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#define WAIT_MIN_NS NS_PER_S
#define WAIT_MAX_NS (60 * NS_PER_S)

void reread_add(struct vfs *v, uint64_t seq, bool may_get_better)
{
    struct unread *u = &v->locked.unread;
    uint64_t *grown = NULL;

    lock_take(&v->tree);
    v->locked.out_unread++;
    if (may_get_better)
        grown = realloc(u->seqs, (u->n + 1) * sizeof(*grown));
    if (grown != NULL) { /* else the next start has it */
        grown[u->n++] = seq;
        u->seqs = grown;
        u->wait_ns = WAIT_MIN_NS;
        u->next_ns = clock_boot_ns() + WAIT_MIN_NS;
    }
    lock_drop(&v->tree);
}

bool reread_is_due_locked(const struct vfs *v, int64_t *due_ns)
{
    const struct unread *u = &v->locked.unread;

    if (u->n == 0 || u->is_busy)
        return false;
    if (u->next_ns <= clock_boot_ns())
        return true;
    if (*due_ns == 0 || u->next_ns < *due_ns)
        *due_ns = u->next_ns;
    return false;
}

/* A turn has the list to itself. What it leaves is what stays. */
struct turn {
    struct vfs *v;
    struct unread list;
    size_t n_left, n_done; /* of those that were looked at */
};

static void take(struct turn *t, uint64_t seq, struct outrec *rec, struct data_file *f)
{
    if (replay_late(t->v, seq, rec, f) < 0) {
        t->list.seqs[t->n_left++] = seq;
        return;
    }
    t->n_done++;
    for (unsigned k = 0; k < rec->n_doubts; k++)
        upload_doubt(t->v->upload, rec->key, rec->doubts[k]);
    log_info("local.reread", "seq=%llu key=%s effect=\"it is sent\"", (unsigned long long)seq,
             LOG_Q(rec->key));
}

/* In the order of seq, as the list is: what is left never overtakes what is looked at. */
static int look(void *arg, uint64_t seq, const void *text, size_t len, bool has_file)
{
    _cleanup_(outrec_done) struct outrec rec = {0};
    struct data_file *f = NULL;
    struct turn *t = arg;
    size_t at = t->n_left + t->n_done;

    while (at < t->list.n && t->list.seqs[at] < seq) { /* dropped meanwhile */
        t->n_done++;
        at++;
    }
    if (at == t->list.n || t->list.seqs[at] != seq)
        return 0;
    if (outrec_decode(text, len, &rec) == 0 && replay_file(t->v, seq, &rec, has_file, &f) == 0)
        take(t, seq, &rec, f);
    else
        t->list.seqs[t->n_left++] = seq;
    return 0;
}

static void end_turn(struct turn *t, int r)
{
    struct unread *u = &t->v->locked.unread;
    size_t rest = t->n_left + t->n_done;

    if (r < 0) /* those that were not looked at */
        memmove(t->list.seqs + t->n_left, t->list.seqs + rest,
                (t->list.n - rest) * sizeof(*t->list.seqs));
    else
        t->n_done += t->list.n - rest;
    t->list.n -= t->n_done;
    lock_take(&t->v->tree);
    t->v->locked.out_unread -= t->n_done;
    u->seqs = t->list.seqs;
    u->n = t->list.n;
    u->wait_ns = u->wait_ns < WAIT_MAX_NS / 2 ? u->wait_ns * 2 : WAIT_MAX_NS;
    u->next_ns = clock_boot_ns() + u->wait_ns;
    u->is_busy = false;
    lock_drop(&t->v->tree);
}

void reread_run(struct vfs *v)
{
    struct turn t = {.v = v};
    int64_t due = 0;
    bool is_due;
    int r;

    lock_take(&v->tree);
    is_due = reread_is_due_locked(v, &due);
    if (is_due) {
        t.list = v->locked.unread;
        v->locked.unread.seqs = NULL;
        v->locked.unread.is_busy = true;
    }
    lock_drop(&v->tree);
    if (!is_due)
        return;
    pthread_rwlock_rdlock(&v->names);
    r = journal_each(v->conf.journal, look, &t);
    pthread_rwlock_unlock(&v->names);
    end_turn(&t, r);
    outbox_wake(v);
}
