/* SPDX-License-Identifier: Apache-2.0 */
/* See marks.h. */
#include "marks.h"

#include <string.h>

/* The length of the mark that s begins with: hex digits, '.', digits; 0: none. */
static size_t mark_len(const char *s)
{
    size_t writer = strspn(s, "0123456789abcdef"), sequence;

    if (writer == 0 || s[writer] != '.')
        return 0;
    sequence = strspn(s + writer + 1, "0123456789");
    if (sequence == 0 || writer + 1 + sequence >= MARK_SIZE)
        return 0;
    return writer + 1 + sequence;
}

void marks_parse(const char *s, struct marks *ret)
{
    *ret = (struct marks){0};
    while (s != NULL && *s != '\0') {
        size_t n = mark_len(s);
        bool is_last = s[n] == '\0';

        if (n == 0 || ret->n == MARKS_MAX || (!is_last && s[n] != ',')) {
            ret->is_cut = true;
            return;
        }
        memcpy(ret->v[ret->n++], s, n);
        s += is_last ? n : n + 1;
    }
}

bool marks_have(const struct marks *m, const char *mark)
{
    for (unsigned i = 0; i < m->n; i++)
        if (strcmp(m->v[i], mark) == 0)
            return true;
    return false;
}

void marks_format(const char *mark, const struct marks *base, size_t room, char ret[MARKS_TEXT])
{
    size_t len = strnlen(mark, MARK_SIZE - 1), n;
    unsigned k = 0;

    memcpy(ret, mark, len);
    for (; k < base->n && k < MARKS_CARRIED; k++) {
        n = strlen(base->v[k]);
        if (len + 1 + n + 2 > room) /* and ",~" */
            break;
        ret[len++] = ',';
        memcpy(ret + len, base->v[k], n);
        len += n;
    }
    ret[len] = '\0';
    if (k < base->n || base->is_cut)
        memcpy(ret + len, ",~", 3);
}
