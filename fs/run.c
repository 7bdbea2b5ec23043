/* SPDX-License-Identifier: Apache-2.0 */
/* A mount's life: opened, mounted, served, drained, closed. How each way to the end goes:
 *
 *   umount(8), fusermount3   the loop ends; then everything is sent, however long it takes, unless a signal comes.
 *   s3efs umount             the control thread drains, unmounts, ends the loop where another mount namespace keeps
 *                            it up, and answers when what was left has been sent.
 *   TERM, INT, HUP           closes that wait for room are journaled, then drain, detach the mount, end the loop, drain
 *                            what was left: all within drain_timeout; past it the process names what is unsent and ends
 *                            at once, with 1.
 *
 * Threads: main runs the loop and the last drain; the signal thread only the third way; helpers drain, so that a
 * drain can be waited for with a limit (what hangs in one is the bucket, and the process ends under it). */
#include "running.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/sys.h"
#include "cache/table.h"
#include "holder.h"
#include "privileges.h"
#include "status.h"

static void on_lost(void *arg)
{
    const struct run *run = arg;

    hold_lost(run->daemon->hold);
}

/* On a loop thread. The parent may have been killed meanwhile: then nobody knows of this mount. */
static void ready(void *arg)
{
    struct run *run = arg;

    if (run->config->takeover)
        hold_ready(run->daemon->hold, front_can_resend(run->m.front));
    if (!daemon_ready(run->daemon))
        kill(getpid(), SIGTERM);
}

static void finish(struct run *run, int r)
{
    lock_take(&run->lock);
    run->locked.finished = true;
    run->locked.result = r;
    err_copy(&run->locked.result_text);
    cond_broadcast(&run->changed);
    lock_drop(&run->lock);
}

static void stop_signals(struct run *run)
{
    lock_take(&run->lock);
    run->locked.stop_signals = true;
    cond_broadcast(&run->changed);
    lock_drop(&run->lock);
    pthread_kill(run->signal_thread, SIGHUP);
    pthread_join(run->signal_thread, NULL);
}

static int open_all(struct run *run)
{
    int r;

    run->m.fuse_fd = run->daemon->hold != NULL ? run->daemon->hold->fuse_fd : -1;
    run->m.requests_fd = run->daemon->hold != NULL ? run->daemon->hold->requests_fd : 0;
    run->m.lock_fd = run->daemon->hold != NULL ? run->daemon->hold->lock_fd : 0;
    r = compose_open(&run->m, run->config, ready, run);

    if (r == 0)
        r = run_open_control(run);
    if (r < 0)
        return r;
    if (run->m.table != NULL)
        table_on_lost(run->m.table, on_lost, run);
    lock_take(&run->lock);
    run->locked.mounting = true;
    cond_broadcast(&run->changed);
    lock_drop(&run->lock);
    r = front_start(run->m.front, run->m.vfs);
    if (r == 0 && run->m.fuse_fd < 0)
        hold_mounted(run->daemon->hold, front_fd(run->m.front), cache_lock_fd(run->m.cache), front_requests_fd(run->m.front));
    return r < 0 ? r : control_start(run->control);
}

static int serve(struct run *run)
{
    char unsent[400];
    int r = front_run(run->m.front), code = r < 0 ? EXIT_SYSTEM : 0;

    if (r < 0)
        log_error("mount.loop", "cause=%s", LOG_Q(err_text()));
    lock_take(&run->lock);
    run->locked.loop_ended = true;
    cond_broadcast(&run->changed);
    lock_drop(&run->lock);
    r = run_drain(run);
    crash_point("umount.drained");
    status_unsent(&run->m, unsent, sizeof(unsent));
    if (r != 0 || unsent[0] != '\0') {
        run_report_unsent(run);
        code = EXIT_UNSENT;
    }
    if (r == 0 && unsent[0] != '\0')
        r = err_set(-EIO, "unsent: %s", unsent);
    finish(run, err_fold(r));
    if (r == -ETIMEDOUT)
        _exit(EXIT_UNSENT);
    return code;
}

static void log_start(const struct config *c)
{
    char missing[256];

    log_info("mount.start", "version=%s source=%s mountpoint=%s cache_dir=%s read_only=%s", PACKAGE_VERSION,
             LOG_Q(c->source), LOG_Q(c->mountpoint), LOG_Q(c->cache_dir), c->read_only ? "yes" : "no");
    privileges_missing(privileges_effective(), c->fuse_fd, missing, sizeof(missing));
    if (missing[0] != '\0')
        log_info("mount.privileges", "missing=%s", LOG_Q(missing));
    if (c->ignored != NULL)
        log_info("mount.options", "without_effect=%s", LOG_Q(c->ignored));
}

/* The start of a daemon that takes a mount over failed, and the next one may do better: it ends as if killed. In order, the
 * end would bring what is dirty to lost+found, write down that nothing is, and detach the mount. That it does where nobody
 * could do better: of what can't be believed; but not on trial, when the program that wrote it gets it again. */
static int leave_or_end(const struct run *run, int r)
{
    if (r == -EBADMSG && !run->daemon->hold->is_trial)
        return EXIT_NO_TAKEOVER;
    log_info("mount.left", "mountpoint=%s", LOG_Q(run->config->mountpoint));
    _exit(r == -EBADMSG ? EXIT_NO_TAKEOVER : EXIT_MOUNT);
}

int run_mount(const struct config *c, struct daemon *d)
{
    struct run run = {.daemon = d, .config = c};
    int r, code = EXIT_MOUNT;

    daemon_limits(c->mem_limit);
    if (secret_env_take() < 0) {
        daemon_failed(d, EXIT_SYSTEM, err_text());
        return EXIT_SYSTEM;
    }
    if (c->takeover && front_tellers_new(&run.m.tellers) < 0) {
        daemon_failed(d, EXIT_SYSTEM, err_text());
        return EXIT_SYSTEM;
    }
    lock_init(&run.lock, LOCK_LEAF);
    cond_init(&run.changed);
    daemon_block_signals(&run.signals);
    log_start(c);
    r = -pthread_create(&run.signal_thread, NULL, run_signal_main, &run);
    if (r < 0) {
        daemon_failed(d, EXIT_SYSTEM, "no thread for signals");
        return EXIT_SYSTEM;
    }
    r = open_all(&run);
    if (r < 0)
        daemon_failed(d, EXIT_MOUNT, *err_text() == '\0' ? strerror(-r) : err_text());
    if (r < 0 && run.m.fuse_fd >= 0)
        code = leave_or_end(&run, r);
    if (r == 0)
        code = serve(&run);
    stop_signals(&run);
    control_free(run.control);
    compose_close(&run.m);
    log_info("mount.end", "mountpoint=%s code=%d", LOG_Q(c->mountpoint), code);
    cond_done(&run.changed);
    lock_done(&run.lock);
    return code;
}
