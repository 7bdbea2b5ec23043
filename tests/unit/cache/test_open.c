/* SPDX-License-Identifier: Apache-2.0 */
/* The cache directory: who may have it, what is refused, what survives a change of format. */
#include "cachetest.h"

#include "../../../fs/cache/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "base/err.h"

static int open_only(const char *dir, const char *source, struct cache **ret)
{
    struct cache_conf conf = {.dir = dir, .source = source};

    *ret = NULL;
    return cache_new(&conf, ret);
}

static void path_in(char ret[PATH_MAX + 64], const char *dir, const char *name)
{
    assert_true(snprintf(ret, PATH_MAX + 64, "%s/%s", dir, name) < PATH_MAX + 64);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[PATH_MAX + 64];
    FILE *f;

    path_in(path, dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static bool exists(const char *dir, const char *name)
{
    char path[PATH_MAX + 64];

    path_in(path, dir, name);
    return access(path, F_OK) == 0;
}

static mode_t mode_of(const char *dir, const char *name)
{
    char path[PATH_MAX + 64];
    struct stat st;

    path_in(path, dir, name);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static void test_layout(void **state)
{
    static const char *const folders[] = {"meta", "blocks", "stage", "lost+found", "."};
    static const char *const files[] = {"lock", "stamp", "state", "meta/data.mdb"};
    char dir[PATH_MAX], sub[PATH_MAX + 64];
    struct cache *c;

    (void)state;
    scratch_make(dir);
    path_in(sub, dir, "made/on/the/way");
    assert_int_equal(open_only(sub, SOURCE, &c), 0);
    assert_int_equal(cache_start(c), 0);
    write_whole(c, "k", 1, 10);
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        assert_int_equal(mode_of(sub, folders[i]), 0700);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        assert_int_equal(mode_of(sub, files[i]), 0600);
    cache_stop(c);
    cache_stop(c);
    cache_free(c);
    cache_free(NULL);
    scratch_remove(dir);
}

static void t21_second_daemon_refuses(void **state)
{
    char dir[PATH_MAX], text[128];
    struct cache *c, *second;

    (void)state;
    scratch_make(dir);
    assert_int_equal(open_only(dir, SOURCE, &c), 0);
    assert_int_equal(open_only(dir, SOURCE, &second), -EBUSY);
    assert_null(second);
    snprintf(text, sizeof(text), "in use by pid %d", (int)getpid());
    assert_non_null(strstr(err_text(), text));
    assert_non_null(strstr(err_text(), dir));
    cache_free(c);
    assert_int_equal(open_only(dir, SOURCE, &c), 0);
    cache_free(c);
    scratch_remove(dir);
}

struct opener {
    const char *dir;
    struct cache *c;
    int r;
};

static void *open_it(void *arg)
{
    struct opener *o = arg;

    o->r = open_only(o->dir, SOURCE, &o->c);
    return NULL;
}

/* Somebody else has the lock with the pid of a process that is gone: until it is scheduled, a child
 * that a killed daemon had just forked. */
static void test_lock_left_behind(void **state)
{
    char dir[PATH_MAX], path[PATH_MAX + 8], text[16];
    struct opener o = {.dir = dir};
    pthread_t t;
    pid_t gone;
    int fd;

    (void)state;
    scratch_make(dir);
    gone = fork();
    if (gone == 0)
        _exit(0);
    assert_int_equal(waitpid(gone, NULL, 0), gone);
    snprintf(path, sizeof(path), "%s/lock", dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    snprintf(text, sizeof(text), "%d\n", (int)gone);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(pthread_create(&t, NULL, open_it, &o), 0);
    usleep(100000); /* so that it meets the lock, as a rule */
    close(fd);
    pthread_join(t, NULL);
    assert_int_equal(o.r, 0);
    cache_free(o.c);
    scratch_remove(dir);
}

/* As the daemon does: new, fork, start in the child; the parent's side may go. */
static void test_lock_over_fork(void **state)
{
    char dir[PATH_MAX], text[128], go = 'g';
    int to[2], from[2], status;
    struct cache *c, *second;
    pid_t pid;

    (void)state;
    scratch_make(dir);
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    assert_int_equal(open_only(dir, SOURCE, &c), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        bool ok = cache_start(c) == 0 && write(from[1], &go, 1) == 1 && read(to[0], &go, 1) == 1;

        cache_stop(c);
        cache_free(c);
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(read(from[0], &go, 1), 1);
    cache_free(c);
    assert_int_equal(open_only(dir, SOURCE, &second), -EBUSY);
    snprintf(text, sizeof(text), "in use by pid %d", (int)pid);
    assert_non_null(strstr(err_text(), text));
    assert_int_equal(write(to[1], &go, 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(open_only(dir, SOURCE, &c), 0);
    cache_free(c);
    for (int i = 0; i < 2; i++) {
        close(to[i]);
        close(from[i]);
    }
    scratch_remove(dir);
}

static void test_other_source(void **state)
{
    char dir[PATH_MAX];
    struct cache *c;

    (void)state;
    scratch_make(dir);
    c = cache_open_at(dir, 0);
    write_whole(c, "k", 1, 1000);
    cache_close(c);
    assert_int_equal(open_only(dir, "s3://other", &c), -EINVAL);
    assert_non_null(strstr(err_text(), SOURCE));
    assert_non_null(strstr(err_text(), "s3://other"));
    assert_int_equal(open_only(dir, SOURCE "x", &c), -EINVAL);
    c = cache_open_at(dir, 0); /* and it is as it was */
    assert_int_equal(read_good(c, "k", 1, 1000), 1000);
    cache_close(c);
    assert_int_equal(open_only(dir, "line\nbreak", &c), -EINVAL);
    scratch_remove(dir);
}

static void test_foreign_directory(void **state)
{
    char dir[PATH_MAX];
    struct cache *c;

    (void)state;
    scratch_make(dir);
    assert_int_equal(chmod(dir, 0755), 0);
    write_file(dir, "thesis.doc", "years of work");
    assert_int_equal(open_only(dir, SOURCE, &c), -ENOTEMPTY);
    assert_non_null(strstr(err_text(), "thesis.doc"));
    assert_int_equal(mode_of(dir, "."), 0755); /* nothing was touched */
    assert_false(exists(dir, "lock"));
    scratch_remove(dir);
    scratch_make(dir);
    write_file(dir, "stamp", "something else\n");
    assert_int_equal(open_only(dir, SOURCE, &c), -EINVAL);
    assert_non_null(strstr(err_text(), "damaged"));
    scratch_remove(dir);
}

/* A directory of another user's would show his bytes; one that all may write has whatever anybody puts there. */
static void test_whose_it_is(void **state)
{
    struct stat st = {.st_mode = S_IFDIR | 0700, .st_uid = 1000};
    char dir[PATH_MAX];
    struct cache *c;

    (void)state;
    assert_int_equal(layout_check_owner(&st, 1000, "d"), 0);
    assert_int_equal(layout_check_owner(&st, 1001, "d"), -EACCES);
    assert_int_equal(layout_check_owner(&st, 0, "d"), -EACCES);
    st.st_uid = 0;
    st.st_mode = S_IFDIR | 02770; /* a volume with fsGroup */
    assert_int_equal(layout_check_owner(&st, 1000, "d"), 0);
    st.st_mode = S_IFDIR | 01777;
    assert_int_equal(layout_check_owner(&st, 1000, "d"), -EACCES);
    st.st_mode = S_IFLNK | 0777;
    assert_int_equal(layout_check_owner(&st, 0, "d"), -ENOTDIR);
    scratch_make(dir);
    if (geteuid() == 0) { /* nobody else can give a directory away */
        assert_int_equal(chown(dir, 65534, 65534), 0);
        assert_int_equal(chmod(dir, 0775), 0);
        assert_int_equal(open_only(dir, SOURCE, &c), -EACCES);
        assert_int_equal(mode_of(dir, "."), 0775); /* it is as its owner wants it */
        assert_non_null(strstr(err_text(), "another user"));
        assert_false(exists(dir, "lock"));
        assert_int_equal(chown(dir, 0, 0), 0);
    }
    assert_int_equal(chmod(dir, 0777), 0); /* ours: it is closed */
    assert_int_equal(open_only(dir, SOURCE, &c), 0);
    assert_int_equal(mode_of(dir, "."), 0700);
    cache_free(c);
    scratch_remove(dir);
}

/* Put there while the directory was open to others: a link is not followed, whoever made it. */
static void test_planted_folders(void **state)
{
    static const char *const names[] = {"trash", "meta", "blocks", "stage", "lost+found"};
    char dir[PATH_MAX], elsewhere[PATH_MAX], path[PATH_MAX + 32];
    struct cache *c;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        scratch_make(dir);
        scratch_make(elsewhere);
        assert_int_equal(open_only(dir, SOURCE, &c), 0);
        cache_free(c);
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        assert_int_equal(layout_remove_tree(path), 0);
        assert_int_equal(symlink(elsewhere, path), 0);
        write_file(elsewhere, "precious", "bytes");
        assert_int_equal(open_only(dir, SOURCE, &c), -ENOTDIR);
        assert_true(exists(elsewhere, "precious"));
        scratch_remove(dir);
        scratch_remove(elsewhere);
    }
}

static void test_other_format(void **state)
{
    char dir[PATH_MAX];
    struct cache *c;

    (void)state;
    scratch_make(dir);
    c = cache_open_at(dir, 0);
    write_whole(c, "k", 1, 1000);
    put_obj(c, "k", 1, 1000, 1, 1);
    cache_close(c);
    write_file(dir, "lost+found/precious", "bytes");
    write_file(dir, "stamp", "s3efs-cache 99\nsource " SOURCE "\nmore of the future\n");
    c = cache_open_at(dir, 0);
    assert_int_equal(read_good(c, "k", 1, 1000), 0);
    assert_true(exists(dir, "lost+found/precious"));
    cache_close(c);
    c = cache_open_at(dir, 0); /* it has our stamp now */
    cache_close(c);
    write_file(dir, "stamp", "s3efs-cache 99\nsource s3://other\n");
    assert_int_equal(open_only(dir, SOURCE, &c), -EINVAL);
    assert_true(exists(dir, "lost+found/precious"));
    scratch_remove(dir);
}

static void test_not_a_directory(void **state)
{
    char dir[PATH_MAX], path[PATH_MAX + 64];
    struct cache *c;

    (void)state;
    scratch_make(dir);
    write_file(dir, "file", "");
    path_in(path, dir, "file");
    assert_int_equal(open_only(path, SOURCE, &c), -ENOTDIR);
    path_in(path, dir, "file/below");
    assert_int_equal(open_only(path, SOURCE, &c), -ENOTDIR);
    assert_true(err_text()[0] != '\0');
    scratch_remove(dir);
}

/* In a child without root's rights. 0: -EACCES with a text that names the directory. */
static int try_as_nobody(const char *dir)
{
    struct cache *c;

    if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0))
        return 2;
    return open_only(dir, SOURCE, &c) == -EACCES && strstr(err_text(), dir) != NULL &&
                   strstr(err_text(), "Permission denied") != NULL
               ? 0
               : 1;
}

static void test_unwritable(void **state)
{
    char dir[PATH_MAX], sub[PATH_MAX + 64];
    const char *tries[] = {dir, sub};

    (void)state;
    scratch_make(dir);
    path_in(sub, dir, "below");
    assert_int_equal(chmod(dir, 0555), 0);
    for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0)
            _exit(try_as_nobody(tries[i]));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    assert_int_equal(chmod(dir, 0755), 0);
    scratch_remove(dir);
}

/* A cache that was not started, or is stopped, answers "miss" and loses nothing of what is staged.
 */
static void test_not_started(void **state)
{
    struct store_etag etag = etag_of(1);
    struct cache_id id = {.key = "k", .etag = &etag, .size = 10};
    struct cache_stage *s;
    struct cache_listing l;
    struct cache_obj o;
    char dir[PATH_MAX], *text;
    struct cache *c;

    (void)state;
    scratch_make(dir);
    assert_int_equal(open_only(dir, SOURCE, &c), 0);
    put_obj(c, "k", 1, 10, 1, 1);
    cache_obj_drop(c, "k");
    cache_list_drop(c, "");
    write_whole(c, "k", 1, 10);
    cache_note_put(c, "n", "v");
    assert_int_equal(cache_obj_get(c, "k", &o), CACHE_MISS);
    assert_int_equal(cache_list_get(c, "", &l), CACHE_MISS);
    assert_int_equal(cache_note_get(c, "n", &text), CACHE_MISS);
    assert_int_equal(read_good(c, "k", 1, 10), 0);
    assert_int_equal(cache_stage_new(c, &s), 0);
    assert_int_equal(cache_stage_keep(s, "k", "why", &text), 0);
    assert_int_equal(access(text, F_OK), 0);
    free(text);
    assert_int_equal(cache_stage_new(c, &s), 0);
    cache_stage_adopt(s, &id);
    cache_free(c);
    scratch_remove(dir);
}

static void test_notes(void **state)
{
    struct fixture *f = *state;
    char *text, longest[400];

    assert_int_equal(cache_note_get(f->c, "probe", &text), CACHE_MISS);
    cache_note_put(f->c, "probe", "put_absent=1");
    cache_note_put(f->c, "probe", "put_absent=0");
    cache_note_put(f->c, "empty", "");
    memset(longest, 'n', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    cache_note_put(f->c, longest, "v");
    assert_int_equal(cache_note_get(f->c, longest, &text), CACHE_MISS);
    cache_note_put(f->c, "", "v");
    assert_int_equal(cache_note_get(f->c, "", &text), CACHE_MISS);
    fixture_reopen(f, 0);
    assert_int_equal(cache_note_get(f->c, "probe", &text), 0);
    assert_string_equal(text, "put_absent=0");
    free(text);
    assert_int_equal(cache_note_get(f->c, "empty", &text), 0);
    assert_string_equal(text, "");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(t21_second_daemon_refuses),
        cmocka_unit_test(test_lock_left_behind),
        cmocka_unit_test(test_lock_over_fork),
        cmocka_unit_test(test_other_source),
        cmocka_unit_test(test_foreign_directory),
        cmocka_unit_test(test_whose_it_is),
        cmocka_unit_test(test_planted_folders),
        cmocka_unit_test(test_other_format),
        cmocka_unit_test(test_not_a_directory),
        cmocka_unit_test(test_unwritable),
        cmocka_unit_test(test_not_started),
        cmocka_unit_test_setup_teardown(test_notes, fixture_up, fixture_down),
    };

    return cmocka_run_group_tests_name("cache/open", tests, NULL, NULL);
}
