/* SPDX-License-Identifier: Apache-2.0 */
/* An asynchronous HTTP engine: one thread, one curl multi handle, kept connections. Knows nothing of S3:
 * a request is a method, an URL that is sent as it is (already encoded; curl's path clean-up is off), headers
 * and a body; the answer is a status, headers and a body. No redirects are followed, nothing is retried.
 *
 * Lifecycle: http_new (no thread; before the fork) -> http_start (after the fork) -> http_stop (fails what is
 * under way with -ECANCELED and joins) -> http_free. Threads: http_submit from any. done runs on the engine
 * thread with no lock held and must not block; it may submit, also the same call again. TLS is always verified.
 * Proxies as the environment says (HTTPS_PROXY, NO_PROXY, ...), but never for loopback and link-local hosts. */
#ifndef S3EFS_HTTP_HTTP_H
#define S3EFS_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

struct http;

struct http_conf {
    unsigned max_connections;  /* kept and open at once in all, but for one more that is urgent; 0 = 256 */
    int connect_timeout_ms;    /* 0 = 5000 */
    int stall_timeout_ms;      /* give up when no byte moved for so long; 0 = 20000 */
    const char *ca_bundle;     /* AWS_CA_BUNDLE; NULL = the system's */
    const char *user_agent;    /* NULL = "s3efs/VERSION" */
};

struct http_hdr {
    char *name, *value; /* the name in lower case */
};

struct http_call {
    /* Request: the caller's, unchanged until done. */
    const char *method; /* GET HEAD PUT POST DELETE */
    const char *url;
    const char *const *headers; /* "name: value" */
    size_t n_headers;
    uint64_t body_size;         /* 0: no body (PUT and POST then send Content-Length: 0) */
    int (*body_read)(void *ctx, uint64_t off, void *buf, size_t len); /* 0 or -errno; may run again from 0 */
    /* For each 2xx answer's body; status and headers may be read in it. NULL: kept in `body` below. Other statuses always go to `body`. */
    int (*body_write)(void *ctx, uint64_t off, const void *buf, size_t len);
    void *ctx;
    size_t body_max;    /* limit of `body`; 0 = 1 MiB. Past it: -E2BIG */
    int64_t timeout_ms; /* whole call, also its wait for a connection; 0 = none but the stall limit */
    bool is_secret;     /* the answer is: kept in secret memory (base/secret.h), and no connection or handle that saw it */
    bool is_urgent;     /* small, and others depend on it: one connection is for such, and every second place of the others */
    bool is_first;      /* and before the others of those */
    int stall_timeout_ms; /* 0 = conf's (a server-side copy may be silent for longer) */

    void (*done)(struct http_call *call, int r);

    /* Answer: valid in done and after it, until http_call_done(). */
    int status; /* 0 if none came */
    bool was_begun; /* it got a connection's place; else the server cannot have seen anything of it */
    struct http_hdr *hdrs;
    size_t n_hdrs;
    struct buf body;
    uint64_t sent, received; /* body bytes */

    struct { /* http's own while under way */
        struct http_call *next;
        int64_t deadline_ns;
        void *waiter;
    } engine;
};

_must_check_ int http_new(const struct http_conf *conf, struct http **ret);
_must_check_ int http_start(struct http *h);
void http_stop(struct http *h);
void http_free(struct http *h);

/* Sends the call. Before http_start it waits for it; after http_stop done runs at once, on this thread, with
 * -ECANCELED. What an earlier run of the same call answered is freed.
 *
 * r in done: 0 when a whole answer came (whatever its status), else -errno: -ECONNREFUSED, -EHOSTUNREACH
 * (name not found), -ETIMEDOUT, -ECONNRESET (cut while sending or receiving; a body shorter than its
 * Content-Length), -EPROTO (TLS or HTTP broken; certificate not trusted: err_text says so), -ECANCELED, -E2BIG
 * (body past body_max, headers past 64 KiB), -EINVAL (a bad URL, a line break in a header), or what body_read
 * or body_write returned. err_text() is set on the engine thread; it never has the URL's path or query.
 *
 * A PUT, POST or DELETE reaches a server at most once: curl would send it again by itself when a kept connection
 * turns out dead, which a conditional request can't bear; that is -ECONNRESET here. */
void http_submit(struct http *h, struct http_call *call);
/* Submits and waits. Never on the engine thread. */
_must_check_ int http_wait(struct http *h, struct http_call *call);
const char *http_call_header(const struct http_call *call, const char *lower_name); /* NULL if absent */
void http_call_done(struct http_call *call); /* frees the answer; idempotent */

/* Pure: how long to wait before the next attempt (full jitter: random in [0, min(cap, base * 2^attempt)]). */
struct backoff {
    int64_t base_ns, cap_ns;
};
int64_t backoff_delay(const struct backoff *b, unsigned attempt, uint64_t random);

/* What all calls to one endpoint share, so that retries don't drown a sick server and an outage costs a probe a second.
 * Pure; the caller's lock guards it. Each attempt enters before it is sent and leaves with what came of it.
 *
 * A failure costs a token, a success brings 0.2 (at most 100; 10 at the start). Without a token left, or after
 * 5 failures in a row, the gate is careful: what goes through must hold a token of its own, or is the probe. There is
 * one probe in each interval, and after one that succeeded the next at once; while nothing succeeds (an outage) there are
 * only probes. With 10 tokens again the gate is open. So from the start on
 *
 *     failed attempts <= 10 + 0.2 * successes + one for each interval + what was under way when it began to fail. */
struct gate {
    int64_t interval_ns;
    double tokens;
    unsigned in_a_row; /* failures since the last success */
    bool is_careful;
    int64_t probe_ns; /* CLOCK_BOOTTIME: no probe before that */
};
enum gate_turn { GATE_WAIT, GATE_FREE, GATE_PAID, GATE_PROBE };
enum gate_end { GATE_SUCCESS, GATE_FAILURE, GATE_NOT_SENT };
void gate_init(struct gate *g, int64_t interval_ns);
/* Whether an attempt may be sent now. GATE_WAIT: ask again later, nothing is to be left. */
enum gate_turn gate_enter(struct gate *g, int64_t now_ns);
void gate_leave(struct gate *g, enum gate_turn turn, enum gate_end end, int64_t now_ns);
/* Nothing but failures lately. */
bool gate_is_outage(const struct gate *g);

#endif
