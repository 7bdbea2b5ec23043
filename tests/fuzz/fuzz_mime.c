/* SPDX-License-Identifier: Apache-2.0 */
/* vfs/mime: the type of any bytes and of any name is one that fits a header, or none. */
#include "fs/vfs/mime.h"

#include "fuzz.h"

static void is_type(const char *type)
{
    CHECK(type == NULL || (fuzz_is_printable(type) && strchr(type, '/') != NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    _cleanup_free_ char *name = fuzz_rest(&in);
    size_t n = size < MIME_HEAD ? size : MIME_HEAD;
    uint8_t *head = malloc(n);

    CHECK(head != NULL || n == 0);
    if (n > 0)
        memcpy(head, data, n);
    is_type(mime_from_bytes(head, n));
    free(head);
    is_type(mime_from_name(name));
    mime_is_vague(name);
    return 0;
}
