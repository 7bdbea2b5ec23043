/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <stdatomic.h>

static int remove_keys(struct rig *r, const char *const *keys, size_t n, struct store_rsp *rsp)
{
    struct store_req req = {.op = STORE_DELETE_MANY, .keys = keys, .n_keys = n};

    return store_call(r->store, &req, rsp);
}

static void one_request(void **state)
{
    static const char *const keys[] = {"a", "b & <c>", "d"};
    struct store_rsp rsp = {0};
    RIG(rig);

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(
        &rig,
        {.method = "POST",
         .target = "/bucket/?delete=",
         .reply = {.body =
                       "<DeleteResult><Deleted><Key>d</Key></Deleted>"
                       "<Deleted><Key>a</Key></Deleted><Error><Key>b &amp; &lt;c&gt;</Key>"
                       "<Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"}});
    rig_start(&rig);
    assert_int_equal(remove_keys(&rig, keys, 3, &rsp), 0);
    assert_int_equal(rsp.key_results[0], 0);
    assert_int_equal(rsp.key_results[1], -EACCES);
    assert_int_equal(rsp.key_results[2], 0);
    store_rsp_done(&rsp);
}

/* What is another version now is told; a missing one is gone. */
static void only_those_versions(void **state)
{
    static const char *const keys[] = {"a", "b", "c"};
    static const struct store_etag etags[] = {{"e1"}, {"e2"}, {"e3"}};
    struct store_req req = {.op = STORE_DELETE_MANY, .keys = keys, .etags = etags, .n_keys = 3};
    struct store_rsp rsp = {0};
    RIG(rig);

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(&rig, {.method = "POST",
                      .target = "/bucket/?delete=",
                      .reply = {.body = "<DeleteResult><Deleted><Key>a</Key></Deleted>"
                                        "<Error><Key>b</Key><Code>PreconditionFailed</Code></Error>"
                                        "<Error><Key>c</Key><Code>NoSuchKey</Code></Error>"
                                        "</DeleteResult>"}});
    rig_start(&rig);
    assert_int_equal(store_call(rig.store, &req, &rsp), 0);
    assert_int_equal(rsp.key_results[0], 0);
    assert_int_equal(rsp.key_results[1], STORE_PRECONDITION);
    assert_int_equal(rsp.key_results[2], 0);
    store_rsp_done(&rsp);
}

/* Counts the single DELETEs and refuses the key "locked". */
struct singles {
    atomic_uint n;
    const char *many; /* the answer to DeleteObjects; NULL: 501 */
};

static void serve(void *ctx, const struct httpd_req *req, struct httpd_reply *reply)
{
    struct singles *s = ctx;

    if (strcmp(req->method, "POST") == 0) {
        reply->status = s->many != NULL ? 200 : 501;
        reply->body = s->many != NULL ? s->many : ERROR_BODY("NotImplemented");
        return;
    }
    atomic_fetch_add(&s->n, 1);
    reply->status = 204;
    if (strstr(req->target, "locked") != NULL) {
        reply->status = 403;
        reply->body = ERROR_BODY("AccessDenied");
    }
}

/* A trouble that may pass, a key without an answer and one that XML can't hold are asked for one by
 * one. */
static void leftovers(void **state)
{
    static const char *const keys[] = {"gone", "busy", "forgotten", "ctl\x01", "busy"};
    struct singles s = {.many =
                            "<DeleteResult><Deleted><Key>gone</Key></Deleted><Error><Key>busy</Key>"
                            "<Code>InternalError</Code></Error><Deleted><Key>never "
                            "asked</Key></Deleted></DeleteResult>"};
    struct store_rsp rsp = {0};
    struct meter_snapshot snap;
    RIG(rig);

    (void)state;
    rig_init(&rig);
    httpd_handle(rig.server, serve, &s);
    rig_start(&rig);
    assert_int_equal(remove_keys(&rig, keys, 5, &rsp), 0);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(rsp.key_results[i], 0);
    assert_int_equal(atomic_load(&s.n), 4);
    meter_read(rig.meter, &snap);
    assert_int_equal(snap.requests[METER_DELETE_MULTI], 1);
    assert_int_equal(snap.requests[METER_DELETE], 4);
    store_rsp_done(&rsp);
}

static void server_without(void **state)
{
    const char *keys[100];
    struct singles s = {0};
    struct store_rsp rsp = {0};
    RIG(rig);

    (void)state;
    for (size_t i = 0; i < 100; i++)
        keys[i] = i == 57 ? "locked" : "k";
    rig_init(&rig);
    httpd_handle(rig.server, serve, &s);
    rig_start(&rig);
    assert_int_equal(remove_keys(&rig, keys, 100, &rsp), 0);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(rsp.key_results[i], i == 57 ? -EACCES : 0);
    assert_int_equal(atomic_load(&s.n), 100);
    store_rsp_done(&rsp);
}

/* No word of the keys at all: a failure, and no results that mean nothing. */
static void refused(void **state)
{
    static const char *const keys[] = {"a"};
    struct store_rsp rsp = {0};
    RIG(rig);

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(&rig, {.reply = {.status = 403, .body = ERROR_BODY("AccessDenied")}},
               {.reply = {.body = "<DeleteResult><Deleted>"}},
               {.reply = {.body = ERROR_BODY("InternalError")}},
               {.reply = {.status = 404, .body = ERROR_BODY("NoSuchBucket")}});
    rig_start(&rig);
    assert_int_equal(remove_keys(&rig, keys, 1, &rsp), -EACCES);
    assert_null(rsp.key_results);
    store_rsp_done(&rsp);
    assert_int_equal(remove_keys(&rig, keys, 1, &rsp), -ENODEV);
    assert_null(rsp.key_results);
    assert_true(rsp.retried);
    store_rsp_done(&rsp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request),
        cmocka_unit_test(only_those_versions),
        cmocka_unit_test(leftovers),
        cmocka_unit_test(server_without),
        cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
