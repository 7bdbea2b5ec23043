/* SPDX-License-Identifier: Apache-2.0 */
/* Hard links (protocol 9): several keys, each a whole object, are names of one file. Which, is in
 * the record of coord/link.h, under the file id; each object says in its own metadata that it
 * belongs there, and of which generation its bytes and attributes are.
 *
 * LINK-1  A member is a key that the record lists and whose object carries the group's id, bound to
 *         that key. Whatever else is found there has left the group and is never written over.
 * LINK-2  A commit first raises the record's generation by compare-and-swap, then writes its own
 * key, then the others, each under the ETag of what was seen to be an older generation. LINK-3  The
 * object of the key that the record names is the file; a member of an older generation is brought
 * up to it by whoever looks at it. LINK-4  A file without the header costs no request for any of
 * this. */
#ifndef S3EFS_VFS_LINK_H
#define S3EFS_VFS_LINK_H

#include "coord/link.h"
#include "internal.h"

/* --- link_group.c: the record and the objects --- */
/* The generation that an object claims, and its group; 0: it is no hard link. */
uint64_t link_gen_of(const struct vfs *v, const char *key, const struct store_obj *obj,
                     char ret_id[33]);
/* HEAD of a member: 0; STORE_NOT_FOUND: there is none of this group; -errno. */
int link_member(struct vfs *v, const char *id, const char *key, struct store_obj *ret,
                uint64_t *ret_gen);
/* What is to be true of the record; done in this order. */
struct link_change {
    const char *gone, *member, *member_too, *maybe, *maybe_too;
    const char *bytes;   /* of a record that there is none of, */
    uint64_t generation; /* and its generation; 0: then nothing is done */
    bool *ret_made;      /* NULL, or: there was none */
    int64_t ctime_ns;    /* 0: no name comes or goes */
};
/* Swaps until it is true. *ret (zeroed or done): the record then, of generation 0 where there is
 * none. */
int link_change(struct vfs *v, const char *id, const struct link_change *c, struct link_group *ret);
/* A key whose object says that it is a name of the file, and that the record *g, as it was just read,
 * does not have, or only in doubt, or that is not there at all: it is a name from now on. But only if
 * it still says so when it is looked at after the record was: else another mount took it away in
 * between, and it would count for good. *g: the record then. */
int link_confirm(struct vfs *v, const char *id, const char *key, struct link_group *g);
/* What is to be written under a member's key. */
struct link_copy {
    struct data_file *file;
    const char *from; /* key of its clean bytes */
    const struct objattr *attr;
    const struct store_hdrs *hdrs;
};
/* As upload_commit(): 0 and *ret, an outcome and what is there, -errno. */
int link_copy_to(struct vfs *v, const struct link_copy *c, const char *to, struct store_cond cond,
                 struct store_obj *ret);
/* LINK-3 for one key: *obj of generation *gen becomes what the file is. */
int link_settle(struct vfs *v, const char *id, const char *key, const struct link_group *g,
                struct store_obj *obj, uint64_t *gen);
/* After the bucket was asked about a name: is it a hard link, and of how many? An object that has
 * left its group loses the group's marks in f. */
int link_look(struct vfs *v, const char *key, struct found *f);

/* --- link_commit.c: with names (read) and i->io held --- */
struct link_commit {
    uint64_t was_gen, base_gen;
    bool is_claimed, is_written;
    struct link_group g;
};
void link_commit_begin(struct vfs *v, struct inode *i, struct link_commit *c);
/* 0, or UPLOAD_CHANGED with what is there now; -errno. */
int link_claim(struct vfs *v, struct inode *i, const char *key, struct link_commit *c,
               struct store_obj *ret_there);
/* The commit goes on from somebody else's version. */
void link_saw(struct vfs *v, struct inode *i, const char *key, const struct store_obj *there,
              struct link_commit *c);
/* The file is under key: the other names get it. */
int link_spread(struct vfs *v, struct inode *i, const char *key, struct link_commit *c);
void link_commit_end(struct vfs *v, struct inode *i, struct link_commit *c, int result);
/* After a commit that met something else under the first name: true if it is to be tried again
 * under another name. */
bool link_moves_on(struct vfs *v, struct inode *i);

/* --- link_tree.c --- */
/* What a lookup found is a hard link; as apply_locked(). */
int link_apply_locked(struct vfs *v, struct inode *dir, const char *name, const char *key,
                      const struct found *f, struct inode **ret);
/* What the cache remembers of a hard link may be of before another of its names was written, and
 * that it was none, of before it became one. */
bool link_is_doubtful(struct vfs *v, const char *key, const struct found *f);
/* With i->io held: etag and content are those of the first name again, if that was lost. */
int link_ready(struct vfs *v, struct inode *i);
/* Before an open asks for a new version: the record's generation, which this key then has. */
int link_follow(struct vfs *v, struct inode *i, const char *key);
void link_set_count_locked(struct inode *i, const struct link_group *g);
/* The bucket has no object under a name of this file: its group loses it. Best effort. */
void link_lost_name(struct vfs *v, const char *id, const char *key);

/* --- link.c --- */
/* May the file get this name? *ret_to: its key. */
int link_check_locked(struct vfs *v, const struct inode *i, const struct inode *dir, const char *name,
                      char ret_to[VFS_KEY_MAX + 2]);
/* --- with names (read) and i->io held --- */
/* A name that it has here already (linked.h) is made in the bucket; what an earlier process made of it is taken for that.
 * gen: of which the record has it in doubt, and the file's object is. -EEXIST: another client's is there. */
int link_make(struct vfs *v, struct inode *i, struct inode *dir, const char *name, uint64_t gen);
/* One of the names of a hard link goes. */
int link_unlink(struct vfs *v, struct inode *dir, struct inode *i, const char *name);

/* --- link_rename.c: with names and the io of both held --- */
struct rename_names;
/* One name of a hard link becomes another, which may be over's. */
int link_rename(struct vfs *v, const struct rename_names *n, struct inode *i, struct inode *over,
                unsigned flags);
/* Another file is put under this name of `over`: before and after. Nothing if that is no hard link.
 */
int link_replacing(struct vfs *v, struct inode *over, const char *key);
void link_replaced(struct vfs *v, struct inode *over, const char *key);
/* A directory's rename has made `copy` under the key `to` and will now delete `from`. Costs nothing
 * if it is no hard link. Best effort: what it leaves undone is put right by who looks there. */
void link_moved(struct vfs *v, const struct store_obj *copy, const char *from, const char *to);

#endif
