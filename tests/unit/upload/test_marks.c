/* SPDX-License-Identifier: Apache-2.0 */
/* The marks of the last commits (protocol 3): what is carried on, and what they tell of a commit whose reply was
 * lost while others went on writing. */
#include "harness.h"

#include "fs/upload/marks.h"

#define HDR "x-amz-meta-s3efs-commit"

static struct up p;

static int setup(void **state)
{
    (void)state;
    struct upload_conf conf = up_conf();
    up_open(&p, &conf, 0, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    up_close(&p);
    return 0;
}

static void list_of(const char *key, struct marks *ret)
{
    struct store_obj o = {0};
    assert_int_equal(memstore_get(p.x.store, key, &o, NULL), 0);
    marks_parse(store_hdrs_get(&o.hdrs, HDR), ret);
    store_obj_done(&o);
}

/* A commit of a change to what is there, as vfs does it: with the headers of the version that it replaces. */
static int commit_change(struct data_file *f, const struct store_obj *base, struct store_obj *ret)
{
    struct upload_req req = {
        .key = "k", .file = f, .hdrs = &base->hdrs, .cond = {STORE_IF_MATCH, base->etag}};
    *ret = (struct store_obj){0};
    return upload_commit(p.u, &req, ret);
}

static struct store_obj there(void)
{
    struct store_obj o = {0};
    assert_int_equal(memstore_get(p.x.store, "k", &o, NULL), 0);
    return o;
}

/* Other mounts write n times over what is there, and carry its marks on. */
static void others_write(unsigned n)
{
    static unsigned sequence;
    for (unsigned i = 0; i < n; i++) {
        struct store_obj o = there();
        struct marks old;
        char text[MARKS_TEXT], mark[MARK_SIZE];
        marks_parse(store_hdrs_get(&o.hdrs, HDR), &old);
        snprintf(mark, sizeof(mark), "fedcba9876543210fedcba9876543210.%u", ++sequence);
        marks_format(mark, &old, 2048, text);
        assert_int_equal(store_hdrs_set(&o.hdrs, HDR, text), 0);
        snprintf(text, sizeof(text), "others %u", sequence);
        assert_int_equal(memstore_put(p.x.store, "k", text, strlen(text), &o.hdrs, NULL), 0);
        store_obj_done(&o);
    }
}

/* The first version, by us: its list has one mark. */
static struct data_file *first(struct store_obj *ret)
{
    struct data_file *f = up_new(&p, "k", 1000, 1);
    up_commit_ok(&p, "k", f, STORE_IF_ABSENT, NULL);
    *ret = there();
    return f;
}

static void list_is_carried_on(void **state)
{
    (void)state;
    struct store_obj o, now;
    struct data_file *f = first(&o);
    struct marks old, list;
    list_of("k", &old);
    assert_int_equal(old.n, 1);
    assert_false(old.is_cut);
    for (unsigned i = 2; i <= 20; i++) {
        assert_int_equal(data_write(f, 5, "x", 1), 0);
        uint64_t change = data_change(f);
        assert_int_equal(commit_change(f, &o, &now), 0);
        data_committed(f, "k", &now, change);
        list_of("k", &list);
        assert_int_equal(list.n, i < MARKS_MAX ? i : MARKS_MAX);
        assert_int_equal(list.is_cut, i > MARKS_MAX);
        for (unsigned k = 1; k < list.n; k++)
            assert_string_equal(list.v[k], old.v[k - 1]);
        old = list;
        store_obj_done(&o);
        o = now;
    }
    store_obj_done(&o);
    data_file_unref(f);
}

/* S3's 2,048 bytes: other tools' metadata stays, the oldest marks go. */
static void list_fits_the_metadata(void **state)
{
    (void)state;
    char big[1900], text[MARKS_TEXT];
    struct marks list, base = {.n = 2, .v = {"ab.2", "ab.1"}};
    memset(big, 'v', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    struct store_obj o, now;
    struct data_file *f = first(&o);
    others_write(3);
    store_obj_done(&o);
    o = there();
    struct store_obj b = {.etag = o.etag, .size = o.size};
    assert_int_equal(data_rebase(f, &b), 0);
    assert_int_equal(store_hdrs_set(&o.hdrs, "x-amz-meta-note", big), 0);
    assert_int_equal(data_write(f, 0, "x", 1), 0);
    assert_int_equal(commit_change(f, &o, &now), 0);
    assert_string_equal(store_hdrs_get(&now.hdrs, "x-amz-meta-note"), big);
    size_t used = 0;
    for (size_t i = 0; i < now.hdrs.n; i++)
        if (strncmp(now.hdrs.v[i].name, STORE_USER_META, strlen(STORE_USER_META)) == 0)
            used += strlen(now.hdrs.v[i].name) + strlen(now.hdrs.v[i].value);
    assert_true(used <= 2048);
    list_of("k", &list);
    assert_true(list.n >= 1 && list.n < 5);
    assert_true(list.is_cut);
    marks_format("cd.3", &base, 0, text);
    assert_string_equal(text, "cd.3,~");
    marks_format("cd.3", &base, 11, text);
    assert_string_equal(text, "cd.3,ab.2,~");
    marks_format("cd.3", &base, 100, text);
    assert_string_equal(text, "cd.3,ab.2,ab.1");
    store_obj_done(&o);
    store_obj_done(&now);
    data_file_unref(f);
}

static void what_is_no_list(void **state)
{
    (void)state;
    static const char *const bad[] = {"garbage", "ab", "ab.", ".1", "AB.1", "ab.1 ab.2", "ab.1;", "~"};
    struct marks m;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        marks_parse(bad[i], &m);
        assert_true(m.is_cut);
        assert_false(marks_have(&m, "ab.2"));
    }
    marks_parse(NULL, &m);
    assert_true(m.n == 0 && !m.is_cut);
    marks_parse("", &m);
    assert_true(m.n == 0 && !m.is_cut);
}

struct meddler {
    unsigned n;
    bool is_done;
};

/* Before the HEAD that looks. */
static void meddle(void *arg, struct store *s, const struct store_req *req, int result)
{
    struct meddler *m = arg;
    (void)s;
    (void)result;
    if (req->op != STORE_HEAD || m->is_done)
        return;
    m->is_done = true;
    others_write(m->n);
}

/* The PUT ends with `reply`, took effect or not, and others write before we look. */
static int commit_in_doubt(struct data_file *f, const struct store_obj *base, bool is_lost, int reply,
                           unsigned others, struct store_obj *now)
{
    struct meddler m = {.n = others};
    if (is_lost)
        memstore_lose(p.x.store, STORE_PUT, 1, 1, reply);
    else
        memstore_fail(p.x.store, STORE_PUT, 1, 1, reply);
    memstore_set_hooks(p.x.store, meddle, NULL, &m);
    int r = commit_change(f, base, now);
    memstore_set_hooks(p.x.store, NULL, NULL, NULL);
    memstore_clear_faults(p.x.store);
    return r;
}

static void others_on_top_of_a_lost_success(void **state)
{
    (void)state;
    static const int replies[] = {STORE_PRECONDITION, -EIO, -ETIMEDOUT};
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct store_obj base, now, o;
        struct data_file *f = first(&base);
        assert_int_equal(data_write(f, 0, "mine", 4), 0);
        memstore_count_reset(p.x.store);
        assert_int_equal(commit_in_doubt(f, &base, true, replies[i], 3, &now), UPLOAD_LANDED);
        assert_int_equal(up_count(&p, STORE_PUT), 1);
        o = there();
        assert_true(store_etag_equal(&o.etag, &now.etag));
        store_obj_done(&o);
        store_obj_done(&now);
        store_obj_done(&base);
        data_file_unref(f);
        memstore_delete(p.x.store, "k");
    }
}

static void others_instead_of_a_lost_request(void **state)
{
    (void)state;
    struct store_obj base, now;
    struct data_file *f = first(&base);
    assert_int_equal(data_write(f, 0, "mine", 4), 0);
    assert_int_equal(commit_in_doubt(f, &base, false, -EIO, 3, &now), UPLOAD_CHANGED);
    assert_true(now.size < 20); /* theirs */
    store_obj_done(&now);
    store_obj_done(&base);
    data_file_unref(f);
}

/* A list that no longer reaches back proves nothing: never a second write, however often it is tried. */
static void pushed_out_is_an_error(void **state)
{
    (void)state;
    for (int is_lost = 0; is_lost < 2; is_lost++) {
        struct store_obj base, now, before, after;
        struct data_file *f = first(&base);
        assert_int_equal(data_write(f, 0, "mine", 4), 0);
        assert_int_equal(commit_in_doubt(f, &base, is_lost, -EIO, MARKS_MAX, &now), -EIO);
        before = there();
        assert_int_equal(commit_change(f, &base, &now), -EIO);
        after = there();
        assert_true(store_etag_equal(&before.etag, &after.etag));
        store_obj_done(&before);
        store_obj_done(&after);
        store_obj_done(&base);
        data_file_unref(f);
        memstore_delete(p.x.store, "k");
    }
}

/* Nobody doubts a plain 412: the request that was answered by it did nothing. */
static void without_doubt_any_list_will_do(void **state)
{
    (void)state;
    struct store_obj base, now;
    struct data_file *f = first(&base);
    others_write(MARKS_MAX);
    assert_int_equal(data_write(f, 0, "mine", 4), 0);
    assert_int_equal(commit_change(f, &base, &now), UPLOAD_CHANGED);
    store_obj_done(&now);
    store_obj_done(&base);
    data_file_unref(f);
}

/* The commit failed in doubt, and its retry finds others on top of it: with the same bytes it is done, with more of
 * them nobody can tell which are missing. */
static void retry_finds_others_on_top(void **state)
{
    (void)state;
    for (int writes_more = 0; writes_more < 2; writes_more++) {
        struct store_obj base, now;
        struct data_file *f = first(&base);
        assert_int_equal(data_write(f, 0, "mine", 4), 0);
        memstore_lose(p.x.store, STORE_PUT, 1, 1, -EIO);
        memstore_fail(p.x.store, STORE_HEAD, 1, 1, -EIO);
        assert_int_equal(commit_change(f, &base, &now), -EIO);
        others_write(2);
        if (writes_more)
            assert_int_equal(data_write(f, 4, "more", 4), 0);
        assert_int_equal(commit_change(f, &base, &now), writes_more ? -EIO : UPLOAD_LANDED);
        store_obj_done(&now);
        store_obj_done(&base);
        data_file_unref(f);
        memstore_delete(p.x.store, "k");
    }
}

/* What others made of a commit that succeeded: it is below theirs, or was pushed out of the list; what is no work of
 * ours tells nothing. */
static void others_on_top_of_a_success(void **state)
{
    (void)state;
    struct store_obj now, o, none = {0};
    struct data_file *f = first(&now);
    assert_int_equal(upload_is_below(&now, &none), 0);
    others_write(MARKS_CARRIED);
    o = there();
    assert_int_equal(upload_is_below(&now, &o), 1);
    store_obj_done(&o);
    others_write(1);
    o = there();
    assert_int_equal(upload_is_below(&now, &o), -EIO);
    store_obj_done(&o);
    store_obj_done(&now);
    data_file_unref(f);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(list_is_carried_on),
        T(list_fits_the_metadata),
        T(what_is_no_list),
        T(others_on_top_of_a_lost_success),
        T(others_instead_of_a_lost_request),
        T(pushed_out_is_an_error),
        T(without_doubt_any_list_will_do),
        T(retry_finds_others_on_top),
        T(others_on_top_of_a_success),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
