/* SPDX-License-Identifier: Apache-2.0 */
/* One page of a listing, fed with keys in binary order: prefix, start-after, token, common
 * prefixes, the limit. A token is the last thing listed, with a letter for what it was: 'k' a key,
 * 'p' a common prefix. And one of open multipart uploads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/err.h"
#include "base/str.h"
#include "store/backend.h"

int store_page_init(struct store_page *p, const struct store_req *req, uint32_t limit,
                    struct store_list *list)
{
    *p = (struct store_page){
        .prefix = req->prefix == NULL ? "" : req->prefix,
        .delimited = req->delimited,
        .max = req->max_keys == 0 || req->max_keys > limit ? limit : req->max_keys,
        .after = req->start_after,
        .list = list,
    };
    p->prefix_len = strlen(p->prefix);
    if (p->after != NULL && p->after[0] == '\0')
        p->after = NULL;
    if (req->token == NULL)
        return 0;
    if ((req->token[0] != 'k' && req->token[0] != 'p') || req->token[1] == '\0')
        return err_set(-EINVAL, "a listing's continuation token is not one of ours");
    p->after = req->token + 1;
    p->after_is_prefix = req->token[0] == 'p';
    return 0;
}

bool store_page_wants(const struct store_page *p, const char *key)
{
    if (strncmp(key, p->prefix, p->prefix_len) != 0)
        return false;
    if (p->after == NULL)
        return true;
    return strcmp(key, p->after) > 0 && !(p->after_is_prefix && str_starts(key, p->after));
}

bool store_page_wants_below(const struct store_page *p, const char *dir)
{
    if (!str_starts(dir, p->prefix) && !str_starts(p->prefix, dir))
        return false;
    if (p->after == NULL)
        return true;
    if (strncmp(p->after, dir, strlen(dir)) > 0)
        return false;
    return !(p->after_is_prefix && str_starts(dir, p->after));
}

/* The length of the common prefix that the key folds into, or 0. */
static size_t fold_len(const struct store_page *p, const char *key)
{
    if (!p->delimited || strncmp(key, p->prefix, p->prefix_len) != 0)
        return 0;
    const char *slash = strchr(key + p->prefix_len, '/');
    return slash == NULL ? 0 : (size_t)(slash - key) + 1;
}

size_t store_page_folds(const struct store_page *p, const char *dir)
{
    return fold_len(p, dir);
}

static int page_end(struct store_page *p)
{
    const struct store_entry *last = &p->list->v[p->list->n - 1];
    size_t len = strlen(last->key);
    char *next = malloc(len + 2);
    if (next == NULL)
        return err_set(-ENOMEM, "no memory for a listing");
    next[0] = last->is_prefix ? 'p' : 'k';
    memcpy(next + 1, last->key, len + 1);
    p->list->next = next;
    p->full = true;
    return 0;
}

int store_page_add(struct store_page *p, const char *key, struct store_entry **ret)
{
    size_t fold = fold_len(p, key);
    *ret = NULL;
    if (p->full)
        return 0;
    if (fold > 0 && p->n > 0) {
        const struct store_entry *last = &p->list->v[p->list->n - 1];
        if (last->is_prefix && strlen(last->key) == fold && strncmp(last->key, key, fold) == 0)
            return 0;
    }
    if (p->n == p->max)
        return page_end(p);
    struct store_entry *e = store_list_add(p->list, key, fold > 0 ? fold : strlen(key));
    if (e == NULL)
        return err_set(-ENOMEM, "no memory for a listing");
    p->n++;
    if (fold > 0)
        e->is_prefix = true;
    else
        *ret = e;
    return 0;
}

bool store_uploads_wants(const struct store_req *req, const char *key, const char *id)
{
    int c = req->start_after == NULL ? 1 : strcmp(key, req->start_after);

    return c > 0 || (c == 0 && req->upload_id != NULL && strcmp(id, req->upload_id) > 0);
}

static int upload_cmp(const void *a, const void *b)
{
    const struct store_upload *x = a, *y = b;
    int c = strcmp(x->key, y->key);

    return c != 0 ? c : strcmp(x->upload_id, y->upload_id);
}

int store_uploads_cut(const struct store_req *req, size_t limit, struct store_rsp *rsp)
{
    size_t n = rsp->uploads.n, max = limit;
    const struct store_upload *last;

    if (req->max_keys != 0 && req->max_keys < max)
        max = req->max_keys;
    if (n > 1)
        qsort(rsp->uploads.v, n, sizeof(*rsp->uploads.v), upload_cmp);
    for (; rsp->uploads.n > max; rsp->uploads.n--) {
        free(rsp->uploads.v[rsp->uploads.n - 1].key);
        free(rsp->uploads.v[rsp->uploads.n - 1].upload_id);
    }
    if (n == rsp->uploads.n)
        return 0;
    last = &rsp->uploads.v[rsp->uploads.n - 1];
    rsp->uploads.next_key = strdup(last->key);
    rsp->uploads.next_id = strdup(last->upload_id);
    return rsp->uploads.next_key != NULL && rsp->uploads.next_id != NULL
               ? 0
               : err_set(-ENOMEM, "no memory for a listing");
}
