/* SPDX-License-Identifier: Apache-2.0 */
/* Each allocation of a call fails once. The call says so or goes without; nothing that was
 * acknowledged is lost, the mount goes on, no lock and no memory is left behind. */
#include "allocmount.h"

static int set_up(void **state)
{
    (void)state;
    return set_up_as(VFS_COMMIT_CLOSE);
}

static void each_allocation_fails_once(void **state)
{
    unsigned tried = 0;

    (void)state;
    for (only = 0; only < STEPS; only++) {
        begin("failing allocation", ALLOC_STRIDE);
        while (has_more()) {
            seed();
            one_fails(run_all);
            no_other_error(only);
            look_at_all();
        }
        tried += each_tried();
    }
    only = STEPS;
    print_message("%s: %u tried\n", what, tried);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALLOC_TEST(each_allocation_fails_once, set_up),
    };

    badalloc_crypto();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
