/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for secrets: in no core dump of a program, not in its children, wiped when freed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/secret.h"
#include "base/sys.h"

enum { LEN = 32, MASK = 0x5a };

/* The secret itself stands nowhere but where a test puts it: what is compared is turned by MASK. */
static unsigned char masked[LEN];

static void make(unsigned char *at)
{
    for (size_t i = 0; i < LEN; i++)
        at[i] = masked[i] ^ MASK;
}

static bool is_it(const unsigned char *p)
{
    for (size_t i = 0; i < LEN; i++)
        if ((p[i] ^ MASK) != masked[i])
            return false;
    return true;
}

static bool has_it(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i + LEN <= n; i++)
        if (is_it(p + i))
            return true;
    return false;
}

static int set_up(void **state)
{
    (void)state;
    return getrandom(masked, LEN, 0) == LEN ? 0 : -1;
}

/* Reads one mapping of this process as a debugger does, since some can't be touched. */
static bool mapping_has_it(int mem, uintptr_t start, uintptr_t end)
{
    static unsigned char piece[1 << 16];
    bool found = false;

    for (uintptr_t at = start; at < end && !found; at += sizeof(piece) - LEN) {
        size_t want = end - at < sizeof(piece) ? end - at : sizeof(piece);
        ssize_t n = pread(mem, piece, want, (off_t)at);

        if (n <= 0)
            break;
        found = has_it(piece, (size_t)n);
        explicit_bzero(piece, sizeof(piece)); /* or the search finds its own copy */
    }
    return found;
}

/* Would a core dump of this process have it? As the kernel decides: by VmFlags. */
static bool core_has_it(void)
{
    FILE *maps = fopen("/proc/self/smaps", "re");
    int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    uintptr_t start = 0, end = 0;
    char line[512], perms[8] = "";
    bool found = false;

    assert_non_null(maps);
    assert_true(mem >= 0);
    while (!found && fgets(line, sizeof(line), maps) != NULL) {
        if (strncmp(line, "VmFlags:", 8) != 0) {
            uintptr_t a, b;

            if (sscanf(line, "%lx-%lx %7s", &a, &b, perms) == 3)
                start = a, end = b;
        } else if (perms[1] == 'w' && strstr(line, " dd") == NULL) {
            found = mapping_has_it(mem, start, end);
        }
    }
    fclose(maps);
    close(mem);
    return found;
}

static void test_no_core_has_it(void **state)
{
    unsigned char *plain = malloc(LEN), *secret = secret_alloc(LEN), *large = secret_alloc(100000);

    (void)state;
    assert_non_null(plain);
    assert_non_null(secret);
    assert_non_null(large);
    make(secret);
    make(large + 90000);
    assert_false(core_has_it());
    make(plain); /* and the search finds one that is there */
    assert_true(core_has_it());
    explicit_bzero(plain, LEN);
    free(plain);
    secret_free(secret);
    secret_free(large);
}

/* The kernel's own core of a program that dies, where it writes one into the working directory. */
static void test_a_real_core(void **state)
{
    char dir[] = "/tmp/s3efs-test-XXXXXX", pattern[128] = "", path[512];
    int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC), status;
    ssize_t got = fd >= 0 ? read(fd, pattern, sizeof(pattern) - 1) : 0;
    bool is_here = got > 0 && strncmp(pattern, "core\n", 5) == 0;
    pid_t pid;

    (void)state;
    if (fd >= 0)
        close(fd);
    assert_non_null(mkdtemp(dir));
    pid = fork();
    if (pid == 0) {
        struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
        unsigned char *secret = secret_alloc(LEN);

        if (secret == NULL || chdir(dir) < 0)
            _exit(1);
        getrlimit(RLIMIT_CORE, &most);
        most.rlim_cur = most.rlim_max;
        setrlimit(RLIMIT_CORE, &most);
        make(secret);
        signal(SIGABRT, SIG_DFL);
        abort();
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    for (int i = 0; i < 2 && is_here && WCOREDUMP(status); i++) {
        char *core = NULL;
        size_t len = 0;

        snprintf(path, sizeof(path), i == 0 ? "%s/core" : "%s/core.%d", dir, (int)pid);
        if (access(path, F_OK) < 0)
            continue;
        if (sys_read_file(path, (size_t)256 << 20, &core, &len) == 0) /* a sanitizer's is larger */
            assert_false(has_it((const unsigned char *)core, len));
        free(core);
        print_message("a core of %zu bytes was searched\n", len);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(dir), 0);
}

static void test_children_find_zeros(void **state)
{
    unsigned char *secret = secret_alloc(LEN);
    int status;
    pid_t pid;

    (void)state;
    assert_non_null(secret);
    make(secret);
    pid = fork();
    if (pid == 0) {
        bool is_empty = true;

        for (size_t i = 0; i < LEN; i++)
            is_empty = is_empty && secret[i] == 0;
        secret_free(secret); /* what it knows of its regions is whole */
        _exit(is_empty && secret_alloc(LEN) != NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(is_it(secret));
    secret_free(secret);
}

static void test_freed_is_wiped(void **state)
{
    unsigned char *p = secret_alloc(LEN);

    (void)state;
    assert_non_null(p);
    make(p);
    secret_free(p);
    assert_false(is_it(p)); /* its region stays */
    secret_free(NULL);
}

/* More than a region of each size, given back in another order; each slot is its owner's alone. */
static void test_slots(void **state)
{
    static const size_t sizes[] = {0, 1, 64, 65, 1024, 1025, 16384, 16385, 70000};
    enum { N = 300 };
    static unsigned char *at[N];
    size_t before = secret_used();

    (void)state;
    for (size_t i = 0; i < N; i++) {
        size_t size = sizes[i % ARRAY_LEN(sizes)];

        at[i] = secret_alloc(size);
        assert_non_null(at[i]);
        for (size_t k = 0; k < size; k++)
            assert_int_equal(at[i][k], 0);
        memset(at[i], (int)i, size);
    }
    assert_int_equal(secret_used(), before + N);
    for (size_t k = 0; k < N; k++) {
        size_t i = (k * 7) % N, size = sizes[i % ARRAY_LEN(sizes)];

        for (size_t n = 0; n < size; n++)
            assert_int_equal(at[i][n], i & 0xff);
        secret_free(at[i]);
    }
    assert_int_equal(secret_used(), before);
    assert_null(secret_alloc(SIZE_MAX));
    assert_null(secret_alloc(SIZE_MAX / 2));
}

static void *hammer(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20000; i++) {
        char *a = secret_dup("abcdefgh", 8), *b = secret_alloc(600);

        if (a == NULL || b == NULL || strcmp(a, "abcdefgh") != 0 || b[0] != 0 || b[599] != 0)
            return (void *)1;
        b[0] = b[599] = 'x';
        secret_free(a);
        secret_free(b);
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *failed;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

/* A buffer of secrets leaves nothing behind as it grows. */
static void test_buffers(void **state)
{
    _cleanup_buf_ struct buf b = BUF_INIT_SECRET(100000);
    char *taken;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        unsigned char *one = secret_alloc(LEN);

        assert_non_null(one);
        make(one);
        assert_int_equal(buf_add(&b, one, LEN), 0);
        secret_free(one);
    }
    assert_true(has_it((const unsigned char *)b.data, b.len));
    assert_false(core_has_it());
    taken = buf_take(&b);
    assert_non_null(taken);
    secret_free(taken);
    taken = buf_take(&b);
    assert_string_equal(taken, "");
    secret_free(taken);
    assert_int_equal(buf_add(&b, taken, 100001), -E2BIG);
}

static void test_environment(void **state)
{
    char *before;

    (void)state;
    setenv("AWS_SECRET_ACCESS_KEY", "the-secret", 1);
    setenv("AWS_SESSION_TOKEN", "", 1);
    setenv("AWS_REGION", "eu-central-1", 1);
    before = getenv("AWS_SECRET_ACCESS_KEY");
    assert_string_equal(secret_env("AWS_SECRET_ACCESS_KEY"), "the-secret");
    assert_int_equal(secret_env_take(), 0);
    assert_int_equal(secret_env_take(), 0);
    assert_string_equal(secret_env("AWS_SECRET_ACCESS_KEY"), "the-secret");
    assert_string_equal(getenv("AWS_SECRET_ACCESS_KEY"), "");
    assert_memory_equal(before, "\0\0\0\0\0\0\0\0\0\0", 10);
    assert_string_equal(secret_env("AWS_REGION"), "eu-central-1");
    assert_null(secret_env("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_core_has_it),
        cmocka_unit_test(test_a_real_core),
        cmocka_unit_test(test_children_find_zeros),
        cmocka_unit_test(test_freed_is_wiped),
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_environment),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
