/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: link(2) of a file that is not in the bucket yet (linked.h): what it costs, that all names are one file before,
 * while and after it is sent, what ends the waiting of one, and what is in its place in the bucket. A mount that dies at each
 * request and each sync: test_local_order. */
#include "localmount.h"

#include "fs/vfs/linked.h"

#define FOLD_NS (250 * NS_PER_MS)

static int fold_setup(void **state)
{
    int r = local_setup(state);

    rig.conf.fold_ns = FOLD_NS;
    return r == 0 ? rig_remount(&rig) : r;
}

static uint64_t n_all(void)
{
    uint64_t n = 0;

    for (int op = 0; op < STORE_OPS; op++)
        n += memstore_count(rig.store, (enum store_op)op);
    return n;
}

static void assert_nlink(const char *path, unsigned n)
{
    struct stat st;

    assert_int_equal(rig_stat(&rig, path, &st), 0);
    assert_int_equal(st.st_nlink, n);
}

static void assert_one_file(const char *path, const char *other, unsigned nlink)
{
    struct stat x, y;

    assert_int_equal(rig_stat(&rig, path, &x), 0);
    assert_int_equal(rig_stat(&rig, other, &y), 0);
    assert_int_equal(x.st_ino, y.st_ino);
    assert_int_equal(x.st_nlink, nlink);
    assert_int_equal(y.st_nlink, nlink);
}

static void assert_ls(const char *path, const char *want)
{
    char names[256];

    assert_int_equal(rig_ls(&rig, path, names, sizeof(names)), 0);
    assert_string_equal(names, want);
}

/* Of a file of that text, with nothing sent. */
static void make_pair(const char *a, const char *b, const char *text)
{
    uint64_t puts = n_puts();

    put_text(a, text);
    assert_int_equal(rig_link(&rig, a, b), 0);
    assert_int_equal(n_puts(), puts);
    assert_one_file(a, b, 2);
}

static void link_in_git_s_way(const char *tmp, const char *name)
{
    assert_int_equal(rig_link(&rig, tmp, name), 0);
    assert_one_file(tmp, name, 2);
    assert_int_equal(outbox_run(rig.vfs), 0); /* it waits for what comes now */
    assert_int_equal(rig_unlink(&rig, tmp), 0);
    assert_nlink(name, 1);
}

static void as_git_does(void **state)
{
    (void)state;
    mkdir_stored("o");
    put_text("o/tmp_obj_a1b2c3", "object");
    memstore_count_reset(rig.store);
    assert_int_equal(rig_link(&rig, "o/tmp_obj_a1b2c3", "o/e965"), 0);
    assert_int_equal(memstore_count(rig.store, STORE_HEAD), 1); /* is the name free? No more than that */
    assert_int_equal(memstore_count(rig.store, STORE_LIST), 1);
    assert_int_equal(n_all(), 2);
    assert_ls("o", "e965 tmp_obj_a1b2c3");
    memstore_count_reset(rig.store);
    assert_int_equal(outbox_run(rig.vfs), 0);
    assert_int_equal(rig_unlink(&rig, "o/tmp_obj_a1b2c3"), 0);
    assert_ls("o", "e965");
    assert_nlink("o/e965", 1);
    memstore_count_reset(rig.store);
    send_all(1);
    assert_int_equal(n_puts(), 1);
    assert_int_equal(n_all(), 1);
    assert_object("o/e965", "object");
    assert_no_object("o/tmp_obj_a1b2c3");
    assert_file("o/e965", "object");
    assert_int_equal(memstore_objects(rig.store), 2); /* and no record of a hard link */
}

/* maildir: names that look like any other. */
static void other_names_are_learnt(void **state)
{
    (void)state;
    mkdir_stored("tmp");
    mkdir_stored("new");
    put_text("tmp/1", "one");
    assert_int_equal(rig_link(&rig, "tmp/1", "new/1"), 0);
    assert_int_equal(rig_unlink(&rig, "tmp/1"), 0);
    send_all(1);
    memstore_count_reset(rig.store);
    put_text("tmp/2", "two");
    assert_int_equal(outbox_run(rig.vfs), 0);
    link_in_git_s_way("tmp/2", "new/2");
    send_all(1);
    assert_int_equal(n_puts(), 1);
    assert_object("new/2", "two");
    assert_no_object("tmp/2");
}

static void the_second_name_goes(void **state)
{
    (void)state;
    make_pair("f", "g", "text");
    assert_int_equal(rig_unlink(&rig, "g"), 0);
    assert_nlink("f", 1);
    assert_int_equal(rig_stat(&rig, "g", &(struct stat){0}), -ENOENT);
    memstore_count_reset(rig.store);
    send_all(1);
    assert_int_equal(n_puts(), 1);
    assert_object("f", "text");
    assert_no_object("g");
}

static void both_go(void **state)
{
    (void)state;
    make_pair("f", "g", "text");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(rig_unlink(&rig, "g"), 0);
    make_pair("f", "g", "text");
    assert_int_equal(rig_unlink(&rig, "g"), 0);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(entries(), 0);
    send_all(0);
    assert_int_equal(n_puts(), 0);
    assert_ls("", "");
}

/* Whoever has it open goes on, by whichever name. */
static void unlinked_while_open(void **state)
{
    uint64_t fh;

    (void)state;
    make_pair("f", "g", "text");
    fh = open_text("g", O_RDWR);
    write_text(fh, 4, " more");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_file("g", "text more");
    assert_int_equal(rig_shut(&rig, fh), 0);
    send_all(1);
    assert_object("g", "text more");
    assert_no_object("f");
}

static void all_of_them_stay(void **state)
{
    (void)state;
    mkdir_stored("d");
    make_pair("f", "d/g", "text");
    assert_int_equal(rig_link(&rig, "d/g", "h"), 0);
    assert_one_file("f", "h", 3);
    assert_int_equal(rig_link(&rig, "f", "h"), -EEXIST);
    memstore_count_reset(rig.store);
    send_all(1);
    assert_int_equal(memstore_count(rig.store, STORE_COPY), 2);
    assert_int_equal(n_puts(), 1 + 4); /* the file, once; the record, for each of the two before and after */
    assert_object("f", "text");
    assert_object("d/g", "text");
    assert_object("h", "text");
    assert_one_file("f", "d/g", 3);
    clock_fake_add(100 * NS_PER_S);
    assert_one_file("f", "h", 3);
    put_text("h", "newer");
    assert_object("f", "newer");
    assert_int_equal(rig_remount(&rig), 0);
    assert_one_file("d/g", "h", 3);
    assert_file("d/g", "newer");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_nlink("h", 2);
}

static void changed_by_any_name(void **state)
{
    struct stat st;

    (void)state;
    make_pair("f", "g", "text");
    put_text("g", "newer");
    assert_file("f", "newer");
    assert_int_equal(append_text("f", " still"), 0);
    assert_int_equal(rig_chmod(&rig, "g", 0600), 0);
    assert_int_equal(n_puts(), 0);
    assert_int_equal(rig_crash(&rig), 0);
    assert_one_file("f", "g", 2);
    assert_file("g", "newer still");
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    send_all(1);
    assert_object("f", "newer still");
    assert_object("g", "newer still");
    assert_one_file("f", "g", 2);
}

/* What was acknowledged before the death is there after it: each step of a name is one of the journal. */
static void each_step_survives(void **state)
{
    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    make_pair("t", "d/f", "text");
    assert_int_equal(rig_crash(&rig), 0);
    assert_one_file("t", "d/f", 2);
    assert_ls("d", "f");
    assert_int_equal(outbox_run(rig.vfs), 2);
    assert_one_file("t", "d/f", 2);
    make_pair("u", "d/g", "more");
    assert_int_equal(rig_unlink(&rig, "u"), 0);
    assert_int_equal(rig_crash(&rig), 0);
    assert_nlink("d/g", 1);
    assert_int_equal(rig_stat(&rig, "u", &(struct stat){0}), -ENOENT);
    make_pair("v", "d/h", "most");
    assert_int_equal(rig_unlink(&rig, "d/h"), 0);
    assert_int_equal(rig_crash(&rig), 0);
    assert_nlink("v", 1);
    assert_ls("d", "f g");
    send_all(2);
    assert_object("d/g", "more");
    assert_object("v", "most");
    assert_no_object("u");
    assert_no_object("d/h");
    assert_int_equal(kept(), 0);
}

/* A name may be in the bucket by now, and must not come to light again. */
static void unlinked_after_a_death(void **state)
{
    (void)state;
    make_pair("f", "g", "text");
    assert_int_equal(rig_crash(&rig), 0);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    (void)outbox_run(rig.vfs);
    clock_fake_add(100 * NS_PER_S);
    assert_no_object("f");
    assert_object("g", "text");
    assert_nlink("g", 1);
    assert_int_equal(entries(), 0);
}

static void renamed(void **state)
{
    (void)state;
    make_pair("f", "g", "text");
    assert_int_equal(rig_rename(&rig, "f", "h", 0), 0);
    assert_one_file("g", "h", 2);
    make_pair("a", "b", "more");
    assert_int_equal(rig_rename(&rig, "b", "c", 0), 0);
    assert_one_file("a", "c", 2);
    make_pair("x", "y", "most");
    put_text("z", "over");
    assert_int_equal(rig_rename(&rig, "z", "y", 0), 0); /* takes one of its names */
    assert_file("y", "over");
    assert_file("x", "most");
    make_pair("m", "n", "same");
    assert_int_equal(rig_rename(&rig, "m", "n", 0), 0); /* POSIX: nothing */
    assert_one_file("m", "n", 2);
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_object("g", "text");
    assert_object("h", "text");
    assert_no_object("f");
    assert_object("a", "more");
    assert_object("c", "more");
    assert_no_object("b");
    assert_object("x", "most");
    assert_object("y", "over");
    assert_no_object("z");
    assert_nlink("x", 1);
}

static void with_its_directory(void **state)
{
    (void)state;
    mkdir_stored("d");
    make_pair("f", "d/g", "text");
    assert_int_equal(rig_rmdir(&rig, "d"), -ENOTEMPTY);
    assert_int_equal(rig_rename(&rig, "d", "e", 0), 0);
    assert_one_file("f", "e/g", 2);
    assert_int_equal(entries(), 0);
    assert_object("e/g", "text");
    assert_no_object("d/g");
}

/* What would be many names, or a file that somebody writes to, is the bucket's. */
static void what_the_bucket_has_to_do(void **state)
{
    char name[8];
    uint64_t fh;

    (void)state;
    put_text("f", "text");
    for (unsigned k = 0; k < OUTREC_LINKS; k++) {
        snprintf(name, sizeof(name), "n%u", k);
        assert_int_equal(rig_link(&rig, "f", name), 0);
    }
    assert_int_equal(n_puts(), 0);
    assert_int_equal(rig_link(&rig, "f", "last"), 0);
    assert_nlink("n0", OUTREC_LINKS + 2);
    assert_object("n0", "text");
    assert_object("last", "text");
    put_text("w", "text");
    fh = open_text("w", O_WRONLY | O_APPEND);
    write_text(fh, 4, "!");
    assert_int_equal(rig_link(&rig, "w", "v"), 0);
    assert_object("v", "text!");
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(rig_link(&rig, "n1", "stored"), 0);
    assert_nlink("stored", OUTREC_LINKS + 3);
}

/* The journal takes no more: as before. */
static void the_disk_is_full(void **state)
{
    (void)state;
    put_text("f", "text");
    put_text("g", "text");
    assert_int_equal(rig_link(&rig, "g", "h"), 0);
    disk_is_full(true);
    assert_int_equal(rig_link(&rig, "f", "l"), 0);
    assert_object("l", "text");
    assert_true(rig_unlink(&rig, "g") < 0); /* it would come back: its entry could not go */
    assert_object("g", "text");
    assert_object("h", "text");
    disk_is_full(false);
    clock_fake_add(100 * NS_PER_S);
    (void)outbox_run(rig.vfs);
    assert_int_equal(rig_unlink(&rig, "g"), 0);
    assert_int_equal(entries(), 0);
    assert_int_equal(rig_crash(&rig), 0);
    assert_one_file("f", "l", 2);
    assert_nlink("h", 1);
    assert_int_equal(rig_stat(&rig, "g", &(struct stat){0}), -ENOENT);
}

static const char *last_error(void)
{
    return rig.vfs->locked.last_error;
}

/* link was answered, so EEXIST is told nobody: the name is the other client's, and the file has its own. */
static void a_foreign_file_under_the_new_name(void **state)
{
    (void)state;
    make_pair("f", "g", "text");
    foreign_put("g", "foreign");
    send_all(1);
    assert_object("f", "text");
    assert_object("g", "foreign");
    assert_non_null(strstr(last_error(), "g: this name of f"));
    clock_fake_add(100 * NS_PER_S);
    assert_file("g", "foreign");
    assert_file("f", "text");
    assert_nlink("f", 1);
    put_text("f", "newer");
    send_all(0);
    assert_object("f", "newer");
    assert_object("g", "foreign");
}

static void a_foreign_file_under_the_first_name(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_creat(&rig, "f", O_WRONLY | O_EXCL, 0644, &fh), 0);
    write_text(fh, 0, "text");
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(rig_link(&rig, "f", "g"), 0);
    assert_int_equal(rig_link(&rig, "f", "h"), 0);
    foreign_put("f", "foreign");
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_object("f", "foreign");
    assert_object("g", "text");
    assert_object("h", "text");
    assert_non_null(strstr(last_error(), "f: this name of g"));
    clock_fake_add(100 * NS_PER_S);
    assert_file("f", "foreign");
    assert_one_file("g", "h", 2);
    assert_int_equal(kept(), 0);
}

/* All names are taken: lost+found has the bytes, once. */
static void foreign_files_under_both(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_creat(&rig, "f", O_WRONLY | O_EXCL, 0644, &fh), 0);
    write_text(fh, 0, "text");
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(rig_link(&rig, "f", "g"), 0);
    foreign_put("f", "F");
    foreign_put("g", "G");
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_int_equal(kept(), 1);
    assert_file("f", "F");
    assert_file("g", "G");
}

/* After link + unlink the one name is as if it had been made with O_EXCL. */
static void a_foreign_file_in_the_only_place(void **state)
{
    (void)state;
    make_pair("t", "g", "text");
    assert_int_equal(rig_unlink(&rig, "t"), 0);
    foreign_put("g", "foreign");
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_object("g", "foreign");
    assert_int_equal(kept(), 1);
    assert_file("g", "foreign");
}

/* No link can be recorded: that is told, and the file stays. */
static void refused_for_good(void **state)
{
    (void)state;
    make_pair("f", "g", "text");
    memstore_fail(rig.store, STORE_GET, 1, 1, -EACCES);
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_object("f", "text");
    assert_no_object("g");
    assert_nlink("f", 1);
    assert_int_equal(rig_stat(&rig, "g", &(struct stat){0}), -ENOENT);
    assert_non_null(strstr(last_error(), "g: this name of f"));
}

/* Each request of the sending fails for a while, or nothing of it is heard: names and bytes are there meanwhile, and in the
 * end in the bucket, once. */
static void tried_again(bool is_lost, enum store_op op, unsigned k)
{
    make_pair("f", "g", "text");
    if (is_lost)
        memstore_lose(rig.store, op, k, 1, -EIO);
    else
        memstore_fail(rig.store, op, k, 1000, -EIO);
    (void)outbox_run(rig.vfs);
    memstore_clear_faults(rig.store);
    assert_one_file("f", "g", 2);
    assert_file("g", "text");
    assert_ls("", "f g");
    for (int n = 0; n < 8; n++) {
        clock_fake_add(60 * NS_PER_S);
        (void)outbox_run(rig.vfs);
    }
    assert_int_equal(entries(), 0);
    assert_object("f", "text");
    assert_object("g", "text");
    assert_one_file("f", "g", 2);
    assert_int_equal(kept(), 0);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(rig_unlink(&rig, "g"), 0);
    (void)outbox_run(rig.vfs);
    assert_no_object("f");
    assert_no_object("g");
}

static void an_outage(void **state)
{
    (void)state;
    for (unsigned k = 1; k < 6; k++)
        for (int op = 0; op < STORE_OPS; op++) {
            tried_again(false, (enum store_op)op, k);
            tried_again(true, (enum store_op)op, k);
        }
}

/* A file that is half in the bucket: what is asked of it now finishes that first. */
static void changed_half_way(void **state)
{
    (void)state;
    make_pair("f", "g", "text");
    memstore_fail(rig.store, STORE_COPY, 1, 1000, -EIO);
    memstore_fail(rig.store, STORE_PUT, 3, 1000, -EIO);
    (void)outbox_run(rig.vfs);
    memstore_clear_faults(rig.store);
    assert_object("f", "text");
    assert_no_object("g");
    assert_int_equal(entries(), 1);
    clock_fake_add(100 * NS_PER_S);
    assert_one_file("f", "g", 2);
    assert_ls("", "f g");
    put_text("g", "newer");
    assert_object("f", "newer");
    assert_object("g", "newer");
    assert_int_equal(entries(), 0);
}

static void another_mode_sends_it(void **state)
{
    (void)state;
    make_pair("f", "g", "text");
    rig.conf.commit = VFS_COMMIT_CLOSE;
    assert_int_equal(rig_crash(&rig), 0);
    assert_one_file("f", "g", 2);
    send_all(1);
    assert_object("f", "text");
    assert_object("g", "text");
    put_text("x", "text");
    assert_object("x", "text");
}

static void another_mode_unlinks_it(void **state)
{
    (void)state;
    make_pair("f", "g", "text");
    rig.conf.commit = VFS_COMMIT_CLOSE;
    assert_int_equal(rig_crash(&rig), 0);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    (void)outbox_run(rig.vfs);
    assert_no_object("f");
    assert_object("g", "text");
    assert_int_equal(entries(), 0);
}

static void drained(void **state)
{
    (void)state;
    make_pair("f", "g", "text");
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_object("f", "text");
    assert_object("g", "text");
    assert_int_equal(entries(), 0);
}

#define F(f) cmocka_unit_test_setup_teardown(f, fold_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        F(as_git_does),
        F(other_names_are_learnt),
        L(the_second_name_goes),
        L(both_go),
        L(unlinked_while_open),
        L(all_of_them_stay),
        L(changed_by_any_name),
        L(each_step_survives),
        L(unlinked_after_a_death),
        L(renamed),
        L(with_its_directory),
        L(what_the_bucket_has_to_do),
        L(the_disk_is_full),
        L(a_foreign_file_under_the_new_name),
        L(a_foreign_file_under_the_first_name),
        L(foreign_files_under_both),
        L(a_foreign_file_in_the_only_place),
        L(refused_for_good),
        L(an_outage),
        L(changed_half_way),
        L(another_mode_sends_it),
        L(another_mode_unlinks_it),
        L(drained),
    };

    return cmocka_run_group_tests_name("vfs/local_linked", tests, NULL, NULL);
}
