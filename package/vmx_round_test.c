/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMX there and back: what is written says the same as what was read. */
#include "tests/round.h"

static const char whole[] =
    ".encoding = \"UTF-8\"\nconfig.version = \"8\"\nvirtualHW.version = \"14\"\n"
    "displayName = \"a |22b|22 |7c |0A \xc3\xa4\"\nguestOS = \"debian10-64\"\nmemsize = \"1028\"\n"
    "numvcpus = \"4\"\ncpuid.coresPerSocket = \"2\"\nfirmware = \"efi\"\n"
    "uefi.secureBoot.enabled = \"TRUE\"\nmanagedVM.autoAddVTPM = \"software\"\n"
    "annotation = \"two|0Alines\"\nnvram = \"web.nvram\"\nsvga.vramSize = \"8388608\"\n"
    "rtc.diffFromUTC = \"0\"\nbios.bootOrder = \"cdrom,hdd,ethernet1\"\n"
    "uuid.bios = \"56 4d 00 01 02 03 04 05-06 07 08 09 0a 0b 0c 0d\"\n"
    "scsi1.present = \"TRUE\"\nscsi1.virtualDev = \"lsisas1068\"\nscsi1.pciSlotNumber = \"160\"\n"
    "scsi1:2.present = \"TRUE\"\nscsi1:2.fileName = \"none.vmdk\"\n"
    "scsi1:2.mode = \"independent-persistent\"\n"
    "scsi1:3.present = \"TRUE\"\nscsi1:3.fileName = \"none2.vmdk\"\n"
    "scsi1:3.mode = \"independent-nonpersistent\"\n"
    "sata0.present = \"TRUE\"\nsata0:1.present = \"TRUE\"\nsata0:1.deviceType = \"cdrom-image\"\n"
    "sata0:1.fileName = \"gone.iso\"\nsata0:1.startConnected = \"FALSE\"\n"
    "nvme0.present = \"TRUE\"\nnvme0:0.present = \"TRUE\"\nnvme0:0.fileName = \"n.vmdk\"\n"
    "ide1:1.present = \"TRUE\"\nide1:1.deviceType = \"atapi-cdrom\"\nide1:1.fileName = \"auto "
    "detect\"\n"
    "floppy0.fileType = \"device\"\nfloppy0.fileName = \"/dev/fd0\"\n"
    "ethernet1.present = \"TRUE\"\nethernet1.virtualDev = \"vmxnet3\"\n"
    "ethernet1.addressType = \"static\"\nethernet1.address = \"52:54:00:01:02:03\"\n"
    "ethernet1.networkName = \"VM Network\"\nethernet1.uptCompatibility = \"TRUE\"\n"
    "ethernet2.present = \"TRUE\"\nethernet2.connectionType = \"nat\"\n"
    "ethernet2.startConnected = \"FALSE\"\nethernet2.addressType = \"generated\"\n"
    "ethernet2.generatedAddress = \"00:0c:29:01:02:03\"\n"
    "serial0.present = \"TRUE\"\nserial0.fileType = \"network\"\n"
    "serial0.fileName = \"telnet://host:23\"\nserial0.network.endPoint = \"server\"\n"
    "serial1.present = \"TRUE\"\nserial1.fileType = \"file\"\nserial1.fileName = \"out.txt\"\n"
    "parallel0.present = \"TRUE\"\nparallel0.fileName = \"/dev/parport0\"\n"
    "sound.present = \"TRUE\"\nsound.virtualDev = \"hdaudio\"\nusb.present = \"TRUE\"\n"
    "ehci.present = \"TRUE\"\nusb_xhci.present = \"TRUE\"\nhpet0.present = \"TRUE\"\n"
    "pciBridge0.present = \"TRUE\"\npciBridge5.pciSlotNumber = \"22\"\n"
    "guestinfo.x = \"a = |22b|22 # no comment\"\n";

static void everything(void)
{
    CHECK_EQ(open_text("web.vmx", whole), 0);
    CHECK_TEXT(d.name, "a \"b\" | \n \xc3\xa4");
    CHECK(d.tpm && d.secure_boot && d.firmware == DESC_EFI);
    CHECK_TEXT(d.clock, "utc");
    CHECK_TEXT(d.sound, "hdaudio");
    CHECK_TEXT(d.devices->name, "scsi1");
    CHECK_EQ(d.disks->unit, 2);
    CHECK_TEXT(d.disks->source, "none.vmdk");
    CHECK_EQ(d.disks->boot, 2);
    CHECK_TEXT(d.nics->name, "nic1");
    CHECK_EQ(d.nics->boot, 3);
    CHECK_TEXT(d.nics->next->network, "nat");
    CHECK_TEXT(d.ports->to, "telnet");
    CHECK_TEXT(d.ports->target, "host:23");
    CHECK(desc_extra(&d, "vmx", "ethernet1.uptCompatibility"));
    CHECK(desc_extra(&d, "vmx", "scsi1:2.mode"));
    CHECK(!desc_extra(&d, "vmx", "scsi1:3.mode"));
    CHECK(!desc_extra(&d, "vmx", "displayName"));
    round_trip("everything", "vmx", "again.vmx");
    round_trip("twice", "vmx", "twice.vmx");
}

static void corpus(void)
{
    unsigned refused;

    CHECK_EQ(open_text("disk.vmdk", ""), (u64)-ENOENT);
    if (round_corpus("vmx/*/*.vmx", "vmx", "again.vmx", &refused))
        CHECK_EQ(refused, 0);
}

static void old_forms(void)
{
    CHECK_EQ(open_text("gsx.vmx", "config.version = 6\nmemsize = 64\nscsi0:0.present = TRUE\n"
                                  "scsi0:0.name = \"a\"\nscsi0:0.fileName = \"a.vmdk\"\n"
                                  "ide0:0.fileName = \"b.vmdk\"\nmemsize = 128 # twice\n"
                                  "floppy0.fileName = \"/dev/fd0\"\n"),
             0);
    CHECK_EQ(d.memory, 128 << 20);
    CHECK_TEXT(d.devices->name, "scsi0");
    CHECK_TEXT(d.disks->source, "a.vmdk");
    CHECK_TEXT(d.disks->next->controller, "ide0");
    CHECK_EQ(d.disks->next->next->media, DESC_FLOPPY);
    CHECK(has_note("gsx.vmx", "set again in line 7"));
    CHECK_TEXT(desc_extra(&d, "vmx", "config.version"), "6");
    round_trip("gsx", "vmx", "gsx2.vmx");
}

static void encodings(void)
{
    CHECK_EQ(open_text("e.vmx", ".encoding = \"windows-1252\"\ndisplayName = \"\xe4\x80\"\n"), 0);
    CHECK_TEXT(d.name, "\xc3\xa4\xe2\x82\xac");
    CHECK_EQ(open_text("e.vmx", ".encoding = \"GBK\"\ndisplayName = \"\xd6\xd0\"\n"), 0);
    CHECK_TEXT(d.name, "\xe4\xb8\xad");
    CHECK_EQ(open_text("e.vmx", "displayName = \"\xe4\"\n"), 0);
    CHECK_TEXT(d.name, "\xc3\xa4");
    CHECK(has_note("e.vmx", "Windows-1252"));
    CHECK_EQ(open_text("e.vmx", ".encoding = \"nonsense\"\ndisplayName = \"\xe4\"\n"), 0);
    CHECK_TEXT(d.name, "\xc3\xa4");
}

static void snapshots(void)
{
    static const char list[] =
        "snapshot.numSnapshots = \"2\"\nsnapshot.current = \"3\"\n"
        "snapshot0.uid = \"1\"\nsnapshot0.displayName = \"first\"\n"
        "snapshot0.createTimeHigh = \"355000\"\nsnapshot0.createTimeLow = \"-1000\"\n"
        "snapshot1.uid = \"3\"\nsnapshot1.parent = \"1\"\nsnapshot1.displayName = \"b\"\n"
        "snapshot1.description = \"about\"\n";

    store_bytes("s.vmsd", list, sizeof(list) - 1);
    CHECK_EQ(open_text("s.vmx", "memsize = 64\n"), 0);
    CHECK(d.snapshots && d.snapshots->next && !d.snapshots->next->next);
    CHECK_TEXT(d.snapshots->name, "first");
    CHECK(d.snapshots->time && !strncmp(d.snapshots->time, "2018-", 5));
    CHECK_TEXT(d.snapshots->next->parent, "1");
    CHECK(d.snapshots->next->current && !d.snapshots->current);
}

static void a_redo_log_is_the_newest_state(void)
{
    store_bytes("r.vmdk", "base", 4);
    store_bytes("r.vmdk.REDO_1", "delta", 5);
    CHECK_EQ(open_text("r.vmx", "scsi0:0.present = TRUE\nscsi0:0.fileName = \"r.vmdk\"\n"
                                "scsi0:0.redo = \"./r.vmdk.REDO_1\"\n"),
             0);
    CHECK_TEXT(d.disks->source, "r.vmdk.REDO_1");
    CHECK(d.disks->base);
    CHECK_TEXT(d.disks->base->source, "r.vmdk");
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(everything);
    CASE(corpus);
    CASE(old_forms);
    CASE(encodings);
    CASE(snapshots);
    CASE(a_redo_log_is_the_newest_state);
    done_all();
    return scratch_end();
}
