/* SPDX-License-Identifier: Apache-2.0 */
/* The store's conformance test on a real S3 server.
 *
 * Environment: S3EFS_TEST_ENDPOINT, S3EFS_TEST_BUCKET (made before), AWS_ACCESS_KEY_ID,
 * AWS_SECRET_ACCESS_KEY; S3EFS_TEST_SERVER says whose faults are known (versitygw, ceph, minio;
 * none: AWS itself), S3EFS_TEST_VERBOSE shows each attempt. Exit: 0, 1 if a row failed, 77 if there
 * is no server to test. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "s3/s3.h"
#include "store/probe.h"
#include "../lib/conformance.h"

struct server {
    const char *name;
    bool etag_unquoted;
    const char *differs[24], *unsure[8], *skips[8];
};

/* Rows that the server fails by its own fault.
 * versitygw 1.8: keys are paths of its own file system; copies know no condition on what they
 * write; a body may be newer than the ETag that comes with it.
 * Ceph: from 16.2 to 18.2 the copy learned the condition on its source. Tags come by PUT only. */
static const struct server servers[] = {
    {.name = "aws"},
    {.name = "versitygw",
     .differs = {"key-control", "key-file-and-dir", "key-dir-object", "key-slashes", "key-dots",
                 "key-reserved", "key-long-component", "copy-dst-if-absent", "copy-dst-if-match",
                 "list-order", "list-prefix", "list-start-after", "list-delimiter",
                 "delete-many-if-match"},
     .unsure = {"race-no-mixture"}},
    {.name = "ceph",
     .etag_unquoted = true,
     .differs = {"put-if-match-missing", "delete-if-match", "delete-many-if-match", "copy-dst-if-absent",
                 "copy-dst-if-match", "mpu-part-copy", "mpu-part-copy-if-match",
                 "mpu-complete-if-absent", "mpu-complete-if-match", "tags-mpu", "tags-copy"},
     .unsure = {"copy-src-if-match"}},
    {.name = "minio"},
};

static const struct server *find_server(void)
{
    const char *name = getenv("S3EFS_TEST_SERVER");

    if (name == NULL || name[0] == '\0')
        return &servers[0];
    for (size_t i = 0; i < ARRAY_LEN(servers); i++)
        if (strcmp(servers[i].name, name) == 0)
            return &servers[i];
    fprintf(stderr, "S3EFS_TEST_SERVER=%s is not known\n", name);
    exit(1);
}

static size_t count(const char *const *v, size_t max)
{
    size_t n = 0;

    while (n < max && v[n] != NULL)
        n++;
    return n;
}

struct parts {
    struct http *http;
    struct cred *cred;
    struct meter *meter;
    struct store *store;
};

static void parts_done(struct parts *p)
{
    if (p->store != NULL) {
        store_stop(p->store);
        store_free(p->store);
    }
    cred_free(p->cred);
    if (p->http != NULL) {
        http_stop(p->http);
        http_free(p->http);
    }
    meter_free(p->meter);
}

static int start(const struct server *server, struct parts *p)
{
    struct endpoint_conf where = {.bucket = getenv("S3EFS_TEST_BUCKET"),
                                  .region = getenv("AWS_REGION"),
                                  .url = getenv("S3EFS_TEST_ENDPOINT"),
                                  .path_style = true};
    struct s3_conf conf = {
        .bucket = where.bucket, .etag_unquoted = server->etag_unquoted, .soft_timeout_ms = 120000};
    int r = endpoint_resolve(&where, &conf.endpoint);

    p->meter = meter_new();
    if (r == 0)
        r = http_new(&(struct http_conf){.ca_bundle = getenv("AWS_CA_BUNDLE")}, &p->http);
    if (r == 0)
        r = http_start(p->http);
    if (r == 0)
        r = cred_new(&(struct cred_conf){.region = where.region}, p->http, &p->cred);
    return r == 0 ? s3_new(&conf, p->http, p->cred, p->meter, &p->store) : r;
}

static void show_meter(const struct meter *m)
{
    struct meter_snapshot snap;

    meter_read(m, &snap);
    printf("requests:");
    for (size_t k = 0; k < METER_KINDS; k++)
        printf(" %s=%" PRIu64, meter_kind_name((enum meter_kind)k), snap.requests[k]);
    printf("\nbytes: up=%" PRIu64 " down=%" PRIu64 "\n", snap.bytes_up, snap.bytes_down);
}

int main(void)
{
    _cleanup_(parts_done) struct parts p = {0};
    const struct server *server = find_server();
    struct conformance_conf conf = {
        .differs = server->differs,
        .n_differs = count(server->differs, ARRAY_LEN(server->differs)),
        .unsure = server->unsure,
        .n_unsure = count(server->unsure, ARRAY_LEN(server->unsure)),
        .skips = server->skips,
        .n_skips = count(server->skips, ARRAY_LEN(server->skips)),
    };
    char prefix[64];
    int failed;

    if (getenv("S3EFS_TEST_ENDPOINT") == NULL || getenv("S3EFS_TEST_BUCKET") == NULL) {
        printf(
            "SKIP: no S3 server: set S3EFS_TEST_ENDPOINT, S3EFS_TEST_BUCKET and AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY\n");
        return 77;
    }
    if (getenv("S3EFS_TEST_VERBOSE") != NULL)
        log_open(LOG_TO_STDERR, LOG_LV_DEBUG);
    if (start(server, &p) != 0) {
        fprintf(stderr, "s3_conformance: %s\n", err_text());
        return 1;
    }
    snprintf(prefix, sizeof(prefix), "conformance-%" PRId64 "/", clock_wall_ns());
    failed = conformance_run(p.store, prefix, &conf, stdout);
    show_meter(p.meter);
    printf("%s: %d rows failed\n", server->name, failed);
    return failed == 0 ? 0 : 1;
}
