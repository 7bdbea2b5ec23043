/* SPDX-License-Identifier: Apache-2.0 */
/* Rename intents: what they say, and who holds which name. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "coord/intent.h"
#include "memstore.h"

static struct store *store;
static struct coord *a, *b; /* two mounts */

static int set_up_with(bool delete_match)
{
    const struct coord_conf conf = {
        .state_prefix = ".s3efs/",
        .renew_by_hand = true,
        .caps = {.put_absent = true, .put_match = true, .delete_match = delete_match},
    };

    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    if (memstore_new(NULL, &store) < 0 || coord_new(&conf, store, &a) < 0)
        return -1;
    return coord_new(&conf, store, &b);
}

static int set_up(void **state)
{
    (void)state;
    return set_up_with(true);
}

static int set_up_weak(void **state)
{
    struct store_caps caps = {.put_absent = true, .put_match = true};
    int r = set_up_with(false);

    (void)state;
    memstore_set_caps(store, &caps);
    return r;
}

static int tear_down(void **state)
{
    (void)state;
    memstore_clear_faults(store);
    coord_free(a);
    coord_free(b);
    store_stop(store);
    store_free(store);
    clock_fake_off();
    return 0;
}

static struct intent file_intent(const char *from, const char *to)
{
    struct intent i = {.id = "00112233445566778899aabbccddeeff", .source = {"e1"}};

    snprintf(i.from, sizeof(i.from), "%s", from);
    snprintf(i.to, sizeof(i.to), "%s", to);
    return i;
}

static struct intent record_of(const char *key)
{
    char name[INTENT_NAME_SIZE];
    struct intent i;

    intent_name(key, false, name);
    assert_int_equal(intent_read(a, name, &i, NULL), 0);
    return i;
}

static void test_text(void **state)
{
    struct intent i = file_intent("a b/\n%41", "caf\xc3\xa9"), back;
    _cleanup_buf_ struct buf text = BUF_INIT(8192);

    (void)state;
    i.state = INTENT_COPIED;
    memcpy(i.session, "0123456789abcdef0123456789abcdef", 33);
    memcpy(i.mark, "0123456789abcdef", 17);
    i.target = store_etag_make("\"e 2\"");
    intent_format(&i, &text);
    assert_int_equal(intent_parse(buf_str(&text), &back), 0);
    assert_memory_equal(&back, &i, sizeof(i));
}

static void test_refused(void **state)
{
#define HEAD "rename file source\nstate claimed\nsession 0123456789abcdef0123456789abcdef\n"
#define DIR "rename dir source\nstate claimed\nsession 0123456789abcdef0123456789abcdef\n"
#define MARK "mark 0123456789abcdef\n"
    static const char *const bad[] = {
        "x",
        "rename file source",
        "rename file source\n",
        HEAD MARK "from a\nto b\n", /* no version */
        HEAD MARK "from a\nto a\nsource-etag e\n",
        HEAD MARK "from a%00\nto b\nsource-etag e\n",
        HEAD MARK "from a/\nto b/\nsource-etag e\n",
        HEAD "mark 0123\nfrom a\nto b\nsource-etag e\n",
        DIR MARK "from a\nto b\n",
        DIR MARK "from a/\nto a/b/\n",
        DIR MARK "from a/b/\nto a/\n",
        "rename dir both\n",
    };
    struct intent i;

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(bad); n++)
        assert_int_equal(intent_parse(bad[n], &i), -EBADMSG);
    assert_int_equal(intent_parse("", &i), 0);
    assert_int_equal(i.state, INTENT_NONE);
    assert_int_equal(intent_parse(HEAD MARK "later x\nfrom a\nto b\nsource-etag e\n", &i), 0);
}

static void test_one_winner(void **state)
{
    struct intent_claim x = {.what = file_intent("f", "g")}, y = {.what = file_intent("f", "h")};
    struct intent other;

    (void)state;
    assert_int_equal(intent_claim(a, &x, &other), 0);
    assert_int_equal(intent_claim(b, &y, &other), INTENT_BUSY);
    assert_string_equal(other.to, "g");
    assert_string_equal(other.session, x.what.session);
    assert_int_equal(intent_finish(a, &x, false), 0);
    assert_int_equal(intent_claim(b, &y, &other), 0);
    assert_int_equal(intent_finish(b, &y, true), 0);
    assert_int_equal(record_of("f").state, INTENT_DONE);
    assert_string_equal(record_of("f").to, "h");
    assert_int_equal(intent_claim(a, &x, &other), 0); /* a tombstone claims nothing */
    assert_int_equal(intent_finish(a, &x, false), 0);
}

/* Two names: who gets only one of them keeps none while it waits. */
static void test_both_names(void **state)
{
    struct intent_claim x = {.what = file_intent("f", "g"), .both = true};
    struct intent_claim y = {.what = file_intent("h", "f"), .both = true};
    struct intent_claim z = {.what = file_intent("g", "h"), .both = true};
    struct intent other;

    (void)state;
    assert_int_equal(intent_claim(a, &x, &other), 0);
    assert_true(record_of("g").is_target);
    assert_int_equal(intent_claim(b, &y, &other), INTENT_BUSY);
    assert_int_equal(record_of("h").state, INTENT_NONE);
    assert_int_equal(intent_claim(b, &z, &other), INTENT_BUSY);
    assert_int_equal(record_of("h").state, INTENT_NONE);
    assert_int_equal(intent_finish(a, &x, false), 0);
    assert_int_equal(record_of("g").state, INTENT_NONE);
    assert_int_equal(intent_claim(b, &y, &other), 0);
    assert_int_equal(intent_finish(b, &y, false), 0);
}

/* The second claim fails: the first is given back. */
static void test_half_a_claim(void **state)
{
    struct intent_claim x = {.what = file_intent("f", "g"), .both = true};
    struct intent other;

    (void)state;
    memstore_fail(store, STORE_PUT, 3, 1, -EIO); /* session, first, second */
    memstore_fail(store, STORE_GET, 1, 1, -EIO);
    assert_int_equal(intent_claim(a, &x, &other), -EIO);
    assert_int_equal(record_of("f").state, INTENT_NONE);
    assert_int_equal(record_of("g").state, INTENT_NONE);
}

static void test_takeover(void **state)
{
    struct intent_claim x = {.what = file_intent("f", "g"), .both = true}, y, late;
    struct intent other;

    (void)state;
    assert_int_equal(intent_claim(a, &x, &other), 0);
    assert_int_equal(intent_take(b, &x.what, &x.source_rec, &y), 0);
    assert_int_equal(intent_take(a, &x.what, &x.source_rec, &late), INTENT_BUSY);
    assert_string_not_equal(y.what.session, x.what.session);
    assert_string_equal(y.what.mark, x.what.mark);
    assert_int_equal(intent_advance(a, &x, INTENT_COPIED), -ESTALE);
    assert_int_equal(x.what.state, INTENT_CLAIMED);
    assert_int_equal(intent_advance(b, &y, INTENT_COPIED), 0);
    assert_int_equal(intent_finish(b, &y, false), 0);
    assert_int_equal(record_of("f").state, INTENT_NONE);
    assert_int_equal(record_of("g").state, INTENT_NONE);
    assert_int_equal(intent_finish(a, &x, false), 0); /* it was done for it */
    assert_int_equal(record_of("f").state, INTENT_NONE);
}

static int count(void *arg, const char *name, const struct store_etag *etag)
{
    unsigned *n = arg;
    struct intent i;

    assert_int_equal(intent_read(a, name, &i, NULL), 0);
    assert_true(store_etag_is_set(etag));
    *n += intent_stands(&i);
    return 0;
}

static void test_list(void **state)
{
    struct intent_claim x = {.what = file_intent("f", "g"), .both = true};
    struct intent_claim d = {.what = {.is_dir = true, .from = "p/", .to = "q/"}, .both = true};
    struct intent other;
    unsigned n = 0;

    (void)state;
    assert_int_equal(intent_claim(a, &x, &other), 0);
    assert_int_equal(intent_claim(a, &d, &other), 0);
    assert_int_equal(intent_list(b, false, count, &n), 0);
    assert_int_equal(n, 4);
    n = 0;
    assert_int_equal(intent_list(b, true, count, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(intent_finish(a, &x, false), 0);
    assert_int_equal(intent_finish(a, &d, false), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define W(f) cmocka_unit_test_setup_teardown(f, set_up_weak, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_text),         T(test_refused),      T(test_one_winner), T(test_both_names),
        T(test_half_a_claim), T(test_takeover),     T(test_list),       W(test_one_winner),
        W(test_both_names),   W(test_half_a_claim), W(test_takeover),
    };

    return cmocka_run_group_tests_name("coord/intent", tests, NULL, NULL);
}
