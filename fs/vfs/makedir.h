/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: directories that were made here and whose markers the bucket does not have yet.
 * Each has an entry in the outbox (outbox.h), of which this is what is not as for a file: there are
 * no bytes, and no version to be based on.
 *
 * MKD-1  Nothing that was made below it is in the bucket before its marker is: whoever may not
 * enter it is not shown what is in it. So whoever brings something there under a key below it sends
 * it first (makedir_settle). MKD-2  Where this process has made it, and has not sent it (is_blank),
 * the bucket has nothing below it that is known here: names in it are looked up and listed without
 * a question, so it can be used in an outage, too. MKD-3  A directory that the bucket has by then
 * is the same directory: what was set here since it was made is set there, all else stays. Where
 * there is a file of its name by then, it is not made, unless there is something below it here.
 * MKD-4  Who sends or removes it has its claim (struct outgoing.is_busy), taken after names and io
 * and held over store calls. Who has one takes neither those nor another. MKD-5  Its entry changes in a step
 * (is_in_step), taken after the claim and held over the journal's disk, never over a store call: so what is set while it
 * is on its way waits for no request, and is another entry, which stays when that one is there. */
#ifndef S3EFS_VFS_MAKEDIR_H
#define S3EFS_VFS_MAKEDIR_H

#include "outbox.h"

/* --- with names (read or write) held --- */
/* The directory, which has a name here and nothing in the bucket, is made: its entry is in the
 * journal. -errno: it is not, and the caller goes to the bucket. */
_must_check_ int makedir_journal(struct vfs *v, struct inode *dir);
/* The directories that it is in, and it if it is one, are in the bucket. 0, or -errno: one waits
 * on, or it is itself refused for good (then it does not wait any more). */
int makedir_settle(struct vfs *v, struct inode *i);
/* What is sent has no entry any more: the journal may not have dropped it at once, and after a
 * crash it would be made again. 0 or -errno. */
int makedir_forget(struct vfs *v, struct inode *dir);
int makedir_ready(struct vfs *v, struct inode *dir); /* both */
int makedir_send(struct vfs *v, struct inode *dir);  /* that of the two which is due */
int makedir_forget_below(struct vfs *v, const struct inode *top);
/* True: its entry waits, and the caller has its claim until makedir_release(). */
bool makedir_claim(struct vfs *v, struct inode *dir);
void makedir_release(struct vfs *v, struct inode *dir);
/* True: it has an entry, which nobody else changes or ends until makedir_step_end(). */
bool makedir_step(struct vfs *v, struct inode *dir);
void makedir_step_end(struct vfs *v, struct inode *dir); /* also where it has none any more */
/* With its claim: its entry is gone for good. 0, -errno. */
_must_check_ int makedir_drop(struct vfs *v, struct inode *dir);

/* It is not new any more. */
void makedir_end_locked(struct vfs *v, struct inode *dir, bool is_there);

/* A start finds the entry of this directory, which is in the tree. Takes *o, and what the record
 * has. */
void makedir_replay_locked(struct vfs *v, struct inode *dir, struct outrec *rec, struct outgoing *o,
                           uint64_t seq);

#endif
