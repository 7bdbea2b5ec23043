/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and records: round trips, hostile names, and any bytes at all given to the decoders. */
#include "cachetest.h"

#include <errno.h>

#include "../../../fs/cache/crc.h"
#include "../../../fs/cache/schema.h"

#define KEY ((struct cache_bytes){.p = "key", .n = 3})

static struct cache_bytes bytes_of(const struct buf *b)
{
    return (struct cache_bytes){.p = b->data, .n = b->len};
}

static void test_crc(void **state)
{
    uint8_t data[1000];

    (void)state;
    pattern_fill(1, 0, data, sizeof(data));
    assert_int_equal(cache_crc(0, "123456789", 9), 0xe3069283u); /* RFC 3720's check value */
    assert_int_equal(cache_crc_table(0, "123456789", 9), 0xe3069283u);
    for (size_t off = 0; off < 16; off++)
        for (size_t len = 0; len + off < sizeof(data); len += 61)
            assert_int_equal(cache_crc(7, data + off, len), cache_crc_table(7, data + off, len));
    assert_int_equal(cache_crc(cache_crc(0, data, 333), data + 333, 667), cache_crc(0, data, 1000));
}

static void check_split(const char *key, const char *dir, const char *name,
                        enum cache_dent_type type)
{
    struct cache_name n;

    assert_int_equal(cache_name_split(key, strlen(key), &n), 0);
    assert_int_equal(n.dir_len, strlen(dir));
    assert_memory_equal(key, dir, n.dir_len);
    assert_int_equal(n.len, strlen(name));
    assert_memory_equal(n.name, name, n.len);
    assert_int_equal(n.type, type);
}

static void test_split(void **state)
{
    static const char *const bad[] = {"",   "/",   "//",   "a//",   ".",
                                      "..", "a/.", "a/..", "a/../", "./"};
    struct cache_name n;
    char longest[300];

    (void)state;
    check_split("a", "", "a", CACHE_DENT_OBJ);
    check_split("a/b", "a/", "b", CACHE_DENT_OBJ);
    check_split("a/b/", "a/", "b", CACHE_DENT_PREFIX);
    check_split("a//b", "a//", "b", CACHE_DENT_OBJ);
    check_split("/b", "/", "b", CACHE_DENT_OBJ);
    check_split("...", "", "...", CACHE_DENT_OBJ);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(cache_name_split(bad[i], strlen(bad[i]), &n), -EINVAL);
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(cache_name_split(longest, 255, &n), 0);
    assert_int_equal(cache_name_split(longest, 256, &n), -EINVAL);
    assert_int_equal(cache_name_split("a\0b", 3, &n), -EINVAL);
}

static void test_dent_keys(void **state)
{
    struct cache_dir_key d1, d2;
    struct cache_dent_key k, p;
    struct cache_name n;

    (void)state;
    cache_dir_key("a/", 2, &d1);
    cache_dir_key("b/", 2, &d2);
    assert_memory_not_equal(&d1, &d2, sizeof(d1));
    k = cache_dent_key(&d1, "name", 4, CACHE_DENT_OBJ);
    p = cache_dent_key(&d1, "name-", 5, CACHE_DENT_PREFIX);
    assert_true(memcmp(k.b, p.b, k.n) < 0); /* names sort as names */
    assert_true(cache_dent_key_parse(k.b, k.n, &n));
    assert_int_equal(n.len, 4);
    assert_memory_equal(n.name, "name", 4);
    assert_int_equal(n.type, CACHE_DENT_OBJ);
    k.b[k.n - 1] = 'x';
    assert_false(cache_dent_key_parse(k.b, k.n, &n));
    for (size_t len = 0; len < CACHE_HASH + 3; len++)
        assert_false(cache_dent_key_parse(p.b, len, &n));
    p.b[CACHE_HASH] = '/';
    assert_false(cache_dent_key_parse(p.b, p.n, &n));
}

static void test_version_keys(void **state)
{
    struct store_etag e1 = etag_of(1), e2 = etag_of(2);
    struct cache_vkey a, b;

    (void)state;
    cache_vkey("k", &e1, 5, &a);
    assert_int_equal(cache_vkey_size(&a), 5);
    cache_vkey("k", &e2, 5, &b);
    assert_memory_not_equal(&a, &b, sizeof(a));
    cache_vkey("k", &e1, 6, &b);
    assert_memory_not_equal(&a, &b, sizeof(a));
    assert_memory_equal(&a, &b, CACHE_HASH);
    assert_true(memcmp(cache_blk_key(&a, 1).b, cache_blk_key(&a, 256).b, CACHE_VKEY + 4) < 0);
}

static void test_dent_round(void **state)
{
    _cleanup_buf_ struct buf b = BUF_INIT(CACHE_REC_MAX);
    struct cache_rec_dent in = {.has_obj = true, .has_hdrs = true, .boot = 9, .checked_ns = -3},
                          out;

    (void)state;
    in.obj = obj_make(4, 77, -1);
    assert_int_equal(cache_rec_dent_encode(&b, KEY, &in), 0);
    assert_int_equal(cache_rec_dent_decode(bytes_of(&b), KEY, true, &out), 0);
    assert_true(out.has_obj && out.has_hdrs);
    assert_int_equal(out.boot, 9);
    assert_int_equal(out.checked_ns, -3);
    assert_string_equal(out.obj.etag.s, in.obj.etag.s);
    assert_string_equal(out.obj.version, "v4");
    assert_int_equal(out.obj.size, 77);
    assert_int_equal(out.obj.mtime_ns, -1);
    assert_int_equal(out.obj.hdrs.n, 2);
    assert_string_equal(store_hdrs_get(&out.obj.hdrs, "content-type"), "image/png");
    store_obj_done(&out.obj);
    assert_int_equal(cache_rec_dent_decode(bytes_of(&b), KEY, false, &out), 0);
    assert_int_equal(out.obj.hdrs.n, 0);
    assert_true(out.has_hdrs);
    /* Under another key it is nothing. */
    assert_int_equal(
        cache_rec_dent_decode(bytes_of(&b), (struct cache_bytes){.p = "kez", .n = 3}, true, &out),
        -EBADMSG);
    store_obj_done(&in.obj);
}

static void test_dent_too_large(void **state)
{
    _cleanup_buf_ struct buf b = BUF_INIT(CACHE_REC_MAX);
    struct cache_rec_dent in = {.has_obj = true, .has_hdrs = true};
    char *value = malloc(70000);

    (void)state;
    assert_non_null(value);
    memset(value, 'v', 69999);
    value[69999] = '\0';
    in.obj = obj_make(1, 1, 1);
    assert_int_equal(store_hdrs_set(&in.obj.hdrs, "x-amz-meta-long", value), 0);
    assert_int_equal(cache_rec_dent_encode(&b, KEY, &in), -E2BIG);
    in.has_hdrs = false;
    assert_int_equal(cache_rec_dent_encode(&b, KEY, &in), 0);
    store_obj_done(&in.obj);
    free(value);
}

static void test_blk_round(void **state)
{
    _cleanup_buf_ struct buf b = BUF_INIT(CACHE_REC_MAX);
    struct cache_rec_blk in = {.n = 0}, out;

    (void)state;
    cache_blk_set(&in, 0, 11);
    cache_blk_set(&in, 200, 22);
    cache_blk_set(&in, CACHE_CHUNK, 33); /* not in this chunk: nothing */
    assert_int_equal(in.n, 201);
    assert_int_equal(cache_rec_blk_encode(&b, KEY, &in), 0);
    assert_int_equal(cache_rec_blk_decode(bytes_of(&b), KEY, &out), 0);
    for (uint32_t i = 0; i < CACHE_CHUNK + 5; i++)
        assert_int_equal(cache_blk_has(&out, i), i == 0 || i == 200);
    assert_int_equal(out.crc[200], 22);
    cache_blk_clear(&out, 200);
    cache_blk_clear(&out, 250);
    assert_false(cache_blk_has(&out, 200));
    for (uint32_t i = 0; i < CACHE_CHUNK; i++)
        cache_blk_set(&in, i, i);
    assert_int_equal(cache_rec_blk_encode(&b, KEY, &in), 0);
    assert_true(b.len < 1200); /* no overflow page */
    assert_int_equal(cache_rec_blk_decode(bytes_of(&b), KEY, &out), 0);
    assert_int_equal(out.crc[255], 255);
}

static void test_small_rounds(void **state)
{
    _cleanup_buf_ struct buf b = BUF_INIT(CACHE_REC_MAX);
    _cleanup_free_ char *text = NULL;
    struct cache_rec_dir dir = {.boot = 1, .listed_ns = 2}, dir_out;
    struct cache_rec_ver ver = {.alloc = 3, .used_ns = 4}, ver_out;

    (void)state;
    assert_int_equal(cache_rec_dir_encode(&b, KEY, &dir), 0);
    assert_int_equal(cache_rec_dir_decode(bytes_of(&b), KEY, &dir_out), 0);
    assert_int_equal(dir_out.listed_ns, 2);
    assert_int_equal(cache_rec_ver_decode(bytes_of(&b), KEY, &ver_out),
                     -EBADMSG); /* another kind */
    assert_int_equal(cache_rec_ver_encode(&b, KEY, &ver), 0);
    assert_int_equal(cache_rec_ver_decode(bytes_of(&b), KEY, &ver_out), 0);
    assert_int_equal(ver_out.alloc, 3);
    assert_int_equal(cache_rec_note_encode(&b, KEY, "some text"), 0);
    assert_int_equal(cache_rec_note_decode(bytes_of(&b), KEY, &text), 0);
    assert_string_equal(text, "some text");
}

/* Any decoder, any bytes: no crash, and nothing is accepted by accident. */
static bool any_decodes(struct cache_bytes val)
{
    struct cache_rec_dent dent;
    struct cache_rec_dir dir;
    struct cache_rec_ver ver;
    struct cache_rec_blk blk;
    char *note = NULL;
    bool any = false;

    if (cache_rec_dent_decode(val, KEY, true, &dent) == 0) {
        store_obj_done(&dent.obj);
        any = true;
    }
    if (cache_rec_dent_decode(val, KEY, false, &dent) == 0)
        any = true;
    if (cache_rec_note_decode(val, KEY, &note) == 0)
        any = true;
    free(note);
    return any || cache_rec_dir_decode(val, KEY, &dir) == 0 ||
           cache_rec_ver_decode(val, KEY, &ver) == 0 || cache_rec_blk_decode(val, KEY, &blk) == 0;
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

static void test_random_bytes(void **state)
{
    uint64_t seed = 20240607;
    uint8_t *buf;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        size_t len = next_random(&seed) % 200;

        buf = malloc(len + 1); /* exactly as long: a sanitizer sees a read past it */
        assert_non_null(buf);
        for (size_t i = 0; i < len; i++)
            buf[i] = (uint8_t)next_random(&seed);
        assert_false(any_decodes((struct cache_bytes){.p = buf, .n = len}));
        free(buf);
    }
}

/* Random fields under a right CRC, version and kind: lengths that lie must not lead past the end.
 */
static void test_random_fields(void **state)
{
    static const char kinds[] = "EDVBN";
    uint64_t seed = 42;

    (void)state;
    for (unsigned round = 0; round < 40000; round++) {
        size_t len = 2 + next_random(&seed) % 120;
        uint8_t *buf = malloc(len + 4);
        uint32_t crc;

        assert_non_null(buf);
        for (size_t i = 0; i < len; i++)
            buf[i] = next_random(&seed) % 3 == 0 ? (uint8_t)next_random(&seed) : (uint8_t)(i % 3);
        buf[0] = 1;
        buf[1] = (uint8_t)kinds[round % 5];
        crc = cache_crc(cache_crc(0, KEY.p, KEY.n), buf, len);
        memcpy(buf + len, &crc, sizeof(crc));
        (void)any_decodes((struct cache_bytes){.p = buf, .n = len + 4});
        free(buf);
    }
}

static void test_flips_and_cuts(void **state)
{
    _cleanup_buf_ struct buf b = BUF_INIT(CACHE_REC_MAX);
    struct cache_rec_dent in = {.has_obj = true, .has_hdrs = true};

    (void)state;
    in.obj = obj_make(4, 77, 1);
    assert_int_equal(cache_rec_dent_encode(&b, KEY, &in), 0);
    for (size_t bit = 0; bit < b.len * 8; bit++) {
        b.data[bit / 8] = (char)(b.data[bit / 8] ^ (1 << (bit % 8)));
        assert_false(any_decodes(bytes_of(&b)));
        b.data[bit / 8] = (char)(b.data[bit / 8] ^ (1 << (bit % 8)));
    }
    for (size_t len = 0; len < b.len; len++)
        assert_false(any_decodes((struct cache_bytes){.p = b.data, .n = len}));
    assert_true(any_decodes(bytes_of(&b)));
    store_obj_done(&in.obj);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_dent_keys),
        cmocka_unit_test(test_version_keys),
        cmocka_unit_test(test_dent_round),
        cmocka_unit_test(test_dent_too_large),
        cmocka_unit_test(test_blk_round),
        cmocka_unit_test(test_small_rounds),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_random_fields),
        cmocka_unit_test(test_flips_and_cuts),
    };

    return cmocka_run_group_tests_name("cache/schema", tests, NULL, NULL);
}
