/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli) of blocks and records. Pure; any thread. */
#ifndef S3EFS_CACHE_CRC_H
#define S3EFS_CACHE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from crc, which is 0 at the start. */
uint32_t cache_crc(uint32_t crc, const void *data, size_t len);
/* The same without the processor's instruction: for the test that both agree. */
uint32_t cache_crc_table(uint32_t crc, const void *data, size_t len);

#endif
