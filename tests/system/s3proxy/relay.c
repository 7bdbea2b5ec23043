/* SPDX-License-Identifier: Apache-2.0 */
/* One client connection and its connection to the server (see relay.h). Each is used by one thread,
 * so there is one server connection for one client connection. */
#include "relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "rules.h"
#include "stats.h"
#include "wire.h"

static atomic_uint rtt_ms;

struct relay {
    struct wire client, server;
    struct head request, reply;
    struct target target;
    struct deed deed;
    int port;
};

enum next { NEXT_REQUEST, NEXT_CLOSE, NEXT_RESET };

void relay_set_rtt(unsigned ms)
{
    atomic_store(&rtt_ms, ms);
}

static void sleep_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    while (ms && nanosleep(&t, &t) != 0)
        ;
}

int relay_connect(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        close(fd);
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

/* Waits until the client has gone away, or for ms (0: no limit). */
static void wait_for_client(struct relay *r, unsigned ms)
{
    struct pollfd p = {.fd = r->client.fd, .events = POLLRDHUP};

    (void)poll(&p, 1, ms ? (int)ms : -1);
}

static enum next answer(struct relay *r)
{
    char body[512], head[1024];
    bool to_head = strcmp(r->target.method, "HEAD") == 0;
    int n = snprintf(body, sizeof(body),
                     "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code>"
                     "<Message>by rule of the test's proxy</Message>"
                     "<RequestId>PROXY</RequestId></Error>", r->deed.code);
    int m = snprintf(head, sizeof(head), "HTTP/1.1 %d By rule\r\nContent-Type: application/xml\r\n"
                     "Content-Length: %d\r\n%sConnection: close\r\n\r\n", r->deed.status, n,
                     r->deed.headers);

    stats_count(&r->target, r->deed.status);
    if (!to_head)
        stats_down(NULL, (uint64_t)n);
    if (wire_send(r->client.fd, head, (size_t)m) < 0)
        return NEXT_CLOSE;
    if (!to_head)
        (void)wire_send(r->client.fd, body, (size_t)n);
    return NEXT_CLOSE;
}

static int read_reply(struct relay *r)
{
    int got;

    do
        got = wire_read_head(&r->server, &r->reply);
    while (got == 1 && head_status(&r->reply) == 102);
    return got == 1 && head_status(&r->reply) ? 0 : -1;
}

/* Sends head and body of the request. 0; 1: an answer came instead of 100 (it is in reply);
 * 2: cut by rule; -1: the client broke; -2: the server broke. */
static int forward(struct relay *r)
{
    struct twist t = {.stop_at = UINT64_MAX, .corrupt_at = UINT64_MAX, .count = stats_up};

    if (wire_send(r->server.fd, r->request.text, r->request.len) < 0)
        return -2;
    if (head_says(&r->request, "Expect", "100-continue")) {
        if (read_reply(r) < 0)
            return -2;
        if (head_status(&r->reply) != 100)
            return 1;
        if (wire_send(r->client.fd, r->reply.text, r->reply.len) < 0)
            return -1;
    }
    if (r->deed.action == ACT_CUTUP)
        t.stop_at = r->deed.n;
    int got = wire_relay(&r->client, r->server.fd, head_request_body(&r->request), &t);
    return got == 1 ? 2 : got;
}

/* Passes the reply on that was read, with what the rule does to it. */
static enum next pass_reply(struct relay *r)
{
    struct twist t = {.stop_at = UINT64_MAX, .corrupt_at = UINT64_MAX, .count = stats_down};
    int status = head_status(&r->reply);
    struct body b = head_reply_body(&r->reply, strcmp(r->target.method, "HEAD") == 0, status);

    stats_count(&r->target, status);
    if (r->deed.action == ACT_TRUNCATE || r->deed.action == ACT_STALL)
        t.stop_at = r->deed.n;
    if (r->deed.action == ACT_CORRUPT)
        t.corrupt_at = r->deed.n;
    if (wire_send(r->client.fd, r->reply.text, r->reply.len) < 0)
        return NEXT_CLOSE;
    int got = wire_relay(&r->server, r->client.fd, b, &t);
    if (got == 1 && r->deed.action == ACT_STALL)
        wait_for_client(r, r->deed.ms);
    if (got != 0 || b.kind == BODY_TO_CLOSE || head_says(&r->reply, "Connection", "close"))
        return NEXT_CLOSE;
    return NEXT_REQUEST;
}

static enum next no_answer(struct relay *r)
{
    stats_count(&r->target, 0);
    return NEXT_RESET;
}

/* What a rule does before anything is forwarded. false: the request goes on. */
static bool before(struct relay *r, enum next *ret)
{
    struct twist t = {.stop_at = UINT64_MAX, .corrupt_at = UINT64_MAX, .count = stats_up};

    if (r->deed.action == ACT_DELAY)
        sleep_ms(r->deed.ms);
    bool is_dropped = r->deed.action == ACT_HOLD && !r->deed.after && !rules_hold(&r->target, &r->deed, r->client.fd);
    if (r->deed.action == ACT_RESET || is_dropped) {
        *ret = no_answer(r);
        return true;
    }
    if (r->deed.action != ACT_STATUS || r->deed.after)
        return false;
    if (!head_says(&r->request, "Expect", "100-continue"))
        (void)wire_relay(&r->client, -1, head_request_body(&r->request), &t);
    *ret = answer(r);
    return true;
}

/* What a rule does when the server has answered. false: the answer is passed on. */
static bool after(struct relay *r, enum next *ret)
{
    struct twist all = {.stop_at = UINT64_MAX, .corrupt_at = UINT64_MAX};
    bool to_head = strcmp(r->target.method, "HEAD") == 0;

    if (r->deed.action == ACT_HOLD && r->deed.after)
        (void)rules_hold(&r->target, &r->deed, r->client.fd);
    if (r->deed.action != ACT_LOST && !(r->deed.action == ACT_STATUS && r->deed.after))
        return false;
    struct body b = head_reply_body(&r->reply, to_head, head_status(&r->reply));
    (void)wire_relay(&r->server, -1, b, &all);
    *ret = r->deed.action == ACT_LOST ? no_answer(r) : answer(r);
    return true;
}

static enum next exchange(struct relay *r)
{
    enum next next;

    sleep_ms(atomic_load(&rtt_ms));
    if (before(r, &next))
        return next;
    if (r->server.fd < 0)
        wire_init(&r->server, relay_connect(r->port));
    if (r->server.fd < 0)
        return no_answer(r);
    int sent = forward(r);
    if (sent == 2 || sent == -1)
        return no_answer(r);
    /* A server may refuse an upload before it has read it all: then its answer is still there. */
    if (sent != 1 && read_reply(r) < 0)
        return no_answer(r);
    if (after(r, &next))
        return next;
    next = pass_reply(r);
    return sent == 0 ? next : NEXT_CLOSE;
}

static bool client_is_done(const struct relay *r)
{
    return head_says(&r->request, "Connection", "close");
}

/* An idle connection that the server has closed must not swallow the next request. */
static void drop_stale_server(struct relay *r)
{
    struct pollfd p = {.fd = r->server.fd, .events = POLLIN | POLLRDHUP};

    if (r->server.fd >= 0 && poll(&p, 1, 0) > 0) {
        close(r->server.fd);
        r->server.fd = -1;
    }
}

void relay_run(int client, int upstream_port)
{
    struct relay *r = calloc(1, sizeof(*r));
    enum next next = r ? NEXT_REQUEST : NEXT_CLOSE;

    if (!r) {
        close(client);
        return;
    }
    wire_init(&r->client, client);
    r->server.fd = -1;
    r->port = upstream_port;
    while (next == NEXT_REQUEST && wire_read_head(&r->client, &r->request) == 1) {
        if (kind_of(&r->request, &r->target) < 0) {
            next = NEXT_CLOSE;
            break;
        }
        drop_stale_server(r);
        stats_begin();
        r->deed = rules_match(&r->target);
        next = exchange(r);
        stats_end();
        if (next == NEXT_REQUEST && client_is_done(r))
            next = NEXT_CLOSE;
    }
    if (r->server.fd >= 0)
        close(r->server.fd);
    if (next == NEXT_RESET)
        wire_reset(client);
    else
        wire_close(client);
    free(r);
}
