/* SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "compare/bill.h"
#include "json.h"
#include "privileges.h"
#include "store/probe.h"

static void put(json_t *o, const char *key, uint64_t value)
{
    json_object_set_new(o, key, json_integer((json_int_t)value));
}

/* Whatever bytes it has: JSON wants UTF-8. */
static void put_text(json_t *o, const char *key, const char *value)
{
    json_t *s = json_string(value);
    char plain[1024];
    size_t n = 0;

    if (s == NULL) {
        for (; value[n] != '\0' && n + 1 < sizeof(plain); n++)
            plain[n] = (unsigned char)value[n] < 0x80 ? value[n] : '?';
        plain[n] = '\0';
        s = json_string(plain);
    }
    json_object_set_new(o, key, s);
}

static json_t *kinds_json(const struct meter_snapshot *s)
{
    json_t *o = json_object();

    for (int k = 0; k < METER_KINDS; k++)
        put(o, meter_kind_name((enum meter_kind)k), s->requests[k]);
    return o;
}

static json_t *statuses_json(const struct meter_snapshot *s)
{
    json_t *o = json_object();

    for (int i = 0; i < METER_STATUSES; i++) {
        char key[16];

        if (s->statuses[i] == 0)
            continue;
        snprintf(key, sizeof(key), "%d", i);
        put(o, i == 0 ? "none" : key, s->statuses[i]);
    }
    return o;
}

static json_t *kind_statuses_json(const struct meter_snapshot *s)
{
    static const char *const classes[6] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    json_t *all = json_object();

    for (int k = 0; k < METER_KINDS; k++) {
        json_t *o;

        if (s->requests[k] == 0)
            continue;
        o = json_object();
        for (int i = 0; i < 6; i++) {
            if (s->by_kind_status[k][i] != 0)
                put(o, classes[i], s->by_kind_status[k][i]);
        }
        json_object_set_new(all, meter_kind_name((enum meter_kind)k), o);
    }
    return all;
}

static double cost_of(const struct prices *p, const uint64_t requests[METER_KINDS])
{
    double sum = 0;

    for (int k = 0; k < METER_KINDS; k++)
        sum += bill_of_requests(&p->set[0], meter_kind_name((enum meter_kind)k), requests[k]);
    return sum;
}

static void put_cost(json_t *o, const struct prices *p, const uint64_t requests[METER_KINDS])
{
    if (p != NULL)
        json_object_set_new(o, "cost", json_real(cost_of(p, requests)));
}

/* Which call of the kernel, or task of the daemon, sent them, and what that costs. */
static json_t *origins_json(const struct meter_snapshot *s, const struct prices *p)
{
    json_t *all = json_object();

    for (int i = 0; i < ORIGIN_N; i++) {
        json_t *o = json_object();

        for (int k = 0; k < METER_KINDS; k++) {
            if (s->by_origin[i][k] != 0)
                put(o, meter_kind_name((enum meter_kind)k), s->by_origin[i][k]);
        }
        if (json_object_size(o) > 0) {
            put_cost(o, p, s->by_origin[i]);
            json_object_set_new(all, origin_name((enum origin)i), o);
        } else {
            json_decref(o);
        }
    }
    return all;
}

/* NULL: what is asked there costs nothing. */
static const struct prices *prices_of(const struct compose *m, struct prices *room)
{
    return m->config->kind == CONFIG_S3 && prices_load(NULL, room) == 0 ? room : NULL;
}

static void add_requests(json_t *o, struct compose *m)
{
    struct prices room;
    const struct prices *p = prices_of(m, &room);
    struct meter_snapshot s;
    uint64_t total = 0;

    meter_read(m->meter, &s);
    for (int k = 0; k < METER_KINDS; k++)
        total += s.requests[k];
    put(o, "requests_total", total);
    json_object_set_new(o, "requests", kinds_json(&s));
    json_object_set_new(o, "statuses", statuses_json(&s));
    json_object_set_new(o, "requests_by_status", kind_statuses_json(&s));
    json_object_set_new(o, "requests_by_operation", origins_json(&s, p));
    put_cost(o, p, s.requests);
    if (p != NULL)
        put_text(o, "currency", p->currency);
    put(o, "bytes_up", s.bytes_up);
    put(o, "bytes_down", s.bytes_down);
}

/* Files whose close has returned (commit=local); keys: of open ones, too. */
static json_t *unsent_json(struct compose *m)
{
    json_t *o = json_object(), *keys = json_array();
    struct vfs_unsent u;

    if (vfs_unsent_get(m->vfs, STATUS_NAMES, &u) == 0) {
        put(o, "files", u.files);
        put(o, "bytes", u.bytes);
        put(o, "removals", u.removals);
        put(o, "oldest_s", (uint64_t)(u.oldest_ns / NS_PER_S));
        put(o, "unread", u.unread);
        for (size_t i = 0; i < u.n; i++) {
            json_t *one = json_object();

            put_text(one, "key", u.keys[i]);
            json_array_append_new(keys, one);
        }
        vfs_unsent_done(&u);
    }
    json_object_set_new(o, "keys", keys);
    return o;
}

static void add_files(json_t *o, struct compose *m)
{
    struct vfs_stats s = {0};

    vfs_stats_get(m->vfs, &s);
    put(o, "inodes", s.inodes);
    put(o, "names_bytes", s.names_bytes);
    put(o, "open_files", s.open_files);
    put(o, "passthrough_files", s.passthrough_files);
    put(o, "dirty_files", s.dirty_files);
    put(o, "dirty_bytes", s.dirty_bytes);
    put(o, "closes_waiting", s.closes_waiting);
    put(o, "lists_memory", s.lists_memory + s.lists_kept);
    put(o, "lists_waiting", s.lists_waiting);
    put(o, "oldest_dirty_s", (uint64_t)(s.oldest_dirty_ns / NS_PER_S));
    put(o, "commits", s.commits);
    put(o, "commit_errors", s.commit_errors);
    put(o, "hidden_keys", s.hidden_keys);
    put(o, "renames", s.renames);
    put(o, "rename_steps_done", s.moved_done);
    put(o, "rename_steps", s.moved_all);
    put_text(o, "last_error", s.last_error);
}

static json_t *cache_json(struct compose *m)
{
    struct cache_stats s = {0};
    json_t *o = json_object();

    cache_stats_get(m->cache, &s);
    put_text(o, "dir", m->config->cache_dir);
    put(o, "bytes", s.bytes);
    put(o, "limit", s.limit);
    put(o, "staged_bytes", s.staged_bytes);
    put(o, "versions", s.versions);
    put(o, "hits", s.hits);
    put(o, "misses", s.misses);
    put(o, "evicted_bytes", s.evicted_bytes);
    put(o, "errors", s.errors);
    put(o, "corrupt", s.corrupt);
    put(o, "lost_found", s.lost_found);
    put_text(o, "degraded", s.degraded != 0 ? strerror(-s.degraded) : "");
    put(o, "degraded_s", (uint64_t)(s.degraded_ns / NS_PER_S));
    put(o, "degraded_times", s.degraded_times);
    return o;
}

#define KEPT_MAX 10

/* What could not be put where it belongs: the last of them, by name. */
static json_t *kept_json(struct compose *m)
{
    json_t *all = json_array();
    struct cache_kept_list l;
    char when[32];

    if (cache_kept_get(m->cache, KEPT_MAX, &l) < 0)
        return all;
    for (size_t i = 0; i < l.n; i++) {
        json_t *o = json_object();

        str_format_iso8601(l.v[i].kept_ns, when);
        put_text(o, "key", l.v[i].key);
        put_text(o, "cause", l.v[i].why);
        put_text(o, "kept", when);
        put(o, "bytes", l.v[i].size);
        put_text(o, "file", l.v[i].file);
        json_array_append_new(all, o);
    }
    cache_kept_done(&l);
    return all;
}

static json_t *build(struct compose *m)
{
    const struct config *c = m->config;
    json_t *o = json_object();
    char caps[256] = "", missing[256];

    put_text(o, "version", PACKAGE_VERSION);
    put_text(o, "source", c->source);
    put_text(o, "mountpoint", c->mountpoint);
    put(o, "pid", (uint64_t)getpid());
    put(o, "uptime_s", (uint64_t)((clock_boot_ns() - m->started_ns) / NS_PER_S));
    privileges_missing(privileges_effective(), c->fuse_fd, missing, sizeof(missing));
    put_text(o, "missing_privileges", missing);
    json_object_set_new(o, "read_only", json_boolean(c->read_only));
    if (c->kind == CONFIG_S3) {
        char url[400];

        snprintf(url, sizeof(url), "%s://%s", m->endpoint.scheme, m->endpoint.host);
        put_text(o, "endpoint", url);
        put_text(o, "region", m->endpoint.region);
        put_text(o, "credentials", cred_source(m->cred));
    }
    if (!c->read_only)
        store_caps_format(&m->caps, caps, sizeof(caps));
    put_text(o, "conditions", caps);
    add_requests(o, m);
    add_files(o, m);
    json_object_set_new(o, "unsent", unsent_json(m));
    json_object_set_new(o, "cache", cache_json(m));
    json_object_set_new(o, "lost_and_found", kept_json(m));
    return o;
}

int status_json(struct compose *m, struct buf *out)
{
    _cleanup_json_ json_t *o = build(m);
    _cleanup_free_ char *text = json_dumps(o, JSON_INDENT(2));

    if (text == NULL)
        return err_set(-ENOMEM, "out of memory");
    buf_addf(out, "%s\n", text);
    return buf_failed(out) ? err_set(out->error, "the status is too long") : 0;
}

static void text_value(struct buf *out, json_t *value)
{
    if (json_is_string(value))
        buf_adds(out, json_string_value(value));
    else if (json_is_integer(value))
        buf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        buf_addf(out, "%.6f", json_real_value(value));
    else
        buf_adds(out, json_is_true(value) ? "yes" : "no");
}

static void text_object(struct buf *out, const char *above, json_t *o);

/* Of a list, from 1: "lost_and_found.1.key". */
static void text_array(struct buf *out, const char *name, json_t *list)
{
    size_t i;
    json_t *o;

    json_array_foreach(list, i, o) {
        char above[128];

        snprintf(above, sizeof(above), "%s.%zu.", name, i + 1);
        text_object(out, above, o);
    }
}

/* One line for each value that says something; "cache.hits" for what is inside an object. */
static void text_object(struct buf *out, const char *above, json_t *o)
{
    const char *key;
    json_t *value;

    json_object_foreach(o, key, value) {
        char name[128];
        int width;

        if (json_is_object(value)) {
            snprintf(name, sizeof(name), "%s%s.", above, key);
            text_object(out, name, value);
            continue;
        }
        if (json_is_array(value)) {
            snprintf(name, sizeof(name), "%s%s", above, key);
            text_array(out, name, value);
            continue;
        }
        if ((*above != '\0' && json_is_integer(value) && json_integer_value(value) == 0) ||
            (json_is_string(value) && *json_string_value(value) == '\0'))
            continue;
        snprintf(name, sizeof(name), "%s%s", above, key);
        width = (int)(strlen(name) < 28 ? 28 - strlen(name) : 1);
        buf_addf(out, "%s%*s", name, width, "");
        text_value(out, value);
        buf_addc(out, '\n');
    }
}

int status_text(struct compose *m, struct buf *out)
{
    _cleanup_json_ json_t *o = build(m);

    json_object_del(o, "requests_by_status"); /* for programs: too long for people */
    text_object(out, "", o);
    return buf_failed(out) ? err_set(out->error, "the status is too long") : 0;
}

void status_unsent(struct compose *m, char *out, size_t size)
{
    struct vfs_stats s = {0};
    struct vfs_unsent u = {0};
    char removals[48];
    size_t len;

    vfs_stats_get(m->vfs, &s);
    out[0] = '\0';
    if (s.dirty_files == 0 && s.dirty_bytes == 0 && s.removals == 0)
        return;
    snprintf(removals, sizeof(removals), ", %" PRIu64 " removals", s.removals);
    snprintf(out, size, "%" PRIu64 " files, %" PRIu64 " bytes%s%s%s", s.dirty_files, s.dirty_bytes,
             s.removals > 0 ? removals : "", s.last_error[0] == '\0' ? "" : "; last error: ", s.last_error);
    if (vfs_unsent_get(m->vfs, STATUS_NAMES, &u) < 0)
        return;
    for (size_t i = 0; i < u.n; i++) {
        char shown[VFS_KEY_MAX + 2];

        str_copy_shown(shown, sizeof(shown), u.keys[i]);
        len = strlen(out);
        snprintf(out + len, size - len, "%s%s", i == 0 ? ": " : ", ", shown);
    }
    len = strlen(out);
    if (s.dirty_files + s.removals > u.n)
        snprintf(out + len, size - len, ", ...");
    vfs_unsent_done(&u);
}

int status_drained(struct compose *m, int r, const char *cause, struct buf *out)
{
    _cleanup_json_ json_t *o = unsent_json(m);
    _cleanup_free_ char *text = NULL;
    struct vfs_stats s = {0};

    vfs_stats_get(m->vfs, &s);
    put(o, "dirty_files", s.dirty_files);
    put(o, "dirty_bytes", s.dirty_bytes);
    json_object_set_new(o, "sent", json_boolean(r == 0));
    put_text(o, "error", r == 0 ? "" : cause);
    text = json_dumps(o, JSON_INDENT(2));
    if (text == NULL)
        return err_set(-ENOMEM, "out of memory");
    buf_addf(out, "%s\n", text);
    return buf_failed(out) ? err_set(out->error, "the answer is too long") : 0;
}
