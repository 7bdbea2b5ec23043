/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "../../../fs/s3/xml.h"
#include "base/err.h"

/* Every element as "path=text;". */
static int collect(void *arg, const char *path, const char *text)
{
    buf_addf(arg, "%s=%s;", path, text);
    return 0;
}

static int parse(const char *xml, struct buf *out)
{
    buf_reset(out);
    return xml_parse(xml, strlen(xml), collect, out);
}

static void reads_elements(void **state)
{
    _cleanup_buf_ struct buf b = BUF_INIT(4096);

    (void)state;
    assert_int_equal(
        parse("<?xml version=\"1.0\"?>\n<A xmlns=\"urn:x\">\n <B>one</B>\n <C><D>t &amp; &#65;"
              "<![CDATA[<x>]]></D></C> </A>",
              &b),
        0);
    assert_string_equal(buf_str(&b), "A/B=one;A/C/D=t & A<x>;A/C=;A=\n \n  ;");
    assert_int_equal(parse("<s3:A xmlns:s3=\"urn:x\"><s3:B/></s3:A>", &b), 0);
    assert_string_equal(buf_str(&b), "A/B=;A=;");
    assert_int_equal(parse(" \r\n\n <A>after the blanks of a slow Complete</A>", &b), 0);
}

static void refuses_what_is_no_reply(void **state)
{
    static const char *const bad[] = {
        "",
        "   ",
        "no xml",
        "<A>",
        "<A></B>",
        "<A/><B/>",
        "<A\x01></A\x01>",
        "<\x01/>",
        "<A>\xff\xfe</A>",
        "<A>&#0;</A>",
        "<A>&#x00;</A>",
        "<A>&#xd800;</A>",
        "<A>&#x110000;</A>",
        "<A>&#x1</A>",
        "<A>&#;</A>",
        "<A>&#x;</A>",
        "<A>&#xg;</A>",
        "<&#x1;/>",
        "<A>&undefined;</A>",
        "<!DOCTYPE A><A/>",
        "<!DOCTYPE A [<!ENTITY x \"y\">]><A>&x;</A>",
        "<!DOCTYPE A SYSTEM \"file:///etc/passwd\"><A/>",
    };
    _cleanup_buf_ struct buf b = BUF_INIT(4096);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        err_clear();
        assert_int_equal(parse(bad[i], &b), -EBADMSG);
        assert_string_not_equal(err_text(), "");
    }
}

/* As Ceph echoes a prefix, and as others might: what a key has comes out as it is in the bucket,
 * and nothing beside it changes. */
static void reads_what_xml_can_not_hold(void **state)
{
    static const char *const one[][2] = {
        {"a&#x01;b", "a\x01"
                     "b"},
        {"&#x1f;&#31;&#X1;", NULL},
        {"&#x1f;&#31;&#1;&#x000001;", "\x1f\x1f\x01\x01"},
        {"&#x9;&#10;&#13;&#x7f;", "\t\n\r\x7f"},
        {"a\x01"
         "b\x1f",
         "a\x01"
         "b\x1f"},
        {"\xef\xbf\xbe\xef\xbf\xbf\xef\xbf\xbd&#xFFFE;&#65535;",
         "\xef\xbf\xbe\xef\xbf\xbf\xef\xbf\xbd\xef\xbf\xbe\xef\xbf\xbf"},
        {"*&#x1;*\x01*\t&#x2;", "*\x01*\x01*\t\x02"},
        {"a\r\nb&#x3;\r\n\xc3\xa9&amp;\x04&lt;", "a\nb\x03\n\xc3\xa9&\x04<"},
        {"<![CDATA[&#x1;\x01]]>&#x1;", "&#x1;\x01\x01"},
    };
    _cleanup_buf_ struct buf doc = BUF_INIT(4096);
    _cleanup_buf_ struct buf want = BUF_INIT(4096);
    _cleanup_buf_ struct buf b = BUF_INIT(4096);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(one); i++) {
        buf_reset(&doc);
        buf_addf(&doc, "<A>%s</A>", one[i][0]);
        assert_int_equal(parse(buf_str(&doc), &b), one[i][1] != NULL ? 0 : -EBADMSG);
        if (one[i][1] == NULL)
            continue;
        buf_reset(&want);
        buf_addf(&want, "A=%s;", one[i][1]);
        assert_string_equal(buf_str(&b), buf_str(&want));
    }
    assert_int_equal(parse("<A x=\"&#x1;\x02\"><!-- \x03 --><B>&#4;</B></A>", &b), 0);
    assert_string_equal(buf_str(&b), "A/B=\x04;A=;");
}

static void has_limits(void **state)
{
    _cleanup_buf_ struct buf b = BUF_INIT(1 << 20);
    _cleanup_buf_ struct buf out = BUF_INIT(1 << 20);

    (void)state;
    for (int i = 0; i < XML_DEPTH_MAX; i++)
        buf_adds(&b, "<a>");
    for (int i = 0; i < XML_DEPTH_MAX; i++)
        buf_adds(&b, "</a>");
    assert_int_equal(parse(buf_str(&b), &out), 0);
    buf_reset(&b);
    for (int i = 0; i <= XML_DEPTH_MAX; i++)
        buf_adds(&b, "<a>");
    assert_int_equal(parse(buf_str(&b), &out), -EBADMSG);

    buf_reset(&b);
    buf_addf(&b, "<%0*d/>", 10, 0);
    b.data[1] = 'n';
    assert_int_equal(parse(buf_str(&b), &out), 0);
    buf_reset(&b);
    buf_addf(&b, "<n%0*d/>", XML_PATH_MAX, 0);
    assert_int_equal(parse(buf_str(&b), &out), -EBADMSG);

    for (int i = 0; i < 2; i++) {
        buf_reset(&b);
        buf_addf(&b, "<a>%0*d</a>", XML_TEXT_MAX + i, 0);
        assert_int_equal(parse(buf_str(&b), &out), i == 0 ? 0 : -EBADMSG);
    }
}

static int stop_at_b(void *arg, const char *path, const char *text)
{
    (void)text;
    (*(int *)arg)++;
    return strcmp(path, "A/B") == 0 ? 42 : 0;
}

static void stops_when_told(void **state)
{
    const char *xml = "<A><B/><C/></A>";
    int calls = 0;

    (void)state;
    assert_int_equal(xml_parse(xml, strlen(xml), stop_at_b, &calls), 42);
    assert_int_equal(calls, 1);
}

static void escapes(void **state)
{
    _cleanup_buf_ struct buf b = BUF_INIT(4096);
    _cleanup_buf_ struct buf doc = BUF_INIT(4096);
    _cleanup_buf_ struct buf out = BUF_INIT(4096);

    (void)state;
    assert_int_equal(xml_escape(&b, "a<b>&\"c'\r\n\t\xc3\xa9"), 0);
    assert_string_equal(buf_str(&b), "a&lt;b&gt;&amp;&quot;c'&#13;&#10;&#9;\xc3\xa9");
    buf_addf(&doc, "<K>%s</K>", buf_str(&b));
    assert_int_equal(parse(buf_str(&doc), &out), 0);
    assert_string_equal(buf_str(&out), "K=a<b>&\"c'\r\n\t\xc3\xa9;");
    buf_reset(&b);
    assert_int_equal(xml_escape(&b, "fine until \x01"), -EINVAL);
    assert_int_equal(b.len, 0);
}

/* Anything cut anywhere is refused, and never read past its end. */
static void survives_cuts(void **state)
{
    static const char xml[] =
        "<?xml version=\"1.0\"?><A x=\"1\"><B>a&amp;b&#x01;\x02</B><!-- c --><C/></A>";
    _cleanup_buf_ struct buf out = BUF_INIT(4096);

    (void)state;
    for (size_t len = 0; len < sizeof(xml) - 1; len++) {
        _cleanup_free_ char *copy = malloc(len + 1);

        assert_non_null(copy);
        memcpy(copy, xml, len);
        buf_reset(&out);
        assert_int_equal(xml_parse(copy, len, collect, &out), -EBADMSG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_elements),
        cmocka_unit_test(refuses_what_is_no_reply),
        cmocka_unit_test(reads_what_xml_can_not_hold),
        cmocka_unit_test(has_limits),
        cmocka_unit_test(stops_when_told),
        cmocka_unit_test(escapes),
        cmocka_unit_test(survives_cuts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
