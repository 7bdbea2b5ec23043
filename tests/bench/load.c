/* SPDX-License-Identifier: Apache-2.0 */
/* load: the file workloads of the benchmark, on any directory. One line of JSON; exit 1 when a call
 * failed or a byte came back wrong.
 *
 *   load upload   DIR N SIZE CONC DIRS   create (O_EXCL), write, close; DIRS > 1: over DIR/d00,
 * d01, ..., which are there load rename   DIR N SIZE CONC DIRS   the same under a temporary name,
 * then rename load read     DIR N SIZE CONC DIRS   open, read and compare every byte, close load
 * seqwrite FILE SIZE              1 MiB a call, then close load seqread  FILE SIZE also tells when
 * the first byte came load randread FILE N SIZE CONC       pread on one descriptor load scatter
 * FILE N SIZE            pwrite at N places that are far from each other, fsync, close load forget
 * PATH...                takes the files, and those below directories, out of the page cache */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "pool.h"

#define PIECE 65536
#define CHUNK (1u << 20)

static const char *dir;
static long dirs = 1;
static size_t size;
static unsigned char *pattern;
static int one_fd;
static uint64_t one_size;

static int write_all(int fd, const unsigned char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n < PIECE ? n : PIECE);

        if (w <= 0)
            return -1;
        p += w;
        n -= (size_t)w;
    }
    return 0;
}

static int write_new(const char *path, long i)
{
    unsigned char head[POOL_HEAD];
    size_t n = size < POOL_HEAD ? size : POOL_HEAD;
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);

    if (fd < 0)
        return pool_fail("open", path, NULL);
    pool_head(head, i);
    if (write_all(fd, head, n) != 0 || write_all(fd, pattern + n, size - n) != 0) {
        pool_fail("write", path, NULL);
        close(fd);
        return -1;
    }
    return close(fd) == 0 ? 0 : pool_fail("close", path, NULL);
}

static int upload(void *state, long i)
{
    char path[4096];

    (void)state;
    pool_name(path, sizeof(path), dir, dirs, i);
    return write_new(path, i);
}

static int upload_rename(void *state, long i)
{
    char path[4096], temp[4200];

    (void)state;
    pool_name(path, sizeof(path), dir, dirs, i);
    snprintf(temp, sizeof(temp), "%s.tmp", path);
    if (write_new(temp, i) != 0)
        return -1;
    return rename(temp, path) == 0 ? 0 : pool_fail("rename", path, NULL);
}

static void *piece_new(void)
{
    return pool_alloc(PIECE);
}

static int read_all(int fd, const char *path, long i, void *buf)
{
    uint64_t off = 0;
    ssize_t r;

    while ((r = read(fd, buf, PIECE)) > 0) {
        if (pool_verify(pattern, size, i, off, buf, (size_t)r) != 0)
            return -1;
        off += (uint64_t)r;
    }
    if (r < 0)
        return pool_fail("read", path, NULL);
    return off == size ? 0 : pool_fail("read", path, "too short");
}

static int read_back(void *buf, long i)
{
    char path[4096];

    pool_name(path, sizeof(path), dir, dirs, i);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return pool_fail("open", path, NULL);
    int r = read_all(fd, path, i, buf);
    close(fd);
    return r;
}

static int random_read(void *buf, long i)
{
    uint64_t at = pool_random((uint64_t)i + 77) % (one_size / size) * size;

    if (pread(one_fd, buf, size, (off_t)at) != (ssize_t)size)
        return pool_fail("pread", dir, NULL);
    uint64_t in_chunk = at % CHUNK,
             skip = in_chunk < 8 ? 8 - in_chunk : 0; /* its first bytes are its offset */
    if (memcmp((char *)buf + skip, pattern + in_chunk + skip, size - skip) != 0)
        return pool_fail("pread", dir, "wrong bytes");
    return 0;
}

/* A MiB of a whole file: its offset, then the same bytes in each. 0 or -1. */
static int move_chunk(int fd, int is_write, unsigned char *buf, uint64_t off)
{
    if (is_write)
        memcpy(buf, &off, sizeof(off));
    for (size_t got = 0; got < CHUNK;) {
        ssize_t n = is_write ? write(fd, buf + got, CHUNK - got) : read(fd, buf + got, CHUNK - got);

        if (n <= 0)
            return -1;
        got += (size_t)n;
    }
    if (is_write ||
        (memcmp(buf, &off, sizeof(off)) == 0 && memcmp(buf + 8, pattern + 8, CHUNK - 8) == 0))
        return 0;
    errno = EILSEQ;
    return -1;
}

static int whole(const char *verb, const char *path, uint64_t total)
{
    int is_write = strcmp(verb, "seqwrite") == 0, r = 0;
    unsigned char *buf = pool_pattern(CHUNK), byte;
    double start = pool_now(), first = 0;
    int fd = open(path, is_write ? O_CREAT | O_TRUNC | O_WRONLY : O_RDONLY, 0644);

    if (fd >= 0 && !is_write) {
        r = pread(fd, &byte, 1, 0) == 1 ? 0 : -1;
        first = pool_now() - start;
    }
    for (uint64_t done = 0; fd >= 0 && r == 0 && done < total; done += CHUNK)
        r = move_chunk(fd, is_write, buf, done);
    if (fd < 0 || r != 0 || close(fd) != 0) {
        perror(path);
        return 1;
    }
    double seconds = pool_now() - start;
    printf("{\"verb\":\"%s\",\"ops\":1,\"failures\":0,\"seconds\":%.5f,\"ops_per_s\":%.5f,\"mb_per_"
           "s\":%.2f,"
           "\"first_byte_ms\":%.2f}\n",
           verb, seconds, 1 / seconds, (double)total / 1e6 / seconds, first * 1e3);
    free(buf);
    return 0;
}

static int scatter(const char *path, long n)
{
    struct stat st;
    double start = pool_now();
    int fd = open(path, O_RDWR | O_CLOEXEC), r = fd < 0 || fstat(fd, &st) != 0 ? -1 : 0;

    for (long i = 0; r == 0 && i < n; i++) {
        off_t stripe = st.st_size / n, at = stripe * i + stripe / 2;

        r = pwrite(fd, pattern + i * 8, size, at / (off_t)size * (off_t)size) == (ssize_t)size ? 0
                                                                                               : -1;
    }
    if (r != 0 || fsync(fd) != 0 || close(fd) != 0) {
        perror(path);
        return 1;
    }
    double seconds = pool_now() - start;
    printf(
        "{\"verb\":\"scatter\",\"ops\":%ld,\"failures\":0,\"seconds\":%.5f,\"ops_per_s\":%.3f}\n",
        n, seconds, (double)n / seconds);
    return 0;
}

static int forget_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)where;
    if (type != FTW_F || !S_ISREG(st->st_mode))
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0; /* it has gone meanwhile */
    (void)fsync(fd);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    return 0;
}

static int files(const char *verb, char **word)
{
    static const struct {
        const char *verb;
        int (*op)(void *state, long i);
    } ops[] = {{"upload", upload}, {"rename", upload_rename}, {"read", read_back}};

    dirs = (long)pool_number(word[3]);
    size = pool_number(word[1]);
    pattern = pool_pattern(size);
    for (size_t k = 0; k < sizeof(ops) / sizeof(ops[0]); k++)
        if (strcmp(ops[k].verb, verb) == 0)
            return pool_run(&(struct pool){.verb = verb,
                                           .n = (long)pool_number(word[0]),
                                           .each = size,
                                           .conc = (long)pool_number(word[2]),
                                           .op = ops[k].op,
                                           .state_new = piece_new,
                                           .state_free = free});
    return 2;
}

static int randread(char **word)
{
    struct stat st;

    size = pool_number(word[1]);
    one_fd = open(dir, O_RDONLY | O_CLOEXEC);
    if (one_fd < 0 || fstat(one_fd, &st) != 0 || size < POOL_HEAD || size > PIECE) {
        perror(dir);
        return 1;
    }
    one_size = (uint64_t)st.st_size;
    return pool_run(&(struct pool){.verb = "randread",
                                   .n = (long)pool_number(word[0]),
                                   .each = size,
                                   .conc = (long)pool_number(word[2]),
                                   .op = random_read,
                                   .state_new = piece_new,
                                   .state_free = free});
}

int main(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[1] : "";

    dir = argc > 2 ? argv[2] : "";
    if (strcmp(verb, "forget") == 0) {
        for (int i = 2; i < argc; i++)
            nftw(argv[i], forget_one, 32, FTW_PHYS);
        return 0;
    }
    if (argc == 7)
        return files(verb, argv + 3);
    pattern = pool_pattern(CHUNK);
    if (argc == 4 && strncmp(verb, "seq", 3) == 0)
        return whole(verb, dir, pool_number(argv[3]));
    if (argc == 6 && strcmp(verb, "randread") == 0)
        return randread(argv + 3);
    if (argc == 5 && strcmp(verb, "scatter") == 0) {
        size = pool_number(argv[4]);
        return scatter(dir, (long)pool_number(argv[3]));
    }
    fprintf(stderr, "see the head of tests/bench/load.c\n");
    return 2;
}
