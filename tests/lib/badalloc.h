/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that runs out: a program linked with BAD_ALLOC_WRAPS and libtestbadalloc.a has its own
 * allocations (and those of the tests' libraries) counted, and one of them fails; the linker turns
 * them over (--wrap), so a sanitizer's malloc stays below. Counted with them: libcrypto's
 * allocations, and the calls of LMDB that allocate, each as one. What a paused thread allocates is
 * not seen. Threads: any. */
#ifndef S3EFS_TESTS_BADALLOC_H
#define S3EFS_TESTS_BADALLOC_H

#include <stdbool.h>
#include <stdint.h>

/* Before libcrypto is used: its allocations go this way, too. */
void badalloc_crypto(void);
uint64_t badalloc_calls(void); /* seen so far */
/* The nth from now (and all later ones) fails with ENOMEM. 0: none. */
void badalloc_fail(uint64_t nth, bool persistent);
/* Where the last one failed, also in a forked process: the address of a call, for addr2line. NULL:
 * none did since badalloc_fail(). */
const void *badalloc_where(void);
/* One after the other, whatever the order of threads: in each run the first allocation fails that
 * did not fail in one before. It is known by its stack of calls, and by how often that one came
 * before in the run; that of a forked process, too. Of those that are met only the 1st, the
 * (stride + 1)th... fail. */
void badalloc_each_begin(unsigned stride); /* forgets all that is known */
void badalloc_each(bool on);               /* a run begins, ends */
unsigned badalloc_each_tried(void);        /* how many have failed */
/* Of the calling thread; they nest. */
void badalloc_pause(void);
void badalloc_resume(void);
/* Blocks that the program's own code allocated and did not free, paused threads' included. */
int64_t badalloc_live(void);

#endif
