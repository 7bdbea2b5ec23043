/* SPDX-License-Identifier: Apache-2.0 */
/* Listings: what a new one replaces, which headers outlive it, what is newer than it, and a hundred
 * thousand. */
#include "cachetest.h"

#include "base/clock.h"

#define S(n) ((int64_t)(n)*NS_PER_S)

struct entry {
    const char *key;
    uint64_t n; /* version; 0: a prefix */
    int64_t mtime_ns;
};

static void put_list(struct cache *c, const char *dir, const struct entry *v, size_t n,
                     int64_t listed_ns, int64_t date_ns)
{
    struct store_entry e[16] = {{0}};
    struct store_list l = {.v = e, .n = n};

    assert_true(n <= ARRAY_LEN(e));
    for (size_t i = 0; i < n; i++) {
        e[i].key = strdup(v[i].key);
        e[i].is_prefix = v[i].n == 0;
        if (v[i].n != 0) {
            e[i].etag = etag_of(v[i].n);
            e[i].size = 10 * v[i].n;
            e[i].mtime_ns = v[i].mtime_ns;
        }
    }
    put_store_list(c, dir, &l, listed_ns, date_ns);
    for (size_t i = 0; i < n; i++)
        free(e[i].key);
}

#define PUT_LIST(c, dir, listed, date, ...)                                                        \
    do {                                                                                           \
        const struct entry list_[] = {__VA_ARGS__};                                                \
        put_list(c, dir, list_, ARRAY_LEN(list_), listed, date);                                   \
    } while (0)

static void check_names(struct cache *c, const char *dir, const char *expected)
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

/* Is `key` known with headers? */
static bool has_hdrs(struct cache *c, const char *key, uint64_t n)
{
    struct cache_obj o;
    bool has;

    assert_int_equal(cache_obj_get(c, key, &o), 0);
    assert_string_equal(o.obj.etag.s, etag_of(n).s);
    assert_int_equal(o.obj.size, 10 * n);
    has = o.has_hdrs;
    assert_int_equal(has, o.obj.hdrs.n == 2);
    assert_int_equal(has, o.obj.version[0] != '\0');
    cache_obj_done(&o);
    return has;
}

static void test_replace(void **state)
{
    struct fixture *f = *state;
    struct cache_listing l;

    check_names(f->c, "d/", NULL);
    PUT_LIST(f->c, "d/", 100, S(1000), {"d/a", 1, S(5)}, {"d/b-", 2, S(6)}, {"d/b/", 0, 0},
             {"d/c", 3, 7});
    check_names(f->c, "d/", "a b/ b- c");
    assert_int_equal(cache_list_get(f->c, "d/", &l), 0);
    assert_int_equal(l.listed_ns, 100);
    assert_string_equal(l.v[0].etag, etag_of(1).s);
    assert_int_equal(l.v[0].size, 10);
    assert_int_equal(l.v[0].mtime_ns, S(5));
    assert_false(l.v[0].has_hdrs);
    assert_string_equal(l.v[1].etag, "");
    cache_listing_done(&l);
    PUT_LIST(f->c, "d/", 200, S(1000), {"d/b", 4, S(6)}, {"d/b/", 0, 0}, {"d/z", 5, 7});
    check_names(f->c, "d/", "b b/ z");
    PUT_LIST(f->c, "e/", 200, S(1000), {"e/x", 4, S(6)}); /* another directory */
    check_names(f->c, "d/", "b b/ z");
    put_list(f->c, "d/", NULL, 0, 300, S(1000));
    check_names(f->c, "d/", "");
    check_names(f->c, "e/", "x");
    cache_list_drop(f->c, "e/");
    check_names(f->c, "e/", NULL);
    assert_false(has_hdrs(f->c, "e/x", 4)); /* still known */
}

static void test_bad_entries(void **state)
{
    struct fixture *f = *state;

    PUT_LIST(f->c, "d/", 1, 1, {"d/", 1, 1}, {"d/.", 1, 1}, {"d/..", 1, 1}, {"d//", 0, 0},
             {"d/../", 0, 0}, {"d/x/y", 1, 1}, {"other", 1, 1}, {"d/ok", 1, 1}, {"d/mixed/", 1, 1});
    check_names(f->c, "d/", "ok");
}

static void test_headers_stay(void **state)
{
    struct fixture *f = *state;

    put_obj(f->c, "d/a", 1, 10, S(50), 10);
    PUT_LIST(f->c, "d/", 100, S(1000), {"d/a", 1, S(50)});
    assert_true(has_hdrs(f->c, "d/a", 1));
    /* A HEAD tells whole seconds, a LIST may tell fractions. */
    PUT_LIST(f->c, "d/", 101, S(1000), {"d/a", 1, S(50) + 678 * NS_PER_MS});
    assert_true(has_hdrs(f->c, "d/a", 1));
    PUT_LIST(f->c, "d/", 102, S(1000), {"d/a", 1, S(51)}); /* rewritten with the same bytes */
    assert_false(has_hdrs(f->c, "d/a", 1));
    put_obj(f->c, "d/a", 1, 10, S(50), 103);
    PUT_LIST(f->c, "d/", 104, S(1000), {"d/a", 2, S(50)});
    assert_false(has_hdrs(f->c, "d/a", 2));
    put_obj(f->c, "d/a", 2, 21, S(50), 105); /* a size that differs */
    PUT_LIST(f->c, "d/", 106, S(1000), {"d/a", 2, S(50)});
    assert_false(has_hdrs(f->c, "d/a", 2));
}

static void test_racily_clean(void **state)
{
    static const struct {
        int64_t date_ns;
        bool stays;
    } rows[] = {{S(53), true},  {S(52) + 1, true}, {S(52), false},
                {S(51), false}, {S(50), false},    {0, false}};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        put_obj(f->c, "d/a", 1, 10, S(50), (int64_t)i);
        PUT_LIST(f->c, "d/", (int64_t)i, rows[i].date_ns, {"d/a", 1, S(50)});
        assert_int_equal(has_hdrs(f->c, "d/a", 1), rows[i].stays);
    }
}

/* Told by the server's clock when the version was so young, it is not confirmed, however long ago that is; told
 * again, it is. Also by another process, and when a copy of what is kept is put once more. */
static void test_racily_told(void **state)
{
    static const struct {
        int64_t told_ns;
        bool stays;
    } rows[] = {{S(50), false}, {S(51), false}, {S(52), true}, {S(90), true}, {0, true}, {S(49), false}};
    struct fixture *f = *state;
    int64_t t = 0; /* CLOCK_BOOTTIME */

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (unsigned again = 0; again < 3; again++) {
            struct store_obj o = obj_make(1, 10, S(50) + (i % 2 != 0 ? 700 * NS_PER_MS : 0));
            struct cache_obj got;

            o.told_ns = rows[i].told_ns;
            cache_obj_put(f->c, "d/a", &o, ++t);
            store_obj_done(&o);
            if (again == 1) {
                assert_int_equal(cache_obj_get(f->c, "d/a", &got), 0);
                cache_obj_put(f->c, "d/a", &got.obj, ++t);
                cache_obj_done(&got);
            }
            if (again == 2)
                fixture_reopen(f, 0);
            PUT_LIST(f->c, "d/", ++t, S(1000), {"d/a", 1, S(50)});
            assert_int_equal(has_hdrs(f->c, "d/a", 1), rows[i].stays);
            o = obj_make(1, 10, S(50));
            o.told_ns = S(1001);
            cache_obj_put(f->c, "d/a", &o, ++t);
            store_obj_done(&o);
            PUT_LIST(f->c, "d/", ++t, S(1002), {"d/a", 1, S(50)});
            assert_true(has_hdrs(f->c, "d/a", 1));
        }
    }
}

/* Our own PUT's reply does not tell Last-Modified: it was PUT 40 s before this listing, whose date
 * is 1000. */
static void test_own_put(void **state)
{
    static const struct {
        int64_t mtime_ns;
        bool stays;
    } rows[] = {{S(960), true}, {S(958), true}, {S(962), true}, {S(957), false}, {S(963), false}};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t t = S(1000) * (int64_t)i;

        put_obj(f->c, "d/a", 1, 10, 0, t + S(60));
        PUT_LIST(f->c, "d/", t + S(100), S(1000), {"d/a", 1, rows[i].mtime_ns});
        assert_int_equal(has_hdrs(f->c, "d/a", 1), rows[i].stays);
        /* From then on its time is known. */
        PUT_LIST(f->c, "d/", t + S(200), S(1100), {"d/a", 1, rows[i].mtime_ns});
        assert_int_equal(has_hdrs(f->c, "d/a", 1), rows[i].stays);
        PUT_LIST(f->c, "d/", t + S(300), S(1200), {"d/a", 1, rows[i].mtime_ns + S(1)});
        assert_false(has_hdrs(f->c, "d/a", 1));
    }
}

static void test_prefix_object_stays(void **state)
{
    struct fixture *f = *state;

    put_obj(f->c, "d/sub/", 3, 30, S(1), 1);
    PUT_LIST(f->c, "d/", 2, S(1000), {"d/sub/", 0, 0});
    assert_true(
        has_hdrs(f->c, "d/sub/", 3)); /* a listing tells nothing of the prefix's own object */
}

/* A listing that was asked for at 100 arrives after changes made here at 150. */
static void test_newer_changes_stay(void **state)
{
    struct fixture *f = *state;

    clock_fake_set(50, S(1));
    PUT_LIST(f->c, "d/", 40, S(1000), {"d/gone", 1, 1}, {"d/kept", 2, 1}, {"d/sub/", 0, 0});
    clock_fake_set(150, S(1));
    cache_obj_drop(f->c, "d/gone");
    cache_obj_drop(f->c, "d/sub/");
    put_obj(f->c, "d/new", 3, 30, S(900), 150);
    put_obj(f->c, "d/kept", 4, 40, S(900), 150);
    put_obj(f->c, "d/implied/x", 4, 40, S(900), 150);
    PUT_LIST(f->c, "d/", 100, S(1000), {"d/gone", 1, 1}, {"d/kept", 2, 1}, {"d/other", 5, 1},
             {"d/sub/", 0, 0});
    check_names(f->c, "d/", "implied/ kept new other");
    assert_true(has_hdrs(f->c, "d/kept", 4));
    /* One that was asked for later has the last word. */
    PUT_LIST(f->c, "d/", 200, S(1000), {"d/gone", 6, 1}, {"d/kept", 4, S(900)}, {"d/sub/", 0, 0});
    check_names(f->c, "d/", "gone kept sub/");
    assert_true(has_hdrs(f->c, "d/kept", 4));
    /* And one that was asked for before it has none. */
    PUT_LIST(f->c, "d/", 190, S(1000), {"d/old", 7, 1});
    check_names(f->c, "d/", "gone kept sub/");
    clock_fake_set(250, S(1));
    cache_list_drop(f->c, "d/");
    PUT_LIST(f->c, "d/", 240, S(1000), {"d/gone", 6, 1}); /* from before the drop: not complete */
    check_names(f->c, "d/", NULL);
    PUT_LIST(f->c, "d/", 260, S(1000), {"d/gone", 6, 1});
    check_names(f->c, "d/", "gone");
    clock_fake_off();
}

/* More drops than are remembered: a listing from before them is not believed at all. */
static void test_many_drops(void **state)
{
    struct fixture *f = *state;
    char key[32];

    clock_fake_set(150, S(1));
    PUT_LIST(f->c, "d/", 120, S(1000), {"d/a", 1, 1}, {"d/b", 2, 1});
    cache_obj_drop(f->c, "d/a");
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "tmp/%u", i);
        cache_obj_drop(f->c, key);
    }
    PUT_LIST(f->c, "d/", 130, S(1000), {"d/a", 1, 1}, {"d/b", 2, 1});
    check_names(f->c, "d/", "b");
    PUT_LIST(f->c, "d/", 160, S(1000), {"d/a", 1, 1}, {"d/b", 2, 1});
    check_names(f->c, "d/", "a b");
    clock_fake_off();
}

static int64_t checked(struct cache *c, const char *key)
{
    struct cache_obj o;
    int64_t at;

    assert_int_equal(cache_obj_get(c, key, &o), 0);
    at = o.checked_ns;
    cache_obj_done(&o);
    return at;
}

static void add(struct cache_listing *l, const char *name, uint64_t n, int64_t mtime_ns)
{
    struct cache_dirent *d = cache_listing_add(l, name, strlen(name), n > 0 ? etag_of(n).s : "");

    assert_non_null(d);
    d->is_prefix = n == 0;
    d->size = 10 * n;
    d->mtime_ns = mtime_ns;
}

/* A page of a later listing: what is known of its names is so from then on, and no name comes or goes. */
static void test_confirm(void **state)
{
    struct fixture *f = *state;
    struct cache_listing page = {0};

    clock_fake_set(10, S(1));
    put_obj(f->c, "d/a", 1, 10, S(50), 10);
    put_obj(f->c, "d/b", 2, 20, S(50), 10);
    put_obj(f->c, "d/gone", 3, 30, S(50), 10);
    put_obj(f->c, "d/late", 4, 40, S(50), 10);
    put_obj(f->c, "d/z", 5, 50, S(50), 10);
    PUT_LIST(f->c, "d/", 20, S(1000), {"d/a", 1, S(50)}, {"d/b", 2, S(50)}, {"d/gone", 3, S(50)},
             {"d/late", 4, S(50)}, {"d/sub/", 0, 0}, {"d/z", 5, S(50)});
    clock_fake_set(150, S(1));
    cache_obj_drop(f->c, "d/gone");
    put_obj(f->c, "d/late", 6, 60, S(900), 150);
    add(&page, "a", 1, S(50));
    add(&page, "b", 7, S(60)); /* another's */
    add(&page, "gone", 3, S(50));
    add(&page, "late", 4, S(50));
    add(&page, "new", 8, S(50));
    add(&page, "other", 0, 0);
    cache_list_confirm(f->c, "d/", &page, 100, S(1000));
    cache_listing_done(&page);
    check_names(f->c, "d/", "a b late sub/ z");
    assert_true(has_hdrs(f->c, "d/a", 1));
    assert_int_equal(checked(f->c, "d/a"), 100);
    assert_false(has_hdrs(f->c, "d/b", 7));
    assert_true(has_hdrs(f->c, "d/late", 6));
    assert_int_equal(checked(f->c, "d/late"), 150);
    assert_int_equal(checked(f->c, "d/z"), 20);
    /* from before a listing that is kept */
    add(&page, "z", 5, S(50));
    PUT_LIST(f->c, "d/", 200, S(1000), {"d/a", 1, S(50)}, {"d/z", 5, S(50)});
    cache_list_confirm(f->c, "d/", &page, 190, S(1000));
    assert_int_equal(checked(f->c, "d/z"), 200);
    /* racily clean: LIST-2 */
    cache_list_confirm(f->c, "d/", &page, 300, S(51));
    assert_false(has_hdrs(f->c, "d/z", 5));
    cache_listing_done(&page);
    clock_fake_off();
}

static void big_list(struct store_list *l, size_t n, unsigned step)
{
    char key[64];

    *l = (struct store_list){.v = calloc(n, sizeof(*l->v)), .n = n, .cap = n};
    assert_non_null(l->v);
    for (size_t i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "big/%08zu", i * step);
        l->v[i].key = strdup(key);
        l->v[i].etag = etag_of(i);
        l->v[i].size = i;
        l->v[i].mtime_ns = S(7);
    }
}

static void check_big(struct cache *c, size_t n, unsigned step)
{
    struct cache_listing l;
    char name[64];

    assert_int_equal(cache_list_get(c, "big/", &l), 0);
    assert_int_equal(l.n, n);
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "%08zu", i * step);
        assert_string_equal(l.v[i].name, name);
        assert_int_equal(l.v[i].size, i);
    }
    cache_listing_done(&l);
}

static void test_hundred_thousand(void **state)
{
    struct fixture *f = *state;
    struct store_list l;

    big_list(&l, 100000, 1);
    put_store_list(f->c, "big/", &l, 1, S(1000));
    check_big(f->c, 100000, 1);
    put_store_list(f->c, "big/", &l, 2, S(1000)); /* once more the same */
    check_big(f->c, 100000, 1);
    store_list_done(&l);
    big_list(&l, 50000, 3); /* two of three go, others come */
    put_store_list(f->c, "big/", &l, 3, S(1000));
    check_big(f->c, 50000, 3);
    store_list_done(&l);
    fixture_reopen(f, 0);
    check_big(f->c, 50000, 3);
}

/* A hundred thousand names cost what they say, not what they might. */
static void test_memory(void **state)
{
    struct fixture *f = *state;
    struct cache_listing l;
    struct store_list big;

    big_list(&big, 100000, 1);
    put_store_list(f->c, "big/", &big, 1, S(1000));
    store_list_done(&big);
    assert_int_equal(cache_list_get(f->c, "big/", &l), 0);
    assert_int_equal(l.n, 100000);
    assert_true(cache_listing_memory(&l) <
                100000 * (2 * sizeof(*l.v) + strlen(l.v[0].name) + strlen(l.v[0].etag) + 2) +
                    (4 << 20));
    assert_true(cache_listing_memory(&l) < 17 << 20);
    cache_listing_done(&l);
    cache_listing_done(&l);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, fixture_up, fixture_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_replace),
        TEST(test_bad_entries),
        TEST(test_headers_stay),
        TEST(test_racily_clean),
        TEST(test_racily_told),
        TEST(test_own_put),
        TEST(test_prefix_object_stays),
        TEST(test_newer_changes_stay),
        TEST(test_many_drops),
        TEST(test_confirm),
        TEST(test_memory),
        TEST(test_hundred_thousand),
    };

    return cmocka_run_group_tests_name("cache/list", tests, NULL, NULL);
}
