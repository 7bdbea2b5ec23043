/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: the last close of a file has failed because a write had found no room, and an
 * earlier version waits to be sent. What is in memory is not what anybody meant; what the journal
 * has is what an earlier close promised. So the file becomes that again, as after a crash. */
#include "outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#define FOUND 1

struct search {
    struct vfs *v;
    uint64_t seq;
    struct outrec rec;
    struct data_file *f;
};

static void search_done(struct search *s)
{
    outrec_done(&s->rec);
    data_file_unref(s->f);
}

static int take_entry(void *arg, uint64_t seq, const void *text, size_t len, bool has_file)
{
    struct search *s = arg;
    int r;

    if (seq != s->seq)
        return 0;
    r = outrec_decode(text, len, &s->rec);
    if (r == 0)
        r = replay_file(s->v, seq, &s->rec, has_file, &s->f);
    return r < 0 ? r : FOUND;
}

static bool same_edits(const struct store_hdrs *a, const struct store_hdrs *b)
{
    for (size_t k = 0; k < a->n; k++) {
        const char *value = store_hdrs_get(b, a->v[k].name);

        if (value == NULL || strcmp(value, a->v[k].value) != 0)
            return false;
    }
    return a->n == b->n;
}

/* Attributes that were set since the entry was made are not taken back. */
static bool has_newer_attr(const struct inode *i, const struct outrec *rec)
{
    return i->attr_set != rec->attr_set || i->attr.mode != rec->attr.mode ||
           i->attr.uid != rec->attr.uid || i->attr.gid != rec->attr.gid ||
           i->attr.atime_ns != rec->attr.atime_ns || !same_edits(&i->edits, &rec->edits);
}

/* The newer bytes, for who had the file open. */
static struct data_file *take_locked(struct inode *i, struct search *s)
{
    const struct outrec *rec = &s->rec;
    struct data_file *newer = i->data;

    replay_content_locked(i, rec, steal(&s->f));
    i->is_cut_now = false;
    i->failed = i->torn = 0;
    i->out_is_behind = has_newer_attr(i, rec);
    i->out->is_replayed = i->out->is_tried; /* what was merged with others' is gone */
    i->out->retry_ns = 0;
    return newer;
}

/* All of its bytes are here, written over what the bucket had. */
static bool is_whole(struct vfs *v, const struct inode *i)
{
    bool is;

    lock_take(&v->tree);
    is = i->data != NULL && data_is_dirty(i->data) && data_is_whole(i->data);
    lock_drop(&v->tree);
    return is;
}

static void unsent_locked(struct inode *i)
{
    i->is_new = i->is_dirty = i->is_trunc = true;
    i->is_excl = true; /* what is there by now is another's */
    i->is_linking = i->is_replacing = i->is_over_removed = false;
    i->etag = (struct store_etag){""};
    i->obj_size = 0;
    i->obj_mtime_ns = 0;
    i->attr.link_gen = 0;
    i->out->keeps_hdrs = outrec_holds(&i->hdrs); /* the edits are in them by now */
    if (i->dirty_since_ns == 0)
        i->dirty_since_ns = clock_boot_ns();
}

int outbox_unsend(struct vfs *v, struct inode *i)
{
    _cleanup_(search_done) struct search s = {.v = v, .seq = i->out->seq};
    struct data_file *was = NULL;
    const bool has_bytes = is_whole(v, i);
    int r = has_bytes ? FOUND : journal_each(v->conf.journal, take_entry, &s);

    if (r != FOUND)
        return r < 0 ? r : err_set(-EIO, "the journal has no entry of it");
    lock_take(&v->tree);
    if (!has_bytes)
        was = take_locked(i, &s);
    unsent_locked(i);
    lock_drop(&v->tree);
    data_file_unref(was);
    return 0;
}

void outbox_revert(struct vfs *v, struct inode *i, int error)
{
    _cleanup_(search_done) struct search s = {.v = v, .seq = i->out->seq};
    struct data_file *newer;
    int r = journal_each(v->conf.journal, take_entry, &s);

    if (r != FOUND) {
        log_warn("local.revert", "node=%llu cause=%s effect=\"it waits for the next start\"",
                 (unsigned long long)i->node, r < 0 ? LOG_Q(err_text()) : "\"no entry\"");
        return;
    }
    lock_take(&v->tree);
    newer = take_locked(i, &s);
    inode_kernel_behind_locked(v, i); /* it has the pages that were refused */
    lock_drop(&v->tree);
    data_file_unref(newer);
    log_warn("local.reverted", "key=%s error=%d effect=\"what was closed before is sent\"",
             LOG_Q(s.rec.key), -error);
}
