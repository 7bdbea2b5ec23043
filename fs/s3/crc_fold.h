/* SPDX-License-Identifier: Apache-2.0 */
/* CRC64NVME by carry-less multiplication (PCLMULQDQ, PMULL), where the processor has it. Pure; any thread. */
#ifndef S3EFS_S3_CRC_FOLD_H
#define S3EFS_S3_CRC_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRC64_POLY_REFLECTED UINT64_C(0x9A6C9329AC4BC9B5)
#define CRC_FOLD_LEAST 128 /* of fewer bytes the tables are as fast */

bool crc_fold_is_here(void); /* does this processor, and this build, have it? */
/* len: a multiple of 16, at least 64. Replaces data, behind the state crc (that is: already inverted), by 16 bytes that
 * have the same remainder behind the state 0. Only where crc_fold_is_here(). */
void crc64nvme_fold(uint64_t crc, const void *data, size_t len, unsigned char ret[16]);

#endif
