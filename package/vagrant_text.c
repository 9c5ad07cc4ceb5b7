/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Vagrantfiles are programs in Ruby.  Lines of the form "x.memory = 1024" are understood, where
 * the value is a number or a plain string; nothing is evaluated.
 */
#include "package/vagrant_int.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

const struct vagrant_provider *vagrant_provider(const char *provider)
{
    static const struct vagrant_provider providers[] = {
        { "virtualbox", "ovf", ".ovf", "box.ovf" },
        { "vmware_desktop", "vmx", ".vmx", "box.vmx" },
        { "vmware_fusion", "vmx", ".vmx", "box.vmx" },
        { "vmware_workstation", "vmx", ".vmx", "box.vmx" },
        { "vmware", "vmx", ".vmx", "box.vmx" },
        { "hyperv", "hyperv", ".xml", NULL },
        { "hyperv", "hyperv", ".vmcx", NULL },
        { "parallels", "parallels", ".pvs", NULL },
    };

    for (size_t i = 0; i < LEN(providers); i++)
        if (!strcmp(provider, providers[i].provider))
            return &providers[i];
    return NULL;
}

const struct package_format *vagrant_format(const char *name)
{
    for (int i = 0; package_catalog[i]; i++)
        if (!strcmp(package_catalog[i]->name, name))
            return package_catalog[i];
    return NULL;
}

/* "libvirt.memory = 1024": its last word and its value, when both are plain. */
static bool vagrant_line(const char *p, const char *end, char key[32], char value[64])
{
    size_t n = 0;
    char quote;

    key[0] = 0;
    while (p < end && isspace((u8)*p))
        p++;
    for (; p < end && (isalnum((u8)*p) || *p == '_' || *p == '.'); p++) {
        if (*p == '.')
            n = 0;
        else if (n < 31)
            key[n++] = *p;
        key[n] = 0;
    }
    while (p < end && isspace((u8)*p))
        p++;
    if (p >= end || *p++ != '=' || !*key)
        return false;
    while (p < end && isspace((u8)*p))
        p++;
    quote = p < end && (*p == '"' || *p == '\'') ? *p++ : 0;
    for (n = 0; p < end && n < 63 && (quote ? *p != quote : isalnum((u8)*p) != 0); p++)
        value[n++] = *p;
    value[n] = 0;
    if (quote && (p >= end || *p++ != quote))
        return false;
    while (p < end && isspace((u8)*p))
        p++;
    return n && !strstr(value, "#{") && (p >= end || *p == '#');
}

void vagrant_words(const char *text, struct vagrant_words *w)
{
    struct {
        const char *key;
        char *to;
        size_t room;
    } words[] = {
        { "memory", w->memory, sizeof(w->memory) },
        { "cpus", w->cpus, sizeof(w->cpus) },
        { "disk_bus", w->disk_bus, sizeof(w->disk_bus) },
        { "nic_model_type", w->nic_model, sizeof(w->nic_model) },
        { "machine_type", w->machine, sizeof(w->machine) },
        { "video_type", w->video, sizeof(w->video) },
        { "sound_type", w->sound, sizeof(w->sound) },
        { "loader", w->firmware, sizeof(w->firmware) },
    };
    char key[32], value[64];

    *w = (struct vagrant_words){ 0 };
    while (*text) {
        const char *end = text + strcspn(text, "\n");

        if (vagrant_line(text, end, key, value))
            for (size_t i = 0; i < LEN(words); i++)
                if (!strcmp(key, words[i].key))
                    snprintf(words[i].to, words[i].room, "%s", value);
        text = *end ? end + 1 : end;
    }
}
