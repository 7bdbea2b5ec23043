/* SPDX-License-Identifier: Apache-2.0 */
/* What every back end of store.h has to do alike: limits, conditions, ETags, statuses and pages of
 * a listing. Pure functions and plain values; any thread. For back ends (dir, s3, the memory store
 * of the tests) only. */
#ifndef S3EFS_STORE_BACKEND_H
#define S3EFS_STORE_BACKEND_H

#include "store/meter.h"
#include "store/store.h"

#define STORE_KEY_MAX 1024
#define STORE_USER_META_MAX 2048 /* names without their prefix, and values */
#define STORE_PAGE_MAX 1000
#define STORE_PARTS_MAX 10000
#define STORE_PART_MIN (UINT64_C(5) << 20)
#define STORE_MD5_LEN 16

/* 0, -EINVAL (empty), -ENAMETOOLONG. */
_must_check_ int store_key_check(const char *key);
/* 0, -ENOSPC (more user metadata than S3 takes), -EINVAL (a byte that no HTTP header can carry).
 * NULL is fine. */
_must_check_ int store_hdrs_check(const struct store_hdrs *h);

/* Headers as they were written, in the form in which a read tells them: the number of tags in their
 * place. 0 or -ENOMEM. And the tags themselves (free() them). */
_must_check_ int store_tags_show(struct store_hdrs *h);
_must_check_ int store_tags_get(const struct store_hdrs *h, char **ret);

/* A condition against the current ETag (NULL: no such key). 0, STORE_NOT_FOUND, STORE_NOT_MODIFIED
 * or STORE_PRECONDITION, as S3 answers: for a read the missing key wins, for a write see the
 * contract. */
int store_cond_read(const struct store_cond *c, const struct store_etag *current);
int store_cond_write(const struct store_cond *c, const struct store_etag *current);

/* The first byte and the number of bytes that a GET of this range brings: 0 or STORE_RANGE. */
int store_range_clip(uint64_t off, uint64_t len, uint64_t size, uint64_t *ret_off,
                     uint64_t *ret_len);

enum meter_kind store_op_kind(enum store_op op);
/* The HTTP status that S3 would have given. */
int store_http_status(const struct store_req *req, int result);

/* Parts of a Complete: at least one, ascending, within S3's numbers. 0 or -EINVAL. */
_must_check_ int store_parts_check(const struct store_part *parts, size_t n);
/* ETags: MD5 as hex; of a multipart object the MD5 of its parts' MD5s, "-", their number. The
 * parts' ETags must be MD5s (-EINVAL). */
struct store_etag store_etag_md5(const unsigned char md5[STORE_MD5_LEN]);
_must_check_ int store_etag_parts(const struct store_part *parts, size_t n, struct store_etag *ret);

/* One page of a listing. Feed it keys in binary order with store_page_add(); it filters by prefix,
 * start_after and token, folds common prefixes and stops when full. */
struct store_page {
    const char *prefix;
    size_t prefix_len;
    bool delimited;
    uint32_t max;
    const char *after;    /* exclusive lower bound, or NULL */
    bool after_is_prefix; /* everything below `after` has been listed too */
    struct store_list *list;
    uint32_t n;
    bool full; /* stop: the page is complete, and list->next is set */
};
/* The request's strings are borrowed. limit: most entries a page may have. 0 or -EINVAL (a token
 * that is not ours). */
_must_check_ int store_page_init(struct store_page *p, const struct store_req *req, uint32_t limit,
                                 struct store_list *list);
/* Would this key be listed (in some page from here on, perhaps folded)? Costs nothing. */
bool store_page_wants(const struct store_page *p, const char *key);
/* May any key that starts with dir (which ends in '/', or is "") be wanted? */
bool store_page_wants_below(const struct store_page *p, const char *dir);
/* If all keys below dir fold into one common prefix of this page, its length within dir; else 0. */
size_t store_page_folds(const struct store_page *p, const char *dir);
/* Adds a wanted key. *ret is the entry to fill in, or NULL where there is nothing to fill (folded,
 * or full). 0 or -ENOMEM. */
_must_check_ int store_page_add(struct store_page *p, const char *key, struct store_entry **ret);

/* A page of open multipart uploads. Does this one come after where the page before ended? */
bool store_uploads_wants(const struct store_req *req, const char *key, const char *id);
/* Of all that are wanted, in any order: the first ones, in order, and where the next page begins.
 * limit: most uploads a page may have. 0 or -ENOMEM. */
_must_check_ int store_uploads_cut(const struct store_req *req, size_t limit, struct store_rsp *rsp);

#endif
