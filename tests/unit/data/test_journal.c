/* SPDX-License-Identifier: Apache-2.0 */
/* Files in the journal: what was acknowledged stays what it was, whatever is written after it, and comes back. */
#include "fixture.h"

#include "base/sys.h"
#include "cache/journal.h"

#define SIZE 300000u

struct jx {
    struct fx x;
    struct journal *j;
};

static int up(void **state)
{
    struct jx *t = calloc(1, sizeof(*t));
    fx_open(&t->x, &(struct data_conf){0}, 0, 0);
    assert_int_equal(journal_open(t->x.cache, &t->j), 0);
    *state = t;
    return 0;
}

static int down(void **state)
{
    struct jx *t = *state;
    journal_close(t->j);
    fx_close(&t->x);
    free(t);
    return 0;
}

static void restart(struct jx *t)
{
    journal_close(t->j);
    fx_remount(&t->x);
    assert_int_equal(journal_open(t->x.cache, &t->j), 0);
}

/* A file's journal entry, with the state that its record would keep. */
struct entry {
    uint64_t seq;
    struct data_state state;
};

static struct entry journal(struct jx *t, struct data_file *f, uint64_t replaces)
{
    struct entry e;
    assert_int_equal(data_state_get(f, &e.state), 0);
    int r = data_journal(f, t->j, "r", 1, replaces, &e.seq);
    if (r != 0)
        fail_msg("data_journal: %d %s", r, err_text());
    return e;
}

static struct data_file *restore(struct jx *t, const char *key, const struct store_obj *base, const struct entry *e)
{
    struct cache_stage *s = NULL;
    struct data_file *f = NULL;
    if (e->state.n > 0)
        assert_int_equal(journal_stage(t->j, e->seq, &s), 0);
    int r = data_file_restore(t->x.data, key, base, s, &e->state, &f);
    if (r != 0)
        fail_msg("restore: %d %s", r, err_text());
    return f;
}

/* After a restart, the file that the entry makes reads as these bytes. */
static void expect_after_restart(struct jx *t, const struct store_obj *base, struct entry *e, const void *bytes, size_t n)
{
    restart(t);
    struct data_file *f = restore(t, "k", base, e);
    assert_true(data_is_dirty(f));
    assert_int_equal(data_is_whole(f), e->state.whole);
    fx_expect(f, bytes, n);
    data_file_unref(f);
    data_state_done(&e->state);
}

static void write_at(struct data_file *f, uint64_t off, const void *p, size_t n)
{
    assert_int_equal(data_write(f, off, p, n), 0);
}

static void test_new_file(void **state)
{
    struct jx *t = *state;
    char *bytes = malloc(SIZE);
    fx_fill(bytes, 0, SIZE, 1);
    struct data_file *f = fx_file(&t->x, "k", NULL);
    write_at(f, 0, bytes, SIZE);
    struct entry e = journal(t, f, 0);
    fx_expect(f, bytes, SIZE);
    data_file_unref(f);
    expect_after_restart(t, NULL, &e, bytes, SIZE);
    free(bytes);
}

static void test_no_bytes(void **state)
{
    struct jx *t = *state;
    struct store_obj base = fx_put(&t->x, "k", SIZE, 2);
    struct data_file *f = fx_file(&t->x, "k", &base);
    char *bytes = malloc(SIZE);
    fx_fill(bytes, 0, SIZE, 2);
    assert_int_equal(data_truncate(f, 1000), 0);
    struct entry e = journal(t, f, 0);
    assert_int_equal(e.state.n, 0);
    data_file_unref(f);
    expect_after_restart(t, &base, &e, bytes, 1000);

    f = fx_file(&t->x, "empty", NULL);
    e = journal(t, f, 0);
    data_file_unref(f);
    expect_after_restart(t, NULL, &e, "", 0);
    free(bytes);
}

/* What changes a file's bytes after its entry was made, on `bytes` (the file: SIZE of them, dirty [0, SIZE - 1000), the
 * rest of the base). */
typedef void (*change_fn)(struct data_file *f, char *bytes);

static void change_first(struct data_file *f, char *bytes)
{
    memset(bytes, 'x', 5000);
    write_at(f, 0, bytes, 5000);
}

static void change_last(struct data_file *f, char *bytes)
{
    memset(bytes + SIZE - 1500, 'y', 1000);
    write_at(f, SIZE - 1500, bytes + SIZE - 1500, 1000);
}

static void change_zero(struct data_file *f, char *bytes)
{
    memset(bytes + 8192, 0, 100000);
    assert_int_equal(data_zero(f, 8192, 100000, true), 0);
}

static void change_cut(struct data_file *f, char *bytes)
{
    memset(bytes + 70000, 0, SIZE - 70000);
    assert_int_equal(data_truncate(f, 70000), 0);
    assert_int_equal(data_truncate(f, SIZE), 0);
}

static void change_all(struct data_file *f, char *bytes)
{
    memset(bytes, 0, SIZE);
    assert_int_equal(data_truncate(f, 0), 0);
    assert_int_equal(data_truncate(f, SIZE), 0);
    memset(bytes, 'z', 10);
    write_at(f, 0, bytes, 10);
}

static void test_changes(void **state)
{
    static const change_fn changes[] = {change_first, change_last, change_zero, change_cut, change_all};
    struct jx *t = *state;
    char *bytes = malloc(SIZE), *now = malloc(SIZE);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct store_obj base = fx_put(&t->x, "k", SIZE, 3);
        struct data_file *f = fx_file(&t->x, "k", &base);
        fx_fill(bytes, 0, SIZE, 4);
        write_at(f, 0, bytes, SIZE - 1000);
        fx_fill(bytes + SIZE - 1000, SIZE - 1000, 1000, 3);
        struct entry e = journal(t, f, 0);
        memcpy(now, bytes, SIZE);
        changes[i](f, now);
        fx_expect(f, now, SIZE);
        data_file_unref(f);
        expect_after_restart(t, &base, &e, bytes, SIZE);
        assert_int_equal(journal_drop(t->j, e.seq), 0);
    }
    free(bytes);
    free(now);
}

static uint64_t inode_of(const struct jx *t, uint64_t seq)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof(path), "%s/journal/files/%ju", t->x.dir, (uintmax_t)seq);
    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

/* A log: appends go on in the same staged file, nothing is copied; each entry is what it was. */
static void test_appends(void **state)
{
    struct jx *t = *state;
    char *bytes = malloc(SIZE);
    fx_fill(bytes, 0, SIZE, 5);
    struct data_file *f = fx_file(&t->x, "k", NULL);
    struct entry e = {0};
    uint64_t ino = 0;
    for (unsigned i = 0; i < 10; i++) {
        write_at(f, i * 1000, bytes + i * 1000, 1000);
        uint64_t before = e.seq;
        data_state_done(&e.state);
        e = journal(t, f, before);
        assert_true(i == 0 || inode_of(t, e.seq) == ino);
        ino = inode_of(t, e.seq);
    }
    write_at(f, 10000, bytes + 10000, 1000); /* never acknowledged */
    fx_expect(f, bytes, 11000);
    data_file_unref(f);
    struct journal_stats s;
    journal_stats_get(t->j, &s);
    assert_int_equal(s.entries, 1);
    expect_after_restart(t, NULL, &e, bytes, 10000);
    free(bytes);
}

/* A restored file can be changed and journaled again, while its old entry stands. */
static void test_restored_goes_on(void **state)
{
    struct jx *t = *state;
    char bytes[6000], now[8000];
    memset(bytes, 'a', sizeof(bytes));
    struct data_file *f = fx_file(&t->x, "k", NULL);
    write_at(f, 0, bytes, sizeof(bytes));
    struct entry e = journal(t, f, 0), e2;
    write_at(f, 6000, bytes, 1000); /* in the staged file, not of the entry */
    data_file_unref(f);
    restart(t);
    f = restore(t, "k", NULL, &e);
    memcpy(now, bytes, sizeof(bytes));
    memset(now + 6000, 0, 2000);
    memset(now + 100, 'b', 100);
    assert_int_equal(data_truncate(f, 8000), 0); /* not what was written there without being acknowledged */
    write_at(f, 100, now + 100, 100);
    fx_expect(f, now, sizeof(now));
    e2 = journal(t, f, 0);
    data_file_unref(f);
    restart(t);
    f = restore(t, "k", NULL, &e);
    fx_expect(f, bytes, sizeof(bytes));
    data_file_unref(f);
    data_state_done(&e.state);
    expect_after_restart(t, NULL, &e2, now, sizeof(now));
}

/* Committed: the staged file becomes cached blocks, and the entry goes. */
static void test_committed(void **state)
{
    struct jx *t = *state;
    char bytes[5000];
    fx_fill(bytes, 0, sizeof(bytes), 7);
    struct data_file *f = fx_file(&t->x, "k", NULL);
    write_at(f, 0, bytes, sizeof(bytes));
    struct entry e = journal(t, f, 0);
    struct store_obj now = fx_put(&t->x, "k", sizeof(bytes), 7);
    data_committed(f, "k", &now, data_change(f));
    assert_int_equal(journal_drop(t->j, e.seq), 0);
    data_state_done(&e.state);
    memset(bytes, 'n', 10);
    write_at(f, 0, bytes, 10);
    fx_expect(f, bytes, sizeof(bytes));
    data_file_unref(f);
    struct cache_stats cs;
    cache_stats_get(t->x.cache, &cs);
    assert_int_equal(cs.staged_bytes, 0);
}

static void test_bad_state(void **state)
{
    struct jx *t = *state;
    struct data_extent ext[2] = {{0, 10}, {20, 10}};
    struct data_state good = {.ext = ext, .n = 2, .size = 40};
    struct data_state bad[] = {good, good, good, good, good};
    struct data_extent behind[2] = {{20, 10}, {0, 10}}, far[2] = {{0, 10}, {35, 10}}, none[2] = {{0, 0}, {20, 10}};
    bad[0].ext = behind;
    bad[1].ext = far;
    bad[2].ext = none;
    bad[3].base_valid = 1;
    bad[4].size = DATA_SIZE_MAX + 1;
    for (size_t i = 0; i < 6; i++) {
        struct cache_stage *s;
        struct data_file *f;
        assert_int_equal(cache_stage_new(t->x.cache, &s), 0);
        assert_int_equal(sys_ftruncate(cache_stage_fd(s), i < 5 ? 100 : 29), 0); /* the last: too short */
        assert_int_equal(data_file_restore(t->x.data, "k", NULL, s, i < 5 ? &bad[i] : &good, &f), -EBADMSG);
    }
    struct data_file *f;
    assert_int_equal(data_file_restore(t->x.data, "k", NULL, NULL, &good, &f), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_new_file, up, down),
        cmocka_unit_test_setup_teardown(test_no_bytes, up, down),
        cmocka_unit_test_setup_teardown(test_changes, up, down),
        cmocka_unit_test_setup_teardown(test_appends, up, down),
        cmocka_unit_test_setup_teardown(test_restored_goes_on, up, down),
        cmocka_unit_test_setup_teardown(test_committed, up, down),
        cmocka_unit_test_setup_teardown(test_bad_state, up, down),
    };
    return cmocka_run_group_tests_name("data/journal", tests, NULL, NULL);
}
