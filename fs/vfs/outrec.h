/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal says of a file whose close has returned and whose bytes are not in the bucket
 * yet, or of a directory whose marker is not (commit=local, outbox.c): all that its one commit needs after a crash, but for the bytes,
 * which stand in the entry's stage. Pure. The encoding has a version and is read as if a stranger
 * had written it. */
#ifndef S3EFS_VFS_OUTREC_H
#define S3EFS_VFS_OUTREC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "data/data.h"
#include "objattr.h"
#include "store/store.h"
#include "upload/upload.h"
#include "vfs/vfs.h"

#define OUTREC_DOUBTS 16
#define OUTREC_LINKS 4u /* more names than one; a file with more than these is linked in the bucket */
#define OUTREC_MAX (4u << 20) /* bytes; a file in more pieces is not journaled */

struct outrec {
    char key[VFS_KEY_MAX + 1];
    struct objattr attr;    /* without size and link_gen */
    struct store_etag etag; /* the version that the file started from; unset: there was none */
    uint64_t obj_size;
    int64_t obj_mtime_ns;
    bool is_new, is_excl, is_trunc, is_replacing; /* as in struct inode */
    unsigned attr_set;              /* VFS_SET_* */
    uint32_t attr_ages;             /* by the tries that doubts name, the newest first (stored.h); an older s3efs wrote 0 */
    bool tail_is_on, tail_is_mixed;
    uint64_t tail_off, tail_end;
    struct data_state bytes;
    struct store_hdrs edits;
    struct store_hdrs hdrs; /* of that version, as far as they are known: none are as good */
    char mark[UPLOAD_MARK_SIZE];                  /* of its commit */
    char doubts[OUTREC_DOUBTS][UPLOAD_MARK_SIZE]; /* of earlier ones that may have taken effect */
    unsigned n_doubts;
    struct {
        char key[VFS_KEY_MAX + 1]; /* "": none */
        struct store_etag etag;    /* set, if there is one */
        uint64_t obj_size;
        char ctime[32]; /* its header */
        bool is_same;   /* the bytes are those that it has */
    } from; /* the object that it is a rename of, to be removed when the bucket has it (relocate.h) */
    char links[OUTREC_LINKS][VFS_KEY_MAX + 1]; /* of a new file: other names of it, hard links that are to be made (linked.h) */
    unsigned n_links;
    uint64_t order; /* the number of the first entry since the bucket had the file; 0: this one */
};

/* Another client's headers may be such as no record would be read back with. */
bool outrec_holds(const struct store_hdrs *hdrs);
/* Appends to out; -ENOMEM, -E2BIG. */
_must_check_ int outrec_encode(const struct outrec *r, struct buf *out);
/* 0 or -EBADMSG, -ENOMEM (then *ret is zeroed). What is given is whole: a key that a file can have, or a directory,
 * extents in order and within the size, marks and headers without strange bytes. */
_must_check_ int outrec_decode(const void *data, size_t len, struct outrec *ret);
void outrec_done(struct outrec *r); /* idempotent; legal on a zeroed struct */

#endif
