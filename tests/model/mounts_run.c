/* SPDX-License-Identifier: Apache-2.0 */
/* One move after another, a move inside another that is held, and what is written down of them. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mounts.h"

#define INTENTS ".s3efs/intents/"
#define WAITS_MAX 8
#define MOVE_MAX_S 600

const char *const move_names[M_KINDS] = {
    "open",         "open-rdwr", "open-append", "open-trunc", "open-excl",   "read",
    "write",        "truncate",  "fsync",       "close",      "put",         "add",
    "get",          "stat",      "ls",          "pin",        "unlink",      "rename",
    "noreplace",    "mkdir",     "rmdir",       "chmod",      "foreign-put", "foreign-delete",
    "foreign-copy", "remount",   "cache-loss",  "tick",       "fallocate",   "lock-add"};
static const char *const fault_names[F_KINDS] = {
    "", " put-retried", " put-lost", " put-refused", " put-in-doubt", " delete-lost", " get-fails"};

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

void describe(const struct move *m, char *buf, size_t size)
{
    size_t n = (size_t)snprintf(buf, size, "m%u %s h%u %s %s off=%u len=%u%s", m->mount,
                                move_names[m->kind], m->handle, paths[m->path], paths[m->path2],
                                m->off, m->len, fault_names[m->fault]);

    if (m->hold_at > 0)
        snprintf(buf + n, size - n, " [%s request %u: %u moves]",
                 m->hold_after ? "after" : "before", m->hold_at, m->hold_n);
}

/* It holds nothing that another call on its mount would wait for. */
bool is_soft(enum kind k)
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

/* What the thread that mends does at once after a rename that was left half done. Without it others
 * wait for that until the mount's session ends. */
static void mend(const struct doing *d)
{
    if (d->has_erred && (d->m->kind == M_RENAME || d->m->kind == M_NOREPLACE))
        (void)rig_mend(&w.rig[d->m->mount]);
}

/* A move inside another that is held may come to wait for that one. It would for ever: so after a
 * while its requests fail. */
static void give_up(struct doing *d, struct store *s, const struct store_req *req)
{
    if (d->outer == NULL || d->gave_up || req->op != STORE_GET || req->key == NULL ||
        strncmp(req->key, INTENTS, strlen(INTENTS)) != 0 || ++d->waits < WAITS_MAX)
        return;
    model_note("      gives up");
    d->gave_up = true;
    memstore_clear_faults(s);
    for (int op = 0; op < STORE_OPS; op++)
        memstore_fail(s, (enum store_op)op, 1, 1000, -EIO);
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

/* Then a stat may ask for the file, to follow it, and whoever uses it waits. */
static bool is_open_at(unsigned mount, unsigned path)
{
    for (int i = 0; i <= HANDLES; i++)
        if (w.handles[mount][i].is_open && w.handles[mount][i].f->path == path)
            return true;
    return false;
}

static void begin(struct doing *d, const struct move *m)
{
    char text[256];

    describe(m, text, sizeof(text));
    *d = (struct doing){.m = m, .outer = w.doing};
    d->t0 = ++w.t;
    d->boot0 = clock_boot_ns();
    d->is_soft = is_soft(m->kind) && !is_open_at(m->mount, m->path);
    memcpy(d->own_before, w.own[m->mount], sizeof(d->own_before));
    memcpy(d->seen_before, w.seen[m->mount], sizeof(d->seen_before));
    memcpy(d->local_before, w.local[m->mount], sizeof(d->local_before));
    w.doing = d;
    model_note("%4u %9.3f %s", d->t0, (double)d->boot0 / (double)NS_PER_S, text);
}

static void end(struct doing *d)
{
    for (unsigned k = 0; k < N_KEYS && !d->has_erred; k++)
        if (d->own_now[k] > w.own[d->m->mount][k]) {
            w.own[d->m->mount][k] = d->own_now[k];
            w.own_ns[d->m->mount][k] = clock_boot_ns();
        }
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
    alarm(MOVE_MAX_S); /* a move that waits for ever says so by its signal */
    r = do_name_move(&d);
    if (m->fault != F_NONE || d.gave_up)
        memstore_clear_faults(w.rig[0].store);
    mend(&d);
    end(&d);
    alarm(w.doing != NULL ? MOVE_MAX_S : 0);
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

void run_hook_before(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)result;
    if (w.doing == NULL)
        return;
    w.doing->requests++;
    give_up(w.doing, s, req);
    hold(w.doing, false);
}

void run_hook_after(void *arg, struct store *s, const struct store_req *req, int result)
{
    log_hook_after(arg, s, req, result);
    hold(w.doing, true);
}
