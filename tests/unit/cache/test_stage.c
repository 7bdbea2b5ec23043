/* SPDX-License-Identifier: Apache-2.0 */
/* Staged files: they become cached blocks, or are kept in lost+found, and never anything in
 * between. */
#include "cachetest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#define SIZE (3u * CACHE_BLOCK + 77u)

static unsigned count_files(const char *dir, const char *name)
{
    char path[PATH_MAX + 32];
    struct dirent *e;
    unsigned n = 0;
    DIR *d;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    d = opendir(path);
    assert_non_null(d);
    while ((e = readdir(d)) != NULL)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static struct cache_stage *stage_pattern(struct cache *c, uint64_t n, size_t size)
{
    struct cache_stage *s;
    uint8_t *buf = malloc(size);

    assert_non_null(buf);
    pattern_fill(n, 0, buf, size);
    assert_int_equal(cache_stage_new(c, &s), 0);
    assert_int_equal(cache_stage_reserve(s, size), 0);
    assert_int_equal(pwrite(cache_stage_fd(s), buf, size, 0), (ssize_t)size);
    free(buf);
    return s;
}

static void test_adopt(void **state)
{
    struct fixture *f = *state;
    struct store_etag etag = etag_of(1);
    struct cache_id id = {.key = "k", .etag = &etag, .size = SIZE};
    struct cache_stage *s = stage_pattern(f->c, 1, SIZE);
    struct cache_stats st;

    assert_int_equal(count_files(f->dir, "stage"), 1);
    cache_stage_adopt(s, &id);
    assert_int_equal(count_files(f->dir, "stage"), 0);
    assert_int_equal(read_good(f->c, "k", 1, SIZE), SIZE);
    cache_stats_get(f->c, &st);
    assert_int_equal(st.staged_bytes, 0);
    assert_int_equal(st.versions, 1);
    assert_true(st.bytes >= SIZE && st.bytes < SIZE + 65536);
    cache_stage_adopt(stage_pattern(f->c, 1, SIZE), &id); /* the same version once more */
    assert_int_equal(read_good(f->c, "k", 1, SIZE), SIZE);
    cache_stats_get(f->c, &st);
    assert_int_equal(st.versions, 1);
    assert_true(st.bytes < SIZE + 65536);
    fixture_reopen(f, 0);
    assert_int_equal(read_good(f->c, "k", 1, SIZE), SIZE);
}

/* Holes are zeros, also past the last byte that was written, and over several chunks of the map. */
static void test_adopt_sparse(void **state)
{
    struct fixture *f = *state;
    const uint64_t size = UINT64_C(80) * MIB + 3;
    struct store_etag etag = etag_of(1);
    struct cache_id id = {.key = "k", .etag = &etag, .size = size};
    uint64_t off, len;
    struct cache_stage *s;
    char buf[8];

    assert_int_equal(cache_stage_new(f->c, &s), 0);
    assert_int_equal(pwrite(cache_stage_fd(s), "mid", 3, 50 * MIB), 3);
    cache_stage_adopt(s, &id);
    assert_false(cache_missing(f->c, &id, 0, size, &off, &len));
    assert_int_equal(cache_read(f->c, &id, 50 * MIB - 1, buf, 5), 5);
    assert_memory_equal(buf, "\0mid\0", 5);
    assert_int_equal(cache_read(f->c, &id, size - 3, buf, 8), 3);
    assert_memory_equal(buf, "\0\0\0", 3);
}

static void test_adopt_nothing(void **state)
{
    struct fixture *f = *state;
    struct store_etag etag = etag_of(1), none = {.s = ""};
    struct cache_id empty = {.key = "k", .etag = &etag, .size = 0};
    struct cache_id unnamed = {.key = "k", .etag = &none, .size = 10};
    struct cache_stats st;

    cache_stage_adopt(stage_pattern(f->c, 1, 10), &empty);
    cache_stage_adopt(stage_pattern(f->c, 1, 10), &unnamed);
    cache_stage_free(stage_pattern(f->c, 1, 10));
    cache_stage_free(NULL);
    assert_int_equal(count_files(f->dir, "stage"), 0);
    assert_int_equal(count_files(f->dir, "blocks"), 0);
    cache_stats_get(f->c, &st);
    assert_int_equal(st.staged_bytes, 0);
    assert_int_equal(st.versions, 0);
}

static void test_emptied_at_start(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX + 32];
    int fd;

    cache_close(f->c);
    snprintf(path, sizeof(path), "%s/stage/77", f->dir);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    f->c = cache_open_at(f->dir, 0);
    assert_int_equal(count_files(f->dir, "stage"), 0);
    cache_stage_free(stage_pattern(f->c, 1, 10));
}

static char *read_text(const char *path)
{
    char *text = calloc(1, 8192);
    FILE *f = fopen(path, "r");

    assert_non_null(text);
    assert_non_null(f);
    assert_true(fread(text, 1, 8191, f) > 0);
    fclose(f);
    return text;
}

static void check_kept(const char *dir, const char *path, uint64_t n, size_t size)
{
    char parent[PATH_MAX + 16], real[PATH_MAX];
    uint8_t *buf = malloc(size + 1);
    int fd = open(path, O_RDONLY);

    assert_non_null(buf);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, buf, size + 1), (ssize_t)size);
    assert_true(pattern_is(n, 0, buf, size));
    close(fd);
    free(buf);
    snprintf(parent, sizeof(parent), "%s/lost+found/", dir);
    assert_non_null(realpath(path, real));
    assert_memory_equal(real, parent, strlen(parent));
    assert_null(strchr(real + strlen(parent), '/'));
    assert_int_not_equal(real[strlen(parent)], '.');
}

static void test_keep(void **state)
{
    struct fixture *f = *state;
    struct cache_stage *s = stage_pattern(f->c, 7, SIZE);
    char *path = NULL, *text, note[PATH_MAX + 8];
    struct cache_stats st;
    struct stat sb;

    assert_int_equal(
        cache_stage_keep(s, "dir/photo 1.jpg", "the bucket has another\nversion", &path), 0);
    check_kept(f->dir, path, 7, SIZE);
    assert_non_null(strstr(path, "dir_photo_1.jpg"));
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0600);
    snprintf(note, sizeof(note), "%s.txt", path);
    text = read_text(note);
    assert_non_null(strstr(text, "key: dir/photo 1.jpg\n"));
    assert_non_null(strstr(text, "why: the bucket has another\\x0aversion\n"));
    assert_non_null(strstr(text, "size: 393293\n"));
    free(text);
    free(path);
    cache_stats_get(f->c, &st);
    assert_int_equal(st.lost_found, 1);
    assert_int_equal(st.staged_bytes, 0);
    fixture_reopen(f, 0);
    cache_stats_get(f->c, &st);
    assert_int_equal(st.lost_found, 1);
}

/* What the status tells of it. */
static void test_kept_list(void **state)
{
    struct fixture *f = *state;
    struct cache_kept_list l;
    char lost[PATH_MAX + 64], note[PATH_MAX + 8], *path;

    assert_int_equal(cache_kept_get(f->c, 10, &l), 0);
    assert_int_equal(l.n, 0);
    cache_kept_done(&l);
    for (unsigned n = 0; n < 12; n++) {
        snprintf(lost, sizeof(lost), "dir/%u", n);
        assert_int_equal(cache_stage_keep(stage_pattern(f->c, n, 10 + n), lost, "a\nb", &path), 0);
        if (n == 10) {
            snprintf(note, sizeof(note), "%s.txt", path);
            assert_int_equal(unlink(note), 0);
        }
        free(path);
    }
    assert_int_equal(cache_kept_get(f->c, 10, &l), 0);
    assert_int_equal(l.n, 10);
    assert_string_equal(l.v[0].key, "dir/11");
    assert_string_equal(l.v[0].why, "a\\x0ab");
    assert_int_equal(l.v[0].size, 21);
    assert_true(l.v[0].kept_ns >= l.v[9].kept_ns);
    assert_string_equal(l.v[1].key, ""); /* its note is gone, its bytes are not */
    assert_int_equal(l.v[1].size, 20);
    assert_string_equal(l.v[9].key, "dir/2");
    check_kept(f->dir, l.v[9].file, 2, 12);
    cache_kept_done(&l);
    snprintf(note, sizeof(note), "%s/moved", f->dir);
    snprintf(lost, sizeof(lost), "%s/lost+found", f->dir);
    assert_int_equal(rename(lost, note), 0);
    assert_int_equal(cache_kept_get(f->c, 10, &l), -ENOENT);
    assert_int_equal(rename(note, lost), 0);
}

static void test_keep_hostile(void **state)
{
    static const char *const keys[] = {
        "../../../etc/passwd", "..",      ".",        "",         "/",     "/etc/shadow", "-rf",
        "a\nb\r\x1b[31m",      "x/../..", "note.txt", "\xff\xfe", "%s%n%d"};
    struct fixture *f = *state;
    char longest[1025], *path;
    struct cache_stats st;

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        assert_int_equal(cache_stage_keep(stage_pattern(f->c, i, 10), keys[i], "test", &path), 0);
        check_kept(f->dir, path, i, 10);
        free(path);
    }
    memset(longest, '/', 1024);
    longest[1024] = '\0';
    for (unsigned i = 0; i < 3; i++) { /* the same name each time: none replaces another */
        assert_int_equal(cache_stage_keep(stage_pattern(f->c, 9, 10), longest, longest, &path), 0);
        check_kept(f->dir, path, 9, 10);
        free(path);
    }
    cache_stats_get(f->c, &st);
    assert_int_equal(st.lost_found, ARRAY_LEN(keys) + 3);
    assert_int_equal(count_files(f->dir, "lost+found"), 2 * (ARRAY_LEN(keys) + 3));
}

/* A failure consumes nothing: the bytes are still there to be tried with again. */
static void test_keep_fails(void **state)
{
    struct fixture *f = *state;
    struct cache_stage *s = stage_pattern(f->c, 7, 10);
    char lost[PATH_MAX + 32], away[PATH_MAX + 32], *path = NULL;
    int fd;

    snprintf(lost, sizeof(lost), "%s/lost+found", f->dir);
    snprintf(away, sizeof(away), "%s/away", f->dir);
    assert_int_equal(rename(lost, away), 0);
    fd = open(lost, O_WRONLY | O_CREAT, 0600); /* no folder, and none can be made */
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(cache_stage_keep(s, "k", "why", &path), -ENOTDIR);
    assert_null(path);
    assert_int_equal(unlink(lost), 0);
    assert_int_equal(rename(away, lost), 0);
    assert_int_equal(cache_stage_keep(s, "k", "why", &path), 0);
    check_kept(f->dir, path, 7, 10);
    free(path);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, fixture_up, fixture_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_adopt),         TEST(test_adopt_sparse),
        TEST(test_adopt_nothing), TEST(test_emptied_at_start),
        TEST(test_keep),          TEST(test_keep_hostile), TEST(test_kept_list),
        TEST(test_keep_fails),
    };

    return cmocka_run_group_tests_name("cache/stage", tests, NULL, NULL);
}
