/* SPDX-License-Identifier: Apache-2.0 */
/* One mount with commit=local on a bucket in memory, whose queue the test itself sends. */
#ifndef S3EFS_TESTS_LOCALMOUNT_H
#define S3EFS_TESTS_LOCALMOUNT_H

#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cache/journal.h"
#include "fs/vfs/outbox.h"

static inline int local_setup_as(enum vfs_commit commit)
{
    struct vfs_conf conf;

    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_set_has_fd(NULL);
    rig_defaults(&conf);
    conf.commit = commit;
    return rig_open(&rig, &conf);
}

static inline int local_setup(void **state)
{
    (void)state;
    return local_setup_as(VFS_COMMIT_LOCAL);
}

static inline void put_text(const char *path, const char *text)
{
    assert_int_equal(rig_put(&rig, path, text, strlen(text)), 0);
}

/* With its marker in the bucket. */
static inline void mkdir_stored(const char *path)
{
    assert_int_equal(rig_mkdir(&rig, path, 0755), 0);
    assert_int_equal(outbox_run(rig.vfs), 1);
}

static inline uint64_t open_text(const char *path, int flags)
{
    uint64_t fh;

    assert_int_equal(rig_open_file(&rig, path, flags, &fh), 0);
    return fh;
}

static inline void write_text(uint64_t fh, uint64_t off, const char *text)
{
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, off, text, strlen(text)), strlen(text));
}

/* A stored file's rename that the journal does not take: somebody has it open for writing. */
static inline void rename_in_bucket(const char *from, const char *to)
{
    uint64_t fh = open_text(from, O_WRONLY);

    assert_int_equal(rig_rename(&rig, from, to, 0), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
}

/* What a close of appended bytes says. */
static inline int append_text(const char *path, const char *text)
{
    uint64_t fh = open_text(path, O_WRONLY | O_APPEND);

    write_text(fh, 0, text);
    return rig_shut(&rig, fh);
}

static inline uint64_t entries(void)
{
    struct journal_stats s;

    journal_stats_get(rig.journal, &s);
    return s.entries;
}

static inline uint64_t n_puts(void)
{
    return memstore_count(rig.store, STORE_PUT);
}

static inline uint64_t kept(void)
{
    struct cache_stats s;

    cache_stats_get(rig.cache, &s);
    return s.lost_found;
}

/* Everything goes, and nothing is left here. */
static inline void send_all(size_t n)
{
    assert_int_equal(outbox_run(rig.vfs), n);
    assert_int_equal(entries(), 0);
    assert_null(rig.vfs->locked.out_first);
}

static inline void set_xattr(const char *path, const char *name, const char *value)
{
    struct vfs_entry e;

    assert_int_equal(rig_walk(&rig, path, &e), 0);
    assert_int_equal(vfs_setxattr(rig.vfs, &rig.ctx, e.node, name, value, strlen(value), 0), 0);
    vfs_forget(rig.vfs, e.node, 1);
}

static inline void assert_xattr(const char *path, const char *name, const char *value)
{
    char buf[64] = "";
    struct vfs_entry e;

    assert_int_equal(rig_walk(&rig, path, &e), 0);
    assert_int_equal(vfs_getxattr(rig.vfs, e.node, name, buf, sizeof(buf)), strlen(value));
    assert_string_equal(buf, value);
    vfs_forget(rig.vfs, e.node, 1);
}

/* No file of this process can be written: the journal's index neither. */
static inline void disk_is_full(bool is)
{
    struct rlimit lim;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &lim), 0);
    lim.rlim_cur = is ? 0 : lim.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &lim), 0);
}

#define L(f) cmocka_unit_test_setup_teardown(f, local_setup, teardown)

#endif
