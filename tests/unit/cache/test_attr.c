/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of objects, and how puts and drops adjust listings. */
#include "cachetest.h"

static void check_known(struct cache *c, const char *key, uint64_t n, int64_t checked_ns)
{
    struct cache_obj o;

    assert_int_equal(cache_obj_get(c, key, &o), 0);
    assert_string_equal(o.obj.etag.s, etag_of(n).s);
    assert_true(o.has_hdrs);
    assert_string_equal(store_hdrs_get(&o.obj.hdrs, "content-type"), "image/png");
    assert_int_equal(o.checked_ns, checked_ns);
    cache_obj_done(&o);
    cache_obj_done(&o);
}

static void check_unknown(struct cache *c, const char *key)
{
    struct cache_obj o;

    assert_int_equal(cache_obj_get(c, key, &o), CACHE_MISS);
}

/* "a b/ c": the names of a listing, prefixes with their '/'. NULL: it is not complete. */
static void check_listing(struct cache *c, const char *dir, const char *expected)
{
    struct cache_listing l;
    char text[512] = "";

    if (expected == NULL) {
        assert_int_equal(cache_list_get(c, dir, &l), CACHE_MISS);
        return;
    }
    assert_int_equal(cache_list_get(c, dir, &l), 0);
    for (size_t i = 0; i < l.n; i++) {
        strcat(text, i > 0 ? " " : "");
        strcat(text, l.v[i].name);
        strcat(text, l.v[i].is_prefix ? "/" : "");
    }
    assert_string_equal(text, expected);
    cache_listing_done(&l);
}

static void list_empty(struct cache *c, const char *dir)
{
    struct store_list none = {0};

    put_store_list(c, dir, &none, 1, 1);
}

static void test_put_get(void **state)
{
    struct fixture *f = *state;

    check_unknown(f->c, "a");
    put_obj(f->c, "a", 1, 10, 100, 5);
    check_known(f->c, "a", 1, 5);
    put_obj(f->c, "a", 2, 10, 100, 6);
    check_known(f->c, "a", 2, 6);
    check_unknown(f->c, "a/");
    put_obj(f->c, "a/", 3, 0, 100, 7); /* the same name, another object */
    check_known(f->c, "a/", 3, 7);
    check_known(f->c, "a", 2, 6);
    cache_obj_drop(f->c, "a");
    check_unknown(f->c, "a");
    check_known(f->c, "a/", 3, 7);
    cache_obj_drop(f->c, "a/");
    check_unknown(f->c, "a/");
    cache_obj_drop(f->c, "never/was");
}

/* No more is known than a listing tells, and the next put settles it; what is not known stays so. */
static void test_doubt(void **state)
{
    struct fixture *f = *state;
    struct cache_doubt d[2];
    struct cache_obj o;

    list_empty(f->c, "");
    put_obj(f->c, "a", 1, 10, 100, 5);
    for (int times = 0; times < 3; times++) {
        if (times < 2)
            cache_obj_doubt(f->c, "a", &d[times]);
        else
            put_obj(f->c, "a", 1, 10, 100, 6); /* while it is in doubt */
        assert_int_equal(cache_obj_get(f->c, "a", &o), 0);
        assert_string_equal(o.obj.etag.s, etag_of(1).s);
        assert_int_equal(o.obj.size, 10);
        assert_false(o.has_hdrs);
        assert_int_equal(o.checked_ns, 0);
        cache_obj_done(&o);
    }
    check_listing(f->c, "", "a");
    cache_obj_answered(f->c, &d[0]);
    put_obj(f->c, "a", 1, 10, 100, 6);
    assert_int_equal(cache_obj_get(f->c, "a", &o), 0);
    assert_false(o.has_hdrs);
    cache_obj_done(&o);
    cache_obj_answered(f->c, &d[1]);
    put_obj(f->c, "a", 1, 10, 100, 6);
    check_known(f->c, "a", 1, 6);
    cache_obj_doubt(f->c, "b", &d[0]);
    cache_obj_doubt(f->c, "d/", &d[1]);
    cache_obj_answered(f->c, &d[0]);
    cache_obj_answered(f->c, &d[1]);
    check_unknown(f->c, "b");
    check_listing(f->c, "", "a");
}

static void test_long_keys(void **state)
{
    struct fixture *f = *state;
    char key[1100];

    memset(key, 'd', sizeof(key));
    for (size_t i = 200; i < 1024; i += 200)
        key[i] = '/';
    key[1024] = '\0';
    put_obj(f->c, key, 1, 10, 1, 1);
    check_known(f->c, key, 1, 1);
    key[1023] = 'e';
    check_unknown(f->c, key);
    memset(key, 'n', 255);
    key[255] = '\0';
    put_obj(f->c, key, 2, 10, 1, 1);
    check_known(f->c, key, 2, 1);
    memset(key, 'n', 256);
    key[256] = '\0';
    put_obj(f->c, key, 3, 10, 1, 1); /* no file system has such a name: not kept */
    check_unknown(f->c, key);
}

static void test_hostile_names(void **state)
{
    static const char *const keys[] = {"", "/", "a//", "a/..", ".", "../../etc/passwd/..", "x/./"};
    struct fixture *f = *state;

    list_empty(f->c, "a/");
    list_empty(f->c, "");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        put_obj(f->c, keys[i], 1, 1, 1, 1);
        check_unknown(f->c, keys[i]);
        cache_obj_drop(f->c, keys[i]);
    }
    check_listing(f->c, "a/", "");
    put_obj(f->c, "a//b", 1, 1, 1, 1); /* kept, but nothing of it shows in "a/" */
    check_known(f->c, "a//b", 1, 1);
    check_listing(f->c, "a/", "");
}

static void test_joins_listing(void **state)
{
    struct fixture *f = *state;

    put_obj(f->c, "z", 1, 1, 1, 0);
    check_listing(f->c, "", NULL);
    list_empty(f->c, "");
    list_empty(f->c, "d/e/");
    check_listing(f->c, "", ""); /* z was not in it */
    check_unknown(f->c, "z");
    put_obj(f->c, "b", 1, 1, 1, 2);
    put_obj(f->c, "a", 1, 1, 1, 2);
    check_listing(f->c, "", "a b");
    put_obj(f->c, "d/e/f", 1, 1, 1, 2); /* implies d/ and d/e/ */
    check_listing(f->c, "", "a b d/");
    check_listing(f->c, "d/", NULL);
    check_listing(f->c, "d/e/", "f");
    put_obj(f->c, "d/e/", 1, 0, 1, 2);
    check_listing(f->c, "d/e/", "f");
    put_obj(f->c, "b/", 1, 0, 1, 2);
    put_obj(f->c, "b-", 1, 0, 1, 2);
    check_listing(f->c, "", "a b b/ b- d/"); /* by name: "b" before "b-" */
    cache_obj_drop(f->c, "b");
    check_listing(f->c, "", "a b/ b- d/");
    cache_obj_drop(f->c, "b/");
    check_listing(f->c, "", "a b- d/");
    cache_list_drop(f->c, "");
    check_listing(f->c, "", NULL);
    check_known(f->c, "a", 1, 2); /* entries stay known */
}

static void test_drop_prefix(void **state)
{
    struct fixture *f = *state;

    list_empty(f->c, "");
    list_empty(f->c, "d/");
    put_obj(f->c, "d/", 1, 0, 1, 2);
    put_obj(f->c, "d/x", 1, 0, 1, 2);
    cache_obj_drop(f->c, "d/"); /* its object is gone, its keys are not */
    check_unknown(f->c, "d/");
    check_listing(f->c, "", "d/");
    check_listing(f->c, "d/", "x");
    cache_obj_drop(f->c, "d/x");
    cache_obj_drop(f->c, "d/");
    check_listing(f->c, "", "");
    check_listing(f->c, "d/", NULL);
}

static void test_too_many_headers(void **state)
{
    struct fixture *f = *state;
    struct store_obj o = obj_make(2, 5, 6);
    struct cache_obj got;
    char *value = calloc(1, 70000);

    assert_non_null(value);
    memset(value, 'v', 69999);
    put_obj(f->c, "k", 1, 1, 1, 1);
    assert_int_equal(store_hdrs_set(&o.hdrs, "x-amz-meta-long", value), 0);
    cache_obj_put(f->c, "k", &o, 3);
    assert_int_equal(cache_obj_get(f->c, "k", &got), 0);
    assert_string_equal(got.obj.etag.s, etag_of(2).s); /* never what was known before */
    assert_false(got.has_hdrs);
    cache_obj_done(&got);
    store_obj_done(&o);
    free(value);
}

static void test_restart(void **state)
{
    struct fixture *f = *state;

    list_empty(f->c, "d/");
    put_obj(f->c, "d/k", 1, 10, 100, 5);
    fixture_reopen(f, 0);
    check_known(f->c, "d/k", 1, 5); /* the same boot: the clock goes on */
    check_listing(f->c, "d/", "k");
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, fixture_up, fixture_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_put_get),       TEST(test_long_keys),   TEST(test_hostile_names),
        TEST(test_joins_listing), TEST(test_drop_prefix), TEST(test_too_many_headers),
        TEST(test_restart),       TEST(test_doubt),
    };

    return cmocka_run_group_tests_name("cache/attr", tests, NULL, NULL);
}
