/* SPDX-License-Identifier: Apache-2.0 */
/* Calls on open files whose caller is killed. FUSE sends INTERRUPT for any signal, once for a call; a JVM's, Go's and a
 * shell's ordinary ones must not fail a close, so only a pending SIGKILL ends the wait, as on NFS: the caller is answered
 * EINTR and can die, the call goes on here and its result is in the log. SIGKILL may come after the signal that
 * INTERRUPT told of, so calls that were interrupted are looked at again until they end.
 *
 * KILL-1  A call is answered once: by kill's thread or by its own, whoever takes it under the lock.
 * KILL-2  A handle is released when no call on it runs any more, though the kernel believes that none does.
 * Not so for calls by name: what they work on is the kernel's to forget once they are answered. */
#include "internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/err.h"
#include "base/str.h"
#include "base/sys.h"

#define LOOK_MS 100

struct kill {
    pthread_t thread;
    bool has_thread;
    struct lock lock;
    struct cond wake, ended;
    struct {
        struct killable *running; /* all calls on open files */
        bool stopping;
    } locked;
};

/* The mask after this name has SIGKILL in it. */
static bool has_sigkill(const char *status, const char *name)
{
    const char *at = strstr(status, name);
    char digits[17] = "";
    uint64_t mask;

    if (at == NULL)
        return false;
    at += strlen(name);
    at += strspn(at, " \t");
    snprintf(digits, sizeof(digits), "%.*s", (int)strspn(at, "0123456789abcdef"), at);
    return str_u64(digits, 16, &mask) == 0 && (mask >> (SIGKILL - 1) & 1) != 0;
}

/* false also where the caller can't be seen (another pid namespace). */
static bool is_killed(pid_t tid)
{
    _cleanup_free_ char *text = NULL;
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
    if (tid <= 0 || sys_read_file(path, 64 * 1024, &text, NULL) < 0)
        return false;
    return has_sigkill(text, "\nSigPnd:") || has_sigkill(text, "\nShdPnd:");
}

/* libfuse holds the request's own lock here, which our thread's answer does not take. */
static void interrupted(fuse_req_t req, void *arg)
{
    struct killable *k = arg;

    (void)req;
    lock_take(&k->kill->lock);
    k->is_interrupted = true;
    cond_signal(&k->kill->wake);
    lock_drop(&k->kill->lock);
}

/* A call whose caller is killed: this thread's to answer. NULL: there is none; whether others have to be looked at
 * again. */
static fuse_req_t take_killed_locked(struct kill *kill, bool *ret_again)
{
    *ret_again = false;
    for (struct killable *k = kill->locked.running; k != NULL; k = k->next) {
        if (!k->is_interrupted || k->is_answered)
            continue;
        if (is_killed(k->pid)) {
            k->is_answered = true;
            return k->req;
        }
        *ret_again = true;
    }
    return NULL;
}

static void *run(void *arg)
{
    struct kill *kill = arg;

    lock_take(&kill->lock);
    while (!kill->locked.stopping) {
        bool again;
        fuse_req_t req = take_killed_locked(kill, &again);

        if (req != NULL) {
            lock_drop(&kill->lock);
            fuse_reply_err(req, EINTR);
            lock_take(&kill->lock);
        } else if (again) {
            (void)cond_wait_ms(&kill->wake, &kill->lock, LOOK_MS);
        } else {
            cond_wait(&kill->wake, &kill->lock);
        }
    }
    lock_drop(&kill->lock);
    return NULL;
}

int kill_new(struct kill **ret)
{
    struct kill *kill = calloc(1, sizeof(*kill));
    int r;

    if (kill == NULL)
        return err_set(-ENOMEM, "out of memory");
    lock_init(&kill->lock, LOCK_LEAF);
    cond_init(&kill->wake);
    cond_init(&kill->ended);
    r = -pthread_create(&kill->thread, NULL, run, kill);
    kill->has_thread = r == 0;
    if (r < 0) {
        kill_free(kill);
        return err_set(r, "no thread: %s", strerror(-r));
    }
    pthread_setname_np(kill->thread, "kill");
    *ret = kill;
    return 0;
}

void kill_free(struct kill *kill)
{
    if (kill == NULL)
        return;
    lock_take(&kill->lock);
    kill->locked.stopping = true;
    cond_signal(&kill->wake);
    lock_drop(&kill->lock);
    if (kill->has_thread)
        pthread_join(kill->thread, NULL);
    cond_done(&kill->wake);
    cond_done(&kill->ended);
    lock_done(&kill->lock);
    free(kill);
}

/* Only then is it kill's thread's to take: where the signal came first libfuse calls interrupted() here and now, and
 * lets go of the request, which an answer may free, after that. */
void kill_watch(struct kill *kill, fuse_req_t req, uint64_t fh, struct killable *k)
{
    *k = (struct killable){.kill = kill, .req = req, .pid = fuse_req_ctx(req)->pid, .fh = fh};
    fuse_req_interrupt_func(req, interrupted, k);
    lock_take(&kill->lock);
    k->next = kill->locked.running;
    k->at = &kill->locked.running;
    if (k->next != NULL)
        k->next->at = &k->next;
    kill->locked.running = k;
    if (k->is_interrupted)
        cond_signal(&kill->wake);
    lock_drop(&kill->lock);
}

bool kill_unwatch(struct killable *k)
{
    struct kill *kill = k->kill;
    bool is_answered;

    lock_take(&kill->lock);
    is_answered = k->is_answered;
    k->is_answered = true; /* ours from here on */
    *k->at = k->next;
    if (k->next != NULL)
        k->next->at = k->at;
    cond_broadcast(&kill->ended);
    lock_drop(&kill->lock);
    /* Waits for interrupted(), and it does not come again. Of an answered request libfuse has forgotten it; the kernel sends
     * no second INTERRUPT for a call. */
    if (!is_answered)
        fuse_req_interrupt_func(k->req, NULL, NULL);
    return is_answered;
}

static bool runs_locked(const struct kill *kill, uint64_t fh)
{
    const struct killable *k = kill->locked.running;

    while (k != NULL && k->fh != fh)
        k = k->next;
    return k != NULL;
}

void kill_wait(struct kill *kill, uint64_t fh)
{
    lock_take(&kill->lock);
    while (runs_locked(kill, fh))
        cond_wait(&kill->ended, &kill->lock);
    lock_drop(&kill->lock);
}
