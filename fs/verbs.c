/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of the control socket. */
#include "running.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"
#include "holder.h"
#include "status.h"

#define COPIES_GRACE_NS (2 * NS_PER_S)

static int verb_status(void *arg, const char *params, struct buf *out)
{
    struct run *run = arg;

    if (strcmp(params, "json") == 0)
        return status_json(&run->m, out);
    if (*params == '\0')
        return status_text(&run->m, out);
    return err_set(-EINVAL, "status: unknown parameter");
}

static int drain_or_say(struct run *run)
{
    char cause[ERR_TEXT_MAX], unsent[400];
    int r;

    err_clear();
    r = err_fold(vfs_drain(run->m.vfs));
    crash_point("drain.done");
    if (r == 0)
        return 0;
    snprintf(cause, sizeof(cause), "%s", *err_text() == '\0' ? strerror(-r) : err_text());
    status_unsent(&run->m, unsent, sizeof(unsent));
    return err_set(r, "not everything could be sent: %.200s (unsent: %.250s)", cause, unsent);
}

/* json: the answer is ok, and says whether all was sent. */
static int verb_drain(void *arg, const char *params, struct buf *out)
{
    struct run *run = arg;
    int r;

    if (strcmp(params, "json") != 0)
        return drain_or_say(run);
    err_clear();
    r = err_fold(vfs_drain(run->m.vfs));
    return status_drained(&run->m, r, r < 0 && *err_text() == '\0' ? strerror(-r) : err_text(), out);
}

/* The kernel ends the loop when the last copy of the mount is gone. Other mount namespaces may have copies that
 * umount2() here did not reach: they lose it. */
static void end_copies(struct run *run)
{
    if (run_wait_loop(run, clock_boot_ns() + COPIES_GRACE_NS, false))
        return;
    log_warn("mount.copies", "mountpoint=%s effect=\"also mounted in another mount namespace; ended there too\"",
             LOG_Q(run->config->mountpoint));
    (void)run_wait_loop(run, INT64_MAX, true);
}

static int verb_umount(void *arg, const char *params, struct buf *out)
{
    struct run *run = arg;
    int r = drain_or_say(run);

    (void)params;
    (void)out;
    if (r < 0)
        return r;
    r = front_unmount(run->m.front, false);
    crash_point("umount.detached");
    if (r < 0)
        return r;
    end_copies(run);
    lock_take(&run->lock);
    while (!run->locked.finished)
        cond_wait(&run->changed, &run->lock);
    r = run->locked.result;
    err_restore(&run->locked.result_text);
    lock_drop(&run->lock);
    return r;
}

static int verb_upgrade(void *arg, const char *params, struct buf *out)
{
    const struct run *run = arg;

    (void)out;
    return handover(run->daemon->hold, run->m.front, params);
}

/* Which upgrade has started this daemon? */
static int verb_upgraded(void *arg, const char *params, struct buf *out)
{
    const struct run *run = arg;

    (void)params;
    buf_adds(out, run->daemon->hold != NULL ? run->daemon->hold->token : "");
    buf_adds(out, "\n");
    return 0;
}

static const struct control_verb verbs[] = {
    {"status", verb_status},
    {"drain", verb_drain},
    {"umount", verb_umount},
    {"upgrade", verb_upgrade},
    {"upgraded", verb_upgraded},
};

int run_open_control(struct run *run)
{
    char path[256];
    int r = control_path(run->config->mountpoint, path, sizeof(path));

    return r < 0 ? r : control_new(path, verbs, ARRAY_LEN(verbs), run, &run->control);
}
