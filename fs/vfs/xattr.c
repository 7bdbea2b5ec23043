/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes. user.* stands in one header of the object's metadata; user.s3efs.* are the
 * object's own headers, not listed, so that no tool copies them. Everything else is refused as EFS
 * refuses it, quietly enough for cp -a, tar and rsync. */
#include "access.h"
#include "internal.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "keep.h"
#include "makedir.h"
#include "stored.h"
#include "storeddir.h"
#include "xattr_code.h"

#define USER "user."
#define USER_OBJECT USER "s3efs."
#define COMMIT_HDRS STORE_USER_META "s3efs-commit"
#define NAME_LEN_MAX 255

/* S3 takes 2,048 bytes of user metadata; whether its prefix counts is not said. What is kept free
 * is for the marks of commits (protocol 3) and a link's group. */
#define META_MAX 2048
#define META_RESERVE 640
#define HEADER_MAX 1024 /* of one of the object's own headers */

/* The object's headers that have a name here. */
static const struct object_hdr {
    const char *name, *hdr;
    bool is_ours_to_set;
} object_hdrs[] = {
    {"content-type", "content-type", true},
    {"cache-control", "cache-control", true},
    {"content-disposition", "content-disposition", true},
    {"content-encoding", "content-encoding", true},
    {"content-language", "content-language", true},
    {"storage-class", "x-amz-storage-class", false},
    {"etag", NULL, false},
};

static const struct object_hdr *object_hdr(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(object_hdrs); i++)
        if (strcmp(name + strlen(USER_OBJECT), object_hdrs[i].name) == 0)
            return &object_hdrs[i];
    return NULL;
}

/* ACLs (system.posix_acl_*) and the others are refused as on EFS. */
static int check_name(const char *name)
{
    if (!str_starts(name, USER))
        return err_set(-EOPNOTSUPP, "%s: only user attributes are kept", name);
    if (name[strlen(USER)] == '\0')
        return err_set(-EINVAL, "an attribute needs a name");
    return strlen(name) > NAME_LEN_MAX ? -ERANGE : 0;
}

/* The headers of the file as its next commit would write them. */
static int headers_now(struct vfs *v, struct inode *i, struct store_hdrs *ret,
                       struct store_etag *ret_etag)
{
    int r;

    lock_take(&v->tree);
    r = store_hdrs_copy(ret, &i->hdrs);
    if (r == 0)
        r = edits_apply(&i->edits, ret);
    *ret_etag = i->etag;
    lock_drop(&v->tree);
    return r;
}

static int object_value(const struct inode *i, const char *name, const struct store_hdrs *hdrs,
                        const struct store_etag *etag, struct buf *ret)
{
    const struct object_hdr *h = object_hdr(name);
    const char *value = NULL;

    if (h != NULL && S_ISREG(atomic_load(&i->type))) {
        value = h->hdr != NULL ? store_hdrs_get(hdrs, h->hdr) : etag->s;
        if (value == NULL && strcmp(h->name, "storage-class") == 0 && store_etag_is_set(etag))
            value = "STANDARD"; /* S3 does not say so */
    }
    if (value == NULL || value[0] == '\0')
        return -ENODATA;
    return buf_adds(ret, value);
}

static int value_of(const struct inode *i, const char *name, const struct store_hdrs *hdrs,
                    const struct store_etag *etag, struct buf *ret)
{
    if (str_starts(name, USER_OBJECT))
        return object_value(i, name, hdrs, etag, ret);
    return xattr_code_get(store_hdrs_get(hdrs, XATTR_CODE_HDR), name + strlen(USER), ret);
}

/* What getxattr(2) and listxattr(2) give back for a buffer of this size. */
static ssize_t give(const struct buf *b, void *buf, size_t size)
{
    if (size == 0)
        return (ssize_t)b->len;
    if (b->len > size)
        return -ERANGE;
    if (b->len > 0)
        memcpy(buf, b->data, b->len);
    return (ssize_t)b->len;
}

/* name NULL: the list of names. */
static ssize_t look_up(struct vfs *v, uint64_t node, const char *name, void *buf, size_t size)
{
    _cleanup_buf_ struct buf out = BUF_INIT(XATTR_CODE_MAX);
    struct store_hdrs hdrs = {0};
    struct store_etag etag;
    struct inode *i;
    ssize_t n;
    int r = inode_get(v, node, &i);

    if (r < 0)
        return r;
    r = inode_revalidate(v, i);
    if (r == 0 && name != NULL)
        r = enforce(v, i, ACCESS_R);
    if (r == 0)
        r = headers_now(v, i, &hdrs, &etag);
    if (r == 0)
        r = name != NULL ? value_of(i, name, &hdrs, &etag, &out)
                         : xattr_code_list(store_hdrs_get(&hdrs, XATTR_CODE_HDR), &out);
    n = r < 0 ? r : give(&out, buf, size);
    store_hdrs_done(&hdrs);
    inode_unref(v, i);
    return n;
}

ssize_t vfs_getxattr(struct vfs *v, uint64_t node, const char *name, void *buf, size_t size)
{
    int r = check_name(name);

    return r < 0 ? r : look_up(v, node, name, buf, size);
}

ssize_t vfs_listxattr(struct vfs *v, uint64_t node, void *buf, size_t size)
{
    return look_up(v, node, NULL, buf, size);
}

/* --- changes --- */

struct change {
    const char *name;
    const void *value; /* NULL: the attribute goes */
    size_t len;
    int flags;
};

/* A header's value: printable ASCII, no blanks around it. */
static int object_text(const struct change *c, char ret[HEADER_MAX + 1])
{
    const unsigned char *p = c->value;

    if (c->len == 0 || c->len > HEADER_MAX)
        return err_set(-EINVAL, "%s: 1 to %d bytes", c->name, HEADER_MAX);
    for (size_t n = 0; n < c->len; n++)
        if (p[n] < ' ' || p[n] > '~')
            return err_set(-EINVAL, "%s: a header is printable ASCII", c->name);
    if (p[0] == ' ' || p[c->len - 1] == ' ')
        return err_set(-EINVAL, "%s: blanks at an end of a header are lost", c->name);
    memcpy(ret, p, c->len);
    ret[c->len] = '\0';
    return 0;
}

static int edit_object(const struct inode *i, const struct change *c, struct store_hdrs *edits)
{
    const struct object_hdr *h = object_hdr(c->name);
    char text[HEADER_MAX + 1] = "";
    int r = 0;

    if (h == NULL || !h->is_ours_to_set || !S_ISREG(atomic_load(&i->type)))
        return err_set(-EPERM, "%s can't be set", c->name);
    if (c->value != NULL)
        r = object_text(c, text);
    if (r < 0)
        return r;
    return strcmp(h->hdr, "content-type") == 0 ? edits_set_type(edits, text)
                                               : store_hdrs_set(edits, h->hdr, text);
}

static int edit_user(const struct change *c, const struct store_hdrs *hdrs,
                     struct store_hdrs *edits)
{
    _cleanup_buf_ struct buf code = BUF_INIT(XATTR_CODE_MAX);
    int r = xattr_code_set(store_hdrs_get(hdrs, XATTR_CODE_HDR), c->name + strlen(USER), c->value, c->len,
                           &code);

    if (r == 0)
        r = store_hdrs_set(edits, XATTR_CODE_HDR, buf_str(&code));
    return r == -E2BIG ? err_set(-ENOSPC, "an object's metadata has no room for it") : r;
}

static size_t meta_bytes(const struct store_hdrs *hdrs)
{
    size_t sum = 0;

    for (size_t n = 0; n < hdrs->n; n++)
        if (str_starts(hdrs->v[n].name, STORE_USER_META) &&
            !str_starts(hdrs->v[n].name, COMMIT_HDRS))
            sum += strlen(hdrs->v[n].name) + strlen(hdrs->v[n].value);
    return sum;
}

/* What S3 would refuse at the commit is refused here, while its caller listens. hdrs is used up. */
static int check_room(struct vfs *v, struct inode *i, const struct store_hdrs *edits,
                      struct store_hdrs *hdrs)
{
    size_t before = meta_bytes(hdrs);
    struct objattr attr;
    int r;

    lock_take(&v->tree);
    attr = i->attr;
    lock_drop(&v->tree);
    r = edits_apply(edits, hdrs);
    if (r == 0 && meta_bytes(hdrs) <= before)
        return 0;
    if (r == 0)
        r = objattr_encode(&attr, "", hdrs);
    if (r == 0 && meta_bytes(hdrs) > META_MAX - META_RESERVE)
        r = err_set(-ENOSPC, "an object has room for %d bytes of metadata, and this is more",
                    META_MAX);
    return r;
}

/* What c asks for as edits of headers. With i->io held. */
static int edits_for(struct vfs *v, struct inode *i, const struct change *c, struct store_hdrs *ret)
{
    _cleanup_buf_ struct buf old = BUF_INIT(XATTR_CODE_MAX);
    struct store_hdrs hdrs = {0};
    struct store_etag etag;
    int r = headers_now(v, i, &hdrs, &etag), has = -ENODATA;

    if (r == 0) {
        has = value_of(i, c->name, &hdrs, &etag, &old);
        r = has == -ENODATA ? 0 : has;
    }
    if (r == 0 && has == 0 && (c->flags & XATTR_CREATE) != 0)
        r = -EEXIST;
    if (r == 0 && has < 0 && (c->value == NULL || (c->flags & XATTR_REPLACE) != 0))
        r = -ENODATA;
    if (r == 0)
        r = str_starts(c->name, USER_OBJECT) ? edit_object(i, c, ret) : edit_user(c, &hdrs, ret);
    if (r == 0)
        r = check_room(v, i, ret, &hdrs);
    store_hdrs_done(&hdrs);
    return r;
}

/* Takes the edits over. */
static int begin(struct vfs *v, struct inode *i, const struct store_hdrs *edits)
{
    int r = 0;

    keep_try(v, i);
    lock_take(&v->tree);
    if (inode_is_stale_locked(v, i) && i->newer_key == NULL)
        r = err_set(-ESTALE, "%s is another file now", i->name);
    if (r == 0)
        r = edits_add(&i->edits, edits);
    if (r == 0) {
        i->attr_new |= stored_kinds(edits);
        i->attr.ctime_ns = clock_wall_ns();
        if (!inode_is_dir(i))
            commit_mark_dirty_locked(i);
    }
    lock_drop(&v->tree);
    return r;
}

/* A stored file is rewritten at once, under its condition, as by chmod; on one that is being
 * written they go up with its bytes. With names and i->io held. */
static int change_file(struct vfs *v, struct inode *i, const struct change *c)
{
    struct store_hdrs edits = {0};
    struct objattr before;
    bool waits, is_closed, was_clean;
    int r = edits_for(v, i, c, &edits);

    lock_take(&v->tree);
    before = i->attr;
    was_clean = !i->is_dirty;
    is_closed = i->n_writers == 0;
    waits = attr_waits_locked(i);
    lock_drop(&v->tree);
    if (r == 0)
        r = begin(v, i, &edits);
    store_hdrs_done(&edits);
    if (r == 0 && outbox_holds(v, i))
        return outbox_commit(v, i);
    if (r < 0 || (waits && !v->conf.sync_writes))
        return r;
    r = stored_commit(v, i);
    if (r < 0 && is_closed)
        (void)commit_give_up(v, i, r, "changing extended attributes");
    lock_take(&v->tree);
    if (r < 0 && !is_closed && was_clean)
        attr_take_back_locked(i, &before);
    lock_drop(&v->tree);
    return r;
}

/* Of a directory: 1, and it is journaled; 0: it is the bucket's; -errno. */
static int change_local_dir(struct vfs *v, struct inode *i, const struct change *c)
{
    struct store_hdrs edits = {0}, were = {0};
    struct objattr before;
    bool has_step;
    int r, done;

    if (!storeddir_begin(v, i, &has_step))
        return 0;
    lock_take(&v->tree);
    before = i->attr;
    r = store_hdrs_copy(&were, &i->edits);
    lock_drop(&v->tree);
    r = r ?: edits_for(v, i, c, &edits);
    r = r ?: begin(v, i, &edits);
    store_hdrs_done(&edits);
    done = r == 0 ? outbox_put(v, i) : r;
    lock_take(&v->tree);
    if (r == 0 && done < 0) {
        store_hdrs_done(&i->edits);
        i->edits = were;
        were = (struct store_hdrs){0};
        i->attr = before;
    }
    lock_drop(&v->tree);
    store_hdrs_done(&were);
    storeddir_end(v, i, has_step, done);
    return r < 0 ? r : done == 0;
}

/* As a directory's other attributes: in its marker; one that another client changed is read again,
 * once. */
static int change_dir(struct vfs *v, struct inode *i, const struct change *c)
{
    int r = change_local_dir(v, i, c);

    if (r != 0)
        return r < 0 ? r : 0;
    r = makedir_ready(v, i);
    if (r == 0)
        r = marker_see(v, i, v->conf.acregmin_ns);
    if (r < 0)
        return r;
    for (int tries = 0;; tries++) {
        struct store_hdrs edits = {0};

        r = edits_for(v, i, c, &edits);
        if (r == 0)
            r = begin(v, i, &edits);
        store_hdrs_done(&edits);
        if (r < 0)
            return r;
        r = marker_put(v, i);
        if (r == 0)
            return 0;
        lock_take(&v->tree);
        store_hdrs_done(&i->edits);
        i->checked_ns = 0;
        lock_drop(&v->tree);
        r = marker_refused(v, i, r, tries);
        if (r < 0)
            return r;
    }
}

static int change(struct vfs *v, uint64_t node, const struct change *c)
{
    struct inode *i;
    int r = check_name(c->name);

    if (r < 0)
        return r;
    if (v->conf.read_only)
        return err_set(-EROFS, "mounted read-only");
    r = inode_get(v, node, &i);
    if (r < 0)
        return r;
    r = inode_revalidate(v, i);
    if (r == 0)
        r = enforce(v, i, ACCESS_W);
    if (r == 0) {
        uint64_t room = outroom_take_change(v, i);

        pthread_rwlock_rdlock(&v->names);
        inode_io_take(v, i);
        r = inode_is_dir(i) ? change_dir(v, i, c) : change_file(v, i, c);
        inode_io_drop(v, i);
        pthread_rwlock_unlock(&v->names);
        outroom_give(v, i, room);
        inode_tell_kernel(v, i);
        writeback_wake(v);
    }
    inode_unref(v, i);
    return r;
}

int vfs_setxattr(struct vfs *v, const struct vfs_ctx *x, uint64_t node, const char *name,
                 const void *value, size_t len, int flags)
{
    const struct change c = {name, value != NULL ? value : "", len, flags};

    (void)x;
    return change(v, node, &c);
}

int vfs_removexattr(struct vfs *v, const struct vfs_ctx *x, uint64_t node, const char *name)
{
    const struct change c = {.name = name};

    (void)x;
    return change(v, node, &c);
}
