/* SPDX-License-Identifier: Apache-2.0 */
#include "privileges.h"

#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"

uint64_t privileges_effective(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (syscall(SYS_capget, &head, data) < 0)
        return 0;
    return data[0].effective | (uint64_t)data[1].effective << 32;
}

void privileges_missing(uint64_t effective, int given_fd, char *out, size_t size)
{
    static const struct {
        uint64_t needed;
        bool is_for_fd; /* else fusermount3 does it */
        const char *what;
    } rows[] = {
        {UINT64_C(1) << CAP_SYS_ADMIN, true, "unmounting (CAP_SYS_ADMIN)"},
        {UINT64_C(1) << CAP_SYS_PTRACE | UINT64_C(1) << CAP_DAC_READ_SEARCH, false,
         "the creator's hint and duplicated descriptors of other users' processes "
         "(CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH)"},
    };
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(rows) && len < size; i++) {
        if ((effective & rows[i].needed) == rows[i].needed ||
            (rows[i].is_for_fd && given_fd <= 0))
            continue;
        snprintf(out + len, size - len, "%s%s", len > 0 ? ", " : "", rows[i].what);
        len = strlen(out);
    }
}
