/* SPDX-License-Identifier: Apache-2.0 */
/* The program: which command is it? */
#include <stdio.h>
#include <string.h>
#include "base/macros.h"
#include "cmd.h"
#include "daemon.h"
#include "holder.h"

static int cmd_help(int argc, char **argv);

static int cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("s3efs %s\n", PACKAGE_VERSION);
    return 0;
}

static const struct {
    const char *name, *usage, *help;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"mount", "SOURCE DIR [-o OPTIONS] [-f]", "mount a bucket (s3efs mount --help: the options)", cmd_mount},
    {"umount", "DIR", "send what is unsent, unmount, wait for the daemon's end", cmd_umount},
    {"status", "DIR [--json]", "requests, bytes, what is unsent, the cache", cmd_status},
    {"drain", "DIR [--json]", "send what is unsent, and wait until the bucket has it", cmd_drain},
    {"upgrade", "DIR [--json]", "let this program take a living mount over (option takeover)", cmd_upgrade},
    {"fsck", "SOURCE [--cache DIR] [--repair] [--json]", "check a bucket and a cache, repair what is safe", cmd_fsck},
    {"compare", "DIR DIR... [OPTION...]", "one workload on several directories: speed, requests, the month's bill", cmd_compare},
    {"--help", "", "this text", cmd_help},
    {"--version", "", "the version", cmd_version},
};

static int cmd_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("Usage: s3efs COMMAND ...\n\nMounts an S3 bucket as a POSIX directory.\n\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("  s3efs %s %s\n      %s\n", commands[i].name, commands[i].usage, commands[i].help);
    printf("\nSee s3efs(8).\n");
    return 0;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argc > 0 ? argv[0] : "", '/');
    const char *name = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "";

    hold_remember(argv);
    if (strcmp(name, "mount.s3efs") == 0)
        return cmd_mount_helper(argc, argv);
    for (size_t i = 0; argc > 1 && i < ARRAY_LEN(commands); i++) {
        const char *c = commands[i].name;

        if (strcmp(argv[1], c) == 0 || (c[0] == '-' && strcmp(argv[1], c + 2) == 0))
            return commands[i].run(argc - 1, argv + 1);
    }
    /* mount -t fuse.s3efs: mount.fuse3 runs the type's program with SOURCE DIR -o OPTIONS */
    if (argc > 2 && argv[1][0] != '-' && argv[2][0] == '/')
        return cmd_mount_helper(argc, argv);
    if (argc > 1)
        fprintf(stderr, "s3efs: unknown command: %s (s3efs --help lists them)\n", argv[1]);
    else
        fprintf(stderr, "s3efs: a command is needed (s3efs --help lists them)\n");
    return EXIT_USAGE;
}
