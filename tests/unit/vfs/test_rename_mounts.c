/* SPDX-License-Identifier: Apache-2.0 */
/* Renames on one mount while another one writes, creates and removes. */
#include "renametest.h"

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

/* A server that refuses to delete the very version that it has: an error, and no try without end.
 * The file is there under both names then. */
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

/* The DELETE of a source was applied and its reply lost; asked again, the server refuses the
 * version that its GET does not know (versitygw, of a folder that is not empty). It is gone: the
 * rename is done. */
static void refused_and_not_there(void **state)
{
    (void)state;
    assert_int_equal(memstore_put(a.store, "d/1", "1", 1, NULL, NULL),
                     0); /* no marker: one DELETE at a time */
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
        W(dirty_file_goes_up_once),
        W(t19_create_in_a_directory_that_moves),
        T(file_changes_while_its_directory_moves),
        T(directory_of_busy_writers_moves),
        T(delete_always_refused),
        T(refused_and_not_there),
    };

    return cmocka_run_group_tests_name("vfs/rename_mounts", tests, NULL, NULL);
}
