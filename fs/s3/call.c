/* SPDX-License-Identifier: Apache-2.0 */
/* The attempt loop. Retries run above signing, so each attempt has a fresh date and fresh
 * credentials. CALL-1  The engine's thread never blocks: credentials that need a request are
 * fetched on the work queue. CALL-2  A request without a deadline is slowed down by failures, never
 * failed by them. CALL-3  Once s3.locked.stopping is set nothing is queued any more; what waits
 * ends with -ECANCELED. CALL-4  An attempt is sent in its turn only (turn.c), so that a sick endpoint gets few. */
#include "call.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/str.h"
#include "response.h"

#define COPY_STALL_MS                                                                              \
    300000 /* a copy within the server, or the joining of parts, may be silent for long */

#define SAY_NS (10 * NS_PER_S)
#define LEAST_NS (20 * NS_PER_MS) /* an attempt with less time than this is none */

static void start_attempt(struct call *c, bool may_block);

void call_name(const struct call *c, char *out, size_t size)
{
    const char *what = c->req->key != NULL ? c->req->key : c->s3->conf.bucket;

    snprintf(out, size, "%s %.*s", store_op_name(c->req->op), 200, what);
}

void call_finish(struct call *c, int result)
{
    struct s3 *s3 = c->s3;
    struct store_req *req = c->req;
    enum origin own = origin_set(c->origin);

    turn_end(c, GATE_NOT_SENT);
    c->rsp->retried = c->rsp->retried || c->attempts > 1;
    if (result != 0)
        remove_many_forget(c->rsp);
    message_done(&c->msg);
    wire_done(&c->wire);
    http_call_done(&c->http);
    body_in_done(&c->in);
    remove_many_free(c->many);
    free(c);
    req->done(req->done_arg, result);
    origin_set(own);
    lock_take(&s3->locked.lk);
    s3->locked.active--;
    if (s3->locked.active == 0)
        cond_broadcast(&s3->locked.idle);
    lock_drop(&s3->locked.lk);
}

static void on_work(struct work *w, bool cancelled)
{
    struct call *c = container_of(w, struct call, work);

    if (cancelled)
        call_finish(c, err_set(-ECANCELED, "the store is stopping"));
    else
        start_attempt(c, true);
}

void call_again(struct call *c, int64_t delay_ns)
{
    struct s3 *s3 = c->s3;
    bool stopping;

    c->work.run = on_work;
    lock_take(&s3->locked.lk);
    stopping = s3->locked.stopping;
    if (!stopping)
        workq_add_after(s3->workq, &c->work, delay_ns);
    lock_drop(&s3->locked.lk);
    if (stopping)
        call_finish(c, err_set(-ECANCELED, "the store is stopping"));
}

static void finish_late(struct call *c)
{
    char name[256];
    int result = c->is_soft ? -EIO : -ETIMEDOUT;

    call_name(c, name, sizeof(name));
    if (c->begun > 0)
        result = err_set(result, "%s: given up after %u attempt%s: %s", name, c->begun,
                         c->begun == 1 ? "" : "s", c->last.text);
    else
        result = err_set(result, "%s: given up before it was sent: %s", name,
                         c->last.text[0] != '\0' ? c->last.text : "its turn did not come in time");
    call_finish(c, result);
}

static uint64_t random_u64(void)
{
    uint64_t v = 0;

    if (getrandom(&v, sizeof(v), GRND_NONBLOCK) != (ssize_t)sizeof(v))
        v = (uint64_t)clock_boot_ns() * UINT64_C(0x9E3779B97F4A7C15);
    return v;
}

/* As NFS's "not responding, still trying": a hard mount's request may wait for ever, but not without
 * a word. After SAY_NS, and each time that the wait has doubled since. */
static void say_still_trying(struct call *c)
{
    int64_t now = clock_boot_ns();
    char name[256];

    if (c->failing_ns == 0) {
        c->failing_ns = now;
        c->say_ns = now + SAY_NS;
    }
    if (now < c->say_ns)
        return;
    c->say_ns = now + (now - c->failing_ns);
    call_name(c, name, sizeof(name));
    log_warn("s3.still_trying", "request=%s attempts=%u s=%" PRId64 " cause=%s", LOG_Q(name),
             c->begun, (now - c->failing_ns) / NS_PER_S, LOG_Q(c->last.text));
}

/* err_text() says what went wrong with the last attempt. */
void call_retry(struct call *c, bool is_throttled, int result)
{
    unsigned max = c->s3->conf.max_attempts;
    int64_t delay;

    err_copy(&c->last);
    if (max != 0 && c->attempts >= max) {
        call_finish(c, result);
        return;
    }
    say_still_trying(c);
    delay = turn_delay(c, is_throttled, random_u64());
    if (c->deadline_ns != 0 && clock_boot_ns() + delay + LEAST_NS >= c->deadline_ns)
        finish_late(c);
    else
        call_again(c, delay);
}

static void on_http_done(struct http_call *http, int r)
{
    struct call *c = container_of(http, struct call, http);

    if (http->was_begun) {
        c->begun++;
        meter_count(c->s3->meter, c->msg.kind, c->origin, http->status, http->sent, http->received);
    }
    wire_done(&c->wire);
    c->rsp->date_ns = response_date(http);
    call_judge(c, r);
}

static int read_body(void *ctx, uint64_t off, void *buf, size_t len)
{
    struct call *c = ctx;
    int r;

    if (!c->msg.sends_source) {
        if (off > c->msg.body.len || len > c->msg.body.len - off)
            return err_set(-EINVAL, "read past the end of a request's body");
        memcpy(buf, c->msg.body.data + off, len);
        return 0;
    }
    r = c->req->src->read(c->req->src->ctx, off, buf, len);
    if (r < 0)
        c->source_error = r;
    return r;
}

static int write_body(void *ctx, uint64_t off, const void *data, size_t len)
{
    struct call *c = ctx;

    return body_in_write(&c->in, off, data, len);
}

static void send(struct call *c)
{
    bool is_get = c->req->op == STORE_GET;

    http_call_done(&c->http);
    c->source_error = 0;
    body_in_init(&c->in, c->req, &c->http);
    c->http = (struct http_call){
        .method = c->msg.method,
        .url = c->wire.url,
        .headers = (const char *const *)c->wire.headers,
        .n_headers = c->wire.n_headers,
        .body_size = c->msg.sends_source ? c->req->src->size : c->msg.body.len,
        .body_read = read_body,
        .body_write = is_get ? write_body : NULL,
        .ctx = c,
        .body_max = c->msg.reply_max,
        .done = on_http_done,
        .is_urgent = c->req->is_urgent,
        .is_first = c->req->is_first,
    };
    if (c->msg.kind == METER_COPY || c->msg.kind == METER_COPY_PART ||
        c->msg.kind == METER_MPU_COMPLETE)
        c->http.stall_timeout_ms = COPY_STALL_MS;
    if (c->deadline_ns != 0) {
        int64_t ms = (c->deadline_ns - clock_boot_ns()) / NS_PER_MS;

        c->http.timeout_ms = ms > 0 ? ms : 1;
    }
    c->attempts++;
    http_submit(c->s3->http, &c->http); /* c may be gone when this returns */
}

static uint64_t hash_cred(const struct aws_cred *cred)
{
    const char *id = cred->access_key != NULL ? cred->access_key : "";
    const char *token = cred->token != NULL ? cred->token : "";

    return str_hash(id, strlen(id)) * 31 + str_hash(token, strlen(token));
}

/* Others than those that were refused: somebody else may have fetched them by now. Blocks. */
static int get_other_cred(struct call *c, struct aws_cred *ret)
{
    int r = cred_get(c->s3->cred, false, false, ret);

    if (r == 0 && hash_cred(ret) == c->cred_hash) {
        aws_cred_done(ret);
        r = cred_get(c->s3->cred, true, false, ret);
        if (r == 0 && hash_cred(ret) == c->cred_hash) {
            aws_cred_done(ret);
            err_restore(&c->last);
            return c->refused;
        }
    }
    return r;
}

static int sign(struct call *c, const struct aws_cred *cred)
{
    struct s3 *s3 = c->s3;
    int64_t wall_ns = clock_wall_ns() + atomic_load(&s3->skew_ns);
    _cleanup_secret_ struct sigv4_key *key = secret_alloc(sizeof(*key));
    int r;

    if (key == NULL)
        return err_set(-ENOMEM, "no memory for a signature");
    c->cred_hash = hash_cred(cred);
    lock_take(&s3->locked.lk);
    *key = *s3->locked.key;
    lock_drop(&s3->locked.lk);
    r = wire_build(&c->msg, &s3->conf.endpoint, cred, c->payload_hash, wall_ns, key, &c->wire);
    lock_take(&s3->locked.lk);
    *s3->locked.key = *key;
    lock_drop(&s3->locked.lk);
    return r;
}

static bool is_stopping(struct s3 *s3)
{
    bool stopping;

    lock_take(&s3->locked.lk);
    stopping = s3->locked.stopping;
    lock_drop(&s3->locked.lk);
    return stopping;
}

static void on_no_cred(struct call *c, int r)
{
    turn_end(c, GATE_NOT_SENT);
    if (c->wants_refresh) {
        call_refuse(c, r);
        return;
    }
    if (error_transport(r, c->req->op) != ERROR_RETRY) {
        call_finish(c, r);
        return;
    }
    c->is_unsigned = true;
    c->attempts++; /* the backoff grows with it; a source of credentials is part of the way to the
                      bucket */
    call_retry(c, false, r);
}

static void start_attempt(struct call *c, bool may_block)
{
    struct aws_cred cred = {0};
    int r;

    if (is_stopping(c->s3)) {
        call_finish(c, err_set(-ECANCELED, "the store is stopping"));
        return;
    }
    if (c->deadline_ns != 0 && clock_boot_ns() >= c->deadline_ns) {
        finish_late(c);
        return;
    }
    if (!turn_take(c))
        return; /* c is in other hands */
    r = c->wants_refresh ? get_other_cred(c, &cred)
                         : cred_get(c->s3->cred, false, !may_block, &cred);
    if (r == -EAGAIN && !may_block) {
        call_again(c, 0);
        return;
    }
    if (r != 0) {
        on_no_cred(c, r);
        return;
    }
    c->wants_refresh = c->is_unsigned = false;
    r = sign(c, &cred);
    aws_cred_done(&cred);
    if (r != 0)
        call_finish(c, r);
    else
        send(c);
}

static void set_payload_hash(struct call *c)
{
    if (!c->msg.sends_source)
        body_sum_bytes(c->msg.body.data, c->msg.body.len, c->payload_hash);
    else if (strcmp(c->s3->conf.endpoint.scheme, "https") == 0)
        snprintf(c->payload_hash, sizeof(c->payload_hash), "UNSIGNED-PAYLOAD");
}

static int build(struct call *c, bool explains, const char *sum, struct message *ret)
{
    struct s3_conf conf = c->s3->conf;

    conf.etag_unquoted = atomic_load(&c->s3->etag_unquoted);
    return explains ? message_build_explain(&conf, c->req, ret)
                    : message_build(&conf, c->req, sum, ret);
}

int call_set_message(struct call *c, bool explains)
{
    struct message m = {0};
    int r = build(c, explains, NULL, &m);

    if (r != 0)
        return r;
    message_done(&c->msg);
    c->msg = m;
    c->explains = explains;
    set_payload_hash(c);
    return 0;
}

static void set_deadline(struct call *c)
{
    int64_t soft_ms = c->s3->conf.soft_timeout_ms;
    int64_t soft_ns = clock_boot_ns() + soft_ms * NS_PER_MS;

    c->deadline_ns = c->req->deadline_ns;
    c->is_soft = soft_ms != 0 && (c->deadline_ns == 0 || soft_ns < c->deadline_ns);
    if (c->is_soft)
        c->deadline_ns = soft_ns;
}

/* The message, the sums of its body and the time it has. */
static int prepare(struct call *c)
{
    const struct store_req *req = c->req;
    bool is_tls = strcmp(c->s3->conf.endpoint.scheme, "https") == 0;
    bool has_source = req->op == STORE_PUT || req->op == STORE_MPU_PART;
    char sum[CHECKSUM_BASE64_MAX] = "";
    int r = 0;

    set_deadline(c);
    if (has_source && req->src == NULL)
        return err_set(-EINVAL, "%s without a body", store_op_name(req->op));
    if (has_source)
        r = body_sum_source(req->src, message_sum_kind(req->op), sum,
                            is_tls ? NULL : c->payload_hash);
    if (r == 0)
        r = build(c, false, sum, &c->msg);
    if (r == 0)
        set_payload_hash(c);
    return r;
}

void call_submit(struct store *s, struct store_req *req, struct store_rsp *rsp)
{
    struct s3 *s3 = container_of(s, struct s3, base);
    struct call *c = calloc(1, sizeof(*c));
    bool stopping;
    int r;

    lock_take(&s3->locked.lk);
    stopping = s3->locked.stopping;
    if (!stopping && c != NULL)
        s3->locked.active++;
    lock_drop(&s3->locked.lk);
    if (stopping || c == NULL) {
        free(c);
        req->done(req->done_arg, stopping ? err_set(-ESHUTDOWN, "the store has stopped")
                                          : err_set(-ENOMEM, "no memory for a request"));
        return;
    }
    *c = (struct call){.s3 = s3, .req = req, .rsp = rsp, .origin = origin_get()};
    r = prepare(c);
    if (r != 0)
        call_finish(c, r);
    else
        start_attempt(c, false);
}
