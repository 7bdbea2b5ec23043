/* SPDX-License-Identifier: Apache-2.0 */
/* Random operations on a mount (vfs, upload, data, cache, on the bucket in memory) against a model
 * of what POSIX promises: paths and bytes. After every few operations the whole tree is compared,
 * at the end also the bucket: every closed file is one object with these bytes, and nothing else is
 * there. Remounts, a lost cache directory and failing requests are moves. A failing sequence is
 * shrunk and printed with its seed.
 *
 *   test_model [first-seed [number-of-seeds [operations]]]   (or MODEL_SEEDS, MODEL_OPS) */
#include "world.h"

static int write_some(struct world *w, const struct op *op, int flags, size_t off)
{
    static unsigned char buf[MAX_SIZE];
    uint64_t fh;
    ssize_t n;
    int r = rig_open_file(&w->rig, op->a, flags, &fh);

    if (r < 0)
        return r;
    memset(buf, (int)op->fill, op->len);
    n = vfs_write(w->rig.vfs, &w->rig.ctx, fh, off, buf, op->len);
    r = rig_shut(&w->rig, fh);
    return n < 0 ? (int)n : r;
}

/* What opening a path for writing answers. */
static int open_errno(struct world *w, const char *path, bool creates)
{
    struct node *x = find(w, path);

    if (!parent_exists(w, path)) {
        char dir[64], *slash;

        snprintf(dir, sizeof(dir), "%s", path);
        while ((slash = strrchr(dir, '/')) != NULL) {
            struct node *p;

            *slash = '\0';
            p = find(w, dir);
            if (p != NULL)
                return p->is_dir ? -ENOENT : -ENOTDIR;
        }
        return -ENOENT;
    }
    if (x == NULL)
        return creates ? 0 : -ENOENT;
    return x->is_dir ? -EISDIR : 0;
}

static int do_write(struct world *w, const struct op *op)
{
    bool creates = op->kind == PUT;
    int wanted = open_errno(w, op->a, creates), r;
    struct node *x = find(w, op->a);
    size_t off = op->off;

    if (op->kind == WRITE_AT && x != NULL && !x->is_dir && off > x->size + 5000)
        off = x->size;
    r = write_some(
        w, op, O_WRONLY | (creates ? O_CREAT | O_TRUNC : 0) | (op->kind == APPEND ? O_APPEND : 0),
        op->kind == PUT ? 0 : off);
    if (expect(w, op, r, wanted) < 0)
        return -1;
    if (wanted < 0)
        return 0;
    if (x == NULL)
        x = add(w, op->a, false);
    if (op->kind == PUT)
        resize(x, 0);
    model_write(x, op->kind == PUT ? 0 : op->kind == APPEND ? x->size : off, op->fill, op->len);
    return 0;
}

static int do_truncate(struct world *w, const struct op *op)
{
    int wanted = open_errno(w, op->a, false);
    struct node *x = find(w, op->a);

    if (expect(w, op, rig_truncate(&w->rig, op->a, op->off), wanted) < 0)
        return -1;
    if (wanted == 0)
        resize(x, op->off);
    return 0;
}

static int do_remove(struct world *w, const struct op *op)
{
    struct node *x = find(w, op->a);
    int wanted = open_errno(w, op->a, false), r;

    if (op->kind == RMDIR && x != NULL)
        wanted = !x->is_dir ? -ENOTDIR : has_below(w, op->a) ? -ENOTEMPTY : 0;
    if (x != NULL && is_open(w, x))
        return 0;
    r = op->kind == RMDIR ? rig_rmdir(&w->rig, op->a) : rig_unlink(&w->rig, op->a);
    if (expect(w, op, r, wanted) < 0)
        return -1;
    if (wanted == 0)
        del(w, x);
    return 0;
}

static int do_mkdir(struct world *w, const struct op *op)
{
    int wanted = open_errno(w, op->a, true);

    if (find(w, op->a) != NULL)
        return 0; /* the kernel's lookup answers */
    if (expect(w, op, rig_mkdir(&w->rig, op->a, 0755), wanted) < 0)
        return -1;
    if (wanted == 0)
        add(w, op->a, true);
    return 0;
}

static int rename_errno(struct world *w, const struct op *op, const struct node *x,
                        const struct node *y)
{
    size_t n = strlen(op->a);
    int r = open_errno(w, op->b, true);

    if (r < 0 && r != -EISDIR)
        return r;
    if (x->is_dir && strncmp(op->b, op->a, n) == 0 && op->b[n] == '/')
        return -EINVAL;
    if (y == NULL)
        return 0;
    if (x->is_dir != y->is_dir)
        return x->is_dir ? -ENOTDIR : -EISDIR;
    return y->is_dir && has_below(w, op->b) ? -ENOTEMPTY : 0;
}

static int do_rename(struct world *w, const struct op *op)
{
    struct node *x = find(w, op->a), *y = find(w, op->b);
    size_t n = strlen(op->a);
    int wanted;

    if (x == NULL || x == y || (y != NULL && is_open(w, y)))
        return 0;
    wanted = rename_errno(w, op, x, y);
    if (wanted == 0 && x->is_dir) {
        for (size_t i = 0; i < w->n; i++)
            if (strlen(w->nodes[i]->path) - n + strlen(op->b) >= sizeof(x->path))
                return 0;
    }
    if (expect(w, op, rig_rename(&w->rig, op->a, op->b, 0), wanted) < 0)
        return -1;
    if (wanted < 0)
        return 0;
    if (y != NULL)
        del(w, y);
    for (size_t i = 0; i < w->n; i++) {
        char *p = w->nodes[i]->path, rest[64];

        if (strncmp(p, op->a, n) != 0 || (p[n] != '\0' && p[n] != '/'))
            continue;
        snprintf(rest, sizeof(rest), "%s", p + n);
        snprintf(p, sizeof(x->path), "%.31s%.31s", op->b, rest);
    }
    return 0;
}

static int do_chmod(struct world *w, const struct op *op)
{
    struct node *x = find(w, op->a);

    if (x == NULL)
        return 0;
    x->mode = op->fill % 2 == 0 ? 0600 : 0750;
    return expect(w, op, rig_chmod(&w->rig, op->a, x->mode), 0);
}

static int do_handle(struct world *w, const struct op *op)
{
    static unsigned char buf[MAX_SIZE * 2];
    struct node *x;
    ssize_t n;

    if (op->kind == OPEN) {
        int wanted = open_errno(w, op->a, true);

        if (w->handles[op->handle].is_open || wanted < 0)
            return 0;
        if (expect(w, op,
                   rig_open_file(&w->rig, op->a, O_RDWR | O_CREAT, &w->handles[op->handle].fh),
                   0) < 0)
            return -1;
        x = find(w, op->a);
        w->handles[op->handle].node = x != NULL ? x : add(w, op->a, false);
        w->handles[op->handle].is_open = true;
        return 0;
    }
    if (!w->handles[op->handle].is_open)
        return 0;
    x = w->handles[op->handle].node;
    if (op->kind == HWRITE) {
        size_t off = op->off > x->size + 5000 ? x->size : op->off;

        memset(buf, (int)op->fill, op->len);
        n = vfs_write(w->rig.vfs, &w->rig.ctx, w->handles[op->handle].fh, off, buf, op->len);
        if (n != (ssize_t)op->len)
            return fail(w, "write through a handle: %zd (%s)", n, err_text());
        model_write(x, off, op->fill, op->len);
        return 0;
    }
    if (op->kind == HREAD) {
        n = vfs_read(w->rig.vfs, w->handles[op->handle].fh, 0, buf, sizeof(buf));
        if (n != (ssize_t)x->size || (n > 0 && memcmp(buf, x->data, x->size) != 0))
            return fail(w, "read %s through a handle: %zd (%s), wanted %zu bytes", x->path, n,
                        err_text(), x->size);
        return 0;
    }
    if (op->kind == HSYNC)
        return expect(w, op, vfs_fsync(w->rig.vfs, w->handles[op->handle].fh), 0);
    w->handles[op->handle].is_open = false;
    return expect(w, op, rig_shut(&w->rig, w->handles[op->handle].fh), 0);
}

static int close_all(struct world *w)
{
    int r = 0;

    for (unsigned i = 0; i < N_HANDLES; i++) {
        const struct op op = {.kind = CLOSE, .handle = i};

        if (do_handle(w, &op) < 0)
            r = -1;
    }
    return r;
}

static int do_remount(struct world *w, const struct op *op)
{
    if (close_all(w) < 0)
        return -1;
    if (op->fill % 3 == 0) { /* the cache directory is lost */
        struct rig fresh;

        if (rig_join(&fresh, &w->rig, NULL) < 0)
            return fail(w, "remount");
        fresh.owns_store = true;
        w->rig.owns_store = false;
        rig_close(&w->rig);
        w->rig = fresh;
        w->rig.conf.invalidate_arg = &w->rig;
        return rig_remount(&w->rig) < 0 ? fail(w, "remount") : 0;
    }
    return rig_remount(&w->rig) < 0 ? fail(w, "remount") : 0;
}

/* A failing PUT: the call errs and nothing changes. A lost reply: nobody notices. */
static int do_fault(struct world *w, const struct op *op)
{
    struct op inner = *op;
    struct node *x = find(w, op->a);
    int r;

    inner.kind = PUT;
    if (op->kind == LOSE_PUT) {
        memstore_lose(w->rig.store, STORE_PUT, 1, 1, STORE_PRECONDITION);
        r = do_write(w, &inner);
        memstore_clear_faults(w->rig.store);
        return r;
    }
    if (x == NULL || x->is_dir || is_open(w, x))
        return 0;
    memstore_fail(w->rig.store, STORE_PUT, 1, 5, -EACCES);
    r = write_some(w, &inner, O_WRONLY | O_TRUNC, 0);
    memstore_clear_faults(w->rig.store);
    return expect(w, op, r, -EACCES);
}

static int step(struct world *w, const struct op *op)
{
    switch (op->kind) {
    case PUT:
    case WRITE_AT:
    case APPEND:
        return do_write(w, op);
    case TRUNCATE:
        return do_truncate(w, op);
    case READ:
        return find(w, op->a) != NULL && !find(w, op->a)->is_dir ? check_bytes(w, find(w, op->a))
                                                                 : 0;
    case UNLINK:
    case RMDIR:
        return do_remove(w, op);
    case MKDIR:
        return do_mkdir(w, op);
    case RENAME:
        return do_rename(w, op);
    case CHMOD:
        return do_chmod(w, op);
    case OPEN:
    case HWRITE:
    case HREAD:
    case HSYNC:
    case CLOSE:
        return do_handle(w, op);
    case REMOUNT:
        return do_remount(w, op);
    case TICK:
        clock_fake_add((int64_t)(op->len % 100) * NS_PER_S);
        return 0;
    case FAIL_PUT:
    case LOSE_PUT:
        return do_fault(w, op);
    case KINDS:
    default:
        return 0;
    }
}

static void random_path(char path[64])
{
    unsigned depth = 1 + rnd(3);

    path[0] = '\0';
    for (unsigned i = 0; i < depth; i++)
        snprintf(path + strlen(path), 64 - strlen(path), "%s%c", i > 0 ? "/" : "",
                 'a' + (char)rnd(N_NAMES));
}

static void generate(struct op *ops, size_t n)
{
    static const unsigned char weights[KINDS] = {12, 10, 6, 6, 8, 6, 6, 3, 8, 4,
                                                 6,  10, 6, 3, 5, 2, 4, 2, 2};
    unsigned sum = 0;

    for (int k = 0; k < KINDS; k++)
        sum += weights[k];
    for (size_t i = 0; i < n; i++) {
        unsigned pick = rnd(sum), k = 0;

        while (pick >= weights[k])
            pick -= weights[k++];
        ops[i] = (struct op){.kind = (enum kind)k,
                             .off = rnd(4) == 0 ? rnd(MAX_SIZE / 2) : rnd(300),
                             .len = rnd(3) == 0 ? 1 + rnd(MAX_SIZE / 4) : 1 + rnd(200),
                             .fill = 1 + rnd(255),
                             .handle = rnd(N_HANDLES)};
        random_path(ops[i].a);
        random_path(ops[i].b);
    }
}

/* Index of the operation that failed, or -1. */
static long run(const struct op *ops, size_t n, char why[512])
{
    struct world *w = calloc(1, sizeof(*w));
    long failed = -1;
    int r;

    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    r = rig_open(&w->rig, NULL);
    for (size_t i = 0; i < n && r == 0; i++) {
        clock_fake_add(10 * NS_PER_MS);
        r = step(w, &ops[i]);
        if (r == 0 && i % 16 == 15)
            r = check_tree(w);
        if (r < 0)
            failed = (long)i;
    }
    if (r == 0) {
        r = close_all(w);
        if (r == 0)
            r = check_tree(w);
        if (r == 0)
            r = check_bucket(w);
        if (r < 0)
            failed = (long)n;
    }
    memcpy(why, w->why, sizeof(w->why));
    rig_close(&w->rig);
    while (w->n > 0)
        del(w, w->nodes[0]);
    free(w);
    return failed;
}

/* Leaves out whatever the failure does not need. */
static size_t shrink(struct op *ops, size_t n, char why[512])
{
    for (size_t chunk = n / 2; chunk > 0; chunk /= 2) {
        for (size_t at = 0; at + chunk <= n;) {
            struct op *fewer = malloc((n + 1) * sizeof(*ops));
            char this_why[512];

            memcpy(fewer, ops, at * sizeof(*ops));
            memcpy(fewer + at, ops + at + chunk, (n - at - chunk) * sizeof(*ops));
            if (run(fewer, n - chunk, this_why) >= 0) {
                n -= chunk;
                memcpy(ops, fewer, n * sizeof(*ops));
                memcpy(why, this_why, 512);
            } else {
                at += chunk;
            }
            free(fewer);
        }
    }
    return n;
}

static unsigned long number(int argc, char **argv, int i, const char *env, unsigned long otherwise)
{
    const char *s = argc > i ? argv[i] : env != NULL ? getenv(env) : NULL;

    return s != NULL ? strtoul(s, NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    unsigned long first = number(argc, argv, 1, NULL, 1),
                  seeds = number(argc, argv, 2, "MODEL_SEEDS", 40);
    size_t n = number(argc, argv, 3, "MODEL_OPS", 400), failures = 0;
    struct op *ops = calloc(n + 1, sizeof(*ops));

    for (unsigned long seed = first; seed < first + seeds; seed++) {
        char why[512];

        rig_set_unseen(seed % 2 == 0); /* lookups bring bytes, or never */
        rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
        for (int i = 0; i < 10; i++)
            (void)rnd(2);
        generate(ops, n);
        if (run(ops, n, why) < 0)
            continue;
        failures++;
        fprintf(stderr, "seed %lu: %s\n", seed, why);
        size_t left = shrink(ops, n, why);
        fprintf(stderr, "seed %lu shrunk to %zu operations: %s\n", seed, left, why);
        for (size_t i = 0; i < left; i++)
            fprintf(stderr, "  %s a=%s b=%s off=%u len=%u fill=%u handle=%u\n",
                    kind_names[ops[i].kind], ops[i].a, ops[i].b, ops[i].off, ops[i].len,
                    ops[i].fill, ops[i].handle);
        if (failures == 3)
            break;
    }
    free(ops);
    printf("model: %lu sequences of %zu operations, seeds %lu to %lu\n", seeds, n, first,
           first + seeds - 1);
    printf("[  PASSED  ] %d test(s).\n[  FAILED  ] %zu test(s).\n", failures == 0, failures);
    return failures == 0 ? 0 : 1;
}
