/* SPDX-License-Identifier: Apache-2.0 */
/* An upload module over data's fixture, and the questions that every test of it asks. */
#ifndef S3EFS_TESTS_UPLOAD_HARNESS_H
#define S3EFS_TESTS_UPLOAD_HARNESS_H

#include "fixture.h"
#include "upload/upload.h"

#define KIB 1024u
#define MIB (1024u * 1024u)
#define WRITER "0123456789abcdef0123456789abcdef"

struct up {
    struct fx x;
    struct upload *u;
    struct store_hdrs hdrs; /* content-type: image/png */
};

/* A server that keeps every condition. */
struct upload_conf up_conf(void);
void up_open(struct up *p, const struct upload_conf *conf, unsigned threads, uint64_t cache_max);
void up_close(struct up *p);
int up_commit(struct up *p, const char *key, struct data_file *f, enum store_if kind,
              const struct store_etag *etag, struct store_obj *ret);
/* As up_commit, must succeed; data/ is told. */
void up_commit_ok(struct up *p, const char *key, struct data_file *f, enum store_if kind,
                  const struct store_etag *etag);
/* A new file of `size` bytes of this seed, all dirty. */
struct data_file *up_new(struct up *p, const char *key, size_t size, unsigned seed);
/* The object has exactly these bytes. */
void up_expect(struct up *p, const char *key, const void *bytes, size_t size);
void up_expect_fill(struct up *p, const char *key, size_t size, unsigned seed);
void up_expect_none(struct up *p, const char *key);
uint64_t up_count(struct up *p, enum store_op op);

#endif
