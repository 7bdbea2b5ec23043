/* SPDX-License-Identifier: Apache-2.0 */
/* One mount on a bucket in memory: what calls do to objects, and how many requests they cost. */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static char *header(const char *key, const char *name)
{
    struct store_obj obj = {0};
    const char *v;
    char *copy;

    assert_int_equal(memstore_get(rig.store, key, &obj, NULL), 0);
    v = store_hdrs_get(&obj.hdrs, name);
    copy = strdup(v != NULL ? v : "(none)");
    store_obj_done(&obj);
    return copy;
}

static void assert_header(const char *key, const char *name, const char *value)
{
    char *v = header(key, name);

    assert_string_equal(v, value);
    free(v);
}

static void one_image_is_one_put(void **state)
{
    uint64_t fh;

    (void)state;
    memstore_count_reset(rig.store);
    assert_int_equal(rig_creat(&rig, "a.bin", O_WRONLY | O_EXCL, 0644, &fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "\xff\xd8\xff\xe0 jpeg", 9), 9);
    assert_no_object("a.bin"); /* nothing half-written is ever seen */
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(memstore_count(rig.store, STORE_PUT), 1);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 1);
    assert_object("a.bin", "\xff\xd8\xff\xe0 jpeg");
    assert_header("a.bin", "content-type", "image/jpeg"); /* the bytes speak before the name */
    assert_header("a.bin", "x-amz-meta-file-permissions", "0100644");
    assert_file("a.bin", "\xff\xd8\xff\xe0 jpeg");
}

static int fd_is_open(pid_t pid, uint64_t ino)
{
    return pid == RIG_PID && ino != 0;
}

/* Protocol 1: dup'd descriptors, a fork and exec in mid-write, threads. */
static void which_flush_commits(void **state)
{
    struct vfs_ctx child = rig.ctx, thread = rig.ctx;
    uint64_t fh;

    (void)state;
    child.pid = 200;
    thread.pid = RIG_PID + 5;
    memstore_count_reset(rig.store);
    rig_set_has_fd(fd_is_open);
    assert_int_equal(rig_creat(&rig, "f", O_WRONLY, 0644, &fh), 0);
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh), 0); /* the redirect's dup2, close */
    assert_int_equal(memstore_count(rig.store, STORE_PUT), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "half ", 5), 5);
    assert_int_equal(vfs_flush(rig.vfs, &child, fh), 0); /* a child that inherited it exits */
    assert_int_equal(memstore_count(rig.store, STORE_PUT), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 5, "whole", 5), 5);
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh),
                     0); /* a duplicate: the process has another one */
    assert_int_equal(memstore_count(rig.store, STORE_PUT), 0);
    rig_set_has_fd(NULL);
    assert_int_equal(vfs_flush(rig.vfs, &thread, fh),
                     0); /* the last, closed by another thread of the writer */
    assert_int_equal(memstore_count(rig.store, STORE_PUT), 1);
    assert_object("f", "half whole");
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh), 0);
    vfs_release(rig.vfs, fh);
    assert_int_equal(memstore_count(rig.store, STORE_PUT), 1);
}

static int n_asked;

static int counted_tgid(pid_t tid)
{
    n_asked++;
    return tid;
}

/* A thread that writes and closes is looked up in /proc once; another one of its close by itself. */
static void a_thread_is_asked_for_once(void **state)
{
    struct vfs_ctx child = rig.ctx;
    uint64_t fh;

    (void)state;
    child.pid = 200;
    rig.conf.proc_tgid = counted_tgid;
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(rig_creat(&rig, "f", O_WRONLY, 0644, &fh), 0);
    n_asked = 0;
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "12", 2), 2);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 2, "34", 2), 2);
    assert_int_equal(vfs_flush(rig.vfs, &child, fh), 0);
    assert_int_equal(n_asked, 2);
    assert_no_object("f");
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh), 0);
    assert_int_equal(n_asked, 2);
    assert_object("f", "1234");
    vfs_release(rig.vfs, fh);
}

/* With a second open of the file, a duplicate can't be told from it: each close of the writer
 * commits. */
static void second_open_is_no_duplicate(void **state)
{
    uint64_t fh, reader;

    (void)state;
    rig_set_has_fd(fd_is_open);
    assert_int_equal(rig_creat(&rig, "f", O_WRONLY, 0644, &fh), 0);
    assert_int_equal(rig_open_file(&rig, "f", O_RDONLY, &reader), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "x", 1), 1);
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh), 0);
    assert_object("f", "x");
    vfs_release(rig.vfs, fh);
    assert_int_equal(rig_shut(&rig, reader), 0);
}

static void empty_file_is_an_object_too(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_creat(&rig, "empty", O_WRONLY, 0600, &fh), 0);
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh), 0); /* no other descriptor: commits */
    assert_object("empty", "");
    vfs_release(rig.vfs, fh);
    rig_set_has_fd(fd_is_open);
    assert_int_equal(rig_creat(&rig, "empty2", O_WRONLY, 0600, &fh), 0);
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh), 0);
    assert_no_object("empty2");
    vfs_release(rig.vfs, fh); /* a last close at the latest */
    assert_object("empty2", "");
    /* From another pid namespace nothing can be seen: O_EXCL commits at once, others at the end. */
    rig.ctx.pid = 0;
    assert_int_equal(rig_creat(&rig, "excl", O_WRONLY | O_EXCL, 0600, &fh), 0);
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh), 0);
    assert_object("excl", "");
    vfs_release(rig.vfs, fh);
}

static void overwrite_append_truncate(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "hello world", 11), 0);
    assert_int_equal(rig_open_file(&rig, "f", O_RDWR, &fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 6, "W", 1), 1);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_object("f", "hello World");
    assert_int_equal(rig_open_file(&rig, "f", O_WRONLY | O_APPEND, &fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 3, "!", 1),
                     1); /* the kernel's offset is a guess */
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_object("f", "hello World!");
    assert_int_equal(rig_truncate(&rig, "f", 5), 0);
    assert_object("f", "hello");
    assert_int_equal(rig_put(&rig, "f", "", 0), 0);
    assert_object("f", "");
    assert_int_equal(rig_truncate(&rig, "f", 3), 0);
    {
        char *data = NULL;

        assert_int_equal(memstore_get(rig.store, "f", NULL, &data), 0);
        assert_memory_equal(data, "\0\0\0", 3);
        free(data);
    }
}

static void attributes_go_up_with_the_bytes(void **state)
{
    struct stat st = {.st_mode = 0600, .st_mtim = {1234567890, 987654321}}, now;
    int64_t ns;
    uint64_t fh;
    struct vfs_entry e;

    (void)state;
    assert_int_equal(rig_creat(&rig, "f", O_WRONLY, 0644, &fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "x", 1), 1);
    memstore_count_reset(rig.store);
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    assert_int_equal(
        vfs_setattr(rig.vfs, &rig.ctx, e.node, fh, &st, VFS_SET_MODE | VFS_SET_MTIME, &now, &ns),
        0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 1);
    assert_header("f", "x-amz-meta-file-permissions", "0100600");
    assert_header("f", "x-amz-meta-file-mtime", "1234567890987654321ns");
    /* On a stored file: one conditional rewrite, that keeps the bytes and what others wrote. */
    assert_int_equal(rig_chmod(&rig, "f", 0640), 0);
    assert_header("f", "x-amz-meta-file-permissions", "0100640");
    assert_header("f", "x-amz-meta-file-mtime", "1234567890987654321ns");
    assert_object("f", "x");
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(rig_stat(&rig, "f", &now), 0);
    assert_int_equal(now.st_mode, S_IFREG | 0640);
    assert_int_equal(now.st_mtim.tv_sec, 1234567890);
    assert_int_equal(now.st_mtim.tv_nsec, 987654321);
}

static void foreign_objects(void **state)
{
    struct store_hdrs h = {0};
    struct stat st;
    char names[256];

    (void)state;
    assert_int_equal(store_hdrs_set(&h, "content-type", "image/x-own"), 0);
    assert_int_equal(store_hdrs_set(&h, "cache-control", "max-age=9"), 0);
    assert_int_equal(store_hdrs_set(&h, "x-amz-meta-colour", "blue"), 0);
    assert_int_equal(memstore_put(rig.store, "cats/a.jpg", "miau", 4, &h, NULL), 0);
    store_hdrs_done(&h);
    assert_int_equal(memstore_put(rig.store, "cats//hidden", "x", 1, NULL, NULL), 0);
    assert_int_equal(memstore_put(rig.store, "cats/./x", "x", 1, NULL, NULL), 0);
    assert_int_equal(memstore_put(rig.store, "cats/../x", "x", 1, NULL, NULL), 0);
    assert_int_equal(memstore_put(rig.store, "both", "file", 4, NULL, NULL), 0);
    assert_int_equal(memstore_put(rig.store, "both/below", "x", 1, NULL, NULL), 0);
    assert_int_equal(memstore_put(rig.store, ".s3efs/probe", "x", 1, NULL, NULL), 0);
    assert_int_equal(rig_stat(&rig, "cats", &st), 0); /* implied by its keys */
    assert_int_equal(st.st_mode, S_IFDIR | 0755);
    assert_int_equal(rig_stat(&rig, "cats/a.jpg", &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0644);
    assert_int_equal(st.st_size, 4);
    assert_int_equal(rig_ls(&rig, "cats", names, sizeof(names)), 0);
    assert_string_equal(names, "a.jpg");
    assert_int_equal(rig_ls(&rig, "", names, sizeof(names)), 0);
    assert_string_equal(names, "both cats");
    assert_int_equal(rig_stat(&rig, ".s3efs", &st), -ENOENT);
    assert_int_equal(rig_mkdir(&rig, ".s3efs", 0755), -EPERM);
    /* T27: a change of ours keeps every header that is not ours. */
    assert_int_equal(rig_chmod(&rig, "cats/a.jpg", 0600), 0);
    assert_header("cats/a.jpg", "content-type", "image/x-own");
    assert_header("cats/a.jpg", "cache-control", "max-age=9");
    assert_header("cats/a.jpg", "x-amz-meta-colour", "blue");
    assert_object("cats/a.jpg", "miau");
}

static void directories(void **state)
{
    struct stat st;
    char names[256];

    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0750), 0);
    assert_header("d/", "x-amz-meta-file-permissions", "040750");
    assert_int_equal(rig_mkdir(&rig, "d", 0750), -EEXIST);
    assert_int_equal(rig_put(&rig, "d/f", "1", 1), 0);
    assert_int_equal(rig_ls(&rig, "d", names, sizeof(names)), 0);
    assert_string_equal(names, "f");
    assert_int_equal(rig_ls(&rig, "", names, sizeof(names)), 0);
    assert_string_equal(names, "d");
    assert_int_equal(rig_rmdir(&rig, "d"), -ENOTEMPTY);
    assert_int_equal(rig_unlink(&rig, "d"), -EISDIR);
    assert_int_equal(rig_rmdir(&rig, "d/f"), -ENOTDIR);
    assert_int_equal(rig_unlink(&rig, "d/f"), 0);
    assert_int_equal(rig_ls(&rig, "d", names, sizeof(names)), 0);
    assert_string_equal(names, "");
    assert_int_equal(rig_rmdir(&rig, "d"), 0);
    assert_int_equal(rig_stat(&rig, "d", &st), -ENOENT);
    assert_int_equal(memstore_objects(rig.store), 0);
    /* A foreign directory stays when its last file goes. */
    assert_int_equal(memstore_put(rig.store, "e/f", "1", 1, NULL, NULL), 0);
    assert_int_equal(rig_unlink(&rig, "e/f"), 0);
    assert_int_equal(rig_stat(&rig, "e", &st), 0);
    assert_int_equal(rig_chmod(&rig, "e", 0700), 0);
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(rig_stat(&rig, "e", &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0700);
    assert_int_equal(rig_chmod(&rig, "", 0711), 0); /* every EFS user's first step */
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(rig_stat(&rig, "", &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0711);
}

static void rename_files(void **state)
{
    uint64_t fh;
    struct stat before, after;

    (void)state;
    assert_int_equal(rig_put(&rig, "a", "AAA", 3), 0);
    assert_int_equal(rig_stat(&rig, "a", &before), 0);
    assert_int_equal(rig_rename(&rig, "a", "b.css", 0), 0);
    assert_no_object("a");
    assert_object("b.css", "AAA");
    assert_header("b.css", "content-type",
                  "text/css"); /* the name that it was made under said nothing */
    assert_int_equal(rig_stat(&rig, "a", &after), -ENOENT);
    assert_int_equal(rig_stat(&rig, "b.css", &after), 0);
    assert_true(before.st_ino == after.st_ino);
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(rig_stat(&rig, "b.css", &after), 0);
    assert_true(before.st_ino == after.st_ino);
    /* Over an existing one, and not over it. */
    assert_int_equal(rig_put(&rig, "c", "CCC", 3), 0);
    assert_int_equal(rig_rename(&rig, "c", "b.css", RENAME_NOREPLACE), -EEXIST);
    assert_int_equal(rig_rename(&rig, "c", "b.css", RENAME_EXCHANGE), -EINVAL);
    assert_int_equal(rig_rename(&rig, "c", "b.css", 0), 0);
    assert_object("b.css", "CCC");
    assert_int_equal(memstore_user_objects(rig.store), 1);
    /* A file that was not closed yet: only its name moves, one PUT in all. */
    memstore_count_reset(rig.store);
    assert_int_equal(rig_creat(&rig, ".tmp", O_WRONLY, 0644, &fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "new", 3), 3);
    assert_int_equal(rig_rename(&rig, ".tmp", "b.css", 0), 0);
    assert_object("b.css", "CCC");
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_object("b.css", "new");
    assert_int_equal(memstore_count(rig.store, STORE_PUT), 1);
    assert_int_equal(memstore_user_objects(rig.store), 1);
}

static void rename_dirs(void **state)
{
    char names[256], path[32];
    uint64_t fh;
    char buf[8];

    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    assert_int_equal(rig_mkdir(&rig, "d/sub", 0700), 0);
    for (int i = 0; i < 40; i++) {
        snprintf(path, sizeof(path), "d/%d", i);
        assert_int_equal(rig_put(&rig, path, path, strlen(path)), 0);
    }
    assert_int_equal(rig_put(&rig, "d/sub/x", "XX", 2), 0);
    assert_int_equal(rig_open_file(&rig, "d/sub/x", O_RDWR, &fh), 0);
    assert_int_equal(rig_rename(&rig, "d", "d/sub/y", 0), -EINVAL);
    assert_int_equal(rig_mkdir(&rig, "full", 0755), 0);
    assert_int_equal(rig_put(&rig, "full/f", "1", 1), 0);
    assert_int_equal(rig_rename(&rig, "d", "full", 0), -ENOTEMPTY);
    assert_int_equal(rig_rename(&rig, "d", "e", 0), 0);
    assert_int_equal(vfs_read(rig.vfs, fh, 0, buf, 2), 2); /* open files go on */
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 2, "Y", 1), 1);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_object("e/sub/x", "XXY");
    assert_file("e/7", "d/7");
    assert_int_equal(rig_ls(&rig, "", names, sizeof(names)), 0);
    assert_string_equal(names, "e full");
    assert_no_object("d/");
    assert_no_object("d/7");
    assert_header("e/sub/", "x-amz-meta-file-permissions", "040700");
    assert_int_equal(memstore_user_objects(rig.store), 2 + 41 + 2);
}

static void links_and_nodes(void **state)
{
    struct vfs_entry e;
    struct stat st;
    char *target;

    (void)state;
    assert_int_equal(vfs_symlink(rig.vfs, &rig.ctx, "../there", VFS_ROOT, "l", &e), 0);
    assert_int_equal(vfs_readlink(rig.vfs, e.node, &target), 0);
    assert_string_equal(target, "../there");
    free(target);
    vfs_forget(rig.vfs, e.node, 1);
    assert_object("l", "../there");
    assert_header("l", "x-amz-meta-file-permissions", "0120777");
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(rig_walk(&rig, "l", &e), 0);
    assert_true(S_ISLNK(e.st.st_mode));
    assert_int_equal(e.st.st_size, 8);
    assert_int_equal(vfs_readlink(rig.vfs, e.node, &target), 0);
    assert_string_equal(target, "../there");
    free(target);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(vfs_mknod(rig.vfs, &rig.ctx, VFS_ROOT, "p", S_IFIFO | 0600, 0, &e), 0);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(rig_stat(&rig, "p", &st), 0);
    assert_int_equal(st.st_mode, S_IFIFO | 0600);
}

static void unlinked_but_open(void **state)
{
    char buf[16];
    uint64_t fh;

    (void)state;
    assert_int_equal(memstore_put(rig.store, "f", "content", 7, NULL, NULL), 0);
    assert_int_equal(rig_open_file(&rig, "f", O_RDWR, &fh), 0);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_no_object("f");
    assert_int_equal(vfs_read(rig.vfs, fh, 0, buf, sizeof(buf)), 7);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "C", 1), 1);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_no_object("f"); /* and it does not come back */
    memstore_count_reset(rig.store);
    assert_int_equal(rig_creat(&rig, "t", O_RDWR, 0600, &fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "tmp", 3), 3);
    assert_int_equal(rig_unlink(&rig, "t"), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(memstore_count(rig.store, STORE_PUT) + memstore_count(rig.store, STORE_DELETE),
                     0);
}

static void names_that_no_key_can_hold(void **state)
{
    char name[300], path[1200];
    uint64_t fh;

    (void)state;
    memset(name, 'n', sizeof(name));
    name[256] = '\0';
    assert_int_equal(rig_creat(&rig, name, O_WRONLY, 0644, &fh), -ENAMETOOLONG);
    name[255] = '\0';
    assert_int_equal(rig_put(&rig, name, "x", 1), 0);
    assert_int_equal(rig_creat(&rig, "not-utf8-\xff", O_WRONLY, 0644, &fh), -EINVAL);
    path[0] = '\0';
    name[200] = '\0';
    for (int depth = 0; depth < 5; depth++) { /* 5 * 201 = 1005 bytes */
        strcat(path, name);
        assert_int_equal(rig_mkdir(&rig, path, 0755), 0);
        strcat(path, "/");
    }
    strcat(path, "nineteen-byte-name0"); /* 1024 */
    assert_int_equal(rig_put(&rig, path, "x", 1), 0);
    strcat(path, "+");
    assert_int_equal(rig_creat(&rig, path, O_WRONLY, 0644, &fh), -ENAMETOOLONG);
}

/* T7: a refused write errs at close, the old bytes stay, the new ones are kept aside. */
static void denied_write(void **state)
{
    struct cache_stats cs;
    struct vfs_stats vs;
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "old", 3), 0);
    memstore_fail(rig.store, STORE_PUT, 1, 10, -EACCES);
    assert_int_equal(rig_open_file(&rig, "f", O_WRONLY | O_TRUNC, &fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "new", 3), 3);
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh), -EACCES);
    memstore_clear_faults(rig.store);
    vfs_release(rig.vfs, fh); /* what close() refused does not happen after it */
    assert_object("f", "old");
    assert_file("f", "old");
    cache_stats_get(rig.cache, &cs);
    assert_int_equal(cs.lost_found, 1);
    vfs_stats_get(rig.vfs, &vs);
    assert_non_null(strstr(vs.last_error, "f: "));
    assert_int_equal(vs.dirty_files, 0);
    /* A passing failure: the next fsync brings the right bytes (T3). */
    assert_int_equal(rig_open_file(&rig, "f", O_WRONLY | O_TRUNC, &fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "again", 5), 5);
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EIO);
    assert_int_equal(vfs_fsync(rig.vfs, fh), -EIO);
    assert_int_equal(vfs_fsync(rig.vfs, fh), 0);
    assert_object("f", "again");
    assert_int_equal(rig_shut(&rig, fh), 0);
}

static void statistics_and_drain(void **state)
{
    struct vfs_stats vs;
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_creat(&rig, "f", O_WRONLY, 0644, &fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "12345", 5), 5);
    clock_fake_add(2 * NS_PER_S);
    vfs_stats_get(rig.vfs, &vs);
    assert_int_equal(vs.dirty_files, 1);
    assert_int_equal(vs.dirty_bytes, 5);
    assert_int_equal(vs.open_files, 1);
    assert_true(vs.oldest_dirty_ns == 2 * NS_PER_S);
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_object("f", "12345");
    vfs_stats_get(rig.vfs, &vs);
    assert_int_equal(vs.dirty_files, 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
}

static void unsent_bytes_outlive_the_mount(void **state)
{
    struct cache_stats cs;
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_creat(&rig, "f", O_WRONLY, 0644, &fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "12345", 5), 5);
    memstore_fail(rig.store, STORE_PUT, 1, 10, -EIO);
    assert_int_equal(vfs_drain(rig.vfs), -EIO);
    assert_int_equal(rig_remount(&rig), 0);
    cache_stats_get(rig.cache, &cs);
    assert_int_equal(cs.lost_found, 1);
}

static void read_only(void **state)
{
    struct vfs_conf conf = rig.conf;
    struct rig ro;
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "x", 1), 0);
    conf.read_only = true;
    assert_int_equal(rig_join(&ro, &rig, &conf), 0);
    assert_int_equal(rig_open_file(&ro, "f", O_RDWR, &fh), -EROFS);
    assert_int_equal(rig_creat(&ro, "g", O_WRONLY, 0644, &fh), -EROFS);
    assert_int_equal(rig_mkdir(&ro, "d", 0755), -EROFS);
    assert_int_equal(rig_unlink(&ro, "f"), -EROFS);
    assert_int_equal(rig_chmod(&ro, "f", 0600), -EROFS);
    assert_int_equal(rig_rename(&ro, "f", "g", 0), -EROFS);
    rig_close(&ro);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(one_image_is_one_put),
        T(which_flush_commits),
        T(a_thread_is_asked_for_once),
        T(second_open_is_no_duplicate),
        T(empty_file_is_an_object_too),
        T(overwrite_append_truncate),
        T(attributes_go_up_with_the_bytes),
        T(foreign_objects),
        T(directories),
        T(rename_files),
        T(rename_dirs),
        T(links_and_nodes),
        T(unlinked_but_open),
        T(names_that_no_key_can_hold),
        T(denied_write),
        T(statistics_and_drain),
        T(unsent_bytes_outlive_the_mount),
        T(read_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
