/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of the index's records. */
#include "schema.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "base/sha256.h"

/* SHA-256, cut to 16 bytes: names come from anybody who may write to the bucket, so nothing weaker
 * will do. */
static void hash16(const void *a, size_t a_len, const void *b, size_t b_len,
                   uint8_t out[CACHE_HASH])
{
    const struct sha256_part parts[] = {{a, a_len}, {"", 1}, {b, b_len}};
    uint8_t md[SHA256_LEN];

    sha256_parts(parts, ARRAY_LEN(parts), md);
    memcpy(out, md, CACHE_HASH);
}

bool cache_name_ok(const char *name, size_t len)
{
    if (len == 0 || len > CACHE_NAME_MAX)
        return false;
    if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
        return false;
    return memchr(name, '/', len) == NULL && memchr(name, '\0', len) == NULL;
}

int cache_name_split(const char *key, size_t key_len, struct cache_name *ret)
{
    struct cache_name n = {.type = CACHE_DENT_OBJ};
    size_t end = key_len, start;

    if (end > 0 && key[end - 1] == '/') {
        n.type = CACHE_DENT_PREFIX;
        end--;
    }
    for (start = end; start > 0 && key[start - 1] != '/'; start--)
        ;
    n.dir_len = start;
    n.name = key + start;
    n.len = end - start;
    if (!cache_name_ok(n.name, n.len))
        return -EINVAL;
    *ret = n;
    return 0;
}

void cache_dir_key(const char *dir, size_t len, struct cache_dir_key *ret)
{
    hash16(dir, len, "", 0, ret->b);
}

struct cache_dent_key cache_dent_key(const struct cache_dir_key *dir, const char *name, size_t len,
                                     enum cache_dent_type type)
{
    struct cache_dent_key k;

    memcpy(k.b, dir->b, CACHE_HASH);
    memcpy(k.b + CACHE_HASH, name, len);
    k.b[CACHE_HASH + len] = '\0';
    k.b[CACHE_HASH + len + 1] = (uint8_t)type;
    k.n = CACHE_HASH + len + 2;
    return k;
}

bool cache_dent_key_parse(const void *key, size_t n, struct cache_name *ret)
{
    const char *p = key;
    char type;

    if (n < CACHE_HASH + 3 || n > CACHE_HASH + CACHE_NAME_MAX + 2 || p[n - 2] != '\0')
        return false;
    type = p[n - 1];
    if (type != CACHE_DENT_OBJ && type != CACHE_DENT_PREFIX)
        return false;
    *ret = (struct cache_name){
        .name = p + CACHE_HASH,
        .len = n - CACHE_HASH - 2,
        .type = type == CACHE_DENT_OBJ ? CACHE_DENT_OBJ : CACHE_DENT_PREFIX,
    };
    return cache_name_ok(ret->name, ret->len);
}

/* Big-endian numbers, so that keys sort as they count. */
void cache_vkey(const char *key, const struct store_etag *etag, uint64_t size,
                struct cache_vkey *ret)
{
    uint64_t be = htobe64(size);

    hash16(key, strlen(key), etag->s, strnlen(etag->s, sizeof(etag->s)), ret->b);

    memcpy(ret->b + CACHE_HASH, &be, sizeof(be));
}

uint64_t cache_vkey_size(const struct cache_vkey *v)
{
    uint64_t be;

    memcpy(&be, v->b + CACHE_HASH, sizeof(be));
    return be64toh(be);
}

struct cache_blk_key cache_blk_key(const struct cache_vkey *v, uint32_t chunk)
{
    struct cache_blk_key k;
    uint32_t be = htobe32(chunk);

    memcpy(k.b, v->b, CACHE_VKEY);
    memcpy(k.b + CACHE_VKEY, &be, sizeof(be));
    return k;
}
