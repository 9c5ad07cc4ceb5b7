/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/round.h"

#define TEXT(name, value) "<" name " type=\"string\">" value "</" name ">"
#define NUMBER(name, value) "<" name " type=\"integer\">" value "</" name ">"
#define BOOL(name, value) "<" name " type=\"bool\">" value "</" name ">"

static const char machine[] =
    "<?xml version=\"1.0\" encoding=\"utf-16\" standalone=\"yes\"?><configuration>"
    "<_55225880-49c0-4438-9ce2-5a01402fd8cb_>" TEXT(
        "ChannelInstanceGuid",
        "{b57a8519}") "<Connection>" TEXT("AltSwitchName",
                                          "External") "</Connection>" BOOL("IsConnected", "True")
        TEXT(
            "MacAddress",
            "00-15-5D-01-07-DC") "</_55225880-49c0-4438-9ce2-5a01402fd8cb_>"
                                 "<_66225880-49c0-4438-9ce2-5a01402fd8cb_>" TEXT(
                                     "MacAddress", "00-00-00-00-00-00")
                                     TEXT(
                                         "SwitchName",
                                         "lan") "</_66225880-49c0-4438-9ce2-5a01402fd8cb_>"
                                                "<_83f8638b-8dca-4152-9eda-2ca8b33039b4_"
                                                ">" NUMBER(
                                                    "VDEVVersion",
                                                    "1280") "<controller0><drive0>" TEXT("pathn"
                                                                                         "ame",
                                                                                         "C:"
                                                                                         "\\VMs"
                                                                                         "\\web"
                                                                                         "\\web"
                                                                                         ".vhd")
                                                    TEXT(
                                                        "type", "VHD") "</"
                                                                       "drive0><drive1>" TEXT(
                                                                           "pathname",
                                                                           "") TEXT("type",
                                                                                    "NONE") "</"
                                                                                            "drive1"
                                                                                            "></"
                                                                                            "contro"
                                                                                            "ller0>"
                                                                                            "<contr"
                                                                                            "oller1"
                                                                                            "><"
                                                                                            "drive0"
                                                                                            ">" TEXT("pathname", "") TEXT("type", "ISO") "</drive0></controller1>"
                                                                                                                                         "</_83f8638b-8dca-4152-9eda-2ca8b33039b4_>"
                                                                                                                                         "<_8e3a359f-559a-4b6a-98a9-1690a6100ed7_><port0>" TEXT("connection", "\\\\.\\pipe\\com1") "</port0></_8e3a359f-559a-4b6a-98a9-1690a6100ed7_>"
                                                                                                                                                                                                                                   "<_8f0d2762-0b00-4e04-af4f-19010527cb93_><controller0><drive0>" TEXT("pathname", "") TEXT("type",
                                                                                                                                                                                                                                                                                                                             "VFD") "</drive0></controller0></_8f0d2762-0b00-4e04-af4f-19010527cb93_>"
                                                                                                                                                                                                                                                                                                                                    "<_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_>" TEXT("bios_guid",
                                                                                                                                                                                                                                                                                                                                                                                    "{7FFEE066-9755-4950-9A16-4C94AC67AD00}") "<boot>" TEXT("device0",
                                                                                                                                                                                                                                                                                                                                                                                                                                            "Optical") TEXT("device1",
                                                                                                                                                                                                                                                                                                                                                                                                                                                            "HardDrive") TEXT("device2",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                              "Network") "</boot>" BOOL("secure_boot_enabled", "False") "</_ac6b8dc1-3257-4a70-b1b2-a9c9215659ad_>"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        "<_d7a36e9b-9256-4f0d-be2c-3a13887f7b03_><controller0><drive0>" TEXT(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "pathname",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "D:\\data_1.avhdx")
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            TEXT(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                "type", "VHD") "</drive0><drive3>" TEXT("pathname", "D:\\other.vhdx") TEXT("type", "VHD") "</drive3></controller0>"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          "</_d7a36e9b-9256-4f0d-be2c-3a13887f7b03_>"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          "<manifest><vdev012>" TEXT(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              "device", "2fc216b0-d2e2-4967-9b6d-b8a5c9ca2778") TEXT("instance", "55225880-49C0-4438-9CE2-5A01402FD8CB") "</vdev012><vdev013>" TEXT("device", "d422512d-2bf2-4752-809d-7b82b5fcb1b4") TEXT("instance", "D7A36E9B-9256-4F0D-BE2C-3A13887F7B03") "</vdev013></manifest>"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               "<properties>" TEXT("name",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                   "web")
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                   TEXT(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       "notes",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       "a note") NUMBER("subtype",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        "0")
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       NUMBER(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           "version",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           "1280") "</properties><settings><memory><bank>" BOOL("dynamic_memory_enabled",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                "True") NUMBER("size",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               "768") "</bank></memory><processors>" NUMBER("count",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "2") "</processors></settings></configuration>";

static const char *utf16(const char *name, const char *text)
{
    struct buf b = { 0 };

    CHECK_EQ(buf_add(&b, "\xff\xfe", 2), 0);
    for (; *text; text++)
        CHECK_EQ(buf_add(&b, (const char[]){ *text, 0 }, 2), 0);
    store_bytes(name, b.p, b.len);
    buf_fini(&b);
    return in_dir(name);
}

static void check_machine(void)
{
    const struct desc_disk *k = d.disks;

    CHECK_TEXT(d.name, "web");
    CHECK_TEXT(d.annotation, "a note");
    CHECK_TEXT(d.persona, "hyperv");
    CHECK_EQ(d.memory, 768u << 20);
    CHECK_EQ(d.cpus, 2);
    CHECK_EQ(d.firmware, DESC_BIOS);
    CHECK(d.has_uuid && d.uuid[0] == 0x7f && d.uuid[14] == 0xad);
    CHECK_TEXT(k->controller, "ide0");
    CHECK_EQ(k->unit, 0);
    CHECK_EQ(k->boot, 2);
    k = k->next;
    CHECK_EQ(k->media, DESC_CDROM);
    CHECK_EQ(k->unit, 2);
    CHECK_EQ(k->boot, 1);
    CHECK(!k->source);
    k = k->next;
    CHECK_TEXT(k->controller, "scsi0");
    CHECK_TEXT(desc_device(&d, "scsi0")->class, "storvsc");
    CHECK_EQ(k->next->unit, 3);
    CHECK_TEXT(k->next->source, "D:\\other.vhdx");
    CHECK(!k->next->path && !k->next->next);
    CHECK_TEXT(d.nics->class, "netvsc");
    CHECK_TEXT(d.nics->network, "External");
    CHECK(d.nics->has_mac && d.nics->mac[5] == 0xdc);
    CHECK_TEXT(d.nics->next->class, "tulip");
    CHECK(!d.nics->next->has_mac);
    CHECK_TEXT(d.nics->next->network, "lan");
    CHECK_TEXT(d.ports->to, "pipe");
    CHECK_TEXT(d.ports->target, "\\\\.\\pipe\\com1");
    CHECK(has_note("memory", "as needed"));
}

static void configuration(void)
{
    store_bytes("web.vhd", "x", 1);
    CHECK_EQ(open_path(utf16("box.xml", machine)), 0);
    CHECK_TEXT(err.text, "");
    check_machine();
    CHECK_TEXT(d.disks->source, "web.vhd");
    CHECK(has_note("disk0", "C:\\VMs\\web\\web.vhd"));
    CHECK_TEXT(desc_extra(&d, "hyperv", "_83f8638b-8dca-4152-9eda-2ca8b33039b4_/VDEVVersion"),
               "<VDEVVersion type=\"integer\">1280</VDEVVersion>");
    CHECK_EQ(open_text("plain.xml", machine), 0); /* bytes that call themselves UTF-16 */
    check_machine();
}

static void export_directory(void)
{
    mkdir(in_dir("out"), 0700);
    mkdir(in_dir("out/Virtual Machines"), 0700);
    mkdir(in_dir("out/Virtual Hard Disks"), 0700);
    mkdir(in_dir("out/Snapshots"), 0700);
    store_bytes("out/Virtual Hard Disks/web.vhd", "x", 1);
    store_bytes("out/Virtual Hard Disks/data_1.avhdx", "x", 1);
    utf16("out/Virtual Machines/7FFEE066.xml", machine);
    utf16("out/Snapshots/8FFEE066.xml", machine);
    CHECK_EQ(open_path(in_dir("out")), 0);
    CHECK_TEXT(err.text, "");
    check_machine();
    CHECK_TEXT(d.disks->source, "Virtual Hard Disks/web.vhd");
    CHECK(d.disks->path && !access(d.disks->path, R_OK));
    CHECK_TEXT(d.disks->next->next->source, "Virtual Hard Disks/data_1.avhdx");
    CHECK_EQ(open_path(in_dir("out/Virtual Machines/7FFEE066.xml")), 0);
    CHECK_TEXT(d.disks->source, "Virtual Hard Disks/web.vhd");
}

#define INSTANCE(class, properties)                                                                \
    "<VALUE.OBJECT><INSTANCE CLASSNAME=\"" class "\">" properties "</INSTANCE></VALUE.OBJECT>"
#define PROPERTY(name, value)                                                                      \
    "<PROPERTY NAME=\"" name "\" TYPE=\"string\"><VALUE>" value "</VALUE></PROPERTY>"
#define ID(id) PROPERTY("InstanceID", "Microsoft:7F\\" id)
#define PARENT(id)                                                                                 \
    PROPERTY("Parent", "\\\\HOST\\root\\virtualization:Msvm_ResourceAllocation"                    \
                       "SettingData.InstanceID=\"Microsoft:7F\\\\" id "\"")

static void export_of_2008(void)
{
    CHECK_EQ(
        open_path(utf16(
            "7F.exp",
            "<?xml version=\"1.0\"?><DECLARATIONS><DECLGROUP>" INSTANCE(
                "Msvm_VirtualSystemGlobalSettingData",
                PROPERTY("ElementName",
                         "old web")) INSTANCE("Msvm_VirtualSystemSettingData",
                                              PROPERTY("BIOSGUID",
                                                       "{7FFEE066-9755-4950-9A16-4C94AC67AD00}"))
                INSTANCE("Msvm_ProcessorSettingData", PROPERTY("VirtualQuantity", "2"))
                    INSTANCE("Msvm_MemorySettingData", PROPERTY("VirtualQuantity", "512")) INSTANCE(
                        "Msvm_ResourceAllocationSettingData",
                        ID("1") PROPERTY("ResourceSubType", "Microsoft Emulated IDE Controller")
                            PROPERTY("Address", "1")) INSTANCE("Msvm_ResourceAllocationSettingData",
                                                               ID("2") PARENT("1") PROPERTY(
                                                                   "ResourceSubType",
                                                                   "Microsoft Synthetic Disk Drive")
                                                                   PROPERTY("Address", "1"))
                        INSTANCE(
                            "Msvm_ResourceAllocationSettingData",
                            ID("3") PARENT("2") PROPERTY(
                                "ResourceSubType",
                                "Microsoft Virtual Hard Disk") "<PROPERTY.ARRAY "
                                                               "NAME=\"Connection\"><VALUE.ARRAY><"
                                                               "VALUE>C:\\x\\web.vhd</VALUE></"
                                                               "VALUE.ARRAY></PROPERTY.ARRAY>")
                            INSTANCE("Msvm_SyntheticEthernetPortSettingData",
                                     PROPERTY("Address",
                                              "00155D0107DC")) "</DECLGROUP></DECLARATIONS>")),
        0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "old web");
    CHECK_EQ(d.cpus, 2);
    CHECK_EQ(d.memory, 512u << 20);
    CHECK_TEXT(d.disks->source, "web.vhd");
    CHECK_EQ(d.disks->unit, 3);
    CHECK(!d.disks->next);
    CHECK(d.nics->has_mac && d.nics->mac[5] == 0xdc);
    CHECK_EQ(open_text("x.xml", "<configuration><a/></configuration>"), (u64)-EBADMSG);
    CHECK_EQ(open_text("x.xml", "<configuration><settings><memory><bank><size>many</size></bank>"
                                "</memory></settings></configuration>"),
             (u64)-EBADMSG);
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(configuration);
    CASE(export_directory);
    CASE(export_of_2008);
    done_all();
    return scratch_end();
}
