/* SPDX-License-Identifier: Apache-2.0 */
/* What the model of several mounts (tests/model) found, each on its own: other mounts' doings
 * within the attribute times, a foreign writer's file, and lost replies. */
#include "twomounts.h"

/* The name is known here from a moment ago, and by now it is another file, or none: who truncates
 * it replaces what is there, and close() says 0. */
static void truncating_open_takes_what_is_there(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&a, "f", "one", 3), 0);
    assert_int_equal(rig_unlink(&b, "f"), 0);
    assert_int_equal(rig_put(&a, "f", "two", 3), 0);
    assert_file(&b, "f", "two");
    assert_int_equal(memstore_put(a.store, "f", "foreign", 7, NULL, NULL), 0);
    assert_int_equal(rig_put(&a, "f", "three", 5), 0);
    assert_file(&b, "f", "three");
}

/* chmod of an open file that others removed: its caller is told; the close, which has nothing to
 * send, is not made to fail by it. */
static void refused_chmod_does_not_fail_the_close(void **state)
{
    struct stat st;
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_put(&a, "f", "text", 4), 0);
    assert_int_equal(rig_open_file(&a, "f", O_RDWR, &fh), 0);
    assert_int_equal(rig_unlink(&b, "f"), 0);
    assert_int_equal(rig_chmod(&a, "f", 0600), -ESTALE);
    assert_int_equal(rig_shut(&a, fh), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_stat(&a, "f", &st), -ENOENT);
}

/* A foreign object in the place of ours is another file, also for the mount that knew ours: what it
 * appends there must not be taken for the old file by a third, which would overwrite it. */
static void foreign_object_is_another_file(void **state)
{
    uint64_t fh, add;

    (void)state;
    assert_int_equal(rig_put(&a, "f", "ours", 4), 0);
    assert_int_equal(rig_open_file(&b, "f", O_WRONLY | O_TRUNC, &fh), 0);
    assert_int_equal(vfs_write(b.vfs, &b.ctx, fh, 0, "B", 1), 1);
    assert_int_equal(memstore_put(a.store, "f", "foreign", 7, NULL, NULL), 0);
    assert_int_equal(rig_open_file(&a, "f", O_WRONLY | O_APPEND, &add), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, add, 7, "+A", 2), 2);
    assert_int_equal(rig_shut(&a, add), 0);
    assert_int_equal(rig_shut(&b, fh), -ESTALE);
    assert_file(&a, "f", "foreign+A");
}

static void remove_meanwhile(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    if (req->op != STORE_HEAD || result != 0)
        return;
    memstore_set_hooks(s, NULL, NULL, NULL);
    *(int *)arg = rig_unlink(&a, "f");
}

/* VFS-4, on disk: the answer to a lookup arrives when its own mount has removed the name. It must
 * not be remembered either: the lookup asks again, and so does the next. */
static void late_answer_is_not_remembered(void **state)
{
    struct stat st;
    int removed = 1;

    (void)state;
    assert_int_equal(rig_put(&b, "f", "text", 4), 0);
    memstore_set_hooks(a.store, NULL, remove_meanwhile, &removed);
    assert_int_equal(rig_stat(&a, "f", &st), -ENOENT);
    assert_int_equal(removed, 0);
    assert_int_equal(rig_stat(&a, "f", &st), -ENOENT);
}

/* A server that answers a GET in the moment of a replacement sends the new version's bytes under
 * the old one's name: more than there is room for. The commit that wanted them asks again. */
static void another_versions_bytes_are_asked_for_again(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_put(&b, "f", "base", 4), 0);
    assert_int_equal(rig_open_file(&a, "f", O_WRONLY | O_APPEND, &fh), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 4, "+tail", 5), 5);
    memstore_fail(a.store, STORE_GET, 1, 3, -EOVERFLOW);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_file(&b, "f", "base+tail");
}

/* The reply of mkdir's PUT is lost: with the retry's 412, or for good. */
static void mkdir_knows_its_own_marker(void **state)
{
    struct stat st;

    (void)state;
    memstore_lose(a.store, STORE_PUT, 1, 1, STORE_PRECONDITION);
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    memstore_lose(a.store, STORE_PUT, 1, 1, -EIO);
    assert_int_equal(rig_mkdir(&a, "e", 0700), 0);
    assert_int_equal(rig_stat(&b, "e", &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0700);
    memstore_lose(a.store, STORE_PUT, 1, 1,
                  STORE_PRECONDITION); /* and its marker can be rewritten */
    assert_int_equal(rig_chmod(&a, "e", 0711), 0);
}

/* But not another mount's. */
static void mkdir_knows_anothers_marker(void **state)
{
    struct vfs_entry e;

    (void)state;
    assert_int_equal(rig_mkdir(&b, "d", 0755), 0);
    assert_int_equal(vfs_mkdir(a.vfs, &a.ctx, VFS_ROOT, "d", 0755, &e), -EEXIST);
    memstore_fail(a.store, STORE_PUT, 1, 1, -EIO);
    assert_int_equal(vfs_mkdir(a.vfs, &a.ctx, VFS_ROOT, "e", 0755, &e), -EIO);
}

/* A file that is still being written is renamed over one that others changed a moment ago: it
 * replaces what is there, and its close says 0. */
static void new_file_replaces_what_is_there(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_put(&a, "f", "old", 3), 0);
    assert_int_equal(rig_open_file(&a, "new", O_WRONLY | O_CREAT | O_EXCL, &fh), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 0, "new", 3), 3);
    assert_int_equal(rig_unlink(&b, "f"), 0);
    assert_int_equal(rig_put(&b, "f", "other", 5), 0);
    assert_int_equal(rig_rename(&a, "new", "f", 0), 0);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_file(&b, "f", "new");
}

/* The file's PUT was done, its reply and the question after it were lost: unlink removes what may
 * be there, rename brings it along; another's file under that name stays. */
static void doubtful_file_does_not_come_back(void **state)
{
    struct stat st;
    uint64_t fh;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig_open_file(&a, "f", O_WRONLY | O_CREAT | O_EXCL, &fh), 0);
        assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 0, "text", 4), 4);
        memstore_lose(a.store, STORE_PUT, 1, 1, -EIO);
        memstore_fail(a.store, STORE_HEAD, 1, 9, -EIO);
        assert_int_equal(vfs_fsync(a.vfs, fh), -EIO);
        memstore_clear_faults(a.store);
        assert_int_equal(memstore_get(a.store, "f", NULL, NULL), 0);
        if (i == 0) {
            assert_int_equal(rig_unlink(&a, "f"), 0);
        } else if (i == 1) {
            assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
            assert_file(&b, "g", "text");
        } else {
            assert_int_equal(memstore_put(a.store, "f", "foreign", 7, NULL, NULL), 0);
            assert_int_equal(rig_unlink(&a, "f"), 0);
            assert_file(&b, "f", "foreign");
        }
        assert_int_equal(rig_shut(&a, fh), 0);
        if (i < 2)
            assert_int_equal(rig_stat(&b, "f", &st), -ENOENT);
    }
}

/* A range written here stands past the end that another mount has cut the file to, and more was
 * appended: neither may be lost by a close that says 0. */
static void range_past_the_end_and_append(void **state)
{
    char old[64], buf[128];
    uint64_t range, add;
    ssize_t n;

    (void)state;
    memset(old, 'o', sizeof(old));
    assert_int_equal(rig_put(&a, "f", old, sizeof(old)), 0);
    assert_int_equal(rig_open_file(&a, "f", O_RDWR, &range), 0);
    assert_int_equal(rig_put(&b, "f", "short", 5), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, range, 40, "RANGE", 5), 5);
    assert_int_equal(rig_open_file(&a, "f", O_WRONLY | O_APPEND, &add), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, add, 64, "TAIL", 4), 4);
    assert_int_equal(rig_shut(&a, add), -ESTALE);
    assert_int_equal(rig_shut(&a, range), -ESTALE);
    n = rig_get(&b, "f", buf, sizeof(buf));
    assert_int_equal(n, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(truncating_open_takes_what_is_there),
        T(refused_chmod_does_not_fail_the_close),
        T(foreign_object_is_another_file),
        cmocka_unit_test_setup_teardown(another_versions_bytes_are_asked_for_again, setup,
                                        teardown),
        T(late_answer_is_not_remembered),
        T(mkdir_knows_its_own_marker),
        T(mkdir_knows_anothers_marker),
        T(new_file_replaces_what_is_there),
        T(doubtful_file_does_not_come_back),
        T(range_past_the_end_and_append),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
