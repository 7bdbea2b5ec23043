/* SPDX-License-Identifier: Apache-2.0 */
/* Two mounts of one bucket, and writers through the S3 API: close-to-open, and no lost update. */
#include "twomounts.h"

/* T1, T20: what A closed, B's next open sees: longer, shorter, replaced, removed and made again. */
static void close_to_open(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(rig_put(&a, "f", "one", 3), 0);
    assert_file(&b, "f", "one");
    assert_int_equal(rig_stat(&b, "f", &st), 0);
    assert_int_equal(rig_put(&a, "f", "longer", 6), 0);
    assert_file(&b, "f", "longer");
    assert_int_equal(rig_put(&a, "f", "s", 1), 0);
    assert_file(&b, "f", "s");
    assert_int_equal(rig_unlink(&a, "f"), 0);
    assert_int_equal(rig_put(&a, "f", "again", 5), 0);
    assert_file(&b, "f", "again");
    assert_int_equal(rig_unlink(&a, "f"), 0);
    {
        char buf[8];

        assert_int_equal(rig_get(&b, "f", buf, sizeof(buf)), -ENOENT);
    }
}

/* A name that was not there a moment ago is asked for again, always. */
static void new_name_is_seen_at_once(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(rig_stat(&b, "new.jpg", &st), -ENOENT);
    assert_int_equal(rig_put(&a, "new.jpg", "J", 1), 0);
    assert_file(&b, "new.jpg", "J");
}

/* VFS-5: an open handle reads one version to its end. */
static void handle_is_pinned(void **state)
{
    char buf[16] = {0};
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_put(&a, "f", "version one", 11), 0);
    assert_int_equal(rig_open_file(&b, "f", O_RDONLY, &fh), 0);
    assert_int_equal(vfs_read(b.vfs, fh, 0, buf, 7), 7);
    assert_int_equal(rig_put(&a, "f", "VERSION TWO", 11), 0);
    assert_file(&b, "f", "VERSION TWO"); /* a new open: the new version, under another node */
    assert_int_equal(vfs_read(b.vfs, fh, 7, buf + 7, 4), 4);
    assert_string_equal(buf, "version one");
    assert_int_equal(rig_shut(&b, fh), 0);
}

static void exclusive_create_has_one_winner(void **state)
{
    uint64_t fa, fb;

    (void)state;
    assert_int_equal(rig_creat(&a, "f", O_WRONLY | O_EXCL, 0644, &fa), 0);
    assert_int_equal(rig_creat(&b, "f", O_WRONLY | O_EXCL, 0644, &fb), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fa, 0, "A", 1), 1);
    assert_int_equal(vfs_write(b.vfs, &b.ctx, fb, 0, "B", 1), 1);
    assert_int_equal(rig_shut(&b, fb), 0);
    assert_int_equal(rig_shut(&a, fa), -EEXIST);
    assert_file(&a, "f", "B");
    assert_file(&b, "f", "B");
}

/* Protocol 2a: two replacements of a whole file both succeed; the last close wins whole. */
static void last_close_wins_whole(void **state)
{
    uint64_t fa, fb;

    (void)state;
    assert_int_equal(rig_put(&a, "f", "base", 4), 0);
    assert_file(&b, "f", "base");
    assert_int_equal(rig_open_file(&a, "f", O_WRONLY | O_TRUNC, &fa), 0);
    assert_int_equal(rig_open_file(&b, "f", O_WRONLY | O_TRUNC, &fb), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fa, 0, "aaaaaa", 6), 6);
    assert_int_equal(vfs_write(b.vfs, &b.ctx, fb, 0, "bb", 2), 2);
    assert_int_equal(rig_shut(&b, fb), 0);
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_file(&b, "f", "aaaaaa");
    assert_int_equal(rig_creat(&a, "g", O_WRONLY, 0644, &fa), 0);
    assert_int_equal(rig_creat(&b, "g", O_WRONLY, 0644, &fb), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fa, 0, "first", 5), 5);
    assert_int_equal(vfs_write(b.vfs, &b.ctx, fb, 0, "second", 6), 6);
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_int_equal(rig_shut(&b, fb), 0);
    assert_file(&a, "g", "second");
}

/* Protocol 2d: a stranger's file is never overwritten by somebody's old ranges; the bytes are kept
 * aside. */
static void stale_ranges_fail_loudly(void **state)
{
    struct cache_stats cs;
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_put(&a, "f", "base base", 9), 0);
    assert_int_equal(rig_open_file(&a, "f", O_RDWR, &fh), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 0, "MINE", 4), 4);
    assert_int_equal(memstore_put(a.store, "f", "sdk wrote this", 14, NULL, NULL), 0);
    assert_int_equal(rig_shut(&a, fh), -ESTALE);
    cache_stats_get(a.cache, &cs);
    assert_int_equal(cs.lost_found, 1);
    assert_file(&a, "f", "sdk wrote this");
    assert_int_equal(rig_open_file(&a, "f", O_RDWR, &fh), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 0, "MINE", 4), 4);
    assert_int_equal(memstore_delete(a.store, "f"), 0);
    assert_int_equal(rig_shut(&a, fh), -ESTALE);
    {
        char buf[8];

        assert_int_equal(rig_get(&a, "f", buf, sizeof(buf)), -ENOENT); /* never made again */
    }
}

/* A lost reply to a PUT that took effect is a success, not EEXIST, and not a second object version.
 */
static void lost_reply(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_creat(&a, "f", O_WRONLY | O_EXCL, 0644, &fh), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 0, "x", 1), 1);
    memstore_lose(a.store, STORE_PUT, 1, 1, STORE_PRECONDITION);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_file(&b, "f", "x");
    assert_int_equal(rig_put(&a, "f", "yy", 2), 0); /* and the next write goes on from it */
    assert_file(&b, "f", "yy");
}

struct intruder {
    bool is_done;
    const char *key;
};

/* While A lists, B removes a name that the answer still has, or adds one that it has not. */
static void local_change(void *arg, struct store *s, const struct store_req *req, int result)
{
    struct intruder *i = arg;

    (void)s;
    (void)result;
    if (req->op != STORE_LIST || !req->delimited || i->is_done)
        return;
    i->is_done = true;
    assert_int_equal(rig_unlink(&a, "d/gone"), 0);
    assert_int_equal(rig_put(&a, "d/new", "n", 1), 0);
}

/* T10, VFS-4: an answer that overlapped a local change does not undo it. */
static void listing_does_not_undo_local_changes(void **state)
{
    struct intruder i = {0};
    char names[64];

    (void)state;
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    assert_int_equal(rig_put(&a, "d/gone", "g", 1), 0);
    assert_int_equal(rig_put(&a, "d/stays", "s", 1), 0);
    clock_fake_add(100 * NS_PER_S);
    memstore_set_hooks(a.store, NULL, local_change, &i);
    assert_int_equal(rig_ls(&a, "d", names, sizeof(names)), 0);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    assert_true(i.is_done);
    assert_string_equal(names, "new stays");
    assert_int_equal(rig_ls(&a, "d", names, sizeof(names)), 0);
    assert_string_equal(names, "new stays");
}

static void foreign_change_is_seen_after_the_attribute_times(void **state)
{
    struct stat st;
    char names[64];

    (void)state;
    assert_int_equal(rig_put(&a, "f", "1", 1), 0);
    assert_int_equal(rig_ls(&a, "", names, sizeof(names)), 0);
    assert_int_equal(memstore_put(a.store, "f", "22", 2, NULL, NULL), 0);
    assert_int_equal(memstore_put(a.store, "g", "3", 1, NULL, NULL), 0);
    clock_fake_add(61 * NS_PER_S);
    assert_int_equal(rig_stat(&a, "f", &st), 0);
    assert_int_equal(st.st_size, 2);
    assert_int_equal(rig_ls(&a, "", names, sizeof(names)), 0);
    assert_string_equal(names, "f g");
}

static void set_mtime(struct rig *r, uint64_t node, time_t to)
{
    struct stat st = {.st_mtim = {to, 0}}, now;
    int64_t ns;

    assert_int_equal(vfs_setattr(r->vfs, &r->ctx, node, 0, &st, VFS_SET_MTIME, &now, &ns), 0);
}

/* tar, cp -a, rsync set a directory's time after its files: a listing does not take it back, and
 * what another client puts there later does. */
static void directory_time_is_kept_until_a_later_change(void **state)
{
    struct stat st;
    struct vfs_entry d; /* held, as by the kernel */
    char names[64];

    (void)state;
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    assert_int_equal(rig_put(&a, "d/f", "1", 1), 0);
    clock_fake_add(NS_PER_S);
    assert_int_equal(rig_walk(&a, "d", &d), 0);
    set_mtime(&a, d.node, 12345);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_ls(&a, "d", names, sizeof(names)), 0);
    assert_int_equal(rig_stat(&a, "d", &st), 0);
    assert_int_equal(st.st_mtim.tv_sec, 12345);
    assert_int_equal(rig_put(&b, "d/g", "2", 1), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_ls(&a, "d", names, sizeof(names)), 0);
    assert_string_equal(names, "f g");
    assert_int_equal(rig_stat(&a, "d", &st), 0);
    assert_true(st.st_mtim.tv_sec > 1700000000 + 100);
    vfs_forget(a.vfs, d.node, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(close_to_open),
        T(new_name_is_seen_at_once),
        T(handle_is_pinned),
        T(exclusive_create_has_one_winner),
        T(last_close_wins_whole),
        T(stale_ranges_fail_loudly),
        T(lost_reply),
        T(listing_does_not_undo_local_changes),
        T(foreign_change_is_seen_after_the_attribute_times),
        T(directory_time_is_kept_until_a_later_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
