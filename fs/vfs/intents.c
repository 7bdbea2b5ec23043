/* SPDX-License-Identifier: Apache-2.0 */
/* What this mount knows of renames under way, its own and others'. It shows a directory that moves
 * under exactly one of its names, and finishes what dead mounts left behind.
 *
 * What it costs: nothing for who renames nothing and looks nothing up. A lookup or listing that
 * goes to the bucket lists the intents first, at most once in acdirmin (one LIST), and reads those
 * that it does not know. Only while a rename of another mount stands, a thread looks every mend_ns.
 */
#include "rename.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "intents.h"

#define READ_MAX 256 /* files' records that are read at one look; directories' all are */

static struct intent_known **find_locked(struct vfs *v, const char *name)
{
    struct intent_known **p = &v->locked.intents;

    while (*p != NULL && strcmp((*p)->name, name) != 0)
        p = &(*p)->next;
    return p;
}

bool intents_is_hiding(const struct intent_known *k)
{
    return k->what != NULL && k->what->is_dir && !k->what->is_target && intent_stands(k->what);
}

/* What it said; free() it. */
static struct intent *take_locked(struct vfs *v, struct intent_known **p)
{
    struct intent_known *k = *p;
    struct intent *what;

    *p = k->next;
    if (intents_is_hiding(k))
        atomic_fetch_sub(&v->intents_hiding, 1);
    what = k->what;
    free(k);
    return what;
}

static void remove_locked(struct vfs *v, struct intent_known **p)
{
    free(take_locked(v, p));
}

/* The parent of a key, in place. */
static void to_parent(char *key)
{
    size_t n = strlen(key);

    if (n > 0)
        key[--n] = '\0';
    while (n > 0 && key[n - 1] != '/')
        key[--n] = '\0';
}

void intents_drop_lists(struct vfs *v, const struct intent *i)
{
    char key[INTENT_KEY_MAX + 1];

    if (!i->is_dir)
        return;
    for (int n = 0; n < 4; n++) {
        memcpy(key, n < 2 ? i->from : i->to, sizeof(key));
        if (n % 2 == 1)
            to_parent(key);
        cache_list_drop(v->cache, key);
    }
}

/* Puts a record in, in place of what was known of it. */
int intents_note(struct vfs *v, const char *name, const struct intent *what,
                 const struct store_etag *etag, bool is_ours)
{
    struct intent_known *k = calloc(1, sizeof(*k)), **old;
    bool keep = is_ours || intent_stands(what), is_busy;

    if (k == NULL)
        return err_set(-ENOMEM, "no memory for an intent");
    if (keep) {
        k->what = malloc(sizeof(*k->what));
        if (k->what == NULL) {
            free(k);
            return err_set(-ENOMEM, "no memory for an intent");
        }
        *k->what = *what;
    }
    memcpy(k->name, name, sizeof(k->name));
    k->etag = *etag;
    k->since_ns = clock_boot_ns();
    k->is_ours = is_ours;
    lock_take(&v->tree);
    k->seen = v->locked.intents_looks;
    old = find_locked(v, name);
    is_busy = *old != NULL && (*old)->is_ours;
    if (!is_busy) {
        if (*old != NULL)
            remove_locked(v, old);
        k->next = v->locked.intents;
        v->locked.intents = k;
        if (intents_is_hiding(k))
            atomic_fetch_add(&v->intents_hiding, 1);
    }
    lock_drop(&v->tree);
    if (is_busy) {
        free(k->what);
        free(k);
        return RENAME_AGAIN;
    }
    intents_drop_lists(v, what);
    return 0;
}

void intents_forget(struct vfs *v, const char *name)
{
    struct intent_known **p;

    lock_take(&v->tree);
    p = find_locked(v, name);
    if (*p != NULL)
        remove_locked(v, p);
    lock_drop(&v->tree);
}

int intents_over(struct vfs *v, const char *name, const struct store_etag *etag)
{
    _cleanup_free_ struct intent *what = NULL;
    struct intent_known **p;

    lock_take(&v->tree);
    p = find_locked(v, name);
    if (*p != NULL && !(*p)->is_ours && store_etag_equal(&(*p)->etag, etag))
        what = take_locked(v, p);
    lock_drop(&v->tree);
    if (what != NULL)
        intents_drop_lists(v, what);
    return 0;
}

struct intent_known *intents_of_locked(struct vfs *v, const struct intent_claim *cl)
{
    char name[INTENT_NAME_SIZE];

    intent_name(cl->what.from, cl->what.is_dir, name);
    return *find_locked(v, name);
}

bool intents_are_at_it(struct vfs *v, const struct intent *i)
{
    bool found = false;

    lock_take(&v->tree);
    for (const struct intent_known *k = v->locked.intents; k != NULL; k = k->next)
        found = found || (k->is_ours && k->what != NULL && strcmp(k->what->from, i->from) == 0 &&
                          strcmp(k->what->to, i->to) == 0);
    lock_drop(&v->tree);
    return found;
}

bool intents_are_left_here(struct vfs *v, const char *name, const struct store_etag *etag)
{
    const struct intent_known *k;
    bool is_left;

    lock_take(&v->tree);
    k = *find_locked(v, name);
    is_left = k != NULL && k->is_left && store_etag_equal(&k->etag, etag);
    lock_drop(&v->tree);
    return is_left;
}

void intents_done(struct vfs *v)
{
    bool has_thread;

    lock_take(&v->tree);
    v->locked.intents_end = true;
    has_thread = v->locked.intents_are_mended;
    cond_broadcast(&v->intents_due);
    lock_drop(&v->tree);
    if (has_thread)
        pthread_join(v->intents_thread, NULL);
    while (v->locked.intents != NULL)
        remove_locked(v, &v->locked.intents);
    cond_done(&v->intents_due);
}

/* --- our own --- */

int intents_claim(struct vfs *v, struct intent_claim *cl)
{
    const struct store_etag none = {""};
    struct intent_known *k;
    struct intent other;
    char name[INTENT_NAME_SIZE];
    int r;

    if (!v->conf.caps.put_absent || !v->conf.caps.put_match)
        return 0; /* records can't be swapped there: a rename is copies and deletions, as it was */
    cl->what.state = INTENT_CLAIMED;
    intent_name(cl->what.from, cl->what.is_dir, name);
    r = intents_note(v, name, &cl->what, &none, true);
    if (r != 0)
        return r;
    r = intent_claim(v->coord, cl, &other);
    if (r != 0) {
        intents_forget(v, name);
        return r == INTENT_BUSY ? RENAME_AGAIN : r;
    }
    lock_take(&v->tree);
    k = intents_of_locked(v, cl);
    *k->what = cl->what;
    lock_drop(&v->tree);
    return 0;
}

int intents_advance(struct vfs *v, struct intent_claim *cl, enum intent_state state)
{
    return cl->has_session ? intent_advance(v->coord, cl, state) : 0;
}

void intents_show_locked(struct vfs *v, const struct intent_claim *cl)
{
    struct intent_known *k = cl->has_session ? intents_of_locked(v, cl) : NULL;

    if (k != NULL && k->what != NULL)
        k->what->state = cl->what.state;
}

/* Somebody will have to finish it: we, at the next look, or who sees our session end. */
static void leave(struct vfs *v, const struct intent_claim *cl, const struct store_etag *etag)
{
    struct intent_known *k;

    log_warn("rename.unfinished", "from=%s to=%s cause=%s", LOG_Q(cl->what.from),
             LOG_Q(cl->what.to), LOG_Q(err_text()));
    lock_take(&v->tree);
    k = intents_of_locked(v, cl);
    if (k != NULL) {
        k->is_ours = false;
        k->is_left = true;
        k->etag = *etag;
    }
    lock_drop(&v->tree);
    intents_wake(v);
}

static void end(struct vfs *v, struct intent_claim *cl, int r, bool leave_tombstone)
{
    struct store_etag etag = cl->source_rec;
    struct err_copy cause;
    char name[INTENT_NAME_SIZE];

    if (!cl->has_session)
        return;
    err_copy(&cause);
    intents_drop_lists(v, &cl->what);
    intent_name(cl->what.from, cl->what.is_dir, name);
    if (r == 0)
        r = intent_finish(v->coord, cl, leave_tombstone);
    else
        intent_leave(v->coord, cl);
    if (r == 0)
        intents_forget(v, name);
    else
        leave(v, cl, &etag);
    err_restore(&cause);
}

void intents_end(struct vfs *v, struct intent_claim *cl, int r)
{
    end(v, cl, r, !v->conf.caps.delete_match);
}

void intents_withdraw(struct vfs *v, struct intent_claim *cl)
{
    end(v, cl, 0, false);
}

void intents_progress(struct vfs *v, const struct intent_claim *cl, uint64_t all)
{
    struct intent_known *k;

    lock_take(&v->tree);
    k = cl->has_session ? intents_of_locked(v, cl) : NULL;
    if (k != NULL)
        k->n_all = all;
    lock_drop(&v->tree);
}

void intents_step(struct vfs *v, const struct intent_claim *cl)
{
    struct intent_known *k;

    lock_take(&v->tree);
    k = cl->has_session ? intents_of_locked(v, cl) : NULL;
    if (k != NULL)
        k->n_done++;
    lock_drop(&v->tree);
}

void intents_stats_locked(struct vfs *v, struct vfs_stats *ret)
{
    for (const struct intent_known *k = v->locked.intents; k != NULL; k = k->next) {
        if (k->what == NULL || k->what->is_target)
            continue;
        ret->renames++;
        if (k->is_ours && k->what->is_dir) {
            ret->moved_done += k->n_done;
            ret->moved_all += k->n_all;
        }
    }
}

/* --- a look at the bucket --- */

struct news {
    struct vfs *v;
    struct {
        char name[INTENT_NAME_SIZE];
        struct store_etag etag;
    } * all;
    size_t n, cap, n_files;
    uint64_t look;
};

static int note_record(void *arg, const char *name, const struct store_etag *etag)
{
    struct news *w = arg;
    struct intent_known *k;
    bool known, is_file = !str_starts(name, "intents/dirs/");

    if (strlen(name) >= INTENT_NAME_SIZE)
        return 0;
    lock_take(&w->v->tree);
    k = *find_locked(w->v, name);
    known = k != NULL && (k->is_ours || store_etag_equal(&k->etag, etag));
    if (k != NULL && k->seen < w->look)
        k->seen = w->look;
    lock_drop(&w->v->tree);
    if (known || (is_file && w->n_files >= READ_MAX))
        return 0;
    if (w->n == w->cap) {
        size_t cap = w->cap != 0 ? 2 * w->cap : 16;
        void *more = realloc(w->all, cap * sizeof(*w->all));

        if (more == NULL)
            return -ENOMEM;
        w->all = more;
        w->cap = cap;
    }
    memcpy(w->all[w->n].name, name, strlen(name) + 1);
    w->all[w->n++].etag = *etag;
    w->n_files += is_file;
    return 0;
}

/* What is not there any more is over; what came since was not listed, and is read the next time. Looks may
 * overlap: what a later one has not come to yet was seen by an earlier one. */
static struct intent *forget_one(struct vfs *v, uint64_t look, bool *ret_found)
{
    struct intent *what = NULL;

    *ret_found = false;
    lock_take(&v->tree);
    for (struct intent_known **p = &v->locked.intents; *p != NULL && !*ret_found;) {
        if ((*p)->seen >= look || (*p)->is_ours) {
            p = &(*p)->next;
            continue;
        }
        *ret_found = true;
        what = take_locked(v, p);
    }
    lock_drop(&v->tree);
    return what;
}

/* Listings that were made while one of a directory's names was hidden are no news any more. */
static void forget_unseen(struct vfs *v, uint64_t look)
{
    bool found = true;

    while (found) {
        _cleanup_free_ struct intent *what = forget_one(v, look, &found);

        if (what != NULL)
            intents_drop_lists(v, what);
    }
}

/* Renames outside of what is mounted here are for those who see it. */
static bool is_elsewhere(const struct vfs *v, const struct intent *i)
{
    return !str_starts(i->from, v->prefix) || !str_starts(i->to, v->prefix);
}

int intents_look(struct vfs *v)
{
    struct news w = {.v = v};
    int r;

    lock_take(&v->tree);
    w.look = ++v->locked.intents_looks;
    lock_drop(&v->tree);
    r = intent_list(v->coord, false, note_record, &w);
    for (size_t n = 0; r == 0 && n < w.n; n++) {
        struct intent i;
        struct store_etag etag = w.all[n].etag;

        r = intent_read(v->coord, w.all[n].name, &i, &etag);
        if (r == -EBADMSG) { /* a later version's, perhaps: left alone */
            r = 0;
            continue;
        }
        if (r == 0 && !(intent_stands(&i) && is_elsewhere(v, &i)))
            r = intents_note(v, w.all[n].name, &i, &etag, false);
        r = r == RENAME_AGAIN ? 0 : r;
    }
    if (r == 0)
        forget_unseen(v, w.look);
    free(w.all);
    intents_wake(v);
    return r;
}

void intents_glance(struct vfs *v)
{
    int64_t now = clock_boot_ns(), every = v->conf.acdirmin_ns;
    bool due;

    if (v->conf.mend_ns == 0)
        return;
    if (every < v->conf.mend_ns)
        every = v->conf.mend_ns;
    lock_take(&v->tree);
    due = v->locked.intents_looked_ns == 0 || now - v->locked.intents_looked_ns >= every;
    if (due)
        v->locked.intents_looked_ns = now;
    lock_drop(&v->tree);
    if (due && intents_look(v) < 0)
        log_debug("intents.look", "cause=%s", LOG_Q(err_text())); /* then the next one */
}
