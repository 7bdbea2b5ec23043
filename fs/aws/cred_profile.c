/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials of a profile: static keys, or a role by web identity. A profile that has several
 * kinds is read as the AWS tools do: role, then single sign-on, then static keys, then a process.
 */
#include <errno.h>

#include "base/err.h"
#include "cred_source.h"

static int unsupported(const struct profile *p, const char *what)
{
    err_set(0, "profile \"%s\" uses %s, which is not supported yet", p->name, what);
    return CRED_UNSUPPORTED;
}

static int get_role(const struct cred_ctx *ctx, const struct profile *p, struct aws_cred *ret)
{
    if (p->web_identity_token_file)
        return cred_webid_profile_get(ctx, p, ret);
    if (p->source_profile)
        return unsupported(p, "role_arn with source_profile");
    if (p->credential_source)
        return unsupported(p, "role_arn with credential_source");
    return err_set(-EACCES, "profile \"%s\" has a role_arn, but no web_identity_token_file",
                   p->name);
}

int cred_profile_get(const struct cred_ctx *ctx, const struct profile *p, struct aws_cred *ret)
{
    if (p->role_arn)
        return get_role(ctx, p, ret);
    if (p->sso_session || p->sso_start_url)
        return unsupported(p, "single sign-on (sso_session, sso_start_url)");
    if (p->access_key) {
        if (!p->secret)
            return err_set(-EACCES,
                           "profile \"%s\" has an aws_access_key_id, but no aws_secret_access_key",
                           p->name);
        return cred_set(ret, p->access_key, p->secret, p->token, 0);
    }
    if (p->login_session)
        return unsupported(p, "login_session");
    if (p->credential_process)
        return unsupported(p, "credential_process");
    return CRED_NONE;
}
