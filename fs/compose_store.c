/* SPDX-License-Identifier: Apache-2.0 */
/* The bucket's side of a mount: where it is, who we are there, what it can do. */
#include "compose.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/str.h"
#include "base/sys.h"
#include "s3/s3.h"
#include "store/dir.h"
#include "store/probe.h"

#define CHECK_NS (10 * NS_PER_S)
#define KEY_FILE_MAX 4096

static const char *from_environment(const char *name)
{
    return getenv(name);
}

/* 32 bytes: as they are, in hex, or in base64; what follows a text form is blank. */
static int decode_key(char *text, size_t len, unsigned char key[32])
{
    size_t n;

    if (len == 32) {
        memcpy(key, text, 32);
        return 0;
    }
    while (len > 0 && strchr(" \r\n", text[len - 1]) != NULL)
        text[--len] = '\0';
    if (strlen(text) == 64 && str_unhex(text, key, 32) == 0)
        return 0;
    if (strlen(text) == 44 && str_unbase64(text, key, 32, &n) == 0 && n == 32)
        return 0;
    return err_set(-EINVAL, "not a key of 32 bytes (raw, hex or base64)");
}

static int read_sse_c_key(struct compose *m, const char *path)
{
    _cleanup_secret_ char *text = NULL;
    size_t len;
    int r = sys_read_secret(path, KEY_FILE_MAX, &text, &len);

    if (r < 0)
        return err_set(r, "sse_c_key_file %s: %s", path, strerror(-r));
    m->sse_c_key = secret_alloc(S3_SSE_C_KEY_LEN);
    if (m->sse_c_key == NULL)
        return err_set(-ENOMEM, "out of memory for a key");
    r = decode_key(text, len, m->sse_c_key);
    return r < 0 ? err_set(r, "sse_c_key_file %s: %s", path, err_text()) : 0;
}

static int find_endpoint(struct compose *m)
{
    const struct config *c = m->config;
    struct endpoint_conf where = {.bucket = c->bucket, .path_style = c->path_style};
    int r = aws_settings_load(c->region, c->endpoint, c->profile, from_environment, &m->settings);

    if (r < 0)
        return r;
    where.region = m->settings.region;
    where.dualstack = m->settings.dualstack;
    where.fips = m->settings.fips;
    where.url = m->settings.endpoint_url[0] == '\0' ? NULL : m->settings.endpoint_url;
    r = endpoint_resolve(&where, &m->endpoint);
    if (r < 0)
        return r;
    if (asprintf(&m->source_id, "%s@%s://%s", c->source, m->endpoint.scheme, m->endpoint.host) < 0) {
        m->source_id = NULL;
        return err_set(-ENOMEM, "out of memory");
    }
    return 0;
}

/* No more than the process has descriptors for, beside those of its files. */
static unsigned max_connections(const struct config *c)
{
    struct rlimit files;
    unsigned most;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return c->max_requests;
    most = memplan_connections(files.rlim_cur, CONFIG_REQUESTS_MIN);
    if (c->max_requests <= most)
        return c->max_requests;
    log_warn("mount.descriptors",
             "limit=%ju effect=\"%u requests at once instead of %u; while many files are open that were written to, each "
             "call opens its own anew\" remedy=\"a higher limit of open files (ulimit -Hn, LimitNOFILE=)\"",
             (uintmax_t)files.rlim_cur, most, c->max_requests);
    return most;
}

static int start_http(struct compose *m)
{
    const struct config *c = m->config;
    struct http_conf conf = {.ca_bundle = c->ca_bundle, .max_connections = max_connections(c)};
    int r;

    if (conf.ca_bundle == NULL && m->settings.ca_bundle[0] != '\0')
        conf.ca_bundle = m->settings.ca_bundle;
    r = http_new(&conf, &m->http);
    return r < 0 ? r : http_start(m->http);
}

static int store_s3(struct compose *m)
{
    const struct config *c = m->config;
    struct cred_conf cred = {.profile = c->profile, .region = m->settings.region};
    struct s3_conf conf = {
        .bucket = c->bucket,
        .sse = (enum s3_sse)c->sse,
        .kms_key_id = c->sse_kms_key_id,
        .storage_class = c->storage_class,
        .request_payer = c->requester_pays,
        .expected_owner = c->bucket_owner,
        .soft_timeout_ms = config_soft_timeout_ns(c) / NS_PER_MS,
    };
    int r = find_endpoint(m);

    if (r == 0 && c->sse_c_key_file != NULL)
        r = read_sse_c_key(m, c->sse_c_key_file);
    if (r == 0)
        r = start_http(m);
    if (r == 0)
        r = cred_new(&cred, m->http, &m->cred);
    if (r < 0)
        return r;
    conf.endpoint = m->endpoint;
    conf.sse_c_key = m->sse_c_key;
    return s3_new(&conf, m->http, m->cred, m->meter, &m->store);
}

int compose_store(struct compose *m)
{
    _Static_assert((int)CONFIG_SSE_C == (int)S3_SSE_C && (int)CONFIG_SSE_KMS == (int)S3_SSE_KMS &&
                       (int)CONFIG_SSE_AES256 == (int)S3_SSE_S3, "enum s3_sse and config_sse differ");

    m->meter = meter_new();
    if (m->meter == NULL)
        return err_set(-ENOMEM, "out of memory");
    if (m->config->kind == CONFIG_S3)
        return store_s3(m);
    m->source_id = strdup(m->config->source);
    if (m->source_id == NULL)
        return err_set(-ENOMEM, "out of memory");
    return store_dir_new(m->config->path, false, m->meter, &m->store);
}

static int ask(struct compose *m, struct store_req *req)
{
    struct store_rsp rsp = {0};
    int r;

    err_clear();
    req->deadline_ns = clock_boot_ns() + CHECK_NS;
    r = store_call(m->store, req, &rsp);
    store_rsp_done(&rsp);
    return r;
}

static bool is_unreachable(int r)
{
    return r == -ETIMEDOUT || r == -ECONNREFUSED || r == -EHOSTUNREACH || r == -ECONNRESET || r == -EPROTO;
}

/* HEAD says whether the bucket is there, but it has no body, so a refusal has no cause (one server says 404 to a wrong
 * access key), and a policy may allow the prefix only. LIST, which a mount can't do without, has both. */
int compose_check_bucket(struct compose *m)
{
    const struct config *c = m->config;
    struct store_req head = {.op = STORE_HEAD_BUCKET};
    struct store_req list = {.op = STORE_LIST, .prefix = c->prefix, .max_keys = 1};
    int r = ask(m, &head);

    if (r != 0 && !is_unreachable(r))
        r = ask(m, &list);
    if (r == 0)
        return 0;
    if (r == STORE_NOT_FOUND)
        return err_set(-ENOENT, "%s: there is no such bucket", c->source);
    r = err_fold(r);
    if (c->kind == CONFIG_S3 && is_unreachable(r))
        return err_set(r, "%s: cannot reach %s://%s: %s", c->source, m->endpoint.scheme, m->endpoint.host,
                       *err_text() == '\0' ? strerror(-r) : err_text());
    return err_set(r, "%s: %s", c->source, *err_text() == '\0' ? strerror(-r) : err_text());
}

static int probe_prefix(const struct compose *m, char **ret)
{
    unsigned char random[8];
    char hex[17];

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_set(-EIO, "no random bytes");
    str_hex(random, sizeof(random), hex);
    if (asprintf(ret, "%sprobe/%s/", m->config->state_prefix, hex) < 0) {
        *ret = NULL;
        return err_set(-ENOMEM, "out of memory");
    }
    return 0;
}

static int probe_now(struct compose *m)
{
    _cleanup_free_ char *prefix = NULL;
    int r = probe_prefix(m, &prefix);

    if (r < 0)
        return r;
    r = store_probe(m->store, prefix, m->config->kind == CONFIG_S3 ? s3_set_etag_unquoted : NULL, &m->caps);
    if (r == -EACCES || r == -EROFS || r == -EPERM)
        return err_set(r, "%s: not writable below %s (mount with -o ro, or give state_prefix=): %s",
                       m->config->source, m->config->state_prefix, err_text());
    if (r != 0) {
        r = err_fold(r);
        return err_set(r, "%s: cannot find out what the server can do: %s", m->config->source, err_text());
    }
    return 0;
}

static int check_weak(const struct compose *m, const char *line)
{
    const struct store_caps *k = &m->caps;

    if (k->put_absent && k->put_match)
        return 0;
    if (m->config->weak == CONFIG_WEAK_REFUSE)
        return err_set(-EOPNOTSUPP, "%s: the server ignores conditions on writes (%s), and weak=refuse was given",
                       m->config->source, line);
    log_warn("mount.weak", "source=%s caps=%s effect=\"writers on several mounts can overwrite each other unseen\"",
             LOG_Q(m->config->source), LOG_Q(line));
    return 0;
}

int compose_probe(struct compose *m)
{
    _cleanup_free_ char *note = NULL, *known = NULL;
    char line[256];
    int r;

    if (m->config->read_only && !m->has_unsent)
        return 0;
    if (asprintf(&note, "probe %s", m->source_id) < 0) {
        note = NULL;
        return err_set(-ENOMEM, "out of memory");
    }
    r = m->cache != NULL ? cache_note_get(m->cache, note, &known) : CACHE_MISS;
    if (r < 0)
        return r;
    if (r == 0 && store_caps_parse(known, &m->caps) == 0) {
        if (m->config->kind == CONFIG_S3)
            s3_set_etag_unquoted(m->store, m->caps.etag_unquoted);
        return check_weak(m, known);
    }
    r = probe_now(m);
    if (r < 0)
        return r;
    store_caps_format(&m->caps, line, sizeof(line));
    if (m->cache != NULL)
        cache_note_put(m->cache, note, line);
    log_info("mount.probe", "source=%s caps=%s", LOG_Q(m->config->source), LOG_Q(line));
    return check_weak(m, line);
}
