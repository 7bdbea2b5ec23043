/* SPDX-License-Identifier: Apache-2.0 */
/* What holds when everything is closed and every attribute time has run out. */
#include <errno.h>
#include <string.h>

#include "mounts.h"

static int settled_file(unsigned mount, unsigned k)
{
    static char buf[CELLS_MAX * CELL + CELL];
    const struct version *v = &w.keys[k].v[w.keys[k].n - 1];
    ssize_t n = rig_get(&w.rig[mount], paths[k], buf, sizeof(buf));
    struct content c = {0};
    struct stat st;
    bool ok;

    if (!v->present)
        return n == -ENOENT ? 0
                            : model_fail("at rest: mount %u still has %s: %zd", mount, paths[k], n);
    ok = n >= 0 && content_parse(buf, (size_t)n, &c) && content_equal(&c, &v->c);
    if (!ok)
        model_fail("at rest: mount %u: %s is %s (%zd), wanted %s", mount, paths[k],
                   content_text(&c), n, content_text(&v->c));
    content_free(&c);
    if (ok && (rig_stat(&w.rig[mount], paths[k], &st) < 0 || st.st_size != n))
        return model_fail("at rest: mount %u: stat of %s", mount, paths[k]);
    return ok ? 0 : -1;
}

static int settled_dirs(unsigned mount)
{
    struct names l;
    int r = names_list(&w.rig[mount], "", true, &l);

    for (int d = -1; d < N_DIRS && r == 0; d++) {
        bool exists = d < 0 || !dir_was_absent((unsigned)d, clock_boot_ns());

        if (d >= 0 && l.dirs[d] != exists)
            return model_fail("at rest: mount %u: directory %s", mount, dirs[d]);
    }
    for (int d = -1; d < N_DIRS && r == 0; d++) {
        struct names in;

        r = names_list(&w.rig[mount], d < 0 ? "" : dirs[d], false, &in);
        if (r == -ENOENT && d >= 0 && !l.dirs[d])
            r = 0;
        for (unsigned k = 0; k < N_FILES && r == 0; k++)
            if (dir_of(k) == d && in.files[k] != w.keys[k].v[w.keys[k].n - 1].present)
                return model_fail("at rest: mount %u: the listing %s %s", mount,
                                  in.files[k] ? "has" : "lacks", paths[k]);
    }
    return r == 0 ? 0 : model_fail("at rest: mount %u: ls: %s", mount, r < 0 ? strerror(-r) : "ok");
}

/* Every mount closed everything, and the attribute times have run out. */
int check_settled(void)
{
    for (unsigned m = 0; m < MOUNTS; m++) {
        for (unsigned k = 0; k < N_FILES; k++)
            if (settled_file(m, k) < 0)
                return -1;
        if (settled_dirs(m) < 0)
            return -1;
    }
    if (check_counter() < 0)
        return -1;
    if (memstore_uploads(w.rig[0].store) != 0)
        return model_fail("at rest: an upload was left open");
    return 0;
}
