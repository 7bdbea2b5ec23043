/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's end of the control socket: one thread accepts, one thread serves each connection.
 *
 * CONTROL-1  Only root and the daemon's own user are answered, whatever the modes of the directory say.
 * CONTROL-2  A client can hold a connection, not the daemon: a line has CONTROL_LINE_MAX bytes at most and comes
 *            within LINE_TIMEOUT_S, an answer is taken within SEND_TIMEOUT_S, and a stop wakes every reader. */
#include "control/control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "base/err.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/origin.h"
#include "base/sys.h"
#include "wire.h"

#define LINE_TIMEOUT_S 10
#define SEND_TIMEOUT_S 10

struct control {
    char *path;
    int listen_fd, stop_fd;
    const struct control_verb *verbs;
    size_t n_verbs;
    void *arg;
    pthread_t thread;
    bool started;
    struct lock lock;
    struct cond gone;
    struct {
        int clients[CONTROL_CLIENTS]; /* descriptors, -1: free */
        unsigned n;
        bool stopping;
    } locked;
};

struct client {
    struct control *control;
    int fd;
    unsigned slot;
};

static bool is_allowed(int fd)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
           (cred.uid == 0 || cred.uid == geteuid());
}

/* One line without its newline; -E2BIG, -ECONNRESET, -ETIMEDOUT, -EINVAL (a NUL byte). */
static int read_line(int fd, char line[CONTROL_LINE_MAX + 1])
{
    size_t len = 0;
    int r = 1;

    while (r > 0) {
        ssize_t n = recv(fd, line + len, CONTROL_LINE_MAX - len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(errno == EAGAIN ? -ETIMEDOUT : -errno, "no request came");
        if (n == 0)
            return err_set(-ECONNRESET, "the request has no end");
        r = wire_take_bytes(line, &len, (size_t)n);
    }
    return r;
}

static int run_line(struct control *c, char *line, struct buf *out)
{
    char *params = line + strcspn(line, " ");

    if (*params == ' ')
        *params++ = '\0';
    for (size_t i = 0; i < c->n_verbs; i++) {
        if (strcmp(c->verbs[i].name, line) == 0)
            return err_fold(c->verbs[i].run(c->arg, params, out));
    }
    return err_set(-EINVAL, "unknown request");
}

static void serve(struct control *c, int fd)
{
    _cleanup_buf_ struct buf out = BUF_INIT(CONTROL_TEXT_MAX);
    char line[CONTROL_LINE_MAX + 1];
    int r;

    err_clear();
    r = read_line(fd, line);
    if (r == 0)
        r = run_line(c, line, &out);
    if (r < 0)
        buf_reset(&out); /* also after a verb that filled it too far */
    else if (buf_failed(&out)) {
        r = err_set(out.error, "the answer is too long");
        buf_reset(&out);
    }
    wire_add_result(&out, r, err_text());
    if (!buf_failed(&out) && wire_send(fd, out.data, out.len) < 0)
        log_debug("control.client_gone", "cause=%s", LOG_Q(err_text()));
}

static void *client_main(void *arg)
{
    struct client *client = arg;
    struct control *c = client->control;

    origin_set(ORIGIN_CONTROL);
    serve(c, client->fd);
    lock_take(&c->lock);
    c->locked.clients[client->slot] = -1;
    c->locked.n--;
    close(client->fd); /* under the lock: control_free() must not shut down a reused number */
    cond_signal(&c->gone);
    lock_drop(&c->lock);
    free(client);
    return NULL;
}

static int client_start(struct client *client)
{
    pthread_attr_t attr;
    pthread_t thread;
    int r;

    if (pthread_attr_init(&attr) != 0)
        return -ENOMEM;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    r = -pthread_create(&thread, &attr, client_main, client);
    pthread_attr_destroy(&attr);
    return r;
}

/* A free slot for fd; -EBUSY. */
static int slot_take(struct control *c, int fd)
{
    int slot = -EBUSY;

    lock_take(&c->lock);
    for (int i = 0; i < CONTROL_CLIENTS && slot < 0 && !c->locked.stopping; i++) {
        if (c->locked.clients[i] < 0)
            slot = i;
    }
    if (slot >= 0) {
        c->locked.clients[slot] = fd;
        c->locked.n++;
    }
    lock_drop(&c->lock);
    return slot;
}

static void slot_drop(struct control *c, unsigned slot)
{
    lock_take(&c->lock);
    c->locked.clients[slot] = -1;
    c->locked.n--;
    lock_drop(&c->lock);
}

static void refuse(int fd, const char *text)
{
    _cleanup_buf_ struct buf out = BUF_INIT(256);

    wire_add_result(&out, -EBUSY, text);
    if (!buf_failed(&out) && wire_send(fd, out.data, out.len) < 0)
        log_debug("control.client_gone", "cause=%s", LOG_Q(err_text()));
}

static void accept_one(struct control *c)
{
    struct timeval line = {.tv_sec = LINE_TIMEOUT_S}, send_time = {.tv_sec = SEND_TIMEOUT_S};
    int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC), slot;
    struct client *client;

    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &line, sizeof(line));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send_time, sizeof(send_time));
    slot = is_allowed(fd) ? slot_take(c, fd) : -EACCES;
    if (slot < 0) {
        refuse(fd, slot == -EACCES ? "only root and the mount's user may ask" : "too many requests at once");
        close(fd);
        return;
    }
    client = calloc(1, sizeof(*client));
    if (client != NULL)
        *client = (struct client){.control = c, .fd = fd, .slot = (unsigned)slot};
    if (client == NULL || client_start(client) < 0) {
        slot_drop(c, (unsigned)slot);
        refuse(fd, "out of memory");
        close(fd);
        free(client);
    }
}

static void *control_main(void *arg)
{
    struct control *c = arg;
    struct pollfd p[2] = {{.fd = c->listen_fd, .events = POLLIN}, {.fd = c->stop_fd, .events = POLLIN}};

    while (p[1].revents == 0) {
        if (poll(p, 2, -1) > 0 && p[0].revents != 0)
            accept_one(c);
    }
    return NULL;
}

/* The directory is made, and is nobody else's. */
static int make_directory(const char *path)
{
    _cleanup_free_ char *dir = strdup(path);
    char *slash = dir == NULL ? NULL : strrchr(dir, '/');
    struct stat st;
    int r;

    if (slash == NULL || slash == dir)
        return err_set(dir == NULL ? -ENOMEM : -EINVAL, "control socket %s: no directory", path);
    *slash = '\0';
    r = sys_mkdirs(dir, 0700);
    if (r < 0)
        return err_set(r, "control socket: cannot make %s: %s", dir, strerror(-r));
    if (lstat(dir, &st) < 0)
        return err_set(-errno, "control socket: %s: %s", dir, strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) != 0)
        return err_set(-EACCES, "control socket: %s must be a directory that only this user can write", dir);
    return 0;
}

static int bind_socket(struct control *c)
{
    struct sockaddr_un address;
    int fd, r = wire_address(c->path, &address);

    if (r < 0)
        return r;
    fd = wire_connect(c->path);
    if (fd >= 0) {
        close(fd);
        return err_set(-EBUSY, "a daemon answers at %s already", c->path);
    }
    unlink(c->path); /* what a killed daemon left */
    c->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->listen_fd < 0)
        return err_set(-errno, "control socket: %s", strerror(errno));
    if (bind(c->listen_fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        chmod(c->path, 0600) < 0 || listen(c->listen_fd, CONTROL_CLIENTS) < 0)
        return err_set(-errno, "control socket %s: %s", c->path, strerror(errno));
    return 0;
}

static void control_freep(struct control **c)
{
    control_free(*c);
}

int control_new(const char *path, const struct control_verb *verbs, size_t n, void *arg, struct control **ret)
{
    _cleanup_(control_freep) struct control *c = calloc(1, sizeof(*c));
    int r;

    if (c == NULL)
        return err_set(-ENOMEM, "out of memory");
    c->listen_fd = c->stop_fd = -1;
    c->verbs = verbs;
    c->n_verbs = n;
    c->arg = arg;
    lock_init(&c->lock, LOCK_LEAF);
    cond_init(&c->gone);
    for (size_t i = 0; i < CONTROL_CLIENTS; i++)
        c->locked.clients[i] = -1;
    r = make_directory(path);
    if (r < 0)
        return r;
    c->path = strdup(path);
    c->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->path == NULL || c->stop_fd < 0)
        return err_set(-ENOMEM, "control socket: out of memory or descriptors");
    r = bind_socket(c);
    if (r < 0)
        return r;
    *ret = steal(&c);
    return 0;
}

int control_start(struct control *c)
{
    int r = -pthread_create(&c->thread, NULL, control_main, c);

    if (r < 0)
        return err_set(r, "control: no thread: %s", strerror(-r));
    c->started = true;
    return 0;
}

static void stop(struct control *c)
{
    uint64_t one = 1;

    if (write(c->stop_fd, &one, sizeof(one)) < 0)
        log_debug("control.stop", "errno=%d", errno);
    pthread_join(c->thread, NULL);
    lock_take(&c->lock);
    c->locked.stopping = true;
    for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
        if (c->locked.clients[i] >= 0)
            shutdown(c->locked.clients[i], SHUT_RD);
    }
    while (c->locked.n > 0)
        cond_wait(&c->gone, &c->lock);
    lock_drop(&c->lock);
}

void control_free(struct control *c)
{
    if (c == NULL)
        return;
    if (c->started)
        stop(c);
    if (c->listen_fd >= 0) {
        close(c->listen_fd);
        unlink(c->path);
    }
    if (c->stop_fd >= 0)
        close(c->stop_fd);
    cond_done(&c->gone);
    lock_done(&c->lock);
    free(c->path);
    free(c);
}
