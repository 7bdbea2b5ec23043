/* SPDX-License-Identifier: Apache-2.0 */
/* A name that its creator takes for new (O_CREAT with O_EXCL or O_TRUNC, the new name of a rename). The kernel holds the
 * parent's lock until there is an answer, so a directory takes 1/RTT new files a second if one request has it. One has it
 * as a rule: where no key begins with the name, there is no object and no directory of that name. Where one does, which may
 * be "name.jpg" beside "name", two answers are needed, and are asked for at once. */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

struct second {
    struct lock lk;
    struct cond cond;
    bool is_done;
    int result;
};

static void second_done(void *arg, int result)
{
    struct second *s = arg;

    lock_take(&s->lk);
    s->result = result;
    s->is_done = true;
    cond_signal(&s->cond); /* under the lock: the waiter's frame goes soon after */
    lock_drop(&s->lk);
}

static int second_wait(struct second *s)
{
    lock_take(&s->lk);
    while (!s->is_done)
        cond_wait(&s->cond, &s->lk);
    lock_drop(&s->lk);
    cond_done(&s->cond);
    lock_done(&s->lk);
    return s->result;
}

static int ask_both(struct vfs *v, const char *key, struct found *ret)
{
    char dir_key[VFS_KEY_MAX + 2];
    struct store_req req = {.op = STORE_LIST, .prefix = dir_key, .max_keys = 1};
    struct store_rsp rsp = {0};
    struct second s = {0};
    bool is_empty;
    int h, l;

    if (snprintf(dir_key, sizeof(dir_key), "%s/", key) > VFS_KEY_MAX)
        return name_ask(v, key, false, ret);
    found_done(ret);
    lock_assert_may_block();
    lock_init(&s.lk, LOCK_LEAF);
    cond_init(&s.cond);
    store_submit(v->store, &req, &rsp, second_done, &s);
    h = name_head(v, key, ret);
    l = second_wait(&s);
    is_empty = l == 0 && rsp.list.n == 0;
    store_rsp_done(&rsp);
    if (h != STORE_NOT_FOUND)
        return err_fold(h); /* the file, or why it is not known */
    /* Of a directory more is asked; and whoever could not be asked is asked as always. */
    return is_empty ? -ENOENT : name_ask(v, key, true, ret);
}

/* The first key that begins with this one. */
enum first { FIRST_NONE, FIRST_SAME, FIRST_BELOW, FIRST_OTHER, FIRST_UNKNOWN };

static enum first ask_first(struct vfs *v, const char *key)
{
    struct store_req req = {.op = STORE_LIST, .prefix = key, .max_keys = 1};
    struct store_rsp rsp = {0};
    size_t n = strlen(key);
    enum first first = FIRST_NONE;

    lock_assert_may_block();
    if (store_call(v->store, &req, &rsp) != 0)
        first = FIRST_UNKNOWN;
    else if (rsp.list.n > 0)
        first = rsp.list.v[0].key[n] == '\0'  ? FIRST_SAME
                : rsp.list.v[0].key[n] == '/' ? FIRST_BELOW
                                              : FIRST_OTHER;
    store_rsp_done(&rsp);
    return first;
}

int name_ask_new(struct vfs *v, const char *key, struct found *ret)
{
    found_done(ret);
    if (strlen(key) >= VFS_KEY_MAX)
        return name_ask(v, key, false, ret);
    switch (ask_first(v, key)) {
    case FIRST_NONE:
        return -ENOENT;
    case FIRST_SAME: /* its attributes are in no listing */
        return name_ask(v, key, false, ret);
    case FIRST_BELOW: /* an object of that name would have come first */
        return name_ask(v, key, true, ret);
    case FIRST_OTHER:
    case FIRST_UNKNOWN:
        break;
    }
    return ask_both(v, key, ret);
}
