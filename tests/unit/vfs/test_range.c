/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of files: fallocate, holes, and truncation by path (T6, T17, T30 of what other file
 * systems got wrong). */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP FALLOC_FL_KEEP_SIZE
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO FALLOC_FL_ZERO_RANGE

static int falloc(uint64_t fh, int mode, uint64_t off, uint64_t len)
{
    return vfs_fallocate(rig.vfs, &rig.ctx, fh, mode, off, len);
}

static off_t size_of(const char *path)
{
    struct stat st;

    assert_int_equal(rig_stat(&rig, path, &st), 0);
    return st.st_size;
}

static void assert_bytes(const char *path, const char *want, size_t size)
{
    _cleanup_free_ char *buf = calloc(1, size + 1);

    assert_int_equal(rig_get(&rig, path, buf, size + 1), size);
    assert_memory_equal(buf, want, size);
}

static void modes(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "0123456789", 10), 0);
    assert_int_equal(rig_open_file(&rig, "f", O_RDWR, &fh), 0);
    assert_int_equal(falloc(fh, 0, 2, 4), 0); /* there already */
    assert_int_equal(falloc(fh, KEEP, 0, 1000), 0);
    assert_int_equal(size_of("f"), 10);
    memstore_count_reset(rig.store);
    assert_int_equal(vfs_fsync(rig.vfs, fh), 0);
    assert_int_equal(memstore_count(rig.store, STORE_PUT), 0); /* nothing changed */
    assert_int_equal(falloc(fh, PUNCH, 2, 2), 0);
    assert_int_equal(falloc(fh, PUNCH, 9, 100), 0);
    assert_int_equal(falloc(fh, ZERO | KEEP, 5, 1), 0);
    assert_int_equal(size_of("f"), 10);
    assert_int_equal(falloc(fh, 0, 0, 12), 0);
    assert_int_equal(size_of("f"), 12);
    assert_int_equal(falloc(fh, ZERO, 11, 4), 0);
    assert_int_equal(size_of("f"), 15);
    assert_int_equal(falloc(fh, FALLOC_FL_PUNCH_HOLE, 0, 1), -EOPNOTSUPP);
    assert_int_equal(falloc(fh, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), -EOPNOTSUPP);
    assert_int_equal(falloc(fh, FALLOC_FL_INSERT_RANGE, 0, 4096), -EOPNOTSUPP);
    assert_int_equal(falloc(fh, 0, 0, 0), -EINVAL);
    assert_int_equal(falloc(fh, 0, INT64_MAX, 1), -EFBIG);
    assert_int_equal(falloc(fh, 0, DATA_SIZE_MAX, 1), -EFBIG);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_bytes("f", "01\0\0004\000678\0\0\0\0\0\0", 15);
    assert_int_equal(rig_open_file(&rig, "f", O_RDONLY, &fh), 0);
    assert_int_equal(falloc(fh, PUNCH, 0, 1), -EBADF);
    assert_int_equal(rig_shut(&rig, fh), 0);
}

/* It is a write: committed by close, with the times of one; a new file that holds nothing else,
 * too. */
static void it_is_a_write(void **state)
{
    struct stat before, after;
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_creat(&rig, "f", O_WRONLY | O_EXCL, 0644, &fh), 0);
    assert_int_equal(falloc(fh, 0, 0, 5), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_bytes("f", "\0\0\0\0\0", 5);
    assert_int_equal(rig_stat(&rig, "f", &before), 0);
    clock_fake_add(NS_PER_S);
    assert_int_equal(rig_open_file(&rig, "f", O_WRONLY, &fh), 0);
    assert_int_equal(falloc(fh, ZERO, 3, 4), 0);
    memstore_count_reset(rig.store);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(memstore_count(rig.store, STORE_PUT), 1);
    assert_int_equal(rig_stat(&rig, "f", &after), 0);
    assert_int_equal(after.st_mtim.tv_sec - before.st_mtim.tv_sec, 1);
    assert_int_equal(after.st_size, 7);
}

static int64_t seek(uint64_t fh, uint64_t off, int whence)
{
    uint64_t at = 0;
    int r = vfs_lseek(rig.vfs, fh, off, whence, &at);

    return r < 0 ? r : (int64_t)at;
}

static void holes_and_data(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_creat(&rig, "f", O_RDWR | O_EXCL, 0644, &fh), 0);
    assert_int_equal(seek(fh, 0, SEEK_DATA), -ENXIO);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 1 << 20, "x", 1), 1);
    assert_int_equal(seek(fh, 0, SEEK_HOLE), 0);
    assert_int_equal(seek(fh, 0, SEEK_DATA), 1 << 20);
    assert_int_equal(seek(fh, 1 << 20, SEEK_HOLE), (1 << 20) + 1);
    assert_int_equal(seek(fh, (1 << 20) + 1, SEEK_HOLE), -ENXIO);
    assert_int_equal(seek(fh, 0, SEEK_SET), -EINVAL);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(rig_open_file(&rig, "f", O_RDONLY, &fh), 0);
    assert_int_equal(seek(fh, 5, SEEK_DATA), 5); /* what is stored counts as data */
    assert_int_equal(seek(fh, 5, SEEK_HOLE), (1 << 20) + 1);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(seek(fh, 0, SEEK_DATA), -EBADF);
}

/* As cp --sparse=always: only data is written, the size comes last; then holes are punched and the
 * copy is copied by what SEEK_DATA says. Size alone proves nothing: every byte is compared. */
static void t17_sparse_copy(void **state)
{
    enum { SIZE = 700000, CHUNK = 50000 };
    _cleanup_free_ char *want = calloc(1, SIZE), *buf = calloc(1, SIZE);
    uint64_t from, to;
    int64_t at = 0, end;

    (void)state;
    assert_int_equal(rig_creat(&rig, "a", O_RDWR | O_EXCL, 0644, &from), 0);
    for (unsigned off = CHUNK; off < SIZE; off += 3 * CHUNK) {
        memset(want + off, 'a' + (int)(off / CHUNK), CHUNK);
        assert_int_equal(vfs_write(rig.vfs, &rig.ctx, from, off, want + off, CHUNK), CHUNK);
    }
    assert_int_equal(falloc(from, 0, 0, SIZE), 0);
    memset(want + 4 * CHUNK + 100, 0, CHUNK / 2);
    assert_int_equal(falloc(from, PUNCH, 4 * CHUNK + 100, CHUNK / 2), 0);
    assert_int_equal(rig_creat(&rig, "b", O_RDWR | O_EXCL, 0644, &to), 0);
    while ((at = seek(from, (uint64_t)at, SEEK_DATA)) >= 0) {
        end = seek(from, (uint64_t)at, SEEK_HOLE);
        assert_true(end > at);
        assert_int_equal(vfs_read(rig.vfs, from, (uint64_t)at, buf, (size_t)(end - at)), end - at);
        assert_int_equal(vfs_write(rig.vfs, &rig.ctx, to, (uint64_t)at, buf, (size_t)(end - at)),
                         end - at);
        at = end;
    }
    assert_int_equal(at, -ENXIO);
    assert_int_equal(falloc(to, 0, 0, SIZE), 0);
    assert_int_equal(rig_shut(&rig, from), 0);
    assert_int_equal(rig_shut(&rig, to), 0);
    assert_bytes("a", want, SIZE);
    assert_bytes("b", want, SIZE);
    assert_int_equal(rig_remount(&rig), 0);
    assert_bytes("b", want, SIZE);
}

/* truncate(2) on a closed file, shorter and longer, is in the bucket and there after a remount. */
static void t6_truncate_by_path(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&rig, "f", "0123456789", 10), 0);
    assert_int_equal(rig_truncate(&rig, "f", 4), 0);
    assert_object("f", "0123");
    assert_int_equal(rig_remount(&rig), 0);
    assert_bytes("f", "0123", 4);
    assert_int_equal(rig_truncate(&rig, "f", 8), 0);
    assert_int_equal(rig_remount(&rig), 0);
    assert_bytes("f", "0123\0\0\0\0", 8);
    assert_int_equal(rig_truncate(&rig, "f", 0), 0);
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(size_of("f"), 0);
}

/* A truncate to the size that this mount believes in is not skipped: the file is another size by
 * now. A stat in between, through the same or another mount, changes nothing of that. */
static void t30_truncate_to_every_size_seen(void **state)
{
    static const unsigned sizes[] = {10, 4, 4, 12, 0, 7, 7};
    struct rig other;
    struct stat st;

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "0123456789", 10), 0);
    assert_int_equal(rig_join(&other, &rig, NULL), 0);
    for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
        struct store_obj obj = {0};

        assert_int_equal(rig_stat(&rig, "f", &st), 0);
        assert_int_equal(rig_put(&other, "f", "a longer content", 16), 0);
        assert_int_equal(rig_stat(&rig, "f", &st), 0);
        clock_fake_add(61 * NS_PER_S);
        assert_int_equal(rig_truncate(&rig, "f", sizes[n]), 0);
        assert_int_equal(memstore_get(rig.store, "f", &obj, NULL), 0);
        assert_int_equal(obj.size, sizes[n]);
        store_obj_done(&obj);
        assert_int_equal(size_of("f"), sizes[n]);
        clock_fake_add(61 * NS_PER_S);
    }
    rig_close(&other);
}

/* The same within the attribute times: the size that is believed is not the file's. It is never
 * skipped silently: the right size, or an error. */
static void t30_truncate_to_a_stale_size(void **state)
{
    struct rig other;
    struct store_obj obj = {0};
    struct stat st;
    int r;

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "0123456789", 10), 0);
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(rig_join(&other, &rig, NULL), 0);
    assert_int_equal(rig_put(&other, "f", "a longer content", 16), 0);
    rig_close(&other);
    r = rig_truncate(&rig, "f", 10);
    assert_int_equal(memstore_get(rig.store, "f", &obj, NULL), 0);
    assert_true((r == 0 && obj.size == 10) || (r == -ESTALE && obj.size == 16));
    store_obj_done(&obj);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(modes),
        T(it_is_a_write),
        T(holes_and_data),
        T(t17_sparse_copy),
        T(t6_truncate_by_path),
        T(t30_truncate_to_every_size_seen),
        T(t30_truncate_to_a_stale_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
