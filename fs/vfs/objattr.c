/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX attributes <-> object metadata. */
#include "objattr.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

#define META(name) STORE_USER_META name

static void digest_hex(const char *a, const char *b, const char *c, char ret[33])
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    /* The parts are told apart by their NULs. */
    if (ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1) {
        EVP_DigestUpdate(ctx, a, strlen(a) + 1);
        EVP_DigestUpdate(ctx, b, strlen(b) + 1);
        EVP_DigestUpdate(ctx, c, strlen(c) + 1);
        EVP_DigestFinal_ex(ctx, md, &n);
    }
    EVP_MD_CTX_free(ctx);
    if (n < 16) { /* no memory: still a value, only less evenly spread */
        uint64_t h[2] = {str_hash(a, strlen(a)), str_hash(b, strlen(b)) ^ str_hash(c, strlen(c))};

        memcpy(md, h, sizeof(h));
    }
    str_hex(md, 16, ret);
}

void objattr_id_of_name(const char *key, char ret[33])
{
    digest_hex("name", key, "", ret);
}

static void id_of_version(const char *key, const struct store_obj *obj, char ret[33])
{
    char version[sizeof(obj->etag.s) + 32];

    snprintf(version, sizeof(version), "%s %" PRId64, obj->etag.s, obj->mtime_ns);
    digest_hex("version", key, version, ret);
}

int objattr_new_id(char ret[33])
{
    unsigned char raw[16];

    if (RAND_bytes(raw, sizeof(raw)) != 1)
        return err_set(-EIO, "no random bytes");
    str_hex(raw, sizeof(raw), ret);
    return 0;
}

uint64_t objattr_ino(const struct objattr *a)
{
    uint64_t v = 0;
    char head[17];

    memcpy(head, a->id, 16);
    head[16] = '\0';
    if (str_u64(head, 16, &v) < 0)
        v = str_hash(a->id, strlen(a->id));
    return v > 1 ? v : v + 2; /* 0 is nobody's, 1 the root's */
}

static bool get_u64(const struct store_hdrs *h, const char *name, unsigned base, uint64_t *ret)
{
    const char *s = store_hdrs_get(h, name);

    return s != NULL && str_u64(s, base, ret) == 0;
}

/* s3fs and geesefs write the mode in decimal, rclone in octal with a leading 0. */
static bool get_mode(const struct store_hdrs *h, uint64_t *ret)
{
    const char *s;

    if (get_u64(h, META("file-permissions"), 8, ret))
        return *ret <= 0177777;
    s = store_hdrs_get(h, META("mode"));
    if (s == NULL)
        s = store_hdrs_get(h, META("permissions"));
    if (s == NULL)
        return false;
    return str_u64(s, s[0] == '0' ? 8 : 10, ret) == 0 && *ret <= 0177777;
}

static bool get_id(const struct store_hdrs *h, const char *a, const char *b, const char *c,
                   uint32_t *ret)
{
    uint64_t v;

    if (!get_u64(h, a, 10, &v) && !get_u64(h, b, 10, &v) && !get_u64(h, c, 10, &v))
        return false;
    if (v >= UINT32_MAX)
        return false;
    *ret = (uint32_t)v;
    return true;
}

/* How many digits s (NULL: none) begins with, 1 to max of them, and their value; 0: it is no such
 * number. */
static size_t leading_number(const char *s, size_t max, uint64_t *ret)
{
    size_t n = s != NULL ? strspn(s, "0123456789") : 0;
    char digits[24];

    if (n == 0 || n > max || n >= sizeof(digits))
        return 0;
    memcpy(digits, s, n);
    digits[n] = '\0';
    return str_u64(digits, 10, ret) == 0 ? n : 0;
}

/* DataSync: "1595002920000000000ns", without suffix milliseconds. */
static bool get_ns(const struct store_hdrs *h, const char *name, int64_t *ret)
{
    const char *s = store_hdrs_get(h, name);
    uint64_t v;
    size_t n = leading_number(s, 23, &v);

    if (n == 0 || v > INT64_MAX)
        return false;
    if (strcmp(s + n, "ns") == 0) {
        *ret = (int64_t)v;
        return true;
    }
    if (s[n] != '\0' || v > INT64_MAX / NS_PER_MS)
        return false;
    *ret = (int64_t)v * NS_PER_MS;
    return true;
}

/* s3fs, rclone, geesefs: seconds, perhaps with a fraction. */
static bool get_seconds(const struct store_hdrs *h, const char *name, int64_t *ret)
{
    const char *s = store_hdrs_get(h, name);
    int64_t frac = 0, unit = NS_PER_S / 10;
    uint64_t v;
    size_t n = leading_number(s, 15, &v);

    if (n == 0 || v > INT64_MAX / NS_PER_S - 1)
        return false;
    if (s[n] == '.') {
        for (n++; s[n] >= '0' && s[n] <= '9'; n++, unit /= 10)
            frac += (s[n] - '0') * unit;
    }
    if (s[n] != '\0')
        return false;
    *ret = (int64_t)v * NS_PER_S + frac;
    return true;
}

/* "<32 hex> <32 hex of the key it was written for>": a copy under another key does not count. */
static bool get_file_id(const struct store_hdrs *h, const char *key, char ret[33])
{
    const char *s = store_hdrs_get(h, META("s3efs-id"));
    char bound[33], raw[16];

    if (s == NULL || strlen(s) != 65 || s[32] != ' ')
        return false;
    objattr_id_of_name(key, bound);
    if (strcmp(s + 33, bound) != 0)
        return false;
    memcpy(ret, s, 32);
    ret[32] = '\0';
    return str_unhex(ret, raw, 16) == 0;
}

/* "<file id> <generation>": bound to the key as the id is. */
static uint64_t get_link(const struct store_hdrs *h, const char *id)
{
    const char *s = store_hdrs_get(h, META("s3efs-link"));
    uint64_t gen;

    if (s == NULL || strncmp(s, id, 32) != 0 || s[32] != ' ' || str_u64(s + 33, 10, &gen) != 0 ||
        gen > INT64_MAX)
        return 0;
    return gen;
}

/* The kernel fails a lookup with EIO where the type is none of these. */
static bool is_special(uint64_t mode)
{
    return S_ISLNK(mode) || S_ISCHR(mode) || S_ISBLK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode);
}

static void decode_mode(const struct objattr_defaults *d, bool is_dir, const struct store_obj *obj,
                        struct objattr *ret)
{
    mode_t type = is_dir ? S_IFDIR : S_IFREG;
    uint64_t mode;

    ret->mode = type | (is_dir ? d->dir_mode : d->file_mode);
    if (obj == NULL || !get_mode(&obj->hdrs, &mode)) {
        if (obj != NULL && !is_dir && store_hdrs_get(&obj->hdrs, META("--symlink-target")) != NULL)
            ret->mode = S_IFLNK | 0777;
        return;
    }
    if (is_special(mode) && !is_dir)
        type = (mode_t)(mode & S_IFMT);
    ret->mode = type | (mode_t)(mode & 07777);
}

void objattr_decode(const struct objattr_defaults *d, const char *key, bool is_dir,
                    const struct store_obj *obj, struct objattr *ret)
{
    uint64_t rdev;

    *ret = (struct objattr){.uid = d->uid, .gid = d->gid};
    decode_mode(d, is_dir, obj, ret);
    if (obj == NULL) {
        objattr_id_of_name(key, ret->id);
        return;
    }
    ret->size = is_dir ? 0 : obj->size;
    get_id(&obj->hdrs, META("file-owner"), META("uid"), META("owner"), &ret->uid);
    get_id(&obj->hdrs, META("file-group"), META("gid"), META("group"), &ret->gid);
    if (!get_ns(&obj->hdrs, META("file-mtime"), &ret->mtime_ns) &&
        !get_seconds(&obj->hdrs, META("mtime"), &ret->mtime_ns))
        ret->mtime_ns = obj->mtime_ns;
    if (!get_ns(&obj->hdrs, META("s3efs-ctime"), &ret->ctime_ns) &&
        !get_seconds(&obj->hdrs, META("ctime"), &ret->ctime_ns))
        ret->ctime_ns = obj->mtime_ns != 0 ? obj->mtime_ns : ret->mtime_ns;
    if (!get_ns(&obj->hdrs, META("file-atime"), &ret->atime_ns) &&
        !get_seconds(&obj->hdrs, META("atime"), &ret->atime_ns))
        ret->atime_ns = ret->mtime_ns;
    if (get_u64(&obj->hdrs, META("s3efs-rdev"), 10, &rdev))
        ret->rdev = (dev_t)rdev;
    if (get_file_id(&obj->hdrs, key, ret->id)) {
        ret->link_gen = is_dir ? 0 : get_link(&obj->hdrs, ret->id);
    } else {
        if (is_dir)
            objattr_id_of_name(key,
                               ret->id); /* markers are rewritten often; the name is what stays */
        else
            id_of_version(key, obj, ret->id);
    }
}

static int set_f(struct store_hdrs *hdrs, const char *name, const char *fmt, ...) _printf_(3, 4);
static int set_f(struct store_hdrs *hdrs, const char *name, const char *fmt, ...)
{
    char value[128];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(value, sizeof(value), fmt, ap);
    va_end(ap);
    return store_hdrs_set(hdrs, name, value);
}

static int64_t not_negative(int64_t ns)
{
    return ns > 0 ? ns : 0; /* the convention has no sign */
}

int objattr_encode(const struct objattr *a, const char *key, struct store_hdrs *hdrs)
{
    static const char *const others[] = {META("mode"),  META("permissions"), META("uid"),
                                         META("gid"),   META("owner"),       META("group"),
                                         META("mtime"), META("atime"),       META("ctime")};
    char bound[33];
    int r;

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        store_hdrs_remove(hdrs, others[i]);
    objattr_id_of_name(key, bound);
    r = set_f(hdrs, META("file-permissions"), "0%o", (unsigned)a->mode);
    if (r == 0)
        r = set_f(hdrs, META("file-owner"), "%u", (unsigned)a->uid);
    if (r == 0)
        r = set_f(hdrs, META("file-group"), "%u", (unsigned)a->gid);
    if (r == 0)
        r = set_f(hdrs, META("file-mtime"), "%" PRId64 "ns", not_negative(a->mtime_ns));
    if (r == 0)
        r = set_f(hdrs, META("file-atime"), "%" PRId64 "ns", not_negative(a->atime_ns));
    if (r == 0)
        r = set_f(hdrs, META("s3efs-ctime"), "%" PRId64 "ns", not_negative(a->ctime_ns));
    if (r == 0)
        r = set_f(hdrs, META("s3efs-id"), "%s %s", a->id, bound);
    store_hdrs_remove(hdrs, META("s3efs-link"));
    if (r == 0 && a->link_gen != 0)
        r = set_f(hdrs, META("s3efs-link"), "%s %" PRIu64, a->id, a->link_gen);
    if (r == 0 && (S_ISCHR(a->mode) || S_ISBLK(a->mode)))
        r = set_f(hdrs, META("s3efs-rdev"), "%" PRIu64, (uint64_t)a->rdev);
    return r;
}
