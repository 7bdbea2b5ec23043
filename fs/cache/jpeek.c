/* SPDX-License-Identifier: Apache-2.0 */
/* How much stands in a journal, for who checks a directory: nothing is opened for writing, and a
 * damaged index can only end a process of its own. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "apart.h"
#include "base/err.h"
#include "base/sys.h"
#include "jrn.h"

struct peek {
    uint64_t entries, bytes;
    int r;
};

static int count_record(void *arg, uint64_t seq, const void *val, size_t len)
{
    struct peek *p = arg;
    struct jindex_rec rec;
    uint32_t crc;
    int r = jindex_decode(seq, val, len, &rec, &crc);

    if (r < 0)
        return r;
    p->entries++;
    p->bytes += rec.has_file ? rec.size : 0;
    return 0;
}

static void peek_in_child(void *arg, int fd)
{
    struct peek p = {0};
    struct jindex_state state;

    p.r = jindex_scan(arg, count_record, &p, &state);
    (void)!sys_write_all(fd, &p, sizeof(p));
}

int journal_peek(struct cache *c, uint64_t *ret_entries, uint64_t *ret_bytes)
{
    char path[PATH_MAX];
    struct peek p = {0};
    struct apart a;
    int r;

    *ret_entries = *ret_bytes = 0;
    snprintf(path, sizeof(path), "%s/journal/index", c->dir);
    if (access(path, F_OK) < 0)
        return errno == ENOENT ? 0 : err_set(-errno, "%s: %s", path, strerror(errno));
    r = apart_start(&a, 0, peek_in_child, path);
    if (r < 0)
        return err_set(r, "journal: no process to check it: %s", strerror(-r));
    r = apart_read(&a, &p, sizeof(p));
    (void)apart_end(&a);
    if (r == -EPIPE || (r == 0 && p.r == -EBADMSG))
        return err_set(-EBADMSG, "%s is damaged", path);
    if (r == 0)
        r = p.r;
    if (r < 0)
        return err_set(r, "%s: %s", path, strerror(-r));
    *ret_entries = p.entries;
    *ret_bytes = p.bytes;
    return 0;
}
