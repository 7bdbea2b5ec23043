/* SPDX-License-Identifier: Apache-2.0 */
/* cache/schema: records as a disk may give them back. The first byte chooses the kind and whether
 * the CRC is put right (else hardly an input would get past it), the second is the length of the
 * key. */
#include "fs/cache/schema.h"

#include <errno.h>

#include "fs/cache/crc.h"
#include "fuzz.h"

static bool is_same(const struct buf *out, struct cache_bytes val)
{
    return out->len == val.n && memcmp(out->data, val.p, val.n) == 0;
}

static void is_verdict(int r)
{
    CHECK(r == 0 || r == -EBADMSG || r == -ENOMEM);
}

static void same_obj(const struct store_obj *a, const struct store_obj *b)
{
    CHECK(strcmp(a->etag.s, b->etag.s) == 0 && strcmp(a->version, b->version) == 0);
    CHECK(a->size == b->size && a->mtime_ns == b->mtime_ns && a->hdrs.n == b->hdrs.n);
    for (size_t i = 0; i < a->hdrs.n; i++) {
        CHECK(strcmp(a->hdrs.v[i].name, b->hdrs.v[i].name) == 0);
        CHECK(strcmp(a->hdrs.v[i].value, b->hdrs.v[i].value) == 0);
    }
}

static void dent(struct cache_bytes val, struct cache_bytes key)
{
    _cleanup_buf_ struct buf out = BUF_INIT(CACHE_REC_MAX);
    struct cache_rec_dent a = {0}, b = {0};
    int r = cache_rec_dent_decode(val, key, false, &a);

    is_verdict(r);
    CHECK(a.obj.hdrs.n == 0);
    store_obj_done(&a.obj);
    r = cache_rec_dent_decode(val, key, true, &a);
    is_verdict(r);
    if (r != 0)
        return;
    CHECK(cache_rec_dent_encode(&out, key, &a) == 0);
    r = cache_rec_dent_decode((struct cache_bytes){out.data, out.len}, key, true, &b);
    CHECK(r == 0 && a.has_obj == b.has_obj && a.has_hdrs == b.has_hdrs);
    CHECK(a.boot == b.boot && a.checked_ns == b.checked_ns);
    same_obj(&a.obj, &b.obj);
    store_obj_done(&a.obj);
    store_obj_done(&b.obj);
}

static void dir(struct cache_bytes val, struct cache_bytes key)
{
    _cleanup_buf_ struct buf out = BUF_INIT(CACHE_REC_MAX);
    struct cache_rec_dir d;
    int r = cache_rec_dir_decode(val, key, &d);

    is_verdict(r);
    if (r == 0)
        CHECK(cache_rec_dir_encode(&out, key, &d) == 0 && is_same(&out, val));
}

static void ver(struct cache_bytes val, struct cache_bytes key)
{
    _cleanup_buf_ struct buf out = BUF_INIT(CACHE_REC_MAX);
    struct cache_rec_ver v;
    int r = cache_rec_ver_decode(val, key, &v);

    is_verdict(r);
    if (r == 0)
        CHECK(cache_rec_ver_encode(&out, key, &v) == 0 && is_same(&out, val));
}

static void blk(struct cache_bytes val, struct cache_bytes key)
{
    _cleanup_buf_ struct buf out = BUF_INIT(CACHE_REC_MAX);
    struct cache_rec_blk b;
    int r = cache_rec_blk_decode(val, key, &b);

    is_verdict(r);
    if (r != 0)
        return;
    CHECK(b.n <= CACHE_CHUNK && cache_rec_blk_encode(&out, key, &b) == 0 && is_same(&out, val));
    cache_blk_set(&b, CACHE_CHUNK - 1,
                  7); /* what a record did not name is not there after growth */
    for (uint32_t i = 0; i < CACHE_CHUNK; i++) {
        cache_blk_set(&b, i, i);
        CHECK(cache_blk_has(&b, i) && b.crc[i] == i);
        cache_blk_clear(&b, i);
        CHECK(!cache_blk_has(&b, i));
    }
}

static void note(struct cache_bytes val, struct cache_bytes key)
{
    _cleanup_buf_ struct buf out = BUF_INIT(CACHE_REC_MAX);
    char *text = NULL;
    int r = cache_rec_note_decode(val, key, &text);

    is_verdict(r);
    if (r == 0)
        CHECK(cache_rec_note_encode(&out, key, text) == 0 && is_same(&out, val));
    free(text);
}

/* The bytes of the key again, now as the name of a dentry and as the key of an object. */
static void names(struct cache_bytes key)
{
    static const char dir_name[] = "d/";
    struct cache_name n, found;
    struct cache_dir_key d;

    if (cache_dent_key_parse(key.p, key.n, &found))
        CHECK(cache_name_ok(found.name, found.len));
    if (cache_name_split(key.p, key.n, &n) != 0)
        return;
    CHECK(n.len > 0 && n.len <= CACHE_NAME_MAX && n.dir_len + n.len <= key.n);
    CHECK(cache_name_ok(n.name, n.len));
    cache_dir_key(dir_name, 2, &d);
    struct cache_dent_key k = cache_dent_key(&d, n.name, n.len, n.type);
    CHECK(cache_dent_key_parse(k.b, k.n, &found));
    CHECK(found.len == n.len && found.type == n.type && memcmp(found.name, n.name, n.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const kinds[])(struct cache_bytes, struct cache_bytes) = {dent, dir, ver, blk,
                                                                            note};
    struct fuzz in = {data, size};
    unsigned which = fuzz_u8(&in), key_len = fuzz_u8(&in);
    struct cache_bytes key = {in.p, key_len < in.n ? key_len : in.n};
    bool put_right = which < 128;
    size_t len = in.n - key.n;
    uint8_t *val = malloc(len + 4);
    uint32_t crc;

    CHECK(val != NULL);
    if (len > 0)
        memcpy(val, in.p + key.n, len);
    if (put_right) {
        crc = htole32(cache_crc(cache_crc(0, key.p, key.n), val, len));
        memcpy(val + len, &crc, sizeof(crc));
        len += sizeof(crc);
    }
    kinds[which % ARRAY_LEN(kinds)]((struct cache_bytes){val, len}, key);
    names(key);
    free(val);
    return 0;
}
