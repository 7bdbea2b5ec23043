/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the directory store share: a directory of their own, and requests in one line.
 */
#ifndef S3EFS_TESTS_DIRTEST_H
#define S3EFS_TESTS_DIRTEST_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "store/dir.h"

static inline int dirtest_remove_one(const char *path, const struct stat *st, int type,
                                     struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

static inline void dirtest_remove(const char *path)
{
    nftw(path, dirtest_remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* A fresh directory below TMPDIR; out has 256 bytes. */
static inline void dirtest_make(char out[256])
{
    const char *base = getenv("TMPDIR");
    snprintf(out, 256, "%s/s3efs-dirtest-XXXXXX", base == NULL ? "/tmp" : base);
    if (mkdtemp(out) == NULL)
        abort();
}

static inline int dirtest_put(struct store *s, const char *key, const void *data, size_t size,
                              struct store_cond cond, struct store_obj *ret)
{
    char *copy = malloc(size + 1);
    if (copy == NULL)
        abort();
    memcpy(copy, data, size);
    struct store_mem m = {.data = copy, .size = size};
    struct store_src src = store_src_mem(&m);
    struct store_req req = {.op = STORE_PUT, .key = key, .cond = cond, .src = &src};
    struct store_rsp rsp = {0};
    int r = store_call(s, &req, &rsp);
    if (r == 0 && ret != NULL)
        *ret = rsp.obj;
    store_rsp_done(&rsp);
    free(copy);
    return r;
}

static inline int dirtest_puts(struct store *s, const char *key, const char *text)
{
    return dirtest_put(s, key, text, strlen(text), (struct store_cond){0}, NULL);
}

/* The whole body with a NUL after it (free it). obj may be NULL; else store_obj_done() it. */
static inline int dirtest_get(struct store *s, const char *key, size_t room, char **ret,
                              size_t *ret_size, struct store_obj *obj)
{
    char *data = calloc(1, room + 1);
    if (data == NULL)
        abort();
    struct store_mem m = {.data = data, .size = room};
    struct store_sink sink = store_sink_mem(&m);
    struct store_req req = {.op = STORE_GET, .key = key, .sink = &sink};
    struct store_rsp rsp = {0};
    int r = store_call(s, &req, &rsp);
    if (r == 0 && ret_size != NULL)
        *ret_size = (size_t)rsp.body_len;
    if (r == 0 && obj != NULL) {
        *obj = rsp.obj;
        rsp.obj = (struct store_obj){0};
    }
    store_rsp_done(&rsp);
    if (r == 0 && ret != NULL) {
        *ret = data;
        return 0;
    }
    free(data);
    return r;
}

static inline int dirtest_delete(struct store *s, const char *key)
{
    struct store_req req = {.op = STORE_DELETE, .key = key};
    struct store_rsp rsp = {0};
    int r = store_call(s, &req, &rsp);
    store_rsp_done(&rsp);
    return r;
}

#endif
