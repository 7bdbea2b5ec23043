/* SPDX-License-Identifier: Apache-2.0 */
/* s3/xml: the limits hold, what an element holds can be written again and read back. */
#include "fs/s3/xml.h"

#include <errno.h>

#include "fuzz.h"

/* Those that XML 1.0 has no character for. */
#define CONTROL                                                                                    \
    "\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a" \
    "\x1b\x1c\x1d\x1e\x1f"

struct seen {
    size_t n;
    char *text; /* of one element, to compare with */
};

static int compare(void *arg, const char *path, const char *text)
{
    struct seen *s = arg;

    CHECK(strcmp(path, "r") == 0 && strcmp(text, s->text) == 0);
    s->n++;
    return 0;
}

static void write_and_read(const char *text)
{
    _cleanup_buf_ struct buf b = BUF_INIT(8u * XML_TEXT_MAX);
    struct seen again = {.text = (char *)(uintptr_t)text};

    buf_adds(&b, "<r>");
    if (xml_escape(&b, text) == -EINVAL) { /* what XML can't hold is read, and not written */
        CHECK(strpbrk(text, CONTROL) != NULL);
        return;
    }
    CHECK(b.error == 0);
    buf_adds(&b, "</r>");
    CHECK(xml_parse(buf_str(&b), b.len, compare, &again) == 0 && again.n == 1);
}

static int on_element(void *arg, const char *path, const char *text)
{
    struct seen *s = arg;
    size_t len = strlen(path), depth = 1;

    for (const char *p = path; *p != '\0'; p++)
        depth += *p == '/';
    CHECK(len > 0 && len < XML_PATH_MAX && depth <= XML_DEPTH_MAX);
    CHECK(path[0] != '/' && path[len - 1] != '/' && strchr(path, ':') == NULL);
    CHECK(strlen(text) <= XML_TEXT_MAX);
    if (s->n++ < 8) /* enough of them to find what is odd, few enough to be quick */
        write_and_read(text);
    return 0;
}

static int stop_at_once(void *arg, _unused_ const char *path, _unused_ const char *text)
{
    ++*(size_t *)arg;
    return 77;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    _cleanup_free_ char *doc = fuzz_copy(data, size), *text = fuzz_rest(&in);
    _cleanup_buf_ struct buf b = BUF_INIT(8u * XML_TEXT_MAX);
    struct seen seen = {0};
    size_t calls = 0;
    int r = xml_parse(doc, size, on_element, &seen);

    CHECK(r <= 0 && (r < 0 || seen.n > 0));
    r = xml_parse(doc, size, stop_at_once, &calls);
    CHECK(seen.n > 0 ? r == 77 && calls == 1 : r < 0 && calls == 0);
    if (size < XML_TEXT_MAX && xml_escape(&b, text) == 0)
        CHECK(strpbrk(buf_str(&b), "<>\"\t\r\n") == NULL);
    return 0;
}
