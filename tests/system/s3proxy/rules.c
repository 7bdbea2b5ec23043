/* SPDX-License-Identifier: Apache-2.0 */
/* Faults by rule (see rules.h). */
#include "rules.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MAX_RULES 64

const char *const action_names[ACTIONS] = {
    [ACT_NONE] = "none",     [ACT_STATUS] = "status", [ACT_RESET] = "reset",
    [ACT_LOST] = "lost",     [ACT_TRUNCATE] = "truncate", [ACT_STALL] = "stall",
    [ACT_CUTUP] = "cutup",   [ACT_CORRUPT] = "corrupt", [ACT_DELAY] = "delay",
    [ACT_HOLD] = "hold",
};

struct rule {
    bool kinds[KINDS];
    bool any_key;
    regex_t key;
    uint64_t nth, count, matched, fired;
    struct deed deed;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;
static struct rule rules[MAX_RULES];
static size_t n_rules;
static uint64_t release_round;

/* A request that is held, on the stack of its thread. */
struct hold {
    struct hold *next;
    const struct target *target;
    const struct deed *deed;
    int client;
    bool is_dropped;
};
static struct hold *holds;

static uint64_t number(const char *query, const char *name, uint64_t otherwise)
{
    char v[32];

    return query_get(query, name, v, sizeof(v)) ? strtoull(v, NULL, 10) : otherwise;
}

static const char *read_kinds(const char *query, struct rule *r)
{
    char ops[256];

    if (!query_get(query, "op", ops, sizeof(ops)) || strcmp(ops, "*") == 0) {
        memset(r->kinds, true, sizeof(r->kinds));
        return NULL;
    }
    for (char *p = ops, *next; p; p = next) {
        bool known = false;

        next = strchr(p, ',');
        if (next)
            *next++ = '\0';
        for (size_t k = 0; k < KINDS; k++)
            if (strcmp(p, kind_names[k]) == 0)
                known = r->kinds[k] = true;
        if (!known)
            return "op: no such kind of request";
    }
    return NULL;
}

static const char *read_deed(const char *query, struct deed *d)
{
    char name[32], v[64];
    size_t used = 0;

    if (!query_get(query, "action", name, sizeof(name)))
        return "action is missing";
    for (size_t a = 1; a < ACTIONS; a++)
        if (strcmp(name, action_names[a]) == 0)
            d->action = (enum action)a;
    if (d->action == ACT_NONE)
        return "action: no such action";
    d->status = (int)number(query, "status", 500);
    if (d->status < 200 || d->status > 599)
        return "status is not in 200-599";
    if (!query_get(query, "code", d->code, sizeof(d->code)))
        snprintf(d->code, sizeof(d->code), "InternalError");
    if (query_get(query, "retry_after", v, sizeof(v)))
        used = (size_t)snprintf(d->headers, sizeof(d->headers), "Retry-After: %s\r\n", v);
    if (query_get(query, "region", v, sizeof(v)))
        snprintf(d->headers + used, sizeof(d->headers) - used, "x-amz-bucket-region: %s\r\n", v);
    d->after = number(query, "after", 0) != 0;
    d->n = number(query, "n", 0);
    d->ms = (unsigned)number(query, "ms", 0);
    return NULL;
}

const char *rules_add(const char *query)
{
    struct rule r = {0};
    char key[1024];
    const char *wrong = read_kinds(query, &r);

    if (!wrong)
        wrong = read_deed(query, &r.deed);
    if (wrong)
        return wrong;
    r.nth = number(query, "nth", 1);
    r.count = number(query, "count", 1);
    r.any_key = !query_get(query, "key", key, sizeof(key));
    if (!r.any_key && regcomp(&r.key, key, REG_EXTENDED | REG_NOSUB) != 0)
        return "key is no regular expression";
    pthread_mutex_lock(&lock);
    if (n_rules < MAX_RULES)
        rules[n_rules++] = r;
    else
        wrong = "too many rules";
    pthread_mutex_unlock(&lock);
    if (wrong && !r.any_key)
        regfree(&r.key);
    return wrong;
}

void rules_clear(void)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < n_rules; i++)
        if (!rules[i].any_key)
            regfree(&rules[i].key);
    n_rules = 0;
    release_round++;
    pthread_cond_broadcast(&released);
    pthread_mutex_unlock(&lock);
}

static int port_of(int (*name)(int, struct sockaddr *, socklen_t *), int fd)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof(a);

    return name(fd, (struct sockaddr *)&a, &len) == 0 ? ntohs(a.sin_port) : -1;
}

/* Has the client closed its end? Our own would tell only once all is read that it had sent before, so its end is asked:
 * it is on this machine. */
static bool is_gone(int client)
{
    int theirs = port_of(getpeername, client), ours = port_of(getsockname, client);
    FILE *f = fopen("/proc/net/tcp", "r");
    bool is_open = false;
    char line[256];

    if (f == NULL)
        return false;
    while (!is_open && fgets(line, sizeof(line), f)) {
        unsigned local, remote, state;

        is_open = sscanf(line, " %*d: %*x:%x %*x:%x %x", &local, &remote, &state) == 3 &&
                  (int)local == theirs && (int)remote == ours && state == TCP_ESTABLISHED;
    }
    fclose(f);
    return !is_open;
}

/* A client gives up a request that is not answered for long, and sends it again: the one takes the place of the
 * other. Else a hold would last only as long as the client's patience, and a slow machine's test longer. */
static bool takes_a_place(const struct target *t, struct deed *ret)
{
    for (struct hold *h = holds; h; h = h->next) {
        if (h->is_dropped || h->target->kind != t->kind || strcmp(h->target->key, t->key) != 0 ||
            strcmp(h->target->query, t->query) != 0 || !is_gone(h->client))
            continue;
        h->is_dropped = true;
        *ret = *h->deed;
        pthread_cond_broadcast(&released);
        return true;
    }
    return false;
}

struct deed rules_match(const struct target *t)
{
    struct deed d = {.action = ACT_NONE};

    pthread_mutex_lock(&lock);
    if (takes_a_place(t, &d)) {
        pthread_mutex_unlock(&lock);
        return d;
    }
    for (size_t i = 0; i < n_rules && d.action == ACT_NONE; i++) {
        struct rule *r = &rules[i];

        if (!r->kinds[t->kind] || (!r->any_key && regexec(&r->key, t->key, 0, NULL, 0) != 0))
            continue;
        r->matched++;
        if (r->matched < r->nth || (r->count && r->fired >= r->count))
            continue;
        r->fired++;
        d = r->deed;
    }
    pthread_mutex_unlock(&lock);
    return d;
}

void rules_print(FILE *f)
{
    pthread_mutex_lock(&lock);
    fputc('[', f);
    for (size_t i = 0; i < n_rules; i++)
        fprintf(f, "%s{\"action\":\"%s\",\"matched\":%llu,\"fired\":%llu}", i ? "," : "",
                action_names[rules[i].deed.action], (unsigned long long)rules[i].matched,
                (unsigned long long)rules[i].fired);
    fputs("]\n", f);
    pthread_mutex_unlock(&lock);
}

bool rules_hold(const struct target *t, const struct deed *d, int client)
{
    struct hold h = {.target = t, .deed = d, .client = client};

    pthread_mutex_lock(&lock);
    uint64_t round = release_round;
    h.next = holds;
    holds = &h;
    while (round == release_round && !h.is_dropped)
        pthread_cond_wait(&released, &lock);
    for (struct hold **p = &holds; *p; p = &(*p)->next)
        if (*p == &h) {
            *p = h.next;
            break;
        }
    pthread_mutex_unlock(&lock);
    return !h.is_dropped;
}

void rules_release(void)
{
    pthread_mutex_lock(&lock);
    release_round++;
    pthread_cond_broadcast(&released);
    pthread_mutex_unlock(&lock);
}

unsigned rules_held(void)
{
    pthread_mutex_lock(&lock);
    unsigned n = 0;
    for (const struct hold *h = holds; h; h = h->next)
        n += !h->is_dropped;
    pthread_mutex_unlock(&lock);
    return n;
}
