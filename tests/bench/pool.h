/* SPDX-License-Identifier: Apache-2.0 */
/* What both load programs of the benchmark share: operations 0..n-1 done by `conc` threads, their
 * latencies, one line of JSON at the end; and the bytes of the files, so that one program can check
 * what the other wrote. */
#ifndef S3EFS_BENCH_POOL_H
#define S3EFS_BENCH_POOL_H

#include <stddef.h>
#include <stdint.h>

#define POOL_HEAD 16 /* the first bytes of a file name its number */

struct pool {
    const char *verb;
    long n, conc;
    uint64_t each; /* bytes of one operation, for MB/s */
    /* Operation i on a thread that has state of its own; 0, or what pool_fail() gave. */
    int (*op)(void *state, long i);
    void *(*state_new)(void); /* NULL: none */
    void (*state_free)(void *state);
};
/* Runs them all and prints the line. The program's exit code. */
int pool_run(const struct pool *p);
/* Remembers the first failure's cause (errno when why is NULL) and gives -1. Threads: any. */
int pool_fail(const char *what, const char *name, const char *why);

double pool_now(void); /* seconds */
/* A new pattern of that many bytes; ends the program when there is no memory. */
unsigned char *pool_pattern(size_t size);
void pool_head(unsigned char head[POOL_HEAD], long i);
/* 0 when these are the bytes at `off` of file i; pool_fail() else. */
int pool_verify(const unsigned char *pattern, size_t size, long i, uint64_t off, const void *buf,
                size_t len);
uint64_t pool_random(uint64_t x); /* the same for the same x */
/* The number that a word is; ends the program when it is none. */
uint64_t pool_number(const char *word);
void *pool_alloc(size_t size);
/* "up/f-000012.jpg", over `dirs` directories "up/d03/f-000012.jpg" if there are more than one. */
void pool_name(char *out, size_t size, const char *dir, long dirs, long i);

#endif
