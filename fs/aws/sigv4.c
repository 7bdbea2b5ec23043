/* SPDX-License-Identifier: Apache-2.0 */
/* Signature Version 4: canonical request, string to sign, signature. */
#include "aws/sigv4.h"

#include <errno.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/err.h"
#include "base/secret.h"
#include "base/sha256.h"
#include "base/str.h"

enum { CANONICAL_MAX = 256 * 1024, PARTS_MAX = 256, SECRET_MAX = 251 };

/* "2026-01-02T03:04:05.678Z" without its '-' and ':', and without the fraction. */
void sigv4_date(int64_t wall_ns, char out[17])
{
    char iso[32];
    size_t n = 0;
    str_format_iso8601(wall_ns > 0 ? wall_ns : 0, iso);
    for (const char *p = iso; *p && *p != '.' && n < 15; p++)
        if (*p != '-' && *p != ':')
            out[n++] = *p;
    out[n++] = 'Z';
    out[n] = '\0';
}

/* --- path and query ----------------------------------------------------------------------------
 */

/* Without empty, "." and ".." components, as services other than S3 canonicalise. */
static int add_normalised(struct buf *ret, const char *path)
{
    buf_addc(ret, '/');
    while (*path) {
        size_t len = strcspn(path, "/");
        if (len == 2 && memcmp(path, "..", 2) == 0) {
            while (ret->len > 1 && ret->data[--ret->len - 1] != '/')
                ;
        } else if (len > 0 && !(len == 1 && *path == '.')) {
            buf_add(ret, path, len);
            buf_addc(ret, '/');
        }
        path += len + strspn(path + len, "/");
        if (buf_failed(ret))
            return ret->error;
    }
    /* Each component left a slash behind; the last one stays only if the path had it. */
    if (ret->len > 1 && path[-1] != '/')
        ret->len--;
    ret->data[ret->len] = '\0';
    return 0;
}

static int add_canonical_path(struct buf *ret, const struct sigv4_req *req)
{
    if (!req->double_encode)
        return str_urlencode(ret, req->path, strlen(req->path), true);
    _cleanup_buf_ struct buf plain = BUF_INIT(CANONICAL_MAX), once = BUF_INIT(CANONICAL_MAX);
    int r = add_normalised(&plain, req->path);
    if (r == 0)
        r = str_urlencode(&once, plain.data, plain.len, true);
    return r < 0 ? r : str_urlencode(ret, once.data, once.len, true);
}

struct pair { /* encoded; offsets into one buffer, which moves as it grows */
    size_t name, value;
};

static int compare_pairs(const void *a, const void *b, void *arg)
{
    const struct pair *x = a, *y = b;
    const char *text = arg;
    int d = strcmp(text + x->name, text + y->name);
    return d ? d : strcmp(text + x->value, text + y->value);
}

static size_t add_encoded(struct buf *text, const char *s)
{
    size_t at = text->len;
    str_urlencode(text, s, strlen(s), false);
    buf_add(text, "", 1);
    return at;
}

/* "a=1&b=": sorted by encoded name, then encoded value. The sorting is that of the pairs, not of
 * their text: "a-b=" comes after "a=" although '-' < '='. */
static int add_query(struct buf *ret, const struct sigv4_req *req)
{
    _cleanup_buf_ struct buf text = BUF_INIT(CANONICAL_MAX);
    _cleanup_free_ struct pair *pairs = calloc(req->n_query + 1, sizeof(*pairs));
    if (!pairs || req->n_query > PARTS_MAX)
        return pairs ? -E2BIG : -ENOMEM;
    for (size_t i = 0; i < req->n_query; i++) {
        const char *value = req->query[i].value;
        pairs[i].name = add_encoded(&text, req->query[i].name);
        pairs[i].value = add_encoded(&text, value ? value : "");
    }
    if (buf_failed(&text))
        return text.error;
    if (req->n_query > 1)
        qsort_r(pairs, req->n_query, sizeof(*pairs), compare_pairs, text.data);
    for (size_t i = 0; i < req->n_query; i++) {
        if (i > 0)
            buf_addc(ret, '&');
        buf_adds(ret, text.data + pairs[i].name);
        buf_addc(ret, '=');
        buf_adds(ret, text.data + pairs[i].value);
    }
    return ret->error;
}

int sigv4_target(const struct sigv4_req *req, struct buf *ret)
{
    if (req->path[0] != '/')
        return err_set(-EINVAL, "a request path must begin with '/'");
    int r = str_urlencode(ret, req->path, strlen(req->path), true);
    if (r == 0 && req->n_query > 0) {
        buf_addc(ret, '?');
        r = add_query(ret, req);
    }
    return r < 0 ? err_set(r, "the request's path and query are too long") : 0;
}

/* --- headers -----------------------------------------------------------------------------------
 */

static int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static int compare_names(const char *a, const char *b)
{
    while (*a && lower((unsigned char)*a) == lower((unsigned char)*b))
        a++, b++;
    return lower((unsigned char)*a) - lower((unsigned char)*b);
}

/* By name; equal names in the order in which they are sent. */
static int compare_headers(const void *a, const void *b)
{
    const struct sigv4_hdr *const *x = a, *const *y = b;
    int d = compare_names((*x)->name, (*y)->name);
    return d ? d : *x < *y ? -1 : *x > *y;
}

static void add_lower(struct buf *ret, const char *s)
{
    for (; *s; s++)
        buf_addc(ret, (char)lower((unsigned char)*s));
}

/* Trimmed, with runs of blanks as one space. */
static void add_trimmed(struct buf *ret, const char *s)
{
    static const char blanks[] = " \t\v\f";
    s += strspn(s, blanks);
    while (*s) {
        size_t len = strcspn(s, blanks);
        buf_add(ret, s, len);
        s += len;
        s += strspn(s, blanks);
        if (*s)
            buf_addc(ret, ' ');
    }
}

static int check_headers(const struct sigv4_req *req)
{
    if (req->n_headers > PARTS_MAX)
        return err_set(-E2BIG, "too many headers to sign");
    for (size_t i = 0; i < req->n_headers; i++) {
        const struct sigv4_hdr *h = &req->headers[i];
        if (!h->name[0] || h->name[strcspn(h->name, ":\r\n \t")] ||
            h->value[strcspn(h->value, "\r\n")])
            return err_set(-EINVAL, "a header that can't be signed");
    }
    return 0;
}

static int add_headers(const struct sigv4_req *req, struct buf *ret, struct buf *ret_names)
{
    int r = check_headers(req);
    if (r < 0)
        return r;
    _cleanup_free_ const struct sigv4_hdr **sorted = calloc(req->n_headers + 1, sizeof(*sorted));
    if (!sorted)
        return err_set(-ENOMEM, "out of memory for a signature");
    for (size_t i = 0; i < req->n_headers; i++)
        sorted[i] = &req->headers[i];
    qsort(sorted, req->n_headers, sizeof(*sorted), compare_headers);
    for (size_t i = 0; i < req->n_headers; i++) {
        if (i > 0 && compare_names(sorted[i]->name, sorted[i - 1]->name) == 0) {
            ret->len--; /* the line of this name goes on */
            buf_addc(ret, ',');
        } else {
            if (i > 0)
                buf_addc(ret_names, ';');
            add_lower(ret_names, sorted[i]->name);
            add_lower(ret, sorted[i]->name);
            buf_addc(ret, ':');
        }
        add_trimmed(ret, sorted[i]->value);
        if (buf_addc(ret, '\n') < 0)
            return ret->error;
    }
    return 0;
}

/* --- the stages --------------------------------------------------------------------------------
 */

int sigv4_canonical(const struct sigv4_req *req, struct buf *ret, struct buf *ret_signed_names)
{
    if (req->path[0] != '/')
        return err_set(-EINVAL, "a request path must begin with '/'");
    buf_adds(ret, req->method);
    buf_addc(ret, '\n');
    int r = add_canonical_path(ret, req);
    buf_addc(ret, '\n');
    if (r == 0)
        r = add_query(ret, req);
    buf_addc(ret, '\n');
    if (r == 0)
        r = add_headers(req, ret, ret_signed_names);
    if (r < 0)
        return r;
    buf_addf(ret, "\n%s\n%s", buf_failed(ret_signed_names) ? "" : buf_str(ret_signed_names),
             req->payload_hash);
    r = ret->error ? ret->error : ret_signed_names->error;
    return r < 0 ? err_set(r, "the request to sign is too long") : 0;
}

int sigv4_string_to_sign(const char *canonical, const struct sigv4_scope *s, struct buf *ret)
{
    unsigned char sum[SHA256_LEN];
    char hex[2 * sizeof(sum) + 1];
    sha256_bytes(canonical, strlen(canonical), sum);
    str_hex(sum, sizeof(sum), hex);
    int r = buf_addf(ret, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s", s->date, s->date,
                     s->region, s->service, hex);
    return r < 0 ? err_set(r, "the request to sign is too long") : 0;
}

static int hmac(const void *key, size_t key_len, const char *text, unsigned char out[32])
{
    unsigned len = 32;
    if (!HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text), out,
              &len))
        return err_set(-EIO, "HMAC-SHA256 failed");
    return 0;
}

static int derive_key(const struct sigv4_scope *s, unsigned char key[32])
{
    char day[9];
    size_t len = strlen(s->secret);
    if (len == 0 || len > SECRET_MAX)
        return err_set(-EINVAL, "the secret key's length is not possible");
    _cleanup_secret_ char *first = secret_alloc(4 + len);
    if (!first)
        return err_set(-ENOMEM, "out of memory for a signature");
    memcpy(first, "AWS4", 4);
    memcpy(first + 4, s->secret, len);
    memcpy(day, s->date, 8);
    day[8] = '\0';
    int r = hmac(first, len + 4, day, key);
    if (r == 0)
        r = hmac(key, 32, s->region, key);
    if (r == 0)
        r = hmac(key, 32, s->service, key);
    return r < 0 ? r : hmac(key, 32, "aws4_request", key);
}

static bool is_cached(const struct sigv4_key *k, const struct sigv4_scope *s,
                      const unsigned char secret_sum[32])
{
    return k->valid && memcmp(k->date, s->date, 8) == 0 && strcmp(k->region, s->region) == 0 &&
           strcmp(k->service, s->service) == 0 && strcmp(k->access_key, s->access_key) == 0 &&
           CRYPTO_memcmp(k->secret_sum, secret_sum, 32) == 0;
}

static void keep_key(struct sigv4_key *k, const struct sigv4_scope *s,
                     const unsigned char secret_sum[32], const unsigned char key[32])
{
    memcpy(k->date, s->date, 8);
    k->date[8] = '\0';
    memcpy(k->secret_sum, secret_sum, 32);
    memcpy(k->key, key, 32);
    k->valid = str_copy(k->region, sizeof(k->region), s->region) == 0 &&
               str_copy(k->service, sizeof(k->service), s->service) == 0 &&
               str_copy(k->access_key, sizeof(k->access_key), s->access_key) == 0;
}

/* The cached key, or a new one that is kept. The secret counts by its hash: one that was corrected
 * under the same access key must not go on with the old key for a day. */
static int find_key(const struct sigv4_scope *s, struct sigv4_key *cache, unsigned char key[32])
{
    unsigned char sum[32];
    sha256_bytes(s->secret, strlen(s->secret), sum);
    if (cache && is_cached(cache, s, sum)) {
        memcpy(key, cache->key, 32);
        return 0;
    }
    int r = derive_key(s, key);
    if (r == 0 && cache)
        keep_key(cache, s, sum, key);
    return r;
}

int sigv4_signature(const char *string_to_sign, const struct sigv4_scope *s,
                    struct sigv4_key *cache, char ret_hex[65])
{
    unsigned char key[32], sum[32];
    int r = find_key(s, cache, key);
    if (r == 0)
        r = hmac(key, sizeof(key), string_to_sign, sum);
    OPENSSL_cleanse(key, sizeof(key));
    if (r == 0)
        str_hex(sum, sizeof(sum), ret_hex);
    return r;
}

int sigv4_authorization(const struct sigv4_req *req, const struct sigv4_scope *s,
                        struct sigv4_key *cache, struct buf *ret)
{
    _cleanup_buf_ struct buf canonical = BUF_INIT_SECRET(CANONICAL_MAX),
                             names = BUF_INIT(CANONICAL_MAX),
                             sts = BUF_INIT(4096);
    char hex[65];
    int r = sigv4_canonical(req, &canonical, &names);
    if (r == 0)
        r = sigv4_string_to_sign(buf_str(&canonical), s, &sts);
    if (r == 0)
        r = sigv4_signature(buf_str(&sts), s, cache, hex);
    if (r < 0)
        return r;
    r = buf_addf(
        ret,
        "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
        s->access_key, s->date, s->region, s->service, buf_str(&names), hex);
    return r < 0 ? err_set(r, "the Authorization header is too long") : 0;
}
