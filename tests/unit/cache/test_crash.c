/* SPDX-License-Identifier: Apache-2.0 */
/* Death and damage: what is on the disk after kill -9, after a power loss, or after bits have
 * turned over is either right or not there. */
#include "cachetest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "../../../fs/cache/priv.h"

#define KEYS 40u
#define LIMIT (24u * MIB)

/* Version n of key i; its size tells n again. */
static uint64_t version_of(unsigned i, unsigned round)
{
    return (uint64_t)round * KEYS + i;
}

static uint64_t size_of(uint64_t n)
{
    return 50000 + n % 7 * 70000 + n;
}

static void name_key(char ret[32], unsigned i)
{
    snprintf(ret, 32, "d%u/k%u", i % 3, i);
}

static void list_some(struct cache *c, unsigned dir, unsigned round)
{
    struct store_entry e[KEYS] = {{0}};
    struct store_list l = {.v = e};
    char prefix[16];

    for (unsigned i = dir; i < KEYS; i += 3) {
        char key[32];

        name_key(key, i);
        e[l.n].key = strdup(key);
        e[l.n].etag = etag_of(version_of(i, round));
        e[l.n].size = size_of(version_of(i, round));
        e[l.n++].mtime_ns = 5;
    }
    snprintf(prefix, sizeof(prefix), "d%u/", dir);
    put_store_list(c, prefix, &l, 0, 1);
    for (size_t i = 0; i < l.n; i++)
        free(e[i].key);
}

/* One round of everything that writes; tells the parent after each key. */
static void write_round(struct cache *c, unsigned round, int fd)
{
    for (unsigned i = 0; i < KEYS; i++) {
        uint64_t n = version_of(i, round), size = size_of(n);
        struct store_etag etag = etag_of(n);
        char key[32];

        name_key(key, i);
        put_obj(c, key, n, size, 5, 1);
        if (i % 4 == 0) {
            struct cache_id id = {.key = key, .etag = &etag, .size = size};
            uint8_t *buf = malloc(size);
            struct cache_stage *s;

            pattern_fill(n, 0, buf, size);
            if (cache_stage_new(c, &s) == 0 && cache_stage_reserve(s, size) == 0 &&
                pwrite(cache_stage_fd(s), buf, size, 0) == (ssize_t)size)
                cache_stage_adopt(s, &id);
            free(buf);
        } else {
            write_whole(c, key, n, size);
        }
        if (i % 10 == 0) {
            cache_obj_drop(c, key);
            list_some(c, i % 3, round);
        }
        if (write(fd, "x", 1) != 1)
            _exit(3);
    }
}

static _Noreturn void write_for_ever(const char *dir, int fd)
{
    struct cache *c = cache_open_at(dir, LIMIT);

    for (unsigned round = 0;; round++)
        write_round(c, round % 50, fd);
}

/* Everything that is there is right. Returns how many bytes and records were there. */
static uint64_t check_all(struct cache *c)
{
    uint64_t found = 0;

    for (unsigned i = 0; i < KEYS; i++) {
        struct cache_obj o;
        char key[32];

        name_key(key, i);
        if (cache_obj_get(c, key, &o) == 0) {
            uint64_t n = strtoull(o.obj.etag.s + 5, NULL, 10);

            assert_string_equal(o.obj.etag.s, etag_of(n).s);
            assert_int_equal(n % KEYS, i);
            assert_int_equal(o.obj.size, size_of(n));
            cache_obj_done(&o);
            found++;
        }
        for (unsigned round = 0; round < 50; round++)
            found += read_good(c, key, version_of(i, round), size_of(version_of(i, round)));
    }
    for (unsigned d = 0; d < 3; d++) {
        struct cache_listing l;
        char dir[16];

        snprintf(dir, sizeof(dir), "d%u/", d);
        if (cache_list_get(c, dir, &l) != 0)
            continue;
        for (size_t i = 0; i < l.n; i++)
            assert_int_equal(strtoull(l.v[i].name + 1, NULL, 10) % 3, d);
        found += l.n;
        cache_listing_done(&l);
    }
    return found;
}

/* Runs a writer and kills it after about `progress` keys. */
static void run_and_kill(const char *dir, unsigned progress)
{
    int fds[2], status;
    char word;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        write_for_ever(dir, fds[1]);
    }
    close(fds[1]);
    for (unsigned i = 0; i < progress; i++)
        assert_int_equal(read(fds[0], &word, 1), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    close(fds[0]);
}

static void test_kill(void **state)
{
    char dir[PATH_MAX];

    (void)state;
    scratch_make(dir);
    for (unsigned i = 0; i < 6; i++) {
        struct cache *c;
        struct cache_stats st;

        run_and_kill(dir, 30 + 37 * i);
        c = cache_open_at(dir, LIMIT);
        assert_true(check_all(c) > 0); /* a kill in the same boot loses nothing that was recorded */
        cache_stats_get(c, &st);
        assert_int_equal(st.corrupt, 0);
        assert_int_equal(st.staged_bytes, 0);
        assert_true(st.bytes <= LIMIT);
        cache_close(c);
    }
    scratch_remove(dir);
}

static void fill(const char *dir)
{
    struct cache *c = cache_open_at(dir, 0);
    int null = open("/dev/null", O_WRONLY);

    assert_true(null >= 0);
    write_round(c, 0, null);
    close(null);
    assert_true(check_all(c) > 0);
    cache_close(c);
}

static uint64_t file_size(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

static void flip(const char *path, uint64_t at, uint8_t with)
{
    int fd = open(path, O_RDWR);
    uint8_t byte;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte = (uint8_t)(byte ^ with);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

static bool has(const char *dir, const char *name)
{
    char path[PATH_MAX + 32];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

/* The index of a clean stop with one bit turned over is seen, moved aside and begun anew. */
static void test_sealed_flips(void **state)
{
    char dir[PATH_MAX], path[PATH_MAX + 32];
    uint64_t seed = 1;

    (void)state;
    scratch_make(dir);
    snprintf(path, sizeof(path), "%s/meta/data.mdb", dir);
    for (unsigned i = 0; i < 6; i++) {
        struct cache *c;

        fill(dir);
        flip(path, next_random(&seed) % file_size(path), (uint8_t)(1u << (i % 8)));
        c = cache_open_at(dir, 0);
        assert_int_equal(check_all(c), 0);
        assert_true(has(dir, "meta.bad/data.mdb"));
        cache_close(c);
    }
    assert_int_equal(truncate(path, (off_t)(file_size(path) / 2)), 0);
    fill(dir);
    scratch_remove(dir);
}

/* The same after a kill, where no CRC of the whole is there to tell: never a crash, never a wrong
 * byte, and the cache goes on working. */
static void test_unsealed_flips(void **state)
{
    char dir[PATH_MAX], path[PATH_MAX + 32];
    uint64_t seed = 7;

    (void)state;
    scratch_make(dir);
    snprintf(path, sizeof(path), "%s/meta/data.mdb", dir);
    for (unsigned i = 0; i < 16; i++) {
        unsigned flips = 1 + i % 5 * 20;
        struct cache *c;

        run_and_kill(dir, 60);
        for (unsigned k = 0; k < flips; k++)
            flip(path, next_random(&seed) % file_size(path),
                 (uint8_t)(1u << next_random(&seed) % 8));
        if (i % 7 == 6)
            assert_int_equal(truncate(path, (off_t)(file_size(path) / 2)), 0);
        c = cache_open_at(dir, LIMIT);
        check_all(c);
        cache_close(c);
        fill(dir);
    }
    scratch_remove(dir);
}

static void write_state(const char *dir, const char *text)
{
    char path[PATH_MAX + 32];
    FILE *f;

    snprintf(path, sizeof(path), "%s/state", dir);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* The state says that another boot left the index open: whatever is in it is not believed. */
static void test_power_loss(void **state)
{
    static const char *const states[] = {
        "s3efs-index 1 11111111-2222-3333-4444-555555555555 open\n", "", "s3efs-index 2 whatever\n",
        "s3efs-index 1 x sealed zz\n"};
    char dir[PATH_MAX];

    (void)state;
    scratch_make(dir);
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        struct cache *c;
        struct cache_stats st;

        fill(dir);
        write_state(dir, states[i]);
        c = cache_open_at(dir, 0);
        assert_int_equal(check_all(c), 0);
        cache_stats_get(c, &st);
        assert_int_equal(st.bytes, 0);
        cache_close(c);
    }
    scratch_remove(dir);
}

/* A clean stop, then a reboot: all is known, nothing was checked in this boot. */
static void test_reboot(void **state)
{
    char dir[PATH_MAX];
    struct store_list none = {0};
    struct cache_listing l;
    struct cache_obj o;
    struct cache *c;

    (void)state;
    scratch_make(dir);
    c = cache_open_at(dir, 0);
    c->boot ^= 1; /* what is written now is of another boot */
    strcpy(c->boot_id, "another-boot");
    put_obj(c, "k", 1, 10, 5, 12345);
    write_whole(c, "k", 1, 10);
    put_store_list(c, "e/", &none, 777, 1);
    cache_close(c);
    c = cache_open_at(dir, 0);
    assert_int_equal(cache_obj_get(c, "k", &o), 0);
    assert_string_equal(o.obj.etag.s, etag_of(1).s);
    assert_int_equal(o.checked_ns, 0);
    cache_obj_done(&o);
    assert_int_equal(read_good(c, "k", 1, 10), 10);
    assert_int_equal(cache_list_get(c, "e/", &l), 0);
    assert_int_equal(l.listed_ns, 0);
    cache_listing_done(&l);
    /* And what an earlier boot listed late is not newer than what this one lists early. */
    put_store_list(c, "e/", &none, 5, 1);
    assert_int_equal(cache_list_get(c, "e/", &l), 0);
    assert_int_equal(l.listed_ns, 5);
    cache_listing_done(&l);
    cache_close(c);
    scratch_remove(dir);
}

/* Block files that no record knows are removed by and by. */
static void test_orphans(void **state)
{
    char dir[PATH_MAX], file[PATH_MAX + 128], other[PATH_MAX + 32];
    struct cache *c;
    FILE *f;

    (void)state;
    scratch_make(dir);
    c = cache_open_at(dir, 0);
    write_whole(c, "k", 1, 100000);
    cache_close(c);
    snprintf(file, sizeof(file), "%s/blocks/ab", dir);
    assert_true(mkdir(file, 0700) == 0 || errno == EEXIST);
    snprintf(file, sizeof(file), "%s/blocks/ab/ab%046d", dir, 0);
    f = fopen(file, "w");
    assert_non_null(f);
    fclose(f);
    snprintf(other, sizeof(other), "%s/blocks/ab/what is this", dir);
    f = fopen(other, "w");
    assert_non_null(f);
    fclose(f);
    c = cache_open_at(dir, 0);
    while (access(file, F_OK) == 0 || access(other, F_OK) == 0)
        usleep(1000);
    assert_int_equal(read_good(c, "k", 1, 100000), 100000);
    cache_close(c);
    scratch_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill),           cmocka_unit_test(test_sealed_flips),
        cmocka_unit_test(test_unsealed_flips), cmocka_unit_test(test_power_loss),
        cmocka_unit_test(test_reboot),         cmocka_unit_test(test_orphans),
    };

    return cmocka_run_group_tests_name("cache/crash", tests, NULL, NULL);
}
