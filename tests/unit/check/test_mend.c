/* SPDX-License-Identifier: Apache-2.0 */
/* A check beside mounts that die in the middle of a rename: at each of its requests in turn. And a
 * bucket full of hostile things, in which not one byte of a user's changes. */
#include "tests/unit/vfs/dyingmount.h"

#include "check/check.h"
#include "coord/lockset.h"

#define HOUR_NS (3600 * NS_PER_S)

static struct {
    unsigned n_intents, n_left;
    char last[700];
} told;

static void on_found(void *arg, const struct check_finding *f)
{
    (void)arg;
    told.n_intents += f->kind == CHECK_INTENT;
    told.n_left += f->fate != CHECK_REPAIRED && f->fate != CHECK_NOTE;
    if (f->fate != CHECK_NOTE)
        snprintf(told.last, sizeof(told.last), "%s %s: %s", check_fate_name(f->fate), f->name,
                 f->cause);
}

static void on_sleep(void *arg, int64_t ns)
{
    (void)arg;
    clock_fake_add(ns);
}

static int mend(void *arg)
{
    int left = 1;

    (void)arg;
    for (int i = 0; i < 8 && left > 0; i++)
        left = vfs_mend(b.vfs);
    return left;
}

static void check(bool repair, struct check_result *ret)
{
    const struct check_conf conf = {.prefix = "",
                                    .caps = b.conf.caps,
                                    .repair = repair,
                                    .deep = true,
                                    .older_ns = 24 * HOUR_NS,
                                    .wait_max_ns = 60 * NS_PER_S,
                                    .mend = mend,
                                    .found = on_found,
                                    .sleep = on_sleep};

    memset(&told, 0, sizeof(told));
    assert_int_equal(check_run(&conf, b.store, b.coord, NULL, ret), 0);
}

/* The dead mount's session is renewed no more: every request that it makes ends at the gate. */
static bool dies_in_rename(unsigned k, bool is_dir, bool reply_is_lost)
{
    int r;

    open_both(NULL);
    assert_int_equal(rig_mkdir(&a, "/d", 0755), 0);
    assert_int_equal(rig_put(&a, "/d/f", "of f", 4), 0);
    assert_int_equal(rig_put(&a, "/d/g", "of g", 4), 0);
    a_dies_at(k, reply_is_lost);
    r = is_dir ? rig_rename(&a, "/d", "/e", 0) : rig_rename(&a, "/d/f", "/d/h", 0);
    gate.dies_at = 1;
    gate.reply_is_lost = false;
    return r != 0;
}

static void assert_one_of(const char *one, const char *other, const char *text)
{
    struct stat st;
    bool first = rig_stat(&b, one, &st) == 0;

    assert_int_equal(rig_stat(&b, first ? other : one, &st), -ENOENT);
    assert_text(&b, first ? one : other, text);
}

static void try_all(bool is_dir, bool reply_is_lost)
{
    struct check_result result;
    unsigned k = 1, n_mended = 0;
    bool died = true;

    for (; died; k++) {
        assert_true(k < 200);
        died = dies_in_rename(k, is_dir, reply_is_lost);
        check(false, &result);
        n_mended += told.n_intents;
        check(true, &result);
        if (told.n_left > 0 || result.errors > 0)
            fail_msg("died at %u: %s", k, told.last);
        time_passes();
        check(true, &result);
        if (told.n_intents + told.n_left > 0) /* b's session, which no thread renews, may be */
            fail_msg("died at %u, checked again: %s", k, told.last);
        if (is_dir) {
            assert_one_of("/d/f", "/e/f", "of f");
            assert_one_of("/d/g", "/e/g", "of g");
        } else {
            assert_one_of("/d/f", "/d/h", "of f");
            assert_text(&b, "/d/g", "of g");
        }
        close_both();
    }
    assert_true(n_mended > 0); /* not every death was before or after all of it */
}

static void test_file_rename(void **state)
{
    (void)state;
    try_all(false, false);
    try_all(false, true);
}

static void test_directory_rename(void **state)
{
    (void)state;
    try_all(true, false);
    try_all(true, true);
}

/* --- nothing of a user's is touched --- */

struct object {
    char *key, *data;
    struct store_obj obj;
};
struct objects {
    struct object v[128];
    size_t n;
};

static void read_all(struct objects *ret)
{
    struct store_req req = {.op = STORE_LIST, .prefix = ""};
    struct store_rsp rsp = {0};

    ret->n = 0;
    assert_int_equal(store_call(b.store, &req, &rsp), 0);
    assert_null(rsp.list.next);
    for (size_t i = 0; i < rsp.list.n; i++) {
        struct object *o = &ret->v[ret->n];
        const char *key = rsp.list.v[i].key;

        if (strncmp(key, ".s3efs/", 7) == 0 && strncmp(key, ".s3efs/lost+found/", 18) != 0)
            continue;
        ret->n++;
        assert_true(ret->n <= ARRAY_LEN(ret->v));
        *o = (struct object){.key = strdup(key)};
        assert_int_equal(memstore_get(b.store, key, &o->obj, &o->data), 0);
    }
    store_rsp_done(&rsp);
}

static void free_all(struct objects *all)
{
    for (size_t i = 0; i < all->n; i++) {
        free(all->v[i].key);
        free(all->v[i].data);
        store_obj_done(&all->v[i].obj);
    }
}

static void assert_same(const struct objects *x, const struct objects *y)
{
    assert_int_equal(x->n, y->n);
    for (size_t i = 0; i < x->n; i++) {
        const struct object *o = &x->v[i], *p = &y->v[i];

        assert_string_equal(o->key, p->key);
        assert_string_equal(o->obj.etag.s, p->obj.etag.s);
        assert_int_equal(o->obj.mtime_ns, p->obj.mtime_ns);
        assert_int_equal(o->obj.size, p->obj.size);
        assert_memory_equal(o->data, p->data, o->obj.size);
        assert_int_equal(o->obj.hdrs.n, p->obj.hdrs.n);
        for (size_t h = 0; h < o->obj.hdrs.n; h++) {
            assert_string_equal(o->obj.hdrs.v[h].name, p->obj.hdrs.v[h].name);
            assert_string_equal(o->obj.hdrs.v[h].value, p->obj.hdrs.v[h].value);
        }
    }
}

#define NONCE "nonce 0123456789abcdef0123456789abcdef\n"
#define EVIL "e0e1e2e3e4e5e6e7e8e9eaebecedeeef"

static void put_record(const char *name, const char *body)
{
    char key[256], text[8192];

    snprintf(key, sizeof(key), ".s3efs/%s", name);
    snprintf(text, sizeof(text), "%s" NONCE, body);
    foreign_put(key, text);
}

/* An intent that nobody's mount wrote, for a key that is a user's. */
static void put_intent(const char *from, const char *to, const char *etag, enum intent_state state,
                       bool is_dir)
{
    struct intent i = {.state = state, .is_dir = is_dir, .mark = "0123456789abcdef"};
    _cleanup_buf_ struct buf text = BUF_INIT(16384);
    char name[INTENT_NAME_SIZE];

    memcpy(i.session, EVIL, sizeof(EVIL));
    snprintf(i.source.s, sizeof(i.source.s), "%s", is_dir ? "" : etag);
    snprintf(i.from, sizeof(i.from), "%s", from);
    snprintf(i.to, sizeof(i.to), "%s", to);
    intent_name(from, is_dir, name);
    intent_format(&i, &text);
    put_record(name, buf_str(&text));
}

static void put_hostile_keys(void)
{
    static const char *const keys[] = {
        "a//b",
        "/lead",
        "dot/./x",
        "dots/../x",
        "dots2/..",
        "file",
        "file/x",
        "marker/",
        "x\ny",
        "\x1b[31mred",
        "quote\"\\",
        "sessions/" EVIL,
        "locks/x",
        "probe/0123456789abcdef/put",
        "intents/dirs/x",
        "links/" EVIL,
        "s3efs/root",
        "victim",
        "victim2",
        "vdir/f",
        "vdir/g",
        "wdir/f",
        ".s3efs.txt",
        ".s3efs-not/x",
        ".s3efs/lost+found/bytes",
        ".s3efs/lost+found/probe/x",
    };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        foreign_put(keys[i], keys[i]);
}

static void put_hostile_records(void)
{
    put_record("sessions/" EVIL, "live 30000\n");
    put_record("locks/../../victim", EVIL " posix write 0 -\n");
    put_record("locks/" EVIL, EVIL " posix write 0 -\n");
    put_record("reservations/victim", "session " EVIL "\nkey victim\n");
    put_record("links/" EVIL, "generation 3\nbytes victim\nmember victim\nmember victim2\n");
    put_record("intents/not-its-hash", "rename file source\nstate copied\n");
    foreign_put(".s3efs/probe/0123456789abcdef/../../../victim", "x");
    foreign_put(".s3efs/locks/binary", "\x01\x02\xff\xfe");
    put_intent("victim", "new", "not-its-etag", INTENT_COPIED, false);
    put_intent("victim2", "file", "not-its-etag", INTENT_CLAIMED, false);
    put_intent("nothing", "victim", "e", INTENT_CLAIMED, false);
    put_intent("vdir/", "wdir/", "", INTENT_CLAIMED, true);
}

static void test_no_object_of_a_user_is_touched(void **state)
{
    struct check_result result;
    struct objects before, after;

    (void)state;
    open_both(NULL);
    assert_int_equal(rig_put(&b, "/ours", "written by a mount", 18), 0);
    assert_int_equal(rig_link(&b, "/ours", "/ours-too"), 0);
    put_hostile_keys();
    put_hostile_records();
    read_all(&before);
    assert_true(before.n > 20);
    for (int i = 0; i < 3; i++) {
        clock_fake_add(30 * 24 * HOUR_NS); /* everything is old */
        check(true, &result);
        read_all(&after);
        assert_same(&before, &after);
        free_all(&after);
    }
    assert_true(result.findings > 5);
    free_all(&before);
    close_both();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_rename),
        cmocka_unit_test(test_directory_rename),
        cmocka_unit_test(test_no_object_of_a_user_is_touched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
