/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: link(2) of a file that is not in the bucket yet.
 *
 * LKD-1  The new name is in the file's entry, in one step, before link returns; here it is another name of the inode at once.
 * A new file that is no hard link yet (is_new, link_gen 0) and has several names has those to be made: the entry's key is the
 * first one's, its links are the others.
 * LKD-2  A name that goes before anything was sent goes from the entry, in one step: of its own key, the entry moves to the next
 * name. So a temporary name that is linked to the final one and removed costs what its rename would: one PUT.
 * LKD-3  Who sends the file has the record say first that it is a hard link, and of which names (in doubt); then its one PUT
 * says so, too; then each name is made, under If-None-Match, and counted. The entry goes last (is_linking until then), so
 * whoever dies in between leaves all of it to be done again: the file is known by its mark, a name by its file id.
 * LKD-4  A name that another client took meanwhile, or that is refused for good, is told (log, status) and goes here; the
 * file stays under its others. Nothing of another client's is written over. One that takes or removes the first name between two
 * tries ends that name alone: the file goes on from another name that was made, or, as none was, as unsent under the next one.
 * LKD-5  Whatever else is asked of such a file (a rename, an unlink after a try, a link where the journal is full) sends it
 * first, with no lock held. So does link(2) itself where a file is written to, locked, was tried, or has OUTREC_LINKS links;
 * with option takeover and excl=strict always. */
#ifndef S3EFS_VFS_LINKED_H
#define S3EFS_VFS_LINKED_H

#include "internal.h"

#define LINKED_NOT 1    /* nothing of this: go on as with any file */
#define LINKED_SETTLE 2 /* linked_settle() first */

/* Has it names that its entry says and the bucket does not have? Any locks of rank below v->tree. */
bool linked_waits(struct vfs *v, const struct inode *i);

/* --- with no lock held --- */
/* link(2): 0; LINKED_NOT; -errno. */
int linked_link(struct vfs *v, struct inode *i, struct inode *dir, const char *name, struct vfs_entry *ret);
/* All of it is sent: 0; -errno. */
_must_check_ int linked_settle(struct vfs *v, struct inode *i);

/* --- with names (read) and i->io held --- */
/* One of its names goes: 0; LINKED_NOT; LINKED_SETTLE. */
int linked_unlink(struct vfs *v, struct inode *dir, struct inode *i, const char *name);
/* LKD-3. Where nothing of it can be linked it is a new file of one name afterwards, and 0. -errno: it waits. */
int linked_commit(struct vfs *v, struct inode *i, bool is_waited);
/* The bucket refuses the file under its own name for good: true, if it goes under the next one from now on. */
bool linked_give_up_name(struct vfs *v, struct inode *i, int error);

#endif
