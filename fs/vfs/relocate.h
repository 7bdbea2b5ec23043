/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: a stored file is renamed, and the journal has it: an outage holds up no rename that costs little.
 *
 * REL-1  The file becomes a new one with all of its bytes here, and its entry, in one step, says both: the new name, and
 * which version goes under the old one. So whoever finds the entry has the file under one name, whole.
 * REL-2  First the bucket has the file under its new name, then the entry makes room, in one step, for the old one's
 * removal (removal.h). So does a newer file's doing (unlink, rename over it) that ends the entry. A file
 * that the bucket refuses for good takes no old name with it: that is shown again, as it was. REL-3  Until then the
 * removal is held: the old name is gone here, nothing is asked about its key, and a new file of that name waits. Whoever
 * must have it done sends the file that holds it first, with no lock held. No such files wait for each other in a ring.
 * REL-4  The old one goes only as what was moved: by ETag, file id and ctime, which a HEAD shows before (the same bytes may be
 * another mount's rename back, with the same id). Any other stays.
 * REL-5  Only what costs little and is sure: a file of up to RELOCATE_MAX bytes none of which waits, and all of them here; no hard
 * link, nothing locked, nobody writes to it. Attributes that wait go along, unless a try may have brought them to the old
 * name (REL-4). All else waits for the bucket (rename.c). So it does with option takeover and with excl=strict, as makes do. */
#ifndef S3EFS_VFS_RELOCATE_H
#define S3EFS_VFS_RELOCATE_H

#include "outbox.h"
#include "removal.h"

#define RELOCATE_MAX (UINT64_C(8) << 20) /* bytes: they go up once more, where a copy in the bucket would do */
#define RELOCATE_CHAIN 32u /* files that wait for each other */

/* --- with names (read) and i->io held --- */
/* REL-5. *ret: what is to be removed under key, not held yet; its bytes are in the stage. Not: NULL. */
void relocate_begin(struct vfs *v, struct inode *i, const char *key, struct removal **ret);
/* The journal would not have it: the file is as it was. Frees m. */
void relocate_cancel(struct vfs *v, struct inode *i, struct removal *m);
/* The file is refused for good: the old name is back. Its entry still says otherwise, and is about to be dropped. */
void relocate_undo(struct vfs *v, struct inode *i);
/* The object under whose key the tags are that go with it, or NULL. */
const char *relocate_source(const struct inode *i);
/* Are the bytes still those that were moved, so that the headers stay true? */
bool relocate_is_same(const struct inode *i);
struct removal *relocate_of_record(const struct outrec *rec); /* NULL: no memory */

/* --- under v->tree --- */
/* The file that holds the removal of this key, or NULL. */
struct inode *relocate_holder_locked(struct vfs *v, const char *key);
/* The same of the key of i. */
struct inode *relocate_blocker_locked(struct vfs *v, const struct inode *i);
struct removal *relocate_below_locked(struct vfs *v, const char *prefix); /* one that is held there, or NULL */
/* --- with locks of rank below v->tree, or none --- */
bool relocate_is_held(struct vfs *v, const char *key);
bool relocate_holds_below(struct vfs *v, const char *prefix);
/* REL-3: may i not go to that key before others went? */
bool relocate_rings(struct vfs *v, const struct inode *i, const char *key);

#endif
