/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the credential sources share: a server, an engine, a context with a test's
 * environment. */
#ifndef S3EFS_TESTS_CRED_TEST_H
#define S3EFS_TESTS_CRED_TEST_H

#include "aws_test.h"

#include "../../../fs/aws/cred_source.h"
#include "../../lib/httpd.h"
#include "base/clock.h"
#include "base/str.h"

static struct httpd *server;
static struct http *engine;
static struct cred_ctx ctx;

static inline int set_up(void **state)
{
    const struct http_conf conf = {0};
    (void)state;
    clear_env();
    make_dir();
    set_files(NULL, NULL);
    server = httpd_start();
    assert_int_equal(http_new(&conf, &engine), 0);
    assert_int_equal(http_start(engine), 0);
    ctx = (struct cred_ctx){.env = get_env, .http = engine, .container_ms = 120 * 1000};
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    http_free(engine);
    httpd_stop(server);
    clock_fake_off();
    remove_dir();
    return 0;
}

/* An URL on the server, in a buffer of its own. */
static inline const char *server_url(const char *path)
{
    static char url[300];
    snprintf(url, sizeof(url), "%s%s", httpd_url(server), path);
    return url;
}

/* One call of a source that must succeed with this access key. */
static inline void check_key(int r, struct aws_cred *c, const char *access_key)
{
    if (r != 0)
        fail_msg("%d: %s", r, err_text());
    if (access_key)
        assert_string_equal(c->access_key, access_key);
    else
        assert_null(c->access_key);
    aws_cred_done(c);
}

/* The words of an error name no secret of the tests. */
static inline void check_no_secret(void)
{
    assert_true(err_text()[0] != '\0');
    assert_null(strstr(err_text(), "SECRET"));
}

#endif
