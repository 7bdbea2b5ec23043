/* SPDX-License-Identifier: Apache-2.0 */
/* The bad disk under a program that knows nothing of it (LD_PRELOAD): it loses power at a chosen
 * moment. The program then dies (SIGKILL, all threads at once) and a copy of it, which knows what
 * was written down, makes the directory that the disk has afterwards. What is elsewhere (a file://
 * bucket) stays as it is at that moment: it is another machine's.
 *
 * At the moment nothing that changes the directory is under way: the lock of all those calls is
 * held. A thread that goes on for the instant until the SIGKILL has nothing that was promised by a
 * later call, so it could have done the same before the moment.
 *
 *   S3EFS_DISK=DIR         the directory
 *   S3EFS_DISK_AT=N        when the Nth sync (or write through O_DSYNC) begins; N+: when it is
 *                          done and its caller does not know yet; =N: before the Nth call that
 *                          changes anything
 *   S3EFS_DISK_SEED=N      which of the states that the disk may have
 *   S3EFS_DISK_TO=DIR      the state; it has this name when it is whole
 *   S3EFS_DISK_COUNT=FILE  has the number of calls and of syncs when the process ends by itself
 *   S3EFS_DISK_BOOT=FILE   what the kernel says of this boot: another one after each power loss
 *   S3EFS_DISK_LIE=N       enum baddisk_lie: shows that a test notices */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "baddisk_int.h"

static struct {
    uint64_t call, sync, synced; /* 0: never */
    uint64_t calls, syncs, syncs_done;
    uint64_t seed;
    const char *to, *count;
    pid_t pid;
} plan;

static _Noreturn void lose_power(void)
{
    char tmp[PATH_MAX];
    pid_t pid;

    bad_disk.at = NULL; /* the fork's own calls */
    bad_disk_is_forking = true;
    pid = fork();
    if (pid != 0) {
        kill(getpid(), SIGKILL);
        abort();
    }
    /* The mount's descriptor goes: who waits for the dead program is told. */
    (void)close_range(STDERR_FILENO + 1, ~0u, 0);
    bad_disk.root_len = 0;
    snprintf(tmp, sizeof(tmp), "%s.making", plan.to);
    baddisk_crash(baddisk_replay_new(), baddisk_steps.n, plan.seed, tmp);
    _exit(rename(tmp, plan.to) == 0 ? 0 : 1);
}

static void at(enum bad_disk_at what)
{
    bool is_now = false;

    if (getpid() != plan.pid) /* a child that only looks */
        return;
    if (what == AT_CALL)
        is_now = ++plan.calls == plan.call;
    else if (what == AT_SYNC)
        is_now = ++plan.syncs == plan.sync;
    else
        is_now = ++plan.syncs_done == plan.synced;
    if (is_now)
        lose_power();
}

static uint64_t number_of(const char *s)
{
    return s != NULL ? strtoull(s, NULL, 10) : 0;
}

static void begin(void) __attribute__((constructor));
static void begin(void)
{
    const char *dir = getenv("S3EFS_DISK"), *boot = getenv("S3EFS_DISK_BOOT"),
               *when = getenv("S3EFS_DISK_AT");

    if (boot != NULL)
        snprintf(bad_disk.boot_id, sizeof(bad_disk.boot_id), "%s", boot);
    baddisk_quick_syncs(true);
    if (dir == NULL)
        return;
    plan.pid = getpid();
    plan.seed = number_of(getenv("S3EFS_DISK_SEED"));
    plan.to = getenv("S3EFS_DISK_TO");
    plan.count = getenv("S3EFS_DISK_COUNT");
    if (when != NULL && *when == '=')
        plan.call = number_of(when + 1);
    else if (when != NULL && when[strlen(when) - 1] == '+')
        plan.synced = number_of(when);
    else
        plan.sync = number_of(when);
    baddisk_watch(dir, true);
    baddisk_lie((enum baddisk_lie)number_of(getenv("S3EFS_DISK_LIE")));
    bad_disk.at = at;
}

static void end(void) __attribute__((destructor));
static void end(void)
{
    FILE *f;

    if (plan.count == NULL || getpid() != plan.pid)
        return;
    bad_disk.at = NULL;
    f = fopen(plan.count, "we");
    if (f == NULL ||
        fprintf(f, "%llu %llu\n", (unsigned long long)plan.calls, (unsigned long long)plan.syncs) <
            0 ||
        fclose(f) != 0)
        abort();
}
