/* SPDX-License-Identifier: Apache-2.0 */
/* Who reads while others write (protocol 7): one version to its end, and then the next one. */
#include "fs/vfs/internal.h"

#include "twomounts.h"

#define PAST (100 * NS_PER_S) /* any attribute time */

static ssize_t read_on(uint64_t fh, char *all, size_t *at, size_t size)
{
    ssize_t n = vfs_read(b.vfs, fh, *at, all + *at, size - *at);

    if (n > 0)
        *at += (size_t)n;
    return n;
}

static uint64_t walk(struct rig *r, const char *path)
{
    struct vfs_entry e;

    assert_int_equal(rig_walk(r, path, &e), 0);
    vfs_forget(r->vfs, e.node, 1);
    return e.node;
}

static int64_t fstat_size(struct rig *r, uint64_t node, uint64_t fh)
{
    struct stat st;
    int64_t ns;

    assert_int_equal(vfs_getattr(r->vfs, node, fh, &st, &ns), 0);
    return st.st_size;
}

static struct inode *inode_of(struct rig *r, uint64_t node)
{
    struct inode *i;

    assert_int_equal(inode_get(r->vfs, node, &i), 0);
    return i;
}

/* T2: a slow appender on one mount, `tail -f` on the other: every byte once, no zero ever. */
static void tail_follows_a_log(void **state)
{
    char want[1024] = "", got[1024] = "", line[16];
    size_t at = 0, len = 0;
    uint64_t fh, node;

    (void)state;
    assert_int_equal(append_text(&a, "log", "line 0\n"), 0);
    len = (size_t)snprintf(want, sizeof(want), "line 0\n");
    fh = open_text(&b, "log", O_RDONLY);
    node = walk(&b, "log");
    for (int i = 1; i <= 20; i++) {
        assert_true(read_on(fh, got, &at, sizeof(got)) > 0);
        assert_int_equal(read_on(fh, got, &at, sizeof(got)), 0);
        assert_int_equal(at, len);
        snprintf(line, sizeof(line), "line %d\n", i);
        assert_int_equal(append_text(&a, "log", line), 0);
        len += (size_t)snprintf(want + len, sizeof(want) - len, "%s", line);
        b.invalidations = 0;
        clock_fake_add(PAST);
        assert_int_equal(fstat_size(&b, node, fh), len);
        assert_int_equal(b.invalidations, 1);
    }
    assert_true(read_on(fh, got, &at, sizeof(got)) > 0);
    assert_int_equal(at, len);
    assert_memory_equal(got, want, len);
    assert_int_equal(walk(&b, "log"), node);
    assert_int_equal(rig_shut(&b, fh), 0);
}

/* Nor does a cat or an ls beside it take the name away from the one who follows. */
static void tail_goes_on_beside_other_readers(void **state)
{
    char got[256] = "";
    size_t at = 0;
    uint64_t fh, node;
    struct stat st;

    (void)state;
    assert_int_equal(append_text(&a, "log", "one\n"), 0);
    fh = open_text(&b, "log", O_RDONLY);
    node = walk(&b, "log");
    read_on(fh, got, &at, sizeof(got));
    assert_int_equal(append_text(&a, "log", "two\n"), 0);
    assert_file(&b, "log", "one\ntwo\n"); /* an open, within the attribute times */
    read_on(fh, got, &at, sizeof(got));
    assert_int_equal(append_text(&a, "log", "three\n"), 0);
    clock_fake_add(PAST);
    assert_int_equal(rig_stat(&b, "log", &st), 0);
    assert_int_equal(st.st_size, 14);
    assert_int_equal(walk(&b, "log"), node);
    read_on(fh, got, &at, sizeof(got));
    assert_string_equal(got, "one\ntwo\nthree\n");
    assert_int_equal(rig_shut(&b, fh), 0);
}

/* The name has a new node, of version two. Who had 7 bytes of the old one gets its other 4. */
static void assert_stays(uint64_t node, uint64_t fh, char got[64])
{
    struct stat st;

    assert_int_equal(rig_stat(&b, "f", &st), 0);
    assert_int_equal(st.st_size, 19);
    assert_int_not_equal(walk(&b, "f"), node);
    assert_int_equal(vfs_read(b.vfs, fh, 7, got + 7, 64 - 7), 4);
}

/* Who is in the middle of a version stays on it, and others get a new node. */
static void reader_in_the_middle_stays(void **state)
{
    char got[64] = "";
    uint64_t fh, node;

    (void)state;
    put_text(&a, "f", "version one");
    fh = open_text(&b, "f", O_RDONLY);
    node = walk(&b, "f");
    assert_int_equal(vfs_read(b.vfs, fh, 0, got, 7), 7);
    put_text(&a, "f", "VERSION TWO, LONGER");
    clock_fake_add(PAST);
    memstore_count_reset(b.store);
    assert_int_equal(fstat_size(&b, node, fh), 11);
    assert_int_equal(memstore_count(b.store, STORE_OPS), 0);
    assert_stays(node, fh, got);
    assert_string_equal(got, "version one");
    assert_file(&b, "f", "VERSION TWO, LONGER");
    assert_int_equal(rig_shut(&b, fh), 0);
}

/* One of two readers has not got to the end. */
static void all_must_have_read(void **state)
{
    char got[16];
    uint64_t one, two, node;

    (void)state;
    put_text(&a, "f", "version one");
    one = open_text(&b, "f", O_RDONLY);
    two = open_text(&b, "f", O_RDWR);
    node = walk(&b, "f");
    assert_int_equal(vfs_read(b.vfs, one, 0, got, 16), 11);
    assert_int_equal(append_text(&a, "f", "+"), 0);
    clock_fake_add(PAST);
    assert_int_equal(fstat_size(&b, node, one), 11);
    assert_int_equal(vfs_read(b.vfs, two, 0, got, 16), 11);
    assert_int_equal(fstat_size(&b, node, one), 12);
    assert_int_equal(rig_shut(&b, one), 0);
    assert_int_equal(rig_shut(&b, two), 0);
}

/* The kernel reads ahead: who has got 7 bytes of a file that it has read to the end would go on in
 * the bytes of another version. */
static void who_may_be_in_the_middle_stays(void **state)
{
    char got[64] = "";
    uint64_t fh, node;

    (void)state;
    put_text(&a, "f", "version one");
    fh = open_text(&b, "f", O_RDONLY);
    node = walk(&b, "f");
    assert_int_equal(vfs_read(b.vfs, fh, 0, got, sizeof(got)), 11);
    put_text(&a, "f", "VERSION TWO, LONGER");
    assert_file(&b, "f", "VERSION TWO, LONGER");
    clock_fake_add(PAST);
    assert_int_equal(fstat_size(&b, node, fh), 11);
    assert_stays(node, fh, got);
    assert_memory_equal(got, "version one", 11);
    assert_int_equal(rig_shut(&b, fh), 0);
}

static void change(const char *path, uint64_t off, const char *text)
{
    uint64_t fh = open_text(&a, path, O_WRONLY);

    write_text(&a, fh, off, text);
    assert_int_equal(rig_shut(&a, fh), 0);
}

static void cut(const char *path, uint64_t size)
{
    assert_int_equal(rig_truncate(&a, path, size), 0);
}

/* The size that one sees who has `path` open and has read all of it, after `what`. */
static int64_t size_after(const char *path, void (*what)(const char *))
{
    char got[64];
    uint64_t fh = open_text(&b, path, O_RDONLY), node = walk(&b, path);
    int64_t size;

    assert_true(vfs_read(b.vfs, fh, 0, got, sizeof(got)) > 0);
    what(path);
    clock_fake_add(PAST);
    size = fstat_size(&b, node, fh);
    assert_int_equal(rig_shut(&b, fh), 0);
    return size;
}

static void written_at_the_end(const char *path)
{
    change(path, 4, "end");
}

static void grown_twice(const char *path)
{
    assert_int_equal(append_text(&a, path, "+"), 0);
    assert_int_equal(append_text(&a, path, "+"), 0);
}

static void lengthened(const char *path)
{
    cut(path, 9);
}

static void changed_and_grown(const char *path)
{
    change(path, 3, "56");
    grown_twice(path);
}

static void cut_and_grown(const char *path)
{
    cut(path, 2);
    assert_int_equal(append_text(&a, path, "abcde"), 0);
}

static void replaced_and_grown(const char *path)
{
    put_text(&a, path, "12ab");
    grown_twice(path);
}

/* Its ETag is one that it had before. */
static void begun_again(const char *path)
{
    put_text(&a, path, "");
    assert_int_equal(append_text(&a, path, "ABCDEF"), 0);
}

static void only_growth_is_followed(void **state)
{
    static const struct {
        void (*what)(const char *);
        int64_t size;
    } all[] = {{written_at_the_end, 7}, {grown_twice, 6},   {lengthened, 9},
               {changed_and_grown, 4},  {cut_and_grown, 4}, {replaced_and_grown, 4},
               {begun_again, 4}};

    (void)state;
    for (size_t n = 0; n < 3 * sizeof(all) / sizeof(all[0]); n++) {
        static const char *const heads[] = {"1234", "12", ""}; /* the rest is grown */
        const char *head = heads[n % 3];
        char path[8];

        snprintf(path, sizeof(path), "f%zu", n);
        put_text(&a, path, head);
        if (n % 3 != 0)
            assert_int_equal(append_text(&a, path, &"1234"[strlen(head)]), 0);
        assert_int_equal(size_after(path, all[n / 3].what), all[n / 3].size);
    }
}

/* Another tool that puts other bytes there and keeps the headers. */
static void same_headers(const char *path)
{
    struct store_obj there = {0};

    assert_int_equal(memstore_get(a.store, path, &there, NULL), 0);
    assert_int_equal(memstore_put(a.store, path, "ABCDEFGHI", 9, &there.hdrs, NULL), 0);
    store_obj_done(&there);
}

static void headers_of_another_size_say_nothing(void **state)
{
    (void)state;
    put_text(&a, "f", "12");
    assert_int_equal(append_text(&a, "f", "34"), 0);
    assert_int_equal(size_after("f", same_headers), 4);
}

/* What another tool puts there is another file. */
static void another_file_is_not_followed(void **state)
{
    char got[64] = "";
    uint64_t fh, node;
    size_t at = 0;

    (void)state;
    put_text(&a, "f", "ours");
    fh = open_text(&b, "f", O_RDONLY);
    node = walk(&b, "f");
    read_on(fh, got, &at, sizeof(got));
    foreign_put("f", "a stranger's");
    clock_fake_add(PAST);
    assert_int_equal(fstat_size(&b, node, fh), 4);
    assert_file(&b, "f", "a stranger's");
    assert_int_not_equal(walk(&b, "f"), node);
    assert_int_equal(vfs_read(b.vfs, fh, 0, got, sizeof(got)), 4);
    assert_int_equal(rig_shut(&b, fh), 0);
    fh = open_text(&b, "f", O_RDONLY);
    node = walk(&b, "f");
    assert_int_equal(vfs_read(b.vfs, fh, 0, got, sizeof(got)), 12);
    assert_int_equal(rig_unlink(&a, "f"), 0);
    clock_fake_add(PAST);
    assert_int_equal(fstat_size(&b, node, fh), 12);
    assert_int_equal(vfs_read(b.vfs, fh, 0, got, sizeof(got)), 12);
    assert_int_equal(rig_shut(&b, fh), 0);
}

/* A lock was taken: the holder sees what the last one wrote, wherever he was reading. */
static void follow_is_forced_by_a_lock(void **state)
{
    char got[64] = "";
    struct inode *i;
    uint64_t fh;

    (void)state;
    put_text(&a, "f", "counter 1");
    fh = open_text(&b, "f", O_RDWR);
    i = inode_of(&b, walk(&b, "f"));
    assert_int_equal(vfs_read(b.vfs, fh, 0, got, 4), 4);
    b.invalidations = 0;
    assert_int_equal(inode_follow(b.vfs, i), 0);
    assert_int_equal(b.invalidations, 0);
    put_text(&a, "f", "counter 22");
    assert_int_equal(inode_follow(b.vfs, i), 0);
    assert_int_equal(b.invalidations, 1);
    assert_int_equal(vfs_read(b.vfs, fh, 0, got, sizeof(got)), 10);
    assert_memory_equal(got, "counter 22", 10);
    foreign_put("f", "other");
    assert_int_equal(inode_follow(b.vfs, i), -ESTALE);
    assert_int_equal(inode_follow(b.vfs, i), -ESTALE);
    inode_unref(b.vfs, i);
    assert_int_equal(rig_shut(&b, fh), 0);

    fh = open_text(&b, "f", O_RDWR);
    i = inode_of(&b, walk(&b, "f"));
    assert_int_equal(rig_unlink(&a, "f"), 0);
    assert_int_equal(inode_follow(b.vfs, i), -ESTALE);
    inode_unref(b.vfs, i);
    assert_int_equal(rig_shut(&b, fh), 0);
}

/* What is not in the bucket, and what was removed here, has nothing to follow. */
static void follow_of_what_is_only_here(void **state)
{
    struct inode *i;
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_creat(&a, "new", O_RDWR, 0644, &fh), 0);
    i = inode_of(&a, walk(&a, "new"));
    memstore_count_reset(a.store);
    assert_int_equal(inode_follow(a.vfs, i), 0);
    assert_int_equal(memstore_count(a.store, STORE_OPS), 0);
    assert_int_equal(vfs_fsync(a.vfs, fh), 0);
    assert_int_equal(rig_unlink(&a, "new"), 0);
    memstore_count_reset(a.store);
    assert_int_equal(inode_follow(a.vfs, i), 0);
    assert_int_equal(memstore_count(a.store, STORE_OPS), 0);
    inode_unref(a.vfs, i);
    assert_int_equal(rig_shut(&a, fh), 0);
}

static void follow_that_fails(void **state)
{
    char got[16];
    struct inode *i;
    uint64_t fh;

    (void)state;
    put_text(&a, "f", "one");
    fh = open_text(&b, "f", O_RDONLY);
    i = inode_of(&b, walk(&b, "f"));
    put_text(&a, "f", "two!");
    memstore_fail(b.store, STORE_GET, 1, 1, -ETIMEDOUT);
    assert_int_equal(inode_follow(b.vfs, i), -ETIMEDOUT);
    assert_int_equal(vfs_read(b.vfs, fh, 0, got, sizeof(got)), 3);
    assert_int_equal(inode_follow(b.vfs, i), 0);
    assert_int_equal(vfs_read(b.vfs, fh, 0, got, sizeof(got)), 4);
    inode_unref(b.vfs, i);
    assert_int_equal(rig_shut(&b, fh), 0);
}

/* T13: another pod or tool replaces the object between the requests for its bytes. */
static void never_a_mixture(void **state)
{
    const size_t size = 20 << 20, piece = 64 << 10;
    char *body = malloc(size), *got = malloc(piece);
    unsigned refused = 0;

    (void)state;
    for (int version = 1; version <= 4; version++) {
        uint64_t fh;

        memset(body, version, size);
        assert_int_equal(memstore_put(a.store, "big", body, size, NULL, NULL), 0);
        fh = open_text(&b, "big", O_RDONLY);
        assert_int_equal(vfs_read(b.vfs, fh, 0, got, piece), piece);
        memset(body, 99, size);
        assert_int_equal(memstore_put(a.store, "big", body, size, NULL, NULL), 0);
        for (size_t off = 0; off < size; off += piece) {
            ssize_t n = vfs_read(b.vfs, fh, off, got, piece);

            if (n < 0) {
                assert_int_equal(n, -ESTALE);
                refused++;
                continue;
            }
            for (ssize_t k = 0; k < n; k++)
                assert_int_equal(got[k], version);
        }
        assert_int_equal(rig_shut(&b, fh), 0);
    }
    assert_true(refused > 0);
    free(body);
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(tail_follows_a_log),
        T(tail_goes_on_beside_other_readers),
        T(reader_in_the_middle_stays),
        T(all_must_have_read),
        T(who_may_be_in_the_middle_stays),
        T(only_growth_is_followed),
        T(headers_of_another_size_say_nothing),
        T(another_file_is_not_followed),
        T(follow_is_forced_by_a_lock),
        T(follow_of_what_is_only_here),
        T(follow_that_fails),
        T(never_a_mixture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
