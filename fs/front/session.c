/* SPDX-License-Identifier: Apache-2.0 */
/* The session with the kernel: made, mounted, run, unmounted. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include "base/err.h"
#include "base/log.h"

#define THREADS_DEFAULT 128
#define REQUEST_DEFAULT (1u << 20)
#define WAKE_SIGNAL SIGUSR1

/* What libfuse said last on this thread: the cause of a mount that failed. */
static _Thread_local char fuse_said[256];

_printf_(2, 0) static void take_fuse_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
    size_t len;

    vsnprintf(fuse_said, sizeof(fuse_said), fmt, ap);
    len = strlen(fuse_said);
    while (len > 0 && fuse_said[len - 1] == '\n')
        fuse_said[--len] = '\0';
    log_event(level <= FUSE_LOG_ERR ? LOG_LV_WARN : LOG_LV_DEBUG, "front.libfuse", "text=%s",
              LOG_Q(fuse_said));
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    struct front *f = userdata;

    f->has_begun = true;
    init_negotiate(f, conn);
    prune_protocol(f, conn->proto_minor);
    log_info("front.ready", "mountpoint=%s protocol=%u.%u libfuse=%s", LOG_Q(f->mountpoint),
             conn->proto_major, conn->proto_minor, fuse_pkgversion());
    if (f->ready != NULL)
        f->ready(f->ready_arg);
}

static int add_option(char **list, const char *name, const char *value)
{
    _cleanup_free_ char *text = NULL;

    if (asprintf(&text, "%s%s%s", name, value == NULL ? "" : "=", value == NULL ? "" : value) < 0) {
        text = NULL;
        return -ENOMEM;
    }
    return fuse_opt_add_opt_escaped(list, text) < 0 ? -ENOMEM : 0;
}

static int make_options(const struct front_conf *conf, char **list)
{
    int r = add_option(list, "fsname", conf->source);

    if (r == 0 && conf->subtype != NULL)
        r = add_option(list, "subtype", conf->subtype);
    if (r == 0)
        r = add_option(list, conf->read_only ? "ro" : "rw", NULL);
    if (r == 0 && conf->allow_other)
        r = add_option(list, "allow_other", NULL);
    if (r == 0 && conf->default_permissions)
        r = add_option(list, "default_permissions", NULL);
    if (r == 0 && conf->extra_options != NULL) /* a list of words: not escaped */
        r = fuse_opt_add_opt(list, conf->extra_options) < 0 ? -ENOMEM : 0;
    return r;
}

static int make_args(const struct front_conf *conf, struct fuse_args *args)
{
    _cleanup_free_ char *list = NULL;

    if (make_options(conf, &list) < 0 || fuse_opt_add_arg(args, "s3efs") < 0 ||
        fuse_opt_add_arg(args, "-o") < 0 || fuse_opt_add_arg(args, list) < 0 ||
        (conf->debug && fuse_opt_add_arg(args, "-d") < 0))
        return err_set(-ENOMEM, "out of memory");
    return 0;
}

static int make_session(struct front *f, const struct front_conf *conf)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    struct fuse_lowlevel_ops ops = {.init = op_init};
    int r = make_args(conf, &args);

    ops_name_fill(&ops);
    ops_attr_fill(&ops);
    ops_data_fill(&ops);
    ops_dir_fill(&ops);
    ops_lock_fill(&ops);
    ops_range_fill(&ops);
    if (!conf->no_xattr)
        ops_xattr_fill(&ops);
    if (r == 0) {
        fuse_said[0] = '\0';
        f->session = fuse_session_new(&args, &ops, sizeof(ops), f);
        if (f->session == NULL)
            r = err_set(-EIO, "no FUSE session: %s", fuse_said[0] == '\0' ? "libfuse refused" : fuse_said);
    }
    fuse_opt_free_args(&args);
    return r;
}

static void front_freep(struct front **f)
{
    front_free(*f);
}

int front_new(const struct front_conf *conf, struct front **ret)
{
    _cleanup_(front_freep) struct front *f = calloc(1, sizeof(*f));
    int r;

    if (f == NULL)
        return err_set(-ENOMEM, "out of memory");
    budget_init(&f->replies, conf->replies_max);
    f->max_request = conf->max_request == 0 ? REQUEST_DEFAULT : conf->max_request;
    f->threads = conf->threads == 0 ? THREADS_DEFAULT : conf->threads;
    f->posix_locks = conf->posix_locks;
    f->flock_locks = conf->flock_locks;
    f->drops_names = conf->drops_names;
    f->passthrough = conf->passthrough && !conf->takeover;
    f->ready = conf->ready;
    f->ready_arg = conf->ready_arg;
    f->given_fd = conf->fd;
    f->take.is_on = conf->takeover;
    f->take.tellers = conf->tellers;
    f->take.fd = conf->takeover ? conf->fuse_fd : -1;
    f->take.stage = f->take.fd >= 0 ? TAKE_BEGINS : TAKE_RUNS;
    lock_init(&f->take.lock, LOCK_LEAF);
    cond_init(&f->take.changed);
    f->mountpoint = strdup(conf->mountpoint);
    if (f->mountpoint == NULL)
        return err_set(-ENOMEM, "out of memory");
    fuse_set_log_func(take_fuse_log);
    r = make_session(f, conf);
    if (r == 0 && conf->takeover)
        r = unanswered_new(f->take.fd >= 0 ? conf->requests_fd : 0, f->threads, f->max_request, &f->take.unanswered);
    if (r < 0)
        return r;
    *ret = steal(&f);
    return 0;
}

/* What the kernel calls the mount; our root is not asked for it. */
static void tell_device(struct front *f)
{
    struct statx st;

    if (f->given_fd > 0)
        return; /* nobody says where it is mounted */
    if (statx(AT_FDCWD, f->mountpoint, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &st) == 0) {
        vfs_set_dev(f->vfs, makedev(st.stx_dev_major, st.stx_dev_minor));
        if (f->take.fd < 0) /* else it is what an administrator has made of it since */
            readahead_ask(f, st.stx_dev_major, st.stx_dev_minor);
    } else {
        log_warn("front.device", "mountpoint=%s cause=%s", LOG_Q(f->mountpoint), strerror(errno));
    }
}

int front_start(struct front *f, struct vfs *v)
{
    int r;

    f->vfs = v;
    fuse_said[0] = '\0';
    r = take_mount(f);
    if (r == -EBADMSG)
        return r;
    if (r != 0)
        return err_set(-EIO, "cannot mount on %s: %s", f->mountpoint,
                       fuse_said[0] != '\0' ? fuse_said : "the kernel or fusermount3 refused");
    tell_device(f);
    f->was_mounted = true;
    atomic_store(&f->mounted, true);
    r = f->take.is_on ? take_start(f) : init_patch(f);
    if (r == 0)
        r = kill_new(&f->kill);
    if (r == 0)
        r = prune_new(f, f->drops_names);
    return r < 0 ? r : notify_new(f->session, &f->notify);
}

static void wake(int number)
{
    (void)number;
}

int front_run(struct front *f)
{
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    struct sigaction action = {.sa_handler = wake}; /* no SA_RESTART: it shall end the loop's wait */
    int r;

    if (config == NULL)
        return err_set(-ENOMEM, "out of memory");
    sigaction(WAKE_SIGNAL, &action, NULL);
    fuse_loop_cfg_set_max_threads(config, f->threads);
    f->loop_thread = pthread_self();
    atomic_store(&f->looping, true);
    r = fuse_session_loop_mt(f->session, config);
    atomic_store(&f->looping, false);
    fuse_loop_cfg_destroy(config);
    return r < 0 ? err_set(r, "the FUSE loop failed: %s", strerror(-r)) : 0;
}

void front_exit(struct front *f)
{
    fuse_session_exit(f->session);
    if (atomic_load(&f->looping))
        pthread_kill(f->loop_thread, WAKE_SIGNAL);
}

/* For those who may not call umount2(2). */
static int run_fusermount(const char *mountpoint, bool lazy)
{
    char *const argv[] = {(char[]){"fusermount3"}, (char[]){"-u"}, (char[]){"-q"},
                          lazy ? (char[]){"-z"} : (char[]){"--"},
                          lazy ? (char[]){"--"} : (char *)(uintptr_t)mountpoint,
                          lazy ? (char *)(uintptr_t)mountpoint : NULL, NULL};
    extern char **environ;
    pid_t pid;
    int status, r = -posix_spawnp(&pid, "fusermount3", NULL, NULL, argv, environ);

    if (r < 0)
        return err_set(r, "fusermount3: %s", strerror(-r));
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return err_set(-errno, "fusermount3: %s", strerror(errno));
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return err_set(-EBUSY, "fusermount3 could not unmount it: it is in use");
}

/* Has the mount ended? As libfuse asks, where it has mounted itself: another may be at the path by now. */
static bool is_ended(struct front *f)
{
    struct pollfd fd = {.fd = fuse_session_fd(f->session)};

    return poll(&fd, 1, 0) == 1 && (fd.revents & POLLERR) != 0;
}

int front_unmount(struct front *f, bool lazy)
{
    int r;

    if (f->given_fd > 0) { /* the tree is his who mounted it; without us it answers ENOTCONN */
        front_exit(f);
        return 0;
    }
    if (f->take.fd >= 0 && is_ended(f)) {
        atomic_store(&f->mounted, false);
        return 0;
    }
    r = umount2(f->mountpoint, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0 ? 0 : -errno;

    if (r == -EPERM)
        r = run_fusermount(f->mountpoint, lazy);
    else if (r == -EBUSY)
        return err_set(r, "the mount is in use");
    else if (r < 0 && r != -EINVAL) /* EINVAL: not mounted any more */
        return err_set(r, "cannot unmount %s: %s", f->mountpoint, strerror(-r));
    if (r == 0 || r == -EINVAL)
        atomic_store(&f->mounted, false);
    return r == -EINVAL ? 0 : r;
}

/* Our mount has left the tree, but libfuse would detach whatever is at its path now: it looks only whether the
 * descriptor polls as broken. The write end of a pipe without readers does. Closing /dev/fuse ends the mount for
 * those who still use it. */
static void forget_mount(struct front *f)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return; /* the path is leaked, nothing else: fuse_session_destroy() closes the descriptor */
    if (dup3(ends[1], fuse_session_fd(f->session), O_CLOEXEC) >= 0) {
        close(ends[0]);
        ends[0] = -1;
        fuse_session_unmount(f->session);
    }
    close(ends[1]);
    if (ends[0] >= 0)
        close(ends[0]);
}

/* An INTERRUPT that comes when its call is answered stays with libfuse until the next request lets go of one; after the
 * last request nobody does. A FORGET of nothing is a request without an answer. */
static void drop_late_interrupts(struct front *f)
{
    struct {
        struct fuse_in_header head;
        struct fuse_forget_in arg;
    } forget = {.head = {.len = sizeof(forget), .opcode = FUSE_FORGET, .nodeid = FUSE_ROOT_ID}};
    const struct fuse_buf buf = {.size = sizeof(forget), .mem = &forget};

    for (unsigned i = 0; i < f->threads; i++) /* no more calls than that ended at once */
        fuse_session_process_buf(f->session, &buf);
}

void front_free(struct front *f)
{
    if (f == NULL)
        return;
    if (f->vfs != NULL)
        vfs_lock_stop(f->vfs); /* whoever waits is answered while there is a session */
    if (f->has_begun)
        drop_late_interrupts(f);
    if (atomic_load(&f->mounted) && f->take.fd >= 0)
        (void)!front_unmount(f, true); /* libfuse does not know where it is */
    else if (atomic_load(&f->mounted) && f->given_fd <= 0)
        fuse_session_unmount(f->session);
    else if (f->was_mounted)
        forget_mount(f);
    prune_free(f);
    notify_free(f->notify);
    kill_free(f->kill);
    if (f->session != NULL)
        fuse_session_destroy(f->session);
    unanswered_free(f->take.unanswered);
    budget_done(&f->replies);
    cond_done(&f->take.changed);
    lock_done(&f->take.lock);
    free(f->mountpoint);
    free(f);
}
