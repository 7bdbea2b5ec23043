/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the scripts of the fault decorator: include/store/fault.h has the grammar. */
#include <errno.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "fault_int.h"

static int parse_op(const char *word, enum store_op *ret)
{
    if (strcmp(word, "*") == 0) {
        *ret = STORE_OPS;
        return 0;
    }
    for (int op = 0; op < STORE_OPS; op++) {
        if (strcmp(word, store_op_name((enum store_op)op)) == 0) {
            *ret = (enum store_op)op;
            return 0;
        }
    }
    return err_set(-EINVAL, "fault script: \"%s\" is no operation", word);
}

static int parse_which(char *word, struct fault_rule *ret)
{
    size_t len = strlen(word);
    char *dash = strchr(word, '-');
    bool open_end = len > 1 && word[len - 1] == '+';
    if (open_end)
        word[len - 1] = '\0';
    if (dash != NULL)
        *dash = '\0';
    int r = str_u64(word, 10, &ret->first);
    ret->last = open_end ? UINT64_MAX : ret->first;
    if (r == 0 && dash != NULL)
        r = open_end ? -EINVAL : str_u64(dash + 1, 10, &ret->last);
    if (r < 0 || ret->first == 0 || ret->last < ret->first)
        return err_set(-EINVAL, "fault script: \"%s\" does not say which request (3, 3+ or 3-5)",
                       word);
    return 0;
}

/* "50ms", "2s". */
static bool parse_time(const char *word, int64_t *ret)
{
    char digits[16];
    uint64_t n = 0;
    size_t len = strspn(word, "0123456789");
    if (len == 0 || len >= sizeof(digits))
        return false;
    memcpy(digits, word, len);
    digits[len] = '\0';
    if (str_u64(digits, 10, &n) < 0 || n > 86400000)
        return false;
    bool is_ms = strcmp(word + len, "ms") == 0;
    if (!is_ms && strcmp(word + len, "s") != 0)
        return false;
    *ret = (int64_t)n * (is_ms ? NS_PER_MS : NS_PER_S);
    return true;
}

static int errno_of(const char *word)
{
    for (int e = 1; e < 134; e++) {
        const char *name = strerrorname_np(e);
        if (name != NULL && strcmp(name, word) == 0)
            return e;
    }
    return 0;
}

static int parse_what(const char *word, struct fault_rule *ret)
{
    static const struct {
        const char *word;
        enum fault_what what;
        int result;
    } known[] = {
        {"404", FAULT_FAIL, STORE_NOT_FOUND},
        {"409", FAULT_FAIL, STORE_CONFLICT},
        {"412", FAULT_FAIL, STORE_PRECONDITION},
        {"416", FAULT_FAIL, STORE_RANGE},
        {"lost", FAULT_LOST, -EIO},
        {"lost412", FAULT_LOST, STORE_PRECONDITION},
    };
    if (ret->what != FAULT_NONE)
        return err_set(-EINVAL, "fault script: \"%s\" comes after the request's end", word);
    if (parse_time(word, &ret->delay_ns))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(word, known[i].word) == 0) {
            ret->what = known[i].what;
            ret->result = known[i].result;
            return 0;
        }
    }
    int e = errno_of(word);
    if (e == 0)
        return err_set(-EINVAL, "fault script: \"%s\" is no errno, outcome, time or \"lost\"",
                       word);
    ret->what = FAULT_FAIL;
    ret->result = -e;
    return 0;
}

static int parse_rule(char *text, struct fault_rule *ret)
{
    char *save = NULL;
    const char *op = strtok_r(text, ":", &save);
    char *which = strtok_r(NULL, ":", &save);
    char *what = strtok_r(NULL, ":", &save);
    if (op == NULL || which == NULL || what == NULL)
        return err_set(-EINVAL, "fault script: a rule is OP:WHICH:WHAT");
    int r = parse_op(op, &ret->op);
    if (r == 0)
        r = parse_which(which, ret);
    for (; r == 0 && what != NULL; what = strtok_r(NULL, ":", &save))
        r = parse_what(what, ret);
    return r;
}

int fault_script_parse(const char *script, struct fault_rule **ret)
{
    _cleanup_free_ char *copy = strdup(script);
    struct fault_rule *rules = NULL, **end = &rules;
    char *save = NULL;
    int r = copy == NULL ? err_set(-ENOMEM, "no memory for a fault script") : 0;
    for (char *word = r < 0 ? NULL : strtok_r(copy, ",", &save); r == 0 && word != NULL;
         word = strtok_r(NULL, ",", &save)) {
        struct fault_rule *rule = calloc(1, sizeof(*rule));
        if (rule == NULL) {
            r = err_set(-ENOMEM, "no memory for a fault script");
            break;
        }
        *end = rule;
        end = &rule->next;
        r = parse_rule(word, rule);
    }
    if (r < 0) {
        fault_rules_free(rules);
        return r;
    }
    *ret = rules;
    return 0;
}

void fault_rules_free(struct fault_rule *rules)
{
    while (rules != NULL) {
        struct fault_rule *next = rules->next;
        free(rules);
        rules = next;
    }
}
