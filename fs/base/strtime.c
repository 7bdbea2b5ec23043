/* SPDX-License-Identifier: Apache-2.0 */
/* Dates of HTTP and ISO 8601, without the C library's locale and time zone. */
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char days[] = "ThuFriSatSunMonTueWed"; /* 1 January 1970 was a Thursday */

struct civil {
    int64_t year;
    unsigned month, day, hour, min, sec; /* month 1-12 */
};

/* Days since the epoch of a proleptic Gregorian date; years count from March so that the leap day
 * is last. */
static int64_t days_of(int64_t y, unsigned m, unsigned d)
{
    int64_t era, doy, yoe;

    y -= m <= 2;
    era = (y >= 0 ? y : y - 399) / 400;
    yoe = y - era * 400;
    doy = (153 * ((int64_t)m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static struct civil civil_of(int64_t secs)
{
    int64_t day = secs >= 0 ? secs / 86400 : -((86399 - secs) / 86400);
    int64_t rest = secs - day * 86400, z = day + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    struct civil c = {
        .year = yoe + era * 400 + (mp >= 10),
        .month = (unsigned)(mp < 10 ? mp + 3 : mp - 9),
        .day = (unsigned)(doy - (153 * mp + 2) / 5 + 1),
        .hour = (unsigned)(rest / 3600),
        .min = (unsigned)(rest / 60 % 60),
        .sec = (unsigned)(rest % 60),
    };

    return c;
}

static int to_ns(const struct civil *c, int64_t frac_ns, int64_t *ret_ns)
{
    int64_t secs;

    if (c->month < 1 || c->month > 12 || c->day < 1 || c->day > 31 || c->hour > 23 || c->min > 59 ||
        c->sec > 60 || c->year < 1700 || c->year > 2250)
        return -EINVAL;
    secs = days_of(c->year, c->month, c->day) * 86400 + c->hour * 3600 + c->min * 60 + c->sec;
    *ret_ns = secs * NS_PER_S + frac_ns;
    return 0;
}

/* Exactly n digits. */
static bool digits(const char **p, unsigned n, unsigned *ret)
{
    unsigned v = 0;

    for (; n > 0; n--, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        v = v * 10 + (unsigned)(**p - '0');
    }
    *ret = v;
    return true;
}

static bool literal(const char **p, const char *s)
{
    size_t n = strlen(s);

    if (strncmp(*p, s, n) != 0)
        return false;
    *p += n;
    return true;
}

static bool month_name(const char **p, unsigned *ret)
{
    for (unsigned m = 0; m < 12; m++) {
        if (strncmp(*p, months + 3 * m, 3) == 0) {
            *ret = m + 1;
            *p += 3;
            return true;
        }
    }
    return false;
}

int str_http_date(const char *s, int64_t *ret_ns)
{
    struct civil c = {0};
    const char *p = s;
    unsigned year;

    if (strlen(s) != 29)
        return -EINVAL;
    p += 3;
    if (!literal(&p, ", ") || !digits(&p, 2, &c.day) || !literal(&p, " ") ||
        !month_name(&p, &c.month) || !literal(&p, " ") || !digits(&p, 4, &year) ||
        !literal(&p, " ") || !digits(&p, 2, &c.hour) || !literal(&p, ":") ||
        !digits(&p, 2, &c.min) || !literal(&p, ":") || !digits(&p, 2, &c.sec) ||
        !literal(&p, " GMT") || *p != '\0')
        return -EINVAL;
    c.year = year;
    return to_ns(&c, 0, ret_ns);
}

int str_iso8601(const char *s, int64_t *ret_ns)
{
    struct civil c = {0};
    const char *p = s;
    int64_t frac = 0;
    unsigned year;

    if (!digits(&p, 4, &year) || !literal(&p, "-") || !digits(&p, 2, &c.month) ||
        !literal(&p, "-") || !digits(&p, 2, &c.day) || !literal(&p, "T") ||
        !digits(&p, 2, &c.hour) || !literal(&p, ":") || !digits(&p, 2, &c.min) ||
        !literal(&p, ":") || !digits(&p, 2, &c.sec))
        return -EINVAL;
    if (*p == '.') {
        int64_t unit = NS_PER_S / 10;

        for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
            frac += (*p - '0') * unit;
    }
    if (strcmp(p, "Z") != 0 && strcmp(p, "+00:00") != 0)
        return -EINVAL;
    c.year = year;
    return to_ns(&c, frac, ret_ns);
}

static int64_t floor_secs(int64_t ns)
{
    return ns / NS_PER_S - (ns % NS_PER_S < 0);
}

void str_format_http_date(int64_t ns, char out[32])
{
    int64_t secs = floor_secs(ns);
    struct civil c = civil_of(secs);
    int64_t day = days_of(c.year, c.month, c.day);
    unsigned dow = (unsigned)((day % 7 + 7) % 7);

    snprintf(out, 32, "%.3s, %02u %.3s %04d %02u:%02u:%02u GMT", days + 3 * dow, c.day,
             months + 3 * (c.month - 1), (int)(c.year % 10000), c.hour, c.min, c.sec);
}

void str_format_iso8601(int64_t ns, char out[32])
{
    int64_t secs = floor_secs(ns);
    struct civil c = civil_of(secs);

    snprintf(out, 32, "%04d-%02u-%02uT%02u:%02u:%02u.%03uZ", (int)(c.year % 10000), c.month, c.day,
             c.hour, c.min, c.sec, (unsigned)((ns % NS_PER_S + NS_PER_S) % NS_PER_S / NS_PER_MS));
}
