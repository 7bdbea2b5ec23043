/* SPDX-License-Identifier: Apache-2.0 */
/* DIR/state: "s3efs-index 1 BOOT open" or "s3efs-index 1 BOOT sealed CRC SIZE". */
#include "seal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/sys.h"
#include "apart.h"
#include "crc.h"
#include "meta.h"

#define STATE_MAX 256
#define COPY_SECONDS 120u

void seal_boot_id(char ret[SEAL_BOOT_MAX])
{
    _cleanup_free_ char *text = NULL;
    uint8_t random[16] = {0};
    size_t n;

    if (sys_read_file("/proc/sys/kernel/random/boot_id", SEAL_BOOT_MAX, &text, NULL) == 0) {
        n = strcspn(text, " \n");
        if (n > 0 && n < SEAL_BOOT_MAX) {
            memcpy(ret, text, n);
            ret[n] = '\0';
            return;
        }
    }
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        int64_t now[2] = {clock_wall_ns(), clock_boot_ns()};

        memcpy(random, now, sizeof(now));
    }
    str_hex(random, sizeof(random), ret);
}

uint64_t seal_boot_tag(const char *boot_id)
{
    uint64_t tag = str_hash(boot_id, strlen(boot_id));

    return tag != 0 ? tag : 1;
}

static int sync_parent(const char *path)
{
    _cleanup_free_ char *dir = strdup(path);
    _cleanup_close_ int fd = -1;
    char *slash;

    if (dir == NULL)
        return -ENOMEM;
    slash = strrchr(dir, '/');
    if (slash == NULL)
        return -EINVAL;
    *slash = '\0';
    fd = sys_open(dir, O_RDONLY | O_DIRECTORY, 0);
    return fd < 0 ? fd : sys_fsync(fd);
}

int seal_write_file(const char *path, const char *text)
{
    char tmp[PATH_MAX];
    int r;

    if (snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= (int)sizeof(tmp))
        return -ENAMETOOLONG;
    {
        _cleanup_close_ int fd = sys_open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);

        if (fd < 0)
            return fd;
        r = sys_write_all(fd, text, strlen(text));
        if (r == 0)
            r = sys_fsync(fd);
    }
    if (r == 0)
        r = sys_rename(tmp, path);
    if (r < 0) {
        (void)unlink(tmp);
        return r;
    }
    return sync_parent(path);
}

static bool file_in(char ret[PATH_MAX], const char *dir, const char *name)
{
    return snprintf(ret, PATH_MAX, "%s/%s", dir, name) < PATH_MAX;
}

static int crc_file(const char *dir, uint32_t *ret_crc, uint64_t *ret_size)
{
    const size_t unit = 1u << 20;
    _cleanup_free_ char *buf = malloc(unit);
    _cleanup_close_ int fd = -1;
    char path[PATH_MAX];
    uint64_t size = 0;
    uint32_t crc = 0;

    if (buf == NULL)
        return -ENOMEM;
    if (!file_in(path, dir, "data.mdb"))
        return -ENAMETOOLONG;
    fd = sys_open(path, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd;
    for (;;) {
        ssize_t n = sys_pread(fd, buf, unit, size);

        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        crc = cache_crc(crc, buf, (size_t)n);
        size += (uint64_t)n;
    }
    *ret_crc = crc;
    *ret_size = size;
    return 0;
}

struct copying {
    const char *from, *to;
};

/* In a child, which a damaged file may kill. */
static void copy_in_child(void *arg, int fd)
{
    const struct copying *c = arg;

    if (meta_copy(c->from, c->to) == 0)
        (void)!sys_write_all(fd, "k", 1);
}

static bool copy_apart(const char *from, const char *to)
{
    struct copying c = {.from = from, .to = to};
    struct apart a;
    char word = 0;
    bool ok;

    if (apart_start(&a, COPY_SECONDS, copy_in_child, &c) < 0)
        return false;
    ok = apart_read(&a, &word, 1) == 0 && word == 'k';
    (void)!apart_end(&a);
    return ok;
}

/* Puts a sound copy in the place of an index that was left open. */
static bool salvage(const char *meta)
{
    char copy[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
    bool ok;

    if (snprintf(copy, sizeof(copy), "%s.new", meta) >= (int)sizeof(copy) ||
        !file_in(from, copy, "data.mdb") || !file_in(to, meta, "data.mdb"))
        return false;
    (void)unlink(from); /* of a start that was killed */
    ok = sys_mkdirs(copy, 0700) == 0 && copy_apart(meta, copy) && sys_rename(from, to) == 0;
    (void)unlink(from);
    if (file_in(from, copy, "lock.mdb"))
        (void)unlink(from);
    (void)rmdir(copy);
    return ok;
}

enum seal_verdict seal_check(const struct seal_paths *p, const char *boot_id)
{
    _cleanup_free_ char *text = NULL;
    char boot[SEAL_BOOT_MAX], word[8], path[PATH_MAX];
    unsigned long long size;
    unsigned crc;
    uint32_t crc_now;
    uint64_t size_now;
    int n;

    if (!file_in(path, p->meta, "data.mdb") || access(path, F_OK) < 0)
        return SEAL_NEW;
    if (sys_read_file(p->state, STATE_MAX, &text, NULL) < 0)
        return SEAL_STALE;
    n = sscanf(text, "s3efs-index 1 %63s %7s %x %llu", boot, word, &crc, &size);
    if (n == 4 && strcmp(word, "sealed") == 0) {
        if (crc_file(p->meta, &crc_now, &size_now) < 0)
            return SEAL_BAD;
        return crc_now == crc && size_now == size ? SEAL_GOOD : SEAL_BAD;
    }
    if (n < 2 || strcmp(word, "open") != 0 || strcmp(boot, boot_id) != 0)
        return SEAL_STALE;
    return salvage(p->meta) ? SEAL_GOOD : SEAL_BAD;
}

int seal_break(const struct seal_paths *p, const char *boot_id)
{
    char text[STATE_MAX];
    int r;

    snprintf(text, sizeof(text), "s3efs-index 1 %s open\n", boot_id);
    r = seal_write_file(p->state, text);
    crash_point("cache.opened");
    return r;
}

int seal_close(const struct seal_paths *p, const char *boot_id)
{
    char text[STATE_MAX];
    uint64_t size;
    uint32_t crc;
    int r = crc_file(p->meta, &crc, &size);

    if (r < 0)
        return r;
    snprintf(text, sizeof(text), "s3efs-index 1 %s sealed %x %llu\n", boot_id, crc,
             (unsigned long long)size);
    r = seal_write_file(p->state, text);
    crash_point("cache.sealed");
    return r;
}
