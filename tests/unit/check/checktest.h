/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket in memory, a check of it, and what it found. Records of other mounts are written by
 * hand, so no thread renews anything: time is the fake clock's, which only the check's waiting
 * moves. */
#ifndef S3EFS_TESTS_CHECKTEST_H
#define S3EFS_TESTS_CHECKTEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "check/check.h"
#include "coord/intent.h"
#include "memstore.h"

#define DEAD "dead0000dead0000dead0000dead0000"
#define LIVE "11fe000011fe000011fe000011fe0000"
#define GONE "90e0000090e0000090e0000090e00000"
#define NONCE_A "nonce aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
#define NONCE_B "nonce bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
#define LEASE_TEXT "live 30000\n"
#define HOUR_NS (3600 * NS_PER_S)
#define FOUND_MAX 128

static struct store *store;
static struct coord *coord;
static struct cache *cache; /* NULL: the check has none */
static struct check_conf conf;
static struct check_result result;
static struct {
    struct one {
        enum check_kind kind;
        enum check_fate fate;
        char name[1100], cause[640];
    } v[FOUND_MAX];
    size_t n;
    int64_t slept_ns;
    bool renews; /* LIVE is renewed while the check waits */
} seen;

static const struct store_caps all_caps = {.put_absent = true,
                                           .put_match = true,
                                           .complete_absent = true,
                                           .complete_match = true,
                                           .delete_match = true,
                                           .copy_src_match = true,
                                           .part_copy_match = true,
                                           .copy_dst_absent = true,
                                           .copy_dst_match = true};

static inline void put(const char *key, const char *text)
{
    assert_int_equal(memstore_put(store, key, text, strlen(text), NULL, NULL), 0);
}

static inline bool is_there(const char *key)
{
    return memstore_get(store, key, NULL, NULL) == 0;
}

static inline void put_record(const char *name, const char *body)
{
    char key[1200], text[4096];

    snprintf(key, sizeof(key), ".s3efs/%s", name);
    snprintf(text, sizeof(text), "%s" NONCE_A, body);
    put(key, text);
}

/* What a record says now, without its nonce; "" where there is none. */
static inline void get_record(const char *name, char *ret, size_t size)
{
    char key[1200], *text = NULL, *nonce;

    snprintf(key, sizeof(key), ".s3efs/%s", name);
    ret[0] = '\0';
    if (memstore_get(store, key, NULL, &text) != 0)
        return;
    nonce = strstr(text, "nonce ");
    snprintf(ret, size, "%.*s", nonce != NULL ? (int)(nonce - text) : (int)strlen(text), text);
    free(text);
}

static inline void on_found(void *arg, const struct check_finding *f)
{
    struct one *o = &seen.v[seen.n++];

    (void)arg;
    assert_true(seen.n <= FOUND_MAX);
    o->kind = f->kind;
    o->fate = f->fate;
    snprintf(o->name, sizeof(o->name), "%s", f->name);
    snprintf(o->cause, sizeof(o->cause), "%s", f->cause);
}

static inline void on_sleep(void *arg, int64_t ns)
{
    (void)arg;
    assert_true(ns > 0);
    seen.slept_ns += ns;
    clock_fake_add(ns);
    if (seen.renews)
        put(".s3efs/sessions/" LIVE, LEASE_TEXT NONCE_B);
}

static inline void open_coord(const struct store_caps *caps)
{
    struct coord_conf c = {.state_prefix = ".s3efs/", .caps = *caps, .renew_by_hand = true};

    coord_free(coord);
    coord = NULL;
    assert_int_equal(coord_new(&c, store, &coord), 0);
    conf.caps = *caps;
    memstore_set_caps(store, caps);
}

static inline int set_up(void **state)
{
    (void)state;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1800000000) * NS_PER_S);
    if (memstore_new(NULL, &store) < 0)
        return -1;
    seen.n = 0;
    seen.slept_ns = 0;
    seen.renews = false;
    conf = (struct check_conf){.prefix = "",
                               .older_ns = 24 * HOUR_NS,
                               .wait_max_ns = 60 * NS_PER_S,
                               .found = on_found,
                               .sleep = on_sleep};
    open_coord(&all_caps);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    coord_free(coord);
    coord = NULL;
    store_stop(store);
    store_free(store);
    clock_fake_off();
    return 0;
}

static inline void check(bool repair)
{
    seen.n = 0;
    seen.slept_ns = 0;
    conf.repair = repair;
    assert_int_equal(check_run(&conf, store, coord, cache, &result), 0);
}

static inline const struct one *find_one(enum check_kind kind, const char *name)
{
    for (size_t i = 0; i < seen.n; i++)
        if (seen.v[i].kind == kind && (name == NULL || strcmp(seen.v[i].name, name) == 0))
            return &seen.v[i];
    return NULL;
}

static inline void assert_found(enum check_kind kind, const char *name, enum check_fate fate)
{
    const struct one *o = find_one(kind, name);

    if (o == NULL)
        fail_msg("no %s of %s", check_kind_name(kind), name != NULL ? name : "any name");
    assert_string_equal(check_fate_name(o->fate), check_fate_name(fate));
}

static inline void assert_clean(void)
{
    if (seen.n > 0)
        fail_msg("%s: %s (%s)", seen.v[0].name, seen.v[0].cause, check_kind_name(seen.v[0].kind));
    assert_int_equal(result.findings + result.errors, 0);
}

/* Requests so far that could change the bucket. */
static inline uint64_t writes(void)
{
    static const enum store_op ops[] = {STORE_PUT,           STORE_DELETE,       STORE_DELETE_MANY,
                                        STORE_COPY,          STORE_MPU_CREATE,   STORE_MPU_PART,
                                        STORE_MPU_PART_COPY, STORE_MPU_COMPLETE, STORE_MPU_ABORT};
    uint64_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        n += memstore_count(store, ops[i]);
    return n;
}

#endif
