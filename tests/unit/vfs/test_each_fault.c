/* SPDX-License-Identifier: Apache-2.0 */
/* One workload, each of its requests and disk calls failing in turn, until it passes
 * without meeting the fault. Whatever fails, another mount then finds what was acknowledged, whole;
 * of what was not, the old or the new, never a mixture; and the mount goes on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/macros.h"
#include "base/sys.h"
#include "fs/vfs/rename.h"
#include "tests/lib/memstore.h"
#include "tests/lib/rig.h"

static struct rig a, b; /* a goes through the gate */

/* --- what fails --- */

enum fault {
    DIES,       /* from the n-th request on nothing is done */
    DIES_LATER, /* the n-th is done, its reply lost, and then nothing */
    FAILS_ONCE, /* the n-th is not done */
    LOST_ONCE,  /* the n-th is done, its reply lost */
};

static struct {
    struct store store;
    struct store *inner;
    atomic_uint seen;
    unsigned at; /* 0: never */
    enum fault fault;
} gate;

static void gate_submit(struct store *s, struct store_req *req, struct store_rsp *rsp)
{
    unsigned n = atomic_fetch_add(&gate.seen, 1) + 1;
    bool is_one = gate.fault == FAILS_ONCE || gate.fault == LOST_ONCE;
    bool is_lost = gate.fault == DIES_LATER || gate.fault == LOST_ONCE;
    void (*done)(void *arg, int result) = req->done;
    void *arg = req->done_arg;

    (void)s;
    if (gate.at == 0 || n < gate.at || (is_one && n > gate.at)) {
        store_submit(gate.inner, req, rsp, done, arg);
        return;
    }
    if (is_lost && n == gate.at) {
        if (store_call(gate.inner, req, rsp) < 0)
            err_clear();
        store_rsp_done(rsp);
    }
    done(arg, err_set(-EIO, "request %u does not get through", n));
}

static const struct store_ops gate_ops = {.submit = gate_submit};

static void set_gate(enum fault fault, unsigned at)
{
    gate.fault = fault;
    gate.at = at;
    atomic_store(&gate.seen, 0);
}

/* --- the workload --- */

enum { CREATE, OVERWRITE, APPEND, CHMOD, RENAME, RENAME_DIR, UNLINK, LINK, MKDIR, STEPS };
static const char *const step_names[STEPS] = {"create", "overwrite", "append",
                                              "chmod",  "rename",    "rename a directory",
                                              "unlink", "link",      "mkdir"};

static unsigned round_no; /* each round has a directory of its own */

static const char *at(const char *path)
{
    static char text[4][64];
    static unsigned i;

    i = (i + 1) % 4;
    snprintf(text[i], sizeof(text[i]), "round%u%s%s", round_no, *path != '\0' ? "/" : "", path);
    return text[i];
}

static int append(struct rig *r, const char *path, const char *text)
{
    uint64_t fh;
    ssize_t n;
    int done = rig_open_file(r, at(path), O_WRONLY | O_APPEND, &fh), shut;

    if (done < 0)
        return done;
    n = vfs_write(r->vfs, &r->ctx, fh, 0, text, strlen(text));
    shut = rig_shut(r, fh);
    return n < 0 ? (int)n : shut;
}

static int put(struct rig *r, const char *path, const char *text)
{
    return rig_put(r, at(path), text, strlen(text));
}

static void seed(void)
{
    round_no++;
    assert_int_equal(rig_mkdir(&a, at(""), 0755), 0);
    assert_int_equal(put(&a, "old", "old bytes"), 0);
    assert_int_equal(put(&a, "log", "line 1\n"), 0);
    assert_int_equal(put(&a, "mode", "same bytes"), 0);
    assert_int_equal(put(&a, "from", "moved bytes"), 0);
    assert_int_equal(rig_mkdir(&a, at("dir"), 0755), 0);
    assert_int_equal(put(&a, "dir/x", "bytes of x"), 0);
    assert_int_equal(put(&a, "dir/y", "bytes of y"), 0);
    assert_int_equal(put(&a, "gone", "doomed"), 0);
    assert_int_equal(put(&a, "name1", "linked bytes"), 0);
    clock_fake_add(100 * NS_PER_S);
}

static int run_step(int step)
{
    err_clear();
    switch (step) {
    case CREATE:
        return put(&a, "new", "new file");
    case OVERWRITE:
        return put(&a, "old", "OTHER BYTES");
    case APPEND:
        return append(&a, "log", "line 2\n");
    case CHMOD:
        return rig_chmod(&a, at("mode"), 0600);
    case RENAME:
        return rig_rename(&a, at("from"), at("to"), 0);
    case RENAME_DIR:
        return rig_rename(&a, at("dir"), at("dir2"), 0);
    case UNLINK:
        return rig_unlink(&a, at("gone"));
    case LINK:
        return rig_link(&a, at("name1"), at("name2"));
    default:
        return rig_mkdir(&a, at("empty"), 0755);
    }
}

static int results[STEPS];

static void run_all(void)
{
    for (int step = 0; step < STEPS; step++)
        results[step] = run_step(step);
}

/* --- the promise --- */

static const char *what; /* the fault, for the messages */
static unsigned which;

/* 0 the bytes are these, -ENOENT no such file; all else is a broken promise. */
static int look(const char *path, const char *text)
{
    char buf[64] = "";
    ssize_t n = rig_get(&b, at(path), buf, sizeof(buf) - 1);

    if (n == -ENOENT)
        return -ENOENT;
    if (n < 0 || strcmp(buf, text) != 0)
        return n < 0 ? (int)n : 1;
    return 0;
}

static void broken(int step, const char *how)
{
    fail_msg("%s %u: %s returned %d, and then %s", what, which, step_names[step], results[step],
             how);
}

static void check_writes(void)
{
    int created = look("new", "new file"), other = look("old", "OTHER BYTES");
    int both = look("log", "line 1\nline 2\n");
    struct stat st;

    if (created != 0 && (results[CREATE] == 0 || created != -ENOENT))
        broken(CREATE, "the file is not there, or torn");
    if (other != 0 && (results[OVERWRITE] == 0 || look("old", "old bytes") != 0))
        broken(OVERWRITE, "it has neither the old nor the new bytes");
    if (both != 0 && (results[APPEND] == 0 || look("log", "line 1\n") != 0))
        broken(APPEND, "a line is lost, or there twice");
    if (look("mode", "same bytes") != 0)
        broken(CHMOD, "the bytes have changed");
    if (results[CHMOD] == 0 && (rig_stat(&b, at("mode"), &st) != 0 || (st.st_mode & 07777) != 0600))
        broken(CHMOD, "the mode is the old one");
}

/* One of two names, or both where `both` is allowed; the new one alone if it was acknowledged. */
static void check_moved(int step, const char *from, const char *to, const char *text)
{
    int old = look(from, text), new = look(to, text);

    if ((old != 0 && old != -ENOENT) || (new != 0 && new != -ENOENT))
        broken(step, "a name has other bytes");
    if (old != 0 && new != 0)
        broken(step, "the file is under neither name");
    if (old == 0 && new == 0)
        broken(step, "the file is under both names");
    if (results[step] == 0 && new != 0)
        broken(step, "the file is not under its new name");
}

static void check_names(void)
{
    int gone = look("gone", "doomed"), second = look("name2", "linked bytes");
    struct stat st;

    check_moved(RENAME, "from", "to", "moved bytes");
    check_moved(RENAME_DIR, "dir/x", "dir2/x", "bytes of x");
    check_moved(RENAME_DIR, "dir/y", "dir2/y", "bytes of y");
    if (gone != -ENOENT && (results[UNLINK] == 0 || gone != 0))
        broken(UNLINK, "the file is there, or torn");
    if (look("name1", "linked bytes") != 0)
        broken(LINK, "the first name has lost its bytes");
    if (second != 0 && (results[LINK] == 0 || second != -ENOENT))
        broken(LINK, "the second name is not there, or torn");
    if (results[MKDIR] == 0 && rig_stat(&b, at("empty"), &st) != 0)
        broken(MKDIR, "there is no directory");
}

/* b sees what is so: what it knew is too old, and what a left half done is finished by who is
 * alive. */
static void settle(void)
{
    int left = 1;

    for (int i = 0; i < 12 && left != 0; i++) {
        clock_fake_add(11 * NS_PER_S);
        (void)intents_mend(a.vfs);
        left = intents_mend(b.vfs);
    }
    assert_int_equal(left, 0);
    clock_fake_add(100 * NS_PER_S);
}

static void open_a(void)
{
    struct rig through = b;

    set_gate(FAILS_ONCE, 0);
    through.store = &gate.store;
    assert_int_equal(rig_join(&a, &through, &b.conf), 0);
}

static int set_up(void **state)
{
    (void)state;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    assert_int_equal(rig_open(&b, NULL), 0);
    gate.store.ops = &gate_ops;
    gate.inner = b.store;
    open_a();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_close(&a);
    rig_close(&b);
    clock_fake_off();
    return 0;
}

static void end(bool lives)
{
    settle();
    check_writes();
    check_names();
    if (!lives) {
        rig_close(&a);
        open_a();
    } else if (put(&a, "after", "goes on") != 0 || look("after", "goes on") != 0) {
        fail_msg("%s %u: the mount does not go on: %s", what, which, err_text());
    }
}

/* --- the enumerations --- */

static void each_request(enum fault fault, const char *name)
{
    bool lives = fault == FAILS_ONCE || fault == LOST_ONCE;

    what = name;
    for (unsigned n = 1, seen = 0; seen + 1 >= n; n++) {
        which = n;
        seed();
        set_gate(fault, n);
        run_all();
        seen = atomic_load(&gate.seen);
        if (lives)
            set_gate(fault, 0);
        end(lives);
        if (seen < n)
            print_message("%s: %u tried\n", name, n - 1);
    }
}

static void the_mount_dies_at_each_request(void **state)
{
    (void)state;
    each_request(DIES, "death before request");
    each_request(DIES_LATER, "death after request");
}

static void each_request_fails_once(void **state)
{
    (void)state;
    each_request(FAILS_ONCE, "failing request");
    each_request(LOST_ONCE, "request without a reply");
}

#ifdef S3EFS_FAULTS
static void each_disk_call(enum sys_kind kind, int error, const char *name)
{
    what = name;
    for (uint64_t n = 1, seen = 0; seen + 1 >= n; n++) {
        uint64_t before;

        which = (unsigned)n;
        seed();
        before = sys_fault_calls(kind);
        sys_fault_set(kind, n, error, false);
        run_all();
        seen = sys_fault_calls(kind) - before;
        sys_fault_set(kind, 0, 0, false);
        end(true);
        if (seen < n)
            print_message("%s: %u tried\n", name, which - 1);
    }
}

static void each_disk_call_fails_once(void **state)
{
    (void)state;
    each_disk_call(SYS_OPEN, EMFILE, "failing open");
    each_disk_call(SYS_READ, EIO, "failing read");
    each_disk_call(SYS_WRITE, EIO, "failing write");
    each_disk_call(SYS_WRITE, ENOSPC, "write to a full disk");
    each_disk_call(SYS_SYNC, EIO, "failing sync");
    each_disk_call(SYS_RENAME, EIO, "failing rename");
    each_disk_call(SYS_UNLINK, EIO, "failing unlink");
}
#endif

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_mount_dies_at_each_request),
        TEST(each_request_fails_once),
#ifdef S3EFS_FAULTS
        TEST(each_disk_call_fails_once),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
