/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's folder of bytes, and what leaves it for lost+found. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "jrn.h"
#include "stage.h"

void jrn_file_path(const struct journal *j, uint64_t seq, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%.*s/%" PRIu64, PATH_MAX - 32, j->files, seq);
}

bool jrn_file_seq(const char *name, uint64_t *ret)
{
    return name[0] >= '1' && name[0] <= '9' && str_u64(name, 10, ret) == 0;
}

int jrn_sync_folder(const char *path)
{
    _cleanup_close_ int fd = sys_open(path, O_RDONLY | O_DIRECTORY, 0);
    int r = fd < 0 ? fd : sys_fsync(fd);

    return r < 0 ? err_set(r, "journal: %s: %s", path, strerror(-r)) : 0;
}

int jrn_make_folders(struct journal *j)
{
    int r = sys_mkdirs(j->files, 0700);

    if (r == 0) {
        j->files_fd = sys_open(j->files, O_RDONLY | O_DIRECTORY, 0);
        r = j->files_fd < 0 ? j->files_fd : 0;
    }
    return r < 0 ? err_set(r, "journal: %s: %s", j->files, strerror(-r)) : 0;
}

/* The folders' own names, up to the root: some may have been made a moment ago. Above the cache
 * directory a folder may be one that we can't open. */
int jrn_sync_folders(const struct journal *j)
{
    char path[PATH_MAX];
    int r = jrn_sync_folder(j->files);

    if (r == 0)
        r = jrn_sync_folder(j->dir);
    if (r == 0)
        r = jrn_sync_folder(j->cache->dir);
    snprintf(path, sizeof(path), "%s", j->cache->dir);
    for (char *slash; r == 0 && (slash = strrchr(path, '/')) != NULL && slash != path;) {
        *slash = '\0';
        (void)!jrn_sync_folder(path);
    }
    return r;
}

static int keep(struct journal *j, struct cache_stage *s, const char *name, const char *why)
{
    _cleanup_free_ char *path = NULL;
    int r = cache_stage_keep(s, name, why, &path);

    if (r < 0)
        return r;
    j->locked.lost++; /* at the start: nobody else is here */
    log_warn("journal.lost", "what=%s why=%s kept=%s", LOG_Q(name), LOG_Q(why), LOG_Q(path));
    return 0;
}

int jrn_keep_file(struct journal *j, const char *path, const char *name, const char *why)
{
    struct cache_stage *s = calloc(1, sizeof(*s));
    int r, fd;

    if (s == NULL)
        return err_set(-ENOMEM, "journal: out of memory");
    s->cache = j->cache;
    s->path = strdup(path);
    fd = s->path != NULL ? sys_open(path, O_RDONLY | O_NOFOLLOW, 0) : -ENOMEM;
    cache_stage_opened(s, fd);
    r = fd < 0 ? err_set(fd, "journal: %s: %s", path, strerror(-fd)) : keep(j, s, name, why);
    if (r < 0) {
        cache_stage_close(s);
        free(s->path); /* the file stays where it is */
        free(s);
    }
    return r;
}

int jrn_keep_bytes(struct journal *j, const void *p, size_t n, const char *name, const char *why)
{
    struct cache_stage *s;
    int r = cache_stage_new(j->cache, &s);

    if (r < 0)
        return r;
    r = sys_pwrite_all(cache_stage_fd(s), p, n, 0);
    if (r < 0)
        err_set(r, "journal: a record can't be kept: %s", strerror(-r));
    else
        r = keep(j, s, name, why);
    if (r < 0)
        cache_stage_free(s);
    return r;
}
