/* SPDX-License-Identifier: Apache-2.0 */
#include "compose.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/str.h"
#include "base/sys.h"
#include "coord/session.h"
#include "mountpoint.h"

#define FOLD_NS (1 * NS_PER_S) /* from a close to the rename: most temporary names live for less */
#define FINISH_AGE_NS (7 * 24 * 3600 * NS_PER_S) /* another mount's rename, left unfinished */
#define CACHE_SIZE_DEFAULT (UINT64_C(10) << 30)
#define CACHE_SIZE_MIN (UINT64_C(64) << 20)

/* A cache or a bucket below the mount point would be read through itself. */
static int check_places(const struct config *c)
{
    if (path_is_within(c->cache_dir, c->mountpoint))
        return err_set(-EINVAL, "cache_dir %s is inside the mount point %s", c->cache_dir, c->mountpoint);
    if (c->kind == CONFIG_DIR &&
        (path_is_within(c->path, c->mountpoint) || path_is_within(c->mountpoint, c->path)))
        return err_set(-EINVAL, "%s and the mount point %s are inside each other", c->source, c->mountpoint);
    if (c->kind == CONFIG_DIR &&
        (path_is_within(c->cache_dir, c->path) || path_is_within(c->path, c->cache_dir)))
        return err_set(-EINVAL, "%s and cache_dir %s are inside each other", c->source, c->cache_dir);
    return 0;
}

static int open_cache(struct compose *m)
{
    const struct config *c = m->config;
    struct cache_conf conf = {.dir = c->cache_dir, .source = m->source_id, .max_bytes = c->cache_size,
                              .min_free = c->cache_free, .held_fd = m->lock_fd};
    uint64_t free_bytes, total;
    int r = sys_mkdirs(c->cache_dir, 0700);

    if (r == 0)
        r = sys_free_bytes(c->cache_dir, &free_bytes, &total);
    if (r < 0)
        return err_set(r, "cache_dir %s: %s", c->cache_dir, strerror(-r));
    if (!config_given(c, "cache_free"))
        conf.min_free = total / 20;
    if (!config_given(c, "cache_size")) {
        conf.max_bytes = free_bytes / 2 < CACHE_SIZE_DEFAULT ? free_bytes / 2 : CACHE_SIZE_DEFAULT;
        if (conf.max_bytes < CACHE_SIZE_MIN)
            conf.max_bytes = CACHE_SIZE_MIN;
    }
    m->cache_limit = conf.max_bytes;
    r = cache_new(&conf, &m->cache);
    if (r == 0)
        r = cache_start(m->cache);
    m->cache_started = r == 0;
    return r;
}

static int open_bytes(struct compose *m)
{
    struct data_conf data = {.mem_limit = m->memory.fetches,
                             .whole_max = m->memory.fetch_max,
                             .range_size = m->memory.fetch_max};
    struct upload_conf upload = {.caps = m->caps,
                                 .soft_ns = config_soft_timeout_ns(m->config),
                                 .mem_limit = m->memory.bodies,
                                 .weak_refuse = m->config->weak == CONFIG_WEAK_REFUSE};
    unsigned char random[16];
    int r = data_new(&data, m->store, m->cache, &m->data);

    if (r < 0)
        return r;
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_set(-EIO, "no random bytes");
    str_hex(random, sizeof(random), upload.writer);
    return upload_new(&upload, m->store, &m->upload);
}

/* A table that can't be written says so itself (TABLE-2): then nobody goes on with it. */
static void note_session(void *arg, const char *id)
{
    const struct table_item item = {.kind = VFS_KEEP_SESSION, .data = id, .len = 32};

    (void)!table_write(arg, &item, 1);
}

static int open_coord(struct compose *m)
{
    struct coord_conf conf = {.state_prefix = m->config->state_prefix, .caps = m->caps};
    _cleanup_free_ void *old = NULL;
    char id[33] = "";
    size_t len;

    if (m->table != NULL) {
        conf.session_note = note_session;
        conf.session_note_arg = m->table;
        if (table_get(m->table, VFS_KEEP_SESSION, 0, &old, &len) == 0 && len == sizeof(id) - 1)
            memcpy(id, old, len);
        err_clear();
        conf.session_id = id[0] != '\0' ? id : NULL;
    }
    return coord_new(&conf, m->store, &m->coord);
}

/* The mount lives: what the daemon before this one knew, and what it was at in the bucket. */
static int take_over(struct compose *m)
{
    if (!m->config->read_only && m->caps.put_absent && m->caps.put_match && session_resume(m->coord) < 0)
        log_warn("takeover.session", "cause=%s effect=\"what it holds waits until the bucket answers\"",
                 LOG_Q(err_text()));
    return vfs_takeover(m->vfs);
}

/* May locks be held in the bucket? */
static bool can_lock(const struct compose *m)
{
    if (m->config->read_only || m->config->local_lock == CONFIG_LOCK_ALL)
        return false; /* nothing is ever sent to the bucket, or it is not wanted */
    if (m->caps.put_absent && m->caps.put_match)
        return true;
    log_warn("mount.locks", "source=%s effect=\"locks hold on this mount only: the server's PUT has no conditions\"",
             LOG_Q(m->config->source));
    return false;
}

/* What an earlier mount has left unsent is sent by any mount of the bucket with this cache, in whatever mode. */
static int open_journal(struct compose *m)
{
    bool is_needed = m->config->commit != CONFIG_COMMIT_CLOSE;
    struct journal_stats s = {0};
    struct statfs fs;
    int r = journal_open(m->cache, &m->journal);

    if (r < 0 && !is_needed) {
        log_warn("journal.open", "cache_dir=%s cause=%s", LOG_Q(m->config->cache_dir), LOG_Q(err_text()));
        return 0;
    }
    if (r < 0)
        return r;
    if (is_needed && statfs(m->config->cache_dir, &fs) == 0 && fs.f_type == TMPFS_MAGIC)
        log_warn("mount.local", "cache_dir=%s effect=\"the cache is in memory: what was closed and not sent is lost "
                                "when this machine stops\"", LOG_Q(m->config->cache_dir));
    journal_stats_get(m->journal, &s);
    m->has_unsent = s.entries > 0;
    return 0;
}

/* Before the mount is used where it writes nothing to its journal itself. */
static int send_left_over(struct compose *m)
{
    struct vfs_unsent u = {0};
    int r = vfs_replay(m->vfs);

    if (r < 0 || !m->has_unsent)
        return r;
    if (vfs_unsent_get(m->vfs, 1, &u) == 0)
        log_info("local.replay", "files=%" PRIu64 " bytes=%" PRIu64 " unread=%" PRIu64, u.files, u.bytes, u.unread);
    vfs_unsent_done(&u);
    if (m->config->commit != CONFIG_COMMIT_CLOSE)
        return 0;
    if (vfs_drain(m->vfs) < 0) /* it goes on trying */
        log_warn("local.replay", "cause=%s", LOG_Q(err_text()));
    return 0;
}

static int open_front(struct compose *m, void (*ready)(void *arg), void *ready_arg)
{
    const struct config *c = m->config;
    bool between = can_lock(m);
    struct front_conf conf = {
        .mountpoint = c->mountpoint,
        .fd = c->fuse_fd,
        .source = c->fsname != NULL ? c->fsname : c->source,
        .subtype = c->nosubtype ? NULL : "s3efs",
        .read_only = c->read_only,
        .allow_other = c->allow_other,
        .default_permissions = c->default_permissions,
        .no_xattr = c->nouser_xattr,
        .posix_locks = between && c->local_lock != CONFIG_LOCK_POSIX,
        .flock_locks = between && c->local_lock != CONFIG_LOCK_FLOCK,
        .extra_options = c->kernel_options,
        .takeover = c->takeover,
        .fuse_fd = m->fuse_fd,
        .requests_fd = m->requests_fd,
        .tellers = m->tellers,
        .passthrough = c->passthrough,
        .threads = c->threads,
        .max_request = m->memory.request,
        .replies_max = m->memory.replies,
        .ready = ready,
        .ready_arg = ready_arg,
    };

    return front_new(&conf, &m->front);
}

static int open_vfs(struct compose *m)
{
    static const enum vfs_excl excl[] = {[CONFIG_EXCL_OPEN] = VFS_EXCL_OPEN,
                                         [CONFIG_EXCL_STRICT] = VFS_EXCL_STRICT,
                                         [CONFIG_EXCL_CLOSE] = VFS_EXCL_CLOSE};
    static const enum vfs_commit commit[] = {[CONFIG_COMMIT_CLOSE] = VFS_COMMIT_CLOSE,
                                             [CONFIG_COMMIT_LOCAL] = VFS_COMMIT_LOCAL,
                                             [CONFIG_COMMIT_FSYNC] = VFS_COMMIT_FSYNC};
    const struct config *c = m->config;
    struct vfs_conf conf = {
        .prefix = c->prefix,
        .uid = c->uid,
        .gid = c->gid,
        .file_mode = c->file_mode,
        .dir_mode = c->dir_mode,
        .read_only = c->read_only,
        .acregmin_ns = c->acregmin_s * NS_PER_S,
        .acregmax_ns = c->acregmax_s * NS_PER_S,
        .acdirmin_ns = c->acdirmin_s * NS_PER_S,
        .acdirmax_ns = c->acdirmax_s * NS_PER_S,
        .nocto = c->nocto,
        .lookup_always = c->lookupcache == CONFIG_LOOKUP_NONE,
        .sync_writes = c->noac,
        .commit = commit[c->commit],
        .table = m->table,
        .journal = m->journal,
        .fold_ns = FOLD_NS,
        .flush_after_ns = c->flush_after_s * NS_PER_S,
        .soft_ns = config_soft_timeout_ns(c),
        .excl = excl[c->excl],
        .enforces_user = c->posix_user != NULL,
        .user = {.uid = c->user.uid, .gid = c->user.gid, .n_groups = c->user.n_groups},
        .makes_root = c->root_creation != NULL,
        .root_uid = c->root.uid,
        .root_gid = c->root.gid,
        .root_mode = c->root.mode,
        .no_devices = c->devices == CONFIG_DEVICES_REFUSE,
        .mend_ns = m->front != NULL ? 10 * NS_PER_S : 0, /* a check does so itself */
        .finish_age_ns = m->front != NULL ? FINISH_AGE_NS : 0,
        .caps = m->caps,
        .invalidate = m->front != NULL ? front_invalidate : NULL,
        .invalidate_arg = m->front,
        .backing_open = m->front != NULL && c->passthrough ? front_backing_open : NULL,
        .backing_close = front_backing_close,
        .backing_arg = m->front,
        .names_max = m->memory.names,
        .unsent_max = m->memory.unsent,
        .lists_max = m->memory.lists,
        .names_many = m->front != NULL ? front_prune : NULL,
        .names_many_arg = m->front,
    };

    for (size_t i = 0; i < c->user.n_groups; i++)
        conf.user.groups[i] = c->user.groups[i];
    return vfs_new(&conf, m->store, m->cache, m->data, m->upload, m->coord, &m->vfs);
}

int compose_open(struct compose *m, const struct config *c, void (*ready)(void *arg), void *ready_arg)
{
    bool is_taken = c->takeover && m->fuse_fd >= 0;
    int r = check_places(c);

    origin_set(ORIGIN_MOUNT);
    m->config = c;
    memplan(c->mem_limit, c->threads, &m->memory);
    m->started_ns = clock_boot_ns();
    if (r == 0)
        r = compose_store(m);
    if (r == 0 && !is_taken)
        r = compose_check_bucket(m);
    if (r == 0)
        r = open_cache(m);
    crash_point("mount.cache_open");
    if (r == 0 && c->takeover)
        r = table_open(m->cache, !is_taken, &m->table);
    else if (r == 0)
        table_remove(m->cache);
    if (r == 0)
        r = open_journal(m);
    if (r == 0)
        r = compose_probe(m);
    crash_point("mount.probed");
    if (r == 0)
        r = open_bytes(m);
    if (r == 0)
        r = open_coord(m);
    if (r == 0)
        r = open_front(m, ready, ready_arg);
    if (r == 0)
        r = open_vfs(m);
    if (r == 0)
        r = is_taken ? take_over(m) : send_left_over(m);
    crash_point("mount.replayed");
    return r;
}

int compose_open_check(struct compose *m, const struct config *c)
{
    int r;

    m->config = c;
    memplan(c->mem_limit, c->threads, &m->memory);
    m->started_ns = clock_boot_ns();
    r = compose_store(m);
    if (r == 0)
        r = compose_check_bucket(m);
    if (r == 0)
        r = compose_probe(m);
    return r == 0 ? open_coord(m) : r;
}

int compose_open_mender(struct compose *m)
{
    int r = open_cache(m);

    if (r == 0)
        r = open_bytes(m);
    return r == 0 ? open_vfs(m) : r;
}

void compose_close(struct compose *m)
{
    if (m->vfs != NULL)
        vfs_stop(m->vfs); /* its threads tell the front */
    front_free(m->front);
    front_tellers_free(m->tellers);
    vfs_free(m->vfs);
    coord_free(m->coord);
    if (m->upload != NULL)
        upload_free(m->upload);
    if (m->data != NULL)
        data_free(m->data);
    journal_close(m->journal);
    table_close(m->table);
    if (m->cache_started)
        cache_stop(m->cache);
    if (m->cache != NULL)
        cache_free(m->cache);
    if (m->store != NULL) {
        store_stop(m->store);
        store_free(m->store);
    }
    if (m->cred != NULL)
        cred_free(m->cred);
    if (m->http != NULL) {
        http_stop(m->http);
        http_free(m->http);
    }
    if (m->meter != NULL)
        meter_free(m->meter);
    secret_free(m->sse_c_key);
    free(m->source_id);
    *m = (struct compose){0};
}
