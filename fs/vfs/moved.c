/* SPDX-License-Identifier: Apache-2.0 */
/* What a copy says of where it came from, and the deletion of what was copied. */
#include "rename.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

int moved_set(struct store_hdrs *hdrs, const char *mark, const struct store_etag *source)
{
    char value[INTENT_MARK_LEN + 2 + sizeof(source->s)];

    snprintf(value, sizeof(value), "%s %s", mark, source->s);
    return store_hdrs_set(hdrs, MOVED_HDR, value);
}

enum moved_how moved_look(const struct store_hdrs *hdrs, const char *mark,
                          const struct store_etag *source)
{
    const char *s = store_hdrs_get(hdrs, MOVED_HDR);
    size_t n = strlen(mark);

    if (s == NULL || n == 0 || strncmp(s, mark, n) != 0 || (s[n] != '\0' && s[n] != ' '))
        return MOVED_NOT;
    if (s[n] == '\0' || s[n + 1] == '\0')
        return MOVED_TOUCHED;
    return strcmp(s + n + 1, source->s) == 0 ? MOVED_SAME : MOVED_STALE;
}

void moved_touch(struct store_hdrs *hdrs)
{
    const char *s = store_hdrs_get(hdrs, MOVED_HDR);
    char mark[INTENT_MARK_LEN + 1];

    if (s == NULL)
        return;
    snprintf(mark, sizeof(mark), "%.*s", (int)strcspn(s, " "), s);
    if (store_hdrs_set(hdrs, MOVED_HDR, mark) < 0)
        store_hdrs_remove(hdrs, MOVED_HDR);
}

int key_head(struct vfs *v, const char *key, struct store_obj *ret)
{
    struct store_req req = {.op = STORE_HEAD, .key = key};
    struct store_rsp rsp = {0};
    int r = store_call(v->store, &req, &rsp);

    if (r == 0) {
        *ret = rsp.obj;
        rsp.obj = (struct store_obj){0};
    }
    store_rsp_done(&rsp);
    return r;
}

int rename_delete(struct vfs *v, const char *key, const struct store_etag *etag,
                  const char *session)
{
    struct store_req req = {.op = STORE_DELETE, .key = key};
    struct store_rsp rsp = {0};
    struct store_obj there = {0};
    int r = 0;

    if (v->conf.caps.delete_match) {
        req.cond = (struct store_cond){STORE_IF_MATCH, *etag};
    } else {
        r = key_head(v, key, &there);
        if (r == 0 && !store_etag_equal(&there.etag, etag))
            r = STORE_PRECONDITION;
        store_obj_done(&there);
    }
    if (r == 0 && session[0] != '\0') { /* RENAME-2 */
        r = session_check(v->coord, session);
        req.deadline_ns = session_deadline_ns(v->coord);
    }
    if (r == 0)
        r = store_call(v->store, &req, &rsp);
    store_rsp_done(&rsp);
    if (r == STORE_NOT_FOUND)
        return 0;
    return r == STORE_PRECONDITION ? RENAME_CHANGED : err_fold(r);
}

int moved_headers(struct vfs *v, const struct moved *one, const struct intent *what,
                  const struct store_obj *obj, struct store_hdrs *ret)
{
    const struct objattr_defaults d = vfs_defaults(v);
    struct objattr a;
    int r = store_hdrs_copy(ret, &obj->hdrs);

    if (r < 0)
        return r;
    objattr_decode(&d, one->from, str_ends(one->from, "/"), obj, &a);
    if (strcmp(one->from, what->from) == 0 && what->is_dir)
        a.ctime_ns = clock_wall_ns(); /* the directory's own; what is in it is moved unchanged */
    r = objattr_encode(&a, one->to, ret);
    return r == 0 && what->mark[0] != '\0' ? moved_set(ret, what->mark, &obj->etag) : r;
}
