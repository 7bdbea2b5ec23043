/* SPDX-License-Identifier: Apache-2.0 */
/* The codec of the index's values: version, kind, fields (little-endian, strings with their
 * length), CRC. The CRC starts from the record's key, so a value that turns up under another key
 * does not decode. */
#include "schema.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "crc.h"

#define RECORD_VERSION 1u
#define HDRS_MAX 512u

enum kind { KIND_DENT = 'E', KIND_DIR = 'D', KIND_VER = 'V', KIND_BLK = 'B', KIND_NOTE = 'N' };
enum dent_flag { DENT_OBJ = 1, DENT_HDRS = 2, DENT_RACY = 4 }; /* readers skip what they do not know */

/* --- writing --- */

static void put_u8(struct buf *b, unsigned v)
{
    buf_addc(b, (char)(unsigned char)v);
}

static void put_u32(struct buf *b, uint32_t v)
{
    uint32_t le = htole32(v);

    buf_add(b, &le, sizeof(le));
}

static void put_u64(struct buf *b, uint64_t v)
{
    uint64_t le = htole64(v);

    buf_add(b, &le, sizeof(le));
}

static void put_str(struct buf *b, const char *s)
{
    size_t n = strlen(s);

    put_u32(b, n > CACHE_REC_MAX ? CACHE_REC_MAX : (uint32_t)n);
    buf_add(b, s, n); /* a longer one is past the buffer's maximum: the record fails */
}

static void begin(struct buf *b, enum kind kind)
{
    buf_reset(b);
    put_u8(b, RECORD_VERSION);
    put_u8(b, kind);
}

static int finish(struct buf *b, struct cache_bytes key)
{
    if (!buf_failed(b))
        put_u32(b, cache_crc(cache_crc(0, key.p, key.n), b->data, b->len));
    return b->error;
}

/* --- reading --- */

struct reader {
    const uint8_t *p;
    size_t left;
    bool bad; /* a field did not fit: everything read since is zero */
};

static const uint8_t *get_bytes(struct reader *r, size_t n)
{
    const uint8_t *p = r->p;

    if (r->bad || n > r->left) {
        r->bad = true;
        return NULL;
    }
    r->p += n;
    r->left -= n;
    return p;
}

static uint8_t get_u8(struct reader *r)
{
    const uint8_t *p = get_bytes(r, 1);

    return p != NULL ? *p : 0;
}

static uint32_t get_u32(struct reader *r)
{
    const uint8_t *p = get_bytes(r, 4);
    uint32_t le = 0;

    if (p != NULL)
        memcpy(&le, p, sizeof(le));
    return le32toh(le);
}

static uint64_t get_u64(struct reader *r)
{
    const uint8_t *p = get_bytes(r, 8);
    uint64_t le = 0;

    if (p != NULL)
        memcpy(&le, p, sizeof(le));
    return le64toh(le);
}

/* A string of at most max bytes without NULs: borrowed, not terminated. */
static struct cache_bytes get_str(struct reader *r, size_t max)
{
    size_t n = get_u32(r);
    const uint8_t *p = n <= max ? get_bytes(r, n) : NULL;

    if (p == NULL || memchr(p, '\0', n) != NULL) {
        r->bad = true;
        return (struct cache_bytes){.p = ""};
    }
    return (struct cache_bytes){.p = p, .n = n};
}

static void get_str_into(struct reader *r, char *dst, size_t size)
{
    struct cache_bytes s = get_str(r, size - 1);

    memcpy(dst, s.p, s.n);
    dst[s.n] = '\0';
}

/* Checks CRC, version and kind; leaves the reader at the first field. */
static int open_record(struct cache_bytes val, struct cache_bytes key, enum kind kind,
                       struct reader *ret)
{
    uint32_t le;

    if (val.n < 6 || val.n > CACHE_REC_MAX + 4)
        return -EBADMSG;
    memcpy(&le, (const uint8_t *)val.p + val.n - 4, sizeof(le));
    if (cache_crc(cache_crc(0, key.p, key.n), val.p, val.n - 4) != le32toh(le))
        return -EBADMSG;
    *ret = (struct reader){.p = val.p, .left = val.n - 4};
    if (get_u8(ret) != RECORD_VERSION || get_u8(ret) != kind)
        return -EBADMSG;
    return 0;
}

static bool is_whole(const struct reader *r)
{
    return !r->bad && r->left == 0;
}

/* --- dentries --- */

int cache_rec_dent_encode(struct buf *out, struct cache_bytes key, const struct cache_rec_dent *r)
{
    const struct store_hdrs *h = &r->obj.hdrs;

    begin(out, KIND_DENT);
    put_u8(out, (r->has_obj ? DENT_OBJ : 0u) | (r->has_hdrs ? DENT_HDRS : 0u) | (r->is_racy ? DENT_RACY : 0u));
    put_u64(out, r->boot);
    put_u64(out, (uint64_t)r->checked_ns);
    if (r->has_obj) {
        put_str(out, r->obj.etag.s);
        put_u64(out, r->obj.size);
        put_u64(out, (uint64_t)r->obj.mtime_ns);
        put_str(out, r->obj.version);
    }
    if (r->has_obj && r->has_hdrs) {
        if (h->n > HDRS_MAX)
            return -E2BIG;
        put_u32(out, (uint32_t)h->n);
        for (size_t i = 0; i < h->n; i++) {
            put_str(out, h->v[i].name);
            put_str(out, h->v[i].value);
        }
    }
    return finish(out, key);
}

static int get_hdr(struct reader *in, struct store_hdrs *h)
{
    struct cache_bytes name = get_str(in, CACHE_REC_MAX), value = get_str(in, CACHE_REC_MAX);
    _cleanup_free_ char *n = strndup(name.p, name.n), *v = strndup(value.p, value.n);

    if (n == NULL || v == NULL)
        return -ENOMEM;
    if (in->bad || name.n == 0)
        return -EBADMSG;
    return store_hdrs_set(h, n, v);
}

static int get_hdrs(struct reader *in, struct store_hdrs *h)
{
    uint32_t n = get_u32(in);
    int r = n <= HDRS_MAX ? 0 : -EBADMSG;

    for (uint32_t i = 0; i < n && r == 0; i++)
        r = get_hdr(in, h);
    return r;
}

int cache_rec_dent_decode(struct cache_bytes val, struct cache_bytes key, bool want_hdrs,
                          struct cache_rec_dent *ret)
{
    struct cache_rec_dent d = {0};
    struct reader in;
    unsigned flags;
    int r = open_record(val, key, KIND_DENT, &in);

    if (r < 0)
        return r;
    flags = get_u8(&in);
    d.has_obj = (flags & DENT_OBJ) != 0;
    d.has_hdrs = (flags & DENT_HDRS) != 0;
    d.is_racy = (flags & DENT_RACY) != 0;
    d.boot = get_u64(&in);
    d.checked_ns = (int64_t)get_u64(&in);
    if (d.has_obj) {
        get_str_into(&in, d.obj.etag.s, sizeof(d.obj.etag.s));
        d.obj.size = get_u64(&in);
        d.obj.mtime_ns = (int64_t)get_u64(&in);
        get_str_into(&in, d.obj.version, sizeof(d.obj.version));
    }
    if (d.has_obj && d.has_hdrs && want_hdrs && !in.bad)
        r = get_hdrs(&in, &d.obj.hdrs);
    if (r == 0 && (in.bad || ((want_hdrs || !d.has_hdrs) && in.left > 0)))
        r = -EBADMSG;
    if (r < 0) {
        store_obj_done(&d.obj);
        return r;
    }
    *ret = d;
    return 0;
}

/* --- listings and versions --- */

int cache_rec_dir_encode(struct buf *out, struct cache_bytes key, const struct cache_rec_dir *r)
{
    begin(out, KIND_DIR);
    put_u64(out, r->boot);
    put_u64(out, (uint64_t)r->listed_ns);
    return finish(out, key);
}

int cache_rec_dir_decode(struct cache_bytes val, struct cache_bytes key, struct cache_rec_dir *ret)
{
    struct reader in;
    struct cache_rec_dir d;
    int r = open_record(val, key, KIND_DIR, &in);

    if (r < 0)
        return r;
    d.boot = get_u64(&in);
    d.listed_ns = (int64_t)get_u64(&in);
    if (!is_whole(&in))
        return -EBADMSG;
    *ret = d;
    return 0;
}

int cache_rec_ver_encode(struct buf *out, struct cache_bytes key, const struct cache_rec_ver *r)
{
    begin(out, KIND_VER);
    put_u64(out, r->alloc);
    put_u64(out, (uint64_t)r->used_ns);
    return finish(out, key);
}

int cache_rec_ver_decode(struct cache_bytes val, struct cache_bytes key, struct cache_rec_ver *ret)
{
    struct reader in;
    struct cache_rec_ver d;
    int r = open_record(val, key, KIND_VER, &in);

    if (r < 0)
        return r;
    d.alloc = get_u64(&in);
    d.used_ns = (int64_t)get_u64(&in);
    if (!is_whole(&in))
        return -EBADMSG;
    *ret = d;
    return 0;
}

/* --- block maps --- */

void cache_blk_set(struct cache_rec_blk *r, uint32_t i, uint32_t crc)
{
    if (i >= CACHE_CHUNK)
        return;
    for (; r->n <= i; r->n++) { /* what lies between is not there */
        r->present[r->n / 8] &= (uint8_t) ~(1u << (r->n % 8));
        r->crc[r->n] = 0;
    }
    r->present[i / 8] |= (uint8_t)(1u << (i % 8));
    r->crc[i] = crc;
}

void cache_blk_clear(struct cache_rec_blk *r, uint32_t i)
{
    if (i < r->n)
        r->present[i / 8] &= (uint8_t) ~(1u << (i % 8));
}

int cache_rec_blk_encode(struct buf *out, struct cache_bytes key, const struct cache_rec_blk *r)
{
    begin(out, KIND_BLK);
    put_u32(out, r->n);
    buf_add(out, r->present, (r->n + 7) / 8);
    for (uint32_t i = 0; i < r->n; i++)
        put_u32(out, r->crc[i]);
    return finish(out, key);
}

int cache_rec_blk_decode(struct cache_bytes val, struct cache_bytes key, struct cache_rec_blk *ret)
{
    struct reader in;
    const uint8_t *present, *crcs;
    uint32_t n;
    int r = open_record(val, key, KIND_BLK, &in);

    if (r < 0)
        return r;
    n = get_u32(&in);
    if (n > CACHE_CHUNK)
        return -EBADMSG;
    present = get_bytes(&in, (n + 7) / 8);
    crcs = get_bytes(&in, n * 4u);
    if (present == NULL || crcs == NULL || !is_whole(&in))
        return -EBADMSG;
    *ret = (struct cache_rec_blk){.n = n};
    memcpy(ret->present, present, (n + 7) / 8);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t le;

        memcpy(&le, crcs + 4 * (size_t)i, sizeof(le));
        ret->crc[i] = le32toh(le);
    }
    return 0;
}

/* --- notes --- */

int cache_rec_note_encode(struct buf *out, struct cache_bytes key, const char *value)
{
    begin(out, KIND_NOTE);
    put_str(out, value);
    return finish(out, key);
}

int cache_rec_note_decode(struct cache_bytes val, struct cache_bytes key, char **ret)
{
    struct reader in;
    struct cache_bytes s;
    char *copy;
    int r = open_record(val, key, KIND_NOTE, &in);

    if (r < 0)
        return r;
    s = get_str(&in, CACHE_REC_MAX);
    if (!is_whole(&in))
        return -EBADMSG;
    copy = strndup(s.p, s.n);
    if (copy == NULL)
        return -ENOMEM;
    *ret = copy;
    return 0;
}
