/* SPDX-License-Identifier: Apache-2.0 */
/* compare/mountstats: any text as /proc/self/mountstats. First line: the mount point. What is read,
 * written plainly, reads the same. */
#include "fs/compare/mountstats.h"

#include <inttypes.h>

#include "fuzz.h"

static void check_rewrite(const struct counts *c)
{
    _cleanup_buf_ struct buf b = BUF_INIT(1u << 20);
    static struct counts again;

    buf_adds(&b, "device x:/ mounted on /m with fstype nfs statvers=1.1\n");
    buf_addf(&b, "\tbytes:\t0 0 0 0 %" PRIu64 " %" PRIu64 " 0 0\n\tper-op statistics\n",
             c->bytes_down, c->bytes_up);
    for (size_t i = 0; i < c->n; i++) {
        buf_addf(&b, "\t%s: %" PRIu64 " 0 0 %" PRIu64 " 0 0 0 0\n", c->op[i].name, c->op[i].n,
                 c->op[i].bytes);
    }
    CHECK(!buf_failed(&b));
    CHECK(mountstats_parse(buf_str(&b), "/m", &again) == 0);
    CHECK(again.n == c->n && again.bytes_up == c->bytes_up && again.bytes_down == c->bytes_down);
    CHECK(counts_total(&again) == counts_total(c));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    _cleanup_free_ char *mountpoint = fuzz_line(&in);
    _cleanup_free_ char *text = fuzz_rest(&in);
    static struct counts c, none;

    if (mountstats_parse(text, mountpoint, &c) != 0)
        return 0;
    CHECK(c.n <= COUNTS_MAX);
    for (size_t i = 0; i < c.n; i++)
        CHECK(c.op[i].name[0] != '\0' && fuzz_is_printable(c.op[i].name));
    check_rewrite(&c);
    CHECK(counts_between(&c, &c, &none) == 0 && none.n == 0);
    return 0;
}
