/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "package/xml.h"
#include "package/xml_tree.h"
#include "tests/check.h"
#include <errno.h>
#include <string.h>

static struct arena arena;
static struct xml_node *root;
static struct err err;

static int parse_bytes(const char *s, size_t n)
{
    arena_fini(&arena);
    arena = (struct arena){ .limit = 1u << 24 };
    err = (struct err){ 0 };
    return xml_parse(&arena, s, n, "x.xml", &root, NULL, &err);
}

static int parse(const char *s)
{
    return parse_bytes(s, strlen(s));
}

static const char *verbatim(const struct xml_node *n, const struct xml_node *scope)
{
    static struct buf b;

    buf_fini(&b);
    CHECK_EQ(xml_verbatim(n, scope, &b), 0);
    CHECK_EQ(buf_add(&b, "", 1), 0);
    return (const char *)b.p;
}

static void encodings(void)
{
    static const char le[] = "\xff\xfe<\0a\0 \0b\0=\0'\0\xe4\0=\xd8\x00\xde'\0/\0>";
    static const char be[] =
        "\0<\0?\0x\0m\0l\0 \0v\0e\0r\0s\0i\0o\0n\0=\0'\0001\0.\0000\0'\0 "
        "\0e\0n\0c\0o\0d\0i\0n\0g\0=\0'\0u\0t\0f\0-\0001\0006\0'\0?\0>\0<\0a\0/\0>";

    CHECK_EQ(parse_bytes(le, sizeof(le)), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(xml_attr(root, "b"), "\xc3\xa4\xf0\x9f\x98\x80");
    CHECK_EQ(parse_bytes(be, sizeof(be) - 1), 0);
    CHECK_TEXT(err.text, "");
    CHECK_EQ(parse("<?xml version='1.0' encoding=\"UTF-16\"?><a b='\xc3\xa4'/>"), 0);
    CHECK_TEXT(xml_attr(root, "b"), "\xc3\xa4");
    CHECK_EQ(parse("<?xml version='1.0' encoding='ISO-8859-1'?><a b='\xe4'/>"), 0);
    CHECK_TEXT(xml_attr(root, "b"), "\xc3\xa4");
    CHECK_EQ(parse("<?xml version='1.0' encoding='windows-1252'?><a b='\x80'/>"), 0);
    CHECK_TEXT(xml_attr(root, "b"), "\xe2\x82\xac");
    CHECK_EQ(parse("\xef\xbb\xbf<a/>"), 0);
    CHECK_EQ(parse("<?xml version='1.0' encoding='EBCDIC'?><a/>"), (u64)-EOPNOTSUPP);
    CHECK_EQ(parse("<a b='\xff'/>"), (u64)-EBADMSG);
    CHECK_EQ(parse_bytes("\xff\xfe<\0a", 5), (u64)-EBADMSG);
    CHECK_EQ(parse_bytes("\xff\xfe<\0a\0\0\xdc/\0>\0", 12), (u64)-EBADMSG);
}

static void verbatim_keeps_all(void)
{
    CHECK_EQ(parse("<r xmlns='u:d' xmlns:q='u:q/' xmlns:x='u:x'><a><!-- c --><q:b z='1' "
                   "a='&lt;'>t<c/>u<![CDATA[<]]></q:b ></a><d x:type='q:T'/></r>"),
             0);
    CHECK_TEXT(verbatim(root->first, root),
               "<a><!-- c --><q:b z='1' a='&lt;'>t<c/>u<![CDATA[<]]></q:b ></a>");
    CHECK_TEXT(verbatim(root->first->first, NULL),
               "<q:b xmlns:q=\"u:q/\" xmlns=\"u:d\" z='1' a='&lt;'>t<c/>u<![CDATA[<]]></q:b >");
    CHECK_TEXT(verbatim(root->last, NULL),
               "<d xmlns=\"u:d\" xmlns:x=\"u:x\" xmlns:q=\"u:q/\" x:type='q:T'/>");
    CHECK_TEXT(root->first->first->space, "u:q");
    CHECK_TEXT(root->first->first->text, "tu<");
}

static const char document[] =
    "<r v='2' w='3'><name>n</name><net><nic slot='0' speed='9'/><nic slot='1'><off/></nic>"
    "<nic slot='2' speed='7'><more a='1'>x</more></nic></net><q:z xmlns:q='u:q'><q:y/></q:z></r>";

static void take_some(void)
{
    const struct xml_node *net = xml_child(root, "net");

    xml_take(root, "v");
    CHECK_TEXT(xml_take_text(root, "name"), "n");
    xml_take(net->first, "slot");
    xml_take(net->last, "slot");
}

static void what_is_left_comes_back(void)
{
    struct xml_tree t;
    struct buf b = { 0 };
    struct desc d;

    desc_init(&d);
    CHECK_EQ(parse(document), 0);
    take_some();
    CHECK_EQ(xml_rest(&d, "f", root, "x.xml", &err), 0);
    CHECK_TEXT(desc_extra(&d, "f", "@w"), "3");
    CHECK_TEXT(desc_extra(&d, "f", "net/nic@speed"), "9");
    CHECK_TEXT(desc_extra(&d, "f", "net/nic[2]"), "<nic slot='1'><off/></nic>");
    CHECK_TEXT(desc_extra(&d, "f", "net/nic[3]/more"), "<more a='1'>x</more>");
    CHECK_TEXT(desc_extra(&d, "f", "q:z"), "<q:z xmlns:q='u:q'><q:y/></q:z>");
    CHECK(!desc_extra(&d, "f", "name") && !desc_extra(&d, "f", "@v"));

    xml_tree_init(&t, "r");
    xml_set(&t, t.root, "v", "2");
    xml_put(&t, t.root, "name", "%s", "n<\x01_\xff");
    for (int i = 0; i < 2; i++)
        xml_set(&t, xml_add(&t, xml_get(&t, t.root, "net"), "nic"), "slot", "%d", 2 * i);
    xml_merge(&t, &d, "f");
    CHECK_EQ(xml_document(&t, &b, &err), 0);
    CHECK_EQ(buf_add(&b, "", 1), 0);
    CHECK_TEXT((char *)b.p, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                            "<r v=\"2\" w=\"3\">\n  <name>n&lt;?_?</name>\n  <net>\n"
                            "    <nic slot=\"0\" speed=\"9\"/>\n    <nic slot='1'><off/></nic>\n"
                            "    <nic slot=\"2\" speed=\"7\">\n      <more a='1'>x</more>\n"
                            "    </nic>\n  </net>\n  <q:z xmlns:q='u:q'><q:y/></q:z>\n</r>\n");
    buf_fini(&b);
    xml_tree_fini(&t);
    desc_fini(&d);
}

static void amounts_are_bounded(void)
{
    struct buf b = { 0 };
    struct desc d;

    desc_init(&d);
    buf_text(&b, "<r v=''>");
    for (int i = 0; i < 20000; i++)
        buf_text(&b, "<a/>");
    buf_text(&b, "</r>");
    CHECK_EQ(parse_bytes((char *)b.p, b.len), 0);
    xml_take(root, "v");
    CHECK_EQ(xml_rest(&d, "f", root, "x.xml", &err), (u64)-E2BIG);
    buf_fini(&b);
    desc_fini(&d);
    CHECK_EQ(parse("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"), (u64)-EBADMSG);
    CHECK(strstr(err.text, "DOCTYPE") != NULL);
}

int main(void)
{
    CASE(encodings);
    CASE(verbatim_keeps_all);
    CASE(what_is_left_comes_back);
    CASE(amounts_are_bounded);
    arena_fini(&arena);
    return check_end();
}
