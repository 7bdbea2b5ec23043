/* SPDX-License-Identifier: Apache-2.0 */
/* See harness.h. */
#include "harness.h"

struct upload_conf up_conf(void)
{
    struct upload_conf c = {
        .caps = {.put_absent = true, .put_match = true, .complete_absent = true, .complete_match = true,
                 .delete_match = true, .copy_src_match = true, .part_copy_match = true,
                 .copy_dst_absent = true, .copy_dst_match = true},
    };
    strcpy(c.writer, WRITER);
    return c;
}

void up_open(struct up *p, const struct upload_conf *conf, unsigned threads, uint64_t cache_max)
{
    *p = (struct up){0};
    fx_open(&p->x, &(struct data_conf){0}, threads, cache_max);
    memstore_set_caps(p->x.store, &conf->caps);
    assert_int_equal(upload_new(conf, p->x.store, &p->u), 0);
    assert_int_equal(store_hdrs_set(&p->hdrs, "content-type", "image/png"), 0);
}

void up_close(struct up *p)
{
    assert_int_equal(memstore_uploads(p->x.store), 0); /* UPLOAD-3 */
    upload_free(p->u);
    store_hdrs_done(&p->hdrs);
    fx_close(&p->x);
}

int up_commit(struct up *p, const char *key, struct data_file *f, enum store_if kind,
              const struct store_etag *etag, struct store_obj *ret)
{
    struct upload_req req = {.key = key, .file = f, .hdrs = &p->hdrs, .cond = {.kind = kind}};
    if (etag)
        req.cond.etag = *etag;
    return upload_commit(p->u, &req, ret);
}

void up_commit_ok(struct up *p, const char *key, struct data_file *f, enum store_if kind,
                  const struct store_etag *etag)
{
    struct store_obj now;
    uint64_t change = data_change(f);
    int r = up_commit(p, key, f, kind, etag, &now);
    if (r != 0)
        fail_msg("commit of %s: %d %s", key, r, err_text());
    assert_int_equal(now.size, data_size(f));
    assert_true(store_etag_is_set(&now.etag));
    assert_string_equal(store_hdrs_get(&now.hdrs, "content-type"), "image/png");
    const char *mark = store_hdrs_get(&now.hdrs, "x-amz-meta-s3efs-commit");
    assert_non_null(mark);
    assert_memory_equal(mark, WRITER ".", 33);
    struct store_obj there = {0};
    assert_int_equal(memstore_get(p->x.store, key, &there, NULL), 0);
    assert_true(store_etag_equal(&there.etag, &now.etag));
    assert_string_equal(store_hdrs_get(&there.hdrs, "x-amz-meta-s3efs-commit"), mark);
    assert_string_equal(store_hdrs_get(&there.hdrs, "content-type"), "image/png");
    store_obj_done(&there);
    data_committed(f, key, &now, change);
    assert_false(data_is_dirty(f));
    store_obj_done(&now);
}

struct data_file *up_new(struct up *p, const char *key, size_t size, unsigned seed)
{
    struct data_file *f = fx_file(&p->x, key, NULL);
    _cleanup_free_ char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    fx_fill(bytes, 0, size, seed);
    assert_int_equal(data_write(f, 0, bytes, size), 0);
    return f;
}

void up_expect(struct up *p, const char *key, const void *bytes, size_t size)
{
    struct store_obj o = {0};
    _cleanup_free_ char *there = NULL;
    assert_int_equal(memstore_get(p->x.store, key, &o, &there), 0);
    assert_int_equal(o.size, size);
    if (size > 0 && memcmp(there, bytes, size) != 0)
        fail_msg("%s has other bytes", key);
    store_obj_done(&o);
}

void up_expect_fill(struct up *p, const char *key, size_t size, unsigned seed)
{
    _cleanup_free_ char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    fx_fill(bytes, 0, size, seed);
    up_expect(p, key, bytes, size);
}

void up_expect_none(struct up *p, const char *key)
{
    assert_int_equal(memstore_get(p->x.store, key, NULL, NULL), STORE_NOT_FOUND);
}

uint64_t up_count(struct up *p, enum store_op op)
{
    return memstore_count(p->x.store, op);
}
