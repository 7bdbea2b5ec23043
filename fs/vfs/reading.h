/* SPDX-License-Identifier: Apache-2.0 */
/* A cold read by name by one GET: the lookup that an open(2) sends asks for the object with its
 * bytes, and the open that follows asks nothing more.
 *
 * READ-1  An open asks nothing only if the lookup of this very open(2) has asked the bucket: the
 * kernel's LOOKUP and OPEN came from one thread with no other lookup of this thread in between, and
 * it may not keep the name that the LOOKUP told it (entry time 0; nor has it been told one to keep since, by another's
 * LOOKUP), so whatever leads to this file by a name later brings a LOOKUP of its own first. What is left are opens without a name
 * (/proc/self/fd) after an open(2) that failed: not believed either after acregmin. READ-2  Bytes
 * are asked for where the caller's system call opens the name for reading alone (creator.h), never
 * where it is seen to do something else; where it can't be seen, if the directory's history says so
 * (readhist.h). READ-3  Whatever is wrong with the GET but that there is no object, the lookup asks
 * by HEAD as ever. */
#ifndef S3EFS_VFS_READING_H
#define S3EFS_VFS_READING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "readhist.h"

#define READERS 256

struct reading {
    struct readhist hist;
    struct reader { /* what a thread looked up last, by its number */
        pid_t tid;  /* 0: nothing */
        bool is_ready;
        uint64_t node, dir;
        int64_t asked_ns;
    } v[READERS];
};

struct asker {
    uint64_t dir;    /* ino */
    uint64_t window; /* 0: no bytes */
    bool is_guessed; /* by the directory's history */
};

struct vfs;
struct vfs_ctx;
struct inode;
struct found;

void reading_forget_locked(struct vfs *v,
                           const struct vfs_ctx *x); /* its thread sends another lookup */
/* With no lock held; how: enum creating. Shall the lookup of a name in dir bring bytes, and how
 * many? */
struct asker reading_expect(struct vfs *v, const struct vfs_ctx *x, const struct inode *dir,
                            unsigned how);
/* Asks the bucket as name_ask does, for up to a->window bytes too. */
int reading_ask(struct vfs *v, const struct asker *a, const char *key, struct found *ret);
/* The lookup ends with this inode, after the bucket was asked. */
void reading_found_locked(struct vfs *v, const struct vfs_ctx *x, const struct inode *dir,
                          const struct inode *i, const struct found *f);
/* May the kernel not keep the name that it is told now? */
bool reading_is_due_locked(struct vfs *v, const struct vfs_ctx *x, const struct inode *i);
/* At an open: has its own lookup just asked, so that this need not? */
bool reading_was_asked(struct vfs *v, const struct vfs_ctx *x, const struct inode *i, int flags);

#endif
