/* SPDX-License-Identifier: Apache-2.0 */
/* Characters that a key may have and XML 1.0 may not (section 2.2): control characters but tab and
 * the line ends, U+FFFE, U+FFFF. Servers put them into replies nevertheless, as references
 * ("&#x1;", which is XML 1.1; Ceph echoes a listing's prefix so, also with encoding-type=url) or as
 * they are. Pure; any thread. */
#ifndef S3EFS_S3_XML_CHARS_H
#define S3EFS_S3_XML_CHARS_H

#include <stddef.h>
#include "base/macros.h"

/* *ret is NULL if there is no such character in the document, else a copy of the same length, which
 * the caller frees: in each one's place is something that XML allows. Documents with a NUL (no XML,
 * or UTF-16) are left as they are. -ENOMEM. */
_must_check_ int xml_chars_allowed(const char *data, size_t len, char **ret);

/* The UTF-8 of the reference at data if it is to such a character: its length, 1 or 3; else 0. */
size_t xml_chars_reference(const char *data, size_t len, char ret[3]);

/* The length of such a character, as it is, at the begin of text; else 0. */
size_t xml_chars_forbidden(const char *text);

#endif
