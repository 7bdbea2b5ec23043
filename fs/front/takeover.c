/* SPDX-License-Identifier: Apache-2.0 */
/* Our own input and output between libfuse and the kernel: what a takeover needs (protocol 17).
 *
 * The first daemon keeps INIT and its answer. One that takes over gives libfuse that INIT again as its first request,
 * with no more flags than were agreed on, and swallows the answer; only then does any thread read from the kernel, which
 * is asked to send again what the dead daemon had read (FUSE_NOTIFY_RESEND).
 * Where the kernel can't (before 6.9), every request is read to where the next daemon finds it (unanswered.h).
 * TAKE-1  What an answer tells of is in the takeover table before the answer goes.
 * TAKE-2  A request that comes again and whose answer was kept gets that answer, and is not run.
 * TAKE-3  The kernel is asked before the new daemon reads anything. It sends again all that was read and not answered, by
 *         whomever: a request that the new daemon had read itself would run twice, at once (appends were made twice). */
#include "internal.h"

#include <errno.h>
#include <limits.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#define UNIQUE_RESEND (UINT64_C(1) << 63) /* newer than the headers of Debian 12 */
#define NOTIFY_RESEND 7
#define REPLY_MAX 4096
/* The request that this thread serves. */
static _Thread_local struct {
    uint32_t opcode;
    bool is_again, is_running;
} serving;

bool front_is_again(void)
{
    return serving.is_again;
}

/* Running it twice is not the same as once; small answers all. */
static bool is_once(uint32_t opcode)
{
    switch (opcode) {
    case FUSE_CREATE:
    case FUSE_OPEN:
    case FUSE_OPENDIR:
    case FUSE_MKDIR:
    case FUSE_MKNOD:
    case FUSE_SYMLINK:
    case FUSE_LINK:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_RENAME:
    case FUSE_RENAME2:
    case FUSE_SETATTR:
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
        return true;
    default:
        return false;
    }
}

/* --- answers --- */

static ssize_t total(const struct iovec *iov, int count)
{
    ssize_t n = 0;

    for (int k = 0; k < count; k++)
        n += (ssize_t)iov[k].iov_len;
    return n;
}

/* As keep.h has it: the error, then what follows the header. */
static void keep_answer(struct front *f, uint64_t unique, const struct iovec *iov, int count)
{
    const struct fuse_out_header *head = iov[0].iov_base;
    char text[sizeof(int32_t) + REPLY_MAX];
    size_t len = sizeof(int32_t);

    memcpy(text, &head->error, sizeof(int32_t));
    for (int k = 1; k < count; k++) {
        if (iov[k].iov_len > sizeof(text) - len)
            return vfs_keep_reply(f->vfs, unique, NULL, 0);
        memcpy(text + len, iov[k].iov_base, iov[k].iov_len);
        len += iov[k].iov_len;
    }
    vfs_keep_reply(f->vfs, unique, text, len);
}

static void ask_again(int fd)
{
    struct fuse_out_header head = {.len = sizeof(head), .error = NOTIFY_RESEND};

    if (write(fd, &head, sizeof(head)) != (ssize_t)sizeof(head))
        log_error("takeover.resend", "cause=%s effect=\"calls that the dead daemon had read hang\"", strerror(errno));
}

/* INIT's answer of a daemon that takes over: the kernel has it. TAKE-3 */
static void open_gate(struct front *f, int fd)
{
    if (f->take.way == TAKE_RESENT)
        ask_again(fd);
    lock_take(&f->take.lock);
    f->take.stage = TAKE_RUNS;
    cond_broadcast(&f->take.changed);
    lock_drop(&f->take.lock);
}

static bool is_init_answer(struct front *f, const struct fuse_out_header *head)
{
    return !atomic_load(&f->answered) && head->unique == f->take.init_unique && !atomic_exchange(&f->answered, true);
}

static ssize_t send_answer(struct front *f, int fd, const struct iovec *iov, int count)
{
    const struct fuse_out_header *head = iov[0].iov_base;
    uint64_t unique = head->unique;
    ssize_t n = writev(fd, iov, count);
    int error = errno;

    if (f->take.way == TAKE_COPIED && (n >= 0 || error == ENOENT))
        unanswered_done(f->take.unanswered, f->vfs, unique);
    errno = error;
    return n;
}

static ssize_t write_answer(int fd, struct iovec *iov, int count, void *userdata)
{
    const struct fuse_out_header *head = iov[0].iov_base;
    struct front *f = userdata;

    if (head->unique == 0)
        return f->take.tellers != NULL ? tellers_write(f->take.tellers, fd, iov, count) : writev(fd, iov, count);
    if (is_init_answer(f, head)) {
        init_patch_answer(iov, count);
        if (f->take.fd >= 0) {
            open_gate(f, fd);
            return total(iov, count);
        }
        if (count == 2 && take_keep_init_answer(f, iov[1].iov_base, iov[1].iov_len) < 0)
            f->take.way = TAKE_NOT;
        return writev(fd, iov, count);
    }
    if (is_once(serving.opcode) && head->error != -EINTR)
        keep_answer(f, head->unique & ~UNIQUE_RESEND, iov, count);
    else
        vfs_keep_reply(f->vfs, head->unique & ~UNIQUE_RESEND, NULL, 0);
    return send_answer(f, fd, iov, count);
}

/* --- requests --- */

/* true: this thread is the first, and gives libfuse the old INIT. */
static bool wait_gate(struct front *f)
{
    bool is_first;

    lock_take(&f->take.lock);
    is_first = f->take.stage == TAKE_BEGINS;
    if (is_first)
        f->take.stage = TAKE_INIT;
    if (serving.is_running && --f->take.running == 0)
        cond_broadcast(&f->take.changed);
    serving.is_running = false;
    while (!is_first && f->take.stage != TAKE_RUNS)
        cond_wait(&f->take.changed, &f->take.lock);
    lock_drop(&f->take.lock);
    return is_first;
}

static void note_running(struct front *f)
{
    lock_take(&f->take.lock);
    f->take.running++;
    serving.is_running = true;
    lock_drop(&f->take.lock);
}

/* TAKE-2. true: it is answered. */
static bool answer_again(struct front *f, int fd, uint64_t unique)
{
    struct fuse_out_header head = {.unique = unique};
    struct iovec iov[2] = {{&head, sizeof(head)}, {NULL, 0}};
    _cleanup_free_ void *kept = NULL;
    size_t len;

    if (vfs_keep_find(f->vfs, unique & ~UNIQUE_RESEND, &kept, &len) < 0 || len < sizeof(int32_t))
        return false;
    memcpy(&head.error, kept, sizeof(int32_t));
    iov[1] = (struct iovec){(char *)kept + sizeof(int32_t), len - sizeof(int32_t)};
    head.len = (uint32_t)total(iov, 2);
    log_debug("takeover.answer", "unique=%llu error=%d", (unsigned long long)(unique & ~UNIQUE_RESEND), head.error);
    return send_answer(f, fd, iov, 2) >= 0 || errno == ENOENT;
}

/* Of a daemon that is killed while the kernel copies a request into pages that are not there yet, the request ends with EIO:
 * they are there before it is read. */
static void touch(char *buf, size_t len)
{
    static _Thread_local const char *touched;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (touched == buf)
        return;
    for (size_t at = 0; at < len; at += page)
        buf[at] = 0;
    touched = buf;
}

/* libfuse cancels its threads here when the session ends: none may hold a lock or memory then. */
static ssize_t read_cancelable(int fd, void *buf, size_t len, int state)
{
    ssize_t n;

    pthread_setcancelstate(state, NULL);
    n = read(fd, buf, len);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    return n;
}

/* *ret_is_again: a daemon before this one had read it. */
static ssize_t take_request(struct front *f, int fd, void *buf, size_t len, int state, bool *ret_is_again)
{
    const struct fuse_in_header *head = buf;
    ssize_t n = f->take.way == TAKE_COPIED ? (ssize_t)unanswered_next(f->take.unanswered, buf, len) : 0;

    *ret_is_again = n > 0;
    if (n > 0)
        return n;
    if (f->take.way == TAKE_COPIED)
        return unanswered_read(f->take.unanswered, f->vfs, fd, buf, len, state);
    touch(buf, len);
    n = read_cancelable(fd, buf, len, state);
    *ret_is_again = n >= (ssize_t)sizeof(*head) && (head->unique & UNIQUE_RESEND) != 0;
    return n;
}

static ssize_t next_request(struct front *f, int fd, void *buf, size_t len, int state)
{
    const struct fuse_in_header *head = buf;
    ssize_t n;

    if (wait_gate(f))
        return take_old_init(f, buf, len);
    do {
        vfs_keep_begin(f->vfs, 0);
        n = take_request(f, fd, buf, len, state, &serving.is_again);
        if (n < (ssize_t)sizeof(*head))
            return n;
        vfs_keep_begin(f->vfs, head->unique & ~UNIQUE_RESEND);
        if (!serving.is_running)
            note_running(f);
        serving.opcode = head->opcode;
        if (head->opcode == FUSE_INIT)
            take_note_init(f, buf, (size_t)n);
    } while (serving.is_again && answer_again(f, fd, head->unique));
    return n;
}

static ssize_t read_request(int fd, void *buf, size_t len, void *userdata)
{
    int state, error;
    ssize_t n;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    n = next_request(userdata, fd, buf, len, state);
    error = errno;
    pthread_setcancelstate(state, NULL);
    errno = error;
    return n;
}

/* --- the session --- */

#ifdef HAVE_FUSE_SESSION_CUSTOM_IO
int take_start(struct front *f)
{
    static const struct fuse_custom_io io = {.writev = write_answer, .read = read_request};
    int r = fuse_session_custom_io(f->session, &io, fuse_session_fd(f->session));

    return r == 0 ? 0 : err_set(-EIO, "libfuse did not take our input and output");
}
#else
int take_start(struct front *f)
{
    (void)f;
    (void)write_answer;
    (void)read_request;
    return err_set(-EOPNOTSUPP, "option takeover needs libfuse 3.13 or newer");
}
#endif

int take_mount(struct front *f)
{
    char path[32];
    int r;

    if (f->take.fd < 0 && f->given_fd > 0) {
        snprintf(path, sizeof(path), "/dev/fd/%d", f->given_fd);
        return fuse_session_mount(f->session, path);
    }
    if (f->take.fd < 0)
        return fuse_session_mount(f->session, f->mountpoint);
    r = take_check_init(f);
    if (r == 0 && f->take.way == TAKE_COPIED)
        r = unanswered_take(f->take.unanswered, f->vfs, f->take.fd);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "/dev/fd/%d", f->take.fd);
    return fuse_session_mount(f->session, path);
}

int front_fd(struct front *f)
{
    return fuse_session_fd(f->session);
}

void front_pause(struct front *f, int64_t ms)
{
    int64_t until_ns = clock_boot_ns() + ms * NS_PER_MS, left_ns;

    lock_take(&f->take.lock);
    f->take.stage = TAKE_ENDS;
    while (f->take.running > 0 && (left_ns = until_ns - clock_boot_ns()) > 0)
        (void)cond_wait_ms(&f->take.changed, &f->take.lock, left_ns / NS_PER_MS + 1);
    lock_drop(&f->take.lock);
}

void front_go_on(struct front *f)
{
    lock_take(&f->take.lock);
    f->take.stage = TAKE_RUNS;
    cond_broadcast(&f->take.changed);
    lock_drop(&f->take.lock);
}

bool front_can_resend(const struct front *f)
{
    return f->take.way != TAKE_NOT && !vfs_keep_is_lost(f->vfs);
}

int front_requests_fd(const struct front *f)
{
    return f->take.unanswered != NULL ? unanswered_fd(f->take.unanswered) : 0;
}
