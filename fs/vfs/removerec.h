/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal says of a name that was removed here and whose object the bucket still has
 * (commit=local, removal.h). Pure. Read as if a stranger had written it. */
#ifndef S3EFS_VFS_REMOVEREC_H
#define S3EFS_VFS_REMOVEREC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "store/store.h"
#include "vfs/vfs.h"

#define REMOVEREC_MAX 4096u /* bytes */

struct removerec {
    char key[VFS_KEY_MAX + 1]; /* of a file */
    struct store_etag etag;    /* the version that was removed; set */
    char id[33];               /* of its file; "": not known */
    uint64_t obj_size;
    bool is_moved;  /* the file stands under another name (relocate.h): gone is what carries this ctime, */
    char ctime[32]; /* as its header has it; "": none */
};

bool removerec_is(const void *data, size_t len); /* a record of this kind, whole or not? */
_must_check_ int removerec_encode(const struct removerec *r, struct buf *out); /* -ENOMEM, -E2BIG */
/* -EBADMSG. What is given is whole: a key that a file can have, an ETag and an id without strange
 * bytes. */
_must_check_ int removerec_decode(const void *data, size_t len, struct removerec *ret);

#endif
