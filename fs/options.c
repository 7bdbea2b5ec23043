/* SPDX-License-Identifier: Apache-2.0 */
/* The parser that options.def generates: -o text to struct config. */
#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/err.h"
#include "base/str.h"

enum kind { STRING, SIZE, COUNT, OCTAL, ID, SECONDS, CHOICE, FLAG, TIMES, NOTHING, KERNEL };

struct option {
    const char *name;
    enum kind kind;
    size_t field;
    const char *arg, *initial, *help;
};
static const struct option options[] = {
#define OPT(name, kind, field, arg, initial, help)                                                 \
    {#name, kind, offsetof(struct config, field), arg, initial, help},
#include "options.def"
#undef OPT
};
_Static_assert(ARRAY_LEN(options) <= CONFIG_OPTIONS_MAX, "config.given is too short");

#define SECONDS_MAX (UINT64_C(10) * 365 * 86400)
#define COUNT_MAX UINT64_C(1000000)

static bool same_name(const char *a, const char *b)
{
    for (; *a != '\0' && *b != '\0'; a++, b++) {
        char x = *a == '-' ? '_' : *a;
        char y = *b == '-' ? '_' : *b;

        if (x != y)
            return false;
    }
    return *a == *b;
}

static const struct option *option_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        const struct option *o = &options[i];
        size_t n = strlen(o->name);

        if (same_name(o->name, name))
            return o;
        if (o->name[n - 1] == '*' && strncmp(o->name, name, n - 1) == 0)
            return o;
    }
    return NULL;
}

static void *field_of(struct config *c, const struct option *o)
{
    return (char *)c + o->field;
}

static int set_string(struct config *c, const struct option *o, const char *value)
{
    char **field = field_of(c, o);
    char *copy = strdup(value);

    if (copy == NULL)
        return err_set(-ENOMEM, "out of memory");
    free(*field);
    *field = copy;
    return 0;
}

static int bad(const struct option *o, const char *value, const char *wanted)
{
    return err_set(-EINVAL, "option %s=%s: %s", o->name, value, wanted);
}

static int set_choice(struct config *c, const struct option *o, const char *value)
{
    const char *word = o->arg;
    size_t len = strlen(value);

    for (unsigned i = 0; word != NULL; i++) {
        const char *end = strchrnul(word, '|');

        if ((size_t)(end - word) == len && strncasecmp(word, value, len) == 0) {
            *(unsigned *)field_of(c, o) = i;
            return 0;
        }
        word = *end == '|' ? end + 1 : NULL;
    }
    return err_set(-EINVAL, "option %s=%s: must be one of %s", o->name, value, o->arg);
}

static int set_size(struct config *c, const struct option *o, const char *value)
{
    if (str_size(value, field_of(c, o)) < 0)
        return bad(o, value, "must be a size like 64M or 8G");
    return 0;
}

static int set_count(struct config *c, const struct option *o, const char *value)
{
    uint64_t v;

    if (str_u64(value, 10, &v) < 0 || v > COUNT_MAX)
        return bad(o, value, "must be a number from 0 to 1000000");
    *(unsigned *)field_of(c, o) = (unsigned)v;
    return 0;
}

static int set_octal(struct config *c, const struct option *o, const char *value)
{
    uint64_t v;

    if (str_u64(value, 8, &v) < 0 || v > 0777)
        return bad(o, value, "must be octal permissions from 0 to 777");
    *(uint32_t *)field_of(c, o) = (uint32_t)v;
    return 0;
}

static int set_id(struct config *c, const struct option *o, const char *value)
{
    uint64_t v;

    if (str_u64(value, 10, &v) < 0 || v >= UINT32_MAX)
        return bad(o, value, "must be a numeric id");
    *(uint32_t *)field_of(c, o) = (uint32_t)v;
    return 0;
}

static int set_seconds(struct config *c, const struct option *o, const char *value)
{
    uint64_t v;

    if (str_u64(value, 10, &v) < 0 || v > SECONDS_MAX)
        return bad(o, value, "must be a number of seconds");
    *(int64_t *)field_of(c, o) = (int64_t)v;
    return 0;
}

static int set_times(struct config *c, const struct option *o, const char *value)
{
    int r = set_seconds(c, o, value);

    if (r == 0)
        c->acregmax_s = c->acdirmin_s = c->acdirmax_s = c->acregmin_s;
    return r;
}

/* Adds a word to a comma-separated list. */
static int add_word(char **list, const char *word)
{
    char *longer;

    if (asprintf(&longer, "%s%s%s", *list == NULL ? "" : *list, *list == NULL ? "" : ",", word) < 0)
        return err_set(-ENOMEM, "out of memory");
    free(*list);
    *list = longer;
    return 0;
}

/* Kinds that need a value; the others have NULL. */
static int (*const setters[])(struct config *c, const struct option *o, const char *value) = {
    [STRING] = set_string, [SIZE] = set_size,       [COUNT] = set_count,
    [OCTAL] = set_octal,   [ID] = set_id,           [SECONDS] = set_seconds,
    [CHOICE] = set_choice, [TIMES] = set_times,     [KERNEL] = NULL,
};

static int set_value(struct config *c, const struct option *o, const char *value)
{
    if (value == NULL || *value == '\0')
        return err_set(-EINVAL, "option %s needs a value: %s=%s", o->name, o->name, o->arg);
    return setters[o->kind](c, o, value);
}

static int set_option(struct config *c, const struct option *o, const char *name, const char *value)
{
    if (o->kind == NOTHING)
        return add_word(&c->ignored, name);
    if (setters[o->kind] != NULL)
        return set_value(c, o, value);
    if (value != NULL)
        return err_set(-EINVAL, "option %s takes no value", o->name);
    if (o->kind == KERNEL)
        return add_word(&c->kernel_options, o->name);
    *(bool *)field_of(c, o) = strcmp(o->arg, "on") == 0;
    return 0;
}

static int one_option(struct config *c, char *text, bool sloppy)
{
    char *value = strchr(text, '=');
    const struct option *o;
    int r;

    if (value != NULL)
        *value++ = '\0';
    o = option_find(text);
    if (o == NULL) {
        if (strcmp(text, "remount") == 0)
            return err_set(-EINVAL, "option remount: a mount's options can't be changed while it is mounted");
        if (sloppy)
            return add_word(&c->ignored, text);
        return err_set(-EINVAL, "unknown option: %s (s3efs mount --help lists them)", text);
    }
    r = set_option(c, o, text, value);
    if (r == 0)
        c->given[o - options] = true;
    return r;
}

/* The next option of the list, backslashes taken out; NULL at the end. */
static char *next_option(const char **list)
{
    const char *p = *list;
    char *word, *out;

    while (*p == ',')
        p++;
    if (*p == '\0')
        return NULL;
    word = out = malloc(strlen(p) + 1);
    if (word == NULL)
        return NULL;
    for (; *p != '\0' && *p != ','; p++) {
        if (*p == '\\' && p[1] != '\0')
            p++;
        *out++ = *p;
    }
    *out = '\0';
    *list = p;
    return word;
}

int config_options(struct config *c, const char *list, bool sloppy)
{
    while (list[strspn(list, ",")] != '\0') {
        _cleanup_free_ char *word = next_option(&list);
        int r;

        if (word == NULL)
            return err_set(-ENOMEM, "out of memory");
        r = one_option(c, word, sloppy);
        if (r < 0)
            return r;
    }
    return 0;
}

int config_init(struct config *c)
{
    *c = (struct config){
        .uid = (uint32_t)geteuid(),
        .gid = (uint32_t)getegid(),
        .allow_other = geteuid() == 0,
        .default_permissions = true,
    };
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        int r = options[i].initial == NULL ? 0 : set_value(c, &options[i], options[i].initial);

        if (r < 0)
            return r;
    }
    return 0;
}

void config_done(struct config *c)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (options[i].kind == STRING)
            free(*(char **)field_of(c, &options[i]));
    }
    free(c->source);
    free(c->bucket);
    free(c->prefix);
    free(c->path);
    free(c->mountpoint);
    free(c->kernel_options);
    free(c->ignored);
    *c = (struct config){0};
}

bool config_given(const struct config *c, const char *option)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (strcmp(options[i].name, option) == 0)
            return c->given[i];
    }
    return false;
}

bool config_option_at(unsigned i, struct config_option *ret)
{
    const struct option *o;

    if (i >= ARRAY_LEN(options))
        return false;
    o = &options[i];
    *ret = (struct config_option){
        .name = o->name,
        .arg = o->arg,
        .initial = o->initial,
        .help = o->help,
        .has_value = setters[o->kind] != NULL,
    };
    return true;
}
