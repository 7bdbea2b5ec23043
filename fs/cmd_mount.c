/* SPDX-License-Identifier: Apache-2.0 */
/* s3efs mount, and mount.s3efs as mount(8) calls it. */
#include "cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "base/err.h"
#include "base/log.h"
#include "options.h"
#include "daemon.h"
#include "holder.h"
#include "mountpoint.h"
#include "run.h"

struct request {
    struct config config;
    const char *source, *dir;
    bool sloppy, fake;
    char *held_at; /* a holder has started this program: the mount point, which must not be looked at. NULL: none has */
    struct hold hold;
};

static int complain(int code)
{
    fprintf(stderr, "s3efs: %s\n", err_text());
    return code;
}

static int print_help(void)
{
    _cleanup_buf_ struct buf options = BUF_INIT(64 * 1024);

    config_help(&options);
    printf("Usage: s3efs mount SOURCE DIR [-o OPTION[,OPTION...]] [-f] [-r]\n\n"
           "Mounts a bucket as a directory. SOURCE is BUCKET, BUCKET/PREFIX, s3://BUCKET/PREFIX,\n"
           "or file:///DIRECTORY, a bucket in a local directory.\n\n"
           "  -o LIST   options, below ('-' and '_' are the same in their names)\n"
           "  -f        stay in the foreground, log to stderr\n"
           "  -r        the same as -o ro\n"
           "  -h        this text\n\n"
           "Secrets are never options: credentials come from the environment, the files of the AWS\n"
           "command line, web identity (IRSA) or the container's endpoint.\n\n"
           "Options:\n%s", buf_str(&options));
    return 0;
}

/* What the command line says, into the config. Positive: the exit code. */
static int take_arguments(struct request *q, int argc, char **argv)
{
    int r;

    if (argc - optind != 2)
        return err_set(-EINVAL, "a source and a directory are needed: s3efs mount SOURCE DIR [-o OPTIONS]");
    q->source = argv[optind];
    q->dir = argv[optind + 1];
    r = config_source(&q->config, q->source);
    if (r == 0)
        r = mountpoint_fd(q->dir);
    if (r < 0)
        return r;
    q->config.fuse_fd = r;
    /* its number is no name by which the next daemon would find what this one has not sent */
    if (r > 0 && !config_given(&q->config, "cache_dir"))
        return err_set(-EINVAL, "%s: a mount that is handed over needs -o cache_dir=DIR", q->dir);
    if (q->held_at != NULL)
        q->config.mountpoint = strdup(q->held_at);
    else if (r == 0)
        r = mountpoint_canonical(q->dir, &q->config.mountpoint);
    else
        q->config.mountpoint = strdup(q->dir);
    if (r >= 0 && q->config.mountpoint == NULL)
        r = err_set(-ENOMEM, "out of memory");
    return r < 0 ? r : config_finish(&q->config);
}

/* By its pid, which it has since the fork. */
static int name_descriptor(struct config *c)
{
    char *name;
    int r = c->fuse_fd > 0 ? mountpoint_fd_name(c->fuse_fd, &name) : 0;

    if (c->fuse_fd > 0 && r == 0) {
        free(c->mountpoint);
        c->mountpoint = name;
    }
    return r;
}

static enum log_target log_target(const struct config *c)
{
    if (c->log_target == CONFIG_LOG_AUTO)
        return c->foreground ? LOG_TO_STDERR : LOG_TO_SYSLOG;
    return c->log_target == CONFIG_LOG_STDERR ? LOG_TO_STDERR : LOG_TO_SYSLOG;
}

/* In place of a daemon that has handed over, or of one after that. */
static int go_on(struct request *q)
{
    struct daemon d = {.status_fd = -1, .keep_stderr = true, .hold = &q->hold};

    prctl(PR_SET_NAME, "s3efs"); /* executed by a descriptor, it is called by its number */
    log_open(log_target(&q->config), (enum log_level)q->config.log_level);
    if (!q->config.foreground && chdir("/") < 0)
        log_warn("upgrade.chdir", "cause=%s", strerror(errno));
    return run_mount(&q->config, &d);
}

static int go(struct request *q, int argc, char **argv)
{
    struct config *c = &q->config;
    struct daemon d;
    int is_held = hold_from_env(&q->hold, &q->held_at), r, code = EXIT_SYSTEM;

    if (is_held < 0)
        return complain(EXIT_SYSTEM);
    r = take_arguments(q, argc, argv);
    if (r < 0)
        return complain(r == -EINVAL ? EXIT_USAGE : EXIT_MOUNT);
    if (is_held > 0 && !c->takeover)
        r = err_set(-EINVAL, "option takeover is not known any more");
    if (is_held > 0)
        return r < 0 ? complain(EXIT_MOUNT) : go_on(q);
    if (c->fuse_fd == 0 && mountpoint_check(c->mountpoint) < 0)
        return complain(EXIT_MOUNT);
    if (q->fake)
        return 0;
    r = daemon_fork(&d, c->foreground, c->log_target == CONFIG_LOG_STDERR, &code);
    if (r < 0)
        return complain(EXIT_SYSTEM);
    if (r > 0)
        return code;
    log_open(log_target(c), (enum log_level)c->log_level);
    if (name_descriptor(c) < 0) {
        daemon_failed(&d, EXIT_SYSTEM, err_text());
        return EXIT_SYSTEM;
    }
    return c->takeover ? holder_run(c, &d) : run_mount(c, &d);
}

int cmd_mount(int argc, char **argv)
{
    static const struct option longs[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    struct request q = {0};
    int o, r = config_init(&q.config), code = -1;

    while (r == 0 && code < 0 && (o = getopt_long(argc, argv, "o:frh", longs, NULL)) >= 0) {
        if (o == 'o')
            r = config_options(&q.config, optarg, false);
        else if (o == 'f')
            q.config.foreground = true;
        else if (o == 'r')
            q.config.read_only = true;
        else
            code = o == 'h' ? print_help() : EXIT_USAGE;
    }
    if (r < 0)
        code = complain(EXIT_USAGE);
    if (code < 0)
        code = go(&q, argc, argv);
    config_done(&q.config);
    free(q.held_at);
    return code;
}

/* mount.s3efs SPEC DIR [-sfnv] [-N namespace] [-o options] [-t type] */
int cmd_mount_helper(int argc, char **argv)
{
    struct request q = {0};
    const char *lists[64];
    size_t n = 0;
    int o, r = config_init(&q.config), code = -1;

    while (r == 0 && code < 0 && (o = getopt(argc, argv, "sfnvrwo:t:N:")) >= 0) {
        if (o == 's')
            q.sloppy = true;
        else if (o == 'f')
            q.fake = true;
        else if (o == 'r')
            q.config.read_only = true;
        else if (o == 'N')
            r = err_set(-EINVAL, "mounting in another namespace (-N) is not supported");
        else if (o == 'o' && n == ARRAY_LEN(lists))
            r = err_set(-EINVAL, "too many -o");
        else if (o == 'o')
            lists[n++] = optarg;
        else if (o == '?')
            code = EXIT_USAGE;
    }
    for (size_t i = 0; i < n && r == 0 && code < 0; i++) /* -s may come after -o */
        r = config_options(&q.config, lists[i], q.sloppy);
    if (r < 0)
        code = complain(EXIT_USAGE);
    if (code < 0)
        code = go(&q, argc, argv);
    config_done(&q.config);
    free(q.held_at);
    return code;
}
