/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest's tools tell of the guest: names as text, network cards as XDR (RFC 4506; the
 * structures of open-vm-tools' nicinfo.x, version 3), disks as JSON.
 */
#include "backend/vmtools_int.h"
#include "base/bytes.h"
#include <arpa/inet.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    INFO_DNS_NAME = 1,
    INFO_OS_NAME_FULL = 5,
    INFO_OS_NAME = 6,
    INFO_UPTIME = 7,
    INFO_NICS_V3 = 10,
    INFO_OS_DETAILED = 11,
};
enum { DETAIL_SHORT = 129, DETAIL_FULL = 513, DETAIL_TEXT = 648 };
enum { NICINFO_V3 = 3, ADDRESS_IPV4 = 1, ADDRESS_IPV6 = 2, XDR_MOST = 65536 };

/* ---- XDR ---- */

static u32 xdr_opaque(struct cursor *c, char *to, u32 room)
{
    u32 n = get_be32(c);
    const u8 *p = n <= XDR_MOST ? cursor_take(c, (n + 3) & ~3u) : NULL;

    if (!p) {
        c->bad = true;
        return 0;
    }
    if (to) {
        memset(to, 0, room);
        memcpy(to, p, min_u64(n, room - 1));
    }
    return n;
}

static void xdr_text(struct cursor *c, char *to, u32 room)
{
    xdr_opaque(c, to, room);
    for (; to && *to; to++)
        if ((unsigned char)*to < ' ' || (unsigned char)*to > '~')
            *to = '?';
}

static void xdr_optional_texts(struct cursor *c, u32 n)
{
    while (n--)
        if (get_be32(c))
            xdr_opaque(c, NULL, 0);
}

static void info_address(struct cursor *c, struct agent_nic *nic)
{
    u32 kind = get_be32(c), prefix, n;
    char b[20] = "", text[INET6_ADDRSTRLEN] = "";

    n = xdr_opaque(c, b, sizeof(b));
    prefix = get_be32(c);
    for (u32 i = 0; i < 2; i++) /* origin, status */
        if (get_be32(c))
            get_be32(c);
    if (c->bad || !nic || nic->naddresses == AGENT_ADDRESSES)
        return;
    if (kind == ADDRESS_IPV4 && n == 4)
        inet_ntop(AF_INET, b, text, sizeof(text));
    else if (kind == ADDRESS_IPV6 && n == 16)
        inet_ntop(AF_INET6, b, text, sizeof(text));
    if (!*text)
        return;
    memcpy(nic->address[nic->naddresses].text, text, sizeof(text));
    nic->address[nic->naddresses++].prefix = prefix;
}

static void info_typed_addresses(struct cursor *c, u32 n)
{
    while (n-- && !c->bad) {
        get_be32(c);
        xdr_opaque(c, NULL, 0);
    }
}

static void info_nic(struct cursor *c, struct agent_nic *nic)
{
    char mac[18];
    u32 n;

    xdr_text(c, nic ? nic->mac : mac, sizeof(mac));
    n = get_be32(c);
    while (n-- && !c->bad)
        info_address(c, nic);
    if (get_be32(c)) { /* DNS: two names, servers, suffixes */
        xdr_optional_texts(c, 2);
        info_typed_addresses(c, get_be32(c));
        for (n = get_be32(c); n-- && !c->bad;)
            xdr_opaque(c, NULL, 0);
    }
    if (get_be32(c)) /* WINS */
        info_typed_addresses(c, 2);
    for (u32 i = 0; i < 2; i++) /* DHCP of either version */
        if (get_be32(c)) {
            get_be32(c);
            xdr_opaque(c, NULL, 0);
        }
}

static void info_nics(struct agent_info *i, const u8 *p, u32 len)
{
    struct cursor c = cursor_of(p, len);
    struct agent_nic *nics = calloc(AGENT_NICS, sizeof(*nics));
    u32 version = get_be32(&c), has = get_be32(&c), n = get_be32(&c);

    if (nics && version == NICINFO_V3 && has && n <= AGENT_NICS) {
        for (u32 k = 0; k < n && !c.bad; k++)
            info_nic(&c, &nics[k]);
        if (!c.bad) {
            memcpy(i->nic, nics, sizeof(i->nic));
            i->nnics = n;
        }
    }
    free(nics);
}

/* ---- disks ---- */

static void info_disk(struct agent_disk *d, const json_t *o)
{
    const char *name = json_string_value(json_object_get(o, "name"));
    const char *size = json_string_value(json_object_get(o, "size"));
    const char *rest = json_string_value(json_object_get(o, "free"));
    const char *type = json_string_value(json_object_get(o, "fstype"));
    u8 plain[sizeof(d->path) + 4];
    int n;

    memset(d, 0, sizeof(*d));
    if (name && strlen(name) <= sizeof(d->path) / 3 * 4) {
        n = EVP_DecodeBlock(plain, (const u8 *)name, (int)strlen(name));
        if (n > 0 && n < (int)sizeof(d->path)) {
            plain[n] = 0; /* what stands for "=" decodes to zeroes */
            memcpy(d->path, plain, (size_t)n);
        }
    }
    d->size = size ? strtoull(size, NULL, 10) : 0;
    d->free = rest ? strtoull(rest, NULL, 10) : 0;
    snprintf(d->type, sizeof(d->type), "%s", type ? type : "");
}

void vmtools_info_disks(struct vmtools *t, const u8 *p, u32 n)
{
    json_t *o = json_loadb((const char *)p, strnlen((const char *)p, n), 0, NULL);
    json_t *list = json_object_get(o, "disks"), *one;
    struct agent_info *i = agent_info_lock(t->port);
    size_t k;

    if (json_is_array(list)) {
        i->ndisks = 0;
        json_array_foreach(list, k, one) if (i->ndisks < AGENT_DISKS)
            info_disk(&i->disk[i->ndisks++], one);
    }
    agent_info_unlock(t->port);
    json_decref(o);
}

/* ---- names ---- */

static void info_text(char *to, u32 room, const u8 *p, u32 n)
{
    memset(to, 0, room);
    memcpy(to, p, min_u64(strnlen((const char *)p, n), room - 1));
    for (; *to; to++)
        if ((unsigned char)*to < ' ')
            *to = '?';
}

/* "... kernelVersion='6.1.0' ...": the value of one key */
static void info_detail(char *to, u32 room, const u8 *p, u32 n, const char *key)
{
    char text[1024], *at, *end;

    info_text(text, sizeof(text), p, n);
    at = strstr(text, key);
    if (!at || strncmp(at + strlen(key), "='", 2))
        return;
    at += strlen(key) + 2;
    end = strchr(at, '\'');
    if (end)
        snprintf(to, room, "%.*s", (int)(end - at), at);
}

/* Version, short and full name, then keys and values as text */
static void info_os(struct agent_info *i, const u8 *p, u32 n)
{
    if (n < DETAIL_TEXT || le32(p) != 1)
        return;
    info_text(i->os, sizeof(i->os), p + 4, DETAIL_SHORT);
    info_text(i->os_name, sizeof(i->os_name), p + 4 + DETAIL_SHORT, DETAIL_FULL);
    info_detail(i->kernel, sizeof(i->kernel), p + DETAIL_TEXT, n - DETAIL_TEXT, "kernelVersion");
}

void vmtools_info(struct vmtools *t, u32 type, const u8 *p, u32 n)
{
    struct agent_info *i = agent_info_lock(t->port);

    switch (type) {
    case INFO_DNS_NAME:
        info_text(i->host, sizeof(i->host), p, n);
        break;
    case INFO_OS_NAME_FULL:
        info_text(i->os_name, sizeof(i->os_name), p, n);
        break;
    case INFO_OS_NAME:
        info_text(i->os, sizeof(i->os), p, n);
        break;
    case INFO_UPTIME: /* hundredths of a second */
        i->uptime_s = strtoull((const char *)p, NULL, 10) / 100;
        break;
    case INFO_NICS_V3:
        info_nics(i, p, n);
        break;
    case INFO_OS_DETAILED:
        info_os(i, p, n);
        break;
    }
    agent_info_unlock(t->port);
}
