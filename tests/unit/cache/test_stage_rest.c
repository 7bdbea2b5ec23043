/* SPDX-License-Identifier: Apache-2.0 */
/* A staged file that rests has no descriptor. Where the disk has become read-only meanwhile, what
 * it has is read and sent all the same; who writes is refused until the disk is well. */
#include "journaltest.h"

#include <fcntl.h>

#include "../../../fs/cache/stage.h"
#include "baddisk.h"

static void assert_bytes(int fd, const char *text)
{
    char buf[64] = "";

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, buf, sizeof(buf) - 1, 0), (ssize_t)strlen(text));
    assert_string_equal(buf, text);
}

static void test_a_disk_that_is_read_only_for_a_while(void **state)
{
    struct cache_stage *s;
    struct cache *c;
    struct place p;

    (void)state;
    place_make(&p);
    baddisk_watch(p.dir, false);
    c = cache_open_at(p.dir, 0);
    assert_int_equal(cache_stage_new(c, &s), 0);
    assert_int_equal(pwrite(cache_stage_write_fd(s), "old", 3, 0), 3);
    cache_stage_rest(s);
    assert_int_equal(atomic_load(&s->fd), -1);
    baddisk_read_only(true);
    assert_int_equal(cache_stage_write_fd(s), -EROFS);
    assert_non_null(strstr(err_text(), "staging file"));
    assert_bytes(cache_stage_fd(s), "old");
    assert_int_equal(cache_stage_write_fd(s), -EROFS);
    assert_bytes(cache_stage_fd(s), "old");
    baddisk_read_only(false);
    assert_bytes(cache_stage_fd(s), "old");
    assert_int_equal(pwrite(cache_stage_write_fd(s), "new", 3, 0), 3);
    assert_bytes(cache_stage_fd(s), "new");
    cache_stage_free(s);
    cache_close(c);
    baddisk_unwatch();
    scratch_remove(p.scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_disk_that_is_read_only_for_a_while),
    };

    scratch_in_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
