/* SPDX-License-Identifier: Apache-2.0 */
/* A listing of many names reads its directory a few times, not once a page, and finds every change.
 */
#include "dirfixture.h"

#include "dir_int.h"

#define NAMES 4200 /* of 240 bytes: of a window and a part of the next */
#define N_DIRS 300 /* of them, the first */
#define WINDOWS 2
#define PAGES 5

static void make_name(unsigned i, char out[256])
{
    snprintf(out, 256, "%c%08x-%0230u", i < N_DIRS ? '0' : '1', i * 2654435761u, i);
}

static void make_file(const struct fixture *f, const char *name)
{
    int fd = open(path_of(f, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    close(fd);
}

static void make_all(const struct fixture *f)
{
    char name[256], inner[300];
    for (unsigned i = 0; i < NAMES; i++) {
        make_name(i, name);
        if (i >= N_DIRS) {
            make_file(f, name);
            continue;
        }
        assert_int_equal(mkdir(path_of(f, name), 0755), 0);
        snprintf(inner, sizeof(inner), "%s/x", name);
        make_file(f, inner);
    }
}

static struct dir_store *dir_of(const struct fixture *f)
{
    return container_of(f->s, struct dir_store, store);
}

struct found {
    char last[400];
    unsigned n, pages, prefixes;
    char *token;
};

static void next_page(const struct fixture *f, bool delimited, struct found *ret)
{
    struct store_req req = {
        .op = STORE_LIST, .prefix = "", .delimited = delimited, .token = ret->token};
    struct store_rsp rsp = {0};
    assert_int_equal(store_call(f->s, &req, &rsp), 0);
    for (size_t i = 0; i < rsp.list.n; i++) {
        const struct store_entry *e = &rsp.list.v[i];
        assert_true(strcmp(ret->last, e->key) < 0);
        assert_int_equal(str_copy(ret->last, sizeof(ret->last), e->key), 0);
        ret->n++;
        ret->prefixes += e->is_prefix;
        assert_true(delimited ? e->is_prefix == str_ends(e->key, "/") : !e->is_prefix);
    }
    ret->pages++;
    free(ret->token);
    ret->token = steal(&rsp.list.next);
    store_rsp_done(&rsp);
}

static struct found list_all(const struct fixture *f, bool delimited)
{
    struct found found = {.n = 0};
    do {
        next_page(f, delimited, &found);
    } while (found.token != NULL);
    return found;
}

static void set_mtime(const struct fixture *f, int64_t from_now_s)
{
    struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}};
    clock_gettime(CLOCK_REALTIME, &t[1]);
    t[1].tv_sec += from_now_s;
    assert_int_equal(utimensat(AT_FDCWD, f->dir, t, 0), 0);
}

static unsigned scans(const struct fixture *f)
{
    return dir_of(f)->locked.scans;
}

static void few_reads(const struct fixture *f)
{
    unsigned before = scans(f);
    struct found found;
    set_mtime(f, -60); /* as if nothing had been made in it since */
    found = list_all(f, true);
    assert_int_equal(found.n, NAMES);
    assert_int_equal(found.prefixes, N_DIRS);
    assert_int_equal(found.pages, PAGES);
    assert_int_equal(scans(f) - before, WINDOWS + N_DIRS); /* each directory for its first key */
    found = list_all(f, false);
    assert_int_equal(found.n, NAMES);
    assert_int_equal(found.prefixes, 0);
}

/* Its time could be that of a change that comes after the reading. */
static void young_directory(const struct fixture *f)
{
    unsigned before = scans(f);
    struct found found;
    set_mtime(f, 3600);
    found = list_all(f, true);
    assert_int_equal(found.n, NAMES);
    assert_true(scans(f) - before >= PAGES + N_DIRS);
}

static void changes_between_pages(const struct fixture *f)
{
    struct found found = {.n = 0};
    char name[256];
    set_mtime(f, -60);
    next_page(f, true, &found);
    make_file(f, "00000000-before");
    make_file(f, "ffffffff-z");
    set_mtime(f, -60); /* its other time tells */
    for (unsigned i = N_DIRS; i < NAMES; i++) {
        make_name(i, name);
        if (strcmp(name, found.last) > 0)
            break;
    }
    assert_int_equal(unlink(path_of(f, name)), 0);
    while (found.token != NULL)
        next_page(f, true, &found);
    assert_string_equal(found.last, "ffffffff-z");
    assert_int_equal(found.n, NAMES); /* one more, one less; "before" came too late */
}

static void test_names(void **state)
{
    const struct fixture *f = *state;
    make_all(f);
    few_reads(f);
    young_directory(f);
    changes_between_pages(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
