/* SPDX-License-Identifier: Apache-2.0 */
/* NFS's options of what is believed without asking, and for how long (nfs(5)): acregmin acregmax
 * acdirmin acdirmax noac nocto lookupcache. Requests are counted on a clock that the test moves. */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static struct rig other; /* another mount of the bucket */

static int teardown_two(void **state)
{
    if (other.vfs != NULL)
        rig_close(&other);
    other.vfs = NULL;
    return teardown(state);
}

/* The rig again, with other options. */
static struct vfs_conf *options(void)
{
    return &rig.conf;
}

static void remount(void)
{
    assert_int_equal(rig_remount(&rig), 0);
    memstore_count_reset(rig.store);
}

/* All requests since the last call. */
static unsigned asked(void)
{
    unsigned n = (unsigned)memstore_count(rig.store, STORE_OPS);

    memstore_count_reset(rig.store);
    return n;
}

static void wait_s(int64_t s)
{
    clock_fake_add(s * NS_PER_S);
}

static unsigned asked_by_getattr(uint64_t node)
{
    struct stat st;
    int64_t ns;

    assert_int_equal(vfs_getattr(rig.vfs, node, 0, &st, &ns), 0);
    return asked();
}

/* Believed for acregmin; then, as long as it does not change, for twice the time, up to acregmax.
 */
static void acregmin_acregmax(void **state)
{
    struct vfs_entry e;

    (void)state;
    options()->acregmin_ns = 5 * NS_PER_S;
    options()->acregmax_ns = 8 * NS_PER_S;
    remount();
    foreign_put("f", "1");
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    assert_int_equal(asked(), 1);
    wait_s(4);
    assert_int_equal(asked_by_getattr(e.node), 0);
    wait_s(1);
    assert_int_equal(asked_by_getattr(e.node), 1);
    wait_s(7); /* more than acregmin */
    assert_int_equal(asked_by_getattr(e.node), 0);
    wait_s(1);
    assert_int_equal(asked_by_getattr(e.node), 1);
    wait_s(8); /* and never more than acregmax */
    assert_int_equal(asked_by_getattr(e.node), 1);
    foreign_put("f", "22");
    wait_s(8);
    assert_int_equal(asked_by_getattr(e.node), 1);
    wait_s(5); /* what changed is believed for acregmin again */
    assert_int_equal(asked_by_getattr(e.node), 1);
    vfs_forget(rig.vfs, e.node, 1);
}

static unsigned asked_by_ls(const char *path, const char *want)
{
    char names[64];

    assert_int_equal(rig_ls(&rig, path, names, sizeof(names)), 0);
    assert_string_equal(names, want);
    return asked();
}

static void acdirmin(void **state)
{
    (void)state;
    options()->acdirmin_ns = options()->acdirmax_ns = 20 * NS_PER_S;
    remount();
    foreign_put("f", "1");
    assert_int_equal(asked_by_ls("", "f"), 1);
    foreign_put("g", "1");
    wait_s(19);
    assert_int_equal(asked_by_ls("", "f"), 0);
    wait_s(1);
    assert_int_equal(asked_by_ls("", "f g"), 2); /* the root's own attributes, too */
}

static void acdirmax(void **state)
{
    struct vfs_entry e;

    (void)state;
    options()->acdirmin_ns = 5 * NS_PER_S;
    options()->acdirmax_ns = 8 * NS_PER_S;
    remount();
    foreign_put("d/f", "1");
    assert_int_equal(rig_walk(&rig, "d", &e), 0);
    asked();
    wait_s(4);
    assert_int_equal(asked_by_getattr(e.node), 0);
    wait_s(1);
    assert_true(asked_by_getattr(e.node) > 0);
    assert_int_equal(asked_by_getattr(e.node), 0);
    wait_s(9);
    assert_true(asked_by_getattr(e.node) > 0);
    vfs_forget(rig.vfs, e.node, 1);
}

static int no_time(void *arg, const char *name, const struct vfs_entry *e, uint64_t next)
{
    unsigned *n = arg;

    (void)next;
    assert_int_equal(e->attr_ns, 0);
    assert_int_equal(e->entry_ns, 0);
    if (e->node != 0)
        vfs_forget(rig.vfs, e->node, 1);
    *n += name[0] != '.';
    return 0;
}

static void set_noac(void)
{
    struct vfs_conf *c = options();

    c->acregmin_ns = c->acregmax_ns = c->acdirmin_ns = c->acdirmax_ns = 0;
    c->sync_writes = true;
    remount();
}

static uint64_t create(struct rig *r, const char *path, struct vfs_entry *ret)
{
    uint64_t fh;

    assert_int_equal(vfs_create(r->vfs, &r->ctx, VFS_ROOT, path, 0644, O_WRONLY, ret, &fh), 0);
    return fh;
}

/* actimeo=0: nothing is believed, neither here nor by the kernel; not even of a file being written.
 */
static void noac_tells_the_kernel_no_time(void **state)
{
    struct vfs_entry e;
    struct stat st;
    uint64_t fh;
    int64_t ns = 1;
    unsigned n = 0;

    (void)state;
    set_noac();
    foreign_put("f", "1");
    foreign_put("d/f", "1");
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    assert_int_equal(e.attr_ns, 0);
    assert_int_equal(e.entry_ns, 0);
    asked();
    assert_int_equal(vfs_getattr(rig.vfs, e.node, 0, &st, &ns), 0);
    assert_int_equal(ns, 0);
    assert_int_equal(asked(), 1);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(rig_walk(&rig, "d", &e), 0);
    assert_int_equal(e.attr_ns, 0);
    assert_int_equal(e.entry_ns, 0);
    vfs_forget(rig.vfs, e.node, 1);
    fh = create(&rig, "new", &e);
    assert_int_equal(e.attr_ns, 0);
    assert_int_equal(e.entry_ns, 0);
    assert_int_equal(vfs_getattr(rig.vfs, e.node, fh, &st, &ns), 0);
    assert_int_equal(ns, 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(vfs_opendir(rig.vfs, VFS_ROOT, &fh), 0);
    assert_int_equal(vfs_readdir(rig.vfs, fh, 0, true, no_time, &n), 0);
    assert_int_equal(n, 3);
    vfs_releasedir(rig.vfs, fh);
}

/* noac: what write() took is in the bucket when it returns. */
static void noac_writes_are_synchronous(void **state)
{
    struct vfs_entry e;
    struct stat st = {.st_size = 1}, now;
    uint64_t fh;
    int64_t ns;

    (void)state;
    set_noac();
    fh = create(&rig, "f", &e);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "one", 3), 3);
    assert_object("f", "one");
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 3, "two", 3), 3);
    assert_object("f", "onetwo");
    assert_int_equal(vfs_setattr(rig.vfs, &rig.ctx, e.node, fh, &st, VFS_SET_SIZE, &now, &ns), 0);
    assert_object("f", "o");
    asked();
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(asked(), 0); /* nothing is left for close */
    vfs_forget(rig.vfs, e.node, 1);
}

/* A write that can't be sent says so, and close says it again; nothing is lost. */
static void noac_write_fails_loudly(void **state)
{
    struct vfs_entry e;
    uint64_t fh;

    (void)state;
    set_noac();
    fh = create(&rig, "f", &e);
    memstore_fail(rig.store, STORE_PUT, 1, 2, -EIO);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "one", 3), -EIO);
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh), -EIO);
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh), 0);
    assert_object("f", "one");
    vfs_release(rig.vfs, fh);
    vfs_forget(rig.vfs, e.node, 1);
}

static void without_noac_close_sends(void **state)
{
    struct vfs_entry e;
    uint64_t fh;

    (void)state;
    remount();
    fh = create(&rig, "f", &e);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "one", 3), 3);
    assert_int_equal(asked(), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(asked(), 1);
    vfs_forget(rig.vfs, e.node, 1);
}

static unsigned asked_by_open(uint64_t node)
{
    uint64_t fh;
    bool keep;

    assert_int_equal(vfs_open(rig.vfs, &rig.ctx, node, O_RDONLY, &fh, &keep), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    return asked();
}

static void nocto(void **state)
{
    struct vfs_entry e;
    uint64_t fh;
    char buf[8];
    bool keep;

    (void)state;
    options()->nocto = true;
    remount();
    foreign_put("f", "one");
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    assert_int_equal(asked(), 1);
    assert_int_equal(vfs_open(rig.vfs, &rig.ctx, e.node, O_RDONLY, &fh, &keep), 0);
    assert_int_equal(asked(), 0);
    assert_int_equal(vfs_read(rig.vfs, fh, 0, buf, sizeof(buf)), 3);
    assert_int_equal(rig_shut(&rig, fh), 0);
    asked();
    foreign_put("f", "other");
    wait_s(2);
    assert_int_equal(asked_by_open(e.node), 0);
    wait_s(1);
    assert_int_equal(asked_by_open(e.node), 1); /* not believed any more */
    assert_file("f", "other");
    vfs_forget(rig.vfs, e.node, 1);
}

/* The default: one conditional request an open, whatever was asked a moment ago. */
static void cto(void **state)
{
    struct vfs_entry e;

    (void)state;
    remount();
    foreign_put("f", "one");
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    asked();
    assert_int_equal(asked_by_open(e.node), 1);
    assert_int_equal(asked_by_open(e.node), 1);
    vfs_forget(rig.vfs, e.node, 1);
}

static unsigned asked_by_lookup(const char *name, int want)
{
    struct vfs_entry e;

    assert_int_equal(vfs_lookup(rig.vfs, &rig.ctx, VFS_ROOT, name, &e), want);
    if (want == 0)
        vfs_forget(rig.vfs, e.node, 1);
    return asked();
}

static void lookupcache_none(void **state)
{
    struct vfs_entry e, new;
    uint64_t fh;

    (void)state;
    options()->lookup_always = true;
    remount();
    foreign_put("f", "one");
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    assert_int_equal(e.entry_ns, 0); /* the kernel asks us each time */
    assert_true(e.attr_ns > 0);      /* attributes are another matter */
    asked();
    assert_int_equal(asked_by_lookup("f", 0), 1);
    assert_int_equal(asked_by_getattr(e.node), 0);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(asked_by_lookup("f", 0), 1); /* nor does the cache on disk answer */
    fh = create(&rig, "new", &new);
    assert_int_equal(asked_by_lookup("new", 0), 0); /* the bucket can't know better */
    assert_int_equal(rig_shut(&rig, fh), 0);
    vfs_forget(rig.vfs, new.node, 1);
}

/* lookupcache=all and pos: what is known is believed; that a name is unknown never is, whatever was
 * answered or listed a moment ago. */
static void lookupcache_all(void **state)
{
    struct vfs_entry e;

    (void)state;
    remount();
    foreign_put("f", "one");
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    assert_true(e.entry_ns > 0);
    asked();
    assert_int_equal(asked_by_lookup("f", 0), 0);
    assert_int_equal(asked_by_ls("", "f"), 1);
    assert_int_equal(asked_by_lookup("none", -ENOENT), 2); /* HEAD, and LIST for a directory */
    assert_int_equal(asked_by_lookup("none", -ENOENT), 2);
    assert_int_equal(rig_join(&other, &rig, NULL), 0);
    assert_int_equal(rig_put(&other, "none", "x", 1), 0);
    asked();
    assert_int_equal(asked_by_lookup("none", 0), 1);
    vfs_forget(rig.vfs, e.node, 1);
}

#define B(f) cmocka_unit_test_setup_teardown(f, setup, teardown_two)
int main(void)
{
    const struct CMUnitTest tests[] = {
        B(acregmin_acregmax),
        B(acdirmin),
        B(acdirmax),
        B(noac_tells_the_kernel_no_time),
        B(noac_writes_are_synchronous),
        B(noac_write_fails_loudly),
        B(without_noac_close_sends),
        B(nocto),
        B(cto),
        B(lookupcache_none),
        B(lookupcache_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
