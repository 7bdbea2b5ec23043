/* SPDX-License-Identifier: Apache-2.0 */
/* A scripted HTTP/1.1 server on 127.0.0.1 for unit tests. A script is a list of steps: the request
 * that is expected and the reply to it. Requests past the script go to the handler, if there is
 * one. Every request is kept and can be looked at afterwards. What was not expected is answered
 * with 599 and told by httpd_mismatch(); a test ends with assert_null(httpd_mismatch(h)). Steps are
 * taken in the order in which request heads arrive: parallel clients want the handler. Threads: one
 * accepts, one serves each connection; the functions below may be called from any thread. Set-up
 * failures end the program with a message: this is test code. */
#ifndef S3EFS_TESTS_LIB_HTTPD_H
#define S3EFS_TESTS_LIB_HTTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct httpd;

struct httpd_req {
    char *method, *target;
    char *headers; /* "name: value\r\n..." as it came */
    char *body;    /* NUL-terminated; NULL if there was none */
    size_t body_len;
    unsigned connection; /* 1.. in the order of acceptance */
};

struct httpd_reply {
    int status;          /* 0 = 200 */
    const char *headers; /* more lines, each with its "\r\n"; Content-Length is added unless here */
    const void *body;
    size_t body_len; /* 0 with a body: its strlen() */
    bool free_body;  /* free(body) once sent */
    bool raw;        /* body is the whole reply, head and all */
    int delay_ms;    /* before the reply */
    size_t cut_at;   /* close after so many bytes of the reply (head and body); 0: never */
    size_t stall_at; /* send nothing after so many bytes, until httpd_release() or httpd_stop() */
    size_t
        cut_request_at; /* steps only: close after so many bytes of the request's body, no reply */
    bool drop;          /* close without a reply */
    bool hang;          /* no reply until httpd_release() or httpd_stop(); then as told above */
    bool close;         /* close after the reply, with no word of it in the reply */
};

struct httpd_step {
    const char *method, *target; /* NULL: any */
    const char *header;          /* a line that must be there, "name: value"; NULL: none asked */
    const char *body;            /* NULL: any */
    struct httpd_reply reply;
};

/* Called on the connection's thread, several at once. Fills *reply (zeroed). */
typedef void (*httpd_handler)(void *ctx, const struct httpd_req *req, struct httpd_reply *reply);

struct httpd *httpd_start(void);
/* Closes everything and joins. What httpd_request() gave is freed. */
void httpd_stop(struct httpd *h);
unsigned httpd_port(const struct httpd *h);
const char *httpd_url(const struct httpd *h); /* "http://127.0.0.1:PORT" */

/* The steps (not copied) come after those that are left of an earlier script. */
void httpd_script(struct httpd *h, const struct httpd_step *steps, size_t n);
void httpd_handle(struct httpd *h, httpd_handler fn, void *ctx);
/* Lets go of all that hang or stall now, and of later ones. */
void httpd_release(struct httpd *h);

unsigned httpd_connections(struct httpd *h); /* accepted so far */
size_t httpd_requests(struct httpd *h);      /* heads that came whole so far */
size_t httpd_steps_left(struct httpd *h);
/* Waits until so many requests' bodies have come whole. */
void httpd_wait_requests(struct httpd *h, size_t n);
/* The i-th request, in the order of the heads; stays until httpd_stop(). */
const struct httpd_req *httpd_request(struct httpd *h, size_t i);
/* The value of a header in buf (cut to fit), or NULL. */
const char *httpd_req_header(const struct httpd_req *req, const char *name, char *buf, size_t size);
/* What first went otherwise than the script says, or NULL. */
const char *httpd_mismatch(struct httpd *h);

/* For httpd_tls.c: how bytes move. */
struct httpd_io {
    void *(*open)(void *ctx, int fd); /* NULL: refused (a failed handshake) */
    long (*read)(void *conn, void *buf, size_t len);
    long (*write)(void *conn, const void *buf, size_t len);
    void (*close)(void *conn); /* not the descriptor */
    void *ctx;
};
struct httpd *httpd_start_io(const struct httpd_io *io);

/* With TLS and a certificate of its own for 127.0.0.1 and localhost, made afresh and written to
 * pem_path. Link with -lssl. Stop it with httpd_stop_tls(). url: https. */
struct httpd *httpd_start_tls(const char *pem_path);
void httpd_stop_tls(struct httpd *h);

#endif
