/* SPDX-License-Identifier: Apache-2.0 */
/* A mount dies when the bucket has taken a new version and nobody has been told: the next one, with
 * the cache that the dead one has left, shows what the bucket has. Its ETag is the same. */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#define LATER "user.later"

static void snapshot(void *arg, struct store *s, const struct store_req *req, int result)
{
    bool *is_done = arg;

    (void)s;
    if (result != 0 || (req->op != STORE_PUT && req->op != STORE_COPY) || *is_done ||
        strcmp(req->key, "f") != 0)
        return;
    *is_done = true;
    assert_int_equal(rig_snapshot(&rig), 0);
}

static int set_attr(const struct stat *st, int mask)
{
    struct vfs_entry e;
    struct stat now;
    int64_t ns;
    int r = rig_walk(&rig, "f", &e);

    if (r < 0)
        return r;
    r = vfs_setattr(rig.vfs, &rig.ctx, e.node, 0, st, mask, &now, &ns);
    vfs_forget(rig.vfs, e.node, 1);
    return r;
}

static int change_mode(void)
{
    return rig_chmod(&rig, "f", 0600);
}

static int change_owner(void)
{
    return rig_chown(&rig, "f", 7, 8);
}

static int change_mtime(void)
{
    return set_attr(&(struct stat){.st_mtim.tv_sec = 1234567}, VFS_SET_MTIME);
}

static int change_xattr(void)
{
    struct vfs_entry e;
    int r = rig_walk(&rig, "f", &e);

    if (r < 0)
        return r;
    r = vfs_setxattr(rig.vfs, &rig.ctx, e.node, LATER, "1", 1, 0);
    vfs_forget(rig.vfs, e.node, 1);
    return r;
}

static int overwrite(void)
{
    return rig_put(&rig, "f", "longer than that", 16);
}

static const struct change {
    int (*make)(void);
    mode_t mode;
    uid_t uid;
    off_t size;
    bool has_mtime, has_xattr;
} changes[] = {
    {.make = change_mode, .mode = 0600, .size = 3},
    {.make = change_owner, .mode = 0644, .uid = 7, .size = 3},
    {.make = change_mtime, .mode = 0644, .size = 3, .has_mtime = true},
    {.make = change_xattr, .mode = 0644, .size = 3, .has_xattr = true},
    {.make = overwrite, .mode = 0644, .size = 16},
};

static void check_stat(const struct change *c, const struct stat *st)
{
    assert_int_equal(st->st_mode & 07777, c->mode);
    assert_int_equal(st->st_uid, c->uid);
    assert_int_equal(st->st_size, c->size);
    if (c->has_mtime)
        assert_int_equal(st->st_mtim.tv_sec, 1234567);
}

static void check_xattr(const struct change *c)
{
    struct vfs_entry e;
    char value[4];

    if (!c->has_xattr)
        return;
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    assert_int_equal(vfs_getxattr(rig.vfs, e.node, LATER, value, sizeof(value)), 1);
    vfs_forget(rig.vfs, e.node, 1);
}

/* The change is made, and the mount was dead by then. */
static void die_in(const struct change *c)
{
    bool is_done = false;

    assert_int_equal(rig_put(&rig, "f", "old", 3), 0);
    memstore_set_hooks(rig.store, NULL, snapshot, &is_done);
    assert_int_equal(c->make(), 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_true(is_done);
    assert_int_equal(rig_crash(&rig), 0);
}

static int unlink_f(void)
{
    return rig_unlink(&rig, "f");
}

static void by_name(void **state)
{
    struct stat st;

    (void)state;
    for (size_t n = 0; n < sizeof(changes) / sizeof(changes[0]); n++) {
        die_in(&changes[n]);
        assert_int_equal(rig_stat(&rig, "f", &st), 0);
        check_stat(&changes[n], &st);
        check_xattr(&changes[n]);
        assert_int_equal(unlink_f(), 0);
    }
}

static int take_stat(void *arg, const char *name, const struct vfs_entry *e, uint64_t next_off)
{
    const struct change *c = arg;

    (void)next_off;
    if (strcmp(name, "f") != 0)
        return 0;
    if (e->node != 0) { /* its attributes are given out with it */
        check_stat(c, &e->st);
        vfs_forget(rig.vfs, e->node, 1);
    }
    return 0;
}

/* In the same second as the version before, so a listing shows no difference, however late it is.
 */
static void by_listing(void **state)
{
    struct stat st;
    uint64_t fh;

    (void)state;
    for (size_t n = 0; n < sizeof(changes) / sizeof(changes[0]); n++) {
        die_in(&changes[n]);
        clock_fake_add(10 * NS_PER_S);
        assert_int_equal(vfs_opendir(rig.vfs, VFS_ROOT, &fh), 0);
        assert_int_equal(
            vfs_readdir(rig.vfs, fh, 0, true, take_stat, (void *)(uintptr_t)&changes[n]), 0);
        vfs_releasedir(rig.vfs, fh);
        assert_int_equal(rig_stat(&rig, "f", &st), 0);
        check_stat(&changes[n], &st);
        check_xattr(&changes[n]);
        assert_int_equal(unlink_f(), 0);
    }
}

/* Where nothing dies the reply settles it: a mount that ends well leaves what it knew. */
static void settled(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "old", 3), 0);
    assert_int_equal(change_mode(), 0);
    assert_int_equal(rig_remount(&rig), 0);
    memstore_count_reset(rig.store);
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(memstore_count(rig.store, STORE_HEAD), 0);
}

/* A lookup that has seen the version before, and whose answer comes when the new one is taken. */
static struct {
    atomic_bool is_asked, may_end, has_ended, is_dead;
    int result;
} late;

static void hold_answer(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    if (result != 0 || strcmp(req->key != NULL ? req->key : "", "f") != 0)
        return;
    if (req->op == STORE_HEAD && !atomic_exchange(&late.is_asked, true))
        while (!late.may_end)
            usleep(1000);
    if ((req->op != STORE_PUT && req->op != STORE_COPY) || atomic_exchange(&late.is_dead, true))
        return;
    late.may_end = true;
    while (!late.has_ended)
        usleep(1000);
    assert_int_equal(rig_snapshot(&rig), 0);
}

static void *look_up_late(void *arg)
{
    struct vfs_entry e;

    (void)arg;
    late.result = rig_walk(&rig, "f", &e);
    if (late.result == 0)
        vfs_forget(rig.vfs, e.node, 1);
    late.has_ended = true;
    return NULL;
}

static void answers_that_come_late(void **state)
{
    struct stat st;

    (void)state;
    for (size_t n = 0; n < sizeof(changes) / sizeof(changes[0]); n++) {
        pthread_t thread;

        memset(&late, 0, sizeof(late));
        assert_int_equal(rig_put(&rig, "f", "old", 3), 0);
        clock_fake_add(120 * NS_PER_S);
        memstore_set_hooks(rig.store, NULL, hold_answer, NULL);
        assert_int_equal(pthread_create(&thread, NULL, look_up_late, NULL), 0);
        while (!late.is_asked)
            usleep(1000);
        assert_int_equal(changes[n].make(), 0);
        pthread_join(thread, NULL);
        memstore_set_hooks(rig.store, NULL, NULL, NULL);
        assert_int_equal(late.result, 0);
        assert_true(late.is_dead);
        assert_int_equal(rig_crash(&rig), 0);
        assert_int_equal(rig_stat(&rig, "f", &st), 0);
        check_stat(&changes[n], &st);
        check_xattr(&changes[n]);
        assert_int_equal(unlink_f(), 0);
    }
}

/* Also when the request has ended, whichever way. */
static void answers_that_come_after_it(void **state)
{
    pthread_t thread;
    struct stat st;

    (void)state;
    memset(&late, 0, sizeof(late));
    assert_int_equal(rig_put(&rig, "f", "old", 3), 0);
    clock_fake_add(120 * NS_PER_S);
    late.is_dead = true; /* later */
    memstore_set_hooks(rig.store, NULL, hold_answer, NULL);
    assert_int_equal(pthread_create(&thread, NULL, look_up_late, NULL), 0);
    while (!late.is_asked)
        usleep(1000);
    memstore_lose(rig.store, STORE_COPY, 1, 1u << 20, -EIO);
    memstore_lose(rig.store, STORE_PUT, 1, 1u << 20, -EIO);
    memstore_fail(rig.store, STORE_HEAD, 2, 1u << 20, -EIO);
    assert_int_not_equal(change_mode(), 0);
    memstore_clear_faults(rig.store);
    late.may_end = true;
    pthread_join(thread, NULL);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_int_equal(late.result, 0);
    assert_int_equal(rig_crash(&rig), 0);
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(by_name),
        T(by_listing),
        T(settled),
        T(answers_that_come_late),
        T(answers_that_come_after_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
