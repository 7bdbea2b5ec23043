/* SPDX-License-Identifier: Apache-2.0 */
/* An object store, in terms of keys, bytes, ETags and conditions: the contract that S3, the directory
 * back end and the memory store of the tests keep, and all that the layers above know of them.
 *
 * The semantics are Amazon S3's (API reference: PutObject, GetObject, HeadObject, ListObjectsV2,
 * DeleteObject(s), CopyObject, *MultipartUpload*, and "conditional requests" in the user guide).
 *
 * Calls: store_submit() starts a request and returns; done runs exactly once, on a thread of the back
 * end or inside store_submit() itself, with no lock held, and must not block. store_call() waits.
 * Request and reply belong to the caller and live until done. Threads: any.
 *
 * Results: 0, a positive STORE_* outcome, or -errno (the cause in err_text() of the thread that runs
 * done; store_call() carries it over). Back ends retry what may be retried until the request's deadline;
 * a conditional write whose first reply was lost may thus report STORE_PRECONDITION although it took
 * effect: upload/ looks for its own mark before it believes it (docs/design.md, lost replies). */
#ifndef S3EFS_STORE_STORE_H
#define S3EFS_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macros.h"

enum store_outcome {
    STORE_NOT_FOUND = 1,    /* no such key (HEAD, GET, COPY source, or a write's If-Match on a missing key) */
    STORE_NOT_MODIFIED = 2, /* GET/HEAD with STORE_IF_CHANGED: the ETag is still this one */
    STORE_PRECONDITION = 3, /* 412: the condition does not hold; nothing was done */
    STORE_CONFLICT = 4,     /* 409 after retries: a racing write; nothing is known to be done */
    STORE_RANGE = 5,        /* 416: the range starts at or past the end */
    STORE_NO_UPLOAD = 6,    /* NoSuchUpload: the multipart upload is gone */
};

/* An ETag without its quotes, compared as an opaque string; "" = none. */
struct store_etag {
    char s[128];
};
static inline bool store_etag_is_set(const struct store_etag *e)
{
    return e->s[0] != '\0';
}
bool store_etag_equal(const struct store_etag *a, const struct store_etag *b);
struct store_etag store_etag_make(const char *s); /* strips quotes and W/ */

/* Headers that are kept with an object: lower-case HTTP names. User metadata has the prefix
 * STORE_USER_META; the rest is content-type, cache-control, content-disposition, content-encoding,
 * content-language, expires, x-amz-storage-class, x-amz-website-redirect-location.
 * Tags: a write takes them as STORE_TAGS ("key=value&..." percent-encoded; without it the new version
 * has none), a read tells their number as STORE_TAG_COUNT, if there are any; writes ignore that one. */
#define STORE_USER_META "x-amz-meta-"
#define STORE_TAGS "x-amz-tagging"
#define STORE_TAG_COUNT "x-amz-tagging-count"
struct store_hdr {
    char *name, *value;
};
struct store_hdrs {
    struct store_hdr *v;
    size_t n, cap;
};
/* set replaces or adds (copies both strings, the name in lower case); 0 or -ENOMEM. get: NULL if absent, valid
 * until a change; names are compared without case. */
_must_check_ int store_hdrs_set(struct store_hdrs *h, const char *name, const char *value);
const char *store_hdrs_get(const struct store_hdrs *h, const char *name);
void store_hdrs_remove(struct store_hdrs *h, const char *name);
_must_check_ int store_hdrs_copy(struct store_hdrs *dst, const struct store_hdrs *src); /* dst: empty */
void store_hdrs_done(struct store_hdrs *h);

/* What is known of one version of an object. */
struct store_obj {
    struct store_etag etag;
    uint64_t size;          /* of the whole object, also in the reply to a ranged GET */
    int64_t mtime_ns;       /* Last-Modified (wall clock, grain of a second or better) */
    char version[128];      /* version id, "" where there is none */
    int64_t told_ns;        /* HEAD and GET only: the server's clock when it told this (Date); 0 unknown */
    struct store_hdrs hdrs; /* HEAD and GET only */
};
void store_obj_done(struct store_obj *o);
_must_check_ int store_obj_copy(struct store_obj *dst, const struct store_obj *src); /* dst: zeroed or done */

enum store_if {
    STORE_ALWAYS,     /* no condition */
    STORE_IF_ABSENT,  /* writes: If-None-Match: * */
    STORE_IF_MATCH,   /* the current ETag is cond.etag */
    STORE_IF_CHANGED, /* GET, HEAD: If-None-Match: etag */
};
struct store_cond {
    enum store_if kind;
    struct store_etag etag;
};

/* A body to send. read gives exactly len bytes at off (0 or -errno); it may be called again from the
 * start (retries), from any thread, and should not block for long. */
struct store_src {
    uint64_t size;
    int (*read)(void *ctx, uint64_t off, void *buf, size_t len);
    void *ctx;
};
/* Where a body goes. off counts from the start of the requested range; a retry starts again at 0. What
 * was written counts only if the request ends with 0 (checksums are known only then). */
struct store_sink {
    int (*write)(void *ctx, uint64_t off, const void *buf, size_t len);
    void *ctx;
};

struct store_entry { /* of a listing, in UTF-8 binary order of keys */
    char *key;
    bool is_prefix;  /* a common prefix (ends in '/'); the rest is then not set */
    struct store_etag etag;
    uint64_t size;
    int64_t mtime_ns;
};
struct store_list {
    struct store_entry *v;
    size_t n, cap;
    char *next; /* continuation token; NULL on the last page. A last page may be empty. */
};
void store_list_done(struct store_list *l); /* idempotent; legal on a zeroed struct */
/* Appends a zeroed entry with a copy of key; NULL: no memory. Valid until the next one. */
struct store_entry *store_list_add(struct store_list *l, const char *key, size_t key_len);

struct store_part {
    uint32_t number;
    uint64_t size;
    struct store_etag etag;
    char checksum[64]; /* back end's own */
};

enum store_op {
    STORE_HEAD,          /* key, cond -> obj */
    STORE_GET,           /* key, cond, range, sink -> obj, body_len */
    STORE_PUT,           /* key, cond, src, hdrs -> obj.etag, obj.version (size, mtime where known) */
    STORE_DELETE,        /* key, cond. A missing key is success (with a condition: 0 or STORE_NOT_FOUND). */
    STORE_DELETE_MANY,   /* keys, etags, n_keys (<= 1000) -> key_results[n_keys]: 0, STORE_PRECONDITION (etags) or -errno each */
    STORE_LIST,          /* prefix, delimited, start_after, token, max_keys (0 = 1000) -> list */
    STORE_COPY,          /* key, cond (where the back end can), src_key, src_cond, hdrs + replace -> obj.etag */
    STORE_MPU_CREATE,    /* key, hdrs -> upload_id */
    STORE_MPU_PART,      /* key, upload_id, part_number, src -> part */
    STORE_MPU_PART_COPY, /* key, upload_id, part_number, src_key, src_cond, range -> part */
    STORE_MPU_COMPLETE,  /* key, upload_id, parts, n_parts, cond -> obj.etag */
    STORE_MPU_ABORT,     /* key, upload_id */
    STORE_MPU_LIST,      /* prefix, max_keys, start_after, upload_id (page before's next_key, next_id) -> uploads */
    STORE_GET_TAGS,      /* key -> tags, as STORE_TAGS takes them; "" none */
    STORE_HEAD_BUCKET,   /* is the bucket there, and may we see it? */
    STORE_OPS
};
const char *store_op_name(enum store_op op);

struct store_upload {
    char *key, *upload_id;
    int64_t started_ns;
};

struct store_req {
    enum store_op op;
    const char *key;
    struct store_cond cond;
    struct {
        uint64_t off, len; /* len 0 = to the end (off 0, len 0: the whole object, verified) */
    } range;
    const struct store_src *src;
    const struct store_sink *sink;
    const struct store_hdrs *hdrs;
    const char *src_key;
    struct store_cond src_cond; /* STORE_ALWAYS or STORE_IF_MATCH */
    bool replace;               /* COPY: hdrs replace the source's; else they are copied */
    const char *prefix, *start_after, *token;
    bool delimited; /* LIST: delimiter "/" */
    uint32_t max_keys;
    const char *const *keys;
    const struct store_etag *etags; /* each key only as this version, where caps.delete_many_match; NULL: as it is */
    size_t n_keys;
    const char *upload_id;
    uint32_t part_number;
    const struct store_part *parts;
    size_t n_parts;
    bool is_urgent;      /* small, and a lease depends on it: every second connection or turn is for such, if any wait */
    bool is_first;       /* and before the others of those */
    int64_t deadline_ns; /* CLOCK_BOOTTIME; 0: the back end's own limit (hard mounts: none) */

    /* For the back end while the request is under way. */
    void (*done)(void *arg, int result);
    void *done_arg;
};

struct store_rsp {
    struct store_obj obj;
    uint64_t body_len;
    int64_t date_ns; /* the server's clock when it answered (wall), 0 unknown */
    struct store_list list;
    char *upload_id;
    char *tags;
    struct store_part part;
    int *key_results;
    struct {
        struct store_upload *v;
        size_t n;
        char *next_key, *next_id; /* the next page goes on after these; NULL on the last one */
    } uploads;                    /* open multipart uploads, by key */
    bool retried; /* more than one attempt was made: a 412 may be our own lost success */
};
void store_rsp_done(struct store_rsp *r); /* idempotent; legal on a zeroed struct */

struct store;
struct store_ops {
    void (*submit)(struct store *s, struct store_req *req, struct store_rsp *rsp);
    void (*stop)(struct store *s); /* no new requests; waits for those under way */
    void (*free)(struct store *s); /* after stop */
};
struct store { /* first member of a back end's own struct */
    const struct store_ops *ops;
};

/* rsp must be zeroed (or done). */
void store_submit(struct store *s, struct store_req *req, struct store_rsp *rsp,
                  void (*done)(void *arg, int result), void *arg);
_must_check_ int store_call(struct store *s, struct store_req *req, struct store_rsp *rsp);
void store_stop(struct store *s);
void store_free(struct store *s); /* NULL is fine */

/* Bodies in memory. The structs point at the caller's memory. */
struct store_mem {
    char *data;
    size_t size;
};
struct store_src store_src_mem(struct store_mem *m);   /* reads m */
struct store_sink store_sink_mem(struct store_mem *m); /* writes within m->size; beyond: -EOVERFLOW */

/* What the conditions of a server are worth: found by store_probe() on throw-away keys. */
struct store_caps {
    bool put_absent, put_match;           /* PUT If-None-Match:*, If-Match */
    bool complete_absent, complete_match; /* CompleteMultipartUpload */
    bool delete_match;                    /* DELETE If-Match */
    bool delete_many_match;               /* the ETags of DeleteObjects; only where DELETE's holds, too */
    bool copy_src_match, part_copy_match; /* x-amz-copy-source-if-match */
    bool copy_dst_absent, copy_dst_match; /* CopyObject's destination */
    bool etag_unquoted;                   /* If-Match is understood only without quotes (Ceph 16) */
};

#endif
