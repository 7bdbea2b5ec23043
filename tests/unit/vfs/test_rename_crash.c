/* SPDX-License-Identifier: Apache-2.0 */
/* T22: a mount dies at every single request of a rename; another one finishes what it began. Each
 * end state is consistent: every file under exactly one of its names, nothing lost. */
#include "dyingmount.h"

#define REQUESTS_MAX 200

static const char *const names[] = {"1", "2", "3", "sub/4", "sub/5"};

static unsigned turn; /* each try has a directory of its own */

static const char *at(const char *name)
{
    static char paths[8][64];
    static unsigned i;
    char *path = paths[i++ % ARRAY_LEN(paths)];

    snprintf(path, sizeof(paths[0]), "%u%s%s", turn, name[0] != '\0' ? "/" : "", name);
    return path;
}

static void open_as(bool weak)
{
    const struct vfs_conf conf = weak_conf();

    open_both(weak ? &conf : NULL);
}

static void next_turn(void)
{
    turn++;
    a_dies_at(0, false);
    assert_int_equal(rig_mkdir(&a, at(""), 0755), 0);
}

/* The rename of one file dies at its k-th request. Did it come to its end before? */
static bool file_dies_at(unsigned k, bool lost, bool over, bool dirty)
{
    const char *text = dirty ? "text, and more" : "text";
    uint64_t fh = 0;
    bool is_old, is_done;
    int r;

    next_turn();
    assert_int_equal(rig_put(&a, at("f"), "text", 4), 0);
    if (over)
        assert_int_equal(rig_put(&b, at("g"), "other", 5), 0);
    if (dirty) {
        assert_int_equal(rig_open_file(&a, at("f"), O_WRONLY, &fh), 0);
        assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 4, ", and more", 10), 10);
    }
    a_dies_at(k, lost);
    r = rig_rename(&a, at("f"), at("g"), 0);
    is_done = atomic_load(&gate.n) < k;
    a_dies_at(1, false);
    time_passes();
    b_mends();
    is_old = is_object(at("f"));
    if (r == 0) {
        assert_false(is_old);
        assert_text(&b, at("g"), text);
    } else if (is_old) { /* the new bytes, if any, are still with their writer */
        assert_text(&b, at("f"), "text");
        assert_int_equal(is_object(at("g")), over);
        if (over)
            assert_text(&b, at("g"), "other");
    } else {
        assert_text(&b, at("g"), text);
    }
    if (is_done)
        assert_int_equal(r, 0);
    /* Nothing stands in the way of the next one. */
    assert_int_equal(rig_rename(&b, at(is_old ? "f" : "g"), at("h"), 0), 0);
    assert_text(&b, at("h"), is_old ? "text" : text);
    if (dirty)
        vfs_release(a.vfs, fh);
    return is_done;
}

static void file_at_every_step(void **state)
{
    (void)state;
    for (int how = 0; how < 16; how++) {
        unsigned k = 1;

        open_as(how & 1);
        while (!file_dies_at(k, how & 2, how & 4, how & 8))
            assert_true(k++ < REQUESTS_MAX);
        close_both();
        assert_true(k > 5);
    }
}

static void make_tree(void)
{
    char path[64];

    assert_int_equal(rig_mkdir(&a, at("d"), 0755), 0);
    assert_int_equal(rig_mkdir(&a, at("d/sub"), 0700), 0);
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        snprintf(path, sizeof(path), "d/%s", names[n]);
        assert_int_equal(rig_put(&a, at(path), names[n], strlen(names[n])), 0);
    }
}

/* Every name under exactly one of the directories, as b shows it: the one in which they are. */
static char shown_under(void)
{
    char path[64], where = 0;
    struct stat st;

    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        bool old, new;

        snprintf(path, sizeof(path), "d/%s", names[n]);
        old = rig_stat(&b, at(path), &st) == 0;
        path[0] = 'e';
        new = rig_stat(&b, at(path), &st) == 0;
        assert_true(old != new);
        assert_true(where == 0 || where == (old ? 'd' : 'e'));
        where = old ? 'd' : 'e';
    }
    return where;
}

static void check_tree(char where)
{
    char path[64], list[64];

    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        snprintf(path, sizeof(path), "%c/%s", where, names[n]);
        assert_text(&b, at(path), names[n]);
        path[0] = where == 'd' ? 'e' : 'd';
        assert_false(is_object(at(path)));
    }
    assert_int_equal(rig_ls(&b, at(""), list, sizeof(list)), 0);
    assert_string_equal(list, where == 'd' ? "d" : "e");
    snprintf(path, sizeof(path), "%c", where);
    assert_int_equal(rig_ls(&b, at(path), list, sizeof(list)), 0);
    assert_string_equal(list, "1 2 3 sub");
}

static bool dir_dies_at(unsigned k, bool lost, bool over)
{
    bool is_done;
    char where;
    int r;

    next_turn();
    make_tree();
    if (over)
        assert_int_equal(rig_mkdir(&a, at("e"), 0700), 0);
    a_dies_at(k, lost);
    r = rig_rename(&a, at("d"), at("e"), 0);
    is_done = atomic_load(&gate.n) < k;
    a_dies_at(1, false);
    assert_int_equal(intents_look(b.vfs), 0);
    (void)shown_under(); /* also before anybody finishes it */
    time_passes();
    b_mends();
    where = shown_under();
    if (r == 0)
        assert_int_equal(where, 'e');
    else if (over && where == 'd')
        assert_int_equal(rig_rmdir(&b, at("e")), 0);
    check_tree(where);
    assert_int_equal(rig_rename(&b, at(where == 'd' ? "d" : "e"), at(where == 'd' ? "e" : "d"), 0),
                     0);
    check_tree(where == 'd' ? 'e' : 'd');
    return is_done;
}

static void dir_at_every_step(void **state)
{
    (void)state;
    for (int how = 0; how < 8; how++) {
        unsigned k = 1;

        open_as(how & 1);
        while (!dir_dies_at(k, how & 2, how & 4))
            assert_true(k++ < REQUESTS_MAX);
        close_both();
        assert_true(k > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_at_every_step),
        cmocka_unit_test(dir_at_every_step),
    };

    return cmocka_run_group_tests_name("vfs/rename_crash", tests, NULL, NULL);
}
