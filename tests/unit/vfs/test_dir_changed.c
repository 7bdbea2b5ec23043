/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that several mounts change, and two looks at once at what others rename. */
#include "weaktest.h"

/* --- what is known of other mounts' renames --- */

#define STRANGE ".s3efs/intents/0" /* a record that nobody can read, so each look asks for it */

static struct {
    pthread_t thread;
    atomic_bool has_begun, is_listing, may_go_on;
    int result;
} look;

static void *look_again(void *arg)
{
    (void)arg;
    look.result = intents_look(a.vfs);
    return NULL;
}

static void look_before(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op == STORE_LIST && atomic_load(&look.has_begun) &&
        !atomic_exchange(&look.is_listing, true))
        wait_for(&look.may_go_on);
    if (req->op != STORE_GET || strcmp(req->key, STRANGE) != 0 ||
        atomic_exchange(&look.has_begun, true))
        return;
    look.result = -pthread_create(&look.thread, NULL, look_again, NULL);
    wait_for(&look.is_listing);
}

static bool hides_on_a(const char *key)
{
    uint64_t since = 0;

    return intents_hide(a.vfs, key, &since);
}

/* One look at the bucket is at its end when another one begins: a directory that moves does not
 * show under two names meanwhile. */
static void two_looks_at_once(void **state)
{
    struct intent_claim cl = {.both = true, .what = {.is_dir = true, .from = "d/", .to = "e/"}};
    struct intent other;
    bool is_hidden;

    (void)state;
    assert_int_equal(intent_claim(b.coord, &cl, &other), 0);
    assert_int_equal(intents_look(a.vfs), 0);
    assert_true(hides_on_a("e/1"));
    foreign_put(STRANGE, "?");
    atomic_store(&look.has_begun, false);
    atomic_store(&look.is_listing, false);
    atomic_store(&look.may_go_on, false);
    memstore_set_hooks(a.store, look_before, NULL, NULL);
    assert_int_equal(intents_look(a.vfs), 0);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    is_hidden = hides_on_a("e/1"); /* the other look must end before an assertion */
    atomic_store(&look.may_go_on, true);
    pthread_join(look.thread, NULL);
    assert_true(is_hidden);
    assert_int_equal(look.result, 0);
    assert_true(hides_on_a("e/1"));
    assert_int_equal(intent_finish(b.coord, &cl, false), 0);
    assert_int_equal(intents_look(a.vfs), 0);
    assert_false(hides_on_a("e/1"));
}

/* --- attributes of directories that several change --- */

/* a believes its look at a directory for longer than at a file; but what it sets goes onto what is
 * there, not onto what it knows. */
static void directory_that_others_change(void **state)
{
    struct vfs_entry e;
    struct stat st;

    (void)state;
    assert_int_equal(rig_mkdir(&a, "d", 0750), 0);
    assert_int_equal(rig_walk(&a, "d", &e), 0); /* the kernel knows it */
    assert_int_equal(rig_chmod(&b, "d", 01777), 0);
    clock_fake_add(10 * NS_PER_S); /* acregmin is over, acdirmin not */
    assert_int_equal(rig_stat(&a, "d", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
    assert_int_equal(rig_chown(&a, "d", 1000, 1000), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_stat(&b, "d", &st), 0);
    assert_int_equal(st.st_mode & 07777, 01777);
    assert_int_equal(st.st_uid, 1000);
    vfs_forget(a.vfs, e.node, 1);
}

/* The mount's root, too: chown there is every user's first step. */
static void root_that_others_change(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(rig_chmod(&b, "", 01777), 0);
    clock_fake_add(10 * NS_PER_S);
    assert_int_equal(rig_chown(&a, "", 1001, 1000), 0);
    assert_int_equal(rig_stat(&a, "", &st), 0);
    assert_int_equal(st.st_mode & 07777, 01777);
    assert_int_equal(st.st_uid, 1001);
}

static void root_changed_elsewhere_is_seen(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(rig_chown(&a, "", 1000, 1000), 0);
    assert_int_equal(rig_stat(&b, "", &st), 0);
    assert_int_equal(st.st_uid, 0); /* believed for acdirmin */
    clock_fake_add(30 * NS_PER_S);
    assert_int_equal(rig_stat(&b, "", &st), 0);
    assert_int_equal(st.st_uid, 1000);
    assert_int_equal(st.st_ino, VFS_ROOT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(two_looks_at_once),
        T(directory_that_others_change),
        T(root_that_others_change),
        T(root_changed_elsewhere_is_seen),
    };

    return cmocka_run_group_tests_name("vfs/dir_changed", tests, NULL, NULL);
}
