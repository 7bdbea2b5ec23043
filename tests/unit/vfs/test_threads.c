/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads on one mount, as the kernel lets them in: changes of a directory's names come one at
 * a time, all else side by side. Each thread has a file of its own, whose acknowledged bytes must
 * all be in the bucket; names that they share come and go meanwhile. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/memstore.h"
#include "tests/lib/rig.h"

#define THREADS 8
#define ROUNDS 120
#define FILE_MAX 20000

static struct rig rig;
static pthread_mutex_t names = PTHREAD_MUTEX_INITIALIZER; /* the kernel's lock of the directory */

struct worker {
    pthread_t thread;
    unsigned id, seed;
    char path[32];
    unsigned char model[FILE_MAX];
    size_t size;
    char failed[128]; /* the first call that went wrong */
};

static unsigned roll(struct worker *w, unsigned n)
{
    return (unsigned)rand_r(&w->seed) % n;
}

static void expect(struct worker *w, const char *what, long got, long want)
{
    if (got != want && w->failed[0] == '\0')
        snprintf(w->failed, sizeof(w->failed), "%s of %s: %ld, not %ld", what, w->path, got, want);
}

static int open_or_make(const char *path, int flags, uint64_t *ret_fh)
{
    int r = rig_open_file(&rig, path, flags, ret_fh);

    if (r == -ENOENT) {
        pthread_mutex_lock(&names);
        r = rig_creat(&rig, path, flags, 0644, ret_fh);
        pthread_mutex_unlock(&names);
    }
    return r;
}

static void write_own(struct worker *w)
{
    bool cuts = roll(w, 3) == 0;
    uint64_t fh;
    int r = open_or_make(w->path, O_RDWR | (cuts ? O_TRUNC : 0), &fh);

    expect(w, "open", r, 0);
    if (r < 0)
        return;
    if (cuts)
        w->size = 0;
    for (unsigned n = 1 + roll(w, 3); n > 0; n--) {
        size_t off = roll(w, FILE_MAX / 2), len = 1 + roll(w, FILE_MAX / 2 - 1);

        if (off > w->size)
            memset(w->model + w->size, 0, off - w->size);
        memset(w->model + off, (int)roll(w, 256), len);
        if (off + len > w->size)
            w->size = off + len;
        expect(w, "write", vfs_write(rig.vfs, &rig.ctx, fh, off, w->model + off, len), (long)len);
        if (roll(w, 4) == 0)
            expect(w, "fsync", vfs_fsync(rig.vfs, fh), 0);
    }
    expect(w, "close", rig_shut(&rig, fh), 0);
}

static void read_own(struct worker *w)
{
    unsigned char buf[FILE_MAX + 1];
    struct stat st;

    expect(w, "stat", rig_stat(&rig, w->path, &st), 0);
    expect(w, "size", (long)st.st_size, (long)w->size);
    expect(w, "read", rig_get(&rig, w->path, buf, sizeof(buf)), (long)w->size);
    expect(w, "bytes", memcmp(buf, w->model, w->size), 0);
}

static void cut_own(struct worker *w)
{
    size_t size = roll(w, FILE_MAX);

    if (size > w->size)
        memset(w->model + w->size, 0, size - w->size);
    expect(w, "truncate", rig_truncate(&rig, w->path, size), 0);
    w->size = size;
}

static void move_own(struct worker *w)
{
    char to[32];

    snprintf(to, sizeof(to), "d/own%u-%u", w->id, roll(w, 1000000));
    pthread_mutex_lock(&names);
    expect(w, "rename", rig_rename(&rig, w->path, to, 0), 0);
    pthread_mutex_unlock(&names);
    memcpy(w->path, to, sizeof(to));
}

/* Others take the name meanwhile: what may be said then is bounded, and the daemon lives. */
static void churn(struct worker *w)
{
    static const int fine[] = {0, -ENOENT, -ESTALE, -EEXIST};
    char a[16], b[16], list[4096], buf[64];
    struct stat st;
    uint64_t fh;
    int r = 0;

    snprintf(a, sizeof(a), "d/s%u", roll(w, 3));
    snprintf(b, sizeof(b), "d/s%u", roll(w, 3));
    switch (roll(w, 5)) {
    case 0:
        r = open_or_make(a, O_WRONLY, &fh);
        if (r == 0) {
            ssize_t n = vfs_write(rig.vfs, &rig.ctx, fh, 0, a, strlen(a));

            r = rig_shut(&rig, fh);
            r = n < 0 ? (int)n : r;
        }
        break;
    case 1:
        pthread_mutex_lock(&names);
        r = rig_unlink(&rig, a);
        pthread_mutex_unlock(&names);
        break;
    case 2:
        pthread_mutex_lock(&names);
        r = rig_rename(&rig, a, b, 0);
        pthread_mutex_unlock(&names);
        break;
    case 3:
        r = rig_ls(&rig, "d", list, sizeof(list));
        break;
    default:
        r = rig_stat(&rig, a, &st);
        if (r == 0)
            r = rig_get(&rig, a, buf, sizeof(buf)) < 0 ? -ENOENT : 0;
        break;
    }
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
        if (r == fine[i])
            return;
    expect(w, a, r, 0);
}

static void *work(void *arg)
{
    struct worker *w = arg;

    write_own(w);
    for (int n = 0; n < ROUNDS && w->failed[0] == '\0'; n++) {
        switch (roll(w, 8)) {
        case 0:
        case 1:
            write_own(w);
            break;
        case 2:
            read_own(w);
            break;
        case 3:
            cut_own(w);
            break;
        case 4:
            move_own(w);
            break;
        case 5:
            expect(w, "chmod", rig_chmod(&rig, w->path, 0600 + roll(w, 64)), 0);
            break;
        default:
            churn(w);
            break;
        }
    }
    return NULL;
}

static void run(const struct vfs_conf *conf)
{
    struct worker *all = calloc(THREADS, sizeof(*all));

    assert_non_null(all);
    rig_set_real_time(true);
    assert_int_equal(rig_open(&rig, conf), 0);
    assert_int_equal(memstore_set_async(rig.store, 4), 0);
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        all[i].id = i;
        all[i].seed = 1000 + i;
        snprintf(all[i].path, sizeof(all[i].path), "d/own%u", i);
        assert_int_equal(pthread_create(&all[i].thread, NULL, work, &all[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(all[i].thread, NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        struct store_obj obj = {0};
        char *data = NULL;

        assert_string_equal(all[i].failed, "");
        assert_int_equal(memstore_get(rig.store, all[i].path, &obj, &data), 0);
        assert_int_equal(obj.size, all[i].size);
        assert_memory_equal(data, all[i].model, all[i].size);
        store_obj_done(&obj);
        free(data);
    }
    rig_close(&rig);
    free(all);
}

static void no_acknowledged_write_is_lost(void **state)
{
    (void)state;
    run(NULL);
}

/* Nothing is known for longer than a moment: every call asks the bucket, and meets changes. */
static void nor_when_every_call_asks_the_bucket(void **state)
{
    const struct vfs_conf conf = {
        .file_mode = 0644,
        .dir_mode = 0755,
        .caps = {.put_absent = true, .put_match = true, .complete_absent = true, .complete_match = true,
                 .delete_match = true, .delete_many_match = true, .copy_src_match = true,
                 .part_copy_match = true, .copy_dst_absent = true, .copy_dst_match = true},
    };

    (void)state;
    run(&conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_acknowledged_write_is_lost),
        cmocka_unit_test(nor_when_every_call_asks_the_bucket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
