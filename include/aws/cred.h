/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials, in the order of the AWS CLI: environment, web identity (IRSA), shared credentials and config
 * files (AWS_PROFILE or profile=), container endpoint (ECS, EKS Pod Identity). They are refreshed before they
 * expire (advisory 15 min ahead in the background, mandatory 10 min ahead), by one thread at a time.
 * Secrets are never logged and are wiped when freed. Threads: any.
 * Sources: SDK reference guide "Standardized credential providers"; STS API AssumeRoleWithWebIdentity. */
#ifndef S3EFS_AWS_CRED_H
#define S3EFS_AWS_CRED_H

#include <stdbool.h>
#include <stdint.h>
#include "base/macros.h"
#include "http/http.h"

struct aws_cred {
    char *access_key, *secret, *token; /* token NULL: none */
    int64_t expiry_ns;                 /* wall clock; 0: never */
};
void aws_cred_done(struct aws_cred *c); /* wipes */

struct cred_conf {
    const char *profile;                  /* profile=; NULL: AWS_PROFILE, else "default" */
    const char *region;                   /* for STS; NULL: AWS_REGION, ... */
    const char *(*getenv)(const char *name); /* NULL: getenv(3); tests give their own */
    bool anonymous_ok;
};
struct cred;
_must_check_ int cred_new(const struct cred_conf *conf, struct http *http, struct cred **ret);
void cred_free(struct cred *c);

/* A copy of the credentials in use. May block (a refresh) unless nonblock; then -EAGAIN while there are none
 * fresh enough (call again from a thread that may block). force: what we have was refused as expired.
 * -EACCES: no source has any (err_text says where was looked). */
_must_check_ int cred_get(struct cred *c, bool force, bool nonblock, struct aws_cred *ret);
/* "environment", "profile default", "web identity", "container": for status and errors. */
const char *cred_source(struct cred *c);

#endif
