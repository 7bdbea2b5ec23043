/* SPDX-License-Identifier: Apache-2.0 */
/* The source taken apart, and what only all options together tell. */
#include "memplan.h"
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include "base/err.h"
#include "base/str.h"

#define TENTH_NS INT64_C(100000000)
#define SOFT_MAX_NS (INT64_C(86400000000000) * 365) /* a year, so that sums with clocks fit */
#define PREFIX_MAX 1000

static int no_memory(void)
{
    return err_set(-ENOMEM, "out of memory");
}

static bool is_bucket_name(const char *s, size_t len)
{
    if (len < 3 || len > 255)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)s[i]) && strchr(".-_", s[i]) == NULL)
            return false;
    }
    return true;
}

/* Keys below a prefix with such a component have no path that a kernel would look up. */
static int check_prefix(const char *source, const char *prefix)
{
    const char *p = prefix;

    if (strlen(prefix) > PREFIX_MAX)
        return err_set(-EINVAL, "source: the prefix is longer than %d bytes", PREFIX_MAX);
    while (*p != '\0') {
        size_t len = strcspn(p, "/");

        if (len == 0 || (len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
            return err_set(-EINVAL, "source %s: the prefix has an empty, \".\" or \"..\" component", source);
        p += len;
        p += *p == '/';
    }
    return 0;
}

static int source_s3(struct config *c, const char *text, const char *name)
{
    size_t len = strcspn(name, "/");
    const char *rest = name + len + (name[len] == '/');
    int r;

    if (!is_bucket_name(name, len))
        return err_set(-EINVAL, "source %s: not a bucket name (use BUCKET, BUCKET/PREFIX, s3://BUCKET/PREFIX "
                       "or file:///DIRECTORY)", text);
    r = check_prefix(text, rest);
    if (r < 0)
        return r;
    c->kind = CONFIG_S3;
    c->bucket = strndup(name, len);
    if (asprintf(&c->prefix, "%s%s", rest, *rest == '\0' || str_ends(rest, "/") ? "" : "/") < 0)
        c->prefix = NULL;
    if (c->bucket == NULL || c->prefix == NULL)
        return no_memory();
    len = strlen(c->prefix);
    if (asprintf(&c->source, "s3://%s%s%.*s", c->bucket, len > 0 ? "/" : "", len > 0 ? (int)len - 1 : 0,
                 c->prefix) < 0) {
        c->source = NULL;
        return no_memory();
    }
    return 0;
}

static int source_dir(struct config *c, const char *text, const char *path)
{
    size_t len = strlen(path);

    if (path[0] != '/')
        return err_set(-EINVAL, "source %s: file:// needs an absolute path: file:///DIRECTORY", text);
    while (len > 1 && path[len - 1] == '/')
        len--;
    c->kind = CONFIG_DIR;
    c->path = strndup(path, len);
    c->prefix = strdup("");
    if (c->path == NULL || c->prefix == NULL || asprintf(&c->source, "file://%s", c->path) < 0) {
        c->source = NULL;
        return no_memory();
    }
    return 0;
}

int config_source(struct config *c, const char *text)
{
    if (str_starts(text, "file://"))
        return source_dir(c, text, text + strlen("file://"));
    if (str_starts(text, "s3://"))
        return source_s3(c, text, text + strlen("s3://"));
    if (text[0] == '/' || text[0] == '.')
        return err_set(-EINVAL, "source %s: a directory is written file:///DIRECTORY", text);
    return source_s3(c, text, text);
}

static int check_sse(const struct config *c)
{
    if (c->sse_kms_key_id != NULL && c->sse != CONFIG_SSE_KMS)
        return err_set(-EINVAL, "option sse_kms_key_id needs sse=aws:kms");
    if (c->sse_c_key_file != NULL && c->sse != CONFIG_SSE_C)
        return err_set(-EINVAL, "option sse_c_key_file needs sse=c");
    if (c->sse == CONFIG_SSE_C && c->sse_c_key_file == NULL)
        return err_set(-EINVAL, "option sse=c needs sse_c_key_file=FILE");
    return 0;
}

/* A limit that was not given follows the one that was. */
static int check_pair(const struct config *c, int64_t *least, int64_t *most, const char *least_name,
                      const char *most_name)
{
    if (*least <= *most)
        return 0;
    if (config_given(c, least_name) && config_given(c, most_name))
        return err_set(-EINVAL, "option %s=%lld is above %s=%lld", least_name, (long long)*least,
                       most_name, (long long)*most);
    if (config_given(c, most_name))
        *least = *most;
    else
        *most = *least;
    return 0;
}

/* What is not handed over from one daemon to the next (locks between mounts are: vfs/keeplock.c). */
static int check_takeover(const struct config *c)
{
    if (!c->takeover)
        return 0;
    if (c->fuse_fd > 0)
        return err_set(-EINVAL, "option takeover does not go with a descriptor that others keep");
    if (c->passthrough)
        return err_set(-EINVAL, "option takeover does not go with passthrough: what the kernel reads from is not handed over");
    if (c->noac)
        return err_set(-EINVAL, "option takeover does not go with noac: a write whose commit was cut off would be told as done");
    if (c->excl == CONFIG_EXCL_STRICT)
        return err_set(-EINVAL, "option takeover does not go with excl=strict: reservations are not handed over");
    return 0;
}

static int check_times(struct config *c)
{
    int r = check_takeover(c);

    if (r < 0)
        return r;

    if (c->noac && c->commit != CONFIG_COMMIT_CLOSE)
        return err_set(-EINVAL, "noac wants each write in the bucket, and commit=%s not even each close",
                       c->commit == CONFIG_COMMIT_LOCAL ? "local" : "fsync");
    if (c->noac)
        c->acregmin_s = c->acregmax_s = c->acdirmin_s = c->acdirmax_s = 0;
    r = check_pair(c, &c->acregmin_s, &c->acregmax_s, "acregmin", "acregmax");
    return r < 0 ? r : check_pair(c, &c->acdirmin_s, &c->acdirmax_s, "acdirmin", "acdirmax");
}

/* A name that a person recognises: the last bytes of the source, letters and digits. */
static void readable(const char *source, char *out, size_t size)
{
    const char *p = strstr(source, "://");
    size_t n = 0;

    for (p = p == NULL ? source : p + 3; *p != '\0' && n + 1 < size; p++) {
        if (isalnum((unsigned char)*p) || *p == '.' || *p == '_')
            out[n++] = *p;
        else if (n > 0 && out[n - 1] != '-')
            out[n++] = '-';
    }
    out[n] = '\0';
}

static int hash_of(const struct config *c, char out[17])
{
    _cleanup_buf_ struct buf b = BUF_INIT(64 * 1024);
    unsigned char digest[EVP_MAX_MD_SIZE];

    buf_addf(&b, "%s\n%s\n%s", c->source, c->endpoint == NULL ? "" : c->endpoint, c->mountpoint);
    if (buf_failed(&b))
        return err_set(-EINVAL, "source, endpoint or mount point too long");
    if (EVP_Digest(b.data, b.len, digest, NULL, EVP_sha256(), NULL) != 1)
        return err_set(-EIO, "SHA-256 is not available");
    str_hex(digest, 8, out);
    return 0;
}

static int default_cache_dir(struct config *c)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char name[41], hash[17];
    int n, r = hash_of(c, hash);

    if (r < 0)
        return r;
    readable(c->source, name, sizeof(name));
    if (geteuid() == 0)
        n = asprintf(&c->cache_dir, "%s/cache/s3efs/%s-%s", S3EFS_LOCALSTATEDIR, name, hash);
    else if (xdg != NULL && xdg[0] == '/')
        n = asprintf(&c->cache_dir, "%s/s3efs/%s-%s", xdg, name, hash);
    else if (home != NULL && home[0] == '/')
        n = asprintf(&c->cache_dir, "%s/.cache/s3efs/%s-%s", home, name, hash);
    else
        return err_set(-EINVAL, "no place for the cache: HOME is not set; give cache_dir=DIR");
    if (n < 0) {
        c->cache_dir = NULL;
        return no_memory();
    }
    return 0;
}

static int check_state_prefix(const struct config *c)
{
    if (c->state_prefix[0] == '/' || !str_ends(c->state_prefix, "/"))
        return err_set(-EINVAL, "option state_prefix=%s: must end in '/' and not begin with it", c->state_prefix);
    return check_prefix(c->state_prefix, c->state_prefix);
}

int config_finish(struct config *c)
{
    int r = check_sse(c);

    if (r == 0)
        r = check_times(c);
    if (r == 0)
        r = check_state_prefix(c);
    if (r == 0)
        r = config_access_point(c);
    if (r < 0)
        return r;
    if (c->threads < 2)
        return err_set(-EINVAL, "option threads=%u: at least 2", c->threads);
    if (c->mem_limit < UINT64_C(32) << 20)
        return err_set(-EINVAL, "option mem_limit: at least 32M");
    if (c->mem_limit / MEMPLAN_THREAD_MIN < c->threads)
        return err_set(-EINVAL, "option mem_limit: at least 256K for each of %u threads", c->threads);
    if (!config_given(c, "max_concurrent_requests"))
        c->max_requests = memplan_requests(c->mem_limit);
    if (c->max_requests < CONFIG_REQUESTS_MIN)
        return err_set(-EINVAL, "option max_concurrent_requests=%u: at least %u", c->max_requests, CONFIG_REQUESTS_MIN);
    if (c->soft && c->timeo == 0)
        return err_set(-EINVAL, "option timeo=0: a soft mount needs a time");
    if (c->cache_dir != NULL && c->cache_dir[0] != '/')
        return err_set(-EINVAL, "option cache_dir=%s: must be an absolute path", c->cache_dir);
    if (c->nolock)
        c->local_lock = CONFIG_LOCK_ALL;
    c->file_mode &= ~c->umask;
    c->dir_mode &= ~c->umask;
    return c->cache_dir == NULL ? default_cache_dir(c) : 0;
}

int64_t config_soft_timeout_ns(const struct config *c)
{
    int64_t ns;

    if (!c->soft)
        return 0;
    if (__builtin_mul_overflow((int64_t)c->timeo * TENTH_NS, (int64_t)c->retrans + 1, &ns) ||
        ns > SOFT_MAX_NS)
        return SOFT_MAX_NS;
    return ns;
}
