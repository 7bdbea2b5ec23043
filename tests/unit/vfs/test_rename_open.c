/* SPDX-License-Identifier: Apache-2.0 */
/* Renames of and over what is being written, and directories that are renamed while other clients
 * and local writers go on. */
#include "onemount.h"

#include "cache/cache.h"
#include "fs/vfs/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static void new_file_over(const char *target, uint64_t *ret_fh)
{
    assert_int_equal(rig_put(&rig, target, "old", 3), 0);
    assert_int_equal(rig_creat(&rig, "tmp", O_WRONLY, 0644, ret_fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, *ret_fh, 0, "new", 3), 3);
    assert_int_equal(rig_rename(&rig, "tmp", target, 0), 0);
}

/* The old object must not show again. */
static void unlink_of_a_new_file_over_an_old_one(void **state)
{
    struct stat st;
    uint64_t fh;

    (void)state;
    new_file_over("f", &fh);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_no_object("f");
    assert_int_equal(rig_stat(&rig, "f", &st), -ENOENT);
}

static void rename_of_a_new_file_over_an_old_one(void **state)
{
    uint64_t fh;

    (void)state;
    new_file_over("f", &fh);
    assert_int_equal(rig_rename(&rig, "f", "g", 0), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_object("g", "new");
    assert_no_object("f");
    assert_no_object("tmp");
}

struct once {
    enum store_op op;
    const char *key; /* NULL: any */
    bool is_done;
    uint64_t fh;
    void (*run)(struct once *o);
};

static void run_once(void *arg, struct store *s, const struct store_req *req, int result)
{
    struct once *o = arg;

    (void)s;
    (void)result;
    if ((req->op != o->op && !(o->op == STORE_PUT && req->op == STORE_COPY)) || o->is_done ||
        (o->key != NULL && strcmp(req->key, o->key) != 0))
        return;
    o->is_done = true;
    o->run(o);
}

static void write_mine(struct once *o)
{
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, o->fh, 0, "MINE, longer", 12), 12);
}

/* A write that comes while its directory is being renamed is in no copy: it goes up with the close.
 */
static void write_while_the_directory_moves(void **state)
{
    struct once o = {.op = STORE_GET, .key = "d/y", .run = write_mine};
    uint64_t fy;

    (void)state;
    foreign_put("d/x", "xxxx");
    foreign_put("d/y", "yyyy");
    assert_int_equal(rig_open_file(&rig, "d/x", O_RDWR, &o.fh), 0);
    assert_int_equal(rig_open_file(&rig, "d/y", O_WRONLY, &fy), 0); /* its bytes are not here */
    memstore_set_hooks(rig.store, run_once, NULL, &o);
    assert_int_equal(rig_rename(&rig, "d", "e", 0), 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_true(o.is_done);
    assert_int_equal(rig_shut(&rig, fy), 0);
    assert_int_equal(rig_shut(&rig, o.fh), 0);
    assert_object("e/x", "MINE, longer");
    assert_file("e/x", "MINE, longer");
}

static void replace_x(struct once *o)
{
    (void)o;
    foreign_put("d/x", "evil");
}

/* What was copied is another version than the one that is open here: its bytes are not taken for
 * the copy's. */
static void foreign_change_while_the_directory_moves(void **state)
{
    struct once o = {.op = STORE_LIST, .run = replace_x};
    char buf[8] = {0};

    (void)state;
    foreign_put("d/x", "base");
    assert_int_equal(rig_open_file(&rig, "d/x", O_RDONLY, &o.fh), 0);
    memstore_set_hooks(rig.store, run_once, NULL, &o);
    assert_int_equal(rig_rename(&rig, "d", "e", 0), 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_true(o.is_done);
    assert_int_equal(vfs_read(rig.vfs, o.fh, 0, buf, sizeof(buf)), 4);
    assert_string_equal(buf, "base"); /* a handle reads one version to its end */
    assert_int_equal(rig_shut(&rig, o.fh), 0);
    assert_object("e/x", "evil");
    assert_file("e/x", "evil");
}

/* Protocol 4: where DELETE has no conditions, the source is looked at again before it goes, and
 * what another client wrote there meanwhile goes to the new name. */
static void source_that_changed_is_moved_as_it_is(void **state)
{
    struct once o = {.op = STORE_PUT, .key = "e/x", .run = replace_x};
    struct vfs_conf conf = rig.conf;

    (void)state;
    rig_close(&rig);
    conf.caps.delete_match = false;
    assert_int_equal(rig_open(&rig, &conf), 0);
    memstore_set_caps(rig.store, &conf.caps);
    foreign_put("d/x", "base");
    memstore_set_hooks(rig.store, NULL, run_once, &o);
    assert_int_equal(rig_rename(&rig, "d", "e", 0), 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_true(o.is_done);
    assert_object("e/x", "evil");
    assert_no_object("d/x");
}

static void replace_target(struct once *o)
{
    struct vfs_entry e;

    foreign_put("b", "stranger's");
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_walk(&rig, "b", &e), 0);
    assert_int_equal(e.st.st_size, 10);
    o->fh = e.node; /* the kernel knows it from now on */
}

/* The target that a stat found while the rename was under way is replaced as well: no ghost of it
 * stands behind the new name. */
static void target_that_changed_leaves_no_ghost(void **state)
{
    struct once o = {.op = STORE_PUT, .key = "b", .run = replace_target};
    struct vfs_entry e;
    struct stat st;
    uint64_t fh;

    (void)state;
    foreign_put("a", "source");
    foreign_put("b", "target");
    assert_int_equal(rig_open_file(&rig, "b", O_RDONLY, &fh), 0);
    memstore_set_hooks(rig.store, run_once, NULL, &o);
    assert_int_equal(rig_walk(&rig, "a", &e), 0);
    assert_int_equal(rig_rename(&rig, "a", "b", 0), 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_true(o.is_done);
    assert_file("b", "source");
    assert_int_equal(rig_unlink(&rig, "b"), 0);
    assert_int_equal(rig_stat(&rig, "b", &st), -ENOENT);
    assert_no_object("b");
    vfs_forget(rig.vfs, o.fh, 1);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(rig_shut(&rig, fh), 0);
}

/* What was cut off here and not sent yet is no part of the file any more: nothing but its bytes can
 * go to the new name, not the object as it stands. */
static void a_file_that_was_cut_is_moved_as_it_is(void **state)
{
    struct stat st = {.st_size = 3}, now;
    struct vfs_entry e;
    int64_t ns;
    uint64_t fh;

    (void)state;
    foreign_put("a", "longer");
    assert_int_equal(rig_walk(&rig, "a", &e), 0);
    assert_int_equal(rig_open_file(&rig, "a", O_RDWR, &fh), 0);
    assert_int_equal(vfs_setattr(rig.vfs, &rig.ctx, e.node, fh, &st, VFS_SET_SIZE, &now, &ns), 0);
    assert_int_equal(rig_rename(&rig, "a", "b", 0), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_object("b", "lon");
    assert_file("b", "lon");
    vfs_forget(rig.vfs, e.node, 1);
}

/* Looked up, and its name is gone when the open comes. The kernel hides one ESTALE, and the second try may meet the next
 * rename: what the cache has is opened. */
static void who_opens_what_was_just_replaced(void **state)
{
    struct vfs_entry e;
    char buf[16];
    uint64_t fh;
    bool keep;

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "old bytes", 9), 0);
    assert_int_equal(rig_put(&rig, "new", "new", 3), 0);
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    assert_int_equal(rig_rename(&rig, "new", "f", 0), 0);
    assert_int_equal(vfs_open(rig.vfs, &rig.ctx, e.node, O_RDWR, &fh, &keep), 0);
    cache_drop_blocks(rig.cache, "f", &handle_get(rig.vfs, fh)->inode->etag);
    assert_int_equal(vfs_read(rig.vfs, fh, 0, buf, sizeof(buf)), 9);
    assert_memory_equal(buf, "old bytes", 9);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "lost", 4), 4);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_file("f", "new");
    assert_object("f", "new");
}

/* What nobody has any more is ESTALE then, not at the first read. */
static void what_was_replaced_and_is_nowhere_is_not_opened(void **state)
{
    struct store_etag etag;
    struct vfs_entry e;
    uint64_t fh;
    bool keep;

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "old bytes", 9), 0);
    assert_int_equal(rig_put(&rig, "new", "new", 3), 0);
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    assert_int_equal(rig_open_file(&rig, "f", O_RDONLY, &fh), 0);
    etag = handle_get(rig.vfs, fh)->inode->etag;
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(rig_rename(&rig, "new", "f", 0), 0);
    cache_drop_blocks(rig.cache, "f", &etag);
    assert_int_equal(vfs_open(rig.vfs, &rig.ctx, e.node, O_RDONLY, &fh, &keep), -ESTALE);
    vfs_forget(rig.vfs, e.node, 1);
    assert_file("f", "new");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(unlink_of_a_new_file_over_an_old_one),  T(rename_of_a_new_file_over_an_old_one),
        T(write_while_the_directory_moves),       T(foreign_change_while_the_directory_moves),
        T(source_that_changed_is_moved_as_it_is), T(target_that_changed_leaves_no_ghost),
        T(a_file_that_was_cut_is_moved_as_it_is), T(who_opens_what_was_just_replaced),
        T(what_was_replaced_and_is_nowhere_is_not_opened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
