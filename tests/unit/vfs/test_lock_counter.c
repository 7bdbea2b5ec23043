/* SPDX-License-Identifier: Apache-2.0 */
/* Threads on three mounts add to one number under its lock, on the real clock: it adds up, also
 * when replies get lost. Each thread has its own open file and is an owner of its own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/memstore.h"
#include "tests/lib/rig.h"

#define MOUNTS 3
#define THREADS 2 /* on each */
#define TIMES 8

static struct rig rigs[MOUNTS];

struct adder {
    struct vfs_lock_wait w; /* first */
    struct rig *r;
    uint64_t owner;
    enum lock_kind kind;
    bool is_reopening; /* opens and closes the file each time; close unlocks */
    sem_t answered;
    int result;
};

static void answered(struct vfs_lock_wait *w, int r)
{
    struct adder *a = (struct adder *)(void *)w;

    a->result = r;
    sem_post(&a->answered);
}

static int take(struct adder *a, uint64_t node)
{
    const struct vfs_lock l = {a->kind, LOCK_TYPE_WRITE, {0, LOCK_END}, a->owner, 1};
    int r;

    a->w = (struct vfs_lock_wait){.done = answered};
    r = vfs_lock_set(a->r->vfs, node, &l, &a->w);
    if (r != VFS_LOCK_WAITS)
        return r;
    sem_wait(&a->answered);
    return a->result;
}

static int add_one(struct adder *a, uint64_t fh)
{
    char text[16] = "";
    ssize_t n = vfs_read(a->r->vfs, fh, 0, text, sizeof(text) - 1);

    if (n < 0)
        return (int)n;
    snprintf(text, sizeof(text), "%-8d", atoi(text) + 1);
    n = vfs_write(a->r->vfs, &a->r->ctx, fh, 0, text, 8);
    return n == 8 ? 0 : (int)n;
}

/* The kernel looks up again after ESTALE, once; under a race of opens that may not be enough. */
static int open_again(struct adder *a, struct vfs_entry *e, uint64_t *fh)
{
    int r = -ESTALE;

    for (unsigned tries = 0; r == -ESTALE && tries < 20; tries++) {
        bool keep;

        r = rig_walk(a->r, "n", e);
        if (r == 0) {
            r = vfs_open(a->r->vfs, &a->r->ctx, e->node, O_RDWR, fh, &keep);
            if (r < 0)
                vfs_forget(a->r->vfs, e->node, 1);
        }
    }
    return r;
}

static int done_with(struct adder *a, const struct vfs_entry *e, uint64_t fh)
{
    int r = vfs_lock_close(a->r->vfs, e->node, a->kind, a->owner), x = rig_shut(a->r, fh);

    vfs_forget(a->r->vfs, e->node, 1);
    return r < 0 ? r : x;
}

static void *add(void *arg)
{
    struct adder *a = arg;
    const struct vfs_lock none = {a->kind, LOCK_TYPE_NONE, {0, LOCK_END}, a->owner, 1};
    struct vfs_entry e;
    uint64_t fh = 0;
    int r = open_again(a, &e, &fh);

    for (unsigned n = 0; r == 0 && n < TIMES; n++) {
        r = take(a, e.node);
        if (r == 0)
            r = add_one(a, fh);
        if (r == 0 && !a->is_reopening) {
            r = vfs_lock_set(a->r->vfs, e.node, &none, NULL);
        } else if (r == 0) {
            r = done_with(a, &e, fh);
            if (r == 0)
                r = open_again(a, &e, &fh);
        }
    }
    if (r == 0)
        r = done_with(a, &e, fh);
    if (r < 0)
        fprintf(stderr, "owner %d: %s\n", (int)a->owner, strerror(-r));
    a->result = r;
    return NULL;
}

static int start_three(void **state)
{
    int r;

    (void)state;
    rig_set_has_fd(NULL);
    rig_set_real_time(true);
    r = rig_open(&rigs[0], NULL);
    for (unsigned i = 1; r == 0 && i < MOUNTS; i++)
        r = rig_join(&rigs[i], &rigs[0], NULL);
    return r;
}

static int end_three(void **state)
{
    (void)state;
    for (unsigned i = MOUNTS; i > 0; i--)
        rig_close(&rigs[i - 1]);
    return 0;
}

static void add_up(enum lock_kind kind, bool is_reopening, bool loses)
{
    struct adder adders[MOUNTS * THREADS] = {0};
    pthread_t threads[MOUNTS * THREADS];
    char want[16], *got = NULL;

    assert_int_equal(rig_put(&rigs[0], "n", "0", 1), 0);
    for (unsigned i = 0; loses && i < 20; i++)
        memstore_lose(rigs[0].store, STORE_PUT, 5 + 11 * i, 1, STORE_PRECONDITION);
    for (unsigned i = 0; i < MOUNTS * THREADS; i++) {
        adders[i] = (struct adder){
            .r = &rigs[i % MOUNTS], .owner = 1 + i, .kind = kind, .is_reopening = is_reopening};
        sem_init(&adders[i].answered, 0, 0);
        assert_int_equal(pthread_create(&threads[i], NULL, add, &adders[i]), 0);
    }
    for (unsigned i = 0; i < MOUNTS * THREADS; i++) {
        pthread_join(threads[i], NULL);
        sem_destroy(&adders[i].answered);
    }
    for (unsigned i = 0; i < MOUNTS * THREADS; i++)
        assert_int_equal(adders[i].result, 0);
    snprintf(want, sizeof(want), "%-8d", MOUNTS * THREADS * TIMES);
    assert_int_equal(memstore_get(rigs[0].store, "n", NULL, &got), 0);
    assert_string_equal(got, want);
    free(got);
}

static void test_posix(void **state)
{
    (void)state;
    add_up(LOCK_POSIX, false, false);
}

static void test_flock(void **state)
{
    (void)state;
    add_up(LOCK_FLOCK, false, false);
}

static void test_reopening(void **state)
{
    (void)state;
    add_up(LOCK_FLOCK, true, false);
}

static void test_lost_replies(void **state)
{
    (void)state;
    add_up(LOCK_POSIX, false, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_posix, start_three, end_three),
        cmocka_unit_test_setup_teardown(test_flock, start_three, end_three),
        cmocka_unit_test_setup_teardown(test_reopening, start_three, end_three),
        cmocka_unit_test_setup_teardown(test_lost_replies, start_three, end_three),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
