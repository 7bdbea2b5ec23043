/* SPDX-License-Identifier: Apache-2.0 */
/* mem_limit=, divided among those who take memory. Pure.
 *
 * MEM-1  The shares and what they leave over (an eighth: connections, stacks, the heap's own) are together
 *        no more than the limit.
 * MEM-2  Who waits for room in a share holds nothing of the same share, and of others only such as stand before it in
 *        this order: unsent, replies, lists, bodies, fetches. (A read has room for its answer when it asks for bytes; so has a body
 *        that is read in. Who lists a directory that needs more than it has room for has that at once, or lets go of all
 *        and waits for its turn to go beyond the share. Who brings bytes needs neither. Who waits for unsent ones holds nothing at all, no lock either: what
 *        is unsent is sent by others.) So no wait is for ever. */
#ifndef S3EFS_MEMPLAN_H
#define S3EFS_MEMPLAN_H

#include <stdint.h>

#define MEMPLAN_THREAD_MIN (UINT64_C(256) << 10) /* of mem_limit, for each thread */

struct memplan {
    uint32_t request; /* the largest write or read of the kernel: each thread has a buffer for one */
    uint64_t replies; /* reads that are answered: a call waits for room */
    uint64_t lists;   /* of directories: a call waits for room, one that needs more than all of it goes on alone */
    uint64_t fetches; /* of the bucket's bytes: a call waits for room, reads ahead are left out */
    uint64_t fetch_max; /* the largest of them: several fit, so that one that is tried again does not stop all others */
    uint64_t bodies;  /* to send: a commit waits for room; what is larger is read from the disk as it is sent */
    uint64_t names;   /* inodes: the kernel is asked to forget the oldest */
    uint64_t unsent;  /* of those: of files that are in the journal, so can't be forgotten: a close waits for room */
};
/* limit: at least threads * MEMPLAN_THREAD_MIN, and 32 MiB. */
void memplan(uint64_t limit, unsigned threads, struct memplan *ret);
/* Requests under way at once that a limit has memory for: one with TLS takes about 100 KiB of what the shares leave over. */
unsigned memplan_requests(uint64_t limit);
/* The same of descriptors: each has a connection. At least `least`. */
unsigned memplan_connections(uint64_t descriptors, unsigned least);

/* Memory that is freed must go back: buffers that are large, for this limit, have mappings of their own, and threads share
 * few heaps, so that what one has freed the others use. (Streams at 32 MiB, fetches of 1.5 MiB: 36 MiB with mappings from
 * 2 MiB on and 8 heaps, 30 with either of these as it is here, 27 with both.) */
struct memplan_heap {
    uint32_t map_from;
    unsigned heaps;
};
struct memplan_heap memplan_heap(uint64_t limit);

#endif
