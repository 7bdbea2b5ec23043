/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of upload/ share. */
#ifndef S3EFS_UPLOAD_INTERNAL_H
#define S3EFS_UPLOAD_INTERNAL_H

#include "base/budget.h"
#include "base/err.h"
#include "base/lock.h"
#include "marks.h"
#include "plan.h"
#include "upload/upload.h"

#define COMMIT_HDR STORE_USER_META "s3efs-commit"
#define BODY_IN_MEMORY (UINT64_C(32) << 20) /* larger bodies are read from the staging file as they are sent */

struct doubt; /* doubt.c */
struct upload {
    struct store *store;
    struct upload_conf conf; /* with the defaults filled in */
    struct lock lock;        /* LOCK_UPLOAD */
    struct budget bodies;    /* memory of those that are under way */
    struct {
        uint64_t sequence;
        struct doubt *doubts;
        unsigned n_doubts;
        bool has_warned;
    } locked;
};

_Static_assert(UPLOAD_MARK_SIZE == MARK_SIZE, "one size");

/* One upload_commit(). */
struct job {
    struct upload *u;
    const struct upload_req *req;
    const char *src_key;
    struct store_cond cond;
    bool is_copy; /* within the bucket, by one COPY */
    bool is_same; /* the bytes of the version that it goes over: attributes alone */
    bool is_weak; /* the server will not look at the condition: we do, just before */
    struct store_hdrs hdrs;
    char mark[MARK_SIZE];
    struct marks base_marks; /* of the version that the condition names */
    uint64_t change;         /* of the file's bytes */
    bool is_doubtful;        /* a try of this commit may have taken effect, whatever the bucket says now */
    uint64_t size;
    struct store_etag base;
    struct plan plan;
};

/* A write ended with r. What was refused by the first answer did nothing; all else may have taken effect. */
static inline void job_note_doubt(struct job *j, int r, const struct store_rsp *rsp)
{
    j->is_doubtful |= r != 0 && (r < 0 || r == STORE_CONFLICT || rsp->retried);
}

/* *ret for a success: what the reply told, and what was sent. Moves both out. */
void job_result(struct job *j, struct store_obj *told, struct store_obj *ret);
/* What a single request, a PUT or a COPY, has ended with; r is its result, which it gives on. */
int job_sent(struct job *j, int r, struct store_obj *told, struct store_obj *ret);

/* --- body.c: bytes to send, which can be read without asking the store for anything --- */
struct body {
    struct upload *u;
    char *data; /* NULL: from the staging file */
    uint64_t len;
    struct store_mem mem; /* src points at one of these two: a body stays where it was made */
    struct data_source ds;
    struct store_src src;
};
enum body_outcome { BODY_NO_ROOM = 1 };
/* may_wait: the caller has no other body that would have to be done first. 0, BODY_NO_ROOM, -errno of the read. */
_must_check_ int body_init(struct body *b, struct upload *u, struct data_file *f, uint64_t off,
                           uint64_t len, bool may_wait);
void body_done(struct body *b); /* idempotent; legal on a zeroed struct */

/* --- copy.c --- */
bool copy_is_the_way(const struct job *j, const struct plan_in *in);
/* 0 and *ret, or what the COPY ended with. */
_must_check_ int copy_commit(struct job *j, struct store_obj *ret);

/* --- parts.c --- */
/* Sends or copies every part of the plan, several at once. At the first failure it starts no more and waits for
 * those under way. 0 and ret[plan.n]; STORE_NO_UPLOAD; -ESTALE: the base is gone; -errno. */
_must_check_ int parts_send(struct job *j, const char *upload_id, struct store_part *ret);

/* --- multipart.c --- */
/* One whole multipart upload. 0 and *ret, seen by a HEAD; else nothing of it is left open: a STORE_* outcome or
 * -errno as of the request that failed. */
_must_check_ int multipart_commit(struct job *j, struct store_obj *ret);

/* --- look.c --- */
enum look_outcome {
    LOOK_OURS = 11,
    LOOK_UNCHANGED = 12,
    LOOK_EXISTS = 13,
    LOOK_CHANGED = 14,
    LOOK_GONE = 15,
    LOOK_LANDED = 16, /* this commit took effect, and others have come since */
};
/* Asks the bucket what is at the key: this commit (LOOK_OURS), what its condition wants there (LOOK_UNCHANGED), or
 * something else. *ret where there is an object (LOOK_OURS, EXISTS, CHANGED, LANDED); -errno; -EIO: it can't be told
 * whether a try of this commit took effect. An earlier commit of ours that was in doubt becomes what the condition
 * wants. */
_must_check_ int look(struct job *j, struct store_obj *ret);

/* --- doubt.c: marks of commits that may yet take effect though they were reported as failed --- */
void doubt_add(struct job *j);
/* What a list says of the commits of this key that are in doubt, newer ones than the base. */
enum doubt_outcome {
    DOUBT_NONE,  /* there are none */
    DOUBT_OPEN,  /* the list has none of them */
    DOUBT_TOP,   /* one of them is what is there */
    DOUBT_SAME,  /* one is below others, and had the bytes that this job has */
    DOUBT_OTHER, /* the same, with other bytes */
};
enum doubt_outcome doubt_find(struct job *j, const struct marks *there);
bool doubt_has(struct job *j, const char *mark); /* is it that of a try of ours? */
void doubt_clear(struct upload *u, const char *key); /* NULL: all */

#endif
