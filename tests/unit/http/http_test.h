/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of http/ share: an engine that runs, and calls in one line. */
#ifndef S3EFS_TESTS_HTTP_TEST_H
#define S3EFS_TESTS_HTTP_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/httpd.h"
#include "base/err.h"
#include "http/http.h"

/* Not used for 127.0.0.1, but a test that asks for another host must not find them. */
static inline void forget_proxies(void)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY",  "no_proxy",    "NO_PROXY"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unsetenv(names[i]);
}

static inline struct http *engine(unsigned max_connections)
{
    struct http *h = NULL;
    const struct http_conf conf = {.max_connections = max_connections};
    forget_proxies();
    assert_int_equal(http_new(&conf, &h), 0);
    assert_int_equal(http_start(h), 0);
    return h;
}

/* One call without headers or a body; the caller ends it with http_call_done(). */
static inline int fetch(struct http *h, struct httpd *s, const char *method, const char *target,
                        struct http_call *call)
{
    char url[512];
    snprintf(url, sizeof(url), "%s%s", httpd_url(s), target);
    call->method = method;
    call->url = url;
    int r = http_wait(h, call);
    call->url = NULL;
    return r;
}

#endif
