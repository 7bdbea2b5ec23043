/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX attributes as object metadata: written in the convention of AWS DataSync (aws-facts 3.2:
 * file-permissions, file-owner, file-group, file-mtime, file-atime), read also as s3fs, geesefs and
 * rclone write them (3.3). Pure. */
#ifndef S3EFS_VFS_OBJATTR_H
#define S3EFS_VFS_OBJATTR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/macros.h"
#include "store/store.h"

struct objattr {
    mode_t mode; /* with the type */
    uid_t uid;
    gid_t gid;
    int64_t atime_ns, mtime_ns, ctime_ns;
    uint64_t size;
    dev_t rdev;
    uint64_t link_gen; /* a hard link's generation (protocol 9); 0: no hard link */
    char id[33]; /* file id in hex (protocol 2); "" never: made up from key and version where none
                    is stored */
};

struct objattr_defaults {
    uid_t uid;
    gid_t gid;
    mode_t file_mode, dir_mode; /* permission bits */
};

/* is_dir: the key ends in '/' (or nothing is stored). obj NULL: nothing is known but the defaults.
 */
void objattr_decode(const struct objattr_defaults *d, const char *key, bool is_dir,
                    const struct store_obj *obj, struct objattr *ret);
/* Puts the attributes into headers, beside what is there; other tools' keys for the same things are
 * dropped. */
_must_check_ int objattr_encode(const struct objattr *a, const char *key, struct store_hdrs *hdrs);
/* A new random file id. */
_must_check_ int objattr_new_id(char ret[33]);
uint64_t objattr_ino(const struct objattr *a);
/* A name that has no id of its own: implied directories and the like. */
void objattr_id_of_name(const char *key, char ret[33]);

#endif
