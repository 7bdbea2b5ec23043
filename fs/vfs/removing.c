/* SPDX-License-Identifier: Apache-2.0 */
/* Removals that waited are done: by the senders, or by a call that needs the key (removal.h). */
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
    store_obj_done(&there);
    return r == STORE_NOT_FOUND || r == REMOVAL_BACK ? r : err_fold(r);
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
    if (r == 0 && (m->is_tried || !has_cond)) /* REM-5 */
        r = look(v, m);
    if (r != 0)
        return r == STORE_NOT_FOUND ? GONE : r;
    if (has_cond)
        req.cond = (struct store_cond){STORE_IF_MATCH, m->etag};
    crash_point("removal.ready");
    m->is_tried = true;
    r = store_call(v->store, &req, &rsp);
    store_rsp_done(&rsp);
    if (r == STORE_NOT_FOUND)
        return GONE;
    return r == STORE_PRECONDITION ? REMOVAL_BACK : err_fold(r);
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

/* A busy one: one try. 0, REMOVAL_BACK; -errno: it waits on. */
static int try_one(struct vfs *v, struct removal *m)
{
    int r = m->is_done ? GONE : delete_it(v, m);
    bool is_dropped;

    if (r < 0 && !outbox_is_final(r)) {
        try_later(v, m, r);
        return r;
    }
    if (r != GONE)
        tell_back(v, m, r);
    else
        crash_point("removal.sent");
    is_dropped = removal_drop(v, m);
    crash_point("removal.dropped");
    if (!is_dropped) {
        lock_take(&v->tree);
        m->retry_ns = outbox_retry_ns(m->tries++);
        lock_drop(&v->tree);
    }
    removal_end(v, m, r != GONE, is_dropped);
    return r != GONE ? REMOVAL_BACK : 0;
}

static void want_locked(struct vfs *v, struct removal *m)
{
    v->locked.removals_wanted += !m->is_wanted;
    m->is_wanted = true;
    m->retry_ns = 0;
}

int removal_settle(struct vfs *v, const char *key)
{
    struct removal *m;

    lock_take(&v->tree);
    while ((m = removal_find_locked(v, key)) != NULL && m->is_busy)
        cond_wait(&v->removal_over, &v->tree);
    if (m != NULL)
        m->is_busy = true;
    lock_drop(&v->tree);
    return m != NULL ? try_one(v, m) : 0;
}

/* The next one that nobody is at, busy now, or NULL; *ret_any: is there one at all? */
static struct removal *take_below_locked(struct vfs *v, const char *prefix, bool *ret_any)
{
    *ret_any = false;
    for (struct removal *m = v->locked.removal_first; m != NULL; m = m->next) {
        if (m->is_done || !str_starts(m->key, prefix))
            continue;
        *ret_any = true;
        if (m->is_busy)
            continue;
        m->is_busy = true;
        return m;
    }
    return NULL;
}

/* The senders help. */
static void want_below(struct vfs *v, const char *prefix)
{
    lock_take(&v->tree);
    for (struct removal *m = v->locked.removal_first; m != NULL; m = m->next)
        if (!m->is_done && str_starts(m->key, prefix))
            want_locked(v, m);
    lock_drop(&v->tree);
    outbox_wake(v);
}

int removal_settle_below(struct vfs *v, const char *prefix)
{
    struct removal *m;
    bool any;
    int r = 0;

    lock_take(&v->tree);
    any = v->locked.removals.n > 0;
    lock_drop(&v->tree);
    if (!any)
        return 0;
    want_below(v, prefix);
    while (r >= 0) {
        lock_take(&v->tree);
        while ((m = take_below_locked(v, prefix, &any)) == NULL && any)
            cond_wait(&v->removal_over, &v->tree);
        lock_drop(&v->tree);
        if (m == NULL)
            return 0;
        r = try_one(v, m);
    }
    return r;
}

bool removal_run(struct vfs *v)
{
    struct removal *m;
    int64_t due;

    lock_take(&v->tree);
    m = removal_next_locked(v, &due);
    lock_drop(&v->tree);
    if (m == NULL)
        return false;
    pthread_rwlock_rdlock(&v->names);
    lock_take(&v->tree);
    m = removal_next_locked(v, &due);
    if (m != NULL) {
        m->is_busy = true;
        if (removal_next_locked(v, &due) != NULL) /* another sender's */
            cond_signal(&v->out_due);
    }
    lock_drop(&v->tree);
    if (m != NULL)
        (void)try_one(v, m);
    pthread_rwlock_unlock(&v->names);
    return m != NULL;
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

static struct removal *after_locked(struct vfs *v, uint64_t seq, uint64_t last)
{
    struct removal *m = v->locked.removal_first;

    while (m != NULL && m->seq <= seq)
        m = m->next;
    return m != NULL && m->seq <= last && m->seq < outbox_oldest_locked(v) ? m : NULL;
}

/* The next one after that number, busy now, or NULL. What others are at is waited for. */
static struct removal *take_after(struct vfs *v, uint64_t seq, uint64_t last)
{
    struct removal *m;

    lock_take(&v->tree);
    while ((m = after_locked(v, seq, last)) != NULL && m->is_busy)
        cond_wait(&v->removal_over, &v->tree);
    if (m != NULL)
        m->is_busy = true;
    lock_drop(&v->tree);
    return m;
}

int removal_drain(struct vfs *v, uint64_t last)
{
    struct err_copy cause;
    uint64_t at = 0;
    int first = 0;

    for (;;) {
        struct removal *m;
        int r;

        pthread_rwlock_rdlock(&v->names);
        m = take_after(v, at, last);
        if (m == NULL) {
            pthread_rwlock_unlock(&v->names);
            break;
        }
        at = m->seq;
        r = try_one(v, m);
        pthread_rwlock_unlock(&v->names);
        if (r < 0 && first == 0) {
            first = r;
            err_copy(&cause);
        }
    }
    if (first < 0)
        err_restore(&cause);
    return first;
}
