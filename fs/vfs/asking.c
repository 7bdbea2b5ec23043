/* SPDX-License-Identifier: Apache-2.0 */
/* VFS-4: what was asked of the bucket before a local change of the same name is no news. Every
 * question registers itself while it is under way, and every local change tells those that it
 * concerns. */
#include "absent.h"
#include "internal.h"

#include <stdlib.h>
#include <string.h>

void asking_begin_locked(struct vfs *v, struct asking *a, const struct inode *dir, const char *name)
{
    *a = (struct asking){.dir = dir, .name = name, .next = v->locked.asking};
    v->locked.asking = a;
}

void asking_end_locked(struct vfs *v, struct asking *a)
{
    struct asking **p = &v->locked.asking;

    while (*p != a)
        p = &(*p)->next;
    *p = a->next;
}

void asking_done(struct asking *a)
{
    while (a->changes != NULL) {
        struct asking_change *c = a->changes;

        a->changes = c->next;
        free(c);
    }
}

#define CHANGES_MAX 1000 /* a LIST may hang for as long as its prefix is sick */

static void note_change(struct asking *a, const char *name, bool exists, bool is_dir)
{
    size_t n = strlen(name) + 1;
    struct asking_change *c;

    for (c = a->changes; c != NULL; c = c->next) {
        if (strcmp(c->name, name) == 0) {
            c->exists = exists;
            c->is_dir = is_dir;
            return;
        }
    }
    c = a->n_changes < CHANGES_MAX ? malloc(sizeof(*c) + n) : NULL;
    if (c == NULL) { /* the answer is good for who asked, but not to be kept */
        a->is_stale = true;
        asking_done(a);
        return;
    }
    a->n_changes++;
    c->exists = exists;
    c->is_dir = is_dir;
    memcpy(c->name, name, n);
    c->next = a->changes;
    a->changes = c;
}

void names_changed_locked(struct vfs *v, const struct inode *dir, const char *name, bool exists,
                          bool is_dir)
{
    absent_forget_locked(v, dir, name);
    for (struct asking *a = v->locked.asking; a != NULL; a = a->next) {
        if (a->dir != dir)
            continue;
        if (a->name == NULL)
            note_change(a, name, exists, is_dir);
        else if (strcmp(a->name, name) == 0)
            a->is_stale = true;
    }
}

void names_moved_locked(struct vfs *v)
{
    absent_forget_all_locked(v);
    for (struct asking *a = v->locked.asking; a != NULL; a = a->next)
        a->is_stale = true;
}
