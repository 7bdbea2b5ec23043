/* SPDX-License-Identifier: Apache-2.0 */
/* The scripted HTTP server of the unit tests: see httpd.h. */
#include "httpd_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

enum { HEAD_MAX = 256 * 1024, BODY_MAX = 256 * 1024 * 1024 };

void httpd_die(const char *what)
{
    fprintf(stderr, "httpd: %s: %s\n", what, strerror(errno));
    abort();
}

void *httpd_calloc(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (!p)
        httpd_die("calloc");
    return p;
}

/* --- bytes -------------------------------------------------------------------------------------
 */

static void *plain_open(void *ctx, int fd)
{
    (void)ctx;
    int *p = httpd_calloc(1, sizeof(*p));
    *p = fd;
    return p;
}

static long plain_read(void *conn, void *buf, size_t len)
{
    ssize_t n;
    do {
        n = recv(*(int *)conn, buf, len, 0);
    } while (n < 0 && errno == EINTR);
    return n;
}

static long plain_write(void *conn, const void *buf, size_t len)
{
    ssize_t n;
    do {
        n = send(*(int *)conn, buf, len, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n;
}

static void plain_close(void *conn)
{
    free(conn);
}

static bool send_all(struct conn *c, const char *data, size_t len)
{
    while (len > 0) {
        long n = c->h->io.write(c->io, data, len);
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* --- the script --------------------------------------------------------------------------------
 */

static void mismatch_locked(struct httpd *h, const struct httpd_req *req, const char *what,
                            const char *want)
{
    if (h->mismatch[0])
        return;
    snprintf(h->mismatch, sizeof(h->mismatch), "request %zu (%s %.200s): %s%.200s", h->n_requests,
             req->method, req->target, what, want ? want : "");
}

static bool has_header(const struct httpd_req *req, const char *line)
{
    char name[128], value[1024];
    const char *colon = strchr(line, ':');
    if (!colon || (size_t)(colon - line) >= sizeof(name))
        return false;
    memcpy(name, line, (size_t)(colon - line));
    name[colon - line] = '\0';
    const char *got = httpd_req_header(req, name, value, sizeof(value));
    return got && strcmp(got, colon + 1 + strspn(colon + 1, " ")) == 0;
}

/* The next step, checked against the head of the request; NULL when the script is at its end. */
static const struct httpd_step *step_take_locked(struct httpd *h, const struct httpd_req *req)
{
    while (h->scripts && h->scripts->at == h->scripts->n) {
        struct script *s = h->scripts;
        h->scripts = s->next;
        free(s);
    }
    if (!h->scripts)
        return NULL;
    const struct httpd_step *step = &h->scripts->steps[h->scripts->at++];
    if (step->method && strcmp(step->method, req->method) != 0)
        mismatch_locked(h, req, "expected method ", step->method);
    if (step->target && strcmp(step->target, req->target) != 0)
        mismatch_locked(h, req, "expected target ", step->target);
    if (step->header && !has_header(req, step->header))
        mismatch_locked(h, req, "expected header ", step->header);
    return step;
}

/* --- one request -------------------------------------------------------------------------------
 */

/* Reads up to the empty line; *ret_used is the length of the head, *ret_got what was read in all.
 */
static char *read_head(struct conn *c, size_t *ret_used, size_t *ret_got)
{
    size_t cap = 8192, len = 0;
    char *buf = httpd_calloc(1, cap + 1);
    for (;;) {
        char *end = strstr(buf, "\r\n\r\n");
        if (end) {
            *ret_used = (size_t)(end - buf) + 4;
            *ret_got = len;
            return buf;
        }
        if (len == cap) {
            cap *= 2;
            buf = cap <= HEAD_MAX ? realloc(buf, cap + 1) : NULL;
            if (!buf)
                httpd_die("request head");
        }
        long n = c->h->io.read(c->io, buf + len, cap - len);
        if (n <= 0) {
            free(buf);
            return NULL;
        }
        len += (size_t)n;
        buf[len] = '\0';
    }
}

static char *copy_range(const char *from, const char *to)
{
    char *s = strndup(from, (size_t)(to - from));
    if (!s)
        httpd_die("strndup");
    return s;
}

static bool parse_head(const char *head, size_t len, struct httpd_req *req)
{
    const char *sp = strchr(head, ' ');
    const char *sp2 = sp ? strchr(sp + 1, ' ') : NULL;
    const char *eol = strstr(head, "\r\n");
    if (!sp || !sp2 || sp2 > eol)
        return false;
    req->method = copy_range(head, sp);
    req->target = copy_range(sp + 1, sp2);
    req->headers = copy_range(eol + 2, head + len - 2);
    return true;
}

/* Reads the body; false if the client went away or the step cuts it. */
static bool read_body(struct conn *c, struct entry *e, const char *early, size_t n_early,
                      size_t cut)
{
    char value[32];
    const char *s = httpd_req_header(&e->req, "content-length", value, sizeof(value));
    size_t want = s ? strtoull(s, NULL, 10) : 0;
    if (want > BODY_MAX)
        httpd_die("request body");
    char *body = want || s ? httpd_calloc(1, want + 1) : NULL;
    size_t limit = cut && cut < want ? cut : want, len = n_early < limit ? n_early : limit;
    if (body)
        memcpy(body, early, len);
    while (len < limit) {
        long n = c->h->io.read(c->io, body + len, limit - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    pthread_mutex_lock(&c->h->lock);
    e->req.body = body;
    e->req.body_len = len;
    e->whole = len == want;
    c->h->n_whole += e->whole;
    pthread_cond_broadcast(&c->h->changed);
    pthread_mutex_unlock(&c->h->lock);
    return len == want && !cut;
}

static const char *reason(int status)
{
    return status < 300 ? "OK" : status < 400 ? "Elsewhere" : "Error";
}

static void wait_release(struct httpd *h)
{
    pthread_mutex_lock(&h->lock);
    while (!h->released && !h->stopping)
        pthread_cond_wait(&h->changed, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

static char *reply_bytes(const struct httpd_req *req, const struct httpd_reply *rep,
                         size_t *ret_len)
{
    size_t body_len = rep->body_len ? rep->body_len : rep->body ? strlen(rep->body) : 0;
    if (rep->raw) {
        char *all = httpd_calloc(1, body_len + 1);
        memcpy(all, rep->body, body_len);
        *ret_len = body_len;
        return all;
    }
    const char *more = rep->headers ? rep->headers : "";
    int status = rep->status ? rep->status : 200;
    char length[64] = "";
    if (!strcasestr(more, "content-length:") && status != 204 && status != 304)
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", body_len);
    size_t cap = strlen(more) + body_len + 256;
    char *all = httpd_calloc(1, cap);
    int head =
        snprintf(all, cap, "HTTP/1.1 %d %s\r\n%s%s\r\n", status, reason(status), length, more);
    size_t len = (size_t)head;
    if (body_len && strcmp(req->method, "HEAD") != 0) {
        memcpy(all + len, rep->body, body_len);
        len += body_len;
    }
    *ret_len = len;
    return all;
}

/* false: close the connection. */
static bool send_reply(struct conn *c, const struct httpd_req *req, const struct httpd_reply *rep)
{
    if (rep->hang)
        wait_release(c->h);
    if (rep->delay_ms > 0) {
        struct timespec ts = {rep->delay_ms / 1000, (rep->delay_ms % 1000) * 1000000L};
        nanosleep(&ts, NULL);
    }
    if (rep->drop)
        return false;
    size_t len;
    char *all = reply_bytes(req, rep, &len);
    size_t first = len;
    bool go_on = !rep->close;
    if (rep->cut_at && rep->cut_at < len) {
        len = first = rep->cut_at;
        go_on = false;
    }
    if (rep->stall_at && rep->stall_at < len)
        first = rep->stall_at;
    go_on = send_all(c, all, first) && go_on;
    if (first < len) {
        wait_release(c->h);
        go_on = send_all(c, all + first, len - first) && go_on;
    }
    free(all);
    return go_on;
}

static struct entry *entry_add_locked(struct httpd *h, struct entry *e)
{
    if (h->last)
        h->last->next = e;
    else
        h->first = e;
    h->last = e;
    h->n_requests++;
    return e;
}

static void check_body(struct httpd *h, const struct httpd_step *step, const struct httpd_req *req)
{
    if (!step->body || (req->body && strcmp(step->body, req->body) == 0))
        return;
    pthread_mutex_lock(&h->lock);
    mismatch_locked(h, req, "expected body ", step->body);
    pthread_mutex_unlock(&h->lock);
}

static bool serve_one(struct conn *c)
{
    struct httpd *h = c->h;
    size_t used, got;
    char *head = read_head(c, &used, &got);
    if (!head)
        return false;
    struct entry *e = httpd_calloc(1, sizeof(*e));
    e->req.connection = c->number;
    if (!parse_head(head, used, &e->req))
        httpd_die("request line");
    pthread_mutex_lock(&h->lock);
    entry_add_locked(h, e);
    const struct httpd_step *step = step_take_locked(h, &e->req);
    httpd_handler handler = h->handler;
    void *ctx = h->handler_ctx;
    if (!step && !handler)
        mismatch_locked(h, &e->req, "not expected", NULL);
    pthread_mutex_unlock(&h->lock);
    bool go_on = read_body(c, e, head + used, got - used, step ? step->reply.cut_request_at : 0);
    free(head);
    if (!go_on)
        return false;
    struct httpd_reply rep = {.status = 599};
    if (step) {
        check_body(h, step, &e->req);
        rep = step->reply;
    } else if (handler) {
        rep.status = 0;
        handler(ctx, &e->req, &rep);
    }
    go_on = send_reply(c, &e->req, &rep);
    if (rep.free_body)
        free((void *)(uintptr_t)rep.body);
    return go_on;
}

/* --- threads -----------------------------------------------------------------------------------
 */

static void *conn_main(void *arg)
{
    struct conn *c = arg;
    c->io = c->h->io.open(c->h->io.ctx, c->fd);
    if (c->io) {
        while (serve_one(c))
            ;
        c->h->io.close(c->io);
    }
    pthread_mutex_lock(&c->h->lock);
    close(c->fd); /* with bytes unread: the client gets a reset */
    c->fd = -1;
    pthread_mutex_unlock(&c->h->lock);
    return NULL;
}

static void *accept_main(void *arg)
{
    struct httpd *h = arg;
    for (;;) {
        int fd = accept(h->fd, NULL, NULL);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0)
            return NULL;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        struct conn *c = httpd_calloc(1, sizeof(*c));
        c->h = h;
        c->fd = fd;
        pthread_mutex_lock(&h->lock);
        if (h->stopping) {
            pthread_mutex_unlock(&h->lock);
            close(fd);
            free(c);
            return NULL;
        }
        c->number = ++h->n_conns;
        c->next = h->conns;
        h->conns = c;
        if (pthread_create(&c->thread, NULL, conn_main, c) != 0)
            httpd_die("pthread_create");
        pthread_mutex_unlock(&h->lock);
    }
}

struct httpd *httpd_start_io(const struct httpd_io *io)
{
    struct httpd *h = httpd_calloc(1, sizeof(*h));
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t len = sizeof(sa);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    h->io = *io;
    h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (h->fd < 0 || bind(h->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
        listen(h->fd, 512) != 0 || getsockname(h->fd, (struct sockaddr *)&sa, &len) != 0)
        httpd_die("listen");
    h->port = ntohs(sa.sin_port);
    snprintf(h->url, sizeof(h->url), "%s://127.0.0.1:%u", io->ctx ? "https" : "http", h->port);
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
    if (pthread_create(&h->thread, NULL, accept_main, h) != 0)
        httpd_die("pthread_create");
    return h;
}

struct httpd *httpd_start(void)
{
    static const struct httpd_io plain = {plain_open, plain_read, plain_write, plain_close, NULL};
    return httpd_start_io(&plain);
}

static void free_all(struct httpd *h)
{
    while (h->first) {
        struct entry *e = h->first;
        h->first = e->next;
        free(e->req.method);
        free(e->req.target);
        free(e->req.headers);
        free(e->req.body);
        free(e);
    }
    while (h->scripts) {
        struct script *s = h->scripts;
        h->scripts = s->next;
        free(s);
    }
}

void httpd_stop(struct httpd *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    for (struct conn *c = h->conns; c; c = c->next)
        if (c->fd >= 0)
            shutdown(c->fd, SHUT_RDWR);
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    shutdown(h->fd, SHUT_RDWR); /* wakes accept() */
    pthread_join(h->thread, NULL);
    while (h->conns) {
        struct conn *c = h->conns;
        h->conns = c->next;
        pthread_join(c->thread, NULL);
        free(c);
    }
    close(h->fd);
    free_all(h);
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    free(h);
}
