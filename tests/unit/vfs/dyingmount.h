/* SPDX-License-Identifier: Apache-2.0 */
/* Two mounts of a bucket in memory, the first of which can die: from its k-th request on nothing
 * that it asks for is done, or the k-th is done and its reply lost. */
#ifndef S3EFS_TESTS_DYINGMOUNT_H
#define S3EFS_TESTS_DYINGMOUNT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "fs/vfs/rename.h"
#include "tests/lib/memstore.h"
#include "tests/lib/rig.h"

struct gate {
    struct store store;
    struct store *inner;
    atomic_uint n;      /* requests so far */
    unsigned dies_at;   /* 0: never */
    bool reply_is_lost; /* of that one */
};

static struct gate gate;
static struct rig a, b; /* a goes through the gate */

static void gate_submit(struct store *s, struct store_req *req, struct store_rsp *rsp)
{
    struct gate *g = container_of(s, struct gate, store);
    unsigned k = atomic_fetch_add(&g->n, 1) + 1;
    void (*done)(void *arg, int result) = req->done;
    void *arg = req->done_arg;

    if (g->dies_at == 0 || k < g->dies_at) {
        store_submit(g->inner, req, rsp, done, arg);
        return;
    }
    if (k == g->dies_at && g->reply_is_lost) {
        if (store_call(g->inner, req, rsp) < 0)
            err_clear();
        store_rsp_done(rsp);
    }
    done(arg, err_set(-EIO, "the mount is dead"));
}

static const struct store_ops gate_ops = {.submit = gate_submit};

static inline void open_both(const struct vfs_conf *conf)
{
    struct rig through;

    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    assert_int_equal(rig_open(&b, conf), 0);
    memstore_set_caps(b.store, &b.conf.caps);
    gate = (struct gate){.store.ops = &gate_ops, .inner = b.store};
    through = b;
    through.store = &gate.store;
    assert_int_equal(rig_join(&a, &through, &b.conf), 0);
}

static inline void close_both(void)
{
    rig_close(&a);
    rig_close(&b);
    clock_fake_off();
}

static inline void a_dies_at(unsigned k, bool reply_is_lost)
{
    atomic_store(&gate.n, 0);
    gate.reply_is_lost = reply_is_lost;
    gate.dies_at = k;
}

/* Nothing that b knew is believed any more. */
static inline void time_passes(void)
{
    clock_fake_add(100 * NS_PER_S);
}

/* b finds the renames that stand, watches their session for a lease time, and finishes them. */
static inline void b_mends(void)
{
    int left = intents_mend(b.vfs);

    for (int i = 0; i < 8 && left != 0; i++) {
        assert_true(left >= 0);
        clock_fake_add(11 * NS_PER_S);
        left = intents_mend(b.vfs);
    }
    assert_int_equal(left, 0);
    time_passes();
}

static inline bool is_object(const char *key)
{
    return memstore_get(b.store, key, NULL, NULL) == 0;
}

static inline void assert_text(struct rig *r, const char *path, const char *text)
{
    char buf[256] = {0};

    assert_int_equal(rig_get(r, path, buf, sizeof(buf) - 1), strlen(text));
    assert_string_equal(buf, text);
}

static inline void foreign_put(const char *key, const char *text)
{
    assert_int_equal(memstore_put(b.store, key, text, strlen(text), NULL, NULL), 0);
}

/* Conditions of PUT only, as on MinIO. */
static inline struct vfs_conf weak_conf(void)
{
    return (struct vfs_conf){.file_mode = 0644,
                             .dir_mode = 0755,
                             .acregmin_ns = 3 * NS_PER_S,
                             .acregmax_ns = 60 * NS_PER_S,
                             .acdirmin_ns = 30 * NS_PER_S,
                             .acdirmax_ns = 60 * NS_PER_S,
                             .caps = {.put_absent = true, .put_match = true}};
}

#endif
