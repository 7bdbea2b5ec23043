/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of answers: no more than the share is taken at once, whoever wants more waits, and everybody gets some. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "fs/front/internal.h"

#define READERS 8
#define ROUNDS 200
#define SIZE 1000

static struct {
    struct replies replies;
    struct lock lock;
    unsigned now, most, done;
} t;

static void *reader(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        char *data = replies_take(&t.replies, SIZE);

        lock_take(&t.lock);
        t.now++;
        if (t.now > t.most)
            t.most = t.now;
        lock_drop(&t.lock);
        data[SIZE - 1] = 1;
        lock_take(&t.lock);
        t.now--;
        t.done++;
        lock_drop(&t.lock);
        replies_give(&t.replies, data, SIZE);
    }
    return NULL;
}

static void test_share(void **state)
{
    pthread_t threads[READERS];
    char *data;

    (void)state;
    lock_init(&t.lock, LOCK_LEAF);
    replies_init(&t.replies, SIZE + SIZE / 2); /* of two one waits */
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, NULL), 0);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(t.done, READERS * ROUNDS);
    assert_int_equal(t.most, 1);
    data = replies_take(&t.replies, 10 * SIZE); /* one that is larger than the share goes alone */
    assert_non_null(data);
    replies_give(&t.replies, data, 10 * SIZE);
    replies_done(&t.replies);
    lock_done(&t.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_share)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
