/* SPDX-License-Identifier: Apache-2.0 */
#include "steps.h"

#include <inttypes.h>
#include <stdio.h>
#include "workload.h"

static void add(struct steps *p, struct step s)
{
    if (p->n < STEPS_MAX)
        p->step[p->n++] = s;
}

static void add_mix(struct steps *p, struct step s)
{
    static const enum work all[] = {WORK_MAKE, WORK_MIX, WORK_REMOVE};

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        s.work = all[i];
        s.is_asked = s.work == WORK_MIX;
        add(p, s);
    }
}

static void add_files(struct steps *p, struct step s, unsigned works, bool first)
{
    static const struct {
        enum work work;
        unsigned bit; /* 0: always */
    } all[] = {{WORK_MAKE, 0},
               {WORK_UPLOAD, 0},
               {WORK_READ, ASK_READ},
               {WORK_LIST, ASK_LIST},
               {WORK_REMOVE, 0}};

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (all[i].bit != 0 && (works & all[i].bit) == 0)
            continue;
        if (all[i].work == WORK_LIST && !first) /* the size makes no difference there */
            continue;
        s.work = all[i].work;
        s.is_asked = all[i].bit != 0 || (s.work == WORK_UPLOAD && (works & ASK_UPLOAD) != 0);
        add(p, s);
    }
}

static void add_tree(struct steps *p, struct step s)
{
    static const enum work all[] = {WORK_MAKE, WORK_TREE, WORK_WALK, WORK_REMOVE};

    s.is_tree = true;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        s.work = all[i];
        s.is_asked = s.work == WORK_TREE || s.work == WORK_WALK;
        add(p, s);
    }
}

void steps_build(const struct options *o, struct steps *ret)
{
    unsigned group = 1;

    ret->n = 0;
    for (size_t c = 0; c < o->concurrency.n; c++) {
        struct step s = {.concurrency = (unsigned)o->concurrency.v[c], .files = o->files};

        if (o->works & ASK_MIX) {
            s.group = group++;
            add_mix(ret, s);
        }
        for (size_t i = 0; i < o->sizes.n; i++) {
            if ((o->works & (ASK_UPLOAD | ASK_READ)) == 0 && ((o->works & ASK_LIST) == 0 || i > 0))
                continue;
            s.size = o->sizes.v[i];
            s.group = group++;
            add_files(ret, s, o->works, i == 0);
        }
        if (o->works & ASK_TREE) {
            s.size = o->sizes.v[0];
            s.group = group++;
            add_tree(ret, s);
        }
    }
}

const char *steps_work_name(enum work w)
{
    static const char *const names[WORKS] = {
        [WORK_MAKE] = "make", [WORK_MIX] = "mix",      [WORK_UPLOAD] = "upload",
        [WORK_READ] = "read", [WORK_LIST] = "list",    [WORK_TREE] = "tree",
        [WORK_WALK] = "walk", [WORK_REMOVE] = "remove"};

    return names[w];
}

void steps_size_name(uint64_t size, char *out, size_t n)
{
    static const char letters[] = "kmgt";
    size_t i = 0;

    if (size == 0 || size % 1024 != 0) {
        snprintf(out, n, "%" PRIu64, size);
        return;
    }
    for (size /= 1024; size % 1024 == 0 && letters[i + 1] != '\0'; size /= 1024)
        i++;
    snprintf(out, n, "%" PRIu64 "%c", size, letters[i]);
}

void steps_name(const struct step *s, char *out, size_t size)
{
    char of[32];

    if (s->size == 0) {
        snprintf(out, size, "%s", steps_work_name(s->work));
        return;
    }
    steps_size_name(s->size, of, sizeof(of));
    snprintf(out, size, "%s %s", steps_work_name(s->work), of);
}

uint64_t steps_file_size(const struct options *o, const struct step *s, uint64_t i)
{
    return s->size != 0 ? s->size : workload_size(o->seed, i, o->sizes.v, o->sizes.n);
}

uint64_t steps_room(const struct options *o, const struct steps *p)
{
    uint64_t most = 0;

    for (size_t k = 0; k < p->n; k++) {
        uint64_t all = 0;

        if (p->step[k].work != WORK_MAKE)
            continue;
        if (p->step[k].size != 0)
            all = p->step[k].files > UINT64_MAX / p->step[k].size
                      ? UINT64_MAX
                      : p->step[k].files * p->step[k].size;
        else
            for (uint64_t i = 0; i < p->step[k].files; i++)
                all += steps_file_size(o, &p->step[k], i);
        most = all > most ? all : most;
    }
    return most;
}
