/* SPDX-License-Identifier: Apache-2.0 */
/* store/dir_key: any key has a place, no two the same, and none outside; any path below odd/ is a
 * key's or nobody's. */
#include <errno.h>

#include "fs/store/dir_int.h"
#include "fuzz.h"

/* No component leads up or is longer than a file's name. */
static void check_path(const char *path)
{
    CHECK(path[0] != '/' && path[0] != '\0');
    while (*path != '\0') {
        size_t n = strcspn(path, "/");

        CHECK(n > 0 && n <= 255);
        CHECK(!(path[0] == '.' && (n == 1 || (n == 2 && path[1] == '.'))));
        path += n;
        path += *path == '/';
    }
}

static void check_key(const char *key)
{
    struct dir_name name, again;
    char back[STORE_KEY_MAX + 1];
    int r = dir_name_make(key, &name);

    CHECK(r == 0 ? key[0] != '\0' && strlen(key) <= STORE_KEY_MAX
                 : r == (key[0] == '\0' ? -EINVAL : -ENAMETOOLONG));
    if (r != 0)
        return;
    check_path(name.odd);
    CHECK(dir_odd_decode(name.odd, back) && strcmp(back, key) == 0);
    if (!name.is_plain)
        return;
    check_path(name.plain);
    CHECK(strncmp(name.plain, DIR_RESERVED, strlen(DIR_RESERVED)) != 0 ||
          strlen(name.plain) > strlen(DIR_RESERVED));
    CHECK(strncmp(name.plain, key, strlen(key)) == 0);
    CHECK(dir_name_make(back, &again) == 0 && strcmp(again.plain, name.plain) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    _cleanup_free_ char *text = fuzz_rest(&in);
    char key[STORE_KEY_MAX + 1];
    struct dir_name name;

    check_key(text);
    if (dir_odd_decode(text, key)) {
        CHECK(dir_name_make(key, &name) == 0);
        CHECK(strcmp(name.odd, text) == 0);
    }
    return 0;
}
