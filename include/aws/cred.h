/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials, in the order of botocore: environment; the profile that was asked for by AWS_PROFILE; web
 * identity (IRSA); profile "default" of the shared credentials and config files; container endpoint (ECS, EKS Pod
 * Identity). A profile asked for by option stands alone: the environment's keys are not looked at. The first source
 * that is configured counts, also when it fails. Credentials are refreshed before they expire (advisory 15 min ahead
 * by a thread of its own, mandatory 10 min ahead), once at a time.
 * Secrets are never logged and are wiped when freed. Threads: any. No thread is made before the first refresh.
 * Sources: SDK reference guide "Standardized credential providers"; STS API AssumeRoleWithWebIdentity. */
#ifndef S3EFS_AWS_CRED_H
#define S3EFS_AWS_CRED_H

#include <stdbool.h>
#include <stdint.h>
#include "base/macros.h"
#include "http/http.h"

struct aws_cred { /* in secret memory (base/secret.h) */
    char *access_key, *secret, *token; /* token NULL: none; access_key NULL: anonymous, do not sign */
    int64_t expiry_ns;                 /* wall clock; 0: never */
};
void aws_cred_done(struct aws_cred *c); /* wipes */

struct cred_conf {
    const char *profile;                  /* profile=; NULL: AWS_PROFILE, else "default" */
    const char *region;                   /* for STS; NULL: AWS_REGION, ... */
    const char *(*getenv)(const char *name); /* NULL: secret_env(); tests give their own */
    bool anonymous_ok;                       /* no source has any: anonymous, instead of -EACCES */
    int container_ms;                        /* how long the container endpoint may take; 0: 2 s */
};
struct cred;
/* http is borrowed, and must outlive what cred_new gives; asks no source yet. */
_must_check_ int cred_new(const struct cred_conf *conf, struct http *http, struct cred **ret);
void cred_free(struct cred *c); /* waits for a refresh; stop http first to cut it short */

/* A copy of the credentials in use. May block (a refresh) unless nonblock; then -EAGAIN while there are none
 * fresh enough (call again from a thread that may block). force: what we have was refused as expired.
 * -EACCES: no source has any (err_text says where was looked), or the first that is configured can't give them
 * (err_text says why); other errnos: its endpoint could not be asked. */
_must_check_ int cred_get(struct cred *c, bool force, bool nonblock, struct aws_cred *ret);
/* "environment", "profile NAME", "web identity", "container", "anonymous", "" before the first success: for status
 * and errors. Valid until this thread's next call. */
const char *cred_source(struct cred *c);

#endif
