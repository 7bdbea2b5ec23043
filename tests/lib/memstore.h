/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket in memory for tests: S3's semantics as S3 documents them, conditions that hold under any
 * race, and knobs that make it behave like lesser servers, fail, lose replies, or let somebody in
 * between. Last-Modified comes from clock_wall_ns(). Threads: any; the knobs too. Requests that a
 * hook makes are another writer's: not counted, not failed, not hooked. */
#ifndef S3EFS_TESTS_MEMSTORE_H
#define S3EFS_TESTS_MEMSTORE_H

#include "store/meter.h"
#include "store/store.h"

/* meter may be NULL. Everything is honoured, pages have 1,000 entries, Last-Modified a grain of a
 * second. */
_must_check_ int memstore_new(struct meter *meter, struct store **ret);

/* done runs on one of this many threads instead of inside store_submit(). Once, before any request.
 */
_must_check_ int memstore_set_async(struct store *s, unsigned threads);
void memstore_set_page(struct store *s, uint32_t max_entries);
/* Below a second only listings tell the fraction: HEAD and GET have an HTTP date. */
void memstore_set_grain(struct store *s, int64_t ns);
/* The bucket's wall clock is this far from ours: Last-Modified and the replies' Date. */
void memstore_set_skew(struct store *s, int64_t ns);
void memstore_set_part_min(struct store *s, uint64_t bytes); /* EntityTooSmall below it; 5 MiB */
/* A condition whose flag is false is ignored: the write happens. etag_unquoted: If-Match of a PUT
 * fails until memstore_set_unquoted(s, true), as on Ceph 16. */
void memstore_set_caps(struct store *s, const struct store_caps *caps);
void memstore_set_unquoted(struct store *s, bool unquoted);

/* The k-th request of this kind from now (1 = the next), and the n - 1 after it. Several rules may
 * stand. fail: not applied; ends with result (an outcome, or -errno with a text). lose: applied,
 * and if that succeeded, ends with result instead, the reply empty; with STORE_PRECONDITION as the
 * retry of a conditional write does: retried is set. */
void memstore_fail(struct store *s, enum store_op op, unsigned k, unsigned n, int result);
void memstore_lose(struct store *s, enum store_op op, unsigned k, unsigned n, int result);
void memstore_clear_faults(struct store *s);

/* before: nothing is done yet, result is 0. after: applied, done not yet called. No lock is held,
 * so a hook may block, and may call the store. NULL turns one off. */
typedef void (*memstore_hook)(void *arg, struct store *s, const struct store_req *req, int result);
void memstore_set_hooks(struct store *s, memstore_hook before, memstore_hook after, void *arg);

/* Requests so far, STORE_OPS: of all kinds. */
uint64_t memstore_count(struct store *s, enum store_op op);
void memstore_count_reset(struct store *s);

/* Another writer's hand: not counted, no faults, no hooks. hdrs may be NULL. 0 or what the store
 * says. */
_must_check_ int memstore_put(struct store *s, const char *key, const void *data, size_t size,
                              const struct store_hdrs *hdrs, struct store_etag *ret_etag);
int memstore_delete(struct store *s, const char *key);
/* obj (free with store_obj_done) and the body with a NUL after it (free it); each may be NULL. */
_must_check_ int memstore_get(struct store *s, const char *key, struct store_obj *obj,
                              char **ret_data);
size_t memstore_objects(struct store *s);      /* how many there are */
size_t memstore_user_objects(struct store *s); /* without those below .s3efs/ */
size_t memstore_uploads(struct store *s); /* open multipart uploads */

#endif
