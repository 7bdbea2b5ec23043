/* SPDX-License-Identifier: Apache-2.0 */
/* INIT, over the life of a mount (takeover.c): kept, given again, and what it says of how requests come again. */
#include "internal.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include "base/err.h"
#include "base/log.h"
#include "base/sys.h"

#define HAS_RESEND_FLAGS2 (1u << 7) /* newer than the headers of Debian 12 */
#define MINOR_ASKABLE 28 /* Linux 4.20: the number of a request is its interrupt's, but for one bit (UNANS-2) */
/* The second word of flags: newer than the headers of Debian 11. */
#define ANSWER_FLAGS2 (offsetof(struct fuse_init_out, max_pages) + 2 * sizeof(uint16_t))
enum { BLOB_INIT, BLOB_INIT_REPLY };

/* Of a word of flags at both places; what the answer is too short for was not agreed on. */
static void mask(char *in, size_t in_len, size_t in_at, const char *out, size_t out_len, size_t out_at)
{
    uint32_t have, agreed = 0;

    if (in_len < in_at + sizeof(have))
        return;
    memcpy(&have, in + in_at, sizeof(have));
    if (out_len >= out_at + sizeof(agreed))
        memcpy(&agreed, out + out_at, sizeof(agreed));
    have &= agreed;
    memcpy(in + in_at, &have, sizeof(have));
}

void take_mask_init(void *in, size_t in_len, const void *out, size_t out_len)
{
    size_t at = sizeof(struct fuse_in_header) + offsetof(struct fuse_init_in, flags);

    mask(in, in_len, at, out, out_len, offsetof(struct fuse_init_out, flags));
    mask(in, in_len, at + sizeof(uint32_t), out, out_len, ANSWER_FLAGS2);
}

/* The kernel's INIT, with what was agreed on. -1 with errno. */
ssize_t take_old_init(struct front *f, void *buf, size_t len)
{
    _cleanup_free_ void *in = NULL, *out = NULL;
    size_t in_len, out_len, flags_at = sizeof(struct fuse_in_header) + offsetof(struct fuse_init_in, flags);

    if (vfs_kept_blob(f->vfs, BLOB_INIT, &in, &in_len) < 0 || vfs_kept_blob(f->vfs, BLOB_INIT_REPLY, &out, &out_len) < 0 ||
        in_len > len || in_len < flags_at + sizeof(uint32_t) ||
        out_len < offsetof(struct fuse_init_out, flags) + sizeof(uint32_t)) {
        log_error("takeover.init", "cause=%s", LOG_Q("what was agreed with the kernel is not known"));
        errno = EPROTO;
        return -1;
    }
    memcpy(buf, in, in_len);
    take_mask_init(buf, in_len, out, out_len);
    f->take.init_unique = ((struct fuse_in_header *)buf)->unique;
    return (ssize_t)in_len;
}

/* Tests play an older kernel's part on a newer one. */
static bool is_played_old(void)
{
#ifdef S3EFS_CRASH_POINTS
    return getenv("S3EFS_OLD_KERNEL") != NULL;
#else
    return false;
#endif
}

static enum take_way way_of(const void *init, size_t len)
{
    const char *body = (const char *)init + sizeof(struct fuse_in_header);
    size_t flags2_at = offsetof(struct fuse_init_in, flags) + sizeof(uint32_t);
    uint32_t minor = 0, flags2 = 0;

    if (len < sizeof(struct fuse_in_header) + flags2_at)
        return TAKE_NOT;
    memcpy(&minor, body + offsetof(struct fuse_init_in, minor), sizeof(minor));
    if (len >= sizeof(struct fuse_in_header) + flags2_at + sizeof(flags2))
        memcpy(&flags2, body + flags2_at, sizeof(flags2));
    if ((flags2 & HAS_RESEND_FLAGS2) != 0 && !is_played_old())
        return TAKE_RESENT;
    return minor >= MINOR_ASKABLE ? TAKE_COPIED : TAKE_NOT;
}

void take_note_init(struct front *f, const void *buf, size_t len)
{
    const struct fuse_in_header *head = buf;

    f->take.init_unique = head->unique;
    f->take.way = vfs_keep_blob(f->vfs, BLOB_INIT, buf, len) == 0 ? way_of(buf, len) : TAKE_NOT;
}

int take_keep_init_answer(struct front *f, const void *body, size_t len)
{
    return vfs_keep_blob(f->vfs, BLOB_INIT_REPLY, body, len);
}

int take_check_init(struct front *f)
{
    size_t n;

    for (unsigned blob = BLOB_INIT; blob <= BLOB_INIT_REPLY; blob++) {
        _cleanup_free_ void *data = NULL;

        if (vfs_kept_blob(f->vfs, blob, &data, &n) < 0)
            return err_set(-EBADMSG, "the mount can't be taken over: what was agreed with the kernel is not known");
        if (blob == BLOB_INIT)
            f->take.way = way_of(data, n);
    }
    return 0;
}
