/* SPDX-License-Identifier: Apache-2.0 */
/* s3efs compare: brings the control socket to fs/compare. */
#include "cmd.h"

#include "compare/compare.h"
#include "control/control.h"

/* As long as the bucket takes: what is unsent is sent before requests are counted. */
static int ask(void *arg, const char *mountpoint, const char *line, char **ret_text)
{
    char path[256];
    int r = control_path(mountpoint, path, sizeof(path));

    (void)arg;
    return r < 0 ? r : control_ask(path, line, 0, ret_text);
}

int cmd_compare(int argc, char **argv)
{
    static const struct compare_env env = {.ask = ask};

    return compare_main(argc, argv, &env);
}
