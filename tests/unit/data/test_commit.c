/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a file when its base moves, with the uploads done by hand: committed, written meanwhile, rebased,
 * localised, kept. */
#include "fixture.h"

#include "base/sys.h"

#define KIB 1024u
#define MIB (1024u * 1024u)

/* Puts the file as it is, as an upload would, and tells data/. */
static void commit(struct fx *x, struct data_file *f, const char *key)
{
    uint64_t change = data_change(f);
    size_t size = (size_t)data_size(f);
    char *buf = malloc(size + 1);
    struct data_source ds;
    data_source_init(&ds, f, 0, size);
    assert_int_equal(ds.src.size, size);
    assert_int_equal(ds.src.read(ds.src.ctx, 0, buf, size), 0);
    struct store_obj now = {.size = size};
    assert_int_equal(memstore_put(x->store, key, buf, size, NULL, &now.etag), 0);
    free(buf);
    data_committed(f, key, &now, change);
}

static void a_new_file_becomes_cached_blocks(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct data_file *f = fx_file(&x, "k", NULL);
    char *buf = malloc(MIB);
    fx_fill(buf, 0, MIB, 1);
    assert_int_equal(data_write(f, 0, buf, 300 * KIB), 0);
    assert_int_equal(data_truncate(f, MIB), 0); /* zeros at the end */
    commit(&x, f, "k");
    assert_false(data_is_dirty(f));
    assert_false(data_is_whole(f));
    assert_int_equal(data_dirty_bytes(f), 0);
    memset(buf + 300 * KIB, 0, MIB - 300 * KIB);
    fx_expect(f, buf, MIB);
    struct store_obj now = fx_head(&x, "k");
    struct store_etag etag = data_base_etag(f);
    assert_true(store_etag_equal(&now.etag, &etag));
    data_file_unref(f);

    fx_remount(&x);
    f = fx_file(&x, "k", &now);
    fx_expect(f, buf, MIB);
    assert_int_equal(memstore_count(x.store, STORE_OPS), 0); /* nothing came back over the wire */
    free(buf);
    data_file_unref(f);
    fx_close(&x);
}

/* A database's way: a page here and there, a commit, again. The object is fetched once, never again. */
static void changes_in_place_fetch_nothing_again(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct store_obj base = fx_put(&x, "db", 700 * KIB, 1);
    struct data_file *f = fx_file(&x, "db", &base);
    char *want = malloc(700 * KIB);
    fx_fill(want, 0, 700 * KIB, 1);
    for (unsigned i = 0; i < 10; i++) {
        size_t off = i * 60 * KIB + 100;
        memset(want + off, (int)i, 4096);
        assert_int_equal(data_write(f, off, want + off, 4096), 0);
        commit(&x, f, "db");
        fx_expect(f, want, 700 * KIB);
    }
    assert_int_equal(memstore_count(x.store, STORE_GET), 1);
    free(want);
    data_file_unref(f);
    fx_close(&x);
}

static void written_meanwhile_stays_dirty(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct store_obj base = fx_put(&x, "k", 1000, 1);
    struct data_file *f = fx_file(&x, "k", &base);
    char want[1200];
    fx_fill(want, 0, 1000, 1);
    memcpy(want + 100, "first", 5);
    assert_int_equal(data_write(f, 100, "first", 5), 0);
    uint64_t change = data_change(f);
    struct store_obj now = {.size = 1000};
    assert_int_equal(memstore_put(x.store, "k", want, 1000, NULL, &now.etag), 0);
    /* before the commit is told of: another write, a cut, and growth */
    assert_int_equal(data_write(f, 500, "second", 6), 0);
    assert_int_equal(data_truncate(f, 600), 0);
    assert_int_equal(data_truncate(f, 1200), 0);
    data_committed(f, "k", &now, change);
    assert_true(data_is_dirty(f));
    assert_false(data_is_whole(f));
    memcpy(want + 500, "second", 6);
    memset(want + 600, 0, 600);
    fx_expect(f, want, 1200);
    commit(&x, f, "k");
    assert_false(data_is_dirty(f));
    fx_expect(f, want, 1200);
    data_file_unref(f);
    fx_close(&x);
}

static void a_commit_under_another_key_moves_the_base(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct store_obj base = fx_put(&x, "old", 200 * KIB, 1);
    struct data_file *f = fx_file(&x, "old", &base);
    commit(&x, f, "new"); /* clean: a rename by PUT */
    assert_int_equal(memstore_delete(x.store, "old"), 0);
    memstore_count_reset(x.store);
    char *want = malloc(200 * KIB);
    fx_fill(want, 0, 200 * KIB, 1);
    fx_expect(f, want, 200 * KIB);
    assert_int_equal(memstore_count(x.store, STORE_OPS), 0);
    free(want);
    data_file_unref(f);
    fx_close(&x);
}

static void ranges_move_to_another_version(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct store_obj a = fx_put(&x, "k", 1000, 1);
    struct data_file *f = fx_file(&x, "k", &a);
    assert_int_equal(data_write(f, 100, "mine", 4), 0);
    assert_int_equal(data_localise(f), 0); /* of the old version: must not show through */
    struct store_obj b = fx_put(&x, "k", 2000, 2);
    assert_int_equal(data_rebase(f, &b), 0);
    assert_true(data_is_dirty(f));
    char want[3000];
    fx_fill(want, 0, 2000, 2);
    memcpy(want + 100, "mine", 4);
    fx_expect(f, want, 2000);

    struct store_obj c = fx_put(&x, "k", 50, 3); /* shorter than what was written here */
    assert_int_equal(data_rebase(f, &c), 0);
    memset(want, 0, sizeof(want));
    fx_fill(want, 0, 50, 3);
    memcpy(want + 100, "mine", 4);
    fx_expect(f, want, 104);
    commit(&x, f, "k");
    fx_expect(f, want, 104);
    data_file_unref(f);
    fx_close(&x);
}

static void a_cut_file_keeps_its_size_when_rebased(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct store_obj a = fx_put(&x, "k", 1000, 1);
    struct data_file *f = fx_file(&x, "k", &a);
    assert_int_equal(data_truncate(f, 10), 0);
    struct store_obj b = fx_put(&x, "k", 500, 2);
    assert_int_equal(data_rebase(f, &b), 0);
    char want[10];
    fx_fill(want, 0, 10, 2);
    fx_expect(f, want, 10);
    assert_int_equal(data_truncate(f, 0), 0);
    assert_int_equal(data_write(f, 0, "whole", 5), 0);
    struct store_obj c = fx_put(&x, "k", 700, 3);
    assert_int_equal(data_rebase(f, &c), 0);
    assert_true(data_is_whole(f));
    fx_expect(f, "whole", 5);
    data_file_unref(f);
    fx_close(&x);
}

static void localised_outlives_its_object(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){.whole_max = MIB, .range_size = MIB}, 0, 0);
    struct store_obj base = fx_put(&x, "k", 5 * MIB + 5, 1);
    struct data_file *f = fx_file(&x, "k", &base);
    assert_int_equal(data_write(f, 2 * MIB, "xyz", 3), 0);
    assert_int_equal(data_localise(f), 0);
    assert_int_equal(memstore_delete(x.store, "k"), 0);
    cache_drop_blocks(x.cache, "k", &base.etag);
    assert_int_equal(data_dirty_bytes(f), 3); /* the rest is not dirty */
    char *want = malloc(5 * MIB + 5);
    fx_fill(want, 0, 5 * MIB + 5, 1);
    memcpy(want + 2 * MIB, "xyz", 3);
    fx_expect(f, want, 5 * MIB + 5);
    assert_int_equal(data_truncate(f, 3 * MIB), 0);
    assert_int_equal(data_truncate(f, 4 * MIB), 0);
    memset(want + 3 * MIB, 0, MIB);
    fx_expect(f, want, 4 * MIB);
    free(want);
    data_file_unref(f);
    fx_close(&x);
}

/* Its object may go: every byte is here, as if it had been written. */
static void a_clean_file_becomes_its_own(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct store_obj base = fx_put(&x, "k", 1000, 1);
    struct data_file *f = fx_file(&x, "k", &base);
    char was[1000], now[1000];
    assert_int_equal(data_read(f, 0, was, sizeof(was)), 1000);
    assert_int_equal(data_own(f), 0);
    assert_int_equal(data_own(f), -EBUSY);
    assert_true(data_is_dirty(f) && data_is_whole(f));
    assert_int_equal(data_dirty_bytes(f), 1000);
    assert_int_equal(memstore_delete(x.store, "k"), 0);
    assert_int_equal(data_read(f, 0, now, sizeof(now)), 1000);
    assert_memory_equal(was, now, sizeof(was));
    data_file_unref(f);

    base = fx_put(&x, "gone", 1000, 1);
    f = fx_file(&x, "gone", &base);
    assert_int_equal(memstore_delete(x.store, "gone"), 0);
    assert_int_equal(data_own(f), -ESTALE);
    assert_false(data_is_dirty(f));
    data_file_unref(f);
    fx_close(&x);
}

static void localising_a_clean_file_leaves_it_clean(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct store_obj base = fx_put(&x, "k", 1000, 1);
    struct data_file *f = fx_file(&x, "k", &base);
    assert_int_equal(data_localise_range(f, 10, 20), 0);
    assert_int_equal(data_localise(f), 0);
    assert_int_equal(data_localise(f), 0);
    assert_false(data_is_dirty(f));
    assert_int_equal(data_change(f), 0);
    assert_int_equal(memstore_count(x.store, STORE_OPS), 1);
    data_file_unref(f);

    base = fx_put(&x, "gone", 1000, 1);
    f = fx_file(&x, "gone", &base);
    assert_int_equal(memstore_delete(x.store, "gone"), 0);
    assert_int_equal(data_localise(f), -ESTALE);
    data_file_unref(f);
    fx_close(&x);
}

static void kept_in_lost_and_found(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct store_obj base = fx_put(&x, "dir/k", 1000, 1);
    struct data_file *f = fx_file(&x, "dir/k", &base);
    char want[1500] = {0}, c;
    assert_int_equal(data_read(f, 0, &c, 1), 1); /* now it is cached */
    fx_fill(want, 0, 1000, 1);
    memcpy(want + 300, "mine", 4);
    assert_int_equal(data_write(f, 300, "mine", 4), 0);
    assert_int_equal(data_truncate(f, 1500), 0);
    memstore_count_reset(x.store);
    char *path = NULL, *bytes = NULL;
    size_t len = 0;
    assert_int_equal(data_keep(f, "dir/k", "the object was replaced", &path), 0);
    assert_int_equal(memstore_count(x.store, STORE_OPS), 0);
    assert_int_equal(sys_read_file(path, MIB, &bytes, &len), 0);
    assert_int_equal(len, 1500);
    assert_memory_equal(bytes, want, 1500);
    free(bytes);
    free(path);
    assert_int_equal(data_read(f, 0, &c, 1), -ESTALE);
    assert_int_equal(data_write(f, 0, &c, 1), -ESTALE);
    assert_int_equal(data_truncate(f, 0), -ESTALE);
    assert_int_equal(data_keep(f, "dir/k", "again", &path), -ESTALE);
    data_file_unref(f);
    fx_close(&x);
}

static void a_source_tells_its_errors(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct store_obj base = fx_put(&x, "k", 1000, 1);
    struct data_file *f = fx_file(&x, "k", &base);
    struct data_source ds;
    data_source_init(&ds, f, 100, 900);
    char buf[900];
    memstore_fail(x.store, STORE_GET, 1, 1, -EACCES);
    assert_int_equal(ds.src.read(ds.src.ctx, 0, buf, 900), -EACCES);
    assert_int_equal(ds.src.read(ds.src.ctx, 100, buf, 800), 0);
    fx_check(buf, 200, 800, 1);
    assert_int_equal(data_truncate(f, 999), 0);
    assert_int_equal(ds.src.read(ds.src.ctx, 0, buf, 900), -EIO);
    data_file_unref(f);
    fx_close(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_file_becomes_cached_blocks),
        cmocka_unit_test(changes_in_place_fetch_nothing_again),
        cmocka_unit_test(written_meanwhile_stays_dirty),
        cmocka_unit_test(a_commit_under_another_key_moves_the_base),
        cmocka_unit_test(ranges_move_to_another_version),
        cmocka_unit_test(a_cut_file_keeps_its_size_when_rebased),
        cmocka_unit_test(localised_outlives_its_object),
        cmocka_unit_test(a_clean_file_becomes_its_own),
        cmocka_unit_test(localising_a_clean_file_leaves_it_clean),
        cmocka_unit_test(kept_in_lost_and_found),
        cmocka_unit_test(a_source_tells_its_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
