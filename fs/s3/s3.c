/* SPDX-License-Identifier: Apache-2.0 */
/* The back end: what its requests share, its start and its end. */
#include "s3/s3.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/secret.h"
#include "call.h"

#define WORK_THREADS 2 /* timers and credentials */

/* What waits for its next attempt is called off; what is on the wire is waited for. */
static void stop_store(struct store *s)
{
    struct s3 *s3 = container_of(s, struct s3, base);
    bool was_stopping;

    lock_take(&s3->locked.lk);
    was_stopping = s3->locked.stopping;
    s3->locked.stopping = true;
    lock_drop(&s3->locked.lk);
    if (!was_stopping)
        workq_free(s3->workq);
    lock_take(&s3->locked.lk);
    while (s3->locked.active > 0)
        cond_wait(&s3->locked.idle, &s3->locked.lk);
    lock_drop(&s3->locked.lk);
}

static void free_store(struct store *s)
{
    struct s3 *s3 = container_of(s, struct s3, base);

    stop_store(s);
    cond_done(&s3->locked.idle);
    lock_done(&s3->locked.lk);
    secret_free(s3->locked.key);
    free(s3);
}

static const struct store_ops s3_ops = {
    .submit = call_submit, .stop = stop_store, .free = free_store};

int s3_new(const struct s3_conf *conf, struct http *http, struct cred *cred, struct meter *meter,
           struct store **ret)
{
    struct s3 *s3;
    int r;

    if (conf->bucket == NULL || conf->bucket[0] == '\0')
        return err_set(-EINVAL, "a store without a bucket");
    if (conf->sse == S3_SSE_C && conf->sse_c_key == NULL)
        return err_set(-EINVAL, "SSE-C without a key");
    s3 = calloc(1, sizeof(*s3));
    if (s3 != NULL)
        s3->locked.key = secret_alloc(sizeof(*s3->locked.key));
    if (s3 == NULL || s3->locked.key == NULL) {
        free(s3);
        return err_set(-ENOMEM, "no memory for the store");
    }
    s3->base.ops = &s3_ops;
    s3->conf = *conf;
    s3->http = http;
    s3->cred = cred;
    s3->meter = meter;
    atomic_store(&s3->etag_unquoted, conf->etag_unquoted);
    lock_init(&s3->locked.lk, LOCK_STORE);
    cond_init(&s3->locked.idle);
    turn_init(s3);
    r = workq_new("s3", WORK_THREADS, &s3->workq);
    if (r < 0) {
        s3->locked.stopping = true;
        free_store(&s3->base);
        return err_set(r, "no memory for the store");
    }
    *ret = &s3->base;
    return 0;
}

void s3_set_etag_unquoted(struct store *s, bool unquoted)
{
    struct s3 *s3 = container_of(s, struct s3, base);

    atomic_store(&s3->etag_unquoted, unquoted);
}
