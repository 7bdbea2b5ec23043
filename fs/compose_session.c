/* SPDX-License-Identifier: Apache-2.0 */
/* Which session of this cache directory's last daemon is dead for certain: a mount that starts anew
 * after a crash need not wait for the lease of its own dead one.
 *
 * Before a session begins, its id is written down in the cache, with this boot's id and the file
 * that the daemon has locked for as long as it lives (device and inode number). Who has that lock
 * now, in the same boot, knows that the process that wrote it down is gone: the lock is the same
 * file's, or the file's number was given out again, which it is only when nobody has it open any
 * more. A copy of the directory has a lock file of its own, so it tells nothing, nor does the
 * directory of a machine that was started again. */
#include "compose.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/sys.h"

#define NOTE "session"
#define BOOT_MAX 64
#define ID_LEN 32

/* false: it can't be told. */
static bool holder(const struct compose *m, char *ret, size_t size)
{
    _cleanup_free_ char *boot = NULL;
    struct stat st;
    int n;

    if (m->cache == NULL || fstat(cache_lock_fd(m->cache), &st) < 0 ||
        sys_read_file("/proc/sys/kernel/random/boot_id", BOOT_MAX, &boot, NULL) < 0)
        return false;
    n = snprintf(ret, size, "%.*s %ju %ju", (int)strcspn(boot, "\n"), boot, (uintmax_t)st.st_dev,
                 (uintmax_t)st.st_ino);
    return n > 0 && (size_t)n < size;
}

bool compose_dead_session(struct compose *m, char ret[ID_LEN + 1])
{
    _cleanup_free_ char *note = NULL;
    char who[160];

    if (!holder(m, who, sizeof(who)) || cache_note_get(m->cache, NOTE, &note) != 0)
        return false;
    if (strlen(note) <= ID_LEN || note[ID_LEN] != ' ' || strcmp(note + ID_LEN + 1, who) != 0)
        return false;
    memcpy(ret, note, ID_LEN);
    ret[ID_LEN] = '\0';
    return true;
}

void compose_session_begins(void *arg, const char *id)
{
    struct compose *m = arg;
    char who[160], note[ID_LEN + 1 + sizeof(who)];

    if (!holder(m, who, sizeof(who)))
        return;
    snprintf(note, sizeof(note), "%.*s %s", ID_LEN, id, who);
    cache_note_put(m->cache, NOTE, note);
}
