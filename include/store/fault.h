/* SPDX-License-Identifier: Apache-2.0 */
/* A store in front of another one that fails, delays, or loses the reply of chosen requests. Built
 * only with
 * --enable-fault-injection, for tests.
 *
 * A script is "OP:WHICH:WHAT[:WHAT][,...]":
 *   OP     a name of store_op_name(), or * for any
 *   WHICH  3 (the third request of this op), 3+ (and all later ones), 3-5
 *   WHAT   an errno's name (EIO): not applied, fails with it
 *          an outcome (404 409 412 416): not applied, ends with it
 *          lost: applied, but the reply is lost: -EIO
 *          lost412: applied, and the back end's own retry then met its own work:
 * STORE_PRECONDITION, retried set a time (50ms, 2s): waits that long first; what follows it comes
 * after, else the request goes on Threads: any. Delays and their completions run on a thread of
 * this store. */
#ifndef S3EFS_STORE_FAULT_H
#define S3EFS_STORE_FAULT_H

#include "store/store.h"

#define FAULT_ENVIRONMENT "S3EFS_FAULT"

/* Takes over inner (stop and free go on to it). script: as above, NULL: that of the environment, ""
 * or none there: no faults yet. On failure inner is still the caller's. -EINVAL with err_text(). */
_must_check_ int fault_new(struct store *inner, const char *script, struct store **ret);
/* Adds rules; requests count from the store's birth. */
_must_check_ int fault_add(struct store *s, const char *script);
void fault_clear(struct store *s);
uint64_t fault_calls(struct store *s, enum store_op op); /* requests so far */

#endif
