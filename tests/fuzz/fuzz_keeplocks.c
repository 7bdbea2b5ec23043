/* SPDX-License-Identifier: Apache-2.0 */
/* vfs/keeprec: whatever stands in the takeover table, what is taken for a file's locks is in order, and reads back the same. */
#include "coord/session.h"
#include "fs/vfs/keeprec.h"
#include "fuzz.h"

static void check_set(const struct lockset *s)
{
    CHECK(s->n <= LOCKSET_MAX);
    for (size_t i = 0; i < s->n; i++) {
        const struct lock_entry *e = &s->v[i];

        CHECK(e->range.start <= e->range.end && (e->type == LOCK_TYPE_READ || e->type == LOCK_TYPE_WRITE));
        CHECK(i == 0 || e[-1].owner < e->owner || (e[-1].owner == e->owner && e[-1].range.end < e->range.start));
    }
}

static void check_whole(const struct keep_locks *k)
{
    struct lockset changed = {0};

    CHECK(strchr(k->name, '/') == NULL && strchr(k->id_name, '/') == NULL);
    CHECK(k->session[0] == '\0' || session_id_is_valid(k->session));
    CHECK(k->n_nodes <= KEEP_LOCK_NODES && k->change.kind < LOCK_KINDS && k->change.type <= LOCK_TYPE_WRITE);
    CHECK(k->change.range.start <= k->change.range.end);
    for (unsigned kind = 0; kind < LOCK_KINDS; kind++)
        check_set(&k->held[kind]);
    CHECK(lockset_copy(&k->held[k->change.kind], &changed) == 0);
    if (lockset_set(&changed, k->change.owner, 0, k->change.type, k->change.range) == 0)
        check_set(&changed);
    lockset_done(&changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_buf_ struct buf first = BUF_INIT(8u << 20), second = BUF_INIT(8u << 20);
    struct keep_locks k;

    if (keeprec_get_locks(data, size, &k) < 0) {
        CHECK(k.nodes == NULL && k.held[LOCK_POSIX].v == NULL && k.held[LOCK_FLOCK].v == NULL);
        return 0;
    }
    check_whole(&k);
    CHECK(keeprec_put_locks(&k, &first) == 0);
    keep_locks_done(&k);
    CHECK(keeprec_get_locks(first.data, first.len, &k) == 0);
    CHECK(keeprec_put_locks(&k, &second) == 0);
    keep_locks_done(&k);
    CHECK(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    return 0;
}
