/* SPDX-License-Identifier: Apache-2.0 */
/* Commits that were reported as failed although they may have taken effect, or may yet: the reply was lost and the
 * bucket could not be asked. When the next commit of the same key finds such a mark in the bucket, it is this
 * mount's own earlier try and not a foreign writer. In memory: after a restart there is no commit to retry. */
#include <string.h>

#include "internal.h"

#define DOUBTS_MAX 4096 /* beyond it the oldest is forgotten: its file then sees a conflict, and loses nothing */

struct doubt {
    struct doubt *next; /* newest first */
    char mark[64];
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

void doubt_add(struct upload *u, const char *key, const char *mark)
{
    size_t n = strlen(key) + 1;
    struct doubt *x = calloc(1, sizeof(*x) + n);
    if (!x)
        return;
    memcpy(x->key, key, n);
    memcpy(x->mark, mark, strnlen(mark, sizeof(x->mark) - 1));
    lock_take(&u->lock);
    x->next = u->locked.doubts;
    u->locked.doubts = x;
    if (++u->locked.n_doubts > DOUBTS_MAX)
        drop_oldest_locked(u);
    lock_drop(&u->lock);
}

bool doubt_has(struct upload *u, const char *key, const char *mark)
{
    lock_take(&u->lock);
    struct doubt *x = u->locked.doubts;
    while (x && !(strcmp(x->key, key) == 0 && strcmp(x->mark, mark) == 0))
        x = x->next;
    lock_drop(&u->lock);
    return x != NULL;
}

void doubt_clear(struct upload *u, const char *key)
{
    lock_take(&u->lock);
    for (struct doubt **p = &u->locked.doubts; *p;) {
        struct doubt *x = *p;
        if (key && strcmp(x->key, key) != 0) {
            p = &x->next;
            continue;
        }
        *p = x->next;
        u->locked.n_doubts--;
        free(x);
    }
    lock_drop(&u->lock);
}
