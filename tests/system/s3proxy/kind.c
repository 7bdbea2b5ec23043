/* SPDX-License-Identifier: Apache-2.0 */
/* Which S3 operation a request is (see kind.h). */
#include "kind.h"

#include <stdio.h>
#include <string.h>

const char *const kind_names[KINDS] = {
    [KIND_HEAD] = "HEAD",
    [KIND_GET] = "GET",
    [KIND_PUT] = "PUT",
    [KIND_DELETE] = "DELETE",
    [KIND_DELETE_MULTI] = "DELETE-multi",
    [KIND_LIST] = "LIST",
    [KIND_COPY] = "COPY",
    [KIND_MPU_CREATE] = "MPU-create",
    [KIND_PUT_PART] = "PUT-part",
    [KIND_COPY_PART] = "COPY-part",
    [KIND_MPU_COMPLETE] = "MPU-complete",
    [KIND_MPU_ABORT] = "MPU-abort",
    [KIND_LIST_MPU] = "LIST-mpu",
    [KIND_HEAD_BUCKET] = "HEAD-bucket",
    [KIND_OTHER] = "other",
};

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void url_decode(char *s)
{
    char *out = s;

    while (*s) {
        if (*s == '%' && hex(s[1]) >= 0 && hex(s[2]) >= 0) {
            *out++ = (char)(hex(s[1]) * 16 + hex(s[2]));
            s += 3;
        } else {
            *out++ = *s++;
        }
    }
    *out = '\0';
}

bool query_get(const char *query, const char *name, char *out, size_t size)
{
    size_t n = strlen(name);

    for (const char *p = query; p && *p; p = strchr(p, '&') ? strchr(p, '&') + 1 : NULL) {
        size_t len = strcspn(p, "&");

        if (len < n || strncmp(p, name, n) != 0 || (len > n && p[n] != '='))
            continue;
        const char *v = len > n ? p + n + 1 : p + n;
        len = (size_t)(p + len - v);
        if (len >= size)
            return false;
        memcpy(out, v, len);
        out[len] = '\0';
        url_decode(out);
        return true;
    }
    return false;
}

static bool has(const struct target *t, const char *name)
{
    char v[4096];

    return query_get(t->query, name, v, sizeof(v));
}

static enum kind of_bucket(const struct target *t)
{
    if (strcmp(t->method, "HEAD") == 0)
        return KIND_HEAD_BUCKET;
    if (strcmp(t->method, "POST") == 0 && has(t, "delete"))
        return KIND_DELETE_MULTI;
    if (strcmp(t->method, "GET") == 0 && has(t, "uploads"))
        return KIND_LIST_MPU;
    if (strcmp(t->method, "GET") == 0 && has(t, "list-type"))
        return KIND_LIST;
    return KIND_OTHER;
}

static enum kind of_key(const struct target *t, bool copies)
{
    bool part = has(t, "uploadId");

    if (strcmp(t->method, "HEAD") == 0)
        return KIND_HEAD;
    if (strcmp(t->method, "GET") == 0)
        return part ? KIND_OTHER : KIND_GET;
    if (strcmp(t->method, "PUT") == 0 && part)
        return copies ? KIND_COPY_PART : KIND_PUT_PART;
    if (strcmp(t->method, "PUT") == 0)
        return copies ? KIND_COPY : KIND_PUT;
    if (strcmp(t->method, "DELETE") == 0)
        return part ? KIND_MPU_ABORT : KIND_DELETE;
    if (strcmp(t->method, "POST") == 0)
        return part ? KIND_MPU_COMPLETE : has(t, "uploads") ? KIND_MPU_CREATE : KIND_OTHER;
    return KIND_OTHER;
}

int kind_of(const struct head *h, struct target *t)
{
    char path[16384], source[8192];

    memset(t, 0, sizeof(*t));
    if (sscanf(h->text, "%15s %16383s", t->method, path) != 2)
        return -1;
    char *q = strchr(path, '?');
    if (q) {
        *q++ = '\0';
        if (strlen(q) >= sizeof(t->query))
            return -1;
        memcpy(t->query, q, strlen(q) + 1);
    }
    char *key = path[0] == '/' ? strchr(path + 1, '/') : NULL;
    if (key && key[1]) {
        url_decode(key + 1);
        if (strlen(key + 1) >= sizeof(t->key))
            return -1;
        memcpy(t->key, key + 1, strlen(key + 1) + 1);
        t->kind = of_key(t, head_get(h, "x-amz-copy-source", source, sizeof(source)));
    } else {
        t->kind = of_bucket(t);
    }
    return 0;
}
