/* SPDX-License-Identifier: Apache-2.0 */
/* What badalloc's files share. */
#ifndef S3EFS_TESTS_BADALLOC_INT_H
#define S3EFS_TESTS_BADALLOC_INT_H

#include "badalloc.h"

#include <stddef.h>

/* Zeros that forked processes share; never given back. */
void *badalloc_shared(size_t size);
/* badalloc_each.c: is this allocation the one that fails? */
bool badalloc_is_next(void);

#endif
