/* SPDX-License-Identifier: Apache-2.0 */
/* A vfs of a few fixed names that remembers how it was called. For the tests of front/ only.
 *
 *   /hello     a file with bytes[], which a test may change
 *   /many      a directory of FAKE_MANY files
 *   /link      a symbolic link to "target"
 *   /fail-N    a lookup that fails with errno N; /outcome: one that returns a positive outcome
 *   /pair-a, /pair-b   lookups that wait for each other: only done if both run at once
 *   /new       what create makes */
#ifndef S3EFS_TESTS_FAKEVFS_H
#define S3EFS_TESTS_FAKEVFS_H

#include "base/lock.h"
#include "vfs/vfs.h"

#define FAKE_MANY 3000
enum { FAKE_HELLO = 2, FAKE_MANY_DIR = 3, FAKE_LINK = 4, FAKE_NEW = 5, FAKE_FIRST_MANY = 1000 };

struct vfs {
    struct lock lock;
    struct cond changed;
    char bytes[64];
    bool keep_cache;
    int fail_flush, fail_fsync; /* errno, 0: none */
    bool hold_flush;            /* flushes wait until it is false */
    unsigned held;              /* how many wait */
    bool hold_reads;            /* the same of reads */
    unsigned reads_held;
    /* What came last, of each */
    struct vfs_ctx ctx;
    int set_mask, open_flags, create_flags;
    struct stat set;
    uint64_t set_fh, written_off, forgotten_unwanted;
    mode_t create_mode;
    unsigned rename_flags, pairs, opens, releases, flushes, dirs_open;
    bool paired;
    dev_t dev;
    char xattr[64]; /* "name=value" */
    int xattr_flags, falloc_mode;
    struct vfs_lock lock_seen, holder; /* holder: what vfs_lock_get() says */
    struct vfs_lock_wait *waiting;
    int fail_lock; /* errno, 0: none; -1: who can wait does */
    unsigned posix_closes, flock_closes, lock_stops;
    unsigned idle_first, idle_end; /* vfs_idle_get() tells these of the many, each once */
    bool hold_idle;                /* who asks for them waits until it is false */
    unsigned idle_held;            /* how many wait */
    void (*on_idle_stop)(struct vfs *v); /* in vfs_idle_stop(), no lock held */
    unsigned many_forgotten;
    uint64_t falloc_off, falloc_len, copied_from, copied_to;
    struct { /* of the takeover table; no kept answer: len 0 */
        const void *blob[2];
        size_t blob_len[2];
        uint64_t unique, last; /* last: whose answer was kept last */
        unsigned char reply[64];
        size_t len;
    } kept;
};
void fake_init(struct vfs *v);
void fake_done(struct vfs *v);
/* Copies of what is guarded, for assertions. */
struct vfs fake_look(struct vfs *v);
void fake_set_bytes(struct vfs *v, const char *s);
/* Nodes that did not fit into a readdirplus answer and whose reference did not come back. */
unsigned fake_unwanted(void);

#endif
