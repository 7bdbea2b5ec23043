/* SPDX-License-Identifier: Apache-2.0 */
/* See outrec.h. "S3EO", the version, then the fields in one fixed order: numbers of 8 bytes, little
 * endian, strings with their length before them. */
#include "outrec.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define MAGIC "S3EO"
#define REC_VERSION 6 /* of what older ones can't say: hard links, in place of */
#define REC_WITHOUT_LINKS 5 /* a rename; */
#define REC_WITHOUT_FROM 4 /* headers; */
#define REC_WITHOUT_HDRS 3 /* a device number; of a directory */
#define REC_WITHOUT_RDEV 2
#define REC_WITHOUT_ORDER 1
#define HDRS_MAX 64
#define STRING_MAX 8192

enum flag {
    FLAG_NEW = 1,
    FLAG_EXCL = 2,
    FLAG_TRUNC = 4,
    FLAG_WHOLE = 8,
    FLAG_TAIL = 16,
    FLAG_MIXED = 32,
    FLAG_REPLACING = 64,
    FLAGS = 127
};

static void put_u64(struct buf *out, uint64_t v)
{
    uint64_t le = htole64(v);

    buf_add(out, &le, sizeof(le));
}

static void put_str(struct buf *out, const char *s)
{
    size_t n = strlen(s);

    put_u64(out, n);
    buf_add(out, s, n);
}

static uint64_t flags_of(const struct outrec *r)
{
    return (r->is_new ? FLAG_NEW : 0u) | (r->is_excl ? FLAG_EXCL : 0u) |
           (r->is_trunc ? FLAG_TRUNC : 0u) | (r->bytes.whole ? FLAG_WHOLE : 0u) |
           (r->tail_is_on ? FLAG_TAIL : 0u) | (r->tail_is_mixed ? FLAG_MIXED : 0u) |
           (r->is_replacing ? FLAG_REPLACING : 0u);
}

static void put_attr(struct buf *out, const struct objattr *a)
{
    put_str(out, a->id);
    put_u64(out, a->mode);
    put_u64(out, a->uid);
    put_u64(out, a->gid);
    put_u64(out, (uint64_t)a->atime_ns);
    put_u64(out, (uint64_t)a->mtime_ns);
    put_u64(out, (uint64_t)a->ctime_ns);
}

static void put_hdrs(struct buf *out, const struct store_hdrs *h)
{
    put_u64(out, h->n);
    for (size_t i = 0; i < h->n; i++) {
        put_str(out, h->v[i].name);
        put_str(out, h->v[i].value);
    }
}

static bool is_plain(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;

    while (*p >= 0x20 && *p != 0x7f)
        p++;
    return *p == '\0' && (size_t)((const char *)p - s) <= STRING_MAX;
}

bool outrec_holds(const struct store_hdrs *hdrs)
{
    for (size_t i = 0; i < hdrs->n; i++)
        if (hdrs->v[i].name[0] == '\0' || !is_plain(hdrs->v[i].name) || !is_plain(hdrs->v[i].value))
            return false;
    return hdrs->n <= HDRS_MAX;
}

/* The oldest that can say it all: an older s3efs can read that, too. */
static char version_of(const struct outrec *r)
{
    if (r->n_links > 0)
        return REC_VERSION;
    if (r->from.key[0] != '\0')
        return REC_WITHOUT_LINKS;
    if (r->hdrs.n > 0 && outrec_holds(&r->hdrs)) /* else the bucket has them */
        return REC_WITHOUT_FROM;
    return r->attr.rdev != 0 || S_ISDIR(r->attr.mode) ? REC_WITHOUT_HDRS : REC_WITHOUT_RDEV;
}

int outrec_encode(const struct outrec *r, struct buf *out)
{
    const char version = version_of(r);

    buf_add(out, MAGIC, strlen(MAGIC));
    buf_addc(out, version);
    put_str(out, r->key);
    put_attr(out, &r->attr);
    put_str(out, r->etag.s);
    put_u64(out, r->obj_size);
    put_u64(out, (uint64_t)r->obj_mtime_ns);
    put_u64(out, flags_of(r));
    put_u64(out, (uint64_t)r->attr_ages << 32 | r->attr_set); /* older ones read the half that they know */
    put_u64(out, r->tail_off);
    put_u64(out, r->tail_end);
    put_u64(out, r->bytes.size);
    put_u64(out, r->bytes.base_valid);
    put_str(out, r->mark);
    put_u64(out, r->n_doubts);
    for (unsigned i = 0; i < r->n_doubts; i++)
        put_str(out, r->doubts[i]);
    put_hdrs(out, &r->edits);
    put_u64(out, r->bytes.n);
    for (size_t i = 0; i < r->bytes.n; i++) {
        put_u64(out, r->bytes.ext[i].off);
        put_u64(out, r->bytes.ext[i].len);
    }
    put_u64(out, r->order);
    if (version >= REC_WITHOUT_HDRS)
        put_u64(out, r->attr.rdev);
    if (version >= REC_WITHOUT_FROM)
        put_hdrs(out, &r->hdrs);
    if (version == REC_VERSION) {
        put_u64(out, r->n_links);
        for (unsigned i = 0; i < r->n_links; i++)
            put_str(out, r->links[i]);
    }
    if (version == REC_WITHOUT_LINKS) {
        put_str(out, r->from.key);
        put_str(out, r->from.etag.s);
        put_u64(out, r->from.obj_size);
        put_str(out, r->from.ctime);
        put_u64(out, r->from.is_same);
    }
    return buf_failed(out) ? err_set(out->error, "%s: too much to journal", r->key) : 0;
}

struct cursor {
    const unsigned char *p, *end;
    bool is_bad; /* sticky */
};

static const void *take(struct cursor *c, size_t n)
{
    const void *p = c->p;

    if (c->is_bad || (size_t)(c->end - c->p) < n) {
        c->is_bad = true;
        return NULL;
    }
    c->p += n;
    return p;
}

static uint64_t get_u64(struct cursor *c)
{
    const void *p = take(c, 8);
    uint64_t le = 0;

    if (p != NULL)
        memcpy(&le, p, sizeof(le));
    return le64toh(le);
}

/* Into size bytes with the NUL; no control characters: they would not go through a header. */
static void get_str(struct cursor *c, char *ret, size_t size, bool is_text)
{
    uint64_t n = get_u64(c);
    const unsigned char *p = n < size ? take(c, (size_t)n) : NULL;

    ret[0] = '\0';
    if (p == NULL) {
        c->is_bad = true;
        return;
    }
    for (size_t i = 0; i < n; i++)
        c->is_bad |= p[i] == '\0' || (is_text && (p[i] < 0x20 || p[i] == 0x7f));
    memcpy(ret, p, (size_t)n);
    ret[n] = '\0';
}

static void get_mark(struct cursor *c, char ret[UPLOAD_MARK_SIZE])
{
    get_str(c, ret, UPLOAD_MARK_SIZE, true);
    c->is_bad |= !upload_mark_is_valid(ret);
}

static bool is_type(mode_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode) || S_ISCHR(mode) || S_ISBLK(mode);
}

static void get_attr(struct cursor *c, struct objattr *a)
{
    get_str(c, a->id, sizeof(a->id), true);
    a->mode = (mode_t)get_u64(c);
    a->uid = (uid_t)get_u64(c);
    a->gid = (gid_t)get_u64(c);
    a->atime_ns = (int64_t)get_u64(c);
    a->mtime_ns = (int64_t)get_u64(c);
    a->ctime_ns = (int64_t)get_u64(c);
    c->is_bad |= !is_type(a->mode) || (a->mode & ~(mode_t)(S_IFMT | 07777)) != 0;
    c->is_bad |= strlen(a->id) != 32 || strspn(a->id, "0123456789abcdef") != 32;
}

static void get_flags(struct cursor *c, struct outrec *r)
{
    uint64_t f = get_u64(c);

    r->is_new = (f & FLAG_NEW) != 0;
    r->is_excl = (f & FLAG_EXCL) != 0;
    r->is_trunc = (f & FLAG_TRUNC) != 0;
    r->bytes.whole = (f & FLAG_WHOLE) != 0;
    r->tail_is_on = (f & FLAG_TAIL) != 0;
    r->tail_is_mixed = (f & FLAG_MIXED) != 0;
    r->is_replacing = (f & FLAG_REPLACING) != 0;
    c->is_bad |= (f & ~(uint64_t)FLAGS) != 0;
}

static int get_hdrs(struct cursor *c, struct store_hdrs *ret)
{
    uint64_t n = get_u64(c);
    char *name = malloc(2 * (STRING_MAX + 1)), *value = name + STRING_MAX + 1;
    int r = name != NULL ? 0 : -ENOMEM;

    c->is_bad |= n > HDRS_MAX;
    for (uint64_t i = 0; i < n && !c->is_bad && r == 0; i++) {
        get_str(c, name, STRING_MAX + 1, true);
        get_str(c, value, STRING_MAX + 1, true);
        c->is_bad |= name[0] == '\0';
        if (!c->is_bad)
            r = store_hdrs_set(ret, name, value);
    }
    free(name);
    return r;
}

static int get_extents(struct cursor *c, struct outrec *r)
{
    uint64_t n = get_u64(c), end = 0;

    if (c->is_bad || n > (size_t)(c->end - c->p) / 16) {
        c->is_bad = true;
        return 0;
    }
    r->bytes.ext = calloc(n > 0 ? (size_t)n : 1, sizeof(*r->bytes.ext));
    if (r->bytes.ext == NULL)
        return -ENOMEM;
    r->bytes.n = (size_t)n;
    for (size_t i = 0; i < r->bytes.n; i++) {
        struct data_extent *e = &r->bytes.ext[i];

        e->off = get_u64(c);
        e->len = get_u64(c);
        c->is_bad |= e->len == 0 || e->off > r->bytes.size || e->len > r->bytes.size - e->off ||
                     (i > 0 && e->off <= end);
        end = e->off + e->len;
    }
    return 0;
}

/* A file, all of whose bytes are here, and another key. */
static void get_from(struct cursor *c, struct outrec *r)
{
    size_t n;

    get_str(c, r->from.key, sizeof(r->from.key), false);
    get_str(c, r->from.etag.s, sizeof(r->from.etag.s), true);
    r->from.obj_size = get_u64(c);
    get_str(c, r->from.ctime, sizeof(r->from.ctime), true);
    r->from.is_same = get_u64(c) != 0;
    n = strlen(r->from.key);
    c->is_bad |= n == 0 || (n > 0 && r->from.key[n - 1] == '/') || r->from.etag.s[0] == '\0';
    c->is_bad |= !S_ISREG(r->attr.mode) || !r->is_new || r->bytes.base_valid > 0 || strcmp(r->from.key, r->key) == 0;
}

/* A new file, none of which is in the bucket, and keys of files, each once. */
static void get_links(struct cursor *c, struct outrec *r)
{
    uint64_t n = get_u64(c);

    c->is_bad |= n == 0 || n > OUTREC_LINKS || !S_ISREG(r->attr.mode) || !r->is_new || r->bytes.base_valid > 0;
    for (unsigned i = 0; i < n && !c->is_bad; i++) {
        size_t len;

        get_str(c, r->links[i], sizeof(r->links[i]), false);
        len = strlen(r->links[i]);
        c->is_bad |= len == 0 || (len > 0 && r->links[i][len - 1] == '/') || strcmp(r->links[i], r->key) == 0;
        for (unsigned k = 0; k < i; k++)
            c->is_bad |= strcmp(r->links[k], r->links[i]) == 0;
        r->n_links = i + 1;
    }
}

static void check(struct cursor *c, const struct outrec *r)
{
    size_t n = strlen(r->key);

    c->is_bad |= c->p != c->end || n == 0 || (n > 0 && r->key[n - 1] == '/') != S_ISDIR(r->attr.mode);
    c->is_bad |= S_ISDIR(r->attr.mode) && (n < 2 || r->bytes.n > 0 || r->bytes.size > 0 || r->obj_size > 0);
    c->is_bad |= r->bytes.size > DATA_SIZE_MAX || r->obj_size > DATA_SIZE_MAX;
    c->is_bad |= r->bytes.base_valid > r->obj_size || r->bytes.base_valid > r->bytes.size;
    c->is_bad |=
        (r->bytes.whole && r->bytes.base_valid > 0) || (r->obj_size > 0 && r->etag.s[0] == '\0');
    c->is_bad |= r->tail_is_on && (r->tail_off > r->tail_end || r->tail_end > r->bytes.size);
}

static int decode(struct cursor *c, struct outrec *r, unsigned version)
{
    uint64_t set;
    int e;

    get_str(c, r->key, sizeof(r->key), false);
    get_attr(c, &r->attr);
    get_str(c, r->etag.s, sizeof(r->etag.s), true);
    r->obj_size = get_u64(c);
    r->obj_mtime_ns = (int64_t)get_u64(c);
    get_flags(c, r);
    set = get_u64(c);
    r->attr_set = (unsigned)set;
    r->attr_ages = (uint32_t)(set >> 32);
    r->tail_off = get_u64(c);
    r->tail_end = get_u64(c);
    r->bytes.size = get_u64(c);
    r->bytes.base_valid = get_u64(c);
    get_mark(c, r->mark);
    r->n_doubts = (unsigned)get_u64(c);
    c->is_bad |= r->n_doubts > OUTREC_DOUBTS;
    for (unsigned i = 0; i < r->n_doubts && !c->is_bad; i++)
        get_mark(c, r->doubts[i]);
    e = get_hdrs(c, &r->edits);
    if (e == 0)
        e = get_extents(c, r);
    if (version >= REC_WITHOUT_RDEV)
        r->order = get_u64(c);
    if (version >= REC_WITHOUT_HDRS)
        r->attr.rdev = get_u64(c);
    if (e == 0 && version >= REC_WITHOUT_FROM)
        e = get_hdrs(c, &r->hdrs);
    if (e == 0 && version == REC_WITHOUT_LINKS)
        get_from(c, r);
    if (e == 0 && version == REC_VERSION)
        get_links(c, r);
    check(c, r);
    return e;
}

int outrec_decode(const void *data, size_t len, struct outrec *ret)
{
    struct cursor c = {.p = data, .end = (const unsigned char *)data + len};
    const char *magic = take(&c, strlen(MAGIC));
    const unsigned char *version = take(&c, 1);
    int r;

    *ret = (struct outrec){0};
    if (magic == NULL || version == NULL || memcmp(magic, MAGIC, strlen(MAGIC)) != 0)
        return err_set(-EBADMSG, "not a journal entry of a file");
    if (*version < REC_WITHOUT_ORDER || *version > REC_VERSION)
        return err_set(-EBADMSG, "a journal entry of version %u: another s3efs wrote it", *version);
    r = decode(&c, ret, *version);
    if (r == 0 && c.is_bad)
        r = err_set(-EBADMSG, "a broken journal entry");
    if (r < 0)
        outrec_done(ret);
    return r;
}

void outrec_done(struct outrec *r)
{
    data_state_done(&r->bytes);
    store_hdrs_done(&r->edits);
    store_hdrs_done(&r->hdrs);
    *r = (struct outrec){0};
}
