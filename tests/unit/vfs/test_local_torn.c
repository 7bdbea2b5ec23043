/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: a write fails for want of room in a file whose earlier version waits to be sent.
 * Its close says so; what the earlier close promised stands and goes to the bucket. */
#include "localmount.h"

#define PIECE ((size_t)1 << 20)
#define PIECES_MAX 128u /* the rig's cache has 64 MiB */

/* Writes until there is no room. */
static void write_too_much(uint64_t fh)
{
    _cleanup_free_ char *piece = calloc(1, PIECE);
    ssize_t n = 0;

    assert_non_null(piece);
    for (unsigned k = 0; k < PIECES_MAX && n >= 0; k++)
        n = vfs_write(rig.vfs, &rig.ctx, fh, (uint64_t)k * PIECE, piece, PIECE);
    assert_int_equal(n, -ENOSPC);
}

static void close_torn(const char *path, int flags)
{
    uint64_t fh = open_text(path, O_WRONLY | flags);

    write_too_much(fh);
    assert_int_equal(rig_shut(&rig, fh), -ENOSPC);
}

static void stands(const char *path, const char *text)
{
    assert_file(path, text);
    assert_int_equal(entries(), 1);
    send_all(1);
    assert_object(path, text);
    assert_file(path, text);
}

static void an_append_without_room(void **state)
{
    (void)state;
    put_text("f", "old");
    close_torn("f", O_APPEND);
    stands("f", "old");
    assert_int_equal(append_text("f", "+new"), 0);
    stands("f", "old+new");
}

static void new_bytes_without_room(void **state)
{
    (void)state;
    put_text("f", "old");
    close_torn("f", O_TRUNC);
    stands("f", "old");
    put_text("f", "new");
    stands("f", "new");
}

/* The version that waits changes a stored one. */
static void a_stored_file(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(memstore_put(rig.store, "f", "0123456789", 10, NULL, NULL), 0);
    fh = open_text("f", O_WRONLY);
    write_text(fh, 2, "ab");
    assert_int_equal(rig_shut(&rig, fh), 0);
    close_torn("f", 0);
    stands("f", "01ab456789");
}

/* What its first try has stored, with the reply lost, is found there. */
static void after_a_lost_reply(void **state)
{
    (void)state;
    put_text("f", "old");
    assert_int_equal(append_text("f", "+1"), 0);
    memstore_lose(rig.store, STORE_PUT, 1, 1, -EIO);
    memstore_fail(rig.store, STORE_HEAD, 1, 2, -EIO);
    assert_int_equal(outbox_run(rig.vfs), 0);
    memstore_clear_faults(rig.store);
    close_torn("f", O_APPEND);
    clock_fake_add(60 * NS_PER_S);
    stands("f", "old+1");
}

/* Attributes that were set meanwhile are not taken back. */
static void its_attributes(void **state)
{
    struct stat st;
    uint64_t fh;

    (void)state;
    put_text("f", "old");
    fh = open_text("f", O_WRONLY | O_APPEND);
    assert_int_equal(rig_chmod(&rig, "f", 0640), 0);
    write_too_much(fh);
    assert_int_equal(rig_shut(&rig, fh), -ENOSPC);
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(st.st_size, 3);
    assert_int_equal(st.st_mode & 07777, 0640);
    stands("f", "old");
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

static void and_then_a_crash(void **state)
{
    (void)state;
    put_text("f", "old");
    close_torn("f", O_APPEND);
    assert_int_equal(rig_snapshot(&rig), 0);
    assert_int_equal(rig_crash(&rig), 0);
    stands("f", "old");
}

/* Another writer has it open: it may yet make the file whole. */
static void while_another_writes(void **state)
{
    uint64_t fh;

    (void)state;
    put_text("f", "old");
    fh = open_text("f", O_WRONLY);
    close_torn("f", O_APPEND);
    assert_int_equal(rig_truncate(&rig, "f", 3), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    stands("f", "old");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(an_append_without_room), L(new_bytes_without_room), L(a_stored_file),
        L(after_a_lost_reply),     L(its_attributes),         L(and_then_a_crash),
        L(while_another_writes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
