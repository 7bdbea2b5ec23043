/* SPDX-License-Identifier: Apache-2.0 */
/* A mount's life: opened, mounted, served, drained, closed. How each way to the end goes:
 *
 *   umount(8), fusermount3   the loop ends; then everything is sent, however long it takes, unless a signal comes.
 *   s3efs umount             the control thread drains, unmounts, ends the loop where another mount namespace keeps
 *                            it up, and answers when what was left has been sent.
 *   TERM, INT, HUP           drain, detach the mount, end the loop, drain what was left: all within drain_timeout;
 *                            past it the process names what is unsent and ends at once, with 1.
 *
 * Threads: main runs the loop and the last drain; the signal thread only the third way; helpers drain, so that a
 * drain can be waited for with a limit (what hangs in one is the bucket, and the process ends under it). */
#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/sys.h"
#include "cache/table.h"
#include "compose.h"
#include "control/control.h"
#include "privileges.h"
#include "holder.h"
#include "status.h"

#define EXIT_GRACE_NS (5 * NS_PER_S)
#define EXIT_STEP_MS 100
#define COPIES_GRACE_NS (2 * NS_PER_S)
#define EXIT_UNSENT 1

struct run {
    struct compose m;
    const struct config *config;
    struct daemon *daemon;
    struct control *control;
    sigset_t signals;
    pthread_t signal_thread;
    struct lock lock;
    struct cond changed;
    struct {
        int64_t deadline_ns; /* set by a signal; 0: none */
        bool mounting, stop_signals, loop_ended, finished;
        int result;
        struct err_copy result_text;
    } locked;
};

static int64_t until(int64_t deadline_ns)
{
    int64_t left = (deadline_ns - clock_boot_ns()) / NS_PER_MS;

    return left < 0 ? 0 : left;
}

struct drain {
    struct run *run;
    bool done; /* under run's lock */
    int result;
    struct err_copy text;
};

static void *drain_main(void *arg)
{
    struct drain *d = arg;
    struct run *run = d->run;
    int r;

    err_clear();
    r = err_fold(vfs_drain(run->m.vfs));
    lock_take(&run->lock);
    d->result = r;
    err_copy(&d->text);
    d->done = true;
    cond_broadcast(&run->changed);
    lock_drop(&run->lock);
    return NULL;
}

static int start_drain(struct drain *d)
{
    pthread_attr_t attr;
    pthread_t thread;
    int r;

    if (pthread_attr_init(&attr) != 0)
        return -ENOMEM;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    r = -pthread_create(&thread, &attr, drain_main, d);
    pthread_attr_destroy(&attr);
    return r;
}

/* false: the deadline came first. */
static bool wait_drain(struct run *run, const struct drain *d)
{
    bool done;

    lock_take(&run->lock);
    while (!d->done) {
        int64_t deadline_ns = run->locked.deadline_ns;

        if (deadline_ns == 0)
            cond_wait(&run->changed, &run->lock);
        else if (until(deadline_ns) == 0)
            break;
        else
            (void)cond_wait_ms(&run->changed, &run->lock, until(deadline_ns));
    }
    done = d->done;
    lock_drop(&run->lock);
    return done;
}

/* Everything dirty, until the deadline that a signal sets (also while this waits). -ETIMEDOUT: the helper still
 * hangs in the vfs (and keeps d), which must not be freed any more. */
static int drain(struct run *run)
{
    struct drain *d = calloc(1, sizeof(*d));
    int r;

    if (d == NULL)
        return err_set(-ENOMEM, "out of memory");
    d->run = run;
    r = start_drain(d);
    if (r < 0) {
        free(d);
        return err_set(r, "no thread to drain: %s", strerror(-r));
    }
    if (!wait_drain(run, d))
        return err_set(-ETIMEDOUT, "not done within drain_timeout=%" PRId64, run->config->drain_timeout_s);
    r = d->result;
    err_restore(&d->text);
    free(d);
    return r;
}

static void report_unsent(struct run *run)
{
    char cause[ERR_TEXT_MAX], unsent[400];
    struct vfs_unsent u = {0};

    snprintf(cause, sizeof(cause), "%s", err_text());
    status_unsent(&run->m, unsent, sizeof(unsent));
    log_error("mount.unsent", "source=%s mountpoint=%s cause=%s unsent=%s", LOG_Q(run->config->source),
              LOG_Q(run->config->mountpoint), LOG_Q(cause), LOG_Q(unsent));
    if (vfs_unsent_get(run->m.vfs, STATUS_NAMES, &u) < 0)
        return;
    for (size_t i = 0; i < u.n; i++)
        log_warn("mount.unsent_file", "key=%s", LOG_Q(u.keys[i]));
    if (u.files > 0)
        log_warn("mount.unsent_kept", "files=%" PRIu64 " effect=\"the next mount with this cache_dir sends them\"", u.files);
    vfs_unsent_done(&u);
}

/* --- verbs of the control socket --- */

static int verb_status(void *arg, const char *params, struct buf *out)
{
    struct run *run = arg;

    if (strcmp(params, "json") == 0)
        return status_json(&run->m, out);
    if (*params == '\0')
        return status_text(&run->m, out);
    return err_set(-EINVAL, "status: unknown parameter");
}

static int drain_or_say(struct run *run)
{
    char cause[ERR_TEXT_MAX], unsent[400];
    int r;

    err_clear();
    r = err_fold(vfs_drain(run->m.vfs));
    crash_point("drain.done");
    if (r == 0)
        return 0;
    snprintf(cause, sizeof(cause), "%s", *err_text() == '\0' ? strerror(-r) : err_text());
    status_unsent(&run->m, unsent, sizeof(unsent));
    return err_set(r, "not everything could be sent: %.200s (unsent: %.250s)", cause, unsent);
}

/* json: the answer is ok, and says whether all was sent. */
static int verb_drain(void *arg, const char *params, struct buf *out)
{
    struct run *run = arg;
    int r;

    if (strcmp(params, "json") != 0)
        return drain_or_say(run);
    err_clear();
    r = err_fold(vfs_drain(run->m.vfs));
    return status_drained(&run->m, r, r < 0 && *err_text() == '\0' ? strerror(-r) : err_text(), out);
}

/* true: the FUSE loop has ended, by itself or (push) because it was told to. */
static bool wait_loop(struct run *run, int64_t deadline_ns, bool push)
{
    bool ended;

    lock_take(&run->lock);
    while (!run->locked.loop_ended && until(deadline_ns) > 0) {
        if (push)
            front_exit(run->m.front);
        (void)cond_wait_ms(&run->changed, &run->lock, EXIT_STEP_MS);
    }
    ended = run->locked.loop_ended;
    lock_drop(&run->lock);
    return ended;
}

/* The kernel ends the loop when the last copy of the mount is gone. Other mount namespaces may have copies that
 * umount2() here did not reach: they lose it. */
static void end_copies(struct run *run)
{
    if (wait_loop(run, clock_boot_ns() + COPIES_GRACE_NS, false))
        return;
    log_warn("mount.copies", "mountpoint=%s effect=\"also mounted in another mount namespace; ended there too\"",
             LOG_Q(run->config->mountpoint));
    (void)wait_loop(run, INT64_MAX, true);
}

static int verb_umount(void *arg, const char *params, struct buf *out)
{
    struct run *run = arg;
    int r = drain_or_say(run);

    (void)params;
    (void)out;
    if (r < 0)
        return r;
    r = front_unmount(run->m.front, false);
    crash_point("umount.detached");
    if (r < 0)
        return r;
    end_copies(run);
    lock_take(&run->lock);
    while (!run->locked.finished)
        cond_wait(&run->changed, &run->lock);
    r = run->locked.result;
    err_restore(&run->locked.result_text);
    lock_drop(&run->lock);
    return r;
}

static int verb_upgrade(void *arg, const char *params, struct buf *out)
{
    const struct run *run = arg;

    (void)out;
    return handover(run->daemon->hold, run->m.front, params);
}

/* Which upgrade has started this daemon? */
static int verb_upgraded(void *arg, const char *params, struct buf *out)
{
    const struct run *run = arg;

    (void)params;
    buf_adds(out, run->daemon->hold != NULL ? run->daemon->hold->token : "");
    buf_adds(out, "\n");
    return 0;
}

static const struct control_verb verbs[] = {
    {"status", verb_status},
    {"drain", verb_drain},
    {"umount", verb_umount},
    {"upgrade", verb_upgrade},
    {"upgraded", verb_upgraded},
};

/* --- the end by a signal --- */

/* A mount that lives has bytes to send: it is ended when this daemon has them. */
static bool is_taking_over(const struct run *run)
{
    return run->daemon->hold != NULL && run->daemon->hold->fuse_fd >= 0;
}

static void end_by_signal(struct run *run, int number)
{
    int64_t deadline_ns = clock_boot_ns() + run->config->drain_timeout_s * NS_PER_S;
    bool mounting, is_over;
    int r;

    log_info("mount.signal", "signal=%d drain_timeout=%" PRId64, number, run->config->drain_timeout_s);
    lock_take(&run->lock);
    run->locked.deadline_ns = deadline_ns;
    cond_broadcast(&run->changed); /* the last drain may be waiting already, without a limit */
    while (is_taking_over(run) && !run->locked.mounting && !run->locked.stop_signals && until(deadline_ns) > 0)
        (void)cond_wait_ms(&run->changed, &run->lock, until(deadline_ns));
    mounting = run->locked.mounting;
    is_over = run->locked.stop_signals;
    lock_drop(&run->lock);
    if (is_over)
        return;
    if (!mounting) { /* still asking the bucket: nothing is mounted, or nothing could be taken over in time */
        daemon_failed(run->daemon, EXIT_MOUNT, "ended by a signal before the mount was ready");
        _exit(EXIT_MOUNT);
    }
    if (wait_loop(run, 0, false))
        return;
    r = drain(run);
    if (front_unmount(run->m.front, true) < 0)
        log_warn("mount.unmount", "cause=%s", LOG_Q(err_text()));
    if (!wait_loop(run, deadline_ns + EXIT_GRACE_NS, true) || r == -ETIMEDOUT) {
        err_set(-ETIMEDOUT, "calls did not end within drain_timeout=%" PRId64, run->config->drain_timeout_s);
        report_unsent(run);
        _exit(EXIT_UNSENT);
    }
}

static void *signal_main(void *arg)
{
    struct run *run = arg;
    int number;

    while (sigwait(&run->signals, &number) == 0) {
        bool stop;

        lock_take(&run->lock);
        stop = run->locked.stop_signals;
        lock_drop(&run->lock);
        if (stop)
            return NULL;
        end_by_signal(run, number);
    }
    return NULL;
}

/* --- start and end --- */

/* Of an earlier mount under commit=local: its files are in the journal, and not handed over. */
static bool has_unsent(const struct run *run)
{
    struct vfs_unsent u = {0};
    bool has = vfs_unsent_get(run->m.vfs, 0, &u) < 0 || u.files > 0;

    vfs_unsent_done(&u);
    if (has)
        log_warn("takeover.unsent",
                 "effect=\"option takeover does nothing: files of an earlier mount are unsent; mount again when they are not\"");
    return has;
}

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
        hold_ready(run->daemon->hold, front_can_resend(run->m.front) && !has_unsent(run));
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

static int open_control(struct run *run)
{
    char path[256];
    int r = control_path(run->config->mountpoint, path, sizeof(path));

    return r < 0 ? r : control_new(path, verbs, ARRAY_LEN(verbs), run, &run->control);
}

static int open_all(struct run *run)
{
    int r;

    run->m.fuse_fd = run->daemon->hold != NULL ? run->daemon->hold->fuse_fd : -1;
    run->m.lock_fd = run->daemon->hold != NULL ? run->daemon->hold->lock_fd : 0;
    r = compose_open(&run->m, run->config, ready, run);

    if (r == 0)
        r = open_control(run);
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
        hold_mounted(run->daemon->hold, front_fd(run->m.front), cache_lock_fd(run->m.cache));
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
    r = drain(run);
    crash_point("umount.drained");
    status_unsent(&run->m, unsent, sizeof(unsent));
    if (r != 0 || unsent[0] != '\0') {
        report_unsent(run);
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
 * end would bring what is dirty to lost+found, write down that nothing is, and detach the mount. */
_Noreturn static void leave(const struct run *run)
{
    log_info("mount.left", "mountpoint=%s", LOG_Q(run->config->mountpoint));
    _exit(EXIT_MOUNT);
}

int run_mount(const struct config *c, struct daemon *d)
{
    struct run run = {.daemon = d, .config = c};
    int r, code = EXIT_MOUNT;

    daemon_limits();
    if (secret_env_take() < 0) {
        daemon_failed(d, EXIT_SYSTEM, err_text());
        return EXIT_SYSTEM;
    }
    lock_init(&run.lock, LOCK_LEAF);
    cond_init(&run.changed);
    daemon_block_signals(&run.signals);
    log_start(c);
    r = -pthread_create(&run.signal_thread, NULL, signal_main, &run);
    if (r < 0) {
        daemon_failed(d, EXIT_SYSTEM, "no thread for signals");
        return EXIT_SYSTEM;
    }
    r = open_all(&run);
    if (r < 0)
        daemon_failed(d, EXIT_MOUNT, *err_text() == '\0' ? strerror(-r) : err_text());
    if (r == -EBADMSG && run.m.fuse_fd >= 0)
        code = EXIT_NO_TAKEOVER;
    else if (r < 0 && run.m.fuse_fd >= 0)
        leave(&run);
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
