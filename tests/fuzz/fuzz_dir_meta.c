/* SPDX-License-Identifier: Apache-2.0 */
/* store/dir_meta: any bytes in the xattr beside an object of file://, on a file with any time; what
 * is read can be written and reads the same. The xattr calls are this program's own. Eight bytes of
 * the file's time, then the xattr. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/xattr.h>

#include "base/clock.h"
#include "fs/store/dir_int.h"
#include "fuzz.h"

static struct {
    const uint8_t *p;
    size_t n;
    char *written; /* by dir_meta_write, in place of p */
} xattr;

ssize_t fgetxattr(_unused_ int fd, const char *name, void *value, size_t size)
{
    CHECK(strcmp(name, DIR_XATTR) == 0);
    if (xattr.n > 65536) {
        errno = ENODATA;
        return -1;
    }
    if (size != 0 && size < xattr.n) {
        errno = ERANGE;
        return -1;
    }
    if (xattr.n > 0 && size != 0)
        memcpy(value, xattr.p, xattr.n);
    return (ssize_t)xattr.n;
}

int fsetxattr(_unused_ int fd, const char *name, const void *value, size_t size, _unused_ int flags)
{
    CHECK(strcmp(name, DIR_XATTR) == 0 && size <= 65536);
    free(xattr.written);
    xattr.written = fuzz_copy(value, size);
    xattr.p = (const uint8_t *)xattr.written;
    xattr.n = size;
    return 0;
}

static void check_hdrs(const struct store_hdrs *a, const struct store_hdrs *b)
{
    CHECK(a->n == b->n);
    for (size_t i = 0; i < a->n; i++) {
        CHECK(strcmp(a->v[i].name, b->v[i].name) == 0);
        CHECK(strcmp(a->v[i].value, b->v[i].value) == 0);
    }
}

static bool is_quoted(const char *etag)
{
    return etag[0] == '"' || (etag[0] == 'W' && etag[1] == '/');
}

static void check_write(int fd, const struct dir_meta *a)
{
    _cleanup_meta_ struct dir_meta b = {0};
    struct stat st;
    int r = dir_meta_write(fd, a);

    CHECK(r == 0 || r == -ENOSPC); /* larger than it was: a longer size or time */
    if (r != 0)
        return;
    CHECK(fstat(fd, &st) == 0 && dir_meta_read(fd, &st, &b) == 0);
    CHECK(b.is_verifiable && a->mtime_ns == b.mtime_ns);
    CHECK(memcmp(a->md5, b.md5, sizeof(a->md5)) == 0 && strcmp(a->upload, b.upload) == 0);
    if (!is_quoted(a->etag.s)) /* never ours */
        CHECK(store_etag_equal(&a->etag, &b.etag));
    check_hdrs(&a->hdrs, &b.hdrs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    int64_t time_s = (int64_t)fuzz_u64(&in);
    _cleanup_meta_ struct dir_meta m = {0};
    _cleanup_close_ int fd = memfd_create("object", MFD_CLOEXEC);
    struct stat st;

    CHECK(fd >= 0 && fstat(fd, &st) == 0);
    st.st_mtim = (struct timespec){.tv_sec = time_s / 16, .tv_nsec = time_s & 15};
    xattr.p = in.p;
    xattr.n = in.n;
    CHECK(dir_meta_read(fd, &st, &m) == 0);
    CHECK(store_etag_is_set(&m.etag));
    if (m.is_verifiable)
        check_write(fd, &m);
    free(xattr.written);
    xattr.written = NULL;
    return 0;
}
