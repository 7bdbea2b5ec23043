/* SPDX-License-Identifier: Apache-2.0 */
/* Where credentials come from: private to aws. Each source is a function that looks once and blocks
 * while it does. Outcomes: 0 (ret is filled), CRED_NONE (nothing is configured there),
 * CRED_UNSUPPORTED (configured in a way that is not supported yet; err_text() names it), or -errno
 * (configured, but it failed). */
#ifndef S3EFS_FS_AWS_CRED_SOURCE_H
#define S3EFS_FS_AWS_CRED_SOURCE_H

#include "aws/cred.h"
#include "env.h"
#include "profile.h"

enum { CRED_NONE = 1, CRED_UNSUPPORTED = 2, CRED_TRIES = 3 };

struct cred_ctx {
    char *profile; /* by option; NULL: none */
    char *region;  /* NULL: from environment or profile */
    env_fn env;
    struct http *http;
    bool anonymous_ok;
    int container_ms; /* 0: the default */
};

/* The chain: the first source that has any. source: its name. */
_must_check_ int cred_chain_get(const struct cred_ctx *ctx, struct aws_cred *ret, char *source,
                                size_t source_size);

_must_check_ int cred_env_get(env_fn env, struct aws_cred *ret);
_must_check_ int cred_profile_get(const struct cred_ctx *ctx, const struct profile *p,
                                  struct aws_cred *ret);
/* From the environment; p is for region and endpoint only. */
_must_check_ int cred_webid_env_get(const struct cred_ctx *ctx, const struct profile *p,
                                    struct aws_cred *ret);
/* From role_arn and web_identity_token_file of the profile. */
_must_check_ int cred_webid_profile_get(const struct cred_ctx *ctx, const struct profile *p,
                                        struct aws_cred *ret);
_must_check_ int cred_container_get(const struct cred_ctx *ctx, struct aws_cred *ret);
/* The container endpoint's URL (free() it): 0, CRED_NONE or -EACCES when its host is not allowed.
 */
_must_check_ int cred_container_url(env_fn env, char **ret);

/* 0 or -ENOMEM. token may be NULL. */
_must_check_ int cred_set(struct aws_cred *c, const char *access_key, const char *secret,
                          const char *token, int64_t expiry_ns);
void cred_wipe(char *s, size_t len);

#endif
