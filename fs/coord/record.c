/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "internal.h"

#define NONCE_WORD "nonce "
#define NONCE_LEN 32
#define NONCE_LINE (sizeof(NONCE_WORD) - 1 + NONCE_LEN + 1)
#define KEY_SIZE 1100

void record_done(struct record *r)
{
    free(r->body);
    *r = (struct record){0};
}

static int key_of(const struct coord *c, const char *name, char ret[KEY_SIZE])
{
    int n = snprintf(ret, KEY_SIZE, "%s%s", c->prefix, name);

    return n > 0 && n < KEY_SIZE ? 0 : err_set(-ENAMETOOLONG, "state_prefix is too long");
}

/* The nonce at the end of a body, or NULL. */
static const char *nonce_of(const char *text, size_t len)
{
    const char *line;

    if (len < NONCE_LINE || text[len - 1] != '\n')
        return NULL;
    line = text + len - NONCE_LINE;
    if ((line != text && line[-1] != '\n') ||
        strncmp(line, NONCE_WORD, sizeof(NONCE_WORD) - 1) != 0)
        return NULL;
    return line + sizeof(NONCE_WORD) - 1;
}

struct how {
    int64_t deadline_ns;
    bool is_first;
};

/* What is there, its nonce included. */
static int read_whole(struct coord *c, const char *key, const struct how *how, struct record *ret)
{
    struct store_mem m = {.data = malloc(RECORD_MAX + 1), .size = RECORD_MAX};
    struct store_sink sink = store_sink_mem(&m);
    struct store_req req = {.op = STORE_GET,
                            .key = key,
                            .sink = &sink,
                            .is_urgent = true,
                            .is_first = how->is_first,
                            .deadline_ns = how->deadline_ns};
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    int r = m.data != NULL ? store_call(c->store, &req, &rsp) : -ENOMEM;

    if (r == STORE_NOT_FOUND) {
        rsp.body_len = 0;
        r = 0;
    } else if (r == 0) {
        ret->etag = rsp.obj.etag;
        if (rsp.obj.mtime_ns > 0 && rsp.date_ns > rsp.obj.mtime_ns)
            ret->age_ns = rsp.date_ns - rsp.obj.mtime_ns;
    }
    if (r == 0) {
        m.data[rsp.body_len] = '\0';
        ret->len = rsp.body_len;
        ret->body = realloc(m.data, rsp.body_len + 1) ?: m.data;
        return 0;
    }
    free(m.data);
    return err_fold(r);
}

static int get(struct coord *c, const char *name, const struct how *how, struct record *ret)
{
    char key[KEY_SIZE];
    int r = key_of(c, name, key);

    if (r == 0)
        r = read_whole(c, key, how, ret);
    if (r < 0 || !store_etag_is_set(&ret->etag))
        return r;
    if (nonce_of(ret->body, ret->len) == NULL || strlen(ret->body) != ret->len) {
        record_done(ret);
        return err_set(-EBADMSG, "%s is no record of s3efs", key);
    }
    ret->len -= NONCE_LINE;
    ret->body[ret->len] = '\0';
    return 0;
}

int record_get(struct coord *c, const char *name, int64_t deadline_ns, struct record *ret)
{
    return get(c, name, &(struct how){.deadline_ns = deadline_ns}, ret);
}

int record_get_first(struct coord *c, const char *name, int64_t deadline_ns, struct record *ret)
{
    return get(c, name, &(struct how){.deadline_ns = deadline_ns, .is_first = true}, ret);
}

/* After a refusal or a doubtful error: is what is there the body that we sent? */
static int look(struct coord *c, const char *key, const char *text, const struct how *how,
                int was_error, struct store_etag *ret_etag)
{
    struct err_copy cause;
    struct record now = {0};
    int r;

    err_copy(&cause);
    r = read_whole(c, key, how, &now);
    if (r == 0 && store_etag_is_set(&now.etag) && strcmp(now.body, text) == 0)
        *ret_etag = now.etag;
    else if (r == 0)
        r = was_error < 0 ? was_error : RECORD_LOST;
    else
        r = was_error < 0 ? was_error : r;
    if (r == was_error && r < 0)
        err_restore(&cause);
    record_done(&now);
    return r;
}

static int swap(struct coord *c, const char *name, const struct store_etag *was, const char *body,
                const struct how *how, struct store_etag *ret_etag)
{
    _cleanup_buf_ struct buf text = BUF_INIT(RECORD_MAX);
    unsigned char random[NONCE_LEN / 2];
    char key[KEY_SIZE], nonce[NONCE_LEN + 1];
    struct store_mem m;
    struct store_src src;
    struct store_req req = {.op = STORE_PUT,
                            .key = key,
                            .src = &src,
                            .is_urgent = true,
                            .is_first = how->is_first,
                            .deadline_ns = how->deadline_ns};
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    int r = key_of(c, name, key);

    if (r < 0)
        return r;
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_set(-EIO, "no random bytes");
    str_hex(random, sizeof(random), nonce);
    buf_adds(&text, body);
    buf_addf(&text, NONCE_WORD "%s\n", nonce);
    if (buf_failed(&text))
        return text.error == -E2BIG ? err_set(-ENOLCK, "%s would get too large", key)
                                    : err_set(text.error, "no memory for %s", key);
    m = (struct store_mem){text.data, text.len};
    src = store_src_mem(&m);
    req.cond.kind = was != NULL && store_etag_is_set(was) ? STORE_IF_MATCH : STORE_IF_ABSENT;
    if (req.cond.kind == STORE_IF_MATCH)
        req.cond.etag = *was;
    r = store_call(c->store, &req, &rsp);
    if (r == 0 && store_etag_is_set(&rsp.obj.etag)) {
        *ret_etag = rsp.obj.etag;
        return 0;
    }
    if ((r == STORE_PRECONDITION || r == STORE_NOT_FOUND) && !rsp.retried)
        return RECORD_LOST;
    return look(c, key, text.data, how, r, ret_etag);
}

int record_swap(struct coord *c, const char *name, const struct store_etag *was, const char *body,
                int64_t deadline_ns, struct store_etag *ret_etag)
{
    return swap(c, name, was, body, &(struct how){.deadline_ns = deadline_ns}, ret_etag);
}

int record_swap_first(struct coord *c, const char *name, const struct store_etag *was,
                      const char *body, int64_t deadline_ns, struct store_etag *ret_etag)
{
    return swap(c, name, was, body, &(struct how){.deadline_ns = deadline_ns, .is_first = true},
                ret_etag);
}

int record_clear(struct coord *c, const char *name, const struct store_etag *was,
                 int64_t deadline_ns)
{
    char key[KEY_SIZE];
    struct store_req req = {.op = STORE_DELETE,
                            .key = key,
                            .cond = {STORE_IF_MATCH, *was},
                            .is_urgent = true,
                            .deadline_ns = deadline_ns};
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    struct store_etag ignored;
    int r;

    if (!c->conf.caps.delete_match)
        return record_swap(c, name, was, "", deadline_ns, &ignored);
    r = key_of(c, name, key);
    if (r == 0)
        r = store_call(c->store, &req, &rsp);
    if (r == STORE_PRECONDITION || r == STORE_CONFLICT)
        return RECORD_LOST;
    return r == STORE_NOT_FOUND
               ? 0
               : err_fold(r); /* gone: by a try of ours whose reply was lost, or as good */
}

int record_list(struct coord *c, const char *name,
                int (*each)(void *arg, const char *name, const struct store_etag *etag), void *arg)
{
    _cleanup_free_ char *token = NULL;
    char prefix[KEY_SIZE];
    int r = key_of(c, name, prefix);

    if (r < 0)
        return r;
    do {
        struct store_req req = {.op = STORE_LIST, .prefix = prefix, .token = token};
        struct store_rsp rsp = {0};

        r = err_fold(store_call(c->store, &req, &rsp));
        for (size_t i = 0; r == 0 && i < rsp.list.n; i++)
            r = each(arg, rsp.list.v[i].key + strlen(c->prefix), &rsp.list.v[i].etag);
        free(token);
        token = r == 0 ? steal(&rsp.list.next) : NULL;
        store_rsp_done(&rsp);
    } while (r == 0 && token != NULL);
    return r;
}
