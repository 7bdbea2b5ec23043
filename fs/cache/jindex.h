/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's index: records by number and one state record, in one LMDB file with full syncs.
 * No WRITEMAP (a stray pointer must not reach it), no lock file: the caller lets one thread in at a
 * time. Only jindex.c and jscan.c know LMDB.
 *
 * The state record has the next number, how many records there are and a digest of them all, so
 * that a record which damage made disappear, or an older root of the tree, is found out. */
#ifndef S3EFS_CACHE_JINDEX_H
#define S3EFS_CACHE_JINDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macros.h"

struct jindex_rec {
    uint64_t seq;
    int64_t since_ns;
    uint64_t alloc, size; /* of the file: what it takes on the disk, how many of its bytes count */
    bool has_file;
    const void *body;
    size_t len;
};
struct jindex_state {
    uint64_t next, count, digest;
};

/* A record as it is kept (free() it): NULL without memory. */
void *jindex_encode(const struct jindex_rec *rec, size_t *ret_len, uint32_t *ret_crc);
/* body is borrowed from p. -EBADMSG: damaged. */
_must_check_ int jindex_decode(uint64_t seq, const void *p, size_t n, struct jindex_rec *ret,
                               uint32_t *ret_crc);
uint64_t jindex_mix(uint64_t seq, uint32_t crc); /* one record's part of the digest */

struct jindex;
/* create: a new one, in the place of what may be there. first_map 0: 16 MiB. */
_must_check_ int jindex_open(const char *path, bool create, size_t first_map, struct jindex **ret);
void jindex_close(struct jindex *ix); /* NULL is fine */

struct jindex_op {
    uint64_t seq;
    const void *val; /* as encoded; NULL: the record goes (if it is there) */
    size_t len;
};
/* All of it, with the state, or nothing; on the disk when it returns 0. After a failure the file
 * may have it all the same: where it is sick then, jindex_heal() must succeed before the next call.
 */
_must_check_ int jindex_apply(struct jindex *ix, const struct jindex_op *ops, size_t n,
                              const struct jindex_state *state);
bool jindex_is_sick(const struct jindex *ix);
/* Opens the file again and makes it what it was before the failed call, but with this state. */
_must_check_ int jindex_heal(struct jindex *ix, const struct jindex_state *state);
/* The first record from seq `from` on, copied (free() it): 0, JINDEX_END. */
enum jindex_outcome { JINDEX_END = 1 };
_must_check_ int jindex_next(struct jindex *ix, uint64_t from, uint64_t *ret_seq, void **ret,
                             size_t *ret_len);
size_t jindex_map_size(const struct jindex *ix);

/* Reads a file that nobody has open and that may be damaged; run it in a process of its own. Calls
 * fn for each sound record. 0: fn was given all there is and the state agrees; -EBADMSG: damaged;
 * -EPROTO: another format; else it could not be read at all. What fn returns other than 0 ends it.
 */
typedef int (*jindex_fn)(void *arg, uint64_t seq, const void *val, size_t len);
_must_check_ int jindex_scan(const char *path, jindex_fn fn, void *arg, struct jindex_state *ret);
/* Of a file that can be read: does it end before what its newer root says? (So may one that is sound:
 * its last page need not have been used. But one that does not was never cut.) Where the layout is
 * not known, true. */
bool jindex_is_cut(const char *path);

#endif
