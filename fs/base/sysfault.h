/* SPDX-License-Identifier: Apache-2.0 */
/* Disk faults for the tests: 0, or the errno that this call is to fail with. Compiled out of
 * release builds. */
#ifndef S3EFS_BASE_SYSFAULT_H
#define S3EFS_BASE_SYSFAULT_H

#include "base/sys.h"

#ifdef S3EFS_FAULTS
int sys_fault(enum sys_kind kind);
#else
static inline int sys_fault(enum sys_kind kind)
{
    (void)kind;
    return 0;
}
#endif

#endif
