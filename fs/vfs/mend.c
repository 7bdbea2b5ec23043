/* SPDX-License-Identifier: Apache-2.0 */
/* Renames that their mount did not finish. A file's is finished if the copy is under the new name
 * (it carries the intent's mark), else undone: nothing had been done. A directory's always goes on
 * to its new name: what was copied is found by its mark. Nothing that another client wrote since is
 * overwritten or deleted; where it stands in the way, a file keeps its old name. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/origin.h"
#include "base/sys.h"
#include "intents.h"
#include "link.h"

#define OLD_NS (3600 * NS_PER_S) /* tombstones stay so long, on our clock from when we saw them */
#define WAIT_MIN_MS 20
#define WAIT_MAX_MS 1000

int mend_file(struct vfs *v, struct intent_claim *cl)
{
    struct moved one = {.from = cl->what.from, .to = cl->what.to, .etag = cl->what.source};
    int r = key_head(v, one.to, &one.now);
    enum moved_how how;

    if (r < 0) {
        intents_end(v, cl, r);
        return r;
    }
    how = r == 0 ? moved_look(&one.now.hdrs, cl->what.mark, &one.etag) : MOVED_NOT;
    if (how == MOVED_NOT) {
        intents_withdraw(v, cl);
        store_obj_done(&one.now);
        return 0;
    }
    one.is_copied = true;
    r = how == MOVED_STALE ? RENAME_CHANGED
                           : rename_delete(v, one.from, &one.etag, cl->what.session);
    crash_point("mend.file_deleted");
    if (r == 0)
        link_moved(v, &one.now, one.from, one.to);
    if (r == RENAME_CHANGED && how != MOVED_TOUCHED)
        r = move_newer(v, cl, &one);
    if (r == RENAME_CHANGED) /* another file, or both were written to: both stay */
        r = 0;
    key_forget(v, one.from);
    key_forget(v, one.to);
    store_obj_done(&one.now);
    intents_end(v, cl, r);
    return r;
}

/* Had the renamer begun to copy, or may it begin now? It had found the target empty first. 1: go
 * on; 0: it must not be; -errno. */
static int may_copy(struct vfs *v, const struct intent *what)
{
    struct store_req req = {.op = STORE_LIST, .prefix = what->to};
    struct store_rsp rsp = {0};
    int r = err_fold(store_call(v->store, &req, &rsp));
    bool is_empty = true;

    for (size_t i = 0; r == 0 && i < rsp.list.n; i++) {
        struct store_obj obj = {0};

        if (strcmp(rsp.list.v[i].key, what->to) == 0)
            continue;
        is_empty = false;
        r = key_head(v, rsp.list.v[i].key, &obj);
        if (r == 0 && moved_look(&obj.hdrs, what->mark, &obj.etag) != MOVED_NOT)
            r = 1;
        else if (r > 0)
            r = 0;
        store_obj_done(&obj);
    }
    store_rsp_done(&rsp);
    return r == 0 && is_empty ? 1 : r;
}

int mend_dir(struct vfs *v, struct intent_claim *cl)
{
    struct move m;
    int r = cl->what.state == INTENT_CLAIMED ? may_copy(v, &cl->what) : 1;

    if (r == 0) {
        intents_withdraw(v, cl);
        return 0;
    }
    move_init(&m, v, cl, false);
    r = r < 0 ? r : move_copy_all(&m);
    if (r == 0 && cl->what.state == INTENT_CLAIMED)
        r = intents_advance(v, cl, INTENT_COPIED);
    crash_point("mend.dir_holds");
    if (r == 0) {
        lock_take(&v->tree);
        names_moved_locked(v);
        intents_show_locked(v, cl);
        lock_drop(&v->tree);
        r = move_delete_all(&m);
    }
    move_done(&m);
    crash_point("mend.dir_deleted");
    intents_end(v, cl, r);
    return r;
}

/* 1: nobody is at it any more; 0: somebody may be; -errno. */
static int is_dead(struct vfs *v, const struct intent *i)
{
    int r;

    if (intents_are_at_it(v, i))
        return 0;
    if (session_is_ours(v->coord, i->session))
        return 1; /* ours, and no call of ours is at it: it was left */
    r = session_judge(v->coord, i->session);
    return r < 0 ? r : r == SESSION_DEAD;
}

static int take_over(struct vfs *v, const char *name, const struct intent *i,
                     const struct store_etag *etag)
{
    struct intent_claim cl;
    int r = intents_note(v, name, i, etag, true);

    if (r != 0)
        return r < 0 ? r : 1;
    r = intent_take(v->coord, i, etag, &cl);
    if (r != 0) {
        intents_forget(v, name);
        return r < 0 ? r : 1;
    }
    crash_point("mend.taken");
    log_info("rename.taken_over", "from=%s to=%s", LOG_Q(i->from), LOG_Q(i->to));
    return i->is_dir ? mend_dir(v, &cl) : mend_file(v, &cl);
}

/* What was meant so long ago may not be what is wanted now (protocol 8): for who wrote it, or an
 * administrator. */
static bool is_old(struct vfs *v, const char *name, const struct intent *i,
                   const struct store_etag *etag)
{
    return v->conf.finish_age_ns != 0 && i->age_ns > v->conf.finish_age_ns &&
           !session_is_ours(v->coord, i->session) && !intents_are_left_here(v, name, etag);
}

/* One record. 0: it does not stand (any more); 1: it does, and somebody is at it; RENAME_OLD; -errno.
 */
static int settle(struct vfs *v, const char *name, const struct intent *i,
                  const struct store_etag *etag)
{
    char source[INTENT_NAME_SIZE];
    struct store_etag source_etag;
    struct intent other;
    int r;

    if (!intent_stands(i))
        return 0;
    if (i->is_target) { /* INTENT-1 */
        intent_name(i->from, i->is_dir, source);
        r = intent_read(v->coord, source, &other, &source_etag);
        if (r < 0)
            return r;
        if (intent_stands(&other) && !other.is_target && intent_is_same(&other, i)) {
            r = settle(v, source, &other, &source_etag);
            return r == 0 ? 1 : r; /* it went with the other, or is read again */
        }
    }
    r = is_dead(v, i);
    if (r <= 0)
        return r < 0 ? r : 1;
    if (!i->is_target)
        return is_old(v, name, i, etag) ? RENAME_OLD : take_over(v, name, i, etag);
    r = intent_clear(v->coord, name, etag);
    return r == INTENT_BUSY ? 1 : r;
}

int intents_wait(struct vfs *v, const char *key, bool is_dir)
{
    char name[INTENT_NAME_SIZE];
    int r = 1;

    lock_assert_may_block();
    intent_name(key, is_dir, name);
    for (long ms = WAIT_MIN_MS; r == 1; ms = 2 * ms < WAIT_MAX_MS ? 2 * ms : WAIT_MAX_MS) {
        struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};
        struct store_etag etag;
        struct intent i;

        r = intent_read(v->coord, name, &i, &etag);
        if (r == 0)
            r = settle(v, name, &i, &etag);
        if (r == 1)
            nanosleep(&ts, NULL);
    }
    return r;
}

/* One that stands and was not tried, or is old: a copy of it. */
static bool next_of(struct vfs *v, char name[INTENT_NAME_SIZE], struct store_etag *etag,
                    struct intent *what)
{
    int64_t now = clock_boot_ns();
    bool found = false;

    lock_take(&v->tree);
    for (struct intent_known *k = v->locked.intents; k != NULL && !found; k = k->next) {
        if (k->is_ours || k->is_tried || k->is_old || (k->what == NULL && now - k->since_ns < OLD_NS))
            continue;
        k->is_tried = found = true;
        memcpy(name, k->name, INTENT_NAME_SIZE);
        *etag = k->etag;
        *what = k->what != NULL ? *k->what : (struct intent){0};
        if (what->age_ns > 0)
            what->age_ns += now - k->since_ns;
    }
    lock_drop(&v->tree);
    return found;
}

static void leave_old(struct vfs *v, const char *name, const struct intent *what)
{
    struct intent_known *k;

    if (!what->is_target)
        log_warn("rename.too_old", "from=%s to=%s hours=%lld help=\"s3efs fsck --repair finishes it\"",
             LOG_Q(what->from), LOG_Q(what->to), (long long)(what->age_ns / (3600 * NS_PER_S)));
    lock_take(&v->tree);
    for (k = v->locked.intents; k != NULL; k = k->next)
        if (strcmp(k->name, name) == 0)
            k->is_old = true;
    lock_drop(&v->tree);
}

int intents_mend(struct vfs *v)
{
    char name[INTENT_NAME_SIZE];
    struct store_etag etag;
    struct intent what;
    int r = intents_look(v), n = 0, error = 0;

    lock_take(&v->tree);
    for (struct intent_known *k = v->locked.intents; k != NULL; k = k->next) {
        k->is_tried = false;
        n += k->is_old;
    }
    lock_drop(&v->tree);
    while (r == 0 && next_of(v, name, &etag, &what)) {
        int s = intent_stands(&what) ? settle(v, name, &what, &etag)
                                     : intent_sweep(v->coord, name, &etag);

        if (s == 0)
            intents_forget(v, name);
        n += s != 0;
        if (s == RENAME_OLD)
            leave_old(v, name, &what);
        if (s < 0) {
            error = s;
            log_warn("rename.mend", "record=%s cause=%s", name, LOG_Q(err_text()));
        }
    }
    return r < 0 ? r : error < 0 ? error : n;
}

int vfs_mend(struct vfs *v)
{
    return intents_mend(v);
}

static bool has_work_locked(const struct vfs *v)
{
    for (const struct intent_known *k = v->locked.intents; k != NULL; k = k->next)
        if (!k->is_ours && !k->is_old && k->what != NULL)
            return true;
    return false;
}

static void *run(void *arg)
{
    struct vfs *v = arg;

    origin_set(ORIGIN_MEND);
    lock_take(&v->tree);
    while (!v->locked.intents_end) {
        if (!has_work_locked(v)) {
            cond_wait(&v->intents_due, &v->tree);
            continue;
        }
        lock_drop(&v->tree);
        (void)intents_mend(v);
        lock_take(&v->tree);
        if (!v->locked.intents_end && has_work_locked(v))
            (void)cond_wait_ms(&v->intents_due, &v->tree, v->conf.mend_ns / NS_PER_MS);
    }
    lock_drop(&v->tree);
    return NULL;
}

void intents_wake(struct vfs *v)
{
    if (v->conf.mend_ns == 0 || v->conf.read_only)
        return;
    lock_take(&v->tree);
    if (!v->locked.intents_are_mended && !v->locked.intents_end && has_work_locked(v))
        v->locked.intents_are_mended = pthread_create(&v->intents_thread, NULL, run, v) == 0;
    else
        cond_signal(&v->intents_due);
    lock_drop(&v->tree);
}
