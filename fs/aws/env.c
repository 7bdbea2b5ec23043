/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the environment. */
#include "env.h"

#include <pwd.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/secret.h"
#include "base/str.h"

const char *env_get(env_fn fn, const char *name)
{
    const char *value = fn ? fn(name) : secret_env(name);
    return value && value[0] ? value : NULL;
}

bool env_is_true(env_fn fn, const char *name)
{
    const char *value = env_get(fn, name);
    return value && strcasecmp(value, "true") == 0;
}

const char *env_home(env_fn fn, char *buf, size_t size)
{
    const char *home = env_get(fn, "HOME");
    struct passwd pw, *found = NULL;
    char text[4096];
    if (home || fn)
        return home;
    if (getpwuid_r(geteuid(), &pw, text, sizeof(text), &found) != 0 || !found)
        return NULL;
    return str_copy(buf, size, found->pw_dir) == 0 ? buf : NULL;
}
