/* SPDX-License-Identifier: Apache-2.0 */
/* What the bucket said before a local change is no news after it (VFS-4): listings and lookups that
 * overlap writes, truncations and deletes (T10, T32), and a directory that is read while names go
 * (T23). */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#define NAMES 400

static struct {
    atomic_uint gone; /* names below this number were removed, and are never made again */
    atomic_bool ends;
    atomic_uint listings;
    char wrong[96];
} t10;

/* An answer takes its time to arrive. */
static void slow_answer(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op == STORE_LIST || req->op == STORE_HEAD)
        for (int i = 0; i < 20; i++)
            sched_yield();
}

static void look_for_gone(const char *names, unsigned gone)
{
    for (const char *p = names; (p = strchr(p, 'f')) != NULL; p++) {
        unsigned n = 0;

        if (sscanf(p, "f%u", &n) == 1 && n < gone && t10.wrong[0] == '\0')
            snprintf(t10.wrong, sizeof(t10.wrong), "f%u was removed and came back", n);
    }
}

static void *list_in_a_loop(void *arg)
{
    (void)arg;
    while (!atomic_load(&t10.ends)) {
        unsigned gone = atomic_load(&t10.gone);
        char names[4096];

        clock_fake_add(2 * NS_PER_S); /* what was listed is not believed any more */
        if (rig_ls(&rig, "d", names, sizeof(names)) == 0)
            look_for_gone(names, gone);
        atomic_fetch_add(&t10.listings, 1);
    }
    return NULL;
}

static int rewrite_a_byte(const char *path)
{
    uint64_t fh;
    int r = rig_open_file(&rig, path, O_RDWR, &fh);

    if (r < 0)
        return r;
    if (vfs_write(rig.vfs, &rig.ctx, fh, 1, "x", 1) != 1)
        return -EIO;
    return rig_shut(&rig, fh);
}

/* ls in a loop, and files that are made, rewritten by a byte and removed, with times of a second: a
 * removed one never comes back, and no rewrite is given up. */
static void t10_listings_do_not_undo_local_changes(void **state)
{
    char path[16], first[96] = "";
    pthread_t lister;
    struct stat st;

    (void)state;
    rig.conf.acregmin_ns = rig.conf.acdirmin_ns = NS_PER_S;
    rig.conf.acregmax_ns = rig.conf.acdirmax_ns = NS_PER_S;
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    memstore_set_hooks(rig.store, NULL, slow_answer, NULL);
    atomic_store(&t10.gone, 0);
    atomic_store(&t10.listings, 0);
    atomic_store(&t10.ends, false);
    t10.wrong[0] = '\0';
    assert_int_equal(pthread_create(&lister, NULL, list_in_a_loop, NULL), 0);
    while (atomic_load(&t10.listings) == 0)
        sched_yield();
    for (unsigned n = 0; n < NAMES && first[0] == '\0'; n++) {
        int made, rewritten, removed, seen;

        snprintf(path, sizeof(path), "d/f%u", n);
        made = rig_put(&rig, path, "abc", 3);
        rewritten = rewrite_a_byte(path);
        removed = rig_unlink(&rig, path);
        atomic_store(&t10.gone, n + 1);
        seen = rig_stat(&rig, path, &st);
        if (made != 0 || rewritten != 0 || removed != 0 || seen != -ENOENT)
            snprintf(first, sizeof(first), "%s: made %d, rewritten %d, removed %d, seen %d", path,
                     made, rewritten, removed, seen);
    }
    atomic_store(&t10.ends, true);
    pthread_join(lister, NULL);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_string_equal(first, "");
    assert_string_equal(t10.wrong, "");
}

struct late {
    enum store_op op;
    bool is_done;
    uint64_t fh;
};

/* The bucket has answered, with the old size; before the answer is here the file is cut off, and
 * three bytes are written. */
static void truncate_meanwhile(void *arg, struct store *s, const struct store_req *req, int result)
{
    struct late *l = arg;

    (void)s;
    (void)result;
    if (l->is_done || req->op != l->op || (req->key != NULL && strcmp(req->key, "f") != 0))
        return;
    l->is_done = true;
    assert_int_equal(rig_open_file(&rig, "f", O_WRONLY | O_TRUNC, &l->fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, l->fh, 0, "new", 3), 3);
}

static void late_answer(enum store_op op, int (*ask)(void))
{
    struct late l = {.op = op};
    struct stat st;
    uint64_t first, second;

    assert_int_equal(rig_put(&rig, "f", "old content", 11), 0);
    clock_fake_add(100 * NS_PER_S);
    memstore_set_hooks(rig.store, NULL, truncate_meanwhile, &l);
    assert_int_equal(ask(), 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_true(l.is_done);
    assert_int_equal(rig_open_file(&rig, "f", O_RDONLY, &first), 0);
    assert_int_equal(rig_open_file(&rig, "f", O_RDONLY, &second), 0);
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(st.st_size, 3);
    assert_file("f", "new");
    assert_int_equal(rig_shut(&rig, l.fh), 0);
    assert_int_equal(rig_shut(&rig, first), 0);
    assert_int_equal(rig_shut(&rig, second), 0);
    assert_object("f", "new");
    assert_file("f", "new");
}

static int stat_f(void)
{
    struct stat st;

    return rig_stat(&rig, "f", &st);
}

static int list_root(void)
{
    char names[16];

    return rig_ls(&rig, "", names, sizeof(names));
}

static void t32_late_lookup_does_not_undo_a_truncation(void **state)
{
    (void)state;
    late_answer(STORE_HEAD, stat_f);
}

static void t32_late_listing_does_not_undo_a_truncation(void **state)
{
    (void)state;
    late_answer(STORE_LIST, list_root);
}

struct seen {
    unsigned times[100];
};

static int count_names(void *arg, const char *name, const struct vfs_entry *e, uint64_t next)
{
    struct seen *s = arg;
    unsigned n = 0;

    (void)e;
    (void)next;
    if (sscanf(name, "f%u", &n) == 1 && n < 100)
        s->times[n]++;
    return 0;
}

struct one {
    bool has;
    uint64_t next;
};

static int one_at_a_time(void *arg, const char *name, const struct vfs_entry *e, uint64_t next)
{
    struct one *o = arg;

    (void)e;
    (void)name;
    if (o->has) /* no room for a second one */
        return 1;
    o->has = true;
    o->next = next;
    return 0;
}

/* A handle reads on from where it was, whatever goes meanwhile: every name that stays is seen once.
 */
static void t23_survivors_are_seen_once(void **state)
{
    struct seen s = {0};
    struct vfs_entry e;
    char path[16];
    uint64_t fh, off = 0;

    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    for (unsigned n = 0; n < 100; n++) {
        snprintf(path, sizeof(path), "d/f%02u", n);
        foreign_put(path, "1");
    }
    assert_int_equal(rig_walk(&rig, "d", &e), 0);
    assert_int_equal(vfs_opendir(rig.vfs, e.node, &fh), 0);
    for (unsigned n = 0; n < 20; n++) { /* some have been read, by small buffers, */
        struct one o = {0};

        assert_int_equal(vfs_readdir(rig.vfs, fh, off, false, one_at_a_time, &o), 0);
        assert_true(o.has);
        off = o.next;
    }
    for (unsigned n = 0; n < 100; n += 3) { /* when a third of them all goes */
        snprintf(path, sizeof(path), "d/f%02u", n);
        assert_int_equal(rig_unlink(&rig, path), 0);
    }
    assert_int_equal(vfs_readdir(rig.vfs, fh, off, false, count_names, &s), 0);
    for (unsigned n = 0; n < 100; n++)
        assert_true(s.times[n] <= 1);
    for (unsigned n = 18; n < 100; n++) /* "." and ".." were two of the twenty */
        assert_true(s.times[n] == 1 || n % 3 == 0);
    assert_int_equal(s.times[17], 0);
    vfs_releasedir(rig.vfs, fh);
    vfs_forget(rig.vfs, e.node, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(t10_listings_do_not_undo_local_changes),
        T(t32_late_lookup_does_not_undo_a_truncation),
        T(t32_late_listing_does_not_undo_a_truncation),
        T(t23_survivors_are_seen_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
