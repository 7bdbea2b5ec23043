/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a run, in their order. Pure. */
#ifndef S3EFS_FS_COMPARE_STEPS_H
#define S3EFS_FS_COMPARE_STEPS_H

#include "options.h"

enum work {
    WORK_MAKE,
    WORK_MIX,
    WORK_UPLOAD,
    WORK_READ,
    WORK_LIST,
    WORK_TREE,
    WORK_WALK,
    WORK_REMOVE,
    WORKS
};

/* The steps of a group work on the same files, in a directory of the group's. It begins with
 * WORK_MAKE (that directory) and ends with WORK_REMOVE. */
struct step {
    enum work work;
    unsigned group; /* from 1 */
    uint64_t size;  /* of each file; 0: of all sizes */
    unsigned concurrency;
    uint64_t files;
    bool is_tree;  /* in directories of STEPS_TREE_WIDTH files */
    bool is_asked; /* by the user; others are the way there */
};
#define STEPS_TREE_WIDTH 10
#define STEPS_MAX (OPTIONS_LIST_MAX * (3 + OPTIONS_LIST_MAX * 5 + 4))

struct steps {
    struct step step[STEPS_MAX];
    size_t n;
};
void steps_build(const struct options *o, struct steps *ret);
const char *steps_work_name(enum work w);
/* "upload 4k" */
void steps_name(const struct step *s, char *out, size_t size);
/* 4096: "4k", 2097152: "2m", 1000: "1000" */
void steps_size_name(uint64_t size, char *out, size_t n);
/* How large file i is. */
uint64_t steps_file_size(const struct options *o, const struct step *s, uint64_t i);
/* The most bytes that lie there at one time. */
uint64_t steps_room(const struct options *o, const struct steps *p);

#endif
