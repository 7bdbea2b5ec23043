/* SPDX-License-Identifier: Apache-2.0 */
/* What names take in memory is counted; above three quarters of the limit the kernel is asked to
 * forget those that it has not asked for longest, down to half of it, and never what is in use. The
 * test is the kernel here. */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define LIMIT (256 * 1024)
static unsigned asked; /* names_many was called */

static void note(void *arg)
{
    (void)arg;
    asked++;
}

static int setup_limited(void **state)
{
    struct vfs_conf conf;

    (void)state;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_set_has_fd(NULL);
    rig_defaults(&conf);
    conf.names_max = LIMIT;
    conf.names_many = note;
    asked = 0;
    return rig_open(&rig, &conf);
}

static uint64_t bytes_now(void)
{
    struct vfs_stats st;

    vfs_stats_get(rig.vfs, &st);
    return st.names_bytes;
}

/* Looks a name up, as a kernel does that never forgets. */
static uint64_t look_at(const char *name)
{
    struct vfs_entry e;

    assert_int_equal(rig_walk(&rig, name, &e), 0);
    return e.node;
}

static uint64_t look(unsigned i)
{
    char name[64];

    snprintf(name, sizeof(name), "f%03u", i);
    return look_at(name);
}

static void make_files(unsigned n)
{
    char name[64];

    for (unsigned i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "f%03u", i);
        foreign_put(name, "x");
    }
}

/* Forgets what it is told, and says how many. */
static size_t forget_all(uint64_t *ret_first)
{
    struct vfs_idle v[16];
    size_t n, sum = 0;

    while ((n = vfs_idle_get(rig.vfs, v, 16)) > 0) {
        for (size_t i = 0; i < n; i++) {
            if (sum + i == 0)
                *ret_first = v[0].node;
            assert_int_equal(v[i].dir, VFS_ROOT);
            vfs_forget(rig.vfs, v[i].node, 1);
        }
        sum += n;
    }
    return sum;
}

static void least_recently_used_first(void **state)
{
    uint64_t second, first = 0;
    unsigned n = 0;
    size_t told;

    (void)state;
    make_files(600);
    look(n++);
    second = look(n++);
    while (asked == 0 && n < 600)
        look(n++);
    assert_int_equal(asked, 1);
    assert_true(bytes_now() > LIMIT / 4 * 3 && bytes_now() < LIMIT);
    look(0);
    told =
        forget_all(&first); /* the first one was looked up again, and forgets only one of its two */
    assert_true(told > 0 && told < n);
    assert_int_equal(first, second);
    assert_true(bytes_now() <= LIMIT / 2);
    for (unsigned i = 0; i < 600; i++) { /* and so for ever */
        look(i);
        forget_all(&first);
        assert_true(bytes_now() < LIMIT);
    }
    assert_true(asked > 3);
}

/* An opened file is more than a name, and stays so until it is forgotten. */
static void what_was_opened_counts(void **state)
{
    uint64_t fh, names, opened, first = 0;
    unsigned n = 0;
    char name[64];

    (void)state;
    make_files(600);
    for (unsigned i = 0; i < 10; i++)
        look(i);
    names = bytes_now();
    for (; n < 10; n++) {
        snprintf(name, sizeof(name), "f%03u", n);
        assert_int_equal(rig_open_file(&rig, name, O_RDONLY, &fh), 0);
        vfs_release(rig.vfs, fh);
    }
    opened = bytes_now() - names;
    assert_true(opened > 10 * 1024);
    while (asked == 0 && n < 600) {
        look(n);
        snprintf(name, sizeof(name), "f%03u", n++);
        assert_int_equal(rig_open_file(&rig, name, O_RDONLY, &fh), 0);
        vfs_release(rig.vfs, fh);
    }
    assert_true(n < LIMIT * 3 / 4 / (opened / 10)); /* fewer than without their names */
    assert_true(forget_all(&first) > 0);
    assert_true(bytes_now() <= LIMIT / 2 + opened / 10); /* the one that was being opened */
}

static void what_is_in_use_stays(void **state)
{
    uint64_t fh, written, first = 0, open_node, dirty_node;
    struct vfs_entry e;
    struct vfs_idle v[64];
    unsigned n = 0;
    size_t got;

    (void)state;
    make_files(600);
    foreign_put("d/below", "x");
    assert_int_equal(rig_open_file(&rig, "f000", O_RDONLY, &fh), 0);
    open_node = look(0);
    assert_int_equal(rig_creat(&rig, "new", O_WRONLY, 0644, &written), 0);
    dirty_node = look_at("new");
    assert_int_equal(rig_walk(&rig, "d/below", &e), 0);
    for (; asked == 0 && n < 600; n++)
        look(n);
    while ((got = vfs_idle_get(rig.vfs, v, 64)) > 0)
        for (size_t i = 0; i < got; i++) {
            assert_int_not_equal(v[i].node, open_node);
            assert_int_not_equal(v[i].node, dirty_node);
            assert_string_not_equal(v[i].name, "d");
        }
    /* Told and not forgotten: not asked for again at each name that comes, but when more have. */
    for (unsigned i = 0; i < 5; i++)
        look(n++);
    assert_int_equal(asked, 1);
    while (asked == 1 && n < 600)
        look(n++);
    assert_int_equal(asked, 2);
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, written), 0);
    vfs_release(rig.vfs, written);
    vfs_release(rig.vfs, fh);
    (void)forget_all(&first);
}

static int count_nodes(void *arg, const char *name, const struct vfs_entry *e, uint64_t next_off)
{
    unsigned *count = arg;

    (void)name;
    (void)next_off;
    count[0]++;
    count[1] += e->node != 0;
    return 0;
}

/* A listing then brings names only. */
static void listings_bring_no_more(void **state)
{
    unsigned count[2] = {0, 0}, full[2] = {0, 0};
    uint64_t fh, before;

    (void)state;
    make_files(400);
    for (unsigned i = 0; i < 20; i++)
        look(i);
    assert_int_equal(vfs_opendir(rig.vfs, VFS_ROOT, &fh), 0);
    assert_int_equal(vfs_readdir(rig.vfs, fh, 0, true, count_nodes, count), 0);
    assert_int_equal(count[0], 402);
    assert_int_equal(count[1], 20);
    for (unsigned i = 20; i < 400; i++)
        look(i);
    before = bytes_now();
    assert_true(before > LIMIT);
    assert_int_equal(vfs_readdir(rig.vfs, fh, 0, true, count_nodes, full), 0);
    assert_int_equal(full[0], 402);
    assert_int_equal(full[1], 0);
    assert_int_equal(bytes_now(), before);
    vfs_releasedir(rig.vfs, fh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(least_recently_used_first, setup_limited, teardown),
        cmocka_unit_test_setup_teardown(what_was_opened_counts, setup_limited, teardown),
        cmocka_unit_test_setup_teardown(what_is_in_use_stays, setup_limited, teardown),
        cmocka_unit_test_setup_teardown(listings_bring_no_more, setup_limited, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
