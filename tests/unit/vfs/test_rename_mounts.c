/* SPDX-License-Identifier: Apache-2.0 */
/* Renames on one mount while another one lists, writes, creates, renames and removes. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "fs/vfs/rename.h"

#include "twomounts.h"

/* Something done once, before or after a request about a key. */
struct once {
    enum store_op op;
    const char *key;
    void (*run)(void);
    atomic_bool is_done; /* hooks run on the movers' threads */
    int result; /* of what a mount was asked for in it: an assertion there would not be caught */
};
static struct once once;

/* On a thread of its own: the one that was interrupted holds its mount's locks. */
static void *run_it(void *arg)
{
    (void)arg;
    once.run();
    return NULL;
}

static void run_once(void *arg, struct store *s, const struct store_req *req, int result)
{
    pthread_t t;

    (void)arg;
    (void)s;
    (void)result;
    if ((req->op != once.op && !(once.op == STORE_PUT && req->op == STORE_COPY)) ||
        req->key == NULL || strcmp(req->key, once.key) != 0 ||
        atomic_exchange(&once.is_done, true))
        return;
    if (pthread_create(&t, NULL, run_it, NULL) == 0)
        pthread_join(t, NULL);
    else
        once.result = -EAGAIN;
}

static void before(enum store_op op, const char *key, void (*run)(void))
{
    once = (struct once){.op = op, .key = key, .run = run};
    memstore_set_hooks(a.store, run_once, NULL, NULL);
}

static void after(enum store_op op, const char *key, void (*run)(void))
{
    once = (struct once){.op = op, .key = key, .run = run};
    memstore_set_hooks(a.store, NULL, run_once, NULL);
}

static void it_was_done(void)
{
    assert_true(once.is_done);
    assert_int_equal(once.result, 0);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
}

static bool is_object(const char *key)
{
    return memstore_get(a.store, key, NULL, NULL) == 0;
}

static void time_passes(void)
{
    clock_fake_add(100 * NS_PER_S);
}

static unsigned puts_of_files;

static void count_puts(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    puts_of_files += req->op == STORE_PUT && strncmp(req->key, ".s3efs/", 7) != 0;
}

/* Bytes that wait go up once, under the new name. */
static void dirty_file_goes_up_once(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_put(&a, "f", "old text", 8), 0);
    assert_int_equal(rig_open_file(&a, "f", O_RDWR, &fh), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 0, "new", 3), 3);
    puts_of_files = 0;
    memstore_set_hooks(a.store, count_puts, NULL, NULL);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    assert_int_equal(rig_shut(&a, fh), 0);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    assert_int_equal(puts_of_files, 1);
    assert_false(is_object("f"));
    assert_file(&b, "g", "new text");
    assert_file(&a, "g", "new text");
}

/* What it costs, once the session is there (rename.c). */
static void requests_of_a_rename(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&a, "f", "text", 4), 0);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    assert_int_equal(rig_stat(&a, "h", &(struct stat){0}), -ENOENT);
    memstore_count_reset(a.store);
    assert_int_equal(rig_rename(&a, "g", "h", 0), 0);
    assert_int_equal(memstore_count(a.store, STORE_PUT), 1);    /* the intent */
    assert_int_equal(memstore_count(a.store, STORE_COPY), 1);   /* the file */
    assert_int_equal(memstore_count(a.store, STORE_DELETE), 2); /* the file, the intent */
    assert_int_equal(memstore_count(a.store, STORE_GET), 0);
    assert_int_equal(memstore_count(a.store, STORE_HEAD), 2); /* the lookup of h, the source */
}

/* A file as large as that goes by parts, and no byte of it comes here. */
static void large_file_is_copied_by_parts(void **state)
{
    const size_t size = (size_t)20 << 20;
    _cleanup_free_ char *text = calloc(1, size);
    struct store_obj obj = {0};

    (void)state;
    assert_non_null(text);
    assert_int_equal(memstore_put(a.store, "f", text, size, NULL, NULL), 0);
    memstore_count_reset(a.store);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    assert_int_equal(memstore_get(a.store, "g", &obj, NULL), 0);
    assert_int_equal(obj.size, size);
    store_obj_done(&obj);
    assert_false(is_object("f"));
    assert_true(memstore_count(a.store, STORE_MPU_PART_COPY) > 0);
    assert_int_equal(memstore_count(a.store, STORE_MPU_PART), 0);
    assert_int_equal(memstore_count(a.store, STORE_MPU_COMPLETE), 1);
    assert_true(memstore_count(a.store, STORE_GET) <= 1); /* what kind of file: its first bytes */
}

static atomic_bool listing_ends;

static void *list_on(void *arg)
{
    struct rig *r = arg;
    char names[4096];
    struct stat st;

    while (!atomic_load(&listing_ends)) {
        (void)rig_ls(r, "", names, sizeof(names));
        for (int i = 0; i < 2; i++)
            (void)rig_stat(r, i ? "g" : "f", &st);
        sched_yield();
    }
    return NULL;
}

/* T11: a listing that overlaps takes no rename here for a removal elsewhere, and no bytes away. */
static void t11_dirty_files_renamed_while_listed(void **state)
{
    pthread_t listers[2];
    char text[32];

    (void)state;
    atomic_store(&listing_ends, false);
    assert_int_equal(pthread_create(&listers[0], NULL, list_on, &a), 0);
    assert_int_equal(pthread_create(&listers[1], NULL, list_on, &b), 0);
    assert_int_equal(rig_put(&a, "f", "0", 1), 0);
    for (int n = 1; n <= 60; n++) {
        const char *from = n % 2 ? "f" : "g", *to = n % 2 ? "g" : "f";
        int len = snprintf(text, sizeof(text), "%d", n);
        uint64_t fh;

        time_passes(); /* not in a rename: its lease would be over */
        assert_int_equal(rig_open_file(&a, from, O_RDWR, &fh), 0);
        assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 0, text, (size_t)len), len);
        assert_int_equal(rig_rename(&a, from, to, 0), 0);
        assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, (uint64_t)len, "!", 1), 1);
        assert_int_equal(rig_shut(&a, fh), 0);
        text[len++] = '!';
        text[len] = '\0';
        assert_object(to, text);
        assert_false(is_object(from));
        assert_int_equal(rig_truncate(&a, to, 0), 0);
    }
    atomic_store(&listing_ends, true);
    for (int i = 0; i < 2; i++)
        pthread_join(listers[i], NULL);
}

static void b_creates(void)
{
    once.result = rig_put(&b, "d/new", "late", 4);
}

/* T19: a file that another mount made in the directory while it moved goes with it. */
static void t19_create_in_a_directory_that_moves(void **state)
{
    static const struct {
        enum store_op op;
        const char *key;
    } whens[] = {
        {STORE_PUT, "e/1"}, {STORE_PUT, "e/"}, {STORE_DELETE, "d/1"}, {STORE_DELETE, "d/"}};
    unsigned n_refused = 0;
    bool was_refused;
    char names[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(whens); i++) {
        assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
        assert_int_equal(rig_put(&a, "d/1", "1", 1), 0);
        time_passes();
        assert_int_equal(rig_ls(&b, "d", names, sizeof(names)), 0);
        after(whens[i].op, whens[i].key, b_creates);
        assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
        was_refused = once.result == -ENOENT; /* it came too late, and was told so */
        once.result = was_refused ? 0 : once.result;
        it_was_done();
        assert_true(is_object("e/new") != was_refused);
        assert_false(is_object("d/new"));
        time_passes();
        assert_int_equal(rig_ls(&b, "", names, sizeof(names)), 0);
        assert_string_equal(names, "e");
        n_refused += was_refused;
        if (!was_refused) {
            assert_file(&b, "e/new", "late");
            assert_int_equal(rig_unlink(&b, "e/new"), 0);
        }
        assert_int_equal(rig_unlink(&b, "e/1"), 0);
        assert_int_equal(rig_rmdir(&b, "e"), 0);
        time_passes();
    }
    assert_true(n_refused <= 2); /* while it is copied nothing is refused */
}

static void b_overwrites_in_d(void)
{
    once.result = rig_put(&b, "d/1", "newer", 5);
}

/* What another mount closed under the old name after it was copied is not lost. */
static void overwrite_in_a_directory_that_moves(void **state)
{
    (void)state;
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    assert_int_equal(rig_put(&a, "d/1", "1", 1), 0);
    assert_file(&b, "d/1", "1");
    after(STORE_PUT, "e/1", b_overwrites_in_d);
    assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
    it_was_done();
    assert_object("e/1", "newer");
    assert_false(is_object("d/1"));
    time_passes();
    assert_file(&a, "e/1", "newer");
}

static void b_overwrites_f(void)
{
    once.result = rig_put(&b, "f", "newer", 5);
}

/* Protocol 4: the same file's newer version is copied again. */
static void overwrite_of_a_file_that_moves(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&a, "f", "1", 1), 0);
    assert_file(&b, "f", "1");
    after(STORE_PUT, "g", b_overwrites_f);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    it_was_done();
    assert_object("g", "newer");
    assert_false(is_object("f"));
    assert_file(&a, "g", "newer");
}

static void b_replaces_f(void)
{
    once.result = rig_unlink(&b, "f") ?: rig_put(&b, "f", "another", 7);
}

/* Another file by that name stays: the rename was done before it came. */
static void other_file_under_the_old_name(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&a, "f", "1", 1), 0);
    assert_file(&b, "f", "1");
    after(STORE_PUT, "g", b_replaces_f);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    it_was_done();
    assert_object("g", "1");
    assert_object("f", "another");
}

/* What is known here of the source may be old: who comes second finds no such file. */
static void second_rename_of_a_file_fails(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&a, "f", "1", 1), 0);
    assert_file(&b, "f", "1"); /* b would believe that for a while */
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    assert_int_equal(rig_rename(&b, "f", "h", 0), -ENOENT);
    assert_false(is_object("h"));
    assert_object("g", "1");
}

static int result_of_b;

static void *b_renames(void *arg)
{
    (void)arg;
    result_of_b = rig_rename(&b, "f", "h", 0);
    return NULL;
}

static pthread_t b_thread;

/* a stands on f; b is let go on when it has seen that. */
static void b_begins(void)
{
    uint64_t gets = memstore_count(a.store, STORE_GET);

    once.result = -pthread_create(&b_thread, NULL, b_renames, NULL);
    while (memstore_count(a.store, STORE_GET) < gets + 2)
        sched_yield();
}

static void rename_waits_for_the_one_before(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&a, "f", "1", 1), 0);
    assert_file(&b, "f", "1");
    before(STORE_PUT, "g", b_begins);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    it_was_done();
    pthread_join(b_thread, NULL);
    assert_int_equal(result_of_b, -ENOENT);
    assert_false(is_object("h"));
    assert_object("g", "1");
}

static struct vfs_stats seen;

static void look_at_a(void)
{
    vfs_stats_get(a.vfs, &seen);
    once.result = intents_look(b.vfs);
}

static void look_at_both(void)
{
    struct stat st;

    look_at_a();
    once.result = once.result ?: rig_stat(&b, "e/1", &st) ?: rig_stat(&a, "e/1", &st);
    if (rig_stat(&b, "d/1", &st) != -ENOENT || rig_stat(&a, "d/1", &st) != -ENOENT)
        once.result = -EEXIST;
}

static void directory_shows_under_one_name(void **state)
{
    char names[64];

    (void)state;
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    assert_int_equal(rig_put(&a, "d/1", "1", 1), 0);
    after(STORE_PUT, "e/1", look_at_a);
    assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
    it_was_done();
    assert_int_equal(seen.renames, 1);
    assert_int_equal(seen.moved_all, 4); /* the marker and the file, twice */
    assert_true(seen.moved_done < 2);
    assert_int_equal(rig_ls(&b, "", names, sizeof(names)), 0);
    assert_string_equal(names, "e"); /* what b has heard last is that it was under way */
    assert_int_equal(rig_rename(&a, "e", "d", 0), 0);
    time_passes();
    before(STORE_DELETE, "d/1", look_at_both);
    assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
    it_was_done();
    assert_true(seen.moved_done >= 2);
    vfs_stats_get(a.vfs, &seen);
    assert_int_equal(seen.renames, 0);
}

static const char *look_for;

static void stat_on_b(void)
{
    struct stat st;

    once.result = intents_look(b.vfs) ?: rig_stat(&b, look_for, &st);
    if (once.result == -ENOENT) /* as it must be, so far */
        once.result = 0;
}

/* The rename has returned on a: b, which saw it under way, shows the new names and hides nothing that
 * is put under the old ones. */
static void a_rename_that_is_over_hides_nothing(void **state)
{
    char names[64];
    struct stat st;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
        assert_int_equal(rig_put(&a, "d/1", "1", 1), 0);
        look_for = i == 0 ? "e/1" : "d/1";
        if (i == 0)
            after(STORE_PUT, "e/1", stat_on_b);
        else
            after(STORE_DELETE, "d/1", stat_on_b);
        assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
        it_was_done();
        assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
        assert_int_equal(rig_put(&a, "d/1", "again", 5), 0);
        assert_int_equal(rig_stat(&b, "e/1", &st), 0);
        assert_int_equal(rig_stat(&b, "d/1", &st), 0);
        time_passes();
        assert_int_equal(rig_ls(&b, "", names, sizeof(names)), 0);
        assert_string_equal(names, "d e");
        assert_int_equal(rig_unlink(&a, "e/1") ?: rig_rmdir(&a, "e"), 0);
        assert_int_equal(rig_unlink(&a, "d/1") ?: rig_rmdir(&a, "d"), 0);
        time_passes();
    }
}

static unsigned records_read;

static void count_records(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    records_read += req->op == STORE_GET && strstr(req->key, "intents/dirs/") != NULL;
}

static void list_on_b(void)
{
    char names[64] = "";

    once.result = intents_look(b.vfs);
    memstore_set_hooks(a.store, count_records, NULL, NULL);
    once.result = once.result ?: rig_ls(&b, "", names, sizeof(names));
    if (strcmp(names, "d") != 0)
        once.result = -EEXIST;
}

/* While it is under way, who meets a name that it hides reads its record, once an answer. */
static void what_hiding_costs(void **state)
{
    (void)state;
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    assert_int_equal(rig_put(&a, "d/1", "1", 1) ?: rig_put(&a, "d/2", "2", 1), 0);
    records_read = 0;
    after(STORE_PUT, "e/1", list_on_b);
    assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
    it_was_done();
    assert_int_equal(records_read, 1);
}

/* One file can't be copied: all is as it was, and nothing stands in the way of the next try. */
static void directory_that_cannot_be_copied(void **state)
{
    char path[16];

    (void)state;
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof(path), "d/%d", i);
        assert_int_equal(rig_put(&a, path, "text", 4), 0);
    }
    memstore_fail(a.store, STORE_COPY, 4, 1, -EACCES);
    assert_int_equal(rig_rename(&a, "d", "e", 0), -EACCES);
    memstore_clear_faults(a.store);
    assert_int_equal(intents_mend(b.vfs), 0);
    assert_int_equal(memstore_user_objects(a.store), 7);
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof(path), "d/%d", i);
        assert_file(&a, path, "text");
        assert_file(&b, path, "text");
    }
    assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
    assert_false(is_object("d/"));
    assert_int_equal(memstore_user_objects(a.store), 7);
}

static void b_creates_in_d(void)
{
    once.result = rig_put(&b, "d/new", "late", 4);
}

/* Protocol 8: the marker comes back, with what it said. */
static void rmdir_that_raced_a_create(void **state)
{
    struct stat st;
    char names[64];

    (void)state;
    assert_int_equal(rig_mkdir(&a, "d", 0710), 0);
    assert_int_equal(rig_ls(&b, "d", names, sizeof(names)), 0);
    before(STORE_DELETE, "d/", b_creates_in_d);
    assert_int_equal(rig_rmdir(&a, "d"), -ENOTEMPTY);
    it_was_done();
    assert_true(is_object("d/"));
    time_passes();
    assert_int_equal(rig_stat(&b, "d", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0710);
    assert_int_equal(rig_unlink(&a, "d/new"), 0);
    assert_int_equal(rig_rmdir(&a, "d"), 0);
}

/* --- a server whose DELETE knows no conditions --- */

static int setup_weak(void **state)
{
    const struct store_caps caps = {.put_absent = true, .put_match = true};

    return setup_caps(state, &caps);
}

static int b_write;
static const char *b_path;

/* Until the PUT has taken effect. */
static void wait_for_newer(void)
{
    struct store_obj obj = {0};

    while (obj.size != 5) {
        store_obj_done(&obj);
        obj = (struct store_obj){0};
        if (memstore_get(a.store, b_path, &obj, NULL) != 0)
            sched_yield();
    }
    store_obj_done(&obj);
}

static void *b_writes(void *arg)
{
    (void)arg;
    b_write = rig_put(&b, b_path, "newer", 5);
    return NULL;
}

/* a has looked at the source and is about to delete it: b's PUT lands first, and its close waits.
 */
static void b_writes_f(void)
{
    b_path = "f";
    once.result = -pthread_create(&b_thread, NULL, b_writes, NULL);
    wait_for_newer();
}

static void weak_overwrite_before_the_delete(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&a, "f", "1", 1), 0);
    assert_file(&b, "f", "1");
    before(STORE_DELETE, "f", b_writes_f);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    it_was_done();
    pthread_join(b_thread, NULL);
    assert_int_equal(b_write, 0);
    assert_object("g", "newer");
    assert_false(is_object("f"));
    assert_file(&b, "g", "newer");
    time_passes();
    assert_file(&a, "g", "newer");
}

static void b_writes_d(void)
{
    b_path = "d/1";
    once.result = -pthread_create(&b_thread, NULL, b_writes, NULL);
    wait_for_newer();
}

static void weak_overwrite_in_a_directory(void **state)
{
    (void)state;
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    assert_int_equal(rig_put(&a, "d/1", "1", 1), 0);
    assert_file(&b, "d/1", "1");
    before(STORE_DELETE, "d/1", b_writes_d);
    assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
    it_was_done();
    pthread_join(b_thread, NULL);
    assert_int_equal(b_write, 0);
    assert_object("e/1", "newer");
    assert_false(is_object("d/1"));
}

/* The rename began and ended between b's PUT and its look: the tombstone tells. */
static void a_renames(void)
{
    once.result = rig_rename(&a, "f", "g", 0);
}

static void weak_rename_between_put_and_look(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&a, "f", "1", 1), 0);
    assert_file(&b, "f", "1");
    after(STORE_PUT, "f", a_renames);
    assert_int_equal(rig_put(&b, "f", "newer", 5), 0);
    it_was_done();
    assert_object("g", "newer");
    assert_false(is_object("f"));
}

static int b_unlink;

static void *b_unlinks(void *arg)
{
    (void)arg;
    b_unlink = rig_unlink(&b, "f");
    return NULL;
}

static void b_begins_to_unlink(void)
{
    uint64_t gets = memstore_count(a.store, STORE_GET);

    once.result = -pthread_create(&b_thread, NULL, b_unlinks, NULL);
    while (memstore_count(a.store, STORE_GET) < gets + 2)
        sched_yield();
}

static void weak_unlink_waits(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&a, "f", "1", 1), 0);
    assert_file(&b, "f", "1");
    before(STORE_PUT, "g", b_begins_to_unlink);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    it_was_done();
    pthread_join(b_thread, NULL);
    assert_int_equal(b_unlink, -ENOENT);
    assert_object("g", "1");
}

/* Tombstones go after an hour of b's clock. */
static void weak_tombstones_are_swept(void **state)
{
    size_t n;

    (void)state;
    assert_int_equal(rig_put(&a, "f", "1", 1), 0);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    n = memstore_objects(a.store);
    assert_int_equal(intents_mend(b.vfs), 0);
    clock_fake_add(3500 * NS_PER_S);
    assert_int_equal(intents_mend(b.vfs), 0);
    assert_true(memstore_objects(a.store) >= n - 1); /* a's session may have ended */
    n = memstore_objects(a.store);
    clock_fake_add(200 * NS_PER_S);
    assert_int_equal(intents_mend(b.vfs), 0);
    assert_true(memstore_objects(a.store) <= n - 2); /* the tombstone, and g's emptied claim */
}

/* a's rename is done, but for its intent: c writes under the new name. b, whose PUT landed under
 * the old one before it went, must not put that over what c was told is stored. */
static struct rig c;
static struct once later;
static uint64_t b_fh;
static int c_write;

static void *b_closes(void *arg)
{
    (void)arg;
    b_write = rig_shut(&b, b_fh);
    return NULL;
}

static void b_closes_f(void)
{
    b_path = "f";
    once.result = -pthread_create(&b_thread, NULL, b_closes, NULL);
    wait_for_newer();
}

static void *c_writes(void *arg)
{
    uint64_t fh;

    (void)arg;
    c_write = rig_open_file(&c, "g", O_RDWR, &fh);
    if (c_write == 0 && vfs_write(c.vfs, &c.ctx, fh, 0, "C", 1) != 1)
        c_write = -EIO;
    if (c_write == 0)
        c_write = rig_shut(&c, fh);
    return NULL;
}

/* On a thread of its own: this one holds a's locks, and no mount takes another's on top of its own.
 */
static void c_writes_g(void *arg, struct store *s, const struct store_req *req, int result)
{
    pthread_t t;

    (void)arg;
    (void)s;
    (void)result;
    if (req->op != STORE_DELETE || strcmp(req->key, "f") != 0 ||
        atomic_exchange(&later.is_done, true))
        return;
    if (pthread_create(&t, NULL, c_writes, NULL) == 0)
        pthread_join(t, NULL);
    else
        c_write = -EAGAIN;
}

static void weak_third_writer_of_the_new_name(void **state)
{
    (void)state;
    assert_int_equal(rig_join(&c, &a, NULL), 0);
    assert_int_equal(rig_put(&a, "f", "1234", 4), 0);
    assert_int_equal(rig_open_file(&b, "f", O_RDWR, &b_fh), 0);
    assert_int_equal(vfs_write(b.vfs, &b.ctx, b_fh, 4, "B", 1), 1);
    before(STORE_DELETE, "f", b_closes_f);
    later = (struct once){0};
    memstore_set_hooks(a.store, run_once, c_writes_g, NULL);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    it_was_done();
    pthread_join(b_thread, NULL);
    assert_true(later.is_done);
    assert_int_equal(c_write, 0);
    assert_int_equal(b_write, -ESTALE);
    assert_object("g", "C234");
    assert_int_equal(lost_and_found(&b), 1);
    rig_close(&c);
}

/* A directory moves while a file in it, known here and not open, is found to be another version. */
static void a_looks_at_y(void)
{
    struct stat st;

    if (memstore_put(a.store, "d/y", "theirs", 6, NULL, NULL) != 0)
        once.result = -EIO;
    time_passes();
    if (once.result == 0)
        once.result = rig_stat(&a, "d/y", &st);
}

static void file_changes_while_its_directory_moves(void **state)
{
    const size_t size = (size_t)20 << 20;
    _cleanup_free_ char *text = calloc(1, size);
    struct vfs_entry y;
    uint64_t fh;
    bool keep;

    (void)state;
    assert_non_null(text);
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    assert_int_equal(memstore_put(a.store, "d/big", text, size, NULL, NULL), 0);
    assert_int_equal(rig_put(&b, "d/y", "old", 3), 0);
    assert_int_equal(rig_walk(&a, "d/y", &y), 0);
    assert_int_equal(vfs_open(a.vfs, &a.ctx, y.node, O_RDONLY, &fh, &keep), 0);
    vfs_release(a.vfs, fh); /* its content stays known with the node */
    assert_int_equal(rig_open_file(&a, "d/big", O_RDONLY, &fh), 0);
    before(STORE_GET, "d/big", a_looks_at_y);
    assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
    it_was_done();
    vfs_release(a.vfs, fh);
    vfs_forget(a.vfs, y.node, 1);
    assert_file(&a, "e/y", "theirs");
}

/* Two files that are written without a pause: the rename of their directory does not wait for an
 * end of that, and loses none of it. */
#define ROUNDS 40
static struct busy {
    uint64_t fh[2];
    unsigned puts;
    char last[2];
} busy;

static void *write_other(void *arg)
{
    size_t n = *(size_t *)arg;

    busy.last[n] = (char)('A' + busy.puts % 26);
    if (vfs_write(a.vfs, &a.ctx, busy.fh[n], 0, &busy.last[n], 1) != 1)
        once.result = -EIO;
    return NULL;
}

static void write_while_committed(void *arg, struct store *s, const struct store_req *req,
                                  int result)
{
    size_t other;
    pthread_t t;

    (void)arg;
    (void)s;
    (void)result;
    if (req->op != STORE_PUT || (strcmp(req->key, "d/0") != 0 && strcmp(req->key, "d/1") != 0))
        return;
    other = req->key[2] == '0';
    clock_fake_add(NS_PER_MS);
    if (++busy.puts < ROUNDS && pthread_create(&t, NULL, write_other, &other) == 0)
        pthread_join(t, NULL);
}

static void directory_of_busy_writers_moves(void **state)
{
    char text[2][2] = {"", ""};

    (void)state;
    busy = (struct busy){.last = {'0', '1'}};
    once = (struct once){0};
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    assert_int_equal(rig_put(&a, "d/0", "0", 1), 0);
    assert_int_equal(rig_put(&a, "d/1", "1", 1), 0);
    assert_int_equal(rig_open_file(&a, "d/0", O_RDWR, &busy.fh[0]), 0);
    assert_int_equal(rig_open_file(&a, "d/1", O_RDWR, &busy.fh[1]), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, busy.fh[0], 0, "0", 1), 1);
    memstore_set_hooks(a.store, write_while_committed, NULL, NULL);
    assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    assert_true(busy.puts <= 4);
    assert_int_equal(once.result, 0);
    assert_int_equal(rig_shut(&a, busy.fh[0]), 0);
    assert_int_equal(rig_shut(&a, busy.fh[1]), 0);
    text[0][0] = busy.last[0];
    text[1][0] = busy.last[1];
    assert_object("e/0", text[0]);
    assert_object("e/1", text[1]);
    assert_false(is_object("d/0"));
    assert_false(is_object("d/1"));
}

#define W(f) cmocka_unit_test_setup_teardown(f, setup_weak, teardown)

/* A server that refuses to delete the very version that it has: an error, and no try without end. The
 * file is there under both names then. */
static void delete_always_refused(void **state)
{
    const char *const names[] = {"f", "l"};

    (void)state;
    put_text(&a, "f", "text");
    put_text(&a, "l", "link");
    assert_int_equal(rig_link(&a, "l", "m"), 0);
    for (size_t i = 0; i < 2; i++) {
        memstore_fail(a.store, STORE_DELETE, 1, 5000, STORE_PRECONDITION);
        assert_int_equal(rig_rename(&a, names[i], i == 0 ? "g" : "n", 0), -EIO);
        memstore_clear_faults(a.store);
    }
    assert_object("f", "text");
    assert_object("g", "text");
    assert_object("l", "link");
    assert_object("n", "link");
}

static void the_source_goes(void)
{
    once.result = memstore_delete(a.store, "d/1");
}

/* The DELETE of a source was applied and its reply lost; asked again, the server refuses the version that
 * its GET does not know (versitygw, of a folder that is not empty). It is gone: the rename is done. */
static void refused_and_not_there(void **state)
{
    (void)state;
    assert_int_equal(memstore_put(a.store, "d/1", "1", 1, NULL, NULL), 0); /* no marker: one DELETE at a time */
    before(STORE_DELETE, "d/1", the_source_goes);
    memstore_fail(a.store, STORE_DELETE, 1, 8, STORE_PRECONDITION);
    assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
    it_was_done();
    memstore_clear_faults(a.store);
    assert_object("e/1", "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(dirty_file_goes_up_once),
        T(requests_of_a_rename),
        T(large_file_is_copied_by_parts),
        T(t11_dirty_files_renamed_while_listed),
        T(t19_create_in_a_directory_that_moves),
        T(overwrite_in_a_directory_that_moves),
        T(overwrite_of_a_file_that_moves),
        T(other_file_under_the_old_name),
        T(second_rename_of_a_file_fails),
        T(rename_waits_for_the_one_before),
        T(directory_shows_under_one_name),
        T(a_rename_that_is_over_hides_nothing),
        T(what_hiding_costs),
        T(directory_that_cannot_be_copied),
        T(rmdir_that_raced_a_create),
        W(dirty_file_goes_up_once),
        W(t19_create_in_a_directory_that_moves),
        W(second_rename_of_a_file_fails),
        W(rename_waits_for_the_one_before),
        W(weak_overwrite_before_the_delete),
        W(weak_overwrite_in_a_directory),
        W(weak_rename_between_put_and_look),
        W(weak_unlink_waits),
        W(weak_tombstones_are_swept),
        W(weak_third_writer_of_the_new_name),
        T(file_changes_while_its_directory_moves),
        T(directory_of_busy_writers_moves),
        T(delete_always_refused),
        T(refused_and_not_there),
    };

    return cmocka_run_group_tests_name("vfs/rename_mounts", tests, NULL, NULL);
}
