/* SPDX-License-Identifier: Apache-2.0 */
/* Which half of a directory's rename is shown. Of another mount's rename only what its record says
 * now counts: its call may have returned since we last looked, and then its new names are what
 * there is. So before a name is hidden the record is read again: a GET, for who asks for such a
 * name. */
#include "rename.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "intents.h"

static bool is_hidden_by(const struct intent *i, const char *key)
{
    const char *prefix = i->state == INTENT_CLAIMED ? i->to : i->from;
    size_t n = strlen(prefix);

    if (strncmp(key, prefix, n - 1) != 0 || (key[n - 1] != '/' && key[n - 1] != '\0'))
        return false;
    if (key[n - 1] == '/' && key[n] != '\0')
        return true;
    /* The directory itself: an empty one that is replaced stays to be seen until then. */
    return i->state == INTENT_COPIED || !store_etag_is_set(&i->target);
}

/* Is the key hidden by what is known, and has its record been read since? false in *ret_known: it
 * is the record of this name, as it was. */
static bool look_locked(struct vfs *v, const char *key, uint64_t *since, bool *ret_known,
                        char name[INTENT_NAME_SIZE], struct store_etag *etag)
{
    if (*since == 0)
        *since = ++v->locked.intents_looks;
    for (struct intent_known *k = v->locked.intents; k != NULL; k = k->next) {
        if (!intents_is_hiding(k) || !is_hidden_by(k->what, key))
            continue;
        *ret_known = k->is_ours || k->read_at >= *since;
        memcpy(name, k->name, INTENT_NAME_SIZE);
        *etag = k->etag;
        return true;
    }
    return false;
}

/* The record is as it was, or can't be read: what is known of it holds, since then. */
static void still_so(struct vfs *v, const char *name, const struct store_etag *etag, uint64_t since)
{
    lock_take(&v->tree);
    for (struct intent_known *k = v->locked.intents; k != NULL; k = k->next)
        if (strcmp(k->name, name) == 0 && store_etag_equal(&k->etag, etag) && k->read_at < since)
            k->read_at = since;
    lock_drop(&v->tree);
}

static void read_again(struct vfs *v, const char *name, const struct store_etag *etag,
                       uint64_t since)
{
    struct store_etag now;
    struct intent i;
    int r = intent_read(v->coord, name, &i, &now);

    if (r == 0 && !store_etag_equal(&now, etag))
        r = intent_stands(&i) ? intents_note(v, name, &i, &now, false)
                              : intents_over(v, name, etag);
    if (r < 0)
        log_debug("intents.read", "cause=%s", LOG_Q(err_text()));
    still_so(v, name, r == 0 ? &now : etag, since);
}

bool intents_hide(struct vfs *v, const char *key, uint64_t *since)
{
    char name[INTENT_NAME_SIZE];
    struct store_etag etag;
    bool hidden = true, known = false;

    if (atomic_load(&v->intents_hiding) == 0)
        return false;
    while (hidden && !known) {
        lock_take(&v->tree);
        hidden = look_locked(v, key, since, &known, name, &etag);
        lock_drop(&v->tree);
        if (hidden && !known)
            read_again(v, name, &etag, *since);
    }
    return hidden;
}
