/* SPDX-License-Identifier: Apache-2.0 */
/* What the records of the index look like on disk: keys and values, as bytes. Values carry a
 * version and a CRC over their key and themselves, and are decoded with every length checked: a
 * disk may give back anything, and a record that does not decode is a record that is not there.
 * Pure functions; any thread.
 *
 * - dent: hash16(directory key) name NUL 'o'|'p' -> cache_rec_dent, one name: object or prefix
 * - dir: hash16(directory key) -> cache_rec_dir, the listing is complete
 * - ver: hash16(key, etag) size64 -> cache_rec_ver, one object version with blocks here
 * - blk: hash16(key, etag) size64 chunk32 -> cache_rec_blk, which blocks, and their CRCs
 * - note: name -> string
 *
 * The name comes before the type in a dentry's key, so a range scan gives a directory in the order
 * of names. Keys of objects go to 1,024 bytes and LMDB's to 511: hence the hashes (SHA-256, cut).
 */
#ifndef S3EFS_CACHE_SCHEMA_H
#define S3EFS_CACHE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "cache/cache.h"

#define CACHE_NAME_MAX 255u
#define CACHE_REC_MAX (64u * 1024u)
#define CACHE_HASH 16u
#define CACHE_VKEY (CACHE_HASH + 8u)
#define CACHE_CHUNK                                                                                \
    256u /* blocks a blk record: 32 MiB, and the record fits in half a page of LMDB's */

enum cache_dent_type { CACHE_DENT_OBJ = 'o', CACHE_DENT_PREFIX = 'p' };

struct cache_dir_key {
    uint8_t b[CACHE_HASH];
};
struct cache_dent_key {
    uint8_t b[CACHE_HASH + CACHE_NAME_MAX + 2];
    size_t n;
};
struct cache_vkey {
    uint8_t b[CACHE_VKEY];
};
struct cache_blk_key {
    uint8_t b[CACHE_VKEY + 4];
};

/* Splits an object's key into the key of its directory ("" or ending in '/'; *ret_dir_len bytes of
 * key) and its name. "a/b/" is the prefix "b" in "a/". -EINVAL: a name that is not cached ("", ".",
 * "..", over 255 bytes). */
struct cache_name {
    size_t dir_len;
    const char *name;
    size_t len;
    enum cache_dent_type type;
};
_must_check_ int cache_name_split(const char *key, size_t key_len, struct cache_name *ret);
bool cache_name_ok(const char *name, size_t len);

void cache_dir_key(const char *dir, size_t len, struct cache_dir_key *ret);
struct cache_dent_key cache_dent_key(const struct cache_dir_key *dir, const char *name, size_t len,
                                     enum cache_dent_type type);
/* Name and type out of a dentry's key as it was found; false if it is none. name points into key.
 */
bool cache_dent_key_parse(const void *key, size_t n, struct cache_name *ret);
void cache_vkey(const char *key, const struct store_etag *etag, uint64_t size,
                struct cache_vkey *ret);
uint64_t cache_vkey_size(const struct cache_vkey *v);
struct cache_blk_key cache_blk_key(const struct cache_vkey *v, uint32_t chunk);

struct cache_rec_dent {
    bool has_obj; /* a prefix has one only if its "dir/" object is known */
    bool has_hdrs;
    bool is_racy; /* LIST-4 */
    uint64_t boot; /* tag of the boot that checked_ns belongs to */
    int64_t checked_ns;
    struct store_obj obj;
};
struct cache_rec_dir {
    uint64_t boot;
    int64_t listed_ns;
};
struct cache_rec_ver {
    uint64_t alloc;  /* bytes allocated on disk */
    int64_t used_ns; /* wall clock */
};
struct cache_rec_blk {
    uint32_t n; /* the first n may be present; the rest is not */
    uint8_t present[CACHE_CHUNK / 8];
    uint32_t crc[CACHE_CHUNK];
};
static inline bool cache_blk_has(const struct cache_rec_blk *r, uint32_t i)
{
    return i < r->n && (r->present[i / 8] >> (i % 8) & 1u) != 0;
}
void cache_blk_set(struct cache_rec_blk *r, uint32_t i, uint32_t crc);
void cache_blk_clear(struct cache_rec_blk *r, uint32_t i);

struct cache_bytes {
    const void *p;
    size_t n;
};
/* Encoders: 0, -E2BIG or -ENOMEM. out is reset first. */
_must_check_ int cache_rec_dent_encode(struct buf *out, struct cache_bytes key,
                                       const struct cache_rec_dent *r);
_must_check_ int cache_rec_dir_encode(struct buf *out, struct cache_bytes key,
                                      const struct cache_rec_dir *r);
_must_check_ int cache_rec_ver_encode(struct buf *out, struct cache_bytes key,
                                      const struct cache_rec_ver *r);
_must_check_ int cache_rec_blk_encode(struct buf *out, struct cache_bytes key,
                                      const struct cache_rec_blk *r);
_must_check_ int cache_rec_note_encode(struct buf *out, struct cache_bytes key, const char *value);
/* Decoders: 0, -EBADMSG or -ENOMEM; *ret is then not written. */
_must_check_ int cache_rec_dent_decode(struct cache_bytes val, struct cache_bytes key,
                                       bool want_hdrs, struct cache_rec_dent *ret);
_must_check_ int cache_rec_dir_decode(struct cache_bytes val, struct cache_bytes key,
                                      struct cache_rec_dir *ret);
_must_check_ int cache_rec_ver_decode(struct cache_bytes val, struct cache_bytes key,
                                      struct cache_rec_ver *ret);
_must_check_ int cache_rec_blk_decode(struct cache_bytes val, struct cache_bytes key,
                                      struct cache_rec_blk *ret);
_must_check_ int cache_rec_note_decode(struct cache_bytes val, struct cache_bytes key, char **ret);

#endif
