/* SPDX-License-Identifier: Apache-2.0 */
/* One store request on its way to an answer: build, sign, send, classify, wait, again.
 *
 * A call is in one hand at a time: the thread that submits it, the HTTP engine (an attempt is under
 * way) or the work queue (it waits for its next attempt, or for credentials, which may block). So
 * it needs no lock. */
#ifndef S3EFS_S3_CALL_H
#define S3EFS_S3_CALL_H

#include <limits.h>
#include <stdatomic.h>
#include "base/err.h"
#include "base/lock.h"
#include "base/workq.h"
#include "body.h"
#include "error.h"
#include "request.h"
#include "s3/s3.h"
#include "sign.h"

struct s3 {
    struct store base;
    struct s3_conf conf;
    struct http *http;
    struct cred *cred;
    struct meter *meter;
    struct workq *workq;
    _Atomic bool etag_unquoted;
    _Atomic int64_t skew_ns; /* the server's clock less ours, once it has told us */
    struct {
        struct lock lk;
        struct cond idle;
        size_t active;
        bool stopping;
        struct gate gate;
        struct turn_queue { /* for their turn */
            struct call *first, **end;
        } urgent, fresh, again; /* again: who has failed before */
        unsigned passed; /* turns that went to fresh ones since one went to the others */
        bool was_urgent; /* the last turn went to an urgent one */
        bool ticking;
        struct sigv4_key *key; /* in secret memory */
    } locked;
    struct work tick; /* turn.c's */
};

struct call {
    struct s3 *s3;
    struct store_req *req;
    struct store_rsp *rsp;
    struct work work;
    enum origin origin;
    struct call *waits;  /* in one of turn.c's queues */
    enum gate_turn turn; /* GATE_WAIT: has none */

    struct message msg;
    char payload_hash[BODY_SHA256_HEX];
    int64_t deadline_ns; /* 0: none */
    bool is_soft;        /* the deadline is the mount's: -EIO, not -ETIMEDOUT */
    bool is_unsigned;    /* the last attempt ended before it was sent: no credentials */
    unsigned attempts; /* to send it, also those that ended before they began; the backoff's */
    unsigned begun;    /* of them: had a connection, so the server may have seen them */
    unsigned few;  /* tries used up of what is tried a few times only */
    bool explains; /* msg is the one that finds out why the request's own fails */
    bool refreshed, skewed;
    bool wants_refresh; /* the credentials of cred_hash were refused */
    uint64_t cred_hash;
    struct err_copy last; /* why the last attempt failed */
    int64_t failing_ns, say_ns; /* when the first failed; when that is said in the log again */
    int refused;          /* the result if other credentials can't be had */

    struct wire wire;
    struct http_call http;
    struct body_in in;
    int source_error;
    struct remove_many *many; /* remove.c's */
};

/* ops->submit. */
void call_submit(struct store *s, struct store_req *req, struct store_rsp *rsp);
/* Ends the call with a result: frees it and runs req->done. */
void call_finish(struct call *c, int result);
/* "GET photos/a.jpg", "LIST bucket-name". */
void call_name(const struct call *c, char *out, size_t size);
/* Makes msg the request's own message, or the one that explains. 0, or -errno and msg is as it was.
 */
_must_check_ int call_set_message(struct call *c, bool explains);
/* The next attempt, on the work queue. */
void call_again(struct call *c, int64_t delay_ns);
/* The same after a backoff, within the limits of the call: past them it ends, in the end with
 * result. err_text() says what went wrong. */
void call_retry(struct call *c, bool is_throttled, int result);

/* turn.c */
void turn_init(struct s3 *s3);
/* False: it is not this call's turn; it waits, and call_again() is called for it when it is. */
_must_check_ bool turn_take(struct call *c);
/* What came of the attempt; nothing for a call that has no turn. Lets others go. */
void turn_end(struct call *c, enum gate_end end);
/* How long the next attempt waits before it asks for its turn. */
int64_t turn_delay(struct call *c, bool is_throttled, uint64_t random);

/* judge.c: after an attempt; r is http's. */
void call_judge(struct call *c, int r);
/* Ends the call with a refusal, the cause of which may yet have to be asked for. err_text() is set.
 */
void call_refuse(struct call *c, int result);

/* reply.c: a 2xx answer into c->rsp. 0, RESPONSE_* or -errno. */
_must_check_ int reply_read(struct call *c);

/* remove.c: the answer to DELETE_MANY into key_results; a key that is not known to be gone is
 * KEY_OPEN there. */
#define KEY_OPEN INT_MAX
_must_check_ int remove_many_open(struct call *c); /* all of them; 0 or -ENOMEM */
_must_check_ int remove_many_reply(struct call *c);
/* remove_rest.c: single DELETEs for what is open, then the call ends. */
void remove_many_rest(struct call *c);
void remove_many_free(struct remove_many *m);
void remove_many_forget(struct store_rsp *rsp); /* per-key results mean nothing after a failure */

#endif
