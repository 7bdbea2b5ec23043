/* SPDX-License-Identifier: Apache-2.0 */
/* A server's capabilities as one line, and back. The table is the only place that lists them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/err.h"
#include "store/probe.h"

static const struct {
    const char *name;
    size_t offset;
} fields[] = {
    {"put-absent", offsetof(struct store_caps, put_absent)},
    {"put-match", offsetof(struct store_caps, put_match)},
    {"complete-absent", offsetof(struct store_caps, complete_absent)},
    {"complete-match", offsetof(struct store_caps, complete_match)},
    {"delete-match", offsetof(struct store_caps, delete_match)},
    {"delete-many-match", offsetof(struct store_caps, delete_many_match)},
    {"copy-src-match", offsetof(struct store_caps, copy_src_match)},
    {"part-copy-match", offsetof(struct store_caps, part_copy_match)},
    {"copy-dst-absent", offsetof(struct store_caps, copy_dst_absent)},
    {"copy-dst-match", offsetof(struct store_caps, copy_dst_match)},
    {"etag-unquoted", offsetof(struct store_caps, etag_unquoted)},
};
_Static_assert(ARRAY_LEN(fields) * sizeof(bool) == sizeof(struct store_caps),
               "a capability has no name");

void store_caps_format(const struct store_caps *c, char *out, size_t size)
{
    size_t used = 0;
    if (size > 0)
        out[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(fields) && used < size; i++) {
        bool value = *(const bool *)((const char *)c + fields[i].offset);
        int n = snprintf(out + used, size - used, "%s%s=%s", i == 0 ? "" : " ", fields[i].name,
                         value ? "yes" : "no");
        used += n < 0 ? 0 : (size_t)n;
    }
}

static int parse_word(char *word, struct store_caps *c, unsigned *seen)
{
    char *value = strchr(word, '=');
    if (value == NULL)
        return -EINVAL;
    *value++ = '\0';
    bool yes = strcmp(value, "yes") == 0;
    if (!yes && strcmp(value, "no") != 0)
        return -EINVAL;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (strcmp(word, fields[i].name) == 0) {
            *(bool *)((char *)c + fields[i].offset) = yes;
            *seen |= 1U << i;
            return 0;
        }
    }
    return -EINVAL;
}

int store_caps_parse(const char *line, struct store_caps *ret)
{
    _cleanup_free_ char *copy = strdup(line);
    struct store_caps c = {0};
    unsigned seen = 0;
    char *save = NULL;
    if (copy == NULL)
        return err_set(-ENOMEM, "no memory for the capabilities");
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        if (parse_word(word, &c, &seen) < 0)
            return err_set(-EINVAL, "\"%s\" is no capability of a server", word);
    }
    /* One that was written by another version is asked for again, not guessed. */
    if (seen != (1U << ARRAY_LEN(fields)) - 1)
        return err_set(-EINVAL, "a remembered line of capabilities is not complete");
    *ret = c;
    return 0;
}
