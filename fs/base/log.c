/* SPDX-License-Identifier: Apache-2.0 */
/* One line an event, written with one write(2) so that lines of different threads do not mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

static atomic_int target = LOG_TO_STDERR;
static atomic_int level_max = LOG_LV_INFO;

static const struct {
    const char *name;
    int priority;
} levels[] = {
    [LOG_LV_ERROR] = {"error", LOG_ERR},
    [LOG_LV_WARN] = {"warn", LOG_WARNING},
    [LOG_LV_INFO] = {"info", LOG_INFO},
    [LOG_LV_DEBUG] = {"debug", LOG_DEBUG},
};

void log_open(enum log_target to, enum log_level max)
{
    if (to == LOG_TO_SYSLOG)
        openlog("s3efs", LOG_PID, LOG_DAEMON);
    atomic_store(&target, (int)to);
    atomic_store(&level_max, (int)max);
}

enum log_level log_max(void)
{
    return (enum log_level)atomic_load_explicit(&level_max, memory_order_relaxed);
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    char line[1200], time[32];
    va_list ap;
    int n;

    if (level > log_max())
        return;
    str_format_iso8601(clock_wall_ns(), time);
    n = snprintf(line, sizeof(line), "%s level=%s event=%s ", time, levels[level].name, event);
    va_start(ap, fmt);
    n += vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
    va_end(ap);
    if ((size_t)n > sizeof(line) - 2)
        n = (int)sizeof(line) - 2;
    for (int i = 0; i < n; i++)
        if ((unsigned char)line[i] < 0x20)
            line[i] = ' ';
    if (atomic_load(&target) == LOG_TO_SYSLOG) {
        line[n] = '\0';
        syslog(levels[level].priority, "%s", line + strlen(time) + 1);
        return;
    }
    line[n++] = '\n';
    /* Not through sys.h: a test that lets the n-th write fail must not have the log's counted. */
    if (write(STDERR_FILENO, line, (size_t)n) < 0)
        return; /* nobody is left to tell */
}

static bool is_plain(unsigned char c)
{
    return c > 0x20 && c != '"' && c != '\\' && c != '=' && c != 0x7f;
}

const char *log_quote(char *buf, size_t size, const char *value)
{
    bool plain = value[0] != '\0';
    size_t n = 0;

    for (const char *p = value; *p != '\0'; p++)
        plain = plain && is_plain((unsigned char)*p);
    if (!plain)
        buf[n++] = '"';
    for (const char *p = value; *p != '\0' && n + 7 < size; p++) {
        unsigned char c = (unsigned char)*p;

        if (c < 0x20 || c == 0x7f) {
            n += (size_t)snprintf(buf + n, size - n, "\\x%02x", c);
        } else {
            if (c == '"' || c == '\\')
                buf[n++] = '\\';
            buf[n++] = (char)c;
        }
    }
    if (!plain)
        buf[n++] = '"';
    buf[n] = '\0';
    return buf;
}
