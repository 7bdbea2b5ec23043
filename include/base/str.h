/* SPDX-License-Identifier: Apache-2.0 */
/* Encodings and numbers of the outside world, checked. Pure functions; any thread. */
#ifndef S3EFS_BASE_STR_H
#define S3EFS_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

/* Whole-string numbers: no sign, no blanks, no trailing bytes. 0, -EINVAL or -ERANGE. */
_must_check_ int str_u64(const char *s, unsigned base, uint64_t *ret);
/* "64M", "8G", "1T", "512k", "100" (bytes; powers of 1024; an optional "iB"/"B" follows). */
_must_check_ int str_size(const char *s, uint64_t *ret);
/* Copies into a fixed array; -ENAMETOOLONG when it does not fit (dst is then ""). */
_must_check_ int str_copy(char *dst, size_t size, const char *src);
/* Copies what a terminal or a log may show, cut to fit; every other byte becomes '?'. */
void str_copy_shown(char *dst, size_t size, const char *src);
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

/* Lower-case hex; out has 2 * len + 1 bytes. */
void str_hex(const void *data, size_t len, char *out);
/* 0 or -EINVAL; exactly out_len bytes. */
_must_check_ int str_unhex(const char *s, void *out, size_t out_len);

/* Standard base64 with padding. */
int str_base64(struct buf *out, const void *data, size_t len);
_must_check_ int str_unbase64(const char *s, void *out, size_t size, size_t *ret_len);

/* Percent-encoding of RFC 3986's unreserved set (upper-case hex); '/' is kept when keep_slash: the form
 * that SigV4 for S3 signs. */
int str_urlencode(struct buf *out, const char *s, size_t len, bool keep_slash);
/* %XX (and '+' as a blank when plus) back to bytes; -EINVAL on a broken escape or a NUL byte. */
_must_check_ int str_urldecode(struct buf *out, const char *s, bool plus);

/* Wall-clock times. HTTP date (RFC 9110 5.6.7, IMF-fixdate only) and ISO 8601 UTC with optional fraction
 * ("2026-01-02T03:04:05.678Z"), as ns since the epoch. */
_must_check_ int str_http_date(const char *s, int64_t *ret_ns);
_must_check_ int str_iso8601(const char *s, int64_t *ret_ns);
void str_format_http_date(int64_t ns, char out[32]);
void str_format_iso8601(int64_t ns, char out[32]); /* 2026-01-02T03:04:05.678Z */

/* FNV-1a: for tables in memory and stripes, not for anything stored or hostile. */
uint64_t str_hash(const void *data, size_t len);

#endif
