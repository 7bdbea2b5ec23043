/* SPDX-License-Identifier: Apache-2.0 */
/* The names of a directory in the order of their keys, a window at a time: the smallest ones that a
 * page wants, as many as a fixed amount of memory has room for. A page that ends within a window
 * leaves it behind for the next page, which then does not read the directory again. So a listing of
 * n names reads the directory n / (names of a window) times, not n / 1,000 times, and takes the
 * same memory however many there are.
 *
 * A window is good for as long as its directory has the times that it had before it was read, if
 * these were older then than the grain that any file system's times may have: else a change could
 * leave no trace. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "base/sys.h"
#include "dir_int.h"

#define WINDOW_BYTES ((size_t)1 << 20)
#define NAME_MORE 24 /* bytes that a name takes beside its own */
#define RACY_NS (2 * NS_PER_S)

void dir_names_free(struct dir_names *l)
{
    if (l == NULL)
        return;
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
    free(l->base);
    free(l->prefix);
    free(l->after);
    free(l);
}

/* --- a heap, the largest name on top --- */

static void swap(char **a, char **b)
{
    char *c = *a;
    *a = *b;
    *b = c;
}

static void sift_down(struct dir_names *l)
{
    for (size_t i = 0, child; (child = 2 * i + 1) < l->n; i = child) {
        if (child + 1 < l->n && strcmp(l->v[child + 1], l->v[child]) > 0)
            child++;
        if (strcmp(l->v[i], l->v[child]) >= 0)
            return;
        swap(&l->v[i], &l->v[child]);
    }
}

static void sift_up(struct dir_names *l)
{
    for (size_t i = l->n - 1; i > 0 && strcmp(l->v[i], l->v[(i - 1) / 2]) > 0; i = (i - 1) / 2)
        swap(&l->v[i], &l->v[(i - 1) / 2]);
}

static size_t bytes_of(const char *name)
{
    return strlen(name) + NAME_MORE;
}

static void drop_largest(struct dir_names *l)
{
    l->is_all = false;
    l->bytes -= bytes_of(l->v[0]);
    free(l->v[0]);
    l->v[0] = l->v[--l->n];
    sift_down(l);
}

static int names_add(struct dir_names *l, const char *name)
{
    bool is_full = l->bytes + bytes_of(name) > WINDOW_BYTES;
    if (is_full && l->n > 0 && strcmp(name, l->v[0]) > 0) {
        l->is_all = false;
        return 0;
    }
    if (l->n == l->cap) {
        size_t cap = l->cap == 0 ? 64 : l->cap * 2;
        char **v = reallocarray(l->v, cap, sizeof(*v));
        if (v == NULL)
            return -ENOMEM;
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n] = strdup(name);
    if (l->v[l->n] == NULL)
        return -ENOMEM;
    l->n++;
    l->bytes += bytes_of(name);
    sift_up(l);
    while (l->bytes > WINDOW_BYTES && l->n > 1)
        drop_largest(l);
    return 0;
}

/* --- reading --- */

/* DT_REG, DT_DIR, or something that is no object. */
unsigned char dir_type_of(int dir, const struct dirent *e)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type;
    if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return DT_UNKNOWN;
    return S_ISREG(st.st_mode) ? DT_REG : S_ISDIR(st.st_mode) ? DT_DIR : DT_UNKNOWN;
}

struct scan {
    const struct store_page *want;
    size_t base_len;
    char
        key[DIR_PLAIN_MAX + 256]; /* the directory's, and the name of the entry that is looked at */
    struct dir_names *names;
};

/* The entry's key, a directory's with a '/' behind it: false if it is none. */
static bool make_key(struct scan *s, int fd, const struct dirent *e)
{
    bool is_reserved = strcmp(e->d_name, DIR_RESERVED) == 0;
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
        return false;
    unsigned char type = dir_type_of(fd, e);
    if ((type != DT_REG && type != DT_DIR) || (is_reserved && (type == DT_DIR || s->base_len == 0)))
        return false;
    const char *name = is_reserved ? "" : e->d_name;
    size_t len = strlen(name), all = s->base_len + len;
    if (all + (type == DT_DIR) > STORE_KEY_MAX)
        return false; /* deeper or longer than any key: a user's file that no request can name */
    memcpy(s->key + s->base_len, name, len);
    if (type == DT_DIR)
        s->key[all++] = '/';
    s->key[all] = '\0';
    return true;
}

bool dir_names_wants(const struct store_page *want, const char *key, size_t base_len)
{
    bool is_dir =
        key[base_len] != '\0' && str_ends(key, "/"); /* "dir/" of the directory itself is a key */
    return is_dir ? store_page_wants_below(want, key) : store_page_wants(want, key);
}

static int read_all(struct scan *s, DIR *dir)
{
    int r = 0;
    const struct dirent *e = NULL;
    do {
        errno = 0;
        e = readdir(dir);
        if (e == NULL && errno != 0)
            r = dir_fail(-errno, "listing");
        else if (e != NULL && make_key(s, dirfd(dir), e) &&
                 dir_names_wants(s->want, s->key, s->base_len))
            r = names_add(s->names, s->key + s->base_len);
    } while (r == 0 && e != NULL);
    return r == -ENOMEM ? err_set(r, "no memory for a listing") : r;
}

static int name_cmp(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct dir_names *names_new(const struct store_page *want, const char *base)
{
    struct dir_names *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return NULL;
    l->is_all = true;
    l->base = strdup(base);
    l->prefix = strdup(want->prefix);
    l->after = strdup(want->after != NULL ? want->after : "");
    l->after_is_prefix = want->after != NULL && want->after_is_prefix;
    if (l->base != NULL && l->prefix != NULL && l->after != NULL)
        return l;
    dir_names_free(l);
    return NULL;
}

static int scan(struct dir_store *d, DIR *dir, const struct store_page *want, const char *base,
                struct dir_names **ret)
{
    struct scan s = {.want = want, .base_len = strlen(base), .names = names_new(want, base)};
    if (s.names == NULL)
        return err_set(-ENOMEM, "no memory for a listing");
    memcpy(s.key, base, s.base_len + 1);
    int64_t now = clock_wall_ns();
    int r = fstat(dirfd(dir), &s.names->st) < 0 ? dir_fail(-errno, "listing") : 0;
    if (r == 0)
        r = read_all(&s, dir);
    if (r < 0) {
        dir_names_free(s.names);
        return r;
    }
    s.names->is_sure =
        s.names->st.st_mtim.tv_sec * NS_PER_S + s.names->st.st_mtim.tv_nsec + RACY_NS < now;
    if (s.names->n > 1)
        qsort(s.names->v, s.names->n, sizeof(*s.names->v), name_cmp);
    lock_take(&d->locked.lk);
    d->locked.scans++;
    lock_drop(&d->locked.lk);
    *ret = s.names;
    return 0;
}

/* --- what pages leave behind --- */

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Has this one all that the page wants, up to its last name? */
static bool is_for(const struct dir_names *l, const struct store_page *want, const char *base,
                   const struct stat *st)
{
    const char *after = want->after != NULL ? want->after : "";
    if (l->st.st_dev != st->st_dev || l->st.st_ino != st->st_ino ||
        !same_time(&l->st.st_mtim, &st->st_mtim) || !same_time(&l->st.st_ctim, &st->st_ctim) ||
        strcmp(l->base, base) != 0 || strcmp(l->prefix, want->prefix) != 0)
        return false;
    if (strcmp(l->after, after) > 0 || (l->after_is_prefix && str_starts(after, l->after)))
        return false;
    /* Else its names are all before the page: it begins with another window. */
    return l->is_all || strncmp(base, after, strlen(base)) != 0 ||
           strcmp(l->v[l->n - 1], after + strlen(base)) > 0;
}

static struct dir_names *take_left(struct dir_store *d, DIR *dir, const struct store_page *want,
                                   const char *base)
{
    struct dir_names *found = NULL;
    struct stat st;
    if (fstat(dirfd(dir), &st) < 0)
        return NULL;
    lock_take(&d->locked.lk);
    for (size_t i = 0; i < ARRAY_LEN(d->locked.left) && found == NULL; i++)
        if (d->locked.left[i] != NULL && is_for(d->locked.left[i], want, base, &st)) {
            found = d->locked.left[i];
            d->locked.left[i] = NULL;
        }
    lock_drop(&d->locked.lk);
    return found;
}

void dir_names_leave(struct dir_store *d, struct dir_names *l)
{
    struct dir_names *out = l;
    if (l == NULL || !l->is_sure || (l->n <= STORE_PAGE_MAX && l->after[0] == '\0')) { /* it was one page */
        dir_names_free(l);
        return;
    }
    lock_take(&d->locked.lk);
    for (size_t i = 0; i < ARRAY_LEN(d->locked.left); i++) { /* the newest first */
        struct dir_names *next = d->locked.left[i];
        d->locked.left[i] = out;
        out = next;
        if (out == NULL)
            break;
    }
    lock_drop(&d->locked.lk);
    dir_names_free(out);
}

int dir_names_get(struct dir_store *d, int fd, const struct store_page *want, const char *base,
                  struct dir_names **ret)
{
    *ret = NULL;
    int copy = sys_openat(fd, ".", O_RDONLY | O_DIRECTORY, 0);
    if (copy < 0)
        return copy == -ENOENT ? 0 : dir_fail(copy, "listing");
    DIR *dir = fdopendir(copy);
    if (dir == NULL) {
        close(copy);
        return err_set(-ENOMEM, "no memory for a listing");
    }
    *ret = take_left(d, dir, want, base);
    int r = *ret != NULL ? 0 : scan(d, dir, want, base, ret);
    closedir(dir);
    return r;
}
