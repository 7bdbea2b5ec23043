/* SPDX-License-Identifier: Apache-2.0 */
/* Every object of the bucket, once: names that no mount can show, and what the cache has of it.
 * Nothing here writes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "internal.h"

#define DEFAULT_STATE ".s3efs/"
#define LINK_NAME_SIZE (sizeof("links/") + LINK_ID_LEN)

/* Where mounts of this bucket keep theirs: this one's, and where others do by default. */
bool check_is_state(const struct check *k, const char *key)
{
    const char *prefix = k->conf->prefix;

    return str_starts(key, coord_state_prefix(k->coord)) || str_starts(key, DEFAULT_STATE) ||
           (str_starts(key, prefix) && str_starts(key + strlen(prefix), DEFAULT_STATE));
}

static void tell_shadowed(void *arg, const char *file)
{
    check_say(arg, CHECK_SHADOWED, CHECK_LEFT, file,
              "a file and a directory have this name: mounts show the directory only");
}

/* A link's header names its group: "<id> <generation>". */
static void look_deep(struct check *k, const char *key)
{
    struct store_req req = {.op = STORE_HEAD, .key = key};
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    int r = store_call(k->store, &req, &rsp);
    const char *link = r == 0 ? store_hdrs_get(&rsp.obj.hdrs, LINK_HDR) : NULL;
    char name[LINK_NAME_SIZE];

    if (r != 0 && r != STORE_NOT_FOUND) {
        (void)err_fold(r);
        check_error(k, key);
    }
    if (link == NULL)
        return;
    snprintf(name, sizeof(name), "links/%.*s", (int)strnlen(link, LINK_ID_LEN), link);
    if (check_record(k, name) == NULL)
        check_say(k, CHECK_LINK_MEMBER, CHECK_NOTE, key,
                  "was a hard link; there is no %s any more, so it is a file of its own", name);
}

static int look_at(struct check *k, struct key_stack *files, const struct store_entry *e)
{
    const struct cache_id id = {.key = e->key, .etag = &e->etag, .size = e->size};
    const char *fault = check_key_fault(e->key + strlen(k->conf->prefix));
    int r = key_stack_next(files, e->key, tell_shadowed, k);

    k->result->objects++;
    if (strlen(e->key) > 1024)
        fault = "the key is longer than 1024 bytes";
    if (fault == NULL && str_ends(e->key, "/") && e->size > 0)
        fault = "a directory's marker has bytes, which no file shows";
    if (fault != NULL)
        check_say(k, CHECK_HIDDEN_KEY, CHECK_LEFT, e->key, "%s", fault);
    if (r == 0 && k->scrub != NULL)
        r = cache_scrub_match(k->scrub, &id);
    if (r == 0 && k->conf->deep)
        look_deep(k, e->key);
    return r;
}

int check_bucket(struct check *k)
{
    _cleanup_free_ char *token = NULL;
    struct key_stack files = {0};
    int r;

    do {
        struct store_req req = {.op = STORE_LIST, .prefix = k->conf->prefix, .token = token};
        struct store_rsp rsp = {0};

        r = err_fold(store_call(k->store, &req, &rsp));
        k->date_ns = rsp.date_ns != 0 ? rsp.date_ns : k->date_ns;
        for (size_t i = 0; r == 0 && i < rsp.list.n; i++)
            if (!check_is_state(k, rsp.list.v[i].key))
                r = look_at(k, &files, &rsp.list.v[i]);
        check_progress(k, CHECK_STAGE_BUCKET, k->result->objects);
        free(token);
        token = r == 0 ? steal(&rsp.list.next) : NULL;
        store_rsp_done(&rsp);
    } while (r == 0 && token != NULL);
    key_stack_done(&files);
    return r;
}
