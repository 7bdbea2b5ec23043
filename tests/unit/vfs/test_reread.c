/* SPDX-License-Identifier: Apache-2.0 */
/* An entry of the journal whose bytes can't be read when the mount starts is tried again while it
 * runs. */
#include "localmount.h"

#include <sys/stat.h>

#define LATER (120 * NS_PER_S) /* past the longest wait */

/* The one file of the journal, as the disk can't read it: a link, which is not followed. */
static char real[128], away[128];

static void find_file(const struct rig *r)
{
    char cmd[256];
    FILE *f;

    snprintf(cmd, sizeof(cmd), "ls '%s/journal/files'", r->dir);
    f = popen(cmd, "r");
    assert_non_null(f);
    snprintf(real, sizeof(real), "%s/journal/files/", r->dir);
    assert_non_null(fgets(real + strlen(real), 20, f));
    pclose(f);
    real[strcspn(real, "\n")] = '\0';
    snprintf(away, sizeof(away), "%s/away", r->dir);
}

static void break_file(struct rig *r)
{
    find_file(r);
    assert_int_equal(rename(real, away), 0);
    assert_int_equal(
        symlink("a target that is longer than the bytes of the file, which are few", real), 0);
}

static void mend_file(void)
{
    assert_int_equal(unlink(real), 0);
    assert_int_equal(rename(away, real), 0);
}

static uint64_t unread(void)
{
    struct vfs_unsent u;
    uint64_t n;

    assert_int_equal(vfs_unsent_get(rig.vfs, 0, &u), 0);
    n = u.unread;
    vfs_unsent_done(&u);
    return n;
}

static void start_broken(void)
{
    assert_int_equal(rig_remount_after(&rig, break_file), 0);
    assert_int_equal(unread(), 1);
    assert_int_equal(entries(), 1);
}

static size_t run_later(void)
{
    clock_fake_add(LATER);
    return outbox_run(rig.vfs);
}

static void it_is_sent_when_it_can_be_read(void **state)
{
    struct stat st;

    (void)state;
    put_text("f", "kept");
    start_broken();
    assert_int_equal(rig_stat(&rig, "f", &st), -ENOENT);
    for (int times = 0; times < 3; times++)
        assert_int_equal(run_later(), 0);
    assert_int_equal(unread(), 1);
    mend_file();
    assert_int_equal(outbox_run(rig.vfs), 0); /* it is not due */
    assert_int_equal(run_later(), 1);
    assert_int_equal(unread(), 0);
    assert_int_equal(entries(), 0);
    assert_object("f", "kept");
    assert_file("f", "kept");
}

static void a_drain_tries_at_once(void **state)
{
    (void)state;
    put_text("f", "kept");
    start_broken();
    assert_int_equal(vfs_drain(rig.vfs), -EIO);
    mend_file();
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_object("f", "kept");
    assert_int_equal(entries(), 0);
}

/* What was looked up meanwhile becomes what was acknowledged, when nobody has it open. */
static void a_file_that_is_known_by_then(void **state)
{
    uint64_t fh;

    (void)state;
    put_text("f", "old");
    send_all(1);
    put_text("f", "kept");
    start_broken();
    assert_file("f", "old");
    fh = open_text("f", O_RDONLY);
    mend_file();
    assert_int_equal(run_later(), 0);
    assert_int_equal(unread(), 1);
    assert_int_equal(rig_shut(&rig, fh), 0);
    clock_fake_add(LATER);
    reread_run(rig.vfs);
    assert_file("f", "kept");
    assert_object("f", "old");
    send_all(1);
    assert_object("f", "kept");
    assert_file("f", "kept");
}

/* What was written meanwhile stays. While it is known here the entry waits; then its commit finds
 * that another version is there, and its bytes are kept. */
static void a_name_that_was_taken(void **state)
{
    struct vfs_entry e;

    (void)state;
    put_text("f", "old");
    send_all(1);
    put_text("f", "kept");
    start_broken();
    put_text("f", "newer");
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    mend_file();
    assert_int_equal(run_later(), 1);
    assert_object("f", "newer");
    assert_int_equal(run_later(), 0);
    assert_int_equal(unread(), 1);
    assert_file("f", "newer");
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(run_later(), 0);
    assert_int_equal(unread(), 0);
    assert_object("f", "newer");
    assert_file("f", "newer");
    assert_int_equal(kept(), 1);
    assert_int_equal(entries(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(it_is_sent_when_it_can_be_read),
        L(a_drain_tries_at_once),
        L(a_file_that_is_known_by_then),
        L(a_name_that_was_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
