/* SPDX-License-Identifier: Apache-2.0 */
/* The records of the takeover table: a node, the dirty bytes of a file, a handle, a file's locks. Pure. Each says its version; read as
 * if a stranger had written it. */
#ifndef S3EFS_VFS_KEEPREC_H
#define S3EFS_VFS_KEEPREC_H

#include "internal.h"
#include "outrec.h"

struct keep_name {
    uint64_t parent; /* node */
    char *name;
};
struct keep_node {
    uint64_t nlookup, obj_size;
    struct objattr attr;
    struct store_etag etag;
    int64_t obj_mtime_ns;
    unsigned nlink;
    bool is_stale, is_guessed, has_lost_key, is_kernel_behind;
    char *newer_key; /* NULL: none */
    struct keep_name *names; /* the first one's key is the file's */
    size_t n_names;
    char *last_name; /* NULL: none */
    struct store_hdrs hdrs;
};
struct keep_data {
    uint64_t file; /* of the table's staged files; 0: no dirty bytes */
    bool is_sent;
    bool is_removed; /* it has no name, and some have it open: nothing of it is ever sent */
    bool is_barred; /* written under a lock that was lost, or met a stranger: never sent */
    bool is_trying; /* just this content is being sent, under this mark */
    int torn, failed;
    uint64_t out_seq;   /* the journal's entry that it waits by (commit=local); 0: none */
    bool out_is_behind; /* and was changed since */
    struct outrec rec; /* with the marks of commits that may have landed */
};
struct keep_handle {
    uint64_t node;
    int flags;
    bool is_writer, is_fresh, has_written;
    pid_t writers[HANDLE_WRITERS];
    unsigned n_writers;
};
#define KEEP_LOCK_NODES 4096
struct keep_locks { /* of one file, locks.h */
    char name[48], id_name[33]; /* "": none */
    char session[33];           /* under which it is held in the bucket; "": nothing is */
    bool is_lost, was_taken;
    struct lockset held[LOCK_KINDS];
    bool is_changing; /* the bucket may say `change` already */
    bool is_publishing; /* the bucket may say nothing under id_name yet */
    struct vfs_lock change;
    uint64_t *nodes; /* that are locked as this file */
    size_t n_nodes;
};

int keeprec_put_locks(const struct keep_locks *k, struct buf *out);
_must_check_ int keeprec_get_locks(const void *data, size_t len, struct keep_locks *ret);
void keep_locks_done(struct keep_locks *k);
int keeprec_put_node(const struct inode *i, struct buf *out);
int keeprec_put_data(const struct keep_data *d, struct buf *out);
int keeprec_put_handle(const struct handle *h, struct buf *out);
/* 0, -EBADMSG, -ENOMEM; then *ret is zeroed. */
_must_check_ int keeprec_get_node(const void *data, size_t len, struct keep_node *ret);
_must_check_ int keeprec_get_data(const void *data, size_t len, struct keep_data *ret);
_must_check_ int keeprec_get_handle(const void *data, size_t len, struct keep_handle *ret);
void keep_node_done(struct keep_node *n); /* idempotent */
void keep_data_done(struct keep_data *d);

#endif
