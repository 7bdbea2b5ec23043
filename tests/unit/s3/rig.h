/* SPDX-License-Identifier: Apache-2.0 */
/* An S3 store on a scripted server, with credentials that the test hands out. */
#ifndef S3EFS_TESTS_UNIT_S3_RIG_H
#define S3EFS_TESTS_UNIT_S3_RIG_H

#include "check.h"

#include <pthread.h>
#include "../../lib/httpd.h"
#include "base/err.h"
#include "http/http.h"
#include "s3/s3.h"
#include "store/meter.h"

/* Stands in for aws/cred.h: the token is "old" until a forced refresh gives `fresh`. */
struct rig_cred {
    pthread_mutex_t mutex;
    const char *token; /* NULL: none */
    const char *fresh; /* NULL: a refresh changes nothing */
    unsigned forced;
    int not_blocking; /* what the next call that must not block returns */
    int blocking;     /* what the next call that may block returns */
    int failing;      /* not 0: what all calls that may block return */
    unsigned failed;  /* and how many did */
    pthread_t blocked_on;
};

struct rig {
    struct httpd *server;
    struct http *http;
    struct rig_cred cred;
    struct meter *meter;
    struct s3_conf conf;
    struct store *store;
};

/* Fills conf for the server; the test may change it before rig_start(). */
void rig_init(struct rig *r);
void rig_init_tls(struct rig *r, const char *pem_path);
void rig_start(struct rig *r);
void rig_done(struct rig *r);
/* Checks that the server saw what it was told to expect, too. */
#define RIG(name) __attribute__((cleanup(rig_done))) struct rig name = {0}

void rig_script(struct rig *r, const struct httpd_step *steps, size_t n);
#define RIG_SCRIPT(r, ...)                                                                         \
    do {                                                                                           \
        static const struct httpd_step steps_[] = {__VA_ARGS__};                                   \
        rig_script((r), steps_, sizeof(steps_) / sizeof(steps_[0]));                               \
    } while (0)

#define ERROR_BODY(code)                                                                           \
    "<?xml version=\"1.0\"?><Error><Code>" code "</Code><Message>m</Message></Error>"

#endif
