/* SPDX-License-Identifier: Apache-2.0 */
/* Headers that were set here and are not in the bucket yet. They stand beside those that the bucket
 * has, so that a commit which meets a newer version can put them onto that one, and one that is
 * given up takes them back. */
#include "internal.h"

#include <string.h>

#include "xattr_code.h"

#define TYPE_SET STORE_USER_META "s3efs-type"

static int put(struct store_hdrs *hdrs, const struct store_hdr *h)
{
    if (h->value[0] != '\0')
        return store_hdrs_set(hdrs, h->name, h->value);
    store_hdrs_remove(hdrs, h->name);
    return 0;
}

int edits_apply(const struct store_hdrs *edits, struct store_hdrs *hdrs)
{
    int r = 0;

    for (size_t n = 0; n < edits->n && r == 0; n++)
        r = put(hdrs, &edits->v[n]);
    return r;
}

int edits_add(struct store_hdrs *edits, const struct store_hdrs *more)
{
    struct store_hdrs sum = {0};
    int r = store_hdrs_copy(&sum, edits);

    for (size_t n = 0; n < more->n && r == 0; n++)
        r = store_hdrs_set(&sum, more->v[n].name, more->v[n].value);
    if (r < 0) {
        store_hdrs_done(&sum);
        return r;
    }
    store_hdrs_done(edits);
    *edits = sum;
    return 0;
}

void edits_drop(struct store_hdrs *edits, bool users, bool objects)
{
    for (size_t n = edits->n; n-- > 0;)
        if (strcmp(edits->v[n].name, XATTR_CODE_HDR) == 0 ? users : objects)
            store_hdrs_remove(edits, edits->v[n].name);
}

int edits_set_type(struct store_hdrs *edits, const char *type)
{
    int r = store_hdrs_set(edits, "content-type", type);

    return r == 0 ? store_hdrs_set(edits, TYPE_SET, type) : r;
}

bool edits_type_is_set(struct store_hdrs *hdrs)
{
    const char *type = store_hdrs_get(hdrs, "content-type"), *set = store_hdrs_get(hdrs, TYPE_SET);

    if (set == NULL)
        return false;
    if (type != NULL && strcmp(type, set) == 0)
        return true;
    store_hdrs_remove(hdrs, TYPE_SET); /* another client has given it a type since */
    return false;
}
