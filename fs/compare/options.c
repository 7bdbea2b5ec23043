/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include "base/err.h"
#include "base/str.h"

#define GIB (UINT64_C(1) << 30)

static const struct {
    const char *name;
    unsigned bit;
} works[] = {{"mix", ASK_MIX},
             {"upload", ASK_UPLOAD},
             {"read", ASK_READ},
             {"list", ASK_LIST},
             {"tree", ASK_TREE}};

void options_help(void)
{
    printf("Usage: s3efs compare DIR DIR... [OPTION...]\n\n"
           "Runs the same workload in each directory, in turns, checks every byte that it reads "
           "back, and shows how fast\n"
           "each is, what was asked of its server, and what a month costs. It works in a directory "
           "of its own,\n"
           "DIR/s3efs-compare-N, and removes it.\n\n"
           "  --work LIST            of mix, upload, read, list, tree (default: mix, an image "
           "server's day)\n"
           "  --files N              files of each step (default: 200)\n"
           "  --size LIST            their sizes (default: 4k,100k,2m); mix: the first most often\n"
           "  --concurrency LIST     callers at once (default: 1,16)\n"
           "  --reads N              reads of an image, for mix and the bill (default: 10)\n"
           "  --images-per-day LIST  for the bill (default: 1000,10000,100000)\n"
           "  --stored LIST          for the bill (default: 100G,1T,10T)\n"
           "  --prices FILE          instead of the built-in prices (JSON)\n"
           "  --drop-caches          drop the kernel's page cache before reads (root; the whole "
           "machine's)\n"
           "  --keep-going           go on after a failed operation\n"
           "  --json                 the result as one JSON object\n"
           "  --html FILE            and as a page with charts that needs no network\n"
           "  --seed N               of names, sizes and bytes (default: 1)\n"
           "  --mountstats FILE      counters of NFS mounts (default: /proc/self/mountstats)\n"
           "  --help                 this text\n\n"
           "Sizes are bytes, or with k, m, g, t (powers of 1024). Exit code: 0, 1 usage, 2 "
           "something failed, 3 bytes came\n"
           "back wrong, 128 + the signal.\n");
}

/* The next of "a,b,c" into one; false: there is none. An empty one is "". */
static bool next(const char **at, char *one, size_t size)
{
    size_t n;

    if (*at == NULL)
        return false;
    n = strcspn(*at, ",");
    snprintf(one, size, "%.*s", (int)(n < size ? n : size), *at);
    *at = (*at)[n] == ',' ? *at + n + 1 : NULL;
    return true;
}

static int take_number(const char *option, const char *text, bool sizes, uint64_t min, uint64_t max,
                       uint64_t *ret)
{
    int r = sizes ? str_size(text, ret) : str_u64(text, 10, ret);

    if (r < 0)
        return err_set(-EINVAL, "--%s %s: not a %s", option, text,
                       sizes ? "size (as 4096, 4k, 2m, 1g)" : "number");
    if (*ret < min || *ret > max)
        return err_set(-EINVAL, "--%s %s: must be from %llu to %llu", option, text,
                       (unsigned long long)min, (unsigned long long)max);
    return 0;
}

static int take_list(const char *option, const char *text, bool sizes, uint64_t min, uint64_t max,
                     struct list *ret)
{
    char one[64];
    int r = 0;

    ret->n = 0;
    while (r == 0 && next(&text, one, sizeof(one))) {
        if (ret->n == OPTIONS_LIST_MAX)
            return err_set(-EINVAL, "--%s: more than %d", option, OPTIONS_LIST_MAX);
        r = take_number(option, one, sizes, min, max, &ret->v[ret->n++]);
    }
    return r;
}

static int take_works(const char *text, unsigned *ret)
{
    char one[64];

    *ret = 0;
    while (next(&text, one, sizeof(one))) {
        unsigned bit = 0;

        for (size_t i = 0; i < ARRAY_LEN(works); i++)
            if (strcmp(works[i].name, one) == 0)
                bit = works[i].bit;
        if (bit == 0)
            return err_set(-EINVAL, "--work %s: not one of mix, upload, read, list, tree", one);
        *ret |= bit;
    }
    return 0;
}

static int take(struct options *o, int c, const char *arg)
{
    switch (c) {
    case 'w':
        return take_works(arg, &o->works);
    case 'n':
        return take_number("files", arg, false, 1, OPTIONS_FILES_MAX, &o->files);
    case 's':
        return take_list("size", arg, true, 1, OPTIONS_SIZE_MAX, &o->sizes);
    case 'c':
        return take_list("concurrency", arg, false, 1, OPTIONS_CONCURRENCY_MAX, &o->concurrency);
    case 'r':
        return take_number("reads", arg, false, 0, OPTIONS_READS_MAX, &o->reads);
    case 'i':
        return take_list("images-per-day", arg, false, 0, UINT64_C(1) << 40, &o->images_per_day);
    case 'g':
        return take_list("stored", arg, true, 0, UINT64_C(1) << 60, &o->stored);
    case 'S':
        return take_number("seed", arg, false, 0, UINT64_MAX, &o->seed);
    case 'p':
        o->prices = arg;
        return 0;
    case 'H':
        o->html = arg;
        return 0;
    case 'm':
        o->mountstats = arg;
        return 0;
    case 'j':
        o->json = true;
        return 0;
    case 'd':
        o->drop_caches = true;
        return 0;
    case 'k':
        o->keep_going = true;
        return 0;
    case 'h':
        o->help = true;
        return 0;
    default:
        err_clear(); /* getopt has said why */
        return -EINVAL;
    }
}

int options_parse(int argc, char **argv, struct options *ret)
{
    static const struct option longs[] = {{"work", required_argument, NULL, 'w'},
                                          {"files", required_argument, NULL, 'n'},
                                          {"size", required_argument, NULL, 's'},
                                          {"concurrency", required_argument, NULL, 'c'},
                                          {"reads", required_argument, NULL, 'r'},
                                          {"images-per-day", required_argument, NULL, 'i'},
                                          {"stored", required_argument, NULL, 'g'},
                                          {"seed", required_argument, NULL, 'S'},
                                          {"prices", required_argument, NULL, 'p'},
                                          {"html", required_argument, NULL, 'H'},
                                          {"mountstats", required_argument, NULL, 'm'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"drop-caches", no_argument, NULL, 'd'},
                                          {"keep-going", no_argument, NULL, 'k'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int c, r = 0;

    *ret = (struct options){.works = ASK_MIX,
                            .files = 200,
                            .reads = 10,
                            .seed = 1,
                            .sizes = {{4096, 102400, 2097152}, 3},
                            .concurrency = {{1, 16}, 2},
                            .images_per_day = {{1000, 10000, 100000}, 3},
                            .stored = {{100 * GIB, 1024 * GIB, 10240 * GIB}, 3}};
    optind = 0; /* anew: a test parses more than once */
    while (r == 0 && !ret->help && (c = getopt_long(argc, argv, "h", longs, NULL)) >= 0)
        r = take(ret, c, optarg);
    if (r < 0 || ret->help)
        return r;
    ret->dirs = argv + optind;
    ret->n_dirs = (size_t)(argc - optind);
    if (ret->n_dirs == 0)
        return err_set(-EINVAL,
                       "no directory: s3efs compare DIR DIR... (--help lists the options)");
    if (ret->n_dirs > OPTIONS_DIRS_MAX)
        return err_set(-EINVAL, "more than %d directories", OPTIONS_DIRS_MAX);
    return 0;
}
