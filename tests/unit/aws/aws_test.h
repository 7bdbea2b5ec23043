/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of aws/ share: an environment of their own, and files in a folder of their own. */
#ifndef S3EFS_TESTS_AWS_TEST_H
#define S3EFS_TESTS_AWS_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/macros.h"

static struct {
    char name[64], value[512];
} test_env[32];

static inline const char *get_env(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(test_env); i++)
        if (strcmp(test_env[i].name, name) == 0)
            return test_env[i].value;
    return NULL;
}

static inline void clear_env(void)
{
    memset(test_env, 0, sizeof(test_env));
}

/* value NULL: takes it away. */
static inline void set_env(const char *name, const char *value)
{
    size_t i = 0, free_slot = ARRAY_LEN(test_env);
    for (; i < ARRAY_LEN(test_env) && strcmp(test_env[i].name, name) != 0; i++)
        if (!test_env[i].name[0] && free_slot == ARRAY_LEN(test_env))
            free_slot = i;
    if (i == ARRAY_LEN(test_env))
        i = free_slot;
    assert_true(i < ARRAY_LEN(test_env));
    snprintf(test_env[i].name, sizeof(test_env[i].name), "%s", value ? name : "");
    snprintf(test_env[i].value, sizeof(test_env[i].value), "%s", value ? value : "");
}

static char test_dir[64];

static inline void make_dir(void)
{
    strcpy(test_dir, "/tmp/s3efs-aws-XXXXXX");
    assert_non_null(mkdtemp(test_dir));
}

static inline const char *file_path(const char *name)
{
    static char path[200];
    snprintf(path, sizeof(path), "%s/%s", test_dir, name);
    return path;
}

static inline void write_file(const char *name, const char *text)
{
    FILE *f = fopen(file_path(name), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* Config and credentials files of the folder; NULL: there is none. */
static inline void set_files(const char *config, const char *credentials)
{
    set_env("AWS_CONFIG_FILE", file_path("config"));
    set_env("AWS_SHARED_CREDENTIALS_FILE", file_path("credentials"));
    unlink(file_path("config"));
    unlink(file_path("credentials"));
    if (config)
        write_file("config", config);
    if (credentials)
        write_file("credentials", credentials);
}

static inline void remove_dir(void)
{
    static const char *const names[] = {"config", "credentials", "token", "other"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unlink(file_path(names[i]));
    assert_int_equal(rmdir(test_dir), 0);
}

#endif
