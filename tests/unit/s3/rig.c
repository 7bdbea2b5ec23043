/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <errno.h>
#include <stdio.h>

/* cred.h promises an opaque struct; here it is the rig's. */
void aws_cred_done(struct aws_cred *c)
{
    free(c->access_key);
    free(c->secret);
    free(c->token);
    *c = (struct aws_cred){0};
}

int cred_get(struct cred *c, bool force, bool nonblock, struct aws_cred *ret)
{
    struct rig_cred *cred = (struct rig_cred *)c;
    int r;

    pthread_mutex_lock(&cred->mutex);
    r = nonblock ? cred->not_blocking : cred->blocking;
    if (nonblock)
        cred->not_blocking = 0;
    else
        cred->blocking = 0;
    if (!nonblock)
        cred->blocked_on = pthread_self();
    if (cred->failing != 0) {
        r = nonblock ? -EAGAIN : cred->failing;
        cred->failed += !nonblock;
    }
    if (force) {
        cred->forced++;
        if (cred->fresh != NULL)
            cred->token = cred->fresh;
    }
    if (r == 0)
        *ret = (struct aws_cred){.access_key = strdup("AKIDEXAMPLE"),
                                 .secret = strdup("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                                 .token = cred->token != NULL ? strdup(cred->token) : NULL};
    pthread_mutex_unlock(&cred->mutex);
    return r < 0 ? err_set(r, "the rig's credentials") : 0;
}

static void init(struct rig *r, const char *scheme)
{
    pthread_mutex_init(&r->cred.mutex, NULL);
    r->conf = (struct s3_conf){.bucket = "bucket", .retry_base_ms = 1};
    snprintf(r->conf.endpoint.scheme, sizeof(r->conf.endpoint.scheme), "%s", scheme);
    snprintf(r->conf.endpoint.host, sizeof(r->conf.endpoint.host), "127.0.0.1:%u",
             httpd_port(r->server));
    strcpy(r->conf.endpoint.path, "/bucket");
    strcpy(r->conf.endpoint.region, "us-east-1");
}

void rig_init(struct rig *r)
{
    r->server = httpd_start();
    init(r, "http");
    assert_int_equal(http_new(&(struct http_conf){0}, &r->http), 0);
}

void rig_init_tls(struct rig *r, const char *pem_path)
{
    init(r, "https");
    assert_int_equal(http_new(&(struct http_conf){.ca_bundle = pem_path}, &r->http), 0);
}

void rig_start(struct rig *r)
{
    assert_int_equal(http_start(r->http), 0);
    r->meter = meter_new();
    assert_non_null(r->meter);
    assert_int_equal(s3_new(&r->conf, r->http, (struct cred *)&r->cred, r->meter, &r->store), 0);
}

void rig_done(struct rig *r)
{
    if (r->store != NULL) {
        store_stop(r->store);
        store_free(r->store);
    }
    http_stop(r->http);
    http_free(r->http);
    meter_free(r->meter);
    if (r->server != NULL) {
        const char *mismatch = httpd_mismatch(r->server);

        if (mismatch != NULL)
            print_error("%s\n", mismatch);
        assert_null(mismatch);
        assert_int_equal(httpd_steps_left(r->server), 0);
        httpd_stop(r->server);
    }
}

void rig_script(struct rig *r, const struct httpd_step *steps, size_t n)
{
    httpd_script(r->server, steps, n);
}
