/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials in the environment. */
#include <errno.h>

#include "base/err.h"
#include "cred_source.h"

int cred_env_get(env_fn env, struct aws_cred *ret)
{
    const char *key = env_get(env, "AWS_ACCESS_KEY_ID");
    const char *secret = env_get(env, "AWS_SECRET_ACCESS_KEY");
    if (!key)
        return CRED_NONE;
    if (!secret)
        return err_set(-EACCES, "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not");
    return cred_set(ret, key, secret, env_get(env, "AWS_SESSION_TOKEN"), 0);
}
