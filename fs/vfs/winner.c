/* SPDX-License-Identifier: Apache-2.0 */
/* A creator without O_EXCL whose name another client was faster with has opened that file (protocol
 * 2): it stays what it is, with its id, owner, mode, type and headers; only its bytes are replaced.
 * Where the lookup asked nothing (excl=close) nobody checked that the creator may do that: it is
 * done here. */
#include "internal.h"

#include <errno.h>
#include <string.h>

#include "access.h"
#include "base/err.h"

/* 0, -EACCES, -EEXIST, -ENOMEM: the errno of the close. */
int winner_adopt(struct vfs *v, struct inode *i, const char *key, const struct store_obj *there)
{
    const struct objattr_defaults d = vfs_defaults(v);
    struct store_hdrs hdrs = {0};
    struct access_file f;
    struct access_user who;
    struct objattr theirs;
    int r;

    objattr_decode(&d, key, false, there, &theirs);
    f = (struct access_file){theirs.mode, theirs.uid, theirs.gid};
    if (!S_ISREG(theirs.mode))
        return err_set(-EEXIST, "%s was made by another client as something else", key);
    lock_take(&v->tree);
    who = (struct access_user){.uid = i->attr.uid, .gid = i->attr.gid};
    lock_drop(&v->tree);
    enforce_user(v, &who);
    r = access_check(&who, &f, ACCESS_W);
    if (r < 0)
        return err_set(r, "%s exists, and its creator may not write to it", key);
    r = store_hdrs_copy(&hdrs, &there->hdrs);
    if (r < 0)
        return r;
    lock_take(&v->tree);
    memcpy(i->attr.id, theirs.id, sizeof(theirs.id));
    inode_note_id_locked(v, i);
    i->attr.mode = theirs.mode;
    i->attr.uid = theirs.uid;
    i->attr.gid = theirs.gid;
    store_hdrs_done(&i->hdrs);
    i->hdrs = hdrs;
    lock_drop(&v->tree);
    return 0;
}
