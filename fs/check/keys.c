/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys no mount can show, and why. Pure. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "internal.h"

#define NAME_MAX_BYTES 255
#define KEY_MAX_BYTES 1024

static const char *component_fault(const char *p, size_t len)
{
    if (len == 0)
        return "a component of the key is empty (\"//\", or a slash at its start)";
    if (len == 1 && p[0] == '.')
        return "a component of the key is \".\"";
    if (len == 2 && p[0] == '.' && p[1] == '.')
        return "a component of the key is \"..\"";
    if (len > NAME_MAX_BYTES)
        return "a component of the key is longer than 255 bytes";
    return NULL;
}

const char *check_key_fault(const char *key)
{
    const char *p = key, *fault = NULL;

    if (strlen(key) > KEY_MAX_BYTES)
        return "the key is longer than 1024 bytes";
    while (*p != '\0' && fault == NULL) { /* a slash at the end is a directory's */
        size_t len = strcspn(p, "/");

        fault = component_fault(p, len);
        p += len + (p[len] == '/');
    }
    return fault;
}

void key_stack_done(struct key_stack *s)
{
    while (s->n > 0)
        free(s->v[--s->n].key);
    free(s->v);
    *s = (struct key_stack){0};
}

static int push(struct key_stack *s, const char *key)
{
    if (s->n == s->cap) {
        size_t cap = s->cap != 0 ? 2 * s->cap : 16;
        struct key_file *v = reallocarray(s->v, cap, sizeof(*v));

        if (v == NULL)
            return err_set(-ENOMEM, "out of memory");
        s->v = v;
        s->cap = cap;
    }
    s->v[s->n] = (struct key_file){.key = strdup(key)};
    return s->v[s->n].key != NULL ? (s->n++, 0) : err_set(-ENOMEM, "out of memory");
}

/* All keys that begin with a file's name follow each other; "a-b" stands between "a" and "a/". */
int key_stack_next(struct key_stack *s, const char *key, void (*told)(void *arg, const char *file),
                   void *arg)
{
    while (s->n > 0 && !str_starts(key, s->v[s->n - 1].key))
        free(s->v[--s->n].key);
    for (size_t i = 0; i < s->n; i++) {
        struct key_file *f = &s->v[i];

        if (f->is_told || key[strlen(f->key)] != '/')
            continue;
        f->is_told = true;
        told(arg, f->key);
    }
    return str_ends(key, "/") ? 0 : push(s, key);
}
