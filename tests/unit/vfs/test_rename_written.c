/* SPDX-License-Identifier: Apache-2.0 */
/* Renames of what others write, and writers whose version was moved along. */
#include "weaktest.h"

static int append_to(struct rig *r, const char *path, const char *text)
{
    uint64_t fh;
    int e = rig_open_file(r, path, O_WRONLY | O_APPEND, &fh);

    if (e < 0)
        return e;
    if (vfs_write(r->vfs, &r->ctx, fh, 0, text, strlen(text)) != (ssize_t)strlen(text))
        return -EIO;
    return rig_shut(r, fh);
}

/* --- a writer whose version was moved along, and written to under its new name --- */

static void a_moves_and_appends(void)
{
    turn.result = rig_rename(&a, "f", "g", 0);
    if (turn.result == 0)
        turn.result = append_to(&a, "g", "A");
}

static void weak_append_that_moved_along(void **state)
{
    uint64_t fh;

    (void)state;
    put_text(&a, "f", "1234");
    fh = open_text(&b, "f", O_WRONLY | O_APPEND);
    write_text(&b, fh, 0, "B");
    after(STORE_PUT, STORE_PUT, "f", 1, a_moves_and_appends);
    assert_int_equal(rig_shut(&b, fh), 0);
    all_turns_were_taken();
    assert_object("g", "1234BA");
    assert_false(is_object("f"));
    assert_int_equal(lost_and_found(&b), 0);
}

static void weak_whole_content_that_moved_along(void **state)
{
    uint64_t fh;

    (void)state;
    put_text(&a, "f", "1234");
    fh = open_text(&b, "f", O_WRONLY | O_TRUNC);
    write_text(&b, fh, 0, "new");
    after(STORE_PUT, STORE_PUT, "f", 1, a_moves_and_appends);
    assert_int_equal(rig_shut(&b, fh), 0);
    all_turns_were_taken();
    assert_object("g", "newA"); /* a was told that its append is stored */
    assert_false(is_object("f"));
}

static void next_get_fails(void)
{
    memstore_fail(a.store, STORE_GET, 1, 1, -EIO);
}

/* The bytes are in the bucket, but the look for renames fails: what is told has failed, and is
 * tried again, must not be there twice. */
static void weak_append_whose_look_fails(void **state)
{
    uint64_t fh;

    (void)state;
    put_text(&a, "f", "1234");
    fh = open_text(&b, "f", O_WRONLY | O_APPEND);
    write_text(&b, fh, 0, "B");
    after(STORE_PUT, STORE_PUT, "f", 1, next_get_fails);
    assert_int_equal(vfs_fsync(b.vfs, fh), -EIO);
    all_turns_were_taken();
    assert_int_equal(vfs_fsync(b.vfs, fh), 0);
    assert_object("f", "1234B");
    assert_int_equal(rig_shut(&b, fh), 0);
    assert_object("f", "1234B");
}

/* The same, and another mount appends in between. */
static void weak_append_whose_look_fails_and_another(void **state)
{
    uint64_t fh;

    (void)state;
    put_text(&a, "f", "1234");
    fh = open_text(&b, "f", O_WRONLY | O_APPEND);
    write_text(&b, fh, 0, "B");
    after(STORE_PUT, STORE_PUT, "f", 1, next_get_fails);
    assert_int_equal(vfs_fsync(b.vfs, fh), -EIO);
    all_turns_were_taken();
    assert_int_equal(append_to(&a, "f", "A"), 0);
    assert_int_equal(vfs_fsync(b.vfs, fh), 0);
    assert_int_equal(rig_shut(&b, fh), 0);
    assert_object("f", "1234BA");
}

/* --- a rename of what others go on writing to --- */

static void b_appends(void)
{
    int r = append_to(&b, "f", "b");

    turn.result = turn.result != 0 ? turn.result : r;
}

#define MANY 24 /* more than any number of tries */

static void check_many(void **state)
{
    char text[MANY + 2] = "-";

    (void)state;
    memset(text + 1, 'b', MANY);
    all_turns_were_taken();
    assert_object("g", text);
    assert_false(is_object("f"));
    clock_fake_add(100 * NS_PER_S);
    assert_file(&a, "g", text);
    assert_file(&b, "g", text);
}

/* A log that another mount appends to each time that we have looked at it. */
static void rename_of_a_busy_log(void **state)
{
    put_text(&a, "f", "-");
    after(STORE_HEAD, STORE_GET, "f", MANY, b_appends);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    check_many(state);
}

/* And each time before it is copied. */
static void rename_of_a_log_busy_at_the_copy(void **state)
{
    (void)state;
    put_text(&a, "f", "-");
    before(STORE_COPY, STORE_PUT, "g", 3, b_appends);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    assert_false(is_object("f"));
    assert_object("g", atomic_load(&turn.done) == 1   ? "-b"
                       : atomic_load(&turn.done) == 2 ? "-bb"
                                                      : "-bbb");
}

/* And each time before it is deleted. */
static void rename_of_a_log_busy_at_the_end(void **state)
{
    put_text(&a, "f", "-");
    before(STORE_DELETE, STORE_DELETE, "f", MANY, b_appends);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    check_many(state);
}

/* --- a new file that is renamed onto a name before its first close --- */

/* Its rename took the name, whatever version stood there: who replaces the file there before the
 * new one is closed is replaced in turn, as the last of two who replace a whole file. */
static void new_file_over_a_name_that_changes(void **state)
{
    struct stat st;
    uint64_t fh;

    (void)state;
    put_text(&b, "t", "old");
    assert_int_equal(rig_creat(&a, "tmp", O_RDWR, 0640, &fh), 0);
    write_text(&a, fh, 0, "saved");
    assert_int_equal(rig_rename(&a, "tmp", "t", 0), 0);
    put_text(&b, "t", "other");
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_object("t", "saved");
    assert_int_equal(lost_and_found(&a), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_file(&b, "t", "saved");
    assert_int_equal(rig_stat(&b, "t", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

/* It keeps its own owner and mode, also where the name was last looked at long ago. */
static void new_file_over_a_name_keeps_its_mode(void **state)
{
    struct store_obj before = {0}, now = {0};
    struct stat st;
    uint64_t fh;

    (void)state;
    put_text(&b, "t", "old");
    assert_int_equal(memstore_get(a.store, "t", &before, NULL), 0);
    assert_int_equal(rig_creat(&a, "tmp", O_RDWR, 0640, &fh), 0);
    write_text(&a, fh, 0, "saved");
    assert_int_equal(rig_rename(&a, "tmp", "t", 0), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_int_equal(rig_stat(&b, "t", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(memstore_get(a.store, "t", &now, NULL), 0);
    assert_string_not_equal(store_hdrs_get(&now.hdrs, "x-amz-meta-s3efs-id"),
                            store_hdrs_get(&before.hdrs, "x-amz-meta-s3efs-id"));
    store_obj_done(&before);
    store_obj_done(&now);
}

/* But one that was removed there is not made again. */
static void new_file_over_a_name_that_goes(void **state)
{
    uint64_t fh;

    (void)state;
    put_text(&b, "t", "old");
    assert_int_equal(rig_creat(&a, "tmp", O_RDWR, 0640, &fh), 0);
    write_text(&a, fh, 0, "saved");
    assert_int_equal(rig_rename(&a, "tmp", "t", 0), 0);
    assert_int_equal(rig_unlink(&b, "t"), 0);
    assert_int_equal(rig_shut(&a, fh), -ESTALE);
    assert_false(is_object("t"));
    assert_int_equal(lost_and_found(&a), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        W(weak_append_that_moved_along),
        W(weak_whole_content_that_moved_along),
        W(weak_append_whose_look_fails),
        W(weak_append_whose_look_fails_and_another),
        T(rename_of_a_busy_log),
        T(rename_of_a_log_busy_at_the_copy),
        T(rename_of_a_log_busy_at_the_end),
        T(new_file_over_a_name_that_changes),
        T(new_file_over_a_name_keeps_its_mode),
        T(new_file_over_a_name_that_goes),
    };

    return cmocka_run_group_tests_name("vfs/rename_written", tests, NULL, NULL);
}
