/* SPDX-License-Identifier: Apache-2.0 */
/* s3efs status and s3efs drain: questions to a running mount. */
#include "cmd.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "base/err.h"
#include "control/control.h"
#include "daemon.h"
#include "mountpoint.h"

#define STATUS_TIMEOUT_MS 30000

static int ask(const char *dir, const char *line, int64_t timeout_ms)
{
    _cleanup_free_ char *mountpoint = NULL, *text = NULL;
    char path[256];
    int r = mountpoint_canonical(dir, &mountpoint);

    if (r == 0)
        r = control_path(mountpoint, path, sizeof(path));
    if (r == 0)
        r = control_ask(path, line, timeout_ms, &text);
    if (r == -ENOENT || r == -ECONNREFUSED) {
        fprintf(stderr, "s3efs: %s: %s\n", dir,
                mountpoint_is_ours(mountpoint) ? "mounted, but its daemon does not answer (or is another user's)"
                                               : "no s3efs is mounted there");
        return EXIT_USAGE;
    }
    if (r < 0) {
        fprintf(stderr, "s3efs: %s: %s\n", dir, err_text());
        return EXIT_MOUNT;
    }
    fputs(text, stdout);
    return fflush(stdout) == 0 ? 0 : EXIT_SYSTEM;
}

int cmd_status(int argc, char **argv)
{
    const char *dir = NULL;
    bool json = false, bad = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (argv[i][0] == '-' || dir != NULL)
            bad = true;
        else
            dir = argv[i];
    }
    if (dir == NULL || bad) {
        fprintf(stderr, "Usage: s3efs status DIR [--json]\n");
        return EXIT_USAGE;
    }
    return ask(dir, json ? "status json" : "status", STATUS_TIMEOUT_MS);
}

int cmd_drain(int argc, char **argv)
{
    if (argc != 2 || argv[1][0] == '-') {
        fprintf(stderr, "Usage: s3efs drain DIR\n");
        return EXIT_USAGE;
    }
    return ask(argv[1], "drain", 0);
}
