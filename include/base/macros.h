/* SPDX-License-Identifier: Apache-2.0 */
/* Compiler attributes and scope-bound clean-up. Knows nothing but the compiler. */
#ifndef S3EFS_BASE_MACROS_H
#define S3EFS_BASE_MACROS_H

#include <stdlib.h>
#include <unistd.h>

#define _must_check_ __attribute__((warn_unused_result))
#define _printf_(f, a) __attribute__((format(printf, f, a)))
#define _nonnull_ __attribute__((nonnull))
#define _unused_ __attribute__((unused))
#define _cleanup_(f) __attribute__((cleanup(f)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Moves a pointer out of a variable that clean-up would free. */
#define steal(p)                                                                                   \
    __extension__({                                                                                \
        __typeof__(*(p)) steal_tmp_ = *(p);                                                        \
        *(p) = NULL;                                                                               \
        steal_tmp_;                                                                                \
    })

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

static inline void cleanup_free_p(void *p)
{
    free(*(void **)p);
}
#define _cleanup_free_ _cleanup_(cleanup_free_p)

static inline void cleanup_close_p(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define _cleanup_close_ _cleanup_(cleanup_close_p)

#endif
