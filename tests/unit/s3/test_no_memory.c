/* SPDX-License-Identifier: Apache-2.0 */
/* What is sent is signed right, or not at all, also where there is no memory: a wrong sum or
 * signature would come back as a refusal by the server. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "aws/sigv4.h"
#include "base/buf.h"
#include "base/macros.h"
#include "fs/s3/body.h"
#include "tests/lib/badalloc.h"

static void sums_need_none(void **state)
{
    char sum[BODY_SHA256_HEX];

    (void)state;
    badalloc_fail(1, true);
    body_sum_bytes("abc", 3, sum);
    badalloc_fail(0, false);
    assert_string_equal(sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static int sign(struct sigv4_key *key, struct buf *ret)
{
    static const struct sigv4_hdr headers[] = {{"host", "bucket.example"},
                                               {"x-amz-date", "20260102T030405Z"}};
    const struct sigv4_req req = {
        .method = "GET",
        .path = "/a",
        .headers = headers,
        .n_headers = ARRAY_LEN(headers),
        .payload_hash = "UNSIGNED-PAYLOAD",
    };
    const struct sigv4_scope scope = {"access", "secret", "region", "s3", "20260102T030405Z"};

    return sigv4_authorization(&req, &scope, key, ret);
}

/* persistent: all that follow fail, too. */
static void sign_at_each(bool persistent)
{
    _cleanup_buf_ struct buf right = BUF_INIT(4096);
    struct sigv4_key first = {.valid = false};
    unsigned failed = 0;
    bool met = true;

    assert_int_equal(sign(&first, &right), 0);
    for (uint64_t n = 1; met; n++) {
        struct sigv4_key key = {.valid = false};

        for (int k = 0; k < 2; k++) { /* with a new key, and with what was kept of the first try */
            _cleanup_buf_ struct buf b = BUF_INIT(4096);
            int r;

            badalloc_fail(n, persistent);
            r = sign(&key, &b);
            met = badalloc_where() != NULL;
            badalloc_fail(0, false);
            failed += r < 0;
            if (r == 0)
                assert_string_equal(buf_str(&b), buf_str(&right));
        }
    }
    assert_true(failed > 0);
}

static void a_signature_is_right_or_none(void **state)
{
    (void)state;
    sign_at_each(false);
    sign_at_each(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_need_none),
        cmocka_unit_test(a_signature_is_right_or_none),
    };

    badalloc_crypto();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
