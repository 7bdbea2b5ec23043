/* SPDX-License-Identifier: Apache-2.0 */
/* See programs.h. */
#include "programs.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "base/str.h"

static void drop(struct program *p)
{
    if (p->fd > 0)
        close(p->fd);
    *p = (struct program){0};
}

void programs_name(struct programs *p, const char *text)
{
    const char *blank = strchr(text, ' ');

    drop(&p->next);
    if (blank == NULL || (size_t)(blank - text) >= sizeof(p->next_token) ||
        str_copy(p->next.path, sizeof(p->next.path), blank + 1) < 0)
        return;
    p->next.fd = open(p->next.path, O_PATH | O_CLOEXEC);
    memcpy(p->next_token, text, (size_t)(blank - text));
    p->next_token[blank - text] = '\0';
}

void programs_unname(struct programs *p)
{
    drop(&p->next);
}

void programs_hand_over(struct programs *p, bool may_try, int64_t now_ns)
{
    log_info("upgrade.begins", "program=%s", LOG_Q(p->next.path));
    if (p->next.fd <= 0 || !may_try) {
        drop(&p->next);
        p->token[0] = '\0';
        return;
    }
    p->is_trial = true;
    p->trial_ends_ns = now_ns + TRIAL_NS;
    p->last = p->now;
    p->now = p->next;
    p->next = (struct program){0};
    memcpy(p->token, p->next_token, sizeof(p->token));
}

void programs_serve(struct programs *p)
{
    p->is_trial = false;
    drop(&p->last);
}

bool programs_fall_back(struct programs *p, int status)
{
    if (!p->is_trial)
        return false;
    log_error("upgrade.failed", "program=%s status=%d effect=\"the program before it goes on\"",
              LOG_Q(p->now.path), status);
    drop(&p->now);
    p->now = p->last;
    p->last = (struct program){0};
    p->token[0] = '\0'; /* who asks for it would be told that it went well */
    p->is_trial = false;
    return true;
}

bool programs_is_late(struct programs *p, int64_t now_ns)
{
    if (!p->is_trial || now_ns < p->trial_ends_ns)
        return false;
    log_error("upgrade.slow", "program=%s seconds=%d effect=\"killed\"", LOG_Q(p->now.path),
              (int)(TRIAL_NS / NS_PER_S));
    p->trial_ends_ns = INT64_MAX;
    return true;
}
