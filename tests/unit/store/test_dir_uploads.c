/* SPDX-License-Identifier: Apache-2.0 */
/* Multipart uploads of a bucket in a directory. */
#include "dirfixture.h"

/* An upload of one small part. */
static char *start_upload(struct store *s, const char *key, struct store_part *part)
{
    char text[] = "part";
    struct store_mem m = {.data = text, .size = 4};
    struct store_src src = store_src_mem(&m);
    struct store_req create = {.op = STORE_MPU_CREATE, .key = key};
    struct store_rsp rsp = {0};
    assert_int_equal(store_call(s, &create, &rsp), 0);
    char *id = steal(&rsp.upload_id);
    struct store_req put = {
        .op = STORE_MPU_PART, .key = key, .upload_id = id, .part_number = 1, .src = &src};
    assert_int_equal(store_call(s, &put, &rsp), 0);
    *part = rsp.part;
    store_rsp_done(&rsp);
    return id;
}

static int complete_upload(struct store *s, const char *key, const char *id,
                           const struct store_part *part, struct store_etag *ret)
{
    struct store_req req = {.op = STORE_MPU_COMPLETE,
                            .key = key,
                            .upload_id = id,
                            .parts = part,
                            .n_parts = 1,
                            .cond = {.kind = STORE_IF_ABSENT}};
    struct store_rsp rsp = {0};
    int r = store_call(s, &req, &rsp);
    *ret = rsp.obj.etag;
    store_rsp_done(&rsp);
    return r;
}

/* A Complete whose reply was lost, or whose process died when the object had its name, is answered
 * as the first. */
static void test_complete_again(void **state)
{
    struct fixture *f = *state;
    struct store_part part;
    struct store_etag one = {.s = ""}, two = {.s = ""};
    char *id = start_upload(f->s, "a", &part);
    assert_int_equal(complete_upload(f->s, "a", id, &part, &one), 0);
    assert_int_equal(complete_upload(f->s, "a", id, &part, &two), 0);
    assert_string_equal(one.s, two.s);
    /* Another key's upload it never was. */
    assert_int_equal(complete_upload(f->s, "b", id, &part, &two), STORE_NO_UPLOAD);
    /* Once another version is there, nobody can say. */
    assert_int_equal(dirtest_puts(f->s, "a", "other"), 0);
    assert_int_equal(complete_upload(f->s, "a", id, &part, &two), STORE_NO_UPLOAD);
    free(id);
#ifdef S3EFS_CRASH_POINTS
    int status = 0;
    id = start_upload(f->s, "c", &part);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("S3EFS_CRASH_AT", "dir.after_rename", 1);
        _exit(complete_upload(f->s, "c", id, &part, &one));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(complete_upload(f->s, "c", id, &part, &two), 0);
    expect_text(f, "c", "part");
    assert_int_equal(rmdir(path_of(f, ".s3efs-dir/uploads")), 0); /* and its parts are gone now */
    free(id);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_complete_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
