/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of data/ and upload/ stand on: the memory store, the real cache in a directory of its own, and the
 * data module over both. */
#ifndef S3EFS_TESTS_DATA_FIXTURE_H
#define S3EFS_TESTS_DATA_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cache/cache.h"
#include "data/data.h"
#include "memstore.h"

struct fx {
    char dir[64];
    uint64_t cache_max;
    struct data_conf conf;
    struct store *store;
    struct cache *cache;
    struct data *data;
};

/* threads: of the store; 0: replies come inside the submit. cache_max: as cache_conf.max_bytes. */
void fx_open(struct fx *x, const struct data_conf *conf, unsigned threads, uint64_t cache_max);
void fx_close(struct fx *x);
/* A new process on the same cache directory and bucket. No file may be open. */
void fx_remount(struct fx *x);
/* The same with an empty cache directory. */
void fx_lose_cache(struct fx *x);

void fx_remove_tree(const char *dir);

/* Bytes that tell their own offset and seed. */
void fx_fill(void *buf, uint64_t off, size_t len, unsigned seed);
void fx_check(const void *buf, uint64_t off, size_t len, unsigned seed);
/* Puts an object of such bytes, as another writer, and tells what a HEAD would. */
struct store_obj fx_put(struct fx *x, const char *key, size_t size, unsigned seed);
struct store_obj fx_head(struct fx *x, const char *key);
struct data_file *fx_file(struct fx *x, const char *key, const struct store_obj *base);
/* The file reads as these bytes and not one more. */
void fx_expect(struct data_file *f, const void *bytes, size_t size);
uint64_t fx_random(uint64_t *state); /* xorshift */

#endif
