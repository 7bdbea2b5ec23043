/* SPDX-License-Identifier: Apache-2.0 */
#include "access.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/err.h"

#define STAYS ((uid_t)-1)

static bool is_root(const struct access_user *u)
{
    return u->uid == 0;
}

bool access_in_group(const struct access_user *u, gid_t gid)
{
    if (u->gid == gid)
        return true;
    for (size_t i = 0; i < u->n_groups; i++)
        if (u->groups[i] == gid)
            return true;
    return false;
}

/* The first class that fits decides, also if the next one had more (path_resolution(7)). */
int access_check(const struct access_user *u, const struct access_file *f, unsigned want)
{
    unsigned has = f->mode & 7;

    if (is_root(u)) /* executes what anybody may */
        has = ACCESS_R | ACCESS_W | (S_ISDIR(f->mode) || (f->mode & 0111) != 0 ? ACCESS_X : 0);
    else if (u->uid == f->uid)
        has = (f->mode >> 6) & 7;
    else if (access_in_group(u, f->gid))
        has = (f->mode >> 3) & 7;
    return (want & ~has) == 0 ? 0 : err_set(-EACCES, "uid %u may not", (unsigned)u->uid);
}

int access_name(const struct access_user *u, const struct access_file *dir,
                const struct access_file *victim)
{
    int r = access_check(u, dir, ACCESS_W | ACCESS_X);

    if (r < 0 || victim == NULL || (dir->mode & S_ISVTX) == 0 || is_root(u))
        return r;
    if (u->uid != victim->uid && u->uid != dir->uid)
        return err_set(-EPERM, "the directory is sticky, and neither it nor the file is uid %u's",
                       (unsigned)u->uid);
    return 0;
}

static int check_owner(const struct access_user *u, const struct access_file *f)
{
    if (is_root(u) || u->uid == f->uid)
        return 0;
    return err_set(-EPERM, "it is not uid %u's", (unsigned)u->uid);
}

int access_chmod(const struct access_user *u, const struct access_file *f, mode_t *mode)
{
    int r = check_owner(u, f);

    if (r == 0 && !is_root(u) && !access_in_group(u, f->gid))
        *mode &= ~(mode_t)S_ISGID;
    return r;
}

int access_chown(const struct access_user *u, const struct access_file *f, uid_t uid, gid_t gid,
                 mode_t *mode)
{
    int r = 0;

    *mode = f->mode;
    if (!is_root(u)) {
        if (uid != STAYS && (uid != f->uid || u->uid != f->uid))
            r = err_set(-EPERM, "only root gives files away");
        if (r == 0 && gid != STAYS)
            r = check_owner(u, f);
        if (r == 0 && gid != STAYS && gid != f->gid && !access_in_group(u, gid))
            r = err_set(-EPERM, "uid %u is not in group %u", (unsigned)u->uid, (unsigned)gid);
    }
    if (r == 0 && !S_ISDIR(f->mode)) { /* also for root, as on Linux */
        *mode &= ~(mode_t)S_ISUID;
        if ((f->mode & S_IXGRP) != 0)
            *mode &= ~(mode_t)S_ISGID;
    }
    return r;
}

int access_utimes(const struct access_user *u, const struct access_file *f, bool to_now)
{
    int r = check_owner(u, f);

    if (r < 0 && to_now)
        r = access_check(u, f, ACCESS_W);
    return r;
}

void access_new(const struct access_user *u, const struct access_file *dir, struct access_file *f)
{
    f->uid = u->uid;
    f->gid = u->gid;
    if ((dir->mode & S_ISGID) == 0)
        return;
    f->gid = dir->gid;
    if (S_ISDIR(f->mode))
        f->mode |= S_ISGID;
    else if ((f->mode & S_IXGRP) != 0 && !is_root(u) && !access_in_group(u, dir->gid))
        f->mode &= ~(mode_t)S_ISGID;
}
