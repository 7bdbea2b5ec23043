/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials in use, and their refresh.
 *
 * States by what is left until the expiry: fresh (over 15 min, or no expiry) -> advisory (a thread
 * of ours refreshes, all use what there is) -> mandatory (10 min or less: callers that may block
 * wait for the refresh) -> expired or missing (nothing to use).
 *
 * CRED-1  At most one refresh runs; who needs its result waits for it.
 * CRED-2  A refresh that fails takes nothing away: credentials are used until they expire, and the
 * next attempt comes after RETRY_NS. CRED-3  No lock is held while a source is asked. */
#include "aws/cred.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/str.h"
#include "cred_source.h"

static const int64_t ADVISORY_NS = 15 * 60 * NS_PER_S;
static const int64_t MANDATORY_NS = 10 * 60 * NS_PER_S;
static const int64_t RETRY_NS = 30 * NS_PER_S;

enum need { NEED_NOTHING, NEED_SOON, NEED_NOW, NEED_FIRST };

enum { SOURCE_SIZE = 300 };

struct cred {
    struct cred_ctx ctx; /* does not change */
    struct {
        struct lock lock;
        struct cond changed; /* a refresh ended */
        struct aws_cred cred;
        bool has_cred, is_refreshing, has_thread;
        pthread_t thread;
        uint64_t refreshes; /* that ended */
        int last_r;         /* of the last one */
        struct err_copy last_text;
        int64_t retry_boot_ns; /* no attempt before, while the old ones hold */
        char source[SOURCE_SIZE];
    } locked;
};

/* --- values ------------------------------------------------------------------------------------
 */

void cred_wipe(char *s, size_t len)
{
    OPENSSL_cleanse(s, len);
}

void aws_cred_done(struct aws_cred *c)
{
    secret_free(steal(&c->access_key));
    secret_free(steal(&c->secret));
    secret_free(steal(&c->token));
    c->expiry_ns = 0;
}

int cred_set(struct aws_cred *c, const char *access_key, const char *secret, const char *token,
             int64_t expiry_ns)
{
    _cleanup_(aws_cred_done) struct aws_cred copy = {.expiry_ns = expiry_ns};
    copy.access_key = access_key ? secret_dup(access_key, strlen(access_key)) : NULL;
    copy.secret = secret ? secret_dup(secret, strlen(secret)) : NULL;
    copy.token = token && token[0] ? secret_dup(token, strlen(token)) : NULL;
    if ((access_key && !copy.access_key) || (secret && !copy.secret) ||
        (token && token[0] && !copy.token))
        return err_set(-ENOMEM, "out of memory for credentials");
    *c = copy;
    copy = (struct aws_cred){0};
    return 0;
}

/* --- refresh -----------------------------------------------------------------------------------
 */

static bool is_expired(const struct aws_cred *c, int64_t wall_ns)
{
    return c->expiry_ns != 0 && c->expiry_ns <= wall_ns;
}

static enum need judge_locked(const struct cred *c, int64_t wall_ns)
{
    const struct aws_cred *k = &c->locked.cred;
    if (!c->locked.has_cred || is_expired(k, wall_ns))
        return NEED_FIRST;
    if (k->expiry_ns == 0 || k->expiry_ns - wall_ns > ADVISORY_NS)
        return NEED_NOTHING;
    if (clock_boot_ns() < c->locked.retry_boot_ns)
        return NEED_NOTHING; /* just tried in vain */
    return k->expiry_ns - wall_ns > MANDATORY_NS ? NEED_SOON : NEED_NOW;
}

/* Asks the sources; is_refreshing is ours. */
static void refresh(struct cred *c)
{
    _cleanup_(aws_cred_done) struct aws_cred fresh = {0};
    char source[SOURCE_SIZE] = "";
    int r = cred_chain_get(&c->ctx, &fresh, source, sizeof(source));
    if (r == 0 && is_expired(&fresh, clock_wall_ns()))
        r = err_set(-EACCES, "the credentials from %s have expired already (is the clock right?)",
                    source);
    lock_take(&c->locked.lock);
    if (r == 0) {
        aws_cred_done(&c->locked.cred);
        c->locked.cred = fresh;
        fresh = (struct aws_cred){0};
        c->locked.has_cred = true;
        c->locked.retry_boot_ns = 0;
        memcpy(c->locked.source, source, sizeof(source));
        log_debug("cred.refresh", "source=%s", LOG_Q(source));
    } else {
        err_copy(&c->locked.last_text);
        c->locked.retry_boot_ns = clock_boot_ns() + RETRY_NS;
        log_debug("cred.refresh", "error=%d cause=%s", -r, LOG_Q(err_text()));
    }
    c->locked.last_r = r;
    c->locked.refreshes++;
    c->locked.is_refreshing = false;
    cond_broadcast(&c->locked.changed);
    lock_drop(&c->locked.lock);
}

static void *refresh_main(void *arg)
{
    pthread_setname_np(pthread_self(), "cred");
    refresh(arg);
    return NULL;
}

/* In the background; the thread of an earlier refresh has ended, since none is running. */
static void start_refresh_locked(struct cred *c)
{
    sigset_t all, old;
    if (c->locked.has_thread)
        pthread_join(c->locked.thread, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    c->locked.is_refreshing = true;
    c->locked.has_thread = pthread_create(&c->locked.thread, NULL, refresh_main, c) == 0;
    if (!c->locked.has_thread)
        c->locked.is_refreshing = false; /* the next caller tries again */
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* Refreshes here, or waits for the one that runs. 0, or why it failed. */
static int refresh_or_wait_locked(struct cred *c)
{
    uint64_t before = c->locked.refreshes;
    if (!c->locked.is_refreshing) {
        c->locked.is_refreshing = true;
        lock_drop(&c->locked.lock);
        refresh(c);
        lock_take(&c->locked.lock);
    }
    while (c->locked.refreshes == before)
        cond_wait(&c->locked.changed, &c->locked.lock);
    if (c->locked.last_r < 0)
        err_restore(&c->locked.last_text);
    return c->locked.last_r;
}

static int copy_locked(const struct cred *c, struct aws_cred *ret)
{
    const struct aws_cred *k = &c->locked.cred;
    return cred_set(ret, k->access_key, k->secret, k->token, k->expiry_ns);
}

static int get_locked(struct cred *c, bool force, bool nonblock, struct aws_cred *ret)
{
    enum need need = force ? NEED_FIRST : judge_locked(c, clock_wall_ns());
    if (need == NEED_SOON && !c->locked.is_refreshing)
        start_refresh_locked(c);
    if (need == NEED_NOTHING || need == NEED_SOON)
        return copy_locked(c, ret);
    if (nonblock)
        return err_set(-EAGAIN, "the credentials are to be refreshed first");
    int r = refresh_or_wait_locked(c);
    bool is_usable = c->locked.has_cred && !is_expired(&c->locked.cred, clock_wall_ns());
    if (r < 0 && (need == NEED_FIRST || !is_usable))
        return r;
    return copy_locked(c, ret);
}

int cred_get(struct cred *c, bool force, bool nonblock, struct aws_cred *ret)
{
    if (!nonblock)
        lock_assert_may_block();
    lock_take(&c->locked.lock);
    int r = get_locked(c, force, nonblock, ret);
    lock_drop(&c->locked.lock);
    return r;
}

const char *cred_source(struct cred *c)
{
    static _Thread_local char text[SOURCE_SIZE];
    lock_take(&c->locked.lock);
    memcpy(text, c->locked.source, sizeof(text));
    lock_drop(&c->locked.lock);
    return text;
}

/* --- life --------------------------------------------------------------------------------------
 */

int cred_new(const struct cred_conf *conf, struct http *http, struct cred **ret)
{
    struct cred *c = calloc(1, sizeof(*c));
    if (!c)
        return err_set(-ENOMEM, "out of memory for credentials");
    lock_init(&c->locked.lock, LOCK_CRED);
    cond_init(&c->locked.changed);
    c->ctx.env = conf->getenv;
    c->ctx.http = http;
    c->ctx.anonymous_ok = conf->anonymous_ok;
    c->ctx.container_ms = conf->container_ms;
    bool has_profile = conf->profile && conf->profile[0],
         has_region = conf->region && conf->region[0];
    if (has_profile)
        c->ctx.profile = strdup(conf->profile);
    if (has_region)
        c->ctx.region = strdup(conf->region);
    if ((has_profile && !c->ctx.profile) || (has_region && !c->ctx.region)) {
        cred_free(c);
        return err_set(-ENOMEM, "out of memory for credentials");
    }
    *ret = c;
    return 0;
}

void cred_free(struct cred *c)
{
    if (!c)
        return;
    lock_take(&c->locked.lock);
    while (c->locked.is_refreshing)
        cond_wait(&c->locked.changed, &c->locked.lock);
    lock_drop(&c->locked.lock);
    if (c->locked.has_thread)
        pthread_join(c->locked.thread, NULL);
    aws_cred_done(&c->locked.cred);
    cond_done(&c->locked.changed);
    lock_done(&c->locked.lock);
    free(c->ctx.profile);
    free(c->ctx.region);
    free(c);
}
