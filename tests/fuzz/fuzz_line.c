/* SPDX-License-Identifier: Apache-2.0 */
/* control/wire: a request on the control socket as it comes in pieces. The first byte seeds the
 * sizes of the pieces; what comes of them must be what comes of the same bytes one at a time. */
#include "control/control.h"

#include <errno.h>

#include "fs/control/wire.h"
#include "fuzz.h"

/* Reads as the daemon does; 1: the bytes ended before the line did. */
static int read_pieces(struct fuzz in, unsigned seed, bool singly, char *line)
{
    size_t len = 0;
    int r = 1;

    while (r == 1 && in.n > 0) {
        size_t room = CONTROL_LINE_MAX - len, n = singly ? 1 : 1 + seed % 97;

        seed = seed * 29 + 7;
        CHECK(room > 0);
        n = n < room ? n : room;
        n = n < in.n ? n : in.n;
        memcpy(line + len, in.p, n);
        in.p += n;
        in.n -= n;
        r = wire_take_bytes(line, &len, n);
        CHECK(len <= CONTROL_LINE_MAX);
    }
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *a = malloc(CONTROL_LINE_MAX + 1), *b = malloc(CONTROL_LINE_MAX + 1);
    struct fuzz in = {data, size};
    unsigned seed = fuzz_u8(&in);
    int r, again;

    CHECK(a != NULL && b != NULL);
    r = read_pieces(in, seed, false, a);
    again = read_pieces(in, seed, true, b);
    CHECK(r == again);
    CHECK(r == 0 || r == 1 || r == -E2BIG || r == -EINVAL);
    if (r == 0) {
        CHECK(strcmp(a, b) == 0 && strchr(a, '\n') == NULL && strlen(a) < CONTROL_LINE_MAX);
        CHECK(memcmp(a, in.p, strlen(a)) == 0 && in.p[strlen(a)] == '\n');
    }
    return 0;
}
