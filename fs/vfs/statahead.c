/* SPDX-License-Identifier: Apache-2.0 */
#include "statahead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ahead.h"
#include "base/clock.h"
#include "base/str.h"
#include "removal.h"
#include "validate.h"

#define WALKS 8
#define IDLE_WALKS 2 /* in one directory, that got nowhere so far */
#define PAGE_NAMES 1000 /* of a LIST */
#define LIST_KNOWN 16   /* a LIST costs as much as 12.5 HEADs */
#define LOOK_MOST 512 /* names of a listing, at once */

/* One HEAD, from its sending until somebody took the answer or nobody wants it any more. */
struct question {
    struct question *next;
    struct statahead *of;
    struct asking asking;
    const struct ahead_walk *walk; /* for whom it was sent */
    uint64_t dir;                  /* its node */
    char *key;
    const char *name; /* the end of key */
    int64_t sent_ns;
    bool was_known; /* an inode had the name when it was sent */
    struct store_req req;
    struct store_rsp rsp;
    bool is_done, is_left; /* the leaf lock's, and: */
    int result;
};

struct statahead {
    struct ahead_walk walks[WALKS]; /* v->tree's, */
    uint64_t clock;
    struct question *first; /* that somebody may come for */
    unsigned n;
    struct lock lk;
    struct cond cond;
    unsigned n_flight; /* lk's */
};

int statahead_new(struct statahead **ret)
{
    struct statahead *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return -ENOMEM;
    lock_init(&s->lk, LOCK_LEAF);
    cond_init(&s->cond);
    *ret = s;
    return 0;
}

void statahead_free(struct statahead *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < WALKS; i++)
        ahead_done(&s->walks[i]);
    cond_done(&s->cond);
    lock_done(&s->lk);
    free(s);
}

static void question_free(struct question *q)
{
    store_rsp_done(&q->rsp);
    free(q->key);
    free(q);
}

static void question_done(void *arg, int result)
{
    struct question *q = arg;
    struct statahead *s = q->of;
    bool is_left;

    lock_take(&s->lk);
    q->result = result;
    q->is_done = true;
    is_left = q->is_left;
    s->n_flight--;
    cond_broadcast(&s->cond);
    lock_drop(&s->lk);
    if (is_left)
        question_free(q);
}

static void unlink_locked(struct statahead *s, struct question **at)
{
    *at = (*at)->next;
    s->n--;
}

/* Nobody wants the answer; q is not in the list any more. */
static void leave_locked(struct vfs *v, struct question *q)
{
    struct statahead *s = q->of;
    bool is_done;

    asking_end_locked(v, &q->asking);
    lock_take(&s->lk);
    is_done = q->is_done;
    q->is_left = true;
    lock_drop(&s->lk);
    if (is_done)
        question_free(q);
}

static void leave_at_locked(struct vfs *v, struct question **at)
{
    struct question *q = *at;

    unlink_locked(v->ahead, at);
    leave_locked(v, q);
}

void statahead_stop(struct vfs *v)
{
    struct statahead *s = v->ahead;

    if (s == NULL)
        return;
    lock_take(&v->tree);
    while (s->first != NULL)
        leave_at_locked(v, &s->first);
    lock_drop(&v->tree);
    lock_take(&s->lk);
    while (s->n_flight > 0)
        cond_wait(&s->cond, &s->lk);
    lock_drop(&s->lk);
}

void statahead_forget_locked(struct vfs *v, const struct inode *dir, const char *name)
{
    struct statahead *s = v->ahead;

    for (struct question *q = s != NULL ? s->first : NULL; q != NULL; q = q->next)
        if (q->dir == dir->node && strcmp(q->name, name) == 0)
            atomic_store(&q->asking.is_stale, true);
}

void statahead_gone_locked(struct vfs *v, const struct inode *dir)
{
    struct question **at = v->ahead != NULL ? &v->ahead->first : NULL;

    while (at != NULL && *at != NULL) {
        if ((*at)->asking.dir == dir)
            leave_at_locked(v, at);
        else
            at = &(*at)->next;
    }
}

/* --- which names come next --- */

/* The walk that was last at this name. */
static struct ahead_walk *walk_at_locked(struct statahead *s, uint64_t dir, const char *name)
{
    for (struct ahead_walk *w = s->walks; w < s->walks + WALKS; w++)
        if (w->dir == dir && strcmp(w->last, name) == 0)
            return w;
    return NULL;
}

/* The one that was last at a name before this one, and next to it. */
static struct ahead_walk *walk_before_locked(struct statahead *s, uint64_t dir, const char *name)
{
    struct ahead_walk *found = NULL;

    for (struct ahead_walk *w = s->walks; w < s->walks + WALKS; w++)
        if (w->dir == dir && strcmp(w->last, name) < 0 &&
            (found == NULL || strcmp(w->last, found->last) > 0))
            found = w;
    return found;
}

/* Those for a walk, before this name (NULL: all). */
static void leave_passed_locked(struct vfs *v, const struct ahead_walk *w, const char *name)
{
    struct question **at = &v->ahead->first;

    while (*at != NULL) {
        if ((*at)->walk == w && (name == NULL || strcmp((*at)->name, name) < 0))
            leave_at_locked(v, at);
        else
            at = &(*at)->next;
    }
}

/* A lookup that continues no walk may be the first of another, which takes the place of one that
 * got nowhere, if the directory has several, or of the one that was left the longest time ago. */
static void walk_begin_locked(struct vfs *v, uint64_t dir, const char *name)
{
    struct statahead *s = v->ahead;
    struct ahead_walk *oldest = s->walks, *idle = NULL, *old;
    unsigned n_idle = 0;

    for (struct ahead_walk *w = s->walks; w < s->walks + WALKS; w++) {
        if (w->used < oldest->used)
            oldest = w;
        if (w->dir != dir || w->window > 0)
            continue;
        n_idle++;
        if (idle == NULL || w->used < idle->used)
            idle = w;
    }
    old = n_idle >= IDLE_WALKS ? idle : oldest;
    leave_passed_locked(v, old, NULL);
    ahead_begin(old, dir, name);
    old->used = ++s->clock;
}

struct naming {
    const struct vfs *v;
    struct ahead_walk *walk;
    int64_t now;
    unsigned seen;
};

/* What is known of well enough is not looked up, or not here. */
static bool add_name(void *arg, const struct cache_list_name *n)
{
    struct naming *a = arg;

    if (++a->seen > LOOK_MOST) {
        a->walk->is_end = false;
        return false;
    }
    if (n->has_hdrs && validate_is_fresh(a->now, n->checked_ns, a->v->conf.acregmin_ns))
        return true;
    return ahead_names_add(a->walk, n->name, !n->is_prefix);
}

/* What the directory's listing has behind walk->last, or behind the last page for a name that is. Where the walk begins,
 * it was read just now. */
static void take_names(struct vfs *v, const char *dir_key, struct ahead_walk *walk,
                       const char *name)
{
    int64_t now = clock_boot_ns(), since = walk->window == 0 ? now - v->conf.acdirmin_ns : 0;
    struct naming a = {.v = v, .walk = walk, .now = now};

    ahead_names_begin(walk);
    if (cache_list_after(v->cache, dir_key, since > 0 ? since : 0, ahead_from(walk, name), add_name, &a) != 0)
        ahead_names_begin(walk);
}

/* *more becomes what *w knows, if that is still where it was. */
static void install_locked(struct statahead *s, struct ahead_walk *more, const char *was_at)
{
    struct ahead_walk *w = walk_at_locked(s, more->dir, was_at);

    if (w == NULL) {
        ahead_done(more);
        return;
    }
    ahead_done(w);
    *w = *more;
    w->used = ++s->clock;
}

/* A lookup of this name: is it one of a walk in its directory? */
static bool go_on(struct vfs *v, struct inode *dir, const char *name)
{
    struct statahead *s = v->ahead;
    char dir_key[VFS_KEY_MAX + 2], was_at[VFS_NAME_MAX + 1];
    struct ahead_walk more = {0}, *w;
    bool is_next = false, is_short = true;
    int r;

    lock_take(&v->tree);
    for (w = s->walks; w < s->walks + WALKS && !is_next; w++)
        is_next = w->dir == dir->node && ahead_step(w, name);
    w = is_next ? w - 1 : walk_before_locked(s, dir->node, name);
    if (is_next) {
        w->used = ++s->clock;
        is_short = ahead_is_short(w);
    }
    r = inode_key_locked(v, dir, NULL, dir_key);
    if (w != NULL && is_short) {
        more.dir = w->dir;
        more.window = w->window;
        more.listed_ns = w->listed_ns;
        memcpy(more.end, w->end, sizeof(more.end));
        memcpy(more.last, w->last, sizeof(more.last));
        memcpy(was_at, w->last, sizeof(was_at));
    }
    lock_drop(&v->tree);
    if (is_next && !is_short)
        return true;
    if (more.dir != 0 && r == 0) {
        take_names(v, dir_key, &more, name);
        is_next = is_next || ahead_step(&more, name);
    }
    lock_take(&v->tree);
    if (is_next) {
        install_locked(s, &more, was_at);
    } else {
        ahead_done(&more);
        walk_begin_locked(v, dir->node, name);
    }
    lock_drop(&v->tree);
    return is_next;
}

/* --- asking --- */

static bool is_asked_locked(const struct vfs *v, const struct inode *dir, const char *name)
{
    for (const struct asking *a = v->locked.asking; a != NULL; a = a->next)
        if (a->dir == dir && a->name != NULL && strcmp(a->name, name) == 0)
            return true;
    return false;
}

/* What is known of the inode under the name does not forbid that an answer to what was asked at
 * sent_ns becomes its attributes. */
static bool may_become_locked(const struct inode *i, int64_t sent_ns)
{
    return !inode_is_dir(i) && !i->is_new && !i->is_dirty && !i->is_busy && i->n_open == 0 &&
           i->attr.link_gen == 0 && i->checked_ns != 0 && i->checked_ns < sent_ns;
}

/* NULL: not to be asked for, or no memory. */
static struct question *question_new_locked(struct vfs *v, const struct inode *dir,
                                            const char *name)
{
    const struct inode *i = inode_child_locked(v, dir, name);
    int64_t now = clock_boot_ns();
    char key[VFS_KEY_MAX + 2];
    struct question *q;

    if (name_check(name) < 0 || inode_key_locked(v, dir, name, key) < 0 ||
        strlen(key) > VFS_KEY_MAX || removal_stands_locked(v, key) || is_asked_locked(v, dir, name))
        return NULL;
    if (i != NULL &&
        (!may_become_locked(i, now) || dentry_is_fresh_locked(v, dentry_find_locked(v, dir, name))))
        return NULL;
    q = calloc(1, sizeof(*q));
    if (q != NULL)
        q->key = strdup(key);
    if (q == NULL || q->key == NULL) {
        free(q);
        return NULL;
    }
    q->of = v->ahead;
    q->dir = dir->node;
    q->name = q->key + strlen(key) - strlen(name);
    q->sent_ns = now;
    q->was_known = i != NULL;
    q->req =
        (struct store_req){.op = STORE_HEAD, .key = q->key, .deadline_ns = now + STATAHEAD_WAIT_NS};
    asking_begin_locked(v, &q->asking, dir, q->name);
    q->next = v->ahead->first;
    v->ahead->first = q;
    v->ahead->n++;
    return q;
}

/* Answers that are too old for anybody to come for make room. */
static bool has_room_locked(struct vfs *v)
{
    struct question **at = &v->ahead->first;
    int64_t now = clock_boot_ns();

    while (v->ahead->n >= STATAHEAD_MOST && *at != NULL) {
        if (validate_is_fresh(now, (*at)->sent_ns, v->conf.acregmin_ns))
            at = &(*at)->next;
        else
            leave_at_locked(v, at);
    }
    return v->ahead->n < STATAHEAD_MOST;
}

/* Of the walk that is at this name now. */
static struct question *next_question(struct vfs *v, struct inode *dir, const char *name)
{
    struct question *q = NULL;
    const struct ahead_name *n;
    struct ahead_walk *w;

    lock_take(&v->tree);
    w = walk_at_locked(v->ahead, dir->node, name);
    while (q == NULL && w != NULL && has_room_locked(v) && (n = ahead_next(w)) != NULL)
        q = question_new_locked(v, dir, n->name);
    if (q != NULL)
        q->walk = w;
    lock_drop(&v->tree);
    return q;
}

/* A page of a LIST in the place of HEADs: where so many of the names that it brings were known, which is what it may
 * confirm. */
struct weighing {
    const struct vfs *v;
    int64_t now;
    unsigned all, known;
};

static bool weigh(void *arg, const struct cache_list_name *n)
{
    struct weighing *g = arg;

    g->known +=
        n->has_hdrs && !validate_is_fresh(g->now, n->checked_ns, g->v->conf.acregmin_ns);
    return g->known < LIST_KNOWN && ++g->all < PAGE_NAMES;
}

static bool list_pays(struct vfs *v, const char *dir_key, const char *name)
{
    struct weighing g = {.v = v, .now = clock_boot_ns()};

    return cache_list_after(v->cache, dir_key, 0, name, weigh, &g) == 0 && g.known >= LIST_KNOWN;
}

/* Of the walk that is at this name now. true: a page behind it was listed. */
static bool list_instead(struct vfs *v, struct inode *dir, const char *name)
{
    int64_t began = clock_boot_ns();
    char dir_key[VFS_KEY_MAX + 2];
    struct listing_page page;
    struct ahead_walk *w;
    bool may;

    lock_take(&v->tree);
    w = walk_at_locked(v->ahead, dir->node, name);
    may = w != NULL && inode_key_locked(v, dir, NULL, dir_key) == 0 &&
          ahead_may_list(w, began, v->conf.acregmin_ns);
    lock_drop(&v->tree);
    if (!may || !list_pays(v, dir_key, name) || listing_confirm(v, dir, name, &page) != 0)
        return false;
    lock_take(&v->tree);
    w = walk_at_locked(v->ahead, dir->node, name);
    if (w != NULL)
        ahead_listed(w, page.last, began, clock_boot_ns(), v->conf.acregmin_ns);
    lock_drop(&v->tree);
    return true;
}

static void send_more(struct vfs *v, struct inode *dir, const char *name)
{
    struct question *q;

    intents_glance(v);
    while ((q = next_question(v, dir, name)) != NULL) {
        lock_take(&v->ahead->lk);
        v->ahead->n_flight++;
        lock_drop(&v->ahead->lk);
        store_submit(v->store, &q->req, &q->rsp, question_done, q);
    }
}

/* --- answers --- */

static bool is_usable_locked(struct vfs *v, const struct inode *dir, const struct question *q)
{
    const struct inode *i = inode_child_locked(v, dir, q->name);

    return !q->asking.is_stale && (i != NULL) == q->was_known &&
           (i == NULL || may_become_locked(i, q->sent_ns));
}

/* The question for this name becomes the caller's, if its answer is one for a lookup of now. Else
 * it is left. */
static struct question *claim_locked(struct vfs *v, struct inode *dir, const char *name)
{
    struct question **at = &v->ahead->first, *q;

    while (*at != NULL && ((*at)->dir != dir->node || strcmp((*at)->name, name) != 0))
        at = &(*at)->next;
    q = *at;
    if (q == NULL)
        return NULL;
    unlink_locked(v->ahead, at);
    if (validate_is_fresh(clock_boot_ns(), q->sent_ns, v->conf.acregmin_ns) &&
        is_usable_locked(v, dir, q))
        return q;
    leave_locked(v, q);
    return NULL;
}

/* Consumes q. */
static bool take_answer(struct vfs *v, struct inode *dir, struct question *q, struct found *ret)
{
    struct statahead *s = q->of;
    struct ahead_walk *w;
    bool is_answer;

    lock_assert_may_block();
    lock_take(&s->lk);
    while (!q->is_done)
        cond_wait(&s->cond, &s->lk);
    lock_drop(&s->lk);
    lock_take(&v->tree);
    is_answer = q->result == 0 && is_usable_locked(v, dir, q);
    w = walk_at_locked(s, q->dir, q->name);
    if (!is_answer && w != NULL)
        ahead_hit(w, false);
    asking_end_locked(v, &q->asking);
    lock_drop(&v->tree);
    if (is_answer) {
        found_done(ret);
        ret->obj = q->rsp.obj;
        q->rsp.obj = (struct store_obj){0};
        ret->has_obj = true;
        ret->checked_ns = q->sent_ns;
    }
    question_free(q);
    return is_answer;
}

bool statahead_answer(struct vfs *v, struct inode *dir, const char *name, struct found *ret)
{
    struct question *mine;
    struct ahead_walk *w;
    bool is_walk;

    if (v->ahead == NULL || v->conf.acregmin_ns == 0)
        return false;
    is_walk = go_on(v, dir, name);
    lock_take(&v->tree);
    mine = claim_locked(v, dir, name);
    w = walk_at_locked(v->ahead, dir->node, name);
    if (w != NULL)
        leave_passed_locked(v, w, name);
    if (mine != NULL && w != NULL)
        ahead_hit(w, true);
    lock_drop(&v->tree);
    if (is_walk && !list_instead(v, dir, name))
        send_more(v, dir, name);
    return mine != NULL && take_answer(v, dir, mine, ret);
}
