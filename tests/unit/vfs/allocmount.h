/* SPDX-License-Identifier: Apache-2.0 */
/* The workload's mount, of which one allocation fails: our own, libcrypto's, or a call of LMDB that
 * allocates; and what must hold then. */
#ifndef S3EFS_TESTS_ALLOCMOUNT_H
#define S3EFS_TESTS_ALLOCMOUNT_H

#include "eachfails.h"

#include <unistd.h>

#include "tests/lib/badalloc.h"

/* The sanitizers' builds try a part of them: they are slow, and look for something else. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ALLOC_STRIDE 7
#else
#define ALLOC_STRIDE 1
#endif

/* A mount's death is a copy of its directory here, to which a sync adds nothing but time: the calls
 * of this program, and LMDB's, come here. */
int fsync(int fd)
{
    (void)fd;
    return 0;
}

int fdatasync(int fd)
{
    (void)fd;
    return 0;
}

/* --- the bucket's own memory does not run out --- */

struct pass { /* a request under way */
    void (*done)(void *arg, int result);
    void *arg;
    const struct store_src *src;
    const struct store_sink *sink;
    struct store_src own_src;
    struct store_sink own_sink;
};

static struct {
    struct store store;
    struct store *inner;
} gate;

static inline int pass_read(void *ctx, uint64_t off, void *buf, size_t len)
{
    const struct pass *p = ctx;
    int r;

    badalloc_resume();
    r = p->src->read(p->src->ctx, off, buf, len);
    badalloc_pause();
    return r;
}

static inline int pass_write(void *ctx, uint64_t off, const void *buf, size_t len)
{
    const struct pass *p = ctx;
    int r;

    badalloc_resume();
    r = p->sink->write(p->sink->ctx, off, buf, len);
    badalloc_pause();
    return r;
}

static inline void gate_submit(struct store *s, struct store_req *req, struct store_rsp *rsp)
{
    struct pass p = {.done = req->done, .arg = req->done_arg, .src = req->src, .sink = req->sink};
    int r;

    (void)s;
    if (p.src != NULL) {
        p.own_src = (struct store_src){p.src->size, pass_read, &p};
        req->src = &p.own_src;
    }
    if (p.sink != NULL) {
        p.own_sink = (struct store_sink){pass_write, &p};
        req->sink = &p.own_sink;
    }
    badalloc_pause();
    r = store_call(gate.inner, req, rsp);
    badalloc_resume();
    req->src = p.src;
    req->sink = p.sink;
    p.done(p.arg, r);
}

static const struct store_ops gate_ops = {.submit = gate_submit};

/* --- its life --- */

static int64_t live_before;

static inline void open_a(enum vfs_commit commit)
{
    struct rig through = b;
    struct vfs_conf conf = b.conf;

    conf.commit = commit;
    through.store = &gate.store;
    assert_int_equal(rig_join(&a, &through, &conf), 0);
}

static inline int set_up_as(enum vfs_commit commit)
{
    badalloc_fail(0, false);
    live_before = badalloc_live();
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    assert_int_equal(rig_open(&b, NULL), 0);
    gate.store.ops = &gate_ops;
    gate.inner = b.store;
    open_a(commit);
    return 0;
}

static inline int tear_down_all(void **state)
{
    tear_down(state);
    if (badalloc_live() != live_before)
        fail_msg("%d blocks are left", (int)(badalloc_live() - live_before));
    return 0;
}

static inline void no_other_error(int step)
{
    if (results[step] != 0 && results[step] != -ENOMEM)
        fail_msg("%s %u: %s returned %d", what, which, step_names[step], results[step]);
}

#define ALLOC_TEST(fn, set_up) cmocka_unit_test_setup_teardown(fn, set_up, tear_down_all)

#endif
