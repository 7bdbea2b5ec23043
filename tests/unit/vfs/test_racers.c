/* SPDX-License-Identifier: Apache-2.0 */
/* Of many who make one name at once, on four mounts of a bucket, exactly one is told that it has:
 * by open(O_EXCL) and close together, by mkdir, symlink, link, rename with NOREPLACE. All others
 * are told EEXIST. And a file that got bytes is never seen without them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "tests/lib/memstore.h"
#include "tests/lib/rig.h"

#define MOUNTS 4
#define MANY 100

enum kind { CREATE, CREATE_STRICT, MKDIR, SYMLINK, RENAME, LINK };

static struct rig mounts[MOUNTS];
static atomic_uint empty_puts;

struct race {
    enum kind kind;
    unsigned n, rounds;
    unsigned round; /* written between the barriers */
    char name[32];  /* of this round */
    atomic_uint n_opened;
    pthread_barrier_t go, opened, done;
};
struct racer {
    struct race *race;
    struct rig *rig;
    unsigned id;
    int result;
    pthread_t thread;
};

/* What a racer leaves under the name tells who it was. */
static void text_of(const struct racer *r, char text[32])
{
    snprintf(text, 32, "racer %u of round %u", r->id, r->race->round);
}

/* Every 16th round all racers are past their open before the first one closes: the PUT decides.
 * In the others each goes as fast as it can. (What a loser wrote is kept, and that is what takes
 * time.) */
static int create(struct racer *r)
{
    char text[32];
    uint64_t fh;
    int x = rig_open_file(r->rig, r->race->name, O_CREAT | O_EXCL | O_WRONLY, &fh);

    if (x == 0)
        atomic_fetch_add(&r->race->n_opened, 1);
    if (r->race->round % 16 == 0)
        pthread_barrier_wait(&r->race->opened);
    if (x < 0)
        return x;
    text_of(r, text);
    if (vfs_write(r->rig->vfs, &r->rig->ctx, fh, 0, text, strlen(text)) != (ssize_t)strlen(text))
        x = -EIO;
    return rig_shut(r->rig, fh) ?: x;
}

static int make_link(struct racer *r)
{
    struct vfs_entry e;
    char text[32];
    int x;

    text_of(r, text);
    x = vfs_symlink(r->rig->vfs, &r->rig->ctx, text, VFS_ROOT, r->race->name, &e);
    if (x == 0)
        vfs_forget(r->rig->vfs, e.node, 1);
    return x;
}

static int move(struct racer *r)
{
    char from[48], text[32];
    int x;

    snprintf(from, sizeof(from), "from%u-%u-%u", r->race->n, r->id, r->race->round);
    text_of(r, text);
    if (memstore_put(r->rig->store, from, text, strlen(text), NULL, NULL) < 0)
        return -EIO;
    x = rig_rename(r->rig, from, r->race->name, RENAME_NOREPLACE);
    if (x == -EEXIST && memstore_get(r->rig->store, from, NULL, NULL) != 0)
        return -EIO; /* the loser's file stays where it was */
    (void)memstore_delete(r->rig->store, from);
    return x;
}

static int hard_link(struct racer *r)
{
    char from[48], text[32];
    struct vfs_entry f, e;
    int x;

    snprintf(from, sizeof(from), "from%u-%u-%u", r->race->n, r->id, r->race->round);
    text_of(r, text);
    if (memstore_put(r->rig->store, from, text, strlen(text), NULL, NULL) < 0 ||
        rig_walk(r->rig, from, &f) < 0)
        return -EIO;
    x = vfs_link(r->rig->vfs, &r->rig->ctx, f.node, VFS_ROOT, r->race->name, &e);
    if (x == 0)
        vfs_forget(r->rig->vfs, e.node, 1);
    vfs_forget(r->rig->vfs, f.node, 1);
    return x;
}

static int once(struct racer *r)
{
    switch (r->race->kind) {
    case CREATE:
    case CREATE_STRICT:
        return create(r);
    case MKDIR:
        return rig_mkdir(r->rig, r->race->name, 0755);
    case SYMLINK:
        return make_link(r);
    case RENAME:
        return move(r);
    case LINK:
        return hard_link(r);
    }
    return -EINVAL;
}

static void *run(void *arg)
{
    struct racer *r = arg;

    for (unsigned i = 0; i < r->race->rounds; i++) {
        pthread_barrier_wait(&r->race->go);
        r->result = once(r);
        pthread_barrier_wait(&r->race->done);
    }
    return NULL;
}

/* "" if exactly one won, and what stands under the name is the winner's. */
static void judge(const struct race *race, const struct racer *racers, char why[96])
{
    const struct racer *winner = NULL;
    char key[40], text[32], *there = NULL;

    why[0] = '\0';
    for (unsigned i = 0; i < race->n; i++) {
        if (racers[i].result == 0 && winner != NULL)
            snprintf(why, 96, "round %u: both %u and %u won", race->round, winner->id, i);
        if (racers[i].result == 0)
            winner = &racers[i];
        else if (racers[i].result != -EEXIST)
            snprintf(why, 96, "round %u: racer %u: %s", race->round, i,
                     strerror(-racers[i].result));
    }
    snprintf(key, sizeof(key), "%s%s", race->name, race->kind == MKDIR ? "/" : "");
    if (race->kind == CREATE_STRICT && atomic_load(&race->n_opened) != 1)
        snprintf(why, 96, "round %u: %u were let in", race->round, atomic_load(&race->n_opened));
    if (winner == NULL) {
        snprintf(why, 96, "round %u: nobody won", race->round);
    } else if (memstore_get(mounts[0].store, key, NULL, &there) != 0) {
        snprintf(why, 96, "round %u: no object", race->round);
    } else {
        text_of(winner, text);
        if (strcmp(there, race->kind == MKDIR ? "" : text) != 0)
            snprintf(why, 96, "round %u: %u won, and \"%s\" is there", race->round, winner->id,
                     there);
    }
    free(there);
    (void)memstore_delete(mounts[0].store, key);
}

static void compete(enum kind kind, unsigned n, unsigned rounds)
{
    struct race race = {.kind = kind, .n = n, .rounds = rounds};
    struct racer racers[MANY];
    char why[96] = "", first[96] = "";

    pthread_barrier_init(&race.go, NULL, n + 1);
    pthread_barrier_init(&race.opened, NULL, n);
    pthread_barrier_init(&race.done, NULL, n + 1);
    for (unsigned i = 0; i < n; i++) {
        racers[i] = (struct racer){.race = &race, .rig = &mounts[i % MOUNTS], .id = i};
        assert_int_equal(pthread_create(&racers[i].thread, NULL, run, &racers[i]), 0);
    }
    for (unsigned i = 0; i < rounds; i++) {
        race.round = i;
        atomic_store(&race.n_opened, 0);
        snprintf(race.name, sizeof(race.name), "name%u-%u", n, i);
        pthread_barrier_wait(&race.go);
        pthread_barrier_wait(&race.done);
        judge(&race, racers, why);
        if (first[0] == '\0')
            str_copy_shown(first, sizeof(first), why);
    }
    for (unsigned i = 0; i < n; i++)
        pthread_join(racers[i].thread, NULL);
    pthread_barrier_destroy(&race.go);
    pthread_barrier_destroy(&race.opened);
    pthread_barrier_destroy(&race.done);
    assert_string_equal(first, "");
    assert_int_equal(atomic_load(&empty_puts), 0);
}

/* What is seen of a created file in the bucket, at any time. */
static void watch(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    if (req->op == STORE_PUT && result == 0 && req->src->size == 0 && !str_ends(req->key, "/"))
        atomic_fetch_add(&empty_puts, 1);
}

static int setup(void **state)
{
    int r;

    (void)state;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_set_has_fd(NULL);
    atomic_store(&empty_puts, 0);
    r = rig_open(&mounts[0], NULL);
    for (unsigned i = 1; i < MOUNTS && r == 0; i++)
        r = rig_join(&mounts[i], &mounts[0], NULL);
    memstore_set_hooks(mounts[0].store, NULL, watch, NULL);
    return r;
}

/* excl=strict: at open only one is let in, too. */
static int setup_strict(void **state)
{
    int r = setup(state);

    for (unsigned i = 0; i < MOUNTS && r == 0; i++) {
        mounts[i].conf.excl = VFS_EXCL_STRICT;
        r = rig_remount(&mounts[i]);
    }
    return r;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = MOUNTS; i > 0; i--)
        rig_close(&mounts[i - 1]);
    clock_fake_off();
    return 0;
}

static void ten_thousand_rounds(void **state)
{
    (void)state;
    compete(CREATE, 4, 10000);
}

static void a_hundred_racers(void **state)
{
    (void)state;
    compete(CREATE, MANY, 100);
}

static void strict_lets_one_in(void **state)
{
    (void)state;
    compete(CREATE_STRICT, 4, 500);
    compete(CREATE_STRICT, MANY, 10);
}

static void mkdir_has_one_winner(void **state)
{
    (void)state;
    compete(MKDIR, 4, 1000);
    compete(MKDIR, MANY, 10);
}

static void symlink_has_one_winner(void **state)
{
    (void)state;
    compete(SYMLINK, 4, 1000);
    compete(SYMLINK, MANY, 10);
}

static void rename_noreplace_has_one_winner(void **state)
{
    (void)state;
    compete(RENAME, 4, 1000);
    compete(RENAME, MANY, 10);
}

static void link_has_one_winner(void **state)
{
    (void)state;
    compete(LINK, 4, 300);
    compete(LINK, MANY, 5);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(ten_thousand_rounds),
        T(a_hundred_racers),
        cmocka_unit_test_setup_teardown(strict_lets_one_in, setup_strict, teardown),
        T(mkdir_has_one_winner),
        T(symlink_has_one_winner),
        T(rename_noreplace_has_one_winner),
        T(link_has_one_winner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
