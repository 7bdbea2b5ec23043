/* SPDX-License-Identifier: Apache-2.0 */
/* See removerec.h. "S3ER", the version, the object's size in 8 bytes, little endian, then the ETag,
 * the id and the key, each with a NUL behind it; of a file that was moved, the ctime before the key. */
#include "removerec.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"

#define MAGIC "S3ER"
#define MAGIC_LEN (sizeof(MAGIC) - 1)
#define REC_VERSION 1
#define REC_MOVED 2
#define HEAD_LEN (MAGIC_LEN + 1 + 8)

bool removerec_is(const void *data, size_t len)
{
    return len >= MAGIC_LEN && memcmp(data, MAGIC, MAGIC_LEN) == 0;
}

int removerec_encode(const struct removerec *r, struct buf *out)
{
    uint64_t size = htole64(r->obj_size);

    buf_add(out, MAGIC, MAGIC_LEN);
    buf_addc(out, r->is_moved ? REC_MOVED : REC_VERSION);
    buf_add(out, &size, sizeof(size));
    buf_add(out, r->etag.s, strlen(r->etag.s) + 1);
    buf_add(out, r->id, strlen(r->id) + 1);
    if (r->is_moved)
        buf_add(out, r->ctime, strlen(r->ctime) + 1);
    buf_add(out, r->key, strlen(r->key) + 1);
    return buf_failed(out) ? err_set(out->error, "%s: no memory for the journal", r->key) : 0;
}

/* The next string; false: there is none, or it is longer. */
static bool take(const char **p, const char *end, char *ret, size_t size, bool is_text)
{
    const char *nul = *p < end ? memchr(*p, '\0', (size_t)(end - *p)) : NULL;
    size_t n;

    if (nul == NULL || (n = (size_t)(nul - *p)) >= size)
        return false;
    for (size_t k = 0; k < n && is_text; k++)
        if ((unsigned char)(*p)[k] < 0x20 || (*p)[k] == 0x7f)
            return false;
    memcpy(ret, *p, n + 1);
    *p = nul + 1;
    return true;
}

static bool is_whole(const struct removerec *r)
{
    size_t n = strlen(r->key), id = strlen(r->id);

    return n > 0 && r->key[n - 1] != '/' && r->etag.s[0] != '\0' &&
           (id == 0 || (id == 32 && strspn(r->id, "0123456789abcdef") == 32));
}

int removerec_decode(const void *data, size_t len, struct removerec *ret)
{
    const char *p = data, *end = p + len;
    uint64_t size;
    bool is_ok;

    *ret = (struct removerec){0};
    if (!removerec_is(data, len) || len < HEAD_LEN)
        return err_set(-EBADMSG, "not a journal entry of a removal");
    if (p[MAGIC_LEN] != REC_VERSION && p[MAGIC_LEN] != REC_MOVED)
        return err_set(-EBADMSG, "a journal entry of version %d: another s3efs wrote it",
                       p[MAGIC_LEN]);
    memcpy(&size, p + MAGIC_LEN + 1, sizeof(size));
    ret->obj_size = le64toh(size);
    ret->is_moved = p[MAGIC_LEN] == REC_MOVED;
    p += HEAD_LEN;
    is_ok = take(&p, end, ret->etag.s, sizeof(ret->etag.s), true) &&
            take(&p, end, ret->id, sizeof(ret->id), true) &&
            (!ret->is_moved || take(&p, end, ret->ctime, sizeof(ret->ctime), true)) &&
            take(&p, end, ret->key, sizeof(ret->key), false) && p == end && is_whole(ret);
    if (is_ok)
        return 0;
    *ret = (struct removerec){0};
    return err_set(-EBADMSG, "a broken journal entry");
}
