/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, and the steps that follow from it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/macros.h"
#include "fs/compare/steps.h"

static struct options options;
static struct steps steps;

/* "compare A B C": parsed. */
static int parse(const char *line)
{
    static char text[512];
    static char *argv[32];
    char *save = NULL;
    int argc = 0;

    snprintf(text, sizeof(text), "%s", line);
    for (char *one = strtok_r(text, " ", &save); one != NULL && argc < 31;
         one = strtok_r(NULL, " ", &save))
        argv[argc++] = one;
    argv[argc] = NULL;
    err_clear();
    return options_parse(argc, argv, &options);
}

static void test_defaults(void **state)
{
    (void)state;
    assert_int_equal(parse("compare /a /b"), 0);
    assert_int_equal(options.n_dirs, 2);
    assert_string_equal(options.dirs[1], "/b");
    assert_int_equal(options.works, ASK_MIX);
    assert_int_equal(options.sizes.n, 3);
    assert_int_equal(options.sizes.v[2], 2 << 20);
    assert_int_equal(options.stored.v[1], UINT64_C(1) << 40);
    assert_int_equal(options.images_per_day.v[2], 100000);
    assert_false(options.json || options.drop_caches || options.keep_going);
}

static void test_all_options(void **state)
{
    (void)state;
    assert_int_equal(parse("compare /a --work upload,read,tree --files 7 /b --size 1,4k,3m "
                           "--concurrency 2 --reads 0 --seed 9 "
                           "--images-per-day 5,6 --stored 1G --json --keep-going --drop-caches "
                           "--html h --prices p --mountstats m"),
                     0);
    assert_int_equal(options.n_dirs, 2);
    assert_int_equal(options.works, ASK_UPLOAD | ASK_READ | ASK_TREE);
    assert_int_equal(options.files, 7);
    assert_int_equal(options.sizes.v[1], 4096);
    assert_int_equal(options.sizes.v[2], 3 << 20);
    assert_int_equal(options.concurrency.n, 1);
    assert_int_equal(options.reads, 0);
    assert_int_equal(options.seed, 9);
    assert_int_equal(options.images_per_day.v[1], 6);
    assert_int_equal(options.stored.v[0], 1 << 30);
    assert_true(options.json && options.drop_caches && options.keep_going);
    assert_string_equal(options.html, "h");
    assert_string_equal(options.prices, "p");
    assert_string_equal(options.mountstats, "m");
}

static void test_what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *line, *said;
    } bad[] = {
        {"compare", "no directory"},
        {"compare a --size 4q", "--size 4q"},
        {"compare a --size 0", "--size 0"},
        {"compare a --size 4k,,2m", "--size"},
        {"compare a --size 1,2,3,4,5,6,7,8,9", "more than 8"},
        {"compare a --files 0", "--files 0"},
        {"compare a --files -3", "--files -3"},
        {"compare a --concurrency 4096", "--concurrency 4096"},
        {"compare a --work read,dance", "dance"},
        {"compare a --work read,", "one of mix"},
        {"compare 1 2 3 4 5 6 7 8 9", "more than 8"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(parse(bad[i].line), -EINVAL);
        if (strstr(err_text(), bad[i].said) == NULL)
            fail_msg("\"%s\": \"%s\" does not say \"%s\"", bad[i].line, err_text(), bad[i].said);
    }
    assert_int_equal(parse("compare --help"), 0);
    assert_true(options.help);
}

static void assert_steps(const char *want)
{
    char got[2048] = "";

    steps_build(&options, &steps);
    for (size_t i = 0; i < steps.n; i++) {
        const struct step *s = &steps.step[i];
        char name[32];
        size_t n = strlen(got);

        steps_name(s, name, sizeof(name));
        snprintf(got + n, sizeof(got) - n, "%u:%s@%u%s ", s->group, name, s->concurrency,
                 s->is_asked ? "*" : "");
    }
    assert_string_equal(got, want);
}

static void test_steps(void **state)
{
    (void)state;
    assert_int_equal(parse("compare a --concurrency 1,16"), 0);
    assert_steps("1:make@1 1:mix@1* 1:remove@1 2:make@16 2:mix@16* 2:remove@16 ");
    assert_int_equal(parse("compare a --work read,list --size 4k,1000 --concurrency 2"), 0);
    assert_steps("1:make 4k@2 1:upload 4k@2 1:read 4k@2* 1:list 4k@2* 1:remove 4k@2 "
                 "2:make 1000@2 2:upload 1000@2 2:read 1000@2* 2:remove 1000@2 ");
    assert_int_equal(parse("compare a --work list --size 4k,2m --concurrency 1"), 0);
    assert_steps("1:make 4k@1 1:upload 4k@1 1:list 4k@1* 1:remove 4k@1 ");
    assert_int_equal(parse("compare a --work tree,upload --size 2m --concurrency 1"), 0);
    assert_steps("1:make 2m@1 1:upload 2m@1* 1:remove 2m@1 2:make 2m@1 2:tree 2m@1* 2:walk 2m@1* "
                 "2:remove 2m@1 ");
}

static void test_everything_at_once_fits(void **state)
{
    (void)state;
    assert_int_equal(parse("compare a --work mix,upload,read,list,tree --size 1,2,3,4,5,6,7,8 "
                           "--concurrency 1,2,3,4,5,6,7,8"),
                     0);
    steps_build(&options, &steps);
    assert_int_equal(steps.n, 8 * (3 + 5 + 7 * 4 + 4));
    assert_true(steps.n <= STEPS_MAX);
    assert_int_equal(steps.step[steps.n - 1].work, WORK_REMOVE);
}

static void test_room_is_that_of_the_largest_group(void **state)
{
    (void)state;
    assert_int_equal(parse("compare a --work upload --size 4k,2m --files 10"), 0);
    steps_build(&options, &steps);
    assert_int_equal(steps_room(&options, &steps), 20 << 20);
    assert_int_equal(parse("compare a --size 100 --files 10"), 0);
    steps_build(&options, &steps);
    assert_int_equal(steps_room(&options, &steps), 1000);
    assert_int_equal(parse("compare a --work upload --size 1t --files 10000000"), 0);
    steps_build(&options, &steps);
    assert_true(steps_room(&options, &steps) > UINT64_C(1) << 62);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_all_options),
        cmocka_unit_test(test_what_is_wrong_is_named),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_everything_at_once_fits),
        cmocka_unit_test(test_room_is_that_of_the_largest_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
