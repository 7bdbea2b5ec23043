/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon that dies at each step of calls that lock, write and unlock (each write of its table, each
 * request to the bucket, whose answer is not heard): the call that was not answered comes again. After
 * each call another mount finds locked what the callers were told, no less and no more; in the end all
 * is free, and the bucket has what was written. Also if the daemon that follows dies. */
#include "takelocks.h"

#include <stdatomic.h>

#include "cache/table.h"

#define SECOND_MAX 8 /* steps of the second daemon at which it dies, in turn */
#define REGION 10
#define REGIONS 6 /* of the file, in each of which all bytes are locked alike */

enum what { LOCK, WRITE, SYNC, CLOSE };
struct step {
    enum what what;
    uint64_t owner;
    enum lock_type type;
    unsigned first, last; /* regions; of a write: the offset */
    const char *text;
};

static struct {
    pthread_mutex_t lock; /* a write of the table is whole when the directory is copied */
    unsigned at, seen;    /* the step to die at, from 1; 0: none */
    unsigned next_at;
    atomic_bool is_dead;
    bool is_again;
    int error;
    uint64_t unique;
    struct open file;
    const struct step *calls;
    size_t n, k;
    enum lock_type held[3][REGIONS]; /* by owner, as it was told */
    bool is_there;                   /* in the bucket: others can look */
} t = {.lock = PTHREAD_MUTEX_INITIALIZER};

int __real_table_write(struct table *table, const struct table_item *items, size_t n);
int __wrap_table_write(struct table *table, const struct table_item *items, size_t n);

static void reach_step(void)
{
    if (t.at == 0 || atomic_load(&t.is_dead) || ++t.seen != t.at)
        return;
    if (rig_snapshot(&a) < 0)
        t.error = -EIO;
    atomic_store(&t.is_dead, true);
    for (int op = 0; op < STORE_OPS; op++)
        memstore_fail(a.store, (enum store_op)op, 1, 100000, -EACCES);
}

int __wrap_table_write(struct table *table, const struct table_item *items, size_t n)
{
    int r;

    pthread_mutex_lock(&t.lock);
    r = __real_table_write(table, items, n);
    reach_step();
    pthread_mutex_unlock(&t.lock);
    return r;
}

static void after_request(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)req;
    (void)result;
    pthread_mutex_lock(&t.lock);
    reach_step();
    pthread_mutex_unlock(&t.lock);
}

static int run_call(const struct step *c)
{
    const struct vfs_lock l = posix(c->owner, c->type, (uint64_t)c->first * REGION, (uint64_t)c->last * REGION + REGION - 1);
    ssize_t n;
    int r;

    switch (c->what) {
    case LOCK:
        return vfs_lock_set(a.vfs, t.file.node, &l, NULL);
    case WRITE:
        n = vfs_write(a.vfs, &a.ctx, t.file.fh, c->first, c->text, strlen(c->text));
        return n < 0 ? (int)n : 0;
    case SYNC:
        return vfs_fsync(a.vfs, t.file.fh);
    case CLOSE:
    default:
        r = vfs_flush(a.vfs, &a.ctx, t.file.fh);
        return r == 0 ? vfs_lock_close(a.vfs, t.file.node, LOCK_POSIX, c->owner) : r;
    }
}

/* The call is answered: this is what its caller has now. */
static void told(const struct step *c)
{
    t.is_there = t.is_there || c->what == SYNC;
    for (unsigned k = 0; k < REGIONS; k++)
        if (c->what == CLOSE)
            t.held[c->owner][k] = LOCK_TYPE_NONE;
        else if (c->what == LOCK && k >= c->first && k <= c->last)
            t.held[c->owner][k] = c->type;
}

/* One daemon's thread: what it knows of its calls dies with it. */
static void *live(void *arg)
{
    (void)arg;
    while (t.k < t.n && t.error == 0 && !atomic_load(&t.is_dead)) {
        const struct step *c = &t.calls[t.k];
        const int32_t ok = 0;
        int r;

        t.unique += t.is_again ? 0 : 2;
        vfs_keep_begin(a.vfs, t.unique);
        r = run_call(c);
        if (!atomic_load(&t.is_dead))
            vfs_keep_reply(a.vfs, t.unique, &ok, sizeof(ok));
        t.is_again = atomic_load(&t.is_dead); /* nobody heard of it */
        if (t.is_again)
            break;
        if (r != 0) {
            t.error = r;
            fprintf(stderr, "call %zu: %d\n", t.k, r);
            break;
        }
        told(c);
        t.k++;
        break; /* what is locked now is looked at */
    }
    return NULL;
}

/* Whatever of a's locks another mount finds is what the callers were told. Of the call that was cut off both are fine. */
static void others_find_it(struct open *ob)
{
    if (!t.is_there)
        return;
    if (ob->r == NULL)
        *ob = open_at(&b, "f", O_RDWR);
    for (unsigned k = 0; k < REGIONS; k++) {
        struct vfs_lock any = posix(9, LOCK_TYPE_WRITE, k * REGION, k * REGION),
                        write = posix(9, LOCK_TYPE_READ, k * REGION, k * REGION);
        enum lock_type most = LOCK_TYPE_NONE, found;

        for (unsigned o = 0; o < 3; o++)
            most = t.held[o][k] > most ? t.held[o][k] : most;
        assert_int_equal(vfs_lock_get(ob->r->vfs, ob->node, &any), 0);
        assert_int_equal(vfs_lock_get(ob->r->vfs, ob->node, &write), 0);
        found = write.type != LOCK_TYPE_NONE ? LOCK_TYPE_WRITE : any.type != LOCK_TYPE_NONE ? LOCK_TYPE_READ : LOCK_TYPE_NONE;
        if (found != most)
            fail_msg("after call %zu: region %u has %d, not %d", t.k, k, found, most);
    }
}

static unsigned count_from(unsigned at)
{
    unsigned was;

    pthread_mutex_lock(&t.lock);
    was = t.at;
    t.at = at;
    pthread_mutex_unlock(&t.lock);
    return was;
}

static void healed(struct rig *r)
{
    memstore_clear_faults(r->store);
    t.seen = 0;
    atomic_store(&t.is_dead, false);
    count_from(t.next_at); /* what the dead one's end does is no step */
}

static void follow(unsigned dies_at)
{
    int r;

    t.next_at = dies_at;
    r = rig_crash_after(&a, healed);
    assert_true(r == 0 || atomic_load(&t.is_dead));
}

static void live_on(struct open *ob)
{
    while (t.k < t.n && t.error == 0 && !atomic_load(&t.is_dead)) {
        pthread_t thread;
        unsigned at;
        bool is_dead;

        assert_int_equal(pthread_create(&thread, NULL, live, NULL), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        at = count_from(0); /* b's requests are no steps; those of the daemon's own threads are, until here */
        is_dead = atomic_load(&t.is_dead);
        if (!is_dead && t.error == 0)
            others_find_it(ob);
        count_from(at);
        if (is_dead)
            break;
    }
}

/* false: there is no such step. */
static bool run_all(const struct step *calls, size_t n, unsigned at, struct open *ob)
{
    t.calls = calls;
    t.n = n;
    t.k = 0;
    t.seen = 0;
    t.error = 0;
    t.is_again = false;
    atomic_store(&t.is_dead, false);
    count_from(at);
    live_on(ob);
    if (!atomic_load(&t.is_dead)) {
        count_from(0);
        assert_int_equal(t.error, 0);
        return false;
    }
    follow(at % 2 == 0 ? 1 + at / 2 % SECOND_MAX : 0);
    if (!atomic_load(&t.is_dead))
        live_on(ob);
    if (atomic_load(&t.is_dead)) {
        follow(0);
        live_on(ob);
    }
    count_from(0);
    if (t.error != 0)
        fail_msg("step %u: call %zu is %d", at, t.k, t.error);
    return true;
}

static void at_each_step(const struct step *calls, size_t n, bool is_new, const char *text)
{
    bool is_there = true;
    unsigned steps = 0;

    for (unsigned at = 1; is_there; at++) {
        void *state = NULL;
        struct open ob = {0};

        memset(t.held, 0, sizeof(t.held));
        t.is_there = !is_new;
        assert_int_equal(keeping_setup(&state), 0);
        memstore_set_hooks(a.store, NULL, after_request, NULL);
        if (!is_new)
            put_text(&a, "f", "0123456789");
        t.file = open_kept("f", is_new ? O_RDWR | O_CREAT : O_RDWR);
        is_there = run_all(calls, n, at, &ob);
        if (ob.r == NULL)
            ob = open_at(&b, "f", O_RDWR);
        assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), 0);
        assert_object("f", text);
        assert_int_equal(shut(&ob), 0);
        keeping_teardown(&state);
        steps += is_there;
    }
    print_message("steps: %u\n", steps);
    assert_true(steps > 2 * n);
}

static void locks_and_unlocks(void **state)
{
    static const struct step calls[] = {
        {LOCK, 1, LOCK_TYPE_WRITE, 0, 5, NULL}, {WRITE, 1, LOCK_TYPE_NONE, 0, 0, "a"}, {LOCK, 1, LOCK_TYPE_NONE, 0, 5, NULL},
        {LOCK, 2, LOCK_TYPE_WRITE, 0, 5, NULL}, {WRITE, 2, LOCK_TYPE_NONE, 1, 0, "b"}, {CLOSE, 2, LOCK_TYPE_NONE, 0, 0, NULL},
    };

    (void)state;
    at_each_step(calls, ARRAY_LEN(calls), false, "ab23456789");
}

/* Weaker, stronger, split, joined, beside another owner's. */
static void ranges_that_change(void **state)
{
    static const struct step calls[] = {
        {LOCK, 1, LOCK_TYPE_WRITE, 0, 3, NULL}, {LOCK, 2, LOCK_TYPE_READ, 5, 5, NULL}, {WRITE, 1, LOCK_TYPE_NONE, 0, 0, "a"},
        {LOCK, 1, LOCK_TYPE_READ, 2, 4, NULL},  {LOCK, 1, LOCK_TYPE_NONE, 1, 1, NULL}, {LOCK, 1, LOCK_TYPE_WRITE, 3, 4, NULL},
        {LOCK, 2, LOCK_TYPE_READ, 2, 2, NULL},  {LOCK, 1, LOCK_TYPE_READ, 0, 0, NULL}, {LOCK, 1, LOCK_TYPE_NONE, 0, 5, NULL},
        {CLOSE, 2, LOCK_TYPE_NONE, 0, 0, NULL},
    };

    (void)state;
    at_each_step(calls, ARRAY_LEN(calls), false, "a123456789");
}

/* A new file is locked by its key, and by its id, too, from before its first commit. */
static void of_a_new_file(void **state)
{
    static const struct step calls[] = {
        {LOCK, 1, LOCK_TYPE_WRITE, 0, 3, NULL}, {WRITE, 1, LOCK_TYPE_NONE, 0, 0, "ab"}, {SYNC, 1, LOCK_TYPE_NONE, 0, 0, NULL},
        {LOCK, 2, LOCK_TYPE_READ, 5, 5, NULL},  {LOCK, 1, LOCK_TYPE_READ, 2, 4, NULL},  {WRITE, 1, LOCK_TYPE_NONE, 1, 0, "c"},
        {LOCK, 1, LOCK_TYPE_NONE, 0, 5, NULL},  {CLOSE, 2, LOCK_TYPE_NONE, 0, 0, NULL},
    };

    (void)state;
    at_each_step(calls, ARRAY_LEN(calls), true, "ac");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locks_and_unlocks),
        cmocka_unit_test(ranges_that_change),
        cmocka_unit_test(of_a_new_file),
    };

    if (access("/dev/shm", W_OK) == 0) /* many directories; a death is a copy of files, and syncs are not waited for */
        setenv("TMPDIR", "/dev/shm", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
