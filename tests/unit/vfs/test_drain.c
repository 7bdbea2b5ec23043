/* SPDX-License-Identifier: Apache-2.0 */
/* A drain while others write; who is told that a commit has merged; bytes that have no place to go.
 */
#include "weaktest.h"

/* --- a drain while others write --- */

#define ROUNDS 40
static struct {
    uint64_t fh[2];
    unsigned puts;
    int result;
} busy;

static void *write_other(void *arg)
{
    if (vfs_write(a.vfs, &a.ctx, busy.fh[*(size_t *)arg], 0, "x", 1) != 1)
        busy.result = -EIO;
    return NULL;
}

static void write_while_drained(void *arg, struct store *s, const struct store_req *req, int result)
{
    pthread_t t;
    size_t other = req->key[0] == '0';

    (void)arg;
    (void)s;
    (void)result;
    if (req->op != STORE_PUT || req->key[1] != '\0')
        return;
    clock_fake_add(NS_PER_MS);
    if (++busy.puts < ROUNDS && pthread_create(&t, NULL, write_other, &other) == 0)
        pthread_join(t, NULL);
}

/* Two files that are written without a pause: a drain sends what was there when it began, and comes
 * to its end. */
static void drain_of_busy_writers(void **state)
{
    (void)state;
    put_text(&a, "0", "0");
    put_text(&a, "1", "1");
    memset(&busy, 0, sizeof(busy));
    busy.fh[0] = open_text(&a, "0", O_RDWR);
    busy.fh[1] = open_text(&a, "1", O_RDWR);
    write_text(&a, busy.fh[0], 0, "y");
    memstore_set_hooks(a.store, write_while_drained, NULL, NULL);
    assert_int_equal(vfs_drain(a.vfs), 0);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    assert_int_equal(busy.puts, 1);
    assert_int_equal(busy.result, 0);
    assert_object("0", "y");
    assert_int_equal(vfs_drain(a.vfs), 0);
    assert_object("1", "x");
    assert_int_equal(rig_shut(&a, busy.fh[0]), 0);
    assert_int_equal(rig_shut(&a, busy.fh[1]), 0);
}

/* What a commit merges is news to the kernel, whoever has called for it. */
static void merge_is_told(int (*commit)(void))
{
    uint64_t fh, other;
    unsigned before_it;

    put_text(&b, "f", "0123");
    assert_int_equal(rig_link(&b, "f", "l"), 0);
    fh = open_text(&a, "f", O_RDWR);
    write_text(&a, fh, 0, "A");
    other = open_text(&b, "f", O_RDWR);
    write_text(&b, other, 3, "B");
    assert_int_equal(rig_shut(&b, other), 0);
    before_it = a.invalidations;
    assert_int_equal(commit(), 0);
    assert_object("l", "A12B");
    assert_true(a.invalidations > before_it);
    assert_int_equal(rig_shut(&a, fh), 0);
}

static int drain_a(void)
{
    return vfs_drain(a.vfs);
}

static int rename_f(void)
{
    return rig_rename(&a, "f", "g", 0);
}

static int unlink_f(void)
{
    return rig_unlink(&a, "f");
}

static void drain_tells_the_kernel_of_a_merge(void **state)
{
    (void)state;
    merge_is_told(drain_a);
}

static void rename_tells_the_kernel_of_a_merge(void **state)
{
    (void)state;
    merge_is_told(rename_f);
}

static void unlink_tells_the_kernel_of_a_merge(void **state)
{
    (void)state;
    merge_is_told(unlink_f);
}

/* --- bytes that have no place to go --- */

/* Somebody has tidied up the empty lost+found since the mount began. */
static void lost_and_found_is_made_again(void **state)
{
    char path[96];
    uint64_t fh;

    (void)state;
    put_text(&a, "f", "1234");
    fh = open_text(&a, "f", O_RDWR);
    write_text(&a, fh, 0, "A");
    foreign_put("f", "another file");
    snprintf(path, sizeof(path), "%s/lost+found", a.dir);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rig_shut(&a, fh), -ESTALE);
    assert_int_equal(lost_and_found(&a), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(drain_of_busy_writers),
        T(lost_and_found_is_made_again),
        T(drain_tells_the_kernel_of_a_merge),
        T(rename_tells_the_kernel_of_a_merge),
        T(unlink_tells_the_kernel_of_a_merge),
    };

    return cmocka_run_group_tests_name("vfs/drain", tests, NULL, NULL);
}
