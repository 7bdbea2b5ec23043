/* SPDX-License-Identifier: Apache-2.0 */
/* A cold read by name is one GET, which its lookup sends; a lookup that no read follows is a HEAD.
 */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/str.h"
#include "fs/vfs/reading.h"

#define FILES 100
#define KIB 1024u
#define MIB (1024u * KIB)

enum caller { UNSEEN, READS, STATS };
static enum caller caller;
static char call_name[64];

static int fake_call(pid_t tid, char path[4096], uint64_t *ret_flags)
{
    (void)tid;
    if (caller != READS)
        return caller == UNSEEN ? -EACCES : -EOPNOTSUPP;
    *ret_flags = O_RDONLY | O_CLOEXEC;
    return str_copy(path, 4096, call_name);
}

static void calls(enum caller how, const char *name)
{
    caller = how;
    snprintf(call_name, sizeof(call_name), "/images/%s", name);
}

static int setup_fake(void **state)
{
    int r = setup(state);

    caller = STATS;
    rig.conf.proc_open = fake_call;
    return r == 0 ? rig_remount(&rig) : r;
}

static uint64_t asked(enum store_op op)
{
    return memstore_count(rig.store, op);
}

static void assert_asked(unsigned gets, unsigned heads, unsigned lists)
{
    assert_int_equal(asked(STORE_GET), gets);
    assert_int_equal(asked(STORE_HEAD), heads);
    assert_int_equal(asked(STORE_LIST), lists);
    memstore_count_reset(rig.store);
}

/* What other mounts are doing has been asked for. */
static void begin(void)
{
    struct stat st;

    assert_int_equal(rig_stat(&rig, "nothing", &st), -ENOENT);
    memstore_count_reset(rig.store);
}

static void put_many(const char *prefix)
{
    char key[32];

    for (unsigned i = 0; i < FILES; i++) {
        snprintf(key, sizeof(key), "%s%u", prefix, i);
        foreign_put(key, key);
    }
}

/* each: every how many-th is opened and read, the others are stat'ed. 0: none. */
static void use_many(const char *prefix, enum caller how, unsigned each)
{
    char key[32];
    struct stat st;

    for (unsigned i = 0; i < FILES; i++) {
        snprintf(key, sizeof(key), "%s%u", prefix, i);
        if (each > 0 && i % each == 0) {
            calls(how, key);
            assert_file(key, key);
        } else {
            calls(how == UNSEEN ? UNSEEN : STATS, key);
            assert_int_equal(rig_stat(&rig, key, &st), 0);
            assert_int_equal(st.st_size, strlen(key));
        }
    }
}

static void seen_readers_get(void **state)
{
    (void)state;
    put_many("a");
    put_many("b");
    put_many("c");
    begin();
    use_many("a", READS, 1);
    assert_asked(FILES, 0, 0);
    use_many("b", READS, 0); /* whatever was read before */
    assert_asked(0, FILES, 0);
    use_many("c", READS, 2);
    assert_asked(FILES / 2, FILES / 2, 0);
}

static void unseen_readers_are_learned(void **state)
{
    (void)state;
    put_many("a");
    put_many("b");
    put_many("c");
    put_many("d");
    begin();
    use_many("a", UNSEEN, 0);
    assert_asked(0, FILES, 0);
    use_many("b", UNSEEN, 1);
    assert_asked(FILES, 1, 0);
    use_many("c", UNSEEN, 0);
    assert_asked(READHIST_CREDIT, FILES - READHIST_CREDIT, 0);
    use_many("d", UNSEEN, 0);
    assert_asked(0, FILES, 0);
}

/* The kernel's part, which the rig's walk does not show. */
static uint64_t look_up(const char *name, pid_t tid, int64_t *ret_entry_ns)
{
    struct vfs_ctx x = rig.ctx;
    struct vfs_entry e;

    x.pid = tid;
    assert_int_equal(vfs_lookup(rig.vfs, &x, VFS_ROOT, name, &e), 0);
    *ret_entry_ns = e.entry_ns;
    return e.node;
}

static void open_and_read(uint64_t node, pid_t tid, const char *want)
{
    struct vfs_ctx x = rig.ctx;
    char buf[64] = {0};
    uint64_t fh;
    bool keep;

    x.pid = tid;
    assert_int_equal(vfs_open(rig.vfs, &x, node, O_RDONLY, &fh, &keep), 0);
    assert_int_equal(vfs_read(rig.vfs, fh, 0, buf, sizeof(buf)), strlen(want));
    assert_string_equal(buf, want);
    assert_int_equal(rig_shut(&rig, fh), 0);
}

/* READ-1: only the open whose lookup it was. */
static void others_ask_again(void **state)
{
    int64_t entry_ns;
    uint64_t node;

    (void)state;
    foreign_put("f", "one");
    begin();
    calls(READS, "f");
    node = look_up("f", RIG_PID, &entry_ns);
    assert_int_equal(entry_ns, 0); /* or a later open would come without a lookup */
    assert_asked(1, 0, 0);
    foreign_put("f", "other");
    open_and_read(node, RIG_PID + 1, "other");
    assert_asked(1, 0, 0);
    open_and_read(
        node, RIG_PID,
        "other"); /* it was told something that has changed since, and nobody asked for it */
    vfs_forget(rig.vfs, node, 1);
}

static void an_open_asks_for_itself(void **state)
{
    int64_t entry_ns;
    uint64_t node;

    (void)state;
    foreign_put("f", "one");
    foreign_put("g", "one");
    begin();
    calls(READS, "f");
    node = look_up("f", RIG_PID, &entry_ns);
    open_and_read(node, RIG_PID, "one");
    assert_asked(1, 0, 0);
    foreign_put("f", "two");
    open_and_read(node, RIG_PID, "two"); /* once */
    assert_asked(1, 0, 0);
    vfs_forget(rig.vfs, node, 1);

    calls(READS, "g");
    node = look_up("g", RIG_PID, &entry_ns);
    foreign_put("g", "three");
    assert_int_equal(look_up("g", RIG_PID, &entry_ns),
                     node); /* of a later call, answered by what is known */
    assert_true(entry_ns > 0);
    open_and_read(node, RIG_PID, "three");
    vfs_forget(rig.vfs, node, 2);
}

/* Threads whose numbers fall on one place of the table do not take it from each other. */
static void many_threads(void **state)
{
    uint64_t nodes[4];
    int64_t entry_ns;
    char name[8];

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        foreign_put(name, name);
    }
    begin();
    for (unsigned i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        calls(READS, name);
        nodes[i] = look_up(name, RIG_PID + (pid_t)(i * READERS), &entry_ns);
    }
    for (unsigned i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        open_and_read(nodes[i], RIG_PID + (pid_t)(i * READERS), name);
        vfs_forget(rig.vfs, nodes[i], 1);
    }
    assert_asked(4, 0, 0);
}

static void late_opens_ask(void **state)
{
    int64_t entry_ns;
    uint64_t node;

    (void)state;
    foreign_put("f", "one");
    begin();
    calls(READS, "f");
    node = look_up("f", RIG_PID, &entry_ns);
    foreign_put("f", "two");
    clock_fake_add(rig.conf.acregmin_ns);
    open_and_read(node, RIG_PID, "two");
    vfs_forget(rig.vfs, node, 1);
}

static void writers_ask(void **state)
{
    struct vfs_ctx x = rig.ctx;
    int64_t entry_ns;
    uint64_t node, fh;
    bool keep;

    (void)state;
    foreign_put("f", "one");
    begin();
    calls(READS, "f");
    node = look_up("f", RIG_PID, &entry_ns);
    memstore_count_reset(rig.store);
    assert_int_equal(vfs_open(rig.vfs, &x, node, O_RDWR, &fh, &keep), 0);
    assert_asked(1, 0, 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    vfs_forget(rig.vfs, node, 1);
}

static void empty(void **state)
{
    (void)state;
    foreign_put("f", "");
    begin();
    calls(READS, "f");
    assert_file("f", "");
    assert_true(asked(STORE_GET) <= 2 && asked(STORE_HEAD) == 1);
}

static void no_such_object(void **state)
{
    struct stat st;

    (void)state;
    foreign_put("implied/below", "1");
    foreign_put("marked/", "");
    begin();
    calls(READS, "none");
    assert_int_equal(rig_stat(&rig, "none", &st), -ENOENT);
    assert_asked(1, 0, 1);
    calls(READS, "implied");
    assert_int_equal(rig_stat(&rig, "implied", &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_asked(1, 0, 1);
    calls(READS, "marked");
    assert_int_equal(rig_stat(&rig, "marked", &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_asked(1, 1, 1);
}

static void put_large(const char *key, size_t size)
{
    char *data = malloc(size);

    assert_non_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i / 7 + i / 5000);
    assert_int_equal(memstore_put(rig.store, key, data, size, NULL, NULL), 0);
    free(data);
}

static void read_large(const char *key, size_t size)
{
    char *data = malloc(size + 1);

    assert_non_null(data);
    calls(READS, key);
    assert_int_equal(rig_get(&rig, key, data, size + 1), size);
    for (size_t i = 0; i < size; i++)
        if (data[i] != (char)(i / 7 + i / 5000))
            fail_msg("%s: byte %zu is wrong", key, i);
    free(data);
}

/* Of a directory of which nothing is known too. */
static void of_unknown_size(void **state)
{
    char key[8];

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        snprintf(key, sizeof(key), "f%u", i);
        put_large(key, 2 * MIB);
    }
    begin();
    for (unsigned i = 0; i < 4; i++) {
        snprintf(key, sizeof(key), "f%u", i);
        read_large(key, 2 * MIB);
        assert_asked(1, 0, 0);
    }
}

/* A directory's window grows to its files. */
static void larger_ones(void **state)
{
    (void)state;
    put_large("a", 3 * MIB);
    put_large("b", 3 * MIB);
    put_large("exact", READHIST_LEAST);
    put_large("huge", 9 * MIB);
    begin();
    read_large("a", 3 * MIB);
    assert_asked(2, 0, 0);
    read_large("b", 3 * MIB);
    assert_asked(1, 0, 0);
    read_large("exact", READHIST_LEAST);
    assert_asked(1, 0, 0);
    read_large("huge", 9 * MIB); /* its first bytes, and ranges */
    assert_int_equal(asked(STORE_HEAD), 0);
}

static void whatever_is_wrong_with_it(void **state)
{
    struct stat st;

    (void)state;
    foreign_put("a", "aa");
    foreign_put("b", "bb");
    begin();
    calls(READS, "a");
    memstore_lose(rig.store, STORE_GET, 1, 1,
                  -EIO); /* the bytes came, and were not what was sent */
    assert_file("a", "aa");
    assert_asked(2, 1, 0);
    calls(READS, "b"); /* may be seen, and not read */
    memstore_fail(rig.store, STORE_GET, 1, 2, -EACCES);
    assert_int_equal(rig_stat(&rig, "b", &st), 0);
    assert_asked(1, 1, 0);
    assert_int_equal(rig_get(&rig, "b", &st, sizeof(st)), -EACCES);
    memstore_clear_faults(rig.store);
}

static void attributes_come_with_it(void **state)
{
    struct store_hdrs h = {0};
    struct stat st;

    (void)state;
    assert_int_equal(store_hdrs_set(&h, "x-amz-meta-file-permissions", "0100640"), 0);
    assert_int_equal(store_hdrs_set(&h, "x-amz-meta-file-owner", "7"), 0);
    assert_int_equal(memstore_put(rig.store, "f", "1", 1, &h, NULL), 0);
    store_hdrs_done(&h);
    begin();
    calls(READS, "f");
    assert_file("f", "1");
    assert_asked(1, 0, 0);
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0640);
    assert_int_equal(st.st_uid, 7);
    assert_asked(0, 0, 0);
}

/* After a restart the bytes are here: what is asked is whether they are right, and what the
 * attributes are. */
static void bytes_that_are_here(void **state)
{
    (void)state;
    foreign_put("f", "one");
    foreign_put("g", "one");
    begin();
    calls(READS, "f");
    assert_file("f", "one");
    calls(READS, "g");
    assert_file("g", "one");
    clock_fake_add(rig.conf.acregmax_ns);
    assert_int_equal(rig_remount(&rig), 0);
    foreign_put("g", "two");
    begin();
    calls(READS, "f");
    assert_file("f", "one");
    assert_asked(0, 1, 0);
    calls(READS, "g");
    assert_file("g", "two");
    assert_asked(1, 1, 0);
}

/* What a hard link is, is in a record, which each open reads. */
static void hard_links(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&rig, "f", "one", 3), 0);
    assert_int_equal(rig_link(&rig, "f", "g"), 0);
    clock_fake_add(rig.conf.acregmax_ns);
    assert_int_equal(rig_remount(&rig), 0);
    begin();
    calls(READS, "g");
    assert_file("g", "one");
    assert_asked(4, 0, 0); /* the object and the record, by the lookup and by the open */
    assert_int_equal(rig_put(&rig, "f", "two", 3), 0);
    calls(READS, "g");
    assert_file("g", "two");
}

/* Another thread's lookup gives the kernel the name to keep: the first one's next open(2) may come without a lookup. */
static void another_ones_lookup(void **state)
{
    int64_t entry_ns;
    uint64_t node;

    (void)state;
    foreign_put("f", "one");
    begin();
    calls(READS, "f");
    node = look_up("f", RIG_PID, &entry_ns);
    assert_int_equal(entry_ns, 0);
    calls(STATS, "f");
    look_up("f", RIG_PID + 1, &entry_ns);
    assert_true(entry_ns > 0);
    foreign_put("f", "three");
    open_and_read(node, RIG_PID, "three");
    vfs_forget(rig.vfs, node, 2);
}

#define F(f) cmocka_unit_test_setup_teardown(f, setup_fake, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        F(seen_readers_get),
        F(another_ones_lookup),
        F(unseen_readers_are_learned),
        F(others_ask_again),
        F(an_open_asks_for_itself),
        F(many_threads),
        F(late_opens_ask),
        F(writers_ask),
        F(empty),
        F(no_such_object),
        F(of_unknown_size),
        F(larger_ones),
        F(whatever_is_wrong_with_it),
        F(attributes_come_with_it),
        F(bytes_that_are_here),
        F(hard_links),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
