/* SPDX-License-Identifier: Apache-2.0 */
/* May the index that is found at the start be believed? It is written without fsync, so:
 *
 * - Stopped cleanly: sealed, that is synced, and a CRC of its file is kept in DIR/state. It must
 *   match.
 * - Killed, same boot: the page cache has all that was committed, so LMDB is consistent. Its
 * records are copied into a new index, by a process of its own, since a damaged file can crash
 * LMDB.
 * - Killed, another boot: pages may be on the disk in any order. Not believed.
 * - No or unreadable state: not believed.
 *
 * What is not believed is removed or moved aside; it is a cache. Threads: one, at start and stop.
 */
#ifndef S3EFS_CACHE_SEAL_H
#define S3EFS_CACHE_SEAL_H

#include <stdbool.h>
#include <stdint.h>
#include "base/macros.h"

#define SEAL_BOOT_MAX 64

struct seal_paths {
    const char *state; /* DIR/state */
    const char *meta;  /* DIR/meta */
};
enum seal_verdict {
    SEAL_NEW = 1, /* there is no index */
    SEAL_GOOD,
    SEAL_STALE, /* from before an unclean reboot, or of unknown state */
    SEAL_BAD,   /* damaged */
};
/* The name of this boot, or one that never comes again where the kernel does not tell. */
void seal_boot_id(char ret[SEAL_BOOT_MAX]);
uint64_t seal_boot_tag(const char *boot_id); /* never 0 */
/* May replace the index by a sound copy of it. */
enum seal_verdict seal_check(const struct seal_paths *p, const char *boot_id);
/* Before the index is opened: from now on it is in use. */
_must_check_ int seal_break(const struct seal_paths *p, const char *boot_id);
/* After it was synced and closed. */
_must_check_ int seal_close(const struct seal_paths *p, const char *boot_id);
/* Writes a small file whole or not at all, and durably. */
_must_check_ int seal_write_file(const char *path, const char *text);

#endif
