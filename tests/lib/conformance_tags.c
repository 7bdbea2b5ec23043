/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance rows: tags of objects. */
#include <stdio.h>
#include <string.h>
#include "conformance_int.h"

#define TAGS "class=gold&path%20to=a%3Db%2Fc"

/* In any order. */
static bool same_tags(const char *got, const char *want)
{
    char copy[256], *at = copy;
    snprintf(copy, sizeof(copy), "%s", want);
    for (const char *tag; (tag = strsep(&at, "&")) != NULL;) {
        const char *found = strstr(got, tag);
        if (found == NULL || (found != got && found[-1] != '&'))
            return false;
    }
    return strlen(got) == strlen(want);
}

static int expect_tags(struct cf *c, const char *key, const char *count, const char *want)
{
    struct store_req req = {.op = STORE_GET_TAGS, .key = key};
    _cleanup_rsp_ struct store_rsp rsp = {0};
    _cleanup_obj_ struct store_obj o = {0};
    CHECK_IS(c, cf_head(c, key, CF_ALWAYS, &o), 0, "HEAD");
    const char *got = store_hdrs_get(&o.hdrs, STORE_TAG_COUNT);
    CHECK(c, strcmp(got != NULL ? got : "0", count) == 0, "HEAD counts %s tags, not %s",
          got != NULL ? got : "no", count);
    CHECK(c, store_hdrs_get(&o.hdrs, STORE_TAGS) == NULL, "HEAD tells the tags themselves");
    CHECK_IS(c, store_call(c->s, &req, &rsp), 0, "GET_TAGS");
    CHECK(c, rsp.tags != NULL && same_tags(rsp.tags, want), "the tags are %s, not %s",
          rsp.tags != NULL ? rsp.tags : "not there", want);
    return 0;
}

static int with_tags(struct store_hdrs *ret, const char *tags)
{
    int r = store_hdrs_set(ret, STORE_USER_META "x", "y");
    if (r == 0)
        r = store_hdrs_set(ret, STORE_TAG_COUNT, "2"); /* writes ignore it */
    return r == 0 && tags != NULL ? store_hdrs_set(ret, STORE_TAGS, tags) : r;
}

/* A write sets them all, or takes them all away. */
static int tags(struct cf *c)
{
    char k[CF_KEY];
    struct store_req req = {.op = STORE_GET_TAGS, .key = cf_key(c, k, "no")};
    _cleanup_rsp_ struct store_rsp rsp = {0};
    _cleanup_hdrs_ struct store_hdrs h = {0}, none = {0};
    CHECK_IS(c, with_tags(&h, TAGS), 0, "headers");
    CHECK_IS(c, with_tags(&none, NULL), 0, "headers");
    CHECK_IS(c, store_call(c->s, &req, &rsp), STORE_NOT_FOUND, "GET_TAGS of a missing key");
    CHECK_IS(c, cf_put(c, cf_key(c, k, "a"), "one", 3, CF_ALWAYS, &h, NULL), 0, "PUT");
    if (expect_tags(c, k, "2", TAGS) < 0)
        return -1;
    CHECK_IS(c, cf_put(c, k, "two", 3, CF_ALWAYS, &none, NULL), 0, "PUT without tags");
    return expect_tags(c, k, "0", "");
}

static int tags_mpu(struct cf *c)
{
    char k[CF_KEY];
    _cleanup_hdrs_ struct store_hdrs h = {0};
    _cleanup_rsp_ struct store_rsp created = {0}, part = {0}, done = {0};
    struct store_mem m = {.data = (char[]){"last part"}, .size = 9};
    struct store_src src = store_src_mem(&m);
    CHECK_IS(c, with_tags(&h, TAGS), 0, "headers");
    struct store_req req = {.op = STORE_MPU_CREATE, .key = cf_key(c, k, "m"), .hdrs = &h};
    CHECK_IS(c, store_call(c->s, &req, &created), 0, "MPU_CREATE");
    req = (struct store_req){.op = STORE_MPU_PART,
                             .key = k,
                             .upload_id = created.upload_id,
                             .part_number = 1,
                             .src = &src};
    CHECK_IS(c, store_call(c->s, &req, &part), 0, "MPU_PART");
    req = (struct store_req){.op = STORE_MPU_COMPLETE,
                             .key = k,
                             .upload_id = created.upload_id,
                             .parts = &part.part,
                             .n_parts = 1};
    CHECK_IS(c, store_call(c->s, &req, &done), 0, "MPU_COMPLETE");
    return expect_tags(c, k, "2", TAGS);
}

static int copy(struct cf *c, const char *from, const char *to, const struct store_hdrs *replace)
{
    struct store_req req = {
        .op = STORE_COPY, .key = to, .src_key = from, .hdrs = replace, .replace = replace != NULL};
    _cleanup_rsp_ struct store_rsp rsp = {0};
    return store_call(c->s, &req, &rsp);
}

/* A copy has its source's tags, or those that come with the headers that replace the source's. */
static int tags_copy(struct cf *c)
{
    char from[CF_KEY], to[CF_KEY];
    _cleanup_hdrs_ struct store_hdrs h = {0}, other = {0}, none = {0};
    CHECK_IS(c, with_tags(&h, TAGS), 0, "headers");
    CHECK_IS(c, with_tags(&other, "b=2"), 0, "headers");
    CHECK_IS(c, with_tags(&none, NULL), 0, "headers");
    CHECK_IS(c, cf_put(c, cf_key(c, from, "from"), "one", 3, CF_ALWAYS, &h, NULL), 0, "PUT");
    CHECK_IS(c, copy(c, from, cf_key(c, to, "same"), NULL), 0, "COPY");
    if (expect_tags(c, to, "2", TAGS) < 0)
        return -1;
    CHECK_IS(c, copy(c, from, cf_key(c, to, "other"), &other), 0, "COPY with tags");
    if (expect_tags(c, to, "1", "b=2") < 0)
        return -1;
    CHECK_IS(c, copy(c, from, cf_key(c, to, "none"), &none), 0, "COPY without tags");
    return expect_tags(c, to, "0", "");
}

const struct cf_row cf_rows_tags[] = {
    {"tags", tags},
    {"tags-mpu", tags_mpu},
    {"tags-copy", tags_copy},
    {NULL, NULL},
};
