/* SPDX-License-Identifier: Apache-2.0 */
/* Each stage on each vector of tests/vectors/sigv4. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/sigv4.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "base/sys.h"

struct vector {
    char *text; /* all strings below point into it */
    struct sigv4_pair query[32];
    struct sigv4_hdr headers[32];
    struct sigv4_req req;
    struct sigv4_scope scope;
    const char *target, *key, *names, *signature;
    struct buf canonical, to_sign;
};

static void add_line(struct buf *b, const char *line)
{
    if (b->len > 0) /* no wanted text begins with an empty line */
        buf_addc(b, '\n');
    assert_int_equal(buf_adds(b, line), 0);
}

static char *split(char *s, char at)
{
    char *p = strchr(s, at);
    if (!p)
        fail_msg("no '%c' in \"%s\"", at, s);
    *p = '\0';
    return p + 1;
}

static void take_line(struct vector *v, char *line)
{
    char *rest = split(line, ' ');
    if (strcmp(line, "access-key") == 0) {
        v->scope.access_key = rest;
    } else if (strcmp(line, "secret") == 0) {
        v->scope.secret = rest;
    } else if (strcmp(line, "region") == 0) {
        v->scope.region = rest;
    } else if (strcmp(line, "service") == 0) {
        v->scope.service = rest;
    } else if (strcmp(line, "date") == 0) {
        assert_int_equal(str_copy(v->scope.date, sizeof(v->scope.date), rest), 0);
    } else if (strcmp(line, "encode") == 0) {
        v->req.double_encode = strcmp(rest, "twice") == 0;
    } else if (strcmp(line, "method") == 0) {
        v->req.method = rest;
    } else if (strcmp(line, "path") == 0) {
        v->req.path = rest;
    } else if (strcmp(line, "payload-hash") == 0) {
        v->req.payload_hash = rest;
    } else if (strcmp(line, "query") == 0) {
        v->query[v->req.n_query++] = (struct sigv4_pair){rest, split(rest, '=')};
    } else if (strcmp(line, "header") == 0) {
        v->headers[v->req.n_headers++] = (struct sigv4_hdr){rest, split(rest, ':')};
    } else if (strcmp(line, "want-target") == 0) {
        v->target = rest;
    } else if (strcmp(line, "want-key") == 0) {
        v->key = rest;
    } else if (strcmp(line, "want-signed-names") == 0) {
        v->names = rest;
    } else if (strcmp(line, "want-signature") == 0) {
        v->signature = rest;
    } else if (strcmp(line, "want-canonical") == 0) {
        add_line(&v->canonical, rest);
    } else if (strcmp(line, "want-to-sign") == 0) {
        add_line(&v->to_sign, rest);
    } else {
        fail_msg("unknown word %s", line);
    }
}

static void load(const char *path, struct vector *v)
{
    *v = (struct vector){.canonical = BUF_INIT(65536), .to_sign = BUF_INIT(65536)};
    assert_int_equal(sys_read_file(path, 65536, &v->text, NULL), 0);
    v->req.query = v->query;
    v->req.headers = v->headers;
    for (char *line = v->text; *line;) {
        char *next = split(line, '\n');
        if (*line != '#')
            take_line(v, line);
        line = next;
    }
    assert_non_null(v->signature);
    assert_non_null(v->target);
}

static void unload(struct vector *v)
{
    buf_done(&v->canonical);
    buf_done(&v->to_sign);
    free(v->text);
}

static void check_stages(const struct vector *v)
{
    _cleanup_buf_ struct buf target = BUF_INIT(65536), canonical = BUF_INIT(65536),
                             names = BUF_INIT(65536), to_sign = BUF_INIT(65536);
    struct sigv4_key key = {0};
    char hex[65];
    assert_int_equal(sigv4_target(&v->req, &target), 0);
    assert_string_equal(buf_str(&target), v->target);
    assert_int_equal(sigv4_canonical(&v->req, &canonical, &names), 0);
    assert_string_equal(buf_str(&canonical), buf_str(&v->canonical));
    assert_string_equal(buf_str(&names), v->names);
    assert_int_equal(sigv4_string_to_sign(buf_str(&canonical), &v->scope, &to_sign), 0);
    assert_string_equal(buf_str(&to_sign), buf_str(&v->to_sign));
    assert_int_equal(sigv4_signature(buf_str(&to_sign), &v->scope, NULL, hex), 0);
    assert_string_equal(hex, v->signature);
    assert_int_equal(sigv4_signature(buf_str(&to_sign), &v->scope, &key, hex), 0);
    assert_string_equal(hex, v->signature);
    assert_true(key.valid);
    str_hex(key.key, sizeof(key.key), hex);
    assert_string_equal(hex, v->key);
    assert_int_equal(sigv4_signature(buf_str(&to_sign), &v->scope, &key, hex),
                     0); /* from the cache */
    assert_string_equal(hex, v->signature);
}

static void check_authorization(const struct vector *v, struct sigv4_key *cache)
{
    _cleanup_buf_ struct buf got = BUF_INIT(65536), want = BUF_INIT(65536);
    buf_addf(
        &want,
        "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
        v->scope.access_key, v->scope.date, v->scope.region, v->scope.service, v->names,
        v->signature);
    assert_int_equal(sigv4_authorization(&v->req, &v->scope, cache, &got), 0);
    assert_string_equal(buf_str(&got), buf_str(&want));
}

static int is_vector(const struct dirent *e)
{
    return str_ends(e->d_name, ".vec");
}

static void test_vectors(void **state)
{
    struct sigv4_key cache = {0}; /* one for all: it must notice each change of scope */
    const char *top = getenv("top_srcdir");
    char dir[512], path[1024];
    struct dirent **names = NULL;
    (void)state;
    snprintf(dir, sizeof(dir), "%s/tests/vectors/sigv4", top ? top : ".");
    int n = scandir(dir, &names, is_vector, alphasort);
    if (n < 40)
        fail_msg("%d vectors in %s, 44 are there (top_srcdir set?)", n, dir);
    for (int i = 0; i < n; i++) {
        struct vector v;
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
        print_message("%s\n", names[i]->d_name);
        load(path, &v);
        check_stages(&v);
        check_authorization(&v, &cache);
        unload(&v);
        free(names[i]);
    }
    free(names);
}

static const struct sigv4_hdr host[] = {{"host", "h"}};
static const struct sigv4_scope scope = {
    .access_key = "AK", .secret = "s1", .region = "r", .service = "s3", .date = "20260101T000000Z"};

/* A secret that was corrected under the same access key, another day, another region. */
static void test_cache_notices(void **state)
{
    struct sigv4_key cache = {0};
    struct sigv4_scope s = scope;
    char first[65], other[65], plain[65];
    (void)state;
    assert_int_equal(sigv4_signature("x", &s, &cache, first), 0);
    for (int i = 0; i < 5; i++) {
        s = scope;
        if (i == 0)
            s.secret = "s2";
        if (i == 1)
            memcpy(s.date, "20260102T000000Z", 17);
        if (i == 2)
            s.region = "q";
        if (i == 3)
            s.service = "sts";
        assert_int_equal(sigv4_signature("x", &s, NULL, plain), 0);
        assert_int_equal(sigv4_signature("x", &s, &cache, other), 0);
        assert_string_equal(other, plain);
        if (i < 4)
            assert_string_not_equal(other, first);
        else
            assert_string_equal(other, first);
    }
}

/* Too long for the cache: it must not be taken for a shorter one. */
static void test_cache_long_names(void **state)
{
    struct sigv4_key cache = {0};
    struct sigv4_scope s = scope;
    char region[200], a[65], b[65];
    (void)state;
    memset(region, 'r', 199);
    region[199] = '\0';
    s.region = region;
    assert_int_equal(sigv4_signature("x", &s, &cache, a), 0);
    assert_false(cache.valid);
    assert_int_equal(sigv4_signature("x", &s, NULL, b), 0);
    assert_string_equal(a, b);
}

static void test_bad_requests(void **state)
{
    static const struct sigv4_hdr bad[][1] = {
        {{"", "v"}},  {{"a b", "v"}}, {{"a:b", "v"}}, {{"a\n", "v"}}, {{"a", "v\r\nx-evil: 1"}},
        {{"a", "\n"}}};
    struct sigv4_req req = {.method = "GET",
                            .path = "no-slash",
                            .headers = host,
                            .n_headers = 1,
                            .payload_hash = "UNSIGNED-PAYLOAD"};
    _cleanup_buf_ struct buf out = BUF_INIT(65536);
    char hex[65];
    (void)state;
    assert_int_equal(sigv4_target(&req, &out), -EINVAL);
    assert_int_equal(sigv4_authorization(&req, &scope, NULL, &out), -EINVAL);
    req.path = "/";
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        req.headers = bad[i];
        assert_int_equal(sigv4_authorization(&req, &scope, NULL, &out), -EINVAL);
        assert_null(strstr(err_text(), "evil"));
    }
    struct sigv4_scope empty = scope;
    empty.secret = "";
    assert_int_equal(sigv4_signature("x", &empty, NULL, hex), -EINVAL);
    char huge[400];
    memset(huge, 'k', 399);
    huge[399] = '\0';
    empty.secret = huge;
    assert_int_equal(sigv4_signature("x", &empty, NULL, hex), -EINVAL);
    assert_null(strstr(err_text(), "kkk"));
}

static void test_limits(void **state)
{
    _cleanup_free_ char *path = malloc(400 * 1024);
    struct sigv4_req req = {
        .method = "GET", .path = path, .headers = host, .n_headers = 1, .payload_hash = "x"};
    _cleanup_buf_ struct buf out = BUF_INIT(1024 * 1024), small = BUF_INIT(100);
    (void)state;
    memset(path, 'p', 400 * 1024 - 1);
    path[0] = '/';
    path[400 * 1024 - 1] = '\0';
    assert_int_equal(sigv4_authorization(&req, &scope, NULL, &out), -E2BIG);
    assert_int_equal(sigv4_target(&req, &small), -E2BIG);
    req.double_encode = true;
    assert_int_equal(sigv4_authorization(&req, &scope, NULL, &out), -E2BIG);
}

static void test_date(void **state)
{
    char out[17];
    (void)state;
    sigv4_date(INT64_C(1369353600) * NS_PER_S + 999, out);
    assert_string_equal(out, "20130524T000000Z");
    sigv4_date(INT64_C(1772323199) * NS_PER_S + 999999999, out);
    assert_string_equal(out, "20260228T235959Z");
    sigv4_date(0, out);
    assert_string_equal(out, "19700101T000000Z");
    sigv4_date(-1, out);
    assert_string_equal(out, "19700101T000000Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),          cmocka_unit_test(test_cache_notices),
        cmocka_unit_test(test_cache_long_names), cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_limits),           cmocka_unit_test(test_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
