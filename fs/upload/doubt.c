/* SPDX-License-Identifier: Apache-2.0 */
/* Commits that were reported as failed although they may have taken effect, or may yet: the reply was lost and the
 * bucket could not be asked. When the next commit of the same key finds such a mark in the bucket, it is this
 * mount's own earlier try and not a foreign writer. In memory: after a restart there is no commit to retry but those
 * of a journal, which says its doubts again (upload_doubt). */
#include <string.h>

#include "internal.h"

#define DOUBTS_MAX 4096 /* beyond it the oldest is forgotten: its file then sees a conflict, and loses nothing */

struct doubt {
    struct doubt *next; /* newest first */
    char mark[MARK_SIZE];
    const struct data_file *file; /* compared only, with the change of its bytes and its base */
    uint64_t change;
    struct store_etag base;
    char key[];
};

static void drop_oldest_locked(struct upload *u)
{
    struct doubt **p = &u->locked.doubts;
    while (*p && (*p)->next)
        p = &(*p)->next;
    free(*p);
    *p = NULL;
    u->locked.n_doubts--;
}

static struct doubt *doubt_new(const char *key, const char *mark)
{
    size_t n = strlen(key) + 1;
    struct doubt *x = calloc(1, sizeof(*x) + n);
    if (x) {
        memcpy(x->key, key, n);
        memcpy(x->mark, mark, strnlen(mark, sizeof(x->mark) - 1));
    }
    return x;
}

static void add(struct upload *u, struct doubt *x)
{
    lock_take(&u->lock);
    x->next = u->locked.doubts;
    u->locked.doubts = x;
    if (++u->locked.n_doubts > DOUBTS_MAX)
        drop_oldest_locked(u);
    lock_drop(&u->lock);
}

void doubt_add(struct job *j)
{
    struct doubt *x = doubt_new(j->req->key, j->mark);
    if (!x)
        return;
    x->file = j->req->file;
    x->change = j->change;
    x->base = j->base;
    add(j->u, x);
}

void upload_doubt(struct upload *u, const char *key, const char *mark)
{
    struct doubt *x = doubt_new(key, mark);
    if (x)
        add(u, x);
}

void upload_disown(struct upload *u, const char *key, struct data_file *file, const struct store_obj *now)
{
    const struct upload_req req = {.key = key, .file = file};
    struct job j = {.u = u, .req = &req, .base = data_base_etag(file), .change = data_change(file)};
    struct marks m;
    marks_parse(store_hdrs_get(&now->hdrs, COMMIT_HDR), &m);
    if (m.n == 0)
        return;
    memcpy(j.mark, m.v[0], sizeof(j.mark));
    doubt_add(&j);
}

static enum doubt_outcome judge(const struct job *j, const struct marks *there, const struct doubt *x)
{
    if (!marks_have(there, x->mark) || marks_have(&j->base_marks, x->mark))
        return DOUBT_OPEN;
    if (strcmp(there->v[0], x->mark) == 0)
        return DOUBT_TOP;
    bool is_same = x->file == j->req->file && x->change == j->change && store_etag_equal(&x->base, &j->base);
    return is_same ? DOUBT_SAME : DOUBT_OTHER;
}

enum doubt_outcome doubt_find(struct job *j, const struct marks *there)
{
    struct upload *u = j->u;
    enum doubt_outcome found = DOUBT_NONE;
    lock_take(&u->lock);
    for (struct doubt *x = u->locked.doubts; x && found <= DOUBT_OPEN; x = x->next)
        if (strcmp(x->key, j->req->key) == 0)
            found = judge(j, there, x);
    lock_drop(&u->lock);
    return found;
}

bool doubt_has(struct job *j, const char *mark)
{
    bool has = false;
    lock_take(&j->u->lock);
    for (struct doubt *x = j->u->locked.doubts; x && !has; x = x->next)
        has = strcmp(x->key, j->req->key) == 0 && strcmp(x->mark, mark) == 0;
    lock_drop(&j->u->lock);
    return has;
}

static void drop_locked(struct upload *u, struct doubt **p)
{
    struct doubt *x = *p;
    *p = x->next;
    u->locked.n_doubts--;
    free(x);
}

void doubt_clear(struct upload *u, const char *key)
{
    lock_take(&u->lock);
    for (struct doubt **p = &u->locked.doubts; *p;) {
        if (key && strcmp((*p)->key, key) != 0)
            p = &(*p)->next;
        else
            drop_locked(u, p);
    }
    lock_drop(&u->lock);
}

void upload_forget(struct upload *u, const struct data_file *file)
{
    lock_take(&u->lock);
    for (struct doubt **p = &u->locked.doubts; *p;) {
        if ((*p)->file != file)
            p = &(*p)->next;
        else
            drop_locked(u, p);
    }
    lock_drop(&u->lock);
}
