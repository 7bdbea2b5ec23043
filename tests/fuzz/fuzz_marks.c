/* SPDX-License-Identifier: Apache-2.0 */
/* upload/marks: a list out of an object's metadata, and what the next commit makes of it. The first
 * two bytes: how much room the list has. */
#include "fs/upload/marks.h"

#include "fuzz.h"

#define OURS "0123456789abcdef.7"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    size_t room = fuzz_u8(&in) + 256u * (fuzz_u8(&in) % 8u);
    _cleanup_free_ char *text = fuzz_rest(&in);
    char made[MARKS_TEXT];
    struct marks base, again;

    marks_parse(text, &base);
    CHECK(base.n <= MARKS_MAX);
    for (unsigned i = 0; i < base.n; i++)
        CHECK(base.v[i][0] != '\0' && strnlen(base.v[i], MARK_SIZE) < MARK_SIZE &&
              marks_have(&base, base.v[i]));
    marks_format(OURS, &base, room, made);
    CHECK(strlen(made) < MARKS_TEXT);
    marks_parse(made, &again);
    CHECK(again.n >= 1 && again.n <= base.n + 1 && strcmp(again.v[0], OURS) == 0);
    CHECK(again.n == 1 || strlen(made) <= room);
    for (unsigned i = 1; i < again.n; i++)
        CHECK(strcmp(again.v[i], base.v[i - 1]) == 0);
    CHECK(again.is_cut == (base.is_cut || again.n < base.n + 1));
    return 0;
}
