/* SPDX-License-Identifier: Apache-2.0 */
/* Each allocation fails once under commit=local: of a close, of the sending afterwards, and of a
 * start that finds what is unsent. What was acknowledged arrives. */
#include "allocmount.h"

static int set_up(void **state)
{
    (void)state;
    return set_up_as(VFS_COMMIT_LOCAL);
}

/* Of a file whose close has returned and that is unsent: what is acknowledged is in the journal
 * when the mount dies then. */
static void each_allocation_of_a_local_close(void **state)
{
    static const int steps[] = {CREATE, OVERWRITE, APPEND, CHMOD, RENAME, UNLINK};
    unsigned tried = 0;

    (void)state;
    for (size_t i = 0; i <= ARRAY_LEN(steps); i++) {
        bool is_stored = i == ARRAY_LEN(steps); /* the unlink of a file that the bucket has */

        only = is_stored ? UNLINK : steps[i];
        begin("failing allocation under commit=local", ALLOC_STRIDE);
        while (has_more()) {
            seed();
            if (is_stored)
                send_all();
            one_fails(run_all);
            no_other_error(only);
            no_lock_is_left();
            assert_int_equal(rig_crash(&a), 0);
            send_all();
            look_at_all();
        }
        tried += each_tried();
    }
    only = STEPS;
    print_message("%s: %u tried\n", what, tried);
}

static const int unsent[] = {CREATE, OVERWRITE, APPEND, UNLINK, MKDIR};

/* What they need to be there. */
static void seed_files(void)
{
    only = OVERWRITE;
    seed();
    only = APPEND;
    seed_file(APPEND, "log", "line 1\n");
    only = UNLINK;
    seed_file(UNLINK, "gone", "doomed");
    only = STEPS;
    send_all();
}

static void close_files(void)
{
    for (size_t i = 0; i < ARRAY_LEN(unsent); i++) {
        results[unsent[i]] = run_step(unsent[i]);
        assert_int_equal(results[unsent[i]], 0);
    }
}

static void check_files(void)
{
    send_all();
    no_lock_is_left();
    settle();
    for (size_t i = 0; i < ARRAY_LEN(unsent); i++)
        check_step(unsent[i]);
    goes_on();
}

static void send(void)
{
    (void)outbox_run(a.vfs);
}

static void each_allocation_of_sending(void **state)
{
    (void)state;
    begin("failing allocation while it is sent", ALLOC_STRIDE);
    while (has_more()) {
        seed_files();
        close_files();
        one_fails(send);
        check_files();
    }
    print_message("%s: %u tried\n", what, each_tried());
}

static int started;

static void start_again(void)
{
    started = rig_remount(&a);
}

/* A start says that it can't, or goes without; the next one has all that was acknowledged. */
static void each_allocation_of_a_start(void **state)
{
    (void)state;
    begin("failing allocation of a start", ALLOC_STRIDE);
    while (has_more()) {
        rig_close(&a); /* a cache of its own for each: the next start has no more to do */
        open_a(VFS_COMMIT_LOCAL);
        seed_files();
        close_files();
        one_fails(start_again);
        if (started < 0 && started != -ENOMEM)
            fail_msg("%s %u: %d: %s", what, which, started, err_text());
        if (started < 0)
            assert_int_equal(rig_remount(&a), 0);
        check_files();
    }
    print_message("%s: %u tried\n", what, each_tried());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALLOC_TEST(each_allocation_of_a_local_close, set_up),
        ALLOC_TEST(each_allocation_of_sending, set_up),
        ALLOC_TEST(each_allocation_of_a_start, set_up),
    };

    badalloc_crypto();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
