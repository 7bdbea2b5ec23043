/* SPDX-License-Identifier: Apache-2.0 */
#include "ahead.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define SLOWER 8 /* times what a LIST took, until the next */

void ahead_names_begin(struct ahead_walk *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->v[i].name);
    w->n = w->at = 0;
    w->is_end = true;
}

void ahead_done(struct ahead_walk *w)
{
    ahead_names_begin(w);
    *w = (struct ahead_walk){0};
}

void ahead_begin(struct ahead_walk *w, uint64_t dir, const char *name)
{
    ahead_done(w);
    if (str_copy(w->last, sizeof(w->last), name) == 0)
        w->dir = dir;
}

bool ahead_names_add(struct ahead_walk *w, const char *name, bool is_wanted)
{
    size_t most = w->window > 0 ? AHEAD_NAMES : AHEAD_LOOK;
    char *copy = w->n < most ? strdup(name) : NULL;

    w->is_end = copy != NULL;
    if (copy != NULL)
        w->v[w->n++] = (struct ahead_name){.name = copy, .is_wanted = is_wanted};
    return copy != NULL;
}

bool ahead_step(struct ahead_walk *w, const char *name)
{
    unsigned passed = 0;

    for (size_t i = w->at; i < w->n && passed <= AHEAD_GAP; i++) {
        if (strcmp(w->v[i].name, name) != 0) {
            passed += w->v[i].is_wanted && !w->v[i].is_sent;
            continue;
        }
        if (str_copy(w->last, sizeof(w->last), name) < 0)
            return false;
        w->at = i + 1;
        if (w->window == 0)
            w->window = AHEAD_FIRST;
        return true;
    }
    return false;
}

void ahead_hit(struct ahead_walk *w, bool is_answer)
{
    if (!is_answer)
        w->window = 0;
    else if (w->window > 0 && w->window < AHEAD_MOST)
        w->window *= 2;
}

bool ahead_is_short(const struct ahead_walk *w)
{
    size_t next = w->window < AHEAD_MOST ? 2 * w->window : AHEAD_MOST; /* if this lookup is a hit */

    return w->window > 0 && !w->is_end && w->n - w->at < next;
}

static bool is_past_page(const struct ahead_walk *w, const char *name)
{
    return w->end[0] != '\0' && strcmp(name, w->end) > 0;
}

bool ahead_may_list(struct ahead_walk *w, int64_t now_ns, int64_t every_ns)
{
    bool may = w->window >= AHEAD_LIST && (is_past_page(w, w->last) || w->listed_ns == 0 ||
                                           now_ns - w->listed_ns >= every_ns);

    if (may) {
        w->listed_ns = now_ns;
        w->end[0] = '\0';
    }
    return may;
}

void ahead_listed(struct ahead_walk *w, const char *end, int64_t began_ns, int64_t now_ns, int64_t every_ns)
{
    int64_t took = now_ns - began_ns;

    ahead_names_begin(w);
    w->is_end = false;
    w->listed_ns = now_ns;
    w->end[0] = '\0';
    /* one that ends before the walk: who lists does not know start-after */
    if (strcmp(end, w->last) <= 0 || took > every_ns / 2 || str_copy(w->end, sizeof(w->end), end) < 0)
        w->listed_ns += SLOWER * took;
}

const char *ahead_from(const struct ahead_walk *w, const char *name)
{
    return is_past_page(w, name) && !is_past_page(w, w->last) ? w->end : w->last;
}

/* What is behind the page's end the next page may confirm. */
struct ahead_name *ahead_next(struct ahead_walk *w)
{
    unsigned ahead = 0;

    for (size_t i = w->at; i < w->n && ahead < w->window; i++) {
        struct ahead_name *n = &w->v[i];

        if (is_past_page(w, n->name))
            return NULL;
        ahead += n->is_wanted;
        if (n->is_wanted && !n->is_sent) {
            n->is_sent = true;
            return n;
        }
    }
    return NULL;
}
