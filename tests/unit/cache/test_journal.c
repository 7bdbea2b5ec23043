/* SPDX-License-Identifier: Apache-2.0 */
/* The journal on a good disk: order, replacement, restart, room, group commit. */
#include "journaltest.h"

#include <dirent.h>

#include "../../../fs/cache/jrn.h"
#include "base/sys.h"

struct jfix {
    struct fixture f;
    struct journal *j;
};

static int up(void **state)
{
    struct jfix *x = calloc(1, sizeof(*x));

    scratch_make(x->f.dir);
    x->f.c = cache_open_at(x->f.dir, 0);
    x->j = journal_at(x->f.c);
    *state = x;
    return 0;
}

static int down(void **state)
{
    struct jfix *x = *state;

    journal_close(x->j);
    cache_close(x->f.c);
    scratch_remove(x->f.dir);
    free(x);
    return 0;
}

static void restart(struct jfix *x)
{
    journal_close(x->j);
    fixture_reopen(&x->f, 0);
    x->j = journal_at(x->f.c);
}

static uint64_t put(struct jfix *x, uint64_t n, uint64_t replaces)
{
    uint64_t seq = 0;

    assert_int_equal(entry_put(x->f.c, x->j, n, replaces, &seq), 0);
    return seq;
}

static unsigned count_files(const struct jfix *x, const char *folder)
{
    char path[PATH_MAX + 64];
    unsigned n = 0;
    struct dirent *e;
    DIR *d;

    snprintf(path, sizeof(path), "%s/%s", x->f.dir, folder);
    d = opendir(path);
    assert_non_null(d);
    while ((e = readdir(d)) != NULL)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void test_order_and_restart(void **state)
{
    struct jfix *x = *state;
    uint64_t seq[20];

    for (unsigned i = 0; i < 20; i++) {
        seq[i] = put(x, i, 0);
        assert_true(i == 0 || seq[i] > seq[i - 1]);
    }
    for (unsigned round = 0; round < 3; round++) {
        struct entries *e = entries_of(x->j);

        assert_int_equal(e->n, 20);
        for (unsigned i = 0; i < 20; i++) {
            assert_int_equal(e->v[i].n, i);
            assert_int_equal(e->v[i].seq, seq[i]);
        }
        restart(x);
    }
    assert_int_equal(lost_of(x->j), 0);
    assert_int_equal(count_files(x, "lost+found"), 0);
}

static void test_drop(void **state)
{
    struct jfix *x = *state;
    uint64_t a = put(x, 1, 0), b = put(x, 2, 0), last = put(x, 3, 0);
    struct cache_stage *s;

    assert_int_equal(journal_drop(x->j, a), 0);
    assert_int_equal(journal_drop(x->j, a), 0);
    assert_int_equal(journal_drop(x->j, last), 0);
    assert_int_equal(journal_drop(x->j, 12345), 0);
    assert_int_equal(journal_stage(x->j, a, &s), -ENOENT);
    restart(x);
    assert_int_equal(entries_of(x->j)->n, 1);
    assert_true(entries_have(entries_of(x->j), b, 2));
    assert_int_equal(count_files(x, "journal/files"), 1);
    /* The numbers of dropped entries do not come back, nor those of an empty journal. */
    assert_true(put(x, 4, 0) > last);
    last = put(x, 5, 0);
    for (size_t i = entries_of(x->j)->n; i > 0; i--)
        assert_int_equal(journal_drop(x->j, entries_of(x->j)->v[0].seq), 0);
    restart(x);
    assert_int_equal(entries_of(x->j)->n, 0);
    assert_true(put(x, 6, 0) > last);
    assert_int_equal(lost_of(x->j), 0);
}

static void test_replace(void **state)
{
    struct jfix *x = *state;
    uint64_t a = put(x, 1, 0), b = put(x, 2, 0), c;
    struct journal_stats before, after;

    journal_stats_get(x->j, &before);
    c = put(x, 3, a);
    journal_stats_get(x->j, &after);
    assert_int_equal(after.entries, 2);
    assert_int_equal(after.oldest_wall_ns, before.oldest_wall_ns); /* it is unsent for as long */
    restart(x);
    assert_int_equal(entries_of(x->j)->n, 2);
    assert_true(entries_have(entries_of(x->j), b, 2));
    assert_true(entries_have(entries_of(x->j), c, 3));
    journal_stats_get(x->j, &after);
    assert_int_equal(after.oldest_wall_ns, before.oldest_wall_ns);
    assert_int_equal(count_files(x, "journal/files"), 2);
}

static int drop_it(void *arg, uint64_t seq, const void *rec, size_t len, bool has_file)
{
    (void)rec;
    (void)len;
    (void)has_file;
    assert_int_equal(journal_drop(arg, seq), 0);
    return 0;
}

static int stop_at_3(void *arg, uint64_t seq, const void *rec, size_t len, bool has_file)
{
    (void)rec;
    (void)len;
    (void)has_file;
    *(uint64_t *)arg = seq;
    return seq == 3 ? -ECANCELED : 0;
}

static void test_each(void **state)
{
    struct jfix *x = *state;
    uint64_t last = 0;

    for (unsigned i = 0; i < 8; i++)
        (void)put(x, i, 0);
    assert_int_equal(journal_each(x->j, stop_at_3, &last), -ECANCELED);
    assert_int_equal(last, 3);
    assert_int_equal(journal_each(x->j, drop_it, x->j), 0);
    assert_int_equal(entries_of(x->j)->n, 0);
    assert_int_equal(count_files(x, "journal/files"), 0);
}

/* The bytes of an entry are no cache: they count, and outlive the stage that they came from. */
static void test_room(void **state)
{
    struct jfix *x = *state;
    struct cache_stats before, during, after;
    struct journal_stats js;
    uint64_t seq;

    cache_stats_get(x->f.c, &before);
    seq = put(x, 17, 0);
    cache_stats_get(x->f.c, &during);
    journal_stats_get(x->j, &js);
    assert_true(js.bytes >= entry_size(17));
    assert_int_equal(during.staged_bytes, before.staged_bytes + js.bytes);
    restart(x);
    cache_stats_get(x->f.c, &during);
    assert_int_equal(during.staged_bytes, js.bytes);
    assert_int_equal(journal_drop(x->j, seq), 0);
    cache_stats_get(x->f.c, &after);
    assert_int_equal(after.staged_bytes, 0);
}

/* The record is larger than LMDB's first map; more of them grow it. */
static void test_map_grows(void **state)
{
    struct jfix *x = *state;
    size_t len = (size_t)9 << 20, before = jindex_map_size(x->j->index);
    char *rec = malloc(JOURNAL_REC_MAX + 1);
    uint64_t seq, last = 0;

    memset(rec, 'r', JOURNAL_REC_MAX + 1);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(journal_put(x->j, rec, len, NULL, 0, 0, &seq), 0);
        assert_true(seq > last);
        last = seq;
    }
    assert_true(jindex_map_size(x->j->index) > before);
    assert_int_equal(journal_put(x->j, rec, JOURNAL_REC_MAX + 1, NULL, 0, 0, &seq), -E2BIG);
    restart(x);
    last = 0;
    assert_int_equal(journal_each(x->j, stop_at_3, &last), -ECANCELED);
    assert_int_equal(last, 3);
    for (unsigned i = 1; i <= 4; i++)
        assert_int_equal(journal_drop(x->j, i), 0);
    free(rec);
}

static void test_other_source(void **state)
{
    struct jfix *x = *state;
    struct cache_conf conf = {.dir = x->f.dir, .source = "s3://another"};
    struct cache *c;

    (void)put(x, 1, 0);
    journal_close(x->j);
    cache_close(x->f.c);
    assert_int_equal(cache_new(&conf, &c), -EINVAL);
    x->f.c = cache_open_at(x->f.dir, 0);
    x->j = journal_at(x->f.c);
    assert_int_equal(entries_of(x->j)->n, 1);
}

/* Of a cache in another format all is emptied but the journal (and lost+found). */
static void test_other_format(void **state)
{
    struct jfix *x = *state;
    char path[PATH_MAX + 32], *text;
    FILE *f;

    (void)put(x, 1, 0);
    journal_close(x->j);
    cache_close(x->f.c);
    snprintf(path, sizeof(path), "%s/stamp", x->f.dir);
    assert_int_equal(sys_read_file(path, 10000, &text, NULL), 0);
    f = fopen(path, "w");
    assert_true(f != NULL && fprintf(f, "s3efs-cache 77%s", strchr(text, '\n')) > 0);
    assert_int_equal(fclose(f), 0);
    free(text);
    x->f.c = cache_open_at(x->f.dir, 0);
    x->j = journal_at(x->f.c);
    assert_int_equal(entries_of(x->j)->n, 1);
}

/* The cache's index is given up: the journal is not. */
static void test_cache_index_lost(void **state)
{
    struct jfix *x = *state;
    char path[PATH_MAX + 32];

    (void)put(x, 1, 0);
    (void)put(x, 2, 0);
    journal_close(x->j);
    cache_close(x->f.c);
    snprintf(path, sizeof(path), "%s/meta/data.mdb", x->f.dir);
    assert_int_equal(truncate(path, 5000), 0);
    x->f.c = cache_open_at(x->f.dir, 0);
    x->j = journal_at(x->f.c);
    assert_int_equal(entries_of(x->j)->n, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_and_restart, up, down),
        cmocka_unit_test_setup_teardown(test_drop, up, down),
        cmocka_unit_test_setup_teardown(test_replace, up, down),
        cmocka_unit_test_setup_teardown(test_each, up, down),
        cmocka_unit_test_setup_teardown(test_room, up, down),
        cmocka_unit_test_setup_teardown(test_map_grows, up, down),
        cmocka_unit_test_setup_teardown(test_other_source, up, down),
        cmocka_unit_test_setup_teardown(test_other_format, up, down),
        cmocka_unit_test_setup_teardown(test_cache_index_lost, up, down),
    };

    return cmocka_run_group_tests_name("cache/journal", tests, NULL, NULL);
}
