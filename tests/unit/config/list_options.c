/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the option table's names; with "help", the help text. For tests/lint/check_options.sh. */
#include <stdio.h>
#include <string.h>
#include "options.h"

int main(int argc, char **argv)
{
    _cleanup_buf_ struct buf out = BUF_INIT(1 << 20);
    struct config_option o;

    if (argc > 1 && strcmp(argv[1], "help") == 0)
        config_help(&out);
    for (unsigned i = 0; argc == 1 && config_option_at(i, &o); i++)
        buf_addf(&out, "%s%s\n", o.name, o.has_value ? "=" : "");
    fputs(buf_str(&out), stdout);
    return buf_failed(&out) ? 1 : 0;
}
