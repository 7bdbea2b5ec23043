/* SPDX-License-Identifier: Apache-2.0 */
/* The dialect of ~/.aws/config and ~/.aws/credentials: private to aws.
 * Own, since libinih as Debian builds it cuts lines at 200 bytes without a word; session tokens
 * have more. */
#ifndef S3EFS_FS_AWS_INI_H
#define S3EFS_FS_AWS_INI_H

/* Called for each "key = value" of the text, which is changed. parent: the key of the line above
 * that an indented line belongs to (a nested setting), else NULL. Keys are in lower case. What is
 * no setting is skipped. */
typedef void (*ini_fn)(void *ctx, const char *section, const char *parent, const char *key,
                       const char *value);
void ini_parse(char *text, ini_fn fn, void *ctx);

#endif
