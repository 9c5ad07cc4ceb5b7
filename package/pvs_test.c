/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/round.h"

static const char machine[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<ParallelsVirtualMachine schemaVersion=\"1.0\" dyn_lists=\"VirtualAppliance 0\">"
    "<AppVersion>13.1</AppVersion><Identification dyn_lists=\"\">"
    "<VmUuid>{0d1e2f30-4152-6374-8596-a7b8c9dae0f1}</VmUuid><VmName>web</VmName></Identification>"
    "<Settings><General><OsType>9</OsType><VmDescription>about</VmDescription></General><Startup>"
    "<BootingOrder dyn_lists=\"BootDevice 2\">"
    "<BootDevice id=\"0\"><Index>0</Index><Type>5</Type><BootingNumber>1</BootingNumber>"
    "<InUse>1</InUse></BootDevice><BootDevice id=\"1\"><Index>1</Index><Type>6</Type>"
    "<BootingNumber>2</BootingNumber><InUse>1</InUse></BootDevice></BootingOrder><Bios>"
    "<EfiEnabled>1</EfiEnabled></Bios></Startup></Settings><Hardware dyn_lists=\"Hdd 2\">"
    "<Cpu><Number>4</Number><Mode>1</Mode></Cpu><Memory><RAM>1024</RAM></Memory>"
    "<Video><VideoMemorySize>64</VideoMemorySize></Video>"
    "<CdRom id=\"0\"><Enabled>1</Enabled><Connected>1</Connected><EmulatedType>1</EmulatedType>"
    "<SystemName>/isos/a.iso</SystemName><InterfaceType>2</InterfaceType><StackIndex>1</StackIndex>"
    "</CdRom><CdRom id=\"1\"><Enabled>0</Enabled></CdRom>"
    "<Hdd id=\"0\"><Enabled>1</Enabled><EmulatedType>1</EmulatedType>"
    "<SystemName>/Users/u/Parallels/web.pvm/web.hdd</SystemName><InterfaceType>2</InterfaceType>"
    "<StackIndex>0</StackIndex><Size>1</Size><Splitted>0</Splitted></Hdd>"
    "<Hdd id=\"1\"><Enabled>1</Enabled><EmulatedType>1</EmulatedType>"
    "<SystemName>data.hdd</SystemName><InterfaceType>1</InterfaceType><StackIndex>3</StackIndex>"
    "<SubType>2</SubType></Hdd>"
    "<Serial id=\"0\"><Enabled>1</Enabled><EmulatedType>3</EmulatedType>"
    "<SystemName>/tmp/sock</SystemName></Serial>"
    "<NetworkAdapter id=\"0\"><Enabled>1</Enabled><Connected>1</Connected>"
    "<EmulatedType>2</EmulatedType><MAC>001C42AABBCC</MAC><AdapterType>2</AdapterType>"
    "<VirtualNetworkID>Bridged</VirtualNetworkID></NetworkAdapter>"
    "<Sound><Enabled>1</Enabled></Sound></Hardware></ParallelsVirtualMachine>\n";

static void a_machine(void)
{
    mkdir(in_dir("web.hdd"), 0700);
    store_bytes("web.hdd/DiskDescriptor.xml", "x", 1);
    CHECK_EQ(open_text("config.pvs", machine), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "web");
    CHECK_TEXT(d.annotation, "about");
    CHECK(d.has_uuid && d.uuid[15] == 0xf1);
    CHECK_EQ(d.memory, 1024u << 20);
    CHECK_EQ(d.cpus, 4);
    CHECK_EQ(d.firmware, DESC_EFI);
    CHECK_TEXT(d.persona, "parallels");
    CHECK_TEXT(d.disks->source, "web.hdd/DiskDescriptor.xml");
    CHECK_TEXT(d.disks->controller, "sata0");
    CHECK_EQ(d.disks->capacity, 1u << 20);
    CHECK(d.disks->path && !d.disks->boot);
    CHECK_TEXT(d.disks->next->source, "data.hdd");
    CHECK_TEXT(desc_device(&d, "scsi0")->class, "lsisas1068");
    CHECK_EQ(d.disks->next->unit, 3);
    CHECK_EQ(d.disks->next->boot, 2);
    CHECK_EQ(d.disks->next->next->media, DESC_CDROM);
    CHECK_EQ(d.disks->next->next->boot, 1);
    CHECK_TEXT(d.disks->next->next->source, "/isos/a.iso");
    CHECK(!d.disks->next->next->next);
    CHECK_TEXT(d.nics->class, "e1000");
    CHECK_TEXT(d.nics->network, "Bridged");
    CHECK_EQ(d.nics->mac[5], 0xcc);
    CHECK_TEXT(d.ports->to, "unix");
    CHECK_TEXT(d.ports->target, "/tmp/sock");
    CHECK_TEXT(d.sound, "ac97");
    unlink(in_dir("web.hdd/DiskDescriptor.xml"));
}

static void there_and_back(void)
{
    unsigned refused;

    CHECK_EQ(open_text("config.pvs", machine), 0);
    CHECK_EQ(round_trip("machine", "pvs", "again.pvs"), 0);
    CHECK(!run("xmllint --noout again.pvs"));
    CHECK_EQ(round_trip("machine again", "pvs", "third.pvs"), 0);
    CHECK(!run("cmp again.pvs third.pvs"));
    CHECK(round_corpus("parallels/config.pvs", "pvs", "corpus.pvs", &refused) == 1 ||
          check_skipped);
}

static void snapshots(void)
{
    static const char tree[] =
        "<ParallelsSavedStates><SavedStateItem guid=\"\"><SavedStateItem guid=\"{1}\"><Name>one"
        "</Name><DateTime>2020-01-01 10:00:00</DateTime><SavedStateItem guid=\"{2}\" "
        "current=\"yes\"><Name>two</Name></SavedStateItem></SavedStateItem></SavedStateItem>"
        "</ParallelsSavedStates>";

    store_bytes("Snapshots.xml", tree, sizeof(tree) - 1);
    CHECK_EQ(open_text("config.pvs", machine), 0);
    CHECK_TEXT(d.snapshots->name, "one");
    CHECK_TEXT(d.snapshots->next->parent, "{1}");
    CHECK(d.snapshots->next->current && !d.snapshots->next->next);
    unlink(in_dir("Snapshots.xml"));
}

/* A directory of Parallels' own kind, with the disk as a bundle */
static void a_directory_is_made(void)
{
    static u8 bytes[3 << 20];
    struct package_options o = { .verify = true };
    struct image *im;

    memset(bytes + (1 << 20), 0x5a, 4096);
    store_bytes("a.img", bytes, sizeof(bytes));
    CHECK_EQ(open_text("a.vmx", "displayName = \"a\"\nmemsize = \"64\"\nscsi0.present = \"TRUE\"\n"
                                "scsi0.virtualDev = \"lsilogic\"\nscsi0:0.fileName = \"a.img\"\n"
                                "ethernet0.present = \"TRUE\"\n"),
             0);
    CHECK_EQ(package_write(in_dir("a.pvm"), &o, &d, &notes, &err), 0);
    CHECK_TEXT(err.text, "");
    CHECK(!run("test -f a.pvm/config.pvs -a -f a.pvm/a-disk0.hdd/DiskDescriptor.xml"));
    CHECK_EQ(open_path(in_dir("a.pvm")), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "a");
    CHECK_TEXT(desc_device(&d, "scsi0")->class, "lsilogic");
    CHECK_TEXT(d.disks->source, "a-disk0.hdd/DiskDescriptor.xml");
    im = open_it("a.pvm/a-disk0.hdd/DiskDescriptor.xml", 0);
    CHECK(im && same(im, bytes, sizeof(bytes)));
    if (im)
        image_close(im, NULL);
}

static void refused_by_name(void)
{
    CHECK_EQ(open_text("x.pvs", "<ParallelsVirtualMachine><Settings><VmEncryptionInfo><Enabled>1"
                                "</Enabled></VmEncryptionInfo></Settings><Hardware/>"
                                "</ParallelsVirtualMachine>"),
             (u64)-EOPNOTSUPP);
    CHECK(strstr(err.text, "VmEncryptionInfo") != NULL);
    CHECK_EQ(open_text("x.pvs", "<ParallelsVirtualMachine/>"), (u64)-EBADMSG);
    CHECK_EQ(open_text("x.pvs", "<ParallelsVirtualMachine><Hardware><Hdd><InterfaceType>99"
                                "</InterfaceType></Hdd></Hardware></ParallelsVirtualMachine>"),
             (u64)-EBADMSG);
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(a_machine);
    CASE(there_and_back);
    CASE(snapshots);
    CASE(a_directory_is_made);
    CASE(refused_by_name);
    done_all();
    return scratch_end();
}
