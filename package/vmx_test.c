/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "package/format.h"
#include "package/source.h"
#include "tests/check.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/dev/shm/mimic-vmx-XXXXXX";
static struct desc d;
static struct notes notes;
static struct err err;

static const char *store(const char *name, const char *text)
{
    static char path[200];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "we");
    CHECK(f && fputs(text, f) >= 0);
    if (f)
        fclose(f);
    return path;
}

static struct package_options options;

static int open_it(const char *text)
{
    struct package_options o = options;

    desc_fini(&d);
    notes_fini(&notes);
    desc_init(&d);
    err = (struct err){ 0 };
    return package_open(store("web.vmx", text), &o, &d, &notes, &err);
}

static void machine(void)
{
    CHECK_EQ(open_it("#!/usr/bin/vmware\n.encoding = \"UTF-8\"\r\nDisplayName = \"a |22b|22\"\r\n"
                     "MEMSIZE = 1024\nnumvcpus = \"4\"\ncpuid.coresPerSocket = \"2\"\n"
                     "virtualHW.version = \"13\"\nfirmware = \"efi\"\nguestOS=\"debian10-64\"\n"
                     "uuid.bios = \"56 4d 00 01 02 03 04 05-06 07 08 09 0a 0b 0c 0d\"\n"
                     "scsi0.present = \"TRUE\"\nscsi0.virtualDev = \"pvscsi\"\n"
                     "scsi0:1.present = \"TRUE\"\nscsi0:1.fileName = \"disk.vmdk\"\n"
                     "scsi0:1.mode = \"independent-nonpersistent\"\n"
                     "ide1:0.present = \"TRUE\"\nide1:0.deviceType = \"cdrom-raw\"\n"
                     "ide1:0.fileName = \"auto detect\"\n"
                     "ethernet0.present = \"TRUE\"\nethernet0.virtualDev = \"vmxnet3\"\n"
                     "ethernet0.pciSlotNumber = \"192\"\nscsi0.pciSlotNumber = \"-1\"\n"
                     "ethernet0.generatedAddress = \"00:0c:29:01:02:03\"\n"
                     "ethernet1.present = \"TRUE\"\nethernet2.present = \"FALSE\"\n"),
             0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "a \"b\"");
    CHECK_TEXT(d.persona, "vmware");
    CHECK_EQ(d.memory, 1ull << 30);
    CHECK_EQ(d.cpus, 4);
    CHECK_EQ(d.cores_per_socket, 2);
    CHECK_EQ(d.hardware_version, 13);
    CHECK_EQ(d.firmware, DESC_EFI);
    CHECK(d.has_uuid && d.uuid[0] == 0x56 && d.uuid[15] == 0x0d);
    CHECK_TEXT(d.devices->class, "pvscsi");
    CHECK_TEXT(d.disks->source, "disk.vmdk");
    CHECK_EQ(d.disks->unit, 1);
    CHECK_EQ(d.disks->mode, DESC_THROWAWAY);
    CHECK_EQ(d.disks->next->media, DESC_CDROM);
    CHECK_EQ(d.disks->next->unit, 2);
    CHECK(!d.disks->next->source);
    CHECK_TEXT(d.nics->class, "vmxnet3");
    CHECK_EQ(d.nics->mac[5], 3);
    CHECK_TEXT(d.nics->at, "slot.192");
    CHECK_TEXT(d.devices->at, "auto");
    CHECK_TEXT(d.nics->next->class, "pcnet");
    CHECK(!d.nics->next->next);
}

static void usb(void)
{
    CHECK_EQ(
        open_it("usb.present = \"TRUE\"\nehci.present = \"TRUE\"\nusb_xhci.present = \"TRUE\"\n"
                "usb_xhci.pciSlotNumber = \"35\"\nkeyboard.vusb.enable = \"TRUE\"\n"
                "usb:0.present = \"TRUE\"\nusb:0.deviceType = \"hid\"\n"),
        0);
    CHECK_TEXT(desc_device(&d, "usb0")->class, "uhci");
    CHECK_TEXT(desc_device(&d, "usb1")->class, "ehci");
    CHECK_TEXT(desc_device(&d, "usb2")->class, "xhci");
    CHECK_TEXT(desc_device(&d, "usb2")->at, "slot.35");
    CHECK_TEXT(desc_device(&d, "usbkeyboard0")->class, "usb_keyboard");
    CHECK(desc_device(&d, "usb0")->known && desc_device(&d, "usb2")->known);
}

static void names_of_other_hosts(void)
{
    CHECK_EQ(open_it("scsi0.present = \"TRUE\"\nscsi0:0.present = \"TRUE\"\n"
                     "scsi0:0.fileName = \"/vmfs/volumes/1234/web/disk.vmdk\"\n"),
             0);
    CHECK_TEXT(d.disks->source, "disk.vmdk");
    CHECK_EQ(open_it("scsi0.present = \"TRUE\"\nscsi0:0.present = \"TRUE\"\n"
                     "scsi0:0.fileName = \"[store 1] web/disk.vmdk\"\n"),
             0);
    CHECK_EQ(open_it("ide0:0.fileName = \"C:\\vm\\disk.vmdk\"\n"), 0);
    CHECK_TEXT(d.disks->controller, "ide0");
    CHECK_EQ(open_it("ide0:0.fileName = \"../../etc/passwd\"\n"), (u64)-EPERM);
}

static void mistakes_are_named(void)
{
    struct image *im;

    CHECK_EQ(open_it("scsi0.present = \"TRUE\"\nscsi0:0.present = \"TRUE\"\n"
                     "scsi0:0.fileName = \"none.vmdk\"\n"),
             0);
    CHECK_TEXT(d.disks->source, "none.vmdk");
    CHECK(!d.disks->path);
    CHECK_EQ(package_disk(d.disks, 0, &im, &err), (u64)-ENOENT);
    CHECK_TEXT(err.text, "disk0: its file \"none.vmdk\" is missing");
    CHECK_EQ(open_it("memsize = \"many\"\n"), (u64)-EBADMSG);
    CHECK_TEXT(err.text, "web.vmx: memsize: \"many\" is not a number up to 67108864");
    CHECK_EQ(open_it("encryption.keySafe = \"x\"\n"), (u64)-EOPNOTSUPP);
    CHECK_EQ(open_it("nothing\n"), (u64)-EBADMSG);
}

static bool noted(const char *text)
{
    for (const struct note *n = notes.first; n; n = n->next)
        if (strstr(n->text, text))
            return true;
    return false;
}

/* Whoever has it open, before a run and without one; what is no lock is none. */
static char discarded_file[300];
static bool discarded(void *arg, const char *file)
{
    (void)arg;
    snprintf(discarded_file, sizeof(discarded_file), "%s", file);
    return true;
}

static void as_vmware_left_it(void)
{
    static const char lock[] = "web.vmx.lck/M1.lck";
    char folder[200], member[200];

    snprintf(folder, sizeof(folder), "%s/web.vmx.lck", dir);
    snprintf(member, sizeof(member), "%s/%s", dir, lock);
    CHECK_EQ(mkdir(folder, 0700), 0);
    options.start = true;
    store(lock, "al\"p\033ha 50-7 0 X lc=1\n");
    CHECK_EQ(open_it("memsize = \"4\"\n"), (u64)-EBUSY);
    CHECK(strstr(err.text, "web.vmx.lck (process 50 on host \"al?p?ha\")") != NULL);
    options.ignore_locks = true;
    CHECK_EQ(open_it("memsize = \"4\"\n"), 0);
    CHECK(noted("process 50"));
    options = (struct package_options){ 0 };
    CHECK_EQ(open_it("checkpoint.vmState = \"web.vmss\"\n"), 0);
    CHECK(noted("process 50"));
    options.start = true;
    store(lock, "");
    CHECK_EQ(open_it("memsize = \"4\"\n"), (u64)-EBUSY);
    CHECK(strstr(err.text, "does not say who") != NULL);
    unlink(member);
    CHECK_EQ(open_it("memsize = \"4\"\n"), 0);
    CHECK_EQ(open_it("checkpoint.vmState = \"web.vmss\"\n"), (u64)-EBUSY);
    CHECK(strstr(err.text, "--discard-suspend") != NULL);
    options.discarded = discarded;
    CHECK_EQ(open_it("checkpoint.vmState = \"web.vmss\"\n"), 0);
    CHECK(strstr(discarded_file, "/web.vmss") != NULL && !noted("power failure"));
    options.discarded = NULL;
    CHECK_EQ(open_it("checkpoint.vmState = \"\"\n"), 0);
    CHECK_EQ(open_it("checkpoint.vmState = \"web-Snapshot1.vmsn\"\n"), 0);
    CHECK(noted("web-Snapshot1.vmsn"));
    options = (struct package_options){ 0 };
    rmdir(folder);
    CHECK_EQ(open_it("virtualHW.version = \"21\"\n"), 0);
    CHECK(!noted("not one of those"));
    CHECK_EQ(open_it("virtualHW.version = \"99\"\n"), 0);
    CHECK(noted("99 is not one of those"));
}

int main(void)
{
    static const char *const made[] = { "web.vmx", "disk.vmdk" };
    char path[200];

    if (!mkdtemp(dir))
        return 1;
    store("disk.vmdk", "x");
    CASE(machine);
    CASE(usb);
    CASE(names_of_other_hosts);
    CASE(mistakes_are_named);
    CASE(as_vmware_left_it);
    desc_fini(&d);
    notes_fini(&notes);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, made[i]);
        unlink(path);
    }
    rmdir(dir);
    return check_end();
}
