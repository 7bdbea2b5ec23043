/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of s3efs compare. */
#ifndef S3EFS_FS_COMPARE_OPTIONS_H
#define S3EFS_FS_COMPARE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macros.h"

#define OPTIONS_DIRS_MAX 8
#define OPTIONS_LIST_MAX 8
#define OPTIONS_CONCURRENCY_MAX 1024
#define OPTIONS_FILES_MAX 10000000
#define OPTIONS_SIZE_MAX (UINT64_C(1) << 40)
#define OPTIONS_READS_MAX 10000

struct list {
    uint64_t v[OPTIONS_LIST_MAX];
    size_t n;
};
/* What the user may ask for; bits of options.works. */
enum { ASK_MIX = 1, ASK_UPLOAD = 2, ASK_READ = 4, ASK_LIST = 8, ASK_TREE = 16 };

struct options {
    char *const *dirs; /* of argv */
    size_t n_dirs;
    unsigned works;
    uint64_t files, reads, seed;
    struct list sizes, concurrency, images_per_day, stored;
    bool json, drop_caches, keep_going, help;
    const char *html, *prices, *mountstats; /* of argv, or NULL */
};

/* -EINVAL and err_text() ("" if getopt has said it). argv is permuted. */
_must_check_ int options_parse(int argc, char **argv, struct options *ret);
void options_help(void);

#endif
