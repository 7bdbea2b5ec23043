/* SPDX-License-Identifier: Apache-2.0 */
/* More operations that meet each other: writers and renames of what they write, hard links that are
 * renamed while they are written, servers that fail between a commit's requests. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "fs/vfs/rename.h"

#include "turn.h"

static bool is_object(const char *key)
{
    return memstore_get(a.store, key, NULL, NULL) == 0;
}

/* A server whose DELETE knows no conditions. */
static int setup_weak(void **state)
{
    const struct store_caps caps = {.put_absent = true, .put_match = true};

    return setup_caps(state, &caps);
}

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

/* --- hard links --- */

static void others_replace_f(void)
{
    turn.result = memstore_put(a.store, "f", "theirs", 6, NULL, NULL);
}

static void link_renamed_while_its_name_is_reused(void **state)
{
    (void)state;
    put_text(&a, "f", "1234");
    assert_int_equal(rig_link(&a, "f", "l"), 0);
    after(STORE_COPY, STORE_PUT, "g", 1, others_replace_f);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    all_turns_were_taken();
    assert_object("f", "theirs");
    assert_object("g", "1234");
}

/* b's commit has said in the record where it goes; a begins to rename that name, and waits with its
 * deletion until b's bytes are there. */
static struct {
    pthread_t thread;
    atomic_bool has_begun, is_deleting, is_written;
    int result;
} race;

static void *a_renames(void *arg)
{
    (void)arg;
    race.result = rig_rename(&a, "f", "g", 0);
    atomic_store(&race.is_deleting, true); /* or it never came to that */
    return NULL;
}

static void wait_for(atomic_bool *what)
{
    while (!atomic_load(what))
        sched_yield();
}

static void race_before(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op != STORE_DELETE || strcmp(req->key, "f") != 0 || atomic_load(&race.is_deleting))
        return;
    atomic_store(&race.is_deleting, true);
    wait_for(&race.is_written);
}

static void race_after(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op == STORE_PUT && strcmp(req->key, "f") == 0)
        atomic_store(&race.is_written, true); /* its close waits for the rename from here on */
    if (req->op != STORE_PUT || strstr(req->key, "/links/") == NULL ||
        atomic_exchange(&race.has_begun, true))
        return;
    race.result = -pthread_create(&race.thread, NULL, a_renames, NULL);
    wait_for(&race.is_deleting);
}

static void link_renamed_while_it_is_written(void **state)
{
    uint64_t fh;

    (void)state;
    put_text(&a, "f", "1234");
    assert_int_equal(rig_link(&a, "f", "l"), 0);
    assert_int_equal(rig_unlink(&a, "l"), 0);
    fh = open_text(&b, "f", O_WRONLY | O_APPEND);
    write_text(&b, fh, 0, "B");
    atomic_store(&race.has_begun, false);
    atomic_store(&race.is_deleting, false);
    atomic_store(&race.is_written, false);
    memstore_set_hooks(a.store, race_before, race_after, NULL);
    assert_int_equal(rig_shut(&b, fh), 0);
    atomic_store(&race.is_written, true);
    pthread_join(race.thread, NULL);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    assert_int_equal(race.result, 0);
    assert_object("g", "1234B");
    assert_false(is_object("f"));
    assert_file(&a, "g", "1234B");
    clock_fake_add(100 * NS_PER_S);
    assert_file(&b, "g", "1234B");
}

/* --- what is known of other mounts' renames --- */

#define STRANGE ".s3efs/intents/0" /* a record that nobody can read, so each look asks for it */

static struct {
    pthread_t thread;
    atomic_bool has_begun, is_listing, may_go_on;
    int result;
} look;

static void *look_again(void *arg)
{
    (void)arg;
    look.result = intents_look(a.vfs);
    return NULL;
}

static void look_before(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op == STORE_LIST && atomic_load(&look.has_begun) &&
        !atomic_exchange(&look.is_listing, true))
        wait_for(&look.may_go_on);
    if (req->op != STORE_GET || strcmp(req->key, STRANGE) != 0 ||
        atomic_exchange(&look.has_begun, true))
        return;
    look.result = -pthread_create(&look.thread, NULL, look_again, NULL);
    wait_for(&look.is_listing);
}

static bool hides_on_a(const char *key)
{
    uint64_t since = 0;

    return intents_hide(a.vfs, key, &since);
}

/* One look at the bucket is at its end when another one begins: a directory that moves does not
 * show under two names meanwhile. */
static void two_looks_at_once(void **state)
{
    struct intent_claim cl = {.both = true, .what = {.is_dir = true, .from = "d/", .to = "e/"}};
    struct intent other;
    bool is_hidden;

    (void)state;
    assert_int_equal(intent_claim(b.coord, &cl, &other), 0);
    assert_int_equal(intents_look(a.vfs), 0);
    assert_true(hides_on_a("e/1"));
    foreign_put(STRANGE, "?");
    atomic_store(&look.has_begun, false);
    atomic_store(&look.is_listing, false);
    atomic_store(&look.may_go_on, false);
    memstore_set_hooks(a.store, look_before, NULL, NULL);
    assert_int_equal(intents_look(a.vfs), 0);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    is_hidden = hides_on_a("e/1"); /* the other look must end before an assertion */
    atomic_store(&look.may_go_on, true);
    pthread_join(look.thread, NULL);
    assert_true(is_hidden);
    assert_int_equal(look.result, 0);
    assert_true(hides_on_a("e/1"));
    assert_int_equal(intent_finish(b.coord, &cl, false), 0);
    assert_int_equal(intents_look(a.vfs), 0);
    assert_false(hides_on_a("e/1"));
}

/* --- a drain while others write --- */

#define ROUNDS 40
static struct {
    uint64_t fh[2];
    unsigned puts;
    int result;
} busy;

static void *write_other(void *arg)
{
    if (vfs_write(a.vfs, &a.ctx, busy.fh[*(size_t *)arg], 0, "x", 1) != 1)
        busy.result = -EIO;
    return NULL;
}

static void write_while_drained(void *arg, struct store *s, const struct store_req *req, int result)
{
    pthread_t t;
    size_t other = req->key[0] == '0';

    (void)arg;
    (void)s;
    (void)result;
    if (req->op != STORE_PUT || req->key[1] != '\0')
        return;
    clock_fake_add(NS_PER_MS);
    if (++busy.puts < ROUNDS && pthread_create(&t, NULL, write_other, &other) == 0)
        pthread_join(t, NULL);
}

/* Two files that are written without a pause: a drain sends what was there when it began, and comes
 * to its end. */
static void drain_of_busy_writers(void **state)
{
    (void)state;
    put_text(&a, "0", "0");
    put_text(&a, "1", "1");
    memset(&busy, 0, sizeof(busy));
    busy.fh[0] = open_text(&a, "0", O_RDWR);
    busy.fh[1] = open_text(&a, "1", O_RDWR);
    write_text(&a, busy.fh[0], 0, "y");
    memstore_set_hooks(a.store, write_while_drained, NULL, NULL);
    assert_int_equal(vfs_drain(a.vfs), 0);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    assert_int_equal(busy.puts, 1);
    assert_int_equal(busy.result, 0);
    assert_object("0", "y");
    assert_int_equal(vfs_drain(a.vfs), 0);
    assert_object("1", "x");
    assert_int_equal(rig_shut(&a, busy.fh[0]), 0);
    assert_int_equal(rig_shut(&a, busy.fh[1]), 0);
}

/* What a commit merges is news to the kernel, whoever has called for it. */
static void merge_is_told(int (*commit)(void))
{
    uint64_t fh, other;
    unsigned before_it;

    put_text(&b, "f", "0123");
    assert_int_equal(rig_link(&b, "f", "l"), 0);
    fh = open_text(&a, "f", O_RDWR);
    write_text(&a, fh, 0, "A");
    other = open_text(&b, "f", O_RDWR);
    write_text(&b, other, 3, "B");
    assert_int_equal(rig_shut(&b, other), 0);
    before_it = a.invalidations;
    assert_int_equal(commit(), 0);
    assert_object("l", "A12B");
    assert_true(a.invalidations > before_it);
    assert_int_equal(rig_shut(&a, fh), 0);
}

static int drain_a(void)
{
    return vfs_drain(a.vfs);
}

static int rename_f(void)
{
    return rig_rename(&a, "f", "g", 0);
}

static int unlink_f(void)
{
    return rig_unlink(&a, "f");
}

static void drain_tells_the_kernel_of_a_merge(void **state)
{
    (void)state;
    merge_is_told(drain_a);
}

static void rename_tells_the_kernel_of_a_merge(void **state)
{
    (void)state;
    merge_is_told(rename_f);
}

static void unlink_tells_the_kernel_of_a_merge(void **state)
{
    (void)state;
    merge_is_told(unlink_f);
}

/* --- attributes of directories that several change --- */

/* a believes its look at a directory for longer than at a file; but what it sets goes onto what is
 * there, not onto what it knows. */
static void directory_that_others_change(void **state)
{
    struct vfs_entry e;
    struct stat st;

    (void)state;
    assert_int_equal(rig_mkdir(&a, "d", 0750), 0);
    assert_int_equal(rig_walk(&a, "d", &e), 0); /* the kernel knows it */
    assert_int_equal(rig_chmod(&b, "d", 01777), 0);
    clock_fake_add(10 * NS_PER_S); /* acregmin is over, acdirmin not */
    assert_int_equal(rig_stat(&a, "d", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
    assert_int_equal(rig_chown(&a, "d", 1000, 1000), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_stat(&b, "d", &st), 0);
    assert_int_equal(st.st_mode & 07777, 01777);
    assert_int_equal(st.st_uid, 1000);
    vfs_forget(a.vfs, e.node, 1);
}

/* The mount's root, too: chown there is every user's first step. */
static void root_that_others_change(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(rig_chmod(&b, "", 01777), 0);
    clock_fake_add(10 * NS_PER_S);
    assert_int_equal(rig_chown(&a, "", 1001, 1000), 0);
    assert_int_equal(rig_stat(&a, "", &st), 0);
    assert_int_equal(st.st_mode & 07777, 01777);
    assert_int_equal(st.st_uid, 1001);
}

static void root_changed_elsewhere_is_seen(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(rig_chown(&a, "", 1000, 1000), 0);
    assert_int_equal(rig_stat(&b, "", &st), 0);
    assert_int_equal(st.st_uid, 0); /* believed for acdirmin */
    clock_fake_add(30 * NS_PER_S);
    assert_int_equal(rig_stat(&b, "", &st), 0);
    assert_int_equal(st.st_uid, 1000);
    assert_int_equal(st.st_ino, VFS_ROOT);
}

/* --- bytes that have no place to go --- */

/* Somebody has tidied up the empty lost+found since the mount began. */
static void lost_and_found_is_made_again(void **state)
{
    char path[96];
    uint64_t fh;

    (void)state;
    put_text(&a, "f", "1234");
    fh = open_text(&a, "f", O_RDWR);
    write_text(&a, fh, 0, "A");
    foreign_put("f", "another file");
    snprintf(path, sizeof(path), "%s/lost+found", a.dir);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rig_shut(&a, fh), -ESTALE);
    assert_int_equal(lost_and_found(&a), 1);
}

#define W(f) cmocka_unit_test_setup_teardown(f, setup_weak, teardown)

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
        T(two_looks_at_once),
        T(directory_that_others_change),
        T(root_that_others_change),
        T(root_changed_elsewhere_is_seen),
        T(drain_of_busy_writers),
        T(lost_and_found_is_made_again),
        T(drain_tells_the_kernel_of_a_merge),
        T(rename_tells_the_kernel_of_a_merge),
        T(unlink_tells_the_kernel_of_a_merge),
        T(link_renamed_while_its_name_is_reused),
        W(link_renamed_while_its_name_is_reused),
        T(link_renamed_while_it_is_written),
        W(link_renamed_while_it_is_written),
    };

    return cmocka_run_group_tests_name("vfs/review2", tests, NULL, NULL);
}
