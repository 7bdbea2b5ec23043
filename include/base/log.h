/* SPDX-License-Identifier: Apache-2.0 */
/* One line an event: "time level event key=value ...", to stderr or syslog.
 *
 * Use: log_warn("cache.full", "used=%" PRIu64 " limit=%" PRIu64, used, limit);
 * Library layers log at debug only; the boundary (front, main, upload's background work) logs once.
 * Values with spaces, quotes or control bytes go through LOG_Q: "key=%s", log_quote(...).
 * Secrets: no layer passes one here. Threads: any. */
#ifndef S3EFS_BASE_LOG_H
#define S3EFS_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include "base/macros.h"

enum log_level { LOG_LV_ERROR, LOG_LV_WARN, LOG_LV_INFO, LOG_LV_DEBUG };
enum log_target { LOG_TO_STDERR, LOG_TO_SYSLOG };

void log_open(enum log_target target, enum log_level max);
enum log_level log_max(void);
void log_event(enum log_level level, const char *event, const char *fmt, ...) _printf_(3, 4);

#define log_error(event, ...) log_event(LOG_LV_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...) log_event(LOG_LV_WARN, event, __VA_ARGS__)
#define log_info(event, ...) log_event(LOG_LV_INFO, event, __VA_ARGS__)
#define log_debug(event, ...)                                                                      \
    do {                                                                                           \
        if (log_max() >= LOG_LV_DEBUG)                                                             \
            log_event(LOG_LV_DEBUG, event, __VA_ARGS__);                                           \
    } while (0)

/* Writes value into buf quoted for a key=value line (as it is where it needs no quotes), cut to fit.
 * Returns buf. */
const char *log_quote(char *buf, size_t size, const char *value);
#define LOG_Q(value) log_quote((char[256]){0}, 256, (value))

#endif
