/* SPDX-License-Identifier: Apache-2.0 */
/* aws/url and aws/endpoint: lines with an URL, a bucket's name and a region, after a byte of flags.
 * What comes out fits a request line and a Host header. */
#include <errno.h>

#include "aws/endpoint.h"
#include "fs/aws/url.h"
#include "fuzz.h"

static bool is_host(const char *s)
{
    return s[0] != '\0' && fuzz_is_printable(s) && strpbrk(s, " /?#@\\%\"<>") == NULL;
}

static void url(const char *text)
{
    struct url u = {0}, again = {0};
    char *rebuilt = NULL;

    if (url_parse(text, &u) != 0)
        return;
    CHECK(strcmp(u.scheme, "https") == 0 || strcmp(u.scheme, "http") == 0);
    CHECK(is_host(u.host) && is_host(u.name));
    CHECK(fuzz_is_printable(u.path) && strpbrk(u.path, " ?#") == NULL);
    CHECK(u.path[0] == '\0' || (u.path[0] == '/' && u.path[strlen(u.path) - 1] != '/'));
    CHECK(asprintf(&rebuilt, "%s://%s%s", u.scheme, u.host, u.path) > 0);
    CHECK(url_parse(rebuilt, &again) == 0);
    CHECK(strcmp(u.host, again.host) == 0 && strcmp(u.name, again.name) == 0);
    CHECK(strcmp(u.path, again.path) == 0 && strcmp(u.scheme, again.scheme) == 0);
    CHECK(url_is_loopback(&u) == url_is_loopback(&again));
    free(rebuilt);
}

static void endpoint(const struct endpoint_conf *conf)
{
    struct endpoint e = {0};
    int r = endpoint_resolve(conf, &e);

    if (r != 0) {
        CHECK(r == -EINVAL || r == -ENAMETOOLONG);
        CHECK(e.host[0] == '\0');
        return;
    }
    CHECK(is_host(e.host) && fuzz_is_printable(e.path) && strpbrk(e.path, " ?#") == NULL);
    CHECK(e.path[0] == '\0' || e.path[0] == '/');
    /* The bucket is in the path or in the host. */
    CHECK(strstr(e.path, conf->bucket) != NULL ||
          strncmp(e.host, conf->bucket, strlen(conf->bucket)) == 0);
    CHECK(e.region[0] != '\0' && strpbrk(e.region, " /.\n") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    unsigned flags = fuzz_u8(&in);
    _cleanup_free_ char *text = fuzz_line(&in), *bucket = fuzz_line(&in), *region = fuzz_line(&in);
    struct endpoint_conf conf = {.bucket = bucket,
                                 .region = region,
                                 .url = text,
                                 .path_style = (flags & 1) != 0,
                                 .dualstack = (flags & 2) != 0,
                                 .fips = (flags & 4) != 0};

    url(text);
    endpoint(&conf);
    conf.url = NULL;
    endpoint(&conf);
    return 0;
}
