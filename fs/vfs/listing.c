/* SPDX-License-Identifier: Apache-2.0 */
/* The names of a directory: what the cache knows within the attribute times, else one LIST. Local
 * changes that happened while the bucket was listed win (VFS-4), and files that are not in the
 * bucket yet are added. */
#include "listroom.h"
#include "removal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

static int by_name(const void *a, const void *b)
{
    const struct cache_dirent *x = a, *y = b;
    int r = strcmp(x->name, y->name);

    return r != 0
               ? r
               : (int)y->is_prefix - (int)x->is_prefix; /* a directory hides a file of its name */
}

static void sort(struct cache_listing *l)
{
    if (l->n > 0)
        qsort(l->v, l->n, sizeof(*l->v), by_name);
}

static int take_entry(struct cache_listing *all, const struct store_entry *e, const char *name,
                      size_t len)
{
    struct cache_dirent *d = cache_listing_add(all, name, len, e->is_prefix ? "" : e->etag.s);

    if (d == NULL)
        return -ENOMEM;
    d->is_prefix = e->is_prefix;
    if (!e->is_prefix) {
        d->size = e->size;
        d->mtime_ns = e->mtime_ns;
    }
    return 0;
}

/* Takes the entries of a page, without those that have no name here. */
static int take_page(struct vfs *v, const char *dir_key, struct cache_listing *all,
                     struct store_list *page)
{
    size_t skip = strlen(dir_key);
    uint64_t since = 0;
    int r = 0;

    for (size_t i = 0; i < page->n && r == 0; i++) {
        struct store_entry *e = &page->v[i];
        size_t n = strlen(e->key), end = e->is_prefix && n > skip ? n - 1 : n;
        char *name, last = e->key[end];
        bool hidden, ours;

        if (!str_starts(e->key, dir_key)) /* not what was asked for */
            continue;
        name = e->key + skip;
        e->key[end] = '\0';
        hidden = name_is_hidden(v, dir_key, name);
        ours = hidden && name_is_ours(v, dir_key, name);
        e->key[end] = last;
        if (intents_hide(v, e->key, &since))
            continue;
        if (!hidden)
            r = take_entry(all, e, name, (size_t)(e->key + end - name));
        else if (name[0] != '\0' && !ours)
            atomic_fetch_add(&v->hidden, 1);
    }
    return r;
}

/* With what the cache takes to put it in order. */
static uint64_t memory_of(const struct cache_listing *l)
{
    return cache_listing_memory(l) + l->n * sizeof(void *);
}

#define NO_ROOM 1

/* NO_ROOM: it is larger than what there is for it, and another goes on apart. */
static int list_bucket(struct vfs *v, const char *dir_key, struct listroom *room,
                       struct cache_listing *ret, int64_t *ret_date)
{
    _cleanup_free_ char *token = NULL;
    int r = 0;

    do {
        struct store_req req = {
            .op = STORE_LIST, .prefix = dir_key, .delimited = true, .token = token};
        struct store_rsp rsp = {0};

        lock_assert_may_block();
        r = store_call(v->store, &req, &rsp);
        if (r == 0) {
            if (token == NULL)
                *ret_date = rsp.date_ns;
            r = take_page(v, dir_key, ret, &rsp.list);
            free(token);
            token = steal(&rsp.list.next);
        }
        store_rsp_done(&rsp);
        if (r == 0 && token != NULL && !listroom_grow(room, LISTROOM_PAGE + memory_of(ret)))
            return NO_ROOM;
    } while (r == 0 && token != NULL);
    return err_fold(r);
}

static int add_entry(struct vfs *v, struct cache_listing *l, const char *name, const char *key,
                     bool is_dir)
{
    struct cache_obj known = {0};
    bool is_known = !is_dir && cache_obj_get(v->cache, key, &known) == 0;
    struct cache_dirent *d =
        cache_listing_add(l, name, strlen(name), is_known ? known.obj.etag.s : "");

    if (d != NULL)
        d->is_prefix = is_dir;
    if (d != NULL && is_known) {
        d->size = known.obj.size;
        d->mtime_ns = known.obj.mtime_ns;
    }
    if (is_known)
        cache_obj_done(&known);
    return d != NULL ? 0 : -ENOMEM;
}

/* From a sorted listing. */
static void remove_entry(struct cache_listing *l, const char *name, bool is_dir)
{
    struct cache_dirent want = {.name = name, .is_prefix = is_dir};
    struct cache_dirent *d = l->n > 0 ? bsearch(&want, l->v, l->n, sizeof(want), by_name) : NULL;

    if (d == NULL)
        return;
    memmove(d, d + 1, (size_t)(l->v + l->n - (d + 1)) * sizeof(*d));
    l->n--;
}

/* Names that changed here since the bucket was asked are as they are here. */
static int apply_changes(struct vfs *v, const char *dir_key, struct cache_listing *l,
                         const struct asking_change *changes)
{
    char key[VFS_KEY_MAX + VFS_NAME_MAX + 3];
    int r = 0;

    for (const struct asking_change *c = changes; c != NULL; c = c->next) {
        remove_entry(l, c->name, false);
        remove_entry(l, c->name, true);
    }
    for (const struct asking_change *c = changes; c != NULL && r == 0; c = c->next) {
        snprintf(key, sizeof(key), "%s%s", dir_key, c->name);
        if (c->exists)
            r = add_entry(v, l, c->name, key, c->is_dir);
    }
    if (changes != NULL)
        sort(l);
    return r;
}

/* Lists the bucket and lets what changed here meanwhile win; a goes on. The list is also kept in the cache. */
static int refresh(struct vfs *v, struct inode *dir, const char *dir_key, struct listroom *room,
                   struct asking *a, struct cache_listing *list)
{
    struct asking seen = {0};
    int64_t listed = clock_boot_ns(), date = 0;
    bool is_old;
    int r;

    intents_glance(v);
    lock_take(&v->tree);
    asking_end_locked(v, a); /* from here on */
    asking_done(a);
    asking_begin_locked(v, a, dir, NULL);
    lock_drop(&v->tree);
    r = list_bucket(v, dir_key, room, list, &date);
    sort(list);
    lock_take(&v->tree);
    seen.changes = a->changes;
    a->changes = NULL;
    removal_hide_locked(v, dir_key, list); /* with the changes: what ended since is one of them */
    lock_drop(&v->tree);
    if (r == 0)
        r = apply_changes(v, dir_key, list, seen.changes);
    if (r == 0)
        cache_list_put(v->cache, dir_key, list, listed, date);
    lock_take(&v->tree);
    is_old = a->is_stale || a->changes != NULL;
    lock_drop(&v->tree);
    if (r == NO_ROOM)
        cache_listing_done(list);
    if (r == 0 && is_old)
        cache_list_drop(v->cache, dir_key); /* good enough for this reader, not for the next */
    asking_done(&seen);
    return r;
}

/* A directory is as young as the youngest of what is in it; but what came before its last change of
 * attributes does not undo a time that was set (tar, cp -a and rsync set it after the files). */
static void note_youngest(struct vfs *v, struct inode *dir, const struct cache_listing *list)
{
    int64_t youngest = 0;

    for (size_t i = 0; i < list->n; i++)
        if (list->v[i].mtime_ns > youngest)
            youngest = list->v[i].mtime_ns;
    lock_take(&v->tree);
    if (youngest > dir->attr.ctime_ns) {
        dir->attr.ctime_ns = youngest;
        if (youngest > dir->attr.mtime_ns)
            dir->attr.mtime_ns = youngest;
    }
    lock_drop(&v->tree);
}

static int take_fresh(struct vfs *v, struct inode *dir, const char *key, struct listroom *room,
                      struct asking *a, struct cache_listing *ret)
{
    int r = refresh(v, dir, key, room, a, ret);

    if (r == 0) {
        note_youngest(v, dir, ret);
        ret->listed_ns = clock_boot_ns();
    }
    return r;
}

static int append(struct cache_listing *l, const char *name, bool is_dir)
{
    struct cache_dirent *e = cache_listing_add(l, name, strlen(name), "");

    if (e == NULL)
        return -ENOMEM;
    e->is_prefix = is_dir;
    return 0;
}

static int add_new_locked(const struct inode *dir, struct cache_listing *l)
{
    int r = 0;

    for (const struct dentry *d = dir->child; d != NULL && r == 0; d = d->next)
        if (d->inode->is_new || d->inode->is_linking)
            r = append(l, d->name, inode_is_dir(d->inode));
    return r;
}

/* Names that are not in the bucket, and those that came there since a began: the list may be from before that, and new
 * they are not any more. Where there were too many of them to note, all that were new then. */
static int add_here_locked(const struct inode *dir, const struct asking *a, const struct cache_listing *were_new,
                           struct cache_listing *l)
{
    int r = 0;

    for (const struct asking_change *c = a->changes; c != NULL && r == 0; c = c->next)
        if (c->exists)
            r = append(l, c->name, c->is_dir);
    for (size_t i = 0; a->is_stale && i < were_new->n && r == 0; i++)
        r = append(l, were_new->v[i].name, were_new->v[i].is_prefix);
    return r ?: add_new_locked(dir, l);
}

static void sort_and_hide(struct vfs *v, struct cache_listing *l)
{
    size_t n = 0;

    sort(l);
    for (size_t i = 0; i < l->n; i++) {
        if (n > 0 && strcmp(l->v[n - 1].name, l->v[i].name) == 0) {
            if (l->v[n - 1].is_prefix && !l->v[i].is_prefix)
                atomic_fetch_add(&v->hidden, 1);
            else if (l->v[n - 1].etag[0] == '\0')
                l->v[n - 1] = l->v[i]; /* the list knows more of it than its name */
        } else {
            l->v[n++] = l->v[i];
        }
    }
    l->n = n;
}

/* How large it is shows as it is read: it is read again with more room, which nobody waits for in the
 * index. Without room if it is not there. */
static bool take_cached(struct vfs *v, const char *key, struct listroom *room,
                        struct cache_listing *ret)
{
    int r = CACHE_LONGER;

    for (uint64_t bytes = LISTROOM_LIST; r == CACHE_LONGER; bytes *= 4) {
        int64_t since = clock_boot_ns() - v->conf.acdirmin_ns;

        listroom_begin_cached(v, bytes, room);
        r = cache_list_get_within(v->cache, key, since > 0 ? since : 0,
                                  v->conf.lists_max != 0 ? bytes : 0, ret);
        if (r != 0)
            listroom_end(room);
    }
    return r == 0;
}

/* With room for a page; once more if that was not enough. */
static int take_bucket(struct vfs *v, struct inode *dir, const char *key, struct listroom *room,
                       struct asking *a, struct cache_listing *ret)
{
    int r;

    listroom_begin(v, room);
    r = take_fresh(v, dir, key, room, a, ret);
    if (r == NO_ROOM) {
        listroom_end(room);
        listroom_begin_alone(v, room);
        r = take_fresh(v, dir, key, room, a, ret);
    }
    return r;
}

/* Where a page ends: its last entry's name. */
static void note_end(const char *dir_key, const struct store_list *page, struct listing_page *ret)
{
    const char *key = page->n > 0 ? page->v[page->n - 1].key : "";
    size_t n;

    ret->last[0] = '\0';
    if (!str_starts(key, dir_key))
        return;
    key += strlen(dir_key);
    n = strcspn(key, "/");
    if (n >= sizeof(ret->last))
        return;
    memcpy(ret->last, key, n);
    ret->last[n] = '\0';
}

static int ask_page(struct vfs *v, const char *dir_key, const char *after, struct cache_listing *list,
                    struct listing_page *ret, int64_t *ret_date)
{
    char start[VFS_KEY_MAX + VFS_NAME_MAX + 3];
    struct store_req req = {
        .op = STORE_LIST, .prefix = dir_key, .delimited = true, .start_after = start};
    struct store_rsp rsp = {0};
    int r;

    snprintf(start, sizeof(start), "%s%s", dir_key, after);
    lock_assert_may_block();
    r = store_call(v->store, &req, &rsp);
    if (r == 0) {
        *ret_date = rsp.date_ns;
        note_end(dir_key, &rsp.list, ret);
        r = take_page(v, dir_key, list, &rsp.list);
    }
    store_rsp_done(&rsp);
    return err_fold(r);
}

/* A page is of the moment when it was asked for: what changed here since is left out. */
static int confirm_page(struct vfs *v, const char *dir_key, const char *after, struct asking *a,
                        struct listing_page *ret)
{
    struct cache_listing list = {0};
    int64_t listed = clock_boot_ns(), date = 0;
    bool is_old;
    int r;

    intents_glance(v);
    r = ask_page(v, dir_key, after, &list, ret, &date);
    sort(&list);
    lock_take(&v->tree);
    for (const struct asking_change *c = a->changes; c != NULL; c = c->next)
        remove_entry(&list, c->name, false);
    asking_done(a);
    is_old = a->is_stale;
    removal_hide_locked(v, dir_key, &list);
    lock_drop(&v->tree);
    if (r == 0 && is_old)
        r = -EAGAIN;
    if (r == 0)
        cache_list_confirm(v->cache, dir_key, &list, listed, date);
    lock_take(&v->tree);
    is_old = a->is_stale || a->changes != NULL;
    lock_drop(&v->tree);
    if (r == 0 && is_old)
        cache_list_drop(v->cache, dir_key);
    cache_listing_done(&list);
    return r;
}

int listing_confirm(struct vfs *v, struct inode *dir, const char *after, struct listing_page *ret)
{
    struct listroom room = {.v = v};
    char key[VFS_KEY_MAX + 2];
    struct asking a;
    int r;

    *ret = (struct listing_page){0};
    lock_take(&v->tree);
    r = inode_key_locked(v, dir, NULL, key);
    asking_begin_locked(v, &a, dir, NULL);
    lock_drop(&v->tree);
    if (r == 0) /* who asks for one name waits for nobody's LIST */
        r = listroom_begin_now(v, &room) ? confirm_page(v, key, after, &a, ret) : NO_ROOM;
    lock_take(&v->tree);
    asking_end_locked(v, &a);
    lock_drop(&v->tree);
    asking_done(&a);
    listroom_end(&room);
    return r;
}

int listing_take(struct vfs *v, struct inode *dir, struct dir_snapshot **ret)
{
    struct dir_snapshot *s = calloc(1, sizeof(*s));
    struct cache_listing were_new = {0};
    struct listroom room = {.v = v};
    char key[VFS_KEY_MAX + 2];
    struct asking a;
    bool is_blank;
    unsigned change;
    int r;

    if (s == NULL)
        return -ENOMEM;
    s->v = v;
    lock_take(&v->tree);
    change = dir->subdirs_change;
    is_blank = dir->is_blank; /* MKD-2 */
    r = inode_key_locked(v, dir, NULL, key);
    asking_begin_locked(v, &a, dir, NULL);
    if (r == 0)
        r = add_new_locked(dir, &were_new);
    lock_drop(&v->tree);
    if (is_blank)
        s->list.listed_ns = clock_boot_ns();
    if (r == 0 && !is_blank && !take_cached(v, key, &room, &s->list))
        r = take_bucket(v, dir, key, &room, &a, &s->list);
    lock_take(&v->tree);
    if (r == 0)
        removal_hide_locked(v, key, &s->list);
    if (r == 0)
        r = add_here_locked(dir, &a, &were_new, &s->list);
    asking_end_locked(v, &a);
    lock_drop(&v->tree);
    asking_done(&a);
    cache_listing_done(&were_new);
    if (r == 0) {
        sort_and_hide(v, &s->list);
        lock_take(&v->tree);
        subdirs_listed_locked(dir, &s->list, change);
        lock_drop(&v->tree);
        s->taken_ns = s->list.listed_ns;
        snapshot_keep(s);
        *ret = s;
    } else {
        snapshot_free(s);
    }
    listroom_end(&room);
    return r;
}

void key_forget(struct vfs *v, const char *key)
{
    char dir[VFS_KEY_MAX + VFS_NAME_MAX + 3];
    size_t n = strlen(key);

    cache_obj_drop(v->cache, key);
    while (n > 0 && key[n - 1] != '/')
        n--;
    if (n >= sizeof(dir))
        return;
    memcpy(dir, key, n);
    dir[n] = '\0';
    cache_list_drop(v->cache, dir);
}

void listing_forget(struct vfs *v, const struct inode *dir)
{
    char key[VFS_KEY_MAX + 2];
    int r;

    lock_take(&v->tree);
    r = inode_key_locked(v, dir, NULL, key);
    lock_drop(&v->tree);
    if (r == 0)
        cache_list_drop(v->cache, key);
}
