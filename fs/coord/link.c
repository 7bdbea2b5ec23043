/* SPDX-License-Identifier: Apache-2.0 */
#include "coord/link.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "record.h"

#define KEY_MAX_LEN 1024
#define LINE_MAX_LEN 4096 /* a word and a key of 1,024 bytes, each of them encoded in three */

void link_group_done(struct link_group *g)
{
    for (size_t i = 0; i < g->n; i++)
        free(g->v[i].key);
    free(g->v);
    free(g->bytes);
    *g = (struct link_group){0};
}

struct link_member *link_find(const struct link_group *g, const char *key)
{
    for (size_t i = 0; i < g->n; i++)
        if (strcmp(g->v[i].key, key) == 0)
            return &g->v[i];
    return NULL;
}

int link_put(struct link_group *g, const char *key, bool is_maybe)
{
    struct link_member *m = link_find(g, key);

    if (m != NULL) {
        m->is_maybe = is_maybe;
        return 0;
    }
    if (g->n >= LINK_MEMBERS_MAX)
        return err_set(-EMLINK, "a file has at most %u names", LINK_MEMBERS_MAX);
    if (g->n == g->cap) {
        size_t cap = g->cap != 0 ? 2 * g->cap : 8;
        struct link_member *more = realloc(g->v, cap * sizeof(*more));

        if (more == NULL)
            return err_set(-ENOMEM, "no memory for the names of a file");
        g->v = more;
        g->cap = cap;
    }
    m = &g->v[g->n];
    *m = (struct link_member){.key = strdup(key), .is_maybe = is_maybe};
    if (m->key == NULL)
        return err_set(-ENOMEM, "no memory for the names of a file");
    g->n++;
    return 0;
}

void link_remove(struct link_group *g, const char *key)
{
    struct link_member *m = link_find(g, key);

    if (m == NULL)
        return;
    free(m->key);
    g->n--;
    memmove(m, m + 1, (size_t)(g->v + g->n - m) * sizeof(*m));
}

int link_set_bytes(struct link_group *g, const char *key)
{
    char *copy = strdup(key);

    if (copy == NULL)
        return err_set(-ENOMEM, "no memory for the names of a file");
    free(g->bytes);
    g->bytes = copy;
    return 0;
}

unsigned link_count(const struct link_group *g)
{
    unsigned n = 0;

    for (size_t i = 0; i < g->n; i++)
        n += !g->v[i].is_maybe;
    return n;
}

static int take_line(struct link_group *g, const char *word, const char *value)
{
    _cleanup_buf_ struct buf key = BUF_INIT(LINE_MAX_LEN);
    bool is_member = strcmp(word, "member") == 0;

    if (strcmp(word, "generation") == 0)
        return g->generation == 0 && str_u64(value, 10, &g->generation) == 0 && g->generation > 0 &&
                       g->generation <= INT64_MAX
                   ? 0
                   : -EBADMSG;
    if (strcmp(word, "ctime") == 0) {
        uint64_t ns;

        if (g->ctime_ns != 0 || str_u64(value, 10, &ns) != 0 || ns == 0 || ns > INT64_MAX)
            return -EBADMSG;
        g->ctime_ns = (int64_t)ns;
        return 0;
    }
    if (!is_member && strcmp(word, "bytes") != 0 && strcmp(word, "maybe") != 0)
        return -EBADMSG;
    if (str_urldecode(&key, value, false) != 0 || key.len == 0 || key.len > KEY_MAX_LEN)
        return key.error == -ENOMEM ? -ENOMEM : -EBADMSG;
    if (strcmp(word, "bytes") == 0)
        return g->bytes == NULL ? link_set_bytes(g, buf_str(&key)) : -EBADMSG;
    if (link_find(g, buf_str(&key)) != NULL || g->n == LINK_MEMBERS_MAX)
        return -EBADMSG;
    return link_put(g, buf_str(&key), !is_member);
}

int link_parse(const char *text, size_t len, struct link_group *ret)
{
    struct link_group g = {0};
    int r = 0;

    for (size_t at = 0; at < len && r == 0;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end != NULL ? (size_t)(end - text) - at : LINE_MAX_LEN;
        char line[LINE_MAX_LEN], *blank;

        if (n >= sizeof(line) || memchr(text + at, '\0', n) != NULL) {
            r = -EBADMSG;
            break;
        }
        memcpy(line, text + at, n);
        line[n] = '\0';
        blank = strchr(line, ' ');
        if (blank == NULL) {
            r = -EBADMSG;
            break;
        }
        *blank = '\0';
        r = take_line(&g, line, blank + 1);
        at += n + 1;
    }
    if (r == 0 && len > 0 && (g.generation == 0 || g.bytes == NULL))
        r = -EBADMSG;
    if (r < 0) {
        link_group_done(&g);
        return r == -EBADMSG ? err_set(r, "no record of a link group") : r;
    }
    *ret = g;
    return 0;
}

static void add_line(struct buf *out, const char *word, const char *key)
{
    buf_adds(out, word);
    buf_addc(out, ' ');
    str_urlencode(out, key, strlen(key), true);
    buf_addc(out, '\n');
}

int link_format(const struct link_group *g, struct buf *out)
{
    buf_addf(out, "generation %" PRIu64 "\n", g->generation);
    if (g->ctime_ns > 0)
        buf_addf(out, "ctime %" PRId64 "\n", g->ctime_ns);
    add_line(out, "bytes", g->bytes);
    for (size_t i = 0; i < g->n; i++)
        add_line(out, g->v[i].is_maybe ? "maybe" : "member", g->v[i].key);
    return out->error;
}

static void name_of(const char *id, char ret[LINK_ID_LEN + 7])
{
    snprintf(ret, LINK_ID_LEN + 7, "links/%.*s", LINK_ID_LEN, id);
}

int link_get(struct coord *c, const char *id, struct link_group *ret)
{
    char name[LINK_ID_LEN + 7];
    struct record rec = {0};
    int r;

    name_of(id, name);
    r = record_get(c, name, 0, &rec);
    if (r == 0 && store_etag_is_set(&rec.etag)) {
        r = link_parse(rec.body, rec.len, ret);
        if (r == 0)
            ret->etag = rec.etag;
    }
    record_done(&rec);
    return r;
}

int link_swap(struct coord *c, const char *id, struct link_group *g)
{
    _cleanup_buf_ struct buf text = BUF_INIT(LINK_RECORD_MAX - 256); /* the nonce follows */
    char name[LINK_ID_LEN + 7];
    struct store_etag now;
    int r = link_format(g, &text);

    if (r < 0)
        return r == -E2BIG ? err_set(-EMLINK, "the names of the file are too long together") : r;
    name_of(id, name);
    r = record_swap(c, name, &g->etag, buf_str(&text), 0, &now);
    if (r == 0)
        g->etag = now;
    return r == RECORD_LOST ? LINK_LOST : r;
}

int link_clear(struct coord *c, const char *id, const struct link_group *g)
{
    char name[LINK_ID_LEN + 7];
    int r;

    name_of(id, name);
    r = record_clear(c, name, &g->etag, 0);
    return r == RECORD_LOST ? LINK_LOST : r;
}
