/* SPDX-License-Identifier: Apache-2.0 */
/* s3efs upgrade: this program becomes the daemon of a living mount. */
#include "cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/macros.h"
#include "control/control.h"
#include "daemon.h"
#include "json.h"
#include "mountpoint.h"
#include "vfs/vfs.h"

#define ASK_TIMEOUT_MS 10000
#define WAIT_NS (180 * NS_PER_S)
#define LOOK_NS (20 * NS_PER_MS)

static int complain(const char *dir)
{
    fprintf(stderr, "s3efs: %s: %s\n", dir, err_text());
    return EXIT_MOUNT;
}

static int own_program(char ret[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);

    if (n < 0)
        return err_set(-errno, "/proc/self/exe: %s", strerror(errno));
    ret[n] = '\0';
    return 0;
}

/* The old daemon answers nothing when all is well: it ends. */
static int hand_over(const char *path, const char *token)
{
    _cleanup_free_ char *text = NULL;
    char program[PATH_MAX], line[CONTROL_LINE_MAX];
    int r = own_program(program);

    if (r < 0)
        return r;
    if ((size_t)snprintf(line, sizeof(line), "upgrade %d %s %s", VFS_KEEP_FORMAT, token, program) >=
        sizeof(line))
        return err_set(-ENAMETOOLONG, "the path of this program is too long");
    r = control_ask(path, line, 0, &text);
    return r == -ECONNRESET ? 0 : r < 0 ? r : err_set(-EIO, "its daemon did not end");
}

/* The next one answers with the token that it was started with. */
static int wait_next(const char *path, const char *token)
{
    int64_t until_ns = clock_boot_ns() + WAIT_NS;

    while (clock_boot_ns() < until_ns) {
        _cleanup_free_ char *text = NULL;
        int r = control_ask(path, "upgraded", ASK_TIMEOUT_MS, &text);

        if (r == 0 && strncmp(text, token, strlen(token)) == 0)
            return 0;
        if (r == 0 && text[strspn(text, "\n")] != '\0')
            return err_set(-EBUSY, "another upgrade came first");
        if (r == 0)
            return err_set(-EIO, "this program could not take the mount over, and the old one goes "
                                 "on: its log says why");
        if (r == -EREMOTEIO)
            return r;
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    return err_set(-ETIMEDOUT, "no daemon has taken the mount over yet: the log says why");
}

static int tell(const char *dir, const char *path, bool json)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *o = NULL, *out = NULL;
    const char *version;
    json_int_t pid;

    if (control_ask(path, "status json", ASK_TIMEOUT_MS, &text) < 0)
        return complain(dir);
    o = json_loads(text, 0, NULL);
    version = json_string_value(json_object_get(o, "version"));
    pid = json_integer_value(json_object_get(o, "pid"));
    if (!json) {
        printf("s3efs %s serves %s now (pid %" JSON_INTEGER_FORMAT ")\n",
               version != NULL ? version : "?", dir, pid);
        return fflush(stdout) == 0 ? 0 : EXIT_SYSTEM;
    }
    out = json_pack("{s:b, s:s, s:I}", "upgraded", 1, "version", version != NULL ? version : "?",
                    "pid", pid);
    if (out == NULL || json_dumpf(out, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF ||
        fflush(stdout) != 0)
        return EXIT_SYSTEM;
    return 0;
}

int cmd_upgrade(int argc, char **argv)
{
    _cleanup_free_ char *mountpoint = NULL, *text = NULL;
    bool json = argc == 3 && strcmp(argv[2], "--json") == 0;
    char path[256], token[32];
    int code, r;

    if ((argc != 2 && !json) || argv[1][0] == '-') {
        fprintf(stderr, "Usage: s3efs upgrade DIR [--json]\n");
        return argc == 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)
                   ? 0
                   : EXIT_USAGE;
    }
    code = cmd_ask(argv[1], "upgraded", ASK_TIMEOUT_MS, &text); /* is there one? */
    if (code != 0)
        return code;
    snprintf(token, sizeof(token), "%x%016" PRIx64, (unsigned)getpid(), (uint64_t)clock_boot_ns());
    r = mountpoint_canonical(argv[1], &mountpoint);
    if (r == 0)
        r = control_path(mountpoint, path, sizeof(path));
    if (r == 0)
        r = hand_over(path, token);
    if (r == 0)
        r = wait_next(path, token);
    return r < 0 ? complain(argv[1]) : tell(argv[1], path, json);
}
