/* SPDX-License-Identifier: Apache-2.0 */
/* Commits by parts: right bytes, failures of any of them, lost replies, aborted uploads, weak servers. */
#include "harness.h"

#include <pthread.h>

#define BIG (20u * MIB)
#define SOME (11u * MIB) /* enough for parts under parts_conf() */

static struct upload_conf parts_conf(void)
{
    struct upload_conf conf = up_conf();
    conf.part_threshold = conf.part_size = 5 * MIB;
    return conf;
}

static void a_large_file_goes_in_parts(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = up_conf();
    up_open(&p, &conf, 4, 0);
    const size_t sizes[] = {16 * MIB + 1, 24 * MIB, 24 * MIB + 5};
    for (unsigned i = 0; i < 3; i++) {
        struct data_file *f = up_new(&p, "k", sizes[i], i);
        memstore_count_reset(p.x.store);
        up_commit_ok(&p, "k", f, STORE_IF_ABSENT, NULL);
        assert_int_equal(up_count(&p, STORE_MPU_CREATE), 1);
        assert_int_equal(up_count(&p, STORE_MPU_PART), i < 2 ? 3 : 4);
        assert_int_equal(up_count(&p, STORE_MPU_COMPLETE), 1);
        assert_int_equal(up_count(&p, STORE_HEAD), 1);
        assert_int_equal(up_count(&p, STORE_OPS), i < 2 ? 6 : 7);
        up_expect_fill(&p, "k", sizes[i], i);
        assert_int_equal(memstore_delete(p.x.store, "k"), 0);
        data_file_unref(f);
    }
    up_close(&p);
}

static void clean_ranges_are_copied_by_the_server(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = up_conf();
    up_open(&p, &conf, 2, 0);
    struct store_obj base = fx_put(&p.x, "k", BIG, 1);
    struct data_file *f = fx_file(&p.x, "k", &base);
    char *want = malloc(BIG + 100);
    fx_fill(want, 0, BIG, 1);
    for (unsigned i = 0; i < 2; i++) {
        size_t off = i ? 13 * MIB + 77 : MIB + 5;
        memset(want + off, 'A' + (int)i, 4096);
        assert_int_equal(data_write(f, off, want + off, 4096), 0);
    }
    up_commit_ok(&p, "k", f, STORE_IF_MATCH, &base.etag);
    assert_true(up_count(&p, STORE_MPU_PART_COPY) >= 1);
    assert_true(up_count(&p, STORE_MPU_PART) >= 2);
    up_expect(&p, "k", want, BIG);
    fx_expect(f, want, BIG);

    /* an append sends its end only; headers alone send nothing */
    memstore_count_reset(p.x.store);
    struct store_etag etag = data_base_etag(f);
    memset(want + BIG, 'z', 100);
    assert_int_equal(data_write(f, BIG, want + BIG, 100), 0);
    up_commit_ok(&p, "k", f, STORE_IF_MATCH, &etag);
    up_expect(&p, "k", want, BIG + 100);
    assert_int_equal(up_count(&p, STORE_MPU_PART), 1);
    assert_int_equal(up_count(&p, STORE_GET), 0);
    etag = data_base_etag(f);
    memstore_count_reset(p.x.store);
    up_commit_ok(&p, "k", f, STORE_IF_MATCH, &etag);
    up_expect(&p, "k", want, BIG + 100);
    assert_int_equal(up_count(&p, STORE_MPU_PART), 0);
    data_file_unref(f);

    /* under another name, by copies from the base's key */
    struct store_obj now, src = fx_head(&p.x, "k");
    f = fx_file(&p.x, "k", &src);
    struct upload_req req = {.key = "k2", .src_key = "k", .file = f, .hdrs = &p.hdrs,
                             .cond = {.kind = STORE_IF_ABSENT}};
    assert_int_equal(upload_commit(p.u, &req, &now), 0);
    up_expect(&p, "k2", want, BIG + 100);
    store_obj_done(&now);
    data_file_unref(f);
    free(want);
    up_close(&p);
}

static void without_copy_conditions_the_bytes_are_sent(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = parts_conf();
    conf.caps.part_copy_match = false;
    up_open(&p, &conf, 2, 0);
    struct store_obj base = fx_put(&p.x, "k", SOME, 1);
    struct data_file *f = fx_file(&p.x, "k", &base);
    char *want = malloc(SOME);
    fx_fill(want, 0, SOME, 1);
    want[5] = 'x';
    assert_int_equal(data_write(f, 5, "x", 1), 0);
    up_commit_ok(&p, "k", f, STORE_IF_MATCH, &base.etag);
    assert_int_equal(up_count(&p, STORE_MPU_PART_COPY), 0);
    up_expect(&p, "k", want, SOME);
    free(want);
    data_file_unref(f);
    up_close(&p);
}

/* T4, T8, T9: whichever request of the upload fails, nothing is published, nothing left open, and a second try is
 * right. */
static void any_request_may_fail(void **state)
{
    (void)state;
    static const struct {
        enum store_op op;
        unsigned k;
        int result;
    } faults[] = {
        {STORE_MPU_CREATE, 1, -EIO},     {STORE_MPU_PART, 1, -EIO},       {STORE_MPU_PART, 2, -EACCES},
        {STORE_MPU_PART, 3, -ENOSPC},    {STORE_MPU_PART_COPY, 1, -EIO},  {STORE_MPU_COMPLETE, 1, -EIO},
        {STORE_MPU_COMPLETE, 1, -EACCES}, {STORE_MPU_PART, 1, -ETIMEDOUT},
    };
    enum { SIZE = 23 * MIB, DIRTY = 16 * MIB }; /* three parts to send, then a copy */
    char *old = malloc(SIZE), *want = malloc(SIZE);
    fx_fill(old, 0, SIZE, 1);
    memcpy(want, old, SIZE);
    memset(want + MIB, 'm', DIRTY);
    struct up p;
    struct upload_conf conf = up_conf();
    conf.part_size = 5 * MIB;
    for (unsigned threads = 0; threads < 4; threads += 3) {
        up_open(&p, &conf, threads, 0);
        for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
            struct store_obj base = {.size = SIZE}, now, there;
            assert_int_equal(memstore_put(p.x.store, "k", old, SIZE, NULL, &base.etag), 0);
            struct data_file *f = fx_file(&p.x, "k", &base);
            assert_int_equal(data_write(f, MIB, want + MIB, DIRTY), 0);
            memstore_count_reset(p.x.store);
            memstore_fail(p.x.store, faults[i].op, faults[i].k, 1, faults[i].result);
            assert_int_equal(up_commit(&p, "k", f, STORE_IF_MATCH, &base.etag, &now), faults[i].result);
            if (faults[i].op != STORE_MPU_COMPLETE)
                assert_int_equal(up_count(&p, STORE_MPU_COMPLETE), 0);
            assert_int_equal(memstore_uploads(p.x.store), 0);
            there = fx_head(&p.x, "k");
            assert_true(store_etag_equal(&there.etag, &base.etag)); /* the old one, untouched */
            assert_true(data_is_dirty(f));
            up_commit_ok(&p, "k", f, STORE_IF_MATCH, &base.etag);
            up_expect(&p, "k", want, SIZE);
            data_file_unref(f);
        }
        up_close(&p);
    }
    free(old);
    free(want);
}

static void a_lost_complete_is_our_own_success(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = parts_conf();
    up_open(&p, &conf, 2, 0);
    const int results[] = {STORE_NO_UPLOAD, STORE_PRECONDITION, STORE_CONFLICT, -ETIMEDOUT, -EIO};
    for (unsigned i = 0; i < 5; i++) {
        char key[8];
        snprintf(key, sizeof(key), "k%u", i);
        struct data_file *f = up_new(&p, key, SOME, i);
        memstore_count_reset(p.x.store);
        memstore_lose(p.x.store, STORE_MPU_COMPLETE, 1, 1, results[i]);
        up_commit_ok(&p, key, f, STORE_IF_ABSENT, NULL);
        assert_int_equal(up_count(&p, STORE_MPU_CREATE), 1);
        up_expect_fill(&p, key, SOME, i);
        data_file_unref(f);
    }
    up_close(&p);
}

/* T25: a lifecycle rule aborts the upload under us; and a 409 at Complete loses it too. */
static void an_aborted_upload_starts_again(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = parts_conf();
    up_open(&p, &conf, 2, 0);
    static const struct {
        enum store_op op;
        int result;
    } faults[] = {{STORE_MPU_PART, STORE_NO_UPLOAD}, {STORE_MPU_COMPLETE, STORE_NO_UPLOAD},
                  {STORE_MPU_COMPLETE, STORE_CONFLICT}};
    for (unsigned i = 0; i < 3; i++) {
        char key[8];
        snprintf(key, sizeof(key), "k%u", i);
        struct data_file *f = up_new(&p, key, SOME, i);
        struct store_obj now;
        memstore_count_reset(p.x.store);
        memstore_fail(p.x.store, faults[i].op, 1, 1, faults[i].result);
        up_commit_ok(&p, key, f, STORE_IF_ABSENT, NULL);
        assert_int_equal(up_count(&p, STORE_MPU_CREATE), 2);
        up_expect_fill(&p, key, SOME, i);
        data_file_unref(f);
        if (faults[i].result == STORE_CONFLICT) /* waited for, as test_commit has it */
            continue;

        f = up_new(&p, "never", SOME, i);
        memstore_count_reset(p.x.store);
        memstore_fail(p.x.store, faults[i].op, 1, 1000, faults[i].result);
        assert_int_equal(up_commit(&p, "never", f, STORE_IF_ABSENT, NULL, &now), -EIO);
        assert_true(up_count(&p, STORE_MPU_CREATE) >= 3 && up_count(&p, STORE_MPU_CREATE) <= 10);
        memstore_clear_faults(p.x.store);
        up_expect_none(&p, "never");
        data_file_unref(f);
    }
    up_close(&p);
}

struct rival {
    struct up *p;
    enum store_op before;
    bool deletes;
};

/* Another writer comes just before a request of ours. */
static void rival_comes(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)result;
    struct rival *r = arg;
    if (req->op != r->before)
        return;
    if (r->deletes)
        memstore_delete(s, "k");
    else
        (void)fx_put(&r->p->x, "k", 777, 9);
}

static void a_rival_before_complete_or_copy(void **state)
{
    (void)state;
    static const struct {
        enum store_op before;
        enum store_if kind;
        bool deletes;
        int result;
    } cases[] = {
        {STORE_MPU_COMPLETE, STORE_IF_MATCH, false, UPLOAD_CHANGED},
        {STORE_MPU_COMPLETE, STORE_IF_MATCH, true, UPLOAD_GONE},
        {STORE_MPU_COMPLETE, STORE_IF_ABSENT, false, UPLOAD_EXISTS},
        {STORE_MPU_PART_COPY, STORE_IF_MATCH, false, UPLOAD_CHANGED},
        {STORE_MPU_PART_COPY, STORE_IF_MATCH, true, UPLOAD_GONE},
    };
    struct up p;
    struct upload_conf conf = parts_conf();
    up_open(&p, &conf, 0, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rival rival = {.p = &p, .before = cases[i].before, .deletes = cases[i].deletes};
        struct data_file *f;
        struct store_obj base = {0}, now;
        if (cases[i].kind == STORE_IF_ABSENT) {
            memstore_delete(p.x.store, "k");
            f = up_new(&p, "k", SOME, 1);
        } else {
            base = fx_put(&p.x, "k", SOME, 1);
            f = fx_file(&p.x, "k", &base);
            assert_int_equal(data_write(f, 0, "x", 1), 0);
        }
        memstore_set_hooks(p.x.store, rival_comes, NULL, &rival);
        assert_int_equal(up_commit(&p, "k", f, cases[i].kind, &base.etag, &now), cases[i].result);
        memstore_set_hooks(p.x.store, NULL, NULL, NULL);
        assert_int_equal(now.size, cases[i].deletes ? 0 : 777);
        store_obj_done(&now);
        if (cases[i].deletes)
            up_expect_none(&p, "k");
        else
            up_expect_fill(&p, "k", 777, 9);
        assert_int_equal(memstore_uploads(p.x.store), 0);
        assert_true(data_is_dirty(f));
        data_file_unref(f);
    }
    up_close(&p);
}

/* Complete says yes under its condition, and before we look another object is there: it came later. */
static void what_is_visible_after_complete_counts(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = parts_conf();
    up_open(&p, &conf, 0, 0);
    struct rival rival = {.p = &p, .before = STORE_HEAD};
    struct data_file *f = up_new(&p, "k", SOME, 1);
    struct store_obj now;
    memstore_set_hooks(p.x.store, rival_comes, NULL, &rival);
    assert_int_equal(up_commit(&p, "k", f, STORE_IF_ABSENT, NULL, &now), UPLOAD_LANDED);
    assert_int_equal(now.size, 777);
    store_obj_done(&now);
    rival.deletes = true;
    assert_int_equal(up_commit(&p, "k", f, STORE_ALWAYS, NULL, &now), 0); /* unconditional: the last one wins */
    store_obj_done(&now);
    memstore_set_hooks(p.x.store, NULL, NULL, NULL);
    data_file_unref(f);
    up_close(&p);
}

static void weak_complete_means_one_put(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = up_conf();
    conf.caps.complete_absent = conf.caps.complete_match = false;
    conf.weak_refuse = true;
    up_open(&p, &conf, 2, 0);
    struct data_file *f = up_new(&p, "k", 40 * MIB, 1);
    up_commit_ok(&p, "k", f, STORE_IF_ABSENT, NULL);
    assert_int_equal(up_count(&p, STORE_OPS), 1);
    assert_int_equal(up_count(&p, STORE_PUT), 1);
    up_expect_fill(&p, "k", 40 * MIB, 1);
    data_file_unref(f);

    f = fx_file(&p.x, "huge", NULL);
    struct store_obj now;
    assert_int_equal(data_truncate(f, (UINT64_C(5) << 30) + 1), 0);
    memstore_count_reset(p.x.store);
    assert_int_equal(up_commit(&p, "huge", f, STORE_IF_ABSENT, NULL, &now), -EOPNOTSUPP);
    assert_int_equal(up_count(&p, STORE_OPS), 0);
    data_file_unref(f);
    up_close(&p);
}

/* A body too big for memory whose base bytes find no room on the disk. */
static void a_full_disk_at_commit(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = up_conf();
    conf.caps.complete_match = false; /* so that it is one body */
    up_open(&p, &conf, 2, MIB);
    struct store_obj base = fx_put(&p.x, "k", 40 * MIB, 1), now;
    struct data_file *f = fx_file(&p.x, "k", &base);
    assert_int_equal(data_write(f, 5, "x", 1), 0);
    assert_int_equal(up_commit(&p, "k", f, STORE_IF_MATCH, &base.etag, &now), -ENOSPC);
    up_expect_fill(&p, "k", 40 * MIB, 1);
    assert_true(data_is_dirty(f));
    assert_int_equal(up_count(&p, STORE_PUT), 0);
    char c;
    assert_int_equal(data_read(f, 5, &c, 1), 1);
    assert_int_equal(c, 'x');
    data_file_unref(f);
    up_close(&p);
}

/* A back end with one thread for everything, which asks for bodies on it too: a body never waits for a fetch. */
static void one_thread_of_the_store_is_enough(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = up_conf();
    conf.caps.part_copy_match = false;
    for (int i = 0; i < 2; i++) {
        conf.caps.complete_match = i == 0; /* by parts; by one body too big for memory */
        up_open(&p, &conf, 1, 0);
        struct store_obj base = fx_put(&p.x, "k", 40 * MIB, 1);
        struct data_file *f = fx_file(&p.x, "k", &base);
        char *want = malloc(40 * MIB);
        fx_fill(want, 0, 40 * MIB, 1);
        want[9 * MIB] = 'x';
        assert_int_equal(data_write(f, 9 * MIB, "x", 1), 0);
        up_commit_ok(&p, "k", f, STORE_IF_MATCH, &base.etag);
        assert_int_equal(up_count(&p, STORE_PUT), i);
        up_expect(&p, "k", want, 40 * MIB);
        free(want);
        data_file_unref(f);
        up_close(&p);
    }
}

struct job_arg {
    pthread_t thread;
    struct up *p;
    unsigned i;
    int result;
};

static void *commit_one(void *arg)
{
    struct job_arg *j = arg;
    char key[16];
    snprintf(key, sizeof(key), "k%u", j->i);
    struct data_file *f = fx_file(&j->p->x, key, NULL);
    size_t size = j->i % 2 ? 6 * MIB : MIB;
    char *bytes = malloc(size);
    fx_fill(bytes, 0, size, j->i);
    struct store_obj now = {0};
    j->result = data_write(f, 0, bytes, size);
    if (j->result == 0)
        j->result = up_commit(j->p, key, f, STORE_IF_ABSENT, NULL, &now);
    if (j->result == 0)
        data_committed(f, key, &now, data_change(f));
    store_obj_done(&now);
    free(bytes);
    data_file_unref(f);
    return NULL;
}

static void many_at_once(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = parts_conf();
    up_open(&p, &conf, 4, 0);
    struct job_arg jobs[16];
    for (unsigned i = 0; i < 16; i++) {
        jobs[i] = (struct job_arg){.p = &p, .i = i};
        assert_int_equal(pthread_create(&jobs[i].thread, NULL, commit_one, &jobs[i]), 0);
    }
    for (unsigned i = 0; i < 16; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%u", i);
        pthread_join(jobs[i].thread, NULL);
        assert_int_equal(jobs[i].result, 0);
        up_expect_fill(&p, key, i % 2 ? 6 * MIB : MIB, i);
    }
    up_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_file_goes_in_parts),
        cmocka_unit_test(clean_ranges_are_copied_by_the_server),
        cmocka_unit_test(without_copy_conditions_the_bytes_are_sent),
        cmocka_unit_test(any_request_may_fail),
        cmocka_unit_test(a_lost_complete_is_our_own_success),
        cmocka_unit_test(an_aborted_upload_starts_again),
        cmocka_unit_test(a_rival_before_complete_or_copy),
        cmocka_unit_test(what_is_visible_after_complete_counts),
        cmocka_unit_test(weak_complete_means_one_put),
        cmocka_unit_test(a_full_disk_at_commit),
        cmocka_unit_test(one_thread_of_the_store_is_enough),
        cmocka_unit_test(many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
