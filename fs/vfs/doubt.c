/* SPDX-License-Identifier: Apache-2.0 */
/* What the cache knows of an object is in doubt while a new version of it is on its way: a mount
 * that dies then leaves no word of whether it arrived, and the next one must not show the attributes
 * of the version before it from its cache. Where only attributes change (chmod, chown, utimens,
 * setxattr) the ETag stays, and Last-Modified may within its grain, so no listing would tell. */
#include "internal.h"

#include <string.h>

#include "base/str.h"

/* The name's dentry need not be here any more: the key says which it is. */
static void make_stale_locked(struct vfs *v, const char *key)
{
    char asked[VFS_KEY_MAX + 2];

    for (struct asking *a = v->locked.asking; a != NULL; a = a->next)
        if (a->name != NULL && str_ends(key, a->name) &&
            inode_key_locked(v, a->dir, a->name, asked) == 0 && strcmp(asked, key) == 0)
            a->is_stale = true;
}

/* What was asked for before the answer may have been seen before the change, and come after it. */
int commit_upload(struct vfs *v, const struct upload_req *req, struct store_obj *ret)
{
    struct cache_doubt doubt;
    int r;

    if (req->cond.kind == STORE_IF_ABSENT)
        return upload_commit(v->upload, req, ret);
    cache_obj_doubt(v->cache, req->key, &doubt);
    r = upload_commit(v->upload, req, ret);
    lock_take(&v->tree);
    make_stale_locked(v, req->key);
    lock_drop(&v->tree);
    cache_obj_answered(v->cache, &doubt);
    return r;
}
