/* SPDX-License-Identifier: Apache-2.0 */
/* How long attributes hold: NFS's adaptive times (nfs(5), acregmin and friends). Pure. */
#ifndef S3EFS_VFS_VALIDATE_H
#define S3EFS_VFS_VALIDATE_H

#include <stdbool.h>
#include <stdint.h>

static inline bool validate_is_fresh(int64_t now_ns, int64_t checked_ns, int64_t ac_ns)
{
    return checked_ns > 0 && now_ns - checked_ns < ac_ns;
}

/* What was confirmed unchanged is trusted twice as long as last time, up to max; a change starts
 * again at min. */
static inline int64_t validate_next(int64_t ac_ns, bool is_same, int64_t min_ns, int64_t max_ns)
{
    int64_t next = is_same && ac_ns > 0 ? 2 * ac_ns : min_ns;

    return next > max_ns ? max_ns : next < min_ns && min_ns <= max_ns ? min_ns : next;
}

#endif
