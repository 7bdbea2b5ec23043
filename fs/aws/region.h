/* SPDX-License-Identifier: Apache-2.0 */
/* Region names and the domains that belong to them: private to aws. */
#ifndef S3EFS_FS_AWS_REGION_H
#define S3EFS_FS_AWS_REGION_H

#include <stdbool.h>

bool aws_region_ok(const char *region); /* fit for a host name and a signature's scope */
const char *aws_dns_suffix(const char *region);

#endif
