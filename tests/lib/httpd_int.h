/* SPDX-License-Identifier: Apache-2.0 */
/* What httpd's files share. */
#ifndef S3EFS_TESTS_HTTPD_INT_H
#define S3EFS_TESTS_HTTPD_INT_H

#include <pthread.h>

#include "httpd.h"

struct conn {
    struct httpd *h;
    struct conn *next;
    pthread_t thread;
    int fd;
    void *io;
    unsigned number;
};

struct entry {
    struct httpd_req req;
    bool whole;
    struct entry *next;
};

struct script {
    const struct httpd_step *steps;
    size_t n, at;
    struct script *next;
};

struct httpd {
    int fd;
    unsigned port;
    char url[64];
    struct httpd_io io;
    pthread_t thread;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    bool stopping, released;
    struct conn *conns;
    unsigned n_conns;
    struct entry *first, *last;
    size_t n_requests, n_whole;
    struct script *scripts;
    httpd_handler handler;
    void *handler_ctx;
    char mismatch[512];
};

void httpd_die(const char *what);
void *httpd_calloc(size_t n, size_t size); /* never NULL */

#endif
