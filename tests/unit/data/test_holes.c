/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of zeros over staged bytes and over the base's, and where data and holes are. */
#include "fixture.h"

#include "base/sys.h"

#define KIB 1024u
#define SIZE (300 * KIB)

static struct fx x;

static int setup(void **state)
{
    (void)state;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fx_close(&x);
    return 0;
}

static void assert_at(struct data_file *f, uint64_t off, bool hole, uint64_t want)
{
    uint64_t at = 12345;

    assert_int_equal(data_seek(f, off, hole, &at), 0);
    assert_int_equal(at, want);
}

static void assert_none(struct data_file *f, uint64_t off, bool hole)
{
    uint64_t at;

    assert_int_equal(data_seek(f, off, hole, &at), -ENXIO);
}

/* A new file: what was never written is a hole, what is punched becomes one. */
static void of_a_new_file(void **state)
{
    struct data_file *f = fx_file(&x, "k", NULL);
    char want[SIZE] = {0};

    (void)state;
    assert_none(f, 0, true);
    assert_none(f, 0, false);
    fx_fill(want + 64 * KIB, 64 * KIB, 128 * KIB, 1);
    assert_int_equal(data_write(f, 64 * KIB, want + 64 * KIB, 128 * KIB), 0);
    assert_int_equal(data_truncate(f, SIZE), 0);
    assert_at(f, 0, false, 64 * KIB);
    assert_at(f, 0, true, 0);
    assert_at(f, 100 * KIB, true, 192 * KIB);
    assert_none(f, 192 * KIB, false);
    assert_none(f, SIZE, true);
    assert_int_equal(data_zero(f, 96 * KIB, 32 * KIB, true), 0);
    memset(want + 96 * KIB, 0, 32 * KIB);
    fx_expect(f, want, SIZE);
    assert_at(f, 64 * KIB, true, 96 * KIB);
    assert_at(f, 96 * KIB, false, 128 * KIB);
    assert_int_equal(data_dirty_bytes(f), 96 * KIB);
    data_file_unref(f);
}

/* Over the bucket's bytes: zeros at once, nothing fetched, nothing staged; the file is dirty. */
static void over_the_base(void **state)
{
    struct store_obj base = fx_put(&x, "k", SIZE, 7);
    struct data_file *f = fx_file(&x, "k", &base);
    char want[SIZE];

    (void)state;
    fx_fill(want, 0, SIZE, 7);
    assert_at(f, 0, false, 0);
    assert_at(f, 0, true, SIZE);
    memstore_count_reset(x.store);
    assert_int_equal(data_zero(f, 10, 200 * KIB, true), 0);
    assert_int_equal(memstore_count(x.store, STORE_GET), 0);
    assert_true(data_is_dirty(f));
    memset(want + 10, 0, 200 * KIB);
    fx_expect(f, want, SIZE);
    assert_int_equal(data_zero(f, SIZE - 10, 100, true), 0); /* not past the end */
    memset(want + SIZE - 10, 0, 10);
    fx_expect(f, want, SIZE);
    assert_int_equal(data_zero(f, SIZE, 100, true), 0);
    assert_int_equal(data_size(f), SIZE);
    data_file_unref(f);
    store_obj_done(&base);
}

static void growing(void **state)
{
    struct store_obj base = fx_put(&x, "k", 1000, 7);
    struct data_file *f = fx_file(&x, "k", &base);
    char want[3000] = {0};

    (void)state;
    fx_fill(want, 0, 500, 7);
    assert_int_equal(data_zero(f, 500, 2500, false), 0);
    fx_expect(f, want, 3000);
    assert_int_equal(data_zero(f, DATA_SIZE_MAX, 1, false), -EFBIG);
    assert_int_equal(data_zero(f, 0, UINT64_MAX, true), 0);
    memset(want, 0, 500);
    fx_expect(f, want, 3000);
    data_file_unref(f);
    store_obj_done(&base);
}

/* What is committed and adopted as blocks reads as it did: punched, and grown over a cut. */
static void through_a_commit(void **state)
{
    struct data_file *f = fx_file(&x, "k", NULL);
    struct store_obj now;
    char want[SIZE];
    unsigned size = 250 * KIB;

    (void)state;
    fx_fill(want, 0, size, 3);
    assert_int_equal(data_write(f, 0, want, size), 0);
    assert_int_equal(data_zero(f, 20 * KIB, 100 * KIB, true), 0);
    memset(want + 20 * KIB, 0, 100 * KIB);
    assert_int_equal(data_zero(f, 240 * KIB, 100, true), 0);
    assert_int_equal(data_truncate(f, 200 * KIB), 0);
    assert_int_equal(data_truncate(f, size), 0);
    memset(want + 200 * KIB, 0, size - 200 * KIB);
    fx_expect(f, want, size);
    assert_int_equal(memstore_put(x.store, "k", want, size, NULL, NULL), 0);
    now = fx_head(&x, "k");
    data_committed(f, "k", &now, data_change(f));
    memstore_count_reset(x.store);
    fx_expect(f, want, size);
    assert_int_equal(memstore_count(x.store, STORE_GET), 0);
    assert_at(f, 0, true, size); /* nobody remembers holes of what is stored */
    data_file_unref(f);
    store_obj_done(&now);
}

/* Random writes, holes, cuts and growth against an array; what SEEK says is in a hole is zero. */
static void model(void **state)
{
    struct store_obj base = fx_put(&x, "k", SIZE / 2, 9);
    struct data_file *f = fx_file(&x, "k", &base);
    static char want[SIZE + 1], bytes[SIZE];
    uint64_t seed = 88172645463325252, size = SIZE / 2;

    (void)state;
    memset(want, 0, sizeof(want));
    fx_fill(want, 0, size, 9);
    for (unsigned n = 0; n < 600; n++) {
        uint64_t off = fx_random(&seed) % SIZE, len = 1 + fx_random(&seed) % (SIZE - off);
        uint64_t at = off, end;

        switch (fx_random(&seed) % 5) {
        case 0:
            len = len % (40 * KIB) + 1 > SIZE - off ? SIZE - off : len % (40 * KIB) + 1;
            fx_fill(bytes, off, (size_t)len, n);
            assert_int_equal(data_write(f, off, bytes, (size_t)len), 0);
            memcpy(want + off, bytes, (size_t)len);
            size = off + len > size ? off + len : size;
            break;
        case 1:
            assert_int_equal(data_truncate(f, off), 0);
            memset(want + off, 0, SIZE - off);
            size = off;
            break;
        case 2:
            assert_int_equal(data_zero(f, off, len, false), 0);
            memset(want + off, 0, (size_t)len);
            size = off + len > size ? off + len : size;
            break;
        default:
            assert_int_equal(data_zero(f, off, len / 4, true), 0);
            memset(want + off, 0, (size_t)len / 4);
            break;
        }
        if (n % 20 == 0)
            fx_expect(f, want, (size_t)size);
        if (data_seek(f, at, true, &at) == 0 && at < size) {
            if (data_seek(f, at, false, &end) != 0)
                end = size;
            while (at < end)
                assert_int_equal(want[at++], 0);
        }
    }
    fx_expect(f, want, (size_t)size);
    data_file_unref(f);
    store_obj_done(&base);
}

static void a_disk_that_fails(void **state)
{
#ifdef S3EFS_FAULTS
    struct data_file *f = fx_file(&x, "k", NULL);

    (void)state;
    assert_int_equal(data_write(f, 0, "0123456789", 10), 0);
    sys_fault_set(SYS_WRITE, 1, EIO, false);
    assert_int_equal(data_zero(f, 2, 4, true), -EIO);
    sys_fault_set(SYS_WRITE, 1, EOPNOTSUPP, false); /* no holes there: zeros are written */
    assert_int_equal(data_zero(f, 2, 4, true), 0);
    fx_expect(f,
              "01\0\0\0\0"
              "6789",
              10);
    data_file_unref(f);
#else
    (void)state;
#endif
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(of_a_new_file),    T(over_the_base), T(growing),
        T(through_a_commit), T(model),         T(a_disk_that_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
