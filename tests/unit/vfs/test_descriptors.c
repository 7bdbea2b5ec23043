/* SPDX-License-Identifier: Apache-2.0 */
/* Unsent files need no descriptor while nobody uses them, however many they are; and at the limit
 * of descriptors those that only save time give way. */
#include "localmount.h"

#include <dirent.h>
#include <sys/resource.h>

#define FILES 100
#define STAGES 40 /* descriptors for staged files, a quarter */

static struct rlimit was;

static unsigned descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static const char *name_of(unsigned i)
{
    static char name[16];

    snprintf(name, sizeof(name), "f%03u", i);
    return name;
}

static void put_many(void)
{
    for (unsigned i = 0; i < FILES; i++)
        put_text(name_of(i), name_of(i));
}

/* The cache's own thread has a folder open now and then. */
static bool comes_down_to(unsigned most)
{
    for (unsigned n = 0; n < 6000 && descriptors() > most; n++)
        usleep(10000);
    return descriptors() <= most;
}

static void unsent_files_need_none(void **state)
{
    unsigned before;

    (void)state;
    put_text("first", "x");
    before = descriptors();
    put_many();
    assert_int_equal(entries(), FILES + 1);
    assert_true(comes_down_to(before + 1));
    for (unsigned i = 0; i < FILES; i++)
        assert_file(name_of(i), name_of(i)); /* readers open it again, and leave it so */
    assert_true(comes_down_to(before + 1));
    assert_int_equal(append_text("f007", " and more"), 0);
    assert_true(comes_down_to(before + 1));
    assert_int_equal(rig_remount(&rig), 0);
    assert_true(comes_down_to(before + 1));
    assert_int_equal(outbox_run(rig.vfs), FILES + 1);
    assert_true(comes_down_to(before + 1));
    for (unsigned i = 0; i < FILES; i++)
        assert_object(name_of(i), i == 7 ? "f007 and more" : name_of(i));
}

/* No descriptor is left: those of block files that are open to be read again give way. */
static void at_the_limit(void **state)
{
    struct rlimit none;
    int lowest;

    (void)state;
    put_many();
    assert_int_equal(outbox_run(rig.vfs), FILES);
    for (unsigned i = 0; i < 20; i++)
        assert_file(name_of(i), name_of(i));
    lowest = dup(0);
    assert_true(lowest > 0);
    close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)lowest, .rlim_max = was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(dup(0), -1);
    assert_int_equal(errno, EMFILE);
    for (unsigned i = 0; i < 5; i++)
        put_text("new", name_of(i));
    for (unsigned i = 0; i < 20; i++)
        assert_file(name_of(i), name_of(i));
    assert_file("new", "f004");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_int_equal(outbox_run(rig.vfs), 1);
    assert_object("new", "f004");
}

static int setup_few(void **state)
{
    struct rlimit few;

    if (getrlimit(RLIMIT_NOFILE, &was) < 0)
        return -1;
    few = (struct rlimit){.rlim_cur = 4 * STAGES, .rlim_max = was.rlim_max};
    return setrlimit(RLIMIT_NOFILE, &few) < 0 ? -1 : setup(state);
}

static int teardown_few(void **state)
{
    int r = teardown(state);

    return setrlimit(RLIMIT_NOFILE, &was) < 0 ? -1 : r;
}

/* However many are open and were written to, they have a quarter of the descriptors. */
static void open_files_have_a_part(void **state)
{
    unsigned before = descriptors();
    uint64_t fh[FILES];
    char text[32], want[32];

    (void)state;
    for (unsigned i = 0; i < FILES; i++) {
        assert_int_equal(rig_creat(&rig, name_of(i), O_RDWR, 0644, &fh[i]), 0);
        assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh[i], 0, name_of(i), 4), 4);
    }
    assert_true(comes_down_to(before + STAGES + 2));
    for (unsigned i = 0; i < FILES; i++) {
        assert_int_equal(vfs_read(rig.vfs, fh[i], 0, text, sizeof(text)), 4);
        assert_memory_equal(text, name_of(i), 4);
    }
    assert_true(comes_down_to(before + STAGES + 2));
    for (unsigned i = 0; i < FILES; i++) {
        assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh[i], 4, " and", 4), 4);
        assert_int_equal(rig_shut(&rig, fh[i]), 0);
    }
    assert_true(comes_down_to(before + 2 + 64)); /* block files, to be read again */
    for (unsigned i = 0; i < FILES; i++) {
        snprintf(want, sizeof(want), "%s and", name_of(i));
        assert_object(name_of(i), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(unsent_files_need_none, local_setup, teardown),
        cmocka_unit_test_setup_teardown(at_the_limit, local_setup, teardown),
        cmocka_unit_test_setup_teardown(open_files_have_a_part, setup_few, teardown_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
