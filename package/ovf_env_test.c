/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The environment document and its CD image, judged by other readers of ISO 9660. */
#include "package/format.h"
#include "package/iso.h"
#include "package/ovf_env.h"
#include "tests/check.h"
#include <errno.h>
#include <unistd.h>

static char dir[] = "/tmp/mimic-env-XXXXXX";

static const char *at(const char *name)
{
    static char path[2][300];
    static unsigned turn;

    turn ^= 1;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
    return path[turn];
}

static void describe(struct desc *d)
{
    struct desc_property *p;

    desc_init(d);
    d->name = "web";
    p = desc_add_property(d, "ip", "10.0.0.1 <\"&>");
    p->class = "net";
    p->instance = "1";
    desc_add_property(d, "seed", "IyEvYmluL3NoCg==");
    desc_add_nic(d, "nic0", "vmxnet3");
    d->nics->has_mac = true;
    d->nics->mac[5] = 7;
    d->nics->network = "VM Network";
}

static void transports_are_words(void)
{
    struct desc d;

    describe(&d);
    CHECK_EQ(ovf_env_ways(&d), 0);
    desc_add_extra(&d, "ovf", "VirtualHardwareSection/@transport",
                   "http://x/y iso com.vmware.guestInfo");
    CHECK_EQ(ovf_env_ways(&d), OVF_ENV_ISO | OVF_ENV_GUESTINFO);
    desc_fini(&d);
    describe(&d);
    desc_add_extra(&d, "ovf", "VirtualHardwareSection/@transport", "isolated");
    CHECK_EQ(ovf_env_ways(&d), 0);
    desc_fini(&d);
}

static bool says(const char *command, const char *want)
{
    static char out[8192];
    FILE *f = popen(command, "r");
    size_t n = f ? fread(out, 1, sizeof(out) - 1, f) : 0;

    if (f)
        pclose(f);
    out[n] = 0;
    if (!strstr(out, want))
        printf("# %s: no \"%s\" in: %s\n", command, want, out);
    return strstr(out, want) != NULL;
}

static bool have(const char *tool)
{
    char command[100];

    snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", tool);
    return system(command) == 0;
}

static void other_readers_read_the_cd(void)
{
    struct err e = { 0 };
    char command[500];
    struct desc d;

    if (!have("isoinfo") || !have("xorriso")) {
        check_skip("isoinfo and xorriso are not installed");
        return;
    }
    describe(&d);
    CHECK(desc_add_device(&d, "ide0", "ide") != NULL);
    CHECK_EQ(ovf_env_attach(&d, &d, at("env.iso"), &e), 0);
    CHECK_TEXT(e.text, "");
    CHECK_EQ(d.disks->media, DESC_CDROM);
    CHECK_TEXT(d.disks->path, at("env.iso"));
    CHECK_EQ(desc_check(&d, &e), 0);
    CHECK_EQ(ovf_env_attach(&d, &d, at("env.iso"), &e), 0); /* again: another drive */
    CHECK(d.disks->next && !d.disks->next->next);
    snprintf(command, sizeof(command), "isoinfo -d -i %s", at("env.iso"));
    CHECK(says(command, "Volume id: OVF ENV\n"));
    CHECK(says(command, "Joliet with UCS level 3 found"));
    snprintf(command, sizeof(command), "isoinfo -J -f -i %s", at("env.iso"));
    CHECK(says(command, "/ovf-env.xml\n"));
    snprintf(command, sizeof(command), "isoinfo -J -x /ovf-env.xml -i %s", at("env.iso"));
    CHECK(says(command, "oe:key=\"net.ip.1\" oe:value=\"10.0.0.1 &lt;&quot;&amp;&gt;\""));
    snprintf(command, sizeof(command), "isoinfo -x '/OVF-ENV.XML;1' -i %s", at("env.iso"));
    CHECK(says(command, "ve:mac=\"00:00:00:00:00:07\" ve:network=\"VM Network\""));
    snprintf(command, sizeof(command), "xorriso -indev %s -find / 2>/dev/null", at("env.iso"));
    CHECK(says(command, "ovf-env.xml"));
    snprintf(command, sizeof(command), "xorriso -indev %s -toc 2>&1", at("env.iso"));
    CHECK(says(command, "OVF ENV"));
    desc_fini(&d);
}

static void what_is_printed_is_read(void)
{
    static const char azure[] =
        "<?xml version=\"1.0\"?><Environment xmlns=\"http://schemas.dmtf.org/ovf/environment/1\" "
        "xmlns:wa=\"http://schemas.microsoft.com/windowsazure\"><wa:ProvisioningSection>"
        "<wa:Version>1.0</wa:Version></wa:ProvisioningSection></Environment>";
    struct package_options o = { .no_disks = true, .format = "ovf-env" };
    struct notes n = { 0 };
    struct err e = { 0 };
    struct desc d, d2;
    FILE *f;

    describe(&d);
    CHECK_EQ(package_write(at("x.xml"), &o, &d, &n, &e), 0);
    CHECK_TEXT(e.text, "");
    desc_init(&d2);
    CHECK_EQ(package_open(at("x.xml"), &o, &d2, &n, &e), 0);
    CHECK_TEXT(e.text, "");
    CHECK_TEXT(d2.name, "web");
    CHECK_TEXT(d2.properties->key, "net.ip.1");
    CHECK_TEXT(d2.properties->value, "10.0.0.1 <\"&>");
    CHECK_TEXT(d2.nics->network, "VM Network");
    desc_fini(&d2);
    f = fopen(at("a.xml"), "we");
    CHECK(f && fputs(azure, f) >= 0);
    if (f)
        fclose(f);
    desc_init(&d2);
    CHECK_EQ(package_open(at("a.xml"), &o, &d2, &n, &e), 0);
    CHECK(desc_extra(&d2, "ovfenv", "ProvisioningSection") != NULL);
    CHECK_EQ(package_write(at("b.xml"), &o, &d2, &n, &e), 0);
    desc_fini(&d2);
    desc_init(&d2);
    CHECK_EQ(package_open(at("b.xml"), &o, &d2, &n, &e), 0);
    CHECK(strstr(desc_extra(&d2, "ovfenv", "ProvisioningSection"), "1.0<") != NULL);
    desc_fini(&d2);
    desc_fini(&d);
    notes_fini(&n);
}

static void limits_of_the_cd(void)
{
    struct iso_file files[ISO_FILES_MAX];
    static u8 data[5000];
    struct buf b = { 0 };

    for (u32 i = 0; i < LEN(files); i++)
        files[i] = (struct iso_file){ "abcdefghijklmnopqrstuvwxyz1.xm", data, i * 300 };
    CHECK_EQ(iso_make("A", files, LEN(files), &b), 0);
    CHECK_EQ(b.len % 2048, 0);
    buf_fini(&b);
    CHECK_EQ(iso_make("A", files, LEN(files) + 1, &b), (u64)-E2BIG);
    CHECK_EQ(iso_make("a label that is too long", files, 1, &b), (u64)-E2BIG);
    buf_fini(&b);
}

int main(void)
{
    char command[100];

    if (!mkdtemp(dir))
        return 1;
    CASE(transports_are_words);
    CASE(other_readers_read_the_cd);
    CASE(what_is_printed_is_read);
    CASE(limits_of_the_cd);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command) ? 1 : check_end();
}
