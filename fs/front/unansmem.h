/* SPDX-License-Identifier: Apache-2.0 */
/* What unanswered.c (while all is well) and unanstake.c (after a death) share: the memory, which begins with a page that says
 * how it is divided, and what the table has. */
#ifndef S3EFS_FRONT_UNANSMEM_H
#define S3EFS_FRONT_UNANSMEM_H

#include <linux/fuse.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/lock.h"
#include "unanswered.h"

#define UNANS_MAGIC UINT64_C(0x7333656673726571)
#define UNANS_PAGE 4096u
#define UNANS_LEAST sizeof(struct fuse_in_header)

struct unans_layout { /* of the memory's first page */
    uint64_t magic, slot_size, n;
};

struct unans_slot {
    struct unanswered *owner;
    char *at;
    bool is_taken, is_open, is_touched; /* by a thread; its request is unanswered; its pages are there */
    uint64_t unique;
};

/* One that the table has. */
struct unans_stored {
    struct unans_stored *next;
    uint64_t unique;
    void *request; /* to be served; NULL: it is */
    size_t len;
};

struct unanswered {
    struct lock lock; /* LOCK_LEAF */
    int fd;
    bool is_ours; /* fd */
    struct unans_layout layout;
    char *map;
    size_t map_len;
    struct unans_slot *slots;
    struct unans_stored *stored;
    pthread_key_t key;
    bool has_key;
};

size_t unans_length(const struct unans_layout *l);
_must_check_ int unans_map(struct unanswered *u); /* as its layout says */
bool unans_wants_answer(const struct fuse_in_header *h);
/* The table has this request. is_to_serve: and unanswered_next() is to tell it. */
_must_check_ int unans_store(struct unanswered *u, const void *request, size_t len, bool is_to_serve);

#endif
