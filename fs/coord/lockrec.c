/* SPDX-License-Identifier: Apache-2.0 */
#include "lockrec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

static const char *const kinds[LOCK_KINDS] = {[LOCK_POSIX] = "posix", [LOCK_FLOCK] = "flock"};
static const char *const types[] = {
    [LOCK_TYPE_NONE] = "", [LOCK_TYPE_READ] = "read", [LOCK_TYPE_WRITE] = "write"};

static void holder_done(struct lockrec_holder *h)
{
    for (unsigned k = 0; k < LOCK_KINDS; k++)
        lockset_done(&h->held[k]);
}

void lockrec_done(struct lockrec *r)
{
    for (size_t i = 0; i < r->n; i++)
        holder_done(&r->v[i]);
    free(r->v);
    *r = (struct lockrec){0};
}

static struct lockrec_holder *find(const struct lockrec *r, const char *session)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->v[i].session, session) == 0)
            return &r->v[i];
    return NULL;
}

static struct lockrec_holder *find_or_add(struct lockrec *r, const char *session)
{
    struct lockrec_holder *h = find(r, session), *v;

    if (h != NULL)
        return h;
    v = reallocarray(r->v, r->n + 1, sizeof(*v));
    if (v == NULL)
        return NULL;
    r->v = v;
    h = &v[r->n++];
    *h = (struct lockrec_holder){0};
    memcpy(h->session, session, SESSION_ID_LEN);
    return h;
}

/* The next word of a line, which is cut off it; NULL: there is none. */
static char *word(char **rest)
{
    char *start = *rest;
    size_t len = start != NULL ? strcspn(start, " ") : 0;

    if (len == 0)
        return NULL;
    *rest = start[len] == ' ' ? start + len + 1 : NULL;
    start[len] = '\0';
    return start;
}

static int index_of(const char *const *words, size_t n, const char *s)
{
    for (size_t i = 0; s != NULL && i < n; i++)
        if (words[i][0] != '\0' && strcmp(words[i], s) == 0)
            return (int)i;
    return -1;
}

static int parse_line(struct lockrec *r, char *line)
{
    char *session = word(&line), *kind_word = word(&line), *type_word = word(&line),
         *start = word(&line), *end = word(&line);
    int kind = index_of(kinds, ARRAY_LEN(kinds), kind_word),
        type = index_of(types, ARRAY_LEN(types), type_word);
    struct lock_range range = {0, LOCK_END};
    struct lockrec_holder *h;

    if (session == NULL || !session_id_is_valid(session) || kind < 0 || type < 0 || start == NULL ||
        end == NULL || line != NULL || str_u64(start, 10, &range.start) < 0 ||
        (strcmp(end, "-") != 0 && str_u64(end, 10, &range.end) < 0) || range.end < range.start)
        return err_set(-EBADMSG, "a lock record is not as it should be");
    h = find_or_add(r, session);
    if (h == NULL)
        return err_set(-ENOMEM, "no memory for a lock record");
    return lockset_set(&h->held[kind], 0, 0, (enum lock_type)type, range);
}

int lockrec_parse(const char *body, struct lockrec *ret)
{
    _cleanup_free_ char *copy = strdup(body);
    char *line = copy;
    int r = copy != NULL ? 0 : err_set(-ENOMEM, "no memory for a lock record");

    while (r == 0 && *line != '\0') {
        char *end = strchr(line, '\n');

        if (end == NULL) {
            r = err_set(-EBADMSG, "a lock record is cut off");
            break;
        }
        *end = '\0';
        r = parse_line(ret, line);
        line = end + 1;
    }
    if (r < 0)
        lockrec_done(ret);
    return r;
}

static void add_set(struct buf *out, const char *session, enum lock_kind kind,
                    const struct lockset *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct lock_entry *e = &s->v[i];

        buf_addf(out, "%s %s %s %" PRIu64 " ", session, kinds[kind], types[e->type],
                 e->range.start);
        if (e->range.end == LOCK_END)
            buf_adds(out, "-\n");
        else
            buf_addf(out, "%" PRIu64 "\n", e->range.end);
    }
}

void lockrec_format(const struct lockrec *r, const char *session, const struct lockset *mine,
                    struct buf *out)
{
    for (size_t i = 0; i < r->n; i++)
        for (unsigned k = 0; k < LOCK_KINDS; k++)
            if (session == NULL || strcmp(r->v[i].session, session) != 0)
                add_set(out, r->v[i].session, (enum lock_kind)k, &r->v[i].held[k]);
    for (unsigned k = 0; k < LOCK_KINDS && mine != NULL && session != NULL; k++)
        add_set(out, session, (enum lock_kind)k, &mine[k]);
}

/* Does any range of one go against any of the other? */
static bool conflicts(const struct lockset *held, const struct lockset *want)
{
    for (size_t i = 0; i < want->n; i++)
        if (lockset_conflict(held, 1, want->v[i].type, want->v[i].range) != NULL)
            return true;
    return false;
}

const struct lockrec_holder *lockrec_conflict(const struct lockrec *r, const char *session,
                                              const struct lockset want[LOCK_KINDS])
{
    for (size_t i = 0; i < r->n; i++)
        for (unsigned k = 0; k < LOCK_KINDS; k++)
            if (strcmp(r->v[i].session, session) != 0 && conflicts(&r->v[i].held[k], &want[k]))
                return &r->v[i];
    return NULL;
}

void lockrec_drop(struct lockrec *r, const char *session)
{
    struct lockrec_holder *h = find(r, session);

    if (h == NULL)
        return;
    holder_done(h);
    *h = r->v[--r->n];
}
