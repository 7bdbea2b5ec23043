/* SPDX-License-Identifier: Apache-2.0 */
/* What a caller does with a call besides submitting it: wait for it, read its headers, free its
 * answer. */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/lock.h"
#include "op.h"

struct waiter {
    struct lock lock;
    struct cond cond;
    bool is_done;
    int r;
    struct err_copy text;
};

static void wake(struct http_call *call, int r)
{
    struct waiter *w = call->engine.waiter;
    lock_take(&w->lock);
    w->r = r;
    if (r < 0)
        err_copy(&w->text);
    w->is_done = true;
    cond_signal(&w->cond); /* under the lock: w is gone as soon as the waiter has it */
    lock_drop(&w->lock);
}

int http_wait(struct http *h, struct http_call *call)
{
    struct waiter w = {.is_done = false};
    assert(!op_is_engine_thread());
    lock_assert_may_block();
    lock_init(&w.lock, LOCK_HTTP);
    cond_init(&w.cond);
    call->engine.waiter = &w;
    call->done = wake;
    http_submit(h, call);
    lock_take(&w.lock);
    while (!w.is_done)
        cond_wait(&w.cond, &w.lock);
    lock_drop(&w.lock);
    cond_done(&w.cond);
    lock_done(&w.lock);
    call->done = NULL;
    if (w.r < 0)
        err_restore(&w.text);
    return w.r;
}

const char *http_call_header(const struct http_call *call, const char *lower_name)
{
    for (size_t i = 0; i < call->n_hdrs; i++)
        if (strcmp(call->hdrs[i].name, lower_name) == 0)
            return call->hdrs[i].value;
    return NULL;
}

void http_call_done(struct http_call *call)
{
    for (size_t i = 0; i < call->n_hdrs; i++)
        free(call->hdrs[i].name);
    free(call->hdrs);
    call->hdrs = NULL;
    call->n_hdrs = 0;
    call->status = 0;
    call->sent = call->received = 0;
    buf_done(&call->body);
}
