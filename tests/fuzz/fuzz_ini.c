/* SPDX-License-Identifier: Apache-2.0 */
/* aws/ini and aws/profile: any text as ~/.aws/config and ~/.aws/credentials. What is read, written
 * plainly, reads the same. A line with 0xff parts the two files. */
#include "fs/aws/ini.h"

#include <ctype.h>
#include <sys/mman.h>

#include "base/sys.h"
#include "fs/aws/profile.h"
#include "fuzz.h"

#define ROOM (8u << 20)

static bool is_trimmed(const char *s)
{
    size_t n = strlen(s);

    return n == 0 || (strchr(" \t", s[0]) == NULL && strchr(" \t\r", s[n - 1]) == NULL);
}

/* "section|parent|key=value" lines. */
static void list(void *ctx, const char *section, const char *parent, const char *key,
                 const char *value)
{
    CHECK(section != NULL && key[0] != '\0');
    CHECK(is_trimmed(key) && is_trimmed(value));
    CHECK(strchr(key, '=') == NULL && strchr(value, '\n') == NULL && strchr(section, '\n') == NULL);
    for (const char *p = key; *p != '\0'; p++)
        CHECK(!isupper((unsigned char)*p));
    buf_addf(ctx, "%s|%s|%s=%s\n", section, parent != NULL ? parent : "", key, value);
}

struct plain {
    struct buf *out;
    char *section;
    bool is_odd; /* something that the plain form would read differently */
};

static void rewrite(void *ctx, const char *section, const char *parent, const char *key,
                    const char *value)
{
    struct plain *p = ctx;

    p->is_odd |= strpbrk(section, "\"'#;[]\r") != NULL || !is_trimmed(section);
    p->is_odd |= strpbrk(key, "\"'#;[") != NULL || strpbrk(value, "#;") != NULL;
    p->is_odd |= (unsigned char)key[0] == 0xef;
    if (p->section == NULL || strcmp(p->section, section) != 0) {
        buf_addf(p->out, "[%s]\n", section);
        free(p->section);
        p->section = strdup(section);
        CHECK(p->section != NULL);
        if (parent != NULL) /* its parent's line may stand under an earlier heading of that name */
            buf_addf(p->out, "%s = \n", parent);
    }
    buf_addf(p->out, "%s%s = %s\n", parent != NULL ? "  " : "", key, value);
}

static void check_rewrite(const char *text)
{
    _cleanup_free_ char *one = strdup(text), *two = strdup(text);
    _cleanup_buf_ struct buf first = BUF_INIT(ROOM), again = BUF_INIT(ROOM), out = BUF_INIT(ROOM);
    struct plain plain = {.out = &out};

    CHECK(one != NULL && two != NULL);
    ini_parse(one, list, &first);
    ini_parse(two, rewrite, &plain);
    free(plain.section);
    CHECK(!buf_failed(&first) && !buf_failed(&out));
    if (plain.is_odd)
        return;
    ini_parse(out.data != NULL ? out.data : (char[1]){""}, list, &again);
    CHECK(strcmp(buf_str(&again), buf_str(&first)) == 0);
}

static char config_path[64], credentials_path[64];

static const char *environment(const char *name)
{
    if (strcmp(name, "AWS_CONFIG_FILE") == 0)
        return config_path;
    return strcmp(name, "AWS_SHARED_CREDENTIALS_FILE") == 0 ? credentials_path : NULL;
}

static int file_with(const uint8_t *p, size_t n, char *path, size_t room)
{
    int fd = memfd_create("ini", MFD_CLOEXEC);

    CHECK(fd >= 0 && sys_write_all(fd, p, n) == 0);
    snprintf(path, room, "/proc/self/fd/%d", fd);
    return fd;
}

static void check_profile(const char *name)
{
    struct profile p = {0};

    if (profile_load(name, environment, &p) == 0) {
        CHECK(strcmp(p.name, name != NULL ? name : "default") == 0);
        CHECK(p.is_found || (p.access_key == NULL && p.secret == NULL && p.region == NULL));
        /* What was given as nothing is not given. */
        CHECK(p.access_key == NULL || p.access_key[0] != '\0');
        CHECK(p.secret == NULL || p.secret[0] != '\0');
        CHECK(p.role_arn == NULL || p.role_arn[0] != '\0');
    }
    profile_done(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    const uint8_t *cut = size > 0 ? memchr(data, 0xff, size) : NULL;
    size_t config = cut != NULL ? (size_t)(cut - data) : size;
    _cleanup_free_ char *text = fuzz_rest(&in);
    int one = file_with(data, config, config_path, sizeof(config_path));
    int two = file_with(data + config, size - config, credentials_path, sizeof(credentials_path));

    check_rewrite(text);
    check_profile(NULL);
    check_profile("p");
    close(one);
    close(two);
    return 0;
}
