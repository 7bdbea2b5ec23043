/* SPDX-License-Identifier: Apache-2.0 */
/* HEADs for the names that a walker of a directory will look up next, sent while he looks up the
 * ones before them.
 *
 * SAHEAD-1  An answer is used as if the lookup that comes for it had asked itself when the HEAD was
 * sent: within acregmin of then, and only if nothing was learned or done about the name since
 * (VFS-4; here also: another client's doing that was seen). In doubt the lookup asks. SAHEAD-2 Only
 * that a name has an object is believed, not that it has none. SAHEAD-3  No name is asked for that
 * the directory's last listing does not have, nor one that is being asked for.
 *
 * State under v->tree; whether an answer is there under a leaf lock. Done runs on the store's
 * thread and takes only that one. */
#ifndef S3EFS_VFS_STATAHEAD_H
#define S3EFS_VFS_STATAHEAD_H

#include "internal.h"

struct statahead;
_must_check_ int statahead_new(struct statahead **ret);
/* Waits for HEADs under way: STATAHEAD_WAIT_NS at most. No lookup is under way, none comes. NULL is
 * fine. */
void statahead_stop(struct vfs *v);
void statahead_free(struct statahead *s); /* stopped, or never used */

#define STATAHEAD_MOST 64 /* answers that are there or on their way */
#define STATAHEAD_WAIT_NS (10 * NS_PER_S)

/* A lookup that has to ask the bucket for a name. Sends for those behind it, and says if its own
 * answer is there, for which it waits if it is on its way: true and *ret. With no lock held. */
bool statahead_answer(struct vfs *v, struct inode *dir, const char *name, struct found *ret);
/* Another client has taken the name, as was just seen: what was asked before is old. */
void statahead_forget_locked(struct vfs *v, const struct inode *dir, const char *name);
/* The directory is about to be freed: questions about its names are left. */
void statahead_gone_locked(struct vfs *v, const struct inode *dir);

#endif
