/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/round.h"

#define DRIVE(type, absolute, relative)                                                            \
    "<drive_type type='integer'>" type "</drive_type><pathname><absolute type='string'>" absolute  \
    "</absolute><relative type='string'>" relative "</relative></pathname>"

static const char machine[] =
    "<?xml version=\"1.0\" encoding=\"UTF-16\"?><!-- settings --><preferences>"
    "<version type='string'>2.0</version><hardware><memory><ram_size type='integer'>256</ram_size>"
    "</memory><bios><bios_guid type='string'>{0D1E2F30-4152-6374-8596-A7B8C9DAE0F1}</bios_guid>"
    "</bios><pci_bus><ide_adapter><ide_controller id='0'><location id='0'>" DRIVE(
        "1", "C:\\My Machines\\xp\\xp.vhd",
        ".\\xp.vhd") "<undo_pathname><absolute "
                     "type='string'>C:\\u.vud</absolute></undo_pathname></location>"
                     "<location id='1'>" DRIVE(
                         "0", "",
                         "") "</location></ide_controller><ide_controller id='1'>"
                             "<location id='0'>" DRIVE(
                                 "2", "D:\\a.iso",
                                 "") "</location></ide_controller></ide_adapter>"
                                     "<scsi_adapter><scsi_controller id='0'><location "
                                     "id='2'>" DRIVE(
                                         "1", "",
                                         "data.vhd") "</location></scsi_controller></"
                                                     "scsi_adapter><ethernet_adapter>"
                                                     "<controller_count "
                                                     "type='integer'>1</"
                                                     "controller_count><ethernet_controller id='0'>"
                                                     "<virtual_network><id "
                                                     "type='bytes'>AA</id><name "
                                                     "type='string'>lan</name></virtual_network>"
                                                     "<ethernet_card_address "
                                                     "type='bytes'>0003FFAABBCC</"
                                                     "ethernet_card_address>"
                                                     "</ethernet_controller><ethernet_controller "
                                                     "id='1'/></ethernet_adapter><video_adapter>"
                                                     "<vram_size "
                                                     "type='integer'>8</vram_size></"
                                                     "video_adapter></pci_bus></hardware>"
                                                     "<undo_drives><enabled "
                                                     "type='boolean'>true</enabled></undo_drives></"
                                                     "preferences>";

static void a_machine(void)
{
    store_bytes("xp.vhd", "x", 1);
    CHECK_EQ(open_text("Old XP.vmc", machine), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "Old XP");
    CHECK_EQ(d.memory, 256u << 20);
    CHECK_EQ(d.video_memory, 8u << 20);
    CHECK(d.has_uuid && d.uuid[0] == 0x0d);
    CHECK_TEXT(d.disks->source, "xp.vhd");
    CHECK(d.disks->path && d.disks->unit == 0);
    CHECK(has_note("disk0", "undo disk"));
    CHECK_EQ(d.disks->next->media, DESC_CDROM);
    CHECK_EQ(d.disks->next->unit, 2);
    CHECK_TEXT(d.disks->next->source, "D:\\a.iso");
    CHECK_TEXT(d.disks->next->next->controller, "scsi0");
    CHECK_EQ(d.disks->next->next->unit, 2);
    CHECK_TEXT(desc_device(&d, "scsi0")->class, "aic7870");
    CHECK_TEXT(d.nics->class, "tulip");
    CHECK_TEXT(d.nics->network, "lan");
    CHECK(d.nics->mac[5] == 0xcc && !d.nics->next);
    CHECK(desc_extra(&d, "vmc", "undo_drives") != NULL);
}

static void a_real_one(void)
{
    const char *corpus = check_corpus();
    char path[PATH_MAX + 100];

    if (!corpus)
        return;
    snprintf(path, sizeof(path), "%s/vmc/virtualpc.vmc", corpus);
    CHECK_EQ(open_path(path), 0);
    CHECK_TEXT(err.text, "");
    CHECK_EQ(d.memory, 650u << 20);
    CHECK_EQ(d.video_memory, 8u << 20);
    CHECK(d.nics->mac[0] == 0 && d.nics->mac[5] == 0x55 && !d.nics->next);
    CHECK_EQ(d.disks->media, DESC_CDROM);
    CHECK_EQ(d.disks->unit, 2);
    CHECK_TEXT(d.disks->next->source, "C:\\origen.vhd");
    CHECK_EQ(d.disks->next->unit, 0);
}

static void nonsense_is_refused(void)
{
    CHECK_EQ(open_text("x.vmc", "<preferences/>"), (u64)-EBADMSG);
    CHECK_EQ(open_text("x.vmc", "<other/>"), (u64)-EBADMSG);
    CHECK_EQ(open_text("x.vmc", "<preferences><hardware><memory><ram_size>-5</ram_size></memory>"
                                "</hardware></preferences>"),
             (u64)-EBADMSG);
    CHECK_EQ(open_text("x.vmc",
                       "<preferences><hardware><pci_bus><ide_adapter><ide_controller id='9'>"
                       "<location id='0'/></ide_controller></ide_adapter></pci_bus></hardware>"
                       "</preferences>"),
             (u64)-EBADMSG);
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(a_machine);
    CASE(a_real_one);
    CASE(nonsense_is_refused);
    done_all();
    return scratch_end();
}
