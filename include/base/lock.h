/* SPDX-License-Identifier: Apache-2.0 */
/* Mutexes with a rank. With --enable-debug each thread keeps the ranks it holds and asserts that they
 * only rise, so a lock-order bug is found by the first run, not by the first deadlock.
 * The table of ranks is below and in fs/README.md. A lock of rank >= LOCK_RANK_NO_BLOCK is never held
 * over a store call, a disk wait or a callback: lock_assert_may_block() checks. */
#ifndef S3EFS_BASE_LOCK_H
#define S3EFS_BASE_LOCK_H

#include <pthread.h>
#include <stdint.h>

enum lock_rank {
    LOCK_INODE_IO = 30,    /* vfs: bytes of one file; held over store calls */
    LOCK_FILE_LOCKS = 40,  /* vfs: what the owners of one file hold; held over store calls */
    LOCK_KEEP = 45,        /* vfs: writing the takeover table; waits for no store call */
    LOCK_TABLE = 46,       /* cache: the takeover table itself */
    LOCK_RANK_NO_BLOCK = 50,
    LOCK_TREE = 50,        /* vfs: inode table, dentries, attributes */
    LOCK_LOCK_TABLE = 55,  /* vfs: who holds and who waits */
    LOCK_DATA_FILE = 60,   /* data: fields of one file, for their change only (its gate is no lock) */
    LOCK_COORD = 65,       /* coord: sessions, locks, intents as they are known here */
    LOCK_UPLOAD = 70,      /* upload: queue */
    LOCK_CACHE = 80,       /* cache: index */
    LOCK_CRED = 88,        /* aws: the credentials in use */
    LOCK_STORE = 90,       /* store back ends' own state; s3: timers */
    LOCK_HTTP = 95,        /* http: submit queue */
    LOCK_LEAF = 99,        /* log, meter, work queue: nothing is taken under it */
};

struct lock {
    pthread_mutex_t mutex;
    uint8_t rank;
};

#define LOCK_INIT(r) {.mutex = PTHREAD_MUTEX_INITIALIZER, .rank = (r)}

void lock_init(struct lock *l, enum lock_rank rank);
void lock_done(struct lock *l);
void lock_take(struct lock *l);
void lock_drop(struct lock *l);

/* Asserts (debug builds) that this thread holds no lock of rank >= LOCK_RANK_NO_BLOCK. */
void lock_assert_may_block(void);

/* A condition variable on CLOCK_MONOTONIC. */
struct cond {
    pthread_cond_t cond;
};
void cond_init(struct cond *c);
void cond_done(struct cond *c);
void cond_wait(struct cond *c, struct lock *l);
/* 0, or -ETIMEDOUT after timeout_ms. */
int cond_wait_ms(struct cond *c, struct lock *l, int64_t timeout_ms);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);

#endif
