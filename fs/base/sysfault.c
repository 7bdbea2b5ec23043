/* SPDX-License-Identifier: Apache-2.0 */
/* Counts calls by kind and fails the n-th; ends the process at a named point. */
#include "sysfault.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    _Atomic uint64_t calls, fail_at;
    atomic_int err;
    atomic_bool persistent;
} faults[SYS_KINDS];

void sys_fault_set(enum sys_kind kind, uint64_t nth, int err, bool persistent)
{
    atomic_store(&faults[kind].err, err);
    atomic_store(&faults[kind].persistent, persistent);
    atomic_store(&faults[kind].fail_at, nth == 0 ? 0 : atomic_load(&faults[kind].calls) + nth);
}

uint64_t sys_fault_calls(enum sys_kind kind)
{
    return atomic_load(&faults[kind].calls);
}

#ifdef S3EFS_FAULTS
int sys_fault(enum sys_kind kind)
{
    uint64_t call = atomic_fetch_add(&faults[kind].calls, 1) + 1;
    uint64_t at = atomic_load(&faults[kind].fail_at);

    if (at == 0 || call < at || (call > at && !atomic_load(&faults[kind].persistent)))
        return 0;
    return -atomic_load(&faults[kind].err);
}

void crash_point(const char *name)
{
    const char *at = getenv("S3EFS_CRASH_AT");

    if (at != NULL && strcmp(at, name) == 0)
        _exit(137);
}
#endif
