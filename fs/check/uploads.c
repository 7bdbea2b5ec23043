/* SPDX-License-Identifier: Apache-2.0 */
/* Multipart uploads that nobody has ended: their parts are paid for and never seen. Whose they are
 * can't be told, so only their age counts, by the bucket's clock. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "internal.h"

static void look_at(struct check *k, const struct store_upload *u)
{
    struct store_req req = {.op = STORE_MPU_ABORT, .key = u->key, .upload_id = u->upload_id};
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    enum check_fate fate = CHECK_REPAIRABLE;
    char since[32];
    int r;

    if (!check_is_old(k, u->started_ns, k->conf->older_ns))
        return;
    if (k->conf->repair) {
        r = store_call(k->store, &req, &rsp);
        fate = check_repaired(r == STORE_NO_UPLOAD || r == STORE_NOT_FOUND ? 0 : r);
    }
    str_format_iso8601(u->started_ns, since);
    check_say(k, CHECK_UPLOAD, fate, u->key, "a multipart upload since %s (id %s)%s%s", since,
              u->upload_id, fate == CHECK_FAILED ? ": " : "",
              fate == CHECK_FAILED ? err_text() : "");
}

/* One page, after where the last one ended. 1: there is another. */
static int list_page(struct check *k, const char *prefix, char **key, char **id)
{
    struct store_req req = {
        .op = STORE_MPU_LIST, .prefix = prefix, .start_after = *key, .upload_id = *id};
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    int r = err_fold(store_call(k->store, &req, &rsp));

    if (r < 0)
        return r;
    k->date_ns = rsp.date_ns != 0 ? rsp.date_ns : k->date_ns;
    for (size_t i = 0; i < rsp.uploads.n; i++)
        look_at(k, &rsp.uploads.v[i]);
    if (rsp.uploads.next_key == NULL)
        return 0;
    if (*key != NULL && strcmp(*key, rsp.uploads.next_key) == 0 &&
        strcmp(*id != NULL ? *id : "", rsp.uploads.next_id != NULL ? rsp.uploads.next_id : "") == 0)
        return err_set(-EBADMSG, "a page of multipart uploads ends where it began");
    free(*key);
    free(*id);
    *key = steal(&rsp.uploads.next_key);
    *id = steal(&rsp.uploads.next_id);
    return 1;
}

static void list(struct check *k, const char *prefix)
{
    _cleanup_free_ char *key = NULL, *id = NULL;
    int r;

    do
        r = list_page(k, prefix, &key, &id);
    while (r > 0);
    if (r < 0)
        check_error(k, "multipart uploads");
}

void check_uploads(struct check *k)
{
    const char *state = coord_state_prefix(k->coord);

    list(k, k->conf->prefix);
    if (!str_starts(state, k->conf->prefix))
        list(k, state);
}
