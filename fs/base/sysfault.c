/* SPDX-License-Identifier: Apache-2.0 */
/* Counts calls by kind and fails the n-th; ends the process at a named point. */
#include "sysfault.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "base/sys.h"

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
#endif

#ifdef S3EFS_CRASH_POINTS
/* The first pass, unless it says which one. */
static uint64_t nth_of(const char *at, size_t len)
{
    uint64_t n = 1;

    return at[len] == ':' && str_u64(at + len + 1, 10, &n) == 0 ? n : 1;
}

void crash_point(const char *name)
{
    static atomic_uint_fast64_t passed; /* only one point is named in the life of a process */
    const char *at = getenv("S3EFS_CRASH_AT");
    size_t len = strlen(name);

    if (at == NULL || strncmp(at, name, len) != 0 || (at[len] != '\0' && at[len] != ':'))
        return;
    if (atomic_fetch_add(&passed, 1) + 1 == nth_of(at, len))
        kill(getpid(), SIGKILL);
}
#endif
