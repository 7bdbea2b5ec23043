/* SPDX-License-Identifier: Apache-2.0 */
/* The fault decorator: rules, and what they do to a request. The script is read in fault_script.c.
 */
#include "store/fault.h"

#include <errno.h>
#include <string.h>
#include "base/err.h"
#include "base/lock.h"
#include "base/workq.h"
#include "fault_int.h"

struct fault {
    struct store store;
    struct store *inner;
    struct workq *timers;
    struct {
        struct lock lk;
        struct cond idle;
        unsigned running;
        bool is_stopped;
        struct fault_rule *rules;
        uint64_t calls[STORE_OPS], all;
    } locked;
};

/* A request under way. */
struct pending {
    struct work work;
    struct fault *f;
    struct store_req *req;
    struct store_rsp *rsp;
    struct store_req inner; /* what goes on: the caller's done stays ours to call */
    struct fault_rule rule;
};

static struct fault *fault_of(struct store *s)
{
    return container_of(s, struct fault, store);
}

static void finish(struct pending *p, int result)
{
    struct fault *f = p->f;
    p->req->done(p->req->done_arg, result);
    free(p);
    lock_take(&f->locked.lk);
    if (--f->locked.running == 0)
        cond_broadcast(&f->locked.idle);
    lock_drop(&f->locked.lk);
}

static void inner_done(void *arg, int result)
{
    struct pending *p = arg;
    if (p->rule.what == FAULT_LOST && result == 0) {
        store_rsp_done(p->rsp);
        p->rsp->retried = p->rule.result == STORE_PRECONDITION;
        result = p->rule.result;
        if (result < 0)
            result =
                err_set(result, "injected: the reply to %s was lost", store_op_name(p->req->op));
    }
    finish(p, result);
}

static void go_on(struct pending *p)
{
    if (p->rule.what == FAULT_FAIL) {
        int r = p->rule.result;
        finish(p, r < 0 ? err_set(r, "injected: %s fails", store_op_name(p->req->op)) : r);
        return;
    }
    p->inner = *p->req;
    store_submit(p->f->inner, &p->inner, p->rsp, inner_done, p);
}

static void delay_over(struct work *w, bool cancelled)
{
    struct pending *p = container_of(w, struct pending, work);
    (void)cancelled; /* stop waits for what is under way, so none is left then */
    go_on(p);
}

/* Counts the request and finds its rule: 0, or -ESHUTDOWN. */
static int enter(struct fault *f, enum store_op op, struct fault_rule *ret)
{
    lock_take(&f->locked.lk);
    if (f->locked.is_stopped) {
        lock_drop(&f->locked.lk);
        return err_set(-ESHUTDOWN, "the store is stopped");
    }
    f->locked.running++;
    uint64_t of_op = ++f->locked.calls[op], of_all = ++f->locked.all;
    for (const struct fault_rule *r = f->locked.rules; r != NULL; r = r->next) {
        uint64_t k = r->op == STORE_OPS ? of_all : of_op;
        if ((r->op == op || r->op == STORE_OPS) && k >= r->first && k <= r->last) {
            *ret = *r;
            break;
        }
    }
    lock_drop(&f->locked.lk);
    return 0;
}

static void fault_submit(struct store *s, struct store_req *req, struct store_rsp *rsp)
{
    struct fault *f = fault_of(s);
    struct pending *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        req->done(req->done_arg, err_set(-ENOMEM, "no memory for a request"));
        return;
    }
    *p = (struct pending){.f = f, .req = req, .rsp = rsp, .work = {.run = delay_over}};
    int r = enter(f, req->op, &p->rule);
    if (r < 0) {
        free(p);
        req->done(req->done_arg, r);
        return;
    }
    if (p->rule.delay_ns > 0)
        workq_add_after(f->timers, &p->work, p->rule.delay_ns);
    else
        go_on(p);
}

static void fault_stop(struct store *s)
{
    struct fault *f = fault_of(s);
    lock_take(&f->locked.lk);
    f->locked.is_stopped = true;
    while (f->locked.running > 0)
        cond_wait(&f->locked.idle, &f->locked.lk);
    lock_drop(&f->locked.lk);
    store_stop(f->inner);
}

static void fault_free(struct store *s)
{
    struct fault *f = fault_of(s);
    workq_free(f->timers);
    fault_clear(s);
    store_free(f->inner);
    cond_done(&f->locked.idle);
    lock_done(&f->locked.lk);
    free(f);
}

int fault_new(struct store *inner, const char *script, struct store **ret)
{
    static const struct store_ops ops = {
        .submit = fault_submit, .stop = fault_stop, .free = fault_free};
    struct fault *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return err_set(-ENOMEM, "no memory for a store");
    f->store.ops = &ops;
    lock_init(&f->locked.lk, LOCK_STORE);
    cond_init(&f->locked.idle);
    if (script == NULL)
        script = getenv(FAULT_ENVIRONMENT);
    int r = script == NULL ? 0 : fault_add(&f->store, script);
    if (r == 0)
        r = workq_new("fault", 1, &f->timers);
    if (r < 0) {
        fault_free(&f->store);
        return r;
    }
    f->inner = inner;
    *ret = &f->store;
    return 0;
}

int fault_add(struct store *s, const char *script)
{
    struct fault *f = fault_of(s);
    struct fault_rule *rules = NULL;
    int r = fault_script_parse(script, &rules);
    if (r < 0 || rules == NULL)
        return r;
    struct fault_rule *last = rules;
    while (last->next != NULL)
        last = last->next;
    lock_take(&f->locked.lk);
    last->next = f->locked.rules;
    f->locked.rules = rules;
    lock_drop(&f->locked.lk);
    return 0;
}

void fault_clear(struct store *s)
{
    struct fault *f = fault_of(s);
    lock_take(&f->locked.lk);
    struct fault_rule *rules = f->locked.rules;
    f->locked.rules = NULL;
    lock_drop(&f->locked.lk);
    fault_rules_free(rules);
}

uint64_t fault_calls(struct store *s, enum store_op op)
{
    struct fault *f = fault_of(s);
    lock_take(&f->locked.lk);
    uint64_t n = op == STORE_OPS ? f->locked.all : f->locked.calls[op];
    lock_drop(&f->locked.lk);
    return n;
}
