/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of test_mounts_model share: several mounts of one bucket, the bucket's history as
 * the store's hooks saw it, and what each mount's open files hold. The bucket is one register a
 * key, so its history is the truth; a mount's answer is right if some state of the key during the
 * call (or, for what may be cached, within the attribute times) explains it, and a write to the
 * bucket is right if the mount's own open file explains every byte of it. */
#ifndef S3EFS_TESTS_MOUNTS_H
#define S3EFS_TESTS_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "tests/lib/memstore.h"
#include "tests/lib/rig.h"

#define CELL 16 /* bytes; each names the write that it comes from */
#define CELLS_MAX 4096
#define MOUNTS 3
#define HANDLES 4 /* a mount */
#define PINS 4
#define N_FILES 7
#define N_DIRS 2
#define N_KEYS (N_FILES + N_DIRS) /* the directories' markers come last */
#define SEEDS_MORE 100000
#define N_COUNTERS 2 /* of mounts_locks.c */
#define AC_MAX_NS (60 * NS_PER_S)

/* True when byte ranges and appends onto another's version of the same file are merged (protocol
 * 2b, 2c); until then such a close says ESTALE. */
#ifndef MODEL_MERGES
#define MODEL_MERGES 1
#endif

enum kind {
    M_OPEN,
    M_OPEN_RDWR,
    M_OPEN_APPEND,
    M_OPEN_TRUNC,
    M_OPEN_EXCL,
    M_READ,
    M_WRITE,
    M_TRUNCATE,
    M_FSYNC,
    M_CLOSE,
    M_PUT,
    M_ADD,
    M_GET,
    M_STAT,
    M_LS,
    M_PIN,
    M_UNLINK,
    M_RENAME,
    M_NOREPLACE,
    M_MKDIR,
    M_RMDIR,
    M_CHMOD,
    M_FOREIGN_PUT,
    M_FOREIGN_DELETE,
    M_FOREIGN_COPY,
    M_REMOUNT,
    M_CACHE_LOSS,
    M_TICK,
    M_MORE, /* the moves from here on are made by seeds from SEEDS_MORE on only */
    M_FALLOCATE = M_MORE,
    M_LOCK_ADD,
    M_KINDS
};
extern const char *const move_names[M_KINDS];

enum fault {
    F_NONE,
    F_PUT_RETRIED,  /* the PUT's reply is lost, the retry finds the condition broken */
    F_PUT_LOST,     /* the PUT's reply is lost: EIO */
    F_PUT_REFUSED,  /* nothing is done: EACCES */
    F_PUT_IN_DOUBT, /* the reply is lost, and the question after it fails */
    F_DELETE_LOST,
    F_GET_FAILS,
    F_KINDS
};

struct move {
    enum kind kind;
    enum fault fault;
    unsigned mount, handle, path, path2, off, len;
    /* The k-th request of the move (0: none) stops, before it is done or before its reply arrives,
     * while the next hold_n moves run. */
    unsigned hold_at, hold_n;
    bool hold_after;
};

struct content {
    size_t n;
    uint32_t *v; /* write << 12 | part; 0 a hole */
};
void content_free(struct content *c);
struct content content_copy(const struct content *c);
bool content_equal(const struct content *a, const struct content *b);
void content_set(struct content *c, size_t at, uint32_t cell); /* grows, holes between */
/* false: bytes that nobody wrote, or half a cell */
bool content_parse(const void *bytes, size_t len, struct content *ret);
bool content_starts(const struct content *c, const struct content *head);
void cells_fill(struct content *c, size_t at, unsigned len, unsigned id);
void content_bytes(const struct content *c, char *ret); /* c->n * CELL */
const char *content_text(const struct content *c);      /* of a few buffers that go round */

struct version {
    unsigned t; /* count of events */
    int64_t at_ns;
    bool present;
    unsigned ident; /* which file it is: kept by rewrites and renames of mounts */
    struct content c;
};

struct key {
    struct version *v; /* the first: absent, at 0 */
    size_t n, cap;
};

struct lfile { /* an open file of one mount: its handles share it */
    struct lfile *next;
    unsigned mount, path;
    size_t base; /* of the key's versions: what its clean bytes come from */
    unsigned ident, ident2;
    bool is_new, is_excl, is_whole, is_dirty, is_cut;
    bool is_unlinked; /* by this mount: its bytes may go */
    bool is_dead;     /* its last writer was refused; what is left reads what was kept */
    bool is_either; /* its name came or went while it was opened: it is the one file or the other */
    bool is_maybe;  /* this mount may have seen that the name leads to another version */
    bool may_move;  /* all of its readers were at its end: it may go to a newer version */
    bool may_jump;  /* also to one with other bytes: its attributes were set here */
    bool has_appended,
        has_ranges;    /* since its last commit: both, or ranges past the end, are hard */
    bool is_merged;    /* others' bytes joined at a commit: readers may have them or not */
    bool is_doubt_new; /* and it was new, so for all that its mount knows it still is */
    bool is_doubt;     /* a commit of it was done and said to have failed */
    unsigned n_handles, n_writers;
    struct content c;
    bool dirty_cells[CELLS_MAX];
};

struct mhandle {
    bool is_open, is_writer, is_append;
    bool is_reader, is_read_out; /* has read to the end, or may have */
    uint64_t fh, node;
    struct lfile *f;
};

struct doing { /* a move under way */
    const struct move *m;
    struct doing *outer;
    unsigned t0, requests;
    int64_t boot0;
    bool has_erred;
    bool is_soft; /* holds nothing that another call on its mount would wait for */
    bool had_hold;
    unsigned waits; /* for a move that is held: so often it asked for an intent */
    bool gave_up;   /* and its requests failed from then on */
    struct {
        unsigned path;
        struct content c;
    } pubs[16];
    unsigned n_pubs;
    size_t moved_base; /* + 1: of the source's versions, which a rename of unsent bytes replaces */
    size_t own_before[N_KEYS], seen_before[N_KEYS];
    size_t own_now[N_KEYS]; /* counts from now on if the move succeeds */
    unsigned local_before[N_KEYS];
};

struct world {
    struct rig rig[MOUNTS];
    int64_t skew_ns[MOUNTS];
    struct key keys[N_KEYS];
    struct lfile *files;
    struct mhandle handles[MOUNTS][HANDLES + 1]; /* the last: of moves that open and close */
    /* When a name last went by this mount's doing, or may have: its listings leave it out as long
     * as they are believed. */
    int64_t gone_ns[MOUNTS][N_FILES];
    bool in_doubt[MOUNTS][N_FILES]; /* attributes were sent, and said to have failed */
    uint64_t pins[MOUNTS][PINS];
    unsigned next_pin[MOUNTS];
    /* The least version that a mount may still answer with: of its own doing; of what it saw. */
    size_t own[MOUNTS][N_KEYS], seen[MOUNTS][N_KEYS];
    int64_t own_ns[MOUNTS][N_KEYS]; /* when its doing ended: from then on it is believed */
    unsigned local[MOUNTS][N_KEYS]; /* counts changes of the open files there */
    unsigned t, next_write, next_ident;
    struct {
        unsigned long n, maybe; /* mounts_locks.c */
    } counted[N_COUNTERS];
    struct doing *doing;
    const struct move *moves;
    size_t n_moves, next;
    bool has_failed;
    char why[1024];
    char *history;
    size_t history_len, history_cap;
};
extern struct world w;

/* --- mounts_run.c --- */
int model_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void model_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void describe(const struct move *m, char *buf, size_t size);
bool is_soft(enum kind k); /* it holds nothing that another call on its mount would wait for */
int run_one(const struct move *m);
void run_hook_before(void *arg, struct store *s, const struct store_req *req, int result);
void run_hook_after(void *arg, struct store *s, const struct store_req *req, int result);

/* --- mounts_log.c: the bucket's history --- */
extern const char *const paths[N_FILES];
extern const char *const dirs[N_DIRS];
int key_index(const char *key);               /* -1: none of the model's */
int dir_of(unsigned path);                    /* of N_DIRS, -1: the top */
size_t version_at(unsigned k, unsigned t);    /* the version that was current at t */
size_t version_at_ns(unsigned k, int64_t ns); /* the same by time */
bool was_present(unsigned k, size_t from);    /* at any time from version `from` on */
bool was_absent(unsigned k, size_t from);
bool has_changed(unsigned k, size_t since); /* is or was any other than version `since` after it */
bool dir_was(unsigned d, int64_t since_ns, bool absent); /* at any time since then */
bool dir_was_absent(unsigned d, int64_t since_ns);
int do_foreign(struct doing *d); /* the moves of a writer that knows nothing of us */
void log_hook_after(void *arg, struct store *s, const struct store_req *req, int result);
void log_free(void);

/* --- mounts_file.c: open files --- */
struct lfile *lfile_new(unsigned mount, unsigned path);
void lfile_unref(struct lfile *f);
/* Its mount was asked to remove or move its name; whether it had left the file behind before, the
 * mount itself says: -ESTALE it had; -ENOENT the file has no name any more; else of N_FILES. */
int lfile_whereabouts(const struct lfile *f);
bool lfile_is_attached(const struct lfile *f, unsigned mount, unsigned path);
/* A mount looked at a path: its clean files of other versions may have been left behind. */
void lfiles_touch(unsigned mount, unsigned path);
/* The mount published content at a path over version `was`: 0, or the model has failed. Gives the
 * ident of the new version. */
int publish_explain(struct doing *d, unsigned path, const struct content *c, size_t was,
                    unsigned *ret_ident);
int delete_explain(struct doing *d, unsigned path, size_t was);
/* The first `cells`, or all: then it is read out. -errno. */
int handle_content(unsigned mount, struct mhandle *h, size_t cells, struct content *ret);
/* Is it what a commit that failed may have left: merged here, and not sent? */
bool lfile_was_merged(const struct lfile *f, const struct content *c);
/* If the file may have gone to a newer version: has it? */
void lfiles_follow(unsigned mount, unsigned path);
int lost_found_has(unsigned mount, const struct lfile *f); /* 1, 0 */

/* --- mounts_open.c --- */
/* As rig_open_file, and the node is known after: its handle and its node. */
int open_path(struct rig *r, const char *path, int flags, struct mhandle *h);
struct mhandle *slot_of(const struct doing *d);
int do_open(struct doing *d, int flags);
int handle_shut(struct doing *d, struct mhandle *h); /* close(2) */

/* --- mounts_handle.c --- */
int do_handle_move(struct doing *d);
int close_all(struct doing *d);
bool error_is_fault(const struct doing *d, int r);

/* --- mounts_range.c --- */
int do_fallocate(struct doing *d);

/* --- mounts_locks.c --- */
extern const char *const counters[N_COUNTERS];
int do_lock_add(struct doing *d);
int check_counter(void);

/* --- mounts_names.c --- */
/* The oldest version of a key that a mount may answer with from what it knew. */
size_t oldest_known(const struct doing *d, unsigned k, bool by_name);
struct names {
    struct rig *rig;
    bool files[N_FILES], dirs[N_DIRS];
    const char *dir;
    char strange[64];
};

int names_list(struct rig *rig, const char *dir, bool plus, struct names *ret);
int do_name_move(struct doing *d);

/* --- mounts_rest.c --- */
int check_settled(void);

#endif
