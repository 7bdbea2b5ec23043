/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/self/mountstats of the kernel's NFS client (statvers 1.0 and 1.1). Pure. */
#ifndef S3EFS_FS_COMPARE_MOUNTSTATS_H
#define S3EFS_FS_COMPARE_MOUNTSTATS_H

#include "counts.h"

/* The operations and bytes of the topmost NFS mount at mountpoint; bytes_up and bytes_down are what
 * went to and came from the server for files. -ENOENT: no NFS is mounted there; -EBADMSG: its
 * paragraph is not understood. */
_must_check_ int mountstats_parse(const char *text, const char *mountpoint, struct counts *ret);

#endif
