/* SPDX-License-Identifier: Apache-2.0 */
/* One file under readers, a writer, commits, localising and lost cache blocks at once: each read sees each write
 * whole or not at all, and in the end the bytes are the last ones written. */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define KIB 1024u
#define UNIT 4096u
#define UNITS 200u
#define ROUNDS 4000u

struct race {
    struct fx x;
    struct data_file *f;
    atomic_bool is_over;
    atomic_uint failures;
};

static void complain(struct race *r, const char *what)
{
    if (atomic_fetch_add(&r->failures, 1) == 0)
        fprintf(stderr, "%s: %s\n", what, err_text());
}

static void *read_on(void *arg)
{
    struct race *r = arg;
    char buf[UNIT * 4];
    for (unsigned i = 0; !atomic_load(&r->is_over); i = (i + 7) % (UNITS - 4)) {
        if (data_read(r->f, i * UNIT, buf, sizeof(buf)) != sizeof(buf)) {
            complain(r, "a read failed");
            break;
        }
        for (unsigned k = 0; k < sizeof(buf); k++)
            if (buf[k] != buf[k / UNIT * UNIT]) {
                complain(r, "a write was seen in half");
                return NULL;
            }
    }
    return NULL;
}

static void *commit_on(void *arg)
{
    struct race *r = arg;
    char *buf = malloc(UNIT * UNITS);
    for (unsigned i = 0; !atomic_load(&r->is_over); i++) {
        /* As vfs does it the writer would be kept away; here the file may be overtaken between the two reads, so
         * only a snapshot that nobody touched counts as committed. */
        uint64_t change = data_change(r->f);
        struct store_obj now = {.size = UNIT * UNITS};
        if (data_read(r->f, 0, buf, UNIT * UNITS) != (ssize_t)(UNIT * UNITS))
            complain(r, "a read for a commit failed");
        if (data_change(r->f) != change)
            continue;
        char key[16];
        snprintf(key, sizeof(key), "k%u", i); /* versions stay, so that no reader is told ESTALE */
        if (memstore_put(r->x.store, key, buf, UNIT * UNITS, NULL, &now.etag) != 0)
            complain(r, "a put failed");
        data_committed(r->f, key, &now, change);
        if (i % 3 == 0)
            cache_drop_blocks(r->x.cache, key, &now.etag);
        if (i % 5 == 0 && data_localise(r->f) != 0)
            complain(r, "localising failed");
    }
    free(buf);
    return NULL;
}

static void readers_writer_commits(void **state)
{
    (void)state;
    static struct race r;
    fx_open(&r.x, &(struct data_conf){.whole_max = 256 * KIB, .range_size = 128 * KIB}, 3, 0);
    r.f = fx_file(&r.x, "k", NULL);
    char *want = calloc(1, UNIT * UNITS), unit[UNIT];
    assert_int_equal(data_truncate(r.f, UNIT * UNITS), 0);
    pthread_t t[4];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, read_on, &r), 0);
    assert_int_equal(pthread_create(&t[3], NULL, commit_on, &r), 0);
    uint64_t random = 7;
    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t at = fx_random(&random) % UNITS * UNIT;
        memset(unit, (int)i, UNIT);
        memset(want + at, (int)i, UNIT);
        assert_int_equal(data_write(r.f, at, unit, UNIT), 0);
    }
    atomic_store(&r.is_over, true);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(atomic_load(&r.failures), 0);
    fx_expect(r.f, want, UNIT * UNITS);
    free(want);
    data_file_unref(r.f);
    fx_close(&r.x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(readers_writer_commits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
