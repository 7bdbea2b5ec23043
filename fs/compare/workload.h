/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a workload are called, how large they are and what is in them: all from a seed,
 * so that any byte that comes back can be checked without a copy. Pure; any thread. */
#ifndef S3EFS_FS_COMPARE_WORKLOAD_H
#define S3EFS_FS_COMPARE_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#define WORKLOAD_NAME_MAX 48

/* "img-0000012-9f3c21d0.jpg": of file i; names that are near each other in number are not in the
 * alphabet's tail, as an image server's are not. */
void workload_name(uint64_t seed, uint64_t i, char out[WORKLOAD_NAME_MAX]);
/* The i of such a name; -1 if it is none of this seed. */
int64_t workload_number(uint64_t seed, const char *name);
/* Bytes off.. of file id. */
void workload_fill(uint64_t seed, uint64_t id, uint64_t off, void *out, size_t n);
/* The first of n bytes that is not as workload_fill() has it; -1: all are. */
int64_t workload_wrong(uint64_t seed, uint64_t id, uint64_t off, const void *bytes, size_t n);
/* Of n sizes, the first most often and each half as often as the one before. n >= 1. */
uint64_t workload_size(uint64_t seed, uint64_t i, const uint64_t *sizes, size_t n);
/* One of 0..n-1, n >= 1: the k-th choice. */
uint64_t workload_pick(uint64_t seed, uint64_t k, uint64_t n);

#endif
