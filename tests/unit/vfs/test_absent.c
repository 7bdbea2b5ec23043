/* SPDX-License-Identifier: Apache-2.0 */
/* A rename takes the answer of the kernel's lookup of its new name, if that was not there
 * (absent.h): once, not for long, not after a change here; and what other clients do after that
 * answer is as safe as after one of the rename's own. */
#include "twomounts.h"

#include <linux/fs.h>

static size_t asked(void)
{
    return memstore_count(a.store, STORE_HEAD) + memstore_count(a.store, STORE_LIST);
}

static void look_for(const char *name)
{
    struct vfs_entry e;

    assert_int_equal(vfs_lookup(a.vfs, &a.ctx, VFS_ROOT, name, &e), -ENOENT);
}

/* Without the lookup that rig_rename() makes. */
static int renamed(const char *from, const char *to, unsigned flags)
{
    return vfs_rename(a.vfs, &a.ctx, VFS_ROOT, from, VFS_ROOT, to, flags);
}

/* What is asked of the bucket about the new name of a file that it does not have. */
static size_t asked_by_rename(const char *to)
{
    uint64_t fh;
    size_t n;

    assert_int_equal(rig_creat(&a, "new", O_WRONLY, 0644, &fh), 0);
    memstore_count_reset(a.store);
    assert_int_equal(renamed("new", to, 0), 0);
    n = asked();
    assert_int_equal(rig_shut(&a, fh), 0);
    return n;
}

static void asked_once(void **state)
{
    (void)state;
    memstore_count_reset(a.store);
    look_for("f");
    assert_int_equal(asked(), 2);
    assert_int_equal(asked_by_rename("f"), 0);
    assert_object("f", "");
    assert_int_equal(rig_unlink(&a, "f"), 0);
    look_for("g");
    assert_int_equal(asked_by_rename("f"), 2);
    assert_int_equal(asked_by_rename("g"), 0);
    assert_int_equal(rig_unlink(&b, "g"), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(asked_by_rename("g"), 2); /* it was good for one */
}

static void not_for_long(void **state)
{
    (void)state;
    look_for("f");
    clock_fake_add(a.conf.acregmin_ns - 1);
    assert_int_equal(asked_by_rename("f"), 0);
    look_for("g");
    clock_fake_add(a.conf.acregmin_ns);
    assert_int_equal(asked_by_rename("g"), 2);
}

static void not_without_attribute_times(void **state)
{
    (void)state;
    a.conf.acregmin_ns = 0;
    assert_int_equal(rig_remount(&a), 0);
    look_for("f");
    assert_int_equal(asked_by_rename("f"), 2);
}

static void not_after_a_change_here(void **state)
{
    (void)state;
    look_for("f");
    put_text(&a, "f", "text");
    assert_int_equal(rig_unlink(&a, "f"), 0);
    assert_int_equal(asked_by_rename("f"), 2);
    look_for("g");
    assert_int_equal(rig_mkdir(&a, "g", 0755), 0);
    assert_int_equal(rig_rmdir(&a, "g"), 0);
    assert_int_equal(asked_by_rename("g"), 2);
    look_for("h");
    put_text(&a, "h", "text");
    put_text(&a, "new", "text");
    assert_int_equal(renamed("new", "h", RENAME_NOREPLACE), -EEXIST);
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    look_for("i");
    assert_int_equal(rig_rename(&a, "d", "e", 0), 0); /* any name may have moved with it */
    assert_int_equal(rig_unlink(&a, "new"), 0);
    assert_int_equal(asked_by_rename("i"), 2);
}

/* Another client made the name between the two calls. */
static void made_meanwhile(void **state)
{
    (void)state;
    put_text(&a, "f", "ours");
    look_for("g");
    foreign_put("g", "foreign");
    assert_int_equal(renamed("f", "g", RENAME_NOREPLACE), -EEXIST);
    assert_object("g", "foreign");
    assert_object("f", "ours");
    assert_int_equal(rig_unlink(&b, "g"), 0);
    clock_fake_add(100 * NS_PER_S);
    look_for("g");
    put_text(&b, "g", "theirs");
    assert_int_equal(renamed("f", "g", 0), 0); /* as a rename does */
    clock_fake_add(100 * NS_PER_S);
    assert_file(&a, "g", "ours");
    assert_file(&b, "g", "ours");
    assert_int_equal(memstore_get(a.store, "f", NULL, NULL), STORE_NOT_FOUND);
}

/* The same for a file that is not in the bucket yet, made between the calls or after them: all of its bytes, and none of
 * theirs, which are more. */
static void made_before_the_put(void **state)
{
    uint64_t fh, gh;

    (void)state;
    assert_int_equal(rig_creat(&a, "f", O_WRONLY | O_EXCL, 0600, &fh), 0);
    write_text(&a, fh, 0, "text");
    look_for("g");
    put_text(&b, "g", "0123456789");
    assert_int_equal(renamed("f", "g", 0), 0);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_object("g", "text");
    assert_int_equal(rig_creat(&a, "f", O_WRONLY | O_EXCL, 0600, &gh), 0);
    write_text(&a, gh, 0, "text");
    assert_int_equal(rig_rename(&a, "f", "h", 0), 0);
    put_text(&b, "h", "0123456789");
    assert_int_equal(rig_shut(&a, gh), 0);
    assert_object("h", "text");
}

/* A name that another mount's rename hides may be there. */
static void a_name_that_is_there(void **state)
{
    struct vfs_entry e;

    (void)state;
    put_text(&b, "f", "theirs");
    assert_int_equal(vfs_lookup(a.vfs, &a.ctx, VFS_ROOT, "f", &e), 0);
    vfs_forget(a.vfs, e.node, 1);
    put_text(&a, "new", "ours");
    assert_int_equal(renamed("new", "f", RENAME_NOREPLACE), -EEXIST);
    assert_int_equal(renamed("new", "f", 0), 0);
    assert_object("f", "ours");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(asked_once),
        T(not_for_long),
        T(not_without_attribute_times),
        T(not_after_a_change_here),
        T(made_meanwhile),
        T(made_before_the_put),
        T(a_name_that_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
