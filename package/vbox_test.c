/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "package/virt_test.h"

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

static void files_of_modern(void)
{
    store("web.vdi", "x", 1);
    store("Snapshots/{2}.vdi", "x", 1);
    store("data.vmdk", "x", 1);
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
    CHECK(same_file(k->base->path, at("web.vdi")));
    CHECK_EQ(k->boot, 2);
    k = k->next;
    CHECK_TEXT(k->source, "data.vmdk");
    CHECK_EQ(k->unit, 2);
    CHECK_EQ(k->mode, DESC_THROWAWAY);
    CHECK(noted(NOTE_CHANGED, "disk1", "C:\\vms\\web\\data.vmdk"));
    k = k->next;
    CHECK_EQ(k->media, DESC_CDROM);
    CHECK_TEXT(k->controller, "ide0");
    CHECK_EQ(k->unit, 2);
    CHECK(!k->path);
    CHECK_TEXT(k->source, "/opt/guest.iso");
    CHECK_EQ(k->boot, 1);
    CHECK_EQ(k->next->unit, 3);
    CHECK(!k->next->source);
    CHECK(noted(NOTE_LOST, "state", "starts anew"));
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
    CHECK(noted(NOTE_LOST, "disk0", "no media registry"));

    store("VirtualBox.xml", "<VirtualBox><Global>", 20);
    CHECK_EQ(open_into(&d, at("old.xml")), (u64)-EBADMSG);
}

static void media_of_2007(void)
{
    static const char registry[] =
        "<VirtualBox version='1.2-windows'><Global><DiskRegistry><HardDisks>"
        "<HardDisk uuid='{1}' type='normal'><VirtualDiskImage filePath='VDI\\xp.vdi'/></HardDisk>"
        "</HardDisks><DVDImages><Image uuid='{5}' src='D:\\xp.iso'/></DVDImages></DiskRegistry>"
        "</Global></VirtualBox>";

    store("VirtualBox.xml", registry, sizeof(registry) - 1);
    store("VDI/xp.vdi", "x", 1);
    store("xp.iso", "x", 1);
    CHECK_EQ(open_into(&d, at("old.xml")), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.disks->source, "VDI/xp.vdi");
    CHECK(same_file(d.disks->path, at("VDI/xp.vdi")));
    CHECK_TEXT(d.disks->next->source, "xp.iso");
    CHECK_EQ(d.disks->next->media, DESC_CDROM);
    CHECK_EQ(d.disks->next->next->media, DESC_FLOPPY);
    CHECK_EQ(open_into(&d, at("VirtualBox.xml")), (u64)-EBADMSG);
    CHECK(strstr(err.text, "describes no machine") != NULL);
    unlink(at("VirtualBox.xml"));
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
    const char *path = corpus("vbox/libvirt/2disks-3snap-brother.vbox");
    const struct desc_snapshot *s;

    if (!path)
        return;
    CHECK_EQ(open_into(&d, path), 0);
    CHECK_TEXT(err.text, "");
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

int main(void)
{
    CHECK(mkdtemp(dir) != NULL);
    CASE(machine_of_today);
    CASE(cards_and_ports);
    CASE(machine_of_2007);
    CASE(media_of_2007);
    CASE(refused_by_name);
    CASE(snapshots_of_another_program);
    virt_end();
    return check_end();
}
