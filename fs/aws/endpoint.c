/* SPDX-License-Identifier: Apache-2.0 */
/* Region, endpoint and addressing style to scheme, host and path prefix. */
#include "aws/endpoint.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "region.h"
#include "base/err.h"
#include "base/str.h"
#include "url.h"

bool aws_region_ok(const char *region)
{
    size_t len = strlen(region);
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)region[i]) && (region[i] != '-' || i == 0 || i + 1 == len))
            return false;
    return len > 0 && len < 64;
}

const char *aws_dns_suffix(const char *region)
{
    return str_starts(region, "cn-") ? "amazonaws.com.cn" : "amazonaws.com";
}

/* What may stand in a path: also names of other servers and of S3's early days. */
static int check_bucket(const char *b)
{
    size_t len = strlen(b);
    if (str_starts(b, "arn:"))
        return err_set(-EINVAL, "access points (ARNs) are not supported yet: give a bucket name");
    if (str_ends(b, "--x-s3"))
        return err_set(-EINVAL, "directory buckets (S3 Express) are not supported yet");
    if (len == 0 || len > 255 || strspn(b, ".") == len)
        return err_set(-EINVAL, "a bucket name has 3 to 63 characters");
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)b[i]) && !strchr("-._", b[i]))
            return err_set(-EINVAL, "a bucket name is made of letters, digits, '-', '.' and '_'");
    return 0;
}

/* One DNS label: with a dot it would not match the certificate of *.s3.REGION.amazonaws.com. */
static bool fits_host(const char *b)
{
    size_t len = strlen(b);
    if (len < 3 || len > 63 || b[0] == '-' || b[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!islower((unsigned char)b[i]) && !isdigit((unsigned char)b[i]) && b[i] != '-')
            return false;
    return true;
}

static bool is_aws_host(const char *name)
{
    return str_ends(name, ".amazonaws.com") || str_ends(name, ".amazonaws.com.cn");
}

static int set_path(struct endpoint *e, const char *prefix, const char *bucket)
{
    int n = snprintf(e->path, sizeof(e->path), "%s/%s", prefix, bucket);
    if ((size_t)n >= sizeof(e->path))
        return err_set(-EINVAL, "the endpoint's path and the bucket name are too long");
    return 0;
}

static int resolve_custom(const struct endpoint_conf *conf, struct endpoint *e)
{
    struct url u;
    int r = url_parse(conf->url, &u);
    if (r < 0)
        return r;
    memcpy(e->scheme, u.scheme, sizeof(e->scheme));
    memcpy(e->host, u.host, sizeof(e->host));
    e->is_aws = is_aws_host(u.name);
    return set_path(e, u.path, conf->bucket);
}

static int resolve_aws(const struct endpoint_conf *conf, struct endpoint *e)
{
    bool in_host = !conf->path_style && fits_host(conf->bucket);
    int n = snprintf(e->host, sizeof(e->host), "%s%ss3%s%s.%s.%s", in_host ? conf->bucket : "",
                     in_host ? "." : "", conf->fips ? "-fips" : "",
                     conf->dualstack ? ".dualstack" : "", e->region, aws_dns_suffix(e->region));
    if ((size_t)n >= sizeof(e->host))
        return err_set(-EINVAL, "the endpoint's name is too long");
    e->is_aws = true;
    if (!in_host && set_path(e, "", conf->bucket) < 0)
        return -EINVAL;
    return str_copy(e->scheme, sizeof(e->scheme), "https");
}

int endpoint_resolve(const struct endpoint_conf *conf, struct endpoint *ret)
{
    struct endpoint e = {0};
    const char *region = conf->region && conf->region[0] ? conf->region : "us-east-1";
    if (!aws_region_ok(region))
        return err_set(-EINVAL, "a region is made of letters, digits and '-'");
    int r = str_copy(e.region, sizeof(e.region), region);
    if (r == 0)
        r = check_bucket(conf->bucket);
    if (r == 0)
        r = conf->url && conf->url[0] ? resolve_custom(conf, &e) : resolve_aws(conf, &e);
    if (r == 0)
        *ret = e;
    return r;
}
