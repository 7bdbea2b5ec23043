/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that runs out: a program linked with BAD_ALLOC_WRAPS and libtestbadalloc.a has its own
 * allocations (and those of the tests' libraries) counted, and one of them fails; the linker turns
 * them over (--wrap), so a sanitizer's malloc stays below. Counted with them: libcrypto's
 * allocations, and the calls of LMDB that allocate, each as one. What a paused thread allocates is
 * not seen. each.h's is_next is asked, too. Threads: any. */
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
/* Of the calling thread; they nest. */
void badalloc_pause(void);
void badalloc_resume(void);
/* Blocks that the program's own code allocated and did not free, paused threads' included. */
int64_t badalloc_live(void);

#endif
