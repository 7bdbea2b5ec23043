/* SPDX-License-Identifier: Apache-2.0 */
/* See aside.h. */
#include "aside.h"

#include <string.h>

#include "base/macros.h"
#include "idle.h"
#include "keep.h"

int aside_begin(struct vfs *v, struct inode *i, const char *key, const struct store_obj *there,
                struct aside *a)
{
    struct store_obj base = {0};
    struct data_file *f;
    struct store_hdrs hdrs = {0};
    bool is_due;
    int r = 0;

    if (a->data != NULL || data_is_dirty(i->data) || !inode_is_file_of(v, i, key, there))
        return 0;
    lock_take(&v->tree);
    is_due = !inode_readers_go_on_locked(i, there);
    if (is_due) {
        base =
            (struct store_obj){.etag = i->etag, .size = i->obj_size, .mtime_ns = i->obj_mtime_ns};
        r = store_hdrs_copy(&hdrs, &i->hdrs);
    }
    lock_drop(&v->tree);
    if (!is_due || r < 0)
        return r;
    r = data_file_new(v->data, key, &base, &f);
    if (r < 0) {
        store_hdrs_done(&hdrs);
        return r;
    }
    lock_take(&v->tree);
    *a = (struct aside){.data = i->data,
                        .etag = i->etag,
                        .kernel_etag = i->kernel_etag,
                        .obj_size = i->obj_size,
                        .obj_mtime_ns = i->obj_mtime_ns,
                        .attr = i->attr,
                        .hdrs = hdrs,
                        .was_behind = i->is_kernel_behind};
    i->data = f;
    i->aside = a;
    idle_charge_locked(v, i);
    lock_drop(&v->tree);
    return 0;
}

/* The node is the version that is open again, with what was set here. */
static struct data_file *restore_locked(struct vfs *v, struct inode *i, struct aside *a)
{
    struct data_file *f = i->data;

    i->data = a->data;
    i->aside = NULL;
    i->etag = a->etag;
    i->kernel_etag = a->kernel_etag;
    i->obj_size = a->obj_size;
    i->obj_mtime_ns = a->obj_mtime_ns;
    i->attr = a->attr;
    store_hdrs_done(&i->hdrs);
    i->hdrs = a->hdrs;
    i->is_kernel_behind = a->was_behind; /* its pages are of this version, as good as they were */
    idle_charge_locked(v, i);
    keep_node_locked(v, i);
    return f;
}

int aside_end(struct vfs *v, struct inode *i, const char *key, struct aside *a, int r)
{
    struct data_file *f;

    if (a->data == NULL)
        return r;
    lock_take(&v->tree);
    f = restore_locked(v, i, a);
    if (r == 0 && i->parent != NULL) {
        if (i->newer_key == NULL)
            i->newer_key = strdup(key);
        inode_abandon_locked(v, i);
    }
    lock_drop(&v->tree);
    data_file_unref(f);
    *a = (struct aside){0};
    return r;
}
