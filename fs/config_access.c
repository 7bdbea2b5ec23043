/* SPDX-License-Identifier: Apache-2.0 */
/* posix_user= and root_creation=, as EFS's access points have them. */
#include "options.h"

#include <errno.h>
#include <string.h>
#include "base/err.h"
#include "base/str.h"

/* The next word of "a:b:c" as a number; *p is behind it, NULL at the end. */
static int next_id(const char **p, unsigned base, uint64_t max, uint32_t *ret)
{
    const char *colon = strchr(*p, ':');
    size_t n = colon != NULL ? (size_t)(colon - *p) : strlen(*p);
    char word[16];
    uint64_t v;

    if (n == 0 || n >= sizeof(word))
        return -EINVAL;
    memcpy(word, *p, n);
    word[n] = '\0';
    if (str_u64(word, base, &v) < 0 || v > max)
        return -EINVAL;
    *ret = (uint32_t)v;
    *p = colon != NULL ? colon + 1 : NULL;
    return 0;
}

#define ID_LAST (UINT32_MAX - 1)

static int parse_user(struct config *c)
{
    const char *p = c->posix_user;
    int r = next_id(&p, 10, ID_LAST, &c->user.uid);

    if (r == 0)
        r = p != NULL ? next_id(&p, 10, ID_LAST, &c->user.gid) : -EINVAL;
    while (r == 0 && p != NULL) {
        if (c->user.n_groups == CONFIG_GROUPS_MAX)
            return err_set(-EINVAL, "option posix_user=%s: at most %d secondary groups", c->posix_user,
                           CONFIG_GROUPS_MAX);
        r = next_id(&p, 10, ID_LAST, &c->user.groups[c->user.n_groups]);
        c->user.n_groups += r == 0;
    }
    return r == 0 ? 0 : err_set(r, "option posix_user=%s: must be UID:GID[:GID...], numbers", c->posix_user);
}

static int parse_root(struct config *c)
{
    const char *p = c->root_creation;
    int r = next_id(&p, 10, ID_LAST, &c->root.uid);

    if (r == 0)
        r = p != NULL ? next_id(&p, 10, ID_LAST, &c->root.gid) : -EINVAL;
    if (r == 0)
        r = p != NULL ? next_id(&p, 8, 07777, &c->root.mode) : -EINVAL;
    if (r < 0 || p != NULL)
        return err_set(-EINVAL, "option root_creation=%s: must be UID:GID:MODE, the mode octal", c->root_creation);
    return 0;
}

int config_access_point(struct config *c)
{
    int r = 0;

    if (c->posix_user != NULL) {
        r = parse_user(c);
        if (r == 0 && config_given(c, "default_permissions") && c->default_permissions)
            r = err_set(-EINVAL, "options posix_user and default_permissions: the kernel would check "
                        "its callers, not that user");
        c->default_permissions = false;
        /* What other tools put there belongs to nobody else either. */
        if (!config_given(c, "uid"))
            c->uid = c->user.uid;
        if (!config_given(c, "gid"))
            c->gid = c->user.gid;
    }
    if (r == 0 && c->root_creation != NULL)
        r = parse_root(c);
    return r;
}
