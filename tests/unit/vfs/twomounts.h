/* SPDX-License-Identifier: Apache-2.0 */
/* Two mounts of one bucket in memory, their start and end for cmocka, and what is asked of them. */
#ifndef S3EFS_TESTS_TWOMOUNTS_H
#define S3EFS_TESTS_TWOMOUNTS_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/lib/memstore.h"
#include "tests/lib/rig.h"

static struct rig a, b;

static int setup(void **state)
{
    int r;

    (void)state;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_set_has_fd(NULL);
    r = rig_open(&a, NULL);
    return r == 0 ? rig_join(&b, &a, NULL) : r;
}

/* Two mounts of a bucket whose server can do no more than this. */
static inline int setup_caps(void **state, const struct store_caps *caps)
{
    struct vfs_conf conf;
    int r = setup(state);

    if (r < 0)
        return r;
    conf = a.conf;
    conf.caps = *caps;
    rig_close(&b);
    rig_close(&a);
    r = rig_open(&a, &conf);
    memstore_set_caps(a.store, &conf.caps);
    return r == 0 ? rig_join(&b, &a, NULL) : r;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&b);
    rig_close(&a);
    clock_fake_off();
    return 0;
}

static inline void assert_file(struct rig *r, const char *path, const char *text)
{
    char buf[1024] = {0};

    assert_int_equal(rig_get(r, path, buf, sizeof(buf) - 1), strlen(text));
    assert_string_equal(buf, text);
}

static inline void assert_object(const char *key, const char *text)
{
    char *data = NULL;

    assert_int_equal(memstore_get(a.store, key, NULL, &data), 0);
    assert_string_equal(data, text);
    free(data);
}

static inline void put_text(struct rig *r, const char *path, const char *text)
{
    assert_int_equal(rig_put(r, path, text, strlen(text)), 0);
}

static inline void write_text(struct rig *r, uint64_t fh, uint64_t off, const char *text)
{
    assert_int_equal(vfs_write(r->vfs, &r->ctx, fh, off, text, strlen(text)), strlen(text));
}

static inline uint64_t open_text(struct rig *r, const char *path, int flags)
{
    uint64_t fh = 0;

    assert_int_equal(rig_open_file(r, path, flags, &fh), 0);
    return fh;
}

static inline int append_text(struct rig *r, const char *path, const char *text)
{
    uint64_t fh = open_text(r, path, O_WRONLY | O_APPEND | O_CREAT);

    write_text(r, fh, 0, text); /* the kernel's offset is its guess */
    return rig_shut(r, fh);
}

static inline uint64_t lost_and_found(struct rig *r)
{
    struct cache_stats cs;

    cache_stats_get(r->cache, &cs);
    return cs.lost_found;
}

/* Another client's hand, as the S3 API has it. */
static inline void foreign_put(const char *key, const char *text)
{
    assert_int_equal(memstore_put(a.store, key, text, strlen(text), NULL, NULL), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
