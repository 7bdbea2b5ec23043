/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of its own for secrets (keys, tokens): left out of core dumps (MADV_DONTDUMP), empty in
 * forked children (MADV_WIPEONFORK), not swapped out where RLIMIT_MEMLOCK allows, and wiped when it
 * is freed. The heap has none of this. What can't live here: what libcurl and the TLS library copy
 * on the way out (docs/security.md). Take it after the daemon's fork. Ownership: the caller's,
 * secret_free() only. Threads: any; a leaf lock is taken. */
#ifndef S3EFS_BASE_SECRET_H
#define S3EFS_BASE_SECRET_H

#include <stddef.h>
#include "base/macros.h"

/* Zeroed. NULL: out of memory. */
_must_check_ void *secret_alloc(size_t size);
/* The first len bytes, and a NUL. NULL: out of memory. */
_must_check_ char *secret_dup(const char *s, size_t len);
void secret_free(void *p); /* wipes all of it; NULL is fine */
size_t secret_used(void);  /* how many are not freed: for tests */

static inline void cleanup_secret_p(void *p)
{
    secret_free(*(void **)p);
}
#define _cleanup_secret_ _cleanup_(cleanup_secret_p)

/* Takes the secrets of the AWS tools out of the environment: what core dumps, /proc/PID/environ and
 * children see of them is "". Before threads are started; a second call does nothing. 0 or -ENOMEM.
 */
_must_check_ int secret_env_take(void);
/* What getenv(3) says, or would have said before secret_env_take(). Valid until the program ends.
 */
const char *secret_env(const char *name);

#endif
