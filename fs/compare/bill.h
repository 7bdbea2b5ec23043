/* SPDX-License-Identifier: Apache-2.0 */
/* What a month costs, from what was counted. Pure; any thread.
 * A month has 30 days, a GB 2^30 bytes. Every request counts at its list price, also one that
 * failed. */
#ifndef S3EFS_FS_COMPARE_BILL_H
#define S3EFS_FS_COMPARE_BILL_H

#include <stdbool.h>
#include "counts.h"
#include "prices.h"

#define BILL_DAYS 30

enum bill_kind { BILL_S3, BILL_EFS };

/* The price of these requests or operations.
 * S3: by class; a kind that is not known costs what a PUT does.
 * EFS (Elastic): READ and WRITE are metered by the bytes of files, others by those on the wire;
 * each operation as op_min_bytes at least. What changes something is a write. OPEN is metered as a
 * read, also where it creates: the counters don't tell. What only keeps the session alive is not
 * metered. */
double bill_of_counts(const struct price_set *set, enum bill_kind kind, const struct counts *c);

/* Of n S3 requests of one kind. */
double bill_of_requests(const struct price_set *set, const char *kind, uint64_t n);

/* Which price class an S3 request is of; false: not known. */
bool bill_class(const char *kind, enum price_class *ret);

struct bill {
    double storage, backup, use, total;
};
/* image: what one image costs in requests or throughput. */
void bill_month(const struct price_set *set, enum bill_kind kind, double image, double gb,
                double images_per_day, struct bill *ret);

#endif
