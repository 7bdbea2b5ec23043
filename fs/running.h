/* SPDX-License-Identifier: Apache-2.0 */
/* A mount that runs, among run.c (start and end), ending.c (drains, signals) and verbs.c (the control socket). */
#ifndef S3EFS_RUNNING_H
#define S3EFS_RUNNING_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/lock.h"
#include "compose.h"
#include "control/control.h"
#include "run.h"

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

/* --- ending.c --- */
/* Everything dirty, until the deadline that a signal sets (also while this waits). -ETIMEDOUT: the helper still
 * hangs in the vfs, which must not be freed any more. */
int run_drain(struct run *run);
void run_report_unsent(struct run *run); /* to the log: what err_text() says, and what is not sent */
/* true: the FUSE loop has ended, by itself or (push) because it was told to, and nothing holds its calls up that needs not. */
bool run_wait_loop(struct run *run, int64_t deadline_ns, bool push);
void *run_signal_main(void *run); /* the signals' thread */

/* --- verbs.c --- */
int run_open_control(struct run *run);

#endif
