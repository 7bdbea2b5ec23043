/* SPDX-License-Identifier: Apache-2.0 */
/* The bucket in memory: the road of a request. One lock guards the state; bodies are read and
 * written, and hooks and completions run, outside of it. */
#include "memstore.h"

#include <errno.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "memstore_int.h"

_Thread_local bool mem_is_foreign;

struct memstore *mem_of(struct store *s)
{
    return container_of(s, struct memstore, store);
}

static bool needs_key(enum store_op op)
{
    return op != STORE_LIST && op != STORE_MPU_LIST && op != STORE_HEAD_BUCKET &&
           op != STORE_DELETE_MANY;
}

static int apply(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    int r = needs_key(req->op) ? store_key_check(req->key) : 0;
    if (r < 0)
        return r;
    switch (req->op) {
    case STORE_HEAD:
    case STORE_GET:
        return mem_do_read(m, req, rsp);
    case STORE_PUT:
        return mem_do_put(m, req, rsp);
    case STORE_DELETE:
        return mem_do_delete(m, req);
    case STORE_DELETE_MANY:
        return mem_do_delete_many(m, req, rsp);
    case STORE_LIST:
        return mem_do_list(m, req, rsp);
    case STORE_COPY:
        return mem_do_copy(m, req, rsp);
    case STORE_MPU_CREATE:
        return mem_do_mpu_create(m, req, rsp);
    case STORE_MPU_PART:
        return mem_do_mpu_part(m, req, rsp);
    case STORE_MPU_PART_COPY:
        return mem_do_mpu_part_copy(m, req, rsp);
    case STORE_MPU_COMPLETE:
        return mem_do_mpu_complete(m, req, rsp);
    case STORE_MPU_ABORT:
        return mem_do_mpu_abort(m, req);
    case STORE_MPU_LIST:
        return mem_do_mpu_list(m, req, rsp);
    case STORE_GET_TAGS:
        return mem_do_get_tags(m, req, rsp);
    case STORE_HEAD_BUCKET:
        return 0;
    case STORE_OPS:
        break;
    }
    return err_set(-EINVAL, "no such operation");
}

/* Counts the request; the rule that it meets is copied to *ret_rule. */
static bool count_and_match(struct memstore *m, enum store_op op, struct rule *ret_rule)
{
    bool found = false;
    lock_take(&m->locked.lk);
    uint64_t k = ++m->locked.counts[op];
    for (const struct rule *r = m->locked.rules; r != NULL && !found; r = r->next) {
        if (r->op == op && k >= r->first && k <= r->last) {
            *ret_rule = *r;
            found = true;
        }
    }
    lock_drop(&m->locked.lk);
    return found;
}

static void run_hook(struct memstore *m, bool is_before, const struct store_req *req, int result)
{
    lock_take(&m->locked.lk);
    memstore_hook hook = is_before ? m->locked.before : m->locked.after;
    void *arg = m->locked.hook_arg;
    lock_drop(&m->locked.lk);
    if (hook == NULL)
        return;
    mem_is_foreign = true;
    hook(arg, &m->store, req, result);
    mem_is_foreign = false;
}

static int fault_result(const struct rule *rule, enum store_op op, struct store_rsp *rsp)
{
    store_rsp_done(rsp);
    rsp->retried = rule->is_lost && rule->result == STORE_PRECONDITION;
    if (rule->result >= 0)
        return rule->result;
    return err_set(rule->result, "the test's fault: %s %s", store_op_name(op),
                   rule->is_lost ? "lost" : "failed");
}

static int run_own(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    struct rule rule = {.result = 0};
    bool has_fault = count_and_match(m, req->op, &rule);
    run_hook(m, true, req, 0);
    int r = has_fault && !rule.is_lost ? fault_result(&rule, req->op, rsp) : apply(m, req, rsp);
    struct err_copy err;
    err_copy(&err);
    run_hook(m, false, req, r);
    err_restore(&err);
    if (has_fault && rule.is_lost && r == 0)
        r = fault_result(&rule, req->op, rsp);
    if (m->meter != NULL) {
        uint64_t up = req->src != NULL && (req->op == STORE_PUT || req->op == STORE_MPU_PART)
                          ? req->src->size
                          : 0;
        meter_count(m->meter, store_op_kind(req->op), origin_get(), store_http_status(req, r), up,
                    rsp->body_len);
    }
    return r;
}

static void run(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    int r = mem_is_foreign ? apply(m, req, rsp) : run_own(m, req, rsp);
    lock_take(&m->locked.lk);
    rsp->date_ns = clock_wall_ns() + m->locked.skew_ns;
    if (req->op == STORE_HEAD || req->op == STORE_GET)
        rsp->obj.told_ns = rsp->date_ns;
    lock_drop(&m->locked.lk);
    req->done(req->done_arg, r);
    /* Whoever waited for done may be in mem_stop() by now: it waits for this. */
    lock_take(&m->locked.lk);
    if (--m->locked.running == 0)
        cond_broadcast(&m->locked.idle);
    lock_drop(&m->locked.lk);
}

struct job {
    struct work work;
    struct memstore *m;
    struct store_req *req;
    struct store_rsp *rsp;
};

static void run_job(struct work *w, bool cancelled)
{
    struct job *j = container_of(w, struct job, work);
    (void)cancelled; /* only timed work is */
    run(j->m, j->req, j->rsp);
    free(j);
}

static void mem_submit(struct store *s, struct store_req *req, struct store_rsp *rsp)
{
    struct memstore *m = mem_of(s);
    lock_take(&m->locked.lk);
    bool refused = m->locked.is_stopped;
    m->locked.running += refused ? 0 : 1;
    lock_drop(&m->locked.lk);
    if (refused) {
        req->done(req->done_arg, err_set(-ESHUTDOWN, "the store is stopped"));
        return;
    }
    struct job *j = m->workers == NULL || mem_is_foreign ? NULL : malloc(sizeof(*j));
    if (j == NULL) {
        run(m, req, rsp);
        return;
    }
    *j = (struct job){.work = {.run = run_job}, .m = m, .req = req, .rsp = rsp};
    workq_add(m->workers, &j->work);
}

static void mem_stop(struct store *s)
{
    struct memstore *m = mem_of(s);
    lock_take(&m->locked.lk);
    m->locked.is_stopped = true;
    while (m->locked.running > 0)
        cond_wait(&m->locked.idle, &m->locked.lk);
    lock_drop(&m->locked.lk);
    workq_free(m->workers);
    m->workers = NULL;
}

static void mem_free(struct store *s)
{
    struct memstore *m = mem_of(s);
    workq_free(m->workers);
    for (size_t i = 0; i < m->locked.n; i++)
        mem_object_done(&m->locked.v[i]);
    free(m->locked.v);
    while (m->locked.uploads != NULL) {
        struct mpu *u = m->locked.uploads;
        m->locked.uploads = u->next;
        mem_mpu_free(u);
    }
    memstore_clear_faults(s);
    cond_done(&m->locked.idle);
    lock_done(&m->locked.lk);
    free(m);
}

const struct store_ops mem_ops = {.submit = mem_submit, .stop = mem_stop, .free = mem_free};
