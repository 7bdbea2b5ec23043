/* SPDX-License-Identifier: Apache-2.0 */
/* What is in lost+found, as the notes beside the files tell it (keep.c). */
#include "priv.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "base/sys.h"

#define NOTE_MAX 16384u

void cache_kept_done(struct cache_kept_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->v[i].file);
        free(l->v[i].key);
        free(l->v[i].why);
    }
    free(l->v);
    *l = (struct cache_kept_list){0};
}

/* The rest of the line that begins with "label: ", or "". */
static char *field(const char *text, const char *label)
{
    size_t n = strlen(label);

    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, label, n) == 0 && strncmp(line + n, ": ", 2) == 0)
            return strndup(line + n + 2, strcspn(line + n + 2, "\n"));
    }
    return strdup("");
}

/* The note may be missing: the bytes are what counts. */
static int read_note(struct cache_kept *k)
{
    _cleanup_free_ char *text = NULL;
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s.txt", k->file);
    if (sys_read_file(path, NOTE_MAX, &text, NULL) < 0)
        text = strdup("");
    if (text == NULL)
        return -ENOMEM;
    k->key = field(text, "key");
    k->why = field(text, "why");
    return k->key != NULL && k->why != NULL ? 0 : -ENOMEM;
}

/* The number at the end of its name: a file kept in the same moment has a smaller one. */
static uint64_t sequence_of(const struct cache_kept *k)
{
    const char *dot = strrchr(k->file, '.');
    uint64_t v;

    return dot != NULL && str_u64(dot + 1, 10, &v) == 0 ? v : 0;
}

static int newest_first(const void *a, const void *b)
{
    const struct cache_kept *x = a, *y = b;
    uint64_t m = sequence_of(x), n = sequence_of(y);

    if (x->kept_ns != y->kept_ns)
        return x->kept_ns > y->kept_ns ? -1 : 1;
    return m != n ? (m > n ? -1 : 1) : strcmp(y->file, x->file);
}

static int add(struct cache_kept_list *l, const char *folder, const char *name)
{
    struct cache_kept *v = realloc(l->v, (l->n + 1) * sizeof(*v));
    char path[PATH_MAX];
    struct stat st;

    if (v == NULL)
        return -ENOMEM;
    l->v = v;
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) >= sizeof(path) ||
        stat(path, &st) < 0)
        return 0; /* taken away meanwhile */
    v[l->n] = (struct cache_kept){
        .file = strdup(path),
        .size = (uint64_t)st.st_size,
        .kept_ns = st.st_ctim.tv_sec * INT64_C(1000000000) + st.st_ctim.tv_nsec,
    };
    if (v[l->n].file == NULL)
        return -ENOMEM;
    l->n++;
    return 0;
}

int cache_kept_get(struct cache *c, size_t max, struct cache_kept_list *ret)
{
    struct cache_kept_list l = {0};
    char folder[PATH_MAX];
    struct dirent *e;
    int r = 0;
    DIR *d;

    *ret = l;
    snprintf(folder, sizeof(folder), "%s/lost+found", c->dir);
    d = opendir(folder);
    if (d == NULL)
        return err_set(-errno, "%s: %s", folder, strerror(errno));
    while (r == 0 && (e = readdir(d)) != NULL)
        if (e->d_name[0] != '.' && !str_ends(e->d_name, ".txt"))
            r = add(&l, folder, e->d_name);
    closedir(d);
    if (l.n > 0)
        qsort(l.v, l.n, sizeof(*l.v), newest_first);
    for (size_t i = max; i < l.n; i++)
        free(l.v[i].file);
    l.n = l.n < max ? l.n : max;
    for (size_t i = 0; i < l.n && r == 0; i++)
        r = read_note(&l.v[i]);
    if (r < 0) {
        cache_kept_done(&l);
        return err_set(r, "no memory for the list of lost+found");
    }
    *ret = l;
    return 0;
}
