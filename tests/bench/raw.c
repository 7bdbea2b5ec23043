/* SPDX-License-Identifier: Apache-2.0 */
/* raw: a plain parallel S3 client, what a file system is measured against: one thread and one kept
 * connection for each request under way, nothing in between. It shares no code with the daemon's
 * requests but the signature.
 *
 *   raw put      PREFIX N SIZE CONC DIRS   objects with load's names and bytes
 *   raw get      PREFIX N SIZE CONC DIRS   every byte is compared
 *   raw putbig   KEY SIZE PART CONC        multipart, load's whole file
 *   raw getbig   KEY SIZE PART CONC        ranges
 *   raw randread KEY SIZE N LEN CONC       ranges of LEN at random places
 *   raw list     PREFIX                    pages of 1,000, delimiter "/"
 *
 * Environment: BENCH_ENDPOINT, BENCH_BUCKET, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY. */
#include <curl/curl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include "aws/sigv4.h"
#include "pool.h"

#define CHUNK (1u << 20)
#define UNSIGNED "UNSIGNED-PAYLOAD"

static const char *endpoint, *host, *bucket, *prefix, *access_key, *secret;
static long dirs = 1;
static size_t size, part;
static uint64_t total;
static unsigned char *pattern;
static char upload_id[1024];
static char (*etags)[80];

struct client { /* of one thread */
    CURL *curl;
    struct sigv4_key key;
    struct buf in; /* the answer, when it is kept */
    bool keep;
    long i; /* whose bytes are sent and come back; -1: of the whole file */
    uint64_t at, off, len;
    uint64_t wrong;
    char etag[80];
};

/* What object i, or the whole file, has at `off`. */
static void bytes_at(const struct client *c, uint64_t off, unsigned char *buf, size_t n)
{
    unsigned char head[POOL_HEAD];

    if (c->i >= 0) {
        pool_head(head, c->i);
        for (size_t k = 0; k < n; k++)
            buf[k] = off + k < POOL_HEAD ? head[off + k] : pattern[off + k];
        return;
    }
    for (size_t k = 0; k < n;) {
        uint64_t in_chunk = (off + k) % CHUNK, start = off + k - in_chunk;
        size_t most = CHUNK - in_chunk < n - k ? CHUNK - in_chunk : n - k;

        memcpy(buf + k, pattern + in_chunk, most);
        for (; in_chunk < sizeof(start) && most > 0; in_chunk++, k++, most--)
            buf[k] = ((unsigned char *)&start)[in_chunk];
        k += most;
    }
}

static size_t on_read(char *buf, size_t one, size_t n, void *arg)
{
    struct client *c = arg;
    uint64_t left = c->len - c->off;

    n = one * n < left ? one * n : left;
    bytes_at(c, c->at + c->off, (unsigned char *)buf, n);
    c->off += n;
    return n;
}

static bool is_right(const struct client *c, const void *buf, size_t n)
{
    unsigned char want[16384];

    for (size_t k = 0, m; k < n; k += m) {
        m = n - k < sizeof(want) ? n - k : sizeof(want);
        bytes_at(c, c->at + c->off + k, want, m);
        if (memcmp(want, (const char *)buf + k, m) != 0)
            return false;
    }
    return true;
}

static size_t on_write(char *buf, size_t one, size_t n, void *arg)
{
    struct client *c = arg;

    n *= one;
    if (c->keep)
        return buf_add(&c->in, buf, n) == 0 ? n : 0;
    if (c->off + n > c->len || !is_right(c, buf, n))
        c->wrong++;
    c->off += n;
    return n;
}

static size_t on_header(char *line, size_t one, size_t n, void *arg)
{
    struct client *c = arg;

    n *= one;
    if (n > 6 && strncasecmp(line, "etag:", 5) == 0)
        snprintf(c->etag, sizeof(c->etag), "%.*s", (int)strcspn(line + 6, "\r\n"), line + 6);
    return n;
}

static void *client_new(void)
{
    struct client *c = pool_alloc(sizeof(*c));

    c->curl = curl_easy_init();
    if (c->curl == NULL) {
        fprintf(stderr, "no curl handle\n");
        exit(2);
    }
    buf_init(&c->in, 16u << 20);
    return c;
}

static void client_free(void *state)
{
    struct client *c = state;

    curl_easy_cleanup(c->curl);
    buf_done(&c->in);
    free(c);
}

static struct curl_slist *sign(struct client *c, const struct sigv4_req *r, const char *date,
                               const char *range)
{
    struct sigv4_scope s = {
        .access_key = access_key, .secret = secret, .region = "us-east-1", .service = "s3"};
    struct curl_slist *list = NULL;
    struct buf value;
    char line[512];

    memcpy(s.date, date, sizeof(s.date));
    buf_init(&value, 4096);
    if (sigv4_authorization(r, &s, &c->key, &value) == 0) {
        snprintf(line, sizeof(line), "Authorization: %s", buf_str(&value));
        list = curl_slist_append(list, line);
        snprintf(line, sizeof(line), "x-amz-date: %s", date);
        list = curl_slist_append(list, line);
        list = curl_slist_append(list, "x-amz-content-sha256: " UNSIGNED);
        list = curl_slist_append(list, "Expect:");
        if (range != NULL)
            list = curl_slist_append(list, range);
    }
    buf_done(&value);
    return list;
}

static void set_up(struct client *c, const char *url, const char *method,
                   struct curl_slist *headers)
{
    CURL *h = c->curl;

    curl_easy_reset(h); /* the connection stays */
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(h, CURLOPT_PROXY, "");
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_BUFFERSIZE, 262144L);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, c);
    if (strcmp(method, "PUT") == 0) {
        curl_easy_setopt(h, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(h, CURLOPT_UPLOAD_BUFFERSIZE, 262144L);
        curl_easy_setopt(h, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(h, CURLOPT_READDATA, c);
        curl_easy_setopt(h, CURLOPT_INFILESIZE_LARGE, (curl_off_t)c->len);
    } else if (strcmp(method, "POST") == 0) { /* its body is in `in`, the answer takes its place */
        curl_easy_setopt(h, CURLOPT_POST, 1L);
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE, (long)strlen(buf_str(&c->in)));
        curl_easy_setopt(h, CURLOPT_COPYPOSTFIELDS, buf_str(&c->in));
    }
    buf_reset(&c->in);
    c->off = c->wrong = 0;
    c->etag[0] = '\0';
}

/* Signed and sent; the status of the answer, 0 if there was none. */
static long exchange(struct client *c, const struct sigv4_req *r, const char *date,
                     const char *range)
{
    struct curl_slist *headers = sign(c, r, date, range);
    long status = 0;
    struct buf url;

    buf_init(&url, 16384);
    if (headers != NULL && buf_adds(&url, endpoint) == 0 && sigv4_target(r, &url) == 0) {
        set_up(c, buf_str(&url), r->method, headers);
        if (curl_easy_perform(c->curl) == CURLE_OK)
            curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    }
    curl_slist_free_all(headers);
    buf_done(&url);
    return status;
}

static int send_request(struct client *c, const char *method, const char *key,
                        const struct sigv4_pair *query, size_t n, const char *range)
{
    char date[17], path[4096], why[64];
    struct sigv4_hdr headers[] = {
        {"host", host}, {"x-amz-content-sha256", UNSIGNED}, {"x-amz-date", date}};
    struct sigv4_req r = {.method = method,
                          .path = path,
                          .query = query,
                          .n_query = n,
                          .headers = headers,
                          .n_headers = 3,
                          .payload_hash = UNSIGNED};
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    sigv4_date((int64_t)now.tv_sec * 1000000000, date);
    snprintf(path, sizeof(path), "/%s%s%s", bucket, key[0] ? "/" : "", key);
    long status = exchange(c, &r, date, range);
    if (status < 200 || status > 299) {
        snprintf(why, sizeof(why), "status %ld", status);
        return pool_fail(method, key, why);
    }
    return c->wrong ? pool_fail(method, key, "wrong bytes") : 0;
}

#define KEY_ROOM 2048

static void begin_whole(struct client *c, char key[KEY_ROOM], long i)
{
    pool_name(key, KEY_ROOM, prefix, dirs, i);
    c->i = i;
    c->at = 0;
    c->len = size;
}

static int put(void *state, long i)
{
    struct client *c = state;
    char key[KEY_ROOM];

    begin_whole(c, key, i);
    return send_request(c, "PUT", key, NULL, 0, NULL);
}

static int check_length(const struct client *c, const char *key)
{
    return c->off == c->len ? 0 : pool_fail("GET", key, "too short");
}

static int get(void *state, long i)
{
    struct client *c = state;
    char key[KEY_ROOM];

    begin_whole(c, key, i);
    return send_request(c, "GET", key, NULL, 0, NULL) == 0 ? check_length(c, key) : -1;
}

static int get_range(struct client *c, uint64_t at, uint64_t len)
{
    char range[80];

    snprintf(range, sizeof(range), "Range: bytes=%llu-%llu", (unsigned long long)at,
             (unsigned long long)(at + len - 1));
    c->i = -1;
    c->at = at;
    c->len = len;
    return send_request(c, "GET", prefix, NULL, 0, range) == 0 ? check_length(c, prefix) : -1;
}

static int get_part(void *state, long i)
{
    uint64_t at = (uint64_t)i * part;

    return get_range(state, at, total - at < part ? total - at : part);
}

static int get_random(void *state, long i)
{
    return get_range(state, pool_random((uint64_t)i + 77) % (total / size) * size, size);
}

static int put_part(void *state, long i)
{
    struct client *c = state;
    char number[24];

    snprintf(number, sizeof(number), "%ld", i + 1);
    struct sigv4_pair query[] = {{"partNumber", number}, {"uploadId", upload_id}};
    c->i = -1;
    c->at = (uint64_t)i * part;
    c->len = total - c->at < part ? total - c->at : part;
    int r = send_request(c, "PUT", prefix, query, 2, NULL);
    snprintf(etags[i], sizeof(etags[i]), "%s", c->etag);
    return r;
}

static int post(struct client *c, const struct sigv4_pair *query)
{
    c->keep = true;
    return send_request(c, "POST", prefix, query, 1, NULL);
}

/* The text of an element of the answer. */
static bool element(const struct client *c, const char *name, char *out, size_t n)
{
    char open[64];

    snprintf(open, sizeof(open), "<%s>", name);
    const char *p = strstr(buf_str(&c->in), open);
    if (p == NULL)
        return false;
    p += strlen(open);
    snprintf(out, n, "%.*s", (int)strcspn(p, "<"), p);
    return true;
}

static int complete(struct client *c, long n)
{
    buf_reset(&c->in);
    buf_adds(&c->in, "<CompleteMultipartUpload>");
    for (long i = 0; i < n; i++)
        buf_addf(&c->in, "<Part><PartNumber>%ld</PartNumber><ETag>%s</ETag></Part>", i + 1,
                 etags[i]);
    return buf_adds(&c->in, "</CompleteMultipartUpload>") != 0
               ? -1
               : post(c, &(struct sigv4_pair){"uploadId", upload_id});
}

/* Create, parts, Complete, each as one operation of the same clock: the line tells of the parts,
 * "total" of all. */
static int putbig(long conc)
{
    struct client *c = client_new();
    long n = (long)((total + part - 1) / part);
    double start = pool_now();

    etags = pool_alloc((size_t)n * sizeof(*etags));
    int r = post(c, &(struct sigv4_pair){"uploads", ""});
    if (r == 0 && element(c, "UploadId", upload_id, sizeof(upload_id)))
        r = pool_run(&(struct pool){.verb = "putbig",
                                    .n = n,
                                    .each = part,
                                    .conc = conc,
                                    .op = put_part,
                                    .state_new = client_new,
                                    .state_free = client_free});
    if (r == 0)
        r = complete(c, n);
    double seconds = pool_now() - start;
    if (r == 0)
        printf("{\"verb\":\"putbig\",\"ops\":1,\"seconds\":%.5f,\"ops_per_s\":%.5f,\"mb_per_s\":%."
               "2f}\n",
               seconds, 1 / seconds, (double)total / 1e6 / seconds);
    free(etags);
    client_free(c);
    return r ? 1 : 0;
}

static int list(void)
{
    struct client *c = client_new();
    char token[2048] = "";
    long pages = 0, keys = 0;
    double start = pool_now();
    bool more = true;
    int r = 0;

    c->keep = true;
    while (r == 0 && more) {
        struct sigv4_pair query[] = {{"delimiter", "/"},
                                     {"list-type", "2"},
                                     {"prefix", prefix},
                                     {"continuation-token", token}};

        r = send_request(c, "GET", "", query, token[0] ? 4 : 3, NULL);
        pages++;
        for (const char *p = buf_str(&c->in); r == 0 && (p = strstr(p, "<Key>")) != NULL; p++)
            keys++;
        more = r == 0 && element(c, "NextContinuationToken", token, sizeof(token));
    }
    double seconds = pool_now() - start;
    if (r == 0)
        printf(
            "{\"verb\":\"list\",\"ops\":%ld,\"pages\":%ld,\"seconds\":%.5f,\"ops_per_s\":%.2f}\n",
            keys, pages, seconds, (double)keys / seconds);
    client_free(c);
    return r ? 1 : 0;
}

static int objects(const char *verb, char **word)
{
    bool puts = strcmp(verb, "put") == 0;

    if (!puts && strcmp(verb, "get") != 0)
        return 2;
    dirs = (long)pool_number(word[3]);
    size = pool_number(word[1]);
    pattern = pool_pattern(size);
    return pool_run(&(struct pool){.verb = verb,
                                   .n = (long)pool_number(word[0]),
                                   .each = size,
                                   .conc = (long)pool_number(word[2]),
                                   .op = puts ? put : get,
                                   .state_new = client_new,
                                   .state_free = client_free});
}

static int run(const char *verb, int n, char **word)
{
    if (n == 0 && strcmp(verb, "list") == 0)
        return list();
    if (n == 4 && strcmp(verb, "randread") != 0 && strstr(verb, "big") == NULL)
        return objects(verb, word);
    if (n < 3)
        return 2;
    total = pool_number(word[0]);
    pattern = pool_pattern(CHUNK);
    part = pool_number(word[1]);
    long conc = (long)pool_number(word[n - 1]);
    if (n == 3 && strcmp(verb, "putbig") == 0)
        return putbig(conc);
    if (n == 3 && strcmp(verb, "getbig") == 0)
        return pool_run(&(struct pool){.verb = verb,
                                       .n = (long)((total + part - 1) / part),
                                       .each = part,
                                       .conc = conc,
                                       .op = get_part,
                                       .state_new = client_new,
                                       .state_free = client_free});
    size = pool_number(word[2]);
    if (n == 4 && strcmp(verb, "randread") == 0)
        return pool_run(&(struct pool){.verb = verb,
                                       .n = (long)pool_number(word[1]),
                                       .each = size,
                                       .conc = conc,
                                       .op = get_random,
                                       .state_new = client_new,
                                       .state_free = client_free});
    return 2;
}

int main(int argc, char **argv)
{
    endpoint = getenv("BENCH_ENDPOINT");
    bucket = getenv("BENCH_BUCKET");
    access_key = getenv("AWS_ACCESS_KEY_ID");
    secret = getenv("AWS_SECRET_ACCESS_KEY");
    host = endpoint ? strstr(endpoint, "://") : NULL;
    if (argc < 3 || host == NULL || bucket == NULL || access_key == NULL || secret == NULL) {
        fprintf(stderr, "see the head of tests/bench/raw.c\n");
        return 2;
    }
    host += 3;
    prefix = argv[2];
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int r = run(argv[1], argc - 3, argv + 3);
    if (r == 2)
        fprintf(stderr, "see the head of tests/bench/raw.c\n");
    curl_global_cleanup();
    return r;
}
