/* SPDX-License-Identifier: Apache-2.0 */
/* s3efs drain: waits until the bucket has everything, and on a terminal shows how much is left. */
#include "cmd.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/lock.h"
#include "base/macros.h"
#include "control/control.h"
#include "daemon.h"
#include "json.h"
#include "mountpoint.h"

#define PROGRESS_MS 1000
#define STATUS_TIMEOUT_MS 30000

struct progress {
    char path[256]; /* of the control socket */
    struct lock lock;
    struct cond changed;
    bool is_over;
    bool has_shown;
};

static void show(struct progress *p)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *o = NULL;

    if (control_ask(p->path, "status json", STATUS_TIMEOUT_MS, &text) < 0)
        return;
    o = json_loads(text, 0, NULL);
    if (o == NULL)
        return;
    fprintf(stderr, "\r%" JSON_INTEGER_FORMAT " files, %" JSON_INTEGER_FORMAT " bytes to send\033[K",
            json_integer_value(json_object_get(o, "dirty_files")),
            json_integer_value(json_object_get(o, "dirty_bytes")));
    p->has_shown = true;
}

static void *progress_main(void *arg)
{
    struct progress *p = arg;

    lock_take(&p->lock);
    while (!p->is_over) {
        if (cond_wait_ms(&p->changed, &p->lock, PROGRESS_MS) == 0)
            continue;
        lock_drop(&p->lock);
        show(p);
        lock_take(&p->lock);
    }
    lock_drop(&p->lock);
    return NULL;
}

static bool progress_begin(struct progress *p, const char *dir, pthread_t *ret)
{
    _cleanup_free_ char *mountpoint = NULL;

    *p = (struct progress){0};
    if (!isatty(STDERR_FILENO) || mountpoint_canonical(dir, &mountpoint) < 0 ||
        control_path(mountpoint, p->path, sizeof(p->path)) < 0)
        return false;
    lock_init(&p->lock, LOCK_LEAF);
    cond_init(&p->changed);
    return pthread_create(ret, NULL, progress_main, p) == 0;
}

static void progress_end(struct progress *p, pthread_t thread)
{
    lock_take(&p->lock);
    p->is_over = true;
    cond_signal(&p->changed);
    lock_drop(&p->lock);
    pthread_join(thread, NULL);
    if (p->has_shown)
        fprintf(stderr, "\r\033[K");
}

static void name_unsent(const char *dir, const json_t *o)
{
    const json_t *keys = json_object_get(o, "keys");
    const char *error = json_string_value(json_object_get(o, "error"));

    fprintf(stderr, "s3efs: %s: not everything could be sent: %s\n", dir, error != NULL ? error : "?");
    fprintf(stderr, "unsent: %" JSON_INTEGER_FORMAT " files, %" JSON_INTEGER_FORMAT " bytes\n",
            json_integer_value(json_object_get(o, "dirty_files")),
            json_integer_value(json_object_get(o, "dirty_bytes")));
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const char *key = json_string_value(json_object_get(json_array_get(keys, i), "key"));

        fprintf(stderr, "  %s\n", key != NULL ? key : "?");
    }
}

int cmd_drain(int argc, char **argv)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *o = NULL;
    bool json = argc == 3 && strcmp(argv[2], "--json") == 0, shows;
    struct progress p;
    pthread_t thread;
    int code;

    if ((argc != 2 && !json) || argv[1][0] == '-') {
        fprintf(stderr, "Usage: s3efs drain DIR [--json]\n");
        return EXIT_USAGE;
    }
    shows = progress_begin(&p, argv[1], &thread);
    code = cmd_ask(argv[1], "drain json", 0, &text);
    if (shows)
        progress_end(&p, thread);
    if (code != 0)
        return code;
    o = json_loads(text, 0, NULL);
    if (json)
        fputs(text, stdout);
    if (o != NULL && json_is_true(json_object_get(o, "sent")))
        return fflush(stdout) == 0 ? 0 : EXIT_SYSTEM;
    if (!json)
        name_unsent(argv[1], o);
    (void)fflush(stdout);
    return EXIT_MOUNT;
}
