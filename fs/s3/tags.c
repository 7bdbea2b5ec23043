/* SPDX-License-Identifier: Apache-2.0 */
/* Replies to GetObjectTagging, as the header that a write takes: "key=value&key=value", percent-encoded. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "response.h"
#include "xml.h"

#define TAGS_MAX 16384 /* S3: 10 tags of 128 and 256 characters */

struct tags_parse {
    struct buf out;
    char *key, *value;
    bool complete;
};

static int keep(char **dst, const char *text)
{
    free(*dst);
    *dst = strdup(text);
    return *dst != NULL ? 0 : err_set(-ENOMEM, "no memory for tags");
}

static int push_tag(struct tags_parse *p)
{
    if (p->key == NULL)
        return err_set(-EBADMSG, "a tag without a key");
    if (p->out.len > 0)
        buf_addc(&p->out, '&');
    str_urlencode(&p->out, p->key, strlen(p->key), false);
    buf_addc(&p->out, '=');
    if (p->value != NULL)
        str_urlencode(&p->out, p->value, strlen(p->value), false);
    free(p->key);
    free(p->value);
    p->key = p->value = NULL;
    return 0;
}

static int on_tags_element(void *arg, const char *path, const char *text)
{
    struct tags_parse *p = arg;

    if (strcmp(path, "Tagging") == 0)
        p->complete = true;
    else if (strcmp(path, "Tagging/TagSet/Tag/Key") == 0)
        return keep(&p->key, text);
    else if (strcmp(path, "Tagging/TagSet/Tag/Value") == 0)
        return keep(&p->value, text);
    else if (strcmp(path, "Tagging/TagSet/Tag") == 0)
        return push_tag(p);
    return 0;
}

int response_tags(const struct http_call *call, char **ret)
{
    struct tags_parse p = {.out = BUF_INIT(TAGS_MAX)};
    int r = xml_parse(buf_str(&call->body), call->body.len, on_tags_element, &p);

    if (r == 0 && !p.complete)
        r = err_set(-EBADMSG, "not a set of tags");
    if (r == 0 && p.out.error == -E2BIG)
        r = err_set(-EBADMSG, "more tags than an object can have");
    if (r == 0) {
        *ret = p.out.len > 0 ? buf_take(&p.out) : strdup("");
        r = *ret != NULL ? 0 : err_set(-ENOMEM, "no memory for tags");
    }
    buf_done(&p.out);
    free(p.key);
    free(p.value);
    return r == 0 || r == -ENOMEM ? r : RESPONSE_BROKEN;
}
