/* SPDX-License-Identifier: Apache-2.0 */
/* What every test of this folder includes first: cmocka and what it asks for. */
#ifndef S3EFS_TESTS_UNIT_S3_CHECK_H
#define S3EFS_TESTS_UNIT_S3_CHECK_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#endif
