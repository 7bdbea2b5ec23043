/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local with its real senders: threads write, append, rename and remove while files are
 * sent, in a bucket that fails now and then. At the end the bucket has what was acknowledged,
 * nothing else. */
#include <pthread.h>
#include <sys/stat.h>

#include "localmount.h"

#define THREADS 6
#define ROUNDS 40

static pthread_mutex_t names = PTHREAD_MUTEX_INITIALIZER; /* the kernel's lock of the directory */

struct worker {
    pthread_t thread;
    unsigned id;
    char log[ROUNDS * 48];
    int error;
};

static int put_named(const char *path, const char *text)
{
    uint64_t fh;
    int r = rig_open_file(&rig, path, O_WRONLY | O_TRUNC, &fh);

    if (r == -ENOENT) {
        pthread_mutex_lock(&names);
        r = rig_creat(&rig, path, O_WRONLY, 0644, &fh);
        pthread_mutex_unlock(&names);
    }
    if (r < 0)
        return r;
    if (vfs_write(rig.vfs, &rig.ctx, fh, 0, text, strlen(text)) < 0)
        r = -EIO;
    return rig_shut(&rig, fh) ?: r;
}

static int unlink_named(const char *path)
{
    struct stat st;
    int r;

    pthread_mutex_lock(&names);
    r = rig_unlink(&rig, path);
    pthread_mutex_unlock(&names);
    if (r == 0 && rig_stat(&rig, path, &st) != -ENOENT)
        r = -EEXIST;
    return r;
}

static int append_line(const char *path, const char *text)
{
    uint64_t fh;
    int r = rig_open_file(&rig, path, O_WRONLY | O_APPEND, &fh);

    if (r < 0)
        return r;
    if (vfs_write(rig.vfs, &rig.ctx, fh, 0, text, strlen(text)) < 0)
        r = -EIO;
    return rig_shut(&rig, fh) ?: r;
}

static int check_text(const char *path, const char *text)
{
    char buf[ROUNDS * 48];
    ssize_t n = rig_get(&rig, path, buf, sizeof(buf));

    return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0 ? 0 : -EBADMSG;
}

/* One is made, used and removed, while it and what is in it may be sent, or not yet. */
static int dir_round(const struct worker *w, const char *text)
{
    char dir[32], file[40];
    int r, e = 0;

    snprintf(dir, sizeof(dir), "d%u", w->id);
    snprintf(file, sizeof(file), "%s/f", dir);
    pthread_mutex_lock(&names);
    r = rig_mkdir(&rig, dir, 0755);
    pthread_mutex_unlock(&names);
    if (r == 0)
        r = put_named(file, text);
    while (r == 0 && (e = rig_chmod(&rig, dir, 0700)) == -EIO)
        ; /* it is sent, and the reply to the change was lost */
    r = r ?: e ?: check_text(file, text) ?: unlink_named(file);
    pthread_mutex_lock(&names);
    if (r == 0)
        r = rig_rmdir(&rig, dir);
    pthread_mutex_unlock(&names);
    return r;
}

/* One that stays, in the bucket by now or not, while its marker is on its way or not. */
static int attr_round(const struct worker *w, int k)
{
    char dir[32];
    int r = 0;

    snprintf(dir, sizeof(dir), "p%u", w->id);
    pthread_mutex_lock(&names);
    if (k == 0)
        r = rig_mkdir(&rig, dir, 0755);
    pthread_mutex_unlock(&names);
    return r ?: rig_chmod(&rig, dir, 0700) ?: rig_chown(&rig, dir, 7, (gid_t)k) ?: rig_chmod(&rig, dir, 0700 | (mode_t)k % 8);
}

static int one_round(struct worker *w, int k)
{
    char path[32], tmp[32], gone[32], log[32], text[48];
    int r;

    snprintf(path, sizeof(path), "f%u", w->id);
    snprintf(tmp, sizeof(tmp), "t%u", w->id);
    snprintf(gone, sizeof(gone), "g%u", w->id);
    snprintf(log, sizeof(log), "log%u", w->id);
    snprintf(text, sizeof(text), "%u/%d\n", w->id, k);
    strcat(w->log, text);
    r = k == 0 ? put_named(log, text) : append_line(log, text);
    if (r == 0) /* of what is sent, or is not, or is being sent */
        r = rig_chmod(&rig, log, 0600 | (mode_t)k % 8);
    if (r == 0)
        r = put_named(tmp, text);
    pthread_mutex_lock(&names);
    if (r == 0)
        r = rig_rename(&rig, tmp, path, 0);
    pthread_mutex_unlock(&names);
    if (r == 0)
        r = check_text(path, text);
    if (r == 0 && k % 2 == 1) /* it may have been sent by now, and be made again while that goes */
        r = unlink_named(gone) ?: put_named(gone, text) ?: check_text(gone, text) ?: unlink_named(gone);
    else if (r == 0)
        r = put_named(gone, text);
    return r ?: check_text(log, w->log) ?: attr_round(w, k) ?: dir_round(w, text);
}

static void *work(void *arg)
{
    struct worker *w = arg;

    for (int k = 0; k < ROUNDS && w->error == 0; k++)
        w->error = one_round(w, k);
    return NULL;
}

/* Every 9th PUT is done and its reply lost. Its look, and that of nobody else, answers. */
static void lose_some(void *arg, struct store *s, const struct store_req *req, int result)
{
    static unsigned n;

    (void)arg;
    (void)result;
    if (req->op == STORE_PUT && __atomic_add_fetch(&n, 1, __ATOMIC_RELAXED) % 9 == 0)
        memstore_lose(s, STORE_PUT, 1, 1, -EIO);
}

static void all_at_once(void **state)
{
    static struct worker w[THREADS];

    (void)state;
    clock_fake_off();
    rig.conf.send_by_hand = false;
    rig.conf.fold_ns = 5 * NS_PER_MS; /* some meet their rename, some their sender */
    assert_int_equal(rig_remount(&rig), 0);
    memstore_set_hooks(rig.store, NULL, lose_some, NULL);
    for (unsigned k = 0; k < THREADS; k++) {
        w[k].id = k;
        assert_int_equal(pthread_create(&w[k].thread, NULL, work, &w[k]), 0);
    }
    for (unsigned k = 0; k < THREADS; k++) {
        pthread_join(w[k].thread, NULL);
        assert_int_equal(w[k].error, 0);
    }
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    memstore_clear_faults(rig.store);
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_int_equal(entries(), 0);
    assert_int_equal(kept(), 0);
    assert_int_equal(rig_remount(&rig), 0); /* what the bucket has */
    for (unsigned k = 0; k < THREADS; k++) {
        char path[32], text[48];
        struct stat st;

        snprintf(path, sizeof(path), "log%u", k);
        assert_object(path, w[k].log);
        assert_int_equal(rig_stat(&rig, path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600 | (ROUNDS - 1) % 8);
        snprintf(path, sizeof(path), "p%u", k);
        assert_int_equal(rig_stat(&rig, path, &st), 0);
        assert_int_equal(st.st_mode, S_IFDIR | 0700 | (ROUNDS - 1) % 8);
        assert_int_equal(st.st_gid, ROUNDS - 1);
        snprintf(path, sizeof(path), "f%u", k);
        snprintf(text, sizeof(text), "%u/%d\n", k, ROUNDS - 1);
        assert_object(path, text);
    }
    assert_int_equal(memstore_user_objects(rig.store), 3 * THREADS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {L(all_at_once)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
