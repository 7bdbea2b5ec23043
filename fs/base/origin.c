/* SPDX-License-Identifier: Apache-2.0 */
#include "base/origin.h"

static _Thread_local enum origin origin;

const char *origin_name(enum origin o)
{
    static const char *const names[ORIGIN_N] = {
#define X(name, text) [ORIGIN_##name] = text,
        ORIGINS(X)
#undef X
    };
    return (unsigned)o < ORIGIN_N ? names[o] : "?";
}

enum origin origin_get(void)
{
    return origin;
}

enum origin origin_set(enum origin o)
{
    enum origin was = origin;

    origin = o;
    return was;
}
