/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the conformance test share: a row's context, and calls in one line. */
#ifndef S3EFS_TESTS_CONFORMANCE_INT_H
#define S3EFS_TESTS_CONFORMANCE_INT_H

#include "conformance.h"

struct cf {
    struct store *s;
    const char *prefix; /* of the row: the run's, the row's name, '/' */
    const struct conformance_conf *conf;
    char why[512];
};

struct cf_row {
    const char *name;
    int (*run)(struct cf *c); /* 0, or cf_fail() */
};
extern const struct cf_row cf_rows_obj[], cf_rows_key[], cf_rows_copy[], cf_rows_list[],
    cf_rows_mpu[], cf_rows_race[], cf_rows_tags[];

/* Returns -1. */
int cf_fail(struct cf *c, const char *fmt, ...) _printf_(2, 3);
#define CHECK(c, cond, ...)                                                                        \
    do {                                                                                           \
        if (!(cond))                                                                               \
            return cf_fail((c), __VA_ARGS__);                                                      \
    } while (0)
/* r is what was wanted, else says what came. */
#define CHECK_IS(c, r, want, what)                                                                 \
    do {                                                                                           \
        int check_r_ = (r);                                                                        \
        if (check_r_ != (want))                                                                    \
            return cf_fail((c), "%s: %s, not %s", (what), cf_result(check_r_), cf_result(want));   \
    } while (0)
const char *cf_result(int r); /* "ok", "NOT_FOUND", "-EIO (text)"; one of a few buffers a thread */

/* Key of the row: out has 1,200 bytes. */
#define CF_KEY 1200
const char *cf_key(const struct cf *c, char out[CF_KEY], const char *name);

#define CF_ALWAYS ((struct store_cond){.kind = STORE_ALWAYS})
#define CF_ABSENT ((struct store_cond){.kind = STORE_IF_ABSENT})
struct store_cond cf_match(const struct store_etag *e);
struct store_cond cf_changed(const struct store_etag *e);
extern const struct store_etag cf_wrong_etag;

/* A body. NULL data with a size: that many bytes of a pattern (seed). */
struct cf_body {
    char *data;
    size_t size;
};
struct cf_body cf_pattern(size_t size, unsigned seed);
void cf_body_done(struct cf_body *b);
#define _cleanup_cf_body_ _cleanup_(cf_body_done)
#define _cleanup_obj_ _cleanup_(store_obj_done)
#define _cleanup_rsp_ _cleanup_(store_rsp_done)
#define _cleanup_hdrs_ _cleanup_(store_hdrs_done)

/* ret_etag, obj, body may be NULL. */
int cf_put(struct cf *c, const char *key, const void *data, size_t size, struct store_cond cond,
           const struct store_hdrs *hdrs, struct store_etag *ret_etag);
int cf_puts(struct cf *c, const char *key, const char *text, struct store_etag *ret_etag);
/* The body is read into memory whatever its size turns out to be (at most room). */
int cf_get(struct cf *c, const char *key, struct store_cond cond, uint64_t off, uint64_t len,
           size_t room, struct store_obj *ret_obj, struct cf_body *ret);
int cf_head(struct cf *c, const char *key, struct store_cond cond, struct store_obj *ret_obj);
int cf_delete(struct cf *c, const char *key, struct store_cond cond);
int cf_list(struct cf *c, const char *prefix, const char *start_after, bool delimited,
            uint32_t max_keys, const char *token, struct store_rsp *rsp);
/* 0 when the object's body is this text; else cf_fail(). */
int cf_expect_text(struct cf *c, const char *key, const char *text);
int cf_expect_body(struct cf *c, const char *key, const struct cf_body *want);
int cf_expect_missing(struct cf *c, const char *key);
void cf_md5_etag(const void *data, size_t size, struct store_etag *ret);
bool cf_is_in(const char *const *v, size_t n, const char *name);

#endif
