/* SPDX-License-Identifier: Apache-2.0 */
/* kill -9 at any instant leaves each object whole, and old or new. A child puts objects and
 * completes multipart uploads, and says through a pipe what it begins and what it was told is done;
 * it is killed at random instants. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include "base/str.h"
#include "base/sys.h"
#include "dirtest.h"

#define KILLS 50
#define KEYS 6

static const char *const keys[KEYS] = {"plain.jpg", "d/e/f", "d", "odd//key", "multi", "d/big"};

struct note {
    uint32_t key, gen, is_done;
};

/* The body of a generation: it names itself, so that a mixture shows. */
static char *body_of(unsigned key, unsigned gen, size_t *ret_size)
{
    size_t size = key == 5 ? ((size_t)5 << 20) + 1000 : 20000 + 997 * (gen % 50);
    char *b = malloc(size + 1);
    if (b == NULL)
        abort();
    uint64_t x = key * UINT64_C(1000003) + gen + 1;
    for (size_t i = 0; i < size; i++) {
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        b[i] = (char)(x >> 56);
    }
    int n = snprintf(b, 32, "%u %u\n", key, gen);
    b[n] = ' ';
    *ret_size = size;
    return b;
}

static void child_multi(struct store *s, const char *key, char *data, size_t size)
{
    struct store_part parts[2];
    struct store_req create = {.op = STORE_MPU_CREATE, .key = key};
    struct store_rsp made = {0};
    if (store_call(s, &create, &made) != 0)
        _exit(3);
    size_t first = size > ((size_t)5 << 20) ? (size_t)5 << 20 : size, n = 0;
    for (size_t off = 0; off < size; n++) {
        struct store_mem m = {.data = data + off, .size = n == 0 ? first : size - off};
        struct store_src src = store_src_mem(&m);
        struct store_req part = {.op = STORE_MPU_PART,
                                 .key = key,
                                 .upload_id = made.upload_id,
                                 .part_number = (uint32_t)n + 1,
                                 .src = &src};
        struct store_rsp rsp = {0};
        if (store_call(s, &part, &rsp) != 0)
            _exit(4);
        parts[n] = rsp.part;
        off += m.size;
    }
    struct store_req complete = {.op = STORE_MPU_COMPLETE,
                                 .key = key,
                                 .upload_id = made.upload_id,
                                 .parts = parts,
                                 .n_parts = n};
    struct store_rsp rsp = {0};
    if (store_call(s, &complete, &rsp) != 0)
        _exit(5);
    store_rsp_done(&made);
}

static void child(const char *dir, int pipe_fd, unsigned gen, unsigned start)
{
    struct store *s = NULL;
    if (store_dir_new(dir, false, NULL, &s) < 0)
        _exit(2);
    for (unsigned i = start;; i++) {
        unsigned key = i % 11 == 0 ? 5 : i % 5;
        struct note note = {.key = key, .gen = ++gen};
        size_t size = 0;
        char *data = body_of(key, gen, &size);
        if (sys_write_all(pipe_fd, &note, sizeof(note)) < 0)
            _exit(6);
        if (key >= 4)
            child_multi(s, keys[key], data, size);
        else if (i % 7 == 3 && dirtest_delete(s, keys[key]) != 0)
            _exit(7);
        else if (dirtest_put(s, keys[key], data, size, (struct store_cond){0}, NULL) != 0)
            _exit(8);
        note.is_done = 1;
        if (sys_write_all(pipe_fd, &note, sizeof(note)) < 0)
            _exit(6);
        free(data);
    }
}

struct known {
    unsigned done, begun; /* 0: never */
};

static void read_notes(int fd, struct known known[KEYS], unsigned *gen)
{
    struct note note;
    while (read(fd, &note, sizeof(note)) == (ssize_t)sizeof(note)) {
        assert_true(note.key < KEYS);
        known[note.key].begun = note.gen;
        if (note.is_done)
            known[note.key].done = note.gen;
        *gen = note.gen > *gen ? note.gen : *gen;
    }
}

static void check_key(struct store *s, unsigned key, struct known *known)
{
    char *data = NULL, *want = NULL;
    size_t size = 0, want_size = 0;
    struct store_obj o = {0};
    unsigned said_key = 0, gen = 0;
    int r = dirtest_get(s, keys[key], (size_t)6 << 20, &data, &size, &o);
    if (r == STORE_NOT_FOUND) {
        /* A delete, cut off before the PUT that follows it, is the one other state that a child
         * makes. */
        assert_true(known->done == 0 || (known->begun > known->done && key < 4));
        known->done = 0;
        return;
    }
    assert_int_equal(r, 0); /* the store checks the MD5 of what it sends */
    assert_int_equal(sscanf(data, "%u %u", &said_key, &gen), 2);
    assert_int_equal(said_key, key);
    assert_true(gen == known->done || gen == known->begun);
    want = body_of(key, gen, &want_size);
    assert_int_equal(size, want_size);
    assert_int_equal(o.size, want_size);
    assert_memory_equal(data, want, size);
    if (strchr(o.etag.s, '-') == NULL) {
        unsigned char md5[16];
        char hex[33];
        assert_int_equal(EVP_Digest(data, size, md5, NULL, EVP_md5(), NULL), 1);
        str_hex(md5, sizeof(md5), hex);
        assert_string_equal(hex, o.etag.s);
    }
    known->done = known->begun = gen;
    store_obj_done(&o);
    free(data);
    free(want);
}

static void kill_once(const char *dir, unsigned round, struct known known[KEYS], unsigned *gen)
{
    int ends[2], status = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        child(dir, ends[1], *gen, round * 3);
    close(ends[1]);
    /* Every other one has begun a write, however slow the machine is; where in its loop it is then
     * does not matter. */
    struct pollfd begun = {.fd = ends[0], .events = POLLIN};
    if (round % 2 == 0)
        assert_int_equal(poll(&begun, 1, -1), 1);
    struct timespec pause = {.tv_nsec = 1000000L * (2 + random() % 60)};
    nanosleep(&pause, NULL);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* not one of its own exits */
    read_notes(ends[0], known, gen);
    close(ends[0]);
    struct store *s = NULL;
    assert_int_equal(store_dir_new(dir, false, NULL, &s), 0);
    for (unsigned k = 0; k < KEYS; k++)
        check_key(s, k, &known[k]);
    store_stop(s);
    store_free(s);
}

static void test_kill_leaves_whole_objects(void **state)
{
    (void)state;
    char dir[256], tmp[300];
    struct known known[KEYS] = {{0}};
    unsigned gen = 0;
    unsigned seed = (unsigned)time(NULL);
    printf("seed %u\n", seed);
    srandom(seed);
    dirtest_make(dir);
    for (unsigned i = 0; i < KILLS; i++)
        kill_once(dir, i, known, &gen);
    printf("%u writes begun\n", gen);
    assert_true(gen >= KILLS / 2);
    /* What the dead left was swept by the last opening. */
    snprintf(tmp, sizeof(tmp), "%s/.s3efs-dir/tmp", dir);
    assert_int_equal(rmdir(tmp), 0);
    dirtest_remove(dir);
}

#ifdef S3EFS_CRASH_POINTS
/* Death exactly between the steps: before the rename the old object, after it the new one. */
static void test_crash_points(void **state)
{
    (void)state;
    static const struct {
        const char *point, *want;
    } cases[] = {
        {"dir.temp_written", "old"}, {"dir.before_rename", "old"}, {"dir.after_rename", "new"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char dir[256], *data = NULL;
        struct store *s = NULL;
        int status = 0;
        dirtest_make(dir);
        assert_int_equal(store_dir_new(dir, false, NULL, &s), 0);
        assert_int_equal(dirtest_puts(s, "a/b", "old"), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            setenv("S3EFS_CRASH_AT", cases[i].point, 1);
            _exit(dirtest_puts(s, "a/b", "new"));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(dirtest_get(s, "a/b", 10, &data, NULL, NULL), 0);
        assert_string_equal(data, cases[i].want);
        free(data);
        store_stop(s);
        store_free(s);
        dirtest_remove(dir);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_leaves_whole_objects),
#ifdef S3EFS_CRASH_POINTS
        cmocka_unit_test(test_crash_points),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
