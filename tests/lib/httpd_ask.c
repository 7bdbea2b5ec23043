/* SPDX-License-Identifier: Apache-2.0 */
/* What a test tells the scripted HTTP server, and what it asks. */
#include "httpd_int.h"

#include <string.h>
#include <strings.h>

unsigned httpd_port(const struct httpd *h)
{
    return h->port;
}

const char *httpd_url(const struct httpd *h)
{
    return h->url;
}

void httpd_script(struct httpd *h, const struct httpd_step *steps, size_t n)
{
    struct script *s = httpd_calloc(1, sizeof(*s));
    *s = (struct script){.steps = steps, .n = n};
    pthread_mutex_lock(&h->lock);
    struct script **at = &h->scripts;
    while (*at)
        at = &(*at)->next;
    *at = s;
    pthread_mutex_unlock(&h->lock);
}

void httpd_handle(struct httpd *h, httpd_handler fn, void *ctx)
{
    pthread_mutex_lock(&h->lock);
    h->handler = fn;
    h->handler_ctx = ctx;
    pthread_mutex_unlock(&h->lock);
}

void httpd_release(struct httpd *h)
{
    pthread_mutex_lock(&h->lock);
    h->released = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

unsigned httpd_connections(struct httpd *h)
{
    pthread_mutex_lock(&h->lock);
    unsigned n = h->n_conns;
    pthread_mutex_unlock(&h->lock);
    return n;
}

size_t httpd_requests(struct httpd *h)
{
    pthread_mutex_lock(&h->lock);
    size_t n = h->n_requests;
    pthread_mutex_unlock(&h->lock);
    return n;
}

size_t httpd_steps_left(struct httpd *h)
{
    size_t n = 0;
    pthread_mutex_lock(&h->lock);
    for (struct script *s = h->scripts; s; s = s->next)
        n += s->n - s->at;
    pthread_mutex_unlock(&h->lock);
    return n;
}

void httpd_wait_requests(struct httpd *h, size_t n)
{
    pthread_mutex_lock(&h->lock);
    while (h->n_whole < n)
        pthread_cond_wait(&h->changed, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

const struct httpd_req *httpd_request(struct httpd *h, size_t i)
{
    pthread_mutex_lock(&h->lock);
    struct entry *e = h->first;
    while (e && i-- > 0)
        e = e->next;
    pthread_mutex_unlock(&h->lock);
    return e ? &e->req : NULL;
}

const char *httpd_req_header(const struct httpd_req *req, const char *name, char *buf, size_t size)
{
    size_t n = strlen(name);
    for (const char *line = req->headers; line && *line; line = strstr(line, "\r\n") + 2) {
        if (strncasecmp(line, name, n) != 0 || line[n] != ':')
            continue;
        const char *v = line + n + 1 + strspn(line + n + 1, " \t");
        size_t len = strcspn(v, "\r");
        if (len >= size)
            len = size - 1;
        memcpy(buf, v, len);
        buf[len] = '\0';
        return buf;
    }
    return NULL;
}

const char *httpd_mismatch(struct httpd *h)
{
    pthread_mutex_lock(&h->lock);
    const char *text = h->mismatch[0] ? h->mismatch : NULL;
    pthread_mutex_unlock(&h->lock);
    return text;
}
