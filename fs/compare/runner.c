/* SPDX-License-Identifier: Apache-2.0 */
#include "runner.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/lock.h"
#include "ops.h"
#include "stop.h"
#include "text.h"
#include "workload.h"

#define PAINT_MS 200

struct run {
    const struct run_job *job;
    uint64_t units;
    unsigned threads;
    struct lock lock; /* guards what follows */
    struct cond changed;
    uint64_t done; /* units */
    unsigned at_work;
    bool is_over; /* of a failure: nobody begins another unit */
    struct run_result *result;
};

struct worker {
    struct run *run;
    unsigned index;
    pthread_t thread;
    struct ops ops;
};

/* What one thread does in one go, and the whole step is so many of. */
static uint64_t units_of(const struct step *s)
{
    if (s->work == WORK_LIST)
        return s->concurrency; /* a listing each */
    return s->is_tree ? (s->files + STEPS_TREE_WIDTH - 1) / STEPS_TREE_WIDTH : s->files;
}

/* An image: stored, then read with those that this worker stored before. */
static int mixed(struct worker *w, uint64_t unit)
{
    const struct options *o = w->run->job->options;
    uint64_t own = unit / w->run->threads + 1;
    int r = ops_upload(&w->ops, unit);

    for (uint64_t k = 0; k < o->reads && r == 0; k++) {
        /* the new one first: a feed asks for what was just put there */
        uint64_t pick = k == 0 ? own - 1 : workload_pick(o->seed, unit * o->reads + k, own);

        r = ops_read(&w->ops, pick * w->run->threads + w->index);
    }
    return r;
}

static int do_unit(struct worker *w, uint64_t unit)
{
    const struct step *s = w->run->job->step;

    switch (s->work) {
    case WORK_MIX:
        return mixed(w, unit);
    case WORK_UPLOAD:
        return ops_upload(&w->ops, unit);
    case WORK_READ:
        return ops_read(&w->ops, unit);
    case WORK_LIST:
        return ops_list(&w->ops);
    case WORK_TREE:
        return ops_tree_make(&w->ops, unit);
    case WORK_WALK:
        return ops_tree_walk(&w->ops, unit);
    case WORK_REMOVE:
        return s->is_tree ? ops_tree_remove(&w->ops, unit) : ops_remove(&w->ops, unit);
    case WORK_MAKE:
    case WORKS:
        break;
    }
    return err_set(-EINVAL, "no work for threads");
}

/* Whether the worker shall go on. */
static bool book(struct worker *w, int r)
{
    struct run *run = w->run;
    bool more;

    lock_take(&run->lock);
    run->done++;
    if (r != 0 && stop_signal() == 0) {
        if (run->result->failed + run->result->wrong == 0)
            text_shown(run->result->first, sizeof(run->result->first), err_text());
        run->result->failed += r < 0 ? 1 : 0;
        run->result->wrong += r > 0 ? 1 : 0;
        run->is_over |= !run->job->options->keep_going;
    }
    more = !run->is_over && stop_signal() == 0;
    lock_drop(&run->lock);
    return more;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;

    for (uint64_t unit = w->index; unit < w->run->units; unit += w->run->threads)
        if (!book(w, do_unit(w, unit)))
            break;
    lock_take(&w->run->lock);
    w->run->at_work--;
    cond_signal(&w->run->changed);
    lock_drop(&w->run->lock);
    return NULL;
}

static void paint(const struct run *run, uint64_t done)
{
    if (run->job->progress != NULL)
        run->job->progress(run->job->arg, done, run->units);
}

static void wait_and_paint(struct run *run)
{
    uint64_t done;

    lock_take(&run->lock);
    while (run->at_work > 0) {
        (void)cond_wait_ms(&run->changed, &run->lock, PAINT_MS);
        done = run->done;
        lock_drop(&run->lock);
        paint(run, done);
        lock_take(&run->lock);
    }
    done = run->done;
    lock_drop(&run->lock);
    paint(run, done); /* the last of them may have come after the last look */
}

static int worker_init(struct worker *w, struct run *run, unsigned index)
{
    w->run = run;
    w->index = index;
    w->ops.job = run->job;
    w->ops.buffer = malloc(OPS_BUFFER);
    w->ops.seen = calloc(1, (size_t)run->job->step->files / 8 + 1);
    return w->ops.buffer != NULL && w->ops.seen != NULL
               ? 0
               : err_set(-ENOMEM, "out of memory for %u callers at once", run->threads);
}

static void worker_done(struct worker *w)
{
    free(w->ops.buffer);
    free(w->ops.seen);
}

static int start_all(struct run *run, struct worker *all, unsigned *ret_started)
{
    int r = 0;

    for (unsigned i = 0; i < run->threads && r == 0; i++)
        r = worker_init(&all[i], run, i);
    for (unsigned i = 0; i < run->threads && r == 0; i++) {
        lock_take(&run->lock);
        run->at_work++;
        lock_drop(&run->lock);
        r = -pthread_create(&all[i].thread, NULL, worker_main, &all[i]);
        lock_take(&run->lock);
        if (r == 0) {
            (*ret_started)++;
        } else {
            run->at_work--;
            run->is_over = true;
            (void)err_set(r, "a thread can't be started: %s", strerror(-r));
        }
        lock_drop(&run->lock);
    }
    return r;
}

static void sum_up(struct worker *all, unsigned n, struct run_result *ret)
{
    for (int p = 0; p < RUN_PARTS; p++) {
        for (unsigned i = 1; i < n; i++) {
            hist_merge(&all[0].ops.part[p].took, &all[i].ops.part[p].took);
            all[0].ops.part[p].files += all[i].ops.part[p].files;
            all[0].ops.part[p].bytes += all[i].ops.part[p].bytes;
        }
        hist_summarize(&all[0].ops.part[p].took, &ret->took[p]);
        ret->files[p] = all[0].ops.part[p].files;
        ret->bytes[p] = all[0].ops.part[p].bytes;
    }
}

int runner_run(const struct run_job *job, struct run_result *ret)
{
    struct run run = {.job = job, .units = units_of(job->step), .result = ret};
    struct worker *all;
    unsigned started = 0;
    int64_t begin;
    int r;

    *ret = (struct run_result){0};
    run.threads = job->step->concurrency < run.units ? job->step->concurrency : (unsigned)run.units;
    all = calloc(run.threads, sizeof(*all));
    if (all == NULL)
        return err_set(-ENOMEM, "out of memory for %u callers at once", run.threads);
    lock_init(&run.lock, LOCK_LEAF);
    cond_init(&run.changed);
    begin = clock_boot_ns();
    r = start_all(&run, all, &started);
    wait_and_paint(&run);
    for (unsigned i = 0; i < started; i++)
        pthread_join(all[i].thread, NULL);
    ret->ns = clock_boot_ns() - begin;
    if (r == 0)
        sum_up(all, run.threads, ret);
    for (unsigned i = 0; i < run.threads; i++)
        worker_done(&all[i]);
    free(all);
    cond_done(&run.changed);
    lock_done(&run.lock);
    if (r == 0 && stop_signal() != 0)
        r = err_set(-EINTR, "stopped by a signal");
    return r;
}
