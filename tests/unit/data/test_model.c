/* SPDX-License-Identifier: Apache-2.0 */
/* Random operations against an array of bytes: writes, truncation, reads, commits, commits that were overtaken,
 * another writer's versions, lost cache blocks, localising, a full disk, remounts. The seed is printed on failure;
 * S3EFS_SEED runs one seed, S3EFS_RUNS more of them. */
#include "fixture.h"

#define KIB 1024u
#define SPACE (1024u * KIB)

struct model {
    uint64_t seed, random, step;
    struct fx x;
    struct data_file *f;
    struct store_obj base;
    char *bytes, *base_bytes, *scratch;
    bool *is_mine; /* written here since the base moved */
    uint64_t size, base_valid;
    bool whole, dirty;
    unsigned foreign;
};

static uint64_t pick(struct model *m, uint64_t below)
{
    return fx_random(&m->random) % below;
}

/* Small numbers, block edges and anything. */
static uint64_t pick_offset(struct model *m, uint64_t below)
{
    switch (pick(m, 4)) {
    case 0:
        return pick(m, below < 300 ? below : 300);
    case 1: {
        uint64_t v = pick(m, below / CACHE_BLOCK + 1) * CACHE_BLOCK + pick(m, 3);
        return v > 0 && v - 1 < below ? v - 1 : 0;
    }
    default:
        return pick(m, below);
    }
}

#define CHECK(m, cond)                                                                             \
    do {                                                                                           \
        if (!(cond))                                                                               \
            fail_msg("seed %ju step %ju: %s: %s", (uintmax_t)(m)->seed, (uintmax_t)(m)->step,      \
                     #cond, err_text());                                                           \
    } while (0)

static void do_write(struct model *m)
{
    uint64_t off = pick_offset(m, SPACE);
    uint64_t len = 1 + pick(m, pick(m, 3) ? 3000 : 200 * KIB);
    if (len > SPACE - off)
        len = SPACE - off;
    fx_fill(m->scratch, off, len, (unsigned)m->step);
    CHECK(m, data_write(m->f, off, m->scratch, len) == 0);
    memcpy(m->bytes + off, m->scratch, len);
    memset(m->is_mine + off, 1, len);
    if (off + len > m->size)
        m->size = off + len;
    m->dirty = true;
}

static void do_truncate(struct model *m)
{
    uint64_t size = pick(m, 3) ? pick_offset(m, SPACE) : m->size ? pick_offset(m, m->size) : 0;
    if (pick(m, 10) == 0)
        size = 0;
    CHECK(m, data_truncate(m->f, size) == 0);
    if (size < m->size) {
        memset(m->bytes + size, 0, m->size - size);
        memset(m->is_mine + size, 0, m->size - size);
    }
    m->dirty |= size != m->size;
    m->whole |= size == 0;
    m->size = size;
    if (size < m->base_valid)
        m->base_valid = size;
}

static void do_read(struct model *m)
{
    uint64_t off = pick_offset(m, SPACE), len = 1 + pick(m, 300 * KIB);
    uint64_t want = off >= m->size ? 0 : len < m->size - off ? len : m->size - off;
    CHECK(m, data_read(m->f, off, m->scratch, len) == (ssize_t)want);
    CHECK(m, memcmp(m->scratch, m->bytes + off, want) == 0);
}

static void based_on_own(struct model *m, uint64_t size)
{
    memcpy(m->base_bytes, m->bytes, SPACE);
    memset(m->is_mine, 0, SPACE * sizeof(bool));
    m->base_valid = size;
    m->whole = m->dirty = false;
}

static void do_commit(struct model *m)
{
    uint64_t change = data_change(m->f), size = m->size;
    struct data_source ds;
    data_source_init(&ds, m->f, 0, size);
    CHECK(m, ds.src.read(ds.src.ctx, 0, m->scratch, size) == 0);
    CHECK(m, memcmp(m->scratch, m->bytes, size) == 0);
    m->base = (struct store_obj){.size = size};
    CHECK(m, memstore_put(m->x.store, "k", m->scratch, size, NULL, &m->base.etag) == 0);
    bool overtaken = pick(m, 3) == 0;
    if (overtaken) {
        memcpy(m->base_bytes, m->bytes, SPACE);
        m->base_valid = m->base_valid < size ? m->base_valid : size;
        do_write(m);
        if (pick(m, 2))
            do_truncate(m);
        m->whole = false;
        m->dirty = data_change(m->f) != change;
    } else {
        based_on_own(m, size);
    }
    data_committed(m->f, "k", &m->base, change);
    CHECK(m, data_is_whole(m->f) == m->whole);
}

/* Another writer puts something; what was written here goes on top. */
static void do_rebase(struct model *m)
{
    if (!store_etag_is_set(&m->base.etag))
        return;
    uint64_t old_base = m->base.size, end = 0;
    m->base = fx_put(&m->x, "k", pick_offset(m, SPACE), ++m->foreign);
    CHECK(m, data_rebase(m->f, &m->base) == 0);
    for (uint64_t i = 0; i < m->size; i++)
        if (m->is_mine[i])
            end = i + 1;
    bool is_cut = m->whole || m->base_valid < old_base;
    if (!is_cut) {
        if (m->size > old_base)
            end = m->size;
        m->size = end > m->base.size ? end : m->base.size;
        m->base_valid = m->base.size;
    } else if (m->base_valid > m->base.size) {
        m->base_valid = m->base.size;
    }
    fx_fill(m->base_bytes, 0, m->base.size, m->foreign);
    for (uint64_t i = 0; i < SPACE; i++)
        if (!m->is_mine[i])
            m->bytes[i] = i < m->base_valid ? m->base_bytes[i] : 0;
}

static void do_remount(struct model *m)
{
    if (m->dirty || !store_etag_is_set(&m->base.etag))
        do_commit(m);
    if (m->dirty) /* it was overtaken */
        return;
    data_file_unref(m->f);
    if (pick(m, 3) == 0)
        fx_lose_cache(&m->x);
    else
        fx_remount(&m->x);
    m->f = fx_file(&m->x, "k", &m->base);
    /* A file that was opened again counts its base from here. */
    based_on_own(m, m->size);
}

static void do_check(struct model *m)
{
    CHECK(m, data_size(m->f) == m->size);
    CHECK(m, data_is_dirty(m->f) == (m->dirty || !store_etag_is_set(&m->base.etag)));
    struct data_extent *v;
    size_t n;
    uint64_t base_valid, mine = 0;
    CHECK(m, data_extents(m->f, &v, &n, &base_valid) == 0);
    CHECK(m, base_valid == m->base_valid);
    for (size_t i = 0; i < n; i++)
        for (uint64_t k = 0; k < v[i].len; k++)
            CHECK(m, m->is_mine[v[i].off + k]);
    free(v);
    for (uint64_t i = 0; i < SPACE; i++)
        mine += m->is_mine[i];
    CHECK(m, data_dirty_bytes(m->f) == mine);
    CHECK(m, data_read(m->f, 0, m->scratch, SPACE + 1) == (ssize_t)m->size);
    CHECK(m, memcmp(m->scratch, m->bytes, m->size) == 0);
}

static void one_step(struct model *m)
{
    switch (pick(m, 16)) {
    case 0:
    case 1:
        do_truncate(m);
        break;
    case 2:
        do_commit(m);
        break;
    case 3:
        do_rebase(m);
        break;
    case 4:
        if (store_etag_is_set(&m->base.etag))
            cache_drop_blocks(m->x.cache, "k", &m->base.etag);
        break;
    case 5:
        CHECK(m, data_localise_range(m->f, pick_offset(m, SPACE), pick(m, SPACE)) == 0);
        break;
    case 6:
        do_remount(m);
        break;
    case 7:
        do_check(m);
        break;
    case 8:
    case 9:
    case 10:
        do_read(m);
        break;
    default:
        do_write(m);
    }
}

static void run(uint64_t seed)
{
    struct model m = {.seed = seed, .random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .whole = true};
    struct data_conf conf = {.whole_max = seed % 2 ? 256 * KIB : SPACE, .range_size = 256 * KIB};
    fx_open(&m.x, &conf, seed % 3 ? 2 : 0, seed % 5 == 0 ? 8 * SPACE : 0);
    m.bytes = calloc(1, SPACE);
    m.base_bytes = calloc(1, SPACE);
    m.scratch = calloc(1, SPACE + 1);
    m.is_mine = calloc(SPACE, sizeof(bool));
    m.f = fx_file(&m.x, "k", NULL);
    for (m.step = 1; m.step <= 150; m.step++)
        one_step(&m);
    do_check(&m);
    data_file_unref(m.f);
    free(m.bytes);
    free(m.base_bytes);
    free(m.scratch);
    free(m.is_mine);
    fx_close(&m.x);
}

static void random_runs(void **state)
{
    (void)state;
    const char *one = getenv("S3EFS_SEED"), *runs = getenv("S3EFS_RUNS");
    if (one) {
        run(strtoull(one, NULL, 10));
        return;
    }
    uint64_t n = runs ? strtoull(runs, NULL, 10) : 16;
    for (uint64_t seed = 1; seed <= n; seed++)
        run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_runs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
