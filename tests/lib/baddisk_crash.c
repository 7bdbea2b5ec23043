/* SPDX-License-Identifier: Apache-2.0 */
/* From the steps to what a power loss leaves of them. */
#include "baddisk_int.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct image {
    uint8_t *p;
    size_t size, cap;
};
struct name {
    char *name;
    uint32_t node;
};
struct names {
    struct name *v;
    size_t n, cap;
};
struct list {
    size_t *v; /* steps */
    size_t n, cap;
};
struct baddisk_replay {
    size_t at;
    struct image *files;  /* as they are on the disk for certain */
    struct list *pending; /* of each file */
    struct names *dirs;
    struct list changes; /* of all folders, not on the disk for certain */
};

static void need(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t x = (a + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (b + 1) * UINT64_C(0xbf58476d1ce4e5b9);

    x = (x ^ (x >> 31)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 29);
}

/* --- bytes --- */

static void resize(struct image *m, size_t size)
{
    if (size > m->cap) {
        m->cap = size * 2;
        m->p = realloc(m->p, m->cap);
        need(m->p != NULL, "baddisk: memory");
    }
    if (size > m->size)
        memset(m->p + m->size, 0, size - m->size);
    m->size = size;
}

/* What a step makes of [from, end), for bytes within the image; the size is left alone. */
static void apply_range(struct image *m, const struct step *s, uint64_t from, uint64_t end)
{
    uint64_t a = s->off, b = s->kind == STEP_SIZE ? UINT64_MAX : s->off + s->len;

    a = a > from ? a : from;
    b = b < end ? b : end;
    b = b < m->size ? b : m->size;
    if (a >= b)
        return;
    if (s->kind == STEP_WRITE)
        memcpy(m->p + a, (const uint8_t *)s->data + (a - s->off), b - a);
    else
        memset(m->p + a, 0, b - a);
}

static size_t size_after(size_t size, const struct step *s)
{
    if (s->kind == STEP_SIZE)
        return s->off;
    return s->kind == STEP_WRITE && s->off + s->len > size ? s->off + s->len : size;
}

static void apply(struct image *m, const struct step *s)
{
    resize(m, size_after(m->size, s));
    apply_range(m, s, 0, UINT64_MAX);
}

/* Every sector has seen a number of the pending steps of its own, and so has the size. */
static void crash_file(struct image *ret, const struct image *sure, const struct list *pending,
                       uint64_t seed)
{
    size_t unit = seed % 2 == 0 ? 512 : 4096, size = sure->size, max = size, all = seed / 2 % 6;

    for (size_t i = 0; i < pending->n; i++) {
        size_t next = size_after(size, &baddisk_steps.v[pending->v[i]]);

        size = next;
        max = max > size ? max : size;
    }
    resize(ret, sure->size);
    if (sure->size > 0)
        memcpy(ret->p, sure->p, sure->size);
    resize(ret, max);
    for (uint64_t off = 0; off < max && pending->n > 0; off += unit) {
        size_t seen = all == 0 ? 0 : all == 1 ? pending->n : mix(seed, off) % (pending->n + 1);

        for (size_t i = 0; i < seen; i++)
            apply_range(ret, &baddisk_steps.v[pending->v[i]], off, off + unit);
    }
    size = sure->size;
    for (size_t i = 0, n = all == 0   ? 0
                           : all == 1 ? pending->n
                                      : mix(seed, 77) % (pending->n + 1);
         i < n; i++)
        size = size_after(size, &baddisk_steps.v[pending->v[i]]);
    resize(ret, size);
}

/* --- names --- */

static struct name *find_name(struct names *d, const char *name)
{
    for (size_t i = 0; i < d->n; i++)
        if (strcmp(d->v[i].name, name) == 0)
            return &d->v[i];
    return NULL;
}

static void set_name(struct names *d, const char *name, uint32_t node)
{
    struct name *k = find_name(d, name);

    if (k == NULL) {
        d->v = baddisk_grow(d->v, d->n, &d->cap, sizeof(*d->v));
        k = &d->v[d->n++];
        k->name = strdup(name);
    }
    k->node = node;
}

static void unset_name(struct names *d, const char *name)
{
    struct name *k = find_name(d, name);

    if (k == NULL)
        return;
    free(k->name);
    *k = d->v[--d->n];
}

static void apply_change(struct names *dirs, const struct step *s)
{
    if (s->kind == STEP_ADD) {
        set_name(&dirs[s->dir], s->name, s->node);
    } else if (s->kind == STEP_DEL) {
        unset_name(&dirs[s->dir], s->name);
    } else {
        unset_name(&dirs[s->dir], s->name);
        set_name(&dirs[s->dir2], s->name2, s->node);
    }
}

static struct names *copy_names(const struct baddisk_replay *r)
{
    struct names *dirs = calloc(baddisk_steps.n_nodes, sizeof(*dirs));

    need(dirs != NULL, "baddisk: memory");
    for (size_t i = 0; i < baddisk_steps.n_nodes; i++)
        for (size_t k = 0; k < r->dirs[i].n; k++)
            set_name(&dirs[i], r->dirs[i].v[k].name, r->dirs[i].v[k].node);
    return dirs;
}

static void free_names(struct names *dirs)
{
    for (size_t i = 0; i < baddisk_steps.n_nodes; i++) {
        for (size_t k = 0; k < dirs[i].n; k++)
            free(dirs[i].v[k].name);
        free(dirs[i].v);
    }
    free(dirs);
}

/* With a journal: the first few, in their order. Without: any. */
static struct names *crash_names(const struct baddisk_replay *r, uint64_t seed)
{
    struct names *dirs = copy_names(r);
    size_t n = r->changes.n, first = mix(seed, 1) % (n + 1);

    for (size_t i = 0; i < n; i++)
        if (seed % 3 == 0 ? i < first : mix(seed, 1000 + i) % 2 == 0)
            apply_change(dirs, &baddisk_steps.v[r->changes.v[i]]);
    return dirs;
}

/* --- what is certain --- */

static void push(struct list *l, size_t step)
{
    l->v = baddisk_grow(l->v, l->n, &l->cap, sizeof(*l->v));
    l->v[l->n++] = step;
}

static void sync_file(struct baddisk_replay *r, const struct step *s)
{
    struct list *l = &r->pending[s->node];
    size_t i = 0;

    for (; i < l->n && l->v[i] < s->upto; i++)
        apply(&r->files[s->node], &baddisk_steps.v[l->v[i]]);
    if (i > 0)
        memmove(l->v, l->v + i, (l->n - i) * sizeof(*l->v));
    l->n -= i;
}

/* The last write, through an O_DSYNC descriptor: only it, if nothing before it in the same place is
 * pending. */
static void dsync_file(struct baddisk_replay *r, const struct step *s, size_t at)
{
    struct list *l = &r->pending[s->node];
    const struct step *w = l->n > 0 ? &baddisk_steps.v[l->v[l->n - 1]] : NULL;
    bool alone = w != NULL && w->off == s->off && w->len == s->len;

    for (size_t i = 0; alone && i + 1 < l->n; i++) {
        const struct step *o = &baddisk_steps.v[l->v[i]];

        alone = o->kind == STEP_WRITE && (o->off >= s->off + s->len || o->off + o->len <= s->off);
    }
    if (alone) {
        apply(&r->files[s->node], w);
        l->n--;
    } else {
        sync_file(r, &(struct step){.node = s->node, .upto = at});
    }
}

static void sync_folder(struct baddisk_replay *r, const struct step *s)
{
    struct list *l = &r->changes;
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++) {
        const struct step *c = &baddisk_steps.v[l->v[i]];
        bool ours = c->dir == s->node || (c->kind == STEP_MOVE && c->dir2 == s->node);

        if (ours && l->v[i] < s->upto)
            apply_change(r->dirs, c);
        else
            l->v[n++] = l->v[i];
    }
    l->n = n;
}

static void go_to(struct baddisk_replay *r, size_t at)
{
    for (; r->at < at; r->at++) {
        const struct step *s = &baddisk_steps.v[r->at];

        if (s->kind == STEP_ADD || s->kind == STEP_DEL || s->kind == STEP_MOVE) {
            push(&r->changes, r->at);
        } else if (s->kind == STEP_SYNC) {
            sync_file(r, s);
            sync_folder(r, s); /* it is one or the other: a file has no names, a folder no bytes */
        } else if (s->kind == STEP_DSYNC) {
            dsync_file(r, s, r->at);
        } else {
            push(&r->pending[s->node], r->at);
        }
    }
}

struct baddisk_replay *baddisk_replay_new(void)
{
    struct baddisk_replay *r = calloc(1, sizeof(*r));
    size_t n = baddisk_steps.n_nodes;

    need(r != NULL, "baddisk: memory");
    r->files = calloc(n, sizeof(*r->files));
    r->pending = calloc(n, sizeof(*r->pending));
    r->dirs = calloc(n, sizeof(*r->dirs));
    need(r->files != NULL && r->pending != NULL && r->dirs != NULL, "baddisk: memory");
    return r;
}

void baddisk_replay_free(struct baddisk_replay *r)
{
    for (size_t i = 0; i < baddisk_steps.n_nodes; i++) {
        free(r->files[i].p);
        free(r->pending[i].v);
    }
    free_names(r->dirs);
    free(r->changes.v);
    free(r->files);
    free(r->pending);
    free(r);
}

/* --- a directory of it --- */

struct making {
    const struct baddisk_replay *r;
    struct names *dirs;
    char **made; /* the first name of each node: others are links */
    uint64_t seed;
};

static void make_file(struct making *m, uint32_t node, const char *path)
{
    struct image image = {0};
    int fd;

    if (m->made[node] != NULL) {
        need(link(m->made[node], path) == 0, path);
        return;
    }
    m->made[node] = strdup(path);
    crash_file(&image, &m->r->files[node], &m->r->pending[node], mix(m->seed, node));
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    need(fd >= 0, path);
    for (size_t done = 0; done < image.size;) {
        ssize_t n = write(fd, image.p + done, image.size - done);

        need(n > 0, path);
        done += (size_t)n;
    }
    close(fd);
    free(image.p);
}

static void make_dir(struct making *m, uint32_t node, const char *path)
{
    char child[PATH_MAX];

    if (m->made[node] != NULL) /* a folder that a rename left under two names: one is enough */
        return;
    m->made[node] = strdup(path);
    need(mkdir(path, 0700) == 0, path);
    for (size_t i = 0; i < m->dirs[node].n; i++) {
        const struct name *k = &m->dirs[node].v[i];

        snprintf(child, sizeof(child), "%s/%s", path, k->name);
        if (baddisk_node_is_dir(k->node))
            make_dir(m, k->node, child);
        else
            make_file(m, k->node, child);
    }
}

void baddisk_crash(struct baddisk_replay *r, size_t at, uint64_t seed, const char *to)
{
    struct making m = {.r = r, .seed = seed};

    go_to(r, at);
    m.dirs = crash_names(r, seed);
    m.made = calloc(baddisk_steps.n_nodes, sizeof(*m.made));
    need(m.made != NULL, "baddisk: memory");
    make_dir(&m, 0, to);
    for (size_t i = 0; i < baddisk_steps.n_nodes; i++)
        free(m.made[i]);
    free(m.made);
    free_names(m.dirs);
}
