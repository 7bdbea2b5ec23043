/* SPDX-License-Identifier: Apache-2.0 */
/* A rewrite keeps the object's tags. They are no part of its version, so they are read just before; and only where
 * the last HEAD or GET has told that there are any. */
#include "internal.h"

int upload_tags(struct upload *u, const char *key, struct store_hdrs *hdrs)
{
    const char *count = store_hdrs_get(hdrs, STORE_TAG_COUNT);
    struct store_req req = {.op = STORE_GET_TAGS, .key = key};
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    if (!count || count[0] == '0')
        return 0;
    int r = store_call(u->store, &req, &rsp);
    if (r == STORE_NOT_FOUND) /* it is gone: the write's condition will say so */
        return 0;
    if (r != 0)
        return err_fold(r);
    if (rsp.tags && rsp.tags[0])
        return store_hdrs_set(hdrs, STORE_TAGS, rsp.tags);
    store_hdrs_remove(hdrs, STORE_TAG_COUNT); /* taken away since */
    return 0;
}
