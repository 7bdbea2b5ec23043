/* SPDX-License-Identifier: Apache-2.0 */
/* Bars as inline SVG. Pure. */
#ifndef S3EFS_FS_COMPARE_CHART_H
#define S3EFS_FS_COMPARE_CHART_H

#include <stddef.h>
#include "base/buf.h"

struct chart_bar {
    const char *label; /* in front of a group's first bar; any bytes, they are escaped */
    const char *value; /* behind the bar */
    const char *name;  /* for the title that a pointer shows */
    unsigned side;     /* its colour */
    double length;     /* 0 or more; below 0: not known */
};
/* Horizontal bars, one below the other, the longest as wide as there is room. */
void chart_bars(struct buf *out, const char *title, const struct chart_bar *bars, size_t n);

#endif
