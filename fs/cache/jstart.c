/* SPDX-License-Identifier: Apache-2.0 */
/* What the last process left. The index is read by a child, which alone would die of a damaged one,
 * and every sound record goes into a new index, which takes the old one's name when it is whole and
 * synced: so there is one way only, for a clean stop, a crash and damage, and a crash in the middle
 * of it changes nothing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "apart.h"
#include "base/err.h"
#include "base/log.h"
#include "base/sys.h"
#include "jrn.h"
#include "mapped.h"

#define ROUND 1024u                        /* records a transaction */
#define ROOM_TO_START (UINT64_C(32) << 20) /* freed when the disk is full */
#define ROUND_BYTES ((size_t)32 << 20)
#define AFTER_DAMAGE                                                                               \
    (UINT64_C(1) << 32) /* numbers that are left out: the last one is not known                    \
                         */

struct start {
    struct journal *j;
    struct jindex *index;  /* the new one */
    struct jindex_op *ops; /* those not written yet; their values are ours */
    size_t n_ops, bytes;
    bool is_damaged, is_again;
    struct jindex_state found, state;
};

/* --- the child --- */

struct frame { /* before each record; seq 0: the end, with the verdict */
    uint64_t seq, len;
};
struct verdict {
    int r;
    struct jindex_state state;
};

static int send_record(void *arg, uint64_t seq, const void *val, size_t len)
{
    int fd = *(const int *)arg, r;
    struct frame f = {.seq = seq, .len = len};

    r = sys_write_all(fd, &f, sizeof(f));
    return r == 0 ? sys_write_all(fd, val, len) : r;
}

static void scan_in_child(void *arg, int fd)
{
    struct frame end = {.len = sizeof(struct verdict)};
    struct verdict v = {0};

    v.r = jindex_scan(arg, send_record, &fd, &v.state);
    if (sys_write_all(fd, &end, sizeof(end)) == 0)
        (void)!sys_write_all(fd, &v, sizeof(v));
}

/* --- records --- */

static int write_round(struct start *s)
{
    int r = s->n_ops > 0 ? jindex_apply(s->index, s->ops, s->n_ops, &s->state) : 0;

    for (size_t i = 0; i < s->n_ops; i++)
        free((void *)(uintptr_t)s->ops[i].val);
    s->n_ops = 0;
    s->bytes = 0;
    return r;
}

/* An entry that can't be replayed: what there is of it goes to lost+found. */
static int lose(struct journal *j, const struct jindex_rec *rec, const char *path, bool has_file)
{
    char name[64];
    int r;

    snprintf(name, sizeof(name), "journal-%" PRIu64 ".record", rec->seq);
    r = jrn_keep_bytes(j, rec->body, rec->len, name,
                       has_file ? "its bytes are shorter than they were acknowledged"
                                : "its bytes are missing from the journal");
    snprintf(name, sizeof(name), "journal-%" PRIu64, rec->seq);
    if (r == 0 && has_file)
        r = jrn_keep_file(j, path, name, "shorter than what was acknowledged; see its .record");
    return r;
}

static int take_record(struct start *s, uint64_t seq, void *val, size_t len)
{
    struct journal *j = s->j;
    struct jrn_live e = {.seq = seq};
    struct jindex_rec rec;
    char path[PATH_MAX];
    struct stat st;
    int r;

    if (jindex_decode(seq, val, len, &rec, &e.crc) < 0) {
        free(val);
        return err_set(-EIO, "journal: entry %" PRIu64 " changed while it was read", seq);
    }
    jrn_file_path(j, seq, path);
    if (rec.has_file) {
        r = lstat(path, &st) < 0 ? -errno : 0;
        if (r < 0 && r != -ENOENT)
            r = err_set(r, "journal: %s: %s", path, strerror(-r));
        else if (r < 0 || (uint64_t)st.st_size < rec.size)
            r = lose(j, &rec, path, r == 0);
        else
            r = 1;
        if (r != 1) {
            free(val);
            return r;
        }
        e.alloc = (uint64_t)st.st_blocks * 512;
    }
    e.has_file = rec.has_file;
    e.since_ns = rec.since_ns;
    s->ops[s->n_ops++] = (struct jindex_op){.seq = seq, .val = val, .len = len};
    s->bytes += len;
    s->state.count++;
    s->state.digest ^= jindex_mix(seq, e.crc);
    s->state.next = seq + 1;
    r = jrn_table_reserve(&j->locked.live, 1);
    if (r < 0)
        return r;
    jrn_table_add(&j->locked.live, &e);
    j->locked.entries++;
    j->locked.bytes += e.alloc;
    j->cache->used.staged += e.alloc;
    return s->n_ops == ROUND || s->bytes >= ROUND_BYTES ? write_round(s) : 0;
}

/* --- the parent --- */

/* 0: the verdict is in. -EPIPE: the child ended before. */
static int read_frames(struct start *s, struct apart *a, struct verdict *ret)
{
    for (;;) {
        struct frame f;
        void *val;
        int r = apart_read(a, &f, sizeof(f));

        if (r == 0 && f.seq == 0)
            return f.len == sizeof(*ret) ? apart_read(a, ret, sizeof(*ret)) : -EPIPE;
        if (r < 0)
            return r;
        val = malloc(f.len > 0 ? f.len : 1);
        if (val == NULL)
            return err_set(-ENOMEM, "journal: out of memory");
        r = apart_read(a, val, f.len);
        if (r < 0) {
            free(val);
            return r;
        }
        r = take_record(s, f.seq, val, f.len);
        if (r < 0)
            return r;
    }
}

/* Damage is told from what only hinders the reading: then nothing may be moved. */
static int judge(struct start *s, const struct verdict *v, const char *path)
{
    s->found = v->state;
    if (v->r == 0)
        return 0;
    if (v->r == -EPROTO)
        return err_set(-EINVAL, "journal %s: of another version of s3efs; drain it with that one",
                       path);
    if (v->r != -EBADMSG && v->r != -ENOENT)
        return err_set(v->r, "journal %s: %s", path, strerror(-v->r));
    s->is_damaged = true;
    return 0;
}

/* A page of it could not be read. A disk that can't is no damage: nothing may be moved, the next
 * start may have it. If all of it can be read by now, it may have been for a moment: once more. Only
 * one that is shorter than it says and meets that again is damaged. */
static int judge_bus(struct start *s, const char *path)
{
    int r = mapped_can_read(path, 0);

    if (r < 0)
        return err_set(-EIO, "journal %s: the disk can't read it: %s", path, strerror(-r));
    if (!s->is_again)
        return err_set(-EAGAIN, "journal %s: the disk could not read it", path);
    if (!jindex_is_cut(path))
        return err_set(-EIO, "journal %s: the disk could not read it, and again", path);
    s->is_damaged = true;
    return 0;
}

static int read_old(struct start *s, char *path)
{
    struct verdict v = {0};
    struct apart a;
    int sig, r = apart_start(&a, 0, scan_in_child, path);

    if (r < 0)
        return err_set(r, "journal: no process to check it: %s", strerror(-r));
    r = read_frames(s, &a, &v);
    sig = apart_end(&a);
    if (r == 0)
        return judge(s, &v, path);
    if (r != -EPIPE)
        return r;
    if (sig == 0 || sig == SIGKILL || sig == SIGTERM)
        return err_set(-EIO, "journal %s: its check was ended from outside", path);
    if (sig == SIGBUS)
        return judge_bus(s, path);
    s->is_damaged = true; /* it crashed */
    return 0;
}

/* --- files that no record speaks for --- */

static int check_file(struct start *s, const char *name)
{
    struct journal *j = s->j;
    char path[PATH_MAX + NAME_MAX + 2], label[NAME_MAX + 16];
    uint64_t seq;
    bool ours = jrn_file_seq(name, &seq);

    if (ours && jrn_table_find(&j->locked.live, seq) != NULL)
        return 0;
    snprintf(path, sizeof(path), "%s/%s", j->files, name);
    if (ours && !s->is_damaged && seq < s->found.next) { /* JRN-2: dropped */
        (void)!sys_unlink(path);
        return 0;
    }
    if (ours && seq >= s->state.next)
        s->state.next = seq + 1;
    snprintf(label, sizeof(label), "journal-%s", name);
    return jrn_keep_file(j, path, label,
                         s->is_damaged ? "the journal's index was damaged and does not know it"
                                       : "its close or fsync was under way, not acknowledged");
}

static int check_files(struct start *s)
{
    struct dirent *e;
    int r = 0;
    DIR *d = opendir(s->j->files);

    if (d == NULL)
        return err_set(-errno, "journal: %s: %s", s->j->files, strerror(errno));
    while (r == 0 && (errno = 0, e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = check_file(s, e->d_name);
    if (r == 0 && errno != 0)
        r = err_set(-errno, "journal: %s: %s", s->j->files, strerror(errno));
    closedir(d);
    return r;
}

/* --- the whole --- */

static int check_links(const char *index, const char *dir)
{
    char path[PATH_MAX + 16];
    int r;

    snprintf(path, sizeof(path), "%s/link", dir);
    (void)!sys_unlink(path); /* of a start that was killed */
    r = sys_link(index, path);
    if (r == -EPERM || r == -EOPNOTSUPP || r == -ENOSYS)
        return err_set(-ENOTSUP, "journal: the file system of %s has no hard links", dir);
    (void)!sys_unlink(path);
    return r < 0 ? err_set(r, "journal: %s: %s", path, strerror(-r)) : 0;
}

/* Under a second name: the first one stays until the new index takes it. */
static int keep_index(struct journal *j, const char *index)
{
    char path[PATH_MAX + 16];
    int r;

    snprintf(path, sizeof(path), "%s/link", j->dir);
    (void)!sys_unlink(path);
    r = sys_link(index, path);
    if (r < 0)
        return err_set(r, "journal: %s: %s", path, strerror(-r));
    return jrn_keep_file(j, path, "journal-index", "damaged; its sound records were taken over");
}

static int rebuild(struct start *s, char *index, bool is_new)
{
    struct journal *j = s->j;
    int r = is_new ? 0 : read_old(s, index);

    s->is_damaged =
        s->is_damaged || is_new; /* files without any index: nobody knows what they are */
    if (r == 0)
        r = write_round(s);
    if (r == 0)
        r = check_files(s);
    if (r == 0 && s->is_damaged && !is_new)
        r = keep_index(j, index);
    if (s->state.next < s->found.next)
        s->state.next = s->found.next;
    if (s->is_damaged && (!is_new || j->locked.lost > 0))
        s->state.next += AFTER_DAMAGE;
    return r == 0 ? jindex_apply(s->index, NULL, 0, &s->state) : r;
}

static int replace_index(struct start *s, const char *index, const char *fresh)
{
    struct journal *j = s->j;
    int r = check_links(fresh, j->dir);

    jindex_close(steal(&s->index));
    if (r == 0) {
        r = sys_rename(fresh, index);
        if (r < 0)
            err_set(r, "journal: %s: %s", index, strerror(-r));
    }
    crash_point("journal.replaced");
    if (r == 0)
        r = jrn_sync_folders(j);
    if (r == 0)
        r = jindex_open(index, false, 0, &j->index);
    j->state = s->state;
    j->next = s->state.next;
    return r;
}

/* What a round that failed had taken over. */
static void forget_live(struct journal *j)
{
    cache_used_move(&j->cache->used.staged, j->locked.bytes, 0);
    j->locked.bytes = 0;
    j->locked.entries = 0;
    j->locked.live.n = 0;
}

static int start_once(struct journal *j, char *index, const char *fresh, bool is_again)
{
    struct start s = {.j = j, .is_again = is_again, .state = {.next = 1}};
    bool is_new = access(index, F_OK) < 0;
    int r;

    if (is_new && errno != ENOENT)
        return err_set(-errno, "journal: %s: %s", index, strerror(errno));

    s.ops = calloc(ROUND, sizeof(*s.ops));
    if (s.ops == NULL)
        return err_set(-ENOMEM, "journal: out of memory");
    r = jindex_open(fresh, true, 0, &s.index);
    if (r == 0)
        r = rebuild(&s, index, is_new);
    crash_point("journal.copied");
    if (r == 0)
        r = replace_index(&s, index, fresh);
    for (size_t i = 0; i < s.n_ops; i++)
        free((void *)(uintptr_t)s.ops[i].val);
    free(s.ops);
    jindex_close(s.index);
    if (r < 0)
        forget_live(j);
    return r;
}

struct tries {
    bool is_again; /* after -EAGAIN */
    bool has_room; /* after -ENOSPC: clean blocks may have had some */
};

static bool is_worth_another(struct journal *j, int r, struct tries *t)
{
    if (r == -EAGAIN && !t->is_again)
        return t->is_again = true;
    if (r != -ENOSPC || t->has_room)
        return false;
    cache_evict_some(j->cache, ROOM_TO_START);
    return t->has_room = true;
}

int jrn_start(struct journal *j)
{
    char index[PATH_MAX + 16], fresh[PATH_MAX + 16];
    struct tries t = {0};
    int r = jrn_make_folders(j);

    if (r < 0)
        return r;
    snprintf(index, sizeof(index), "%s/index", j->dir);
    snprintf(fresh, sizeof(fresh), "%s/index.new", j->dir);
    do
        r = start_once(j, index, fresh, t.is_again);
    while (is_worth_another(j, r, &t));
    return r;
}
