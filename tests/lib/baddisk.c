/* SPDX-License-Identifier: Apache-2.0 */
/* What the bad disk is told, and what it tells. See baddisk.h. */
#include "baddisk.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "baddisk_int.h"
#include "each.h"

pthread_mutex_t bad_disk_mutex = PTHREAD_MUTEX_INITIALIZER;
struct bad_disk bad_disk;
bool bad_disk_is_forking;

static void fork_before(void)
{
    if (!bad_disk_is_forking)
        pthread_mutex_lock(&bad_disk_mutex);
}

static void fork_after(void)
{
    if (!bad_disk_is_forking)
        pthread_mutex_unlock(&bad_disk_mutex);
}

void baddisk_watch(const char *root, bool record)
{
    static bool is_set;
    char *abs = realpath(root, NULL);

    if (abs == NULL || bad_disk.root_len > 0)
        abort();
    if (!is_set)
        pthread_atfork(fork_before, fork_after, fork_after);
    is_set = true;
    if (record) {
        log_begin();
        log_import(abs);
    }
    bad_disk_link();
    bad_disk.record = record;
    snprintf(bad_disk.root, sizeof(bad_disk.root), "%s", abs);
    bad_disk.root_len = strlen(abs);
    free(abs);
}

void baddisk_unwatch(void)
{
    log_end();
    for (size_t i = 0; i < bad_disk.n_synced; i++)
        free(bad_disk.synced[i]);
    memset(&bad_disk, 0, sizeof(bad_disk)); /* nobody else is there */
}

uint64_t baddisk_calls(void)
{
    return bad_disk.calls;
}

void baddisk_fail(uint64_t nth, int err, bool persistent)
{
    pthread_mutex_lock(&bad_disk_mutex);
    bad_disk.fail_at = nth == 0 ? 0 : bad_disk.calls + nth;
    bad_disk.err = err;
    bad_disk.persistent = persistent;
    pthread_mutex_unlock(&bad_disk_mutex);
}

void baddisk_here(bool on)
{
    pthread_mutex_lock(&bad_disk_mutex);
    bad_disk.only_here = on;
    bad_disk.here = pthread_self();
    pthread_mutex_unlock(&bad_disk_mutex);
}

void baddisk_fail_each(int err)
{
    pthread_mutex_lock(&bad_disk_mutex);
    bad_disk.each_err = err;
    pthread_mutex_unlock(&bad_disk_mutex);
}

void baddisk_kill(uint64_t nth)
{
    bad_disk.kill_at = nth == 0 ? 0 : bad_disk.calls + nth;
}

void baddisk_quick_syncs(bool on)
{
    bad_disk.quick = on;
}

void baddisk_read_only(bool on)
{
    bad_disk.read_only = on;
}

void baddisk_on_sync(int (*fn)(void *arg, const char *path), void *arg)
{
    pthread_mutex_lock(&bad_disk_mutex);
    bad_disk.on_sync = fn;
    bad_disk.on_sync_arg = arg;
    pthread_mutex_unlock(&bad_disk_mutex);
}

void baddisk_lie(enum baddisk_lie what)
{
    bad_disk.lie = what;
}

static bool ends_in(const char *s, const char *tail)
{
    size_t n = strlen(s), t = strlen(tail);

    return n >= t && strcmp(s + n - t, tail) == 0;
}

uint64_t baddisk_syncs(const char *tail)
{
    uint64_t n = 0;

    pthread_mutex_lock(&bad_disk_mutex);
    for (size_t i = 0; i < bad_disk.n_synced; i++)
        n += ends_in(bad_disk.synced[i], tail);
    pthread_mutex_unlock(&bad_disk_mutex);
    return n;
}

size_t baddisk_position(void)
{
    size_t n;

    pthread_mutex_lock(&bad_disk_mutex);
    n = baddisk_steps.n;
    pthread_mutex_unlock(&bad_disk_mutex);
    return n;
}

const char *bad_disk_below(const char *path)
{
    size_t len = bad_disk.root_len;

    if (len == 0 || strncmp(path, bad_disk.root, len) != 0)
        return NULL;
    path += len;
    if (*path == '\0')
        return path;
    return *path == '/' ? path + 1 : NULL;
}

bool bad_disk_sees(int fd)
{
    return bad_disk.root_len > 0 && fd >= 0 && fd < FDS && bad_disk.fds[fd].seen;
}

void bad_disk_at(enum bad_disk_at what)
{
    if (bad_disk.at != NULL)
        bad_disk.at(what);
}

bool bad_disk_fails(void)
{
    bad_disk_at(AT_CALL);
    if (bad_disk.only_here && !pthread_equal(bad_disk.here, pthread_self()))
        return false;
    bad_disk.calls++;
    if (bad_disk.calls == bad_disk.kill_at)
        kill(getpid(), SIGKILL);
    if (bad_disk.each_err != 0 && each_is_next()) {
        errno = bad_disk.each_err;
        return true;
    }
    if (bad_disk.fail_at == 0 || bad_disk.calls < bad_disk.fail_at ||
        (bad_disk.calls > bad_disk.fail_at && !bad_disk.persistent))
        return false;
    errno = bad_disk.err;
    return true;
}

bool bad_disk_lies(const char *path)
{
    switch (bad_disk.lie) {
    case BADDISK_LIE_BYTES:
        return strncmp(path, "stage/", 6) == 0;
    case BADDISK_LIE_FOLDER:
        return ends_in(path, "/files");
    case BADDISK_LIE_INDEX:
        return ends_in(path, "/index");
    case BADDISK_LIE_NONE:
        break;
    }
    return false;
}
