/* SPDX-License-Identifier: Apache-2.0 */
/* See cache/table.h: staged files that are kept, by number. */
#include "tabledir.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"
#include "base/sys.h"
#include "stage.h"

void table_path(const struct table *t, const char *name, char ret[PATH_MAX])
{
    (void)snprintf(ret, PATH_MAX, "%.*s/%.200s", PATH_MAX - 210, t->dir, name);
}

static void stage_path(const struct table *t, uint64_t id, char ret[PATH_MAX])
{
    char name[32];

    (void)snprintf(name, sizeof(name), "f%llu", (unsigned long long)id);
    table_path(t, name, ret);
}

void table_look_at_stages(struct table *t, bool fresh)
{
    DIR *d = opendir(t->dir);
    const struct dirent *e;

    while (d != NULL && (e = readdir(d)) != NULL) {
        char path[PATH_MAX];
        uint64_t id;

        if (e->d_name[0] != 'f' || str_u64(e->d_name + 1, 10, &id) < 0)
            continue;
        table_path(t, e->d_name, path);
        if (fresh)
            (void)!sys_unlink(path);
        else if (id >= t->next_file)
            t->next_file = id + 1;
    }
    if (d != NULL)
        closedir(d);
}

static int link_stage_locked(struct table *t, const struct cache_stage *s, uint64_t *ret_id)
{
    char path[PATH_MAX];

    if (t->env == NULL)
        return -EIO;
    *ret_id = t->next_file++;
    stage_path(t, *ret_id, path);
    return s->path != NULL ? sys_link(s->path, path) : -ENOENT;
}

int table_stage_keep(struct table *t, struct cache_stage *s, uint64_t *ret_id)
{
    char path[PATH_MAX];
    uint64_t id = 0;
    int r;

    *ret_id = s->kept;
    if (s->kept != 0) {
        stage_path(t, s->kept, path);
        if (access(path, F_OK) == 0) /* it may have been dropped meanwhile, while nothing of it counted */
            return 0;
    }
    lock_take(&t->lock);
    r = link_stage_locked(t, s, &id);
    lock_drop(&t->lock);
    if (r < 0)
        return err_set(r, "takeover table: staged bytes can't be kept: %s", strerror(-r));
    *ret_id = s->kept = id;
    return 0;
}

bool table_stage_is_kept(const struct cache_stage *s)
{
    return s->kept != 0;
}

int table_stage_get(struct table *t, uint64_t id, struct cache_stage **ret)
{
    char path[PATH_MAX];

    int r;

    stage_path(t, id, path);
    r = cache_stage_of(t->cache, path, 0, ret);
    if (r == 0)
        (*ret)->kept = id;
    return r;
}

void table_stage_drop(struct table *t, uint64_t id)
{
    char path[PATH_MAX];

    stage_path(t, id, path);
    (void)!sys_unlink(path);
}
