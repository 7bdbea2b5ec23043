/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for secrets: regions of slots of one size. What is known of a region stands outside of it,
 * because a forked child finds it full of zeros. Regions stay until the program ends, but for those
 * of one large secret. */
#include "base/secret.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/err.h"
#include "base/lock.h"

#define SLOTS_SMALL 64 /* as many as a word has bits */
#define SLOTS_LARGE 16
#define SLOT_MIN 64
#define SLOT_SMALL_MAX 1024
#define SLOT_MAX (16 * 1024)

struct region {
    struct region *next;
    char *base;
    size_t slot; /* size of each */
    unsigned n;
    uint64_t used; /* a bit for each */
};

static struct {
    struct lock lock;
    struct region *regions;
    size_t used;
} all = {.lock = LOCK_INIT(LOCK_LEAF)};

static size_t slot_size(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), slot = SLOT_MIN;

    if (size > SLOT_MAX)
        return (size + page - 1) / page * page;
    while (slot < size)
        slot *= 4;
    return slot;
}

/* Each of the three is a help where the kernel gives it, and nobody's right: the daemon makes no
 * core dumps anyway. */
static char *map_pages(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return NULL;
    (void)madvise(p, size, MADV_DONTDUMP);
    (void)madvise(p, size, MADV_WIPEONFORK);
    (void)mlock2(p, size, MLOCK_ONFAULT);
    return p;
}

static struct region *region_new(size_t slot)
{
    struct region *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->slot = slot;
    r->n = slot > SLOT_MAX ? 1 : slot > SLOT_SMALL_MAX ? SLOTS_LARGE : SLOTS_SMALL;
    r->base = map_pages(r->n * slot);
    if (r->base == NULL) {
        free(r);
        return NULL;
    }
    return r;
}

static struct region *find_room_locked(size_t slot)
{
    struct region *r = all.regions;

    while (r != NULL && (r->slot != slot || (unsigned)__builtin_popcountll(r->used) == r->n))
        r = r->next;
    if (r != NULL)
        return r;
    r = region_new(slot);
    if (r != NULL) {
        r->next = all.regions;
        all.regions = r;
    }
    return r;
}

void *secret_alloc(size_t size)
{
    size_t slot = slot_size(size);
    struct region *r;
    char *p = NULL;

    if (slot < size)
        return NULL;
    lock_take(&all.lock);
    r = find_room_locked(slot);
    if (r != NULL) {
        unsigned i = (unsigned)__builtin_ctzll(~r->used);

        r->used |= UINT64_C(1) << i;
        p = r->base + i * slot;
        all.used++;
    }
    lock_drop(&all.lock);
    return p;
}

char *secret_dup(const char *s, size_t len)
{
    char *p = len < SIZE_MAX ? secret_alloc(len + 1) : NULL;

    if (p != NULL)
        memcpy(p, s, len);
    return p;
}

void secret_free(void *p)
{
    struct region **at = &all.regions, *r;

    if (p == NULL)
        return;
    lock_take(&all.lock);
    while ((r = *at) != NULL && ((char *)p < r->base || (char *)p >= r->base + r->n * r->slot))
        at = &r->next;
    assert(r != NULL); /* else it was none of ours */
    if (r != NULL) {
        explicit_bzero(p, r->slot);
        r->used &= ~(UINT64_C(1) << (size_t)((char *)p - r->base) / r->slot);
        all.used--;
    }
    if (r != NULL && r->n == 1) {
        *at = r->next;
        (void)munmap(r->base, r->slot);
        free(r);
    }
    lock_drop(&all.lock);
}

size_t secret_used(void)
{
    size_t n;

    lock_take(&all.lock);
    n = all.used;
    lock_drop(&all.lock);
    return n;
}

/* --- the environment ---------------------------------------------------------------------------
 */

static struct {
    const char *name;
    char *value;
} taken[] = {
    {"AWS_SECRET_ACCESS_KEY", NULL},
    {"AWS_SESSION_TOKEN", NULL},
    {"AWS_CONTAINER_AUTHORIZATION_TOKEN", NULL},
};

int secret_env_take(void)
{
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        char *value = getenv(taken[i].name);

        if (value == NULL || value[0] == '\0')
            continue;
        secret_free(taken[i].value);
        taken[i].value = secret_dup(value, strlen(value));
        if (taken[i].value == NULL)
            return err_set(-ENOMEM, "out of memory for the environment's credentials");
        explicit_bzero(value, strlen(value));
    }
    return 0;
}

const char *secret_env(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        if (taken[i].value != NULL && strcmp(taken[i].name, name) == 0)
            return taken[i].value;
    return getenv(name);
}
