/* SPDX-License-Identifier: Apache-2.0 */
/* The codec of the journal's index. A record: version, flags, CRC, times and sizes, the caller's
 * bytes; the CRC starts from the number, so a record under another number does not decode. */
#include "jrec.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "crc.h"

#define FORMAT 1u
#define HAS_FILE 1u

struct head { /* of a record; little-endian */
    uint8_t format, flags;
    uint16_t zero;
    uint32_t crc;
    uint64_t since, alloc, size;
};

static uint32_t record_crc(uint64_t seq, const struct head *h, const void *body, size_t len)
{
    struct head clear = *h;
    uint64_t key = htobe64(seq);
    uint32_t crc = cache_crc(0, &key, sizeof(key));

    clear.crc = 0;
    return cache_crc(cache_crc(crc, &clear, sizeof(clear)), body, len);
}

void *jindex_encode(const struct jindex_rec *rec, size_t *ret_len, uint32_t *ret_crc)
{
    struct head h = {
        .format = FORMAT,
        .flags = rec->has_file ? HAS_FILE : 0,
        .since = htole64((uint64_t)rec->since_ns),
        .alloc = htole64(rec->alloc),
        .size = htole64(rec->size),
    };
    char *p = malloc(sizeof(h) + rec->len);

    if (p == NULL)
        return NULL;
    *ret_crc = record_crc(rec->seq, &h, rec->body, rec->len);
    h.crc = htole32(*ret_crc);
    memcpy(p, &h, sizeof(h));
    if (rec->len > 0)
        memcpy(p + sizeof(h), rec->body, rec->len);
    *ret_len = sizeof(h) + rec->len;
    return p;
}

int jindex_decode(uint64_t seq, const void *p, size_t n, struct jindex_rec *ret, uint32_t *ret_crc)
{
    struct head h;

    if (n < sizeof(h))
        return -EBADMSG;
    memcpy(&h, p, sizeof(h));
    *ret = (struct jindex_rec){
        .seq = seq,
        .since_ns = (int64_t)le64toh(h.since),
        .alloc = le64toh(h.alloc),
        .size = le64toh(h.size),
        .has_file = (h.flags & HAS_FILE) != 0,
        .body = (const char *)p + sizeof(h),
        .len = n - sizeof(h),
    };
    *ret_crc = le32toh(h.crc);
    return h.format == FORMAT && record_crc(seq, &h, ret->body, ret->len) == *ret_crc ? 0
                                                                                      : -EBADMSG;
}

uint64_t jindex_mix(uint64_t seq, uint32_t crc)
{
    uint64_t x = (seq + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (crc + UINT64_C(0x632be5ab)) << 17;

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ (x >> 27);
}

struct jindex_state_val jindex_state_encode(const struct jindex_state *s)
{
    struct jindex_state_val v = {
        .format = FORMAT,
        .kind = 'S',
        .next = htole64(s->next),
        .count = htole64(s->count),
        .digest = htole64(s->digest),
    };

    v.crc = htole32(cache_crc(0, &v, sizeof(v)));
    return v;
}

int jindex_state_decode(const void *p, size_t n, struct jindex_state *ret)
{
    struct jindex_state_val v;
    uint32_t crc;

    if (n >= 2 && ((const uint8_t *)p)[1] == 'S' && ((const uint8_t *)p)[0] > FORMAT)
        return -EPROTO;
    if (n != sizeof(v))
        return -EBADMSG;
    memcpy(&v, p, sizeof(v));
    crc = le32toh(v.crc);
    v.crc = 0;
    if (cache_crc(0, &v, sizeof(v)) != crc)
        return -EBADMSG;
    *ret = (struct jindex_state){
        .next = le64toh(v.next),
        .count = le64toh(v.count),
        .digest = le64toh(v.digest),
    };
    return 0;
}
