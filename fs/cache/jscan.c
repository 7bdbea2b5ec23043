/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a journal's index that may be damaged. LMDB trusts what it reads: it may crash here. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <string.h>

#include "base/sys.h"
#include "jrec.h"

struct scan {
    jindex_fn fn;
    void *arg;
    struct jindex_state sum, *state;
    uint64_t last;
    bool has_state, bad;
};

static int scan_one(struct scan *s, const MDB_val *k, const MDB_val *v)
{
    struct jindex_rec rec;
    uint64_t seq;
    uint32_t crc;
    int r;

    if (k->mv_size == 1 && *(const char *)k->mv_data == JINDEX_STATE_KEY[0]) {
        r = jindex_state_decode(v->mv_data, v->mv_size, s->state);
        s->has_state = r == 0;
        return r == -EPROTO ? r : 0;
    }
    if (k->mv_size != sizeof(seq)) {
        s->bad = true;
        return 0;
    }
    memcpy(&seq, k->mv_data, sizeof(seq));
    seq = be64toh(seq);
    if (seq <= s->last) /* a page that is met twice: it would never end */
        return -EBADMSG;
    s->last = seq;
    if (jindex_decode(seq, v->mv_data, v->mv_size, &rec, &crc) < 0) {
        s->bad = true;
        return 0;
    }
    s->sum.count++;
    s->sum.digest ^= jindex_mix(seq, crc);
    return s->fn(s->arg, seq, v->mv_data, v->mv_size);
}

static int scan_all(struct scan *s, MDB_env *env)
{
    MDB_cursor *c = NULL;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val k, v;
    int r = 0, rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

    if (rc != 0)
        return rc > 0 ? -rc : -EBADMSG;
    rc = mdb_dbi_open(txn, NULL, 0, &dbi);
    if (rc == 0)
        rc = mdb_cursor_open(txn, dbi, &c);
    if (rc == 0)
        rc = mdb_cursor_get(c, &k, &v, MDB_FIRST);
    for (; rc == 0 && r == 0; rc = mdb_cursor_get(c, &k, &v, MDB_NEXT))
        r = scan_one(s, &k, &v);
    if (c != NULL)
        mdb_cursor_close(c);
    mdb_txn_abort(txn);
    if (r != 0)
        return r;
    if (rc != MDB_NOTFOUND)
        return rc > 0 ? -rc : -EBADMSG;
    return s->bad || !s->has_state || s->sum.count != s->state->count ||
                   s->sum.digest != s->state->digest || s->last >= s->state->next
               ? -EBADMSG
               : 0;
}

/* LMDB follows the newer of two roots, and an older one without a word if damage makes it look
 * newer, or the newer one unreadable. A file that was written in order has two that are a
 * transaction apart: also after a crash, when the older one is not overwritten yet. The layout is
 * that of LMDB 0.9's file format, version 1. */
struct root {
    char page_head[16];
    uint32_t magic, version;
    uint64_t address, map_size;
    struct {
        uint32_t page_size;
        uint8_t rest[44];
    } dbs[2];
    uint64_t last_page, txnid;
};
#define ROOT_MAGIC 0xBEEFC0DEu

/* -EBADMSG: it does not have both. */
static int read_roots(const char *path, struct root *a, struct root *b, size_t *ret_size)
{
    _cleanup_close_ int fd = sys_open(path, O_RDONLY, 0);
    struct stat st;
    ssize_t n = fd < 0 ? fd : sys_pread(fd, a, sizeof(*a), 0);

    if (n == sizeof(*a) && a->dbs[0].page_size >= 512 && a->dbs[0].page_size <= 65536)
        n = sys_pread(fd, b, sizeof(*b), a->dbs[0].page_size);
    else if (n == sizeof(*a))
        n = 0;
    if (n < 0)
        return (int)n;
    if (fstat(fd, &st) < 0)
        return -errno;
    *ret_size = (size_t)st.st_size;
    return n == sizeof(*b) && a->magic == ROOT_MAGIC && b->magic == ROOT_MAGIC &&
                   a->version == b->version
               ? 0
               : -EBADMSG;
}

static bool is_known_layout(void)
{
    return MDB_VERSION_MAJOR == 0 && MDB_VERSION_MINOR <= 9;
}

bool jindex_is_cut(const char *path)
{
    struct root a, b;
    const struct root *newer;
    size_t size;

    if (!is_known_layout())
        return true;
    if (read_roots(path, &a, &b, &size) < 0)
        return false;
    newer = a.txnid > b.txnid ? &a : &b;
    /* LMDB takes that one's size of a page, too */
    return newer->dbs[0].page_size == 0 || newer->last_page >= size / newer->dbs[0].page_size;
}

static int check_roots(const char *path, size_t *ret_size)
{
    struct root a, b;
    int r = read_roots(path, &a, &b, ret_size);

    if (r < 0)
        return r;
    if (a.last_page > JINDEX_MAX_MAP / 512 || b.last_page > JINDEX_MAX_MAP / 512)
        return -EBADMSG; /* the last page itself need not be in the file: one that was not used in
                            the end */
    return a.txnid - b.txnid == 1 || b.txnid - a.txnid == 1 ? 0 : -EBADMSG;
}

int jindex_scan(const char *path, jindex_fn fn, void *arg, struct jindex_state *ret)
{
    struct scan s = {.fn = fn, .arg = arg, .state = ret};
    MDB_env *env;
    size_t size = 0;
    int r, rc, roots = check_roots(path, &size);

    *ret = (struct jindex_state){0};
    if (!is_known_layout())
        roots = 0;
    if (roots < 0 && roots != -EBADMSG)
        return roots;
    rc = mdb_env_create(&env);
    if (rc != 0)
        return rc > 0 ? -rc : -EIO;
    rc = mdb_env_set_mapsize(env, size); /* not what the file says */
    if (rc == 0)
        rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK | MDB_RDONLY, 0600);
    if (rc == 0)
        r = scan_all(&s, env);
    else
        r = rc > 0 && roots == 0 ? -rc : rc == MDB_VERSION_MISMATCH ? -EPROTO : -EBADMSG;
    mdb_env_close(env);
    return r == 0 ? roots : r;
}
