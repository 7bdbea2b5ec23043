/* SPDX-License-Identifier: Apache-2.0 */
/* A range of a file as a body to send. */
#include <errno.h>

#include "internal.h"

static int source_read(void *ctx, uint64_t off, void *buf, size_t len)
{
    struct data_source *ds = ctx;
    if (len == 0)
        return 0;
    file_read_begin_now(ds->file);
    ssize_t n = file_read(ds->file, ds->off + off, buf, len, false);
    file_read_end(ds->file);
    if (n < 0)
        return (int)n;
    if ((size_t)n != len)
        return err_set(-EIO, "the file was cut while it was being sent");
    return 0;
}

void data_source_init(struct data_source *ds, struct data_file *f, uint64_t off, uint64_t len)
{
    *ds = (struct data_source){
        .src = {.size = len, .read = source_read, .ctx = ds},
        .file = f,
        .off = off,
    };
}
