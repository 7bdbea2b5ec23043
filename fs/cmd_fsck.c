/* SPDX-License-Identifier: Apache-2.0 */
/* s3efs fsck: checks a bucket, what mounts keep in it, and the cache of one mount. */
#include "cmd.h"

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/str.h"
#include "check/check.h"
#include "compose.h"
#include "daemon.h"
#include "fsck_report.h"
#include "options.h"

/* Exit codes of fsck(8); a sum of these. */
enum { FSCK_REPAIRED = 1, FSCK_LEFT = 4, FSCK_ERROR = 8, FSCK_USAGE = 16 };

#define OLDER_DEFAULT_S (24 * 3600)
#define WAIT_DEFAULT_S 60
#define TIME_MAX_S (INT64_C(100) * 365 * 86400)
#define MEND_ROUNDS 8

struct fsck {
    struct config config;
    struct compose m;
    struct fsck_report report;
    bool repair, deep, json;
    int64_t older_ns, wait_ns;
    char *cache_dir; /* NULL: none is looked at */
    struct cache *cache;
    char scratch[64]; /* the mender's cache; "": none yet */
};

static int complain(int code)
{
    fprintf(stderr, "s3efs fsck: %s\n", err_text());
    return code;
}

static int print_help(void)
{
    printf(
        "Usage: s3efs fsck SOURCE [OPTION...]\n\n"
        "Checks a bucket, what mounts keep in it, and a mount's cache. SOURCE as for s3efs mount.\n"
        "No object of yours is ever deleted or changed, with or without --repair.\n\n"
        "  --cache DIR        check this cache directory too (its mount must have ended)\n"
        "  --repair           repair what is safe to repair; without it nothing is written\n"
        "  --deep             ask for every object's metadata too: one request each\n"
        "  --older-than TIME  a multipart upload is abandoned after so long (default: 24h)\n"
        "  --wait TIME        the longest lease of a mount that is waited for (default: 60s)\n"
        "  --json             one object a line, and a summary\n"
        "  -o LIST            options of the mount: endpoint, region, profile, state_prefix ...\n"
        "  -h, --help         this text\n\n"
        "TIME is a number with s, m, h or d. Exit code: 0 clean, or the sum of 1 repaired, 4 "
        "findings\n"
        "are left, 8 something could not be checked, 16 usage.\n");
    return 0;
}

static int parse_time(const char *option, const char *text, int64_t *ret_ns)
{
    static const struct {
        char letter;
        int64_t s;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char digits[32];
    size_t n = strspn(text, "0123456789");
    int64_t unit = text[n] == '\0' ? 1 : 0;
    uint64_t v;

    for (size_t i = 0; i < ARRAY_LEN(units) && unit == 0; i++)
        if (text[n] == units[i].letter && text[n + 1] == '\0')
            unit = units[i].s;
    if (unit == 0 || n == 0 || n >= sizeof(digits))
        return err_set(-EINVAL, "%s %s: not a time (as 90s, 30m, 24h, 7d)", option, text);
    memcpy(digits, text, n);
    digits[n] = '\0';
    if (str_u64(digits, 10, &v) < 0 || v > (uint64_t)(TIME_MAX_S / unit))
        return err_set(-EINVAL, "%s %s: too long", option, text);
    *ret_ns = (int64_t)v * unit * NS_PER_S;
    return 0;
}

static void on_found(void *arg, const struct check_finding *f)
{
    struct fsck *q = arg;

    fsck_report_finding(&q->report, f);
}

static void on_progress(void *arg, enum check_stage stage, uint64_t done)
{
    struct fsck *q = arg;

    fsck_report_progress(&q->report, stage, done);
}

/* --- finishing renames --- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static int make_scratch(struct fsck *q)
{
    const char *top = getenv("TMPDIR");

    snprintf(q->scratch, sizeof(q->scratch), "%s/s3efs-fsck-XXXXXX",
             top != NULL && strlen(top) < 32 ? top : "/tmp");
    if (mkdtemp(q->scratch) == NULL) {
        int r = -errno;

        (void)err_set(r, "%s: %s", q->scratch, strerror(-r));
        q->scratch[0] = '\0';
        return r;
    }
    free(q->config.cache_dir);
    q->config.cache_dir = strdup(q->scratch);
    return q->config.cache_dir != NULL ? 0 : err_set(-ENOMEM, "out of memory");
}

static int on_mend(void *arg)
{
    struct fsck *q = arg;
    int r = 0;

    if (q->m.vfs == NULL) {
        r = make_scratch(q);
        if (r == 0)
            r = compose_open_mender(&q->m);
        if (r < 0)
            return r;
    }
    r = 1;
    for (int i = 0; i < MEND_ROUNDS && r > 0; i++)
        r = vfs_mend(q->m.vfs);
    return r;
}

/* --- the cache --- */

/* A cache that can't be opened is a finding or a note, unless nobody knows why. */
static int open_cache(struct fsck *q)
{
    struct cache_conf conf = {.dir = q->cache_dir,
                              .source = q->m.source_id,
                              .check = q->repair ? CACHE_CHECK_REPAIR : CACHE_CHECK_LOOK};
    struct check_finding f = {.kind = CHECK_CACHE, .name = q->cache_dir};
    int r = cache_new(&conf, &q->cache);

    if (r == 0) {
        r = cache_start(q->cache);
        if (r < 0) {
            struct err_copy cause;

            err_copy(&cause);
            cache_free(q->cache);
            err_restore(&cause);
        }
    }
    if (r == 0)
        return 0;
    q->cache = NULL;
    f.cause = err_text();
    if (r != -EBUSY && r != -EINVAL && r != -EUCLEAN)
        return r;
    f.fate = r == -EBUSY ? CHECK_NOTE : r == -EUCLEAN ? CHECK_REPAIRABLE : CHECK_LEFT;
    fsck_report_finding(&q->report, &f);
    return 0;
}

static void close_all(struct fsck *q)
{
    cache_free(q->cache);
    compose_close(&q->m);
    if (q->scratch[0] != '\0')
        nftw(q->scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(q->cache_dir);
    config_done(&q->config);
}

/* --- all of it --- */

static int run(struct fsck *q)
{
    struct check_conf conf = {.prefix = q->config.prefix,
                              .repair = q->repair,
                              .deep = q->deep,
                              .older_ns = q->older_ns,
                              .wait_max_ns = q->wait_ns,
                              .mend = on_mend,
                              .found = on_found,
                              .progress = on_progress,
                              .arg = q};
    struct check_result result;
    int r = compose_open_check(&q->m, &q->config);

    fsck_report_init(&q->report, q->json);
    if (r == 0 && q->cache_dir != NULL)
        r = open_cache(q);
    if (r < 0)
        return complain(FSCK_ERROR);
    conf.caps = q->m.caps;
    r = check_run(&conf, q->m.store, q->m.coord, q->cache, &result);
    if (r < 0)
        result.errors++;
    if (fsck_report_end(&q->report, &result) < 0)
        result.errors++;
    if (r < 0)
        (void)complain(FSCK_ERROR);
    return (q->report.repaired > 0 ? FSCK_REPAIRED : 0) | (q->report.left > 0 ? FSCK_LEFT : 0) |
           (result.errors > 0 ? FSCK_ERROR : 0);
}

static int take_option(struct fsck *q, int o)
{
    switch (o) {
    case 'o':
        return config_options(&q->config, optarg, false);
    case 'c':
        free(q->cache_dir);
        q->cache_dir = strdup(optarg);
        return q->cache_dir != NULL ? 0 : err_set(-ENOMEM, "out of memory");
    case 'r':
        q->repair = true;
        return 0;
    case 'd':
        q->deep = true;
        return 0;
    case 'j':
        q->json = true;
        return 0;
    case 'u':
        return parse_time("--older-than", optarg, &q->older_ns);
    case 'w':
        return parse_time("--wait", optarg, &q->wait_ns);
    default:
        return -EINVAL; /* getopt has said why */
    }
}

/* What the mount's options say of its cache is only a default here. */
static int take_source(struct fsck *q, int argc, char **argv)
{
    int r;

    if (argc - optind != 1)
        return err_set(-EINVAL,
                       "one source is needed: s3efs fsck SOURCE [OPTION...] (--help lists them)");
    if (q->cache_dir == NULL && q->config.cache_dir != NULL)
        q->cache_dir = strdup(q->config.cache_dir);
    q->config.mountpoint = strdup("");
    q->config.read_only = !q->repair;
    q->config.commit = 0; /* close: what finishes renames has no journal */
    if (q->config.mountpoint == NULL)
        return err_set(-ENOMEM, "out of memory");
    r = config_source(&q->config, argv[optind]);
    return r < 0 ? r : config_finish(&q->config);
}

int cmd_fsck(int argc, char **argv)
{
    static const struct option longs[] = {
        {"cache", required_argument, NULL, 'c'}, {"repair", no_argument, NULL, 'r'},
        {"deep", no_argument, NULL, 'd'},        {"older-than", required_argument, NULL, 'u'},
        {"wait", required_argument, NULL, 'w'},  {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
    struct fsck q = {.older_ns = OLDER_DEFAULT_S * NS_PER_S, .wait_ns = WAIT_DEFAULT_S * NS_PER_S};
    int o, r = config_init(&q.config), code = -1;

    err_clear();
    while (r == 0 && code < 0 && (o = getopt_long(argc, argv, "o:h", longs, NULL)) >= 0) {
        if (o == 'h')
            code = print_help();
        else
            r = take_option(&q, o);
    }
    if (r == 0 && code < 0)
        r = take_source(&q, argc, argv);
    if (r < 0)
        code = *err_text() != '\0' ? complain(FSCK_USAGE) : FSCK_USAGE;
    if (code < 0) {
        daemon_limits(q.config.mem_limit);
        log_open(LOG_TO_STDERR, config_given(&q.config, "loglevel")
                                    ? (enum log_level)q.config.log_level
                                    : LOG_LV_ERROR);
        code = secret_env_take() < 0 ? complain(FSCK_ERROR) : run(&q);
    }
    close_all(&q);
    return code;
}
