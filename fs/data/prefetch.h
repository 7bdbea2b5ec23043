/* SPDX-License-Identifier: Apache-2.0 */
/* How much to fetch, and how far ahead: pure policy over the offsets that a file was read at.
 * A few streams are told apart, since several readers may share a file and the kernel reorders its own reads a
 * little. What is fetched at once grows with the bytes that a stream has read in sequence, up to the unit; how far
 * ahead grows likewise, up to `ahead` units. */
#ifndef S3EFS_DATA_PREFETCH_H
#define S3EFS_DATA_PREFETCH_H

#include <stdint.h>

#define PREFETCH_STREAMS 4
#define PREFETCH_RANDOM (256u * 1024u)     /* asked for around a read that follows no other */
#define PREFETCH_FIRST (1024u * 1024u)     /* asked for by the first reads of a stream */
#define PREFETCH_SLACK (1024u * 1024u)     /* still the same stream */
#define PREFETCH_ALIGN (128u * 1024u)      /* requests ahead start and end at its multiples */

struct prefetch_stream {
    uint64_t next;  /* one past the furthest byte read */
    uint64_t run;   /* bytes read in sequence, each counted once; 0: unused */
    uint64_t asked; /* everything below was asked for */
    uint64_t used;  /* when, in reads */
};
struct prefetch {
    struct prefetch_stream streams[PREFETCH_STREAMS];
    uint64_t reads;
};
struct prefetch_conf {
    uint64_t unit; /* the largest request; a multiple of PREFETCH_ALIGN */
    unsigned ahead;
};
struct prefetch_want {
    uint64_t window;               /* from the read's own offset on: ask for so much at once */
    uint64_t ahead_off, ahead_len; /* and this, in requests of `chunk`; 0: nothing */
    uint64_t chunk;
};

/* A read of [off, off + len) of an object of `size` bytes (len > 0, within it). */
void prefetch_note(struct prefetch *p, const struct prefetch_conf *c, uint64_t off, uint64_t len,
                   uint64_t size, struct prefetch_want *ret);

#endif
