/* SPDX-License-Identifier: Apache-2.0 */
/* The order of the sources. The first that is configured counts, also when it fails: falling
 * through to another identity would show as an odd "access denied" much later. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cred_source.h"

static int found(int r, char *source, size_t size, const char *name)
{
    if (r == 0)
        snprintf(source, size, "%s", name);
    return r;
}

static int found_profile(int r, char *source, size_t size, const struct profile *p)
{
    if (r == 0)
        snprintf(source, size, "profile %s", p->name);
    return r;
}

/* Nothing after a profile that was asked for by name is tried. */
static int get_asked(const struct cred_ctx *ctx, const struct profile *p, struct aws_cred *ret)
{
    int r = cred_profile_get(ctx, p, ret);
    if (r == CRED_UNSUPPORTED)
        return -EACCES;
    if (r != CRED_NONE)
        return r;
    if (!p->is_found)
        return err_set(-EACCES, "there is no profile \"%s\" in the AWS config or credentials file",
                       p->name);
    return err_set(-EACCES, "profile \"%s\" has no credentials", p->name);
}

static int nothing(const struct cred_ctx *ctx, const struct err_copy *note)
{
    char config[200], credentials[200];
    profile_paths(ctx->env, config, credentials, sizeof(config));
    return err_set(
        -EACCES,
        "no AWS credentials: looked at AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE, profile "
        "\"default\" in %.80s and %.80s, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and "
        "_FULL_URI%s%.120s",
        credentials[0] ? credentials : "(no home)", config[0] ? config : "(no home)",
        note->text[0] ? "; " : "", note->text);
}

/* Web identity, the default profile, the container endpoint. */
static int get_unasked(const struct cred_ctx *ctx, const struct profile *p, struct aws_cred *ret,
                       char *source, size_t size)
{
    struct err_copy note = {.text = ""};
    int r = found(cred_webid_env_get(ctx, p, ret), source, size, "web identity");
    if (r != CRED_NONE)
        return r;
    r = found_profile(cred_profile_get(ctx, p, ret), source, size, p);
    if (r == CRED_UNSUPPORTED)
        err_copy(&note);
    else if (r != CRED_NONE)
        return r;
    r = found(cred_container_get(ctx, ret), source, size, "container");
    if (r != CRED_NONE)
        return r;
    if (!ctx->anonymous_ok)
        return nothing(ctx, &note);
    *ret = (struct aws_cred){0};
    return found(0, source, size, "anonymous");
}

int cred_chain_get(const struct cred_ctx *ctx, struct aws_cred *ret, char *source,
                   size_t source_size)
{
    _cleanup_(profile_done) struct profile p = {0};
    int r = ctx->profile ? CRED_NONE : cred_env_get(ctx->env, ret);
    if (r != CRED_NONE)
        return found(r, source, source_size, "environment");
    r = profile_load(ctx->profile, ctx->env, &p);
    if (r < 0)
        return r;
    if (p.is_asked)
        return found_profile(get_asked(ctx, &p, ret), source, source_size, &p);
    return get_unasked(ctx, &p, ret, source, source_size);
}
