/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/round.h"

static const char modern[] =
    "<?xml version=\"1.0\"?>\n"
    "<VirtualBox xmlns=\"http://www.virtualbox.org/\" version=\"1.19-linux\">\n"
    " <Machine uuid=\"{0d1e2f30-4152-6374-8596-a7b8c9dae0f1}\" name=\"web &amp; co\" "
    "OSType=\"Windows11_64\" snapshotFolder=\"Snapshots\" stateFile=\"Snapshots/x.sav\">\n"
    "  <Description>two\nlines</Description>\n"
    "  <MediaRegistry><HardDisks>"
    "<HardDisk uuid=\"{11111111-1111-1111-1111-111111111111}\" location=\"web.vdi\" "
    "format=\"VDI\" type=\"Normal\"><HardDisk uuid=\"{22222222-2222-2222-2222-222222222222}\" "
    "location=\"Snapshots/{2}.vdi\" format=\"VDI\"/></HardDisk>"
    "<HardDisk uuid=\"{33333333-3333-3333-3333-333333333333}\" "
    "location=\"C:\\vms\\web\\data.vmdk\" format=\"VMDK\" type=\"Immutable\"/></HardDisks>"
    "<DVDImages><Image uuid=\"{44444444-4444-4444-4444-444444444444}\" "
    "location=\"/opt/guest.iso\"/></DVDImages></MediaRegistry>\n"
    "  <ExtraData><ExtraDataItem name=\"GUI/X\" value=\"1\"/></ExtraData>\n"
    "  <Hardware><CPU count=\"4\"><PAE enabled=\"false\"/></CPU><Memory RAMSize=\"2048\"/>"
    "<Firmware type=\"EFI\"/><TrustedPlatformModule type=\"v2_0\" location=\"\"/>"
    "<Chipset type=\"ICH9\"/><Paravirt provider=\"KVM\"/>"
    "<Boot><Order position=\"1\" device=\"DVD\"/><Order position=\"2\" device=\"HardDisk\"/>"
    "</Boot><Display controller=\"VMSVGA\" VRAMSize=\"128\"/>"
    "<BIOS><NVRAM path=\"web.nvram\"/></BIOS>"
    "<Network><Adapter slot=\"0\" enabled=\"true\" MACAddress=\"080027AABBCC\" "
    "type=\"82540EM\"><NAT/></Adapter>"
    "<Adapter slot=\"1\" enabled=\"false\" type=\"Am79C973\"/>"
    "<Adapter slot=\"2\" enabled=\"true\" MACAddress=\"080027AABBCD\" cable=\"false\" "
    "type=\"virtio\"><DisabledModes><NAT/></DisabledModes>"
    "<InternalNetwork name=\"lab\"/></Adapter></Network>"
    "<UART><Port slot=\"1\" enabled=\"true\" IOBase=\"0x2f8\" IRQ=\"3\" hostMode=\"TCP\" "
    "path=\"2023\" server=\"true\"/></UART>"
    "<AudioAdapter controller=\"HDA\" driver=\"Pulse\" enabled=\"true\"/>"
    "<RTC localOrUTC=\"UTC\"/><SharedFolders><SharedFolder name=\"home\" hostPath=\"/home\"/>"
    "</SharedFolders><StorageControllers>"
    "<StorageController name=\"SATA\" type=\"AHCI\" PortCount=\"3\" useHostIOCache=\"false\">"
    "<AttachedDevice type=\"HardDisk\" hotpluggable=\"false\" port=\"0\" device=\"0\">"
    "<Image uuid=\"{22222222-2222-2222-2222-222222222222}\"/></AttachedDevice>"
    "<AttachedDevice type=\"HardDisk\" port=\"2\" device=\"0\">"
    "<Image uuid=\"{33333333-3333-3333-3333-333333333333}\"/></AttachedDevice>"
    "</StorageController><StorageController name=\"IDE\" type=\"PIIX4\">"
    "<AttachedDevice passthrough=\"false\" type=\"DVD\" port=\"1\" device=\"0\">"
    "<Image uuid=\"{44444444-4444-4444-4444-444444444444}\"/></AttachedDevice>"
    "<AttachedDevice type=\"DVD\" port=\"1\" device=\"1\"/>"
    "</StorageController></StorageControllers></Hardware>\n"
    " </Machine>\n</VirtualBox>\n";

static bool same_file(const char *one, const char *two)
{
    struct stat a, b;

    return one && !stat(one, &a) && !stat(two, &b) && a.st_ino == b.st_ino;
}

static void files_of_modern(void)
{
    mkdir(in_dir("Snapshots"), 0700);
    mkdir(in_dir("VDI"), 0700);
    store_bytes("web.vdi", "x", 1);
    store_bytes("Snapshots/{2}.vdi", "x", 1);
    store_bytes("data.vmdk", "x", 1);
}

static void machine_of_today(void)
{
    const struct desc_disk *k;

    files_of_modern();
    CHECK_EQ(open_text("web.vbox", modern), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "web & co");
    CHECK(d.has_uuid && d.uuid[0] == 0x0d && d.uuid[15] == 0xf1);
    CHECK_TEXT(d.annotation, "two\nlines");
    CHECK_TEXT(d.guest_os, "Windows11_64");
    CHECK_TEXT(d.persona, "kvm");
    CHECK_EQ(d.cpus, 4);
    CHECK_EQ(d.cores_per_socket, 4);
    CHECK_EQ(d.memory, 2048ull << 20);
    CHECK_EQ(d.firmware, DESC_EFI);
    CHECK(d.tpm);
    CHECK_TEXT(d.nvram, "web.nvram");
    CHECK_TEXT(d.machine, "q35");
    CHECK_TEXT(d.clock, "utc");
    CHECK_TEXT(d.display, "VMSVGA");
    CHECK_EQ(d.video_memory, 128u << 20);
    CHECK_TEXT(d.sound, "HDA");
    k = d.disks;
    CHECK_TEXT(k->source, "Snapshots/{2}.vdi");
    CHECK_TEXT(k->format, "vdi");
    CHECK_TEXT(k->parent, "web.vdi");
    CHECK(k->base && !k->base->base);
    CHECK(same_file(k->base->path, in_dir("web.vdi")));
    CHECK_EQ(k->boot, 2);
    k = k->next;
    CHECK_TEXT(k->source, "data.vmdk");
    CHECK_EQ(k->unit, 2);
    CHECK_EQ(k->mode, DESC_THROWAWAY);
    CHECK(has_note("disk1", "C:\\vms\\web\\data.vmdk"));
    k = k->next;
    CHECK_EQ(k->media, DESC_CDROM);
    CHECK_TEXT(k->controller, "ide0");
    CHECK_EQ(k->unit, 2);
    CHECK(!k->path);
    CHECK_TEXT(k->source, "/opt/guest.iso");
    CHECK_EQ(k->boot, 1);
    CHECK_EQ(k->next->unit, 3);
    CHECK(!k->next->source);
    CHECK(has_note("state", "starts anew"));
}

static void cards_and_ports(void)
{
    CHECK_EQ(open_text("web.vbox", modern), 0);
    CHECK_TEXT(d.nics->class, "e1000");
    CHECK_TEXT(d.nics->foreign, "82540EM");
    CHECK_TEXT(d.nics->network, "NAT");
    CHECK(d.nics->has_mac && d.nics->mac[5] == 0xcc && d.nics->connected);
    CHECK_TEXT(d.nics->next->class, "virtio_net");
    CHECK_TEXT(d.nics->next->network, "lab");
    CHECK(!d.nics->next->connected && !d.nics->next->next);
    CHECK_TEXT(d.ports->name, "serial0");
    CHECK_TEXT(d.ports->to, "tcp");
    CHECK_TEXT(d.ports->target, "2023");
    CHECK_TEXT(desc_extra(&d, "vbox", "Machine/Hardware/CPU/PAE"), "<PAE enabled=\"false\"/>");
    CHECK_TEXT(desc_extra(&d, "vbox", "Machine/Hardware/Network/Adapter[3]@slot"), "2");
    CHECK(desc_extra(&d, "vbox", "Machine/Hardware/Network/Adapter[2]") != NULL);
}

static void machine_of_2007(void)
{
    CHECK_EQ(open_text("old.xml",
                       "<VirtualBox xmlns='http://www.innotek.de/VirtualBox-settings' "
                       "version='1.2-windows'><Machine uuid='{0d1e2f30-4152-6374-8596-"
                       "a7b8c9dae0f1}' name='xp' OSType='winxp'><Hardware><Memory RAMSize='256'/>"
                       "<DVDDrive><Image uuid='{5}'/></DVDDrive><FloppyDrive enabled='true'/>"
                       "<Network><Adapter slot='0' enabled='true' MACAddress='08002779D6C0' "
                       "cable='true'><NAT/></Adapter></Network></Hardware><HardDiskAttachments>"
                       "<HardDiskAttachment hardDisk='{1}' bus='ide0' device='slave'/>"
                       "</HardDiskAttachments></Machine></VirtualBox>"),
             0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.disks->controller, "ide0");
    CHECK_EQ(d.disks->unit, 1);
    CHECK(!d.disks->source);
    CHECK(has_note("disk0", "no media registry"));

    store_bytes("VirtualBox.xml", "<VirtualBox><Global>", 20);
    CHECK_EQ(open_path(in_dir("old.xml")), (u64)-EBADMSG);
}

static void media_of_2007(void)
{
    static const char registry[] =
        "<VirtualBox version='1.2-windows'><Global><DiskRegistry><HardDisks>"
        "<HardDisk uuid='{1}' type='normal'><VirtualDiskImage filePath='VDI\\xp.vdi'/></HardDisk>"
        "</HardDisks><DVDImages><Image uuid='{5}' src='D:\\xp.iso'/></DVDImages></DiskRegistry>"
        "</Global></VirtualBox>";

    store_bytes("VirtualBox.xml", registry, sizeof(registry) - 1);
    store_bytes("VDI/xp.vdi", "x", 1);
    store_bytes("xp.iso", "x", 1);
    CHECK_EQ(open_path(in_dir("old.xml")), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.disks->source, "VDI/xp.vdi");
    CHECK(same_file(d.disks->path, in_dir("VDI/xp.vdi")));
    CHECK_TEXT(d.disks->next->source, "xp.iso");
    CHECK_EQ(d.disks->next->media, DESC_CDROM);
    CHECK_EQ(d.disks->next->next->media, DESC_FLOPPY);
    CHECK_EQ(open_path(in_dir("VirtualBox.xml")), (u64)-EBADMSG);
    CHECK(strstr(err.text, "describes no machine") != NULL);
    unlink(in_dir("VirtualBox.xml"));
}

static void refused_by_name(void)
{
    CHECK_EQ(open_text("x.vbox", "<VirtualBox version='1.19'><MachineEncrypted/></VirtualBox>"),
             (u64)-EOPNOTSUPP);
    CHECK(strstr(err.text, "MachineEncrypted") != NULL);
    CHECK_EQ(open_text("x.vbox", "<VirtualBox version='2.0'><Machine><Hardware/></Machine>"
                                 "</VirtualBox>"),
             (u64)-EOPNOTSUPP);
    CHECK_EQ(open_text("x.vbox",
                       "<VirtualBox version='1.16'><Machine><MediaRegistry><HardDisks><HardDisk "
                       "uuid='{1}' location='x.vdi'><Property name='CRYPT/KeyStore' value='x'/>"
                       "</HardDisk></HardDisks></MediaRegistry><Hardware/><StorageControllers>"
                       "<StorageController type='AHCI'><AttachedDevice type='HardDisk' port='0'>"
                       "<Image uuid='{1}'/></AttachedDevice></StorageController>"
                       "</StorageControllers></Machine></VirtualBox>"),
             (u64)-EOPNOTSUPP);
    CHECK(strstr(err.text, "CRYPT/KeyStore") != NULL);
}

static void snapshots_of_another_program(void)
{
    unsigned refused;
    const struct desc_snapshot *s;

    if (round_corpus("vbox/libvirt/2disks-3snap-brother.vbox", "vbox", "again.vbox", &refused) != 1)
        return;
    CHECK_TEXT(d.disks->source, "/home/libvirt/vbox/74864f52-a7b7-4172-a7a5-54b6f3e9cd21/"
                                "Snapshots/{f79158b5-258d-4afa-a0ad-2e7c113da30c}.vdi");
    CHECK(d.disks->base && d.disks->base->base && d.disks->base->base->base);
    CHECK(strstr(d.disks->base->base->base->source, "libvirtTest-disk1.vdi") != NULL);
    CHECK_TEXT(d.disks->controller, "ide0");
    CHECK_EQ(d.disks->next->unit, 1);
    CHECK_EQ(d.memory, 192u << 20);
    CHECK_TEXT(d.nics->network, "hns0000000v");
    s = d.snapshots;
    CHECK_TEXT(s->name, "15052014-115228");
    CHECK(!s->parent);
    CHECK_TEXT(s->time, "2014-05-15T09:52:29Z");
    CHECK_TEXT(s->next->parent, s->id);
    CHECK_TEXT(s->next->next->parent, s->next->id);
    CHECK_TEXT(s->next->next->next->parent, s->next->id);
    CHECK(s->next->next->next->current && !s->current);
    CHECK(!s->next->next->next->next);
}

static void there_and_back(void)
{
    unlink(in_dir("web.vdi"));
    unlink(in_dir("Snapshots/{2}.vdi"));
    unlink(in_dir("data.vmdk"));
    CHECK_EQ(open_text("web.vbox", modern), 0);
    CHECK_EQ(round_trip("modern", "vbox", "web2.vbox"), 0);
    CHECK(!run("xmllint --noout web2.vbox"));
    CHECK_EQ(round_trip("modern again", "vbox", "web3.vbox"), 0);
    CHECK(!run("cmp web2.vbox web3.vbox"));
}

static const char small[] =
    "<VirtualBox xmlns='http://www.virtualbox.org/' version='1.16-linux'><Machine uuid="
    "'{0d1e2f30-4152-6374-8596-a7b8c9dae0f1}' name='small' currentSnapshot='{5}'><MediaRegistry>"
    "<HardDisks><HardDisk uuid='{1}' location='data.img' format='RAW' type='Immutable'/>"
    "<HardDisk uuid='{6}' location='other.img' format='RAW'/></HardDisks>"
    "</MediaRegistry><Hardware><Memory RAMSize='64'/></Hardware><StorageControllers>"
    "<StorageController name='a' type='LsiLogic'><AttachedDevice type='HardDisk' port='3' "
    "device='0'><Image uuid='{1}'/></AttachedDevice></StorageController></StorageControllers>"
    "<Snapshot uuid='{5}' name='s'/></Machine></VirtualBox>";

static int write_to(const char *name, bool no_disks)
{
    struct package_options o = { .format = "vbox",
                                 .no_disks = no_disks,
                                 .disk_format = no_disks ? NULL : "qcow2" };
    int r;

    unlink(in_dir(name));
    err = (struct err){ 0 };
    notes_fini(&notes);
    r = package_write(in_dir(name), &o, &d, &notes, &err);
    CHECK_TEXT(err.text, "");
    return r ? r : open_path(in_dir(name));
}

/* Left where they are, the disks keep their registry; converted, they are new ones. */
static void disks_go_along(void)
{
    static const u8 zeroes[65536];

    store_bytes("data.img", zeroes, sizeof(zeroes));
    CHECK_EQ(open_text("small.vbox", small), 0);
    CHECK_EQ(write_to("stay.vbox", true), 0);
    CHECK(same_file(d.disks->path, in_dir("data.img")));
    CHECK_EQ(d.disks->mode, DESC_THROWAWAY);
    CHECK_EQ(d.disks->unit, 3);
    CHECK_TEXT(d.snapshots->name, "s");
    CHECK(strstr(desc_extra(&d, "vbox", "Machine/MediaRegistry"), "other.img") != NULL);

    CHECK_EQ(open_text("small.vbox", small), 0);
    CHECK_EQ(write_to("new.vbox", false), 0);
    CHECK(d.disks->path && strstr(d.disks->path, "new-disk0.qcow2"));
    CHECK_EQ(d.disks->mode, DESC_THROWAWAY);
    CHECK(!d.snapshots && !desc_extra(&d, "vbox", "Machine@currentSnapshot"));
    CHECK(!strstr(desc_extra(&d, "vbox", "Machine/MediaRegistry"), "other.img"));
    CHECK(!run("xmllint --noout new.vbox"));
}

/* What VirtualBox never wrote: it gets all that a machine of its own needs. */
static void machine_of_another_product(void)
{
    static const u8 zeroes[65536];
    struct package_options o = { .disk_format = "qcow2" };

    store_bytes("a.img", zeroes, sizeof(zeroes));
    CHECK_EQ(open_text("a.vmx", "displayName = \"a\"\nmemsize = \"64\"\nscsi0.present = "
                                "\"TRUE\"\nscsi0.virtualDev = \"lsilogic\"\nscsi0:0.fileName = "
                                "\"a.img\"\nethernet0.present = \"TRUE\"\n"
                                "ethernet0.virtualDev = \"vmxnet3\"\nfirmware = \"efi\"\n"),
             0);
    notes_fini(&notes);
    CHECK_EQ(package_write(in_dir("fromvmx.vbox"), &o, &d, &notes, &err), 0);
    CHECK_TEXT(err.text, "");
    CHECK(has_note("nic0", "becomes an Intel E1000"));
    CHECK_EQ(open_path(in_dir("fromvmx.vbox")), 0);
    CHECK_TEXT(d.name, "a");
    CHECK_EQ(d.firmware, DESC_EFI);
    CHECK_TEXT(d.nics->foreign, "82540EM");
    CHECK_TEXT(d.nics->network, "NAT");
    CHECK_TEXT(d.devices->foreign, "LsiLogic");
    CHECK(d.disks->path && strstr(d.disks->path, "fromvmx-disk0.qcow2"));
    CHECK_TEXT(desc_extra(&d, "vbox", "Machine/StorageControllers/StorageController@name"), "SCSI");
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(machine_of_today);
    CASE(cards_and_ports);
    CASE(machine_of_2007);
    CASE(media_of_2007);
    CASE(refused_by_name);
    CASE(there_and_back);
    CASE(disks_go_along);
    CASE(machine_of_another_product);
    CASE(snapshots_of_another_program);
    done_all();
    return scratch_end();
}
