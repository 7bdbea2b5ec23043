/* SPDX-License-Identifier: Apache-2.0 */
/* s3proxy: stands between the daemon and an S3 server on 127.0.0.1, counts the requests by kind and
 * status, and makes faults by rule. Requests pass unchanged, the Host header too, for it is signed.
 *
 *   s3proxy SERVER_PORT      prints "listen PORT control PORT", then serves until it is killed
 *
 * Control port: GET /stats  GET /log  GET /rules  GET /held  POST /reset (counts)  POST /clear (rules)
 *               POST /rule?op=PUT&key=REGEX&nth=1&count=1&action=status&status=503&code=SlowDown
 *                    (more: after=1, n=BYTES, ms=, retry_after=, region=; see rules.h)
 *               POST /release (held requests)  POST /rtt?ms=15
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "relay.h"
#include "rules.h"
#include "stats.h"

static int server_port;

static int listen_on_free_port(int *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1024) < 0
        || getsockname(fd, (struct sockaddr *)&a, &len) < 0) {
        perror("s3proxy: listen");
        exit(1);
    }
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static void *serve_client(void *arg)
{
    relay_run((int)(intptr_t)arg, server_port);
    return NULL;
}

static const char *command(const char *method, const char *path, const char *query, FILE *out)
{
    char v[32];
    bool post = strcmp(method, "POST") == 0;

    if (!post && strcmp(path, "/stats") == 0)
        stats_print(out);
    else if (!post && strcmp(path, "/log") == 0)
        stats_print_log(out);
    else if (!post && strcmp(path, "/rules") == 0)
        rules_print(out);
    else if (!post && strcmp(path, "/held") == 0)
        fprintf(out, "%u\n", rules_held());
    else if (post && strcmp(path, "/reset") == 0)
        stats_reset();
    else if (post && strcmp(path, "/clear") == 0)
        rules_clear();
    else if (post && strcmp(path, "/release") == 0)
        rules_release();
    else if (post && strcmp(path, "/rule") == 0)
        return rules_add(query);
    else if (post && strcmp(path, "/rtt") == 0 && query_get(query, "ms", v, sizeof(v)))
        relay_set_rtt((unsigned)strtoul(v, NULL, 10));
    else
        return "no such command";
    return NULL;
}

static void control(int fd)
{
    static struct wire w; /* one control connection at a time */
    static struct head h;
    char method[16], path[8192], line[256], *body = NULL;
    size_t size = 0;

    wire_init(&w, fd);
    if (wire_read_head(&w, &h) != 1 || sscanf(h.text, "%15s %8191s", method, path) != 2)
        return;
    char *query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    FILE *out = open_memstream(&body, &size);
    if (!out)
        return;
    const char *wrong = command(method, path, query ? query : "", out);
    if (wrong)
        fprintf(out, "%s\n", wrong);
    if (fclose(out) == 0) {
        int n = snprintf(line, sizeof(line), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n"
                         "Connection: close\r\n\r\n", wrong ? "400 Bad Request" : "200 OK", size);
        if (wire_send(fd, line, (size_t)n) == 0)
            (void)wire_send(fd, body, size);
    }
    free(body);
}

static void *serve_control(void *arg)
{
    int listener = (int)(intptr_t)arg;

    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0)
            continue;
        control(fd);
        wire_close(fd);
    }
    return NULL;
}

static void start(void *(*run)(void *), int fd)
{
    pthread_attr_t attr;
    pthread_t id;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    if (pthread_create(&id, &attr, run, (void *)(intptr_t)fd) != 0)
        close(fd);
    pthread_attr_destroy(&attr);
}

int main(int argc, char **argv)
{
    int port, control_port, on = 1;

    if (argc != 2 || (server_port = (int)strtoul(argv[1], NULL, 10)) <= 0 || server_port > 65535) {
        fprintf(stderr, "usage: s3proxy SERVER_PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int listener = listen_on_free_port(&port);
    start(serve_control, listen_on_free_port(&control_port));
    printf("listen %d control %d\n", port, control_port);
    fflush(stdout);
    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0)
            continue;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        stats_connection();
        start(serve_client, fd);
    }
}
