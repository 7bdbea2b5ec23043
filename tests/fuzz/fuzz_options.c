/* SPDX-License-Identifier: Apache-2.0 */
/* fs/options.c and config.c: a line with the source, the rest are the options; the first byte says
 * whether unknown ones are ignored. */
#include "fs/options.h"

#include <errno.h>

#include "base/str.h"
#include "fuzz.h"

static void check_values(const struct config *c)
{
    CHECK(c->umask <= 0777 && c->file_mode <= 0777 && c->dir_mode <= 0777);
    CHECK(c->uid != UINT32_MAX && c->gid != UINT32_MAX);
    CHECK(c->acregmin_s >= 0 && c->acregmax_s >= 0 && c->acdirmin_s >= 0 && c->acdirmax_s >= 0);
    CHECK(c->sse <= CONFIG_SSE_C && c->weak <= CONFIG_WEAK_REFUSE &&
          c->log_target <= CONFIG_LOG_SYSLOG);
    CHECK(config_soft_timeout_ns(c) >= 0);
}

static void check_source(const struct config *c, const char *text)
{
    struct config again = {0};

    CHECK(c->source != NULL && c->prefix != NULL);
    if (c->kind == CONFIG_DIR) {
        CHECK(c->path != NULL && c->path[0] == '/');
    } else {
        CHECK(strstr(text, c->bucket) != NULL && strlen(c->bucket) >= 3);
        CHECK(c->prefix[0] != '/' && (c->prefix[0] == '\0' || str_ends(c->prefix, "/")));
        CHECK(strlen(c->prefix) < 1024 && strstr(c->prefix, "//") == NULL);
    }
    CHECK(config_source(&again, c->source) == 0); /* as shown is as may be given */
    CHECK(again.kind == c->kind && strcmp(again.source, c->source) == 0);
    CHECK(strcmp(again.prefix, c->prefix) == 0);
    config_done(&again);
}

static void check_finished(const struct config *c)
{
    CHECK(c->acregmin_s <= c->acregmax_s && c->acdirmin_s <= c->acdirmax_s);
    CHECK(c->cache_dir != NULL && c->cache_dir[0] == '/' && c->threads >= 2);
    CHECK((c->file_mode & c->umask) == 0 && (c->dir_mode & c->umask) == 0);
    CHECK(c->state_prefix[0] != '/' && str_ends(c->state_prefix, "/"));
    CHECK(!c->soft || config_soft_timeout_ns(c) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    bool sloppy = (fuzz_u8(&in) & 1) != 0;
    _cleanup_free_ char *source = fuzz_line(&in), *list = fuzz_rest(&in);
    _cleanup_config_ struct config c = {0};
    int r;

    CHECK(setenv("HOME", "/h", 1) == 0 && config_init(&c) == 0);
    r = config_options(&c, list, sloppy);
    CHECK(r == 0 || r == -EINVAL || r == -ENOMEM);
    check_values(&c);
    r = r == 0 ? config_source(&c, source) : r;
    if (r != 0)
        return 0;
    check_source(&c, source);
    c.mountpoint = strdup("/m");
    CHECK(c.mountpoint != NULL);
    r = config_finish(&c);
    CHECK(r == 0 || r == -EINVAL || r == -ENOMEM);
    if (r == 0)
        check_finished(&c);
    return 0;
}
