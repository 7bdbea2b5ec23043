/* SPDX-License-Identifier: Apache-2.0 */
/* How far the kernel reads ahead in our files. It offers its default in INIT (128 KiB) and takes no more than it has, so more
 * is asked for where an administrator would: in sysfs (Documentation/ABI/testing/sysfs-class-bdi). Needs root, as EFS's
 * mount helper does, which sets 15 MiB; without it all stays as it was. Half of the calls for the same bytes. */
#include "internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"

#define READAHEAD (256u << 10) /* larger answers cost more for their memory than they save in calls */

uint32_t readahead_want(const struct front *f)
{
    return f->max_request < READAHEAD ? f->max_request : READAHEAD;
}

static int set(const char *path, uint64_t kib)
{
    _cleanup_close_ int fd = sys_open(path, O_RDWR, 0);
    char text[24] = "";
    uint64_t now;
    ssize_t n;

    if (fd < 0)
        return fd;
    n = sys_pread(fd, text, sizeof(text) - 1, 0);
    if (n < 0)
        return (int)n;
    text[strcspn(text, "\n")] = '\0';
    if (str_u64(text, 10, &now) == 0 && now >= kib)
        return 0; /* it was set already, or is larger here */
    snprintf(text, sizeof(text), "%ju", (uintmax_t)kib);
    return sys_pwrite_all(fd, text, strlen(text), 0);
}

void readahead_ask(const struct front *f, unsigned major, unsigned minor)
{
    char path[80];
    int r;

    if (major != 0)
        return; /* no file system without a device: something else is at the path by now */
    snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major, minor);
    r = set(path, readahead_want(f) >> 10);
    if (r < 0)
        log_debug("front.readahead", "path=%s error=%d", path, -r);
}
