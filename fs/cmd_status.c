/* SPDX-License-Identifier: Apache-2.0 */
/* s3efs status: a question to a running mount. */
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

int cmd_ask(const char *dir, const char *line, int64_t timeout_ms, char **ret_text)
{
    _cleanup_free_ char *mountpoint = NULL;
    char path[256];
    int r = mountpoint_canonical(dir, &mountpoint);

    if (r == 0)
        r = control_path(mountpoint, path, sizeof(path));
    if (r == 0)
        r = control_ask(path, line, timeout_ms, ret_text);
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
    return 0;
}

int cmd_status(int argc, char **argv)
{
    _cleanup_free_ char *text = NULL;
    const char *dir = NULL;
    bool json = false, bad = false;
    int code;

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
    code = cmd_ask(dir, json ? "status json" : "status", STATUS_TIMEOUT_MS, &text);
    if (code != 0)
        return code;
    fputs(text, stdout);
    return fflush(stdout) == 0 ? 0 : EXIT_SYSTEM;
}
