/* SPDX-License-Identifier: Apache-2.0 */
/* The attempt loop on a scripted server: what is sent again, how often, and what the caller gets.
 */
#include "callrig.h"

/* The first `times` requests get this answer (all of them if 0), the rest a good one. */
struct trouble {
    int status;
    const char *code;
    atomic_uint times, seen;
    bool for_ever;
};

static void good_reply(const struct httpd_req *req, struct httpd_reply *reply)
{
    reply->headers = "ETag: \"" ETAG_OF_HELLO "\"\r\n";
    if (strcmp(req->method, "GET") == 0)
        reply->body = strstr(req->target, "list-type") != NULL ? "<ListBucketResult/>" : "hello";
    else if (strcmp(req->method, "POST") == 0 && strstr(req->target, "uploads") != NULL)
        reply->body = "<R><UploadId>U</UploadId></R>";
    else if (strcmp(req->method, "POST") == 0 || strstr(req->headers, "x-amz-copy-source") != NULL)
        reply->body = "<R><ETag>\"e\"</ETag></R>";
}

static void answer(void *ctx, const struct httpd_req *req, struct httpd_reply *reply)
{
    struct trouble *t = ctx;

    if (atomic_fetch_add(&t->seen, 1) >= atomic_load(&t->times) && !t->for_ever) {
        good_reply(req, reply);
        return;
    }
    reply->status = t->status;
    if (t->code == NULL || t->status == 304 || strcmp(req->method, "HEAD") == 0)
        return;
    reply->free_body = true;
    if (asprintf((char **)(uintptr_t)&reply->body, ERROR_BODY("%s"), t->code) < 0)
        abort();
}

/* Final answers: one request, this result, and the server's code in the text of an errno. */
static void final_answers(void **state)
{
    static const struct {
        int status;
        const char *code;
        enum store_op op;
        int result;
    } rows[] = {
        {404, "NoSuchBucket", STORE_PUT, -ENODEV},
        {404, "NoSuchKey", STORE_DELETE, 0},
        {404, "NoSuchKey", STORE_GET, STORE_NOT_FOUND},
        {404, "NoSuchKey", STORE_COPY, STORE_NOT_FOUND},
        {404, "NoSuchUpload", STORE_MPU_PART, STORE_NO_UPLOAD},
        {404, "NoSuchUpload", STORE_MPU_COMPLETE, STORE_NO_UPLOAD},
        {404, "NoSuchUpload", STORE_MPU_ABORT, 0},
        {412, "PreconditionFailed", STORE_PUT, STORE_PRECONDITION},
        {412, NULL, STORE_HEAD, STORE_PRECONDITION},
        {304, NULL, STORE_GET, STORE_NOT_MODIFIED},
        {304, NULL, STORE_HEAD, STORE_NOT_MODIFIED},
        {409, "ConditionalRequestConflict", STORE_MPU_COMPLETE, STORE_CONFLICT},
        {416, "InvalidRange", STORE_GET, STORE_RANGE},
        {403, "AccessDenied", STORE_PUT, -EACCES},
        {403, "SignatureDoesNotMatch", STORE_PUT, -EACCES},
        {403, NULL, STORE_HEAD, -EACCES},
        {404, NULL, STORE_HEAD, STORE_NOT_FOUND},
        {404, NULL, STORE_LIST, -ENODEV},
        {403, "InvalidObjectState", STORE_GET, -EIO},
        {400, "EntityTooLarge", STORE_PUT, -EFBIG},
        {400, "KeyTooLongError", STORE_PUT, -ENAMETOOLONG},
        {400, "MetadataTooLarge", STORE_PUT, -ENOSPC},
        {400, "InvalidPart", STORE_MPU_COMPLETE, -EINVAL},
        {403, "QuotaExceeded", STORE_PUT, -EDQUOT},
        {409, "ObjectParentIsFile", STORE_PUT, -ENOTDIR},
        {409, "ExistingObjectIsDirectory", STORE_MPU_COMPLETE, -EISDIR},
        {501, "NotImplemented", STORE_COPY, -EOPNOTSUPP},
        {405, "MethodNotAllowed", STORE_GET, -EPERM},
        {507, NULL, STORE_PUT, -ENOSPC},
        {418, NULL, STORE_PUT, -EIO},
    };
    RIG(rig);
    struct trouble t = {.for_ever = true};

    (void)state;
    rig_init(&rig);
    httpd_handle(rig.server, answer, &t);
    rig_start(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct store_rsp rsp = {0};
        int r;

        t.status = rows[i].status;
        t.code = rows[i].code;
        atomic_store(&t.seen, 0);
        r = run(&rig, rows[i].op, (struct store_cond){0}, &rsp);
        if (r != rows[i].result || atomic_load(&t.seen) != 1 || rsp.retried)
            fail_msg("%d %s: %d after %u requests (%s)", rows[i].status,
                     rows[i].code != NULL ? rows[i].code : "-", r, atomic_load(&t.seen),
                     err_text());
        if (r == -ENODEV)
            assert_string_equal(err_text(), "no such bucket bucket");
        else if (r < 0 && rows[i].code != NULL && strstr(err_text(), rows[i].code) == NULL)
            fail_msg("%s is not in: %s", rows[i].code, err_text());
        store_rsp_done(&rsp);
    }
}

/* Passing troubles: sent again, then good, and the caller is told that it was. */
static void passing_troubles(void **state)
{
    static const struct {
        int status;
        const char *code;
        enum store_op op;
    } rows[] = {
        {500, "InternalError", STORE_PUT},
        {500, NULL, STORE_HEAD},
        {502, NULL, STORE_GET},
        {504, NULL, STORE_DELETE},
        {503, "SlowDown", STORE_PUT},
        {503, NULL, STORE_LIST},
        {429, "TooManyRequests", STORE_GET},
        {408, NULL, STORE_PUT},
        {400, "RequestTimeout", STORE_PUT},
        {400, "IncompleteBody", STORE_PUT},
        {400, "BadDigest", STORE_PUT},
        {409, "ConditionalRequestConflict", STORE_PUT},
        {409, "OperationAborted", STORE_PUT},
        {409, "ExistingObjectIsDirectory", STORE_PUT},
        {400, "XAmzContentSHA256Mismatch", STORE_MPU_PART},
        {200, "InternalError", STORE_COPY},
        {200, "SlowDown", STORE_MPU_COMPLETE},
        {200, "SomethingNew", STORE_MPU_PART_COPY},
    };
    RIG(rig);
    struct trouble t = {0};

    (void)state;
    rig_init(&rig);
    httpd_handle(rig.server, answer, &t);
    rig_start(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct store_rsp rsp = {0};
        int r;

        t.status = rows[i].status;
        t.code = rows[i].code;
        atomic_store(&t.times, 2);
        atomic_store(&t.seen, 0);
        r = run(&rig, rows[i].op, (struct store_cond){0}, &rsp);
        if (r != 0 || atomic_load(&t.seen) != 3 || !rsp.retried)
            fail_msg("%d %s: %d after %u requests (%s)", rows[i].status,
                     rows[i].code != NULL ? rows[i].code : "-", r, atomic_load(&t.seen),
                     err_text());
        store_rsp_done(&rsp);
    }
}

/* What is tried a few times only. */
static void few_tries(void **state)
{
    static const struct {
        int status;
        const char *code;
        int result;
    } rows[] = {
        {409, "ConditionalRequestConflict", STORE_CONFLICT},
        {409, "OperationAborted", STORE_CONFLICT},
        {400, "BadDigest", -EIO},
    };
    RIG(rig);
    struct trouble t = {.for_ever = true};

    (void)state;
    rig_init(&rig);
    httpd_handle(rig.server, answer, &t);
    rig_start(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        t.status = rows[i].status;
        t.code = rows[i].code;
        atomic_store(&t.seen, 0);
        assert_int_equal(run_simple(&rig, STORE_PUT), rows[i].result);
        assert_int_equal(atomic_load(&t.seen), 5);
    }
}

struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool is_done;
    int result;
    char text[256];
};

#define WAITER_INIT                                                                                \
    {                                                                                              \
        .mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER                       \
    }

static void on_done(void *arg, int result)
{
    struct waiter *w = arg;

    pthread_mutex_lock(&w->mutex);
    w->is_done = true;
    w->result = result;
    snprintf(w->text, sizeof(w->text), "%s", err_text());
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

static int wait_done(struct waiter *w)
{
    pthread_mutex_lock(&w->mutex);
    while (!w->is_done)
        pthread_cond_wait(&w->cond, &w->mutex);
    pthread_mutex_unlock(&w->mutex);
    return w->result;
}

static int run_until(struct rig *r, int64_t ms)
{
    struct store_req req = {
        .op = STORE_GET, .key = "k", .deadline_ns = clock_boot_ns() + ms * NS_PER_MS};
    struct store_rsp rsp = {0};
    int result = store_call(r->store, &req, &rsp);

    store_rsp_done(&rsp);
    return result;
}

/* The deadline is far off until the server has the first attempt, and then it is past. */
static void deadlines(void **state)
{
    struct trouble t = {.status = 500, .code = "InternalError", .for_ever = true};
    struct waiter w = WAITER_INIT;
    struct store_req req = {.op = STORE_GET, .key = "k"};
    struct store_rsp rsp = {0};
    RIG(rig);

    (void)state;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_init(&rig);
    httpd_handle(rig.server, answer, &t);
    rig_start(&rig);
    req.deadline_ns = clock_boot_ns() + 3600 * NS_PER_S;
    store_submit(rig.store, &req, &rsp, on_done, &w);
    httpd_wait_requests(rig.server, 1);
    clock_fake_add(3600 * NS_PER_S);
    assert_int_equal(wait_done(&w), -ETIMEDOUT);
    assert_non_null(strstr(w.text, "InternalError"));
    store_rsp_done(&rsp);
    assert_int_equal(run_until(&rig, -1), -ETIMEDOUT);
    clock_fake_off();
}

static void hang(void *ctx, const struct httpd_req *req, struct httpd_reply *reply)
{
    (void)ctx;
    (void)req;
    reply->hang = true;
}

/* On a slow machine the time may be over before the server has the request: then with more of it.
 */
static void hung_server(void **state)
{
    int64_t ms = 200;
    RIG(rig);

    (void)state;
    rig_init(&rig);
    httpd_handle(rig.server, hang, NULL);
    rig_start(&rig);
    do {
        assert_int_equal(run_until(&rig, ms), -ETIMEDOUT);
        ms *= 2;
    } while (httpd_requests(rig.server) == 0);
    httpd_release(rig.server);
}

static void soft_and_limited(void **state)
{
    struct trouble t = {.status = 500, .code = "InternalError", .for_ever = true};

    (void)state;
    {
        RIG(rig);

        rig_init(&rig);
        rig.conf.soft_timeout_ms = 100;
        httpd_handle(rig.server, answer, &t);
        rig_start(&rig);
        assert_int_equal(run_simple(&rig, STORE_GET), -EIO);
        assert_non_null(strstr(err_text(), "given up "));
    }
    {
        RIG(rig);

        rig_init(&rig);
        rig.conf.max_attempts = 3;
        atomic_store(&t.seen, 0);
        httpd_handle(rig.server, answer, &t);
        rig_start(&rig);
        assert_int_equal(run_simple(&rig, STORE_GET), -EIO);
        assert_int_equal(atomic_load(&t.seen), 3);
    }
}

static unsigned attempts_said(void)
{
    const char *said = strstr(err_text(), "given up after ");
    unsigned n = 0;

    return said != NULL && sscanf(said, "given up after %u", &n) == 1 ? n : 0;
}

static void nobody_listens(void **state)
{
    int64_t ms = 150;
    RIG(rig);

    (void)state;
    rig_init(&rig);
    strcpy(rig.conf.endpoint.host, "127.0.0.1:1");
    rig_start(&rig);
    do { /* with more time where it was too short for a second attempt */
        assert_int_equal(run_until(&rig, ms), -ETIMEDOUT);
        ms *= 2;
    } while (ms < 200000 && attempts_said() < 2);
    assert_true(attempts_said() >= 2);
}

static int run_with_failures(struct rig *r, struct trouble *t, unsigned failures)
{
    atomic_store(&t->seen, 0);
    atomic_store(&t->times, failures);
    return run_simple(r, STORE_GET);
}

/* More failures than there are tokens for: slower from there on, but nothing is given up (CALL-2).
 */
static void no_tokens_left(void **state)
{
    struct trouble t = {.status = 500, .code = "InternalError"};
    RIG(rig);
    struct meter_snapshot snap;

    (void)state;
    rig_init(&rig);
    httpd_handle(rig.server, answer, &t);
    rig_start(&rig);
    for (int i = 0; i < 12; i++)
        assert_int_equal(run_with_failures(&rig, &t, 3), 0);
    meter_read(rig.meter, &snap);
    assert_int_equal(snap.requests[METER_GET], 48);
    assert_int_equal(snap.statuses[500], 36);
    assert_int_equal(snap.statuses[200], 12);
    assert_int_equal(snap.by_kind_status[METER_GET][5], 36);
    assert_int_equal(snap.bytes_down > 12 * 5, true);
}

struct ended {
    atomic_int done;
    enum origin origin;
};

static void note_end(void *arg, int result)
{
    struct ended *e = arg;

    (void)result;
    e->origin = origin_get();
    atomic_store(&e->done, 1);
}

/* Attempts again and again, on other threads: all are booked to the one who asked, and who is told of the
 * end works for him too. */
static void attempts_are_booked_to_who_asked(void **state)
{
    struct trouble t = {.status = 500, .code = "InternalError"};
    struct store_req req = {.op = STORE_GET, .key = "k"};
    struct store_rsp rsp = {0};
    struct ended e = {0};
    struct meter_snapshot snap;
    RIG(rig);

    (void)state;
    rig_init(&rig);
    httpd_handle(rig.server, answer, &t);
    rig_start(&rig);
    atomic_store(&t.seen, 0);
    atomic_store(&t.times, 2);
    (void)origin_set(ORIGIN_READ);
    store_submit(rig.store, &req, &rsp, note_end, &e);
    (void)origin_set(ORIGIN_LOOKUP);
    while (atomic_load(&e.done) == 0)
        sched_yield();
    assert_int_equal(origin_get(), ORIGIN_LOOKUP);
    assert_int_equal(e.origin, ORIGIN_READ);
    meter_read(rig.meter, &snap);
    assert_int_equal(snap.by_origin[ORIGIN_READ][METER_GET], 3);
    assert_int_equal(snap.requests[METER_GET], 3);
    store_rsp_done(&rsp);
    (void)origin_set(ORIGIN_OTHER);
}

static void stopping(void **state)
{
    struct trouble t = {.status = 503, .code = "SlowDown", .for_ever = true};
    struct waiter w = WAITER_INIT;
    struct store_req req = {.op = STORE_GET, .key = "k"};
    struct store_rsp rsp = {0};
    RIG(rig);

    (void)state;
    rig_init(&rig);
    rig.conf.retry_base_ms = 100000;
    httpd_handle(rig.server, answer, &t);
    rig_start(&rig);
    store_submit(rig.store, &req, &rsp, on_done, &w);
    httpd_wait_requests(rig.server, 1);
    store_stop(rig.store); /* does not wait for the next attempt */
    assert_int_equal(wait_done(&w), -ECANCELED);
    store_rsp_done(&rsp);
    assert_int_equal(run_simple(&rig, STORE_GET), -ESHUTDOWN);
}

static int refuse_write(void *ctx, uint64_t off, const void *data, size_t len)
{
    (void)ctx;
    (void)off;
    (void)data;
    (void)len;
    return err_set(-ENOSPC, "the cache is full");
}

/* Reads once for the sums, then fails. */
static int fail_second(void *ctx, uint64_t off, void *data, size_t len)
{
    int *reads = ctx;

    (void)off;
    memset(data, 'x', len);
    return (*reads)++ == 0 ? 0 : -ESTALE;
}

static void ends_of_ours_fail(void **state)
{
    int reads = 0;
    struct store_sink sink = {.write = refuse_write};
    struct store_src src = {.size = 5, .read = fail_second, .ctx = &reads};
    struct store_req get = {.op = STORE_GET, .key = "k", .sink = &sink};
    struct store_req put = {.op = STORE_PUT, .key = "k", .src = &src};
    struct store_rsp rsp = {0};
    struct trouble t = {0};
    RIG(rig);

    (void)state;
    rig_init(&rig);
    httpd_handle(rig.server, answer, &t);
    rig_start(&rig);
    assert_int_equal(store_call(rig.store, &get, &rsp), -ENOSPC);
    assert_non_null(strstr(err_text(), "the cache is full"));
    assert_false(rsp.retried);
    store_rsp_done(&rsp);
    assert_int_equal(store_call(rig.store, &put, &rsp), -ESTALE);
    assert_false(rsp.retried);
    store_rsp_done(&rsp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(final_answers),  cmocka_unit_test(passing_troubles),
        cmocka_unit_test(few_tries),      cmocka_unit_test(deadlines),
        cmocka_unit_test(hung_server),    cmocka_unit_test(soft_and_limited),
        cmocka_unit_test(nobody_listens), cmocka_unit_test(no_tokens_left),
        cmocka_unit_test(attempts_are_booked_to_who_asked),
        cmocka_unit_test(stopping),       cmocka_unit_test(ends_of_ours_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
