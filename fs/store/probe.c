/* SPDX-License-Identifier: Apache-2.0 */
/* What is this server's word worth? Each condition is tried twice on throw-away keys: once so that
 * it must refuse, once so that it must let through. A server that does not know a condition ignores
 * it, or refuses the request: both count as "not there". Keys: a, b, d exist; f, g, m are made by
 * what must succeed. */
#include "store/probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/err.h"
#include "base/sys.h"

#define KEY_MAX 1100
#define UPLOADS 6

struct probe {
    struct store *s;
    const char *prefix;
    struct store_caps caps;
    struct store_etag etag_a;
    unsigned version; /* bodies differ, so that ETags do */
    struct {
        char key[KEY_MAX];
        char *id;
    } uploads[UPLOADS];
    size_t n_uploads;
    bool retried; /* the last request was sent more than once: a 412 may be its own work */
};

static const char *const names[] = {"a", "b", "d", "f", "g", "m"};
static const struct store_cond always = {.kind = STORE_ALWAYS};
static const struct store_cond absent = {.kind = STORE_IF_ABSENT};
/* Of the right form: some servers refuse others outright. */
static const struct store_cond wrong = {.kind = STORE_IF_MATCH,
                                        .etag = {.s = "d41d8cd98f00b204e9800998ecf8427f"}};

static struct store_cond match(const struct store_etag *e)
{
    return (struct store_cond){.kind = STORE_IF_MATCH, .etag = *e};
}

static const char *key(const struct probe *p, const char *name, char out[KEY_MAX])
{
    snprintf(out, KEY_MAX, "%s%s", p->prefix, name);
    return out;
}

/* The network's and our own failures say nothing about the server: they end the probe. */
static bool is_fatal(int r)
{
    switch (-r) {
    case ETIMEDOUT:
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ESHUTDOWN:
    case ECANCELED:
    case EINTR:
    case ENOMEM:
        return true;
    default:
        return false;
    }
}

static int call(struct probe *p, struct store_req *req, struct store_rsp *rsp)
{
    int r = store_call(p->s, req, rsp);
    p->retried = rsp->retried;
    return r;
}

static int head(struct probe *p, const char *name, struct store_etag *ret)
{
    char k[KEY_MAX];
    struct store_req req = {.op = STORE_HEAD, .key = key(p, name, k)};
    struct store_rsp rsp = {0};
    int r = call(p, &req, &rsp);
    if (r == 0)
        *ret = rsp.obj.etag;
    store_rsp_done(&rsp);
    return r;
}

static int put(struct probe *p, const char *name, struct store_cond cond, struct store_etag *ret)
{
    char k[KEY_MAX], text[64];
    snprintf(text, sizeof(text), "s3efs probe, may be deleted: %u\n", p->version++);
    struct store_mem m = {.data = text, .size = strlen(text)};
    struct store_src src = store_src_mem(&m);
    struct store_req req = {.op = STORE_PUT, .key = key(p, name, k), .cond = cond, .src = &src};
    struct store_rsp rsp = {0};
    int r = call(p, &req, &rsp);
    struct store_etag etag = rsp.obj.etag;
    store_rsp_done(&rsp);
    if (r == 0 && !store_etag_is_set(&etag))
        r = head(p, name, &etag);
    if (r == 0 && ret != NULL)
        *ret = etag;
    return r;
}

static int delete (struct probe *p, const char *name, struct store_cond cond)
{
    char k[KEY_MAX];
    struct store_req req = {.op = STORE_DELETE, .key = key(p, name, k), .cond = cond};
    struct store_rsp rsp = {0};
    int r = call(p, &req, &rsp);
    store_rsp_done(&rsp);
    return r;
}

static int copy(struct probe *p, const char *from, const char *to, struct store_cond src_cond,
                struct store_cond cond)
{
    char k[KEY_MAX], src[KEY_MAX];
    struct store_req req = {.op = STORE_COPY,
                            .key = key(p, to, k),
                            .src_key = key(p, from, src),
                            .src_cond = src_cond,
                            .cond = cond};
    struct store_rsp rsp = {0};
    int r = call(p, &req, &rsp);
    store_rsp_done(&rsp);
    return r;
}

/* --- conditions of PUT and DELETE --- */

/* Tries If-Match, right and wrong, as ETags are sent now. 0 or a fatal error. */
static int try_put_match(struct probe *p, bool *ret)
{
    int refused = put(p, "a", wrong, NULL);
    if (is_fatal(refused))
        return refused;
    struct store_etag now;
    int r = head(p, "a", &now);
    if (r != 0)
        return is_fatal(r) ? r : 0;
    int let = put(p, "a", match(&now), &p->etag_a);
    if (let == STORE_PRECONDITION && p->retried) {
        /* Perhaps the first try of that request was applied and its reply was lost: once more. */
        r = head(p, "a", &now);
        if (r == 0)
            let = put(p, "a", match(&now), &p->etag_a);
    }
    *ret = refused == STORE_PRECONDITION && let == 0;
    return is_fatal(let) ? let : 0;
}

static int probe_put_match(struct probe *p, void (*set_unquoted)(struct store *s, bool unquoted))
{
    int r = try_put_match(p, &p->caps.put_match);
    if (r < 0 || p->caps.put_match || set_unquoted == NULL)
        return r;
    set_unquoted(p->s, true);
    r = try_put_match(p, &p->caps.put_match);
    p->caps.etag_unquoted = r == 0 && p->caps.put_match;
    if (!p->caps.etag_unquoted)
        set_unquoted(p->s, false);
    return r;
}

static int probe_put(struct probe *p, void (*set_unquoted)(struct store *s, bool unquoted))
{
    int refused = put(p, "a", absent, NULL);
    if (is_fatal(refused))
        return refused;
    int let = put(p, "f", absent, NULL);
    if (let == STORE_PRECONDITION && p->retried)
        let = 0; /* nobody else knows this key: it was our own first try */
    p->caps.put_absent = refused == STORE_PRECONDITION && let == 0;
    if (is_fatal(let))
        return let;
    int r = probe_put_match(p, set_unquoted);
    return r < 0 ? r : put(p, "a", always, &p->etag_a);
}

static int probe_delete(struct probe *p)
{
    struct store_etag d = {.s = ""};
    int r = put(p, "d", always, &d);
    if (r != 0)
        return r;
    int refused = delete (p, "d", wrong);
    if (refused != STORE_PRECONDITION)
        return is_fatal(refused) ? refused : 0;
    int let = delete (p, "d", match(&d));
    p->caps.delete_match = let == 0 && head(p, "d", &d) == STORE_NOT_FOUND;
    return is_fatal(let) ? let : 0;
}

static int delete_many(struct probe *p, const char *const keys[2], const struct store_etag etags[2],
                       int ret[2])
{
    struct store_req req = {.op = STORE_DELETE_MANY, .keys = keys, .etags = etags, .n_keys = 2};
    struct store_rsp rsp = {0};
    int r = call(p, &req, &rsp);
    for (int i = 0; i < 2 && r == 0; i++)
        ret[i] = rsp.key_results[i];
    store_rsp_done(&rsp);
    return r;
}

/* One request with a right ETag and a wrong one. */
static int probe_delete_many(struct probe *p)
{
    char d[KEY_MAX], f[KEY_MAX];
    const char *const keys[] = {key(p, "d", d), key(p, "f", f)};
    struct store_etag etags[] = {{.s = ""}, {.s = ""}}, there = {.s = ""};
    int results[2] = {0};
    if (!p->caps.delete_match)
        return 0;
    int r = put(p, "d", always, &etags[0]);
    if (r == 0)
        r = put(p, "f", always, &there);
    if (r != 0)
        return r;
    etags[1] = wrong.etag;
    r = delete_many(p, keys, etags, results);
    p->caps.delete_many_match = r == 0 && results[0] == 0 && results[1] == STORE_PRECONDITION &&
                                head(p, "d", &there) == STORE_NOT_FOUND &&
                                head(p, "f", &there) == 0;
    return is_fatal(r) ? r : 0;
}

/* --- conditions of copies --- */

static int probe_copy_src(struct probe *p)
{
    int refused = copy(p, "a", "b", wrong, always);
    if (is_fatal(refused))
        return refused;
    int let = copy(p, "a", "b", match(&p->etag_a), always);
    p->caps.copy_src_match = refused == STORE_PRECONDITION && let == 0;
    return is_fatal(let) ? let : 0;
}

static int probe_copy_dst(struct probe *p)
{
    struct store_etag b = {.s = ""};
    int r = put(p, "b", always, &b);
    if (r != 0)
        return is_fatal(r) ? r : 0;
    int refused = copy(p, "a", "b", always, absent);
    int let = refused == STORE_PRECONDITION ? copy(p, "a", "g", always, absent) : 0;
    if (is_fatal(refused) || is_fatal(let))
        return is_fatal(refused) ? refused : let;
    p->caps.copy_dst_absent = refused == STORE_PRECONDITION && let == 0;
    refused = copy(p, "a", "b", always, wrong);
    if (refused == STORE_PRECONDITION && head(p, "b", &b) != 0)
        return 0; /* the first copy may have changed it */
    let = refused == STORE_PRECONDITION ? copy(p, "a", "b", always, match(&b)) : 0;
    p->caps.copy_dst_match = refused == STORE_PRECONDITION && let == 0;
    return is_fatal(refused) ? refused : is_fatal(let) ? let : 0;
}

/* --- multipart --- */

/* Starts an upload that the clean-up knows of; NULL id: not to be had. */
static int upload_start(struct probe *p, const char *name, const char **ret_id)
{
    char k[KEY_MAX];
    struct store_req req = {.op = STORE_MPU_CREATE, .key = key(p, name, k)};
    struct store_rsp rsp = {0};
    *ret_id = NULL;
    if (p->n_uploads == UPLOADS)
        return 0;
    int r = call(p, &req, &rsp);
    if (r == 0 && rsp.upload_id != NULL) {
        memcpy(p->uploads[p->n_uploads].key, k, sizeof(k));
        p->uploads[p->n_uploads].id = steal(&rsp.upload_id);
        *ret_id = p->uploads[p->n_uploads].id;
        p->n_uploads++;
    }
    store_rsp_done(&rsp);
    return is_fatal(r) ? r : 0;
}

struct upload {
    const char *name, *id;
    struct store_part part;
};

static int upload_with_part(struct probe *p, const char *name, struct upload *ret)
{
    char k[KEY_MAX], text[] = "s3efs probe part";
    struct store_mem m = {.data = text, .size = strlen(text)};
    struct store_src src = store_src_mem(&m);
    ret->name = name;
    int r = upload_start(p, name, &ret->id);
    if (r < 0 || ret->id == NULL)
        return r;
    struct store_req req = {.op = STORE_MPU_PART,
                            .key = key(p, name, k),
                            .upload_id = ret->id,
                            .part_number = 1,
                            .src = &src};
    struct store_rsp rsp = {0};
    r = call(p, &req, &rsp);
    ret->part = rsp.part;
    store_rsp_done(&rsp);
    if (r != 0)
        ret->id = NULL;
    return is_fatal(r) ? r : 0;
}

/* -ENOTSUP where there is no upload to complete. */
static int complete(struct probe *p, struct upload *u, struct store_cond cond)
{
    char k[KEY_MAX];
    if (u->id == NULL)
        return -ENOTSUP;
    struct store_req req = {.op = STORE_MPU_COMPLETE,
                            .key = key(p, u->name, k),
                            .upload_id = u->id,
                            .parts = &u->part,
                            .n_parts = 1,
                            .cond = cond};
    struct store_rsp rsp = {0};
    int r = call(p, &req, &rsp);
    store_rsp_done(&rsp);
    if (r != STORE_PRECONDITION)
        u->id = NULL; /* used up, or not to be trusted */
    return r;
}

/* The condition must refuse on `a`, where `let` must then let through; a refused upload is used
 * again. */
static int try_complete(struct probe *p, struct store_cond refuse, const char *let_name,
                        struct store_cond let_cond, bool *ret)
{
    struct upload u = {.id = NULL};
    int r = upload_with_part(p, "a", &u);
    if (r < 0)
        return r;
    int refused = complete(p, &u, refuse);
    if (refused != STORE_PRECONDITION)
        return is_fatal(refused) ? refused : 0;
    if (strcmp(let_name, "a") != 0 || p->retried)
        r = upload_with_part(p, let_name, &u);
    int let = r < 0 ? r : complete(p, &u, let_cond);
    *ret = let == 0;
    return is_fatal(let) ? let : 0;
}

static int probe_complete(struct probe *p)
{
    int r = try_complete(p, absent, "m", absent, &p->caps.complete_absent);
    if (r < 0)
        return r;
    /* If the server ignored the condition, a has another version now. */
    r = put(p, "a", always, &p->etag_a);
    if (r != 0)
        return is_fatal(r) ? r : 0;
    return try_complete(p, wrong, "a", match(&p->etag_a), &p->caps.complete_match);
}

static int part_copy(struct probe *p, const char *id, struct store_cond src_cond)
{
    char k[KEY_MAX], src[KEY_MAX];
    struct store_req req = {.op = STORE_MPU_PART_COPY,
                            .key = key(p, "m", k),
                            .upload_id = id,
                            .part_number = 1,
                            .src_key = key(p, "a", src),
                            .src_cond = src_cond};
    struct store_rsp rsp = {0};
    int r = call(p, &req, &rsp);
    store_rsp_done(&rsp);
    return r;
}

static int probe_part_copy(struct probe *p)
{
    const char *id = NULL;
    int r = put(p, "a", always, &p->etag_a);
    if (r == 0)
        r = upload_start(p, "m", &id);
    if (r != 0 || id == NULL)
        return is_fatal(r) ? r : 0;
    int refused = part_copy(p, id, wrong);
    if (refused != STORE_PRECONDITION)
        return is_fatal(refused) ? refused : 0;
    int let = part_copy(p, id, match(&p->etag_a));
    p->caps.part_copy_match = let == 0;
    return is_fatal(let) ? let : 0;
}

/* --- the whole --- */

/* Best effort: what stays is below the probe's own prefix. */
static void clean_up(struct probe *p)
{
    struct err_copy err;
    err_copy(&err);
    for (size_t i = 0; i < p->n_uploads; i++) {
        struct store_req req = {
            .op = STORE_MPU_ABORT, .key = p->uploads[i].key, .upload_id = p->uploads[i].id};
        struct store_rsp rsp = {0};
        (void)call(p, &req, &rsp);
        store_rsp_done(&rsp);
        free(p->uploads[i].id);
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)delete (p, names[i], always);
    err_restore(&err);
}

static int run(struct probe *p, void (*set_unquoted)(struct store *s, bool unquoted))
{
    int r = probe_put(p, set_unquoted);
    if (r == 0)
        r = probe_delete(p);
    if (r == 0)
        r = probe_delete_many(p);
    if (r == 0)
        r = probe_copy_src(p);
    if (r == 0)
        r = probe_copy_dst(p);
    if (r == 0)
        r = probe_complete(p);
    if (r == 0)
        r = probe_part_copy(p);
    return r;
}

int store_probe(struct store *s, const char *prefix,
                void (*set_etag_unquoted)(struct store *s, bool unquoted), struct store_caps *ret)
{
    struct probe *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return err_set(-ENOMEM, "no memory for the probe");
    if (strlen(prefix) + 2 > KEY_MAX) {
        free(p);
        return err_set(-ENAMETOOLONG, "the prefix for the probe's keys is too long");
    }
    p->s = s;
    p->prefix = prefix;
    char cause[ERR_TEXT_MAX];
    int r = err_fold(put(p, "a", always, &p->etag_a));
    if (r < 0) {
        snprintf(cause, sizeof(cause), "%s", err_text());
        r = err_set(r, "the PUT of %sa was refused: %s", prefix, cause);
    } else {
        r = err_fold(run(p, set_etag_unquoted));
    }
    crash_point("probe.asked");
    clean_up(p);
    if (r == 0)
        *ret = p->caps;
    free(p);
    return r;
}
