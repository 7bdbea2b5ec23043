/* SPDX-License-Identifier: Apache-2.0 */
/* Writes and truncation on a base (DATA-1, DATA-2), and a full disk. */
#include "fixture.h"

#define KIB 1024u
#define MIB (1024u * 1024u)

static void truncate_then_extend_reads_zeros(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct store_obj base = fx_put(&x, "k", 100, 1);
    struct data_file *f = fx_file(&x, "k", &base);
    assert_false(data_is_dirty(f));
    assert_int_equal(data_truncate(f, 10), 0);
    assert_int_equal(data_truncate(f, 50), 0);
    assert_int_equal(data_write(f, 80, "abc", 3), 0);
    assert_int_equal(data_change(f), 3);
    assert_true(data_is_dirty(f));
    assert_false(data_is_whole(f));
    assert_int_equal(data_dirty_bytes(f), 3);

    char want[83] = {0};
    fx_fill(want, 0, 10, 1);
    memcpy(want + 80, "abc", 3);
    fx_expect(f, want, sizeof(want));

    struct data_extent *v;
    size_t n;
    uint64_t base_valid;
    assert_int_equal(data_extents(f, &v, &n, &base_valid), 0);
    assert_int_equal(n, 1);
    assert_int_equal(v[0].off, 80);
    assert_int_equal(v[0].len, 3);
    assert_int_equal(base_valid, 10);
    free(v);
    data_file_unref(f);
    fx_close(&x);
}

static void truncate_inside_a_dirty_range(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct data_file *f = fx_file(&x, "k", NULL);
    char bytes[100], want[100] = {0};
    fx_fill(bytes, 0, 100, 3);
    assert_int_equal(data_write(f, 0, bytes, 100), 0);
    assert_int_equal(data_truncate(f, 40), 0);
    assert_int_equal(data_dirty_bytes(f), 40);
    assert_int_equal(data_truncate(f, 100), 0); /* what was cut off does not come back */
    memcpy(want, bytes, 40);
    fx_expect(f, want, 100);
    data_file_unref(f);
    fx_close(&x);
}

static void new_and_emptied_files_are_whole(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct data_file *f = fx_file(&x, "new", NULL);
    assert_true(data_is_whole(f));
    assert_true(data_is_dirty(f)); /* the bucket does not have it */
    assert_int_equal(data_size(f), 0);
    data_file_unref(f);

    struct store_obj base = fx_put(&x, "k", 10, 1);
    f = fx_file(&x, "k", &base);
    assert_false(data_is_whole(f));
    assert_int_equal(data_truncate(f, 10), 0); /* nothing changes */
    assert_false(data_is_dirty(f));
    assert_int_equal(data_change(f), 0);
    assert_int_equal(data_truncate(f, 0), 0);
    assert_true(data_is_whole(f));
    assert_int_equal(data_write(f, 5, "x", 1), 0);
    assert_true(data_is_whole(f));
    fx_expect(f, "\0\0\0\0\0x", 6);
    assert_int_equal(memstore_count(x.store, STORE_OPS), 0); /* nobody was asked */
    data_file_unref(f);
    fx_close(&x);
}

static void limits_and_bad_arguments(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct data_file *f = fx_file(&x, "k", NULL);
    assert_int_equal(data_write(f, DATA_SIZE_MAX, "x", 1), -EFBIG);
    assert_int_equal(data_write(f, UINT64_MAX, "x", 1), -EFBIG);
    assert_int_equal(data_truncate(f, DATA_SIZE_MAX + 1), -EFBIG);
    assert_int_equal(data_write(f, 7, "", 0), 0); /* as POSIX: nothing happens, the size stays */
    assert_int_equal(data_size(f), 0);
    assert_int_equal(data_truncate(f, DATA_SIZE_MAX), 0);
    char c = 1;
    assert_int_equal(data_read(f, DATA_SIZE_MAX - 1, &c, 1), 1);
    assert_int_equal(c, 0);
    assert_int_equal(data_read(f, DATA_SIZE_MAX, &c, 1), 0);
    data_file_unref(f);

    char key[1100];
    memset(key, 'k', sizeof(key));
    key[1025] = '\0';
    assert_int_equal(data_file_new(x.data, key, NULL, &f), -ENAMETOOLONG);
    key[1024] = '\0';
    assert_int_equal(data_file_new(x.data, key, NULL, &f), 0);
    data_file_unref(f);
    struct store_obj nameless = {.size = 1};
    assert_int_equal(data_file_new(x.data, "k", &nameless, &f), -EINVAL);
    data_file_unref(NULL);
    fx_close(&x);
}

/* No room: the write that does not fit fails, everything before it is still there. */
static void a_full_disk_damages_nothing(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, MIB);
    struct data_file *f = fx_file(&x, "k", NULL);
    _cleanup_free_ char *bytes = malloc(4 * MIB);
    fx_fill(bytes, 0, 4 * MIB, 7);
    assert_int_equal(data_write(f, 0, bytes, 256 * KIB), 0);
    uint64_t change = data_change(f);
    assert_int_equal(data_write(f, 0, bytes, 4 * MIB), -ENOSPC);
    assert_int_equal(data_write(f, 256 * KIB, bytes, 4 * MIB), -ENOSPC);
    assert_true(strlen(err_text()) > 0);
    assert_int_equal(data_change(f), change);
    fx_expect(f, bytes, 256 * KIB);
    assert_int_equal(data_write(f, 1000, bytes + 1000, 1000), 0); /* over itself: needs no room */
    fx_expect(f, bytes, 256 * KIB);
    data_file_unref(f);
    fx_close(&x);
}

static void references_keep_it(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct data_file *f = fx_file(&x, "k", NULL);
    assert_int_equal(data_write(f, 0, "abc", 3), 0);
    struct data_file *g = data_file_ref(f);
    data_file_unref(f);
    fx_expect(g, "abc", 3);
    data_file_unref(g);
    fx_close(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncate_then_extend_reads_zeros),
        cmocka_unit_test(truncate_inside_a_dirty_range),
        cmocka_unit_test(new_and_emptied_files_are_whole),
        cmocka_unit_test(limits_and_bad_arguments),
        cmocka_unit_test(a_full_disk_damages_nothing),
        cmocka_unit_test(references_keep_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
