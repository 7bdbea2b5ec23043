/* SPDX-License-Identifier: Apache-2.0 */
/* What the bad disk has when it is looked at first: steps that made it, and that are on the disk.
 */
#include "baddisk_int.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct known {
    ino_t ino;
    char *path;
};
struct import {
    const char *root;
    struct known *v; /* files of more than one name */
    size_t n, cap;
};

static void need(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

static void join(char ret[PATH_MAX], const char *a, const char *b)
{
    need(snprintf(ret, PATH_MAX, "%s%s%s", a, *a != '\0' && *b != '\0' ? "/" : "", b) < PATH_MAX,
         b);
}

static void import_bytes(const char *full, uint32_t node, size_t size)
{
    struct step *s = log_step(STEP_WRITE, node);
    int fd = open(full, O_RDONLY | O_CLOEXEC);

    need(fd >= 0, full);
    s->data = malloc(size > 0 ? size : 1);
    need(s->data != NULL, "baddisk: memory");
    while (s->len < size) {
        ssize_t n = read(fd, (char *)s->data + s->len, size - s->len);

        need(n > 0, full);
        s->len += (size_t)n;
    }
    close(fd);
}

static void import_file(struct import *m, const char *full, const char *path, const struct stat *st)
{
    if (st->st_nlink > 1) {
        for (size_t i = 0; i < m->n; i++)
            if (m->v[i].ino == st->st_ino) {
                log_link(m->v[i].path, path);
                return;
            }
        m->v = baddisk_grow(m->v, m->n, &m->cap, sizeof(*m->v));
        m->v[m->n++] = (struct known){.ino = st->st_ino, .path = strdup(path)};
    }
    import_bytes(full, log_make(path, false), (size_t)st->st_size);
}

static void import_dir(struct import *m, const char *path)
{
    char full[PATH_MAX], child[PATH_MAX];
    const struct dirent *e;
    DIR *d;

    join(full, m->root, path);
    d = opendir(full);
    need(d != NULL, full);
    while ((e = readdir(d)) != NULL) {
        struct stat st;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        join(child, path, e->d_name);
        join(full, m->root, child);
        need(lstat(full, &st) == 0, full);
        if (S_ISDIR(st.st_mode)) {
            (void)log_make(child, true);
            import_dir(m, child);
        } else if (S_ISREG(st.st_mode)) {
            import_file(m, full, child, &st);
        }
    }
    closedir(d);
}

void log_import(const char *root)
{
    struct import m = {.root = root};

    import_dir(&m, "");
    for (uint32_t i = 0; i < baddisk_steps.n_nodes; i++)
        log_step(STEP_SYNC, i)->upto = baddisk_steps.n;
    for (size_t i = 0; i < m.n; i++)
        free(m.v[i].path);
    free(m.v);
}
