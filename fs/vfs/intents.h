/* SPDX-License-Identifier: Apache-2.0 */
/* The table of known renames, as intents.c and mend.c share it. Guarded by v->tree. */
#ifndef S3EFS_VFS_INTENTS_H
#define S3EFS_VFS_INTENTS_H

#include "rename.h"

struct intent_known {
    struct intent_known *next;
    struct intent *what; /* NULL: a tombstone, or emptied; only its age counts */
    char name[INTENT_NAME_SIZE];
    struct store_etag etag;
    int64_t since_ns; /* this ETag was first seen, or written */
    bool is_ours;     /* a call here is at it */
    uint64_t seen;    /* by which look at the bucket last; several may be under way */
    uint64_t read_at; /* for which answer of the bucket it was last read (hiding.c) */
    bool is_tried;    /* by the mending under way */
    bool is_old;      /* too old to be finished here */
    bool is_left;     /* by this mount itself, which may finish it at any age */
    uint64_t n_all, n_done;
};

/* 0; RENAME_AGAIN: a call here is at this name; -ENOMEM. */
int intents_note(struct vfs *v, const char *name, const struct intent *what,
                 const struct store_etag *etag, bool is_ours);
void intents_forget(struct vfs *v, const char *name);
/* Another mount's record with this ETag does not stand any more. 0. */
int intents_over(struct vfs *v, const char *name, const struct store_etag *etag);
bool intents_is_hiding(const struct intent_known *k); /* v->tree is held */
struct intent_known *intents_of_locked(struct vfs *v, const struct intent_claim *cl);
/* Was this record written and left by this mount? */
bool intents_are_left_here(struct vfs *v, const char *name, const struct store_etag *etag);
/* Is a call of this mount carrying this rename out? */
bool intents_are_at_it(struct vfs *v, const struct intent *i);
void intents_drop_lists(struct vfs *v, const struct intent *i);
/* The thread that mends has something to do, perhaps. */
void intents_wake(struct vfs *v);

#endif
