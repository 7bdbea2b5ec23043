/* SPDX-License-Identifier: Apache-2.0 */
/* copy_file_range: within the bucket where the range is a whole stored file, here where it is not,
 * and right in both. */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/stat.h>

#define BIG (20u << 20)
#define ID_HDR STORE_USER_META "s3efs-id"

static uint64_t in, out;

static void open_both(const char *from, const char *to, int flags)
{
    assert_int_equal(rig_open_file(&rig, from, O_RDWR, &in), 0);
    assert_int_equal(rig_open_file(&rig, to, O_RDWR | O_CREAT | flags, &out), 0);
    memstore_count_reset(rig.store);
}

static ssize_t copy(uint64_t from, uint64_t to, uint64_t len)
{
    return vfs_copy_range(rig.vfs, &rig.ctx, in, from, out, to, len);
}

static int shut_both(void)
{
    int r = rig_shut(&rig, out);

    assert_int_equal(rig_shut(&rig, in), 0);
    return r;
}

static unsigned asked(enum store_op op)
{
    return (unsigned)memstore_count(rig.store, op);
}

static void get_header(const char *key, const char *hdr, char ret[128])
{
    struct store_obj obj = {0};

    assert_int_equal(memstore_get(rig.store, key, &obj, NULL), 0);
    assert_non_null(store_hdrs_get(&obj.hdrs, hdr));
    snprintf(ret, 128, "%s", store_hdrs_get(&obj.hdrs, hdr));
    store_obj_done(&obj);
}

/* Other caps: a mount of its own on a new bucket. */
static void remake(bool copies, bool part_copies)
{
    struct vfs_conf conf = rig.conf;

    conf.caps.copy_dst_absent = conf.caps.copy_dst_match = copies;
    conf.caps.part_copy_match = part_copies;
    rig_close(&rig);
    assert_int_equal(rig_open(&rig, &conf), 0);
    memstore_set_caps(rig.store, &conf.caps);
}

/* One COPY and nothing else; the copy is in the bucket at once and is a file of its own. */
static void whole_file_is_one_copy(void **state)
{
    char source_id[128], id[128], type[128];
    struct stat a, b;

    (void)state;
    assert_int_equal(rig_put(&rig, "a.txt", "0123456789", 10), 0);
    assert_int_equal(rig_chmod(&rig, "a.txt", 0600), 0);
    open_both("a.txt", "b", O_EXCL);
    assert_int_equal(copy(0, 0, 10), 10);
    assert_int_equal(asked(STORE_COPY), 1);
    assert_int_equal(asked(STORE_GET) + asked(STORE_PUT), 0);
    assert_object("b", "0123456789");
    assert_int_equal(copy(10, 10, 100), 0);
    assert_int_equal(shut_both(), 0);
    assert_int_equal(asked(STORE_PUT) + asked(STORE_COPY), 1);
    assert_file("b", "0123456789");
    get_header("a.txt", ID_HDR, source_id);
    get_header("b", ID_HDR, id);
    assert_string_not_equal(source_id, id);
    get_header("b", "content-type", type);
    assert_string_equal(type, "text/plain"); /* the name does not say */
    assert_int_equal(rig_stat(&rig, "a.txt", &a), 0);
    assert_int_equal(rig_stat(&rig, "b", &b), 0);
    assert_int_not_equal(a.st_ino, b.st_ino);
    assert_int_equal(b.st_mode & 07777, 0644);
    assert_int_equal(b.st_size, 10);
    assert_int_equal(rig_remount(&rig), 0);
    assert_file("b", "0123456789");
}

/* Onto a file that was cut off; it stays the same file. Written on after the copy, it is both. */
static void onto_a_truncated_file(void **state)
{
    struct stat before, after;

    (void)state;
    assert_int_equal(rig_put(&rig, "a", "0123456789", 10), 0);
    assert_int_equal(rig_put(&rig, "b.html", "old", 3), 0);
    assert_int_equal(rig_stat(&rig, "b.html", &before), 0);
    open_both("a", "b.html", O_TRUNC);
    assert_int_equal(copy(0, 0, UINT64_MAX), 10);
    assert_int_equal(asked(STORE_COPY), 1);
    assert_object("b.html", "0123456789");
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, out, 8, "xyz", 3), 3);
    assert_int_equal(shut_both(), 0);
    assert_object("b.html", "01234567xyz");
    assert_int_equal(rig_stat(&rig, "b.html", &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
}

static void large_file(bool copies, bool part_copies)
{
    _cleanup_free_ char *big = malloc(BIG), *back = malloc(BIG + 1);

    for (unsigned n = 0; n < BIG; n++)
        big[n] = (char)(n * 31 + n / 4096);
    remake(copies, part_copies);
    assert_int_equal(rig_put(&rig, "a", big, BIG), 0);
    open_both("a", "b", O_EXCL);
    for (uint64_t at = 0; at < BIG;) {
        ssize_t n = copy(at, at, BIG - at);

        assert_true(n > 0);
        at += (uint64_t)n;
    }
    assert_int_equal(asked(STORE_MPU_PART_COPY) > 0, part_copies);
    assert_int_equal(asked(STORE_COPY), copies && !part_copies);
    assert_int_equal(asked(STORE_GET), 0); /* in the cache since it was written */
    assert_int_equal(asked(STORE_MPU_PART) + asked(STORE_PUT), 0);
    assert_int_equal(shut_both(), 0);
    assert_int_equal(asked(STORE_MPU_PART) > 0, !copies && !part_copies);
    assert_int_equal(rig_get(&rig, "b", back, BIG + 1), BIG);
    assert_memory_equal(big, back, BIG);
}

/* Above the threshold by parts, side by side, if the server honours the conditions of those; else
 * by one COPY; else the bytes are sent. */
static void large_file_by_parts(void **state)
{
    (void)state;
    large_file(true, true);
    large_file(false, true);
}

static void large_file_without_parts(void **state)
{
    (void)state;
    large_file(true, false);
    large_file(false, false);
}

/* A server whose COPY has no condition at its destination is not asked to: it could undo what
 * another client closed. */
static void server_without_conditions(void **state)
{
    (void)state;
    remake(false, false);
    foreign_put("a", "0123456789");
    open_both("a", "b", O_EXCL);
    assert_int_equal(copy(0, 0, 10), 10);
    assert_no_object("b");
    assert_int_equal(shut_both(), 0);
    assert_int_equal(asked(STORE_COPY), 0);
    assert_int_equal(asked(STORE_PUT), 1);
    assert_object("b", "0123456789");
}

static void other_ranges(void **state)
{
    char buf[32] = "";

    (void)state;
    assert_int_equal(rig_put(&rig, "a", "0123456789", 10), 0);
    open_both("a", "b", 0);
    assert_int_equal(copy(2, 0, 4), 4);
    assert_int_equal(copy(8, 6, 100), 2);
    assert_int_equal(copy(10, 8, 100), 0);
    assert_int_equal(vfs_copy_range(rig.vfs, &rig.ctx, out, 0, out, 10, 3), 3); /* within a file */
    assert_int_equal(vfs_copy_range(rig.vfs, &rig.ctx, out, 0, 9999, 10, 3), -EBADF);
    assert_int_equal(copy(0, 0, 0), 0);
    assert_int_equal(asked(STORE_COPY), 0);
    assert_int_equal(vfs_read(rig.vfs, out, 0, buf, sizeof(buf)), 13);
    assert_memory_equal(buf, "2345\0\00089\0\000234", 13);
    assert_int_equal(shut_both(), 0);
    assert_int_equal(rig_get(&rig, "b", buf, sizeof(buf)), 13);
    assert_memory_equal(buf, "2345\0\00089\0\000234", 13);
}

/* What is not in the bucket yet can't be copied there. */
static void dirty_source(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&rig, "a", "0123456789", 10), 0);
    open_both("a", "b", O_EXCL);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, in, 0, "x", 1), 1);
    assert_int_equal(copy(0, 0, 10), 10);
    assert_int_equal(asked(STORE_COPY), 0);
    assert_int_equal(shut_both(), 0);
    assert_object("b", "x123456789");
    assert_object("a", "x123456789");
}

/* Holes of the source are not read: the copy has them too, also over bytes that were there. */
static void holes(void **state)
{
    _cleanup_free_ char *buf = malloc(3 << 20), *want = calloc(1, 3 << 20);
    uint64_t at = 0;

    (void)state;
    assert_int_equal(rig_put(&rig, "b", "old bytes that go", 17), 0);
    assert_int_equal(rig_creat(&rig, "a", O_RDWR | O_EXCL, 0644, &in), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, in, 1 << 20, "data", 4), 4);
    assert_int_equal(vfs_fallocate(rig.vfs, &rig.ctx, in, 0, 0, 3 << 20), 0);
    assert_int_equal(rig_open_file(&rig, "b", O_RDWR, &out), 0);
    for (ssize_t n = 1; n > 0; at += (uint64_t)n) {
        n = copy(at, at, (3 << 20) - at);
        assert_true(n >= 0);
    }
    assert_int_equal(at, 3 << 20);
    at = 1;
    assert_int_equal(vfs_lseek(rig.vfs, out, 0, SEEK_DATA, &at), 0);
    assert_int_equal(at, 1 << 20);
    assert_int_equal(shut_both(), 0);
    memcpy(want + (1 << 20), "data", 4);
    assert_int_equal(rig_get(&rig, "b", buf, 3 << 20), 3 << 20);
    assert_memory_equal(buf, want, 3 << 20);
}

/* Somebody made the destination meanwhile: his object is not touched by the copy; the close has its
 * rules for it. */
static void destination_was_made(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&rig, "a", "0123456789", 10), 0);
    open_both("a", "b", O_EXCL);
    foreign_put("b", "theirs");
    assert_int_equal(copy(0, 0, 10), 10);
    assert_int_equal(asked(STORE_COPY), 1);
    assert_object("b", "theirs");
    assert_int_equal(shut_both(), -EEXIST);
    assert_object("b", "theirs");
}

/* The source that was opened is another version by now: never the new one's bytes under the old
 * one's name. */
static void source_was_replaced(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&rig, "a", "0123456789", 10), 0);
    open_both("a", "b", O_EXCL);
    foreign_put("a", "abcdefghij");
    assert_int_equal(copy(0, 0, 10), 10);
    assert_int_equal(shut_both(), 0);
    assert_object("b", "0123456789"); /* from the cache */
}

static void lost_reply(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&rig, "a", "0123456789", 10), 0);
    open_both("a", "b", O_EXCL);
    memstore_lose(rig.store, STORE_COPY, 1, 1, -EIO);
    assert_int_equal(copy(0, 0, 10), 10);
    assert_int_equal(asked(STORE_COPY), 1);
    assert_int_equal(asked(STORE_HEAD), 1);
    assert_int_equal(shut_both(), 0);
    assert_int_equal(asked(STORE_PUT), 0);
    assert_object("b", "0123456789");
}

/* Onto a file with two names: their record says which object has the bytes, so the close writes it.
 */
static void onto_a_hard_link(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&rig, "a", "0123456789", 10), 0);
    assert_int_equal(rig_put(&rig, "b", "old", 3), 0);
    assert_int_equal(rig_link(&rig, "b", "c"), 0);
    open_both("a", "b", O_TRUNC);
    assert_int_equal(copy(0, 0, 10), 10);
    assert_int_equal(asked(STORE_COPY), 0);
    assert_int_equal(shut_both(), 0);
    assert_object("b", "0123456789");
    assert_object("c", "0123456789");
}

/* excl=strict: the copy has made the name, so it is reserved no longer. */
static void reserved_name(void **state)
{
    struct vfs_conf conf = rig.conf;
    struct rig other;
    uint64_t fh;

    (void)state;
    conf.excl = VFS_EXCL_STRICT;
    rig_close(&rig);
    assert_int_equal(rig_open(&rig, &conf), 0);
    assert_int_equal(rig_put(&rig, "a", "0123456789", 10), 0);
    open_both("a", "b", O_EXCL);
    assert_int_equal(copy(0, 0, 10), 10);
    assert_int_equal(asked(STORE_COPY), 1);
    assert_int_equal(rig_unlink(&rig, "b"), 0);
    assert_int_equal(rig_join(&other, &rig, &conf), 0);
    assert_int_equal(rig_creat(&other, "b", O_WRONLY | O_EXCL, 0644, &fh), 0);
    assert_int_equal(rig_shut(&other, fh), 0);
    rig_close(&other);
    assert_int_equal(shut_both(), 0);
}

/* noac: as a write, it is in the bucket when it returns. */
static void synchronous(void **state)
{
    struct vfs_conf conf = rig.conf;
    char buf[8];

    (void)state;
    conf.sync_writes = true;
    rig_close(&rig);
    assert_int_equal(rig_open(&rig, &conf), 0);
    assert_int_equal(rig_put(&rig, "a", "0123456789", 10), 0);
    open_both("a", "b", O_EXCL);
    assert_int_equal(copy(3, 0, 4), 4);
    assert_object("b", "3456");
    assert_int_equal(
        vfs_fallocate(rig.vfs, &rig.ctx, out, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3, 1), 0);
    assert_int_equal(rig_get(&rig, "b", buf, sizeof(buf)), 4);
    assert_memory_equal(buf, "345", 4);
    assert_int_equal(asked(STORE_PUT), 2);
    assert_int_equal(shut_both(), 0);
}

/* The cache's disk is full in the middle: the caller is told, and half a copy never goes up. */
static void no_room_for_a_copy(void **state)
{
    const uint64_t size = 80 << 20; /* the rig's cache has 64 MiB */
    _cleanup_free_ char *big = calloc(1, size);
    uint64_t done = 0;
    ssize_t n;

    (void)state;
    assert_int_equal(memstore_put(rig.store, "a", big, size, NULL, NULL), 0);
    open_both("a", "b", O_EXCL);
    do {
        n = copy(1 + done, done, size);
        done += n > 0 ? (uint64_t)n : 0;
    } while (n > 0);
    assert_int_equal(n, -ENOSPC);
    assert_true(done > 0 && done < size - 1);
    assert_int_equal(shut_both(), -ENOSPC);
    assert_no_object("b");
}

static void failed_copy(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&rig, "a", "0123456789", 10), 0);
    open_both("a", "b", O_EXCL);
    memstore_fail(rig.store, STORE_COPY, 1, 1, -EACCES);
    assert_int_equal(copy(0, 0, 10), 10);
    assert_no_object("b");
    assert_int_equal(shut_both(), 0);
    assert_int_equal(asked(STORE_PUT), 1);
    assert_object("b", "0123456789");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(whole_file_is_one_copy),
        T(onto_a_truncated_file),
        T(large_file_by_parts),
        T(large_file_without_parts),
        T(server_without_conditions),
        T(other_ranges),
        T(dirty_source),
        T(holes),
        T(destination_was_made),
        T(source_was_replaced),
        T(lost_reply),
        T(onto_a_hard_link),
        T(reserved_name),
        T(synchronous),
        T(no_room_for_a_copy),
        T(failed_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
