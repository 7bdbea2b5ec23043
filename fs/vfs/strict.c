/* SPDX-License-Identifier: Apache-2.0 */
/* excl=strict: O_EXCL is decided at open, also between mounts. The name is reserved, then the
 * bucket is asked once more whether it is there (it may have been made and given back since the
 * lookup). The reservation lasts until the first commit has made the name, or its creator is gone.
 * All of this with the inode's io held; the conditional PUT still decides against mounts that do
 * not reserve. */
#include "removal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "coord/reserve.h"

struct strict {
    struct reservation r;
    char key[VFS_KEY_MAX + 2]; /* as it was: the name may move meanwhile */
};

static int check_absent(struct vfs *v, const char *key)
{
    struct store_req req = {.op = STORE_HEAD, .key = key};
    struct store_rsp rsp = {0};
    int r = removal_settle(v, key);

    if (r < 0)
        return r;
    r = store_call(v->store, &req, &rsp);
    store_rsp_done(&rsp);
    if (r == 0)
        return err_set(-EEXIST, "%s exists", key);
    return r == STORE_NOT_FOUND ? 0 : err_fold(r);
}

int strict_reserve(struct vfs *v, struct inode *i)
{
    struct strict *s;
    int r;

    if (v->conf.excl != VFS_EXCL_STRICT)
        return 0;
    s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    lock_take(&v->tree);
    r = inode_key_locked(v, i, NULL, s->key);
    lock_drop(&v->tree);
    if (r == 0)
        r = reserve_take(v->coord, s->key, &s->r);
    if (r == RESERVE_TAKEN)
        r = err_set(-EEXIST, "%s is being created by another client", s->key);
    if (r < 0) {
        free(s);
        return r;
    }
    i->strict = s;
    r = check_absent(v, s->key);
    if (r < 0)
        strict_end(v, i);
    return r;
}

void strict_end(struct vfs *v, struct inode *i)
{
    struct strict *s = i->strict;

    if (s == NULL)
        return;
    i->strict = NULL;
    reserve_end(v->coord, s->key, &s->r);
    free(s);
}
