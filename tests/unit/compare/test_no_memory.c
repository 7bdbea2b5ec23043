/* SPDX-License-Identifier: Apache-2.0 */
/* A whole run, of which one allocation (or the start of a thread) fails, each in its turn: it ends,
 * says so by its exit code, leaks nothing, and nothing stays behind. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/macros.h"
#include "compare/compare.h"
#include "tests/lib/badalloc.h"

/* The sanitizers' builds try a part of them: they are slow, and look for something else. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRIDE 7
#else
#define STRIDE 1
#endif

static char top[64], nfs[96], plain[96], counters[96];

static int begin(void **state)
{
    static const char text[] =
        "device x:/ mounted on %s with fstype nfs4 statvers=1.1\n\tbytes:\t0 0 0 0 1 2 0 0\n"
        "\tper-op statistics\n\tREAD: 1 1 0 1 1 1 1 1\n";
    FILE *f;

    (void)state;
    snprintf(top, sizeof(top), "/tmp/compare-test-XXXXXX");
    if (mkdtemp(top) == NULL)
        return -1;
    snprintf(nfs, sizeof(nfs), "%s/nfs", top);
    snprintf(plain, sizeof(plain), "%s/plain", top);
    snprintf(counters, sizeof(counters), "%s/mountstats", top);
    f = fopen(counters, "we");
    if (f == NULL || mkdir(nfs, 0755) != 0 || mkdir(plain, 0755) != 0)
        return -1;
    fprintf(f, text, nfs);
    return fclose(f);
}

static int end(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_DFL);
    return unlink(counters) == 0 && rmdir(nfs) == 0 && rmdir(plain) == 0 && rmdir(top) == 0 ? 0
                                                                                            : -1;
}

static int ask(void *arg, const char *mountpoint, const char *line, char **ret_text)
{
    (void)arg;
    (void)mountpoint;
    (void)line;
    (void)ret_text;
    fail_msg("there is no s3efs to ask");
    return -1;
}

static bool is_empty(const char *dir)
{
    DIR *d = opendir(dir);
    size_t n = 0;

    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n == 2;
}

/* What it prints is not for the test's output. */
static int compare(const char *how)
{
    char *argv[] = {(char[]){"compare"},
                    nfs,
                    plain,
                    (char[]){"--mountstats"},
                    counters,
                    (char[]){"--files"},
                    (char[]){"3"},
                    (char[]){"--size"},
                    (char[]){"100"},
                    (char[]){"--concurrency"},
                    (char[]){"2"},
                    (char[]){"--work"},
                    (char[]){"mix,tree"},
                    (char[]){"--html"},
                    (char[]){"/dev/null"},
                    (char[32]){0},
                    NULL};
    static const struct compare_env env = {.ask = ask};
    int out, err, null, code, argc = 15;

    if (*how != '\0')
        snprintf(argv[argc++], 32, "%s", how);
    argv[argc] = NULL;
    fflush(stdout);
    out = dup(STDOUT_FILENO);
    err = dup(STDERR_FILENO);
    null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    code = compare_main(argc, argv, &env);
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close(out);
    close(err);
    close(null);
    return code;
}

static void each_of(const char *how)
{
    uint64_t calls = badalloc_calls();
    int64_t live;

    assert_int_equal(compare(how), 0);
    calls = badalloc_calls() - calls;
    assert_true(calls > 50);
    live = badalloc_live();
    for (uint64_t n = 1; n <= calls; n += STRIDE) {
        int code;

        badalloc_fail(n, false);
        code = compare(how);
        badalloc_fail(0, false);
        if (code != COMPARE_OK && code != COMPARE_USAGE && code != COMPARE_FAILED)
            fail_msg("call %d: exit code %d", (int)n, code);
        if (!is_empty(nfs) || !is_empty(plain))
            fail_msg("call %d: something is left behind", (int)n);
        if (badalloc_live() != live)
            fail_msg("call %d: %d blocks are lost", (int)n, (int)(badalloc_live() - live));
    }
}

static void test_table_and_page(void **state)
{
    (void)state;
    each_of("");
}

static void test_json(void **state)
{
    (void)state;
    each_of("--json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_table_and_page, begin, end),
        cmocka_unit_test_setup_teardown(test_json, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
