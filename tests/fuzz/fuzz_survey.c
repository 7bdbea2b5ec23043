/* SPDX-License-Identifier: Apache-2.0 */
/* coord/survey and the names of keys: a record under any name below the state prefix is refused or
 * understood, and names only sessions that can be; a key has a fault or a path. */
#include "coord/survey.h"

#include <errno.h>

#include "check/check.h"
#include "fuzz.h"

static void check_survey(const char *name, const char *body)
{
    struct survey s = {0};
    int r = survey_parse(name, body, &s);

    CHECK(r == 0 || r == -EBADMSG || r == -ENOLCK);
    CHECK(s.kind == survey_kind_of(name));
    for (size_t i = 0; i < s.n_holders; i++) {
        CHECK(session_id_is_valid(s.holders[i]));
        for (size_t j = 0; j < i; j++)
            CHECK(strcmp(s.holders[i], s.holders[j]) != 0);
    }
    CHECK(r < 0 || !s.is_empty || s.n_holders == 0);
    CHECK(s.lease_ns >= 0);
    survey_done(&s);
}

/* What has no fault can be walked: no component is empty but a last one, "." or "..". */
static void check_key(const char *key)
{
    const char *p = key;

    if (check_key_fault(key) != NULL)
        return;
    CHECK(strlen(key) <= 1024);
    while (*p != '\0') {
        size_t n = strcspn(p, "/");

        CHECK(n > 0 && n <= 255);
        CHECK(!(n == 1 && p[0] == '.') && !(n == 2 && p[0] == '.' && p[1] == '.'));
        p += n + (p[n] == '/');
    }
}

/* The name is the first line. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    _cleanup_free_ char *text = fuzz_rest(&in);
    char *end = strchr(text, '\n');

    if (end != NULL)
        *end = '\0';
    check_key(text);
    check_survey(text, end != NULL ? end + 1 : "");
    return 0;
}
