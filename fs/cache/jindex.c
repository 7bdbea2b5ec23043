/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's records on LMDB: changes, and healing after one that failed. A page that the disk
 * can't read (mapped.h) is such a failure: the environment is left where it is, and healing opens
 * the file anew. What it promised is not told from the failing page: the caller knows by itself
 * which entries stand, and nothing is acknowledged before a commit has returned 0. */
#include "jindex.h"

#include <endian.h>
#include <errno.h>
#include <lmdb.h>
#include <string.h>

#include "base/err.h"
#include "base/sys.h"
#include "jrec.h"
#include "mapped.h"

#define FIRST_MAP ((size_t)16 << 20)

/* What a failed call has to be undone with. */
struct old {
    uint64_t seq;
    void *val; /* NULL: there was none */
    size_t len;
};
struct jindex {
    char *path;
    MDB_env *env; /* NULL: it could not be opened again */
    MDB_dbi dbi;
    size_t map;
    bool sick;
    bool is_doubtful; /* the disk could not read it: it is read whole before it is believed again */
    uint64_t size;    /* the file had so many bytes after a commit */
    unsigned losses;  /* of env */
    struct old *olds;
    size_t n_olds;
};

/* --- the file --- */

static int fold(int rc)
{
    if (rc == 0)
        return 0;
    if (rc > 0)
        return err_set(-rc, "journal: index: %s", strerror(rc));
    if (rc == MDB_MAP_FULL || rc == MDB_TXN_FULL)
        return err_set(-ENOSPC, "journal: index: %s", mdb_strerror(rc));
    if (rc == MAPPED_LOST)
        return err_set(-EIO, "journal: index: the disk can't read a page of it");
    return err_set(-EIO, "journal: index: %s", mdb_strerror(rc));
}

/* Closes it, or leaves it where it is: then the next call heals. */
static void give_up_env(struct jindex *ix, bool lost)
{
    if (ix->env != NULL && lost) {
        mapped_bury(ix->env);
        ix->losses++;
    } else if (ix->env != NULL) {
        mdb_env_close(ix->env);
    }
    ix->env = NULL;
    ix->sick = ix->sick || lost;
    ix->is_doubtful = ix->is_doubtful || lost;
}

static int begin_txn(struct jindex *ix, unsigned flags, MDB_txn **ret)
{
    int rc = mapped_begin(ix->env, flags, ret);

    if (rc == MAPPED_LOST)
        give_up_env(ix, true);
    return rc;
}

/* rc of a transaction that is not committed. */
static int abort_txn(struct jindex *ix, MDB_txn *txn, int rc)
{
    if (rc != MAPPED_LOST) {
        mdb_txn_abort(txn);
    } else {
        mapped_bury(txn);
        give_up_env(ix, true);
    }
    return rc;
}

static int open_database(struct jindex *ix)
{
    MDB_txn *txn;
    int rc = mapped_begin(ix->env, MDB_RDONLY, &txn);

    return rc != 0 ? rc : abort_txn(ix, txn, mapped_open_db(txn, NULL, 0, &ix->dbi));
}

static int open_env(struct jindex *ix)
{
    MDB_envinfo info;
    int rc = ix->losses < MAPPED_LOST_MAX ? mdb_env_create(&ix->env) : EIO;

    if (rc != 0)
        return rc;
    rc = mdb_env_set_mapsize(ix->env, ix->map);
    if (rc == 0)
        rc = mapped_open(ix->env, ix->path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK | MDB_NORDAHEAD,
                         0600);
    if (rc == 0)
        rc = mapped_info(ix->env, &info); /* a larger one than was asked for, if it has to be */
    if (rc == 0)
        rc = open_database(ix);
    if (rc == 0)
        ix->map = info.me_mapsize;
    else
        give_up_env(ix, rc == MAPPED_LOST);
    return rc;
}

int jindex_open(const char *path, bool create, size_t first_map, struct jindex **ret)
{
    struct jindex *ix;
    int r = create ? sys_unlink(path) : 0;

    if (r < 0 && r != -ENOENT)
        return err_set(r, "journal: %s: %s", path, strerror(-r));
    ix = calloc(1, sizeof(*ix));
    if (ix != NULL)
        ix->path = strdup(path);
    if (ix == NULL || ix->path == NULL) {
        free(ix);
        return err_set(-ENOMEM, "journal: out of memory");
    }
    ix->map = first_map != 0 ? first_map : FIRST_MAP;
    r = fold(open_env(ix));
    if (r < 0) {
        jindex_close(ix);
        return r;
    }
    *ret = ix;
    return 0;
}

static void forget_olds(struct jindex *ix)
{
    for (size_t i = 0; i < ix->n_olds; i++)
        free(ix->olds[i].val);
    free(ix->olds);
    ix->olds = NULL;
    ix->n_olds = 0;
}

void jindex_close(struct jindex *ix)
{
    if (ix == NULL)
        return;
    if (ix->env != NULL)
        mdb_env_close(ix->env);
    forget_olds(ix);
    free(ix->path);
    free(ix);
}

bool jindex_is_sick(const struct jindex *ix)
{
    return ix->sick;
}

size_t jindex_map_size(const struct jindex *ix)
{
    return ix->map;
}

/* --- changes --- */

/* MAPPED-2. free() it. */
static int copy_val(const MDB_val *v, void **ret)
{
    void *p = malloc(v->mv_size > 0 ? v->mv_size : 1);
    int rc = p != NULL ? mapped_copy(p, v) : ENOMEM;

    if (rc == 0)
        *ret = p;
    else
        free(p);
    return rc;
}

static int note_old(struct jindex *ix, MDB_txn *txn, MDB_val *k, uint64_t seq)
{
    struct old *o = &ix->olds[ix->n_olds];
    MDB_val v;
    int rc = mapped_get(txn, ix->dbi, k, &v);

    *o = (struct old){.seq = seq};
    if (rc == 0)
        rc = copy_val(&v, &o->val);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return rc;
    o->len = rc == 0 ? v.mv_size : 0;
    ix->n_olds++;
    return 0;
}

static int apply_one(struct jindex *ix, MDB_txn *txn, const struct jindex_op *op, bool with_olds)
{
    uint64_t key = htobe64(op->seq);
    MDB_val k = {.mv_size = sizeof(key), .mv_data = &key};
    MDB_val v = {.mv_size = op->len, .mv_data = (void *)(uintptr_t)op->val};
    int rc = with_olds ? note_old(ix, txn, &k, op->seq) : 0;

    if (rc != 0)
        return rc;
    if (op->val != NULL)
        return mapped_put(txn, ix->dbi, &k, &v);
    rc = mapped_del(txn, ix->dbi, &k);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static void note_size(struct jindex *ix)
{
    struct stat st;
    mdb_filehandle_t fd;

    if (mdb_env_get_fd(ix->env, &fd) == 0 && fstat(fd, &st) == 0)
        ix->size = (uint64_t)st.st_size;
}

/* One try. Up to the commit nothing can have reached the file that a reader would follow. */
static int try_apply(struct jindex *ix, const struct jindex_op *ops, size_t n,
                     const struct jindex_state *state, bool with_olds)
{
    struct jindex_state_val sv = jindex_state_encode(state);
    MDB_val k = {.mv_size = 1, .mv_data = (void *)(uintptr_t)JINDEX_STATE_KEY};
    MDB_val v = {.mv_size = sizeof(sv), .mv_data = &sv};
    MDB_txn *txn;
    int rc = begin_txn(ix, 0, &txn);

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = apply_one(ix, txn, &ops[i], with_olds);
    if (rc == 0)
        rc = mapped_put(txn, ix->dbi, &k, &v);
    if (rc != 0)
        return abort_txn(ix, txn, rc);
    rc = mapped_commit(txn);
    if (rc == MAPPED_LOST)
        return abort_txn(ix, txn, rc);
    ix->sick = ix->sick || (rc != 0 && rc != MDB_MAP_FULL);
    if (rc == 0)
        note_size(ix);
    return rc;
}

static int apply(struct jindex *ix, const struct jindex_op *ops, size_t n,
                 const struct jindex_state *state, bool with_olds)
{
    int rc;

    for (;;) {
        if (with_olds) {
            forget_olds(ix);
            ix->olds = calloc(n > 0 ? n : 1, sizeof(*ix->olds));
            if (ix->olds == NULL)
                return ENOMEM;
        }
        rc = try_apply(ix, ops, n, state, with_olds);
        if (rc != MDB_MAP_FULL || ix->map >= JINDEX_MAX_MAP)
            return rc;
        rc = mapped_set_size(ix->env, 2 * ix->map);
        if (rc == MAPPED_LOST)
            give_up_env(ix, true);
        if (rc != 0)
            return rc;
        ix->map *= 2;
    }
}

int jindex_apply(struct jindex *ix, const struct jindex_op *ops, size_t n,
                 const struct jindex_state *state)
{
    int rc;

    if (ix->sick)
        return err_set(-EIO, "journal: the index could not be written before");
    rc = apply(ix, ops, n, state, true);
    if (!ix->sick)
        forget_olds(ix);
    return fold(rc);
}

/* One record of all; MDB_CORRUPTED. */
static int add_up(const MDB_val *k, const MDB_val *v, struct jindex_state *sum)
{
    struct jindex_rec rec;
    void *val = NULL;
    uint64_t seq;
    uint32_t crc;
    int rc;

    if (k->mv_size != sizeof(seq)) /* the state record */
        return 0;
    rc = mapped_copy(&seq, k);
    if (rc == 0)
        rc = copy_val(v, &val);
    if (rc == 0 && jindex_decode(be64toh(seq), val, v->mv_size, &rec, &crc) < 0)
        rc = MDB_CORRUPTED;
    if (rc == 0) {
        sum->count++;
        sum->digest ^= jindex_mix(be64toh(seq), crc);
    }
    free(val);
    return rc;
}

/* Has it all that the state says, after the disk could not read a page? */
static int read_whole(struct jindex *ix, const struct jindex_state *state)
{
    struct jindex_state sum = {0};
    MDB_cursor *c = NULL;
    MDB_val k, v;
    MDB_txn *txn;
    int rc = begin_txn(ix, MDB_RDONLY, &txn);

    if (rc != 0)
        return rc;
    rc = mapped_cursor(txn, ix->dbi, &c);
    for (size_t n = 0; rc == 0 && n <= state->count; n++) {
        rc = mapped_cursor_get(c, &k, &v, MDB_NEXT);
        if (rc == 0)
            rc = add_up(&k, &v, &sum);
    }
    mapped_end_cursor(c, rc == MAPPED_LOST);
    rc = abort_txn(ix, txn, rc);
    if (rc == 0 || rc == MDB_NOTFOUND)
        rc = sum.count == state->count && sum.digest == state->digest ? 0 : MDB_CORRUPTED;
    return rc;
}

int jindex_heal(struct jindex *ix, const struct jindex_state *state)
{
    struct jindex_op *ops = calloc(ix->n_olds > 0 ? ix->n_olds : 1, sizeof(*ops));
    int rc;

    if (ops == NULL)
        return err_set(-ENOMEM, "journal: out of memory");
    for (size_t i = 0; i < ix->n_olds; i++)
        ops[i] = (struct jindex_op){
            .seq = ix->olds[i].seq,
            .val = ix->olds[i].val,
            .len = ix->olds[i].len,
        };
    give_up_env(ix, false);
    rc = ix->is_doubtful ? -mapped_can_read(ix->path, ix->size) : 0;
    if (rc == 0)
        rc = open_env(ix);
    if (rc == 0) {
        rc = apply(ix, ops, ix->n_olds, state, false);
        if (rc == 0 && ix->is_doubtful)
            rc = read_whole(ix, state);
        ix->sick = rc != 0;
    }
    if (rc == 0) {
        ix->is_doubtful = false;
        forget_olds(ix);
    }
    free(ops);
    return fold(rc);
}

static int copy_record(const MDB_val *k, const MDB_val *v, uint64_t *ret_seq, void **ret,
                       size_t *ret_len)
{
    uint64_t key;
    int rc;

    if (k->mv_size != sizeof(key))
        return MDB_NOTFOUND; /* the state record is the last */
    rc = mapped_copy(&key, k);
    if (rc == 0)
        rc = copy_val(v, ret);
    *ret_len = v->mv_size;
    *ret_seq = be64toh(key);
    return rc;
}

int jindex_next(struct jindex *ix, uint64_t from, uint64_t *ret_seq, void **ret, size_t *ret_len)
{
    uint64_t key = htobe64(from);
    MDB_val k = {.mv_size = sizeof(key), .mv_data = &key}, v;
    MDB_cursor *c = NULL;
    MDB_txn *txn;
    int rc;

    if (ix->sick)
        return err_set(-EIO, "journal: the index could not be written before");
    rc = begin_txn(ix, MDB_RDONLY, &txn);
    if (rc != 0)
        return fold(rc);
    rc = mapped_cursor(txn, ix->dbi, &c);
    if (rc == 0)
        rc = mapped_cursor_get(c, &k, &v, MDB_SET_RANGE);
    if (rc == 0)
        rc = copy_record(&k, &v, ret_seq, ret, ret_len);
    mapped_end_cursor(c, rc == MAPPED_LOST);
    rc = abort_txn(ix, txn, rc);
    return rc == MDB_NOTFOUND ? JINDEX_END : fold(rc);
}
