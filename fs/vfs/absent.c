/* SPDX-License-Identifier: Apache-2.0 */
/* See absent.h. */
#include "absent.h"

#include <string.h>

#include "base/clock.h"
#include "base/macros.h"
#include "base/str.h"

/* The one place of this name; others of its place go. */
static struct absent *place_locked(struct vfs *v, const struct inode *dir, const char *name)
{
    uint64_t h = dir->ino;

    for (const char *p = name; *p != '\0'; p++)
        h = h * 31 + (unsigned char)*p;
    return &v->locked.absent[h % ARRAY_LEN(v->locked.absent)];
}

static bool is_of(const struct absent *a, const struct inode *dir, const char *name)
{
    return a->asked_ns != 0 && a->dir == dir->ino && strcmp(a->name, name) == 0;
}

void absent_note_locked(struct vfs *v, const struct inode *dir, const char *name, int64_t asked_ns)
{
    struct absent *a = place_locked(v, dir, name);

    *a = (struct absent){.dir = dir->ino};
    if (str_copy(a->name, sizeof(a->name), name) == 0)
        a->asked_ns = asked_ns;
}

bool absent_take_locked(struct vfs *v, const struct inode *dir, const char *name)
{
    struct absent *a = place_locked(v, dir, name);
    bool stands = is_of(a, dir, name) && clock_boot_ns() - a->asked_ns < v->conf.acregmin_ns &&
                  inode_child_locked(v, dir, name) == NULL;

    absent_forget_locked(v, dir, name);
    return stands;
}

void absent_forget_locked(struct vfs *v, const struct inode *dir, const char *name)
{
    struct absent *a = place_locked(v, dir, name);

    if (is_of(a, dir, name))
        a->asked_ns = 0;
}

void absent_forget_all_locked(struct vfs *v)
{
    for (size_t k = 0; k < ARRAY_LEN(v->locked.absent); k++)
        v->locked.absent[k].asked_ns = 0;
}
