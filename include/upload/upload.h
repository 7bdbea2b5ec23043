/* SPDX-License-Identifier: Apache-2.0 */
/* Brings one version of a file into the bucket under a condition, once.
 *
 * UPLOAD-1  Every PUT and Complete carries a condition (or the caps say the server has none, and then the weak
 *           way of docs/design.md is taken).
 * UPLOAD-2  Each commit writes its own mark (writer.sequence) into the metadata, before the last 16 of the version that
 *           it replaces; a 412 is believed only after a HEAD has shown that the object there does not carry it (a
 *           lost reply to our own success). In doubt a list that does not reach back to the version that was to be
 *           replaced proves nothing: -EIO, and never a second write. A commit that waits in a journal keeps one mark
 *           over all its tries (upload_mark).
 * UPLOAD-3  A multipart upload that does not end in a Complete is aborted.
 * Small files: one PUT and nothing else. Above part_threshold: parts in parallel; clean ranges as part copies where the
 * server honours their source condition.
 * Threads: any; upload_commit blocks until the bucket has the file. The caller keeps writers of the file away. */
#ifndef S3EFS_UPLOAD_UPLOAD_H
#define S3EFS_UPLOAD_UPLOAD_H

#include "base/macros.h"
#include "data/data.h"
#include "store/store.h"

enum upload_outcome {
    UPLOAD_EXISTS = 1,  /* STORE_IF_ABSENT, and somebody else's object is there */
    UPLOAD_CHANGED = 2, /* STORE_IF_MATCH, and the object is another version now */
    UPLOAD_GONE = 3,    /* STORE_IF_MATCH, and there is no object any more */
    UPLOAD_LANDED = 4,  /* it took effect, and others have written on top of it since */
};

struct upload;
struct upload_conf {
    struct store_caps caps;
    uint64_t part_threshold; /* 0 = 16 MiB; single PUT up to here */
    uint64_t part_size;      /* 0 = 8 MiB; grows so that 10,000 parts reach the file's size */
    unsigned parallel;       /* parts at once for one file; 0 = 8 */
    uint64_t mem_limit;      /* of bodies in memory at once; 0 = 128 MiB. A larger one is read as it is sent */
    char writer[33];         /* random id of this mount, hex */
    int64_t soft_ns;         /* a soft mount gives up after so long against writes that are under way; 0: never */
    bool weak_refuse;        /* weak=refuse: -EOPNOTSUPP instead of an unconditional Complete above 5 GiB */
};
_must_check_ int upload_new(const struct upload_conf *conf, struct store *store, struct upload **ret);
void upload_free(struct upload *u);
uint64_t upload_memory(struct upload *u); /* bytes of bodies now */

/* A commit that was promised before it is made (a journal's): its mark is drawn first, written down, and given to
 * upload_commit() in each try, also after a restart. */
#define UPLOAD_MARK_SIZE 64
void upload_mark(struct upload *u, char ret[UPLOAD_MARK_SIZE]);
bool upload_mark_is_valid(const char *mark);
/* Did a commit under that mark lead to a version with these headers? False also where it is too long ago. Pure. */
bool upload_has_mark(const struct store_hdrs *hdrs, const char *mark);
/* For who puts an object without upload_commit() (a directory's marker): headers of a version that is replaced get that
 * mark before theirs. 0, -ENOMEM. Pure. */
_must_check_ int upload_set_mark(struct store_hdrs *hdrs, const char *mark);
/* An earlier commit of this key under that mark may have taken effect, or may yet: until the next commit of the key
 * that succeeds, its version counts as our own. */
void upload_doubt(struct upload *u, const char *key, const char *mark);

struct upload_req {
    const char *key;
    struct data_file *file;        /* dirty or clean; a clean file under its own key is a metadata change */
    const char *src_key;           /* key of the file's base (for part copies); NULL: key */
    /* Complete: content-type, x-amz-meta-*, with the marks of the version that cond names; this one's is added. */
    const struct store_hdrs *hdrs;
    bool by_copy;                  /* a clean file: by one COPY of src_key if upload_can_copy() says so */
    /* The new version's ETag is to be another than the base's though the bytes are the same: whoever has a
     * condition on the old one meets it. As far as the server can: not for an empty file, and not where
     * Complete knows no conditions. */
    bool other_etag;
    bool is_move;                  /* by_copy: with src_key's tags, not key's */
    const char *mark;              /* of upload_mark(); NULL: a new one. Then what can't be told is -ESTALE, not -EIO: */
    bool is_retry;                 /* it does not get better by waiting. is_retry: it may have been tried before */
    /* Attributes alone (mark is set). A version above a commit of this key under an earlier mark is one like others, and
     * UPLOAD_CHANGED: the caller sees which of its marks it has, and what of its change that had. */
    bool finds_tries;
    struct store_cond cond;        /* STORE_IF_ABSENT, STORE_IF_MATCH, or STORE_ALWAYS */
};
/* 0 and what is in the bucket now (etag, size, hdrs as sent with the mark; mtime_ns 0 if the reply did not tell);
 * an upload_outcome, with *ret what a HEAD showed where there is an object; or -errno (-EACCES, -ENOSPC, -EDQUOT,
 * -EIO, -EFBIG, -ENAMETOOLONG, -ETIMEDOUT: the bucket is as it was, or in doubt where err_text() says so). */
_must_check_ int upload_commit(struct upload *u, const struct upload_req *req, struct store_obj *ret);

/* `now` is what upload_commit() gave for a success. Did the writes that led to `there`, another version of the same file,
 * start from it? 1; 0; -EIO: so many have written since that it can't be told. Pure. */
_must_check_ int upload_is_below(const struct store_obj *now, const struct store_obj *there);

/* That success is to be told as a failure all the same, and may be tried again: it is then known as our own. */
void upload_disown(struct upload *u, const char *key, struct data_file *file, const struct store_obj *now);

/* What was to be committed of this file never will be (it is in lost+found): a commit of it that was in doubt and took effect
 * after all is a version like another client's from now on. */
void upload_forget(struct upload *u, const struct data_file *file);

/* Puts the tags of key into the headers of its next version, if they tell that it has some (upload_commit does so
 * itself). */
_must_check_ int upload_tags(struct upload *u, const char *key, struct store_hdrs *hdrs);

/* Can the bucket copy an object of this size onto another key under such a condition there, without its bytes
 * coming here? By one COPY, or by parts. */
bool upload_can_copy(const struct upload *u, enum store_if kind, uint64_t size);

/* Pure plan of a multipart upload, in fs/upload/plan.h. */

#endif
