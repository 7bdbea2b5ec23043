/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of baddisk share: what is written down. */
#ifndef S3EFS_TESTS_BADDISK_INT_H
#define S3EFS_TESTS_BADDISK_INT_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "baddisk.h"

#define NO_NODE UINT32_MAX
#define FDS 1024
#define SYNCS 65536

enum bad_disk_at { AT_CALL, AT_SYNC, AT_SYNCED };
struct bad_disk {
    char root[PATH_MAX];
    _Atomic size_t root_len; /* 0: nothing is watched, and root is not looked at */
    bool record, persistent, only_here;
    pthread_t here;
    atomic_bool quick, read_only;
    uint64_t calls, fail_at, kill_at;
    int err, each_err;
    enum baddisk_lie lie;
    int (*on_sync)(void *arg, const char *path);
    void *on_sync_arg;
    void (*at)(enum bad_disk_at what); /* locked; of each call that changes */
    char boot_id[PATH_MAX];            /* read in the place of the kernel's */
    struct {
        atomic_bool seen;
        bool dsync;
        uint32_t node;
        char path[256]; /* below the root */
    } fds[FDS];
    char *synced[SYNCS]; /* the path of each sync */
    size_t n_synced;
};
extern bool bad_disk_is_forking; /* with the lock, which the fork is to find taken */
extern struct bad_disk bad_disk;
extern pthread_mutex_t bad_disk_mutex; /* over each call that changes, so the log has their order */

/* What is below the root of a path; NULL: it is elsewhere. */
const char *bad_disk_below(const char *path);
bool bad_disk_sees(int fd);
/* Locked. Each call that counts: true if it is to fail (errno is set). */
bool bad_disk_fails(void);
bool bad_disk_lies(const char *path);
void bad_disk_at(enum bad_disk_at what);
void bad_disk_link(void); /* pulls the calls out of the archive */

enum step_kind {
    STEP_WRITE, /* node, off, len, data */
    STEP_SIZE,  /* node, off: the new size */
    STEP_ZERO,  /* node, off, len */
    STEP_SYNC,  /* node, upto: of the steps before this one */
    STEP_DSYNC, /* node, off, len: this range is on the disk */
    STEP_ADD,   /* dir, name: is node now */
    STEP_DEL,   /* dir, name */
    STEP_MOVE,  /* dir, name to dir2, name2 */
};
struct step {
    enum step_kind kind;
    uint32_t node, dir, dir2;
    uint64_t off, len;
    size_t upto;
    char *name, *name2;
    void *data;
};
struct steps {
    struct step *v;
    size_t n, cap;
    uint32_t n_nodes; /* 0 is the root */
};
extern struct steps baddisk_steps;

/* All under baddisk.c's lock. Paths are below the root, "" is the root itself. */
void log_begin(void);
void log_import(const char *root); /* what is there already: on the disk for certain */
void log_end(void);
uint32_t log_find(const char *path); /* NO_NODE: there is none */
uint32_t log_make(const char *path, bool is_dir);
bool baddisk_node_is_dir(uint32_t node);
void log_link(const char *from, const char *to);
void log_remove(const char *path);
void log_rename(const char *from, const char *to);
struct step *log_step(enum step_kind kind, uint32_t node);
void log_data(struct step *s, const void *p, size_t len);

void *baddisk_grow(void *v, size_t n, size_t *cap,
                   size_t unit); /* room for one more; never fails */

#endif
