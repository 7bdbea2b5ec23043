/* SPDX-License-Identifier: Apache-2.0 */
/* A commit that meets another version of its file (protocol 2a, 2b, 2d): what is merged, what is
 * refused, and that no byte is lost without a word. */
#include "fs/vfs/internal.h"

#include <pthread.h>

#include "twomounts.h"

static uint64_t open_rw(struct rig *r, const char *path)
{
    return open_text(r, path, O_RDWR);
}

static void expect_lost(struct rig *r, uint64_t fh, const char *there)
{
    uint64_t before = lost_and_found(r);

    assert_int_equal(rig_shut(r, fh), -ESTALE);
    assert_int_equal(lost_and_found(r), before + 1);
    assert_object("f", there);
    assert_file(r, "f", there);
}

/* 2b: two writers of different ranges lose nothing. */
static void disjoint_ranges(void **state)
{
    char got[16] = "";
    uint64_t fa, fb;

    (void)state;
    put_text(&a, "f", "..........");
    fa = open_rw(&a, "f");
    fb = open_rw(&b, "f");
    write_text(&a, fa, 1, "aa");
    write_text(&b, fb, 6, "bb");
    write_text(&a, fa, 9, "aaa"); /* and past the end */
    assert_int_equal(vfs_fsync(b.vfs, fb), 0);
    a.invalidations = 0;
    assert_int_equal(vfs_fsync(a.vfs, fa), 0);
    assert_int_equal(a.invalidations, 1);
    assert_object("f", ".aa...bb.aaa");
    assert_int_equal(vfs_read(a.vfs, fa, 0, got, sizeof(got)), 12);
    assert_string_equal(got, ".aa...bb.aaa");
    write_text(&b, fb, 0, "B");
    assert_int_equal(rig_shut(&b, fb), 0);
    write_text(&a, fa, 5, "A");
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_file(&b, "f", "Baa..Abb.aaa");
    assert_int_equal(lost_and_found(&a) + lost_and_found(&b), 0);
}

/* T18, and 2a to its end: whole content wins whole until its first commit; then it is ranges. */
static void whole_then_ranges(void **state)
{
    uint64_t fa;

    (void)state;
    put_text(&a, "f", "base");
    fa = open_text(&a, "f", O_RDWR | O_TRUNC);
    write_text(&a, fa, 0, "aaaa");
    put_text(&b, "f", "bbbbbbbb");
    assert_int_equal(vfs_fsync(a.vfs, fa), 0);
    assert_object("f", "aaaa");
    put_text(&b, "f", "bbbbbbbb");
    write_text(&a, fa, 1, "XX");
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_object("f", "bXXbbbbb");
}

/* Nobody waits for a drain, or for the RELEASE of a killed writer: it never takes 2a. */
static void unwaited_content_is_not_forced(void **state)
{
    uint64_t fa;

    (void)state;
    put_text(&a, "f", "base");
    fa = open_text(&a, "f", O_WRONLY | O_TRUNC);
    write_text(&a, fa, 0, "half of the cont");
    put_text(&b, "f", "theirs");
    assert_int_equal(vfs_drain(a.vfs), -ESTALE);
    assert_object("f", "theirs");
    assert_int_equal(rig_shut(&a, fa), 0); /* a close waits */
    assert_object("f", "half of the cont");
    fa = open_text(&a, "f", O_WRONLY | O_TRUNC);
    write_text(&a, fa, 0, "half of the cont");
    put_text(&b, "f", "theirs");
    vfs_release(a.vfs, fa);
    assert_object("f", "theirs");
    assert_int_equal(lost_and_found(&a), 1);
}

/* A name made by two without O_EXCL and without O_TRUNC: the later one's ranges go onto it. */
static void made_by_two(void **state)
{
    uint64_t fa, fb;

    (void)state;
    assert_int_equal(rig_creat(&a, "f", O_WRONLY, 0644, &fa), 0);
    assert_int_equal(rig_creat(&b, "f", O_WRONLY, 0644, &fb), 0);
    write_text(&a, fa, 0, "first");
    write_text(&b, fb, 4, "second");
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_int_equal(rig_shut(&b, fb), 0);
    assert_file(&a, "f", "firssecond");
    assert_int_equal(rig_creat(&a, "g", O_WRONLY | O_TRUNC, 0644, &fa), 0);
    assert_int_equal(rig_creat(&b, "g", O_WRONLY | O_TRUNC, 0644, &fb), 0);
    write_text(&a, fa, 0, "longer first");
    write_text(&b, fb, 0, "second");
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_int_equal(rig_shut(&b, fb), 0);
    assert_file(&a, "g", "second");
}

static void set_size(struct rig *r, const char *path, uint64_t fh, uint64_t size)
{
    const struct stat want = {.st_size = (off_t)size};
    struct vfs_entry e;
    struct stat st;
    int64_t ns;

    assert_int_equal(rig_walk(r, path, &e), 0);
    assert_int_equal(vfs_setattr(r->vfs, &r->ctx, e.node, fh, &want, VFS_SET_SIZE, &st, &ns), 0);
    vfs_forget(r->vfs, e.node, 1);
}

static void sizes_are_ranges(void **state)
{
    uint64_t fa, fb;
    struct stat st;

    (void)state;
    /* a cut, and bytes changed in place */
    put_text(&a, "f", "0123456789");
    fa = open_rw(&a, "f");
    set_size(&a, "f", fa, 4);
    fb = open_rw(&b, "f");
    write_text(&b, fb, 1, "b");
    assert_int_equal(rig_shut(&b, fb), 0);
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_object("f", "0b23");
    /* grown here: at least so long */
    fa = open_rw(&a, "f");
    set_size(&a, "f", fa, 6);
    fb = open_rw(&b, "f");
    write_text(&b, fb, 3, "BBBBB");
    assert_int_equal(rig_shut(&b, fb), 0);
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_object("f", "0b2BBBBB");
    fa = open_rw(&a, "f");
    set_size(&a, "f", fa, 20);
    fb = open_rw(&b, "f");
    write_text(&b, fb, 0, "b");
    assert_int_equal(rig_shut(&b, fb), 0);
    assert_int_equal(rig_shut(&a, fa), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_stat(&b, "f", &st), 0);
    assert_int_equal(st.st_size, 20);
}

/* A cut would take away what the other has added and the one who cut has not seen. */
static void cut_of_what_has_grown(void **state)
{
    uint64_t fa;
    struct stat st;

    (void)state;
    put_text(&a, "f", "0123456789");
    fa = open_rw(&a, "f");
    set_size(&a, "f", fa, 4);
    assert_int_equal(append_text(&b, "f", "+b"), 0);
    expect_lost(&a, fa, "0123456789+b");
    /* truncate(2) by path is made now, and the later of the two */
    assert_int_equal(rig_stat(&a, "f", &st), 0);
    assert_int_equal(append_text(&b, "f", "+b"), 0);
    assert_int_equal(rig_truncate(&a, "f", 5), 0);
    assert_object("f", "01234");
    assert_int_equal(append_text(&b, "f", "+b"), 0);
    assert_int_equal(rig_truncate(&a, "f", 5), 0); /* T30: the size that a believes in */
    assert_object("f", "01234");
    assert_int_equal(rig_truncate(&a, "f", 0), 0);
    put_text(&b, "f", "01234");
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_stat(&a, "f", &st), 0);
    assert_int_equal(rig_truncate(&b, "f", 2), 0);
    assert_int_equal(rig_truncate(&a, "f", 4), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_stat(&b, "f", &st), 0);
    assert_int_equal(st.st_size, 4);
    assert_int_equal(append_text(&b, "f", "+b"), 0);
    assert_int_equal(rig_truncate(&a, "f", 0), 0);
    assert_object("f", "");
}

/* Attributes set on one mount and bytes written on the other are both there. */
static void bytes_and_attributes(void **state)
{
    uint64_t fa;
    struct stat st;

    (void)state;
    put_text(&a, "f", "base");
    fa = open_rw(&a, "f");
    write_text(&a, fa, 0, "B");
    assert_int_equal(rig_chmod(&b, "f", 0600), 0);
    assert_int_equal(append_text(&b, "f", "+b"), 0); /* chmod alone leaves the ETag (protocol 5) */
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_object("f", "Base+b");
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_stat(&b, "f", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(rig_stat(&a, "f", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(append_text(&a, "f", "!"), 0);
    assert_int_equal(rig_chmod(&b, "f", 0640), 0); /* knows the version before it only */
    clock_fake_add(100 * NS_PER_S);
    assert_file(&a, "f", "Base+b!");
    assert_int_equal(rig_stat(&a, "f", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

/* Protocol 5: chmod elsewhere keeps the ETag, so a commit that has not looked for acregmin looks.
 */
static void attributes_alone(void **state)
{
    uint64_t fa;
    struct stat st;

    (void)state;
    put_text(&a, "f", "base");
    fa = open_rw(&a, "f");
    write_text(&a, fa, 0, "B");
    assert_int_equal(rig_chmod(&b, "f", 0600), 0);
    clock_fake_add(3 * NS_PER_S);
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_object("f", "Base");
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_stat(&b, "f", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

/* 2d: a writer through the S3 API leaves no id: what is there is another file, to ranges, to
 * appends, and to a whole content alike (2a wants the same id). */
static void foreign_writer(void **state)
{
    uint64_t fa;

    (void)state;
    put_text(&a, "f", "base");
    fa = open_rw(&a, "f");
    write_text(&a, fa, 0, "MINE");
    foreign_put("f", "a stranger's");
    expect_lost(&a, fa, "a stranger's");
    fa = open_text(&a, "f", O_WRONLY | O_APPEND);
    write_text(&a, fa, 0, "MINE");
    foreign_put("f", "a second");
    expect_lost(&a, fa, "a second");
    fa = open_text(&a, "f", O_WRONLY | O_TRUNC);
    write_text(&a, fa, 0, "MINE");
    foreign_put("f", "a third");
    expect_lost(&a, fa, "a third");
    fa = open_rw(&a, "f");
    write_text(&a, fa, 0, "MINE");
    assert_int_equal(rig_unlink(&b, "f"), 0);
    put_text(&b, "f", "made again");
    expect_lost(&a, fa, "made again");
    fa = open_rw(&a, "f");
    write_text(&a, fa, 0, "MINE");
    assert_int_equal(memstore_delete(a.store, "f"), 0);
    assert_int_equal(rig_shut(&a, fa), -ESTALE);
    assert_int_equal(lost_and_found(&a), 5);
    assert_int_equal(memstore_get(a.store, "f", NULL, NULL), STORE_NOT_FOUND);
}

/* A foreign object's made-up id holds until it is written down: two mounts of it still merge. */
static void foreign_object_gets_its_id(void **state)
{
    uint64_t fa, fb;

    (void)state;
    foreign_put("f", "..........");
    fa = open_rw(&a, "f");
    fb = open_rw(&b, "f");
    write_text(&a, fa, 1, "aa");
    write_text(&b, fb, 6, "bb");
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_int_equal(rig_shut(&b, fb), 0);
    assert_object("f", ".aa...bb..");
}

/* T16: the close of a second handle, on this mount or the other, takes nothing from the first. */
static void second_handle(void **state)
{
    uint64_t fa, second;

    (void)state;
    put_text(&a, "f", "..........");
    fa = open_rw(&a, "f");
    second = open_rw(&a, "f");
    write_text(&a, fa, 0, "A");
    assert_int_equal(rig_shut(&a, second), 0);
    write_text(&a, fa, 1, "B");
    second = open_rw(&b, "f");
    assert_int_equal(rig_shut(&b, second), 0);
    assert_file(&b, "f", "A.........");
    write_text(&a, fa, 2, "C");
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_object("f", "ABC.......");
}

/* On one mount a file has one content: what a writer's commit was merged with is what its readers
 * see. */
static void readers_beside_a_merge(void **state)
{
    uint64_t fa, reader;
    char got[16] = "";

    (void)state;
    put_text(&a, "f", "base");
    reader = open_rw(&a, "f");
    assert_int_equal(vfs_read(a.vfs, reader, 0, got, 2), 2);
    fa = open_rw(&a, "f");
    write_text(&a, fa, 3, "E");
    assert_int_equal(append_text(&b, "f", "+b"), 0);
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_int_equal(vfs_read(a.vfs, reader, 2, got, sizeof(got)), 4);
    assert_memory_equal(got, "sE+b", 4);
    assert_int_equal(rig_shut(&a, reader), 0);
}

/* The name has moved on to a newer version while a writer had not written yet. */
static void writer_behind_a_new_node(void **state)
{
    uint64_t fa;
    struct stat st;
    char got[16] = "";

    (void)state;
    put_text(&a, "f", "0123456789");
    fa = open_rw(&a, "f");
    assert_int_equal(vfs_read(a.vfs, fa, 0, got, 4), 4);
    assert_int_equal(append_text(&b, "f", "+b"), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_stat(&a, "f", &st),
                     0); /* a new node: fa is in the middle of the old one */
    assert_int_equal(st.st_size, 12);
    write_text(&a, fa, 4, "AA");
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_object("f", "0123AA6789+b");
    assert_file(&a, "f", "0123AA6789+b");
    /* but not if that is gone, or another file by then */
    fa = open_rw(&a, "f");
    assert_int_equal(append_text(&b, "f", "+b"), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_stat(&a, "f", &st), 0);
    write_text(&a, fa, 4, "XX");
    foreign_put("f", "a stranger's");
    expect_lost(&a, fa, "a stranger's");
}

static void overwrite_at_head(void *arg, struct store *s, const struct store_req *req, int result)
{
    bool *is_done = arg;

    (void)s;
    (void)result;
    if (req->op != STORE_HEAD || *is_done)
        return;
    *is_done = true;
    foreign_put("big", "a stranger's");
}

/* A Complete has put the file there, and a stranger wrote over it before we looked: the close was
 * before that, and what is here now is his. */
static void overwritten_after_complete(void **state)
{
    const size_t size = 17 << 20;
    char *body = calloc(1, size);
    bool is_done = false;
    uint64_t fa;

    (void)state;
    fa = open_text(&a, "big", O_RDWR | O_CREAT | O_TRUNC);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fa, 0, body, size), size);
    memstore_set_hooks(a.store, overwrite_at_head, NULL, &is_done);
    assert_int_equal(vfs_fsync(a.vfs, fa), 0);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    assert_true(is_done);
    assert_object("big", "a stranger's");
    assert_file(&a, "big", "a stranger's");
    write_text(&a, fa, 0, "late"); /* to a file that is no more */
    assert_int_equal(rig_shut(&a, fa), -ESTALE);
    assert_int_equal(lost_and_found(&a), 1);
    assert_object("big", "a stranger's");
    free(body);
}

/* Another mount writes on top of what has just come under the key, before its maker looks. */
struct on_top {
    const char *key;
    bool was_put, is_done;
};

static void write_on_top(void *arg, struct store *s, const struct store_req *req, int result)
{
    struct on_top *o = arg;
    struct store_obj obj = {0};
    char list[512], *data = NULL;

    (void)s;
    (void)result;
    if (req->key == NULL || strcmp(req->key, o->key) != 0 || o->is_done)
        return;
    o->was_put |= req->op == STORE_PUT || req->op == STORE_COPY;
    if (req->op != STORE_HEAD || !o->was_put)
        return;
    o->is_done = true;
    assert_int_equal(memstore_get(a.store, o->key, &obj, &data), 0);
    snprintf(list, sizeof(list), "abcd.1,%s", store_hdrs_get(&obj.hdrs, "x-amz-meta-s3efs-commit"));
    assert_int_equal(store_hdrs_set(&obj.hdrs, "x-amz-meta-s3efs-commit", list), 0);
    snprintf(list, sizeof(list), "%s+b", data);
    assert_int_equal(memstore_put(a.store, o->key, list, strlen(list), &obj.hdrs, NULL), 0);
    store_obj_done(&obj);
    free(data);
}

/* A lost reply and a writer after it take nothing from each other where a name moves, either. Which
 * of the rename's requests makes the object is its own business: each is lost once. */
static void lost_reply_of_a_rename(void **state)
{
    unsigned n_done = 0;

    (void)state;
    for (unsigned k = 0; k < 12; k++) {
        struct on_top o = {.key = "g"};
        const char *want;

        put_text(&a, "f", "base");
        if (k % 2 == 1)
            assert_int_equal(rig_link(&a, "f", "other"), 0);
        memstore_set_hooks(a.store, write_on_top, NULL, &o);
        memstore_lose(a.store, STORE_PUT, 1 + k / 2, 1, STORE_PRECONDITION);
        memstore_lose(a.store, STORE_COPY, 1, 1, STORE_PRECONDITION);
        assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
        memstore_set_hooks(a.store, NULL, NULL, NULL);
        memstore_clear_faults(a.store);
        want = o.is_done ? "base+b" : "base";
        assert_object("g", want);
        assert_file(&a, "g", want);
        assert_int_equal(rig_unlink(&a, "g"), 0);
        if (k % 2 == 1)
            assert_int_equal(rig_unlink(&a, "other"), 0);
        n_done += o.is_done;
    }
    assert_true(n_done >= 2);
}

static void lost_reply_of_a_copy(void **state)
{
    struct on_top o = {.key = "g"};
    uint64_t in, out;

    (void)state;
    put_text(&a, "f", "base");
    put_text(&a, "g", "old");
    in = open_text(&a, "f", O_RDONLY);
    out = open_text(&a, "g", O_RDWR | O_TRUNC);
    memstore_set_hooks(a.store, write_on_top, NULL, &o);
    memstore_lose(a.store, STORE_COPY, 1, 1, STORE_PRECONDITION);
    assert_int_equal(vfs_copy_range(a.vfs, &a.ctx, in, 0, out, 0, 100), 4);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    assert_true(o.is_done);
    assert_int_equal(rig_shut(&a, out), 0);
    assert_int_equal(rig_shut(&a, in), 0);
    assert_object("g", "base+b");
    assert_file(&a, "g", "base+b");
}

/* --- random disjoint ranges of four mounts --- */
#define MOUNTS 4
#define CELLS 64
#define CELL 100

struct writer {
    struct rig rig;
    unsigned id, seed;
    unsigned last[CELLS]; /* what was acknowledged last; 0: nothing */
    bool is_unsure[CELLS];
    pthread_t thread;
};

static void fill_cell(char *buf, unsigned id, unsigned value)
{
    snprintf(buf, CELL, "%*u.%u", CELL - 10, value, id);
    memset(buf + strlen(buf), '#', CELL - strlen(buf));
}

static void *write_cells(void *arg)
{
    struct writer *w = arg;
    struct rig *r = &w->rig;

    for (unsigned k = 1; k <= 50; k++) {
        unsigned cell = (unsigned)rand_r(&w->seed) % (CELLS / MOUNTS) * MOUNTS + w->id;
        char buf[CELL];
        uint64_t fh;

        if (rand_r(&w->seed) % 8 == 0)
            memstore_lose(r->store, STORE_PUT, 1, 1, STORE_PRECONDITION);
        if (rig_open_file(r, "f", O_RDWR, &fh) < 0)
            continue;
        fill_cell(buf, w->id, k);
        w->is_unsure[cell] = vfs_write(r->vfs, &r->ctx, fh, cell * CELL, buf, CELL) != CELL;
        if (vfs_flush(r->vfs, &r->ctx, fh) == 0)
            w->last[cell] = k;
        else
            w->is_unsure[cell] = true;
        vfs_release(r->vfs, fh);
    }
    return NULL;
}

static void ranges_of_four_mounts(void **state)
{
    static struct writer w[MOUNTS];
    char *all = calloc(1, CELLS * CELL), *got = NULL;
    unsigned known = 0;

    (void)state;
    memset(w, 0, sizeof(w));
    memset(all, '.', CELLS * CELL);
    assert_int_equal(rig_put(&a, "f", all, CELLS * CELL), 0);
    for (unsigned k = 0; k < MOUNTS; k++) {
        assert_int_equal(rig_join(&w[k].rig, &a, NULL), 0);
        w[k].id = k;
        w[k].seed = 5 + k;
    }
    for (unsigned k = 0; k < MOUNTS; k++)
        assert_int_equal(pthread_create(&w[k].thread, NULL, write_cells, &w[k]), 0);
    for (unsigned k = 0; k < MOUNTS; k++)
        assert_int_equal(pthread_join(w[k].thread, NULL), 0);
    memstore_clear_faults(a.store);
    assert_int_equal(memstore_get(a.store, "f", NULL, &got), 0);
    assert_int_equal(strlen(got), CELLS * CELL);
    for (unsigned cell = 0; cell < CELLS; cell++) {
        const struct writer *x = &w[cell % MOUNTS];
        char want[CELL];

        if (x->is_unsure[cell])
            continue;
        memset(want, '.', CELL);
        if (x->last[cell] != 0)
            fill_cell(want, cell % MOUNTS, x->last[cell]);
        assert_memory_equal(got + cell * CELL, want, CELL);
        known += x->last[cell] != 0;
    }
    assert_true(known > CELLS / 2);
    free(got);
    free(all);
    for (unsigned k = 0; k < MOUNTS; k++)
        rig_close(&w[k].rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(disjoint_ranges),
        T(whole_then_ranges),
        T(unwaited_content_is_not_forced),
        T(made_by_two),
        T(sizes_are_ranges),
        T(cut_of_what_has_grown),
        T(bytes_and_attributes),
        T(attributes_alone),
        T(foreign_writer),
        T(foreign_object_gets_its_id),
        T(second_handle),
        T(readers_beside_a_merge),
        T(writer_behind_a_new_node),
        T(overwritten_after_complete),
        T(lost_reply_of_a_rename),
        T(lost_reply_of_a_copy),
        T(ranges_of_four_mounts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
