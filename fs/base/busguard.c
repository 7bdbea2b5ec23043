/* SPDX-License-Identifier: Apache-2.0 */
/* SIGBUS as an error of one call. See base/busguard.h. */
#include "base/busguard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

static _Thread_local struct bus_guard *innermost;
static _Thread_local bool is_unblocked;
static struct sigaction before;

/* What this thread has just read is not there: no process' signal, none for a page that it does not ask for (BUS_MCEERR_AO). */
static bool is_a_read(const siginfo_t *info)
{
    return info->si_code == BUS_ADRERR || info->si_code == BUS_MCEERR_AR;
}

static void on_bus(int sig, siginfo_t *info, void *context)
{
    struct bus_guard *g = innermost;

    (void)context;
    if (g != NULL && is_a_read(info)) {
        innermost = g->outer;
        g->addr = info->si_addr;
        is_unblocked = false; /* a sanitizer calls us with all signals blocked, and the jump leaves them so */
        siglongjmp(g->jump, 1);
    }
    sigaction(SIGBUS, &before, NULL); /* the read is tried again, and ends us */
    if (info->si_code <= 0 || info->si_code == BUS_MCEERR_AO) /* there is no read to try again */
        raise(sig);
}

int bus_guard_install(void)
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    /* NODEFER: the mask is as it was after the jump, without a system call for each guard. */
    struct sigaction ours = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_NODEFER}, now;
    int r = 0;

    pthread_mutex_lock(&once);
    if (sigaction(SIGBUS, NULL, &now) < 0)
        r = -errno;
    else if ((now.sa_flags & SA_SIGINFO) == 0 || now.sa_sigaction != on_bus) {
        before = now;
        r = sigaction(SIGBUS, &ours, NULL) < 0 ? -errno : 0;
    }
    pthread_mutex_unlock(&once);
    return r;
}

static void unblock(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGBUS);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

sigjmp_buf *bus_guard_enter(struct bus_guard *g)
{
    if (!is_unblocked) /* many threads here have all signals blocked, and a blocked SIGBUS ends the process */
        unblock();
    is_unblocked = true;
    g->outer = innermost;
    g->addr = NULL;
    innermost = g;
    return &g->jump;
}

void bus_guard_leave(struct bus_guard *g)
{
    innermost = g->outer;
}

void bus_guard_end(void)
{
    unblock(); /* as above */
    raise(SIGBUS);
}
