/* SPDX-License-Identifier: Apache-2.0 */
/* The lock of a file that is not in the bucket yet, as of a lock file that several pods make at
 * their start: it is held by its key, and must hold on when another mount's close brings the file,
 * and its id, into the bucket. */
#include "twomounts.h"

struct open {
    struct rig *r;
    uint64_t fh, node;
};

static struct open open_new(struct rig *r)
{
    struct open o = {.r = r, .fh = open_text(r, "n", O_RDWR | O_CREAT)};
    struct vfs_entry e;

    assert_int_equal(rig_walk(r, "n", &e), 0);
    o.node = e.node;
    return o;
}

static int shut(struct open *o)
{
    int x = rig_shut(o->r, o->fh);

    vfs_forget(o->r->vfs, o->node, 1);
    return x;
}

static int set(const struct open *o, enum lock_kind kind, enum lock_type type)
{
    const struct vfs_lock l = {kind, type, {0, LOCK_END}, 1, 1};

    return vfs_lock_set(o->r->vfs, o->node, &l, NULL);
}

static void held_over_anothers_close(enum lock_kind kind)
{
    struct open x = open_new(&a), y = open_new(&b);

    assert_int_equal(set(&x, kind, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set(&y, kind, LOCK_TYPE_WRITE), -EAGAIN);
    assert_int_equal(shut(&y), 0); /* now it is in the bucket */
    assert_object("n", "");
    y = open_new(&b);
    assert_int_equal(set(&y, kind, LOCK_TYPE_WRITE), -EAGAIN);
    write_text(&a, x.fh, 0, "held");
    assert_int_equal(set(&x, kind, LOCK_TYPE_NONE), 0);
    assert_int_equal(set(&y, kind, LOCK_TYPE_WRITE), 0);
    assert_file(&b, "n", "held");
    assert_int_equal(set(&x, kind, LOCK_TYPE_WRITE), -EAGAIN);
    assert_int_equal(shut(&y), 0);
    assert_int_equal(shut(&x), 0);
}

static void flock_of_a_new_file(void **state)
{
    (void)state;
    held_over_anothers_close(LOCK_FLOCK);
}

static void posix_lock_of_a_new_file(void **state)
{
    (void)state;
    held_over_anothers_close(LOCK_POSIX);
}

/* Once for a file: who locks by the key later finds the id and asks for that. */
static void the_key_is_asked_for_once(void **state)
{
    struct open x;
    uint64_t gets;

    (void)state;
    put_text(&a, "n", "text");
    x = open_new(&a);
    assert_int_equal(set(&x, LOCK_FLOCK, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set(&x, LOCK_FLOCK, LOCK_TYPE_NONE), 0);
    gets = memstore_count(a.store, STORE_GET);
    assert_int_equal(set(&x, LOCK_FLOCK, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set(&x, LOCK_FLOCK, LOCK_TYPE_NONE), 0);
    assert_true(memstore_count(a.store, STORE_GET) - gets <= 1); /* the file itself */
    assert_int_equal(shut(&x), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(flock_of_a_new_file),
        T(posix_lock_of_a_new_file),
        T(the_key_is_asked_for_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
