/* SPDX-License-Identifier: Apache-2.0 */
/* The removals that wait: made, found, left (removal.h). Who runs them is in removing.c. */
#include "removal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "cache/journal.h"
#include "outbox.h"

#define JOURNAL_ENTRY 128 /* what the journal keeps of one in memory */

static uint64_t hash_of(const char *key)
{
    return str_hash(key, strlen(key));
}

struct removal *removal_find_locked(struct vfs *v, const char *key)
{
    struct map_link *l =
        v->locked.removals.n > 0 ? map_first(&v->locked.removals, hash_of(key)) : NULL;

    for (; l != NULL; l = map_next(l)) {
        struct removal *m = container_of(l, struct removal, by_key);

        if (!m->is_done && strcmp(m->key, key) == 0)
            return m;
    }
    return NULL;
}

bool removal_stands_locked(struct vfs *v, const char *key)
{
    return removal_find_locked(v, key) != NULL;
}

struct removal *removal_new(const struct removerec *rec)
{
    size_t n = strlen(rec->key) + 1;
    struct removal *m = calloc(1, sizeof(*m) + n);

    if (m == NULL)
        return NULL;
    memcpy(m->key, rec->key, n);
    m->etag = rec->etag;
    memcpy(m->id, rec->id, sizeof(m->id));
    m->obj_size = rec->obj_size;
    m->is_moved = rec->is_moved;
    memcpy(m->ctime, rec->ctime, sizeof(m->ctime));
    m->made_ns = clock_boot_ns();
    m->counted = sizeof(*m) + n + JOURNAL_ENTRY;
    return m;
}

/* --- made --- */

/* Only where it is sure which version the bucket has: what was sent under a reply that was lost is
 * found out by who waits. */
static bool can_wait_locked(const struct vfs *v, const struct inode *i)
{
    const struct outgoing *o = i->out;

    if (v->conf.journal == NULL || v->conf.commit == VFS_COMMIT_CLOSE ||
        !store_etag_is_set(&i->etag) || i->attr.link_gen != 0 || i->is_stale || i->strict != NULL ||
        i->is_sent || i->failed != 0)
        return false;
    return o != NULL ? !o->is_done && !o->is_tried && o->n_doubts == 0 : !i->is_new && !i->is_dirty;
}

static int fill_locked(const struct vfs *v, const struct inode *i, const char *key,
                       struct removerec *rec)
{
    if (!can_wait_locked(v, i) || str_copy(rec->key, sizeof(rec->key), key) < 0)
        return REMOVAL_NOT;
    rec->etag = i->etag;
    rec->obj_size = i->obj_size;
    if (!i->is_replacing) /* the object has another file's */
        memcpy(rec->id, i->attr.id, sizeof(rec->id));
    return 0;
}

int removal_make(struct vfs *v, struct inode *i, const char *key, struct removal **ret)
{
    _cleanup_buf_ struct buf text = BUF_INIT(REMOVEREC_MAX);
    struct removerec rec = {0};
    struct removal *m;
    uint64_t replaces;
    bool is_moved;
    int r;

    lock_take(&v->tree);
    r = fill_locked(v, i, key, &rec);
    is_moved = i->out != NULL && i->out->from != NULL; /* that one's removal takes its entry's place */
    replaces = i->out != NULL && !is_moved ? i->out->seq : 0;
    lock_drop(&v->tree);
    m = r == 0 ? removal_new(&rec) : NULL;
    if (m == NULL)
        return REMOVAL_NOT;
    if (!budget_try(&v->unsent, m->counted, UINT64_MAX)) {
        free(m);
        return REMOVAL_NOT;
    }
    r = removerec_encode(&rec, &text);
    if (r == 0)
        r = journal_put(v->conf.journal, text.data, text.len, NULL, 0, replaces, &m->seq);
    if (r < 0) {
        log_warn("journal.put", "key=%s error=%d cause=%s effect=\"removed before unlink returns\"",
                 LOG_Q(key), -r, LOG_Q(err_text()));
        budget_give(&v->unsent, m->counted);
        free(m);
        return REMOVAL_NOT;
    }
    crash_point("removal.journaled");
    if (is_moved && outbox_forget(v, i) < 0) {
        (void)removal_drop(v, m);
        budget_give(&v->unsent, m->counted);
        free(m);
        return REMOVAL_NOT;
    }
    if (i->out != NULL)
        outbox_leave(v, i); /* its entry went in the same step */
    *ret = m;
    return 0;
}

/* Where many go in one request, one waits a moment for others: whoever runs rm has more. */
static int64_t begins_ns(const struct vfs *v)
{
    bool lingers =
        v->conf.caps.delete_match && v->conf.caps.delete_many_match && !v->conf.send_by_hand;

    return lingers ? clock_boot_ns() + REMOVAL_LINGER_NS : 0;
}

void removal_join_locked(struct vfs *v, struct removal *m)
{
    struct removal *after = v->locked.removal_last; /* but the journal may have told another thread earlier */

    if (!m->is_tried && !m->is_moved) /* which goes alone */
        m->retry_ns = begins_ns(v);
    while (after != NULL && after->seq > m->seq)
        after = after->prev;
    m->prev = after;
    m->next = after != NULL ? after->next : v->locked.removal_first;
    *(after != NULL ? &after->next : &v->locked.removal_first) = m;
    *(m->next != NULL ? &m->next->prev : &v->locked.removal_last) = m;
    map_insert(&v->locked.removals, &m->by_key, hash_of(m->key));
}

static void part_locked(struct vfs *v, struct removal *m)
{
    *(m->prev != NULL ? &m->prev->next : &v->locked.removal_first) = m->next;
    *(m->next != NULL ? &m->next->prev : &v->locked.removal_last) = m->prev;
    map_remove(&v->locked.removals, &m->by_key);
}

static void leave_locked(struct vfs *v, struct removal *m)
{
    part_locked(v, m);
    budget_give(&v->unsent, m->counted);
    free(m);
    cond_broadcast(&v->removal_over);
}

void removal_release_locked(struct vfs *v, struct removal *m)
{
    m->is_busy = false;
    cond_broadcast(&v->removal_over);
}

/* Its time is over, whether the journal has dropped it or will. */
static void end_locked(struct vfs *v, struct removal *m, bool is_dropped)
{
    m->is_done = true;
    if (is_dropped)
        leave_locked(v, m);
    else
        removal_release_locked(v, m);
}

bool removal_drop(struct vfs *v, const struct removal *m)
{
    if (journal_drop(v->conf.journal, m->seq) == 0)
        return true;
    log_warn("journal.drop", "key=%s cause=%s effect=\"tried again\"", LOG_Q(m->key),
             LOG_Q(err_text()));
    return false;
}

int removal_replay(struct vfs *v, uint64_t seq, const void *text, size_t len)
{
    struct removerec rec;
    struct removal *m;
    int r = removerec_decode(text, len, &rec);

    if (r == 0 && !str_starts(rec.key, v->prefix))
        r = err_set(-EINVAL, "%s is not of this mount", rec.key);
    if (r < 0)
        return r;
    m = removal_new(&rec);
    if (m == NULL)
        return -ENOMEM;
    m->seq = seq;
    m->is_tried = true; /* who knows */
    budget_add(&v->unsent, m->counted);
    lock_take(&v->tree);
    removal_join_locked(v, m);
    lock_drop(&v->tree);
    return 0;
}

/* --- held --- */

void removal_hold_locked(struct vfs *v, struct removal *m, struct inode *holder)
{
    m->holder = holder;
    budget_add(&v->unsent, m->counted);
    map_insert(&v->locked.removals, &m->by_key, hash_of(m->key));
    v->locked.n_held++;
}

static void let_go_locked(struct vfs *v, struct removal *m)
{
    map_remove(&v->locked.removals, &m->by_key);
    v->locked.n_held--;
    m->holder = NULL;
}

void removal_unhold_locked(struct vfs *v, struct removal *m)
{
    let_go_locked(v, m);
    budget_give(&v->unsent, m->counted);
    free(m);
    cond_broadcast(&v->removal_over);
}

int removal_begin(struct vfs *v, struct removal **held, uint64_t replaces)
{
    _cleanup_buf_ struct buf text = BUF_INIT(REMOVEREC_MAX);
    struct removal *m = *held;
    struct removerec rec = {.etag = m->etag, .obj_size = m->obj_size, .is_moved = true};
    int r = str_copy(rec.key, sizeof(rec.key), m->key);
    uint64_t seq = 0;

    memcpy(rec.id, m->id, sizeof(rec.id));
    memcpy(rec.ctime, m->ctime, sizeof(rec.ctime));
    if (r == 0)
        r = removerec_encode(&rec, &text);
    if (r == 0)
        r = journal_put(v->conf.journal, text.data, text.len, NULL, 0, replaces, &seq);
    if (r < 0)
        return r;
    crash_point("removal.begun");
    lock_take(&v->tree);
    let_go_locked(v, m);
    *held = NULL;
    m->seq = seq;
    m->made_ns = clock_boot_ns();
    removal_join_locked(v, m);
    cond_broadcast(&v->removal_over);
    lock_drop(&v->tree);
    return 0;
}

/* --- what the mount shows --- */

void removal_hide_locked(struct vfs *v, const char *dir_key, struct cache_listing *l)
{
    char key[VFS_KEY_MAX + VFS_NAME_MAX + 3];
    size_t n = 0, skip = strlen(dir_key);

    if (v->locked.removals.n == 0 || skip > VFS_KEY_MAX + 1)
        return;
    memcpy(key, dir_key, skip);
    for (size_t k = 0; k < l->n; k++) {
        if (!l->v[k].is_prefix && str_copy(key + skip, sizeof(key) - skip, l->v[k].name) == 0 &&
            removal_stands_locked(v, key))
            continue;
        l->v[n++] = l->v[k];
    }
    l->n = n;
}

/* The directory of a key, if it is known here, and the name in it. */
static struct inode *dir_of_locked(struct vfs *v, const char *key, const char **ret_name)
{
    const char *rest = key + strlen(v->prefix), *slash;
    struct inode *dir = v->locked.root;

    for (; dir != NULL && (slash = strchr(rest, '/')) != NULL; rest = slash + 1) {
        char name[VFS_NAME_MAX + 1] = "";

        if ((size_t)(slash - rest) >= sizeof(name))
            return NULL;
        memcpy(name, rest, (size_t)(slash - rest));
        dir = inode_child_locked(v, dir, name);
    }
    *ret_name = rest;
    return dir;
}

/* A listing that was asked for while it stood, and is taken when it does not, has what the bucket
 * had: what is under the key is told as any change of a name is (VFS-4). */
void removal_end(struct vfs *v, struct removal *m, bool is_back, bool is_dropped)
{
    char key[VFS_KEY_MAX + 1];
    const char *name;
    struct inode *dir;
    bool is_gone = !is_back && !m->is_done; /* told once: the name may be a new file's by now */

    memcpy(key, m->key, strlen(m->key) + 1);
    if (is_gone)
        cache_obj_drop(v->cache, key);
    lock_take(&v->tree);
    dir = dir_of_locked(v, key, &name);
    if (dir != NULL && is_gone)
        names_changed_locked(v, dir, name, false, false);
    end_locked(v, m, is_dropped);
    lock_drop(&v->tree);
    if (is_back)
        key_forget(v, key);
}

/* --- a new file of that name --- */

struct removal *removal_lend_locked(struct vfs *v, const char *key)
{
    struct removal *m = removal_find_locked(v, key);

    if (m == NULL || m->is_busy || m->is_tried || m->holder != NULL)
        return NULL;
    m->is_busy = true;
    return m;
}

void removal_took(struct vfs *v, struct removal *m, bool is_ok, bool is_dropped)
{
    if (is_ok && !is_dropped)
        is_dropped = removal_drop(v, m);
    lock_take(&v->tree);
    if (is_ok)
        end_locked(v, m, is_dropped);
    else
        removal_release_locked(v, m);
    lock_drop(&v->tree);
}

/* --- the bucket refuses that file --- */

static bool fill_again_locked(struct vfs *v, const struct inode *i, struct removerec *rec)
{
    char key[VFS_KEY_MAX + 2];

    if (i->out == NULL || !i->is_new || !i->is_over_removed || !store_etag_is_set(&i->etag) ||
        inode_key_locked(v, i, NULL, key) < 0 || removal_find_locked(v, key) != NULL)
        return false;
    rec->etag = i->etag;
    rec->obj_size = i->obj_size;
    return str_copy(rec->key, sizeof(rec->key), key) == 0;
}

struct removal *removal_give_back(struct vfs *v, struct inode *i)
{
    struct removerec rec = {0};
    struct removal *m = NULL;
    bool is;

    lock_take(&v->tree);
    is = fill_again_locked(v, i, &rec);
    lock_drop(&v->tree);
    if (is && (m = removal_new(&rec)) == NULL)
        log_error("removal.lost", "key=%s cause=\"no memory\" effect=\"it stays\"", LOG_Q(rec.key));
    if (m == NULL)
        return NULL;
    m->is_busy = m->is_tried = true; /* the refused one's requests were about this key */
    m->seq = i->out->seq;
    budget_add(&v->unsent, m->counted);
    lock_take(&v->tree);
    removal_join_locked(v, m);
    lock_drop(&v->tree);
    return m;
}

int removal_gave_back(struct vfs *v, struct removal *m, bool is_ok)
{
    _cleanup_buf_ struct buf text = BUF_INIT(REMOVEREC_MAX);
    struct removerec rec = {.etag = m->etag, .obj_size = m->obj_size};
    int r = is_ok ? str_copy(rec.key, sizeof(rec.key), m->key) : -ECANCELED;
    uint64_t seq = 0;

    if (r == 0)
        r = removerec_encode(&rec, &text);
    if (r == 0)
        r = journal_put(v->conf.journal, text.data, text.len, NULL, 0, m->seq, &seq);
    if (r < 0 && is_ok)
        log_error("removal.lost", "key=%s error=%d cause=%s effect=\"it stays\"", LOG_Q(m->key), -r,
                  LOG_Q(err_text()));
    lock_take(&v->tree);
    if (r == 0) {
        part_locked(v, m);
        m->seq = seq;
        removal_join_locked(v, m);
        removal_release_locked(v, m);
    } else {
        leave_locked(v, m);
    }
    lock_drop(&v->tree);
    return r;
}

void removal_replayed_over(struct vfs *v, const char *key, const struct store_etag *etag)
{
    struct removal *m;

    lock_take(&v->tree);
    m = removal_find_locked(v, key);
    if (m != NULL && m->holder == NULL && store_etag_equal(&m->etag, etag))
        m->is_busy = true;
    else
        m = NULL;
    lock_drop(&v->tree);
    if (m != NULL)
        removal_took(v, m, true, false);
}

/* --- the queue --- */

struct removal *removal_next_locked(struct vfs *v, int64_t *ret_due_ns)
{
    int64_t now = clock_boot_ns();
    uint64_t barrier = v->locked.removal_first != NULL ? outbox_oldest_locked(v) : 0;

    *ret_due_ns = 0;
    for (struct removal *m = v->locked.removal_first; m != NULL; m = m->next) {
        if (m->seq > barrier) /* REM-4 */
            break;
        if (m->is_busy)
            continue;
        if (m->retry_ns <= now || (m->tries == 0 && v->locked.removals.n >= REMOVAL_BATCH))
            return m;
        if (*ret_due_ns == 0 || m->retry_ns < *ret_due_ns)
            *ret_due_ns = m->retry_ns;
    }
    return NULL;
}

int removal_unsent_locked(struct vfs *v, size_t max, struct vfs_unsent *u)
{
    for (const struct removal *m = v->locked.removal_first; m != NULL; m = m->next) {
        if (m->is_done)
            continue;
        u->removals++;
        if (u->n == max)
            continue;
        u->keys[u->n] = strdup(m->key);
        if (u->keys[u->n] == NULL)
            return -ENOMEM;
        u->n++;
    }
    return 0;
}

void removal_free_all(struct vfs *v)
{
    lock_take(&v->tree);
    while (v->locked.removal_first != NULL)
        leave_locked(v, v->locked.removal_first);
    lock_drop(&v->tree);
}
