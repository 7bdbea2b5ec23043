/* SPDX-License-Identifier: Apache-2.0 */
/* A json_t of its own that goes with its block. */
#ifndef S3EFS_JSON_H
#define S3EFS_JSON_H

#include <jansson.h>
#include "base/macros.h"

static inline void json_freep(json_t **j)
{
    json_decref(*j);
}
#define _cleanup_json_ _cleanup_(json_freep)

#endif
