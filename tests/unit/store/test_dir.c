/* SPDX-License-Identifier: Apache-2.0 */
/* The directory store keeps the contract, and what a user may do to its files by hand is harmless.
 */
#include "dirfixture.h"

static bool exists(const struct fixture *f, const char *name)
{
    struct stat st;
    return lstat(path_of(f, name), &st) == 0;
}

static void write_file(const struct fixture *f, const char *name, const char *text)
{
    int fd = open(path_of(f, name), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(sys_write_all(fd, text, strlen(text)), 0);
    close(fd);
}

/* The keys of a listing, one a line, prefixes with '*'. */
static void expect_list(struct fixture *f, const char *prefix, bool delimited, const char *want)
{
    struct store_req req = {.op = STORE_LIST, .prefix = prefix, .delimited = delimited};
    struct store_rsp rsp = {0};
    _cleanup_buf_ struct buf b = BUF_INIT(100000);
    assert_int_equal(store_call(f->s, &req, &rsp), 0);
    for (size_t i = 0; i < rsp.list.n; i++)
        buf_addf(&b, "%s%s\n", rsp.list.v[i].is_prefix ? "*" : "", rsp.list.v[i].key);
    assert_string_equal(buf_str(&b), want);
    store_rsp_done(&rsp);
}

static void test_conformance(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(conformance_run(f->s, "conf/", NULL, stdout), 0);
    assert_int_equal(conformance_run(f->s, "odd//", NULL, stdout), 0);
    /* Nothing stays behind, not even directories. */
    expect_list(f, "", false, "");
    assert_false(exists(f, "conf"));
    assert_int_equal(rmdir(path_of(f, ".s3efs-dir/tmp")), 0);
    assert_int_equal(rmdir(path_of(f, ".s3efs-dir/uploads")), 0);
    assert_int_equal(rmdir(path_of(f, ".s3efs-dir/odd")), 0);
}

static void test_plain_keys_are_files(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(dirtest_puts(f->s, "cats/a b%20.jpg", "bytes"), 0);
    assert_int_equal(dirtest_puts(f->s, "dogs/", ""), 0);
    struct stat st;
    assert_int_equal(stat(path_of(f, "cats/a b%20.jpg"), &st), 0);
    assert_int_equal(st.st_size, 5);
    assert_true(exists(f, "dogs/.s3efs-dir"));
    assert_int_equal(dirtest_delete(f->s, "cats/a b%20.jpg"), 0);
    assert_false(exists(f, "cats"));
    assert_int_equal(dirtest_delete(f->s, "dogs/"), 0);
    assert_false(exists(f, "dogs"));
}

static void test_objects_stay_after_reopening(void **state)
{
    struct fixture *f = *state;
    struct store_obj before = {0}, after = {0};
    assert_int_equal(dirtest_puts(f->s, "a", "1"), 0);
    assert_int_equal(dirtest_puts(f->s, "a/b", "2"), 0);
    assert_int_equal(dirtest_get(f->s, "a/b", 10, NULL, NULL, &before), 0);
    store_stop(f->s);
    store_free(f->s);
    assert_int_equal(store_dir_new(f->dir, false, f->meter, &f->s), 0);
    assert_int_equal(dirtest_get(f->s, "a/b", 10, NULL, NULL, &after), 0);
    assert_string_equal(before.etag.s, after.etag.s);
    assert_int_equal(before.mtime_ns, after.mtime_ns);
    expect_text(f, "a", "1");
    expect_list(f, "", false, "a\na/b\n");
    store_obj_done(&before);
    store_obj_done(&after);
}

static void test_versions_have_rising_times(void **state)
{
    struct fixture *f = *state;
    int64_t last = 0;
    for (int i = 0; i < 20; i++) {
        struct store_obj o = {0};
        assert_int_equal(dirtest_put(f->s, "a", "x", 1, (struct store_cond){0}, &o), 0);
        assert_true(o.mtime_ns > last);
        last = o.mtime_ns;
    }
}

static void test_foreign_files_are_objects(void **state)
{
    struct fixture *f = *state;
    struct store_obj one = {0}, two = {0};
    assert_int_equal(mkdir(path_of(f, "dropped"), 0755), 0);
    write_file(f, "dropped/my%20file%41.txt", "by hand");
    expect_text(f, "dropped/my%20file%41.txt", "by hand");
    expect_list(f, "", false, "dropped/my%20file%41.txt\n");
    expect_list(f, "", true, "*dropped/\n");
    assert_int_equal(dirtest_get(f->s, "dropped/my%20file%41.txt", 100, NULL, NULL, &one), 0);
    assert_true(store_etag_is_set(&one.etag));
    assert_non_null(strchr(one.etag.s, '-'));
    assert_int_equal(one.hdrs.n, 0);
    /* Its ETag is good for conditions until it changes. */
    struct store_cond cond = {.kind = STORE_IF_MATCH, .etag = one.etag};
    write_file(f, "dropped/my%20file%41.txt", ", and more");
    assert_int_equal(dirtest_put(f->s, "dropped/my%20file%41.txt", "x", 1, cond, NULL),
                     STORE_PRECONDITION);
    assert_int_equal(dirtest_get(f->s, "dropped/my%20file%41.txt", 100, NULL, NULL, &two), 0);
    assert_string_not_equal(one.etag.s, two.etag.s);
    cond.etag = two.etag;
    assert_int_equal(dirtest_put(f->s, "dropped/my%20file%41.txt", "x", 1, cond, NULL), 0);
    expect_text(f, "dropped/my%20file%41.txt", "x");
    store_obj_done(&one);
    store_obj_done(&two);
}

static void test_change_by_hand_is_another_version(void **state)
{
    struct fixture *f = *state;
    struct store_obj before = {0}, after = {0};
    assert_int_equal(dirtest_put(f->s, "a.txt", "one", 3, (struct store_cond){0}, &before), 0);
    write_file(f, "a.txt", " two");
    expect_text(f, "a.txt", "one two");
    assert_int_equal(dirtest_get(f->s, "a.txt", 100, NULL, NULL, &after), 0);
    assert_string_not_equal(before.etag.s, after.etag.s);
    assert_int_equal(after.size, 7);
    store_obj_done(&after);
}

static void test_rotten_bytes_are_not_served(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(dirtest_puts(f->s, "a", "good bytes"), 0);
    assert_int_equal(stat(path_of(f, "a"), &st), 0);
    int fd = open(path_of(f, "a"), O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(sys_pwrite_all(fd, "b", 1, 0), 0);
    /* As a bad disk does it: behind the file's times. */
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
    assert_int_equal(dirtest_get(f->s, "a", 100, NULL, NULL, NULL), -EIO);
    assert_non_null(strstr(err_text(), "MD5"));
    /* A copy would give them a good MD5. */
    struct store_req req = {.op = STORE_COPY, .key = "b", .src_key = "a"};
    struct store_rsp rsp = {0};
    assert_int_equal(store_call(f->s, &req, &rsp), -EIO);
    store_rsp_done(&rsp);
    assert_false(exists(f, "b"));
}

static void test_never_outside(void **state)
{
    struct fixture *f = *state;
    char outside[256];
    dirtest_make(outside);
    struct fixture o = {0};
    memcpy(o.dir, outside, sizeof(o.dir));
    write_file(&o, "secret", "secret");
    assert_int_equal(symlink(outside, path_of(f, "link")), 0);
    assert_int_equal(symlink(path_of(&o, "secret"), path_of(f, "file")), 0);
    assert_int_equal(mkfifo(path_of(f, "pipe"), 0600), 0);
    expect_list(f, "", false, "");
    assert_int_equal(dirtest_get(f->s, "link/secret", 10, NULL, NULL, NULL), STORE_NOT_FOUND);
    assert_int_equal(dirtest_get(f->s, "file", 10, NULL, NULL, NULL), STORE_NOT_FOUND);
    assert_int_equal(dirtest_get(f->s, "pipe", 10, NULL, NULL, NULL), STORE_NOT_FOUND);
    /* The names can be used all the same, and the links stay. */
    static const char *const keys[] = {"link/secret", "file",   "pipe", "../escape",
                                       "link/../x",   "/etc/x", "link/"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        assert_int_equal(dirtest_puts(f->s, keys[i], keys[i]), 0);
        expect_text(f, keys[i], keys[i]);
    }
    expect_text(f, "link/secret", "link/secret");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_int_equal(dirtest_delete(f->s, keys[i]), 0);
    assert_true(exists(f, "link") && exists(f, "file") && exists(f, "pipe"));
    char *text = NULL;
    assert_int_equal(sys_read_file(path_of(&o, "secret"), 100, &text, NULL), 0);
    assert_string_equal(text, "secret");
    free(text);
    dirtest_remove(outside);
}

static void test_place_is_kept_while_the_object_lives(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(dirtest_puts(f->s, "a/b", "below"), 0);
    assert_int_equal(dirtest_puts(f->s, "a", "first"), 0);
    assert_int_equal(dirtest_delete(f->s, "a/b"), 0);
    assert_false(exists(f, "a"));
    assert_int_equal(dirtest_puts(f->s, "a", "second"), 0);
    expect_text(f, "a", "second");
    expect_list(f, "", false, "a\n");
    assert_int_equal(dirtest_delete(f->s, "a"), 0);
    assert_int_equal(dirtest_puts(f->s, "a", "third"), 0);
    assert_true(exists(f, "a"));
    /* "d/" made beside the object "d", then "d" goes and "d/x" makes the directory. */
    assert_int_equal(dirtest_puts(f->s, "d", "file"), 0);
    assert_int_equal(dirtest_puts(f->s, "d/", "marker"), 0);
    assert_int_equal(dirtest_delete(f->s, "d"), 0);
    assert_int_equal(dirtest_puts(f->s, "d/x", "x"), 0);
    expect_list(f, "", false, "a\nd/\nd/x\n");
    expect_list(f, "", true, "a\n*d/\n");
    expect_list(f, "d/", true, "d/\nd/x\n");
    expect_text(f, "d/", "marker");
}

static void test_empty_directories_are_no_keys(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdir(path_of(f, "empty"), 0755), 0);
    assert_int_equal(mkdir(path_of(f, "empty/inner"), 0755), 0);
    expect_list(f, "", true, "");
    expect_list(f, "", false, "");
    write_file(f, "empty/inner/file", "x");
    expect_list(f, "", true, "*empty/\n");
    /* What only lies before the start does not make a prefix. */
    struct store_req req = {.op = STORE_LIST, .delimited = true, .start_after = "empty/inner/file"};
    struct store_rsp rsp = {0};
    assert_int_equal(store_call(f->s, &req, &rsp), 0);
    assert_int_equal(rsp.list.n, 0);
    store_rsp_done(&rsp);
}

static void test_bad_requests(void **state)
{
    struct fixture *f = *state;
    struct store_rsp rsp = {0};
    assert_int_equal(dirtest_puts(f->s, "", "x"), -EINVAL);
    struct store_req list = {.op = STORE_LIST, .token = "nonsense"};
    assert_int_equal(store_call(f->s, &list, &rsp), -EINVAL);
    store_rsp_done(&rsp);
    static const char *const ids[] = {"", "../tmp", "0123456789abcdef0123456789abcdef",
                                      "0123456789abcdef0123456789abcde/"};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct store_req req = {.op = STORE_MPU_ABORT, .key = "a", .upload_id = ids[i]};
        assert_int_equal(store_call(f->s, &req, &rsp), STORE_NO_UPLOAD);
        store_rsp_done(&rsp);
    }
    /* A header that HTTP can't carry would be cut in two on the way. */
    struct store_hdrs h = {0};
    assert_int_equal(store_hdrs_set(&h, STORE_USER_META "a", "x\ny: z"), 0);
    struct store_mem m = {.data = NULL, .size = 0};
    struct store_src src = store_src_mem(&m);
    struct store_req put = {.op = STORE_PUT, .key = "a", .src = &src, .hdrs = &h};
    assert_int_equal(store_call(f->s, &put, &rsp), -EINVAL);
    store_rsp_done(&rsp);
    store_hdrs_done(&h);
    assert_false(exists(f, "a"));
}

static int failing_read(void *ctx, uint64_t off, void *buf, size_t len)
{
    (void)ctx;
    memset(buf, 'x', len);
    return off == 0 ? 0 : err_set(-ECANCELED, "the body broke off");
}

static void test_broken_body_leaves_the_old_object(void **state)
{
    struct fixture *f = *state;
    struct store_rsp rsp = {0};
    assert_int_equal(dirtest_puts(f->s, "a", "old"), 0);
    struct store_src src = {.size = 1 << 20, .read = failing_read};
    struct store_req put = {.op = STORE_PUT, .key = "a", .src = &src};
    assert_int_equal(store_call(f->s, &put, &rsp), -ECANCELED);
    assert_string_equal(err_text(), "the body broke off");
    store_rsp_done(&rsp);
    expect_text(f, "a", "old");
    assert_int_equal(rmdir(path_of(f, ".s3efs-dir/tmp")), 0); /* no temp file stays */
}

static void test_meter(void **state)
{
    struct fixture *f = *state;
    struct meter_snapshot m;
    struct store_cond absent = {.kind = STORE_IF_ABSENT};
    assert_int_equal(dirtest_puts(f->s, "a", "12345"), 0);
    assert_int_equal(dirtest_put(f->s, "a", "1", 1, absent, NULL), STORE_PRECONDITION);
    assert_int_equal(dirtest_get(f->s, "a", 10, NULL, NULL, NULL), 0);
    assert_int_equal(dirtest_get(f->s, "none", 10, NULL, NULL, NULL), STORE_NOT_FOUND);
    assert_int_equal(dirtest_delete(f->s, "a"), 0);
    meter_read(f->meter, &m);
    assert_int_equal(m.requests[METER_PUT], 2);
    assert_int_equal(m.requests[METER_GET], 2);
    assert_int_equal(m.requests[METER_DELETE], 1);
    assert_int_equal(m.statuses[200], 2);
    assert_int_equal(m.statuses[412], 1);
    assert_int_equal(m.statuses[404], 1);
    assert_int_equal(m.statuses[204], 1);
    assert_int_equal(m.by_kind_status[METER_PUT][4], 1);
    assert_int_equal(m.bytes_up, 6);
    assert_int_equal(m.bytes_down, 5);
}

static void test_what_dead_writers_left_is_swept(void **state)
{
    struct fixture *f = *state;
    struct store *again = NULL;
    write_file(f, ".s3efs-dir/tmp/0123", "half an object");
    assert_int_equal(mkdir(path_of(f, ".s3efs-dir/tmp/4567"), 0755), 0);
    write_file(f, ".s3efs-dir/tmp/4567/part.00001", "half a part");
    assert_int_equal(store_dir_new(f->dir, true, NULL, &again), 0);
    assert_false(exists(f, ".s3efs-dir/tmp/0123"));
    assert_false(exists(f, ".s3efs-dir/tmp/4567"));
    store_stop(again);
    store_free(again);
}

static void test_opening(void **state)
{
    struct fixture *f = *state;
    struct store *s = NULL;
    assert_int_equal(store_dir_new(path_of(f, "none"), false, NULL, &s), -ENOENT);
    assert_non_null(strstr(err_text(), "none"));
    write_file(f, "file", "x");
    assert_int_equal(store_dir_new(path_of(f, "file"), false, NULL, &s), -ENOTDIR);
    assert_int_equal(store_dir_new(path_of(f, "file"), true, NULL, &s), -ENOTDIR);
    assert_int_equal(store_dir_new(path_of(f, "x/y/z"), true, NULL, &s), 0);
    store_stop(s);
    assert_int_equal(dirtest_puts(s, "a", "x"), -ESHUTDOWN);
    store_free(s);
}

/* As a user who may not write there; 0 or which expectation failed. */
static int read_only_user(const char *dir)
{
    struct store *s = NULL;
    if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0))
        return 1;
    if (store_dir_new(dir, false, NULL, &s) != 0)
        return 2;
    if (dirtest_get(s, "a", 10, NULL, NULL, NULL) != 0 ||
        dirtest_get(s, "a/b", 10, NULL, NULL, NULL) != 0)
        return 3;
    struct store_req list = {.op = STORE_LIST};
    struct store_rsp rsp = {0};
    if (store_call(s, &list, &rsp) != 0 || rsp.list.n != 2)
        return 4;
    store_rsp_done(&rsp);
    if (dirtest_puts(s, "a", "x") != -EACCES || err_text()[0] == '\0')
        return 5;
    if (dirtest_delete(s, "a") != -EACCES)
        return 6;
    struct store_req create = {.op = STORE_MPU_CREATE, .key = "a"};
    if (store_call(s, &create, &rsp) != -EACCES)
        return 7;
    store_stop(s);
    store_free(s);
    return 0;
}

static void test_read_only_bucket_can_be_read(void **state)
{
    struct fixture *f = *state;
    int status = 0;
    assert_int_equal(dirtest_puts(f->s, "a", "text"), 0);
    assert_int_equal(dirtest_puts(f->s, "a/b", "text"), 0);
    assert_int_equal(chmod(f->dir, 0555), 0);
    static const char *const folders[] = {"", "/tmp", "/locks", "/uploads", "/odd"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        char path[64];
        snprintf(path, sizeof(path), ".s3efs-dir%s", folders[i]);
        assert_int_equal(chmod(path_of(f, path), 0555), 0);
    }
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(read_only_user(f->dir));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    expect_text(f, "a", "text");
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        char path[64];
        snprintf(path, sizeof(path), ".s3efs-dir%s", folders[i]);
        assert_int_equal(chmod(path_of(f, path), 0755), 0);
    }
    assert_int_equal(chmod(f->dir, 0755), 0);
}

static void test_bucket_is_gone(void **state)
{
    struct fixture *f = *state;
    struct store *s = NULL;
    struct store_req req = {.op = STORE_HEAD_BUCKET};
    struct store_rsp rsp = {0};
    assert_int_equal(store_dir_new(path_of(f, "bucket"), true, NULL, &s), 0);
    assert_int_equal(store_call(s, &req, &rsp), 0);
    dirtest_remove(path_of(f, "bucket"));
    assert_int_equal(store_call(s, &req, &rsp), STORE_NOT_FOUND);
    assert_true(dirtest_puts(s, "a", "x") < 0);
    store_stop(s);
    store_free(s);
}

#ifdef S3EFS_FAULTS
/* Every failing disk call: an errno, the old object, no mixture. */
static void test_disk_failures(void **state)
{
    struct fixture *f = *state;
    static const enum sys_kind kinds[] = {SYS_OPEN, SYS_WRITE, SYS_SYNC};
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        bool done = false;
        for (uint64_t nth = 1; !done && nth < 100; nth++) {
            assert_int_equal(dirtest_puts(f->s, "d/a", "old"), 0);
            sys_fault_set(kinds[k], nth, ENOSPC, false);
            uint64_t calls = sys_fault_calls(kinds[k]);
            int r = dirtest_puts(f->s, "d/a", "new and longer");
            bool was_met = sys_fault_calls(kinds[k]) - calls >= nth;
            sys_fault_set(kinds[k], 0, 0, false);
            done = !was_met;
            char *data = NULL;
            assert_int_equal(dirtest_get(f->s, "d/a", 100, &data, NULL, NULL), 0);
            if (r == 0)
                assert_string_equal(data, "new and longer");
            else
                assert_true(r == -ENOSPC ? strcmp(data, "old") == 0 : r == -EIO);
            free(data);
        }
        assert_true(done);
    }
    assert_int_equal(rmdir(path_of(f, ".s3efs-dir/tmp")), 0);
}
#endif

/* Uploads page by page; what ends a page may be gone when the next one is asked for. */
static void test_uploads_by_pages(void **state)
{
    static const char *const keys[] = {"c", "a", "b", "a", "a"};
    struct fixture *f = *state;
    _cleanup_free_ char *after = NULL, *id = NULL;
    char seen[16] = "";

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct store_req req = {.op = STORE_MPU_CREATE, .key = keys[i]};
        struct store_rsp rsp = {0};

        assert_int_equal(store_call(f->s, &req, &rsp), 0);
        store_rsp_done(&rsp);
    }
    do {
        struct store_req req = {
            .op = STORE_MPU_LIST, .max_keys = 2, .start_after = after, .upload_id = id};
        struct store_req abort = {.op = STORE_MPU_ABORT};
        struct store_rsp rsp = {0}, none = {0};

        assert_int_equal(store_call(f->s, &req, &rsp), 0);
        assert_true(rsp.uploads.n <= 2 && strlen(seen) < 8);
        for (size_t i = 0; i < rsp.uploads.n; i++) {
            strncat(seen, rsp.uploads.v[i].key, 1);
            abort.key = rsp.uploads.v[i].key;
            abort.upload_id = rsp.uploads.v[i].upload_id;
            assert_int_equal(store_call(f->s, &abort, &none), 0);
        }
        free(after);
        free(id);
        after = steal(&rsp.uploads.next_key);
        id = steal(&rsp.uploads.next_id);
        store_rsp_done(&rsp);
    } while (after != NULL);
    assert_string_equal(seen, "aaabc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_conformance, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plain_keys_are_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_objects_stay_after_reopening, setup, teardown),
        cmocka_unit_test_setup_teardown(test_versions_have_rising_times, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_files_are_objects, setup, teardown),
        cmocka_unit_test_setup_teardown(test_change_by_hand_is_another_version, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotten_bytes_are_not_served, setup, teardown),
        cmocka_unit_test_setup_teardown(test_never_outside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_place_is_kept_while_the_object_lives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_directories_are_no_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_body_leaves_the_old_object, setup, teardown),
        cmocka_unit_test_setup_teardown(test_meter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_dead_writers_left_is_swept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_opening, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_only_bucket_can_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bucket_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_uploads_by_pages, setup, teardown),
#ifdef S3EFS_FAULTS
        cmocka_unit_test_setup_teardown(test_disk_failures, setup, teardown),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
