/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials in use: refresh ahead of expiry, single flight, failures that take nothing away.
 */
#include "cred_test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static const int64_t MIN = 60 * NS_PER_S;
static const int64_t START = INT64_C(1800000000) * NS_PER_S;

/* The endpoint gives KEY1, KEY2, ..., each good for an hour from the (fake) time of the answer. */
static struct {
    atomic_int answers;
    atomic_int failing;   /* answer 400 */
    atomic_int held;      /* hang until httpd_release() */
    atomic_llong life_ns; /* what is left when it is given */
} endpoint;

static void answer(void *arg, const struct httpd_req *req, struct httpd_reply *reply)
{
    char iso[32], *text;
    (void)arg;
    (void)req;
    if (atomic_load(&endpoint.failing)) {
        reply->status = 400;
        reply->body = "{\"code\":\"Refused\"}";
        return;
    }
    reply->hang = atomic_load(&endpoint.held) != 0;
    str_format_iso8601(clock_wall_ns() + atomic_load(&endpoint.life_ns), iso);
    if (asprintf(&text,
                 "{\"AccessKeyId\":\"KEY%d\",\"SecretAccessKey\":\"SECRET\",\"Token\":\"t\","
                 "\"Expiration\":\"%s\"}",
                 atomic_fetch_add(&endpoint.answers, 1) + 1, iso) < 0)
        abort();
    reply->body = text;
    reply->free_body = true;
}

static struct cred *new_cred(void)
{
    const struct cred_conf conf = {.getenv = get_env, .container_ms = 120 * 1000};
    struct cred *c = NULL;
    clock_fake_set(1000 * NS_PER_S, START);
    atomic_store(&endpoint.answers, 0);
    atomic_store(&endpoint.failing, 0);
    atomic_store(&endpoint.held, 0);
    atomic_store(&endpoint.life_ns, 60 * MIN);
    httpd_handle(server, answer, NULL);
    set_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", server_url("/"));
    assert_int_equal(cred_new(&conf, engine, &c), 0);
    return c;
}

static void check(struct cred *c, bool force, bool nonblock, const char *key)
{
    struct aws_cred k = {0};
    check_key(cred_get(c, force, nonblock, &k), &k, key);
}

/* Until the background refresh has this key. */
static void wait_key(struct cred *c, const char *key)
{
    for (bool is_there = false; !is_there; sched_yield()) {
        struct aws_cred k = {0};
        assert_int_equal(cred_get(c, false, true, &k), 0);
        is_there = strcmp(k.access_key, key) == 0;
        aws_cred_done(&k);
    }
}

static void test_first(void **state)
{
    struct cred *c = new_cred();
    struct aws_cred k = {0};
    (void)state;
    assert_string_equal(cred_source(c), "");
    assert_int_equal(cred_get(c, false, true, &k), -EAGAIN);
    assert_int_equal(httpd_requests(server), 0);
    check(c, false, false, "KEY1");
    check(c, false, true, "KEY1");
    check(c, false, false, "KEY1");
    assert_string_equal(cred_source(c), "container");
    assert_int_equal(httpd_requests(server), 1);
    cred_free(c);
}

/* cred_free() waits for a refresh: none was started. */
static void test_fresh_is_left_alone(void **state)
{
    struct cred *c = new_cred();
    (void)state;
    check(c, false, false, "KEY1"); /* good for 60 min */
    clock_fake_add(44 * MIN);
    check(c, false, true, "KEY1");
    check(c, false, false, "KEY1");
    cred_free(c);
    assert_int_equal(httpd_requests(server), 1);
}

static void test_ahead_of_expiry(void **state)
{
    struct cred *c = new_cred();
    struct aws_cred k = {0};
    (void)state;
    check(c, false, false, "KEY1"); /* good for 60 min */
    clock_fake_add(46 * MIN);
    check(c, false, true, "KEY1"); /* 14 left: used, and refreshed behind */
    wait_key(c, "KEY2");
    assert_int_equal(httpd_requests(server), 2);
    clock_fake_add(50 * MIN); /* nobody asked for anything; 10 left: nobody goes on with them */
    assert_int_equal(cred_get(c, false, true, &k), -EAGAIN);
    check(c, false, false, "KEY3");
    check(c, false, true, "KEY3");
    clock_fake_add(120 * MIN); /* expired */
    assert_int_equal(cred_get(c, false, true, &k), -EAGAIN);
    check(c, false, false, "KEY4");
    assert_int_equal(httpd_requests(server), 4);
    cred_free(c);
}

static void test_failed_refresh(void **state)
{
    struct cred *c = new_cred();
    struct aws_cred k = {0};
    (void)state;
    check(c, false, false, "KEY1");
    atomic_store(&endpoint.failing, 1);
    clock_fake_add(51 * MIN);       /* 9 left */
    check(c, false, false, "KEY1"); /* tried in vain: the old ones hold */
    assert_int_equal(httpd_requests(server), 2);
    check(c, false, false, "KEY1");
    check(c, false, true, "KEY1"); /* and are not asked for at every call */
    assert_int_equal(httpd_requests(server), 2);
    clock_fake_add(31 * NS_PER_S);
    check(c, false, false, "KEY1");
    assert_int_equal(httpd_requests(server), 3);
    clock_fake_add(9 * MIN); /* expired */
    assert_int_equal(cred_get(c, false, false, &k), -EACCES);
    assert_non_null(strstr(err_text(), "Refused"));
    check_no_secret();
    atomic_store(&endpoint.failing, 0);
    check(c, false, false, "KEY2");
    cred_free(c);
}

static void test_forced(void **state)
{
    struct cred *c = new_cred();
    struct aws_cred k = {0};
    (void)state;
    check(c, false, false, "KEY1");
    check(c, true, false, "KEY2");
    check(c, false, true, "KEY2");
    assert_int_equal(cred_get(c, true, true, &k), -EAGAIN);
    atomic_store(&endpoint.failing, 1);
    assert_int_equal(cred_get(c, true, false, &k), -EACCES);
    check(c, false, false, "KEY2"); /* what there was is still there */
    cred_free(c);
}

static void test_expired_already(void **state)
{
    struct cred *c = new_cred();
    struct aws_cred k = {0};
    (void)state;
    atomic_store(&endpoint.life_ns, -MIN);
    assert_int_equal(cred_get(c, false, false, &k), -EACCES);
    assert_non_null(strstr(err_text(), "expired already"));
    assert_non_null(strstr(err_text(), "container"));
    cred_free(c);
}

static void *get_one(void *arg)
{
    struct aws_cred k = {0};
    int r = cred_get(arg, false, false, &k);
    char *key = r == 0 ? strdup(k.access_key) : NULL;
    aws_cred_done(&k);
    return key;
}

/* All ask while the endpoint is silent; one request serves them. */
static void test_single_flight(void **state)
{
    enum { N = 16 };
    pthread_t threads[N];
    struct cred *c = new_cred();
    (void)state;
    atomic_store(&endpoint.held, 1);
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_one, c), 0);
    httpd_wait_requests(server, 1);
    httpd_release(server);
    for (int i = 0; i < N; i++) {
        void *key;
        assert_int_equal(pthread_join(threads[i], &key), 0);
        assert_string_equal(key, "KEY1");
        free(key);
    }
    assert_int_equal(httpd_requests(server), 1);
    cred_free(c);
}

/* Many threads over many expiries: each has a key that was good when it asked. */
static void *get_many(void *arg)
{
    for (int i = 0; i < 200; i++) {
        struct aws_cred k = {0};
        int64_t now = clock_wall_ns();
        if (cred_get(arg, false, false, &k) < 0 || k.expiry_ns <= now)
            return arg;
        aws_cred_done(&k);
        clock_fake_add(MIN / 2);
    }
    return NULL;
}

static void test_threads(void **state)
{
    enum { N = 8 };
    pthread_t threads[N];
    struct cred *c = new_cred();
    (void)state;
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_many, c), 0);
    for (int i = 0; i < N; i++) {
        void *bad;
        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
    assert_true(httpd_requests(server) > 1);
    cred_free(c);
}

/* The daemon goes while a refresh hangs: stopping the engine ends it. */
static void test_free_during_refresh(void **state)
{
    struct cred *c = new_cred();
    (void)state;
    check(c, false, false, "KEY1");
    atomic_store(&endpoint.held, 1);
    clock_fake_add(47 * MIN);
    check(c, false, true, "KEY1");
    httpd_wait_requests(server, 2);
    http_stop(engine);
    cred_free(c);
}

static void test_static_keys(void **state)
{
    struct cred *c = new_cred();
    (void)state;
    set_env("AWS_ACCESS_KEY_ID", "ENV");
    set_env("AWS_SECRET_ACCESS_KEY", "SECRET");
    check(c, false, false, "ENV");
    assert_string_equal(cred_source(c), "environment");
    clock_fake_add(1000000 * MIN);
    check(c, false, true, "ENV");
    set_env("AWS_ACCESS_KEY_ID", NULL);
    set_files(NULL, "[default]\naws_access_key_id = OLD\naws_secret_access_key = SECRET\n");
    check(c, true, false, "OLD");
    set_files(NULL, "[default]\naws_access_key_id = ROTATED\naws_secret_access_key = SECRET\n");
    check(c, false, false, "OLD");
    check(c, true, false, "ROTATED"); /* the file is read again */
    assert_string_equal(cred_source(c), "profile default");
    assert_int_equal(httpd_requests(server), 0);
    cred_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fresh_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ahead_of_expiry, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failed_refresh, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_expired_already, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_single_flight, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_free_during_refresh, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_static_keys, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
