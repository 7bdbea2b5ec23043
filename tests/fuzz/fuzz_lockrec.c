/* SPDX-License-Identifier: Apache-2.0 */
/* coord/lockrec: any text is refused or understood; what was understood is written and read again
 * as the same locks, and goes away with its sessions. */
#include "fs/coord/lockrec.h"

#include <errno.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    _cleanup_free_ char *text = fuzz_rest(&in);
    struct lockrec first = {0}, second = {0};
    _cleanup_buf_ struct buf out = BUF_INIT(8u << 20), again = BUF_INIT(8u << 20);
    int r = lockrec_parse(text, &first);

    CHECK(r == 0 || r == -EBADMSG || r == -ENOLCK);
    if (r < 0)
        return 0;
    lockrec_format(&first, NULL, NULL, &out);
    CHECK(!buf_failed(&out));
    CHECK(lockrec_parse(buf_str(&out), &second) == 0);
    CHECK(first.n == second.n);
    for (size_t i = 0; i < first.n; i++)
        for (unsigned k = 0; k < LOCK_KINDS; k++)
            CHECK(lockset_equal(&first.v[i].held[k], &second.v[i].held[k]));
    lockrec_format(&second, NULL, NULL, &again);
    CHECK(strcmp(buf_str(&out), buf_str(&again)) == 0);
    while (first.n > 0)
        lockrec_drop(&first, first.v[0].session);
    lockrec_done(&first);
    lockrec_done(&second);
    return 0;
}
