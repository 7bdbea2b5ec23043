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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mounts.h"

struct world w;
static unsigned long seed;

/* --- a run --- */

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
    memstore_set_hooks(w.rig[0].store, run_hook_before, run_hook_after, NULL);
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
    struct move about = {.hold_n = 0}, rush = {.hold_n = 0};
    static const unsigned char weights[M_KINDS] = {8, 6, 4, 6, 4, 8, 12, 2, 3, 12, 8, 5, 6, 6, 4,
                                                   4, 6, 5, 2, 2, 1, 3,  3, 2, 2,  1, 1, 5, 8, 10};
    unsigned sum = 0;

    for (int k = 0; k < (seed < SEEDS_MORE ? M_MORE : M_KINDS); k++)
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
        /* Who else wants the lock, or takes it from a mount that was away for too long. */
        if (rush.hold_n > 0) {
            moves[i].mount = (rush.mount + 1 + rnd(MOUNTS - 1)) % MOUNTS;
            moves[i].kind = rnd(3) == 0 ? M_TICK : M_LOCK_ADD;
            moves[i].len = rush.len;
            rush.hold_n--;
            continue;
        }
        /* What a mount asks about a name while it changes that name itself, and what it knows then.
         */
        if (about.hold_n > 0) {
            static const enum kind kinds[] = {M_UNLINK, M_PUT, M_STAT, M_RENAME, M_PUT, M_CHMOD};

            moves[i].mount = about.mount;
            moves[i].path = about.path;
            moves[i].kind = about.hold_n > 1 ? kinds[rnd(6)] : M_STAT;
            about.hold_n--;
        } else if (rnd(k == M_LOCK_ADD ? 2 : 5) == 0) {
            moves[i].hold_at = 1 + rnd(k == M_LOCK_ADD ? 16 : 3);
            moves[i].hold_n = 1 + rnd(4);
            moves[i].hold_after = rnd(2) == 0;
            if (k == M_LOCK_ADD)
                rush = moves[i], rush.hold_n += 2;
            else if (is_soft(moves[i].kind) && rnd(2) == 0)
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

/* How many failed; after three it is enough. */
static unsigned run_seeds(unsigned long first, unsigned long seeds, size_t n)
{
    struct move *moves = calloc(n + 1, sizeof(*moves));
    unsigned failures = 0;

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
    printf("model of mounts: %lu sequences of %zu moves, seeds %lu to %lu\n", seed - first, n,
           first, seed - 1);
    return failures;
}

int main(int argc, char **argv)
{
    unsigned long first = number(argc, argv, 1, NULL, 0),
                  seeds = number(argc, argv, 2, "MODEL_SEEDS", 40);
    size_t n = number(argc, argv, 3, "MODEL_OPS", 100);
    unsigned failures;

    if (first != 0) {
        failures = run_seeds(first, seeds, n);
    } else { /* among the first 40 are those that see each mechanism switched off; see the log of
                this file */
        failures = run_seeds(60, seeds, n);
        failures += run_seeds(SEEDS_MORE, seeds, n);
        rig_set_unseen(true); /* lookups bring bytes where they were followed by reads */
        failures += run_seeds(60, seeds / 4, n);
    }
    free(w.history);
    printf("[  PASSED  ] %d test(s).\n[  FAILED  ] %u test(s).\n", failures == 0, failures);
    return failures == 0 ? 0 : 1;
}
