/* SPDX-License-Identifier: Apache-2.0 */
/* The options part of the help text, from options.def. */
#include "options.h"

#include <stdio.h>

/* Options without a text of their own follow the one above them, comma-separated, wrapped. */
static void add_names(struct buf *out, unsigned *i, struct config_option *o)
{
    struct config_option next;
    size_t column = 4;

    buf_addf(out, "    ");
    for (;;) {
        size_t before = out->len;
        bool more = config_option_at(*i + 1, &next) && next.help == NULL;

        buf_addf(out, "%s%s%s%s", o->name, o->has_value ? "=" : "",
                 o->has_value ? o->arg : "", more ? ", " : "");
        column += out->len - before;
        if (!more)
            return;
        if (column > 76) {
            buf_addf(out, "\n    ");
            column = 4;
        }
        *o = next;
        ++*i;
    }
}

void config_help(struct buf *out)
{
    struct config_option o;

    for (unsigned i = 0; config_option_at(i, &o); i++) {
        const char *help = o.help, *initial = o.initial;

        add_names(out, &i, &o);
        buf_addf(out, "\n        %s", help);
        if (initial != NULL)
            buf_addf(out, " (default: %s)", initial);
        buf_addc(out, '\n');
    }
}
