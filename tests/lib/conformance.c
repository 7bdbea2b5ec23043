/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance test's runner, and the calls that its rows are written in. */
#include "conformance.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <string.h>
#include "base/err.h"
#include "base/str.h"
#include "conformance_int.h"

const struct store_etag cf_wrong_etag = {.s = "00000000000000000000000000000000"};

int cf_fail(struct cf *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(c->why, sizeof(c->why), fmt, ap);
    va_end(ap);
    return -1;
}

const char *cf_result(int r)
{
    static _Thread_local char out[4][160];
    static _Thread_local unsigned turn;
    static const char *const outcomes[] = {"ok",       "NOT_FOUND", "NOT_MODIFIED", "PRECONDITION",
                                           "CONFLICT", "RANGE",     "NO_UPLOAD"};
    if (r >= 0 && (size_t)r < ARRAY_LEN(outcomes))
        return outcomes[r];
    char *p = out[turn++ % 4];
    const char *name = r < 0 ? strerrorname_np(-r) : NULL;
    if (name == NULL)
        snprintf(p, sizeof(out[0]), "result %d", r);
    else
        snprintf(p, sizeof(out[0]), "-%s (%.120s)", name, err_text());
    return p;
}

const char *cf_key(const struct cf *c, char out[CF_KEY], const char *name)
{
    snprintf(out, CF_KEY, "%s%s", c->prefix, name);
    return out;
}

struct store_cond cf_match(const struct store_etag *e)
{
    return (struct store_cond){.kind = STORE_IF_MATCH, .etag = *e};
}

struct store_cond cf_changed(const struct store_etag *e)
{
    return (struct store_cond){.kind = STORE_IF_CHANGED, .etag = *e};
}

struct cf_body cf_pattern(size_t size, unsigned seed)
{
    struct cf_body b = {.data = malloc(size + 1), .size = size};
    if (b.data == NULL)
        abort();
    uint64_t x = seed * UINT64_C(2654435761) + 1;
    for (size_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        b.data[i] = (char)x;
    }
    b.data[size] = '\0';
    return b;
}

void cf_body_done(struct cf_body *b)
{
    free(b->data);
    *b = (struct cf_body){0};
}

void cf_md5_etag(const void *data, size_t size, struct store_etag *ret)
{
    unsigned char md5[16];
    unsigned len = 0;
    if (EVP_Digest(data, size, md5, &len, EVP_md5(), NULL) != 1)
        abort();
    str_hex(md5, sizeof(md5), ret->s);
}

int cf_put(struct cf *c, const char *key, const void *data, size_t size, struct store_cond cond,
           const struct store_hdrs *hdrs, struct store_etag *ret_etag)
{
    _cleanup_free_ char *copy = malloc(size + 1);
    if (copy == NULL)
        return -ENOMEM;
    if (size > 0)
        memcpy(copy, data, size);
    struct store_mem m = {.data = copy, .size = size};
    struct store_src src = store_src_mem(&m);
    struct store_req req = {.op = STORE_PUT, .key = key, .cond = cond, .src = &src, .hdrs = hdrs};
    struct store_rsp rsp = {0};
    int r = store_call(c->s, &req, &rsp);
    if (r == 0 && ret_etag != NULL)
        *ret_etag = rsp.obj.etag;
    store_rsp_done(&rsp);
    return r;
}

int cf_puts(struct cf *c, const char *key, const char *text, struct store_etag *ret_etag)
{
    return cf_put(c, key, text, strlen(text), CF_ALWAYS, NULL, ret_etag);
}

int cf_get(struct cf *c, const char *key, struct store_cond cond, uint64_t off, uint64_t len,
           size_t room, struct store_obj *ret_obj, struct cf_body *ret)
{
    struct cf_body b = {.data = calloc(1, room + 1), .size = room};
    if (b.data == NULL)
        return -ENOMEM;
    struct store_mem m = {.data = b.data, .size = room};
    struct store_sink sink = store_sink_mem(&m);
    struct store_req req = {.op = STORE_GET,
                            .key = key,
                            .cond = cond,
                            .range = {.off = off, .len = len},
                            .sink = &sink};
    struct store_rsp rsp = {0};
    int r = store_call(c->s, &req, &rsp);
    b.size = rsp.body_len < room ? (size_t)rsp.body_len : room;
    if (r == 0 && ret_obj != NULL) {
        *ret_obj = rsp.obj;
        rsp.obj = (struct store_obj){0};
    }
    if (r == 0 && ret != NULL) {
        *ret = b;
        b = (struct cf_body){0};
    }
    cf_body_done(&b);
    store_rsp_done(&rsp);
    return r;
}

int cf_head(struct cf *c, const char *key, struct store_cond cond, struct store_obj *ret_obj)
{
    struct store_req req = {.op = STORE_HEAD, .key = key, .cond = cond};
    struct store_rsp rsp = {0};
    int r = store_call(c->s, &req, &rsp);
    if (r == 0 && ret_obj != NULL) {
        *ret_obj = rsp.obj;
        rsp.obj = (struct store_obj){0};
    }
    store_rsp_done(&rsp);
    return r;
}

int cf_delete(struct cf *c, const char *key, struct store_cond cond)
{
    struct store_req req = {.op = STORE_DELETE, .key = key, .cond = cond};
    _cleanup_rsp_ struct store_rsp rsp = {0};
    return store_call(c->s, &req, &rsp);
}

int cf_list(struct cf *c, const char *prefix, const char *start_after, bool delimited,
            uint32_t max_keys, const char *token, struct store_rsp *rsp)
{
    struct store_req req = {.op = STORE_LIST,
                            .prefix = prefix,
                            .start_after = start_after,
                            .delimited = delimited,
                            .max_keys = max_keys,
                            .token = token};
    return store_call(c->s, &req, rsp);
}

int cf_expect_body(struct cf *c, const char *key, const struct cf_body *want)
{
    _cleanup_cf_body_ struct cf_body got = {0};
    _cleanup_obj_ struct store_obj obj = {0};
    CHECK_IS(c, cf_get(c, key, CF_ALWAYS, 0, 0, want->size + 64, &obj, &got), 0, "GET");
    CHECK(c, got.size == want->size, "GET brought %zu bytes, not %zu", got.size, want->size);
    CHECK(c, memcmp(got.data, want->data, got.size) == 0, "GET brought other bytes than were put");
    CHECK(c, obj.size == want->size, "GET says size %llu, not %zu", (unsigned long long)obj.size,
          want->size);
    return 0;
}

int cf_expect_text(struct cf *c, const char *key, const char *text)
{
    _cleanup_free_ char *copy = strdup(text);
    struct cf_body want = {.data = copy, .size = strlen(text)};
    return cf_expect_body(c, key, &want);
}

int cf_expect_missing(struct cf *c, const char *key)
{
    CHECK_IS(c, cf_head(c, key, CF_ALWAYS, NULL), STORE_NOT_FOUND,
             "HEAD of what must not be there");
    return 0;
}

/* --- the runner --- */

bool cf_is_in(const char *const *v, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(v[i], name) == 0)
            return true;
    }
    return false;
}

static void clean_uploads(struct store *s, const char *prefix)
{
    struct store_req req = {.op = STORE_MPU_LIST, .prefix = prefix};
    struct store_rsp rsp = {0};
    if (store_call(s, &req, &rsp) == 0) {
        for (size_t i = 0; i < rsp.uploads.n; i++) {
            /* A server that ignores the prefix must not cost others their uploads. */
            if (!str_starts(rsp.uploads.v[i].key, prefix))
                continue;
            struct store_req abort_req = {.op = STORE_MPU_ABORT,
                                          .key = rsp.uploads.v[i].key,
                                          .upload_id = rsp.uploads.v[i].upload_id};
            struct store_rsp abort_rsp = {0};
            int r = store_call(s, &abort_req, &abort_rsp);
            (void)r; /* what stays is below the test's own prefix */
            store_rsp_done(&abort_rsp);
        }
    }
    store_rsp_done(&rsp);
}

static void clean(struct cf *c, const char *prefix)
{
    /* Keys that a server lists under another name than it knows them by stay: no loop without
     * progress. */
    for (int pass = 0; pass < 8; pass++) {
        _cleanup_rsp_ struct store_rsp rsp = {0};
        if (cf_list(c, prefix, NULL, false, 0, NULL, &rsp) != 0 || rsp.list.n == 0)
            break;
        for (size_t i = 0; i < rsp.list.n; i++) {
            if (str_starts(rsp.list.v[i].key, prefix))
                (void)cf_delete(c, rsp.list.v[i].key, CF_ALWAYS);
        }
    }
    clean_uploads(c->s, prefix);
}

/* 1 if the row counts as a failure. */
static int run_row(struct store *s, const char *run_prefix, const struct conformance_conf *conf,
                   const struct cf_row *row, FILE *out)
{
    char prefix[CF_KEY];
    if (cf_is_in(conf->skips, conf->n_skips, row->name)) {
        fprintf(out, "skip %s\n", row->name);
        return 0;
    }
    snprintf(prefix, sizeof(prefix), "%s%s/", run_prefix, row->name);
    struct cf c = {.s = s, .prefix = prefix, .conf = conf};
    int r = row->run(&c);
    clean(&c, prefix);
    bool differs = cf_is_in(conf->differs, conf->n_differs, row->name);
    bool unsure = cf_is_in(conf->unsure, conf->n_unsure, row->name);
    int failed = 0;
    if (unsure) {
        fprintf(out, "ok %s (%s%s)\n", row->name,
                r == 0 ? "this time" : "differs now and then: ", c.why);
    } else if (r == 0 && differs) {
        fprintf(out, "not ok %s: passes, although it is listed as differing\n", row->name);
        failed = 1;
    } else if (r == 0) {
        fprintf(out, "ok %s\n", row->name);
    } else if (differs) {
        fprintf(out, "ok %s (differs as expected: %s)\n", row->name, c.why);
    } else {
        fprintf(out, "not ok %s: %s\n", row->name, c.why);
        failed = 1;
    }
    fflush(out);
    return failed;
}

static const struct cf_row *const groups[] = {cf_rows_obj,  cf_rows_key, cf_rows_copy,
                                              cf_rows_list, cf_rows_mpu, cf_rows_race, cf_rows_tags};

static bool is_row(const char *name)
{
    for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
        for (const struct cf_row *row = groups[g]; row->name != NULL; row++) {
            if (strcmp(row->name, name) == 0)
                return true;
        }
    }
    return false;
}

static int check_names(const char *const *v, size_t n, FILE *out)
{
    int unknown = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_row(v[i])) {
            fprintf(out, "not ok %s: no such row\n", v[i]);
            unknown++;
        }
    }
    return unknown;
}

int conformance_run(struct store *s, const char *prefix, const struct conformance_conf *conf,
                    FILE *out)
{
    static const struct conformance_conf none = {0};
    if (conf == NULL)
        conf = &none;
    int failed = check_names(conf->differs, conf->n_differs, out) +
                 check_names(conf->unsure, conf->n_unsure, out) +
                 check_names(conf->skips, conf->n_skips, out);
    for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
        for (const struct cf_row *row = groups[g]; row->name != NULL; row++)
            failed += run_row(s, prefix, conf, row, out);
    }
    return failed;
}
