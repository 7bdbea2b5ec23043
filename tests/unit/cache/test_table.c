/* SPDX-License-Identifier: Apache-2.0 */
/* The takeover table: what one process wrote, the next has, whole steps only. */
#include "cachetest.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "cache/table.h"

static struct table *open_table(struct fixture *f, bool fresh)
{
    struct table *t = NULL;

    assert_int_equal(table_open(f->c, fresh, &t), 0);
    return t;
}

static void put(struct table *t, unsigned char kind, uint64_t id, const char *text)
{
    const struct table_item item = {.kind = kind, .id = id, .data = text, .len = text != NULL ? strlen(text) : 0};

    assert_int_equal(table_write(t, &item, 1), 0);
}

static void assert_record(struct table *t, unsigned char kind, uint64_t id, const char *text)
{
    void *data = NULL;
    size_t len = 0;

    assert_int_equal(table_get(t, kind, id, &data, &len), text != NULL ? 0 : -ENOENT);
    if (text != NULL) {
        assert_int_equal(len, strlen(text));
        assert_memory_equal(data, text, len);
    }
    free(data);
}

static int add_up(void *arg, uint64_t id, const void *data, size_t len)
{
    uint64_t *sum = arg;

    (void)data;
    *sum = *sum * 10 + id + len;
    return 0;
}

static void test_records(void **state)
{
    struct fixture *f = *state;
    struct table *t = open_table(f, true);
    uint64_t sum = 0;

    put(t, 'n', 2, "");
    put(t, 'n', 1, "");
    put(t, 'n', 3, "four");
    put(t, 'o', 9, "other");
    put(t, 'n', 2, NULL);
    put(t, 'n', 2, NULL);
    table_close(t);
    t = open_table(f, false);
    assert_record(t, 'n', 2, NULL);
    assert_record(t, 'n', 3, "four");
    assert_record(t, 'o', 9, "other");
    assert_int_equal(table_each(t, 'n', add_up, &sum), 0);
    assert_int_equal(sum, 17);
    table_close(t);
    t = open_table(f, true);
    assert_record(t, 'o', 9, NULL);
    table_close(t);
}

/* More than the map has at first. */
static void test_grows(void **state)
{
    struct fixture *f = *state;
    struct table *t = open_table(f, true);
    const size_t len = 1 << 20;
    char *big = calloc(1, len);

    assert_non_null(big);
    for (uint64_t id = 1; id <= 80; id++) {
        const struct table_item item = {.kind = 'n', .id = id, .data = big, .len = len};

        assert_int_equal(table_write(t, &item, 1), 0);
    }
    table_close(t);
    t = open_table(f, false);
    put(t, 'n', 81, "last");
    assert_record(t, 'n', 81, "last");
    table_close(t);
    free(big);
}

static void test_stages(void **state)
{
    struct fixture *f = *state;
    struct table *t = open_table(f, true);
    struct cache_stage *s, *again;
    uint64_t id, same;
    char buf[8] = "";

    assert_int_equal(cache_stage_new(f->c, &s), 0);
    assert_int_equal(pwrite(cache_stage_fd(s), "bytes", 5, 0), 5);
    assert_int_equal(table_stage_keep(t, s, &id), 0);
    assert_int_equal(table_stage_keep(t, s, &same), 0);
    assert_int_equal(id, same);
    cache_stage_free(s);
    table_close(t);
    t = open_table(f, false);
    assert_int_equal(table_stage_get(t, id, &again), 0);
    assert_int_equal(pread(cache_stage_fd(again), buf, sizeof(buf), 0), 5);
    assert_string_equal(buf, "bytes");
    cache_stage_free(again);
    assert_int_equal(cache_stage_new(f->c, &s), 0);
    assert_int_equal(table_stage_keep(t, s, &same), 0);
    assert_int_not_equal(id, same);
    cache_stage_free(s);
    table_stage_drop(t, id);
    assert_int_equal(table_stage_get(t, id, &again), -ENOENT);
    table_close(t);
    t = open_table(f, true);
    assert_int_equal(table_stage_get(t, same, &again), -ENOENT);
    table_close(t);
}

/* TABLE-2 */
static void test_given_up(void **state)
{
    struct fixture *f = *state;
    struct table *t = open_table(f, true);
    const struct table_item bad = {.kind = 'n', .id = 2, .data = "x", .len = SIZE_MAX};
    void *data;
    size_t len;

    put(t, 'n', 1, "one");
    assert_true(table_write(t, &bad, 1) < 0);
    assert_true(table_get(t, 'n', 1, &data, &len) < 0);
    table_close(t);
    t = open_table(f, false);
    assert_record(t, 'n', 1, NULL);
    table_close(t);
}

static void note_lost(void *arg)
{
    ++*(unsigned *)arg;
}

/* What nobody will ever take over takes no room on the disk. */
static void test_given_up_keeps_no_bytes(void **state)
{
    struct fixture *f = *state;
    struct table *t = open_table(f, true);
    struct cache_stage *s, *later, *again;
    unsigned lost = 0;
    uint64_t id, none;

    table_on_lost(t, note_lost, &lost);
    assert_int_equal(cache_stage_new(f->c, &s), 0);
    assert_int_equal(table_stage_keep(t, s, &id), 0);
    assert_false(table_is_lost(t));
    table_give_up(t, -ENOSPC);
    table_give_up(t, -ENOSPC);
    assert_true(table_is_lost(t));
    assert_int_equal(lost, 1);
    assert_int_equal(table_stage_get(t, id, &again), -ENOENT);
    assert_int_equal(cache_stage_new(f->c, &later), 0);
    assert_int_equal(table_stage_keep(t, later, &none), -EIO);
    assert_int_equal(table_stage_get(t, id + 1, &again), -ENOENT);
    table_on_lost(t, note_lost, &lost);
    assert_int_equal(lost, 2);
    cache_stage_free(s);
    cache_stage_free(later);
    table_close(t);
}

static void index_of(const struct fixture *f, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%.*s/takeover/index", PATH_MAX - 20, f->dir);
}

static void test_removed(void **state)
{
    struct fixture *f = *state;
    struct table *t;
    struct cache_stage *s;
    char path[PATH_MAX];
    uint64_t id;

    snprintf(path, sizeof(path), "%.*s/takeover", PATH_MAX - 20, f->dir);
    table_remove(f->c); /* nothing is there */
    t = open_table(f, true);
    assert_int_equal(cache_stage_new(f->c, &s), 0);
    assert_int_equal(table_stage_keep(t, s, &id), 0);
    put(t, 'n', 1, "one");
    cache_stage_free(s);
    table_close(t);
    assert_int_equal(access(path, F_OK), 0);
    table_remove(f->c);
    assert_int_equal(access(path, F_OK), -1);
}

/* Waiting makes no table of it: who takes over must not try for ever. */
static void test_no_table(void **state)
{
    struct fixture *f = *state;
    struct table *t = open_table(f, true);
    char path[PATH_MAX];
    FILE *file;

    table_close(t);
    index_of(f, path);
    file = fopen(path, "w");
    assert_non_null(file);
    for (unsigned n = 0; n < 16 * KIB; n++)
        fputc('x', file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(table_open(f->c, false, &t), -EBADMSG);
}

#define RECORDS 200u

/* With the index cut to this length, as of a disk that can't read the pages behind it: what a read of its map gets is a
 * SIGBUS. What is told is right, and what can't be is an error. true: the table was given up. */
static bool meets_bad_pages(struct fixture *f, off_t length)
{
    struct table *t = open_table(f, true);
    char path[PATH_MAX], value[400];
    uint64_t sum = 0;
    bool is_lost;

    memset(value, 'v', sizeof(value));
    for (uint64_t id = 1; id <= RECORDS; id++) {
        const struct table_item item = {.kind = 'n', .id = id, .data = value, .len = sizeof(value)};

        assert_int_equal(table_write(t, &item, 1), 0);
    }
    index_of(f, path);
    assert_int_equal(truncate(path, length), 0);
    for (uint64_t id = 1; id <= RECORDS; id++) {
        void *data = NULL;
        size_t len;

        if (table_get(t, 'n', id, &data, &len) == 0)
            assert_true(len == sizeof(value) && memcmp(data, value, len) == 0);
        free(data);
    }
    is_lost = table_is_lost(t);
    if (is_lost)
        assert_true(table_each(t, 'n', add_up, &sum) < 0);
    table_close(t);
    return is_lost;
}

static void test_disk_cannot_read(void **state)
{
    unsigned lost = 0;

    for (off_t length = 0; length < 30 * 4096; length += 4096)
        lost += meets_bad_pages(*state, length);
    assert_true(lost > 10);
}

/* At a takeover: it fails, and the records stay for one that can read them. */
static void test_disk_cannot_read_all(void **state)
{
    struct fixture *f = *state;
    struct table *t = open_table(f, true);
    char path[PATH_MAX];
    uint64_t sum = 0;

    put(t, 'n', 1, "one");
    index_of(f, path);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(table_each(t, 'n', add_up, &sum), -EIO);
    assert_int_equal(sum, 0);
    assert_int_equal(access(path, F_OK), 0);
    table_close(t);
}

/* Two records in one step, again and again, until somebody kills us. */
static void write_pairs(struct fixture *f, int told)
{
    struct table *t = NULL;

    if (table_open(f->c, true, &t) < 0)
        _exit(1);
    for (uint64_t n = 1;; n++) {
        const struct table_item pair[2] = {{.kind = 'a', .id = 1, .data = &n, .len = sizeof(n)},
                                           {.kind = 'z', .id = 1, .data = &n, .len = sizeof(n)}};

        if (table_write(t, pair, 2) < 0 || write(told, &n, sizeof(n)) != sizeof(n))
            _exit(1);
    }
}

/* Somebody writes pairs, and is killed after `until` of them or a few more: the last that was told of. A child of a
 * process with threads may be born with a lock that nobody drops (a sanitizer's, say): then there is another. */
static uint64_t write_and_be_killed(struct fixture *f, uint64_t until)
{
    for (;;) {
        bool is_stuck = false;
        uint64_t n = 0, more;
        int ends[2], status;
        pid_t pid;

        assert_int_equal(pipe(ends), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            write_pairs(f, ends[1]);
        close(ends[1]);
        while (n < until && !is_stuck) {
            struct pollfd p = {.fd = ends[0], .events = POLLIN};

            is_stuck = poll(&p, 1, 20000) == 0;
            if (!is_stuck)
                assert_int_equal(read(ends[0], &n, sizeof(n)), sizeof(n));
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        while (read(ends[0], &more, sizeof(more)) == sizeof(more))
            n = more;
        close(ends[0]);
        if (!is_stuck)
            return n;
    }
}

/* TABLE-1 */
static void test_killed(void **state)
{
    struct fixture *f = *state;

    for (uint64_t round = 1; round <= 5; round++) {
        uint64_t n = write_and_be_killed(f, 50 * round), *a, *z;
        struct table *t;
        size_t len;

        t = open_table(f, false);
        assert_int_equal(table_get(t, 'a', 1, (void **)&a, &len), 0);
        assert_int_equal(table_get(t, 'z', 1, (void **)&z, &len), 0);
        assert_int_equal(*a, *z);
        assert_true(*a >= n);
        free(a);
        free(z);
        table_close(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_records, fixture_up, fixture_down),
        cmocka_unit_test_setup_teardown(test_grows, fixture_up, fixture_down),
        cmocka_unit_test_setup_teardown(test_stages, fixture_up, fixture_down),
        cmocka_unit_test_setup_teardown(test_given_up, fixture_up, fixture_down),
        cmocka_unit_test_setup_teardown(test_given_up_keeps_no_bytes, fixture_up, fixture_down),
        cmocka_unit_test_setup_teardown(test_removed, fixture_up, fixture_down),
        cmocka_unit_test_setup_teardown(test_no_table, fixture_up, fixture_down),
        cmocka_unit_test_setup_teardown(test_disk_cannot_read, fixture_up, fixture_down),
        cmocka_unit_test_setup_teardown(test_disk_cannot_read_all, fixture_up, fixture_down),
        cmocka_unit_test_setup_teardown(test_killed, fixture_up, fixture_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
