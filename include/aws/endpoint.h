/* SPDX-License-Identifier: Apache-2.0 */
/* Where is the bucket? Pure: region, endpoint and addressing style to scheme, host and path prefix.
 * Order: endpoint= option, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile's services section and
 * endpoint_url (none of these four under AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true), else AWS.
 * Path style for every custom endpoint, and for names with dots or not fit for DNS; else virtual host. */
#ifndef S3EFS_AWS_ENDPOINT_H
#define S3EFS_AWS_ENDPOINT_H

#include <stdbool.h>
#include "base/macros.h"

struct endpoint_conf {
    const char *bucket;
    const char *region;   /* resolved; NULL: us-east-1 */
    const char *url;      /* custom endpoint or NULL */
    bool path_style;      /* asked for by option */
    bool dualstack, fips;
};
struct endpoint {
    char scheme[8];  /* "https" or "http" */
    char host[320];  /* as in the Host header, with a port if not the scheme's */
    char path[128];  /* "" or "/bucket" (plus the endpoint's own path) */
    char region[64];
    bool is_aws;
};
/* -EINVAL with err_text() on a bad URL or bucket name. */
_must_check_ int endpoint_resolve(const struct endpoint_conf *conf, struct endpoint *ret);

/* region= > AWS_REGION > AWS_DEFAULT_REGION > profile > us-east-1; endpoint as above. Results are copied. */
struct aws_settings {
    char region[64];
    bool region_is_default;
    char endpoint_url[320]; /* "" none */
    char ca_bundle[1024];   /* "" none */
    bool dualstack, fips;   /* AWS_USE_DUALSTACK_ENDPOINT, AWS_USE_FIPS_ENDPOINT */
};
/* Reads files. -EINVAL: a value that can't be, or a profile that was asked for and does not exist. */
_must_check_ int aws_settings_load(const char *region, const char *endpoint, const char *profile,
                                   const char *(*getenv)(const char *), struct aws_settings *ret);

#endif
