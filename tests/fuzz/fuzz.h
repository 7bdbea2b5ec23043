/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets share: a check that ends the program whatever NDEBUG says, and input taken
 * in pieces. Each target is one function; main is libFuzzer's, or replay.c's in an ordinary build.
 */
#ifndef S3EFS_TESTS_FUZZ_FUZZ_H
#define S3EFS_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/macros.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(holds)                                                                               \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #holds);             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* What is left of an input. Past its end everything is 0 or "". */
struct fuzz {
    const uint8_t *p;
    size_t n;
};

static inline unsigned fuzz_u8(struct fuzz *f)
{
    if (f->n == 0)
        return 0;
    f->n--;
    return *f->p++;
}

static inline uint64_t fuzz_u64(struct fuzz *f)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 8; i++)
        v |= (uint64_t)fuzz_u8(f) << (8 * i);
    return v;
}

static inline char *fuzz_copy(const uint8_t *p, size_t n)
{
    char *s = malloc(n + 1); /* of exactly this size: one byte too far is seen */

    CHECK(s != NULL);
    if (n > 0)
        memcpy(s, p, n);
    s[n] = '\0';
    return s;
}

/* The next line as a string, to free; it ends before a NUL, as every string does. */
static inline char *fuzz_line(struct fuzz *f)
{
    const uint8_t *end = f->n > 0 ? memchr(f->p, '\n', f->n) : NULL;
    size_t n = end != NULL ? (size_t)(end - f->p) : f->n;
    char *s = fuzz_copy(f->p, n == 0 ? 0 : strnlen((const char *)f->p, n));

    n += end != NULL ? 1 : 0;
    f->p = n > 0 ? f->p + n : f->p;
    f->n -= n;
    return s;
}

/* All that is left as a string, to free. */
static inline char *fuzz_rest(struct fuzz *f)
{
    return fuzz_copy(f->p, f->n == 0 ? 0 : strnlen((const char *)f->p, f->n));
}

static inline bool fuzz_is_printable(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
            return false;
    return true;
}

#endif
