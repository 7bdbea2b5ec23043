/* SPDX-License-Identifier: Apache-2.0 */
/* The bucket's history, key by key, written down by the store's hooks as it happens, and what it
 * says about a stretch of time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mounts.h"

const char *const paths[N_FILES] = {"a", "b", "c", "d/a", "d/b", "e/a", "e/b"};
const char *const dirs[N_DIRS] = {"d", "e"};

void content_free(struct content *c)
{
    free(c->v);
    *c = (struct content){0};
}

struct content content_copy(const struct content *c)
{
    struct content r = {.n = c->n, .v = malloc((c->n + 1) * sizeof(*r.v))};

    if (c->n > 0)
        memcpy(r.v, c->v, c->n * sizeof(*r.v));
    return r;
}

bool content_equal(const struct content *a, const struct content *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->v, b->v, a->n * sizeof(*a->v)) == 0);
}

void content_set(struct content *c, size_t at, uint32_t cell)
{
    if (at >= c->n) {
        c->v = realloc(c->v, (at + 1) * sizeof(*c->v));
        memset(c->v + c->n, 0, (at + 1 - c->n) * sizeof(*c->v));
        c->n = at + 1;
    }
    c->v[at] = cell;
}

bool content_parse(const void *bytes, size_t len, struct content *ret)
{
    static const char zeros[CELL];
    const char *p = bytes;

    *ret = (struct content){0};
    if (len % CELL != 0)
        return false;
    for (size_t i = 0; i < len / CELL; i++, p += CELL) {
        char again[CELL + 1];
        unsigned cell = 0;

        if (memcmp(p, zeros, CELL) != 0) {
            char text[CELL + 1] = {0};

            memcpy(text, p, CELL);
            if (sscanf(text, "<%8x>", &cell) != 1)
                return false;
            snprintf(again, sizeof(again), "<%08x>.....\n", cell);
            if (memcmp(p, again, CELL) != 0)
                return false;
        }
        content_set(ret, i, cell);
    }
    return true;
}

void content_bytes(const struct content *c, char *ret)
{
    for (size_t i = 0; i < c->n; i++) {
        char text[CELL + 1] = {0};

        if (c->v[i] != 0)
            snprintf(text, sizeof(text), "<%08x>.....\n", c->v[i]);
        memcpy(ret + i * CELL, text, CELL);
    }
}

/* Runs of one write as write[first-last]. */
const char *content_text(const struct content *c)
{
    static char buffers[4][300];
    static unsigned next;
    char *buf = buffers[next++ % 4];
    size_t len = (size_t)snprintf(buf, sizeof(*buffers), "%zu{", c->n);

    for (size_t i = 0, j; i < c->n && len < sizeof(*buffers) - 60; i = j) {
        for (j = i + 1; j < c->n && (c->v[i] == 0 ? c->v[j] == 0 : c->v[j] == c->v[j - 1] + 1);)
            j++;
        if (c->v[i] == 0)
            len += (size_t)snprintf(buf + len, 60, " hole*%zu", j - i);
        else
            len += (size_t)snprintf(buf + len, 60, " w%u[%u-%u]", c->v[i] >> 12, c->v[i] & 4095,
                                    c->v[j - 1] & 4095);
    }
    snprintf(buf + len, sizeof(*buffers) - len, " }");
    return buf;
}

int key_index(const char *key)
{
    for (int i = 0; i < N_FILES; i++)
        if (strcmp(key, paths[i]) == 0)
            return i;
    for (int i = 0; i < N_DIRS; i++)
        if (strncmp(key, dirs[i], strlen(dirs[i])) == 0 && strcmp(key + strlen(dirs[i]), "/") == 0)
            return N_FILES + i;
    return -1;
}

int dir_of(unsigned path)
{
    const char *slash = strchr(paths[path], '/');

    for (int i = 0; slash != NULL && i < N_DIRS; i++)
        if (strncmp(paths[path], dirs[i], (size_t)(slash - paths[path])) == 0)
            return i;
    return -1;
}

size_t version_at(unsigned k, unsigned t)
{
    size_t i = w.keys[k].n - 1;

    while (i > 0 && w.keys[k].v[i].t > t)
        i--;
    return i;
}

size_t version_at_ns(unsigned k, int64_t ns)
{
    size_t i = w.keys[k].n - 1;

    while (i > 0 && w.keys[k].v[i].at_ns >= ns)
        i--;
    return i;
}

bool was_present(unsigned k, size_t from)
{
    for (size_t i = from; i < w.keys[k].n; i++)
        if (w.keys[k].v[i].present)
            return true;
    return false;
}

bool was_absent(unsigned k, size_t from)
{
    for (size_t i = from; i < w.keys[k].n; i++)
        if (!w.keys[k].v[i].present)
            return true;
    return false;
}

bool has_changed(unsigned k, size_t since)
{
    const struct version *v = w.keys[k].v;

    for (size_t i = since + 1; i < w.keys[k].n; i++)
        if (v[i].present != v[since].present || !content_equal(&v[i].c, &v[since].c))
            return true;
    return false;
}

static bool dir_is_absent_at(unsigned d, unsigned t)
{
    if (w.keys[N_FILES + d].v[version_at(N_FILES + d, t)].present)
        return false;
    for (unsigned k = 0; k < N_FILES; k++)
        if (dir_of(k) == (int)d && w.keys[k].v[version_at(k, t)].present)
            return false;
    return true;
}

bool dir_was(unsigned d, int64_t since_ns, bool absent)
{
    unsigned t = 0; /* of the last change before that */

    for (unsigned k = 0; k < N_KEYS; k++) {
        size_t i = version_at_ns(k, since_ns);

        if (w.keys[k].v[i].t > t)
            t = w.keys[k].v[i].t;
        while (++i < w.keys[k].n)
            if (dir_is_absent_at(d, w.keys[k].v[i].t) == absent)
                return true;
    }
    return dir_is_absent_at(d, t) == absent;
}

bool dir_was_absent(unsigned d, int64_t since_ns)
{
    return dir_was(d, since_ns, true);
}

static struct version *add_version(unsigned k)
{
    struct key *x = &w.keys[k];

    if (x->n == x->cap) {
        x->cap = 2 * x->cap + 8;
        x->v = realloc(x->v, x->cap * sizeof(*x->v));
    }
    x->v[x->n] = (struct version){.t = ++w.t, .at_ns = clock_boot_ns()};
    return &x->v[x->n++];
}

/* What is at the key now, as a new version. false: nothing that the model knows. */
static bool take_object(unsigned k, struct version *v)
{
    struct store_obj obj = {0};
    char name[64];
    char *data = NULL;
    bool ok = true;

    if (k < N_FILES)
        snprintf(name, sizeof(name), "%s", paths[k]);
    else
        snprintf(name, sizeof(name), "%s/", dirs[k - N_FILES]);
    v->present = memstore_get(w.rig[0].store, name, &obj, &data) == 0;
    if (v->present)
        ok = content_parse(data, obj.size, &v->c);
    store_obj_done(&obj);
    free(data);
    return ok;
}

static void log_foreign(unsigned k)
{
    struct version *v = add_version(k);

    (void)take_object(k, v);
    v->ident = ++w.next_ident;
    model_note("      bucket %s: foreign %s", k < N_FILES ? paths[k] : dirs[k - N_FILES],
               v->present ? content_text(&v->c) : "gone");
}

static void published(struct doing *d, unsigned k)
{
    size_t was = w.keys[k].n - 1;
    struct version *v = add_version(k);
    unsigned ident = w.keys[k].v[was].ident;
    bool ok = take_object(k, v);

    if (k >= N_FILES)
        return;
    model_note("      bucket %s: mount %u %s", paths[k], d->m->mount,
               v->present ? content_text(&v->c) : "gone");
    if (!ok)
        model_fail("%s: the object holds bytes that nobody wrote, or half a write", paths[k]);
    else if (v->present && publish_explain(d, k, &v->c, was, &ident) == 0)
        w.keys[k].v[was + 1].ident = ident;
    else if (!v->present)
        delete_explain(d, k, was);
}

int do_foreign(struct doing *d)
{
    struct store *s = w.rig[0].store;
    unsigned k = d->m->path;
    struct content c = {0};
    int r = 0;

    if (d->m->kind == M_FOREIGN_DELETE) {
        if (memstore_get(s, paths[k], NULL, NULL) != 0)
            return 0;
        r = memstore_delete(s, paths[k]);
    } else if (d->m->kind == M_FOREIGN_PUT) {
        unsigned id = ++w.next_write;
        char *bytes;

        cells_fill(&c, 0, d->m->len, id);
        bytes = malloc(c.n * CELL);
        content_bytes(&c, bytes);
        r = memstore_put(s, paths[k], bytes, c.n * CELL, NULL, NULL);
        free(bytes);
        content_free(&c);
    } else {
        struct store_obj obj = {0};
        char *data = NULL;

        k = d->m->path2;
        if (k == d->m->path || memstore_get(s, paths[d->m->path], &obj, &data) != 0)
            return 0;
        r = memstore_put(s, paths[k], data, obj.size, &obj.hdrs, NULL);
        store_obj_done(&obj);
        free(data);
    }
    log_foreign(k);
    return r == 0 ? 0 : model_fail("the foreign writer: %d", r);
}

void log_hook_after(void *arg, struct store *s, const struct store_req *req, int result)
{
    int k = req->key != NULL ? key_index(req->key) : -1;
    bool writes = req->op == STORE_PUT || req->op == STORE_COPY || req->op == STORE_MPU_COMPLETE ||
                  req->op == STORE_DELETE;

    (void)arg;
    (void)s;
    if (w.doing == NULL || !writes || result != 0 || k < 0)
        return;
    if (req->op == STORE_DELETE && !w.keys[k].v[w.keys[k].n - 1].present)
        return; /* nothing was there */
    published(w.doing, (unsigned)k);
}

void log_free(void)
{
    for (unsigned k = 0; k < N_KEYS; k++) {
        for (size_t i = 0; i < w.keys[k].n; i++)
            content_free(&w.keys[k].v[i].c);
        free(w.keys[k].v);
        w.keys[k] = (struct key){0};
    }
}
