/* SPDX-License-Identifier: Apache-2.0 */
/* coord/intent: whatever stands in a record, what is taken for an intent is whole, and reads back
 * the same. The input is the body. */
#include "base/str.h"
#include "coord/intent.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *body = fuzz_copy(data, size);
    _cleanup_buf_ struct buf text = BUF_INIT(65536);
    struct intent a, b;

    if (intent_parse(body, &a) < 0) {
        CHECK(a.state == INTENT_NONE && a.from[0] == '\0');
        return 0;
    }
    if (a.state == INTENT_NONE)
        return 0;
    CHECK(a.from[0] != '\0' && a.to[0] != '\0' && strcmp(a.from, a.to) != 0);
    CHECK(session_id_is_valid(a.session));
    CHECK(!a.is_dir || (str_ends(a.from, "/") && !str_starts(a.to, a.from)));
    intent_format(&a, &text);
    CHECK(!buf_failed(&text));
    CHECK(intent_parse(buf_str(&text), &b) == 0);
    CHECK(intent_is_same(&a, &b) && a.state == b.state && a.is_dir == b.is_dir);
    CHECK(a.is_target == b.is_target && strcmp(a.session, b.session) == 0);
    CHECK(strcmp(a.id, b.id) == 0 && store_etag_equal(&a.source, &b.source));
    CHECK(store_etag_equal(&a.target, &b.target));
    return 0;
}
