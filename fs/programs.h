/* SPDX-License-Identifier: Apache-2.0 */
/* Which program a holder's daemons are: the holder itself, or what s3efs upgrade has named. A new
 * one is on trial until it serves; if it does not come to that, the one before it goes on. For one
 * thread. */
#ifndef S3EFS_PROGRAMS_H
#define S3EFS_PROGRAMS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/clock.h"
#include "holder.h"

#define TRIAL_NS                                                                                   \
    (120 * NS_PER_S) /* until it serves; the caller of s3efs upgrade waits for longer */

/* The file that it was when it was named: what is at its path changes with each update. */
struct program {
    int fd; /* 0: the holder's own */
    char path[PATH_MAX];
};

struct programs {
    struct program now, next,
        last; /* daemons are; the daemon has named it; while now is on trial */
    bool is_trial;
    int64_t trial_ends_ns;      /* CLOCK_BOOTTIME */
    char token[HOLD_TOKEN_MAX]; /* of the upgrade that now is from; "" */
    char next_token[HOLD_TOKEN_MAX];
};

/* A daemon names the next: "TOKEN PROGRAM". What can't be opened counts as named all the same (fd
 * 0). */
void programs_name(struct programs *p, const char *text);
void programs_unname(struct programs *p);
/* The daemon has ended for it, which is tried now. If it is gone already, or may_try is false, now
 * goes on, and the token is none. */
void programs_hand_over(struct programs *p, bool may_try, int64_t now_ns);
void programs_serve(struct programs *p);
/* now has ended with that status. true: it was on trial, and the one before goes on. */
bool programs_fall_back(struct programs *p, int status);
/* true, once: the trial has taken too long. */
bool programs_is_late(struct programs *p, int64_t now_ns);

#endif
