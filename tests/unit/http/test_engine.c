/* SPDX-License-Identifier: Apache-2.0 */
/* Connections, order, limits in time, stopping. */
#include "http_test.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>

static void answer_ok(void *ctx, const struct httpd_req *req, struct httpd_reply *reply)
{
    (void)ctx;
    (void)req;
    reply->body = "ok";
}

static void answer_late(void *ctx, const struct httpd_req *req, struct httpd_reply *reply)
{
    (void)ctx;
    (void)req;
    reply->hang = true;
    reply->body = "ok";
}

/* Calls that are submitted and whose ends are counted. */
struct ends {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned n;
};
struct counted {
    struct http_call call;
    struct ends *ends;
    char url[200];
    int r;
    unsigned times;
};

static void count_end(struct http_call *call, int r)
{
    struct counted *c = container_of(call, struct counted, call);
    pthread_mutex_lock(&c->ends->lock);
    c->r = r;
    c->times++;
    c->ends->n++;
    pthread_cond_broadcast(&c->ends->changed);
    pthread_mutex_unlock(&c->ends->lock);
}

static void wait_ends(struct ends *e, unsigned n)
{
    pthread_mutex_lock(&e->lock);
    while (e->n < n)
        pthread_cond_wait(&e->changed, &e->lock);
    pthread_mutex_unlock(&e->lock);
}

#define ENDS_INIT                                                                                  \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0                                     \
    }

static void submit(struct http *h, struct httpd *s, struct counted *c, struct ends *e, unsigned i)
{
    c->ends = e;
    snprintf(c->url, sizeof(c->url), "%s/%u", httpd_url(s), i);
    c->call.method = "GET";
    c->call.url = c->url;
    c->call.done = count_end;
    http_submit(h, &c->call);
}

static void test_reuse(void **state)
{
    struct httpd *s = httpd_start();
    struct http *h = engine(0);
    struct http_call call = {0};
    (void)state;
    httpd_handle(s, answer_ok, NULL);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(fetch(h, s, i % 2 ? "PUT" : "GET", "/x", &call), 0);
        assert_int_equal(call.status, 200);
        assert_string_equal(buf_str(&call.body), "ok");
    }
    http_call_done(&call);
    http_call_done(&call);
    assert_int_equal(httpd_connections(s), 1);
    assert_int_equal(httpd_requests(s), 20);
    http_free(h);
    httpd_stop(s);
}

/* All are with the server at once: it answers none before it has them all. */
static void test_parallel(void **state)
{
    enum { N = 64 };
    struct httpd *s = httpd_start();
    struct http *h = engine(0);
    struct ends ends = ENDS_INIT;
    struct counted *c = calloc(N, sizeof(*c));
    (void)state;
    httpd_handle(s, answer_late, NULL);
    for (unsigned i = 0; i < N; i++)
        submit(h, s, &c[i], &ends, i);
    httpd_wait_requests(s, N);
    httpd_release(s);
    wait_ends(&ends, N);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(c[i].r, 0);
        assert_int_equal(c[i].times, 1);
        http_call_done(&c[i].call);
    }
    assert_int_equal(httpd_connections(s), N);
    for (unsigned i = 0; i < N; i++)
        submit(h, s, &c[i], &ends, i);
    wait_ends(&ends, 2 * N);
    for (unsigned i = 0; i < N; i++)
        http_call_done(&c[i].call);
    assert_int_equal(httpd_connections(s), N); /* all were kept */
    free(c);
    http_free(h);
    httpd_stop(s);
}

static void test_connection_cap(void **state)
{
    enum { N = 30 };
    struct httpd *s = httpd_start();
    struct http *h = engine(2);
    struct ends ends = ENDS_INIT;
    struct counted *c = calloc(N, sizeof(*c));
    (void)state;
    httpd_handle(s, answer_late, NULL);
    for (unsigned i = 0; i < N; i++)
        submit(h, s, &c[i], &ends, i);
    httpd_wait_requests(s, 2);
    assert_int_equal(httpd_requests(s), 2);
    httpd_release(s);
    wait_ends(&ends, N);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(c[i].r, 0);
        http_call_done(&c[i].call);
    }
    assert_int_equal(httpd_connections(s), 2);
    free(c);
    http_free(h);
    httpd_stop(s);
}

static bool has_come(struct httpd *s, const char *target)
{
    const struct httpd_req *req;
    for (size_t i = 0; (req = httpd_request(s, i)); i++)
        if (strcmp(req->target, target) == 0)
            return true;
    return false;
}

static void end_all(struct http *h, struct httpd *s, struct ends *ends, struct counted *c, unsigned n)
{
    httpd_release(s);
    wait_ends(ends, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(c[i].r, 0);
        http_call_done(&c[i].call);
    }
    http_free(h);
    httpd_stop(s);
}

/* Bodies that hang hold all places: what is urgent does not wait for them. */
static void test_urgent(void **state)
{
    struct httpd *s = httpd_start();
    struct http *h = engine(1);
    struct ends ends = ENDS_INIT;
    struct counted c[3] = {0};
    (void)state;
    httpd_handle(s, answer_late, NULL);
    submit(h, s, &c[0], &ends, 0);
    httpd_wait_requests(s, 1);
    submit(h, s, &c[1], &ends, 1);
    c[2].call.is_urgent = true;
    submit(h, s, &c[2], &ends, 2);
    httpd_wait_requests(s, 2);
    assert_true(has_come(s, "/2"));
    assert_int_equal(httpd_requests(s), 2);
    end_all(h, s, &ends, c, 3);
}

/* It has every second place, and what is the first of it goes before the others. */
static void test_urgent_first(void **state)
{
    const struct http_conf conf = {.max_connections = 1, .stall_timeout_ms = 600000};
    struct httpd *s = httpd_start();
    struct http *h = NULL;
    struct ends ends = ENDS_INIT;
    struct counted c[5] = {0};
    (void)state;
    httpd_handle(s, answer_late, NULL);
    forget_proxies();
    assert_int_equal(http_new(&conf, &h), 0);
    c[2].call.is_urgent = c[3].call.is_urgent = c[4].call.is_urgent = true;
    c[4].call.is_first = true;
    for (unsigned i = 0; i < 5; i++)
        submit(h, s, &c[i], &ends, i);
    assert_int_equal(http_start(h), 0);
    httpd_wait_requests(s, 2);
    assert_true(has_come(s, "/4") && has_come(s, "/0"));
    assert_int_equal(httpd_requests(s), 2);
    end_all(h, s, &ends, c, 5);
}

/* The time of an urgent call runs, too. */
static void test_urgent_timeout(void **state)
{
    struct httpd *s = httpd_start();
    struct http *h = engine(1);
    struct ends ends = ENDS_INIT;
    struct counted c[3] = {0};
    (void)state;
    httpd_handle(s, answer_late, NULL);
    submit(h, s, &c[0], &ends, 0);
    c[1].call.is_urgent = c[2].call.is_urgent = true;
    submit(h, s, &c[1], &ends, 1);
    httpd_wait_requests(s, 2);
    c[2].call.timeout_ms = 30;
    submit(h, s, &c[2], &ends, 2);
    wait_ends(&ends, 1);
    assert_int_equal(c[2].r, -ETIMEDOUT);
    http_free(h);
    assert_int_equal(c[1].r, -ECANCELED);
    httpd_stop(s);
}

/* Connections of ours to this port: in the state where both ends stand. */
static unsigned established(unsigned port)
{
    char line[256];
    unsigned n = 0, to, state;
    FILE *f = fopen("/proc/net/tcp", "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        n += sscanf(line, " %*u: %*x:%*x %*x:%x %x", &to, &state) == 2 && to == port && state == 1;
    fclose(f);
    return n;
}

/* Two hosts: connections that are kept to one of them do not come on top of those to the other. */
static void test_cap_of_all(void **state)
{
    enum { N = 4 };
    struct httpd *s[2] = {httpd_start(), httpd_start()};
    struct http *h = engine(N);
    struct ends ends = ENDS_INIT;
    struct counted c[2][N] = {0};
    (void)state;
    for (unsigned k = 0; k < 2; k++) {
        httpd_handle(s[k], answer_late, NULL);
        for (unsigned i = 0; i < N; i++)
            submit(h, s[k], &c[k][i], &ends, i);
        httpd_wait_requests(s[k], N);
        assert_int_equal(established(httpd_port(s[k])), N);
        assert_true(established(httpd_port(s[0])) + established(httpd_port(s[1])) <= N + 1);
        httpd_release(s[k]);
        wait_ends(&ends, (k + 1) * N);
    }
    for (unsigned i = 0; i < 2 * N; i++) {
        assert_int_equal(c[i / N][i % N].r, 0);
        http_call_done(&c[i / N][i % N].call);
    }
    http_free(h);
    httpd_stop(s[0]);
    httpd_stop(s[1]);
}

/* The time of a call runs while it waits for a connection; the one that holds it is not touched. */
static void test_timeout_while_waiting(void **state)
{
    struct httpd *s = httpd_start();
    struct http *h = engine(1);
    struct ends ends = ENDS_INIT;
    struct counted first = {0}, second = {0}, third = {0};
    (void)state;
    httpd_handle(s, answer_late, NULL);
    submit(h, s, &first, &ends, 1);
    httpd_wait_requests(s, 1);
    second.call.timeout_ms = 30;
    submit(h, s, &second, &ends, 2);
    submit(h, s, &third, &ends, 3);
    wait_ends(&ends, 1);
    assert_int_equal(second.r, -ETIMEDOUT);
    assert_false(second.call.was_begun);
    httpd_release(s);
    wait_ends(&ends, 3);
    assert_true(first.call.was_begun && third.call.was_begun);
    assert_int_equal(first.r, 0);
    assert_int_equal(third.r, 0);
    assert_int_equal(httpd_requests(s), 2);
    http_call_done(&first.call);
    http_call_done(&third.call);
    http_free(h);
    httpd_stop(s);
}

static void answer_secret_late(void *ctx, const struct httpd_req *req, struct httpd_reply *reply)
{
    (void)ctx;
    reply->hang = strcmp(req->target, "/secret") == 0;
    reply->body = reply->hang ? "first" : "second";
}

/* The last connection that had such a request. */
static unsigned connection_of(struct httpd *s, const char *target)
{
    const struct httpd_req *req;
    unsigned n = 0;
    for (size_t i = 0; (req = httpd_request(s, i)); i++)
        if (strcmp(req->target, target) == 0 && req->connection > n)
            n = req->connection;
    assert_true(n > 0);
    return n;
}

/* The late answer of a call that timed out must not be taken for the next call's. On a slow machine
 * its time may be over before the server has it: then it gets more. */
static void test_timeout_closes(void **state)
{
    struct httpd *s = httpd_start();
    struct http *h = engine(1);
    struct http_call call = {.timeout_ms = 50};
    (void)state;
    httpd_handle(s, answer_secret_late, NULL);
    do {
        assert_int_equal(fetch(h, s, "GET", "/secret", &call), -ETIMEDOUT);
        call.timeout_ms *= 2;
    } while (call.timeout_ms < 200000 &&
             (httpd_requests(s) == 0 || strstr(err_text(), "before a connection")));
    assert_non_null(strstr(err_text(), "GET http://127.0.0.1:"));
    assert_null(strstr(err_text(), "secret"));
    httpd_release(s);
    call.timeout_ms = 0;
    assert_int_equal(fetch(h, s, "GET", "/2", &call), 0);
    assert_string_equal(buf_str(&call.body), "second");
    assert_true(connection_of(s, "/2") > connection_of(s, "/secret"));
    http_call_done(&call);
    http_free(h);
    httpd_stop(s);
}

struct again {
    struct counted c;
    struct http *h;
};

static void submit_again(struct http_call *call, int r)
{
    struct counted *c = container_of(call, struct counted, call);
    struct again *a = container_of(c, struct again, c);
    if (c->times == 0)
        http_submit(a->h, call);
    count_end(call, r);
}

static void test_stop_cancels(void **state)
{
    struct httpd *s = httpd_start();
    struct http *h = engine(1);
    struct ends ends = ENDS_INIT;
    struct counted under_way = {0}, waiting = {0}, late = {0};
    struct again again = {.h = h};
    (void)state;
    httpd_handle(s, answer_late, NULL);
    submit(h, s, &under_way, &ends, 1);
    httpd_wait_requests(s, 1);
    submit(h, s, &waiting, &ends, 2);
    again.c.ends = &ends;
    again.c.call = (struct http_call){.method = "GET", .url = under_way.url, .done = submit_again};
    http_submit(h, &again.c.call);
    http_stop(h);
    assert_int_equal(under_way.r, -ECANCELED);
    assert_int_equal(waiting.r, -ECANCELED);
    assert_int_equal(again.c.r, -ECANCELED);
    assert_int_equal(under_way.times, 1);
    assert_int_equal(waiting.times, 1);
    assert_int_equal(again.c.times, 2);
    submit(h, s, &late, &ends, 3);
    assert_int_equal(late.times, 1);
    assert_int_equal(late.r, -ECANCELED);
    http_stop(h);
    http_free(h);
    assert_int_equal(httpd_requests(s), 1);
    httpd_stop(s);
}

static void test_before_start(void **state)
{
    struct httpd *s = httpd_start();
    struct http *h = NULL;
    struct ends ends = ENDS_INIT;
    struct counted c = {0};
    const struct http_conf conf = {0};
    (void)state;
    httpd_handle(s, answer_ok, NULL);
    assert_int_equal(http_new(&conf, &h), 0);
    submit(h, s, &c, &ends, 1);
    assert_int_equal(c.times, 0);
    assert_int_equal(http_start(h), 0);
    wait_ends(&ends, 1);
    assert_int_equal(c.r, 0);
    http_call_done(&c.call);
    http_free(h);

    assert_int_equal(http_new(&conf, &h), 0);
    submit(h, s, &c, &ends, 1);
    http_free(h); /* never started: what waited is told */
    assert_int_equal(c.r, -ECANCELED);
    httpd_stop(s);
}

static int read_zeros(void *ctx, uint64_t off, void *buf, size_t len)
{
    (void)ctx;
    (void)off;
    memset(buf, 0, len);
    return 0;
}

/* A kept connection that dies under a request: reads are sent again, writes never. */
static void test_no_silent_resend(void **state)
{
    static const char *const writes[] = {"PUT", "POST", "DELETE"};
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(writes); i++) {
        const struct httpd_step steps[] = {{.reply = {.body = "warm"}}, {.reply = {.drop = true}}};
        struct httpd *s = httpd_start();
        struct http *h = engine(1);
        struct http_call call = {.body_read = read_zeros, .body_size = 0};
        httpd_script(s, steps, 2);
        assert_int_equal(fetch(h, s, "GET", "/", &call), 0);
        call.body_size = i % 2 ? 1000 : 0;
        assert_int_equal(fetch(h, s, writes[i / 2], "/", &call), -ECONNRESET);
        assert_int_equal(httpd_requests(s), 2);
        assert_null(httpd_mismatch(s));
        http_free(h);
        httpd_stop(s);
    }
    const struct httpd_step steps[] = {
        {.reply = {.body = "warm"}}, {.reply = {.drop = true}}, {.reply = {.body = "again"}}};
    struct httpd *s = httpd_start();
    struct http *h = engine(1);
    struct http_call call = {0};
    httpd_script(s, steps, 3);
    assert_int_equal(fetch(h, s, "GET", "/", &call), 0);
    assert_int_equal(fetch(h, s, "GET", "/", &call), 0);
    assert_string_equal(buf_str(&call.body), "again");
    http_call_done(&call);
    http_free(h);
    httpd_stop(s);
}

/* A connection that the server closed while it was idle is not used for the next call. */
static void test_closed_while_idle(void **state)
{
    struct httpd *s = httpd_start();
    struct http *h = engine(1);
    struct http_call call = {0};
    const struct httpd_step steps[] = {
        {.reply = {.headers = "Connection: close\r\n", .close = true, .body = "a"}},
        {.method = "PUT", .reply = {.body = "b"}}};
    (void)state;
    httpd_script(s, steps, 2);
    assert_int_equal(fetch(h, s, "GET", "/", &call), 0);
    assert_int_equal(fetch(h, s, "PUT", "/", &call), 0);
    assert_int_equal(httpd_connections(s), 2);
    assert_null(httpd_mismatch(s));
    http_call_done(&call);
    http_free(h);
    httpd_stop(s);
}

static void test_refused(void **state)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct http *h = engine(0);
    char url[64];
    struct http_call call = {.method = "GET", .url = url};
    (void)state;
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0); /* bound, never listening */
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", ntohs(sa.sin_port));
    assert_int_equal(http_wait(h, &call), -ECONNREFUSED);
    assert_int_equal(call.status, 0);
    assert_non_null(strstr(err_text(), "127.0.0.1"));
    close(fd);
    http_free(h);
}

/* A label of more than 63 bytes can't be asked for: no packet leaves the machine. */
static void test_no_such_host(void **state)
{
    struct http *h = engine(0);
    char url[128] = "http://";
    struct http_call call = {.method = "GET", .url = url};
    (void)state;
    memset(url + 7, 'a', 70);
    strcpy(url + 77, ".invalid/");
    assert_int_equal(http_wait(h, &call), -EHOSTUNREACH);
    http_free(h);
}

static void test_proxy(void **state)
{
    struct httpd *direct = httpd_start(), *proxy = httpd_start();
    struct http *h = engine(0);
    struct http_call call = {0};
    (void)state;
    httpd_handle(direct, answer_ok, NULL);
    httpd_handle(proxy, answer_ok, NULL);
    setenv("http_proxy", httpd_url(proxy), 1);
    assert_int_equal(fetch(h, direct, "GET", "/here", &call), 0);
    assert_int_equal(httpd_requests(proxy), 0);
    call.url = "http://bucket.example.test/key";
    assert_int_equal(http_wait(h, &call), 0);
    assert_int_equal(httpd_requests(proxy), 1);
    assert_string_equal(httpd_request(proxy, 0)->target, "http://bucket.example.test/key");
    unsetenv("http_proxy");
    http_call_done(&call);
    http_free(h);
    httpd_stop(direct);
    httpd_stop(proxy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_parallel),
        cmocka_unit_test(test_connection_cap),
        cmocka_unit_test(test_cap_of_all),
        cmocka_unit_test(test_urgent),
        cmocka_unit_test(test_urgent_first),
        cmocka_unit_test(test_urgent_timeout),
        cmocka_unit_test(test_timeout_while_waiting),
        cmocka_unit_test(test_timeout_closes),
        cmocka_unit_test(test_stop_cancels),
        cmocka_unit_test(test_before_start),
        cmocka_unit_test(test_no_silent_resend),
        cmocka_unit_test(test_closed_while_idle),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_such_host),
        cmocka_unit_test(test_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
