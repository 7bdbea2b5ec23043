/* SPDX-License-Identifier: Apache-2.0 */
/* A bad disk under one directory: link libtestbaddisk.a and this program's calls of open, write,
 * pwrite, writev, ftruncate, fallocate, fsync, fdatasync, link, unlink, rename, mkdir and rmdir go
 * through it, LMDB's too (a symbol of the program comes before libc's). It counts them, makes one
 * fail, ends the process at one, and writes them down to tell what a power loss could leave.
 *
 * What a power loss keeps: all that a completed fsync or fdatasync of the file covered; of the
 * rest, sector by sector, any state that the sector went through (so writes are lost, torn and
 * reordered), and any of the sizes. Names: those whose directory was fsync'd; of the changes since,
 * the first few in their order (as a file system with a journal) or any of them. An fsync of a file
 * keeps its bytes and not its name. Writes through O_DSYNC descriptors are kept when they return.
 * That is what POSIX leaves open (fsync(2): "does not necessarily ensure that the entry in the
 * directory has also reached disk"), and more than ext4's data=ordered or XFS can do: they keep the
 * order of names (a third of the states here), and a new size does not show bytes that were never
 * written (as ext2 and data=writeback do). What was seen of real ones: Pillai et al., "All File
 * Systems Are Not Created Equal", OSDI 2014.
 *
 * Not seen: mmap'd writes (LMDB without WRITEMAP makes them to its lock file only),
 * posix_fallocate, copy_file_range. FICLONE says EOPNOTSUPP. Threads: any, but watch and unwatch.
 */
#ifndef S3EFS_TESTS_BADDISK_H
#define S3EFS_TESTS_BADDISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From now on the calls below root (which exists) are seen. record: writes them down too; what root
 * has already is taken to be on the disk. */
void baddisk_watch(const char *root, bool record);
void baddisk_unwatch(void); /* forgets all, and all that is set below */

uint64_t baddisk_calls(void); /* seen so far; those that only read do not count */
/* The nth call from now (and all later ones) fails with err and does nothing. 0: none. */
void baddisk_fail(uint64_t nth, int err, bool persistent);
/* Only what the calling thread does counts and fails: a degraded cache looks at its disk in a thread of its own. */
void baddisk_here(bool on);
/* Those that each_is_next() names fail with err. 0: none. */
void baddisk_fail_each(int err);
/* The process ends by SIGKILL in the place of the nth call. */
void baddisk_kill(uint64_t nth);
/* Syncs, everywhere: they return 0 without waiting for the disk. */
void baddisk_quick_syncs(bool on);
/* Nothing is opened to be written to: EROFS. Not counted. */
void baddisk_read_only(bool on);
/* How many syncs of files (or O_DSYNC writes to them) whose path ends in `tail` were seen. */
uint64_t baddisk_syncs(const char *tail);
/* Before each sync, in its thread, no lock held. What it says is the sync's error, and no other thread's call; 0: none. */
void baddisk_on_sync(int (*fn)(void *arg, const char *path), void *arg);

/* A sync that is as if it had not been called, to see that a test notices. */
enum baddisk_lie { BADDISK_LIE_NONE, BADDISK_LIE_BYTES, BADDISK_LIE_FOLDER, BADDISK_LIE_INDEX };
void baddisk_lie(enum baddisk_lie what); /* bytes: of files in a folder named stage; index: of files
                                            named index */

/* --- power loss --- */
size_t baddisk_position(void); /* how many steps were written down */
struct baddisk_replay;
struct baddisk_replay *baddisk_replay_new(void); /* over what is written down up to now */
/* Makes the directory `to` (which must not exist) one of the states that a power loss after the
 * first `at` steps can leave. at must not fall from call to call. */
void baddisk_crash(struct baddisk_replay *r, size_t at, uint64_t seed, const char *to);
void baddisk_replay_free(struct baddisk_replay *r);

#endif
