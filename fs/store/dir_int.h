/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the directory back end share. README.md beside it has the layout on disk. */
#ifndef S3EFS_STORE_DIR_INT_H
#define S3EFS_STORE_DIR_INT_H

#include <dirent.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include "base/lock.h"
#include "store/backend.h"
#include "store/dir.h"

/* The reserved name: at the top the back end's own directory, below it the file that is a "dir/"
 * object. */
#define DIR_RESERVED ".s3efs-dir"
#define DIR_XATTR "user.s3efs"

#define DIR_NAMES_LEFT 2

struct dir_names;
struct dir_store {
    struct store store;
    struct meter *meter;
    int root_fd;
    int meta_fd,
        odd_fd;     /* DIR/.s3efs-dir and its odd/; -1: not there and not to be made (read-only) */
    int meta_error; /* why */
    struct {
        struct lock lk;
        struct cond idle;
        unsigned running;
        bool is_stopped;
        struct dir_names *left[DIR_NAMES_LEFT];
        unsigned scans; /* directories that were read */
    } locked;
};

/* Sets the text "what: cause" and returns r (a negative errno). */
int dir_fail(int r, const char *what);
/* Does this errno say that a path leads to nothing that could be an object? */
bool dir_is_nothing(int r);

/* --- dir_key.c: where a key lives --- */

#define DIR_PLAIN_MAX (STORE_KEY_MAX + sizeof(DIR_RESERVED) + 1)
#define DIR_ODD_MAX (STORE_KEY_MAX * 3 + 64)
struct dir_name {
    bool is_plain;             /* may live below DIR under its own name */
    char plain[DIR_PLAIN_MAX]; /* below DIR */
    char odd[DIR_ODD_MAX];     /* below .s3efs-dir/odd: for keys that are no paths, or whose path is
                                  taken */
};
/* 0, -EINVAL, -ENAMETOOLONG. */
_must_check_ int dir_name_make(const char *key, struct dir_name *ret);
/* Is every component of this directory path ("" or "a/b/") a file name? */
bool dir_path_is_plain(const char *path);
/* The key of a path below odd/; false if it is not exactly one that dir_name_make() gives. out:
 * 1,025 bytes. */
bool dir_odd_decode(const char *path, char *out);

/* --- dir_meta.c: what is kept beside the bytes --- */

struct dir_meta {
    struct store_etag etag;
    int64_t mtime_ns;
    bool is_verifiable; /* md5 is that of the whole body */
    unsigned char md5[STORE_MD5_LEN];
    char upload[64]; /* the multipart upload that made it, "" none */
    struct store_hdrs hdrs;
};
void dir_meta_done(struct dir_meta *m);
#define _cleanup_meta_ _cleanup_(dir_meta_done)
/* Of an open file. One without our xattr, or changed in place since, gets an ETag from its inode,
 * size and time. */
_must_check_ int dir_meta_read(int fd, const struct stat *st, struct dir_meta *ret);
void dir_meta_foreign(const struct stat *st, struct dir_meta *ret);
/* Stamps the file with m->mtime_ns, writes the xattr, fsyncs both. */
_must_check_ int dir_meta_write(int fd, const struct dir_meta *m);

/* --- dir_file.c: files in and out of their places --- */

/* The directory that path's last component is in, opened without following a symbolic link. create:
 * makes what is missing; -ENOENT then says that somebody removed it meanwhile: try again. */
_must_check_ int dir_walk(int base, const char *path, bool create, int *ret_fd);

/* One version of an object, open: its bytes, size and meta belong together whatever happens to the
 * name. */
struct dir_file {
    int fd;
    bool is_odd;
    struct stat st;
    struct dir_meta meta;
};
#define DIR_FILE_INIT                                                                              \
    {                                                                                              \
        .fd = -1                                                                                   \
    }
void dir_file_done(struct dir_file *f);
#define _cleanup_dirfile_ _cleanup_(dir_file_done)
/* 0, STORE_NOT_FOUND, -errno. */
_must_check_ int dir_file_open_at(int dir, const char *name, struct dir_file *ret);
_must_check_ int dir_file_open(int base, const char *path, struct dir_file *ret);
_must_check_ int dir_file_current(const struct dir_store *d, const struct dir_name *n,
                                  struct dir_file *ret);

/* A file in tmp/, removed unless it was published. Its flock tells the sweep that its maker lives.
 */
struct dir_temp {
    const struct dir_store *d;
    int fd;
    char name[64]; /* below meta_fd */
};
#define DIR_TEMP_INIT                                                                              \
    {                                                                                              \
        .fd = -1                                                                                   \
    }
void dir_temp_done(struct dir_temp *t);
#define _cleanup_temp_ _cleanup_(dir_temp_done)
_must_check_ int dir_temp_new(const struct dir_store *d, struct dir_temp *ret);
/* A random name: "tmp/" and 32 hex digits. */
_must_check_ int dir_random_name(const char *folder, char *out, size_t size);
/* Removes what processes that died left in tmp/. */
void dir_temp_sweep(const struct dir_store *d);
/* Empties and removes a directory below meta_fd that nobody else names any more. */
void dir_remove_tree(const struct dir_store *d, const char *name);

/* The lock of the key's stripe, between threads and between processes: close it to drop it. */
_must_check_ int dir_lock_key(const struct dir_store *d, const char *key, int *ret_fd);
/* Under the lock: the temp file becomes the current version. current: the one that it replaces, or
 * NULL. */
_must_check_ int dir_publish(const struct dir_store *d, const struct dir_name *n,
                             const struct dir_file *current, struct dir_temp *t);
/* Under the lock: no version is left; directories that this empties go too. */
_must_check_ int dir_unpublish(const struct dir_store *d, const struct dir_name *n, bool sync);

/* --- dir_io.c: bytes, summed on their way --- */

_must_check_ int dir_io_from_src(const struct store_src *src, int fd,
                                 unsigned char md5[STORE_MD5_LEN]);
/* len bytes of `from` to the same count at to_off; whole (may be NULL) is updated too. */
_must_check_ int dir_io_copy(int from, uint64_t off, uint64_t len, int to, uint64_t to_off,
                             EVP_MD_CTX *whole, unsigned char md5[STORE_MD5_LEN]);
/* want (may be NULL): the MD5 that these bytes must have, else -EIO. */
_must_check_ int dir_io_to_sink(int fd, uint64_t off, uint64_t len, const struct store_sink *sink,
                                const unsigned char *want);
EVP_MD_CTX *dir_io_md5_new(void); /* NULL: no memory */
_must_check_ int dir_io_md5_end(EVP_MD_CTX *ctx, unsigned char md5[STORE_MD5_LEN]);

/* --- dir_names.c: the names of a directory, a window at a time --- */

struct dir_names {
    char **v; /* sorted; a directory's ends in '/', the "dir/" object's is "" */
    size_t n, cap, bytes;
    bool is_all; /* no more are wanted behind the last */
    bool is_sure; /* a change of the directory after st shows in its times */
    struct stat st;
    char *base, *prefix, *after; /* of the directory, and of the page */
    bool after_is_prefix;
};
/* Those that the page wants, the first ones or all; fd is the directory, base its key. NULL: it is gone. Give it back with
 * dir_names_leave(). */
_must_check_ int dir_names_get(struct dir_store *d, int fd, const struct store_page *want, const char *base,
                               struct dir_names **ret);
void dir_names_leave(struct dir_store *d, struct dir_names *l);
void dir_names_free(struct dir_names *l); /* NULL is fine */
/* Does the page want the key, or (a directory's) any below it? The first base_len bytes of it are the directory's. */
bool dir_names_wants(const struct store_page *want, const char *key, size_t base_len);
/* DT_REG, DT_DIR, or something that is no object. */
unsigned char dir_type_of(int dir, const struct dirent *e);

/* --- dir_obj.c, dir_list.c, dir_mpu.c: the operations; 0, an outcome, -errno --- */

/* Puts the finished temp file in place if cond holds. meta: everything but its time, which is given
 * here. */
_must_check_ int dir_commit(const struct dir_store *d, const struct dir_name *n,
                            const struct store_req *req, struct dir_temp *t, struct dir_meta *meta,
                            struct store_obj *ret);
/* Opens a copy's source and checks its condition. */
_must_check_ int dir_source(const struct dir_store *d, const struct store_req *req,
                            struct dir_file *ret);

int dir_read(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp);
int dir_get_tags(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp);
int dir_put(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp);
int dir_delete(const struct dir_store *d, const struct store_req *req);
int dir_delete_many(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp);
int dir_copy(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp);
int dir_list(struct dir_store *d, const struct store_req *req, struct store_rsp *rsp);
int dir_mpu_create(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp);
int dir_mpu_part(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp);
int dir_mpu_part_copy(const struct dir_store *d, const struct store_req *req,
                      struct store_rsp *rsp);
int dir_mpu_complete(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp);
int dir_mpu_abort(const struct dir_store *d, const struct store_req *req);
int dir_mpu_list(const struct dir_store *d, const struct store_req *req, struct store_rsp *rsp);

#endif
