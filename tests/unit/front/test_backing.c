/* SPDX-License-Identifier: Apache-2.0 */
/* Option passthrough: what of the answers to INIT, OPEN and CREATE is changed, byte by byte (include/uapi/linux/fuse.h, 7.40). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/fuse.h>
#include <string.h>
#include <sys/uio.h>

#include "fs/front/internal.h"

static void init_says_that_it_is_wanted(void **state)
{
    uint32_t out[16] = {[3] = FUSE_BIG_WRITES, [8] = 1};

    (void)state;
    backing_patch_init(out, sizeof(out));
    assert_int_equal(out[3], FUSE_BIG_WRITES | 1u << 30);
    assert_int_equal(out[8], 1 | 1u << 5); /* flag 37 */
    assert_int_equal(out[9], 2);
    for (size_t i = 0; i < 16; i++)
        assert_true(i == 3 || i == 8 || i == 9 || out[i] == 0);
}

static void an_old_answer_to_init_stays(void **state)
{
    uint32_t out[6] = {7, 22}; /* before 7.23: 24 bytes */

    (void)state;
    backing_patch_init(out, sizeof(out));
    assert_int_equal(out[3], 0);
}

static void patched(int backing, int error, void *body, size_t len)
{
    struct fuse_out_header head = {.error = error};
    struct iovec iov[2] = {{&head, sizeof(head)}, {body, len}};

    backing_answer(backing);
    backing_patch_answer(iov, 2);
}

static void open_and_create(void **state)
{
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } out = {.entry.nodeid = 5, .open = {.fh = 7, .open_flags = FOPEN_KEEP_CACHE}};
    uint32_t backing;

    (void)state;
    patched(9, 0, &out.open, sizeof(out.open));
    memcpy(&backing, (char *)&out.open + 12, sizeof(backing));
    assert_int_equal(out.open.fh, 7);
    assert_int_equal(out.open.open_flags, 1u << 7);
    assert_int_equal(backing, 9);
    patched(11, 0, &out, sizeof(out));
    memcpy(&backing, (char *)&out.open + 12, sizeof(backing));
    assert_int_equal(out.entry.nodeid, 5);
    assert_int_equal(backing, 11);
}

/* Each number is for one answer, and none is for other ones. */
static void nothing_else_is_touched(void **state)
{
    const struct fuse_open_out plain = {.fh = 7, .open_flags = FOPEN_KEEP_CACHE};
    struct fuse_open_out out = plain;

    (void)state;
    patched(0, 0, &out, sizeof(out));
    assert_memory_equal(&out, &plain, sizeof(out));
    patched(9, -5, &out, sizeof(out));
    assert_memory_equal(&out, &plain, sizeof(out));
    patched(0, 0, &out, sizeof(out));
    assert_memory_equal(&out, &plain, sizeof(out));
    patched(9, 0, &out, 8);
    assert_memory_equal(&out, &plain, sizeof(out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_says_that_it_is_wanted),
        cmocka_unit_test(an_old_answer_to_init_stays),
        cmocka_unit_test(open_and_create),
        cmocka_unit_test(nothing_else_is_touched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
