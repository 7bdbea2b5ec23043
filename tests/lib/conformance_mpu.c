/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance rows: multipart uploads. */
#include <errno.h>
#include <string.h>
#include "conformance_int.h"

#define MIN_PART ((size_t)5 << 20)

struct mpu {
    char key[CF_KEY];
    char *id;
    struct store_part parts[4];
    size_t n;
};

static void mpu_done(struct mpu *u)
{
    free(u->id);
}
#define _cleanup_mpu_ _cleanup_(mpu_done)

static int create(struct cf *c, struct mpu *u, const char *name, const struct store_hdrs *hdrs)
{
    struct store_req req = {.op = STORE_MPU_CREATE, .key = cf_key(c, u->key, name), .hdrs = hdrs};
    _cleanup_rsp_ struct store_rsp rsp = {0};
    CHECK_IS(c, store_call(c->s, &req, &rsp), 0, "MPU_CREATE");
    CHECK(c, rsp.upload_id != NULL && rsp.upload_id[0] != '\0', "MPU_CREATE gave no id");
    u->id = steal(&rsp.upload_id);
    return 0;
}

static int put_part(struct cf *c, struct mpu *u, uint32_t number, const struct cf_body *b,
                    struct store_part *ret)
{
    struct store_mem m = {.data = b->data, .size = b->size};
    struct store_src src = store_src_mem(&m);
    struct store_req req = {.op = STORE_MPU_PART,
                            .key = u->key,
                            .upload_id = u->id,
                            .part_number = number,
                            .src = &src};
    _cleanup_rsp_ struct store_rsp rsp = {0};
    int r = store_call(c->s, &req, &rsp);
    if (r == 0)
        *ret = rsp.part;
    return r;
}

/* Uploads the part and appends it to the list of the Complete. */
static int add_part(struct cf *c, struct mpu *u, uint32_t number, const struct cf_body *b)
{
    struct store_part p;
    CHECK_IS(c, put_part(c, u, number, b, &p), 0, "MPU_PART");
    CHECK(c, p.number == number && p.size == b->size && store_etag_is_set(&p.etag),
          "MPU_PART's reply: %u, %llu, %s", p.number, (unsigned long long)p.size, p.etag.s);
    u->parts[u->n++] = p;
    return 0;
}

static int complete(struct cf *c, struct mpu *u, struct store_cond cond, struct store_etag *ret)
{
    struct store_req req = {.op = STORE_MPU_COMPLETE,
                            .key = u->key,
                            .upload_id = u->id,
                            .parts = u->parts,
                            .n_parts = u->n,
                            .cond = cond};
    _cleanup_rsp_ struct store_rsp rsp = {0};
    int r = store_call(c->s, &req, &rsp);
    if (r == 0 && ret != NULL)
        *ret = rsp.obj.etag;
    return r;
}

static int abort_upload(struct cf *c, struct mpu *u)
{
    struct store_req req = {.op = STORE_MPU_ABORT, .key = u->key, .upload_id = u->id};
    _cleanup_rsp_ struct store_rsp rsp = {0};
    return store_call(c->s, &req, &rsp);
}

/* An upload with one small part, ready to be completed. */
static int small_upload(struct cf *c, struct mpu *u, const char *name, const char *text)
{
    _cleanup_free_ char *copy = strdup(text);
    struct cf_body b = {.data = copy, .size = strlen(text)};
    return create(c, u, name, NULL) < 0 ? -1 : add_part(c, u, 1, &b);
}

static struct cf_body join(const struct cf_body *a, const struct cf_body *b)
{
    struct cf_body j = cf_pattern(a->size + b->size, 0);
    memcpy(j.data, a->data, a->size);
    memcpy(j.data + a->size, b->data, b->size);
    return j;
}

static int mpu_basic(struct cf *c)
{
    _cleanup_mpu_ struct mpu u = {.id = NULL};
    _cleanup_cf_body_ struct cf_body one = cf_pattern(MIN_PART, 1), two = cf_pattern(12345, 2),
                                     all = join(&one, &two);
    _cleanup_cf_body_ struct cf_body cut = {0};
    _cleanup_hdrs_ struct store_hdrs h = {0};
    _cleanup_obj_ struct store_obj o = {0};
    struct store_etag e;
    CHECK_IS(c, store_hdrs_set(&h, "content-type", "video/mp4"), 0, "headers");
    CHECK_IS(c, store_hdrs_set(&h, STORE_USER_META "file-mtime", "1"), 0, "headers");
    if (create(c, &u, "film.mp4", &h) < 0 || add_part(c, &u, 1, &one) < 0 ||
        add_part(c, &u, 2, &two) < 0)
        return -1;
    if (cf_expect_missing(c, u.key) < 0)
        return -1;
    CHECK_IS(c, complete(c, &u, CF_ALWAYS, &e), 0, "MPU_COMPLETE");
    if (cf_expect_body(c, u.key, &all) < 0)
        return -1;
    CHECK_IS(c, cf_head(c, u.key, CF_ALWAYS, &o), 0, "HEAD");
    CHECK(c, store_etag_equal(&o.etag, &e), "HEAD's ETag %s is not Complete's %s", o.etag.s, e.s);
    const char *type = store_hdrs_get(&o.hdrs, "content-type"),
               *meta = store_hdrs_get(&o.hdrs, STORE_USER_META "file-mtime");
    CHECK(c, type != NULL && strcmp(type, "video/mp4") == 0, "content-type is %s",
          type == NULL ? "lost" : type);
    CHECK(c, meta != NULL && strcmp(meta, "1") == 0, "the metadata is lost");
    CHECK_IS(c, cf_get(c, u.key, cf_match(&e), MIN_PART - 50, 100, 200, NULL, &cut), 0,
             "GET over the parts' border");
    CHECK(c, cut.size == 100 && memcmp(cut.data, all.data + MIN_PART - 50, 100) == 0,
          "other bytes at the border");
    return 0;
}

static int mpu_etag(struct cf *c)
{
    _cleanup_mpu_ struct mpu u = {.id = NULL};
    _cleanup_cf_body_ struct cf_body one = cf_pattern(MIN_PART, 1), two = cf_pattern(10, 2);
    struct store_etag e;
    if (create(c, &u, "a", NULL) < 0 || add_part(c, &u, 1, &one) < 0 ||
        add_part(c, &u, 2, &two) < 0)
        return -1;
    CHECK_IS(c, complete(c, &u, CF_ALWAYS, &e), 0, "MPU_COMPLETE");
    /* Worked out here, not by the code under test. */
    struct store_etag a, b, want;
    unsigned char both[32];
    cf_md5_etag(one.data, one.size, &a);
    cf_md5_etag(two.data, two.size, &b);
    for (int i = 0; i < 16; i++) {
        unsigned x = 0, y = 0;
        CHECK(c, sscanf(a.s + 2 * i, "%2x", &x) == 1 && sscanf(b.s + 2 * i, "%2x", &y) == 1, "hex");
        both[i] = (unsigned char)x;
        both[16 + i] = (unsigned char)y;
    }
    cf_md5_etag(both, sizeof(both), &want);
    strcat(want.s, "-2");
    CHECK(c, store_etag_equal(&e, &want), "the ETag %s is not the MD5 of the parts' MD5s, %s", e.s,
          want.s);
    return 0;
}

static int mpu_small(struct cf *c)
{
    _cleanup_mpu_ struct mpu u = {.id = NULL};
    if (small_upload(c, &u, "a", "tiny") < 0)
        return -1;
    CHECK_IS(c, complete(c, &u, CF_ALWAYS, NULL), 0, "MPU_COMPLETE of one small part");
    return cf_expect_text(c, u.key, "tiny");
}

/* Parts may come in any order, with gaps between their numbers, and again. */
static int mpu_any_order(struct cf *c)
{
    _cleanup_mpu_ struct mpu u = {.id = NULL};
    _cleanup_cf_body_ struct cf_body one = cf_pattern(MIN_PART, 1), two = cf_pattern(777, 2),
                                     old = cf_pattern(MIN_PART, 3);
    _cleanup_cf_body_ struct cf_body all = join(&one, &two);
    struct store_part first, last, gone;
    if (create(c, &u, "a", NULL) < 0)
        return -1;
    CHECK_IS(c, put_part(c, &u, 9, &two, &last), 0, "MPU_PART 9");
    CHECK_IS(c, put_part(c, &u, 4, &old, &gone), 0, "MPU_PART 4");
    CHECK_IS(c, put_part(c, &u, 4, &one, &first), 0, "MPU_PART 4 again");
    u.parts[0] = first;
    u.parts[1] = last;
    u.n = 2;
    CHECK_IS(c, complete(c, &u, CF_ALWAYS, NULL), 0, "MPU_COMPLETE");
    return cf_expect_body(c, u.key, &all);
}

static int mpu_wrong_order(struct cf *c)
{
    _cleanup_mpu_ struct mpu u = {.id = NULL};
    _cleanup_cf_body_ struct cf_body one = cf_pattern(MIN_PART, 1);
    if (create(c, &u, "a", NULL) < 0 || add_part(c, &u, 2, &one) < 0 ||
        add_part(c, &u, 1, &one) < 0)
        return -1;
    CHECK_IS(c, complete(c, &u, CF_ALWAYS, NULL), -EINVAL, "MPU_COMPLETE in descending order");
    return cf_expect_missing(c, u.key);
}

static int mpu_too_small(struct cf *c)
{
    _cleanup_mpu_ struct mpu u = {.id = NULL};
    _cleanup_cf_body_ struct cf_body one = cf_pattern(1000, 1);
    if (create(c, &u, "a", NULL) < 0 || add_part(c, &u, 1, &one) < 0 ||
        add_part(c, &u, 2, &one) < 0)
        return -1;
    CHECK_IS(c, complete(c, &u, CF_ALWAYS, NULL), -EINVAL,
             "MPU_COMPLETE with a small part before the last");
    return cf_expect_missing(c, u.key);
}

static int mpu_invalid_part(struct cf *c)
{
    _cleanup_mpu_ struct mpu u = {.id = NULL};
    if (small_upload(c, &u, "a", "tiny") < 0)
        return -1;
    struct store_part real = u.parts[0];
    u.parts[0].etag = cf_wrong_etag;
    CHECK_IS(c, complete(c, &u, CF_ALWAYS, NULL), -EINVAL, "MPU_COMPLETE with a part's wrong ETag");
    u.parts[0] = real;
    u.parts[0].number = 7;
    CHECK_IS(c, complete(c, &u, CF_ALWAYS, NULL), -EINVAL,
             "MPU_COMPLETE with a part that was not sent");
    return cf_expect_missing(c, u.key);
}

static int mpu_abort(struct cf *c)
{
    _cleanup_mpu_ struct mpu u = {.id = NULL};
    _cleanup_cf_body_ struct cf_body one = cf_pattern(1000, 1);
    struct store_part p;
    if (small_upload(c, &u, "a", "tiny") < 0)
        return -1;
    CHECK_IS(c, abort_upload(c, &u), 0, "MPU_ABORT");
    CHECK_IS(c, put_part(c, &u, 2, &one, &p), STORE_NO_UPLOAD, "MPU_PART of an aborted upload");
    CHECK_IS(c, complete(c, &u, CF_ALWAYS, NULL), STORE_NO_UPLOAD,
             "MPU_COMPLETE of an aborted upload");
    int again = abort_upload(c, &u);
    CHECK(c, again == 0 || again == STORE_NO_UPLOAD, "MPU_ABORT again: %s", cf_result(again));
    return cf_expect_missing(c, u.key);
}

static size_t count_upload(const struct store_rsp *rsp, const struct mpu *u)
{
    size_t n = 0;
    for (size_t i = 0; i < rsp->uploads.n; i++)
        n += strcmp(rsp->uploads.v[i].key, u->key) == 0 &&
                     strcmp(rsp->uploads.v[i].upload_id, u->id) == 0
                 ? 1
                 : 0;
    return n;
}

static int mpu_list(struct cf *c)
{
    _cleanup_mpu_ struct mpu u = {.id = NULL}, v = {.id = NULL};
    struct store_req req = {.op = STORE_MPU_LIST, .prefix = c->prefix};
    if (small_upload(c, &u, "a b", "tiny") < 0 || small_upload(c, &v, "a b", "other") < 0)
        return -1;
    {
        _cleanup_rsp_ struct store_rsp rsp = {0};
        CHECK_IS(c, store_call(c->s, &req, &rsp), 0, "MPU_LIST");
        CHECK(c, count_upload(&rsp, &u) == 1 && count_upload(&rsp, &v) == 1 && rsp.uploads.n == 2,
              "%zu uploads are listed", rsp.uploads.n);
        CHECK(c, rsp.uploads.v[0].started_ns > 0, "an upload has no start time");
    }
    CHECK_IS(c, abort_upload(c, &u), 0, "MPU_ABORT");
    CHECK_IS(c, complete(c, &v, CF_ALWAYS, NULL), 0, "MPU_COMPLETE");
    _cleanup_rsp_ struct store_rsp rsp = {0};
    CHECK_IS(c, store_call(c->s, &req, &rsp), 0, "MPU_LIST");
    CHECK(c, rsp.uploads.n == 0, "%zu uploads are listed after their ends", rsp.uploads.n);
    return 0;
}

static int mpu_part_copy(struct cf *c)
{
    char from[CF_KEY];
    struct store_etag e;
    _cleanup_mpu_ struct mpu u = {.id = NULL};
    _cleanup_cf_body_ struct cf_body src = cf_pattern(MIN_PART + 100000, 5),
                                     tail = cf_pattern(99, 6);
    CHECK_IS(c, cf_put(c, cf_key(c, from, "from +%"), src.data, src.size, CF_ALWAYS, NULL, &e), 0,
             "PUT of the source");
    if (create(c, &u, "to", NULL) < 0)
        return -1;
    struct store_req req = {.op = STORE_MPU_PART_COPY,
                            .key = u.key,
                            .upload_id = u.id,
                            .part_number = 1,
                            .src_key = from,
                            .src_cond = cf_match(&e),
                            .range = {.off = 1000, .len = MIN_PART}};
    _cleanup_rsp_ struct store_rsp rsp = {0};
    CHECK_IS(c, store_call(c->s, &req, &rsp), 0, "MPU_PART_COPY");
    CHECK(c, rsp.part.number == 1 && store_etag_is_set(&rsp.part.etag),
          "MPU_PART_COPY's reply: %u, %s", rsp.part.number, rsp.part.etag.s);
    u.parts[u.n++] = rsp.part;
    if (add_part(c, &u, 2, &tail) < 0)
        return -1;
    CHECK_IS(c, complete(c, &u, CF_ALWAYS, NULL), 0, "MPU_COMPLETE");
    struct cf_body middle = {.data = src.data + 1000, .size = MIN_PART};
    _cleanup_cf_body_ struct cf_body all = join(&middle, &tail);
    return cf_expect_body(c, u.key, &all);
}

static int mpu_part_copy_if_match(struct cf *c)
{
    char from[CF_KEY];
    _cleanup_mpu_ struct mpu u = {.id = NULL};
    CHECK_IS(c, cf_puts(c, cf_key(c, from, "from"), "source", NULL), 0, "PUT of the source");
    if (create(c, &u, "to", NULL) < 0)
        return -1;
    struct store_req req = {.op = STORE_MPU_PART_COPY,
                            .key = u.key,
                            .upload_id = u.id,
                            .part_number = 1,
                            .src_key = from,
                            .src_cond = cf_match(&cf_wrong_etag)};
    _cleanup_rsp_ struct store_rsp rsp = {0};
    CHECK_IS(c, store_call(c->s, &req, &rsp), STORE_PRECONDITION,
             "MPU_PART_COPY of another version");
    return 0;
}

static int mpu_complete_if_absent(struct cf *c)
{
    _cleanup_mpu_ struct mpu u = {.id = NULL}, v = {.id = NULL};
    if (small_upload(c, &u, "a", "new") < 0)
        return -1;
    CHECK_IS(c, cf_puts(c, u.key, "there before", NULL), 0, "PUT");
    CHECK_IS(c, complete(c, &u, CF_ABSENT, NULL), STORE_PRECONDITION,
             "MPU_COMPLETE over an existing key");
    if (cf_expect_text(c, u.key, "there before") < 0 || small_upload(c, &v, "b", "new") < 0)
        return -1;
    CHECK_IS(c, complete(c, &v, CF_ABSENT, NULL), 0, "MPU_COMPLETE of a new key");
    return cf_expect_text(c, v.key, "new");
}

static int mpu_complete_if_match(struct cf *c)
{
    _cleanup_mpu_ struct mpu u = {.id = NULL}, v = {.id = NULL};
    char k[CF_KEY];
    struct store_etag e;
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "a"), "there before", &e), 0, "PUT");
    if (small_upload(c, &u, "a", "one") < 0 || small_upload(c, &v, "a", "two") < 0)
        return -1;
    CHECK_IS(c, complete(c, &u, cf_match(&cf_wrong_etag), NULL), STORE_PRECONDITION,
             "MPU_COMPLETE If-Match, wrong");
    if (cf_expect_text(c, k, "there before") < 0)
        return -1;
    CHECK_IS(c, complete(c, &v, cf_match(&e), NULL), 0, "MPU_COMPLETE If-Match, right");
    return cf_expect_text(c, k, "two");
}

/* A client whose reply was lost asks again: the same answer, or at least not a failure of another
 * kind. */
static int mpu_repeat(struct cf *c)
{
    _cleanup_mpu_ struct mpu u = {.id = NULL};
    struct store_etag e, again = {.s = ""};
    if (small_upload(c, &u, "a", "tiny") < 0)
        return -1;
    CHECK_IS(c, complete(c, &u, CF_ALWAYS, &e), 0, "MPU_COMPLETE");
    int r = complete(c, &u, CF_ALWAYS, &again);
    CHECK(c, r == STORE_NO_UPLOAD || (r == 0 && store_etag_equal(&e, &again)),
          "MPU_COMPLETE again: %s, ETag %s", cf_result(r), again.s);
    return cf_expect_text(c, u.key, "tiny");
}

const struct cf_row cf_rows_mpu[] = {
    {"mpu-basic", mpu_basic},
    {"mpu-etag", mpu_etag},
    {"mpu-small", mpu_small},
    {"mpu-any-order", mpu_any_order},
    {"mpu-wrong-order", mpu_wrong_order},
    {"mpu-too-small", mpu_too_small},
    {"mpu-invalid-part", mpu_invalid_part},
    {"mpu-abort", mpu_abort},
    {"mpu-list", mpu_list},
    {"mpu-part-copy", mpu_part_copy},
    {"mpu-part-copy-if-match", mpu_part_copy_if_match},
    {"mpu-complete-if-absent", mpu_complete_if_absent},
    {"mpu-complete-if-match", mpu_complete_if_match},
    {"mpu-repeat", mpu_repeat},
    {NULL, NULL},
};
