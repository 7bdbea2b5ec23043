/* SPDX-License-Identifier: Apache-2.0 */
/* What dead mounts left below the state prefix: found, and taken away where that is safe. */
#include "checktest.h"

#include <errno.h>

#include "base/err.h"

#define LOCK_LINE(id) id " posix write 0 -\n"

static void dead_mount(void)
{
    put_record("sessions/" DEAD, LEASE_TEXT);
    put_record("locks/file", LOCK_LINE(DEAD));
    put_record("reservations/0123", "session " DEAD "\nkey a\n");
}

static void test_dead_session_is_told(void **state)
{
    (void)state;
    dead_mount();
    memstore_count_reset(store);
    check(false);
    assert_found(CHECK_SESSION, "sessions/" DEAD, CHECK_REPAIRABLE);
    assert_found(CHECK_LOCK, "locks/file", CHECK_REPAIRABLE);
    assert_found(CHECK_RESERVATION, "reservations/0123", CHECK_REPAIRABLE);
    assert_int_equal(result.findings, 3);
    assert_int_equal(result.left, 3);
    assert_true(seen.slept_ns >= 30 * NS_PER_S);
    assert_int_equal(writes(), 0);
}

static void test_dead_session_is_repaired(void **state)
{
    char text[256];

    (void)state;
    dead_mount();
    check(true);
    assert_found(CHECK_SESSION, "sessions/" DEAD, CHECK_REPAIRED);
    assert_found(CHECK_LOCK, "locks/file", CHECK_REPAIRED);
    assert_found(CHECK_RESERVATION, "reservations/0123", CHECK_REPAIRED);
    assert_int_equal(result.left, 0);
    get_record("sessions/" DEAD, text, sizeof(text));
    assert_string_equal(text, "dead\n");
    assert_false(is_there(".s3efs/locks/file"));
    assert_false(is_there(".s3efs/reservations/0123"));
    check(true); /* what is left is an empty record, for an hour */
    assert_found(CHECK_EMPTY_RECORD, "sessions/" DEAD, CHECK_NOTE);
    assert_int_equal(result.findings, 0);
    assert_int_equal(seen.slept_ns, 0);
    clock_fake_add(2 * HOUR_NS);
    check(true);
    assert_found(CHECK_EMPTY_RECORD, "sessions/" DEAD, CHECK_REPAIRED);
    check(true);
    assert_clean();
}

/* The lock of a session that has no record at all, as after a clean end that was cut short. */
static void test_lock_without_session(void **state)
{
    (void)state;
    put_record("locks/file", LOCK_LINE(GONE));
    check(true);
    assert_found(CHECK_LOCK, "locks/file", CHECK_REPAIRED);
    assert_int_equal(seen.slept_ns, 0);
    assert_false(is_there(".s3efs/locks/file"));
}

static void test_living_session_keeps_all(void **state)
{
    char text[256];

    (void)state;
    put_record("sessions/" LIVE, LEASE_TEXT);
    put_record("locks/file", LOCK_LINE(LIVE));
    put_record("reservations/0123", "session " LIVE "\nkey a\n");
    seen.renews = true;
    check(true);
    assert_clean();
    get_record("locks/file", text, sizeof(text));
    assert_string_equal(text, LOCK_LINE(LIVE));
    assert_true(is_there(".s3efs/reservations/0123"));
    assert_true(seen.slept_ns < 30 * NS_PER_S); /* it was renewed early, so nobody waits on */
}

static void test_lock_that_is_shared_with_the_living(void **state)
{
    char text[256];

    (void)state;
    put_record("sessions/" LIVE, LEASE_TEXT);
    put_record("sessions/" DEAD, LEASE_TEXT);
    put_record("locks/file", DEAD " posix read 0 99\n" LIVE " posix read 0 49\n");
    seen.renews = true;
    check(true);
    assert_found(CHECK_LOCK, "locks/file", CHECK_REPAIRED);
    get_record("locks/file", text, sizeof(text));
    assert_string_equal(text, LIVE " posix read 0 49\n");
}

/* A renewal that comes in the last moment wins: nothing of the session's is touched. */
static void renew_before_mark(void *arg, struct store *s, const struct store_req *req, int r)
{
    (void)arg;
    (void)s;
    (void)r;
    if (req->op == STORE_PUT && strcmp(req->key, ".s3efs/sessions/" DEAD) == 0) {
        memstore_set_hooks(store, NULL, NULL, NULL);
        put(".s3efs/sessions/" DEAD, LEASE_TEXT NONCE_B);
    }
}

static void test_late_renewal_wins(void **state)
{
    char text[256];

    (void)state;
    dead_mount();
    memstore_set_hooks(store, renew_before_mark, NULL, NULL);
    check(true);
    assert_clean();
    get_record("sessions/" DEAD, text, sizeof(text));
    assert_string_equal(text, LEASE_TEXT);
    get_record("locks/file", text, sizeof(text));
    assert_string_equal(text, LOCK_LINE(DEAD));
    assert_true(is_there(".s3efs/reservations/0123"));
}

/* Somebody else took the lock over while we waited. */
static void take_lock_meanwhile(void *arg, int64_t ns)
{
    on_sleep(arg, ns);
    put(".s3efs/locks/file", LOCK_LINE(LIVE) NONCE_B);
}

static void test_lock_that_was_taken_meanwhile(void **state)
{
    char text[256];

    (void)state;
    put_record("sessions/" DEAD, LEASE_TEXT);
    put_record("locks/file", LOCK_LINE(DEAD));
    conf.sleep = take_lock_meanwhile;
    check(true);
    assert_null(find_one(CHECK_LOCK, NULL));
    get_record("locks/file", text, sizeof(text));
    assert_string_equal(text, LOCK_LINE(LIVE));
}

static void test_lease_that_is_too_long(void **state)
{
    char text[256];

    (void)state;
    put_record("sessions/" DEAD, "live 7200000\n");
    put_record("locks/file", LOCK_LINE(DEAD));
    check(true);
    assert_found(CHECK_SESSION, "sessions/" DEAD, CHECK_LEFT);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.slept_ns, 0);
    get_record("locks/file", text, sizeof(text));
    assert_string_equal(text, LOCK_LINE(DEAD));
}

/* Without conditions of PUT a record could be taken from under a mount that lives. */
static void test_weak_server_is_left_alone(void **state)
{
    struct store_caps weak = {0};

    (void)state;
    dead_mount();
    open_coord(&weak);
    memstore_count_reset(store);
    check(true);
    assert_found(CHECK_SESSION, "sessions/" DEAD, CHECK_LEFT);
    assert_found(CHECK_LOCK, "locks/file", CHECK_LEFT);
    assert_found(CHECK_RESERVATION, "reservations/0123", CHECK_LEFT);
    assert_int_equal(writes(), 0);
}

/* MinIO: DELETE knows no conditions, so records are emptied and stay. */
static void test_without_conditional_delete(void **state)
{
    struct store_caps caps = {.put_absent = true, .put_match = true};
    char text[256];

    (void)state;
    dead_mount();
    open_coord(&caps);
    check(true);
    assert_found(CHECK_LOCK, "locks/file", CHECK_REPAIRED);
    assert_true(is_there(".s3efs/locks/file"));
    get_record("locks/file", text, sizeof(text));
    assert_string_equal(text, "");
    clock_fake_add(2 * HOUR_NS);
    check(true);
    assert_found(CHECK_EMPTY_RECORD, "locks/file", CHECK_NOTE);
    assert_true(is_there(".s3efs/locks/file"));
    assert_found(CHECK_EMPTY_RECORD, "sessions/" DEAD, CHECK_REPAIRED);
    assert_int_equal(result.left, 0);
}

static void test_unreadable_records_stay(void **state)
{
    (void)state;
    put(".s3efs/locks/foreign", "no record of ours");
    put_record("locks/torn", "posix write\n");
    put_record("sessions/not-a-session", LEASE_TEXT);
    put_record("intents/abc", "rename file sideways\n");
    put_record("links/x", "generation many\n");
    put_record("reservations/y", "session me\n");
    put(".s3efs/unheard-of", "x");
    put(".s3efs/lost+found/bytes", "a user's");
    clock_fake_add(48 * HOUR_NS);
    memstore_count_reset(store);
    check(true);
    assert_found(CHECK_RECORD, "locks/foreign", CHECK_LEFT);
    assert_found(CHECK_RECORD, "locks/torn", CHECK_LEFT);
    assert_found(CHECK_RECORD, "sessions/not-a-session", CHECK_LEFT);
    assert_found(CHECK_RECORD, "intents/abc", CHECK_LEFT);
    assert_found(CHECK_RECORD, "links/x", CHECK_LEFT);
    assert_found(CHECK_RECORD, "reservations/y", CHECK_LEFT);
    assert_found(CHECK_RECORD, "unheard-of", CHECK_LEFT);
    assert_found(CHECK_LOST_FOUND, "lost+found/bytes", CHECK_LEFT);
    assert_int_equal(result.findings, 8);
    assert_int_equal(writes(), 0);
}

static void put_intent(const struct intent *i)
{
    struct buf text = BUF_INIT(16384);
    char name[INTENT_NAME_SIZE];

    intent_name(i->is_target ? i->to : i->from, i->is_dir, name);
    intent_format(i, &text);
    put_record(name, buf_str(&text));
    buf_done(&text);
}

static struct intent make_intent(enum intent_state state)
{
    struct intent i = {.state = state, .source = {"e1"}, .mark = "0123456789abcdef"};

    memcpy(i.session, DEAD, sizeof(DEAD));
    memcpy(i.from, "old", 4);
    memcpy(i.to, "new", 4);
    return i;
}

static void test_tombstones(void **state)
{
    struct intent i = make_intent(INTENT_DONE);
    char name[INTENT_NAME_SIZE];

    (void)state;
    put_intent(&i);
    intent_name("old", false, name);
    check(true);
    assert_clean(); /* writers that come late read it */
    clock_fake_add(2 * HOUR_NS);
    check(false);
    assert_found(CHECK_TOMBSTONE, name, CHECK_REPAIRABLE);
    check(true);
    assert_found(CHECK_TOMBSTONE, name, CHECK_REPAIRED);
    check(true);
    assert_clean();
}

static void claim_meanwhile(void *arg, struct store *s, const struct store_req *req, int r)
{
    struct intent i = make_intent(INTENT_CLAIMED);
    char *key = arg;

    (void)s;
    (void)r;
    if (req->op != STORE_DELETE || strcmp(req->key, key) != 0)
        return;
    memcpy(i.session, LIVE, sizeof(LIVE));
    put_intent(&i);
}

/* Where DELETE knows no conditions a mount may claim the name between a look and it: a record that
 * others may write to is emptied, and stays. */
static void test_claimed_meanwhile(void **state)
{
    const struct store_caps caps = {.put_absent = true, .put_match = true};
    struct intent i = make_intent(INTENT_DONE);
    char name[INTENT_NAME_SIZE], key[INTENT_NAME_SIZE + 16], text[256];

    (void)state;
    open_coord(&caps);
    intent_name("old", false, name);
    snprintf(key, sizeof(key), ".s3efs/%s", name);
    memstore_set_hooks(store, claim_meanwhile, NULL, key);
    put_intent(&i);
    clock_fake_add(2 * HOUR_NS);
    for (int turn = 0; turn < 2; turn++) { /* the tombstone; what is empty then */
        check(true);
        assert_true(is_there(key));
        clock_fake_add(2 * HOUR_NS);
    }
    get_record(name, text, sizeof(text));
    assert_string_equal(text, "");
    assert_found(CHECK_EMPTY_RECORD, name, CHECK_NOTE);
    memstore_set_hooks(store, NULL, NULL, NULL);
}

/* The mount's half of it is test_mend.c. */
static void test_rename_without_a_mender(void **state)
{
    struct intent i = make_intent(INTENT_CLAIMED), target = i;
    char name[INTENT_NAME_SIZE];

    (void)state;
    target.is_target = true;
    put_record("sessions/" DEAD, LEASE_TEXT);
    put_intent(&i);
    put_intent(&target);
    put("old", "x");
    intent_name("old", false, name);
    check(false);
    assert_found(CHECK_INTENT, name, CHECK_REPAIRABLE);
    assert_int_equal(result.findings, 2); /* the target's claim goes with it */
    check(true);
    assert_found(CHECK_INTENT, name, CHECK_LEFT);
    assert_true(is_there("old"));
}

static int mend_in_vain(void *arg)
{
    (void)arg;
    return 1;
}

static int mend_fails(void *arg)
{
    (void)arg;
    return err_set(-EIO, "no mender");
}

static void test_rename_that_can_not_be_finished(void **state)
{
    struct intent i = make_intent(INTENT_CLAIMED);
    char name[INTENT_NAME_SIZE];

    (void)state;
    put_intent(&i);
    intent_name("old", false, name);
    conf.mend = mend_in_vain;
    check(true);
    assert_found(CHECK_INTENT, name, CHECK_FAILED);
    assert_int_equal(result.errors, 0);
    conf.mend = mend_fails;
    check(true);
    assert_found(CHECK_INTENT, name, CHECK_FAILED);
    assert_int_equal(result.errors, 1);
}

static void test_rename_of_another_prefix(void **state)
{
    struct intent i = make_intent(INTENT_CLAIMED);
    char name[INTENT_NAME_SIZE];

    (void)state;
    put_intent(&i);
    intent_name("old", false, name);
    conf.prefix = "mine/";
    conf.mend = mend_fails;
    check(true);
    assert_found(CHECK_INTENT, name, CHECK_LEFT);
    assert_non_null(strstr(find_one(CHECK_INTENT, name)->cause, "another prefix"));
    assert_int_equal(result.errors, 0); /* nobody tried */
}

#define GROUP "abcdefabcdefabcdefabcdefabcdefab"

static void put_member(const char *key, const char *id)
{
    struct store_hdrs h = {0};
    char value[64];

    snprintf(value, sizeof(value), "%s 1", id);
    assert_int_equal(store_hdrs_set(&h, STORE_USER_META "s3efs-link", value), 0);
    assert_int_equal(memstore_put(store, key, "x", 1, &h, NULL), 0);
    store_hdrs_done(&h);
}

static void test_link_groups(void **state)
{
    (void)state;
    put_record("links/" GROUP, "generation 1\nbytes m1\nmember m1\nmember m2\n");
    put_member("m1", GROUP);
    clock_fake_add(2 * HOUR_NS);
    check(true);
    assert_clean();
    assert_int_equal(memstore_delete(store, "m1"), 0);
    put("m2", "another file, that is no link");
    check(false);
    assert_found(CHECK_LINK_GROUP, "links/" GROUP, CHECK_REPAIRABLE);
    check(true);
    assert_found(CHECK_LINK_GROUP, "links/" GROUP, CHECK_REPAIRED);
    assert_true(is_there("m2"));
    assert_false(is_there(".s3efs/links/" GROUP));
    check(true);
    assert_clean();
}

/* A mount that makes a group writes its record first. */
static void test_young_link_group_is_left(void **state)
{
    (void)state;
    put_record("links/" GROUP, "generation 1\nbytes m1\nmember m1\nmaybe m2\n");
    check(true);
    assert_clean();
    assert_true(is_there(".s3efs/links/" GROUP));
}

static void test_member_whose_group_is_gone(void **state)
{
    (void)state;
    put_member("m1", GROUP);
    check(false);
    assert_clean();
    conf.deep = true;
    check(false);
    assert_found(CHECK_LINK_MEMBER, "m1", CHECK_NOTE);
    assert_int_equal(result.notes, 1);
    put_record("links/" GROUP, "generation 1\nbytes m1\nmember m1\n");
    check(false);
    assert_clean();
}

static void test_probe_leftovers(void **state)
{
    (void)state;
    put(".s3efs/probe/0123456789abcdef/put", "x");
    put(".s3efs/probe/mine", "not a probe's name");
    check(true);
    assert_found(CHECK_RECORD, "probe/mine", CHECK_LEFT);
    assert_int_equal(result.findings, 1); /* a mount may be probing now */
    clock_fake_add(2 * HOUR_NS);
    check(true);
    assert_found(CHECK_PROBE, "probe/0123456789abcdef/put", CHECK_REPAIRED);
    assert_false(is_there(".s3efs/probe/0123456789abcdef/put"));
    assert_true(is_there(".s3efs/probe/mine"));
}

static void test_failures_are_told(void **state)
{
    (void)state;
    dead_mount();
    memstore_fail(store, STORE_LIST, 1, 1, -EACCES);
    seen.n = 0;
    assert_int_equal(check_run(&conf, store, coord, NULL, &result), -EACCES);
    memstore_fail(store, STORE_LIST, 2, 1, -EACCES);
    assert_int_equal(check_run(&conf, store, coord, NULL, &result), -EACCES);
    memstore_clear_faults(store);
    memstore_fail(store, STORE_GET, 1, 1, -EIO); /* the lock */
    check(true);
    assert_int_equal(result.errors, 1);
    assert_null(find_one(CHECK_LOCK, NULL));
    assert_true(is_there(".s3efs/locks/file"));
    memstore_clear_faults(store);
    put_record("sessions/" DEAD, LEASE_TEXT);
    memstore_fail(store, STORE_PUT, 1, 1, -EIO); /* the mark: so nothing may be taken from it */
    check(true);
    assert_found(CHECK_SESSION, "sessions/" DEAD, CHECK_FAILED);
    assert_null(find_one(CHECK_LOCK, NULL));
    assert_true(is_there(".s3efs/locks/file"));
    memstore_clear_faults(store);
    memstore_fail(store, STORE_MPU_LIST, 1, 1, -EACCES);
    check(false);
    assert_int_equal(result.errors, 1);
}

int main(void)
{
#define ONE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ONE(test_dead_session_is_told),
        ONE(test_dead_session_is_repaired),
        ONE(test_lock_without_session),
        ONE(test_living_session_keeps_all),
        ONE(test_lock_that_is_shared_with_the_living),
        ONE(test_late_renewal_wins),
        ONE(test_lock_that_was_taken_meanwhile),
        ONE(test_lease_that_is_too_long),
        ONE(test_weak_server_is_left_alone),
        ONE(test_without_conditional_delete),
        ONE(test_unreadable_records_stay),
        ONE(test_tombstones),
        ONE(test_claimed_meanwhile),
        ONE(test_rename_without_a_mender),
        ONE(test_rename_that_can_not_be_finished),
        ONE(test_rename_of_another_prefix),
        ONE(test_link_groups),
        ONE(test_young_link_group_is_left),
        ONE(test_member_whose_group_is_gone),
        ONE(test_probe_leftovers),
        ONE(test_failures_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
