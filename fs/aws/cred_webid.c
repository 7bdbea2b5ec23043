/* SPDX-License-Identifier: Apache-2.0 */
/* Web identity (IRSA): a token file is exchanged at STS for credentials of a role, without a
 * signature. The file is read again for every attempt: kubelet rotates it. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"
#include "base/sys.h"
#include "cred_reply.h"
#include "cred_source.h"
#include "region.h"
#include "url.h"

enum { TOKEN_MAX = 64 * 1024, STS_TIMEOUT_MS = 10 * 1000 };

struct webid {
    const char *role_arn, *token_file;
    char session[65];
    unsigned duration_s; /* 0: STS's default */
    char url[1200];
};

static int read_token(const char *path, struct buf *form)
{
    _cleanup_secret_ char *token = NULL;
    size_t len = 0;
    int r = sys_read_secret(path, TOKEN_MAX, &token, &len);
    if (r < 0)
        return err_set(-EACCES, "reading the web identity token file %s: %s", path, strerror(-r));
    size_t end = len;
    while (end > 0 && isspace((unsigned char)token[end - 1]))
        end--;
    if (end == 0)
        r = err_set(-EACCES, "the web identity token file %s is empty", path);
    else
        r = str_urlencode(form, token, end, false);
    return r;
}

static int build_form(const struct webid *w, struct buf *form)
{
    buf_adds(form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=");
    str_urlencode(form, w->role_arn, strlen(w->role_arn), false);
    buf_adds(form, "&RoleSessionName=");
    str_urlencode(form, w->session, strlen(w->session), false);
    if (w->duration_s)
        buf_addf(form, "&DurationSeconds=%u", w->duration_s);
    buf_adds(form, "&WebIdentityToken=");
    int r = read_token(w->token_file, form);
    if (r == 0 && buf_failed(form))
        r = err_set(form->error, "the web identity token is too long");
    return r;
}

static int ask_once(const struct cred_ctx *ctx, const struct webid *w, struct aws_cred *ret,
                    bool *ret_again)
{
    static const char *const headers[] = {"content-type: application/x-www-form-urlencoded",
                                          "accept: application/json"};
    _cleanup_buf_ struct buf form = BUF_INIT_SECRET(4 * TOKEN_MAX);
    *ret_again = false;
    int r = build_form(w, &form);
    if (r < 0)
        return r;
    const struct cred_ask ask = {.who = "STS",
                                 .method = "POST",
                                 .url = w->url,
                                 .headers = headers,
                                 .n_headers = ARRAY_LEN(headers),
                                 .body = buf_str(&form),
                                 .timeout_ms = STS_TIMEOUT_MS};
    return cred_ask(ctx->http, &ask, ret, ret_again);
}

static const char *first(const char *a, const char *b)
{
    return a && a[0] ? a : b;
}

/* The regional endpoint, or the one that environment or profile name. */
static int set_url(const struct cred_ctx *ctx, const struct profile *p, struct webid *w)
{
    const char *url = NULL;
    if (!env_is_true(ctx->env, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")) {
        url =
            first(env_get(ctx->env, "AWS_ENDPOINT_URL_STS"), env_get(ctx->env, "AWS_ENDPOINT_URL"));
        url = first(first(url, p->sts_endpoint_url), p->endpoint_url);
    }
    if (url) {
        struct url u;
        int r = url_parse(url, &u);
        if (r == 0)
            snprintf(w->url, sizeof(w->url), "%s://%s%s/", u.scheme, u.host, u.path);
        return r;
    }
    const char *region = first(ctx->region, env_get(ctx->env, "AWS_REGION"));
    region = first(region, env_get(ctx->env, "AWS_DEFAULT_REGION"));
    region = first(first(region, p->region), "us-east-1");
    if (!aws_region_ok(region))
        return err_set(-EINVAL, "a region is made of letters, digits and '-'");
    snprintf(w->url, sizeof(w->url), "https://sts%s.%s.%s/",
             env_is_true(ctx->env, "AWS_USE_FIPS_ENDPOINT") ? "-fips" : "", region,
             aws_dns_suffix(region));
    return 0;
}

/* [\w+=,.@-]{2,64}; without one: "s3efs-" and the time. */
static int set_session(const char *name, struct webid *w)
{
    if (!name) {
        snprintf(w->session, sizeof(w->session), "s3efs-%" PRId64, clock_wall_ns() / NS_PER_S);
        return 0;
    }
    size_t len = strlen(name);
    bool ok = len >= 2 && len <= 64;
    for (size_t i = 0; ok && i < len; i++)
        ok = isalnum((unsigned char)name[i]) || strchr("_+=,.@-", name[i]);
    if (!ok)
        return err_set(-EACCES,
                       "a role session name has 2 to 64 letters, digits or any of _+=,.@-");
    return str_copy(w->session, sizeof(w->session), name);
}

static int get(const struct cred_ctx *ctx, const struct profile *p, struct webid *w,
               const char *session, struct aws_cred *ret)
{
    bool again = true;
    int r = set_session(session, w);
    if (r == 0)
        r = set_url(ctx, p, w);
    if (r < 0)
        return r;
    for (unsigned attempt = 0; attempt < CRED_TRIES && again; attempt++) {
        cred_pause(attempt);
        r = ask_once(ctx, w, ret, &again);
        if (r == 0)
            break;
    }
    return r;
}

int cred_webid_env_get(const struct cred_ctx *ctx, const struct profile *p, struct aws_cred *ret)
{
    struct webid w = {.token_file = env_get(ctx->env, "AWS_WEB_IDENTITY_TOKEN_FILE"),
                      .role_arn = env_get(ctx->env, "AWS_ROLE_ARN")};
    if (!w.token_file)
        return CRED_NONE;
    if (!w.role_arn)
        return err_set(-EACCES, "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not");
    return get(ctx, p, &w, env_get(ctx->env, "AWS_ROLE_SESSION_NAME"), ret);
}

int cred_webid_profile_get(const struct cred_ctx *ctx, const struct profile *p,
                           struct aws_cred *ret)
{
    struct webid w = {.token_file = p->web_identity_token_file, .role_arn = p->role_arn};
    if (p->duration_seconds) {
        uint64_t s;
        if (str_u64(p->duration_seconds, 10, &s) < 0 || s < 900 || s > 43200)
            return err_set(-EACCES, "profile \"%s\": duration_seconds is from 900 to 43200",
                           p->name);
        w.duration_s = (unsigned)s;
    }
    return get(ctx, p, &w, p->role_session_name, ret);
}
