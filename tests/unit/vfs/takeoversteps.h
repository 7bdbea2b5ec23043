/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon that dies at each step of a run of calls in turn: after each write of the takeover table
 * and of the journal (commit=local), and after each request to the bucket. The kernel's part is
 * played here: the call that was not answered comes again, is given its kept answer or is run, and
 * the next ones follow. Each call succeeds and takes effect once, whichever step it was. So it is
 * where the second daemon dies, too: while it takes over, or when it runs the call again. */
#ifndef S3EFS_TESTS_TAKEOVERSTEPS_H
#define S3EFS_TESTS_TAKEOVERSTEPS_H

#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cache/journal.h"
#include "cache/table.h"
#include "fs/vfs/outbox.h"

#define SECOND_MAX 8 /* steps of the second daemon at which it dies, in turn */

enum what {
    OPEN,
    OPEN_EXCL,
    APPEND,
    FLUSH,
    FSYNC,
    CUT,
    CHMOD,
    MKDIR,
    SYMLINK,
    LINK,
    SETXATTR,
    RENAME,
    UNLINK,
    RMDIR,
    RELEASE,
    SEND
};
struct step {
    enum what what;
    const char *name; /* in the root; or the text */
    const char *new_name;
};

static struct {
    unsigned at, seen; /* the step to die at, from 1; 0: none */
    unsigned next_at;  /* of the next daemon */
    bool is_dead, is_again;
    uint64_t unique, fh, node;
    const struct step *calls;
    size_t n, k;    /* k: the next */
    size_t reached; /* the call of the last step */
    int error;
    bool is_local;     /* commit=local */
    bool is_twice;     /* the daemon that follows dies, too */
    unsigned n_starts; /* of daemons that died in their takeover */
} t;

/* What a call came to, as it is kept for it. */
struct answer {
    int32_t error;
    uint32_t written;
    uint64_t fh, node;
};

int __real_table_write(struct table *table, const struct table_item *items, size_t n);
int __wrap_table_write(struct table *table, const struct table_item *items, size_t n);

int __real_journal_put(struct journal *j, const void *rec, size_t len, struct cache_stage *stage,
                       uint64_t stage_len, uint64_t replaces, uint64_t *ret_seq);
int __wrap_journal_put(struct journal *j, const void *rec, size_t len, struct cache_stage *stage,
                       uint64_t stage_len, uint64_t replaces, uint64_t *ret_seq);
int __real_journal_drop(struct journal *j, uint64_t seq);
int __wrap_journal_drop(struct journal *j, uint64_t seq);

static void reach_step(void)
{
    t.reached = t.k;
    if (t.at == 0 || t.is_dead || ++t.seen != t.at)
        return;
    if (rig_snapshot(&rig) < 0)
        t.error = -EIO;
    t.is_dead = true;
    for (int op = 0; op < STORE_OPS; op++)
        memstore_fail(rig.store, (enum store_op)op, 1, 1000, -EACCES);
}

/* Before a write: after the one before it in the same call it was the same. */
static void reach_first(void)
{
    if (t.reached != t.k)
        reach_step();
}

int __wrap_table_write(struct table *table, const struct table_item *items, size_t n)
{
    int r;

    reach_first();
    r = __real_table_write(table, items, n);
    reach_step();
    return r;
}

int __wrap_journal_put(struct journal *j, const void *rec, size_t len, struct cache_stage *stage,
                       uint64_t stage_len, uint64_t replaces, uint64_t *ret_seq)
{
    int r;

    reach_first();
    r = __real_journal_put(j, rec, len, stage, stage_len, replaces, ret_seq);
    reach_step();
    return r;
}

int __wrap_journal_drop(struct journal *j, uint64_t seq)
{
    int r;

    reach_first();
    r = __real_journal_drop(j, seq);
    reach_step();
    return r;
}

/* What the daemon has sent when it dies arrives all the same, nothing after it. */
static void after_request(void *arg, struct store *s, const struct store_req *req, int result)
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

/* After its run, of one that comes again. */
static int was_done(const struct step *c, struct vfs_entry *e, int r)
{
    if (r != -EEXIST || !t.is_again)
        return r;
    if (c->what == LINK && vfs_was_linked(rig.vfs, &rig.ctx, t.node, VFS_ROOT, c->new_name, e))
        return 0;
    return c->what == SETXATTR && vfs_was_tried(rig.vfs) ? 0 : r;
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
    case OPEN_EXCL:
        return vfs_create(rig.vfs, &rig.ctx, VFS_ROOT, c->name, 0644, O_WRONLY | O_APPEND | O_EXCL,
                          e, &ret->fh);
    case LINK:
        return vfs_link(rig.vfs, &rig.ctx, t.node, VFS_ROOT, c->new_name, e);
    case SETXATTR:
        return vfs_setxattr(rig.vfs, &rig.ctx, t.node, c->name, "value", 5, XATTR_CREATE);
    case APPEND:
        n = vfs_write(rig.vfs, &rig.ctx, t.fh, 0, c->name, len);
        return n == (ssize_t)len ? 0 : n < 0 ? (int)n : -EIO;
    case FLUSH:
        return vfs_flush(rig.vfs, &rig.ctx, t.fh);
    case FSYNC:
        return vfs_fsync(rig.vfs, t.fh);
    case CUT:
        return vfs_setattr(rig.vfs, &rig.ctx, t.node, t.fh, &st, VFS_SET_SIZE, &st, &ns);
    case CHMOD:
        st.st_mode = 0600;
        return vfs_setattr(rig.vfs, &rig.ctx, t.node, 0, &st, VFS_SET_MODE, &st, &ns);
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
    case SEND: /* no call: a turn of the senders */
        outbox_hurry(rig.vfs);
        (void)outbox_run(rig.vfs);
        return 0;
    }
    return -EINVAL;
}

/* The answers of calls that may be run twice are not kept. */
static bool is_once(enum what what)
{
    return what != APPEND && what != FLUSH && what != FSYNC && what != RELEASE && what != SEND;
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

        a.error = was > 0 ? 0 : was < 0 ? was : was_done(c, &e, run_call(c, &e, &a));
        a.node = e.node;
        vfs_keep_reply(rig.vfs, t.unique, is_once(c->what) ? &a : NULL, sizeof(a));
    }
    if ((c->what == OPEN || c->what == OPEN_EXCL) && a.error == 0 && !t.is_dead) {
        t.fh = a.fh;
        t.node = a.node;
    }
    return a.error;
}

static void healed(struct rig *r)
{
    memstore_clear_faults(r->store);
    t.at = t.next_at; /* what the dead one's end does is no step */
    t.seen = 0;
    t.reached = t.n;
    t.is_dead = false;
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

/* The next daemon. */
static int follow(unsigned dies_at)
{
    t.next_at = dies_at;
    return rig_crash_after(&rig, healed);
}

/* One that dies itself at that step, if it comes to that. */
static void follow_and_die(unsigned dies_at)
{
    int r = follow(dies_at);

    t.n_starts += t.is_dead;
    if (!t.is_dead) {
        assert_int_equal(r, 0);
        live_on();
    }
    assert_int_equal(t.error, 0);
}

/* false: there is no such step. */
static bool run_all(const struct step *calls, size_t n, unsigned at)
{
    t.at = at;
    t.seen = 0;
    t.reached = n;
    t.is_again = false;
    t.calls = calls;
    t.n = n;
    t.k = 0;
    t.error = 0;
    live_on();
    if (!t.is_dead) {
        t.at = 0;
        assert_int_equal(t.error, 0);
        return false;
    }
    if (t.is_twice)
        follow_and_die(1 + at % SECOND_MAX);
    if (t.is_dead) {
        assert_int_equal(follow(0), 0);
        live_on();
    }
    t.at = 0;
    if (t.error != 0)
        fail_msg("step %u: call %zu is %d", at, t.k, t.error);
    return true;
}

static int set_up(void **state)
{
    int r;

    struct vfs_conf conf;

    rig_set_keeps(true);
    rig_defaults(&conf);
    if (t.is_local)
        conf.commit = VFS_COMMIT_LOCAL;
    conf.send_by_hand = true;
    (void)state;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_set_has_fd(NULL);
    r = rig_open(&rig, &conf);
    memstore_set_hooks(rig.store, NULL, after_request, NULL);
    return r;
}

static int tear_down(void **state)
{
    rig_set_keeps(false);
    return teardown(state);
}

static void nothing_waits(void)
{
    struct vfs_stats s;

    vfs_stats_get(rig.vfs, &s);
    assert_int_equal(s.dirty_files, 0);
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
        if (t.is_local)
            nothing_waits();
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
    assert_int_equal(vfs_drain(rig.vfs), 0);
}

static void log_is_whole(void)
{
    assert_object("log", "zero\none\ntwo\nthree\n");
}

static void new_is_whole(void)
{
    assert_object("log", "one\ntwo\n");
}

#endif
