/* SPDX-License-Identifier: Apache-2.0 */
/* coord/link: what is read of a group can be written, and read again as the same. */
#include "coord/link.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct link_group g = {0}, again = {0};
    _cleanup_buf_ struct buf text = BUF_INIT(8u << 20);

    if (link_parse((const char *)data, size, &g) != 0)
        return 0;
    CHECK(g.n <= LINK_MEMBERS_MAX && link_count(&g) <= g.n);
    CHECK((g.generation == 0) == (g.bytes == NULL));
    if (g.generation != 0) {
        CHECK(link_format(&g, &text) == 0);
        CHECK(link_parse(buf_str(&text), text.len, &again) == 0);
        CHECK(again.generation == g.generation && again.n == g.n);
        CHECK(again.ctime_ns == g.ctime_ns);
        CHECK(strcmp(again.bytes, g.bytes) == 0);
        for (size_t i = 0; i < g.n; i++) {
            CHECK(strcmp(again.v[i].key, g.v[i].key) == 0);
            CHECK(again.v[i].is_maybe == g.v[i].is_maybe);
        }
    }
    link_group_done(&g);
    link_group_done(&again);
    return 0;
}
