/* SPDX-License-Identifier: Apache-2.0 */
/* A number that any mount adds one to under its lock. The promise: whoever is told 0 has added one,
 * to what the one before had made of it; so under the lock the number is never less than those are,
 * nor more than those and the ones that may have been done although they were said to have failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "mounts.h"

#define OWNER 7

const char *const counters[N_COUNTERS] = {"n-flock", "n-posix"};
static const enum lock_kind kinds[N_COUNTERS] = {LOCK_FLOCK, LOCK_POSIX};

static unsigned counter_of(const struct doing *d)
{
    return d->m->len % N_COUNTERS;
}

static int set_lock(const struct doing *d, uint64_t node, enum lock_type type)
{
    const struct vfs_lock l = {
        kinds[counter_of(d)], type, {0, LOCK_END}, OWNER, (int)w.rig[d->m->mount].ctx.pid};

    return vfs_lock_set(w.rig[d->m->mount].vfs, node, &l, NULL);
}

static int read_number(const struct doing *d, uint64_t fh, unsigned long *ret)
{
    char text[16] = "";
    ssize_t n = vfs_read(w.rig[d->m->mount].vfs, fh, 0, text, sizeof(text) - 1);

    *ret = n > 0 ? strtoul(text, NULL, 10) : 0;
    return n < 0 ? (int)n : 0;
}

static int write_number(const struct doing *d, uint64_t fh, unsigned long number)
{
    struct rig *r = &w.rig[d->m->mount];
    char text[16];
    ssize_t n;

    snprintf(text, sizeof(text), "%-8lu", number);
    n = vfs_write(r->vfs, &r->ctx, fh, 0, text, 8);
    return n == 8 ? 0 : n < 0 ? (int)n : -EIO;
}

/* With the lock held: adds one, and gives it up. *ret_sent: somebody may see it. */
static int add_one(struct doing *d, uint64_t node, uint64_t fh, bool *ret_sent)
{
    unsigned i = counter_of(d);
    unsigned long least = w.counted[i].n, most, number;
    int r = read_number(d, fh, &number), x;

    most = w.counted[i].n + w.counted[i].maybe;
    model_note("      lock: %d, number %lu of %lu to %lu", r, number, least, most);
    if (r == 0)
        r = write_number(d, fh, number + 1);
    *ret_sent = r == 0;
    w.counted[i].maybe += *ret_sent; /* from now on it may be there */
    x = set_lock(d, node, LOCK_TYPE_NONE);
    r = r < 0 ? r : x;
    if (r == 0 && !w.has_failed && (number < least || number > most))
        (void)model_fail("mount %u: under the lock the number was %lu, and %lu had added one",
                         d->m->mount, number, least); /* who is told EIO may have read an old one */
    return r;
}

int do_lock_add(struct doing *d)
{
    struct rig *rig = &w.rig[d->m->mount];
    unsigned i = counter_of(d);
    struct mhandle h = {0};
    bool was_sent = false;
    int r = open_path(rig, counters[i], O_RDWR | O_CREAT, &h), x;

    if (r == 0) {
        r = set_lock(d, h.node, LOCK_TYPE_WRITE);
        if (r == 0)
            r = add_one(d, h.node, h.fh, &was_sent);
        x = rig_shut(rig, h.fh);
        r = r < 0 ? r : x;
    }
    model_note("      add: %s", r < 0 ? strerror(-r) : "ok");
    if (r == 0) {
        w.counted[i].n++;
        w.counted[i].maybe--;
        return 0;
    }
    d->has_erred = true;
    /* Refused for good, unless a reply was lost. */
    w.counted[i].maybe -= was_sent && d->m->fault == F_NONE;
    if (r == -EAGAIN || r == -ESTALE || d->had_hold || error_is_fault(d, r) ||
        w.doing->outer != NULL)
        return 0;
    return model_fail("mount %u: adding one under the lock: %s (%s)", d->m->mount, strerror(-r),
                      err_text());
}

int check_counter(void)
{
    for (int i = 0; i < N_COUNTERS; i++) {
        char *data = NULL;
        unsigned long number = 0;

        if (memstore_get(w.rig[0].store, counters[i], NULL, &data) == 0)
            number = strtoul(data, NULL, 10);
        free(data);
        if (number < w.counted[i].n || number > w.counted[i].n + w.counted[i].maybe)
            return model_fail("at rest: %lu have added one (and %lu perhaps), and %s is %lu",
                              w.counted[i].n, w.counted[i].maybe, counters[i], number);
    }
    return 0;
}
