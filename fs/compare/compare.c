/* SPDX-License-Identifier: Apache-2.0 */
/* A run: the sides are opened, each step is done on one after the other, what was made is removed,
 * the result is told. */
#include "compare/compare.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "progress.h"
#include "report.h"
#include "stop.h"
#include "text.h"

#define DROP_CACHES "/proc/sys/vm/drop_caches"

struct compare {
    struct options options;
    struct prices prices;
    struct steps steps;
    struct side sides[OPTIONS_DIRS_MAX];
    size_t n;
    struct progress progress;
    int html_fd; /* -1: none */
};

static int complain(int code)
{
    fprintf(stderr, "s3efs compare: %s\n", err_text());
    return code;
}

/* --- the sides --- */

/* Not of this run: two mounts of one bucket see each other's. */
static bool is_own(const struct compare *c, const char *path)
{
    const char *name = strrchr(path, '/');
    bool own = false;

    for (size_t i = 0; i < c->n && name != NULL; i++)
        if (c->sides[i].place.path != NULL && *c->sides[i].source != '\0')
            own = own || strcmp(strrchr(c->sides[i].place.path, '/'), name) == 0;
    return own;
}

static void on_found(void *arg, const char *path)
{
    char shown[PATH_MAX], removal[2 * PATH_MAX];

    if (is_own(arg, path))
        return;
    text_shown(shown, sizeof(shown), path);
    text_removal(removal, sizeof(removal), path);
    fprintf(stderr,
            "s3efs compare: %s is there: another run goes on, or one was killed; then: %s\n", shown,
            removal);
}

static int open_sides(struct compare *c, const struct compare_env *env)
{
    for (size_t i = 0; i < c->options.n_dirs; i++) {
        int r = side_open(&c->sides[c->n++], c->options.dirs[i], c->options.mountstats, env,
                          c->steps.n);

        if (r < 0)
            return r;
    }
    return 0;
}

static int make_places(struct compare *c)
{
    uint64_t room = steps_room(&c->options, &c->steps);
    int r = 0;

    for (size_t i = 0; i < c->n && r == 0 && stop_signal() == 0; i++) {
        struct side *s = &c->sides[i];

        if (s->kind != SIDE_OTHER)
            r = side_count(s, &s->first);
        s->has_first = r == 0 && s->kind != SIDE_OTHER;
        if (r == 0)
            r = place_make(s->path, room, on_found, c, &s->place);
    }
    return r;
}

/* Says what stays behind, and how it is removed. */
static void remove_places(struct compare *c)
{
    for (size_t i = 0; i < c->n; i++) {
        struct side *s = &c->sides[i];
        char removal[2 * PATH_MAX];

        if (place_remove(&s->place) == 0)
            continue;
        text_shown(s->left, sizeof(s->left), s->place.path);
        text_removal(removal, sizeof(removal), s->place.path);
        (void)complain(0);
        fprintf(stderr, "s3efs compare: LEFT BEHIND: %s; remove it: %s\n", s->left, removal);
    }
}

/* --- a step on a side --- */

static int drop_caches(void)
{
    _cleanup_close_ int fd = open(DROP_CACHES, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, "3\n", 2) != 2)
        return err_set(-errno, "--drop-caches: %s: %s (root is needed)", DROP_CACHES,
                       strerror(errno));
    return 0;
}

static int run_in_group(struct compare *c, struct side *s, const struct step *step,
                        struct run_result *ret)
{
    _cleanup_close_ int fd = -1;
    struct run_job job = {.options = &c->options,
                          .step = step,
                          .dir = s->place.path,
                          .progress = progress_paint,
                          .arg = &c->progress};
    int r = place_group_open(&s->place, step->group, &fd);

    if (r == 0 && c->options.drop_caches && (step->work == WORK_READ || step->work == WORK_WALK))
        r = drop_caches();
    if (r < 0)
        return r;
    job.dirfd = fd;
    return runner_run(&job, ret);
}

static int run_step(struct compare *c, struct side *s, const struct step *step,
                    struct run_result *ret)
{
    int64_t begin = clock_boot_ns();
    int r;

    *ret = (struct run_result){0};
    if (step->work == WORK_MAKE) {
        r = place_group_make(&s->place, step->group);
        ret->ns = clock_boot_ns() - begin;
        return r;
    }
    r = run_in_group(c, s, step, ret);
    if (r == 0 && step->work == WORK_REMOVE)
        r = place_group_remove(&s->place, step->group);
    return r;
}

/* 0, or why nothing more can be done on this side. */
static int measure(struct compare *c, struct side *s, size_t i)
{
    const struct step *step = &c->steps.step[i];
    struct measured *m = &s->step[i];
    static struct counts before, after; /* large, and only the main thread is here */
    bool counts = s->kind != SIDE_OTHER;
    int r = counts ? side_count(s, &before) : 0;

    if (r == 0)
        r = run_step(c, s, step, &m->run);
    if (r < 0)
        return r;
    m->is_done = true;
    if (m->run.failed + m->run.wrong > 0 && !c->options.keep_going)
        return err_set(-EIO, "%s", m->run.first);
    if (counts)
        r = side_count(s, &after);
    if (r == 0 && counts)
        r = counts_between(&before, &after, &m->counts);
    m->is_counted = r == 0 && counts;
    return r;
}

static bool is_wrong(const struct compare *c)
{
    for (size_t i = 0; i < c->n; i++)
        for (size_t k = 0; k < c->steps.n; k++)
            if (c->sides[i].step[k].run.wrong > 0)
                return true;
    return false;
}

static bool is_failed(const struct compare *c)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->sides[i].is_out || *c->sides[i].left != '\0')
            return true;
        for (size_t k = 0; k < c->steps.n; k++)
            if (c->sides[i].step[k].run.failed > 0)
                return true;
    }
    return false;
}

static void run_steps(struct compare *c)
{
    progress_init(&c->progress, c->steps.n * c->n);
    for (size_t k = 0; k < c->steps.n; k++) {
        for (size_t i = 0; i < c->n; i++) {
            struct side *s = &c->sides[i];
            char name[32];

            if (s->is_out || stop_signal() != 0)
                continue;
            steps_name(&c->steps.step[k], name, sizeof(name));
            progress_step(&c->progress, name, c->steps.step[k].concurrency, s->shown);
            if (measure(c, s, k) == 0)
                continue;
            if (stop_signal() != 0)
                continue;
            progress_clear(&c->progress);
            text_shown(s->failure, sizeof(s->failure), err_text());
            fprintf(stderr, "s3efs compare: %s, %u at once: %s\n", name,
                    c->steps.step[k].concurrency, s->failure);
            s->is_out = true;
            if (!c->options.keep_going)
                return;
        }
    }
    progress_clear(&c->progress);
}

/* --- the result --- */

static int write_page(const struct compare *c, const struct report *r)
{
    _cleanup_buf_ struct buf b = BUF_INIT(REPORT_MAX);
    int e = report_html(r, &b);

    for (size_t done = 0; e == 0 && done < b.len;) {
        ssize_t n = write(c->html_fd, b.data + done, b.len - done);

        if (n <= 0)
            e = err_set(-errno, "%s: %s", c->options.html, strerror(errno));
        else
            done += (size_t)n;
    }
    if (e == 0 && ftruncate(c->html_fd, (off_t)b.len) != 0 &&
        errno != EINVAL) /* a pipe has no length */
        e = err_set(-errno, "%s: %s", c->options.html, strerror(errno));
    return e;
}

static int tell(const struct compare *c)
{
    struct report r = {.options = &c->options,
                       .steps = &c->steps,
                       .prices = &c->prices,
                       .sides = c->sides,
                       .n = c->n};
    _cleanup_buf_ struct buf b = BUF_INIT(REPORT_MAX);
    int e = c->options.json ? report_json(&r, &b) : report_table(&r, &b);

    if (e == 0 && (fputs(buf_str(&b), stdout) == EOF || fflush(stdout) != 0))
        e = err_set(-EIO, "the result can't be written: %s", strerror(errno));
    if (e == 0 && c->html_fd >= 0)
        e = write_page(c, &r);
    return e;
}

static void count_all(struct compare *c)
{
    static struct counts last; /* as in measure() */

    for (size_t i = 0; i < c->n; i++) {
        struct side *s = &c->sides[i];

        s->has_total = s->has_first && !s->is_out && side_count(s, &last) == 0 &&
                       counts_between(&s->first, &last, &s->total) == 0;
    }
}

static int run(struct compare *c)
{
    int code = COMPARE_OK, r = make_places(c);

    if (r < 0)
        code = complain(COMPARE_FAILED);
    else
        run_steps(c);
    if (stop_signal() != 0)
        fprintf(stderr, "s3efs compare: stopped; removing what was made (once more: leave it)\n");
    remove_places(c);
    if (stop_signal() != 0)
        return 128 + stop_signal();
    count_all(c);
    if (code == COMPARE_OK && tell(c) < 0)
        code = complain(COMPARE_FAILED);
    if (code == COMPARE_OK && is_failed(c))
        code = COMPARE_FAILED;
    return is_wrong(c) ? COMPARE_WRONG : code;
}

/* What can be wrong with the command line is told before anything is made. */
static int prepare(struct compare *c, const struct compare_env *env)
{
    int r = prices_load(c->options.prices, &c->prices);

    if (r < 0)
        return r;
    steps_build(&c->options, &c->steps);
    if (c->options.drop_caches && access(DROP_CACHES, W_OK) != 0)
        return err_set(-errno, "--drop-caches: root is needed");
    r = open_sides(c, env);
    if (r == 0 && c->options.html != NULL) {
        c->html_fd = open(c->options.html, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (c->html_fd < 0)
            r = err_set(-errno, "%s: %s", c->options.html, strerror(errno));
    }
    return r;
}

int compare_main(int argc, char **argv, const struct compare_env *env)
{
    struct compare *c = calloc(1, sizeof(*c));
    int code;

    err_clear();
    if (c == NULL) {
        (void)err_set(-ENOMEM, "out of memory");
        return complain(COMPARE_FAILED);
    }
    c->html_fd = -1;
    if (options_parse(argc, argv, &c->options) < 0) {
        code = *err_text() != '\0' ? complain(COMPARE_USAGE) : COMPARE_USAGE;
    } else if (c->options.help) {
        options_help();
        code = COMPARE_OK;
    } else if (prepare(c, env) < 0) {
        code = complain(COMPARE_USAGE);
    } else {
        stop_install();
        (void)signal(SIGPIPE, SIG_IGN);
        code = run(c);
    }
    for (size_t i = 0; i < c->n; i++)
        side_close(&c->sides[i]);
    if (c->html_fd >= 0)
        close(c->html_fd);
    free(c);
    return code;
}
