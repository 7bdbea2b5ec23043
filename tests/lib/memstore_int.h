/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the memory store share. */
#ifndef S3EFS_TESTS_MEMSTORE_INT_H
#define S3EFS_TESTS_MEMSTORE_INT_H

#include <stdatomic.h>
#include "base/lock.h"
#include "base/workq.h"
#include "memstore.h"
#include "store/backend.h"

struct body {
    atomic_uint refs;
    size_t size;
    unsigned char md5[STORE_MD5_LEN];
    char data[];
};

struct object {
    char *key;
    struct body *body;
    struct store_obj obj;
};

struct mpart {
    struct store_part part;
    struct body *body;
};

struct mpu {
    struct mpu *next;
    char id[32];
    char *key;
    int64_t started_ns;
    struct store_hdrs hdrs;
    struct mpart *parts; /* ascending */
    size_t n_parts;
    bool is_complete; /* kept, so that a repeated Complete is answered as the first one was */
    struct store_etag etag;
};

struct rule {
    struct rule *next;
    enum store_op op;
    uint64_t first, last; /* of the op's count */
    bool is_lost;
    int result;
};

struct memstore {
    struct store store;
    struct meter *meter;
    struct workq *workers;
    struct {
        struct lock lk;
        struct cond idle;
        unsigned running;
        bool is_stopped, unquoted;
        struct object *v;
        size_t n, cap;
        struct mpu *uploads;
        uint64_t next_upload;
        uint32_t page;
        int64_t grain_ns, skew_ns;
        uint64_t part_min;
        struct store_caps caps;
        struct rule *rules;
        uint64_t counts[STORE_OPS];
        memstore_hook before, after;
        void *hook_arg;
    } locked;
};

struct memstore *mem_of(struct store *s);

/* --- memstore_obj.c --- */

struct body *mem_body_ref(struct body *b);
void mem_body_unref(struct body *b);
void mem_body_unrefp(struct body **b);
#define _cleanup_body_ _cleanup_(mem_body_unrefp)
struct body *mem_body_new(size_t size);
/* Once its bytes are there. */
_must_check_ int mem_body_seal(struct body *b);
_must_check_ int mem_body_read(const struct store_src *src, struct body **ret);

struct object *mem_find_locked(const struct memstore *m, const char *key);
void mem_object_done(struct object *o);
int64_t mem_stamp_locked(const struct memstore *m);
/* Makes this body the current version. It may move the table. */
_must_check_ int mem_publish_locked(struct memstore *m, const char *key, struct body *b,
                                    const struct store_etag *etag, const struct store_hdrs *hdrs,
                                    struct store_obj *ret);
/* The write's condition, as far as this server keeps it. */
int mem_cond_locked(const struct memstore *m, const struct store_req *req, bool absent, bool match);
/* The source of a copy and its condition. */
int mem_source_locked(const struct memstore *m, const struct store_req *req, bool match,
                      const struct object **ret);

int mem_do_read(struct memstore *m, struct store_req *req, struct store_rsp *rsp);
int mem_do_get_tags(struct memstore *m, struct store_req *req, struct store_rsp *rsp);
int mem_do_put(struct memstore *m, struct store_req *req, struct store_rsp *rsp);
int mem_do_delete(struct memstore *m, struct store_req *req);
int mem_do_delete_many(struct memstore *m, struct store_req *req, struct store_rsp *rsp);
int mem_do_list(struct memstore *m, struct store_req *req, struct store_rsp *rsp);
int mem_do_copy(struct memstore *m, struct store_req *req, struct store_rsp *rsp);

/* --- memstore_mpu.c --- */

void mem_mpu_free(struct mpu *u);
int mem_do_mpu_create(struct memstore *m, struct store_req *req, struct store_rsp *rsp);
int mem_do_mpu_part(struct memstore *m, struct store_req *req, struct store_rsp *rsp);
int mem_do_mpu_part_copy(struct memstore *m, struct store_req *req, struct store_rsp *rsp);
int mem_do_mpu_complete(struct memstore *m, struct store_req *req, struct store_rsp *rsp);
int mem_do_mpu_abort(struct memstore *m, struct store_req *req);
int mem_do_mpu_list(struct memstore *m, struct store_req *req, struct store_rsp *rsp);

/* --- memstore.c --- */

/* A hook's request, or memstore_put()'s: no counts, faults, hooks. */
extern _Thread_local bool mem_is_foreign;
extern const struct store_ops mem_ops;

#endif
