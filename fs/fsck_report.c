/* SPDX-License-Identifier: Apache-2.0 */
#include "fsck_report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

#define PAINT_NS (NS_PER_S / 10)
#define NAME_ROOM 8192

void fsck_report_init(struct fsck_report *r, bool json)
{
    *r = (struct fsck_report){.is_json = json, .has_terminal = isatty(STDERR_FILENO) != 0};
}

static void wipe(struct fsck_report *r)
{
    if (r->has_line)
        fputs("\r\033[K", stderr);
    r->has_line = false;
}

void fsck_report_progress(struct fsck_report *r, enum check_stage stage, uint64_t done)
{
    static const char *const words[] = {[CHECK_STAGE_STATE] = "records of mounts",
                                        [CHECK_STAGE_BUCKET] = "objects",
                                        [CHECK_STAGE_CACHE] = "cached versions",
                                        [CHECK_STAGE_WAIT] =
                                            "s until it is known which mounts live"};
    int64_t now = clock_boot_ns();

    if (!r->has_terminal || (r->painted_ns != 0 && now - r->painted_ns < PAINT_NS))
        return;
    r->painted_ns = now;
    r->has_line = true;
    fprintf(stderr, "\r\033[K%" PRIu64 " %s", done, words[stage]);
    fflush(stderr);
}

/* Bytes that no terminal and no JSON text may have are percent-encoded, the percent sign then too.
 */
static bool add_name(struct buf *out, const char *name)
{
    char shown[NAME_ROOM];
    json_t *s = json_string(name);
    bool is_plain = s != NULL;

    json_decref(s);
    str_copy_shown(shown, sizeof(shown), name);
    for (const char *p = name; is_plain && *p != '\0'; p++)
        is_plain = (unsigned char)*p >= 0x80 || shown[p - name] == *p;
    if (is_plain)
        buf_adds(out, name);
    else
        (void)str_urlencode(out, name, strlen(name), true);
    return is_plain;
}

static void print_json(json_t *o)
{
    (void)json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
}

static void print_finding_json(const struct check_finding *f, const char *name, bool is_plain,
                               const char *cause)
{
    json_t *o = json_object();

    json_object_set_new(o, "finding", json_string(check_kind_name(f->kind)));
    json_object_set_new(o, "name", json_string(name));
    if (!is_plain)
        json_object_set_new(o, "name_encoding", json_string("percent"));
    json_object_set_new(o, "cause", json_string(cause));
    json_object_set_new(o, "fate", json_string(check_fate_name(f->fate)));
    print_json(o);
}

void fsck_report_finding(struct fsck_report *r, const struct check_finding *f)
{
    _cleanup_buf_ struct buf name = BUF_INIT(3 * NAME_ROOM);
    bool is_plain = add_name(&name, f->name);
    char cause[1024];

    str_copy_shown(cause, sizeof(cause), f->cause); /* it may quote a key, or what a server said */
    if (f->fate == CHECK_NOTE)
        r->notes++;
    else
        r->findings++;
    r->repaired += f->fate == CHECK_REPAIRED;
    r->left += f->fate != CHECK_REPAIRED && f->fate != CHECK_NOTE;
    wipe(r);
    if (r->is_json)
        print_finding_json(f, buf_str(&name), is_plain, cause);
    else
        printf("%s: %s: %s (%s)\n", check_kind_name(f->kind), buf_str(&name), cause,
               check_fate_name(f->fate));
}

static void print_end_json(const struct fsck_report *r, const struct check_result *result)
{
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"objects", result->objects},
        {"records", result->records},
        {"cached_versions", result->versions},
        {"findings", r->findings},
        {"repaired", r->repaired},
        {"left", r->left},
        {"notes", r->notes},
        {"errors", result->errors},
    };
    json_t *o = json_object(), *all = json_object();

    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        json_object_set_new(all, counts[i].name, json_integer((json_int_t)counts[i].value));
    json_object_set_new(o, "summary", all);
    print_json(o);
}

int fsck_report_end(struct fsck_report *r, const struct check_result *result)
{
    wipe(r);
    if (r->is_json)
        print_end_json(r, result);
    else
        printf("%" PRIu64 " objects checked, %" PRIu64 " findings, %" PRIu64 " repaired\n",
               result->objects, r->findings, r->repaired);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : -EIO;
}
