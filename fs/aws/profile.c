/* SPDX-License-Identifier: Apache-2.0 */
/* The shared files of the AWS tools: ~/.aws/config has "[profile NAME]" (and "[default]"),
 * ~/.aws/credentials
 * "[NAME]"; "[services NAME]" of the former holds endpoints for each service. */
#include "profile.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"
#include "base/sys.h"
#include "ini.h"

enum { FILE_MAX = 4 * 1024 * 1024, PATH_SIZE = 4096 };

static const struct {
    const char *key;
    size_t at;
} fields[] = {
    {"aws_access_key_id", offsetof(struct profile, access_key)},
    {"aws_secret_access_key", offsetof(struct profile, secret)},
    {"aws_session_token", offsetof(struct profile, token)},
    {"role_arn", offsetof(struct profile, role_arn)},
    {"web_identity_token_file", offsetof(struct profile, web_identity_token_file)},
    {"role_session_name", offsetof(struct profile, role_session_name)},
    {"duration_seconds", offsetof(struct profile, duration_seconds)},
    {"source_profile", offsetof(struct profile, source_profile)},
    {"credential_source", offsetof(struct profile, credential_source)},
    {"credential_process", offsetof(struct profile, credential_process)},
    {"sso_session", offsetof(struct profile, sso_session)},
    {"sso_start_url", offsetof(struct profile, sso_start_url)},
    {"login_session", offsetof(struct profile, login_session)},
    {"region", offsetof(struct profile, region)},
    {"ca_bundle", offsetof(struct profile, ca_bundle)},
    {"endpoint_url", offsetof(struct profile, endpoint_url)},
    {"services", offsetof(struct profile, services)},
    {NULL, offsetof(struct profile, name)}, /* wiped and moved with the others, no key */
    {NULL, offsetof(struct profile, s3_endpoint_url)},
    {NULL, offsetof(struct profile, sts_endpoint_url)},
};

static char **field(struct profile *p, size_t i)
{
    return (char **)(void *)((char *)p + fields[i].at);
}

static void wipe(char **s)
{
    secret_free(steal(s));
}

void profile_done(struct profile *p)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        wipe(field(p, i));
}

/* --- one file ----------------------------------------------------------------------------------
 */

struct reader {
    struct profile *into;
    const char *section;  /* whose settings count */
    const char *section2; /* or of this one; NULL: none */
    bool is_services;     /* read the nested endpoints, not the settings */
    int error;
};

static void keep(struct reader *rd, char **at, const char *value)
{
    wipe(at);
    *at = secret_dup(value, strlen(value));
    if (!*at)
        rd->error = -ENOMEM;
}

static void take(void *ctx, const char *section, const char *parent, const char *key,
                 const char *value)
{
    struct reader *rd = ctx;
    if (strcmp(section, rd->section) != 0 && !(rd->section2 && strcmp(section, rd->section2) == 0))
        return;
    rd->into->is_found = true;
    if (rd->is_services) {
        if (parent && strcmp(key, "endpoint_url") == 0 && strcmp(parent, "s3") == 0)
            keep(rd, &rd->into->s3_endpoint_url, value);
        if (parent && strcmp(key, "endpoint_url") == 0 && strcmp(parent, "sts") == 0)
            keep(rd, &rd->into->sts_endpoint_url, value);
        return;
    }
    for (size_t i = 0; !parent && *value && i < ARRAY_LEN(fields); i++)
        if (fields[i].key && strcmp(fields[i].key, key) == 0)
            keep(rd, field(rd->into, i), value);
}

static int parse_file(const char *path, bool is_asked, struct reader *rd)
{
    _cleanup_secret_ char *text = NULL;
    size_t len = 0;
    int r = sys_read_secret(path, FILE_MAX, &text, &len);
    if (r == -ENOENT || r == -ENOTDIR || (r < 0 && !is_asked))
        return 0; /* nobody asked for what it may hold */
    if (r < 0)
        return err_set(r, "reading %s: %s", path, strerror(-r));
    ini_parse(text, take, rd);
    return rd->error ? err_set(rd->error, "out of memory for a profile") : 0;
}

/* --- both --------------------------------------------------------------------------------------
 */

static void file_path(env_fn env, const char *var, const char *fallback, char *out, size_t size)
{
    char buf[PATH_SIZE];
    const char *home = env_home(env, buf, sizeof(buf)), *path = env_get(env, var);
    out[0] = '\0';
    if (!path)
        path = fallback;
    if (!str_starts(path, "~/"))
        snprintf(out, size, "%s", path);
    else if (home)
        snprintf(out, size, "%s%s", home, path + 1);
}

void profile_paths(env_fn env, char *config, char *credentials, size_t size)
{
    file_path(env, "AWS_CONFIG_FILE", "~/.aws/config", config, size);
    file_path(env, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", credentials, size);
}

/* What the credentials file says goes over what the config file says. */
static void merge(struct profile *to, struct profile *from)
{
    if (from->access_key) {
        wipe(&to->secret);
        wipe(&to->token);
    } else if (to->access_key) {
        wipe(&from->secret);
        wipe(&from->token);
    }
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!*field(from, i))
            continue;
        wipe(field(to, i));
        *field(to, i) = steal(field(from, i));
    }
    to->is_found |= from->is_found;
}

static int read_both(struct profile *p, env_fn env)
{
    char config[PATH_SIZE], credentials[PATH_SIZE], section[300];
    _cleanup_(profile_done) struct profile over = {0};
    profile_paths(env, config, credentials, PATH_SIZE);
    snprintf(section, sizeof(section), "profile %s", p->name);
    struct reader rd = {.into = p, .section = section};
    if (strcmp(p->name, "default") == 0)
        rd.section2 = "default";
    int r = config[0] ? parse_file(config, p->is_asked, &rd) : 0;
    if (r == 0 && p->services) {
        bool is_found = p->is_found;
        snprintf(section, sizeof(section), "services %s", p->services);
        rd = (struct reader){.into = p, .section = section, .is_services = true};
        r = parse_file(config, p->is_asked, &rd);
        p->is_found = is_found;
    }
    rd = (struct reader){.into = &over, .section = p->name};
    if (r == 0 && credentials[0])
        r = parse_file(credentials, p->is_asked, &rd);
    if (r == 0)
        merge(p, &over);
    return r;
}

int profile_load(const char *name, env_fn env, struct profile *ret)
{
    _cleanup_(profile_done) struct profile p = {0};
    if (!name || !name[0])
        name = env_get(env, "AWS_PROFILE");
    p.is_asked = name != NULL;
    name = name ? name : "default";
    p.name = secret_dup(name, strlen(name)); /* freed with the other fields */
    if (!p.name)
        return err_set(-ENOMEM, "out of memory for a profile");
    if (strlen(p.name) > 255)
        return err_set(-EINVAL, "the profile's name is too long");
    int r = read_both(&p, env);
    if (r < 0)
        return r;
    *ret = p;
    p = (struct profile){0};
    return 0;
}
