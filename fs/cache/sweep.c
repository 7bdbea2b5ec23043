/* SPDX-License-Identifier: Apache-2.0 */
/* What the evict thread clears away: trash, and block files that the index does not know (a kill
 * between the file and the record leaves them, and so does an index that had to begin anew). */
#include "priv.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "layout.h"

/* Calls fn with each entry of a directory; fn false ends it. */
static void each_entry(const char *path,
                       bool (*fn)(struct cache *c, const char *path, const char *name),
                       struct cache *c)
{
    DIR *d = opendir(path);
    struct dirent *e;

    if (d == NULL)
        return;
    while (!cache_evict_stopping(c) && (e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && !fn(c, path, e->d_name))
            break;
    closedir(d);
}

static bool join(char ret[PATH_MAX], const char *path, const char *name)
{
    return snprintf(ret, PATH_MAX, "%s/%s", path, name) < PATH_MAX;
}

static bool remove_entry(struct cache *c, const char *path, const char *name)
{
    char child[PATH_MAX];

    (void)c;
    if (join(child, path, name))
        (void)layout_remove_tree(child);
    return true;
}

/* One level down first, so that a stop need not wait for a whole cache to be removed. */
static bool remove_by_parts(struct cache *c, const char *path, const char *name)
{
    char child[PATH_MAX];

    if (join(child, path, name)) {
        each_entry(child, remove_entry, c);
        if (!cache_evict_stopping(c))
            (void)layout_remove_tree(child);
    }
    return true;
}

void cache_sweep_trash(struct cache *c)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/trash", c->dir);
    each_entry(path, remove_by_parts, c);
}

static bool sweep_file(struct cache *c, const char *path, const char *name)
{
    struct cache_vkey v;
    uint64_t freed;
    int r;

    if (strlen(name) != 2 * CACHE_VKEY || str_unhex(name, v.b, sizeof(v.b)) < 0)
        return remove_entry(c, path, name);
    lock_take(cache_version_lock(c, &v)); /* a writer makes the file before the record */
    r = cache_version_known(c, &v);
    if (r == META_NONE)
        r = cache_version_remove(c, &v, &freed);
    lock_drop(cache_version_lock(c, &v));
    return r >= 0;
}

static bool sweep_folder(struct cache *c, const char *path, const char *name)
{
    char child[PATH_MAX];

    if (join(child, path, name))
        each_entry(child, sweep_file, c);
    return !meta_failed(c->meta);
}

void cache_sweep_orphans(struct cache *c)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/blocks", c->dir);
    each_entry(path, sweep_folder, c);
}
