/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: removals that wait (removal.h), where threads, servers, refusals and the clock do
 * to them what a lone test of the calls can't see. */
#include "localmount.h"

#include <sys/stat.h>

#include "fs/vfs/removal.h"

static void put_stored(const char *path, const char *text)
{
    put_text(path, text);
    assert_int_equal(outbox_run(rig.vfs), 1);
}

static void assert_names(const char *dir, const char *want)
{
    char names[128];

    assert_int_equal(rig_ls(&rig, dir, names, sizeof(names)), 0);
    assert_string_equal(names, want);
}

/* --- order --- */

/* As removal_make() does; what the journal had first need not come first to the list. */
static uint64_t journal_removal(const char *key, struct removerec *ret, struct buf *text)
{
    struct store_obj obj = {0};
    uint64_t seq;

    *ret = (struct removerec){0};
    snprintf(ret->key, sizeof(ret->key), "%s", key);
    assert_int_equal(memstore_get(rig.store, key, &obj, NULL), 0);
    ret->etag = obj.etag;
    ret->obj_size = obj.size;
    store_obj_done(&obj);
    assert_int_equal(removerec_encode(ret, text), 0);
    assert_int_equal(journal_put(rig.journal, text->data, text->len, NULL, 0, 0, &seq), 0);
    return seq;
}

/* Two unlinks share a round of the journal, and the later one's thread is the first to run again.
 */
static void they_join_in_the_order_of_the_journal(void **state)
{
    static const unsigned orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}};
    static const char *const keys[] = {"a", "b", "c"};

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(orders); k++) {
        struct buf texts[3] = {BUF_INIT(REMOVEREC_MAX), BUF_INIT(REMOVEREC_MAX),
                               BUF_INIT(REMOVEREC_MAX)};
        struct removerec rec;
        uint64_t seqs[3], at = 0;

        for (unsigned n = 0; n < 3; n++)
            foreign_put(keys[n], "text");
        for (unsigned n = 0; n < 3; n++)
            seqs[n] = journal_removal(keys[n], &rec, &texts[n]);
        for (unsigned n = 0; n < 3; n++) {
            unsigned x = orders[k][n];

            assert_int_equal(removal_replay(rig.vfs, seqs[x], texts[x].data, texts[x].len), 0);
        }
        for (const struct removal *m = rig.vfs->locked.removal_first; m != NULL; m = m->next) {
            assert_true(m->seq > at);
            at = m->seq;
        }
        assert_int_equal(removal_newest(rig.vfs), seqs[2]);
        assert_int_equal(vfs_drain(rig.vfs), 0);
        assert_int_equal(memstore_user_objects(rig.store), 0);
        assert_int_equal(entries(), 0);
        for (unsigned n = 0; n < 3; n++)
            buf_done(&texts[n]);
    }
}

/* --- which file is it --- */

/* A listing tells when an object was written to the millisecond, HEAD to the second: by both it is
 * the same file. */
static void a_listing_knows_fractions_of_seconds(void **state)
{
    struct stat st;
    ino_t ino;

    (void)state;
    memstore_set_grain(rig.store, NS_PER_MS);
    clock_fake_add(700 * NS_PER_MS);
    foreign_put("f", "theirs");
    foreign_put("g", "theirs");
    clock_fake_add(10 * NS_PER_S);
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    ino = st.st_ino;
    assert_int_equal(rig_remount(&rig), 0);
    clock_fake_add(10 * NS_PER_S);
    assert_names("", "f g");
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(st.st_ino, ino);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(rig_crash(&rig), 0); /* now it must be asked for before its DELETE */
    send_all(1);
    assert_no_object("f");
    assert_names("", "g");
}

static uint64_t n_heads(void)
{
    return memstore_count(rig.store, STORE_HEAD);
}

/* The same bytes, but another client's file, made while the removal waited (for an outage's end).
 */
static void the_same_bytes_after_a_while(void **state)
{
    (void)state;
    put_stored("f", "same");
    put_stored("g", "ours");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(rig_unlink(&rig, "g"), 0);
    foreign_put("f", "same");
    clock_fake_add(10 * NS_PER_S);
    send_all(2);
    assert_object("f", "same");
    assert_no_object("g");
    assert_names("", "f");
}

/* All empty files have the same ETag. */
static void an_empty_file_of_another_client(void **state)
{
    (void)state;
    put_stored("e", "");
    put_stored("f", "");
    put_stored("g", "text");
    assert_int_equal(rig_unlink(&rig, "e"), 0);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(rig_unlink(&rig, "g"), 0);
    foreign_put("f", "");
    memstore_count_reset(rig.store);
    send_all(3);
    assert_int_equal(n_heads(), 2); /* none for what is not empty, at once */
    assert_no_object("e");
    assert_object("f", "");
    assert_no_object("g");
}

/* --- calls that need all below a directory done --- */

/* Notes whether the copy was there when the original went. */
static void at_a_delete(void *arg, struct store *s, const struct store_req *req, int result)
{
    int *ret = arg;

    (void)result;
    if ((req->op == STORE_DELETE && strcmp(req->key, "d/f") == 0) || req->op == STORE_DELETE_MANY)
        *ret = memstore_get(s, "e/f", NULL, NULL);
}

/* cp -a d e && rm -r d */
static void rmdir_sends_the_closes_before_its_removals(void **state)
{
    int copy_was = 1;

    (void)state;
    mkdir_stored("d");
    mkdir_stored("e");
    put_stored("d/f", "text");
    put_text("e/f", "text");
    assert_int_equal(rig_unlink(&rig, "d/f"), 0);
    put_text("g", "later");
    memstore_set_hooks(rig.store, at_a_delete, NULL, &copy_was);
    assert_int_equal(rig_rmdir(&rig, "d"), 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_int_equal(copy_was, 0);
    assert_object("e/f", "text");
    assert_no_object("d/f");
    assert_no_object("g");
    send_all(1);
}

/* And one that can't leaves everything as it was. */
static void rmdir_fails_and_the_order_stands(void **state)
{
    (void)state;
    mkdir_stored("d");
    put_stored("d/f", "text");
    put_text("b", "text");
    assert_int_equal(rig_unlink(&rig, "d/f"), 0);
    memstore_fail(rig.store, STORE_PUT, 1, 1000, -EIO);
    assert_int_equal(rig_rmdir(&rig, "d"), -EIO);
    assert_int_equal(outbox_run(rig.vfs), 0);
    assert_object("d/", "");
    assert_no_object("b");
    assert_object("d/f", "text");
    memstore_clear_faults(rig.store);
    clock_fake_add(60 * NS_PER_S);
    send_all(2);
    assert_object("b", "text");
    assert_no_object("d/f");
    assert_int_equal(rig_rmdir(&rig, "d"), 0);
}

struct removing {
    unsigned next, names; /* how many there are */
    unsigned free, held;  /* DELETEs below d/ while calls by name went on, or could not */
};

static void *unlink_next(void *arg)
{
    struct removing *x = arg;
    char path[16];

    snprintf(path, sizeof(path), "d/f%u", x->next++);
    assert_int_equal(rig_unlink(&rig, path), 0);
    return NULL;
}

/* While one removal goes, another thread unlinks the next one. */
static void at_a_removal(void *arg, struct store *s, const struct store_req *req, int result)
{
    struct removing *x = arg;
    pthread_t t;

    (void)s;
    (void)result;
    if (req->op != STORE_DELETE || strncmp(req->key, "d/f", 3) != 0)
        return;
    if (pthread_rwlock_tryrdlock(&rig.vfs->names) != 0) {
        x->held++;
        return;
    }
    pthread_rwlock_unlock(&rig.vfs->names);
    x->free++;
    if (x->next == x->names)
        return;
    assert_int_equal(pthread_create(&t, NULL, unlink_next, x), 0);
    pthread_join(t, NULL);
}

/* d/f0 is unlinked before, the other ones while it is renamed. */
static void rename_d(unsigned n, struct removing *x)
{
    char path[16];

    *x = (struct removing){.next = 1, .names = n};
    mkdir_stored("d");
    for (unsigned k = 0; k < n; k++) {
        snprintf(path, sizeof(path), "d/f%u", k);
        put_stored(path, "text");
    }
    put_stored("d/stays", "text");
    assert_int_equal(rig_unlink(&rig, "d/f0"), 0);
    memstore_set_hooks(rig.store, at_a_removal, NULL, x);
    assert_int_equal(rig_rename(&rig, "d", "e", 0), 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_object("e/stays", "text");
    assert_int_equal(entries(), 0);
}

/* Nobody waits for the bucket to remove what a renamed directory had. */
static void a_rename_settles_before_it_takes_the_names(void **state)
{
    struct removing x;

    (void)state;
    rename_d(3, &x);
    assert_int_equal(x.free, 3);
    assert_int_equal(x.held, 0);
    assert_names("e", "stays");
    assert_int_equal(memstore_user_objects(rig.store), 2);
}

/* It comes to an end, too, where others never do. */
static void a_rename_among_unlinks_without_end(void **state)
{
    struct removing x;

    (void)state;
    rename_d(10, &x);
    assert_int_equal(x.next, x.free + 1);
    assert_in_range(x.free, 1, 9);
    assert_true(x.held > 0); /* the last one unlinked, and what the rename itself moves away */
    assert_int_equal(memstore_user_objects(rig.store), 2 + 10 - x.next);
}

/* --- a new file of that name --- */

/* The bucket refuses it for good: its bytes are in lost+found, and what was removed before goes. */
static void a_refused_file_gives_its_removal_back(void **state)
{
    (void)state;
    for (int crash = 0; crash < 2; crash++) {
        put_stored("f", "old");
        assert_int_equal(rig_unlink(&rig, "f"), 0);
        put_text("f", "new");
        memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
        memstore_fail(rig.store, STORE_DELETE, 1, crash, -EIO);
        (void)outbox_run(rig.vfs);
        assert_int_equal(kept(), 1 + crash);
        assert_names("", "");
        if (crash) {
            assert_int_equal(entries(), 1);
            assert_object("f", "old");
            assert_int_equal(rig_crash(&rig), 0);
            assert_names("", "");
        }
        (void)outbox_run(rig.vfs);
        assert_no_object("f");
        assert_int_equal(entries(), 0);
        assert_int_equal(rig_stat(&rig, "f", &(struct stat){0}), -ENOENT);
    }
}

static void a_refused_file_that_took_no_removal(void **state)
{
    (void)state;
    put_stored("f", "old");
    put_text("f", "new");
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    send_all(0);
    assert_int_equal(kept(), 1);
    assert_file("f", "old");
}

/* copy_file_range of a whole file would be a request about the key before the removal's (REM-3). */
static void a_copy_under_that_name_waits_for_its_close(void **state)
{
    uint64_t in, out;

    (void)state;
    put_stored("a", "text");
    put_stored("f", "old");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    in = open_text("a", O_RDONLY);
    assert_int_equal(rig_creat(&rig, "f", O_WRONLY, 0644, &out), 0);
    memstore_count_reset(rig.store);
    assert_int_equal(vfs_copy_range(rig.vfs, &rig.ctx, in, 0, out, 0, 4), 4);
    assert_int_equal(memstore_count(rig.store, STORE_COPY), 0);
    assert_int_equal(memstore_count(rig.store, STORE_PUT), 0);
    assert_int_equal(rig_shut(&rig, out), 0);
    assert_int_equal(rig_shut(&rig, in), 0);
    send_all(1);
    assert_object("f", "text");
    assert_int_equal(memstore_count(rig.store, STORE_DELETE), 0);
}

/* --- the journal would not drop it --- */

/* When it does, later, the name is not told to be gone once more. */
static void what_is_done_is_told_once(void **state)
{
    (void)state;
    put_stored("f", "old");
    put_stored("g", "text");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    disk_is_full(true);
    assert_int_equal(outbox_run(rig.vfs), 1);
    disk_is_full(false);
    assert_no_object("f");
    assert_int_equal(entries(), 1);
    assert_int_equal(rig_put(&rig, "f", "new", 3), 0);
    assert_int_equal(outbox_run(rig.vfs), 1); /* the file; the entry's time has not come */
    assert_int_equal(entries(), 1);
    clock_fake_add(10 * NS_PER_S);
    assert_names("", "f g");
    assert_file("f", "new");
    memstore_count_reset(rig.store);
    assert_int_equal(outbox_run(rig.vfs), 1);
    assert_int_equal(entries(), 0);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 0);
    assert_names("", "f g");
    assert_file("f", "new");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(a_listing_knows_fractions_of_seconds),
        L(the_same_bytes_after_a_while),
        L(an_empty_file_of_another_client),
        L(they_join_in_the_order_of_the_journal),
        L(rmdir_sends_the_closes_before_its_removals),
        L(rmdir_fails_and_the_order_stands),
        L(a_rename_settles_before_it_takes_the_names),
        L(a_rename_among_unlinks_without_end),
        L(a_refused_file_gives_its_removal_back),
        L(a_refused_file_that_took_no_removal),
        L(a_copy_under_that_name_waits_for_its_close),
        L(what_is_done_is_told_once),
    };

    return cmocka_run_group_tests_name("vfs/local_removals", tests, NULL, NULL);
}
