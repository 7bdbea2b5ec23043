/* SPDX-License-Identifier: Apache-2.0 */
/* Random moves of three mounts of one bucket and of a foreign writer, against a model of what is
 * promised between mounts: close-to-open, a handle reads one version, nothing acknowledged is lost,
 * one winner of an exclusive create, removed files stay removed. Each mount has its own cache, wall
 * clock and processes. Moves are remounts, lost caches, lost replies and failing requests, too; and
 * a request of a move may stop, before it is done or before its reply arrives, while others move
 * (on a second thread, for which the first waits: the same seed makes the same sequence). A failing
 * sequence is shrunk and printed with its seed; its history is kept in a file.
 *
 *   test_mounts_model [first-seed [number-of-seeds [moves]]]   (or MODEL_SEEDS, MODEL_OPS) */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mounts.h"

const char *const move_names[M_KINDS] = {
    "open",     "open-rdwr",   "open-append",    "open-trunc",   "open-excl", "read",       "write",
    "truncate", "fsync",       "close",          "put",          "add",       "get",        "stat",
    "ls",       "pin",         "unlink",         "rename",       "noreplace", "mkdir",      "rmdir",
    "chmod",    "foreign-put", "foreign-delete", "foreign-copy", "remount",   "cache-loss", "tick"};
static const char *const fault_names[F_KINDS] = {
    "", " put-retried", " put-lost", " put-refused", " put-in-doubt", " delete-lost", " get-fails"};
struct world w;
static unsigned long seed;

int model_fail(const char *fmt, ...)
{
    va_list ap;

    if (!w.has_failed) {
        va_start(ap, fmt);
        vsnprintf(w.why, sizeof(w.why), fmt, ap);
        va_end(ap);
        model_note("FAILED: %s", w.why);
    }
    w.has_failed = true;
    return -1;
}

void model_note(const char *fmt, ...)
{
    va_list ap;
    char line[1024];
    size_t n;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line) - 1, fmt, ap);
    va_end(ap);
    n = strlen(line);
    line[n++] = '\n';
    if (w.history_len + n + 1 > w.history_cap) {
        w.history_cap = 2 * w.history_cap + sizeof(line);
        w.history = realloc(w.history, w.history_cap);
    }
    memcpy(w.history + w.history_len, line, n);
    w.history_len += n;
}

static void describe(const struct move *m, char *buf, size_t size)
{
    size_t n = (size_t)snprintf(buf, size, "m%u %s h%u %s %s off=%u len=%u%s", m->mount,
                                move_names[m->kind], m->handle, paths[m->path], paths[m->path2],
                                m->off, m->len, fault_names[m->fault]);

    if (m->hold_at > 0)
        snprintf(buf + n, size - n, " [%s request %u: %u moves]",
                 m->hold_after ? "after" : "before", m->hold_at, m->hold_n);
}

/* --- running --- */

/* It holds nothing that another call on its mount would wait for. */
static bool is_soft(enum kind k)
{
    return k == M_STAT || k == M_LS || k == M_PIN;
}

static bool is_mount_free(unsigned mount)
{
    for (const struct doing *d = w.doing; d != NULL; d = d->outer)
        if (d->m->mount == mount && !d->is_soft)
            return false;
    return true;
}

static bool is_foreign(const struct move *m)
{
    return m->kind == M_FOREIGN_PUT || m->kind == M_FOREIGN_DELETE || m->kind == M_FOREIGN_COPY ||
           m->kind == M_TICK;
}

/* A mount sees its own wall clock, the bucket has the true one. */
static void set_clock(const struct doing *d)
{
    int64_t skew = d != NULL && !is_foreign(d->m) ? w.skew_ns[d->m->mount] : 0;
    int64_t boot = clock_boot_ns();

    clock_fake_set(boot, INT64_C(1700000000) * NS_PER_S + boot + skew);
    memstore_set_skew(w.rig[0].store, -skew);
}

static void set_fault(const struct move *m)
{
    struct store *s = w.rig[0].store;

    switch (m->fault) {
    case F_PUT_RETRIED:
        memstore_lose(s, STORE_PUT, 1, 1, STORE_PRECONDITION);
        break;
    case F_PUT_LOST:
        memstore_lose(s, STORE_PUT, 1, 1, -EIO);
        break;
    case F_PUT_REFUSED:
        memstore_fail(s, STORE_PUT, 1, 5, -EACCES);
        break;
    case F_PUT_IN_DOUBT:
        memstore_lose(s, STORE_PUT, 1, 1, -EIO);
        memstore_fail(s, STORE_HEAD, 1, 9, -EIO);
        break;
    case F_DELETE_LOST:
        memstore_lose(s, STORE_DELETE, 1, 1, -EIO);
        break;
    case F_GET_FAILS:
        memstore_fail(s, STORE_GET, 1, 1, -EIO);
        break;
    case F_NONE:
    case F_KINDS:
    default:
        break;
    }
}

static void begin(struct doing *d, const struct move *m)
{
    char text[256];

    describe(m, text, sizeof(text));
    *d = (struct doing){.m = m, .outer = w.doing};
    d->t0 = ++w.t;
    d->boot0 = clock_boot_ns();
    d->is_soft = is_soft(m->kind);
    memcpy(d->own_before, w.own[m->mount], sizeof(d->own_before));
    memcpy(d->seen_before, w.seen[m->mount], sizeof(d->seen_before));
    memcpy(d->local_before, w.local[m->mount], sizeof(d->local_before));
    w.doing = d;
    model_note("%4u %9.3f %s", d->t0, (double)d->boot0 / (double)NS_PER_S, text);
}

static void end(struct doing *d)
{
    for (unsigned k = 0; k < N_KEYS && !d->has_erred; k++)
        if (d->own_now[k] > w.own[d->m->mount][k])
            w.own[d->m->mount][k] = d->own_now[k];
    for (unsigned i = 0; i < d->n_pubs; i++)
        content_free(&d->pubs[i].c);
    w.doing = d->outer;
}

int run_one(const struct move *m)
{
    struct doing d;
    int r;

    if (!is_foreign(m) && !is_mount_free(m->mount))
        return 0;
    if ((m->kind == M_REMOUNT || m->kind == M_CACHE_LOSS) && w.doing != NULL)
        return 0;
    clock_fake_add(10 * NS_PER_MS);
    begin(&d, m);
    set_clock(&d);
    set_fault(m);
    alarm(60); /* a move that waits for ever says so by its signal */
    r = do_name_move(&d);
    if (m->fault != F_NONE)
        memstore_clear_faults(w.rig[0].store);
    end(&d);
    set_clock(w.doing);
    return w.has_failed ? -1 : r;
}

static void *run_held(void *arg)
{
    unsigned n = *(const unsigned *)arg;

    while (n-- > 0 && w.next < w.n_moves && !w.has_failed)
        (void)run_one(&w.moves[w.next++]);
    return NULL;
}

/* The others move while this request waits: on a thread of their own, which holds nothing. */
static void hold(struct doing *d, bool is_after)
{
    pthread_t thread;
    unsigned n;

    if (d == NULL || d->had_hold || d->m->hold_at == 0 || is_after != d->m->hold_after ||
        d->requests != d->m->hold_at)
        return;
    d->had_hold = true;
    n = d->m->hold_n;
    model_note("      held");
    if (pthread_create(&thread, NULL, run_held, &n) != 0)
        abort();
    pthread_join(thread, NULL);
    model_note("      goes on");
}

static void hook_before(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)req;
    (void)result;
    if (w.doing == NULL)
        return;
    w.doing->requests++;
    hold(w.doing, false);
}

static void hook_after(void *arg, struct store *s, const struct store_req *req, int result)
{
    log_hook_after(arg, s, req, result);
    hold(w.doing, true);
}

static int start(void)
{
    static const int64_t skews[MOUNTS] = {0, 3600 * NS_PER_S, -40 * NS_PER_S};
    int r;

    clock_fake_set(1000 * NS_PER_S, INT64_C(1700001000) * NS_PER_S);
    for (unsigned k = 0; k < N_KEYS; k++) {
        w.keys[k].v = calloc(8, sizeof(*w.keys[k].v));
        w.keys[k].cap = 8;
        w.keys[k].n = 1;
    }
    r = rig_open(&w.rig[0], NULL);
    for (unsigned m = 0; m < MOUNTS && r == 0; m++) {
        if (m > 0)
            r = rig_join(&w.rig[m], &w.rig[0], NULL);
        w.rig[m].ctx.pid = (pid_t)(100 * (m + 1));
        w.skew_ns[m] = skews[m];
    }
    memstore_set_hooks(w.rig[0].store, hook_before, hook_after, NULL);
    return r == 0 ? 0 : model_fail("the mounts do not start: %d", r);
}

static void finish(void)
{
    memstore_set_hooks(w.rig[0].store, NULL, NULL, NULL);
    for (unsigned m = MOUNTS; m-- > 0;)
        rig_close(&w.rig[m]);
    while (w.files != NULL) {
        w.files->n_handles = 1;
        lfile_unref(w.files);
    }
    log_free();
}

/* Everything closed, every remount and every attribute time over. */
static int rest(void)
{
    for (unsigned m = 0; m < MOUNTS; m++) {
        const struct move end_of = {.kind = M_REMOUNT, .mount = m};
        const struct move time = {.kind = M_TICK, .off = 79};

        if (run_one(&end_of) < 0 || run_one(&time) < 0)
            return -1;
    }
    return check_settled();
}

/* Keeps the history of the run in w until the next. */
static bool fails(const struct move *moves, size_t n)
{
    free(w.history);
    w = (struct world){.moves = moves, .n_moves = n};
    if (start() == 0) {
        while (w.next < n && !w.has_failed)
            (void)run_one(&w.moves[w.next++]);
        if (!w.has_failed)
            (void)rest();
    }
    finish();
    return w.has_failed;
}

/* --- making and shrinking sequences --- */

static uint64_t rng;
static unsigned rnd(unsigned n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)((rng >> 11) % n);
}

static void generate(struct move *moves, size_t n)
{
    struct move about = {.hold_n = 0};
    static const unsigned char weights[M_KINDS] = {8, 6, 4, 6, 4, 8, 12, 2, 3, 12, 8, 5, 6, 6,
                                                   4, 4, 6, 5, 2, 2, 1,  3, 3, 2,  2, 1, 1, 5};
    unsigned sum = 0;

    for (int k = 0; k < M_KINDS; k++)
        sum += weights[k];
    for (size_t i = 0; i < n; i++) {
        unsigned pick = rnd(sum), k = 0, n_paths = rnd(2) == 0 ? 2 : N_FILES;

        while (pick >= weights[k])
            pick -= weights[k++];
        moves[i] = (struct move){.kind = (enum kind)k,
                                 .mount = rnd(MOUNTS),
                                 .handle = rnd(HANDLES),
                                 .path = rnd(n_paths),
                                 .path2 = rnd(N_FILES),
                                 .off = rnd(1000),
                                 .len = 1 + rnd(rnd(4) == 0 ? 300 : 6)};
        /* What a mount asks about a name while it changes that name itself, and what it knows then.
         */
        if (about.hold_n > 0) {
            static const enum kind kinds[] = {M_UNLINK, M_PUT, M_STAT, M_RENAME, M_PUT, M_CHMOD};

            moves[i].mount = about.mount;
            moves[i].path = about.path;
            moves[i].kind = about.hold_n > 1 ? kinds[rnd(6)] : M_STAT;
            about.hold_n--;
        } else if (rnd(5) == 0) {
            moves[i].hold_at = 1 + rnd(3);
            moves[i].hold_n = 1 + rnd(4);
            moves[i].hold_after = rnd(2) == 0;
            if (is_soft(moves[i].kind) && rnd(2) == 0)
                about = moves[i], about.hold_n += 2; /* and two after it */
        } else if (k != M_REMOUNT && k != M_CACHE_LOSS && rnd(12) == 0) {
            moves[i].fault = (enum fault)(1 + rnd(F_KINDS - 1));
        }
    }
}

static size_t shrink(struct move *moves, size_t n)
{
    struct move *fewer = malloc((n + 1) * sizeof(*moves));

    for (size_t chunk = n / 2; chunk > 0; chunk /= 2) {
        for (size_t at = 0; at + chunk <= n;) {
            memcpy(fewer, moves, at * sizeof(*moves));
            memcpy(fewer + at, moves + at + chunk, (n - at - chunk) * sizeof(*moves));
            if (fails(fewer, n - chunk)) {
                n -= chunk;
                memcpy(moves, fewer, n * sizeof(*moves));
            } else {
                at += chunk;
            }
        }
    }
    for (size_t i = 0; i < n; i++) { /* nor the holds and faults that it does not need */
        struct move was = moves[i];

        moves[i].hold_at = 0;
        moves[i].fault = F_NONE;
        if ((was.hold_at > 0 || was.fault != F_NONE) && !fails(moves, n))
            moves[i] = was;
    }
    free(fewer);
    (void)fails(moves, n);
    return n;
}

static void report(struct move *moves, size_t n)
{
    const char *dir = getenv("MODEL_HISTORY");
    char path[300], text[256];
    size_t left;
    FILE *f;

    fprintf(stderr, "seed %lu: %s\n", seed, w.why);
    left = shrink(moves, n);
    fprintf(stderr, "seed %lu shrunk to %zu moves: %s\n", seed, left, w.why);
    for (size_t i = 0; i < left; i++) {
        describe(&moves[i], text, sizeof(text));
        fprintf(stderr, "  %s\n", text);
    }
    snprintf(path, sizeof(path), "%s/mounts_model.%lu.history", dir != NULL ? dir : ".", seed);
    f = fopen(path, "w");
    if (f == NULL || fwrite(w.history, 1, w.history_len, f) != w.history_len)
        fprintf(stderr, "its history can't be kept in %s\n", path);
    else
        fprintf(stderr, "its history: %s\n", path);
    if (f != NULL)
        fclose(f);
}

static unsigned long number(int argc, char **argv, int i, const char *env, unsigned long otherwise)
{
    const char *s = argc > i ? argv[i] : env != NULL ? getenv(env) : NULL;

    return s != NULL ? strtoul(s, NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    /* Among these 40 are those that see each mechanism switched off; see the log of this file. */
    unsigned long first = number(argc, argv, 1, NULL, 60),
                  seeds = number(argc, argv, 2, "MODEL_SEEDS", 40), failures = 0;
    size_t n = number(argc, argv, 3, "MODEL_OPS", 100);
    struct move *moves = calloc(n + 1, sizeof(*moves));

    for (seed = first; seed < first + seeds && failures < 3; seed++) {
        rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
        for (int i = 0; i < 10; i++)
            (void)rnd(2);
        generate(moves, n);
        if (!fails(moves, n))
            continue;
        failures++;
        report(moves, n);
    }
    free(moves);
    free(w.history);
    printf("model of mounts: %lu sequences of %zu moves, seeds %lu to %lu\n", seed - first, n,
           first, seed - 1);
    printf("[  PASSED  ] %d test(s).\n[  FAILED  ] %lu test(s).\n", failures == 0, failures);
    return failures == 0 ? 0 : 1;
}
