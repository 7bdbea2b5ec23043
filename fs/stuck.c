/* SPDX-License-Identifier: Apache-2.0 */
/* See stuck.h. */
#include "stuck.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/macros.h"

/* proc(5): the state stands behind the name, which may have any character. */
static bool is_zombie(pid_t pid)
{
    char path[64], text[512];
    _cleanup_close_ int fd = -1;
    const char *end;
    ssize_t n;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (n <= 0)
        return false;
    text[n] = '\0';
    end = strrchr(text, ')');
    return end != NULL && end[1] == ' ' && end[2] == 'Z';
}

bool stuck_look(struct stuck *s, pid_t pid, int64_t now_ns)
{
    if (!is_zombie(pid)) {
        s->since_ns = 0;
        return false;
    }
    if (s->since_ns == 0 || s->pid != pid)
        *s = (struct stuck){.pid = pid, .since_ns = now_ns};
    return now_ns - s->since_ns >= STUCK_NS;
}
