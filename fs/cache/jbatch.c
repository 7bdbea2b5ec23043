/* SPDX-License-Identifier: Apache-2.0 */
/* Group commit. Who finds nobody at work takes the token and all that waits; the names of the whole
 * batch are synced once, then its records in one transaction. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/sys.h"
#include "jrn.h"

#define BATCH 256u
#define BATCH_BYTES ((size_t)64 << 20)
#define ROOM_FOR_ENTRY (UINT64_C(8) << 20) /* freed when the disk is full */

struct batch {
    struct jrn_req *first;
    struct jindex_op *ops;
    struct jrn_live *adds; /* what the puts become */
    uint64_t *drops;
    size_t n_ops, n_adds, n_drops;
    struct jindex_state state; /* after it */
};

static void batch_done(struct batch *b)
{
    for (size_t i = 0; b->ops != NULL && i < b->n_ops; i++)
        free((void *)(uintptr_t)b->ops[i].val);
    free(b->ops);
    free(b->adds);
    free(b->drops);
}

static void say_failed(struct jrn_req *q, int r)
{
    q->result = r;
    free(q->why);
    q->why = strdup(err_text());
}

/* All that has not failed by itself. */
static void all_failed(struct batch *b, int r)
{
    for (struct jrn_req *q = b->first; q != NULL; q = q->next)
        if (q->result == 0)
            say_failed(q, r);
}

static int reserve(struct journal *j, struct batch *b)
{
    size_t n = 0;
    int r;

    for (struct jrn_req *q = b->first; q != NULL; q = q->next)
        n++;
    b->ops = calloc(2 * n, sizeof(*b->ops));
    b->adds = calloc(n, sizeof(*b->adds));
    b->drops = calloc(n, sizeof(*b->drops));
    if (b->ops == NULL || b->adds == NULL || b->drops == NULL)
        return err_set(-ENOMEM, "journal: out of memory");
    lock_take(&j->lock);
    r = jrn_table_reserve(&j->locked.live, n);
    lock_drop(&j->lock);
    return r;
}

/* --- bytes get their names --- */

static int link_one(struct journal *j, struct jrn_req *q)
{
    char to[PATH_MAX];
    int r;

    jrn_file_path(j, q->rec.seq, to);
    r = sys_link(q->from, to);
    if (r == -ENOSPC) {
        cache_evict_some(j->cache, ROOM_FOR_ENTRY);
        r = sys_link(q->from, to);
    }
    return r < 0 ? err_set(r, "journal: %s: %s", to, strerror(-r)) : 0;
}

/* Of the puts that failed. */
static void unlink_names(struct journal *j, struct batch *b)
{
    for (struct jrn_req *q = b->first; q != NULL; q = q->next) {
        char path[PATH_MAX];

        if (!q->is_put || q->from == NULL || q->result == 0)
            continue;
        jrn_file_path(j, q->rec.seq, path);
        (void)!sys_unlink(path);
    }
}

static int name_files(struct journal *j, struct batch *b)
{
    bool any = false;
    int r;

    for (struct jrn_req *q = b->first; q != NULL; q = q->next) {
        if (!q->is_put)
            continue;
        q->rec.seq = j->next++;
        r = q->from != NULL ? link_one(j, q) : 0;
        if (r < 0)
            say_failed(q, r);
        any = any || (r == 0 && q->from != NULL);
    }
    crash_point("journal.linked");
    r = any ? sys_fsync(j->files_fd) : 0;
    if (r < 0)
        return err_set(r, "journal: %s: %s", j->files, strerror(-r));
    crash_point("journal.folder_synced");
    return 0;
}

/* --- records --- */

static void add_drop(struct journal *j, struct batch *b, uint64_t seq, int64_t *since_ns)
{
    const struct jrn_live *e;

    for (size_t i = 0; i < b->n_drops; i++)
        if (b->drops[i] == seq)
            return;
    lock_take(&j->lock);
    e = jrn_table_find(&j->locked.live, seq);
    if (e != NULL) {
        if (e->since_ns < *since_ns)
            *since_ns = e->since_ns;
        b->state.digest ^= jindex_mix(seq, e->crc);
        b->state.count--;
        b->ops[b->n_ops++] = (struct jindex_op){.seq = seq};
        b->drops[b->n_drops++] = seq;
    }
    lock_drop(&j->lock);
}

static int add_put(struct batch *b, struct jrn_req *q)
{
    struct jrn_live *e = &b->adds[b->n_adds];
    struct jindex_op *op = &b->ops[b->n_ops];

    *e = (struct jrn_live){
        .seq = q->rec.seq,
        .since_ns = q->rec.since_ns,
        .alloc = q->rec.alloc,
        .has_file = q->rec.has_file,
    };
    op->seq = e->seq;
    op->val = jindex_encode(&q->rec, &op->len, &e->crc);
    if (op->val == NULL)
        return err_set(-ENOMEM, "journal: out of memory");
    b->n_ops++;
    b->n_adds++;
    b->state.digest ^= jindex_mix(e->seq, e->crc);
    b->state.count++;
    return 0;
}

static int make_ops(struct journal *j, struct batch *b)
{
    int64_t now = clock_wall_ns();

    b->state = j->state;
    b->state.next = j->next;
    for (struct jrn_req *q = b->first; q != NULL; q = q->next) {
        int r = 0;

        if (q->result != 0)
            continue;
        q->rec.since_ns = now;
        if (q->drops != 0)
            add_drop(j, b, q->drops, &q->rec.since_ns);
        if (q->is_put)
            r = add_put(b, q);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Makes a sick index what it was, and takes away the names that its failed batches left. */
static int heal(struct journal *j)
{
    int r;

    j->state.next = j->next;
    r = jindex_heal(j->index, &j->state);
    if (r < 0)
        return r;
    for (; j->left_from < j->left_to; j->left_from++) {
        char path[PATH_MAX];
        bool stands;

        lock_take(&j->lock);
        stands = jrn_table_find(&j->locked.live, j->left_from) != NULL;
        lock_drop(&j->lock);
        jrn_file_path(j, j->left_from, path);
        if (!stands)
            (void)!sys_unlink(path);
    }
    return 0;
}

/* The caller's failure stays the one that is told. */
static void heal_now(struct journal *j, uint64_t from)
{
    struct err_copy why;

    err_copy(&why);
    if (j->left_from == j->left_to)
        j->left_from = from;
    j->left_to = j->next;
    (void)!heal(j);
    err_restore(&why);
}

static int write_records(struct journal *j, struct batch *b)
{
    int r = jindex_apply(j->index, b->ops, b->n_ops, &b->state);

    if (r == -ENOSPC) {
        if (jindex_is_sick(j->index))
            r = heal(j);
        cache_evict_some(j->cache, ROOM_FOR_ENTRY);
        r = r == 0 || r == -ENOSPC ? jindex_apply(j->index, b->ops, b->n_ops, &b->state) : r;
    }
    return r;
}

/* --- after it --- */

static void settle(struct journal *j, struct batch *b)
{
    struct cache *c = j->cache;
    char path[PATH_MAX];

    j->state = b->state;
    lock_take(&j->lock);
    for (size_t i = 0; i < b->n_adds; i++) {
        jrn_table_add(&j->locked.live, &b->adds[i]);
        j->locked.entries++;
        j->locked.bytes += b->adds[i].alloc;
        c->used.staged += b->adds[i].alloc;
    }
    for (size_t i = 0; i < b->n_drops; i++) {
        struct jrn_live *e = jrn_table_find(&j->locked.live, b->drops[i]);

        if (!e->has_file)
            b->drops[i] = 0;
        j->locked.entries--;
        j->locked.bytes -= e->alloc;
        cache_used_move(&c->used.staged, e->alloc, 0);
        jrn_table_remove(&j->locked.live, e);
    }
    lock_drop(&j->lock);
    for (size_t i = 0; i < b->n_drops; i++) {
        if (b->drops[i] == 0)
            continue;
        jrn_file_path(j, b->drops[i], path);
        crash_point("journal.dropped");
        (void)!sys_unlink(path); /* one that stays is removed at the next start */
    }
}

static void run(struct journal *j, struct batch *b)
{
    uint64_t from = j->next;
    int r = jindex_is_sick(j->index) ? heal(j) : 0;

    if (r == 0)
        r = reserve(j, b);
    if (r == 0)
        r = name_files(j, b);
    if (r == 0)
        r = make_ops(j, b);
    if (r == 0 && b->n_ops > 0)
        r = write_records(j, b);
    crash_point("journal.committed");
    if (r == 0)
        settle(j, b);
    else
        all_failed(b, r);
    if (jindex_is_sick(j->index))
        heal_now(j, from);
    if (!jindex_is_sick(j->index)) /* else they may be in the index all the same */
        unlink_names(j, b);
    batch_done(b);
}

/* --- the queue --- */

static struct jrn_req *take_batch(struct journal *j)
{
    struct jrn_req *first = j->locked.first, *q = first;
    size_t bytes = q->rec.len;

    for (unsigned n = 1; n < BATCH && q->next != NULL; n++) {
        bytes += q->next->rec.len;
        if (bytes > BATCH_BYTES)
            break;
        q = q->next;
    }
    j->locked.first = q->next;
    if (q->next == NULL)
        j->locked.last = &j->locked.first;
    q->next = NULL;
    return first;
}

static void queue_locked(struct journal *j, struct jrn_req *req)
{
    *j->locked.last = req;
    j->locked.last = &req->next;
    j->locked.waiting++;
}

/* Works, or waits, until it is done. */
static void finish_locked(struct journal *j, const struct jrn_req *req)
{
    while (!req->done) {
        struct batch b = {0};

        if (j->locked.busy) {
            cond_wait(&j->changed, &j->lock);
            continue;
        }
        j->locked.busy = true;
        b.first = take_batch(j);
        lock_drop(&j->lock);
        run(j, &b);
        lock_take(&j->lock);
        for (struct jrn_req *q = b.first, *next; q != NULL; q = next) {
            next = q->next;
            q->done = true;
            j->locked.waiting--;
        }
        j->locked.busy = false;
        cond_broadcast(&j->changed);
    }
}

int jrn_do_all(struct journal *j, struct jrn_req *reqs, size_t n)
{
    int r = 0;

    lock_take(&j->lock);
    for (size_t k = 0; k < n; k++)
        queue_locked(j, &reqs[k]);
    for (size_t k = 0; k < n; k++)
        finish_locked(j, &reqs[k]);
    lock_drop(&j->lock);
    for (size_t k = 0; k < n; k++) {
        const struct jrn_req *q = &reqs[k];

        if (q->result < 0 && r == 0) {
            r = q->result;
            cache_health_bad(j->cache, r, "journal");
            err_set(r, "%s", q->why != NULL ? q->why : "journal: out of memory");
        }
        free(q->why);
    }
    return r;
}

int jrn_do(struct journal *j, struct jrn_req *req)
{
    return jrn_do_all(j, req, 1);
}

void jrn_hold(struct journal *j)
{
    lock_take(&j->lock);
    while (j->locked.busy)
        cond_wait(&j->changed, &j->lock);
    j->locked.busy = true;
    lock_drop(&j->lock);
}

void jrn_release(struct journal *j)
{
    lock_take(&j->lock);
    j->locked.busy = false;
    cond_broadcast(&j->changed);
    lock_drop(&j->lock);
}
