/* SPDX-License-Identifier: Apache-2.0 */
/* Single DELETEs, a few at a time, for the keys that DeleteObjects left open, or all of them where
 * a server has no such thing. */
#include <errno.h>

#include "call.h"

#define LANES 8

struct lane {
    struct call *c;
    size_t key;
    struct store_req req;
    struct store_rsp rsp;
};
struct remove_many {
    atomic_size_t next, busy;
    atomic_bool retried;
    struct lane lanes[LANES];
};

void remove_many_free(struct remove_many *m)
{
    free(m);
}

void remove_many_forget(struct store_rsp *rsp)
{
    free(rsp->key_results);
    rsp->key_results = NULL;
}

static void on_removed(void *arg, int result);

/* The last lane to run dry ends the call. */
static void run_lane(struct lane *l)
{
    struct call *c = l->c;
    struct remove_many *m = c->many;
    size_t k = atomic_fetch_add(&m->next, 1);

    while (k < c->req->n_keys && c->rsp->key_results[k] != KEY_OPEN)
        k = atomic_fetch_add(&m->next, 1);
    if (k >= c->req->n_keys) {
        if (atomic_fetch_sub(&m->busy, 1) == 1) {
            c->rsp->retried = c->rsp->retried || atomic_load(&m->retried);
            call_finish(c, 0);
        }
        return;
    }
    l->key = k;
    l->req = (struct store_req){
        .op = STORE_DELETE, .key = c->req->keys[k], .deadline_ns = c->deadline_ns};
    if (c->req->etags != NULL)
        l->req.cond = (struct store_cond){STORE_IF_MATCH, c->req->etags[k]};
    l->rsp = (struct store_rsp){0};
    store_submit(&c->s3->base, &l->req, &l->rsp, on_removed, l);
}

static void on_removed(void *arg, int result)
{
    struct lane *l = arg;
    struct call *c = l->c;

    if (result == STORE_NOT_FOUND)
        result = 0;
    c->rsp->key_results[l->key] = result <= 0 || result == STORE_PRECONDITION ? result : -EIO;
    if (l->rsp.retried)
        atomic_store(&c->many->retried, true);
    store_rsp_done(&l->rsp);
    run_lane(l);
}

void remove_many_rest(struct call *c)
{
    struct remove_many *m;
    int r = c->rsp->key_results == NULL ? remove_many_open(c) : 0;

    m = r == 0 ? calloc(1, sizeof(*m)) : NULL;
    if (m == NULL) {
        call_finish(c, err_set(-ENOMEM, "no memory for a request"));
        return;
    }
    c->many = m;
    atomic_store(&m->busy, LANES);
    for (size_t i = 0; i < LANES; i++)
        m->lanes[i].c = c;
    for (size_t i = 0; i < LANES; i++)
        run_lane(&m->lanes[i]);
}
