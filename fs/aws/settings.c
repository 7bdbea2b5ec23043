/* SPDX-License-Identifier: Apache-2.0 */
/* Region, endpoint and certificates from options, environment and profile, in this order. */
#include <errno.h>
#include <string.h>

#include "aws/endpoint.h"
#include "base/err.h"
#include "base/str.h"
#include "env.h"
#include "profile.h"
#include "region.h"

static const char *first(const char *a, const char *b)
{
    return a && a[0] ? a : b;
}

static int set_region(const char *option, env_fn env, const struct profile *p,
                      struct aws_settings *s)
{
    const char *region = first(option, env_get(env, "AWS_REGION"));
    region = first(region, env_get(env, "AWS_DEFAULT_REGION"));
    region = first(region, p->region);
    s->region_is_default = !region || !region[0];
    if (s->region_is_default)
        region = "us-east-1";
    if (!aws_region_ok(region))
        return err_set(-EINVAL, "a region is made of letters, digits and '-'");
    return str_copy(s->region, sizeof(s->region), region);
}

static int set_endpoint(const char *option, env_fn env, const struct profile *p,
                        struct aws_settings *s)
{
    const char *url = option;
    if (!env_is_true(env, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")) {
        url = first(url, env_get(env, "AWS_ENDPOINT_URL_S3"));
        url = first(url, env_get(env, "AWS_ENDPOINT_URL"));
        url = first(url, p->s3_endpoint_url);
        url = first(url, p->endpoint_url);
    }
    if (str_copy(s->endpoint_url, sizeof(s->endpoint_url), first(url, "")) < 0)
        return err_set(-EINVAL, "the endpoint URL is too long");
    return 0;
}

static int set_ca_bundle(env_fn env, const struct profile *p, struct aws_settings *s)
{
    const char *path = first(env_get(env, "AWS_CA_BUNDLE"), first(p->ca_bundle, ""));
    if (str_copy(s->ca_bundle, sizeof(s->ca_bundle), path) < 0)
        return err_set(-EINVAL, "the path of the CA bundle is too long");
    return 0;
}

int aws_settings_load(const char *region, const char *endpoint, const char *profile,
                      const char *(*getenv)(const char *), struct aws_settings *ret)
{
    _cleanup_(profile_done) struct profile p = {0};
    struct aws_settings s = {0};
    int r = profile_load(profile, getenv, &p);
    if (r == 0 && p.is_asked && !p.is_found)
        r = err_set(-EINVAL, "there is no profile \"%s\" in the AWS config or credentials file",
                    p.name);
    if (r == 0)
        r = set_region(region, getenv, &p, &s);
    if (r == 0)
        r = set_endpoint(endpoint, getenv, &p, &s);
    if (r == 0)
        r = set_ca_bundle(getenv, &p, &s);
    if (r < 0)
        return r;
    s.dualstack = env_is_true(getenv, "AWS_USE_DUALSTACK_ENDPOINT");
    s.fips = env_is_true(getenv, "AWS_USE_FIPS_ENDPOINT");
    *ret = s;
    return 0;
}
