/* SPDX-License-Identifier: Apache-2.0 */
/* Another mount comes in between, before every single request of a rename of a hard link: what it
 * was told is stored is found afterwards under one of the names, also where DELETE knows no
 * conditions; and the names still count rightly. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fs/vfs/rename.h"
#include "tests/lib/memstore.h"
#include "tests/lib/rig.h"

#define INTENTS ".s3efs/intents/"

/* a's requests are counted, b's questions about intents; c looks at what came of it. */
struct door {
    struct store store;
    struct store *inner;
    atomic_uint n, n_intents;
};

static struct door of_a, of_b;
static struct rig a, b, c;

static struct {
    unsigned at; /* the request of a before which b comes in; 0: none */
    int (*run)(void);
    pthread_t thread;
    bool is_begun;
    atomic_bool is_done;
    int result;
} between;

static void *b_runs(void *arg)
{
    (void)arg;
    between.result = between.run();
    atomic_store(&between.is_done, true);
    return NULL;
}

/* Until b is through, or has asked for an intent again: then it waits for a. */
static void let_b_in(void)
{
    atomic_store(&of_b.n_intents, 0);
    if (pthread_create(&between.thread, NULL, b_runs, NULL) != 0)
        return;
    between.is_begun = true;
    while (!atomic_load(&between.is_done) && atomic_load(&of_b.n_intents) < 3)
        sched_yield();
}

static void a_submits(struct store *s, struct store_req *req, struct store_rsp *rsp)
{
    struct door *d = container_of(s, struct door, store);

    if (atomic_fetch_add(&d->n, 1) + 1 == between.at)
        let_b_in();
    store_submit(d->inner, req, rsp, req->done, req->done_arg);
}

static void b_submits(struct store *s, struct store_req *req, struct store_rsp *rsp)
{
    struct door *d = container_of(s, struct door, store);

    if (req->op == STORE_GET && strncmp(req->key, INTENTS, strlen(INTENTS)) == 0)
        atomic_fetch_add(&d->n_intents, 1);
    store_submit(d->inner, req, rsp, req->done, req->done_arg);
}

static const struct store_ops a_ops = {.submit = a_submits};
static const struct store_ops b_ops = {.submit = b_submits};

static void join(struct rig *r, struct door *d, const struct store_ops *ops)
{
    struct rig through = c;

    d->store = (struct store){.ops = ops};
    d->inner = c.store;
    through.store = &d->store;
    assert_int_equal(rig_join(r, &through, &c.conf), 0);
}

static void open_all(bool is_weak)
{
    struct vfs_conf conf;

    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_defaults(&conf);
    if (is_weak)
        conf.caps = (struct store_caps){.put_absent = true, .put_match = true};
    memset(&between, 0, sizeof(between));
    assert_int_equal(rig_open(&c, &conf), 0);
    memstore_set_caps(c.store, &c.conf.caps);
    join(&a, &of_a, &a_ops);
    join(&b, &of_b, &b_ops);
}

static void close_all(void)
{
    rig_close(&a);
    rig_close(&b);
    rig_close(&c);
    clock_fake_off();
}

static int put_text(struct rig *r, const char *path, const char *text)
{
    return rig_put(r, path, text, strlen(text));
}

/* f is the only name that is left of a hard link, or one of two. */
static void make_files(bool has_other)
{
    char buf[16];

    assert_int_equal(put_text(&a, "f", "old"), 0);
    assert_int_equal(rig_link(&a, "f", "g"), 0);
    if (!has_other)
        assert_int_equal(rig_unlink(&a, "g"), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_get(&b, "f", buf, sizeof(buf)), 3);
    assert_int_equal(rig_get(&a, "f", buf, sizeof(buf)), 3);
}

static const char *const names[] = {"f", "g", "new"};
#define N_NAMES 3

struct seen {
    char text[16];
    struct stat st; /* st_ino 0: it is not there */
};

static void look(struct rig *r, struct seen s[N_NAMES])
{
    for (size_t n = 0; n < N_NAMES; n++) {
        s[n] = (struct seen){.text = ""};
        if (rig_stat(r, names[n], &s[n].st) == 0) {
            assert_true(rig_get(r, names[n], s[n].text, sizeof(s[n].text) - 1) >= 0);
            assert_int_equal(rig_stat(r, names[n], &s[n].st), 0);
        }
    }
}

/* How often a text is found, after the names were seen to count rightly. */
static unsigned count_text(const struct seen s[N_NAMES], const char *text, const char *where)
{
    unsigned found = 0;

    for (size_t n = 0; n < N_NAMES; n++) {
        unsigned same = 0;

        for (size_t o = 0; o < N_NAMES; o++) {
            if (s[n].st.st_ino == 0 || s[n].st.st_ino != s[o].st.st_ino)
                continue;
            same++;
            if (strcmp(s[n].text, s[o].text) != 0)
                fail_msg("%s: %s and %s differ", where, names[n], names[o]);
        }
        if (s[n].st.st_ino != 0 && s[n].st.st_nlink != same)
            fail_msg("%s: %s has %u names, not %u", where, names[n], (unsigned)s[n].st.st_nlink,
                     same);
        found += strcmp(s[n].text, text) == 0;
    }
    return found;
}

struct duel {
    int (*of_a)(void), (*of_b)(void);
    const char *text; /* what is to be found if b's (of_b) or a's (has_a_written) call gave 0 */
    bool has_a_written;
};

/* One run, b before a's k-th request. The number of a's requests. */
static unsigned run(const struct duel *d, bool is_weak, bool has_other, unsigned k)
{
    struct seen by_a[N_NAMES], by_c[N_NAMES];
    char where[48];
    unsigned n;
    int r;

    snprintf(where, sizeof(where), "%s, %s, at %u", is_weak ? "weak" : "strong",
             has_other ? "two names" : "one name", k);
    open_all(is_weak);
    make_files(has_other);
    between.run = d->of_b;
    atomic_store(&of_a.n, 0);
    between.at = k;
    r = d->of_a();
    between.at = 0;
    n = atomic_load(&of_a.n);
    if (between.is_begun)
        pthread_join(between.thread, NULL);
    for (int pass = 0; pass < 2; pass++) { /* who looks mends; then it is right */
        clock_fake_add(100 * NS_PER_S);
        look(&c, by_c);
    }
    look(&a, by_a);
    if ((d->has_a_written ? r : between.result) == 0 && between.is_begun &&
        (count_text(by_c, d->text, where) == 0 || count_text(by_a, d->text, where) == 0))
        fail_msg("%s: \"%s\" was stored and is lost (%d, %d)", where, d->text, r, between.result);
    if (r == 0 && !d->has_a_written && by_c[0].st.st_ino != 0 &&
        by_c[0].st.st_ino == by_c[2].st.st_ino)
        fail_msg("%s: renamed, and the old name is still one of the file's", where);
    if (r != 0 && r != -ESTALE && r != -ENOENT)
        fail_msg("%s: %d", where, r);
    if (between.result != 0 && between.result != -ESTALE && between.result != -ENOENT)
        fail_msg("%s: the other's is %d", where, between.result);
    close_all();
    return n;
}

static void at_every_request(const struct duel *d)
{
    for (int way = 0; way < 4; way++)
        for (unsigned k = 1, n = 1; k <= n; k++)
            n = run(d, way < 2, way % 2 != 0, k);
}

static int a_renames(void)
{
    return rig_rename(&a, "f", "new", 0);
}

static int b_overwrites(void)
{
    return put_text(&b, "f", "newer");
}

static int b_appends(void)
{
    uint64_t fh;
    int r = rig_open_file(&b, "f", O_WRONLY | O_APPEND, &fh);

    if (r < 0)
        return r;
    r = vfs_write(b.vfs, &b.ctx, fh, 3, "er", 2) == 2 ? 0 : -EIO;
    return rig_shut(&b, fh) ?: r;
}

static int replace(struct rig *r)
{
    uint64_t fh;
    int e = rig_unlink(r, "f");

    if (e == 0)
        e = rig_creat(r, "f", O_WRONLY | O_EXCL, 0644, &fh);
    if (e < 0)
        return e;
    e = vfs_write(r->vfs, &r->ctx, fh, 0, "other", 5) == 5 ? 0 : -EIO;
    return rig_shut(r, fh) ?: e;
}

static int a_replaces(void)
{
    return replace(&a);
}

static int b_replaces(void)
{
    return replace(&b);
}

static int b_renames(void)
{
    return rig_rename(&b, "f", "new", 0);
}

static void overwritten_meanwhile(void **state)
{
    (void)state;
    at_every_request(&(const struct duel){a_renames, b_overwrites, "newer", false});
}

static void appended_to_meanwhile(void **state)
{
    (void)state;
    at_every_request(&(const struct duel){a_renames, b_appends, "older", false});
}

static void replaced_meanwhile(void **state)
{
    (void)state;
    at_every_request(&(const struct duel){a_renames, b_replaces, "other", false});
}

static void renamed_while_it_is_replaced(void **state)
{
    (void)state;
    at_every_request(&(const struct duel){a_replaces, b_renames, "other", true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overwritten_meanwhile),
        cmocka_unit_test(appended_to_meanwhile),
        cmocka_unit_test(replaced_meanwhile),
        cmocka_unit_test(renamed_while_it_is_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
