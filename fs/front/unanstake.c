/* SPDX-License-Identifier: Apache-2.0 */
/* See unanswered.h: after a death. */
#include "unansmem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"

#define INTERRUPT_BIT UINT64_C(1)

/* What the daemon before this one had; none: a page that was never written. */
static int look_at(const struct unanswered *u, struct unans_layout *ret)
{
    struct stat st;

    if (pread(u->fd, ret, sizeof(*ret), 0) != (ssize_t)sizeof(*ret) || ret->magic != UNANS_MAGIC)
        *ret = (struct unans_layout){0};
    if (ret->slot_size == 0)
        return 0;
    if (fstat(u->fd, &st) < 0 || ret->slot_size < UNANS_LEAST || ret->slot_size > (1u << 30) || ret->n > (1u << 16) ||
        (uint64_t)st.st_size < unans_length(ret))
        return err_set(-EBADMSG, "the memory for unanswered requests is not what a daemon leaves");
    return 0;
}

/* UNANS-2: as the answer to an interrupt that says nothing. ENOENT: no such request waits. */
static bool is_waiting(int fd, uint64_t unique)
{
    struct fuse_out_header probe = {.len = sizeof(probe), .unique = unique | INTERRUPT_BIT};

    return write(fd, &probe, sizeof(probe)) == (ssize_t)sizeof(probe);
}

static bool is_stored(const struct unanswered *u, uint64_t unique)
{
    for (const struct unans_stored *s = u->stored; s != NULL; s = s->next)
        if (s->unique == unique)
            return true;
    return false;
}

struct taking {
    struct unanswered *u;
    int fd;
    uint64_t *over; /* whose records can go */
    size_t n_over;
};

static int take_record(void *arg, uint64_t unique, const void *request, size_t len)
{
    struct taking *t = arg;
    uint64_t *over;

    if (len >= UNANS_LEAST && is_waiting(t->fd, unique))
        return unans_store(t->u, request, len, true);
    over = reallocarray(t->over, t->n_over + 1, sizeof(*over));
    if (over == NULL)
        return err_set(-ENOMEM, "out of memory");
    t->over = over;
    t->over[t->n_over++] = unique;
    return 0;
}

static int take_slot(struct unanswered *u, struct vfs *v, int fd, const char *at, size_t size)
{
    struct fuse_in_header h;
    int r;

    memcpy(&h, at, sizeof(h));
    if (h.len < UNANS_LEAST || h.len > size || h.unique == 0 || !unans_wants_answer(&h) || is_stored(u, h.unique) ||
        !is_waiting(fd, h.unique))
        return 0;
    r = unans_store(u, at, h.len, true);
    if (r == 0 && vfs_keep_request(v, h.unique, at, h.len) < 0) /* the table is given up: no daemon comes after this one */
        err_clear();
    return r;
}

static int take_slots(struct unanswered *u, struct vfs *v, int fd)
{
    struct unans_layout old;
    size_t len;
    char *map;
    int r = look_at(u, &old);

    if (r < 0 || old.slot_size == 0)
        return r;
    len = unans_length(&old);
    map = mmap(NULL, len, PROT_READ, MAP_SHARED, u->fd, 0);
    if (map == MAP_FAILED)
        return err_set(-errno, "memory for unanswered requests: %s", strerror(errno));
    for (uint64_t k = 0; k < old.n && r == 0; k++)
        r = take_slot(u, v, fd, map + UNANS_PAGE + k * old.slot_size, (size_t)old.slot_size);
    munmap(map, len);
    return r;
}

int unanswered_take(struct unanswered *u, struct vfs *v, int fd)
{
    struct taking t = {.u = u, .fd = fd};
    size_t n = 0;
    int r = vfs_kept_requests(v, take_record, &t);

    for (size_t k = 0; k < t.n_over && r == 0; k++)
        if (vfs_keep_request(v, t.over[k], NULL, 0) < 0)
            err_clear();
    free(t.over);
    if (r == 0)
        r = take_slots(u, v, fd);
    if (r == 0 && ftruncate(u->fd, 0) < 0) /* all of it is in the table: the slots begin anew */
        r = err_set(-errno, "memory for unanswered requests: %s", strerror(errno));
    if (r == 0)
        r = unans_map(u);
    if (r < 0)
        return r;
    memcpy(u->map, &u->layout, sizeof(u->layout));
    for (const struct unans_stored *s = u->stored; s != NULL; s = s->next)
        n++;
    log_info("takeover.requests", "unanswered=%zu", n);
    return 0;
}

size_t unanswered_next(struct unanswered *u, void *buf, size_t len)
{
    struct unans_stored *s;
    size_t n = 0;

    lock_take(&u->lock);
    for (s = u->stored; s != NULL && (s->request == NULL || s->len > len); s = s->next)
        ;
    if (s != NULL) {
        n = s->len;
        memcpy(buf, s->request, n);
        free(s->request);
        s->request = NULL;
    }
    lock_drop(&u->lock);
    return n;
}
