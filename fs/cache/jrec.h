/* SPDX-License-Identifier: Apache-2.0 */
/* The state record of the journal's index, as it is kept. Pure. */
#ifndef S3EFS_CACHE_JREC_H
#define S3EFS_CACHE_JREC_H

#include "jindex.h"

/* Its key; it sorts after all numbers, which begin with a zero byte. */
#define JINDEX_STATE_KEY "S"
#define JINDEX_MAX_MAP ((size_t)64 << 30) /* of address space */

struct jindex_state_val {
    uint8_t format, kind;
    uint16_t zero;
    uint32_t crc;
    uint64_t next, count, digest;
};
struct jindex_state_val jindex_state_encode(const struct jindex_state *s);
/* -EPROTO: of a later format. -EBADMSG: damaged. */
_must_check_ int jindex_state_decode(const void *p, size_t n, struct jindex_state *ret);

#endif
