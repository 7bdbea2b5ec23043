/* SPDX-License-Identifier: Apache-2.0 */
/* Option passthrough (THROUGH-1..4): a kernel that reads for itself, and refuses opens that break its rule. */
#include <unistd.h>

#include "cache/cache.h"
#include "fs/vfs/internal.h"
#include "fs/vfs/through.h"

#include "twomounts.h"

#define PAST (100 * NS_PER_S) /* any attribute time */
#define MAX_BACKINGS 64

/* What the kernel was given: descriptors, until they are closed. */
static struct {
    int fd[MAX_BACKINGS];
    int n, n_closed, refuses;
} kernel;

static int backing_open(void *arg, int fd)
{
    (void)arg;
    if (kernel.refuses != 0)
        return kernel.refuses;
    assert_in_range(kernel.n, 0, MAX_BACKINGS - 2);
    kernel.fd[++kernel.n] = dup(fd);
    return kernel.n;
}

static void backing_close(void *arg, int backing)
{
    (void)arg;
    close(kernel.fd[backing]);
    kernel.fd[backing] = -1;
    kernel.n_closed++;
}

static int setup_as(enum vfs_commit commit)
{
    struct vfs_conf conf;
    int r;

    memset(&kernel, 0, sizeof(kernel));
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_set_has_fd(NULL);
    rig_defaults(&conf);
    conf.commit = commit;
    conf.backing_open = backing_open;
    conf.backing_close = backing_close;
    r = rig_open(&a, &conf);
    conf.commit = VFS_COMMIT_CLOSE;
    conf.backing_open = NULL;
    return r == 0 ? rig_join(&b, &a, &conf) : r;
}

static int setup_through(void **state)
{
    (void)state;
    return setup_as(VFS_COMMIT_CLOSE);
}

static int setup_local(void **state)
{
    (void)state;
    return setup_as(VFS_COMMIT_LOCAL);
}

static int end(void **state)
{
    int r = teardown(state);

    for (int i = 1; i <= kernel.n; i++)
        if (kernel.fd[i] > 0)
            close(kernel.fd[i]);
    return r;
}

static uint64_t open_as(const char *path, int flags)
{
    uint64_t fh = 0;

    assert_int_equal(rig_open_file(&a, path, flags, &fh), 0);
    return fh;
}

/* What a reader of the kernel's sees through that handle. */
static void assert_sees(uint64_t fh, const char *text)
{
    char buf[256] = "";
    int backing = vfs_backing(a.vfs, fh);

    assert_true(backing > 0);
    assert_true(kernel.fd[backing] > 0);
    assert_int_equal(pread(kernel.fd[backing], buf, sizeof(buf) - 1, 0), strlen(text));
    assert_string_equal(buf, text);
}

static uint64_t node_of(const char *path)
{
    struct vfs_entry e;

    assert_int_equal(rig_walk(&a, path, &e), 0);
    vfs_forget(a.vfs, e.node, 1);
    return e.node;
}

static uint64_t ino_of(const char *path)
{
    struct stat st;

    assert_int_equal(rig_stat(&a, path, &st), 0);
    return st.st_ino;
}

/* The first handle alone begins it, all that follow have the same file, the last one ends it. */
static void all_opens_have_one_file(void **state)
{
    uint64_t one, two, three;

    (void)state;
    put_text(&a, "f", "the bytes");
    one = open_as("f", O_RDONLY);
    two = open_as("f", O_RDONLY);
    assert_sees(one, "the bytes");
    assert_int_equal(vfs_backing(a.vfs, one), vfs_backing(a.vfs, two));
    assert_int_equal(kernel.n, 1);
    assert_int_equal(rig_shut(&a, one), 0);
    three = open_as("f", O_RDONLY);
    assert_sees(three, "the bytes");
    assert_int_equal(rig_shut(&a, two), 0);
    assert_int_equal(kernel.n_closed, 0);
    assert_int_equal(rig_shut(&a, three), 0);
    assert_int_equal(kernel.n_closed, 1);
}

/* While a handle reads by us, all do; and what is not here is not given away. */
static void none_beside_another(void **state)
{
    char buf[16];
    uint64_t one, two;

    (void)state;
    put_text(&b, "f", "elsewhere");
    one = open_as("f", O_RDONLY);
    if (vfs_backing(a.vfs, one) == 0) { /* its open may have brought it */
        two = open_as("f", O_RDONLY);
        assert_int_equal(vfs_backing(a.vfs, two), 0);
        assert_int_equal(vfs_read(a.vfs, two, 0, buf, sizeof(buf)), 9);
        assert_int_equal(rig_shut(&a, two), 0);
    }
    assert_int_equal(rig_shut(&a, one), 0);
    for (bool is = false; !is;) { /* its bytes come to the cache by a worker */
        one = open_as("f", O_RDONLY);
        is = vfs_backing(a.vfs, one) > 0;
        if (is)
            assert_sees(one, "elsewhere");
        assert_int_equal(rig_shut(&a, one), 0);
    }
    one = open_as("f", O_WRONLY);
    two = open_as("f", O_RDONLY);
    assert_int_equal(vfs_backing(a.vfs, one), 0);
    assert_int_equal(vfs_backing(a.vfs, two), 0);
    assert_int_equal(rig_shut(&a, one), 0);
    assert_int_equal(rig_shut(&a, two), 0);
}

/* THROUGH-2: who writes has a node of his own, of the same file; who reads keeps what he opened. */
static void assert_parted(int flags)
{
    const uint64_t reader = open_as("f", O_RDONLY), node = node_of("f"), ino = ino_of("f");
    uint64_t writer, fresh;

    assert_sees(reader, "old bytes");
    writer = open_as("f", flags);
    assert_int_equal(vfs_backing(a.vfs, writer), 0);
    assert_int_not_equal(node_of("f"), node);
    assert_int_equal(ino_of("f"), ino);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, writer, 0, "NEW", 3), 3);
    fresh = open_as("f", O_RDONLY);
    assert_int_equal(vfs_backing(a.vfs, fresh), 0);
    assert_int_equal(rig_shut(&a, writer), 0);
    assert_int_equal(rig_shut(&a, fresh), 0);
    assert_sees(reader, "old bytes");
    assert_int_equal(rig_shut(&a, reader), 0);
    assert_int_equal(kernel.n, kernel.n_closed);
}

static void a_writer_has_a_node_of_his_own(void **state)
{
    (void)state;
    put_text(&a, "f", "old bytes");
    assert_int_equal(vfs_drain(a.vfs), 0);
    assert_parted(O_WRONLY);
    assert_int_equal(vfs_drain(a.vfs), 0);
    assert_file(&b, "f", "NEW bytes");
    put_text(&a, "f", "old bytes");
    assert_int_equal(vfs_drain(a.vfs), 0);
    clock_fake_add(PAST);
    assert_parted(O_RDWR | O_TRUNC);
    assert_int_equal(vfs_drain(a.vfs), 0);
    clock_fake_add(PAST);
    assert_file(&b, "f", "NEW");
    assert_file(&a, "f", "NEW");
}

/* The kernel hides one ESTALE: between it and his second try nobody begins again, under that name. */
static void a_writer_is_told_once(void **state)
{
    struct vfs_entry e;
    uint64_t reader, other, fh;
    bool keep;

    (void)state;
    put_text(&a, "f", "old bytes");
    reader = open_as("f", O_RDONLY);
    assert_sees(reader, "old bytes");
    assert_int_equal(rig_walk(&a, "f", &e), 0);
    assert_int_equal(vfs_open(a.vfs, &a.ctx, e.node, O_WRONLY, &fh, &keep), -ESTALE);
    vfs_forget(a.vfs, e.node, 1);
    put_text(&a, "new", "renamed over it");
    assert_int_equal(rig_rename(&a, "new", "f", 0), 0);
    other = open_as("f", O_RDONLY);
    assert_int_equal(vfs_backing(a.vfs, other), 0);
    assert_int_equal(rig_walk(&a, "f", &e), 0);
    assert_int_equal(vfs_open(a.vfs, &a.ctx, e.node, O_WRONLY, &fh, &keep), 0);
    vfs_forget(a.vfs, e.node, 1);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_int_equal(rig_shut(&a, other), 0);
    assert_int_equal(rig_shut(&a, reader), 0);
    clock_fake_add(PAST);
    reader = open_as("f", O_RDONLY);
    assert_sees(reader, "renamed over it");
    assert_int_equal(rig_shut(&a, reader), 0);
}

/* Who comes by the node is told ESTALE: the file that the name has by now must not say so again. */
static void assert_second_try_opens(uint64_t node, int told)
{
    const uint64_t other = open_as("f", O_RDONLY);
    struct vfs_entry e;
    uint64_t fh;
    bool keep;

    assert_int_equal(rig_walk(&a, "f", &e), 0);
    assert_int_not_equal(e.node, node);
    assert_int_equal(vfs_open(a.vfs, &a.ctx, node, O_RDWR, &fh, &keep), told);
    if (told == 0)
        assert_int_equal(rig_shut(&a, fh), 0);
    assert_int_equal(vfs_open(a.vfs, &a.ctx, e.node, O_RDWR, &fh, &keep), 0);
    vfs_forget(a.vfs, e.node, 1);
    vfs_forget(a.vfs, node, 1);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_int_equal(rig_shut(&a, other), 0);
}

/* Also where the name had gone when he came: renamed over between his lookup and his open. */
static void a_writer_after_a_rename_is_told_once(void **state)
{
    struct vfs_entry e;
    uint64_t reader;

    (void)state;
    put_text(&a, "f", "old bytes");
    put_text(&a, "new", "renamed over it");
    reader = open_as("f", O_RDONLY);
    assert_sees(reader, "old bytes");
    assert_int_equal(rig_walk(&a, "f", &e), 0);
    assert_int_equal(rig_rename(&a, "new", "f", 0), 0);
    assert_second_try_opens(e.node, -ESTALE);
    assert_sees(reader, "old bytes");
    assert_int_equal(rig_shut(&a, reader), 0);
}

/* And what the name left is not read that way, as the first, by who comes for it late. */
static void none_begins_without_a_name(void **state)
{
    struct vfs_entry e;
    uint64_t fh;
    bool keep;

    (void)state;
    put_text(&a, "f", "old bytes");
    put_text(&a, "new", "renamed over it");
    assert_int_equal(rig_walk(&a, "f", &e), 0);
    assert_int_equal(rig_rename(&a, "new", "f", 0), 0);
    assert_int_equal(vfs_open(a.vfs, &a.ctx, e.node, O_RDONLY, &fh, &keep), 0);
    assert_int_equal(vfs_backing(a.vfs, fh), 0);
    vfs_forget(a.vfs, e.node, 1);
    assert_int_equal(rig_shut(&a, fh), 0);
}

/* Another client's version gave the name its new node, as a reader came: the writer's first try finds that out. */
static void a_writer_after_another_version_is_told_once(void **state)
{
    struct vfs_entry e;
    uint64_t reader;

    (void)state;
    put_text(&a, "f", "old bytes");
    reader = open_as("f", O_RDONLY);
    assert_int_equal(rig_walk(&a, "f", &e), 0);
    put_text(&b, "f", "theirs");
    clock_fake_add(PAST);
    assert_file(&a, "f", "theirs");
    assert_second_try_opens(e.node, -ESTALE);
    assert_int_equal(rig_shut(&a, reader), 0);
}

static void a_truncate_by_name_too(void **state)
{
    uint64_t reader, node;
    int r = -ESTALE;

    (void)state;
    put_text(&a, "f", "old bytes");
    reader = open_as("f", O_RDONLY);
    node = node_of("f");
    for (int tries = 0; tries < 2 && r == -ESTALE; tries++) /* as the kernel does */
        r = rig_truncate(&a, "f", 3);
    assert_int_equal(r, 0);
    assert_sees(reader, "old bytes");
    assert_int_not_equal(node_of("f"), node);
    assert_file(&b, "f", "old");
    assert_int_equal(rig_shut(&a, reader), 0);
}

/* Nor do they go on where somebody locks the file or has read to its end: nobody knows how far they are. */
static void another_clients_version(void **state)
{
    uint64_t reader, fresh, node;

    (void)state;
    put_text(&a, "f", "old bytes");
    reader = open_as("f", O_RDONLY);
    node = node_of("f");
    put_text(&b, "f", "old bytes and more");
    clock_fake_add(PAST);
    fresh = open_as("f", O_RDONLY);
    assert_int_not_equal(node_of("f"), node);
    assert_sees(reader, "old bytes");
    assert_int_equal(rig_shut(&a, fresh), 0);
    assert_file(&a, "f", "old bytes and more");
    assert_int_equal(rig_shut(&a, reader), 0);
}

/* What is evicted, removed or renamed is read on. */
static void whatever_becomes_of_the_name(void **state)
{
    struct store_etag etag;
    uint64_t one, two;

    (void)state;
    put_text(&a, "f", "the bytes");
    put_text(&a, "g", "other bytes");
    one = open_as("f", O_RDONLY);
    two = open_as("g", O_RDONLY);
    etag = data_base_etag(handle_get(a.vfs, one)->data);
    cache_drop_blocks(a.cache, "f", &etag);
    assert_sees(one, "the bytes");
    assert_int_equal(rig_rename(&a, "f", "h", 0), 0);
    assert_sees(one, "the bytes");
    assert_int_equal(rig_rename(&a, "h", "g", 0), 0);
    assert_sees(one, "the bytes");
    assert_sees(two, "other bytes");
    assert_int_equal(rig_unlink(&a, "g"), 0);
    assert_sees(one, "the bytes");
    assert_int_equal(rig_shut(&a, one), 0);
    assert_int_equal(rig_shut(&a, two), 0);
    assert_int_equal(kernel.n, kernel.n_closed);
}

/* THROUGH-3 */
static void only_what_is_here_and_sound(void **state)
{
    char command[400];
    uint64_t one;

    (void)state;
    put_text(&a, "f", "sound bytes");
    snprintf(command, sizeof(command),
             "for f in $(find %s/blocks -type f); do printf X | dd of=$f bs=1 seek=2 conv=notrunc 2>/dev/null; done", a.dir);
    assert_int_equal(system(command), 0);
    one = open_as("f", O_RDONLY);
    assert_int_equal(vfs_backing(a.vfs, one), 0);
    assert_int_equal(rig_shut(&a, one), 0);
    assert_file(&a, "f", "sound bytes");
    assert_int_equal(kernel.n, 0);
}

static void links_are_read_by_us(void **state)
{
    uint64_t one;

    (void)state;
    put_text(&a, "f", "the bytes");
    assert_int_equal(rig_link(&a, "f", "g"), 0);
    one = open_as("g", O_RDONLY);
    assert_int_equal(vfs_backing(a.vfs, one), 0);
    assert_int_equal(rig_shut(&a, one), 0);
}

static void a_kernel_that_refuses(void **state)
{
    uint64_t one;

    (void)state;
    put_text(&a, "f", "the bytes");
    kernel.refuses = -EPERM;
    one = open_as("f", O_RDONLY);
    assert_int_equal(vfs_backing(a.vfs, one), 0);
    assert_int_equal(rig_shut(&a, one), 0);
    assert_file(&a, "f", "the bytes");
}

/* THROUGH-4: a large file is compared meanwhile. */
static void a_large_one_is_compared_later(void **state)
{
    const size_t size = THROUGH_AT_ONCE + 1;
    char *bytes = calloc(1, size);
    uint64_t one;
    int backing;

    (void)state;
    assert_non_null(bytes);
    assert_int_equal(rig_put(&a, "f", bytes, size), 0);
    free(bytes);
    one = open_as("f", O_RDONLY);
    assert_int_equal(vfs_backing(a.vfs, one), 0);
    assert_int_equal(rig_shut(&a, one), 0);
    do {
        one = open_as("f", O_RDONLY);
        backing = vfs_backing(a.vfs, one);
        assert_int_equal(rig_shut(&a, one), 0);
    } while (backing == 0);
}

/* Attributes that wait are the file's, whoever has it open, and go up before its name gets another node. */
static void attributes_wait(void **state)
{
    struct stat st;
    uint64_t one, two;

    (void)state;
    put_text(&a, "f", "old bytes");
    assert_int_equal(vfs_drain(a.vfs), 0);
    one = open_as("f", O_RDONLY);
    assert_sees(one, "old bytes");
    assert_int_equal(rig_chmod(&a, "f", 0600), 0);
    two = open_as("f", O_RDONLY);
    assert_int_equal(vfs_backing(a.vfs, two), vfs_backing(a.vfs, one));
    assert_int_equal(rig_shut(&a, two), 0);
    two = open_as("f", O_WRONLY);
    assert_int_equal(vfs_backing(a.vfs, two), 0);
    assert_int_equal(rig_stat(&a, "f", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, two, 0, "NEW", 3), 3);
    assert_int_equal(rig_shut(&a, two), 0);
    assert_sees(one, "old bytes");
    assert_int_equal(rig_shut(&a, one), 0);
    assert_int_equal(vfs_drain(a.vfs), 0);
    assert_int_equal(rig_stat(&b, "f", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_file(&b, "f", "NEW bytes");
}

/* What waits for its upload is not in the cache as a version yet. */
static void what_waits_is_read_by_us(void **state)
{
    uint64_t one, two;

    (void)state;
    put_text(&a, "f", "waiting");
    one = open_as("f", O_RDONLY);
    assert_int_equal(vfs_backing(a.vfs, one), 0);
    assert_int_equal(vfs_drain(a.vfs), 0);
    two = open_as("f", O_RDONLY);
    assert_int_equal(vfs_backing(a.vfs, two), 0); /* beside the first */
    assert_int_equal(rig_shut(&a, one), 0);
    assert_int_equal(rig_shut(&a, two), 0);
    one = open_as("f", O_RDONLY);
    assert_sees(one, "waiting");
    assert_int_equal(rig_shut(&a, one), 0);
}

#define C(f) cmocka_unit_test_setup_teardown(f, setup_through, end)
#define L(f) cmocka_unit_test_setup_teardown(f, setup_local, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        C(all_opens_have_one_file),
        C(none_beside_another),
        C(a_writer_has_a_node_of_his_own),
        C(a_writer_is_told_once),
        C(a_writer_after_a_rename_is_told_once),
        C(none_begins_without_a_name),
        C(a_writer_after_another_version_is_told_once),
        C(a_truncate_by_name_too),
        C(another_clients_version),
        C(whatever_becomes_of_the_name),
        C(only_what_is_here_and_sound),
        C(links_are_read_by_us),
        C(a_kernel_that_refuses),
        C(a_large_one_is_compared_later),
        L(a_writer_has_a_node_of_his_own),
        L(attributes_wait),
        L(what_waits_is_read_by_us),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
