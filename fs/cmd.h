/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of the program. Each gets its own argv (argv[0]: its name) and returns the exit code. */
#ifndef S3EFS_CMD_H
#define S3EFS_CMD_H

#include <stdint.h>

int cmd_mount(int argc, char **argv);
int cmd_mount_helper(int argc, char **argv); /* as mount(8) calls mount.s3efs */
int cmd_umount(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_drain(int argc, char **argv);
int cmd_upgrade(int argc, char **argv);
int cmd_fsck(int argc, char **argv);
int cmd_compare(int argc, char **argv);

/* Asks the daemon of a mount. 0 and *ret_text (free() it), or the exit code of what it has said on stderr. */
int cmd_ask(const char *dir, const char *line, int64_t timeout_ms, char **ret_text);

#endif
