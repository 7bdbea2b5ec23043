/* SPDX-License-Identifier: Apache-2.0 */
/* s3efs compare: brings the control socket to fs/compare. */
#include "cmd.h"

#include "compare/compare.h"
#include "control/control.h"

/* What is unsent is sent before requests are counted: that takes as long as the bucket does, within
 * reason. */
#define ASK_TIMEOUT_MS 600000

static int ask(void *arg, const char *mountpoint, const char *line, char **ret_text)
{
    char path[256];
    int r = control_path(mountpoint, path, sizeof(path));

    (void)arg;
    return r < 0 ? r : control_ask(path, line, ASK_TIMEOUT_MS, ret_text);
}

int cmd_compare(int argc, char **argv)
{
    static const struct compare_env env = {.ask = ask};

    return compare_main(argc, argv, &env);
}
