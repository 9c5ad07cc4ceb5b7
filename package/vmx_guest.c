/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest system in VMware's words ("debian12-64"), from what other products call it: OVF's
 * "debian12_64Guest", VirtualBox's "Debian12_64", libosinfo's "debian/12", plain names.
 */
#include "package/vmx_int.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* How VMware's own words begin. */
static const char *const guest_words[] = {
    "almalinux", "amazonlinux", "asianux",    "centos", "coreos",     "crxPod",     "crxSys",
    "darwin",    "debian",      "dos",        "eComSt", "fedora",     "freebsd",    "linux",
    "mandr",     "netware",     "nld",        "nt4",    "opensuse",   "oraclelin",  "os2",
    "other",     "photon",      "redhat",     "rhel",   "rockylinux", "sjds",       "sles",
    "solaris",   "suse",        "turbolinux", "ubuntu", "unixware",   "openserver", "vmkernel",
    "win",       "oes",         "flatcar",
};

/* What the words of others have in them; the first that fits. */
static const struct {
    const char *has, *vmware;
    bool bits64; /* the word has a 64-bit form, "-64" */
} guest_table[] = {
    { "windows 11", "windows11", true },
    { "windows11", "windows11", true },
    { "win11", "windows11", true },
    { "windows 10", "windows9", true },
    { "windows10", "windows9", true },
    { "win10", "windows9", true },
    { "2025", "windows2022srvNext", true },
    { "2022", "windows2019srvNext", true },
    { "2019", "windows2019srv", true },
    { "2016", "windows9srv", true },
    { "2012", "windows8srv", true },
    { "2008 r2", "windows7srv", true },
    { "2008r2", "windows7srv", true },
    { "2008", "longhorn", true },
    { "windows 8", "windows8", true },
    { "windows8", "windows8", true },
    { "windows81", "windows8", true },
    { "windows 7", "windows7", true },
    { "windows7", "windows7", true },
    { "win7", "windows7", true },
    { "vista", "winvista", true },
    { "2003", "winnetstandard", true },
    { "xp", "winxppro", true },
    { "windows2000", "win2000pro", false },
    { "windows", "windows9", true },
    { "debian", "debian12", true },
    { "ubuntu", "ubuntu", true },
    { "fedora", "fedora", true },
    { "centos", "centos7", true },
    { "rocky", "rockylinux", true },
    { "alma", "almalinux", true },
    { "oracle", "oraclelinux8", true },
    { "rhel", "rhel8", true },
    { "red hat", "rhel8", true },
    { "redhat", "rhel8", true },
    { "opensuse", "opensuse", true },
    { "suse", "sles12", true },
    { "sles", "sles12", true },
    { "freebsd", "freebsd", true },
    { "solaris", "solaris11", true },
    { "darwin", "darwin", true },
    { "macos", "darwin", true },
    { "linux", "otherlinux", true },
};

static bool guest_is_vmware(const char *s)
{
    if (strpbrk(s, "_ /:."))
        return false;
    for (size_t i = 0; i < LEN(guest_words); i++)
        if (!strncasecmp(s, guest_words[i], strlen(guest_words[i])))
            return true;
    return false;
}

/* vim.vm.GuestOsIdentifier: the same words with "_" and "Guest" */
static bool guest_is_api(const char *s, char *room, size_t size)
{
    size_t n = strlen(s);

    if (n < 6 || n >= size || strcmp(s + n - 5, "Guest"))
        return false;
    snprintf(room, size, "%.*s", (int)(n - 5), s);
    for (char *c = room; *c; c++)
        if (*c == '_')
            *c = '-';
    return guest_is_vmware(room);
}

const char *vmx_guest(const char *guest, bool *exact)
{
    static char room[64];
    bool bits32;

    *exact = true;
    if (guest_is_vmware(guest))
        return guest;
    if (guest_is_api(guest, room, sizeof(room)))
        return room;
    *exact = false;
    bits32 = strcasestr(guest, "32") || strcasestr(guest, "i386") || strcasestr(guest, "x86)");
    for (size_t i = 0; i < LEN(guest_table); i++)
        if (strcasestr(guest, guest_table[i].has)) {
            snprintf(room, sizeof(room), "%s%s", guest_table[i].vmware,
                     guest_table[i].bits64 && !bits32 ? "-64" : "");
            return room;
        }
    return bits32 ? "other" : "other-64";
}
