/* SPDX-License-Identifier: Apache-2.0 */
/* stormy DIR N: writes, syncs, closes and reads N files in DIR while signals come as they do in a
 * JVM, in Go and in a shell: SIGALRM every millisecond by a timer, SIGURG as often by a thread,
 * SIGCHLD by children that end. All have handlers without SA_RESTART. Exit 0 when no call failed,
 * and says how many signals there were. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIZE 300000

static atomic_uint seen[64];
static atomic_bool is_over;
static pthread_t writer;

static void on_signal(int number)
{
    atomic_fetch_add(&seen[number], 1);
}

static void *urge(void *arg)
{
    (void)arg;
    while (!atomic_load(&is_over)) {
        pthread_kill(writer, SIGURG);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return NULL;
}

static void have_child(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* A short write is the program's own business: signals may cut it, and then it goes on. */
static int put(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);

        if (n < 0)
            return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static int get(int fd, char *data, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = read(fd, data + done, size - done);

        if (n <= 0)
            return -1;
        done += (size_t)n;
    }
    return 0;
}

static const char *one_file(const char *dir, int number)
{
    static char path[4096], data[SIZE], back[SIZE];
    int fd;

    snprintf(path, sizeof(path), "%s/stormy%d", dir, number);
    memset(data, 'a' + number % 26, sizeof(data));
    fd = open(path, O_RDWR | O_CREAT, 0644);
    if (fd < 0)
        return "open";
    if (put(fd, data, SIZE / 2) < 0)
        return "write";
    if (fsync(fd) < 0)
        return "fsync";
    if (put(fd, data + SIZE / 2, SIZE - SIZE / 2) < 0)
        return "write";
    have_child();
    if (close(fd) < 0)
        return "close";
    fd = open(path, O_RDONLY);
    if (fd < 0 || get(fd, back, SIZE) < 0 || memcmp(data, back, SIZE) != 0 || close(fd) < 0)
        return "reading back";
    return NULL;
}

int main(int argc, char **argv)
{
    const struct itimerval every_ms = {{0, 1000}, {0, 1000}};
    struct sigaction action = {.sa_handler = on_signal};
    const char *failed = NULL;
    pthread_t urger;

    if (argc != 3)
        return 2;
    writer = pthread_self();
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGURG, &action, NULL);
    sigaction(SIGCHLD, &action, NULL);
    if (pthread_create(&urger, NULL, urge, NULL) != 0 ||
        setitimer(ITIMER_REAL, &every_ms, NULL) != 0)
        return 2;
    for (int i = 0; i < atoi(argv[2]) && failed == NULL; i++)
        failed = one_file(argv[1], i);
    if (failed != NULL)
        fprintf(stderr, "%s: %s\n", failed, strerror(errno));
    atomic_store(&is_over, true);
    pthread_join(urger, NULL);
    printf("alrm=%u urg=%u chld=%u\n", atomic_load(&seen[SIGALRM]), atomic_load(&seen[SIGURG]),
           atomic_load(&seen[SIGCHLD]));
    return failed == NULL ? 0 : 1;
}
