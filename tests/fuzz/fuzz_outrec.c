/* SPDX-License-Identifier: Apache-2.0 */
/* vfs/outrec: whatever stands in the journal, what is taken for a file's entry is whole, and reads
 * back the same. */
#include "fs/vfs/outrec.h"
#include "fuzz.h"

static void check_headers(const struct store_hdrs *h)
{
    for (size_t i = 0; i < h->n; i++)
        CHECK(strpbrk(h->v[i].name, "\r\n") == NULL && strpbrk(h->v[i].value, "\r\n") == NULL);
}

static void check_whole(const struct outrec *r)
{
    const struct data_state *b = &r->bytes;

    CHECK(r->key[0] != '\0' && (r->key[strlen(r->key) - 1] == '/') == S_ISDIR(r->attr.mode));
    CHECK(strlen(r->attr.id) == 32);
    CHECK(upload_mark_is_valid(r->mark) && r->n_doubts <= OUTREC_DOUBTS);
    CHECK(b->base_valid <= b->size && b->base_valid <= r->obj_size && b->size <= DATA_SIZE_MAX);
    for (size_t i = 0; i < b->n; i++) {
        CHECK(b->ext[i].len > 0 && b->ext[i].off + b->ext[i].len <= b->size);
        CHECK(i == 0 || b->ext[i - 1].off + b->ext[i - 1].len < b->ext[i].off);
    }
    CHECK(r->n_links <= OUTREC_LINKS && (r->n_links == 0 || (r->is_new && S_ISREG(r->attr.mode) && r->from.key[0] == '\0')));
    for (unsigned i = 0; i < r->n_links; i++)
        CHECK(r->links[i][0] != '\0' && strcmp(r->links[i], r->key) != 0);
    check_headers(&r->edits);
    check_headers(&r->hdrs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_buf_ struct buf first = BUF_INIT(OUTREC_MAX), second = BUF_INIT(OUTREC_MAX);
    struct outrec r;

    if (outrec_decode(data, size, &r) < 0) {
        CHECK(r.key[0] == '\0' && r.bytes.ext == NULL && r.edits.v == NULL);
        return 0;
    }
    check_whole(&r);
    CHECK(outrec_encode(&r, &first) == 0);
    outrec_done(&r);
    CHECK(outrec_decode(first.data, first.len, &r) == 0);
    CHECK(outrec_encode(&r, &second) == 0);
    CHECK(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    outrec_done(&r);
    return 0;
}
