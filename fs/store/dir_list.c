/* SPDX-License-Identifier: Apache-2.0 */
/* Listing: the tree below DIR and the odd keys, merged in the order of their keys.
 *
 * A directory's names are sorted as the keys that they begin: a file as its name, a directory as
 * its name with a '/' behind it, the "dir/" object as "". Below "a/" all keys come after "a-b" and
 * before "a0", so a depth-first walk in this order yields keys in binary order. Before each file or
 * directory the odd keys that sort before it are added. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "base/err.h"
#include "base/str.h"
#include "base/sys.h"
#include "dir_int.h"

struct odd {
    char *key, *path;
};

struct walk {
    struct dir_store *d;
    struct store_page page;
    struct odd *odds; /* sorted */
    size_t n_odds, cap_odds, next_odd;
};

static int no_memory(void)
{
    return err_set(-ENOMEM, "no memory for a listing");
}

static char *join(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    char *s = malloc(n + m + 1);
    if (s != NULL) {
        memcpy(s, a, n);
        memcpy(s + n, b, m + 1);
    }
    return s;
}

/* --- adding entries --- */

/* Adds the key with what its file says; one that went meanwhile, or that may not be read, is told
 * by its stat. */
static int add_file(struct walk *w, const char *key, int dir, const char *name, bool is_odd)
{
    _cleanup_dirfile_ struct dir_file f = DIR_FILE_INIT;
    struct store_entry *e = NULL;
    if (store_page_folds(&w->page, key) == 0) {
        int r = is_odd ? dir_file_open(dir, name, &f) : dir_file_open_at(dir, name, &f);
        if (r == -EACCES || r == -EPERM) {
            if (fstatat(dir, name, &f.st, AT_SYMLINK_NOFOLLOW) < 0)
                return 0;
            dir_meta_foreign(&f.st, &f.meta);
            r = 0;
        }
        if (r != 0)
            return r == STORE_NOT_FOUND ? 0 : r;
    }
    int r = store_page_add(&w->page, key, &e);
    if (e != NULL) {
        e->etag = f.meta.etag;
        e->size = (uint64_t)f.st.st_size;
        e->mtime_ns = f.meta.mtime_ns;
    }
    return r;
}

/* Adds the odd keys that sort before `end` (NULL: all that are left). If end is a file's key, an
 * odd one of the same key is passed over: the tree tells it. */
static int add_odds(struct walk *w, const char *end, bool is_file)
{
    int r = 0;
    while (r == 0 && !w->page.full && w->next_odd < w->n_odds) {
        const struct odd *o = &w->odds[w->next_odd];
        int order = end == NULL ? -1 : strcmp(o->key, end);
        if (order > 0 || (order == 0 && !is_file))
            break;
        w->next_odd++;
        if (order < 0)
            r = add_file(w, o->key, w->d->odd_fd, o->path, true);
    }
    return r;
}

/* --- the tree --- */

static int walk_dir(struct walk *w, int fd, const char *base, bool *stop_after_one);

static int walk_subdir(struct walk *w, int fd, const char *name, const char *key,
                       bool *stop_after_one)
{
    char component[256];
    size_t len = strlen(name) - 1;
    if (len >= sizeof(component))
        return 0;
    memcpy(component, name, len);
    component[len] = '\0';
    _cleanup_close_ int sub = sys_openat(fd, component, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (sub < 0)
        return dir_is_nothing(sub) ? 0 : dir_fail(sub, "listing");
    /* All below folds into one entry: the first key that is found makes it. */
    bool found = false;
    bool folds = stop_after_one == NULL && store_page_folds(&w->page, key) > 0;
    return walk_dir(w, sub, key, folds ? &found : stop_after_one);
}

/* One name of a directory, which is wanted. stop_after_one: not NULL inside a directory that folds; set
 * when a key of it was added. */
static int walk_name(struct walk *w, int fd, const char *name, const char *key, bool *stop_after_one)
{
    size_t len = strlen(name);
    bool is_dir = len > 0 && name[len - 1] == '/';
    int r = add_odds(w, key, !is_dir);
    if (r < 0 || w->page.full)
        return r;
    if (is_dir)
        return walk_subdir(w, fd, name, key, stop_after_one);
    r = add_file(w, key, fd, len == 0 ? DIR_RESERVED : name, false);
    if (stop_after_one != NULL)
        *stop_after_one = true;
    return r;
}

static int walk_names(struct walk *w, int fd, const char *base, const struct dir_names *l,
                      bool *stop_after_one)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < l->n && !w->page.full; i++) {
        const char *name = l->v[i];
        if (stop_after_one != NULL && *stop_after_one)
            break;
        _cleanup_free_ char *key = join(base, name);
        if (key == NULL)
            return no_memory();
        if (dir_names_wants(&w->page, key, strlen(base)))
            r = walk_name(w, fd, name, key, stop_after_one);
    }
    return r;
}

/* A window of its names after the other: `want` is the page as if it began behind the last one. */
static int walk_dir(struct walk *w, int fd, const char *base, bool *stop_after_one)
{
    struct store_page want = w->page;
    _cleanup_free_ char *after = NULL;
    bool is_over = false;
    int r = 0;
    while (r == 0 && !is_over) {
        struct dir_names *l;
        r = dir_names_get(w->d, fd, &want, base, &l);
        if (r < 0 || l == NULL)
            return r;
        r = walk_names(w, fd, base, l, stop_after_one);
        is_over = l->is_all || w->page.full || (stop_after_one != NULL && *stop_after_one);
        if (r == 0 && !is_over) {
            free(after);
            after = join(base, l->v[l->n - 1]);
            r = after == NULL ? no_memory() : 0;
            want.after = after;
            want.after_is_prefix = after != NULL && str_ends(after, "/");
        }
        dir_names_leave(w->d, l);
    }
    return r;
}

/* From the directory that the prefix names: nothing outside of it can match. */
static int walk_tree(struct walk *w)
{
    const char *slash = strrchr(w->page.prefix, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - w->page.prefix) + 1;
    if (len > STORE_KEY_MAX)
        return 0;
    _cleanup_free_ char *base = strndup(w->page.prefix, len);
    if (base == NULL)
        return no_memory();
    if (!dir_path_is_plain(base))
        return 0;
    _cleanup_close_ int fd = -1;
    int r = dir_walk(w->d->root_fd, base, false, &fd);
    if (r < 0)
        return dir_is_nothing(r) ? 0 : dir_fail(r, "listing");
    return walk_dir(w, fd, base, NULL);
}

/* --- odd keys --- */

static int odds_add(struct walk *w, const char *path)
{
    char key[STORE_KEY_MAX + 1];
    if (!dir_odd_decode(path, key) || !store_page_wants(&w->page, key))
        return 0;
    if (w->n_odds == w->cap_odds) {
        size_t cap = w->cap_odds == 0 ? 16 : w->cap_odds * 2;
        struct odd *v = realloc(w->odds, cap * sizeof(*v));
        if (v == NULL)
            return no_memory();
        w->odds = v;
        w->cap_odds = cap;
    }
    struct odd o = {.key = strdup(key), .path = strdup(path)};
    if (o.key == NULL || o.path == NULL) {
        free(o.key);
        free(o.path);
        return no_memory();
    }
    w->odds[w->n_odds++] = o;
    return 0;
}

/* Pieces nest as deep as a key is long: at most 16. */
static int read_odds(struct walk *w, int parent, const char *name, const char *base)
{
    int fd = sys_openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    int r = 0;
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return fd < 0 && dir_is_nothing(fd) ? 0 : dir_fail(fd < 0 ? fd : -ENOMEM, "listing");
    }
    for (const struct dirent *e; r == 0 && (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        unsigned char type = dir_type_of(fd, e);
        _cleanup_free_ char *path = join(base, e->d_name);
        _cleanup_free_ char *below = path == NULL ? NULL : join(path, "/");
        if (below == NULL)
            r = no_memory();
        else if (type == DT_REG)
            r = odds_add(w, path);
        else if (type == DT_DIR && strlen(below) < DIR_ODD_MAX)
            r = read_odds(w, fd, e->d_name, below);
    }
    closedir(dir);
    return r;
}

static int odd_cmp(const void *a, const void *b)
{
    return strcmp(((const struct odd *)a)->key, ((const struct odd *)b)->key);
}

static void odds_done(struct walk *w)
{
    for (size_t i = 0; i < w->n_odds; i++) {
        free(w->odds[i].key);
        free(w->odds[i].path);
    }
    free(w->odds);
}

int dir_list(struct dir_store *d, const struct store_req *req, struct store_rsp *rsp)
{
    struct walk w = {.d = d};
    int r = store_page_init(&w.page, req, STORE_PAGE_MAX, &rsp->list);
    if (r == 0 && d->odd_fd >= 0)
        r = read_odds(&w, d->odd_fd, ".", "");
    if (r == 0 && w.n_odds > 1)
        qsort(w.odds, w.n_odds, sizeof(*w.odds), odd_cmp);
    if (r == 0)
        r = walk_tree(&w);
    if (r == 0)
        r = add_odds(&w, NULL, false);
    odds_done(&w);
    return r;
}
