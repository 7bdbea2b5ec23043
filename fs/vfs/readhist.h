/* SPDX-License-Identifier: Apache-2.0 */
/* Pure: do those who look a name up in a directory read the file then? And how large are its files?
 * What was seen of the directories that were asked about last; a directory that is not known any
 * more starts anew. Starts with "no": a walk over many directories (find, du) must not fetch the
 * first file of each. */
#ifndef S3EFS_VFS_READHIST_H
#define S3EFS_VFS_READHIST_H

#include <stdbool.h>
#include <stdint.h>

#define READHIST_DIRS 64
#define READHIST_CREDIT                                                                            \
    8 /* bodies that may be fetched for nothing after the last one that was read */
#define READHIST_READ                                                                              \
    2 /* what a read earns; a body costs 1, so every second lookup must be one for a read */
#define READHIST_UNIT (128u << 10)  /* a block of the cache */
#define READHIST_LEAST (256u << 10)
#define READHIST_MOST (8u << 20)

struct readhist {
    struct readhist_dir {
        uint64_t dir; /* st_ino; 0: unused */
        uint32_t window; /* 0: nothing is known of the sizes */
        uint32_t credit;
    } v[READHIST_DIRS];
};

/* Is a body worth its bytes where nobody knows what the lookup is for? */
bool readhist_expects(struct readhist *h, uint64_t dir);
void readhist_spend(struct readhist *h, uint64_t dir);  /* one was fetched */
void readhist_read(struct readhist *h, uint64_t dir);   /* a file was read after its lookup */
void readhist_failed(struct readhist *h, uint64_t dir); /* one could not be fetched */
/* How many bytes to ask for, and that a file of this size was found. guess: where that is the first one. */
uint64_t readhist_window(struct readhist *h, uint64_t dir, uint64_t guess);
void readhist_size(struct readhist *h, uint64_t dir, uint64_t size);

#endif
