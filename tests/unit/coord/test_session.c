/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of two mounts on one bucket. Time is the fake clock; only session_turn(), called by
 * hand, renews. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "coord/session.h"
#include "internal.h"
#include "memstore.h"
#include "twocoords.h"

static char id[SESSION_ID_LEN + 1];

static void pass(int64_t s)
{
    clock_fake_add(s * NS_PER_S);
}

static void test_begin_renew_end(void **state)
{
    char again[SESSION_ID_LEN + 1];

    (void)state;
    assert_int_equal(memstore_count(store, STORE_OPS), 0); /* COORD-3 */
    assert_int_equal(session_hold(a, id), 0);
    assert_true(session_id_is_valid(id));
    assert_true(session_is_ours(a, id));
    assert_false(session_is_ours(b, id));
    assert_int_equal(memstore_count(store, STORE_OPS), 1);
    assert_int_equal(session_hold(a, again), 0);
    assert_string_equal(again, id);
    assert_int_equal(memstore_count(store, STORE_OPS), 1);
    pass(9);
    assert_true(session_turn(a) > 0); /* not due yet */
    assert_int_equal(memstore_count(store, STORE_OPS), 1);
    for (int i = 0; i < 10; i++) {
        pass(11);
        assert_int_equal(session_turn(a), 0);
        assert_true(session_is_ours(a, id));
    }
    assert_int_equal(memstore_count(store, STORE_OPS), 11);
    assert_true(session_deadline_ns(a) < clock_boot_ns() + LEASE);
    coord_free(a);
    assert_int_equal(memstore_objects(store), 0);
    assert_int_equal(session_judge(b, id), SESSION_DEAD);
    a = NULL;
}

struct seen {
    unsigned patient, first;
};

static void count_patient(void *arg, struct store *s, const struct store_req *req, int result)
{
    struct seen *n = arg;

    (void)s;
    (void)result;
    n->patient += !req->is_urgent;
    n->first += req->is_first;
}

/* Uploads and an outage's queue must not cost the lease: each of its requests says so. And those of
 * others must not, either. */
static void test_all_is_urgent(void **state)
{
    struct seen seen = {0};

    (void)state;
    memstore_set_hooks(store, count_patient, NULL, &seen);
    assert_int_equal(session_hold(a, id), 0);
    assert_int_equal(session_judge(b, id), SESSION_ALIVE);
    pass(11);
    memstore_lose(store, STORE_PUT, 1, 1, -EIO); /* looks */
    assert_int_equal(session_turn(a), 0);
    coord_free(a);
    a = NULL;
    assert_int_equal(memstore_count(store, STORE_OPS), 5);
    assert_int_equal(seen.patient, 0);
    assert_int_equal(seen.first, 3); /* begun, renewed, looked: not the judge's, nor the last */
}

static void test_unused_session_ends(void **state)
{
    char next[SESSION_ID_LEN + 1];

    (void)state;
    assert_int_equal(session_hold(a, id), 0);
    assert_int_equal(session_hold(a, next), 0);
    session_drop(a, id);
    for (int i = 0; i < 10; i++) { /* one user is left */
        pass(11);
        assert_int_equal(session_turn(a), 0);
    }
    session_drop(a, id);
    session_drop(a, id); /* one too many does no harm */
    pass(11);
    assert_int_equal(session_turn(a), 0);
    assert_true(session_is_ours(a, id));
    pass(11);
    assert_int_equal(session_turn(a), 0);
    pass(11);
    assert_int_equal(session_turn(a), 0);
    assert_false(session_is_ours(a, id));
    assert_int_equal(memstore_objects(store), 0);
    assert_int_equal(session_turn(a), -1);
    assert_int_equal(session_hold(a, next), 0);
    assert_string_not_equal(next, id);
    session_drop(a, id); /* of the one before: not counted */
    pass(31);
    assert_int_equal(session_turn(a), 0);
    assert_int_equal(memstore_objects(store), 1);
}

/* The holder stops itself before the others may think it dead; its late renewal finds the mark. */
static void test_paused_holder(void **state)
{
    char next[SESSION_ID_LEN + 1];

    (void)state;
    assert_int_equal(session_hold(a, id), 0);
    assert_int_equal(session_judge(b, id), SESSION_ALIVE);
    pass(26);
    assert_false(session_is_ours(a, id));
    assert_int_equal(session_judge(b, id), SESSION_ALIVE);
    pass(3);
    assert_int_equal(session_judge(b, id), SESSION_ALIVE); /* too soon to ask */
    pass(1);
    assert_int_equal(session_judge(b, id), SESSION_DEAD);
    assert_false(session_is_lost(a, id)); /* not known yet */
    assert_int_equal(session_check(a, id), -EIO);
    assert_true(session_is_lost(a, id));
    assert_int_equal(session_hold(a, next), 0);
    assert_string_not_equal(next, id);
    assert_true(session_is_ours(a, next));
    assert_false(session_is_ours(a, id));
    assert_int_equal(session_check(a, id), -EIO);
}

/* Nobody wanted what it held: a renewal that comes late goes through, and nothing is lost. */
static void test_late_but_unmarked(void **state)
{
    (void)state;
    assert_int_equal(session_hold(a, id), 0);
    assert_int_equal(session_judge(b, id), SESSION_ALIVE);
    pass(300);
    assert_false(session_is_ours(a, id));
    assert_int_equal(session_check(a, id), 0);
    assert_true(session_is_ours(a, id));
    assert_int_equal(session_judge(b, id), SESSION_ALIVE); /* watching begins anew */
    pass(29);
    assert_int_equal(session_judge(b, id), SESSION_ALIVE);
}

/* Asking is not free: within a tenth of a lease the answer is the last one. */
static void test_judge_asks_seldom(void **state)
{
    (void)state;
    assert_int_equal(session_hold(a, id), 0);
    memstore_count_reset(store);
    for (int i = 0; i < 100; i++)
        assert_int_equal(session_judge(b, id), SESSION_ALIVE);
    assert_int_equal(memstore_count(store, STORE_OPS), 1);
    assert_int_equal(session_judge(a, id), SESSION_ALIVE); /* our own needs no question */
    assert_int_equal(memstore_count(store, STORE_OPS), 1);
    assert_int_equal(session_judge(b, "no such form"), -EINVAL);
}

/* The PUT took effect, its reply was lost. */
static void test_lost_replies(void **state)
{
    (void)state;
    memstore_lose(store, STORE_PUT, 1, 1, STORE_PRECONDITION);
    assert_int_equal(session_hold(a, id), 0);
    pass(11);
    memstore_lose(store, STORE_PUT, 1, 1, -EIO);
    assert_int_equal(session_turn(a), 0);
    assert_true(session_is_ours(a, id));
    /* Nobody knows what became of this one: the next one finds a live body, which only a wrote. */
    pass(11);
    memstore_lose(store, STORE_PUT, 1, 1, -EIO);
    memstore_fail(store, STORE_GET, 1, 1, -EIO);
    assert_true(session_turn(a) > 0);
    pass(11);
    assert_int_equal(session_turn(a), 0);
    assert_true(session_is_ours(a, id));
}

static void renew_holder(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)s;
    (void)result;
    if (req->op == STORE_PUT && arg == (void *)b) {
        memstore_set_hooks(store, NULL, NULL, NULL);
        assert_int_equal(session_check(a, id), 0);
    }
}

/* A renewal that was on its way all the time lands between the judgement and the mark: it lives. */
static void test_delayed_renewal_beats_the_mark(void **state)
{
    (void)state;
    assert_int_equal(session_hold(a, id), 0);
    assert_int_equal(session_judge(b, id), SESSION_ALIVE);
    pass(31);
    memstore_set_hooks(store, renew_holder, NULL, b);
    assert_int_equal(session_judge(b, id), SESSION_ALIVE);
    assert_true(session_is_ours(a, id));
    pass(29);
    assert_int_equal(session_judge(b, id), SESSION_ALIVE);
}

static void mark_holder(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)s;
    (void)result;
    if (req->op == STORE_PUT && arg == (void *)a) {
        memstore_set_hooks(store, NULL, NULL, NULL);
        assert_int_equal(session_judge(b, id), SESSION_DEAD);
    }
}

/* The same, but the mark is first: the delayed renewal must not revive it. */
static void test_mark_beats_delayed_renewal(void **state)
{
    (void)state;
    assert_int_equal(session_hold(a, id), 0);
    assert_int_equal(session_judge(b, id), SESSION_ALIVE);
    pass(31);
    memstore_set_hooks(store, mark_holder, NULL, a);
    assert_int_equal(session_check(a, id), -EIO);
    assert_int_equal(session_judge(b, id), SESSION_DEAD);
}

/* A server without conditions on DELETE keeps the objects; what they say is the same. */
static void test_without_delete_conditions(void **state)
{
    struct coord *weak = new_coord(false), *other = new_coord(false);
    char next[SESSION_ID_LEN + 1];

    (void)state;
    assert_int_equal(session_hold(weak, id), 0);
    assert_int_equal(session_judge(other, id), SESSION_ALIVE);
    pass(31);
    assert_int_equal(session_judge(other, id), SESSION_DEAD);
    assert_int_equal(session_judge(other, id), SESSION_DEAD);
    assert_int_equal(session_hold(weak, next), 0);
    assert_string_not_equal(next, id);
    coord_free(weak);
    assert_int_equal(session_judge(other, next), SESSION_DEAD);
    coord_free(other);
}

/* Somebody emptied the state prefix: the holder notices, the others may take what it held. */
static void test_removed(void **state)
{
    char key[64] = ".s3efs/sessions/";

    (void)state;
    assert_int_equal(session_hold(a, id), 0);
    strcat(key, id);
    assert_int_equal(memstore_delete(store, key), 0);
    pass(11);
    assert_int_equal(session_turn(a), 0);
    assert_false(session_is_ours(a, id));
    assert_int_equal(session_judge(b, id), SESSION_DEAD);
}

static void test_failures(void **state)
{
    const struct coord_conf conf = {.state_prefix = ".s3efs/"};
    struct coord *none;

    (void)state;
    assert_int_equal(coord_new(&conf, store, &none), 0);
    assert_int_equal(session_hold(none, id), -ENOLCK);
    coord_free(none);
    memstore_fail(store, STORE_PUT, 1, 1, -EACCES);
    assert_int_equal(session_hold(a, id), -EACCES);
    assert_int_equal(session_hold(a, id), 0);
    memstore_fail(store, STORE_GET, 1, 1, -EACCES);
    assert_int_equal(session_judge(b, id), -EACCES);
    assert_int_equal(session_judge(b, id), SESSION_ALIVE);
    pass(31);
    memstore_fail(store, STORE_PUT, 1, 1, -EACCES);
    assert_int_equal(session_check(a, id), -EACCES); /* nobody knows */
    assert_false(session_is_lost(a, id));
    assert_int_equal(session_check(a, id), 0);
}

static void test_parse(void **state)
{
    (void)state;
    assert_int_equal(session_parse("live 30000\n"), LEASE);
    assert_int_equal(session_parse("live 30000\nmore\n"), LEASE);
    assert_int_equal(session_parse("live 0\n"), 0);
    assert_int_equal(session_parse("live -1\n"), 0);
    assert_int_equal(session_parse("live 99999999999999999999\n"), 0);
    assert_int_equal(session_parse("live 999999999\n"), 0);
    assert_int_equal(session_parse("dead\n"), 0);
    assert_int_equal(session_parse(""), 0);
    assert_false(session_id_is_valid("0123"));
    assert_false(session_id_is_valid("0123456789abcdef0123456789abcdef0"));
    assert_false(session_id_is_valid("0123456789abcdef/123456789abcdef"));
}

static char noted[SESSION_ID_LEN + 1];

static void note(void *arg, const char *now)
{
    (void)arg;
    memcpy(noted, now != NULL ? now : "", now != NULL ? sizeof(noted) : 1);
}

/* a's daemon is killed, and the one that follows is given what was noted. */
static void follow(void)
{
    const struct coord_conf conf = {.caps = a->conf.caps,
                                    .state_prefix = a->prefix,
                                    .lease_ns = a->conf.lease_ns,
                                    .renew_by_hand = true,
                                    .session_id = noted[0] != '\0' ? noted : NULL,
                                    .session_note = note};
    struct coord *next;

    assert_int_equal(coord_new(&conf, store, &next), 0);
    a->session.id[0] = '\0';
    coord_free(a);
    a = next;
}

/* The same session, renewed: whatever watches it never sees it silent for a lease. */
static void test_a_daemon_that_follows(void **state)
{
    char next[SESSION_ID_LEN + 1];

    (void)state;
    follow();
    assert_int_equal(session_resume(a), 0); /* there was none */
    assert_int_equal(memstore_count(store, STORE_OPS), 0);
    assert_int_equal(session_hold(a, id), 0);
    assert_string_equal(noted, id);
    for (unsigned k = 0; k < 5; k++) {
        assert_int_equal(session_judge(b, id), SESSION_ALIVE);
        pass(20);
        follow();
        assert_false(session_is_lost(a, id));
        assert_int_equal(session_resume(a), 0);
        assert_true(session_is_ours(a, id));
    }
    assert_int_equal(session_join(a, id), 0);
    pass(31);
    assert_int_equal(session_turn(a), 0); /* it has a user: it is renewed, not ended */
    assert_int_equal(session_hold(a, next), 0);
    assert_string_equal(next, id);
    session_drop(a, id);
    session_drop(a, id);
    pass(31);
    assert_int_equal(session_turn(a), 0);
    assert_string_equal(noted, ""); /* ended */
}

/* SESS-4: who marked it dead has removed its object, too, and a record may still name it. */
static void test_what_has_ended_never_comes_back(void **state)
{
    char next[SESSION_ID_LEN + 1];

    (void)state;
    follow();
    assert_int_equal(session_hold(a, id), 0);
    assert_int_equal(session_judge(b, id), SESSION_ALIVE);
    pass(31);
    assert_int_equal(session_judge(b, id), SESSION_DEAD);
    assert_int_equal(memstore_objects(store), 0);
    follow();
    assert_int_equal(session_resume(a), 0);
    assert_true(session_is_lost(a, id));
    assert_int_equal(session_join(a, id), -EIO);
    assert_int_equal(memstore_objects(store), 0);
    assert_int_equal(session_hold(a, next), 0);
    assert_string_not_equal(next, id);
    assert_string_equal(noted, next);
}

/* Nobody knows, until the bucket says. */
static void test_a_daemon_that_follows_in_an_outage(void **state)
{
    (void)state;
    follow();
    assert_int_equal(session_hold(a, id), 0);
    follow();
    memstore_fail(store, STORE_GET, 1, 2, -EIO);
    assert_int_equal(session_resume(a), -EIO);
    assert_int_equal(session_join(a, id), -EIO);
    assert_false(session_is_lost(a, id));
    assert_int_equal(session_judge(a, id), SESSION_ALIVE); /* it is ours */
    assert_int_equal(session_join(a, id), 0);
    assert_true(session_is_ours(a, id));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_begin_renew_end),
        T(test_all_is_urgent),
        T(test_unused_session_ends),
        T(test_paused_holder),
        T(test_late_but_unmarked),
        T(test_judge_asks_seldom),
        T(test_lost_replies),
        T(test_delayed_renewal_beats_the_mark),
        T(test_mark_beats_delayed_renewal),
        T(test_without_delete_conditions),
        T(test_removed),
        T(test_failures),
        T(test_parse),
        T(test_a_daemon_that_follows),
        T(test_what_has_ended_never_comes_back),
        T(test_a_daemon_that_follows_in_an_outage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
