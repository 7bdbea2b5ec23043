/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions hold between processes as between threads: two processes of four threads each on one
 * directory. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include "dirtest.h"

#define PROCESSES 2
#define THREADS 4
#define KEYS 40
#define EACH 15

struct racer {
    struct store *s;
    const char *dir;
    pthread_t thread;
    unsigned id;
    int error;
    unsigned char won[KEYS]; /* keys that this thread made */
};

/* All create the same keys. Between them each puts and deletes one of its own: in a directory that
 * others' deletes keep removing under its hands. */
static void *create_all(void *arg)
{
    struct racer *t = arg;
    struct store_cond absent = {.kind = STORE_IF_ABSENT};
    for (unsigned k = 0; k < KEYS && t->error == 0; k++) {
        char key[32], text[32], other[32], path[300];
        snprintf(key, sizeof(key), k % 2 == 0 ? "flat%u" : "deep/er/key%u", k);
        snprintf(text, sizeof(text), "racer %u", t->id);
        snprintf(other, sizeof(other), k % 4 == 0 ? "deep/er/own%u" : "gone/in/own%u", t->id);
        int r = dirtest_put(t->s, key, text, strlen(text), absent, NULL);
        t->won[k] = r == 0 ? 1 : 0;
        t->error = r == 0 || r == STORE_PRECONDITION ? 0 : r;
        if (t->error == 0)
            t->error = dirtest_puts(t->s, other, "x");
        /* Under its own name, not among the odd keys: that the directory went is no reason. */
        snprintf(path, sizeof(path), "%s/%s", t->dir, other);
        if (t->error == 0 && access(path, F_OK) < 0)
            t->error = -ENOENT;
        if (t->error == 0)
            t->error = dirtest_delete(t->s, other);
    }
    return NULL;
}

static int increment(struct store *s, unsigned id, unsigned i)
{
    char *data = NULL, text[64];
    struct store_obj o = {0};
    int r = dirtest_get(s, "counter", 64, &data, NULL, &o);
    if (r != 0)
        return r;
    snprintf(text, sizeof(text), "%ld by %u.%u", strtol(data, NULL, 10) + 1, id, i);
    struct store_cond match = {.kind = STORE_IF_MATCH, .etag = o.etag};
    r = dirtest_put(s, "counter", text, strlen(text), match, NULL);
    free(data);
    store_obj_done(&o);
    return r;
}

static void *increments(void *arg)
{
    struct racer *t = arg;
    for (unsigned i = 0; i < EACH && t->error == 0;) {
        int r = increment(t->s, t->id, i);
        i += r == 0 ? 1 : 0;
        t->error = r == 0 || r == STORE_PRECONDITION ? 0 : r;
    }
    return NULL;
}

/* In a child: runs the threads, tells through the pipe which keys they made. */
static void child(const char *dir, int fd, unsigned process, void *(*fn)(void *))
{
    struct racer v[THREADS];
    struct store *s = NULL;
    if (store_dir_new(dir, false, NULL, &s) < 0)
        _exit(2);
    for (unsigned i = 0; i < THREADS; i++) {
        v[i] = (struct racer){.s = s, .dir = dir, .id = process * THREADS + i};
        if (pthread_create(&v[i].thread, NULL, fn, &v[i]) != 0)
            _exit(3);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(v[i].thread, NULL);
        if (v[i].error != 0)
            _exit(4);
        if (write(fd, v[i].won, sizeof(v[i].won)) != (ssize_t)sizeof(v[i].won))
            _exit(5);
    }
    store_stop(s);
    store_free(s);
    _exit(0);
}

/* won[k]: how many threads made key k. */
static void race(const char *dir, void *(*fn)(void *), unsigned won[KEYS])
{
    int ends[2];
    pid_t pids[PROCESSES];
    unsigned char one[KEYS];
    assert_int_equal(pipe(ends), 0);
    for (unsigned p = 0; p < PROCESSES; p++) {
        pids[p] = fork();
        assert_true(pids[p] >= 0);
        if (pids[p] == 0)
            child(dir, ends[1], p, fn);
    }
    close(ends[1]);
    memset(won, 0, KEYS * sizeof(*won));
    while (read(ends[0], one, sizeof(one)) == (ssize_t)sizeof(one)) {
        for (unsigned k = 0; k < KEYS; k++)
            won[k] += one[k];
    }
    close(ends[0]);
    for (unsigned p = 0; p < PROCESSES; p++) {
        int status = 0;
        assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static void test_if_absent_has_one_winner(void **state)
{
    (void)state;
    char dir[256];
    unsigned won[KEYS];
    dirtest_make(dir);
    race(dir, create_all, won);
    for (unsigned k = 0; k < KEYS; k++)
        assert_int_equal(won[k], 1);
    dirtest_remove(dir);
}

static void test_compare_and_swap_is_exact(void **state)
{
    (void)state;
    char dir[256], *data = NULL;
    unsigned won[KEYS];
    struct store *s = NULL;
    dirtest_make(dir);
    assert_int_equal(store_dir_new(dir, false, NULL, &s), 0);
    assert_int_equal(dirtest_puts(s, "counter", "0"), 0);
    race(dir, increments, won);
    assert_int_equal(dirtest_get(s, "counter", 64, &data, NULL, NULL), 0);
    assert_int_equal(strtol(data, NULL, 10), PROCESSES * THREADS * EACH);
    free(data);
    store_stop(s);
    store_free(s);
    dirtest_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_if_absent_has_one_winner),
        cmocka_unit_test(test_compare_and_swap_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
