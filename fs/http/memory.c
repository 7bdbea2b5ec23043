/* SPDX-License-Identifier: Apache-2.0 */
/* The heap as libcurl uses it: what it lets go of has had headers with tokens and keys in it, and
 * is wiped. */
#include <malloc.h>
#include <string.h>

#include "op.h"

static void memory_free(void *p)
{
    if (p)
        explicit_bzero(p, malloc_usable_size(p));
    free(p);
}

static void *memory_realloc(void *p, size_t size)
{
    size_t old = p ? malloc_usable_size(p) : 0;
    if (size <= old && size > 0)
        return p;
    void *to = malloc(size);
    if (to && p) {
        memcpy(to, p, old < size ? old : size);
        memory_free(p);
    }
    return to;
}

CURLcode memory_init(void)
{
    return curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, memory_free, memory_realloc, strdup,
                                calloc);
}
