/* SPDX-License-Identifier: Apache-2.0 */
/* One workload, each of its requests and disk calls failing in turn, until it passes
 * without meeting the fault. */
#include "faultgate.h"

#include "base/sys.h"

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

static void end(bool lives)
{
    settle();
    check_all();
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
