/* SPDX-License-Identifier: Apache-2.0 */
/* Removals that waited are done: by the senders, or by a call that needs the key (removal.h). Where
 * DeleteObjects knows ETags up to 1,000 go in one request, else each in one of its own, by several
 * senders at once. */
#include "removal.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "outbox.h"
#include "rename.h"

#define GONE 0
#define SOON_NS (5 * NS_PER_S)

/* Is it what was removed? 0, STORE_NOT_FOUND, REMOVAL_BACK, -errno. */
static int look(struct vfs *v, const struct removal *m)
{
    const struct objattr_defaults d = vfs_defaults(v);
    struct store_obj there = {0};
    struct objattr a;
    int r = key_head(v, m->key, &there);

    if (r == 0 && !store_etag_equal(&there.etag, &m->etag))
        r = REMOVAL_BACK;
    if (r == 0 && m->id[0] != '\0') {
        objattr_decode(&d, m->key, false, &there, &a);
        if (strcmp(a.id, m->id) != 0)
            r = REMOVAL_BACK;
    }
    if (r == 0 && m->is_moved) { /* REL-4 */
        const char *ctime = store_hdrs_get(&there.hdrs, STORE_USER_META "s3efs-ctime");

        if (strcmp(ctime != NULL ? ctime : "", m->ctime) != 0)
            r = REMOVAL_BACK;
    }
    store_obj_done(&there);
    return r == STORE_NOT_FOUND || r == REMOVAL_BACK ? r : err_fold(r);
}

/* REM-5: does the ETag alone not say enough? All empty files share one, and the same bytes may be another's by now. */
static bool is_doubtful(const struct vfs *v, const struct removal *m)
{
    return m->is_tried || m->is_moved || !v->conf.caps.delete_match || m->obj_size == 0 ||
           clock_boot_ns() - m->made_ns > SOON_NS;
}

static void note_tries(struct vfs *v, struct removal *const *m, size_t n)
{
    lock_take(&v->tree);
    for (size_t k = 0; k < n; k++)
        m[k]->is_tried = true;
    lock_drop(&v->tree);
}

/* GONE, REMOVAL_BACK, -errno. */
static int delete_it(struct vfs *v, struct removal *m)
{
    const bool has_cond = v->conf.caps.delete_match;
    struct store_req req = {.op = STORE_DELETE, .key = m->key};
    struct store_rsp rsp = {0};
    int r = late_unlink(v, m->key);

    if (r == -ENOENT) /* another client's rename took it along, before anybody there saw it go */
        return GONE;
    if (r == 0 && is_doubtful(v, m))
        r = look(v, m);
    if (r != 0)
        return r == STORE_NOT_FOUND ? GONE : r;
    if (has_cond)
        req.cond = (struct store_cond){STORE_IF_MATCH, m->etag};
    crash_point("removal.ready");
    note_tries(v, &m, 1);
    r = store_call(v->store, &req, &rsp);
    store_rsp_done(&rsp);
    if (r == STORE_NOT_FOUND)
        return GONE;
    return r == STORE_PRECONDITION ? REMOVAL_BACK : err_fold(r);
}

/* One try of some that this thread is busy with. */
struct turn {
    struct removal *v[REMOVAL_BATCH];
    int result[REMOVAL_BATCH]; /* as delete_it()'s; then what becomes of it */
    size_t n;
};

/* They go in one request: none of them was tried before. What is another version now, and what the
 * request says of a key that it cannot have meant, is looked at one by one. */
static void delete_many(struct vfs *v, struct turn *t)
{
    const char **keys = calloc(t->n, sizeof(*keys));
    struct store_etag *etags = calloc(t->n, sizeof(*etags));
    struct store_req req = {.op = STORE_DELETE_MANY, .keys = keys, .etags = etags, .n_keys = t->n};
    struct store_rsp rsp = {0};
    int r = keys != NULL && etags != NULL ? 0 : -ENOMEM;

    for (size_t k = 0; k < t->n && r == 0; k++) {
        keys[k] = t->v[k]->key;
        etags[k] = t->v[k]->etag;
    }
    if (r == 0)
        note_tries(v, t->v, t->n);
    if (r == 0)
        r = err_fold(store_call(v->store, &req, &rsp));
    for (size_t k = 0; k < t->n; k++) {
        int one = r == 0 ? rsp.key_results[k] : r;

        if (one < 0 && r == 0)
            err_set(one, "the server refused to delete it: %s", strerror(-one));
        t->result[k] = one == STORE_PRECONDITION ? delete_it(v, t->v[k]) : one;
    }
    store_rsp_done(&rsp);
    free(keys);
    free(etags);
}

static bool may_join(const struct vfs *v, const struct removal *m)
{
    return v->conf.caps.delete_many_match && !is_doubtful(v, m) && !m->is_done;
}

static void try_later(struct vfs *v, struct removal *m, int r)
{
    unsigned tries = m->tries + 1;

    if ((tries & (tries - 1)) == 0) /* less and less often */
        log_warn("removal.retry", "key=%s tries=%u error=%d cause=%s", LOG_Q(m->key), tries, -r,
                 LOG_Q(err_text()));
    lock_take(&v->tree);
    m->retry_ns = outbox_retry_ns(m->tries);
    m->tries = tries;
    removal_release_locked(v, m);
    lock_drop(&v->tree);
}

/* The name that unlink(2) has removed is there again. */
static void tell_back(struct vfs *v, const struct removal *m, int r)
{
    if (r == REMOVAL_BACK) {
        log_warn("removal.foreign", "key=%s effect=\"another client's version stays\"",
                 LOG_Q(m->key));
        return;
    }
    log_error("removal.refused", "key=%s error=%d cause=%s effect=\"it stays\"", LOG_Q(m->key), -r,
              LOG_Q(err_text()));
    vfs_set_error(v, "%s: when it was removed after its unlink: %s", m->key, err_text());
    atomic_fetch_add(&v->commit_errors, 1);
}

/* Those that wait on are left out of the turn. 0 or the first error. */
static int sort_out(struct vfs *v, struct turn *t)
{
    size_t n = 0;
    int first = 0;

    for (size_t k = 0; k < t->n; k++) {
        int r = t->result[k];

        if (r < 0 && !outbox_is_final(r)) {
            try_later(v, t->v[k], r);
            first = first == 0 ? r : first;
            continue;
        }
        if (r != GONE)
            tell_back(v, t->v[k], r);
        t->v[n] = t->v[k];
        t->result[n++] = r;
    }
    t->n = n;
    return first;
}

static void end_one(struct vfs *v, struct removal *m, bool is_back, bool is_dropped)
{
    if (!is_dropped) {
        lock_take(&v->tree);
        m->retry_ns = outbox_retry_ns(m->tries++);
        lock_drop(&v->tree);
    }
    removal_end(v, m, is_back, is_dropped);
}

/* 0, REMOVAL_BACK (a turn of one); the first -errno: some wait on. */
static int run_turn(struct vfs *v, struct turn *t)
{
    uint64_t seqs[REMOVAL_BATCH];
    struct err_copy cause;
    bool is_back = false, all;
    int r;

    if (t->n > 1)
        delete_many(v, t);
    else
        t->result[0] = t->v[0]->is_done ? GONE : delete_it(v, t->v[0]);
    r = sort_out(v, t);
    err_copy(&cause);
    if (t->n > 0)
        crash_point("removal.sent");
    for (size_t k = 0; k < t->n; k++)
        seqs[k] = t->v[k]->seq;
    all = journal_drop_many(v->conf.journal, seqs, t->n) == 0;
    if (t->n > 0)
        crash_point("removal.dropped");
    for (size_t k = 0; k < t->n; k++) {
        is_back = is_back || t->result[k] != GONE;
        end_one(v, t->v[k], t->result[k] != GONE, all || removal_drop(v, t->v[k]));
    }
    err_restore(&cause);
    return r < 0 ? r : is_back ? REMOVAL_BACK : 0;
}

static int try_one(struct vfs *v, struct removal *m)
{
    struct turn t = {.v = {m}, .n = 1};

    return run_turn(v, &t);
}

static void begin_locked(struct turn *t, struct removal *m)
{
    m->is_busy = true;
    t->v[t->n++] = m;
}

int removal_settle(struct vfs *v, const char *key)
{
    struct removal *m;
    bool is_held;

    lock_take(&v->tree);
    while ((m = removal_find_locked(v, key)) != NULL && m->is_busy)
        cond_wait(&v->removal_over, &v->tree);
    if (m != NULL)
        m->is_busy = m->holder == NULL;
    is_held = m != NULL && m->holder != NULL;
    lock_drop(&v->tree);
    if (is_held) /* REL-3 */
        return err_set(-EAGAIN, "%s was renamed, and is not in the bucket under its new name yet", key);
    return m != NULL ? try_one(v, m) : 0;
}

/* The next ones up to that number that nobody is at; busy now. Is there one at all? */
static bool take_below_locked(struct vfs *v, const char *prefix, uint64_t last, struct turn *t)
{
    bool any = false;

    t->n = 0;
    for (struct removal *m = v->locked.removal_first; m != NULL && m->seq <= last && t->n < REMOVAL_BATCH;
         m = m->next) {
        if (m->is_done || !str_starts(m->key, prefix))
            continue;
        any = true;
        if (m->is_busy || (t->n > 0 && !may_join(v, m)))
            continue;
        begin_locked(t, m);
        if (!may_join(v, m))
            break;
    }
    return any;
}

uint64_t removal_newest_below(struct vfs *v, const char *prefix)
{
    uint64_t last = 0;

    lock_take(&v->tree);
    for (const struct removal *m = v->locked.removal_first; m != NULL; m = m->next)
        if (!m->is_done && str_starts(m->key, prefix))
            last = m->seq;
    lock_drop(&v->tree);
    return last;
}

/* Due now: the senders help. */
static void hurry_below(struct vfs *v, const char *prefix, uint64_t last)
{
    lock_take(&v->tree);
    for (struct removal *m = v->locked.removal_first; m != NULL && m->seq <= last; m = m->next)
        if (str_starts(m->key, prefix))
            m->retry_ns = 0;
    lock_drop(&v->tree);
    outbox_wake(v);
}

int removal_settle_below(struct vfs *v, const char *prefix, bool has_names)
{
    struct turn t;
    uint64_t last;
    bool any;
    int r = outbox_send_holders_below(v, prefix, has_names);

    if (r < 0)
        return r;
    last = removal_newest_below(v, prefix);
    if (last == 0)
        return 0;
    r = outbox_send_older(v, last, has_names); /* REM-4 */
    if (r == 0)
        hurry_below(v, prefix, last);
    while (r >= 0) {
        lock_take(&v->tree);
        while ((any = take_below_locked(v, prefix, last, &t)) && t.n == 0)
            cond_wait(&v->removal_over, &v->tree);
        lock_drop(&v->tree);
        if (!any)
            return 0;
        r = run_turn(v, &t);
    }
    return r;
}

/* What is due; and with one that may go with others, those that only wait for company. */
static void take_due_locked(struct vfs *v, struct turn *t)
{
    int64_t due;
    struct removal *m = removal_next_locked(v, &due);
    uint64_t oldest = m != NULL ? outbox_oldest_locked(v) : 0;

    t->n = 0;
    if (m == NULL)
        return;
    begin_locked(t, m);
    for (m = may_join(v, m) ? m->next : NULL; m != NULL && t->n < REMOVAL_BATCH; m = m->next)
        if (!m->is_busy && may_join(v, m) && m->seq < oldest) /* REM-4 */
            begin_locked(t, m);
    if (removal_next_locked(v, &due) != NULL) /* another sender's */
        cond_signal(&v->out_due);
}

size_t removal_run(struct vfs *v)
{
    bool is_due;
    struct turn t;
    int64_t due;
    size_t n;

    lock_take(&v->tree);
    is_due = removal_next_locked(v, &due) != NULL;
    lock_drop(&v->tree);
    if (!is_due)
        return 0;
    pthread_rwlock_rdlock(&v->names);
    lock_take(&v->tree);
    take_due_locked(v, &t);
    lock_drop(&v->tree);
    n = t.n;
    if (n > 0)
        (void)run_turn(v, &t);
    pthread_rwlock_unlock(&v->names);
    return n;
}

void removal_hurry_locked(struct vfs *v)
{
    for (struct removal *m = v->locked.removal_first; m != NULL; m = m->next)
        m->retry_ns = 0;
}

uint64_t removal_newest(struct vfs *v)
{
    uint64_t seq;

    lock_take(&v->tree);
    seq = v->locked.removal_last != NULL ? v->locked.removal_last->seq : 0;
    lock_drop(&v->tree);
    return seq;
}

static struct removal *after_locked(struct vfs *v, uint64_t seq)
{
    struct removal *m = v->locked.removal_first;

    while (m != NULL && m->seq <= seq)
        m = m->next;
    return m;
}

/* The next ones after that number; busy now. What others are at is waited for. */
static void take_after(struct vfs *v, uint64_t seq, uint64_t last, struct turn *t)
{
    struct removal *m;
    uint64_t oldest;

    t->n = 0;
    lock_take(&v->tree);
    while ((m = after_locked(v, seq)) != NULL && m->is_busy)
        cond_wait(&v->removal_over, &v->tree);
    oldest = outbox_oldest_locked(v); /* REM-4 */
    while (m != NULL && m->seq <= last && m->seq < oldest && !m->is_busy && t->n < REMOVAL_BATCH &&
           (t->n == 0 || may_join(v, m))) {
        begin_locked(t, m);
        m = may_join(v, m) ? m->next : NULL;
    }
    lock_drop(&v->tree);
}

int removal_drain(struct vfs *v, uint64_t last)
{
    struct err_copy cause;
    struct turn t;
    uint64_t at = 0;
    int first = 0;

    for (;;) {
        bool any;
        int r = 0;

        pthread_rwlock_rdlock(&v->names);
        take_after(v, at, last, &t);
        any = t.n > 0;
        if (any) {
            at = t.v[t.n - 1]->seq;
            r = run_turn(v, &t);
        }
        pthread_rwlock_unlock(&v->names);
        if (!any)
            break;
        if (r < 0 && first == 0) {
            first = r;
            err_copy(&cause);
        }
    }
    if (first < 0)
        err_restore(&cause);
    return first;
}
