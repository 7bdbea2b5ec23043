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
#include "base/sys.h"
#include "dir_int.h"

struct odd {
    char *key, *path;
};

struct walk {
    const struct dir_store *d;
    struct store_page page;
    struct odd *odds; /* sorted */
    size_t n_odds, cap_odds, next_odd;
};

struct item {
    char *name; /* a directory's ends in '/', the "dir/" object's is "" */
};

struct items {
    struct item *v;
    size_t n, cap;
};

static void items_done(struct items *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].name);
    free(l->v);
}
#define _cleanup_items_ _cleanup_(items_done)

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

static int items_add(struct items *l, const char *name, bool is_dir)
{
    if (l->n == l->cap) {
        size_t cap = l->cap == 0 ? 64 : l->cap * 2;
        struct item *v = realloc(l->v, cap * sizeof(*v));
        if (v == NULL)
            return no_memory();
        l->v = v;
        l->cap = cap;
    }
    char *copy = join(name, is_dir ? "/" : "");
    if (copy == NULL)
        return no_memory();
    l->v[l->n++].name = copy;
    return 0;
}

static int item_cmp(const void *a, const void *b)
{
    return strcmp(((const struct item *)a)->name, ((const struct item *)b)->name);
}

/* DT_REG, DT_DIR, or something that is no object. */
static unsigned char type_of(int dir, const struct dirent *e)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type;
    if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return DT_UNKNOWN;
    return S_ISREG(st.st_mode) ? DT_REG : S_ISDIR(st.st_mode) ? DT_DIR : DT_UNKNOWN;
}

/* Is this entry part of the listing? base is the directory's key ("" or "a/b/"). */
static int read_entry(const struct walk *w, int fd, const char *base, const struct dirent *e,
                      struct items *ret)
{
    bool is_reserved = strcmp(e->d_name, DIR_RESERVED) == 0;
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
        return 0;
    unsigned char type = type_of(fd, e);
    if ((type != DT_REG && type != DT_DIR) || (is_reserved && (type == DT_DIR || base[0] == '\0')))
        return 0;
    const char *name = is_reserved ? "" : e->d_name;
    _cleanup_free_ char *key = join(base, name);
    _cleanup_free_ char *below = key == NULL ? NULL : join(key, "/");
    if (key == NULL || below == NULL)
        return no_memory();
    bool is_dir = type == DT_DIR;
    /* Deeper or longer than any key: a user's file that no request can name. */
    if (strlen(is_dir ? below : key) > STORE_KEY_MAX)
        return 0;
    if (is_dir ? !store_page_wants_below(&w->page, below) : !store_page_wants(&w->page, key))
        return 0;
    return items_add(ret, name, is_dir);
}

/* The wanted names of a directory, sorted. fd is the caller's. */
static int read_names(const struct walk *w, int fd, const char *base, struct items *ret)
{
    int copy = sys_openat(fd, ".", O_RDONLY | O_DIRECTORY, 0);
    if (copy < 0)
        return copy == -ENOENT ? 0 : dir_fail(copy, "listing");
    DIR *dir = fdopendir(copy);
    if (dir == NULL) {
        close(copy);
        return no_memory();
    }
    int r = 0;
    const struct dirent *e = NULL;
    do {
        errno = 0;
        e = readdir(dir);
        if (e != NULL)
            r = read_entry(w, fd, base, e, ret);
        else if (errno != 0)
            r = dir_fail(-errno, "listing");
    } while (r == 0 && e != NULL);
    closedir(dir);
    if (r == 0 && ret->n > 1)
        qsort(ret->v, ret->n, sizeof(*ret->v), item_cmp);
    return r;
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

/* stop_after_one: not NULL inside a directory that folds; set when a key of it was added. */
static int walk_dir(struct walk *w, int fd, const char *base, bool *stop_after_one)
{
    _cleanup_items_ struct items l = {0};
    int r = read_names(w, fd, base, &l);
    for (size_t i = 0; r == 0 && i < l.n && !w->page.full; i++) {
        const char *name = l.v[i].name;
        size_t len = strlen(name);
        bool is_dir = len > 0 && name[len - 1] == '/';
        _cleanup_free_ char *key = join(base, name);
        if (key == NULL)
            return no_memory();
        if (stop_after_one != NULL && *stop_after_one)
            break;
        r = add_odds(w, key, !is_dir);
        if (r < 0 || w->page.full)
            break;
        if (is_dir) {
            r = walk_subdir(w, fd, name, key, stop_after_one);
            continue;
        }
        r = add_file(w, key, fd, len == 0 ? DIR_RESERVED : name, false);
        if (stop_after_one != NULL)
            *stop_after_one = true;
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
        unsigned char type = type_of(fd, e);
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

int dir_list(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp)
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
