/* SPDX-License-Identifier: Apache-2.0 */
/* One profile of the shared config and credentials files: private to aws. */
#ifndef S3EFS_FS_AWS_PROFILE_H
#define S3EFS_FS_AWS_PROFILE_H

#include <stdbool.h>

#include "base/macros.h"
#include "env.h"

struct profile {
    char *name;
    bool is_asked; /* by option or AWS_PROFILE, not just "default" */
    bool is_found;
    /* The settings, NULL where not given. Where both files have one, the credentials file's counts;
     * the three of a static key always come from one file. */
    char *access_key, *secret, *token;
    char *role_arn, *web_identity_token_file, *role_session_name, *duration_seconds;
    char *source_profile, *credential_source, *credential_process, *sso_session, *sso_start_url,
        *login_session;
    char *region, *ca_bundle, *endpoint_url, *services;
    char *s3_endpoint_url, *sts_endpoint_url; /* from the services section */
};

/* name NULL: AWS_PROFILE, else "default". 0 also when there is no such profile or no file
 * (is_found); -errno when a file that was asked for can't be read. */
_must_check_ int profile_load(const char *name, env_fn env, struct profile *ret);
void profile_done(struct profile *p); /* wipes; idempotent */
/* Where profile_load looks, for messages. */
void profile_paths(env_fn env, char *config, char *credentials, size_t size);

#endif
