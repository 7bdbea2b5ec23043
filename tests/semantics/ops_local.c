/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of commit=local: what its calls ask of the bucket, and what goes there afterwards. */
#include "costs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define TEXT "hello world"

int with_local(struct rig *r)
{
    r->conf.commit = VFS_COMMIT_LOCAL;
    return rig_remount(r);
}

/* As the kernel asks: nothing before the create. */
static int create(struct rig *r, const char *name)
{
    uint64_t fh;
    int x = rig_creat(r, name, O_WRONLY, 0644, &fh);

    if (x < 0)
        return x;
    if (vfs_write(r->vfs, &r->ctx, fh, 0, TEXT, strlen(TEXT)) < 0)
        return -EIO;
    return rig_shut(r, fh);
}

int do_local_create(struct rig *r)
{
    return create(r, "f");
}

int have_unsent(struct rig *r)
{
    int x = with_local(r);

    return x < 0 ? x : create(r, "f");
}

int do_local_again(struct rig *r)
{
    int x = 0;

    for (int k = 0; k < 20 && x == 0; k++)
        x = rig_put(r, "f", TEXT, strlen(TEXT));
    return x < 0 ? x : vfs_drain(r->vfs);
}

int do_local_rename(struct rig *r)
{
    uint64_t dir = VFS_ROOT;
    int x = vfs_rename(r->vfs, &r->ctx, dir, "f", dir, "g", 0);

    return x < 0 ? x : vfs_drain(r->vfs);
}

int do_local_unlink(struct rig *r)
{
    int x = rig_unlink(r, "f");

    return x < 0 ? x : vfs_drain(r->vfs);
}

int have_sent(struct rig *r)
{
    int x = have_unsent(r);

    return x < 0 ? x : vfs_drain(r->vfs);
}

/* As the kernel asks: nothing before it. */
int do_local_symlink(struct rig *r)
{
    struct vfs_entry e;
    int x = vfs_symlink(r->vfs, &r->ctx, "target", VFS_ROOT, "s", &e);

    if (x < 0)
        return x;
    vfs_forget(r->vfs, e.node, 1);
    return vfs_drain(r->vfs);
}

int do_local_mkdir_only(struct rig *r)
{
    struct vfs_entry e = {0};
    char names[16];
    int x = vfs_mkdir(r->vfs, &r->ctx, VFS_ROOT, "d", 0755, &e);

    if (x == 0)
        x = rig_put(r, "d/f", "text", 4) ?: rig_ls(r, "d", names, sizeof(names));
    if (e.node != 0)
        vfs_forget(r->vfs, e.node, 1);
    return x;
}

int do_local_mkdir(struct rig *r)
{
    return do_local_mkdir_only(r) ?: vfs_drain(r->vfs);
}

int do_local_unlink_only(struct rig *r)
{
    return rig_unlink(r, "f");
}

int do_local_anew(struct rig *r)
{
    int x = rig_unlink(r, "f");

    if (x == 0)
        x = create(r, "f");
    return x < 0 ? x : vfs_drain(r->vfs);
}

int do_local_chmod_only(struct rig *r)
{
    return rig_chmod(r, "f", 0600);
}

int do_local_attributes(struct rig *r)
{
    int x = rig_chown(r, "f", 1, 1);

    return x < 0 ? x : do_local_chmod(r);
}

int do_local_chmod(struct rig *r)
{
    int x = rig_chmod(r, "f", 0600);

    return x < 0 ? x : vfs_drain(r->vfs);
}
