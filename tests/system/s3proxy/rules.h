/* SPDX-License-Identifier: Apache-2.0 */
/* Faults by rule: which request (kind, key, n-th) and what happens to it. Threads: any. */
#ifndef S3PROXY_RULES_H
#define S3PROXY_RULES_H

#include <stdint.h>
#include <stdio.h>
#include "kind.h"

enum action {
    ACT_NONE,
    ACT_STATUS,   /* answered here with status and code; nothing is forwarded unless after=1 */
    ACT_RESET,    /* connection reset before anything is forwarded */
    ACT_LOST,     /* forwarded, answered by the server, and the reply thrown away with a reset */
    ACT_TRUNCATE, /* the reply's body ends after n bytes */
    ACT_STALL,    /* the reply's body stops after n bytes, the connection stays open */
    ACT_CUTUP,    /* the upload's body ends after n bytes, on both sides */
    ACT_CORRUPT,  /* byte n of the reply's body is changed */
    ACT_DELAY,    /* ms later */
    ACT_HOLD,     /* not forwarded (after=1: not answered) until POST /release */
    ACTIONS
};
extern const char *const action_names[ACTIONS];

struct deed { /* a rule's effect on one request */
    enum action action;
    int status;
    char code[64];
    char headers[256]; /* more header lines of an answer, each ended by CRLF */
    bool after;
    uint64_t n;
    unsigned ms;
};

/* From "op=PUT,COPY&key=REGEX&nth=1&count=1&action=status&status=503&code=SlowDown&..." 0 = no limit of
 * the count. Returns NULL, or what is wrong with it. */
const char *rules_add(const char *query);
void rules_clear(void);
/* The first rule that fires for this request; action ACT_NONE when there is none. */
struct deed rules_match(const struct target *t);
void rules_print(FILE *f); /* JSON */

/* Blocks until rules_release() is called or rules are cleared: true, the request goes on, also when its client has gone
 * away (a late request). false: the client has gone and has sent it again, and that one is held in its place. held: how
 * many wait now. */
bool rules_hold(const struct target *t, const struct deed *d, int client);
void rules_release(void);
unsigned rules_held(void);

#endif
