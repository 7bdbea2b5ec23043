/* SPDX-License-Identifier: Apache-2.0 */
/* s3efs compare: one workload on several directories, what it took and what was asked for it, and
 * what a month of that costs. COMPARE-1 It works in a directory of its own in each of them, which
 * it made (mkdir(2) said so), and touches nothing else there. COMPARE-2 That directory is gone when
 * it returns, also after a failure or a signal; if it can't be removed, it is named, and the exit
 * code is COMPARE_FAILED. COMPARE-3 Every byte that is read is compared with what was written; a
 * wrong one is named, and the exit code is COMPARE_WRONG whatever else went well. Threads: one call
 * at a time; it starts some, and none is left. It takes SIGINT, SIGTERM and SIGHUP. */
#ifndef S3EFS_COMPARE_COMPARE_H
#define S3EFS_COMPARE_COMPARE_H

/* Exit codes; 128 + the signal's number after a signal. */
enum { COMPARE_OK = 0, COMPARE_USAGE = 1, COMPARE_FAILED = 2, COMPARE_WRONG = 3 };

struct compare_env {
    /* Asks the daemon of the s3efs mount at mountpoint (canonical) a line of the control socket. 0
     * and *ret_text (free() it), or -errno and err_text(). */
    int (*ask)(void *arg, const char *mountpoint, const char *line, char **ret_text);
    void *arg;
};

/* argv[0] is the command's name. Returns the exit code; what was wrong has been said on stderr. */
int compare_main(int argc, char **argv, const struct compare_env *env);

#endif
