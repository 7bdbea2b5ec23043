/* SPDX-License-Identifier: Apache-2.0 */
/* What the cache knows of an object is in doubt while a new version of it is on its way: a mount
 * that dies then leaves no word of whether it arrived, and the next one must not show the attributes
 * of the version before it from its cache. Where only attributes change (chmod, chown, utimens,
 * setxattr) the ETag stays, and Last-Modified may within its grain, so no listing would tell. */
#include "internal.h"

int commit_upload(struct vfs *v, const struct upload_req *req, struct store_obj *ret)
{
    if (req->cond.kind != STORE_IF_ABSENT)
        cache_obj_doubt(v->cache, req->key);
    return upload_commit(v->upload, req, ret);
}
