/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for what reads answer: no more than was said is taken at once, who wants more waits. Nothing is held
 * meanwhile, and who has a buffer needs none of these again before it is given back. */
#include "internal.h"

#include <stdlib.h>

void replies_init(struct replies *p, uint64_t max)
{
    p->max = max;
    lock_init(&p->lock, LOCK_LEAF);
    cond_init(&p->room);
}

void replies_done(struct replies *p)
{
    cond_done(&p->room);
    lock_done(&p->lock);
}

static void give(struct replies *p, size_t size)
{
    lock_take(&p->lock);
    p->locked.used -= size;
    cond_broadcast(&p->room);
    lock_drop(&p->lock);
}

char *replies_take(struct replies *p, size_t size)
{
    char *data;

    lock_take(&p->lock);
    while (p->max != 0 && p->locked.used > 0 && p->locked.used + size > p->max)
        cond_wait(&p->room, &p->lock);
    p->locked.used += size;
    lock_drop(&p->lock);
    data = malloc(size > 0 ? size : 1);
    if (data == NULL)
        give(p, size);
    return data;
}

void replies_give(struct replies *p, char *data, size_t size)
{
    if (data == NULL)
        return;
    free(data);
    give(p, size);
}
