/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local where the journal's disk refuses, where much time lies between a close and its
 * upload, and where others are at the same name meanwhile. */
#include "localmount.h"

static void move_journal(const char *from, const char *to)
{
    char a[128], b[128];

    snprintf(a, sizeof(a), "%s/journal/%s", rig.dir, from);
    snprintf(b, sizeof(b), "%s/journal/%s", rig.dir, to);
    assert_int_equal(rename(a, b), 0);
}

/* The disk that refuses the newer version's entry says nothing about the bucket: that has it when
 * close returns, and a crash finds the older one done. */
static void a_newer_version_that_cant_be_journaled(void **state)
{
    (void)state;
    put_text("f", "one");
    assert_int_equal(rig_snapshot(&rig), 0);
    move_journal("files", "away");
    assert_int_equal(append_text("f", "two"), 0);
    assert_object("f", "onetwo");
    assert_int_equal(kept(), 0);
    move_journal("away", "files");
    assert_int_equal(rig_crash(&rig), 0);
    send_all(1);
    assert_object("f", "onetwo");
    assert_file("f", "onetwo");
    assert_int_equal(kept(), 0);
}

/* Neither the disk nor the bucket: close says so, and nothing is given up. */
static void neither_journal_nor_bucket(void **state)
{
    (void)state;
    put_text("f", "one");
    move_journal("files", "away");
    memstore_fail(rig.store, STORE_PUT, 1, 1000, -EIO);
    memstore_fail(rig.store, STORE_HEAD, 1, 1000, -EIO);
    assert_true(append_text("f", "two") < 0);
    memstore_clear_faults(rig.store);
    clock_fake_add(60 * NS_PER_S);
    assert_int_equal(outbox_run(rig.vfs), 0); /* that try may have landed: first the journal */
    assert_int_equal(kept(), 0);
    assert_int_equal(entries(), 1);
    assert_file("f", "onetwo");
    move_journal("away", "files");
    clock_fake_add(60 * NS_PER_S);
    send_all(1);
    assert_object("f", "onetwo");
    assert_int_equal(kept(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(a_newer_version_that_cant_be_journaled),
        L(neither_journal_nor_bucket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
