/* SPDX-License-Identifier: Apache-2.0 */
/* The container endpoint: ECS tasks, and EKS Pod Identity. Without TLS only hosts that no name
 * server and no router can point elsewhere may be asked. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"
#include "base/sys.h"
#include "cred_reply.h"
#include "cred_source.h"
#include "url.h"

enum { TOKEN_MAX = 64 * 1024, ENDPOINT_TIMEOUT_MS = 2000 };

static bool is_allowed(const struct url *u)
{
    return strcmp(u->scheme, "https") == 0 || url_is_loopback(u) ||
           strcmp(u->name, "169.254.170.2") == 0 || strcmp(u->name, "169.254.170.23") == 0 ||
           strcmp(u->name, "fd00:ec2::23") == 0;
}

static int full_url(const char *text, char **ret)
{
    _cleanup_free_ char *url = strdup(text);
    struct url u;
    if (!url)
        return err_set(-ENOMEM, "out of memory for an URL");
    url[strcspn(url, "?")] = '\0'; /* a query is no matter of whom to trust */
    if (url_parse(url, &u) < 0)
        return err_set(-EACCES, "AWS_CONTAINER_CREDENTIALS_FULL_URI is not a proper URL");
    if (!is_allowed(&u))
        return err_set(-EACCES,
                       "AWS_CONTAINER_CREDENTIALS_FULL_URI names the host %s: without TLS only "
                       "this machine, 169.254.170.2, 169.254.170.23 and [fd00:ec2::23] are asked",
                       u.name);
    *ret = strdup(text);
    return *ret ? 0 : err_set(-ENOMEM, "out of memory for an URL");
}

int cred_container_url(env_fn env, char **ret)
{
    const char *relative = env_get(env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = env_get(env, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (!relative)
        return full ? full_url(full, ret) : CRED_NONE;
    if (relative[0] != '/')
        return err_set(-EACCES, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI must begin with '/'");
    _cleanup_buf_ struct buf url = BUF_INIT(4096);
    buf_addf(&url, "http://169.254.170.2%s", relative);
    *ret = buf_take(&url);
    return *ret ? 0 : err_set(-EACCES, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is too long");
}

/* "authorization: ...", as it is in the file (read each time) or the environment; "" without
 * either. */
static int authorization(env_fn env, struct buf *line)
{
    const char *path = env_get(env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *plain = env_get(env, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
    _cleanup_secret_ char *token = NULL;
    size_t len = 0;
    if (!path && !plain)
        return 0;
    if (path) {
        int r = sys_read_secret(path, TOKEN_MAX, &token, &len);
        if (r < 0)
            return err_set(-EACCES, "reading the container authorization token file %s: %s", path,
                           strerror(-r));
        plain = token;
    }
    bool is_broken = plain[strcspn(plain, "\r\n")] || (path && strlen(token) != len) || !plain[0];
    if (!is_broken)
        buf_addf(line, "authorization: %s", plain);
    if (is_broken)
        return err_set(-EACCES, "the container authorization token is empty or has a line break");
    return buf_failed(line) ? err_set(line->error, "the container authorization token is too long")
                            : 0;
}

static int ask_once(const struct cred_ctx *ctx, const char *url, struct aws_cred *ret,
                    bool *ret_again)
{
    _cleanup_buf_ struct buf line = BUF_INIT_SECRET(TOKEN_MAX + 100);
    *ret_again = false;
    int r = authorization(ctx->env, &line);
    if (r < 0)
        return r;
    const char *headers[] = {"accept: application/json", buf_str(&line)};
    const int ms = ctx->container_ms ? ctx->container_ms : ENDPOINT_TIMEOUT_MS;
    const struct cred_ask ask = {.who = "the container endpoint",
                                 .method = "GET",
                                 .url = url,
                                 .headers = headers,
                                 .n_headers = line.len ? 2 : 1,
                                 .timeout_ms = ms};
    return cred_ask(ctx->http, &ask, ret, ret_again);
}

int cred_container_get(const struct cred_ctx *ctx, struct aws_cred *ret)
{
    _cleanup_free_ char *url = NULL;
    bool again = true;
    int r = cred_container_url(ctx->env, &url);
    if (r != 0)
        return r;
    for (unsigned attempt = 0; attempt < CRED_TRIES && again; attempt++) {
        cred_pause(attempt);
        r = ask_once(ctx, url, ret, &again);
        if (r == 0)
            break;
    }
    return r;
}
