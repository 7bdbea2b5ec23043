/* SPDX-License-Identifier: Apache-2.0 */
/* A key and the keys below it are strangers to a bucket, so a file and a directory can have one
 * name there, and then the file is not seen. The lookup before a create asks for both; but a file
 * that stays open for long before its first commit may find that another client has made a
 * directory of its name meanwhile. What was asked longer ago than attributes are believed is asked
 * again. (What is left is a race within that time. Under excl=close nobody asks.) */
#include "internal.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"

static bool is_due_locked(const struct vfs *v, const struct inode *i)
{
    return i->is_new && !store_etag_is_set(&i->etag) && v->conf.excl != VFS_EXCL_CLOSE &&
           i->dirty_since_ns != 0 && clock_boot_ns() - i->dirty_since_ns >= v->conf.acregmin_ns;
}

/* With io held, before the first commit. 0; -EEXIST or -EISDIR: a directory has the name. */
int shadow_check(struct vfs *v, struct inode *i, const char *key)
{
    char below[VFS_KEY_MAX + 3];
    struct store_req req = {.op = STORE_LIST, .prefix = below, .max_keys = 1};
    struct store_rsp rsp = {0};
    bool is_due, is_excl;
    int r;

    lock_take(&v->tree);
    is_due = is_due_locked(v, i);
    is_excl = i->is_excl;
    lock_drop(&v->tree);
    if (!is_due)
        return 0;
    snprintf(below, sizeof(below), "%s/", key);
    r = err_fold(store_call(v->store, &req, &rsp));
    if (r == 0 && rsp.list.n > 0)
        r = err_set(is_excl ? -EEXIST : -EISDIR, "%s is a directory by now, of another client",
                    key);
    store_rsp_done(&rsp);
    return r;
}
