/* SPDX-License-Identifier: Apache-2.0 */
/* Commits of one file by several mounts that meet each other (protocol 2). Each try that is refused
 * means that another mount got through, so all of them together never stand still, and there is no
 * number of tries after which one is told an error: on a hard mount it goes on as long as it takes,
 * on a soft one for timeo x (retrans + 1). What is left is to be fair:
 *
 *   - who lost pauses by chance, in measure of what a try takes here, so that two that lost
 *     together do not meet again
 *   - who met others a short time ago lets them go first, by the same chance, before its next
 *     commit: the one that won starts its next try from the version in the bucket with one request,
 *     where the others must read first, and would win for ever */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#define PAUSE_MAX_NS (2 * NS_PER_S)
#define TIMES_MAX 4   /* a pause is at most so many tries long */
#define NEAR_TIMES 16 /* others are near for so many tries after one was met */
#define TRIES_PER_LOG 64
#define SAME_MAX 16

/* Up to `at_most`, by chance. */
static void pause_up_to(int64_t at_most)
{
    int64_t chance = clock_boot_ns() / 64 % 1000 + 1;
    int64_t ns = (at_most < PAUSE_MAX_NS ? at_most : PAUSE_MAX_NS) / 1000 * chance;
    struct timespec ts = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

    if (ns > 0)
        nanosleep(&ts, NULL);
}

void contest_begin(struct vfs *v, struct inode *i, struct contest *c)
{
    int64_t now = clock_boot_ns();

    *c = (struct contest){.began_ns = now,
                          .until_ns = v->conf.soft_ns != 0 ? now + v->conf.soft_ns : INT64_MAX};
    if (i != NULL && now < i->rivals_until_ns)
        pause_up_to(2 * i->rivals_try_ns);
    c->try_ns = clock_boot_ns();
}

int contest_lost(struct inode *i, const char *key, struct contest *c)
{
    int64_t now = clock_boot_ns(), took = now - c->try_ns;

    c->tries++;
    if (now >= c->until_ns)
        return err_set(-EIO, "%s: others keep writing to it, given up after %u tries", key,
                       c->tries);
    if (c->tries % TRIES_PER_LOG == 0)
        log_warn("commit.contest", "key=%s tries=%u s=%" PRId64, LOG_Q(key), c->tries,
                 (now - c->began_ns) / NS_PER_S);
    if (i != NULL) {
        i->rivals_try_ns = took;
        i->rivals_until_ns = now + took * NEAR_TIMES;
    }
    pause_up_to(took * (c->tries < TIMES_MAX ? c->tries : TIMES_MAX));
    c->try_ns = clock_boot_ns();
    return 0;
}

int contest_same(const char *key, const struct store_etag *etag, struct contest *c)
{
    c->n_same = store_etag_equal(&c->there, etag) ? c->n_same + 1 : 0;
    c->there = *etag;
    if (c->n_same < SAME_MAX)
        return 0;
    return err_set(-EIO, "%s: the server refuses to delete the version that it has", key);
}
