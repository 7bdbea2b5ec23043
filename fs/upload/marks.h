/* SPDX-License-Identifier: Apache-2.0 */
/* The marks of an object's last commits (protocol 3), newest first: "writer.sequence,writer.sequence,...", with "~" at
 * the end once older ones have been left out. Pure. What is no such list (another tool's) counts as one whose older
 * marks are not known. */
#ifndef S3EFS_UPLOAD_MARKS_H
#define S3EFS_UPLOAD_MARKS_H

#include <stdbool.h>
#include <stddef.h>

#define MARK_SIZE 64
#define MARKS_CARRIED 16 /* of the version that is replaced */
#define MARKS_MAX (MARKS_CARRIED + 1)
#define MARKS_TEXT (MARKS_MAX * MARK_SIZE + 2)

struct marks {
    char v[MARKS_MAX][MARK_SIZE];
    unsigned n;
    bool is_cut; /* there were older ones */
};

/* s NULL: none. */
void marks_parse(const char *s, struct marks *ret);
bool marks_have(const struct marks *m, const char *mark);
/* The list of a version that carries `mark` and replaces one with `base`, in at most room bytes (without the NUL), the
 * oldest left out first. The mark itself stands in any case. */
void marks_format(const char *mark, const struct marks *base, size_t room, char ret[MARKS_TEXT]);

#endif
