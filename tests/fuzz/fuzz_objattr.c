/* SPDX-License-Identifier: Apache-2.0 */
/* vfs/objattr: attributes from any metadata are such as a kernel takes, and what is written reads
 * back the same. A byte of flags, the size, the time, the key's line, then "name: value" lines. */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/str.h"
#include "fs/vfs/objattr.h"
#include "fuzz.h"

static const struct objattr_defaults defaults = {1000, 1001, 0640, 0750};

/* fuse_valid_type() of the kernel: any other type makes a lookup fail with EIO. */
static bool is_type(mode_t m)
{
    return S_ISREG(m) || S_ISDIR(m) || S_ISLNK(m) || S_ISCHR(m) || S_ISBLK(m) || S_ISFIFO(m) ||
           S_ISSOCK(m);
}

static void read_headers(struct store_hdrs *h, struct fuzz *in)
{
    while (in->n > 0 && h->n < 64) {
        _cleanup_free_ char *line = fuzz_line(in), *name = NULL;
        char *gap = strstr(line, ": ");

        if (gap != NULL)
            *gap = '\0';
        CHECK(asprintf(&name, "%s%s", STORE_USER_META, line) > 0);
        CHECK(store_hdrs_set(h, name, gap != NULL ? gap + 2 : "") == 0);
    }
}

/* ctime has no sign. */
static int64_t written_ctime(int64_t ns)
{
    return ns > 0 ? ns : 0;
}

static int64_t written_time(int64_t ns)
{
    return ns == INT64_MIN ? -INT64_MAX : ns;
}

static void check_sane(const struct objattr *a, bool is_dir)
{
    char raw[16];

    CHECK(is_type(a->mode) && (a->mode & ~(mode_t)(S_IFMT | 07777)) == 0);
    CHECK(S_ISDIR(a->mode) == is_dir);
    CHECK(a->uid != (uid_t)-1 && a->gid != (gid_t)-1);
    CHECK(strlen(a->id) == 32 && str_unhex(a->id, raw, sizeof(raw)) == 0);
    CHECK(objattr_ino(a) > 1);
}

static void check_round(const char *key, bool is_dir, struct store_obj *obj,
                        const struct objattr *a)
{
    struct objattr b;

    CHECK(objattr_encode(a, key, &obj->hdrs) == 0);
    objattr_decode(&defaults, key, is_dir, obj, &b);
    check_sane(&b, is_dir);
    CHECK(b.mode == a->mode && b.uid == a->uid && b.gid == a->gid && b.size == a->size);
    CHECK(b.mtime_ns == written_time(a->mtime_ns) && b.atime_ns == written_time(a->atime_ns));
    CHECK(b.ctime_ns == written_ctime(a->ctime_ns));
    CHECK(strcmp(b.id, a->id) == 0);
    if (S_ISCHR(a->mode) || S_ISBLK(a->mode))
        CHECK(b.rdev == a->rdev);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    bool is_dir = (fuzz_u8(&in) & 1) != 0;
    struct store_obj obj = {.size = fuzz_u64(&in), .mtime_ns = (int64_t)fuzz_u64(&in)};
    _cleanup_free_ char *key = fuzz_line(&in);
    struct objattr a, none;

    read_headers(&obj.hdrs, &in);
    objattr_decode(&defaults, key, is_dir, NULL, &none);
    check_sane(&none, is_dir);
    objattr_decode(&defaults, key, is_dir, &obj, &a);
    check_sane(&a, is_dir);
    check_round(key, is_dir, &obj, &a);
    store_obj_done(&obj);
    return 0;
}
