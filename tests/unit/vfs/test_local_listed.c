/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: a listing that a sender overtakes. What was not in the bucket when the names were
 * taken, and is not new any more when those that are new are added, is there all the same. */
#include "localmount.h"

#include <stdio.h>

void __real_cache_list_put(struct cache *c, const char *dir, const struct cache_listing *entries,
                           int64_t listed_ns, int64_t date_ns);
void __wrap_cache_list_put(struct cache *c, const char *dir, const struct cache_listing *entries,
                           int64_t listed_ns, int64_t date_ns);
int __real_cache_list_get_within(struct cache *c, const char *dir, int64_t since_ns, uint64_t most,
                                 struct cache_listing *ret);
int __wrap_cache_list_get_within(struct cache *c, const char *dir, int64_t since_ns, uint64_t most,
                                 struct cache_listing *ret);

static bool sends_at_put, sends_at_get; /* once */

/* The bucket has answered, and changes meanwhile have been taken in. */
void __wrap_cache_list_put(struct cache *c, const char *dir, const struct cache_listing *entries,
                           int64_t listed_ns, int64_t date_ns)
{
    __real_cache_list_put(c, dir, entries, listed_ns, date_ns);
    if (sends_at_put)
        (void)outbox_run(rig.vfs);
    sends_at_put = false;
}

int __wrap_cache_list_get_within(struct cache *c, const char *dir, int64_t since_ns, uint64_t most,
                                 struct cache_listing *ret)
{
    int r = __real_cache_list_get_within(c, dir, since_ns, most, ret);

    if (sends_at_get && r == 0)
        (void)outbox_run(rig.vfs);
    sends_at_get = sends_at_get && r != 0;
    return r;
}

static void assert_names(const char *dir, const char *want)
{
    char names[4096];

    assert_true(rig_ls(&rig, dir, names, sizeof(names)) >= 0);
    assert_string_equal(names, want);
}

static void make_some(void)
{
    uint64_t fh = open_text("d/old", O_WRONLY);

    write_text(fh, 0, "stored, and written again");
    assert_int_equal(rig_shut(&rig, fh), 0);
    put_text("d/t", "unsent");
    assert_int_equal(rig_rename(&rig, "d/t", "d/new", 0), 0);
    assert_int_equal(rig_mkdir(&rig, "d/sub", 0755), 0);
}

static void seed(void)
{
    mkdir_stored("d");
    put_text("d/old", "stored");
    send_all(1);
    make_some();
    clock_fake_add(NS_PER_S); /* the cache takes no list from when it was told of changes */
}

static void sent_after_the_answer(void **state)
{
    (void)state;
    seed();
    sends_at_put = true;
    assert_names("d", "new old sub");
    assert_false(sends_at_put);
    assert_int_equal(entries(), 0);
    assert_names("d", "new old sub");
}

static void sent_after_the_caches_answer(void **state)
{
    (void)state;
    seed();
    assert_names("d", "new old sub");
    sends_at_get = true;
    assert_names("d", "new old sub");
    assert_false(sends_at_get);
    assert_int_equal(entries(), 0);
    assert_names("d", "new old sub");
}

#define MANY 1100 /* more than are noted one by one (asking.c) */

static void more_than_are_noted(void **state)
{
    char name[32], names[16 * MANY];
    unsigned n = 0;

    (void)state;
    seed();
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "d/%04u", i);
        put_text(name, "");
    }
    sends_at_put = true;
    assert_true(rig_ls(&rig, "d", names, sizeof(names)) >= 0);
    assert_false(sends_at_put);
    for (const char *p = names; p != NULL; p = strchr(p + 1, ' '))
        n++;
    assert_int_equal(n, MANY + 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(sent_after_the_answer),
        L(sent_after_the_caches_answer),
        L(more_than_are_noted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
