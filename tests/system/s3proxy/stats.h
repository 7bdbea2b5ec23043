/* SPDX-License-Identifier: Apache-2.0 */
/* What went through: requests by kind and status as the client saw them, and a line for each. A request
 * is counted before its answer is passed on, so whoever has the answer finds it counted. Threads: any. */
#ifndef S3PROXY_STATS_H
#define S3PROXY_STATS_H

#include <stdint.h>
#include <stdio.h>
#include "kind.h"

void stats_count(const struct target *t, int status); /* 0: no answer */
void stats_up(void *unused, uint64_t bytes);
void stats_down(void *unused, uint64_t bytes);
void stats_connection(void);
void stats_begin(void); /* around each request: how many are under way */
void stats_end(void);
void stats_reset(void);
void stats_print(FILE *f);     /* JSON */
void stats_print_log(FILE *f); /* a JSON object a line */

#endif
