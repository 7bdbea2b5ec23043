/* SPDX-License-Identifier: Apache-2.0 */
/* A workload of which something fails, and what must hold then, whatever it was: another mount
 * finds what was acknowledged, whole; of what was not, the old or the new, never a mixture; and the
 * mount goes on. */
#ifndef S3EFS_TESTS_WORKLOAD_H
#define S3EFS_TESTS_WORKLOAD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/lock.h"
#include "base/macros.h"
#include "fs/vfs/outbox.h"
#include "fs/vfs/rename.h"
#include "tests/lib/memstore.h"
#include "tests/lib/rig.h"

static struct rig a, b; /* it happens on a; b looks */

/* --- the workload --- */

enum { CREATE, OVERWRITE, APPEND, CHMOD, RENAME, RENAME_DIR, UNLINK, LINK, MKDIR, STEPS };
static const char *const step_names[STEPS] = {"create", "overwrite", "append",
                                              "chmod",  "rename",    "rename a directory",
                                              "unlink", "link",      "mkdir"};

static unsigned round_no; /* each round has a directory of its own */

static inline const char *at(const char *path)
{
    static char text[4][64];
    static unsigned i;

    i = (i + 1) % 4;
    snprintf(text[i], sizeof(text[i]), "round%u%s%s", round_no, *path != '\0' ? "/" : "", path);
    return text[i];
}

static inline int append(struct rig *r, const char *path, const char *text)
{
    uint64_t fh;
    ssize_t n;
    int done = rig_open_file(r, at(path), O_WRONLY | O_APPEND, &fh), shut;

    if (done < 0)
        return done;
    n = vfs_write(r->vfs, &r->ctx, fh, 0, text, strlen(text));
    shut = rig_shut(r, fh);
    return n < 0 ? (int)n : shut;
}

static inline int put(struct rig *r, const char *path, const char *text)
{
    return rig_put(r, at(path), text, strlen(text));
}

static int only = STEPS; /* one step instead of all of them */

static inline bool wants(int step)
{
    return only == STEPS || only == step;
}

static inline void seed_file(int step, const char *path, const char *text)
{
    if (wants(step))
        assert_int_equal(put(&a, path, text), 0);
}

static inline void seed(void)
{
    round_no++;
    assert_int_equal(rig_mkdir(&a, at(""), 0755), 0);
    seed_file(OVERWRITE, "old", "old bytes");
    seed_file(APPEND, "log", "line 1\n");
    seed_file(CHMOD, "mode", "same bytes");
    seed_file(RENAME, "from", "moved bytes");
    if (wants(RENAME_DIR))
        assert_int_equal(rig_mkdir(&a, at("dir"), 0755), 0);
    seed_file(RENAME_DIR, "dir/x", "bytes of x");
    seed_file(RENAME_DIR, "dir/y", "bytes of y");
    seed_file(UNLINK, "gone", "doomed");
    seed_file(LINK, "name1", "linked bytes");
    clock_fake_add(100 * NS_PER_S);
}

static inline int run_step(int step)
{
    err_clear();
    switch (step) {
    case CREATE:
        return put(&a, "new", "new file");
    case OVERWRITE:
        return put(&a, "old", "OTHER BYTES");
    case APPEND:
        return append(&a, "log", "line 2\n");
    case CHMOD:
        return rig_chmod(&a, at("mode"), 0600);
    case RENAME:
        return rig_rename(&a, at("from"), at("to"), 0);
    case RENAME_DIR:
        return rig_rename(&a, at("dir"), at("dir2"), 0);
    case UNLINK:
        return rig_unlink(&a, at("gone"));
    case LINK:
        return rig_link(&a, at("name1"), at("name2"));
    default:
        return rig_mkdir(&a, at("empty"), 0755);
    }
}

static int results[STEPS];

static inline void run_all(void)
{
    for (int step = 0; step < STEPS; step++)
        if (wants(step))
            results[step] = run_step(step);
}

/* --- the promise --- */

static const char *what; /* the fault, for the messages */
static unsigned which;

/* 0 the bytes are these, -ENOENT no such file; all else is a broken promise. */
static inline int look(const char *path, const char *text)
{
    char buf[64] = "";
    ssize_t n = rig_get(&b, at(path), buf, sizeof(buf) - 1);

    if (n == -ENOENT)
        return -ENOENT;
    if (n < 0 || strcmp(buf, text) != 0)
        return n < 0 ? (int)n : 1;
    return 0;
}

static inline void broken(int step, const char *how)
{
    fail_msg("%s %u: %s returned %d, and then %s", what, which, step_names[step], results[step],
             how);
}

static inline void check_create(void)
{
    int created = look("new", "new file");

    if (created != 0 && (results[CREATE] == 0 || created != -ENOENT))
        broken(CREATE, "the file is not there, or torn");
}

static inline void check_overwrite(void)
{
    if (look("old", "OTHER BYTES") != 0 &&
        (results[OVERWRITE] == 0 || look("old", "old bytes") != 0))
        broken(OVERWRITE, "it has neither the old nor the new bytes");
}

static inline void check_append(void)
{
    if (look("log", "line 1\nline 2\n") != 0 &&
        (results[APPEND] == 0 || look("log", "line 1\n") != 0))
        broken(APPEND, "a line is lost, or there twice");
}

static inline void check_chmod(void)
{
    struct stat st;

    if (look("mode", "same bytes") != 0)
        broken(CHMOD, "the bytes have changed");
    if (results[CHMOD] == 0 && (rig_stat(&b, at("mode"), &st) != 0 || (st.st_mode & 07777) != 0600))
        broken(CHMOD, "the mode is the old one");
}

/* One of two names; the new one if it was acknowledged. */
static inline void check_moved(int step, const char *from, const char *to, const char *text)
{
    int old = look(from, text), new = look(to, text);

    if ((old != 0 && old != -ENOENT) || (new != 0 && new != -ENOENT))
        broken(step, "a name has other bytes");
    if (old != 0 && new != 0)
        broken(step, "the file is under neither name");
    if (old == 0 && new == 0)
        broken(step, "the file is under both names");
    if (results[step] == 0 && new != 0)
        broken(step, "the file is not under its new name");
}

static inline void check_unlink(void)
{
    int gone = look("gone", "doomed");

    if (gone != -ENOENT && (results[UNLINK] == 0 || gone != 0))
        broken(UNLINK, "the file is there, or torn");
}

static inline void check_link(void)
{
    int second = look("name2", "linked bytes");

    if (look("name1", "linked bytes") != 0)
        broken(LINK, "the first name has lost its bytes");
    if (second != 0 && (results[LINK] == 0 || second != -ENOENT))
        broken(LINK, "the second name is not there, or torn");
}

static inline void check_step(int step)
{
    static void (*const checks[STEPS])(void) = {
        [CREATE] = check_create, [OVERWRITE] = check_overwrite, [APPEND] = check_append,
        [CHMOD] = check_chmod,   [UNLINK] = check_unlink,       [LINK] = check_link,
    };
    struct stat st;

    if (step == RENAME) {
        check_moved(RENAME, "from", "to", "moved bytes");
    } else if (step == RENAME_DIR) {
        check_moved(RENAME_DIR, "dir/x", "dir2/x", "bytes of x");
        check_moved(RENAME_DIR, "dir/y", "dir2/y", "bytes of y");
    } else if (step == MKDIR) {
        if (results[MKDIR] == 0 && rig_stat(&b, at("empty"), &st) != 0)
            broken(MKDIR, "there is no directory");
    } else {
        checks[step]();
    }
}

static inline void check_all(void)
{
    for (int step = 0; step < STEPS; step++)
        if (wants(step))
            check_step(step);
}

/* What b knew is too old, and what a left half done is finished by who is alive. */
static inline void settle(void)
{
    int left = 1;

    for (int i = 0; i < 12 && left != 0; i++) {
        clock_fake_add(11 * NS_PER_S);
        (void)intents_mend(a.vfs);
        left = intents_mend(b.vfs);
    }
    assert_int_equal(left, 0);
    clock_fake_add(100 * NS_PER_S);
}

/* Debug builds say by their ranks which lock is left; the names' has none. */
static inline void no_lock_is_left(void)
{
    lock_assert_may_block();
    assert_int_equal(pthread_rwlock_trywrlock(&a.vfs->names), 0);
    pthread_rwlock_unlock(&a.vfs->names);
}

/* commit=local: what is acknowledged reaches the bucket. */
static inline void send_all(void)
{
    for (int i = 0; i < 10; i++) {
        (void)outbox_run(a.vfs);
        clock_fake_add(100 * NS_PER_S);
    }
    assert_null(a.vfs->locked.out_first);
}

static inline void goes_on(void)
{
    char text[64] = "";

    assert_int_equal(put(&a, "after", "goes on"), 0);
    assert_int_equal(rig_get(&a, at("after"), text, sizeof(text) - 1), 7);
    send_all();
    assert_int_equal(look("after", "goes on"), 0);
}

static inline void look_at_all(void)
{
    no_lock_is_left();
    settle();
    check_all();
    goes_on();
}

static inline int tear_down(void **state)
{
    (void)state;
    rig_close(&a);
    rig_close(&b);
    clock_fake_off();
    return 0;
}

#endif
