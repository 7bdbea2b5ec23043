/* SPDX-License-Identifier: Apache-2.0 */
/* The answers of credential endpoints. Secrets in the parsers' memory are wiped before it is freed.
 */
#include "cred_reply.h"

#include <errno.h>
#include <expat.h>
#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"
#include "cred_source.h"

void cred_reply_done(struct cred_reply *r)
{
    aws_cred_done(&r->cred);
}

static int set_expiry(struct cred_reply *reply, const char *iso)
{
    if (str_iso8601(iso, &reply->cred.expiry_ns) < 0)
        return err_set(-EPROTO, "credentials with an expiry that is no time");
    return 0;
}

static int check(const struct cred_reply *reply)
{
    const struct aws_cred *c = &reply->cred;
    if (reply->code[0] || (c->access_key && c->access_key[0] && c->secret && c->secret[0]))
        return 0;
    return err_set(-EPROTO, "an answer without credentials");
}

/* --- JSON --------------------------------------------------------------------------------------
 */

/* The value as a string; NULL when it is not one. */
static const char *text_of(const json_t *object, const char *name, const char *name2)
{
    const char *s = json_string_value(json_object_get(object, name));
    return s || !name2 ? s : json_string_value(json_object_get(object, name2));
}

static void wipe_json(json_t *value)
{
    const char *key;
    json_t *member;
    json_object_foreach(value, key, member)
    {
        const char *s = json_string_value(member);
        if (s) /* jansson has no other way to reach its copy */
            cred_wipe((char *)(uintptr_t)s, json_string_length(member));
        wipe_json(member);
    }
}

static int take_credentials(const json_t *c, struct cred_reply *reply)
{
    const char *key = text_of(c, "AccessKeyId", NULL),
               *secret = text_of(c, "SecretAccessKey", NULL);
    const json_t *expiry = json_object_get(c, "Expiration");
    if (!key || !secret)
        return 0;
    int r = cred_set(&reply->cred, key, secret, text_of(c, "SessionToken", "Token"), 0);
    if (r < 0)
        return r;
    if (json_is_string(expiry))
        return set_expiry(reply, json_string_value(expiry));
    if (json_is_number(expiry)) { /* STS's JSON: seconds since the epoch */
        double s = json_number_value(expiry);
        if (!(s > 0 && s < 9e9))
            return err_set(-EPROTO, "credentials with an expiry that is no time");
        reply->cred.expiry_ns = (int64_t)(s * (double)NS_PER_S);
    }
    return 0;
}

static int take_root(const json_t *root, struct cred_reply *reply)
{
    const json_t *error = json_object_get(root, "Error");
    const char *code = text_of(error ? error : root, "Code", "code");
    if (code && strcmp(code, "Success") != 0) {
        const char *message = text_of(error ? error : root, "Message", "message");
        str_copy_shown(reply->code, sizeof(reply->code), code);
        str_copy_shown(reply->message, sizeof(reply->message), message ? message : "");
        return 0;
    }
    const json_t *sts = json_object_get(root, "AssumeRoleWithWebIdentityResponse");
    if (!sts)
        return take_credentials(root, reply);
    sts = json_object_get(sts, "AssumeRoleWithWebIdentityResult");
    return take_credentials(json_object_get(sts, "Credentials"), reply);
}

int cred_reply_json(const char *text, size_t len, struct cred_reply *ret)
{
    _cleanup_(cred_reply_done) struct cred_reply reply = {0};
    json_error_t error;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return err_set(-EPROTO, "an answer that is not JSON (line %d)", error.line);
    int r = take_root(root, &reply);
    wipe_json(root);
    json_decref(root);
    if (r == 0)
        r = check(&reply);
    if (r < 0)
        return r;
    *ret = reply;
    reply = (struct cred_reply){0};
    return 0;
}

/* --- XML ---------------------------------------------------------------------------------------
 */

struct xml {
    XML_Parser parser;
    char text[8192]; /* of the element that is open; session tokens have 1 to 2 KiB */
    size_t len;
    bool is_broken;
    char *access_key, *secret, *token, *expiry, *code, *message;
};

static void on_start(void *arg, const char *name, const char **attributes)
{
    struct xml *x = arg;
    (void)name;
    (void)attributes;
    x->len = 0;
}

static void on_text(void *arg, const char *s, int len)
{
    struct xml *x = arg;
    if ((size_t)len >= sizeof(x->text) - x->len) {
        x->is_broken = true;
        XML_StopParser(x->parser, XML_FALSE);
        return;
    }
    memcpy(x->text + x->len, s, (size_t)len);
    x->len += (size_t)len;
}

static void on_end(void *arg, const char *name)
{
    struct xml *x = arg;
    const struct {
        const char *name;
        char **at;
    } wanted[] = {{"AccessKeyId", &x->access_key},
                  {"SecretAccessKey", &x->secret},
                  {"SessionToken", &x->token},
                  {"Expiration", &x->expiry},
                  {"Code", &x->code},
                  {"Message", &x->message}};
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (strcmp(name, wanted[i].name) == 0 && !*wanted[i].at)
            *wanted[i].at = secret_dup(x->text, x->len);
    x->len = 0;
}

/* No answer of AWS has a document type; entities are of no use here but to an attacker. */
static void on_doctype(void *arg, const char *name, const char *sys, const char *pub, int internal)
{
    struct xml *x = arg;
    (void)name, (void)sys, (void)pub, (void)internal;
    x->is_broken = true;
    XML_StopParser(x->parser, XML_FALSE);
}

static void xml_done(struct xml *x)
{
    XML_ParserFree(x->parser);
    secret_free(x->access_key);
    secret_free(x->secret);
    secret_free(x->token);
    secret_free(x->expiry);
    secret_free(x->code);
    secret_free(x->message);
    cred_wipe(x->text, sizeof(x->text));
}

static int take_xml(const struct xml *x, struct cred_reply *reply)
{
    if (x->code) {
        str_copy_shown(reply->code, sizeof(reply->code), x->code);
        str_copy_shown(reply->message, sizeof(reply->message), x->message ? x->message : "");
        return 0;
    }
    if (!x->access_key || !x->secret)
        return 0;
    int r = cred_set(&reply->cred, x->access_key, x->secret, x->token, 0);
    return r == 0 && x->expiry ? set_expiry(reply, x->expiry) : r;
}

int cred_reply_xml(const char *text, size_t len, struct cred_reply *ret)
{
    _cleanup_(cred_reply_done) struct cred_reply reply = {0};
    _cleanup_(xml_done) struct xml x = {.parser = XML_ParserCreate(NULL)};
    if (!x.parser || len > INT32_MAX)
        return err_set(-ENOMEM, "out of memory for an XML parser");
    XML_SetUserData(x.parser, &x);
    XML_SetElementHandler(x.parser, on_start, on_end);
    XML_SetCharacterDataHandler(x.parser, on_text);
    XML_SetStartDoctypeDeclHandler(x.parser, on_doctype);
    if (XML_Parse(x.parser, text, (int)len, 1) != XML_STATUS_OK || x.is_broken)
        return err_set(-EPROTO, "an answer that is not proper XML");
    int r = take_xml(&x, &reply);
    if (r == 0)
        r = check(&reply);
    if (r < 0)
        return r;
    *ret = reply;
    reply = (struct cred_reply){0};
    return 0;
}

int cred_reply_parse(const char *text, size_t len, struct cred_reply *ret)
{
    size_t blanks = strspn(text, " \t\r\n");
    return text[blanks] == '<' ? cred_reply_xml(text, len, ret) : cred_reply_json(text, len, ret);
}
