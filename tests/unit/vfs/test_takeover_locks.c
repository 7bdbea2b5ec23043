/* SPDX-License-Identifier: Apache-2.0 */
/* Locks between mounts outlive the daemon of the mount that holds them, or are lost aloud. */
#include "cache/table.h"
#include "fs/vfs/keep.h"

#include "takelocks.h"

/* The record of the mount's locks of a file that has an id. */
static void record_of(const char *path, char ret[96])
{
    struct store_obj obj = {0};
    const char *id;

    assert_int_equal(memstore_get(a.store, path, &obj, NULL), 0);
    id = store_hdrs_get(&obj.hdrs, STORE_USER_META "s3efs-id");
    assert_non_null(id);
    snprintf(ret, 96, ".s3efs/locks/%.32s", id);
    store_obj_done(&obj);
}

static void is_held_on(void **state)
{
    struct vfs_lock whose = posix(8, LOCK_TYPE_WRITE, 0, LOCK_END);
    struct open oa, ob;

    (void)state;
    put_text(&a, "f", "0");
    oa = open_kept("f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(set_kept(&oa, 7, LOCK_TYPE_WRITE), 0);
    write_kept(&oa, 0, "a");
    for (int k = 0; k < 3; k++) {
        die();
        assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), -EAGAIN);
        clock_fake_add(9 * NS_PER_S);
    }
    assert_int_equal(set_kept(&oa, 8, LOCK_TYPE_READ), -EAGAIN);
    assert_int_equal(vfs_lock_get(a.vfs, oa.node, &whose), 0);
    assert_int_equal(whose.type, LOCK_TYPE_WRITE);
    assert_int_equal(whose.pid, 7);
    write_kept(&oa, 1, "b");
    assert_int_equal(set_kept(&oa, 7, LOCK_TYPE_NONE), 0);
    assert_object("f", "ab");
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set_kept(&oa, 7, LOCK_TYPE_WRITE), -EAGAIN);
    assert_int_equal(shut(&ob), 0);
    assert_int_equal(close_kept(&oa, 7), 0);
}

/* Ranges of several owners, and flock beside them; close gives up what its owner has. */
static void each_owner_has_his(void **state)
{
    const struct vfs_lock mine = posix(1, LOCK_TYPE_WRITE, 0, 9), others = posix(2, LOCK_TYPE_READ, 20, 29),
                          whole = {LOCK_FLOCK, LOCK_TYPE_WRITE, {0, LOCK_END}, 3, 0},
                          none = {LOCK_FLOCK, LOCK_TYPE_NONE, {0, LOCK_END}, 3, 0},
                          want = posix(5, LOCK_TYPE_WRITE, 5, 5), between = posix(5, LOCK_TYPE_WRITE, 10, 19),
                          shared = posix(5, LOCK_TYPE_READ, 22, 23), far = posix(5, LOCK_TYPE_WRITE, 22, 23);
    struct vfs_lock flock = whole;
    struct open oa, ob;

    (void)state;
    put_text(&a, "f", "0");
    oa = open_kept("f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(lock_kept(&oa, &mine), 0);
    assert_int_equal(lock_kept(&oa, &others), 0);
    assert_int_equal(lock_kept(&oa, &whole), 0);
    die();
    assert_int_equal(vfs_lock_set(b.vfs, ob.node, &want, NULL), -EAGAIN);
    assert_int_equal(vfs_lock_set(b.vfs, ob.node, &between, NULL), 0);
    assert_int_equal(vfs_lock_set(b.vfs, ob.node, &shared, NULL), 0);
    assert_int_equal(vfs_lock_set(b.vfs, ob.node, &far, NULL), -EAGAIN);
    flock.owner = 1;
    assert_int_equal(vfs_lock_set(b.vfs, ob.node, &flock, NULL), -EAGAIN);
    assert_int_equal(lock_kept(&oa, &flock), -EAGAIN);
    assert_int_equal(lock_kept(&oa, &want), -EAGAIN);
    assert_int_equal(lock_kept(&oa, &none), 0);
    assert_int_equal(vfs_lock_set(b.vfs, ob.node, &flock, NULL), 0);
    assert_int_equal(vfs_lock_close(a.vfs, oa.node, LOCK_POSIX, 1), 0);
    assert_int_equal(vfs_lock_set(b.vfs, ob.node, &want, NULL), 0);
    assert_int_equal(vfs_lock_set(b.vfs, ob.node, &far, NULL), -EAGAIN);
    assert_int_equal(close_kept(&oa, 2), 0);
    assert_int_equal(vfs_lock_set(b.vfs, ob.node, &far, NULL), 0);
    assert_int_equal(shut(&ob), 0);
}

/* A new file is locked by its key until it has an id, and stays what is locked when it is renamed meanwhile. */
static void of_a_new_file(void **state)
{
    struct open oa, ob;

    (void)state;
    oa = open_kept("new", O_RDWR | O_CREAT);
    assert_int_equal(set_kept(&oa, 1, LOCK_TYPE_WRITE), 0);
    call_begins();
    assert_int_equal(answered_call(rig_rename(&a, "new", "f", 0)), 0);
    die();
    write_kept(&oa, 0, "a");
    assert_int_equal(set_kept(&oa, 2, LOCK_TYPE_READ), -EAGAIN);
    assert_int_equal(fsync_kept(&oa), 0);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), -EAGAIN);
    die();
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), -EAGAIN);
    assert_int_equal(set_kept(&oa, 1, LOCK_TYPE_NONE), 0);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(shut(&ob), 0);
    assert_int_equal(close_kept(&oa, 1), 0);
}

/* FUSE_NOTIFY_RESEND brings the call of who waited. */
static void who_waited_waits_again(void **state)
{
    const struct vfs_lock one = posix(1, LOCK_TYPE_WRITE, 0, LOCK_END);
    struct waiting old, w;
    struct open oa, ob;

    (void)state;
    put_text(&a, "f", "0");
    oa = open_kept("f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), 0);
    call_begins();
    assert_int_equal(wait_for(&oa, &one, &old), VFS_LOCK_WAITS);
    die();
    assert_int_equal(answer(&old), -EINTR); /* in the rig only: nobody hears it */
    call_begins();
    assert_int_equal(wait_for(&oa, &one, &w), VFS_LOCK_WAITS);
    assert_true(is_waiting(&w));
    write_text(&b, ob.fh, 0, "b");
    assert_int_equal(set(&ob, 1, LOCK_TYPE_NONE), 0);
    assert_int_equal(answer(&w), 0);
    assert_file(&a, "f", "b");
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), -EAGAIN);
    assert_int_equal(close_kept(&oa, 1), 0);
    assert_int_equal(shut(&ob), 0);
}

/* It is the same owner's, and sees what others wrote before. */
static void granted_and_not_answered(void **state)
{
    struct open oa, ob;

    (void)state;
    put_text(&a, "f", "0");
    oa = open_kept("f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    call_begins();
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    die();
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), -EAGAIN);
    assert_int_equal(set_kept(&oa, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set_kept(&oa, 1, LOCK_TYPE_NONE), 0);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(shut(&ob), 0);
    assert_int_equal(close_kept(&oa, 1), 0);
}

/* Nobody is there who could give it up: a thread does. */
static void nobody_has_it_open(void **state)
{
    struct table_item gone = {.kind = KEEP_NODE};
    struct open oa, ob;
    int r = -EAGAIN;

    (void)state;
    put_text(&a, "f", "0");
    oa = open_kept("f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(set_kept(&oa, 1, LOCK_TYPE_WRITE), 0);
    gone.id = oa.node;
    assert_int_equal(table_write(a.table, &gone, 1), 0);
    die();
    for (unsigned n = 0; n < 30000 && r == -EAGAIN; n++) {
        r = set(&ob, 1, LOCK_TYPE_WRITE);
        usleep(r == -EAGAIN ? 1000 : 0);
    }
    assert_int_equal(r, 0);
    assert_int_equal(shut(&ob), 0);
}

/* Nobody followed for longer than the lease, and b wanted the lock. */
static void a_long_death(void **state)
{
    struct open oa, ob, other;

    (void)state;
    put_text(&a, "f", "0");
    put_text(&a, "g", "0");
    oa = open_kept("f", O_RDWR);
    other = open_kept("g", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(set_kept(&oa, 1, LOCK_TYPE_WRITE), 0);
    write_kept(&oa, 0, "a");
    write_kept(&other, 0, "a"); /* without a lock */
    assert_int_equal(rig_snapshot(&a), 0);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), -EAGAIN);
    clock_fake_add(31 * NS_PER_S);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), 0);
    die();
    assert_int_equal(fsync_kept(&oa), -EIO);
    assert_int_equal(fsync_kept(&other), 0);
    assert_object("g", "a");
    write_text(&b, ob.fh, 0, "b");
    die(); /* it stays so */
    assert_int_equal(set(&ob, 1, LOCK_TYPE_NONE), 0);
    assert_object("f", "b");
    assert_int_equal(set_kept(&oa, 2, LOCK_TYPE_READ), -EIO);
    assert_int_equal(set_kept(&oa, 1, LOCK_TYPE_NONE), -EIO);
    die(); /* nor are they sent when nobody holds anything any more */
    assert_int_equal(fsync_kept(&oa), -EIO);
    assert_int_equal(close_kept(&oa, 1), -EIO);
    assert_object("f", "b");
    assert_int_equal(lost_and_found(&a), 1);
    oa = open_kept("f", O_RDWR);
    assert_int_equal(set_kept(&oa, 1, LOCK_TYPE_WRITE), 0); /* as new */
    write_kept(&oa, 0, "c");
    assert_int_equal(set_kept(&oa, 1, LOCK_TYPE_NONE), 0);
    assert_object("f", "c");
    assert_int_equal(close_kept(&oa, 1), 0);
    assert_int_equal(close_kept(&other, 0), 0);
    assert_int_equal(shut(&ob), 0);
}

/* b took the lock, wrote and gave it up while a had no daemon; who locked only reads now what b wrote. */
static void another_had_it_meanwhile(void **state)
{
    struct open oa, ob;

    (void)state;
    put_text(&a, "f", "0");
    oa = open_kept("f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(set_kept(&oa, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(rig_snapshot(&a), 0);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), -EAGAIN);
    clock_fake_add(31 * NS_PER_S);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), 0);
    write_text(&b, ob.fh, 0, "b");
    assert_int_equal(set(&ob, 1, LOCK_TYPE_NONE), 0);
    die();
    write_kept(&oa, 0, "a");
    assert_int_equal(fsync_kept(&oa), -EIO);
    assert_object("f", "b");
    assert_int_equal(close_kept(&oa, 1), -EIO);
    assert_int_equal(shut(&ob), 0);
}

/* However long: the renewal that succeeds shows that nobody has taken anything. */
static void nobody_wanted_it(void **state)
{
    struct open oa;

    (void)state;
    put_text(&a, "f", "0");
    oa = open_kept("f", O_RDWR);
    assert_int_equal(set_kept(&oa, 1, LOCK_TYPE_WRITE), 0);
    write_kept(&oa, 0, "a");
    clock_fake_add(300 * NS_PER_S);
    die();
    assert_int_equal(set_kept(&oa, 1, LOCK_TYPE_NONE), 0);
    assert_object("f", "a");
    assert_int_equal(close_kept(&oa, 1), 0);
}

static void bucket_goes(struct rig *r)
{
    for (int op = 0; op < STORE_OPS; op++)
        memstore_fail(r->store, (enum store_op)op, 1, 100000, -EIO);
}

/* Nothing is believed, and nothing given up, until the bucket says what is held. */
static void the_bucket_is_away(void **state)
{
    struct open oa, ob;

    (void)state;
    put_text(&a, "f", "0");
    oa = open_kept("f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(set_kept(&oa, 1, LOCK_TYPE_WRITE), 0);
    write_kept(&oa, 0, "a");
    assert_int_equal(rig_crash_after(&a, bucket_goes), -EIO); /* the rig's session_resume; a daemon goes on */
    memstore_clear_faults(a.store);
    assert_int_equal(rig_snapshot(&a), 0);
    die();
    bucket_goes(&a);
    assert_int_equal(set_kept(&oa, 2, LOCK_TYPE_READ) != 0, 1);
    assert_int_equal(fsync_kept(&oa), -EIO);
    memstore_clear_faults(a.store);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), -EAGAIN);
    assert_int_equal(set_kept(&oa, 2, LOCK_TYPE_READ), -EAGAIN);
    assert_int_equal(set_kept(&oa, 1, LOCK_TYPE_NONE), 0);
    assert_object("f", "a");
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(shut(&ob), 0);
    assert_int_equal(close_kept(&oa, 1), 0);
}

/* The record says less than what was told as locked: an API client's hand. */
static void a_record_that_went(void **state)
{
    char key[96];
    struct open oa;

    (void)state;
    put_text(&a, "f", "0");
    oa = open_kept("f", O_RDWR);
    assert_int_equal(set_kept(&oa, 1, LOCK_TYPE_WRITE), 0);
    write_kept(&oa, 0, "a");
    record_of("f", key);
    assert_int_equal(memstore_delete(a.store, key), 0);
    die();
    assert_int_equal(fsync_kept(&oa), -EIO);
    assert_object("f", "0");
    assert_int_equal(close_kept(&oa, 1), -EIO);
}

/* LOCK-rules: written within the locked range it goes onto what others wrote elsewhere, else it does not. */
static void it_knows_the_locked_range(void **state)
{
    const struct vfs_lock first = posix(1, LOCK_TYPE_WRITE, 0, 3);

    (void)state;
    for (unsigned k = 0; k < 2; k++) {
        struct open oa;

        put_text(&a, "f", "00000000");
        oa = open_kept("f", O_RDWR);
        assert_int_equal(lock_kept(&oa, &first), 0);
        write_kept(&oa, k == 0 ? 0 : 2, "aaa"); /* the second one's last byte is not in it */
        die();
        {
            uint64_t fh = open_text(&b, "f", O_WRONLY);

            write_text(&b, fh, 6, "bb");
            assert_int_equal(rig_shut(&b, fh), 0);
        }
        assert_int_equal(fsync_kept(&oa), k == 0 ? 0 : -EIO);
        assert_object("f", k == 0 ? "aaa000bb" : "000000bb");
        assert_int_equal(close_kept(&oa, 1), k == 0 ? 0 : -EIO);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        K(is_held_on),         K(each_owner_has_his),       K(of_a_new_file),      K(who_waited_waits_again),
        K(granted_and_not_answered), K(nobody_has_it_open), K(a_long_death),       K(another_had_it_meanwhile),
        K(nobody_wanted_it),   K(the_bucket_is_away),       K(a_record_that_went), K(it_knows_the_locked_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
