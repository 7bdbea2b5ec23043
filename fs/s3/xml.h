/* SPDX-License-Identifier: Apache-2.0 */
/* Replies in XML, read with limits: depth, text and path length are bounded, a document type
 * declaration (and with it every entity but the five of XML itself) is refused, the document must
 * be complete. Characters of a key that XML 1.0 can't hold are read as servers send them
 * (xml_chars.h). Namespaces and prefixes are dropped: the element names of S3 are unique without
 * them. Pure; any thread. */
#ifndef S3EFS_S3_XML_H
#define S3EFS_S3_XML_H

#include <stddef.h>
#include "base/macros.h"
#include "base/buf.h"

#define XML_DEPTH_MAX 16
#define XML_PATH_MAX 256
#define XML_TEXT_MAX 65536

/* Called at the end of each element: its path from the root ("ListBucketResult/Contents/Key") and
 * the text directly in it ("" for none), which may have control characters. Both are valid during
 * the call. Not 0 ends the parse with that value. */
typedef int (*xml_element_fn)(void *arg, const char *path, const char *text);

/* 0; -EBADMSG with err_text() if this is no document within the limits; -ENOMEM; or what fn
 * returned. */
_must_check_ int xml_parse(const char *data, size_t len, xml_element_fn fn, void *arg);

/* Adds text with the characters escaped that XML gives a meaning to. -EINVAL, and nothing added, if
 * XML 1.0 can't hold it; or out's error. */
int xml_escape(struct buf *out, const char *text);

#endif
