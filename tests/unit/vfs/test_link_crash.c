/* SPDX-License-Identifier: Apache-2.0 */
/* A mount dies at every request of link, unlink, rename and a commit of a hard link, with that
 * request done or not: what the other mount then finds is one consistent group, and no bytes that
 * were there before are lost. */
#include "dyingmount.h"

#include "coord/link.h"

static int set_up(void **state)
{
    (void)state;
    rig_set_has_fd(NULL);
    open_both(NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_both();
    return 0;
}

static bool is_weak; /* DELETE knows no conditions */

static void start(void)
{
    const struct vfs_conf weak = weak_conf();

    gate.dies_at = 0;
    open_both(is_weak ? &weak : NULL);
}

/* f and g, two names of one file, and h, a file of its own. */
static void make_files(void)
{
    assert_int_equal(rig_put(&a, "f", "old", 3), 0);
    assert_int_equal(rig_link(&a, "f", "g"), 0);
    assert_int_equal(rig_put(&a, "h", "other", 5), 0);
    time_passes();
}

/* What b sees under a name: its bytes, or "" where there is none. */
static void text_of(const char *path, char buf[16], struct stat *st)
{
    ssize_t n;

    memset(buf, 0, 16);
    *st = (struct stat){0};
    if (rig_stat(&b, path, st) == -ENOENT)
        return;
    n = rig_get(&b, path, buf, 15);
    assert_true(n > 0);
    assert_int_equal(rig_stat(&b, path, st), 0);
}

static const char *const names[] = {"f", "g", "h", "new"};
#define N_NAMES 4

/* Names with one number are one file: their bytes and attributes are equal, and there are as many
 * of them as it says. And it goes on being so when one of them is written. */
static void assert_consistent(unsigned k)
{
    char text[N_NAMES][16], again[N_NAMES][16];
    struct stat st[N_NAMES], last;

    for (int pass = 0; pass < 2; pass++) /* who looks mends; then it is right */
        for (size_t n = 0; n < N_NAMES; n++)
            text_of(names[n], text[n], &st[n]);
    for (size_t n = 0; n < N_NAMES; n++) {
        unsigned same = 0;

        for (size_t o = 0; o < N_NAMES && st[n].st_ino != 0; o++) {
            if (st[n].st_ino != st[o].st_ino)
                continue;
            same++;
            if (strcmp(text[n], text[o]) != 0 || st[n].st_mode != st[o].st_mode)
                fail_msg("death at %u: %s and %s differ", k, names[n], names[o]);
        }
        if (st[n].st_ino != 0 && st[n].st_nlink != same)
            fail_msg("death at %u: %s has %u names, not %u", k, names[n], (unsigned)st[n].st_nlink,
                     same);
    }
    if (st[1].st_ino == 0)
        return;
    assert_int_equal(rig_put(&b, "g", "after", 5), 0);
    for (size_t n = 0; n < N_NAMES; n++) {
        text_of(names[n], again[n], &last);
        if (strcmp(again[n], st[n].st_ino == st[1].st_ino ? "after" : text[n]) != 0)
            fail_msg("death at %u: %s is \"%s\" when g was written", k, names[n], again[n]);
    }
}

/* Both mounts see the same of each name, and what a writes to one goes to all of that file. */
static void assert_a_agrees(unsigned k)
{
    char text[16];
    struct stat sa, sb;

    if (rig_stat(&a, "g", &sa) == 0)
        assert_int_equal(rig_put(&a, "g", "by a", 4), 0);
    for (size_t n = 0; n < N_NAMES; n++) {
        char buf[16] = {0};
        int r = rig_stat(&a, names[n], &sa);

        text_of(names[n], text, &sb);
        if (r == 0)
            assert_true(rig_get(&a, names[n], buf, 15) > 0);
        if ((r == 0) != (sb.st_ino != 0) || strcmp(buf, text) != 0)
            fail_msg("failure at %u: %s is \"%s\" on one mount, \"%s\" on the other", k, names[n],
                     buf, text);
        if (r == 0 && (sa.st_ino != sb.st_ino || sa.st_nlink != sb.st_nlink))
            fail_msg("failure at %u: %s has %u names on one mount, %u on the other", k, names[n],
                     (unsigned)sa.st_nlink, (unsigned)sb.st_nlink);
    }
}

/* Nothing gets through from the k-th request of the operation on, until it has failed. */
static void fails_at_every_request(int (*operate)(void))
{
    for (int lost = 0; lost < 2; lost++) {
        for (unsigned k = 1, n = 1; n >= k; k++) {
            make_files();
            a_dies_at(k, lost != 0);
            (void)operate();
            n = atomic_load(&gate.n);
            gate.dies_at = 0;
            b_mends();
            assert_consistent(k);
            time_passes();
            assert_a_agrees(k);
            close_both();
            start();
        }
    }
}

/* Runs the operation with a death at each of its requests. then: what b does before it looks. */
static void at_every_request_and(int (*operate)(void), void (*then)(void),
                                 void (*look)(int r, unsigned k))
{
    for (int lost = 0; lost < 2; lost++) {
        for (unsigned k = 1;; k++) {
            unsigned n;
            int r;

            make_files();
            a_dies_at(k, lost != 0);
            r = operate();
            n = atomic_load(&gate.n);
            b_mends(); /* renames stand under an intent */
            if (then != NULL)
                then();
            assert_consistent(k);
            if (look != NULL)
                look(r, k);
            a_dies_at(1, false);
            close_both();
            start();
            if (n < k) {
                assert_int_equal(r, 0);
                assert_true(k > 3);
                break;
            }
        }
    }
}

static void at_every_request(int (*operate)(void), void (*look)(int r, unsigned k))
{
    at_every_request_and(operate, NULL, look);
}

static void on_a_weak_server(int (*operate)(void), void (*look)(int r, unsigned k))
{
    is_weak = true;
    close_both();
    start();
    at_every_request(operate, look);
    is_weak = false;
}

static int do_link(void)
{
    return rig_link(&a, "f", "new");
}

static int do_first_link(void)
{
    return rig_link(&a, "h", "new");
}

static int do_unlink(void)
{
    return rig_unlink(&a, "f");
}

static int do_rename(void)
{
    return rig_rename(&a, "f", "new", 0);
}

static int do_rename_over(void)
{
    return rig_rename(&a, "f", "h", 0);
}

static int do_replace(void)
{
    return rig_rename(&a, "h", "f", 0);
}

static int do_chmod(void)
{
    return rig_chmod(&a, "f", 0600);
}

static int do_write(void)
{
    return rig_put(&a, "f", "new bytes", 9);
}

/* What close acknowledged is there. */
static void look_at_write(int r, unsigned k)
{
    (void)k;
    if (r == 0)
        assert_text(&b, "f", "after"); /* that of assert_consistent: f and g are one file still */
}

static nlink_t count_of(const char *path)
{
    struct stat st;

    return rig_stat(&b, path, &st) == 0 ? st.st_nlink : 0;
}

/* Two names before, two names after: the old one or the new one, as the intent had it finished. */
static void look_at_rename(int r, unsigned k)
{
    const nlink_t f = count_of("f"), new = count_of("new");

    if (f + new != 2 || (r == 0 && new == 0) || count_of("g") != 2)
        fail_msg("death at %u: f has %u names, new %u", k, (unsigned)f, (unsigned)new);
    if (is_object("f") == is_object("new"))
        fail_msg("death at %u: both keys have an object, or none has", k);
}

static void look_at_rename_over(int r, unsigned k)
{
    const nlink_t f = count_of("f"), h = count_of("h");

    if (f + h != 3 - (f == 0) || (r == 0 && f != 0) || count_of("g") != 2)
        fail_msg("death at %u: f has %u names, h %u", k, (unsigned)f, (unsigned)h);
}

/* A name that was made is there; one in doubt is there or not, with its bytes. */
static void look_at_link(int r, unsigned k)
{
    if (r == 0 && count_of("new") == 0)
        fail_msg("death at %u: link() gave 0", k);
}

static void look_at_unlink(int r, unsigned k)
{
    if (r == 0 && count_of("f") != 0)
        fail_msg("death at %u: unlink() gave 0", k);
    if (count_of("g") != 1 + (count_of("f") != 0))
        fail_msg("death at %u: g has %u names", k, (unsigned)count_of("g"));
}

/* One that dies while it brings a commit to the other names, and then the name that has it goes. */
static int write_to_three(void)
{
    assert_int_equal(rig_link(&b, "g", "new"), 0);
    return rig_put(&a, "f", "new bytes", 9);
}

static void b_unlinks_f(void)
{
    assert_int_equal(rig_unlink(&b, "f"), 0);
}

static void b_renames_f(void)
{
    assert_int_equal(rig_rename(&b, "f", "new", 0), 0);
}

static void b_links_f(void)
{
    assert_int_equal(rig_link(&b, "f", "new"), 0);
}

static void b_links_g(void)
{
    assert_int_equal(rig_link(&b, "g", "new"), 0);
}

static void dies_in_link(void **state)
{
    (void)state;
    at_every_request(do_link, look_at_link);
    at_every_request(do_first_link, look_at_link);
    on_a_weak_server(do_link, look_at_link);
}

static void dies_in_unlink(void **state)
{
    (void)state;
    at_every_request(do_unlink, look_at_unlink);
    on_a_weak_server(do_unlink, look_at_unlink);
}

static void dies_in_rename(void **state)
{
    (void)state;
    at_every_request(do_rename, look_at_rename);
    at_every_request(do_rename_over, look_at_rename_over);
    at_every_request(do_replace, NULL);
    on_a_weak_server(do_rename, look_at_rename);
    on_a_weak_server(do_rename_over, look_at_rename_over);
}

static void dies_in_commit(void **state)
{
    (void)state;
    at_every_request(do_write, look_at_write);
    at_every_request(do_chmod, NULL);
    at_every_request_and(write_to_three, b_unlinks_f, NULL);
    at_every_request_and(do_write, b_renames_f, NULL);
    at_every_request_and(do_write, b_links_f, NULL);
    at_every_request_and(do_chmod, b_links_f, NULL);
    at_every_request_and(do_write, b_links_g, NULL);
}

static void fails_in_link(void **state)
{
    (void)state;
    fails_at_every_request(do_link);
    fails_at_every_request(do_first_link);
}

static void fails_in_unlink(void **state)
{
    (void)state;
    fails_at_every_request(do_unlink);
}

static void fails_in_rename(void **state)
{
    (void)state;
    fails_at_every_request(do_rename);
    fails_at_every_request(do_rename_over);
    fails_at_every_request(do_replace);
}

static void fails_in_commit(void **state)
{
    (void)state;
    fails_at_every_request(do_write);
    fails_at_every_request(do_chmod);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(dies_in_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dies_in_unlink, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dies_in_rename, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dies_in_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fails_in_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fails_in_unlink, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fails_in_rename, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fails_in_commit, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
