/* SPDX-License-Identifier: Apache-2.0 */
/* Who looks the names of a directory up in its order is ahead of his questions: how many HEADs are
 * under way at once, that none is sent twice, what one costs who is no walker or stops, and that no
 * answer is used that the lookup itself could not have had. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fs/vfs/listroom.h"
#include "tests/lib/memstore.h"
#include "tests/lib/rig.h"

#define FILES 100
#define THREADS 48

static struct rig rig;
static struct store *store;
static struct meter *meter;
static struct vfs_entry d; /* known to the kernel all the time, as whose current directory it is */

/* HEADs of "d/fNNN", by NNN, and those that the gate holds. */
static struct {
    pthread_mutex_t lk;
    pthread_cond_t opened;
    bool is_shut;
    unsigned held, n, of[FILES];
} gate = {.lk = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};

static int number_of(const struct store_req *req)
{
    const char *name = req->key != NULL ? strrchr(req->key, '/') : NULL;
    int n;

    return req->op == STORE_HEAD && name != NULL && sscanf(name, "/f%d", &n) == 1 && n < FILES ? n
                                                                                               : -1;
}

static void hold(void *arg, struct store *s, const struct store_req *req, int result)
{
    int n = number_of(req);

    (void)arg;
    (void)s;
    (void)result;
    if (n < 0)
        return;
    pthread_mutex_lock(&gate.lk);
    gate.n++;
    gate.of[n]++;
    gate.held++;
    while (gate.is_shut)
        pthread_cond_wait(&gate.opened, &gate.lk);
    gate.held--;
    pthread_mutex_unlock(&gate.lk);
}

static void shut(bool is_shut)
{
    pthread_mutex_lock(&gate.lk);
    gate.is_shut = is_shut;
    pthread_cond_broadcast(&gate.opened);
    pthread_mutex_unlock(&gate.lk);
}

static unsigned now_of(const unsigned *p)
{
    unsigned n;

    pthread_mutex_lock(&gate.lk);
    n = *p;
    pthread_mutex_unlock(&gate.lk);
    return n;
}

/* However slow the machine is. */
static void wait_for(const unsigned *p, unsigned n)
{
    for (int i = 0; i < 120000 && now_of(p) != n; i++)
        usleep(1000);
    assert_int_equal(now_of(p), n);
}

static void begin(const struct vfs_conf *conf, unsigned threads)
{
    char key[16];

    gate.is_shut = false;
    gate.held = gate.n = 0;
    memset(gate.of, 0, sizeof(gate.of));
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    meter = meter_new();
    assert_non_null(meter);
    assert_int_equal(memstore_new(meter, &store), 0);
    if (threads > 0)
        assert_int_equal(memstore_set_async(store, threads), 0);
    for (int n = 0; n < FILES; n++) {
        snprintf(key, sizeof(key), "d/f%03d", n);
        assert_int_equal(memstore_put(store, key, "one", 3, NULL, NULL), 0);
    }
    clock_fake_add(10 * NS_PER_S);
    memstore_set_hooks(store, hold, NULL, NULL);
    assert_int_equal(rig_open_on(&rig, store, conf), 0);
    assert_int_equal(rig_walk(&rig, "d", &d), 0);
}

static int end(void **state)
{
    (void)state;
    vfs_forget(rig.vfs, d.node, 1);
    rig_close(&rig);
    store_stop(store);
    store_free(store);
    meter_free(meter);
    clock_fake_off();
    return 0;
}

static int begin_plain(void **state)
{
    (void)state;
    begin(NULL, 0);
    return 0;
}

static int begin_parallel(void **state)
{
    (void)state;
    begin(NULL, THREADS);
    return 0;
}

static int begin_always(void **state)
{
    struct vfs_conf conf;

    (void)state;
    rig_defaults(&conf);
    conf.lookup_always = true;
    begin(&conf, 0);
    return 0;
}

static void list(void)
{
    char names[FILES * 5 + 1];

    assert_int_equal(rig_ls(&rig, "d", names, sizeof(names)), 0);
}

static int64_t size_of(int n)
{
    struct stat st;
    char path[16];
    int r;

    snprintf(path, sizeof(path), "d/f%03d", n);
    r = rig_stat(&rig, path, &st);
    return r < 0 ? r : st.st_size;
}

static void walk(int from, int to)
{
    for (int n = from; n <= to; n++)
        assert_int_equal(size_of(n), 3);
}

static void *stat_21(void *arg)
{
    *(int64_t *)arg = size_of(21);
    return NULL;
}

static void many_at_once_and_each_one_time(void **state)
{
    pthread_t t;
    int64_t size = -1;

    (void)state;
    list();
    walk(0, 4); /* 5 to 20 are asked for, 16 names */
    wait_for(&gate.n, 21);
    wait_for(&gate.held, 0);
    shut(true);
    walk(5, 20); /* their answers are there; so many are under way now: */
    wait_for(&gate.held, 32);
    assert_int_equal(pthread_create(&t, NULL, stat_21, &size), 0); /* joins the HEAD for 21, and
                                                                       53 is asked for */
    wait_for(&gate.held, 33);
    assert_int_equal(now_of(&gate.of[21]), 1);
    shut(false);
    pthread_join(t, NULL);
    assert_int_equal(size, 3);
    walk(22, FILES - 1);
    wait_for(&gate.held, 0);
    for (int n = 0; n < FILES; n++)
        assert_int_equal(now_of(&gate.of[n]), 1);
}

/* `ls -l | head` is answered for what it asks, and for a window more. */
static void who_stops_wastes_a_window(void **state)
{
    (void)state;
    list();
    walk(0, 0);
    assert_int_equal(gate.n, 1);
    walk(1, 1);
    assert_int_equal(gate.n, 4);
    walk(2, 9);
    assert_int_equal(gate.n, 10 + 32);
}

static void who_is_no_walker_pays_for_himself(void **state)
{
    static const int some[] = {50, 10, 70, 30, 31 + 3, 20, 99, 0};

    (void)state;
    list();
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++)
        walk(some[i], some[i]);
    assert_int_equal(gate.n, sizeof(some) / sizeof(some[0]));
}

static void what_was_not_read_is_not_walked(void **state)
{
    (void)state;
    walk(0, 9);
    assert_int_equal(gate.n, 10);
    list();
    clock_fake_add(31 * NS_PER_S); /* acdirmin */
    walk(20, 29);
    assert_int_equal(gate.n, 20);
}

/* Two in one directory, at different places. */
static void two_walkers(void **state)
{
    (void)state;
    list();
    for (int n = 0; n < 20; n++) {
        walk(n, n);
        walk(60 + n, 60 + n);
    }
    for (int n = 0; n < 20; n++) {
        assert_int_equal(gate.of[n], 1);
        assert_int_equal(gate.of[60 + n], 1);
    }
    assert_int_equal(gate.n, 40 + 32 + 20);
}

static void foreign(int n, const char *text)
{
    char key[16];

    snprintf(key, sizeof(key), "d/f%03d", n);
    assert_int_equal(memstore_put(store, key, text, strlen(text), NULL, NULL), 0);
}

/* acregmin counts from when the HEAD was sent, not from when somebody came for it. */
static void an_answer_is_as_old_as_its_question(void **state)
{
    (void)state;
    list();
    walk(0, 1); /* and 2 and 3 */
    foreign(2, "longer");
    foreign(3, "longer");
    clock_fake_add(2 * NS_PER_S);
    walk(2, 2);
    assert_int_equal(gate.of[2], 1);
    clock_fake_add(NS_PER_S);
    assert_int_equal(size_of(2), 6);
    assert_int_equal(size_of(3), 6);
    assert_int_equal(gate.of[2], 2);
    assert_int_equal(gate.of[3], 2);
}

static void an_old_answer_is_not_waited_for(void **state)
{
    (void)state;
    list();
    walk(0, 1);
    clock_fake_add(3 * NS_PER_S);
    foreign(2, "longer");
    assert_int_equal(size_of(2), 6);
    assert_int_equal(gate.of[2], 2);
}

/* That a name is gone is found out by who asks for it, at that moment. */
static void that_nothing_is_there_is_not_believed(void **state)
{
    (void)state;
    list();
    memstore_delete(store, "d/f002");
    walk(0, 1);
    assert_int_equal(gate.of[2], 1);
    foreign(2, "longer");
    assert_int_equal(size_of(2), 6);
    assert_int_equal(gate.of[2], 2);
    memstore_delete(store, "d/f010");
    walk(3, 9);
    assert_int_equal(size_of(10), -ENOENT);
}

static void a_failed_one_is_asked_again(void **state)
{
    (void)state;
    list();
    walk(0, 0);
    memstore_fail(store, STORE_HEAD, 1, 1, -EIO); /* of 2, which comes before that of 1 */
    walk(1, 1);
    memstore_clear_faults(store);
    walk(2, 9);
    assert_int_equal(gate.of[2], 2);
    for (int n = 3; n < 10; n++)
        assert_int_equal(gate.of[n], 1);
}

/* What was asked under the old name says nothing of who has it now. */
static void the_directory_is_renamed(void **state)
{
    unsigned before;

    (void)state;
    list();
    walk(0, 1);
    assert_int_equal(rig_rename(&rig, "d", "e", 0), 0);
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    foreign(2, "longer");
    before = gate.of[2];
    assert_int_equal(size_of(2), 6);
    assert_true(gate.of[2] > before);
}

/* Opened, and found to be gone: the HEAD from before is no news. */
static void seen_to_be_gone(void **state)
{
    struct vfs_entry e;
    uint64_t fh;
    bool keeps;

    (void)state;
    list();
    assert_int_equal(rig_walk(&rig, "d/f002", &e), 0);
    clock_fake_add(5 * NS_PER_S);
    list();
    walk(0, 1); /* and 2, known here as it is */
    assert_int_equal(gate.of[2], 2);
    memstore_delete(store, "d/f002");
    assert_true(vfs_open(rig.vfs, &rig.ctx, e.node, O_RDONLY, &fh, &keeps) < 0);
    assert_int_equal(size_of(2), -ENOENT);
    vfs_forget(rig.vfs, e.node, 1);
}

static int keep_node(void *arg, const char *name, const struct vfs_entry *e, uint64_t next)
{
    uint64_t *node = arg;

    (void)next;
    if (strcmp(name, "f002") == 0)
        *node = e->node;
    else if (e->node != 0)
        vfs_forget(rig.vfs, e->node, 1);
    return 0;
}

/* The same where the name became known here, by a listing, after the HEAD was sent. */
static void listed_and_seen_to_be_gone(void **state)
{
    uint64_t node = 0;
    uint64_t fh;
    bool keeps;

    (void)state;
    assert_int_equal(size_of(2), 3);
    list();
    clock_fake_add(5 * NS_PER_S);
    walk(0, 1);
    assert_int_equal(gate.of[2], 2);
    assert_int_equal(rig_mkdir(&rig, "d/sub", 0755), 0); /* the next listing is asked for */
    clock_fake_add(NS_PER_S);
    assert_int_equal(vfs_opendir(rig.vfs, d.node, &fh), 0);
    assert_int_equal(vfs_readdir(rig.vfs, fh, 0, true, keep_node, &node), 0);
    vfs_releasedir(rig.vfs, fh);
    assert_true(node != 0);
    memstore_delete(store, "d/f002");
    assert_true(vfs_open(rig.vfs, &rig.ctx, node, O_RDONLY, &fh, &keeps) < 0);
    assert_int_equal(size_of(2), -ENOENT);
    vfs_forget(rig.vfs, node, 1);
}

static uint64_t lists(void)
{
    return memstore_count(store, STORE_LIST);
}

/* What was known before costs a LIST for all, and the HEADs that went out before it. */
static void a_list_instead_of_many_heads(void **state)
{
    uint64_t before;

    (void)state;
    list();
    before = lists();
    walk(0, FILES - 1);
    assert_int_equal(gate.n, FILES);
    assert_int_equal(lists(), before); /* nothing was known that it could confirm */
    clock_fake_add(5 * NS_PER_S);
    foreign(50, "longer");
    walk(0, 49);
    assert_int_equal(size_of(50), 6);
    walk(51, FILES - 1);
    assert_int_equal(lists(), before + 1);
    assert_int_equal(gate.of[50], 2);
    assert_int_equal(gate.n, FILES + 7 + 1);
    clock_fake_add(2 * NS_PER_S);
    foreign(60, "longer"); /* seen when acregmin after the LIST is over, not before */
    clock_fake_add(NS_PER_S - 1);
    assert_int_equal(size_of(60), 3);
    clock_fake_add(1);
    assert_int_equal(size_of(60), 6);
}

#define MANY 3500

static int64_t list_takes_ns;

static void slow_lists(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op == STORE_LIST)
        clock_fake_add(list_takes_ns);
}

static void stat_many(void)
{
    struct stat st;
    char path[16];

    for (int n = 0; n < MANY; n++) {
        snprintf(path, sizeof(path), "m/g%04d", n);
        assert_int_equal(rig_stat(&rig, path, &st), 0);
    }
}

/* A directory of more names than a LIST brings before acregmin is over, known from before: *ret_lists and HEADs that
 * a walk costs after its listing was taken anew, and every other-th name was changed by others (0: none). */
static void walk_many(memstore_hook before, int other, uint64_t *ret_lists, uint64_t *ret_heads)
{
    static char names[MANY * 6 + 1];
    struct vfs_entry m;
    char key[16];

    for (int n = 0; n < MANY; n++) {
        snprintf(key, sizeof(key), "m/g%04d", n);
        assert_int_equal(memstore_put(store, key, "one", 3, NULL, NULL), 0);
    }
    clock_fake_add(10 * NS_PER_S);
    assert_int_equal(rig_walk(&rig, "m", &m), 0);
    assert_int_equal(rig_ls(&rig, "m", names, sizeof(names)), 0);
    stat_many();
    for (int n = 0; other > 0 && n < MANY; n += other) {
        snprintf(key, sizeof(key), "m/g%04d", n);
        assert_int_equal(memstore_put(store, key, "longer", 6, NULL, NULL), 0);
    }
    clock_fake_add(40 * NS_PER_S);
    assert_int_equal(rig_ls(&rig, "m", names, sizeof(names)), 0);
    clock_fake_add(5 * NS_PER_S);
    memstore_set_hooks(store, before, NULL, NULL);
    memstore_count_reset(store);
    stat_many();
    *ret_lists = lists();
    *ret_heads = memstore_count(store, STORE_HEAD);
    memstore_set_hooks(store, NULL, NULL, NULL);
    vfs_forget(rig.vfs, m.node, 1);
}

static void a_large_one_is_confirmed_by_pages(void **state)
{
    uint64_t n_lists, n_heads;

    (void)state;
    list_takes_ns = NS_PER_S;
    walk_many(slow_lists, 0, &n_lists, &n_heads);
    assert_int_equal(n_lists, 4);
    assert_int_equal(n_heads, 7 + 3); /* before the first page, and the name behind each */
}

/* What a page can't confirm is asked for, and is no reason for another page. */
static void names_that_others_have_changed(void **state)
{
    uint64_t n_lists, n_heads;

    (void)state;
    walk_many(NULL, 10, &n_lists, &n_heads);
    assert_int_equal(n_lists, 4);
    assert_true(n_heads <= MANY / 10 + 7 + 3 + 3); /* of the 7 one or two were changed */
}

/* Pages that are as good as old when they come are not taken one after the other, */
static void pages_that_take_long(void **state)
{
    uint64_t n_lists, n_heads;

    (void)state;
    list_takes_ns = 3 * NS_PER_S;
    walk_many(slow_lists, 0, &n_lists, &n_heads);
    assert_int_equal(n_lists, 1);
    assert_true(n_heads > MANY - 1000);
}

static void forget_start(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op == STORE_LIST)
        ((struct store_req *)(uintptr_t)req)->start_after = NULL;
}

/* nor are those of a server that begins at the beginning each time. */
static void pages_that_begin_elsewhere(void **state)
{
    uint64_t n_lists, n_heads;

    (void)state;
    walk_many(forget_start, 0, &n_lists, &n_heads);
    assert_true(n_lists <= 2);
    assert_true(n_heads > MANY - 1000);
}

static void *change_50(void *arg)
{
    (void)arg;
    assert_int_equal(rig_put(&rig, "d/f050", "longer", 6), 0);
    assert_int_equal(rig_unlink(&rig, "d/f060"), 0);
    return NULL;
}

static void change_behind_a_list(void *arg, struct store *s, const struct store_req *req, int result)
{
    pthread_t t;

    (void)arg;
    (void)result;
    if (req->op != STORE_LIST || req->start_after == NULL)
        return;
    memstore_set_hooks(s, NULL, NULL, NULL);
    assert_int_equal(pthread_create(&t, NULL, change_50, NULL), 0);
    pthread_join(t, NULL);
}

/* What changes here between a page and its answer is as it is here. */
static void what_changes_meanwhile_is_newer(void **state)
{
    (void)state;
    list();
    walk(0, FILES - 1);
    clock_fake_add(5 * NS_PER_S);
    memstore_set_hooks(store, NULL, change_behind_a_list, NULL);
    walk(0, 49);
    assert_int_equal(size_of(50), 6);
    assert_int_equal(size_of(60), -ENOENT);
    clock_fake_add(5 * NS_PER_S);
    assert_int_equal(size_of(50), 6);
    assert_int_equal(size_of(60), -ENOENT);
    walk(61, FILES - 1);
}

static void a_list_must_pay(void **state)
{
    uint64_t before;

    (void)state;
    list();
    before = lists();
    walk(80, FILES - 1);
    clock_fake_add(5 * NS_PER_S);
    walk(82, FILES - 1); /* 15 names behind the one that might have it taken */
    assert_int_equal(lists(), before);
    assert_int_equal(gate.n, 20 + 18);
}

/* One that can't be had: everybody asks. */
static void a_list_that_fails(void **state)
{
    (void)state;
    list();
    walk(0, FILES - 1);
    clock_fake_add(5 * NS_PER_S);
    memstore_fail(store, STORE_LIST, 1, 1000, -EIO);
    walk(0, FILES - 1);
    memstore_clear_faults(store);
    assert_int_equal(gate.n, 2 * FILES);
}

static void each_lookup_asks_where_it_must(void **state)
{
    (void)state;
    list();
    walk(0, 9);
    assert_int_equal(gate.n, 10);
}

static void booked_to_the_lookup(void **state)
{
    enum origin before = origin_set(ORIGIN_LOOKUP);
    struct meter_snapshot was, now;

    (void)state;
    list();
    walk(0, 0);
    meter_read(meter, &was);
    walk(1, 5);
    meter_read(meter, &now);
    origin_set(before);
    assert_int_equal(now.requests[METER_HEAD] - was.requests[METER_HEAD], 5 + 32);
    assert_int_equal(now.by_origin[ORIGIN_LOOKUP][METER_HEAD] -
                         was.by_origin[ORIGIN_LOOKUP][METER_HEAD],
                     5 + 32);
}

static void *open_soon(void *arg)
{
    (void)arg;
    shut(false);
    return NULL;
}

/* The end of a mount waits for what nobody comes for any more. */
static void a_mount_ends_meanwhile(void **state)
{
    pthread_t t;

    (void)state;
    list();
    walk(0, 3);
    wait_for(&gate.n, 12);
    wait_for(&gate.held, 0);
    shut(true);
    walk(4, 4);
    wait_for(&gate.held, 9); /* 12 to 20 */
    assert_int_equal(pthread_create(&t, NULL, open_soon, NULL), 0);
    vfs_stop(rig.vfs);
    pthread_join(t, NULL);
    assert_int_equal(now_of(&gate.held), 0);
}

/* Nobody comes for what was asked ahead, and the kernel forgets the directory: what looks at all questions then (here a
 * commit of a key that ends in such a name) finds none of a directory that is gone. */
static void the_directory_is_forgotten(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(memstore_put(store, "e/xf010", "one", 3, NULL, NULL), 0);
    list();
    walk(0, 4);
    vfs_forget(rig.vfs, d.node, 1);
    assert_int_equal(rig_stat(&rig, "e/xf010", &st), 0);
    assert_int_equal(rig_chmod(&rig, "e/xf010", 0600), 0);
    lock_take(&rig.vfs->tree);
    assert_null(rig.vfs->locked.asking);
    lock_drop(&rig.vfs->tree);
}

static int begin_little_room(void **state)
{
    struct vfs_conf conf;

    (void)state;
    rig_defaults(&conf);
    conf.lists_max = 1 << 20;
    begin(&conf, 0);
    return 0;
}

/* Others' LISTs, of a prefix that does not answer, have all the room: the walk goes on by HEADs. (Else it is never
 * over.) */
static void no_room_for_a_list(void **state)
{
    struct listroom room;

    (void)state;
    list();
    walk(0, FILES - 1);
    clock_fake_add(5 * NS_PER_S);
    listroom_begin(rig.vfs, &room);
    memstore_count_reset(store);
    walk(0, FILES - 1);
    assert_int_equal(memstore_count(store, STORE_LIST), 0);
    assert_int_equal(memstore_count(store, STORE_HEAD), FILES);
    listroom_end(&room);
}

#define P(f) cmocka_unit_test_setup_teardown(f, begin_plain, end)
#define A(f) cmocka_unit_test_setup_teardown(f, begin_parallel, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        A(many_at_once_and_each_one_time),
        P(the_directory_is_forgotten),
        cmocka_unit_test_setup_teardown(no_room_for_a_list, begin_little_room, end),
        P(who_stops_wastes_a_window),
        P(who_is_no_walker_pays_for_himself),
        P(what_was_not_read_is_not_walked),
        P(two_walkers),
        P(an_answer_is_as_old_as_its_question),
        P(an_old_answer_is_not_waited_for),
        P(that_nothing_is_there_is_not_believed),
        P(a_failed_one_is_asked_again),
        P(the_directory_is_renamed),
        P(seen_to_be_gone),
        P(a_list_instead_of_many_heads),
        P(a_large_one_is_confirmed_by_pages),
        P(names_that_others_have_changed),
        P(pages_that_take_long),
        P(pages_that_begin_elsewhere),
        P(what_changes_meanwhile_is_newer),
        P(a_list_must_pay),
        P(a_list_that_fails),
        P(listed_and_seen_to_be_gone),
        cmocka_unit_test_setup_teardown(each_lookup_asks_where_it_must, begin_always, end),
        P(booked_to_the_lookup),
        A(a_mount_ends_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
