/* SPDX-License-Identifier: Apache-2.0 */
#include "side.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "mountstats.h"
#include "text.h"

#define MOUNTSTATS "/proc/self/mountstats"
#define MOUNTSTATS_MAX (32u << 20)
#define FUSE_MAGIC 0x65735546

static void json_freep(json_t **j)
{
    json_decref(*j);
}

/* --- what is asked --- */

static int ask_json(struct side *s, const char *line, json_t **ret)
{
    _cleanup_free_ char *text = NULL;
    int r = s->env->ask(s->env->arg, s->mountpoint, line, &text);

    if (r < 0)
        return r;
    *ret = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    return *ret != NULL ? 0 : err_set(-EBADMSG, "%s: the daemon's answer is no JSON", s->shown);
}

static int count_s3efs(struct side *s, struct counts *ret)
{
    _cleanup_(json_freep) json_t *drained = NULL, *status = NULL;
    const char *kind;
    json_t *requests, *n;
    int r = ask_json(s, "drain json", &drained);

    if (r == 0 && !json_is_true(json_object_get(drained, "sent")))
        r = err_set(-EIO, "%s: what was written can't be sent: %s", s->shown,
                    json_string_value(json_object_get(drained, "error")));
    if (r == 0)
        r = ask_json(s, "status json", &status);
    if (r < 0)
        return r;
    requests = json_object_get(status, "requests");
    if (!json_is_object(requests))
        return err_set(-EBADMSG, "%s: the daemon's status has no requests", s->shown);
    json_object_foreach(requests, kind, n)
    {
        if (r == 0 && json_integer_value(n) > 0)
            r = counts_put(ret, kind, (uint64_t)json_integer_value(n), 0);
    }
    ret->bytes_up = (uint64_t)json_integer_value(json_object_get(status, "bytes_up"));
    ret->bytes_down = (uint64_t)json_integer_value(json_object_get(status, "bytes_down"));
    return r;
}

static int read_mountstats(const struct side *s, struct buf *out)
{
    const char *path = s->mountstats != NULL ? s->mountstats : MOUNTSTATS;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    char piece[16384];
    ssize_t n = -1;

    while (fd >= 0 && (n = read(fd, piece, sizeof(piece))) > 0)
        (void)buf_add(out, piece, (size_t)n);
    if (n < 0)
        return err_set(-errno, "%s: %s", path, strerror(errno));
    return buf_failed(out) ? err_set(out->error, "%s: too long", path) : 0;
}

static int count_nfs(struct side *s, struct counts *ret)
{
    _cleanup_buf_ struct buf text = BUF_INIT(MOUNTSTATS_MAX);
    int r = read_mountstats(s, &text);

    return r < 0 ? r : mountstats_parse(buf_str(&text), s->mountpoint, ret);
}

int side_count(struct side *s, struct counts *ret)
{
    *ret = (struct counts){0};
    if (s->kind == SIDE_OTHER)
        return err_set(-EOPNOTSUPP, "%s: nobody counts there", s->shown);
    return s->kind == SIDE_S3EFS ? count_s3efs(s, ret) : count_nfs(s, ret);
}

/* --- what it is --- */

/* Cuts a canonical path to its parent; false: it was "/". */
static bool to_parent(char *path)
{
    char *slash = strrchr(path, '/');

    if (slash == NULL || path[1] == '\0')
        return false;
    slash[slash == path ? 1 : 0] = '\0';
    return true;
}

/* The topmost directory above path that is on the same device. */
static char *mount_of(const char *path)
{
    char *at = strdup(path), *up = strdup(path);
    struct stat st, above;

    if (at != NULL && up != NULL && stat(path, &st) == 0) {
        while (to_parent(up) && stat(up, &above) == 0 && above.st_dev == st.st_dev)
            memcpy(at, up, strlen(up) + 1);
    }
    free(up);
    return at;
}

static int look_s3efs(struct side *s)
{
    _cleanup_(json_freep) json_t *status = NULL;
    const char *source;
    int r;

    s->mountpoint = mount_of(s->path);
    if (s->mountpoint == NULL)
        return err_set(-ENOMEM, "out of memory");
    r = ask_json(s, "status json", &status);
    if (r < 0)
        return r;
    s->kind = SIDE_S3EFS;
    snprintf(s->fstype, sizeof(s->fstype), "s3efs");
    source = json_string_value(json_object_get(status, "source"));
    text_shown(s->source, sizeof(s->source), source != NULL ? source : "");
    return 0;
}

/* The nearest directory above that mountstats has as NFS. */
static int look_nfs(struct side *s)
{
    _cleanup_buf_ struct buf text = BUF_INIT(MOUNTSTATS_MAX);
    int r = read_mountstats(s, &text);

    s->mountpoint = strdup(s->path);
    if (s->mountpoint == NULL)
        return err_set(-ENOMEM, "out of memory");
    if (r < 0)
        return r;
    do {
        struct counts c;

        r = mountstats_parse(buf_str(&text), s->mountpoint, &c);
    } while (r == -ENOENT && to_parent(s->mountpoint));
    if (r < 0)
        return r;
    s->kind = SIDE_NFS;
    snprintf(s->fstype, sizeof(s->fstype), "nfs");
    return 0;
}

static const char *magic_name(unsigned long magic)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } names[] = {{EXT4_SUPER_MAGIC, "ext4"},
                 {TMPFS_MAGIC, "tmpfs"},
                 {OVERLAYFS_SUPER_MAGIC, "overlay"},
                 {0x58465342, "xfs"},
                 {BTRFS_SUPER_MAGIC, "btrfs"},
                 {FUSE_MAGIC, "fuse"},
                 {NFS_SUPER_MAGIC, "nfs"}};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].magic == magic)
            return names[i].name;
    return NULL;
}

static int look(struct side *s)
{
    struct statfs st;
    unsigned long magic;
    int r = -ENOENT;

    if (statfs(s->path, &st) != 0)
        return err_set(-errno, "%s: %s", s->shown, strerror(errno));
    magic = (unsigned long)st.f_type & 0xffffffff;
    s->kind = SIDE_OTHER;
    if (magic_name(magic) != NULL)
        snprintf(s->fstype, sizeof(s->fstype), "%s", magic_name(magic));
    else
        snprintf(s->fstype, sizeof(s->fstype), "0x%lx", magic);
    if (magic == FUSE_MAGIC) {
        r = look_s3efs(s);
        if (r < 0)
            text_shown(s->uncounted, sizeof(s->uncounted), err_text());
    } else if (magic == NFS_SUPER_MAGIC || s->mountstats != NULL)
        r = look_nfs(s);
    /* A FUSE of another kind has no daemon of ours, and that is no fault; an NFS that can't be
     * counted is. */
    if (r < 0 && magic == NFS_SUPER_MAGIC)
        return r;
    return r == -ENOMEM ? r : 0;
}

int side_open(struct side *s, const char *dir, const char *mountstats,
              const struct compare_env *env, size_t n_steps)
{
    struct stat st;

    *s = (struct side){.mountstats = mountstats, .env = env, .place = {.fd = -1}};
    text_shown(s->shown, sizeof(s->shown), dir);
    s->path = realpath(dir, NULL);
    if (s->path == NULL || stat(s->path, &st) != 0)
        return err_set(-errno, "%s: %s", s->shown, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(-ENOTDIR, "%s: not a directory", s->shown);
    s->step = calloc(n_steps, sizeof(*s->step));
    if (s->step == NULL)
        return err_set(-ENOMEM, "out of memory");
    return look(s);
}

void side_close(struct side *s)
{
    place_done(&s->place);
    free(s->path);
    free(s->mountpoint);
    free(s->step);
    *s = (struct side){.place = {.fd = -1}};
}
