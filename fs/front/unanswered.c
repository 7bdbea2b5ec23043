/* SPDX-License-Identifier: Apache-2.0 */
/* See unanswered.h: while all is well. */
#include "unansmem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"

#define SPARE_SLOTS 8 /* threads that end and threads that begin meet */

/* --- the memory --- */

size_t unans_length(const struct unans_layout *l)
{
    return UNANS_PAGE + (size_t)l->slot_size * l->n;
}

int unans_map(struct unanswered *u)
{
    void *map;

    u->map_len = unans_length(&u->layout);
    if (ftruncate(u->fd, (off_t)u->map_len) < 0)
        return err_set(-errno, "memory for unanswered requests: %s", strerror(errno));
    map = mmap(NULL, u->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd, 0);
    if (map == MAP_FAILED)
        return err_set(-errno, "memory for unanswered requests: %s", strerror(errno));
    u->map = map;
    return 0;
}

static void unmap_memory(struct unanswered *u)
{
    if (u->map != NULL)
        munmap(u->map, u->map_len);
    u->map = NULL;
}

static void end_slot(void *arg);

int unanswered_new(int memory, unsigned threads, size_t max, struct unanswered **ret)
{
    struct unanswered *u = calloc(1, sizeof(*u));
    int r = 0;

    if (u == NULL)
        return err_set(-ENOMEM, "out of memory");
    lock_init(&u->lock, LOCK_LEAF);
    u->layout = (struct unans_layout){UNANS_MAGIC, (max / UNANS_PAGE + 2) * UNANS_PAGE, threads + SPARE_SLOTS};
    u->is_ours = memory <= 0;
    u->fd = u->is_ours ? memfd_create("s3efs-requests", MFD_CLOEXEC) : memory;
    u->slots = calloc(u->layout.n, sizeof(*u->slots));
    if (u->fd < 0)
        r = err_set(-errno, "memfd_create: %s", strerror(errno));
    else if (u->slots == NULL || pthread_key_create(&u->key, end_slot) != 0)
        r = err_set(-ENOMEM, "out of memory");
    else
        u->has_key = true;
    if (r == 0 && u->is_ours)
        r = unans_map(u);
    if (r == 0 && u->is_ours)
        memcpy(u->map, &u->layout, sizeof(u->layout));
    if (r < 0) {
        unanswered_free(u);
        return r;
    }
    *ret = u;
    return 0;
}

void unanswered_free(struct unanswered *u)
{
    struct unans_stored *s;

    if (u == NULL)
        return;
    if (u->has_key)
        pthread_key_delete(u->key);
    while ((s = u->stored) != NULL) {
        u->stored = s->next;
        free(s->request);
        free(s);
    }
    unmap_memory(u);
    if (u->is_ours && u->fd >= 0)
        close(u->fd);
    free(u->slots);
    lock_done(&u->lock);
    free(u);
}

int unanswered_fd(const struct unanswered *u)
{
    return u->fd;
}

/* --- while all is well --- */

bool unans_wants_answer(const struct fuse_in_header *h)
{
    return h->opcode != FUSE_FORGET && h->opcode != FUSE_BATCH_FORGET && h->opcode != FUSE_INTERRUPT;
}

/* In the order in which they were made. */
int unans_store(struct unanswered *u, const void *request, size_t len, bool is_to_serve)
{
    const struct fuse_in_header *h = request;
    struct unans_stored *s = calloc(1, sizeof(*s)), **at = &u->stored;

    if (s != NULL && is_to_serve)
        s->request = malloc(len);
    if (s == NULL || (is_to_serve && s->request == NULL)) {
        free(s);
        return err_set(-ENOMEM, "out of memory");
    }
    if (is_to_serve)
        memcpy(s->request, request, len);
    s->unique = h->unique;
    s->len = len;
    lock_take(&u->lock);
    while (*at != NULL && (*at)->unique < s->unique)
        at = &(*at)->next;
    s->next = *at;
    *at = s;
    lock_drop(&u->lock);
    return 0;
}

static struct unans_slot *free_slot_locked(struct unanswered *u, bool may_be_open)
{
    for (uint64_t k = 0; k < u->layout.n; k++) {
        struct unans_slot *s = &u->slots[k];

        if (s->is_taken || (s->is_open && !may_be_open))
            continue;
        s->owner = u;
        s->at = u->map + UNANS_PAGE + k * u->layout.slot_size;
        return s;
    }
    return NULL;
}

static struct unans_slot *take_place(struct unanswered *u)
{
    struct unans_slot *s = pthread_getspecific(u->key);

    if (s != NULL)
        return s;
    lock_take(&u->lock);
    s = free_slot_locked(u, false);
    if (s == NULL)
        s = free_slot_locked(u, true);
    if (s != NULL)
        s->is_taken = true;
    lock_drop(&u->lock);
    if (s != NULL && pthread_setspecific(u->key, s) != 0) {
        lock_take(&u->lock);
        s->is_taken = false;
        lock_drop(&u->lock);
        s = NULL;
    }
    return s;
}

/* Its thread ends; another may answer its request yet, and has the slot until then. */
static void end_slot(void *arg)
{
    struct unans_slot *s = arg;

    lock_take(&s->owner->lock);
    s->is_taken = false;
    lock_drop(&s->owner->lock);
}

static bool is_open(struct unans_slot *s)
{
    bool is;

    lock_take(&s->owner->lock);
    is = s->is_open;
    lock_drop(&s->owner->lock);
    return is;
}

/* Another thread is to answer what this one has read. */
static int make_room(struct unans_slot *s, struct vfs *v)
{
    const struct fuse_in_header *h = (const void *)s->at;
    bool is_over;
    int r;

    if (!is_open(s))
        return 0;
    r = vfs_keep_request(v, s->unique, s->at, h->len);
    if (r == 0)
        r = unans_store(s->owner, s->at, h->len, false);
    lock_take(&s->owner->lock);
    is_over = !s->is_open; /* answered meanwhile, by who did not know of the record */
    s->is_open = false;
    lock_drop(&s->owner->lock);
    if (r == 0 && is_over)
        unanswered_done(s->owner, v, s->unique);
    return r;
}

/* Of a daemon that is killed while the kernel copies a request into pages that are not there yet, the request ends with EIO. */
static void touch(struct unans_slot *s, size_t len)
{
    if (!s->is_touched)
        memset(s->at, 0, len);
    s->is_touched = true;
}

ssize_t unanswered_read(struct unanswered *u, struct vfs *v, int fd, void *buf, size_t len, int state)
{
    struct unans_slot *s = take_place(u);
    const struct fuse_in_header *h;
    ssize_t n;

    if (s == NULL || make_room(s, v) < 0) { /* the table is given up, or no memory: no daemon comes after this one */
        log_error("takeover.slot", "cause=%s effect=\"a daemon that dies now leaves calls that hang\"",
                  LOG_Q(s != NULL ? err_text() : "more threads than slots"));
        err_clear();
        return read(fd, buf, len);
    }
    touch(s, (size_t)u->layout.slot_size);
    pthread_setcancelstate(state, NULL);
    n = read(fd, s->at, len < u->layout.slot_size ? len : (size_t)u->layout.slot_size);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    if (n < (ssize_t)UNANS_LEAST)
        return n;
    memcpy(buf, s->at, (size_t)n);
    h = (const void *)s->at;
    lock_take(&u->lock);
    s->unique = h->unique;
    s->is_open = unans_wants_answer(h);
    lock_drop(&u->lock);
    return n;
}

/* Unlinked, or NULL. */
static struct unans_stored *unstore_locked(struct unanswered *u, uint64_t unique)
{
    for (struct unans_stored **at = &u->stored; *at != NULL; at = &(*at)->next) {
        struct unans_stored *s = *at;

        if (s->unique == unique && s->request == NULL) {
            *at = s->next;
            return s;
        }
    }
    return NULL;
}

void unanswered_done(struct unanswered *u, struct vfs *v, uint64_t unique)
{
    struct unans_slot *mine = pthread_getspecific(u->key);
    struct unans_stored *s;
    bool is_found = false;

    lock_take(&u->lock);
    if (mine != NULL && mine->is_open && mine->unique == unique) {
        mine->is_open = false;
        is_found = true;
    }
    for (uint64_t k = 0; k < u->layout.n && !is_found; k++)
        if (u->slots[k].is_open && u->slots[k].unique == unique) {
            u->slots[k].is_open = false;
            is_found = true;
        }
    s = unstore_locked(u, unique);
    lock_drop(&u->lock);
    if (s != NULL && vfs_keep_request(v, unique, NULL, 0) < 0)
        log_warn("takeover.request", "cause=%s", LOG_Q(err_text()));
    free(s);
}
