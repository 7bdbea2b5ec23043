/* SPDX-License-Identifier: Apache-2.0 */
/* What is done about an answer, or about none: the table of error.c applied to a call.
 * Runs on the engine's thread: nothing here blocks. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "call.h"
#include "response.h"

#define SKEW_MIN_NS (300 * NS_PER_S) /* servers refuse at 15 minutes */

static void log_attempt(const struct call *c, int r)
{
    char name[256];

    call_name(c, name, sizeof(name));
    log_debug("s3.attempt", "request=%s attempt=%u status=%d error=%d up=%" PRIu64 " down=%" PRIu64,
              LOG_Q(name), c->attempts, c->http.status, r, c->http.sent, c->http.received);
}

static int explain_row(const struct call *c, const struct error_row *row,
                       const struct error_reply *e)
{
    const char *region = http_call_header(&c->http, "x-amz-bucket-region");
    const char *location = http_call_header(&c->http, "location");
    const char *bucket = c->s3->conf.bucket;
    char name[256];

    call_name(c, name, sizeof(name));
    if (region == NULL && e->region[0] != '\0')
        region = e->region;
    if (row->result == -ENODEV)
        return err_set(-ENODEV, "no such bucket %s", bucket);
    if (row->action == ERROR_REGION && region != NULL)
        return err_set(row->result, "bucket %s is in %.63s: use region=%.63s", bucket, region,
                       region);
    if (row->action == ERROR_REGION)
        return err_set(row->result,
                       "%s: %d %s: redirected to %.200s: is region= or endpoint= right?", name,
                       c->http.status, e->code, location != NULL ? location : "(nowhere)");
    return err_set(row->result, "%s: %d%s%s%s%s%s%s%s%s%s", name, c->http.status,
                   e->code[0] != '\0' ? " " : "", e->code, e->message[0] != '\0' ? ": " : "",
                   e->message, row->hint != NULL ? ": " : "", row->hint != NULL ? row->hint : "",
                   e->request_id[0] != '\0' ? " (request " : "", e->request_id,
                   e->request_id[0] != '\0' ? ")" : "");
}

/* The HEAD of a bucket: its listing is asked why, since that answer has a body. */
void call_refuse(struct call *c, int result)
{
    if (c->req->op != STORE_HEAD_BUCKET || c->explains || call_set_message(c, true) != 0) {
        call_finish(c, result);
        return;
    }
    err_copy(&c->last);
    c->wants_refresh = false;
    call_again(c, 0);
}

/* Takes the server's clock if it is far from ours; false if that is not the trouble. */
static bool adjust_clock(struct call *c)
{
    int64_t date = response_date(&c->http), offset = date - clock_wall_ns();
    int64_t change = offset - atomic_load(&c->s3->skew_ns);

    if (c->skewed || date == 0 || (change < SKEW_MIN_NS && change > -SKEW_MIN_NS))
        return false;
    c->skewed = true;
    atomic_store(&c->s3->skew_ns, offset);
    return true;
}

static void final_row(struct call *c, const struct error_row *row, const struct error_reply *e,
                      int result)
{
    bool is_removal = c->req->op == STORE_DELETE_MANY && c->many == NULL;
    bool is_unknown = result == -EOPNOTSUPP || result == -EINVAL || result == -EPERM;

    if (is_removal && is_unknown && row->action == ERROR_FINAL) {
        remove_many_rest(c); /* a server that has no DeleteObjects, or not for these keys */
        return;
    }
    if (c->explains && c->req->op == STORE_MPU_COMPLETE && result == STORE_NOT_FOUND)
        result = STORE_NO_UPLOAD; /* Ceph's word for it */
    if (e->code[0] == '\0' && result < 0 && row->action != ERROR_REGION)
        call_refuse(c, result);
    else
        call_finish(c, result);
}

/* A Complete that fails again and again: is the upload still there? The next attempt asks. */
static void doubt_upload(struct call *c)
{
    struct err_copy why;

    err_copy(&why);
    if (call_set_message(c, true) != 0)
        log_debug("s3.doubt", "error=%s", LOG_Q(err_text()));
    err_restore(&why);
}

/* It is: on with the Complete. */
static void go_on(struct call *c)
{
    int r = call_set_message(c, false);

    if (r != 0) {
        call_finish(c, r);
        return;
    }
    err_restore(&c->last);
    call_retry(c, false, -EIO);
}

static void act(struct call *c, const struct error_row *row, const struct error_reply *e)
{
    int result = row->result < 0 ? explain_row(c, row, e) : row->result;
    bool is_sick = row->action == ERROR_RETRY || row->action == ERROR_THROTTLE;

    turn_end(c, is_sick ? GATE_FAILURE : GATE_SUCCESS);
    switch (row->action) {
    case ERROR_RETRY:
    case ERROR_THROTTLE:
        if (c->req->op == STORE_MPU_COMPLETE && !c->explains && c->attempts % ERROR_FEW_TRIES == 0)
            doubt_upload(c);
        call_retry(c, row->action == ERROR_THROTTLE, result);
        return;
    case ERROR_FEW:
        c->few++;
        if (c->few < ERROR_FEW_TRIES) {
            if (row->result > 0)
                (void)explain_row(c, row, e);
            call_retry(c, false, result);
            return;
        }
        break;
    case ERROR_REFRESH:
        if (!c->refreshed) {
            err_copy(&c->last);
            c->refreshed = c->wants_refresh = true;
            c->refused = result;
            call_again(c, 0);
            return;
        }
        break;
    case ERROR_SKEW:
        if (adjust_clock(c)) {
            err_copy(&c->last);
            call_again(c, 0);
            return;
        }
        break;
    case ERROR_FINAL:
    case ERROR_REGION:
        break;
    }
    final_row(c, row, e, result);
}

/* An answer that is no success. */
static void on_refusal(struct call *c)
{
    static const struct error_row elsewhere = {400, NULL, 0, ERROR_REGION, -EINVAL, NULL};
    const char *region = http_call_header(&c->http, "x-amz-bucket-region");
    const struct error_row *row;
    struct error_reply e = {0};

    if (c->http.body.len > 0)
        error_parse(buf_str(&c->http.body), c->http.body.len, &e);
    row = error_find(c->http.status, e.code, c->req->op);
    if (c->http.status == 400 && e.code[0] == '\0' && region != NULL &&
        strcmp(region, c->s3->conf.endpoint.region) != 0)
        row = &elsewhere;
    act(c, row, &e);
}

static void on_success(struct call *c)
{
    static const struct error_row mismatch = {0, NULL, 0, ERROR_FEW, -EIO, NULL};
    static const struct error_row broken = {0, NULL, 0, ERROR_RETRY, -EIO, NULL};
    struct error_reply e = {0};
    int r = c->explains ? 0 : reply_read(c);

    if (c->explains && c->req->op == STORE_MPU_COMPLETE) {
        turn_end(c, GATE_SUCCESS);
        go_on(c);
        return;
    }
    switch (r) {
    case RESPONSE_ERROR:
        on_refusal(c);
        return;
    case RESPONSE_MISMATCH:
        snprintf(e.message, sizeof(e.message), "%.199s", err_text());
        act(c, &mismatch, &e);
        return;
    case RESPONSE_BROKEN:
        snprintf(e.message, sizeof(e.message), "%.199s", err_text());
        act(c, &broken, &e);
        return;
    default:
        break;
    }
    turn_end(c, GATE_SUCCESS);
    if (r == RESPONSE_PRECONDITION)
        r = STORE_PRECONDITION;
    if (r == 0 && c->req->op == STORE_DELETE_MANY)
        remove_many_rest(c);
    else
        call_finish(c, r);
}

/* No whole answer. */
static void on_failure(struct call *c, int r)
{
    struct err_copy cause;
    char name[256];
    bool is_mine = c->source_error != 0 || c->in.error != 0;

    err_copy(&cause);
    call_name(c, name, sizeof(name));
    if (is_mine)
        r = c->source_error != 0 ? c->source_error : c->in.error;
    err_set(r, "%s: %s", name, cause.text[0] != '\0' ? cause.text : strerror(-r));
    if (!is_mine && error_transport(r, c->req->op) == ERROR_RETRY) {
        turn_end(c, c->http.was_begun ? GATE_FAILURE : GATE_NOT_SENT);
        call_retry(c, false, r);
    } else {
        call_finish(c, r);
    }
}

void call_judge(struct call *c, int r)
{
    log_attempt(c, r);
    if (r != 0)
        on_failure(c, r);
    else if (c->http.status >= 200 && c->http.status < 300)
        on_success(c);
    else
        on_refusal(c);
}
