/* SPDX-License-Identifier: Apache-2.0 */
/* A damaged journal: bits of its index turn over, files are missing or nobody's. What was
 * acknowledged is there, or in lost+found and said to be. */
#include "journaltest.h"

#include <dirent.h>
#include <fcntl.h>

#include "baddisk.h"
#include "base/sys.h"

static unsigned count_kept(const char *dir, const char *start)
{
    char path[PATH_MAX + 32];
    struct dirent *e;
    unsigned n = 0;
    DIR *d;

    snprintf(path, sizeof(path), "%s/lost+found", dir);
    d = opendir(path);
    assert_non_null(d);
    while ((e = readdir(d)) != NULL)
        n += strncmp(e->d_name, start, strlen(start)) == 0 && strstr(e->d_name, ".txt") == NULL;
    closedir(d);
    return n;
}

/* A journal of ten entries, of which three are gone. */
static void fill(const char *dir, uint64_t seq[10])
{
    struct cache *c = cache_open_at(dir, 0);
    struct journal *j = journal_at(c);

    for (unsigned n = 0; n < 9; n++)
        assert_int_equal(entry_put(c, j, n, n == 7 ? seq[3] : 0, &seq[n]), 0);
    assert_int_equal(journal_drop(j, seq[1]), 0);
    assert_int_equal(journal_drop(j, seq[4]), 0);
    seq[1] = seq[3] = seq[4] = 0;
    assert_int_equal(entry_put(c, j, 10, 0, &seq[9]), 0); /* the last: no bytes */
    journal_close(j);
    cache_close(c);
}

static void index_of(const struct place *p, char ret[PATH_MAX + 64])
{
    snprintf(ret, PATH_MAX + 64, "%s/journal/index", p->dir);
}

/* All there is, or all that is missing is in lost+found. */
static bool check_damaged(const struct place *p, const uint64_t seq[10])
{
    struct cache *c = cache_open_at(p->dir, 0);
    struct journal *j = NULL;
    unsigned missing = 0;
    struct entries *e;
    uint64_t next;
    int r = journal_open(c, &j);

    if (r != 0) { /* refused, loudly: a format of the future */
        assert_int_equal(r, -EINVAL);
        cache_close(c);
        return true;
    }
    e = entries_of(j);
    for (unsigned i = 0; i < 10; i++)
        if (seq[i] != 0 && !entries_have(e, seq[i], i < 9 ? i : 10)) {
            char name[64];

            missing++;
            snprintf(name, sizeof(name), "journal-%llu.", (unsigned long long)seq[i]);
            if (entry_has_bytes(i < 9 ? i : 10))
                assert_true(count_kept(p->dir, name) >= 1);
        }
    assert_true(e->n + missing == 7);
    assert_true(missing == 0 || count_kept(p->dir, "journal-index.") == 1);
    assert_int_equal(lost_of(j) > 0, count_kept(p->dir, "journal-index.") > 0);
    assert_int_equal(entry_put(c, j, 5, 0, &next), 0);
    assert_true(next > seq[9]);
    journal_close(j);
    cache_close(c);
    return missing > 0;
}

static void copy_tree(const char *from, const char *to)
{
    static const char *const files[] = {"stamp", "journal/index"};
    char path[2 * PATH_MAX], path2[2 * PATH_MAX];
    struct dirent *e;
    DIR *d;

    snprintf(path, sizeof(path), "%s/journal/files", to);
    assert_int_equal(sys_mkdirs(path, 0700), 0);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char *p;
        size_t n;
        int fd;

        snprintf(path, sizeof(path), "%s/%s", from, files[i]);
        assert_int_equal(sys_read_file(path, 1u << 24, &p, &n), 0);
        snprintf(path, sizeof(path), "%s/%s", to, files[i]);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        assert_int_equal(write(fd, p, n), (ssize_t)n);
        close(fd);
        free(p);
    }
    snprintf(path, sizeof(path), "%s/journal/files", from);
    d = opendir(path);
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/journal/files/%s", from, e->d_name);
        snprintf(path2, sizeof(path2), "%s/journal/files/%s", to, e->d_name);
        assert_int_equal(link(path, path2), 0);
    }
    closedir(d);
}

/* Some bits of every part of the index, one at a time. */
static void test_bits_of_the_index(void **state)
{
    char path[PATH_MAX + 64];
    uint64_t seq[10] = {0};
    unsigned tried = 0, bad = 0;
    struct place p;
    struct stat st;

    (void)state;
    place_make(&p);
    fill(p.dir, seq);
    index_of(&p, path);
    assert_int_equal(stat(path, &st), 0);
    baddisk_quick_syncs(true);
    /* The two pages of roots closely, the rest in steps. */
    for (off_t off = 0; off < st.st_size; off += off % 4096 < 160 && off < 8192 ? 3 : 127) {
        struct place q = {.scratch = ""};
        unsigned char byte;
        int fd;

        snprintf(q.dir, sizeof(q.dir), "%s/try", p.scratch);
        copy_tree(p.dir, q.dir);
        index_of(&q, path);
        fd = open(path, O_RDWR);
        assert_int_equal(pread(fd, &byte, 1, off), 1);
        byte ^= (unsigned char)(1u << (off / 3 % 8));
        assert_int_equal(pwrite(fd, &byte, 1, off), 1);
        close(fd);
        bad += check_damaged(&q, seq);
        tried++;
        scratch_remove(q.dir);
    }
    baddisk_quick_syncs(false);
    print_message("%u bits, %u of them cost entries\n", tried, bad);
    assert_true(bad > 0 && tried > 50);
    scratch_remove(p.scratch);
}

typedef void (*damage_fn)(const char *index, const char *files, const uint64_t *seq);

static void index_cut(const char *index, const char *files, const uint64_t *seq)
{
    (void)files;
    (void)seq;
    assert_int_equal(truncate(index, 5000), 0);
}

static void index_empty(const char *index, const char *files, const uint64_t *seq)
{
    (void)files;
    (void)seq;
    assert_int_equal(truncate(index, 0), 0);
}

static void index_gone(const char *index, const char *files, const uint64_t *seq)
{
    (void)files;
    (void)seq;
    assert_int_equal(unlink(index), 0);
}

static void file_gone(const char *index, const char *files, const uint64_t *seq)
{
    char path[PATH_MAX + 128];

    (void)index;
    snprintf(path, sizeof(path), "%s/%llu", files, (unsigned long long)seq[2]);
    assert_int_equal(unlink(path), 0);
}

static void file_short(const char *index, const char *files, const uint64_t *seq)
{
    char path[PATH_MAX + 128];

    (void)index;
    snprintf(path, sizeof(path), "%s/%llu", files, (unsigned long long)seq[2]);
    assert_int_equal(truncate(path, (off_t)entry_size(2) - 1), 0);
}

static void file_strange(const char *index, const char *files, const uint64_t *seq)
{
    char path[PATH_MAX + 128];

    (void)index;
    (void)seq;
    snprintf(path, sizeof(path), "%s/007", files);
    close(open(path, O_WRONLY | O_CREAT, 0600));
}

static void file_of_no_put(const char *index, const char *files, const uint64_t *seq)
{
    char path[PATH_MAX + 128];

    (void)index;
    snprintf(path, sizeof(path), "%s/%llu", files, (unsigned long long)seq[9] + 50);
    close(open(path, O_WRONLY | O_CREAT, 0600));
}

/* Each damage, how many entries stay, and what is in lost+found after it. */
static void test_damage(void **state)
{
    static const struct {
        damage_fn fn;
        unsigned entries, kept;
        const char *name;
    } rows[] = {
        {index_cut, 0, 5, "journal-"},      {index_empty, 0, 5, "journal-"},
        {index_gone, 0, 4, "journal-"},     {file_gone, 6, 1, "journal-3.rec"},
        {file_short, 6, 2, "journal-3."},   {file_strange, 7, 1, "journal-007."},
        {file_of_no_put, 7, 1, "journal-"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char index[PATH_MAX + 64], files[PATH_MAX + 64];
        uint64_t seq[10] = {0}, next, again;
        struct place p;
        struct cache *c;
        struct journal *j;

        place_make(&p);
        fill(p.dir, seq);
        index_of(&p, index);
        snprintf(files, sizeof(files), "%s/journal/files", p.dir);
        rows[i].fn(index, files, seq);
        c = cache_open_at(p.dir, 0);
        j = journal_at(c);
        assert_int_equal(entries_of(j)->n, rows[i].entries);
        assert_int_equal(count_kept(p.dir, rows[i].name), rows[i].kept);
        assert_int_equal(lost_of(j), rows[i].kept);
        assert_int_equal(entry_put(c, j, 5, 0, &next), 0);
        assert_true(next > seq[9]);
        journal_close(j);
        j = journal_at(c); /* and it is told once */
        assert_int_equal(lost_of(j), 0);
        assert_int_equal(entry_put(c, j, 6, 0, &again), 0);
        assert_true(again > next);
        journal_close(j);
        cache_close(c);
        scratch_remove(p.scratch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_of_the_index),
        cmocka_unit_test(test_damage),
    };

    scratch_in_memory();
    return cmocka_run_group_tests_name("cache/journal_damage", tests, NULL, NULL);
}
