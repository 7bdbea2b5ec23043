/* SPDX-License-Identifier: Apache-2.0 */
/* User attributes <-> the value of a header. See xattr_code.h. */
#include "xattr_code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

struct item {
    char *text; /* as it stands in the code */
    char *name; /* decoded */
    const char *value;
    bool is_base64;
};

static void item_done(struct item *x)
{
    free(x->text);
    free(x->name);
    *x = (struct item){0};
}

/* The item that starts at *at, which moves behind it. 1 and *ret; 0: the end; -ENOMEM. One that
 * does not parse has no name. */
static int item_next(const char **at, struct item *ret)
{
    _cleanup_buf_ struct buf name = BUF_INIT(XATTR_CODE_MAX);
    size_t len = strcspn(*at, ";"), name_len;

    item_done(ret);
    if (**at == '\0')
        return 0;
    ret->text = strndup(*at, len);
    if (ret->text == NULL)
        return -ENOMEM;
    *at += len + ((*at)[len] == ';');
    name_len = strcspn(ret->text, "=:");
    if (name_len == 0 || ret->text[name_len] == '\0')
        return 1;
    ret->is_base64 = ret->text[name_len] == ':';
    ret->value = ret->text + name_len + 1;
    ret->text[name_len] = '\0';
    if (str_urldecode(&name, ret->text, false) == 0)
        ret->name = buf_take(&name);
    ret->text[name_len] = ret->is_base64 ? ':' : '=';
    return 1;
}

static int item_value(const struct item *x, struct buf *ret)
{
    char raw[XATTR_CODE_MAX];
    size_t n = 0;
    int r;

    if (!x->is_base64)
        return str_urldecode(ret, x->value, false);
    r = str_unbase64(x->value, raw, sizeof(raw), &n);
    return r < 0 ? r : buf_add(ret, raw, n);
}

int xattr_code_get(const char *code, const char *name, struct buf *ret)
{
    _cleanup_(item_done) struct item x = {0};
    const char *at = code != NULL ? code : "";
    int r;

    while ((r = item_next(&at, &x)) > 0) {
        if (x.name != NULL && strcmp(x.name, name) == 0) {
            r = item_value(&x, ret);
            return r == -EINVAL || r == -ERANGE ? -ENODATA : r;
        }
    }
    return r < 0 ? r : -ENODATA;
}

int xattr_code_list(const char *code, struct buf *ret)
{
    _cleanup_(item_done) struct item x = {0};
    const char *at = code != NULL ? code : "";
    int r;

    while ((r = item_next(&at, &x)) > 0) {
        if (x.name == NULL || x.name[0] == '\0')
            continue;
        buf_adds(ret, "user.");
        r = buf_add(ret, x.name, strlen(x.name) + 1);
        if (r < 0)
            return r;
    }
    return r;
}

static int put_item(struct buf *out, const char *name, const void *value, size_t len)
{
    _cleanup_buf_ struct buf text = BUF_INIT(XATTR_CODE_MAX), base64 = BUF_INIT(XATTR_CODE_MAX);
    bool is_text = memchr(value, '\0', len) == NULL;

    if (is_text && str_urlencode(&text, value, len, true) < 0)
        is_text = false;
    if (str_base64(&base64, value, len) < 0 && !is_text)
        return base64.error;
    if (!buf_failed(&base64) && base64.len < text.len)
        is_text = false;
    if (out->len > 0)
        buf_addc(out, ';');
    str_urlencode(out, name, strlen(name), true);
    buf_addc(out, is_text ? '=' : ':');
    return buf_adds(out, buf_str(is_text ? &text : &base64));
}

int xattr_code_set(const char *code, const char *name, const void *value, size_t len,
                   struct buf *ret)
{
    _cleanup_(item_done) struct item x = {0};
    const char *at = code != NULL ? code : "";
    int r;

    while ((r = item_next(&at, &x)) > 0) {
        if (x.name == NULL || x.name[0] == '\0' || strcmp(x.name, name) == 0)
            continue;
        if (ret->len > 0)
            buf_addc(ret, ';');
        buf_adds(ret, x.text);
    }
    if (r == 0 && value != NULL)
        r = put_item(ret, name, value, len);
    return r < 0 ? r : ret->error;
}
