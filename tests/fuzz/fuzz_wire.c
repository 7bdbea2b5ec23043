/* SPDX-License-Identifier: Apache-2.0 */
/* control/wire: an answer of the daemon, taken apart; and one put together, of any text, that must
 * come apart the same. The first byte: 0 takes the input as an answer, else its lines are error and
 * text. */
#include "fs/control/wire.h"

#include <errno.h>

#include "base/err.h"
#include "fuzz.h"

static void take(struct fuzz *in)
{
    _cleanup_free_ char *text = fuzz_rest(in);
    size_t before = strlen(text);
    int r = wire_take_result(text);

    CHECK(r == 0 || r == -EREMOTEIO || r == -ECONNRESET);
    CHECK(strlen(text) <= before);
    CHECK(r == -ECONNRESET || text[0] == '\0' || text[strlen(text) - 1] == '\n');
}

static void give(struct fuzz *in, int verdict)
{
    _cleanup_free_ char *error = fuzz_line(in), *text = fuzz_rest(in);
    _cleanup_buf_ struct buf out = BUF_INIT(8u << 20);
    size_t len = strlen(text);
    int r;

    buf_adds(&out, text);
    wire_add_result(&out, verdict, error);
    CHECK(!buf_failed(&out));
    r = wire_take_result(out.data);
    CHECK(r == (verdict >= 0 ? 0 : -EREMOTEIO));
    CHECK(strncmp(out.data, text, len) == 0);
    CHECK(strcmp(out.data + len, len > 0 && text[len - 1] != '\n' ? "\n" : "") == 0);
    if (r < 0 && error[0] != '\0' && strlen(error) < ERR_TEXT_MAX && strchr(error, '\r') == NULL)
        CHECK(strcmp(err_text(), error) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    unsigned which = fuzz_u8(&in);

    if (which == 0)
        take(&in);
    else
        give(&in, which % 2 != 0 ? -EIO : 0);
    return 0;
}
