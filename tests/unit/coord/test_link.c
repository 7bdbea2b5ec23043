/* SPDX-License-Identifier: Apache-2.0 */
/* Link groups: the text of a record, and its changes by compare-and-swap with rivals. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "coord/link.h"
#include "memstore.h"

#define ID "0123456789abcdef0123456789abcdef"

static struct store *store;
static struct coord *coord;

static int set_up(void **state)
{
    const struct coord_conf conf = {.state_prefix = ".s3efs/", .caps.delete_match = true};

    (void)state;
    return memstore_new(NULL, &store) < 0 ? -1 : coord_new(&conf, store, &coord);
}

static int tear_down(void **state)
{
    (void)state;
    coord_free(coord);
    store_stop(store);
    store_free(store);
    return 0;
}

static void make_pair(struct link_group *g)
{
    g->generation = 1;
    assert_int_equal(link_set_bytes(g, "a"), 0);
    assert_int_equal(link_put(g, "a", false), 0);
    assert_int_equal(link_put(g, "dir/b c", true), 0);
}

static void test_members(void **state)
{
    struct link_group g = {0};

    (void)state;
    make_pair(&g);
    assert_int_equal(link_count(&g), 1); /* what is in doubt does not count */
    assert_int_equal(link_put(&g, "dir/b c", false), 0);
    assert_int_equal(link_count(&g), 2);
    assert_true(link_find(&g, "dir/b c") != NULL && link_find(&g, "b") == NULL);
    link_remove(&g, "a");
    link_remove(&g, "a");
    assert_int_equal(g.n, 1);
    assert_string_equal(g.v[0].key, "dir/b c");
    link_group_done(&g);
}

static void test_text(void **state)
{
    static const char *const bad[] = {"generation 1\n",
                                      "bytes a\n",
                                      "generation 0\nbytes a\n",
                                      "generation 1\nbytes a\nmember\n",
                                      "generation 1\nbytes a\nmember a\nmaybe a\n",
                                      "generation 1\nbytes a\nmember a",
                                      "other 1\n", "generation 1\nctime 0\nbytes a\n",
                                      "generation 1\ngeneration 2\nbytes a\n"};
    const char text[] = "generation 7\nctime 5\nbytes a%0Ab\nmember a%0Ab\nmaybe a/%25\n";
    struct link_group g = {0};
    struct buf out = BUF_INIT(1000);

    (void)state;
    assert_int_equal(link_parse(text, strlen(text), &g), 0);
    assert_int_equal(g.generation, 7);
    assert_string_equal(g.bytes, "a\nb");
    assert_true(link_find(&g, "a/%") != NULL && link_find(&g, "a/%")->is_maybe);
    assert_int_equal(link_format(&g, &out), 0);
    assert_string_equal(buf_str(&out), text);
    buf_done(&out);
    link_group_done(&g);
    assert_int_equal(link_parse("", 0, &g), 0);
    assert_int_equal(g.generation, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(link_parse(bad[i], strlen(bad[i]), &g), -EBADMSG);
}

static void test_swap(void **state)
{
    struct link_group mine = {0}, theirs = {0};

    (void)state;
    assert_int_equal(link_get(coord, ID, &mine), 0);
    assert_int_equal(mine.generation, 0);
    make_pair(&mine);
    assert_int_equal(link_swap(coord, ID, &mine), 0);
    assert_int_equal(link_get(coord, ID, &theirs), 0);
    assert_int_equal(theirs.n, 2);
    theirs.generation = 2;
    assert_int_equal(link_swap(coord, ID, &theirs), 0);
    assert_int_equal(link_swap(coord, ID, &mine), LINK_LOST);
    assert_int_equal(link_clear(coord, ID, &mine), LINK_LOST);
    assert_int_equal(link_clear(coord, ID, &theirs), 0);
    assert_int_equal(memstore_objects(store), 0);
    link_group_done(&mine);
    link_group_done(&theirs);
}

/* 1,000 names, and not one more; also not more than a record holds. */
static void test_limits(void **state)
{
    struct link_group g = {.generation = 1};
    char key[1024];

    (void)state;
    assert_int_equal(link_set_bytes(&g, "a"), 0);
    for (unsigned i = 0; i < LINK_MEMBERS_MAX; i++) {
        snprintf(key, sizeof(key), "n%u", i);
        assert_int_equal(link_put(&g, key, false), 0);
    }
    assert_int_equal(link_put(&g, "one more", false), -EMLINK);
    assert_int_equal(link_swap(coord, ID, &g), 0);
    link_group_done(&g);
    g.generation = 1;
    assert_int_equal(link_set_bytes(&g, "a"), 0);
    for (unsigned i = 0; i < LINK_MEMBERS_MAX; i++) {
        memset(key, ' ', 1000);
        snprintf(key + 1000, sizeof(key) - 1000, "n%u", i);
        assert_int_equal(link_put(&g, key, false), 0);
    }
    assert_int_equal(link_swap(coord, "another", &g), -EMLINK);
    link_group_done(&g);
}

/* What is there but no record of ours is an error, not an empty group. */
static void test_foreign(void **state)
{
    struct link_group g = {0};

    (void)state;
    assert_int_equal(memstore_put(store, ".s3efs/links/" ID, "hello", 5, NULL, NULL), 0);
    assert_int_equal(link_get(coord, ID, &g), -EBADMSG);
    assert_int_equal(g.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_members, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_swap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_foreign, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
