/* SPDX-License-Identifier: Apache-2.0 */
/* What the bad disk writes down: the tree of names as it is now, and the steps that made it. */
#include "baddisk_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kid {
    char *name;
    uint32_t node;
};
struct node {
    bool is_dir;
    struct kid *kids;
    size_t n, cap;
};
static struct node *nodes;
static size_t nodes_cap;
struct steps baddisk_steps;

static _Noreturn void give_up(const char *what, const char *path)
{
    fprintf(stderr, "baddisk: %s: %s\n", what, path);
    abort();
}

void *baddisk_grow(void *v, size_t n, size_t *cap, size_t unit)
{
    if (n < *cap)
        return v;
    *cap = *cap > 0 ? 2 * *cap : 16;
    v = realloc(v, *cap * unit);
    if (v == NULL)
        give_up("out of memory", "");
    return v;
}

static uint32_t new_node(bool is_dir)
{
    nodes = baddisk_grow(nodes, baddisk_steps.n_nodes, &nodes_cap, sizeof(*nodes));
    nodes[baddisk_steps.n_nodes] = (struct node){.is_dir = is_dir};
    return baddisk_steps.n_nodes++;
}

void log_begin(void)
{
    baddisk_steps = (struct steps){0};
    (void)new_node(true);
}

void log_end(void)
{
    for (size_t i = 0; i < baddisk_steps.n_nodes; i++) {
        for (size_t k = 0; k < nodes[i].n; k++)
            free(nodes[i].kids[k].name);
        free(nodes[i].kids);
    }
    for (size_t i = 0; i < baddisk_steps.n; i++) {
        free(baddisk_steps.v[i].name);
        free(baddisk_steps.v[i].name2);
        free(baddisk_steps.v[i].data);
    }
    free(baddisk_steps.v);
    free(nodes);
    nodes = NULL;
    nodes_cap = 0;
    baddisk_steps = (struct steps){0};
}

struct step *log_step(enum step_kind kind, uint32_t node)
{
    struct steps *s = &baddisk_steps;

    s->v = baddisk_grow(s->v, s->n, &s->cap, sizeof(*s->v));
    s->v[s->n] = (struct step){.kind = kind, .node = node};
    return &s->v[s->n++];
}

void log_data(struct step *s, const void *p, size_t len)
{
    s->data = malloc(len > 0 ? len : 1);
    if (s->data == NULL)
        give_up("out of memory", "");
    memcpy(s->data, p, len);
    s->len = len;
}

static struct kid *kid_of(uint32_t dir, const char *name, size_t len)
{
    for (size_t i = 0; i < nodes[dir].n; i++)
        if (strlen(nodes[dir].kids[i].name) == len &&
            memcmp(nodes[dir].kids[i].name, name, len) == 0)
            return &nodes[dir].kids[i];
    return NULL;
}

uint32_t log_find(const char *path)
{
    uint32_t at = 0;

    for (const char *p = path; *p != '\0';) {
        size_t len = strcspn(p, "/");
        const struct kid *k = len > 0 ? kid_of(at, p, len) : NULL;

        if (len > 0 && k == NULL)
            return NO_NODE;
        if (len > 0)
            at = k->node;
        p += len + (p[len] == '/');
    }
    return at;
}

/* The folder of a path, and the last component. */
static uint32_t parent_of(const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    char dir[4096];
    uint32_t n;

    *ret_name = slash != NULL ? slash + 1 : path;
    snprintf(dir, sizeof(dir), "%.*s", slash != NULL ? (int)(slash - path) : 0, path);
    n = log_find(dir);
    if (n == NO_NODE)
        give_up("a folder that was not seen made", path);
    return n;
}

static void set_kid(uint32_t dir, const char *name, uint32_t node)
{
    struct kid *k = kid_of(dir, name, strlen(name));

    if (k == NULL) {
        struct node *d = &nodes[dir];

        d->kids = baddisk_grow(d->kids, d->n, &d->cap, sizeof(*d->kids));
        k = &d->kids[d->n++];
        k->name = strdup(name);
    }
    k->node = node;
}

static void unset_kid(uint32_t dir, const char *name)
{
    struct kid *k = kid_of(dir, name, strlen(name));
    struct node *d = &nodes[dir];

    if (k == NULL)
        give_up("a name that was not seen made", name);
    free(k->name);
    *k = d->kids[--d->n];
}

bool baddisk_node_is_dir(uint32_t node)
{
    return nodes[node].is_dir;
}

static void add(const char *path, uint32_t node)
{
    const char *name;
    uint32_t dir = parent_of(path, &name);
    struct step *s = log_step(STEP_ADD, node);

    s->dir = dir;
    s->name = strdup(name);
    set_kid(dir, name, node);
}

uint32_t log_make(const char *path, bool is_dir)
{
    uint32_t n = new_node(is_dir);

    add(path, n);
    return n;
}

void log_link(const char *from, const char *to)
{
    uint32_t n = log_find(from);

    if (n == NO_NODE)
        give_up("a link to what was not seen made", from);
    add(to, n);
}

void log_remove(const char *path)
{
    const char *name;
    uint32_t dir = parent_of(path, &name);
    struct step *s = log_step(STEP_DEL, NO_NODE);

    s->dir = dir;
    s->name = strdup(name);
    unset_kid(dir, name);
}

void log_rename(const char *from, const char *to)
{
    const char *name, *name2;
    uint32_t dir = parent_of(from, &name), dir2 = parent_of(to, &name2), n = log_find(from);
    struct step *s = log_step(STEP_MOVE, n);

    if (n == NO_NODE)
        give_up("a rename of what was not seen made", from);
    s->dir = dir;
    s->dir2 = dir2;
    s->name = strdup(name);
    s->name2 = strdup(name2);
    unset_kid(dir, name);
    set_kid(dir2, name2, n);
}
