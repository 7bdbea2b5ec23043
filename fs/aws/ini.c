/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the AWS tools. Lines end with LF or CRLF; comments begin with '#' or ';', also after
 * a blank within a line; indented lines are settings nested in the key above. */
#include "ini.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

static char *trim(char *s)
{
    s += strspn(s, " \t");
    size_t len = strlen(s);
    while (len > 0 && strchr(" \t\r", s[len - 1]))
        s[--len] = '\0';
    return s;
}

static void cut_comment(char *s)
{
    for (char *p = s; *p; p++)
        if ((*p == '#' || *p == ';') && (p == s || p[-1] == ' ' || p[-1] == '\t')) {
            *p = '\0';
            return;
        }
}

/* "[profile  a b]" to "profile a b"; NULL when it is no heading. Quotes around the name go. */
static const char *take_heading(char *line)
{
    char *end = strchr(line, ']');
    if (!end)
        return NULL;
    *end = '\0';
    char *name = trim(line + 1), *to = name;
    for (const char *p = name; *p; p++) {
        if (*p == '"' || *p == '\'')
            continue;
        if ((*p == ' ' || *p == '\t') && to > name && to[-1] == ' ')
            continue;
        *to++ = *p == '\t' ? ' ' : *p;
    }
    *to = '\0';
    return name;
}

/* false: not "key = value". */
static int take_setting(char *line, const char **ret_key, const char **ret_value)
{
    char *eq = strchr(line, '=');
    if (!eq)
        return 0;
    *eq = '\0';
    char *key = trim(line);
    for (char *p = key; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    *ret_key = key;
    *ret_value = trim(eq + 1);
    return *key != '\0';
}

void ini_parse(char *text, ini_fn fn, void *ctx)
{
    const char *section = NULL, *parent = NULL;
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    for (char *next; text; text = next) {
        const char *key, *value;
        next = strchr(text, '\n');
        if (next)
            *next++ = '\0';
        cut_comment(text);
        char *line = trim(text);
        if (!*line)
            continue;
        if (*text == '[') {
            section = take_heading(line);
            parent = NULL;
        } else if (section && take_setting(line, &key, &value)) {
            int nested = *text == ' ' || *text == '\t';
            fn(ctx, section, nested ? parent : NULL, key, value);
            if (!nested)
                parent = key;
        }
    }
}
