/* SPDX-License-Identifier: Apache-2.0 */
/* A rule of the fault decorator, and the reader of its scripts. */
#ifndef S3EFS_STORE_FAULT_INT_H
#define S3EFS_STORE_FAULT_INT_H

#include "store/store.h"

enum fault_what { FAULT_NONE, FAULT_FAIL, FAULT_LOST };
struct fault_rule {
    struct fault_rule *next;
    enum store_op op; /* STORE_OPS: any */
    uint64_t first, last;
    int64_t delay_ns;
    enum fault_what what;
    int result;
};
/* The rules of a script, in its order (NULL for an empty one). 0, -EINVAL, -ENOMEM. */
_must_check_ int fault_script_parse(const char *script, struct fault_rule **ret);
void fault_rules_free(struct fault_rule *rules);

#endif
