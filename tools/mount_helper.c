/* SPDX-License-Identifier: Apache-2.0 */
/* mount.s3efs, which mount(8) runs for `mount -t s3efs` and fstab lines: the same program under its other name.
 * It is looked for beside this one (an uninstalled build, or one bin directory), then where it is installed. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXIT_SYSTEM 2

static void exec_beside(char **argv)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("s3efs"));
    char *slash;

    if (n <= 0)
        return;
    path[n] = '\0';
    slash = strrchr(path, '/');
    if (slash == NULL)
        return;
    memcpy(slash + 1, "s3efs", sizeof("s3efs"));
    execv(path, argv);
}

int main(int argc, char **argv)
{
    char name[] = "mount.s3efs";

    if (argc < 1)
        return EXIT_SYSTEM;
    argv[0] = name;
    exec_beside(argv);
    execv(S3EFS_BINDIR "/s3efs", argv);
    fprintf(stderr, "mount.s3efs: %s/s3efs: %s\n", S3EFS_BINDIR, strerror(errno));
    return EXIT_SYSTEM;
}
