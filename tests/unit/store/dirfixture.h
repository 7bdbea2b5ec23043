/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket in a directory of its own. */
#ifndef S3EFS_TESTS_DIRFIXTURE_H
#define S3EFS_TESTS_DIRFIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include "base/err.h"
#include "base/str.h"
#include "base/sys.h"
#include "conformance.h"
#include "dirtest.h"

struct fixture {
    char dir[256];
    struct meter *meter;
    struct store *s;
};

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    dirtest_make(f->dir);
    f->meter = meter_new();
    assert_int_equal(store_dir_new(f->dir, false, f->meter, &f->s), 0);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    store_stop(f->s);
    store_free(f->s);
    meter_free(f->meter);
    dirtest_remove(f->dir);
    free(f);
    return 0;
}

static inline char *path_of(const struct fixture *f, const char *name)
{
    static char out[2][1600];
    static int turn;
    char *p = out[turn++ % 2];
    snprintf(p, sizeof(out[0]), "%s/%s", f->dir, name);
    return p;
}

static inline void expect_text(struct fixture *f, const char *key, const char *text)
{
    char *data = NULL;
    assert_int_equal(dirtest_get(f->s, key, 1000, &data, NULL, NULL), 0);
    assert_string_equal(data, text);
    free(data);
}

#endif
