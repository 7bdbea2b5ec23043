/* SPDX-License-Identifier: Apache-2.0 */
/* Expat with bounds. Text is kept for each open element, so that white space between children
 * (servers indent; CompleteMultipartUpload sends blanks to keep the connection) never mixes with a
 * child's text. */
#include "xml.h"

#include <errno.h>
#include <expat.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "xml_chars.h"

struct parse {
    XML_Parser expat;
    const char *sent;    /* the document, of length len */
    const char *allowed; /* what expat reads in its place, or NULL: xml_chars.h */
    size_t len;
    xml_element_fn fn;
    void *arg;
    int r;
    size_t depth;
    char path[XML_PATH_MAX];
    size_t path_len[XML_DEPTH_MAX + 1]; /* length of the path at each depth */
    struct buf text;
    size_t text_at[XML_DEPTH_MAX + 1]; /* where the text of each open element begins */
};

static void stop(struct parse *p, int r)
{
    if (p->r == 0)
        p->r = r;
    XML_StopParser(p->expat, XML_FALSE);
}

static void on_start(void *arg, const XML_Char *name, _unused_ const XML_Char **attributes)
{
    struct parse *p = arg;
    const char *colon = strrchr(name, ':');
    const char *local = colon != NULL ? colon + 1 : name;
    size_t at = p->path_len[p->depth], len = strlen(local), slash = at > 0 ? 1 : 0;

    if (p->r != 0)
        return;
    if (len == 0) { /* "s3:", which is no name where namespaces are understood */
        stop(p, err_set(-EBADMSG, "XML with an element without a name"));
        return;
    }
    if (p->depth == XML_DEPTH_MAX || at + slash + len >= XML_PATH_MAX) {
        stop(p, err_set(-EBADMSG, "XML nested deeper than any S3 reply"));
        return;
    }
    if (slash != 0)
        p->path[at] = '/';
    for (size_t i = 0; i <= len; i++)
        p->path[at + slash + i] = local[i];
    p->depth++;
    p->path_len[p->depth] = at + slash + len;
    p->text_at[p->depth] = p->text.len;
}

static int64_t position(const struct parse *p)
{
#if HAVE_DECL_XML_GETCURRENTBYTEINDEX64
    return XML_GetCurrentByteIndex64(p->expat);
#else
    return XML_GetCurrentByteIndex(p->expat);
#endif
}

/* What was sent where expat now read text of a document that had to be changed for it: the bytes
 * there if the text is those of the copy, or what a reference stands for. */
static const char *as_sent(const struct parse *p, const char *text, size_t *len, char buf[3])
{
    int64_t index = position(p);
    size_t at, n;

    if (index < 0 || (size_t)index >= p->len)
        return text;
    at = (size_t)index;
    if (*len <= p->len - at && memcmp(p->allowed + at, text, *len) == 0)
        return p->sent + at;
    n = xml_chars_reference(p->sent + at, p->len - at, buf);
    if (n == 0)
        return text;
    *len = n;
    return buf;
}

static void on_text(void *arg, const XML_Char *s, int len)
{
    struct parse *p = arg;
    const char *text = s;
    size_t n = (size_t)len;
    char buf[3];

    if (p->r != 0 || p->depth == 0)
        return;
    if (p->allowed != NULL)
        text = as_sent(p, s, &n, buf);
    if (buf_add(&p->text, text, n) != 0)
        stop(p, p->text.error == -ENOMEM ? -ENOMEM : err_set(-EBADMSG, "XML text too long"));
}

/* The children's texts are gone by now: what follows text_at is this element's own. */
static void on_end(void *arg, _unused_ const XML_Char *name)
{
    struct parse *p = arg;
    int r;

    if (p->r != 0)
        return;
    r = p->fn(p->arg, p->path, buf_str(&p->text) + p->text_at[p->depth]);
    p->text.len = p->text_at[p->depth];
    if (p->text.data != NULL)
        p->text.data[p->text.len] = '\0';
    p->depth--;
    p->path[p->path_len[p->depth]] = '\0';
    if (r != 0)
        stop(p, r);
}

static void on_doctype(void *arg, _unused_ const XML_Char *name, _unused_ const XML_Char *sysid,
                       _unused_ const XML_Char *pubid, _unused_ int has_internal_subset)
{
    stop(arg, err_set(-EBADMSG, "XML with a document type declaration"));
}

int xml_parse(const char *data, size_t len, xml_element_fn fn, void *arg)
{
    struct parse p = {.fn = fn, .arg = arg, .text = BUF_INIT(XML_TEXT_MAX)};
    _cleanup_free_ char *allowed = NULL;
    enum XML_Status status;
    int r;

    /* CompleteMultipartUpload may have kept its connection with blanks before the document began.
     */
    while (len > 0 && strchr(" \t\r\n", *data) != NULL && *data != '\0') {
        data++;
        len--;
    }
    if (len > INT32_MAX)
        return err_set(-EBADMSG, "XML of %zu bytes", len);
    r = xml_chars_allowed(data, len, &allowed);
    if (r != 0)
        return r;
    p.sent = data;
    p.len = len;
    p.allowed = allowed;
    p.expat = XML_ParserCreate(NULL);
    if (p.expat == NULL)
        return err_set(-ENOMEM, "no memory for an XML parser");
    XML_SetUserData(p.expat, &p);
    XML_SetElementHandler(p.expat, on_start, on_end);
    XML_SetCharacterDataHandler(p.expat, on_text);
    XML_SetStartDoctypeDeclHandler(p.expat, on_doctype);
    status = XML_Parse(p.expat, allowed != NULL ? allowed : data, (int)len, XML_TRUE);
    if (p.r == 0 && status != XML_STATUS_OK)
        p.r = err_set(-EBADMSG, "broken XML: %s", XML_ErrorString(XML_GetErrorCode(p.expat)));
    XML_ParserFree(p.expat);
    buf_done(&p.text);
    return p.r;
}

/* XML 1.0, section 2.2: of the control characters only tab and the line ends are Char. */
static bool has_no_xml(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++)
        if (*c < 0x20 && *c != '\t' && *c != '\n' && *c != '\r')
            return true;
    return false;
}

int xml_escape(struct buf *out, const char *text)
{
    if (has_no_xml(text))
        return err_set(-EINVAL, "a control character that XML can't hold");
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        switch (*c) {
        case '&':
            buf_adds(out, "&amp;");
            break;
        case '<':
            buf_adds(out, "&lt;");
            break;
        case '>':
            buf_adds(out, "&gt;");
            break;
        case '"':
            buf_adds(out, "&quot;");
            break;
        case '\t':
        case '\n':
        case '\r':
            buf_addf(out, "&#%u;", *c);
            break;
        default:
            buf_addc(out, (char)*c);
            break;
        }
    }
    return out->error;
}
