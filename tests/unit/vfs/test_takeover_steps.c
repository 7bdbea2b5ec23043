/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon that dies at each step of a run of calls in turn: before and after each write of the
 * takeover table, and after each request to the bucket. The kernel's part is played here: the call
 * that was not answered comes again, is given its kept answer or is run, and the next ones follow.
 * Each call succeeds and takes effect once, whichever step it was. */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "cache/table.h"

enum what { OPEN, APPEND, FLUSH, FSYNC, CUT, MKDIR, SYMLINK, RENAME, UNLINK, RMDIR, RELEASE };
struct step {
    enum what what;
    const char *name; /* in the root; or the text */
    const char *new_name;
};

static struct {
    unsigned at, seen; /* the step to die at, from 1; 0: none */
    bool is_dead, is_again;
    uint64_t unique, fh, node;
    const struct step *calls;
    size_t n, k; /* k: the next */
    int error;
} t;

/* What a call came to, as it is kept for it. */
struct answer {
    int32_t error;
    uint32_t written;
    uint64_t fh, node;
};

int __real_table_write(struct table *table, const struct table_item *items, size_t n);
int __wrap_table_write(struct table *table, const struct table_item *items, size_t n);

static void reach_step(void)
{
    if (t.at == 0 || t.is_dead || ++t.seen != t.at)
        return;
    if (rig_snapshot(&rig) < 0)
        t.error = -EIO;
    t.is_dead = true;
    for (int op = 0; op < STORE_OPS; op++)
        memstore_fail(rig.store, (enum store_op)op, 1, 1000, -EACCES);
}

int __wrap_table_write(struct table *table, const struct table_item *items, size_t n)
{
    int r;

    reach_step();
    r = __real_table_write(table, items, n);
    reach_step();
    return r;
}

/* Before: what the daemon has sent when it dies arrives all the same, nothing after it. */
static void around_request(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)req;
    (void)result;
    reach_step();
}

/* --- calls, as front/ makes them --- */

static int run_again(const struct step *c, struct vfs_entry *e)
{
    if (c->what == MKDIR || c->what == SYMLINK)
        return vfs_was_made(rig.vfs, &rig.ctx, VFS_ROOT, c->name, e);
    if (c->what == RMDIR || c->what == UNLINK)
        return vfs_was_removed(rig.vfs, VFS_ROOT, c->name);
    if (c->what == RENAME)
        return vfs_was_renamed(rig.vfs, VFS_ROOT, c->name, VFS_ROOT, c->new_name);
    return 0;
}

static int run_call(const struct step *c, struct vfs_entry *e, struct answer *ret)
{
    struct stat st = {.st_size = 0};
    size_t len = strlen(c->name);
    bool keep;
    int64_t ns;
    ssize_t n;

    switch (c->what) {
    case OPEN:
        if (vfs_lookup(rig.vfs, &rig.ctx, VFS_ROOT, c->name, e) != 0)
            return vfs_create(rig.vfs, &rig.ctx, VFS_ROOT, c->name, 0644, O_WRONLY | O_APPEND, e,
                              &ret->fh);
        return vfs_open(rig.vfs, &rig.ctx, e->node, O_WRONLY | O_APPEND, &ret->fh, &keep);
    case APPEND:
        n = vfs_write(rig.vfs, &rig.ctx, t.fh, 0, c->name, len);
        return n == (ssize_t)len ? 0 : n < 0 ? (int)n : -EIO;
    case FLUSH:
        return vfs_flush(rig.vfs, &rig.ctx, t.fh);
    case FSYNC:
        return vfs_fsync(rig.vfs, t.fh);
    case CUT:
        return vfs_setattr(rig.vfs, &rig.ctx, t.node, t.fh, &st, VFS_SET_SIZE, &st, &ns);
    case MKDIR:
        return vfs_mkdir(rig.vfs, &rig.ctx, VFS_ROOT, c->name, 0755, e);
    case SYMLINK:
        return vfs_symlink(rig.vfs, &rig.ctx, "target", VFS_ROOT, c->name, e);
    case RENAME:
        return vfs_rename(rig.vfs, &rig.ctx, VFS_ROOT, c->name, VFS_ROOT, c->new_name, 0);
    case UNLINK:
        return vfs_unlink(rig.vfs, &rig.ctx, VFS_ROOT, c->name);
    case RMDIR:
        return vfs_rmdir(rig.vfs, &rig.ctx, VFS_ROOT, c->name);
    case RELEASE:
        vfs_release(rig.vfs, t.fh);
        return 0;
    }
    return -EINVAL;
}

/* The answers of calls that may be run twice are not kept. */
static bool is_once(enum what what)
{
    return what != APPEND && what != FLUSH && what != FSYNC && what != RELEASE;
}

static int serve(const struct step *c)
{
    struct answer a = {0};
    struct vfs_entry e = {0};
    void *kept = NULL;
    size_t len;

    vfs_keep_begin(rig.vfs, t.unique);
    if (t.is_again && vfs_keep_find(rig.vfs, t.unique, &kept, &len) == 0) {
        memcpy(&a, kept, len < sizeof(a) ? len : sizeof(a));
        free(kept);
    } else {
        int was = t.is_again ? run_again(c, &e) : 0;

        a.error = was > 0 ? 0 : was < 0 ? was : run_call(c, &e, &a);
        a.node = e.node;
        vfs_keep_reply(rig.vfs, t.unique, is_once(c->what) ? &a : NULL, sizeof(a));
    }
    if (c->what == OPEN && a.error == 0 && !t.is_dead) {
        t.fh = a.fh;
        t.node = a.node;
    }
    return a.error;
}

static void healed(struct rig *r)
{
    memstore_clear_faults(r->store);
}

/* One daemon's thread: what it knows of its calls dies with it. */
static void *live(void *arg)
{
    (void)arg;
    for (; t.k < t.n && t.error == 0 && !t.is_dead; t.k += !t.is_dead && t.error == 0) {
        int r;

        if (!t.is_again)
            t.unique += 2;
        r = serve(&t.calls[t.k]);
        if (!t.is_dead)
            t.error = r;
        t.is_again = t.is_dead; /* nobody heard of it */
    }
    return NULL;
}

static void live_on(void)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, live, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* false: there is no such step. */
static bool run_all(const struct step *calls, size_t n, unsigned at)
{
    t.at = at;
    t.seen = 0;
    t.is_again = false;
    t.calls = calls;
    t.n = n;
    t.k = 0;
    t.error = 0;
    live_on();
    if (t.is_dead) {
        assert_int_equal(rig_crash_after(&rig, healed), 0);
        t.at = 0;
        t.is_dead = false;
        live_on();
        if (t.error != 0)
            fail_msg("step %u: call %zu is %d", at, t.k, t.error);
        return true;
    }
    t.at = 0;
    assert_int_equal(t.error, 0);
    return false;
}

static int set_up(void **state)
{
    int r;

    rig_set_keeps(true);
    r = setup(state);
    memstore_set_hooks(rig.store, around_request, around_request, NULL);
    return r;
}

static int tear_down(void **state)
{
    rig_set_keeps(false);
    return teardown(state);
}

static void at_each_step(const struct step *calls, size_t n, void (*begin)(void), void (*end)(void))
{
    bool is_there = true;
    unsigned at, steps = 0;

    for (at = 1; is_there; at++) {
        void *state = NULL;

        assert_int_equal(set_up(&state), 0);
        begin();
        is_there = run_all(calls, n, at);
        end();
        tear_down(&state);
        steps += is_there;
    }
    print_message("steps: %u\n", steps);
    assert_true(steps > 2 * n);
}

static void nothing(void)
{
}

static void old_log(void)
{
    assert_int_equal(rig_put(&rig, "log", "zero\n", 5), 0);
}

static void log_is_whole(void)
{
    assert_object("log", "zero\none\ntwo\nthree\n");
}

static void appends(void **state)
{
    static const struct step calls[] = {
        {.what = OPEN, .name = "log"},       {.what = APPEND, .name = "one\n"},
        {.what = FSYNC, .name = ""},         {.what = APPEND, .name = "two\n"},
        {.what = APPEND, .name = "three\n"}, {.what = FLUSH, .name = ""},
        {.what = RELEASE, .name = ""},
    };

    (void)state;
    at_each_step(calls, ARRAY_LEN(calls), old_log, log_is_whole);
}

static void new_is_whole(void)
{
    assert_object("log", "one\ntwo\n");
}

static void appends_to_a_new_file(void **state)
{
    static const struct step calls[] = {
        {.what = OPEN, .name = "log"}, {.what = APPEND, .name = "lost\n"},
        {.what = CUT, .name = ""},     {.what = APPEND, .name = "one\n"},
        {.what = FLUSH, .name = ""},   {.what = APPEND, .name = "two\n"},
        {.what = FLUSH, .name = ""},   {.what = RELEASE, .name = ""},
    };

    (void)state;
    at_each_step(calls, ARRAY_LEN(calls), nothing, new_is_whole);
}

static void names_are_as_wanted(void)
{
    assert_object("new", "zero\none\ntwo\n");
    assert_no_object("log");
    assert_no_object("link");
    assert_no_object("dir/");
    assert_int_equal(memstore_get(rig.store, "dir2/", NULL, NULL), 0);
}

static void names(void **state)
{
    static const struct step calls[] = {
        {.what = OPEN, .name = "log"},     {.what = APPEND, .name = "one\n"},
        {.what = FSYNC, .name = ""},       {.what = RENAME, .name = "log", .new_name = "new"},
        {.what = APPEND, .name = "two\n"}, {.what = FLUSH, .name = ""},
        {.what = RELEASE, .name = ""},     {.what = MKDIR, .name = "dir"},
        {.what = SYMLINK, .name = "link"}, {.what = UNLINK, .name = "link"},
        {.what = RMDIR, .name = "dir"},    {.what = MKDIR, .name = "dir2"},
    };

    (void)state;
    at_each_step(calls, ARRAY_LEN(calls), old_log, names_are_as_wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends),
        cmocka_unit_test(appends_to_a_new_file),
        cmocka_unit_test(names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
