/* SPDX-License-Identifier: Apache-2.0 */
/* Each of many calls fails once, one in a run, whatever the order of threads: it is the first one
 * of the run that did not fail in an earlier one. A call is known by its stack, and by how often
 * that stack came before in the run. Forked processes share what is known. Who makes calls fail
 * asks here (badalloc, baddisk). Threads: any; each_begin() while nobody asks. */
#ifndef S3EFS_TESTS_EACH_H
#define S3EFS_TESTS_EACH_H

#include <stdbool.h>
#include <stddef.h>

/* Forgets all that is known. Of the calls that are met only the 1st, the (stride + 1)th... fail. */
void each_begin(unsigned stride);
void each_run(bool on);    /* a run begins, ends */
bool each_is_next(void);   /* shall this call fail? At most one in a run. */
bool each_failed(void);    /* did one, in this run or the one that has ended? */
unsigned each_tried(void); /* how many have failed */

/* fn is what a thread begins with: so does its stack, and that of a caller who takes a turn in fn.
 * Without it calls of such turns are told from the thread's. */
void each_thread_begins(void *(*fn)(void *));

/* Zeros that forked processes share; never given back. */
void *each_shared(size_t size);

#endif
