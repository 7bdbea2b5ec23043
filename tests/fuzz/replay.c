/* SPDX-License-Identifier: Apache-2.0 */
/* main of the fuzz targets where there is no libFuzzer: runs the target on the files named, and on
 * the files of the folders named; without arguments on its corpus in the source tree. No input: 1.
 */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "fuzz.h"

#define INPUT_MAX (16u << 20)

static unsigned long n_inputs;

static void fail(const char *path, int r)
{
    fprintf(stderr, "%s: %s\n", path, strerror(-r));
    exit(1);
}

static void replay_file(const char *path)
{
    char *text = NULL;
    size_t len = 0;
    int r = sys_read_file(path, INPUT_MAX, &text, &len);
    uint8_t *exact;

    if (r < 0)
        fail(path, r);
    exact = malloc(len); /* without the NUL that sys_read_file adds */
    CHECK(exact != NULL || len == 0);
    if (len > 0)
        memcpy(exact, text, len);
    free(text);
    printf("%s\n", path); /* the last line names the input that ends the program */
    fflush(stdout);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    n_inputs++;
}

static void replay_folder(const char *path)
{
    struct dirent **names = NULL;
    int n = scandir(path, &names, NULL, alphasort);

    if (n < 0)
        fail(path, -errno);
    for (int i = 0; i < n; i++) {
        _cleanup_free_ char *file = NULL;

        if (names[i]->d_name[0] != '.') {
            if (asprintf(&file, "%s/%s", path, names[i]->d_name) < 0)
                fail(path, -ENOMEM);
            replay_file(file);
        }
        free(names[i]);
    }
    free(names);
}

static void replay(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        fail(path, -errno);
    if (S_ISDIR(st.st_mode))
        replay_folder(path);
    else
        replay_file(path);
}

/* $top_srcdir/tests/fuzz/corpus/NAME of the program "fuzz_NAME". */
static void replay_corpus(const char *program)
{
    const char *top = getenv("top_srcdir"), *slash = strrchr(program, '/');
    const char *base = slash != NULL ? slash + 1 : program;
    _cleanup_free_ char *path = NULL;

    CHECK(strncmp(base, "fuzz_", 5) == 0);
    if (asprintf(&path, "%s/tests/fuzz/corpus/%s", top != NULL ? top : ".", base + 5) < 0)
        fail(program, -ENOMEM);
    replay_folder(path);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    if (argc == 1)
        replay_corpus(argv[0]);
    printf("%lu inputs\n", n_inputs);
    return n_inputs > 0 ? 0 : 1;
}
