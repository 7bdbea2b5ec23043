/* SPDX-License-Identifier: Apache-2.0 */
/* What the model believes of a tree, and the comparison with a mount and its bucket. */
#ifndef S3EFS_TESTS_MODEL_WORLD_H
#define S3EFS_TESTS_MODEL_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "tests/lib/memstore.h"
#include "tests/lib/rig.h"

#define N_NAMES 5 /* names a directory can have; depth at most 3 */
#define MAX_SIZE 40000
#define MAX_FILES 400
#define N_HANDLES 3

enum kind {
    PUT,
    WRITE_AT,
    APPEND,
    TRUNCATE,
    READ,
    UNLINK,
    MKDIR,
    RMDIR,
    RENAME,
    CHMOD,
    OPEN,
    HWRITE,
    HREAD,
    HSYNC,
    CLOSE,
    REMOUNT,
    TICK,
    FAIL_PUT,
    LOSE_PUT,
    KINDS
};
static const char *const kind_names[] = {
    "put",   "write-at", "append", "truncate", "read",         "unlink",      "mkdir",
    "rmdir", "rename",   "chmod",  "open",     "handle-write", "handle-read", "handle-sync",
    "close", "remount",  "tick",   "fail-put", "lose-put"};

struct op {
    enum kind kind;
    char a[64], b[64];
    unsigned off, len, fill, handle;
};

struct node { /* of the model */
    char path[64];
    bool is_dir;
    unsigned mode;
    size_t size;
    unsigned char *data;
};

struct world {
    struct rig rig;
    struct node *nodes[MAX_FILES];
    size_t n;
    struct {
        bool is_open;
        uint64_t fh;
        struct node *node;
    } handles[N_HANDLES];
    char why[512];
};

static uint64_t rng;
static inline unsigned rnd(unsigned n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)((rng >> 11) % n);
}

static inline struct node *find(struct world *w, const char *path)
{
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->nodes[i]->path, path) == 0)
            return w->nodes[i];
    return NULL;
}

static inline bool parent_exists(struct world *w, const char *path)
{
    char dir[64];
    char *slash;
    struct node *p;

    snprintf(dir, sizeof(dir), "%s", path);
    slash = strrchr(dir, '/');
    if (slash == NULL)
        return true;
    *slash = '\0';
    p = find(w, dir);
    return p != NULL && p->is_dir;
}

static inline bool has_below(struct world *w, const char *path)
{
    size_t n = strlen(path);

    for (size_t i = 0; i < w->n; i++)
        if (strncmp(w->nodes[i]->path, path, n) == 0 && w->nodes[i]->path[n] == '/')
            return true;
    return false;
}

static inline struct node *add(struct world *w, const char *path, bool is_dir)
{
    struct node *x = calloc(1, sizeof(*x));

    snprintf(x->path, sizeof(x->path), "%s", path);
    x->is_dir = is_dir;
    x->mode = is_dir ? 0755 : 0644;
    w->nodes[w->n++] = x;
    return x;
}

static inline void del(struct world *w, struct node *x)
{
    for (size_t i = 0; i < w->n; i++) {
        if (w->nodes[i] == x) {
            w->nodes[i] = w->nodes[--w->n];
            break;
        }
    }
    free(x->data);
    free(x);
}

static inline void resize(struct node *x, size_t size)
{
    unsigned char *d = realloc(x->data, size + 1);

    if (size > x->size)
        memset(d + x->size, 0, size - x->size);
    x->data = d;
    x->size = size;
}

static inline void model_write(struct node *x, size_t off, unsigned fill, size_t len)
{
    if (off + len > x->size)
        resize(x, off + len);
    memset(x->data + off, (int)fill, len);
}

static inline bool is_open(struct world *w, const struct node *x)
{
    for (int i = 0; i < N_HANDLES; i++)
        if (w->handles[i].is_open && w->handles[i].node == x)
            return true;
    return false;
}

static int fail(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline int fail(struct world *w, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(w->why, sizeof(w->why), fmt, ap);
    va_end(ap);
    return -1;
}

static inline int expect(struct world *w, const struct op *op, int got, int wanted)
{
    if (got == wanted)
        return 0;
    return fail(w, "%s %s %s: got %d (%s), wanted %d", kind_names[op->kind], op->a, op->b, got,
                err_text(), wanted);
}

static inline int check_bytes(struct world *w, const struct node *x)
{
    static unsigned char buf[MAX_SIZE * 2];
    ssize_t n = rig_get(&w->rig, x->path, buf, sizeof(buf));

    if (n != (ssize_t)x->size)
        return fail(w, "read %s: got %zd (%s), wanted %zu bytes", x->path, n,
                    n < 0 ? err_text() : "", x->size);
    for (size_t i = 0; i < x->size; i++)
        if (buf[i] != x->data[i])
            return fail(w, "read %s: byte %zu is %02x, wanted %02x", x->path, i, buf[i],
                        x->data[i]);
    return 0;
}

static inline int by_string(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names below dir ("" the root), as rig_ls gives them. */
static inline int check_dir(struct world *w, const char *dir)
{
    const char *names[MAX_FILES];
    char got[8192], wanted[8192] = "";
    size_t n = 0, skip = dir[0] != '\0' ? strlen(dir) + 1 : 0;
    int r;

    for (size_t i = 0; i < w->n; i++) {
        const char *p = w->nodes[i]->path;

        if (skip > 0 && (strncmp(p, dir, skip - 1) != 0 || p[skip - 1] != '/'))
            continue;
        if (strchr(p + skip, '/') == NULL)
            names[n++] = p + skip;
    }
    qsort(names, n, sizeof(*names), by_string);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            strcat(wanted, " ");
        strcat(wanted, names[i]);
    }
    r = rig_ls(&w->rig, dir, got, sizeof(got));
    if (r < 0)
        return fail(w, "ls %s: %d (%s)", dir, r, err_text());
    return strcmp(got, wanted) == 0 ? 0 : fail(w, "ls %s: got [%s], wanted [%s]", dir, got, wanted);
}

static inline int check_tree(struct world *w)
{
    int r = check_dir(w, "");

    for (size_t i = 0; i < w->n && r == 0; i++) {
        const struct node *x = w->nodes[i];
        struct stat st;

        r = rig_stat(&w->rig, x->path, &st);
        if (r < 0)
            return fail(w, "stat %s: %d (%s)", x->path, r, err_text());
        if (st.st_mode != ((x->is_dir ? S_IFDIR : S_IFREG) | x->mode))
            return fail(w, "stat %s: mode %o, wanted %o", x->path, st.st_mode, x->mode);
        if (!x->is_dir && (size_t)st.st_size != x->size)
            return fail(w, "stat %s: size %ld, wanted %zu", x->path, (long)st.st_size, x->size);
        r = x->is_dir ? check_dir(w, x->path) : check_bytes(w, x);
    }
    return r;
}

static inline int check_bucket(struct world *w)
{
    size_t objects = 0;

    for (size_t i = 0; i < w->n; i++) {
        const struct node *x = w->nodes[i];
        char key[80], *data = NULL;
        struct store_obj obj = {0};
        int r;

        snprintf(key, sizeof(key), "%s%s", x->path, x->is_dir ? "/" : "");
        r = memstore_get(w->rig.store, key, &obj, &data);
        if (r != 0)
            return fail(w, "object %s: %d", key, r);
        r = obj.size == x->size && (x->size == 0 || memcmp(data, x->data, x->size) == 0);
        store_obj_done(&obj);
        free(data);
        if (!r)
            return fail(w, "object %s has other bytes than the file", key);
        objects++;
    }
    if (memstore_user_objects(w->rig.store) != objects)
        return fail(w, "%zu objects in the bucket, wanted %zu", memstore_user_objects(w->rig.store),
                    objects);
    return memstore_uploads(w->rig.store) == 0 ? 0 : fail(w, "an upload was left open");
}

#endif
