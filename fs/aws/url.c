/* SPDX-License-Identifier: Apache-2.0 */
/* Strict parsing of configured URLs. */
#include "url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/str.h"

static int parse_scheme(const char **p, struct url *u)
{
    if (strncasecmp(*p, "https://", 8) == 0) {
        *p += 8;
        return str_copy(u->scheme, sizeof(u->scheme), "https");
    }
    if (strncasecmp(*p, "http://", 7) == 0) {
        *p += 7;
        return str_copy(u->scheme, sizeof(u->scheme), "http");
    }
    return err_set(-EINVAL, "an endpoint URL must begin with https:// or http://");
}

/* A DNS name or IPv4 address; or, in brackets, an IPv6 address. */
static int parse_name(const char **p, struct url *u, bool *ret_brackets)
{
    const char *s = *p;
    bool brackets = *s == '[';
    size_t len = brackets ? strcspn(++s, "]") : strcspn(s, ":/");
    if (len == 0 || len >= sizeof(u->name) || (brackets && s[len] != ']'))
        return err_set(-EINVAL, "an endpoint URL without a proper host");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        bool ok = brackets ? isxdigit(c) || c == ':' || c == '.'
                           : isalnum(c) || c == '-' || c == '.' || c == '_';
        if (!ok)
            return err_set(-EINVAL, "the host of an endpoint URL has a byte that no host has");
        u->name[i] = (char)tolower(c);
    }
    u->name[len] = '\0';
    struct in6_addr a;
    if (brackets && inet_pton(AF_INET6, u->name, &a) != 1)
        return err_set(-EINVAL, "an endpoint URL with a broken IPv6 address");
    *p = s + len + brackets;
    *ret_brackets = brackets;
    return 0;
}

/* 0: none given, or the scheme's own. */
static int parse_port(const char **p, const struct url *u, unsigned *ret)
{
    *ret = 0;
    if (**p != ':')
        return 0;
    size_t len = strcspn(++*p, "/");
    char digits[8];
    uint64_t port;
    if (len == 0 || len >= sizeof(digits))
        return err_set(-EINVAL, "an endpoint URL with a bad port");
    memcpy(digits, *p, len);
    digits[len] = '\0';
    if (str_u64(digits, 10, &port) < 0 || port == 0 || port > 65535)
        return err_set(-EINVAL, "an endpoint URL with a bad port");
    *p += len;
    if (port != (strcmp(u->scheme, "https") == 0 ? 443 : 80))
        *ret = (unsigned)port;
    return 0;
}

static int parse_path(const char *p, struct url *u)
{
    size_t len = strlen(p);
    for (size_t i = 0; i < len; i++)
        if (p[i] == '?' || p[i] == '#' || (unsigned char)p[i] <= ' ' || (unsigned char)p[i] >= 0x7f)
            return err_set(-EINVAL, "an endpoint URL must have no query and no odd bytes");
    while (len > 0 && p[len - 1] == '/')
        len--;
    if (len >= sizeof(u->path))
        return err_set(-EINVAL, "the path of an endpoint URL is too long");
    memcpy(u->path, p, len);
    u->path[len] = '\0';
    return 0;
}

int url_parse(const char *text, struct url *ret)
{
    struct url u = {0};
    bool brackets = false;
    unsigned port = 0;
    int r = parse_scheme(&text, &u);
    if (r == 0)
        r = parse_name(&text, &u, &brackets);
    if (r == 0)
        r = parse_port(&text, &u, &port);
    if (r == 0 && *text && *text != '/')
        r = err_set(-EINVAL, "an endpoint URL with something odd after its host");
    if (r == 0)
        r = parse_path(text, &u);
    if (r < 0)
        return r;
    int n = snprintf(u.host, sizeof(u.host), brackets ? "[%s]" : "%s", u.name);
    if (port)
        snprintf(u.host + n, sizeof(u.host) - (size_t)n, ":%u", port);
    *ret = u;
    return 0;
}

bool url_is_loopback(const struct url *u)
{
    struct in_addr a;
    struct in6_addr a6;
    if (inet_pton(AF_INET, u->name, &a) == 1)
        return ntohl(a.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, u->name, &a6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&a6);
    return strcmp(u->name, "localhost") == 0;
}
