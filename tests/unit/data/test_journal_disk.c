/* SPDX-License-Identifier: Apache-2.0 */
/* Journaled files on a bad disk (tests/lib/baddisk.h). A file is written, cut, zeroed and journaled at random; whatever a
 * power loss leaves has each acknowledged version as it was, never half of a later one. S3EFS_SEED, S3EFS_RUNS. */
#include "fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include "baddisk.h"
#include "base/str.h"

#define MAX_SIZE 60000u
#define BASE_SIZE 30000u
#define OPS 70u
#define VERSIONS OPS

struct version {
    uint64_t seq;
    size_t put_at, gone_from; /* steps of the disk, as in tests/unit/cache/test_power.c; 0: never */
    struct data_state state;
    char *bytes;
    size_t size;
};

struct life {
    char scratch[64], dir[80];
    struct fx x;
    struct journal *j;
    struct store_obj base;
    bool has_base;
    uint64_t random;
    struct version v[VERSIONS];
    unsigned n;
};

static int open_at(struct fx *x, const char *dir, struct journal **j)
{
    struct cache_conf conf = {.dir = dir, .source = "mem://bucket"};
    int r = cache_new(&conf, &x->cache);
    if (r == 0)
        r = cache_start(x->cache);
    if (r == 0)
        r = journal_open(x->cache, j);
    if (r == 0)
        r = data_new(&x->conf, x->store, x->cache, &x->data);
    return r;
}

static void close_at(struct fx *x, struct journal *j)
{
    data_free(x->data);
    journal_close(j);
    cache_stop(x->cache);
    cache_free(x->cache);
    x->data = NULL;
    x->cache = NULL;
}

static void life_begin(struct life *l, uint64_t seed)
{
    *l = (struct life){.random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .has_base = seed % 2 == 0};
    strcpy(l->scratch, access("/dev/shm", W_OK) == 0 ? "/dev/shm/s3efs-XXXXXX" : "/tmp/s3efs-XXXXXX");
    assert_non_null(mkdtemp(l->scratch));
    snprintf(l->dir, sizeof(l->dir), "%s/cache", l->scratch);
    assert_int_equal(mkdir(l->dir, 0700), 0);
    assert_int_equal(memstore_new(NULL, &l->x.store), 0);
    baddisk_watch(l->dir, true);
    baddisk_quick_syncs(true);
    assert_int_equal(open_at(&l->x, l->dir, &l->j), 0);
    if (l->has_base)
        l->base = fx_put(&l->x, "k", BASE_SIZE, 1);
}

static void life_end(struct life *l)
{
    for (unsigned i = 0; i < l->n; i++) {
        data_state_done(&l->v[i].state);
        free(l->v[i].bytes);
    }
    store_stop(l->x.store);
    store_free(l->x.store);
    baddisk_unwatch();
    fx_remove_tree(l->scratch);
}

/* Every third replaces the one before it. */
static void journal_it(struct life *l, struct data_file *f, const char *bytes, size_t size)
{
    struct version *v = &l->v[l->n], *before = l->n % 3 == 2 ? v - 1 : NULL;
    v->bytes = malloc(size + 1);
    assert_non_null(v->bytes);
    memcpy(v->bytes, bytes, size);
    v->size = size;
    assert_int_equal(data_state_get(f, &v->state), 0);
    if (before)
        before->gone_from = baddisk_position() + 1;
    int r = data_journal(f, l->j, &l->n, sizeof(l->n), before ? before->seq : 0, &v->seq);
    if (r != 0)
        fail_msg("data_journal: %d %s", r, err_text());
    v->put_at = baddisk_position();
    l->n++;
}

static void change(struct life *l, struct data_file *f, char *bytes, size_t *size)
{
    uint64_t what = fx_random(&l->random) % 8, off = fx_random(&l->random) % (*size + 1000);
    size_t len = 1 + fx_random(&l->random) % 5000;
    char buf[5001];
    if (what == 0) { /* cut, or grow */
        len = fx_random(&l->random) % MAX_SIZE;
        assert_int_equal(data_truncate(f, len), 0);
        memset(bytes + (len < *size ? len : *size), 0, MAX_SIZE - (len < *size ? len : *size));
        *size = len;
        return;
    }
    if (what < 3) /* append */
        off = *size;
    if (off + len > MAX_SIZE)
        return;
    if (what == 3) {
        assert_int_equal(data_zero(f, off, len, false), 0);
        memset(bytes + off, 0, len);
    } else {
        fx_fill(buf, off, len, (unsigned)fx_random(&l->random));
        assert_int_equal(data_write(f, off, buf, len), 0);
        memcpy(bytes + off, buf, len);
    }
    if (off + len > *size)
        *size = off + len;
}

static void live(struct life *l)
{
    char *bytes = calloc(1, MAX_SIZE);
    size_t size = l->has_base ? BASE_SIZE : 0;
    assert_non_null(bytes);
    if (l->has_base)
        fx_fill(bytes, 0, BASE_SIZE, 1);
    struct data_file *f = fx_file(&l->x, "k", l->has_base ? &l->base : NULL);
    for (unsigned i = 0; i < OPS; i++) {
        change(l, f, bytes, &size);
        if (fx_random(&l->random) % 3 == 0)
            journal_it(l, f, bytes, size);
    }
    fx_expect(f, bytes, size);
    data_file_unref(f);
    free(bytes);
    close_at(&l->x, l->j);
}

struct seen {
    struct life *l;
    struct journal *j;
    bool there[VERSIONS];
};

static int see(void *arg, uint64_t seq, const void *rec, size_t len, bool has_file)
{
    struct seen *s = arg;
    struct cache_stage *stage = NULL;
    struct data_file *f = NULL;
    unsigned n;
    assert_int_equal(len, sizeof(n));
    memcpy(&n, rec, sizeof(n));
    const struct version *v = &s->l->v[n];
    assert_int_equal(seq, v->seq);
    if (has_file)
        assert_int_equal(journal_stage(s->j, seq, &stage), 0);
    int r = data_file_restore(s->l->x.data, "k", s->l->has_base ? &s->l->base : NULL, stage, &v->state, &f);
    if (r != 0)
        fail_msg("restore of version %u: %d %s", n, r, err_text());
    fx_expect(f, v->bytes, v->size);
    data_file_unref(f);
    s->there[n] = true;
    return 0;
}

static void check_after(struct life *l, const char *dir, size_t at)
{
    struct seen s = {.l = l};
    char state[160];
    snprintf(state, sizeof(state), "%s/state", dir); /* it would say: this boot */
    (void)unlink(state);
    int r = open_at(&l->x, dir, &s.j);
    if (r != 0)
        fail_msg("start after step %zu: %d %s", at, r, err_text());
    assert_int_equal(journal_each(s.j, see, &s), 0);
    for (unsigned n = 0; n < l->n; n++) {
        const struct version *v = &l->v[n];
        if (v->put_at <= at && (v->gone_from == 0 || v->gone_from > at + 1) && !s.there[n])
            fail_msg("version %u was acknowledged and is missing after step %zu", n, at);
    }
    close_at(&l->x, s.j);
}

static uint64_t number_of(const char *name, uint64_t fallback)
{
    uint64_t n;
    const char *s = getenv(name);
    return s && str_u64(s, 10, &n) == 0 ? n : fallback;
}

static void test_power(void **state)
{
    uint64_t seed = number_of("S3EFS_SEED", 1), runs = number_of("S3EFS_RUNS", 6), states = 0;
    (void)state;
    for (uint64_t run = 0; run < runs; run++) {
        static struct life l;
        char dir[128];
        life_begin(&l, seed + run);
        live(&l);
        assert_true(l.n > 5);
        struct baddisk_replay *r = baddisk_replay_new();
        size_t steps = baddisk_position();
        for (size_t at = l.v[0].put_at; at <= steps; at += 1 + steps / 40) {
            snprintf(dir, sizeof(dir), "%s/after", l.scratch);
            baddisk_crash(r, at, (seed + run) * 1000 + at, dir);
            check_after(&l, dir, at);
            fx_remove_tree(dir);
            states++;
        }
        baddisk_replay_free(r);
        life_end(&l);
    }
    print_message("%u states after a power loss\n", (unsigned)states);
}

/* --- failures --- */

static int fail_bytes(void *arg, const char *path)
{
    (void)arg;
    return strncmp(path, "stage/", 6) == 0 ? EIO : 0;
}

/* After a sync that failed the staged file is not trusted: the next try journals a copy. */
static void test_sync_fails_once(void **state)
{
    static struct life l;
    struct data_state st;
    char bytes[5000];
    uint64_t seq;
    (void)state;
    life_begin(&l, 1);
    fx_fill(bytes, 0, sizeof(bytes), 3);
    struct data_file *f = fx_file(&l.x, "k", NULL);
    assert_int_equal(data_write(f, 0, bytes, sizeof(bytes)), 0);
    baddisk_on_sync(fail_bytes, NULL);
    assert_int_equal(data_journal(f, l.j, "r", 1, 0, &seq), -EIO);
    baddisk_on_sync(NULL, NULL);
    assert_int_equal(data_state_get(f, &st), 0);
    assert_int_equal(data_journal(f, l.j, "r", 1, 0, &seq), 0);
    struct cache_stage *stage;
    assert_int_equal(journal_stage(l.j, seq, &stage), 0);
    struct data_file *again;
    assert_int_equal(data_file_restore(l.x.data, "k", NULL, stage, &st, &again), 0);
    fx_expect(again, bytes, sizeof(bytes));
    data_file_unref(again);
    data_file_unref(f);
    data_state_done(&st);
    close_at(&l.x, l.j);
    life_end(&l);
}

/* Each call to the disk for the copy that an overwrite needs fails in turn: the write says so, nothing has changed. */
static void test_no_room_for_a_copy(void **state)
{
    static struct life l;
    char bytes[5000];
    uint64_t seq, n = 0;
    (void)state;
    life_begin(&l, 1);
    fx_fill(bytes, 0, sizeof(bytes), 3);
    struct data_file *f = fx_file(&l.x, "k", NULL);
    assert_int_equal(data_write(f, 0, bytes, sizeof(bytes)), 0);
    assert_int_equal(data_journal(f, l.j, "r", 1, 0, &seq), 0);
    int r;
    baddisk_here(true);
    do {
        baddisk_fail(++n, EIO, false);
        r = data_write(f, 10, "xyz", 3);
        baddisk_fail(0, 0, false);
        assert_true(r == 0 || (r == -EIO && err_text()[0] != '\0'));
        if (r == 0)
            memcpy(bytes + 10, "xyz", 3);
        fx_expect(f, bytes, sizeof(bytes));
    } while (r != 0);
    baddisk_here(false);
    assert_true(n >= 3); /* a new file, its size, its bytes */
    data_file_unref(f);
    close_at(&l.x, l.j);
    life_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power),
        cmocka_unit_test(test_sync_fails_once),
        cmocka_unit_test(test_no_room_for_a_copy),
    };
    return cmocka_run_group_tests_name("data/journal_disk", tests, NULL, NULL);
}
