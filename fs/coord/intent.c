/* SPDX-License-Identifier: Apache-2.0 */
/* Rename intents as text, and pure questions about them. The claims are in claim.c. */
#include "coord/intent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/sha256.h"
#include "base/str.h"
#include "internal.h"

#define NAME_HASH 16 /* bytes of SHA-256 */

static const char *const state_words[] = {
    [INTENT_NONE] = "none",
    [INTENT_CLAIMED] = "claimed",
    [INTENT_COPIED] = "copied",
    [INTENT_DONE] = "done",
};

void intent_name(const char *key, bool is_dir, char ret[INTENT_NAME_SIZE])
{
    unsigned char md[SHA256_LEN];
    char hex[2 * NAME_HASH + 1];

    sha256_bytes(key, strlen(key), md);
    str_hex(md, NAME_HASH, hex);
    snprintf(ret, INTENT_NAME_SIZE, "intents/%s%s", is_dir ? "dirs/" : "", hex);
}

bool intent_is_same(const struct intent *a, const struct intent *b)
{
    return strcmp(a->mark, b->mark) == 0 && strcmp(a->from, b->from) == 0 &&
           strcmp(a->to, b->to) == 0;
}

static void add_word(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, "%s ", name);
    str_urlencode(out, value, strlen(value), true);
    buf_addc(out, '\n');
}

void intent_format(const struct intent *i, struct buf *out)
{
    if (i->state == INTENT_NONE)
        return;
    buf_addf(out, "rename %s %s\n", i->is_dir ? "dir" : "file", i->is_target ? "target" : "source");
    add_word(out, "state", state_words[i->state]);
    add_word(out, "session", i->session);
    add_word(out, "mark", i->mark);
    add_word(out, "from", i->from);
    add_word(out, "to", i->to);
    if (i->id[0] != '\0')
        add_word(out, "id", i->id);
    if (store_etag_is_set(&i->source))
        add_word(out, "source-etag", i->source.s);
    if (store_etag_is_set(&i->target))
        add_word(out, "target-etag", i->target.s);
}

static int get_value(const char *value, size_t len, char *ret, size_t size)
{
    _cleanup_buf_ struct buf raw = BUF_INIT(4096), text = BUF_INIT(4096);
    int r;

    buf_add(&raw, value, len);
    if (buf_failed(&raw))
        return -EBADMSG;
    r = str_urldecode(&text, buf_str(&raw), false);
    if (r < 0 || buf_failed(&text) || str_copy(ret, size, buf_str(&text)) < 0)
        return -EBADMSG;
    return 0;
}

static int get_first_line(const char *line, size_t len, struct intent *ret)
{
    static const char *const forms[] = {"rename file source", "rename file target",
                                        "rename dir source", "rename dir target"};

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (len == strlen(forms[i]) && memcmp(line, forms[i], len) == 0) {
            ret->is_dir = i >= 2;
            ret->is_target = i % 2 == 1;
            return 0;
        }
    }
    return -EBADMSG;
}

static int get_state(const char *value, size_t len, struct intent *ret)
{
    for (size_t i = INTENT_CLAIMED; i < ARRAY_LEN(state_words); i++) {
        if (len == strlen(state_words[i]) && memcmp(value, state_words[i], len) == 0) {
            ret->state = (enum intent_state)i;
            return 0;
        }
    }
    return -EBADMSG;
}

/* A line whose word is not known was written by a later version: it is skipped. */
static int get_line(const char *line, size_t len, struct intent *ret)
{
    const struct {
        const char *word;
        char *to;
        size_t size;
    } fields[] = {
        {"session ", ret->session, sizeof(ret->session)},
        {"mark ", ret->mark, sizeof(ret->mark)},
        {"from ", ret->from, sizeof(ret->from)},
        {"to ", ret->to, sizeof(ret->to)},
        {"id ", ret->id, sizeof(ret->id)},
        {"source-etag ", ret->source.s, sizeof(ret->source.s)},
        {"target-etag ", ret->target.s, sizeof(ret->target.s)},
    };

    if (len > 6 && memcmp(line, "state ", 6) == 0)
        return get_state(line + 6, len - 6, ret);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        size_t n = strlen(fields[i].word);

        if (len >= n && memcmp(line, fields[i].word, n) == 0)
            return get_value(line + n, len - n, fields[i].to, fields[i].size);
    }
    return 0;
}

static bool is_hex(const char *s, size_t len)
{
    return strlen(s) == len && strspn(s, "0123456789abcdef") == len;
}

static bool is_whole(const struct intent *i)
{
    if (i->state == INTENT_NONE || !session_id_is_valid(i->session) ||
        !is_hex(i->mark, INTENT_MARK_LEN) || i->from[0] == '\0' || i->to[0] == '\0' ||
        strcmp(i->from, i->to) == 0)
        return false;
    if (i->is_dir) /* one inside the other can't be moved, and is not believed */
        return str_ends(i->from, "/") && str_ends(i->to, "/") && !str_starts(i->from, i->to) &&
               !str_starts(i->to, i->from);
    return store_etag_is_set(&i->source) && !str_ends(i->from, "/") && !str_ends(i->to, "/");
}

int intent_parse(const char *body, struct intent *ret)
{
    bool is_first = true;
    int r = 0;

    *ret = (struct intent){0};
    if (body[0] == '\0')
        return 0;
    for (const char *line = body, *end; r == 0 && *line != '\0'; line = end + 1) {
        end = strchr(line, '\n');
        if (end == NULL)
            r = -EBADMSG;
        else if (is_first)
            r = get_first_line(line, (size_t)(end - line), ret);
        else
            r = get_line(line, (size_t)(end - line), ret);
        is_first = false;
        if (end == NULL)
            break;
    }
    if (r == 0 && is_whole(ret))
        return 0;
    *ret = (struct intent){0};
    return err_set(-EBADMSG, "a rename's intent that can't be read");
}
