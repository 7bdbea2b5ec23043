/* SPDX-License-Identifier: Apache-2.0 */
/* Cyclic redundancy checks that S3 knows and zlib does not. Pure; any thread.
 * CRC64NVME: polynomial 0xAD93D23594C93659, reflected, all ones in and out; check value
 * 0xAE8B14860A799888. CRC32C: polynomial 0x1EDC6F41 (Castagnoli), reflected, all ones in and out;
 * check value 0xE3069283. */
#ifndef S3EFS_S3_CRC_H
#define S3EFS_S3_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Continue a sum over more bytes; the sum of nothing is 0 (as with zlib's crc32()). */
uint64_t crc64nvme(uint64_t crc, const void *data, size_t len);
/* The same without the processor's help. */
uint64_t crc64nvme_table(uint64_t crc, const void *data, size_t len);
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

#endif
