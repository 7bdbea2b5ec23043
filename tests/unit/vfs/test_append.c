/* SPDX-License-Identifier: Apache-2.0 */
/* Appends from several mounts to one file all arrive, whole, once each, also with lost replies
 * (protocol 2c, 3). */
#include "fs/vfs/internal.h"

#include <pthread.h>

#include "twomounts.h"

static uint64_t open_append(struct rig *r, const char *path)
{
    return open_text(r, path, O_RDWR | O_APPEND | O_CREAT);
}

static void both_ends_meet(void **state)
{
    uint64_t fa, fb;
    char got[64] = "";
    struct stat st;

    (void)state;
    put_text(&a, "log", "base\n");
    fa = open_append(&a, "log");
    fb = open_append(&b, "log");
    write_text(&a, fa, 5, "from a\n");
    write_text(&b, fb, 5, "from b,\n");
    write_text(&b, fb, 5, "twice\n");
    assert_int_equal(rig_shut(&a, fa), 0);
    b.invalidations = 0;
    assert_int_equal(vfs_fsync(b.vfs, fb), 0);
    assert_object("log", "base\nfrom a\nfrom b,\ntwice\n");
    /* who merged has the merged file, and its kernel is told */
    assert_int_equal(b.invalidations, 1);
    assert_int_equal(rig_stat(&b, "log", &st), 0);
    assert_int_equal(st.st_size, 26);
    assert_int_equal(vfs_read(b.vfs, fb, 0, got, sizeof(got)), 26);
    assert_string_equal(got, "base\nfrom a\nfrom b,\ntwice\n");
    write_text(&b, fb, 5, "more\n");
    assert_int_equal(rig_shut(&b, fb), 0);
    assert_int_equal(append_text(&a, "log", "end\n"), 0);
    assert_file(&b, "log", "base\nfrom a\nfrom b,\ntwice\nmore\nend\n");
    assert_int_equal(lost_and_found(&a) + lost_and_found(&b), 0);
}

/* `>> log` on two pods when there is no log yet. */
static void both_make_the_log(void **state)
{
    uint64_t fa, fb;

    (void)state;
    assert_int_equal(rig_creat(&a, "log", O_WRONLY | O_APPEND, 0644, &fa), 0);
    assert_int_equal(rig_creat(&b, "log", O_WRONLY | O_APPEND, 0644, &fb), 0);
    write_text(&a, fa, 0, "a\n");
    write_text(&b, fb, 0, "b\n");
    assert_int_equal(rig_shut(&b, fb), 0);
    write_text(&a, fa, 0, "a again\n");
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_file(&b, "log", "b\na\na again\n");
    assert_file(&a, "log", "b\na\na again\n");
}

/* A log that is kept open: its writer goes on appending however often others look and write. */
static void long_lived_writers(void **state)
{
    uint64_t fa, fb;
    struct stat st;

    (void)state;
    put_text(&a, "log", "");
    fa = open_append(&a, "log");
    fb = open_append(&b, "log");
    for (int k = 0; k < 5; k++) {
        write_text(&a, fa, 0, "a");
        assert_int_equal(vfs_fsync(a.vfs, fa), 0);
        clock_fake_add(100 * NS_PER_S);
        assert_int_equal(rig_stat(&b, "log", &st), 0); /* a new node: b's handle has read nothing */
        write_text(&b, fb, 0, "b");
        assert_int_equal(vfs_fsync(b.vfs, fb), 0);
        clock_fake_add(100 * NS_PER_S);
        assert_int_equal(rig_stat(&a, "log", &st), 0);
    }
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_int_equal(rig_shut(&b, fb), 0);
    assert_file(&a, "log", "ababababab");
    assert_file(&b, "log", "ababababab");
}

/* Header fields rewritten in place, records appended. */
static void appends_beside_ranges(void **state)
{
    uint64_t fa, fb;

    (void)state;
    put_text(&a, "f", "[n=0]");
    fa = open_append(&a, "f");
    fb = open_text(&a, "f", O_WRONLY);
    write_text(&a, fa, 0, "mine");
    write_text(&a, fb, 3, "1");
    assert_int_equal(append_text(&b, "f", "theirs"), 0);
    assert_int_equal(rig_shut(&a, fb), 0);
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_file(&b, "f", "[n=1]theirsmine");
}

/* What stands at fixed offsets and was appended too is honest only where the end stayed. */
static void appended_and_rewritten(void **state)
{
    uint64_t fa, fw;

    (void)state;
    put_text(&a, "f", "base");
    fa = open_append(&a, "f");
    fw = open_text(&a, "f", O_WRONLY);
    write_text(&a, fa, 0, "mine");
    write_text(&a, fw, 5, "INE");
    put_text(&b, "f", "BASE"); /* the same length */
    assert_int_equal(vfs_fsync(a.vfs, fa), 0);
    assert_object("f", "BASEmINE");
    write_text(&a, fa, 0, "more");
    write_text(&a, fw, 9, "ORE");
    assert_int_equal(append_text(&b, "f", "theirs"), 0);
    assert_int_equal(rig_shut(&a, fw), -ESTALE);
    assert_int_equal(rig_shut(&a, fa), -ESTALE);
    assert_object("f", "BASEmINEtheirs");
    assert_int_equal(lost_and_found(&a), 1);
}

/* O_TRUNC and O_APPEND: whole until its first commit, an appender from then on. */
static void truncated_log(void **state)
{
    uint64_t fa;

    (void)state;
    put_text(&a, "log", "old");
    fa = open_text(&a, "log", O_WRONLY | O_TRUNC | O_APPEND);
    write_text(&a, fa, 0, "new");
    assert_int_equal(append_text(&b, "log", " lost in the rotation"), 0);
    assert_int_equal(vfs_fsync(a.vfs, fa), 0);
    assert_object("log", "new");
    assert_int_equal(append_text(&b, "log", " b"), 0);
    write_text(&a, fa, 0, " a");
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_object("log", "new b a");
}

/* The end moves also towards the beginning. */
static void theirs_was_cut(void **state)
{
    uint64_t fa;

    (void)state;
    put_text(&a, "log", "a long base");
    fa = open_append(&a, "log");
    write_text(&a, fa, 0, "+mine");
    assert_int_equal(rig_truncate(&b, "log", 6), 0);
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_object("log", "a long+mine");
}

struct once {
    enum store_op op;
    unsigned n;
};

static void *append_some(void *arg)
{
    for (unsigned n = *(unsigned *)arg; n > 0; n--)
        assert_int_equal(append_text(&b, "log", "b"), 0);
    return NULL;
}

/* On a thread of its own: this one holds the other mount's locks. */
static void append_between(void *arg, struct store *s, const struct store_req *req, int result)
{
    struct once *o = arg;
    unsigned n = o->n;
    pthread_t t;

    (void)s;
    (void)result;
    if (req->op != o->op || n == 0)
        return;
    o->n = 0; /* what comes now is not hooked */
    assert_int_equal(pthread_create(&t, NULL, append_some, &n), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
}

/* Protocol 3: our PUT took effect, its reply was lost, and others appended before we looked. */
static void lost_reply_under_others(void **state)
{
    struct once o = {STORE_HEAD, 3};
    uint64_t fa;
    struct stat st;

    (void)state;
    put_text(&a, "log", ".");
    fa = open_append(&a, "log");
    assert_file(&b, "log", ".");
    write_text(&a, fa, 0, "A");
    memstore_lose(a.store, STORE_PUT, 1, 1, -EIO);
    memstore_set_hooks(a.store, append_between, NULL, &o);
    assert_int_equal(vfs_fsync(a.vfs, fa), 0);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    assert_object("log", ".Abbb");
    assert_int_equal(rig_stat(&a, "log", &st), 0);
    assert_int_equal(st.st_size, 5); /* re-read */
    write_text(&a, fa, 0, "A");
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_object("log", ".AbbbA");
}

/* So many that the list does not reach back: EIO and lost+found, never a second append. */
static void lost_reply_pushed_out(void **state)
{
    char *data = NULL;
    unsigned found = 0;
    struct once o = {STORE_HEAD, 20};
    uint64_t fa;

    (void)state;
    put_text(&a, "log", ".");
    fa = open_append(&a, "log");
    write_text(&a, fa, 0, "A");
    memstore_lose(a.store, STORE_PUT, 1, 1, -EIO);
    memstore_set_hooks(a.store, append_between, NULL, &o);
    assert_int_equal(vfs_fsync(a.vfs, fa), -EIO);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    assert_int_equal(vfs_fsync(a.vfs, fa), -EIO);
    assert_int_equal(rig_shut(&a, fa), -EIO);
    assert_int_equal(lost_and_found(&a), 1);
    assert_int_equal(memstore_get(a.store, "log", NULL, &data), 0);
    for (const char *p = data; *p != '\0'; p++)
        found += *p == 'A';
    assert_int_equal(found, 1);
    free(data);
    assert_int_equal(append_text(&a, "log", "next"), 0);
}

/* A merge that can't read the other version leaves all as it was, for the next try. */
static void merge_that_fails(void **state)
{
    uint64_t fa;

    (void)state;
    put_text(&a, "log", "base");
    fa = open_append(&a, "log");
    write_text(&a, fa, 0, "+a");
    assert_int_equal(append_text(&b, "log", "+b"), 0);
    memstore_fail(a.store, STORE_GET, 1, 1, -EACCES);
    assert_int_equal(vfs_fsync(a.vfs, fa), -EACCES);
    assert_object("log", "base+b");
    assert_int_equal(append_text(&b, "log", "+b"), 0);
    assert_int_equal(rig_shut(&a, fa), 0);
    assert_object("log", "base+b+b+a");
}

/* --- who meets others again and again --- */
struct rivals {
    unsigned left; /* of our PUTs that somebody gets before */
    int64_t each_ns;
};

static void *append_one(void *arg)
{
    (void)arg;
    assert_int_equal(append_text(&b, "log", "b"), 0);
    return NULL;
}

static void somebody_is_faster(void *arg, struct store *s, const struct store_req *req, int result)
{
    struct rivals *v = arg;
    unsigned left = v->left;
    pthread_t t;

    (void)s;
    (void)result;
    if (req->op != STORE_PUT || left == 0)
        return;
    v->left = 0; /* theirs is not hooked */
    clock_fake_add(v->each_ns);
    assert_int_equal(pthread_create(&t, NULL, append_one, NULL), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    v->left = left - 1;
}

/* Others got through each time: no reason for an error, however often (a hard mount). */
static void loses_for_long(void **state)
{
    struct rivals v = {500, 0};
    char *data = NULL;
    uint64_t fa;

    (void)state;
    put_text(&a, "log", ".");
    fa = open_append(&a, "log");
    write_text(&a, fa, 0, "A");
    memstore_set_hooks(a.store, somebody_is_faster, NULL, &v);
    assert_int_equal(rig_shut(&a, fa), 0);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    assert_int_equal(v.left, 0);
    assert_int_equal(memstore_get(a.store, "log", NULL, &data), 0);
    assert_int_equal(strlen(data), 502);
    assert_int_equal(data[501], 'A');
    free(data);
}

/* A soft mount's close ends in its time, and what was written is kept. */
static void loses_softly(void **state)
{
    struct rivals v = {500, NS_PER_S};
    struct vfs_conf conf;
    struct rig soft;
    uint64_t fs;

    (void)state;
    rig_defaults(&conf);
    conf.soft_ns = 60 * NS_PER_S;
    assert_int_equal(rig_join(&soft, &a, &conf), 0);
    put_text(&a, "log", ".");
    fs = open_append(&soft, "log");
    write_text(&soft, fs, 0, "S");
    memstore_set_hooks(a.store, somebody_is_faster, NULL, &v);
    assert_int_equal(vfs_fsync(soft.vfs, fs), -EIO);
    assert_int_equal(v.left, 500 - 60);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    assert_int_equal(vfs_fsync(soft.vfs, fs), 0); /* the next one sends it */
    assert_int_equal(rig_shut(&soft, fs), 0);
    assert_int_equal(lost_and_found(&soft), 0);
    rig_close(&soft);
}

/* A commit in doubt whose bytes went to lost+found is none of the next one's business, however much others have written. */
static void given_up_is_in_no_doubt(void **state)
{
    uint64_t fh;

    (void)state;
    put_text(&a, "log", "0");
    fh = open_append(&a, "log");
    write_text(&a, fh, 0, "lost");
    memstore_fail(a.store, STORE_PUT, 1, 1, -ETIMEDOUT);
    memstore_fail(a.store, STORE_HEAD, 1, 1, -EIO);
    assert_true(vfs_flush(a.vfs, &a.ctx, fh) < 0);
    vfs_release(a.vfs, fh);
    assert_int_equal(lost_and_found(&a), 1);
    fh = open_append(&a, "log");
    write_text(&a, fh, 0, "!");
    for (int k = 0; k < 20; k++) /* more than a version's marks tell of */
        assert_int_equal(append_text(&b, "log", "b"), 0);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_object("log", "0bbbbbbbbbbbbbbbbbbbb!");
    assert_int_equal(lost_and_found(&a), 1);
}

/* It came to its end late: what is written after is added to it, as to any other's. */
static void given_up_and_there_after_all(void **state)
{
    uint64_t fh, next;

    (void)state;
    put_text(&a, "log", "0");
    fh = open_append(&a, "log");
    write_text(&a, fh, 0, "late");
    memstore_lose(a.store, STORE_PUT, 1, 1, -ETIMEDOUT);
    memstore_fail(a.store, STORE_HEAD, 1, 1, -EIO);
    assert_true(vfs_flush(a.vfs, &a.ctx, fh) < 0);
    vfs_release(a.vfs, fh);
    next = open_append(&a, "log");
    write_text(&a, next, 0, "!");
    assert_int_equal(rig_shut(&a, next), 0);
    assert_object("log", "0late!");
}

/* --- the history checker --- */
#define MOUNTS 4
#define RECORDS 60

struct writer {
    struct rig rig;
    unsigned id, seed;
    bool keeps_open;
    bool acked[RECORDS];
    pthread_t thread;
};

static void some_fault(struct writer *w)
{
    static const int results[] = {STORE_PRECONDITION, -EIO, -ETIMEDOUT};
    unsigned x = (unsigned)rand_r(&w->seed);

    if (x % 4 == 0)
        memstore_lose(w->rig.store, STORE_PUT, 1 + x / 4 % 2, 1, results[x / 16 % 3]);
    else if (x % 16 == 1)
        memstore_fail(w->rig.store, x / 16 % 2 ? STORE_PUT : STORE_HEAD, 1, 1, -EIO);
}

static int append_record(struct writer *w, uint64_t *fh, const char *text)
{
    struct rig *r = &w->rig;
    ssize_t n;
    int x = 0;

    if (*fh == 0)
        x = rig_open_file(r, "log", O_WRONLY | O_APPEND | O_CREAT, fh);
    if (x < 0)
        return x;
    n = vfs_write(r->vfs, &r->ctx, *fh, 0, text, strlen(text));
    x = w->keeps_open ? vfs_fsync(r->vfs, *fh) : vfs_flush(r->vfs, &r->ctx, *fh);
    if (!w->keeps_open || n < 0 || x < 0) {
        vfs_release(r->vfs, *fh); /* a log that can't be written is opened again */
        *fh = 0;
    }
    return n < 0 ? (int)n : x;
}

static void *write_records(void *arg)
{
    struct writer *w = arg;
    uint64_t fh = 0;
    struct stat st;

    for (unsigned k = 0; k < RECORDS; k++) {
        char text[32];

        snprintf(text, sizeof(text), "%u.%u\n", w->id, k);
        some_fault(w);
        w->acked[k] = append_record(w, &fh, text) == 0;
        if (rand_r(&w->seed) % 3 == 0)
            (void)!rig_stat(&w->rig, "log", &st);
    }
    if (fh != 0)
        vfs_release(w->rig.vfs, fh);
    return NULL;
}

/* Each acknowledged record exactly once, each other at most once, nothing else. */
static void check_history(struct writer *w, char *log)
{
    unsigned seen[MOUNTS][RECORDS] = {{0}}, acked = 0;
    char *save = NULL;

    for (char *line = strtok_r(log, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        unsigned id, k;
        char again[32];

        assert_int_equal(sscanf(line, "%u.%u", &id, &k), 2);
        snprintf(again, sizeof(again), "%u.%u", id, k);
        assert_string_equal(line, again);
        assert_true(id < MOUNTS && k < RECORDS);
        seen[id][k]++;
    }
    for (unsigned id = 0; id < MOUNTS; id++) {
        for (unsigned k = 0; k < RECORDS; k++) {
            if (seen[id][k] > 1 || (w[id].acked[k] && seen[id][k] == 0))
                fail_msg("record %u.%u: acknowledged %d, there %u times", id, k, w[id].acked[k],
                         seen[id][k]);
            acked += w[id].acked[k];
        }
    }
    assert_true(acked > MOUNTS * RECORDS / 4);
    print_message("%u of %u records acknowledged\n", acked, MOUNTS * RECORDS);
}

static void history(bool keeps_open)
{
    static struct writer w[MOUNTS];
    char *log = NULL;

    memset(w, 0, sizeof(w));
    for (unsigned k = 0; k < MOUNTS; k++) {
        assert_int_equal(rig_join(&w[k].rig, &a, NULL), 0);
        w[k].id = k;
        w[k].seed = 77 + k;
        w[k].keeps_open = keeps_open;
    }
    for (unsigned k = 0; k < MOUNTS; k++)
        assert_int_equal(pthread_create(&w[k].thread, NULL, write_records, &w[k]), 0);
    for (unsigned k = 0; k < MOUNTS; k++)
        assert_int_equal(pthread_join(w[k].thread, NULL), 0);
    memstore_clear_faults(a.store);
    assert_int_equal(memstore_get(a.store, "log", NULL, &log), 0);
    check_history(w, log);
    free(log);
    for (unsigned k = 0; k < MOUNTS; k++)
        rig_close(&w[k].rig);
}

static void appends_of_four_mounts(void **state)
{
    (void)state;
    history(false);
}

static void long_lived_logs_of_four_mounts(void **state)
{
    (void)state;
    history(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(both_ends_meet),        T(both_make_the_log),       T(long_lived_writers),
        T(appends_beside_ranges), T(appended_and_rewritten),  T(truncated_log),
        T(theirs_was_cut),        T(lost_reply_under_others), T(lost_reply_pushed_out),
        T(merge_that_fails),      T(loses_for_long),        T(loses_softly),
        T(given_up_is_in_no_doubt), T(given_up_and_there_after_all),
        T(appends_of_four_mounts),  T(long_lived_logs_of_four_mounts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
