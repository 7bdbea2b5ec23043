/* SPDX-License-Identifier: Apache-2.0 */
/* Prints what each operation of docs/semantics.md costs, a line each: name, requests, requests on a
 * server without conditions on DELETE and COPY; separated by tabs. tests/semantics/check compares
 * them with the page. */
#include "costs.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"

int main(void)
{
    int failed = 0;

    for (size_t i = 0; i < costs_n_ops; i++) {
        char cost[2][COSTS_TEXT];

        for (int weak = 0; weak < 2; weak++) {
            int x = costs_measure(&costs_ops[i], weak, cost[weak]);

            if (x != 0) {
                fprintf(stderr, "%s: %d %s\n", costs_ops[i].row, x, err_text());
                failed = 1;
            }
        }
        printf("%s\t%s\t%s\n", costs_ops[i].row, cost[0], cost[1]);
    }
    return failed;
}
