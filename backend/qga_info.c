/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What QEMU's guest agent tells of the guest, and which of its commands it offers. */
#include "backend/qga_int.h"
#include <stdio.h>
#include <string.h>

static const struct {
    const char *command;
    u32 can;
} qga_commands[] = {
    { "guest-shutdown", 1 << AGENT_POWEROFF | 1 << AGENT_REBOOT },
    { "guest-fsfreeze-freeze", 1 << AGENT_FREEZE },
    { "guest-fsfreeze-thaw", 1 << AGENT_THAW },
    { "guest-set-time", 1 << AGENT_TIME },
    { "guest-exec", 1 << AGENT_EXEC },
    { "guest-file-write", 1 << AGENT_PUT },
    { "guest-file-read", 1 << AGENT_GET },
};

static const char *qga_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

u32 qga_read_commands(const json_t *info)
{
    const json_t *list = json_object_get(info, "supported_commands"), *one;
    u32 can = 0;
    size_t k;

    json_array_foreach((json_t *)list, k,
                       one) for (u32 i = 0; i < LEN(qga_commands);
                                 i++) if (json_is_true(json_object_get(one, "enabled")) &&
                                          !strcmp(qga_text(one, "name"), qga_commands[i].command))
        can |= qga_commands[i].can;
    return can;
}

static void qga_version(struct qga *q, struct qga_job *j, const json_t *v, const char *why)
{
    struct agent_info *i = agent_info_lock(q->port);

    snprintf(i->version, sizeof(i->version), "%s", qga_text(v, "version"));
    agent_info_unlock(q->port);
}

static void qga_os(struct qga *q, struct qga_job *j, const json_t *v, const char *why)
{
    struct agent_info *i = agent_info_lock(q->port);

    snprintf(i->os, sizeof(i->os), "%s", qga_text(v, "id"));
    snprintf(i->os_name, sizeof(i->os_name), "%s", qga_text(v, "pretty-name"));
    snprintf(i->kernel, sizeof(i->kernel), "%s", qga_text(v, "kernel-release"));
    agent_info_unlock(q->port);
}

static void qga_host(struct qga *q, struct qga_job *j, const json_t *v, const char *why)
{
    struct agent_info *i = agent_info_lock(q->port);

    snprintf(i->host, sizeof(i->host), "%s", qga_text(v, "host-name"));
    agent_info_unlock(q->port);
}

static void qga_nic(struct agent_nic *n, const json_t *o)
{
    const json_t *list = json_object_get(o, "ip-addresses"), *one;
    size_t k;

    memset(n, 0, sizeof(*n));
    snprintf(n->name, sizeof(n->name), "%s", qga_text(o, "name"));
    snprintf(n->mac, sizeof(n->mac), "%s", qga_text(o, "hardware-address"));
    json_array_foreach((json_t *)list, k, one)
    {
        struct agent_address *a = &n->address[n->naddresses];

        if (n->naddresses == AGENT_ADDRESSES)
            break;
        snprintf(a->text, sizeof(a->text), "%s", qga_text(one, "ip-address"));
        a->prefix = (u32)json_integer_value(json_object_get(one, "prefix"));
        n->naddresses++;
    }
}

static void qga_nics(struct qga *q, struct qga_job *j, const json_t *v, const char *why)
{
    struct agent_info *i;
    const json_t *one;
    size_t k;

    if (!json_is_array(v))
        return;
    i = agent_info_lock(q->port);
    i->nnics = 0;
    json_array_foreach((json_t *)v, k,
                       one) if (i->nnics < AGENT_NICS && strcmp(qga_text(one, "name"), "lo") != 0)
        qga_nic(&i->nic[i->nnics++], one);
    agent_info_unlock(q->port);
}

static void qga_disks(struct qga *q, struct qga_job *j, const json_t *v, const char *why)
{
    struct agent_info *i;
    const json_t *one;
    size_t k;

    if (!json_is_array(v))
        return;
    i = agent_info_lock(q->port);
    i->ndisks = 0;
    json_array_foreach((json_t *)v, k, one)
    {
        json_int_t total = json_integer_value(json_object_get(one, "total-bytes"));
        json_int_t used = json_integer_value(json_object_get(one, "used-bytes"));
        struct agent_disk *d = &i->disk[i->ndisks];

        if (i->ndisks == AGENT_DISKS)
            break;
        memset(d, 0, sizeof(*d));
        snprintf(d->path, sizeof(d->path), "%s", qga_text(one, "mountpoint"));
        snprintf(d->type, sizeof(d->type), "%s", qga_text(one, "type"));
        d->size = total > 0 ? (u64)total : 0;
        d->free = total > used && used >= 0 ? (u64)(total - used) : 0;
        i->ndisks++;
    }
    agent_info_unlock(q->port);
}

void qga_ask_info(struct qga *q)
{
    qga_say(q, NULL, "guest-info", NULL, qga_version);
    qga_say(q, NULL, "guest-get-osinfo", NULL, qga_os);
    qga_say(q, NULL, "guest-get-host-name", NULL, qga_host);
    qga_say(q, NULL, "guest-network-get-interfaces", NULL, qga_nics);
    qga_say(q, NULL, "guest-get-fsinfo", NULL, qga_disks);
}
