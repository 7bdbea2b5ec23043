/* SPDX-License-Identifier: Apache-2.0 */
/* The environment, as tests may give their own: private to aws. */
#ifndef S3EFS_FS_AWS_ENV_H
#define S3EFS_FS_AWS_ENV_H

#include <stdbool.h>
#include <stddef.h>

typedef const char *(*env_fn)(const char *name); /* NULL: getenv(3) */

/* The variable's value; NULL when it is not set or empty. */
const char *env_get(env_fn fn, const char *name);
bool env_is_true(env_fn fn, const char *name);
/* The home directory: HOME, or of the user's entry when the environment is the real one (a daemon
 * that systemd starts has no HOME). NULL if there is none. buf is for the latter. */
const char *env_home(env_fn fn, char *buf, size_t size);

#endif
