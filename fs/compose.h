/* SPDX-License-Identifier: Apache-2.0 */
/* One mount, put together: every module in its order, and taken apart in the reverse one. */
#ifndef S3EFS_COMPOSE_H
#define S3EFS_COMPOSE_H

#include <stdbool.h>
#include <stdint.h>
#include "aws/cred.h"
#include "aws/endpoint.h"
#include "base/macros.h"
#include "cache/cache.h"
#include "cache/journal.h"
#include "cache/table.h"
#include "coord/coord.h"
#include "memplan.h"
#include "options.h"
#include "data/data.h"
#include "front/front.h"
#include "http/http.h"
#include "store/meter.h"
#include "store/store.h"
#include "upload/upload.h"
#include "vfs/vfs.h"

struct compose {
    const struct config *config;
    int64_t started_ns;
    struct memplan memory;
    char *source_id; /* "s3://bucket/prefix@https://host": what the cache belongs to */
    struct aws_settings settings; /* these three for CONFIG_S3 only */
    struct endpoint endpoint;
    unsigned char *sse_c_key; /* in secret memory; NULL: none */
    struct store_caps caps;
    struct meter *meter;
    struct http *http;
    struct cred *cred;
    struct store *store;
    struct cache *cache;
    struct journal *journal;
    struct table *table; /* option takeover */
    int requests_fd;     /* where its unanswered requests stand; 0: nowhere */
    int lock_fd;         /* of cache_dir, which the daemon before has left; 0: none */
    int fuse_fd;         /* /dev/fuse of a living mount that is taken over; -1: there is none. Set before compose_open */
    bool cache_started;
    bool has_unsent; /* an earlier mount has left something in the journal */
    uint64_t cache_limit;
    struct data *data;
    struct upload *upload;
    struct coord *coord;
    struct front *front;
    struct tellers *tellers; /* option takeover; set before compose_open */
    struct vfs *vfs;
};

/* Everything that can fail, up to the mount itself, which front_start() makes. The cause in err_text().
 * Starts threads: after the fork. compose_close() in any case. */
_must_check_ int compose_open(struct compose *m, const struct config *c, void (*ready)(void *arg), void *ready_arg);
/* After front_run() has returned, or nothing was mounted. Idempotent. */
void compose_close(struct compose *m);

/* For s3efs fsck: no mount, no cache, no file system; the bucket, what it can do (unless read_only), and what mounts
 * keep in it. */
_must_check_ int compose_open_check(struct compose *m, const struct config *c);
/* And, where a rename is to be finished, a file system without a kernel; its cache is a scratch directory. */
_must_check_ int compose_open_mender(struct compose *m);

/* compose_store.c: the bucket's side */
_must_check_ int compose_store(struct compose *m);       /* settings, credentials, the store */
_must_check_ int compose_check_bucket(struct compose *m); /* is it there, may we read it? */
_must_check_ int compose_probe(struct compose *m);       /* may we write it, what are its conditions worth? Remembered in the cache, if there is one. */

#endif
