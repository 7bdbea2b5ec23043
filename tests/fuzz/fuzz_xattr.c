/* SPDX-License-Identifier: Apache-2.0 */
/* vfs/xattr_code: any header is read without harm, and what is set into it is found there again,
 * with all that was readable before. A line: the header; a line: the name; the rest: the value. */
#include <errno.h>

#include "fs/vfs/xattr_code.h"
#include "fuzz.h"

/* "user.a\0user.b\0" of the code; the caller frees it. */
static struct buf names_of(const char *code)
{
    struct buf names = BUF_INIT(1 << 20);

    CHECK(xattr_code_list(code, &names) == 0);
    return names;
}

static void check_same(const char *before, const char *after, const char *name)
{
    _cleanup_buf_ struct buf a = BUF_INIT(XATTR_CODE_MAX), b = BUF_INIT(XATTR_CODE_MAX);

    if (xattr_code_get(before, name, &a) == 0) {
        CHECK(xattr_code_get(after, name, &b) == 0);
        CHECK(a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0));
    }
}

static void check_set(const char *code, const char *name, const void *value, size_t len)
{
    _cleanup_buf_ struct buf now = BUF_INIT(XATTR_CODE_MAX), got = BUF_INIT(XATTR_CODE_MAX);
    struct buf names = names_of(code);
    int r = xattr_code_set(code, name, value, len, &now);

    if (r < 0) {
        CHECK(r == -E2BIG);
    } else {
        CHECK(xattr_code_get(buf_str(&now), name, &got) == 0);
        CHECK(got.len == len && (len == 0 || memcmp(got.data, value, len) == 0));
        for (size_t at = 0; at < names.len; at += strlen(names.data + at) + 1)
            if (strcmp(names.data + at + 5, name) != 0)
                check_same(code, buf_str(&now), names.data + at + 5);
    }
    buf_done(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    _cleanup_free_ char *code = fuzz_line(&in), *name = fuzz_line(&in);
    _cleanup_buf_ struct buf got = BUF_INIT(XATTR_CODE_MAX), now = BUF_INIT(XATTR_CODE_MAX);
    int r = xattr_code_get(code, name, &got);

    CHECK(r == 0 || r == -ENODATA || r == -E2BIG);
    r = xattr_code_set(code, name, NULL, 0, &now);
    CHECK(r == 0 || r == -E2BIG);
    if (r == 0) {
        buf_reset(&got);
        CHECK(xattr_code_get(buf_str(&now), name, &got) == -ENODATA);
    }
    if (name[0] != '\0')
        check_set(code, name, in.n > 0 ? (const void *)in.p : "", in.n);
    return 0;
}
