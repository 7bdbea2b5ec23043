/* SPDX-License-Identifier: Apache-2.0 */
/* A listing in memory: its entries in one array, their texts one behind the other in a few large
 * pieces, which go back to the system when it is done with. */
#include "cache/cache.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MIN ((size_t)4 << 10)
#define TEXT_MAX ((size_t)2 << 20)

struct cache_text {
    struct cache_text *next; /* older */
    size_t used, size;
    char bytes[];
};

void cache_listing_done(struct cache_listing *l)
{
    struct cache_text *next;

    for (struct cache_text *t = l->text; t != NULL; t = next) {
        next = t->next;
        free(t);
    }
    free(l->v);
    *l = (struct cache_listing){0};
}

/* Room for so many bytes of text, or NULL. Each piece is twice the last one. */
static char *text_add(struct cache_listing *l, size_t len)
{
    struct cache_text *t = l->text;
    size_t size;

    if (t == NULL || t->size - t->used < len) {
        size = t == NULL ? TEXT_MIN : t->size < TEXT_MAX ? 2 * t->size : TEXT_MAX;
        if (size < len)
            size = len;
        t = malloc(sizeof(*t) + size);
        if (t == NULL)
            return NULL;
        *t = (struct cache_text){.next = l->text, .size = size};
        l->text = t;
    }
    t->used += len;
    return t->bytes + t->used - len;
}

struct cache_dirent *cache_listing_add(struct cache_listing *l, const char *name, size_t name_len,
                                       const char *etag)
{
    size_t etag_size = strlen(etag) + 1;
    struct cache_dirent *v;
    char *text;

    if (l->n == l->cap) {
        size_t cap = l->cap != 0 ? 2 * l->cap : 64;

        v = reallocarray(l->v, cap, sizeof(*v));
        if (v == NULL)
            return NULL;
        l->v = v;
        l->cap = cap;
    }
    text = text_add(l, name_len + 1 + etag_size);
    if (text == NULL)
        return NULL;
    memcpy(text, name, name_len);
    text[name_len] = '\0';
    memcpy(text + name_len + 1, etag, etag_size);
    l->v[l->n] = (struct cache_dirent){.name = text, .etag = text + name_len + 1};
    return &l->v[l->n++];
}

size_t cache_listing_memory(const struct cache_listing *l)
{
    size_t sum = l->cap * sizeof(*l->v);

    for (const struct cache_text *t = l->text; t != NULL; t = t->next)
        sum += sizeof(*t) + t->size;
    return sum;
}
