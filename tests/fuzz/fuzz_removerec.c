/* SPDX-License-Identifier: Apache-2.0 */
/* vfs/removerec: whatever stands in the journal, what is taken for a removal is whole, and reads back
 * the same. */
#include "fs/vfs/removerec.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_buf_ struct buf out = BUF_INIT(REMOVEREC_MAX);
    struct removerec r;

    if (removerec_decode(data, size, &r) < 0) {
        CHECK(r.key[0] == '\0' && r.etag.s[0] == '\0');
        return 0;
    }
    CHECK(r.key[0] != '\0' && r.key[strlen(r.key) - 1] != '/');
    CHECK(r.etag.s[0] != '\0' && strpbrk(r.etag.s, "\r\n") == NULL);
    CHECK(r.id[0] == '\0' || strlen(r.id) == 32);
    CHECK(removerec_encode(&r, &out) == 0);
    CHECK(out.len == size && memcmp(out.data, data, size) == 0);
    return 0;
}
