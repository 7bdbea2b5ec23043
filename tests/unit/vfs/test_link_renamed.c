/* SPDX-License-Identifier: Apache-2.0 */
/* A hard link that is renamed while its old name is taken again, or while it is written. */
#include "weaktest.h"

/* --- hard links --- */

static void others_replace_f(void)
{
    turn.result = memstore_put(a.store, "f", "theirs", 6, NULL, NULL);
}

static void link_renamed_while_its_name_is_reused(void **state)
{
    (void)state;
    put_text(&a, "f", "1234");
    assert_int_equal(rig_link(&a, "f", "l"), 0);
    after(STORE_COPY, STORE_PUT, "g", 1, others_replace_f);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    all_turns_were_taken();
    assert_object("f", "theirs");
    assert_object("g", "1234");
}

/* b's commit has said in the record where it goes; a begins to rename that name, and waits with its
 * deletion until b's bytes are there. */
static struct {
    pthread_t thread;
    atomic_bool has_begun, is_deleting, is_written;
    int result;
} race;

static void *a_renames(void *arg)
{
    (void)arg;
    race.result = rig_rename(&a, "f", "g", 0);
    atomic_store(&race.is_deleting, true); /* or it never came to that */
    return NULL;
}

static void race_before(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op != STORE_DELETE || strcmp(req->key, "f") != 0 || atomic_load(&race.is_deleting))
        return;
    atomic_store(&race.is_deleting, true);
    wait_for(&race.is_written);
}

static void race_after(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op == STORE_PUT && strcmp(req->key, "f") == 0)
        atomic_store(&race.is_written, true); /* its close waits for the rename from here on */
    if (req->op != STORE_PUT || strstr(req->key, "/links/") == NULL ||
        atomic_exchange(&race.has_begun, true))
        return;
    race.result = -pthread_create(&race.thread, NULL, a_renames, NULL);
    wait_for(&race.is_deleting);
}

static void link_renamed_while_it_is_written(void **state)
{
    uint64_t fh;

    (void)state;
    put_text(&a, "f", "1234");
    assert_int_equal(rig_link(&a, "f", "l"), 0);
    assert_int_equal(rig_unlink(&a, "l"), 0);
    fh = open_text(&b, "f", O_WRONLY | O_APPEND);
    write_text(&b, fh, 0, "B");
    atomic_store(&race.has_begun, false);
    atomic_store(&race.is_deleting, false);
    atomic_store(&race.is_written, false);
    memstore_set_hooks(a.store, race_before, race_after, NULL);
    assert_int_equal(rig_shut(&b, fh), 0);
    atomic_store(&race.is_written, true);
    pthread_join(race.thread, NULL);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    assert_int_equal(race.result, 0);
    assert_object("g", "1234B");
    assert_false(is_object("f"));
    assert_file(&a, "g", "1234B");
    clock_fake_add(100 * NS_PER_S);
    assert_file(&b, "g", "1234B");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(link_renamed_while_its_name_is_reused),
        W(link_renamed_while_its_name_is_reused),
        T(link_renamed_while_it_is_written),
        W(link_renamed_while_it_is_written),
    };

    return cmocka_run_group_tests_name("vfs/link_renamed", tests, NULL, NULL);
}
