/* SPDX-License-Identifier: Apache-2.0 */
/* A directory's link count is 2 and one for each directory in it (".." there), as far as they are
 * known here: those that were made, moved and removed on this mount, corrected by each listing. No
 * request is made for it; a directory that was never listed here shows at least 2. */
#include "internal.h"

void subdirs_add_locked(struct inode *dir)
{
    dir->n_subdirs++;
    dir->subdirs_change++;
}

void subdirs_remove_locked(struct inode *dir)
{
    if (dir->n_subdirs > 0)
        dir->n_subdirs--;
    dir->subdirs_change++;
}

void subdirs_listed_locked(struct inode *dir, const struct cache_listing *l, unsigned change)
{
    unsigned n = 0;

    if (dir->subdirs_change != change)
        return; /* one came or went while the bucket was asked: what is known here is newer */
    for (size_t i = 0; i < l->n; i++)
        n += l->v[i].is_prefix;
    dir->n_subdirs = n;
}
