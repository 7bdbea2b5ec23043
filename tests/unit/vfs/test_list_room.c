/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that are listed at once take no more memory than their share: calls wait, one that is
 * larger than all of it goes on alone, none fails. What open directories show goes to files when it
 * is too much. */
#include "onemount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/lock.h"
#include "fs/vfs/listroom.h"
#include "tests/lib/baddisk.h"

#define SHARE (UINT64_C(2) << 20)
#define TO_MAKE (SHARE / 4 * 3)
#define KEPT (SHARE / 4)
#define AT_ONCE 2 /* pages, that TO_MAKE has room for */
#define DIRS 8
#define LARGE 20000 /* names: more than TO_MAKE */
#define MIDDLE 2000

static struct {
    struct lock lock;
    struct cond changed;
    bool holds, is_watched;
    const char *only;    /* holds those of this prefix, */
    uint64_t only_above; /* when so much is taken; NULL: all */
    unsigned held, lists;
    uint64_t most; /* that listings took */
} t;

static int setup_limited(void **state)
{
    struct vfs_conf conf;

    (void)state;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_set_has_fd(NULL);
    rig_defaults(&conf);
    conf.lists_max = SHARE;
    memset(&t, 0, sizeof(t));
    lock_init(&t.lock, LOCK_LEAF);
    cond_init(&t.changed);
    return rig_open(&rig, &conf);
}

static int teardown_limited(void **state)
{
    int r = teardown(state);

    if (t.is_watched) /* the cache has a thread, too */
        baddisk_unwatch();
    cond_done(&t.changed);
    lock_done(&t.lock);
    return r;
}

static struct vfs_stats stats(void)
{
    struct vfs_stats s;

    vfs_stats_get(rig.vfs, &s);
    return s;
}

/* Every LIST of a directory: how much is taken meanwhile; and it is held for as long as the test
 * wants. */
static void on_list(void *arg, struct store *s, const struct store_req *req, int result)
{
    uint64_t now;

    (void)arg;
    (void)s;
    (void)result;
    if (req->op != STORE_LIST || !req->delimited)
        return;
    now = stats().lists_memory;
    lock_take(&t.lock);
    if (now > t.most)
        t.most = now;
    t.lists++;
    if (t.only == NULL || (strcmp(req->prefix, t.only) == 0 && now > t.only_above)) {
        t.held++;
        while (t.holds)
            cond_wait(&t.changed, &t.lock);
        t.held--;
    }
    lock_drop(&t.lock);
}

static void let_go(void)
{
    lock_take(&t.lock);
    t.holds = false;
    cond_broadcast(&t.changed);
    lock_drop(&t.lock);
}

static unsigned held(void)
{
    lock_take(&t.lock);
    unsigned n = t.held;
    lock_drop(&t.lock);
    return n;
}

static void make_dir(unsigned d, unsigned files)
{
    char key[64];

    for (unsigned i = 0; i < files; i++) {
        snprintf(key, sizeof(key), "d%u/a-name-%06u", d, i);
        foreign_put(key, "");
    }
}

static uint64_t open_dir(unsigned d)
{
    char name[16];
    struct vfs_entry e;
    uint64_t fh;

    snprintf(name, sizeof(name), "d%u", d);
    assert_int_equal(rig_walk(&rig, name, &e), 0);
    assert_int_equal(vfs_opendir(rig.vfs, e.node, &fh), 0);
    vfs_forget(rig.vfs, e.node, 1);
    return fh;
}

struct seen {
    unsigned n, bad, left; /* left: of this call */
    uint64_t off;
};

static int see(void *arg, const char *name, const struct vfs_entry *e, uint64_t next_off)
{
    struct seen *s = arg;
    char want[64];

    (void)e;
    if (s->left == 0)
        return 1;
    s->left--;
    s->off = next_off;
    if (name[0] == '.')
        return 0;
    snprintf(want, sizeof(want), "a-name-%06u", s->n++);
    s->bad += strcmp(name, want) != 0;
    return 0;
}

/* All of them, in their order, so many a call. */
static unsigned count(uint64_t fh, unsigned each)
{
    struct seen s = {.left = each};

    while (s.left == each || s.left == 0) {
        unsigned before = s.n;

        s.left = each;
        assert_int_equal(vfs_readdir(rig.vfs, fh, s.off, false, see, &s), 0);
        if (s.n == before && s.left != 0)
            break;
    }
    assert_int_equal(s.bad, 0);
    return s.n;
}

struct job {
    pthread_t thread;
    uint64_t node, fh;
    int result;
    atomic_bool is_done;
};

static void *open_it(void *arg)
{
    struct job *j = arg;

    j->result = vfs_opendir(rig.vfs, j->node, &j->fh);
    j->is_done = true;
    return NULL;
}

static void look_up(struct job *j, unsigned d)
{
    char name[16];
    struct vfs_entry e;

    snprintf(name, sizeof(name), "d%u", d);
    assert_int_equal(rig_walk(&rig, name, &e), 0);
    *j = (struct job){.node = e.node};
}

static void start(struct job *jobs, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        look_up(&jobs[i], i);
    memstore_set_hooks(rig.store, on_list, NULL, NULL);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(pthread_create(&jobs[i].thread, NULL, open_it, &jobs[i]), 0);
}

static void close_it(struct job *j, unsigned files)
{
    assert_int_equal(j->result, 0);
    assert_int_equal(count(j->fh, 100), files);
    vfs_releasedir(rig.vfs, j->fh);
    vfs_forget(rig.vfs, j->node, 1);
}

static void finish(struct job *jobs, unsigned n, unsigned files)
{
    for (unsigned i = 0; i < n; i++)
        pthread_join(jobs[i].thread, NULL);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    for (unsigned i = 0; i < n; i++)
        close_it(&jobs[i], files);
    assert_int_equal(stats().lists_memory, 0);
    assert_int_equal(stats().lists_kept, 0);
}

/* While others hang? */
static bool ends(struct job *j)
{
    uint64_t before = stats().lists_waiting;

    assert_int_equal(pthread_create(&j->thread, NULL, open_it, j), 0);
    while (!j->is_done && stats().lists_waiting == before)
        usleep(1000);
    return j->is_done;
}

static void listings_wait_for_room(void **state)
{
    struct job jobs[DIRS];
    unsigned n;

    (void)state;
    for (unsigned d = 0; d < DIRS; d++)
        make_dir(d, 3);
    t.holds = true;
    start(jobs, DIRS);
    while (held() <= AT_ONCE && (held() < AT_ONCE || stats().lists_waiting < DIRS - AT_ONCE))
        usleep(1000);
    n = held();
    let_go();
    finish(jobs, DIRS, 3);
    assert_int_equal(n, AT_ONCE);
    assert_true(t.most <= TO_MAKE + LISTROOM_LIST); /* one looks into the cache (ROOM-3) meanwhile */
}

static void larger_ones_go_on_one_at_a_time(void **state)
{
    struct job jobs[3];
    uint64_t one;

    (void)state;
    for (unsigned d = 0; d < 3; d++)
        make_dir(d, LARGE);
    start(jobs, 1);
    finish(jobs, 1, LARGE);
    one = t.most;
    assert_true(one > TO_MAKE);
    clock_fake_add(120 * NS_PER_S);
    start(jobs, 3);
    finish(jobs, 3, LARGE);
    assert_true(t.most <= TO_MAKE + one + (1 << 20)); /* what came after its last page */
}

/* From the cache, which asks for room as it is read. */
static void larger_than_the_share_and_cached(void **state)
{
    struct job jobs[2];

    (void)state;
    for (unsigned d = 0; d < 2; d++) {
        make_dir(d, LARGE);
        vfs_releasedir(rig.vfs, open_dir(d));
    }
    start(jobs, 2);
    finish(jobs, 2, LARGE);
    assert_int_equal(t.lists, 0);
}

/* Two LISTs that hang have all the room. */
static void cached_ones_wait_for_no_list(void **state)
{
    struct job jobs[4];
    bool small, large;

    (void)state;
    make_dir(0, 3);
    make_dir(1, 3);
    make_dir(2, 3);
    make_dir(3, LARGE);
    vfs_releasedir(rig.vfs, open_dir(2));
    vfs_releasedir(rig.vfs, open_dir(3));
    look_up(&jobs[2], 2);
    look_up(&jobs[3], 3);
    t.holds = true;
    start(jobs, AT_ONCE);
    while (held() < AT_ONCE)
        usleep(1000);
    small = ends(&jobs[2]);
    large = ends(&jobs[3]);
    let_go();
    for (unsigned i = 0; i < 4; i++)
        pthread_join(jobs[i].thread, NULL);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    for (unsigned i = 0; i < 4; i++)
        close_it(&jobs[i], i < 3 ? 3 : LARGE);
    assert_true(small);
    assert_true(large);
    assert_int_equal(t.lists, AT_ONCE);
}

/* What goes on apart hangs: it stops only those who want that, too, and they hold nothing. */
static void a_large_one_that_hangs_stops_few(void **state)
{
    struct job jobs[4];
    uint64_t apart, held_meanwhile;
    bool large, cached, small;

    (void)state;
    for (unsigned d = 0; d < 3; d++)
        make_dir(d, LARGE);
    make_dir(3, 3);
    vfs_releasedir(rig.vfs, open_dir(2));
    for (unsigned i = 1; i < 4; i++)
        look_up(&jobs[i], i);
    t.holds = true;
    t.only = "d0/";
    t.only_above = TO_MAKE;
    start(jobs, 1);
    while (held() < 1)
        usleep(1000);
    apart = stats().lists_memory;
    large = ends(&jobs[1]);
    held_meanwhile = stats().lists_memory;
    cached = ends(&jobs[2]);
    small = ends(&jobs[3]);
    let_go();
    for (unsigned i = 0; i < 4; i++)
        pthread_join(jobs[i].thread, NULL);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    for (unsigned i = 0; i < 4; i++)
        close_it(&jobs[i], i < 3 ? LARGE : 3);
    assert_false(large);
    assert_int_equal(held_meanwhile, apart);
    assert_true(cached);
    assert_true(small);
    assert_int_equal(stats().lists_memory, 0);
}

static unsigned n_changes(void)
{
    const struct asking *a;
    unsigned n = 0;

    lock_take(&rig.vfs->tree);
    a = rig.vfs->locked.asking;
    assert_non_null(a);
    assert_null(a->next);
    for (const struct asking_change *c = a->changes; c != NULL; c = c->next)
        n++;
    lock_drop(&rig.vfs->tree);
    return n;
}

static void change_names(const struct job *j, unsigned n)
{
    char name[32];

    lock_take(&rig.vfs->tree);
    for (unsigned i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "other-%06u", i);
        names_changed_locked(rig.vfs, inode_by_node_locked(rig.vfs, j->node), name, false, false);
    }
    lock_drop(&rig.vfs->tree);
}

/* Of changes while a LIST is under way no more are remembered than it takes to keep most lists:
 * then it is not kept at all. */
static void changes_during_a_list_are_bounded(void **state)
{
    static const unsigned n[] = {900, 5000}, lists[] = {1, 2};

    (void)state;
    make_dir(0, 3);
    for (unsigned i = 0; i < 2; i++) {
        struct job j;
        unsigned kept;

        t.lists = 0;
        t.holds = true;
        start(&j, 1);
        while (held() < 1)
            usleep(1000);
        change_names(&j, n[i]);
        kept = n_changes();
        let_go();
        finish(&j, 1, 3);
        start(&j, 1);
        finish(&j, 1, 3);
        assert_true(kept <= 1000);
        assert_int_equal(t.lists, lists[i]);
        clock_fake_add(120 * NS_PER_S);
    }
}

static unsigned names_in(const char *path)
{
    DIR *d = opendir(path);
    unsigned n = 0;

    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d))
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static unsigned stages(void)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/stage", rig.dir);
    return names_in(path);
}

/* As many as anybody likes, and nobody waits for one to be closed. */
static void open_directories_go_to_files(void **state)
{
    uint64_t fh[30];
    unsigned fds, n = sizeof(fh) / sizeof(fh[0]);

    (void)state;
    make_dir(0, MIDDLE);
    fds = names_in("/proc/self/fd");
    for (unsigned i = 0; i < n; i++)
        fh[i] = open_dir(0);
    assert_true(stages() > n - 5 && stages() < n);
    assert_true(stats().lists_kept <= KEPT + n * (MIDDLE / 64 + 2) * 16);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(count(fh[i], 1 + i * 3), MIDDLE);
    assert_true(names_in("/proc/self/fd") <= fds + 1); /* LMDB's, or a first block file */
    for (unsigned i = 0; i < n; i++)
        vfs_releasedir(rig.vfs, fh[i]);
    assert_int_equal(stages(), 0);
    assert_int_equal(stats().lists_kept, 0);
}

static void without_a_disk_they_stay_in_memory(void **state)
{
    uint64_t fh[8];

    (void)state;
    make_dir(0, MIDDLE);
    fh[0] = open_dir(0); /* the rest is the cache's */
    baddisk_watch(rig.dir, false);
    t.is_watched = true;
    baddisk_fail(1, ENOSPC, true);
    for (unsigned i = 1; i < 8; i++)
        fh[i] = open_dir(0);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(count(fh[i], 500), MIDDLE);
    baddisk_fail(0, 0, false);
    assert_int_equal(stages(), 0);
    assert_true(stats().lists_kept > KEPT);
    for (unsigned i = 0; i < 8; i++)
        vfs_releasedir(rig.vfs, fh[i]);
    assert_int_equal(stats().lists_kept, 0);
}

/* One byte of each staged file. */
static void damage(void)
{
    char path[512];
    DIR *d;

    snprintf(path, sizeof(path), "%s/stage", rig.dir);
    d = opendir(path);
    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        int fd;

        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/stage/%s", rig.dir, e->d_name);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, "#", 1, 40), 1);
        close(fd);
    }
    closedir(d);
}

static void a_damaged_file_is_noticed(void **state)
{
    struct seen s = {.left = 100};
    uint64_t fh[8];

    (void)state;
    make_dir(0, MIDDLE);
    for (unsigned i = 0; i < 8; i++)
        fh[i] = open_dir(0);
    assert_true(stages() > 0);
    damage();
    assert_int_equal(vfs_readdir(rig.vfs, fh[7], 0, false, see, &s), -EIO);
    assert_int_equal(s.n, 0);
    assert_int_equal(count(fh[0], 100), MIDDLE); /* in memory */
    assert_int_equal(vfs_readdir(rig.vfs, fh[7], 0, false, see, &s),
                     0); /* rewound: it is listed again */
    for (unsigned i = 0; i < 8; i++)
        vfs_releasedir(rig.vfs, fh[i]);
}

#define R(f) cmocka_unit_test_setup_teardown(f, setup_limited, teardown_limited)

int main(void)
{
    const struct CMUnitTest tests[] = {
        R(listings_wait_for_room),
        R(larger_ones_go_on_one_at_a_time),
        R(larger_than_the_share_and_cached),
        R(cached_ones_wait_for_no_list),
        R(a_large_one_that_hangs_stops_few),
        R(changes_during_a_list_are_bounded),
        R(open_directories_go_to_files),
        R(without_a_disk_they_stay_in_memory),
        R(a_damaged_file_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
