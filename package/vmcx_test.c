/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files are made here after the layout: two tables of keys, one value in an object of its own. */
#include "base/bytes.h"
#include "package/vmcx_int.h"
#include "tests/round.h"
#include <isa-l/crc.h>

enum { LOG_AT = 0x3000, TABLE_AT = 0x5000, TABLE_SIZE = 0x1000, FILE_AT = 0x8000, SIZE = 0x9000 };

static u8 image[SIZE];
static u32 end[3]; /* of the tables, by index */

static u32 sum(const u8 *p, size_t n)
{
    return crc32_gzip_refl(0, p, n);
}

static u8 *table(unsigned index)
{
    return image + TABLE_AT + (index - 1) * TABLE_SIZE;
}

/* A key below another one; where it is in its table */
static u32 key(unsigned index, unsigned type, const char *name, unsigned parent, u32 parent_at,
               const void *value, u32 n)
{
    u32 at = end[index], size = KEY_HEADER + (u32)strlen(name) + 1 + n;
    u8 *k = table(index) + at;

    put_le16(k, (u16)type);
    put_le32(k + 2, size);
    put_le16(k + 6, (u16)parent);
    put_le32(k + 8, parent_at);
    k[20] = (u8)(strlen(name) + 1);
    strcpy((char *)k + KEY_HEADER, name);
    if (n)
        memcpy(k + KEY_HEADER + k[20], value, n);
    end[index] += size;
    return at;
}

static u32 node(unsigned index, const char *name, unsigned parent, u32 parent_at)
{
    return key(index, KEY_NODE, name, parent, parent_at, "\0\0\0\0\0\0\0\0\0\0\0", 12);
}

static void number(unsigned index, const char *name, u32 parent_at, u64 value)
{
    key(index, KEY_UINT, name, index, parent_at, &value, 8);
}

static u32 utf16(u8 *to, const char *text)
{
    u32 n = 0;

    for (; *text; text++, n += 2)
        put_le16(to + n, (u8)*text);
    return n;
}

static void string(unsigned index, const char *name, u32 parent_at, const char *text)
{
    u8 value[600];

    put_le32(value, utf16(value + 4, text));
    key(index, KEY_STRING, name, index, parent_at, value, 4 + le32(value));
}

static void header(u32 at, u16 sequence)
{
    u8 *h = image + at;

    put_le32(h, VMCX_MAGIC);
    put_le16(h + 8, sequence);
    put_le32(h + 10, VMCX_VERSION);
    put_le32(h + 22, 0x1000);
    put_le64(h + 26, LOG_AT);
    put_le64(h + 34, TABLE_AT - LOG_AT);
    put_le32(h + 42, 0x1000);
    put_le32(h + 4, 0);
    put_le32(h + 4, sum(h, VMCX_HEADER));
}

static void object(unsigned i, u8 kind, u64 at, u32 size)
{
    u8 *o = image + VMCX_OBJECTS + OBJECTS_HEADER + i * OBJECT_SIZE;

    o[0] = kind;
    put_le64(o + 5, at);
    put_le32(o + 13, size);
    o[17] = 1;
    put_le32(o + 1, sum(o, OBJECT_SIZE));
}

static u32 memory_at; /* of the value of settings/memory/bank/size */

static void keys(void)
{
    u32 top = node(1, "configuration", 0, 0), part, bank, one;
    u8 far[12];

    part = node(1, "properties", 1, top);
    string(1, "name", part, "new web");
    string(1, "type_id", part, "Virtual Machines");
    number(1, "subtype", part, 1);
    number(1, "version", part, 2304);
    put_le32(far, utf16(image + FILE_AT, "a long note"));
    put_le64(far + 4, FILE_AT);
    key(1, KEY_STRING | KEY_ELSEWHERE, "notes", 1, part, far, 12);
    part = node(1, "settings", 1, top);
    bank = node(1, "bank", 1, node(1, "memory", 1, part));
    number(1, "size", bank, 2048);
    memory_at = (u32)(table(1) - image) + end[1] - 8;
    number(1, "count", node(1, "processors", 1, part), 4);
    key(1, KEY_FREE, "gone", 1, part, "12345678", 8);
    part = node(2, "_d7a36e9b-9256-4f0d-be2c-3a13887f7b03_", 1, top);
    one = node(2, "drive0", 2, node(2, "controller0", 2, part));
    string(2, "pathname", one, "C:\\VMs\\Virtual Hard Disks\\web.vhdx");
    string(2, "type", one, "VHD");
    part = node(2, "manifest", 1, top);
    one = node(2, "vdev001", 2, part);
    string(2, "device", one, "d422512d-2bf2-4752-809d-7b82b5fcb1b4");
    string(2, "instance", one, "D7A36E9B-9256-4F0D-BE2C-3A13887F7B03");
    part = node(2, "_55225880-49c0-4438-9ce2-5a01402fd8cb_", 1, top);
    string(2, "MacAddress", part, "00-15-5D-01-07-DC");
    string(2, "ChannelInstanceGuid", part, "{b5}");
    key(2, KEY_BOOL, "IsConnected", 2, part, "\1\0\0\0", 4);
}

static void make(void)
{
    memset(image, 0, sizeof(image));
    header(0, 7);
    header(VMCX_SECOND, 6);
    put_le32(image + VMCX_OBJECTS, OBJECTS_MAGIC);
    put_le32(image + VMCX_OBJECTS + 4, 8);
    object(0, OBJECT_KEYS, TABLE_AT, TABLE_SIZE);
    object(1, OBJECT_KEYS, TABLE_AT + TABLE_SIZE, TABLE_SIZE);
    object(2, OBJECT_FILE, FILE_AT, 0x1000);
    put_le32(image + LOG_AT, LOG_MAGIC);
    put_le32(image + LOG_AT + 13, 16);
    for (unsigned i = 1; i <= 2; i++) {
        put_le16(table(i), KEYS_MAGIC);
        put_le16(table(i) + 2, (u16)i);
        end[i] = KEYS_HEADER;
    }
    keys();
}

static int open_image(const char *name)
{
    store_bytes(name, image, sizeof(image));
    return open_path(in_dir(name));
}

static void tree_is_the_machine(void)
{
    make();
    CHECK_EQ(open_image("web.vmcx"), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "new web");
    CHECK_TEXT(d.annotation, "a long note");
    CHECK_EQ(d.memory, 2048ull << 20);
    CHECK_EQ(d.cpus, 4);
    CHECK_EQ(d.firmware, DESC_EFI);
    CHECK_TEXT(d.disks->controller, "scsi0");
    CHECK_TEXT(d.disks->source, "C:\\VMs\\Virtual Hard Disks\\web.vhdx");
    CHECK_TEXT(d.nics->class, "netvsc");
    CHECK(d.nics->connected && d.nics->mac[5] == 0xdc);
    CHECK_TEXT(desc_extra(&d, "vmcx", "properties/type_id"),
               "<type_id type=\"string\">Virtual Machines</type_id>");
}

static void export_directory(void)
{
    mkdir(in_dir("out"), 0700);
    mkdir(in_dir("out/Virtual Machines"), 0700);
    mkdir(in_dir("out/Virtual Hard Disks"), 0700);
    store_bytes("out/Virtual Hard Disks/web.vhdx", "x", 1);
    make();
    store_bytes("out/Virtual Machines/7F.vmrs", image, sizeof(image));
    CHECK_EQ(open_image("out/Virtual Machines/7F.vmcx"), 0);
    CHECK_EQ(open_path(in_dir("out")), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.disks->source, "Virtual Hard Disks/web.vhdx");
}

static void newer_header_counts(void)
{
    make();
    put_le64(image + 26, 1ull << 60);
    CHECK_EQ(open_image("web.vmcx"), 0); /* the first one's checksum is wrong now */
    make();
    put_le32(image, 0x12345678);
    store_bytes("web.vmcx", image, sizeof(image));
    CHECK(open_path(in_dir("web.vmcx")) != 0);
    make();
    put_le32(image + 10, 0x500);
    put_le32(image + 4, 0);
    put_le32(image + 4, sum(image, VMCX_HEADER));
    CHECK_EQ(open_image("web.vmcx"), (u64)-EOPNOTSUPP);
    CHECK(strstr(err.text, "0x500") != NULL);
}

static void log_is_carried_out(void)
{
    u8 *entry = image + LOG_AT + LOG_HEADER, *data = entry + 16 * LOG_ENTRY;

    make();
    put_le64(data, 1024);
    put_le32(image + LOG_AT + 8, 1);
    put_le64(entry, memory_at);
    put_le32(entry + 8, 8);
    put_le32(entry + 24, sum(data, 8));
    CHECK_EQ(open_image("web.vmcx"), 0);
    CHECK_TEXT(err.text, "");
    CHECK_EQ(d.memory, 1024ull << 20);
    CHECK(has_note("web.vmcx", "carried out"));
    data[0] ^= 1;
    CHECK_EQ(open_image("web.vmcx"), (u64)-EUCLEAN);
    CHECK(strstr(err.text, "was not closed") != NULL);
}

static void damage_is_refused(void)
{
    make();
    put_le32(image + VMCX_OBJECTS + 4, 0xffffffff);
    CHECK_EQ(open_image("web.vmcx"), (u64)-EBADMSG);
    make();
    put_le32(table(1) + KEYS_HEADER + 2, TABLE_SIZE);
    CHECK_EQ(open_image("web.vmcx"), (u64)-EBADMSG);
    make();
    put_le64(image + VMCX_OBJECTS + OBJECTS_HEADER + 5, ~0ull);
    CHECK_EQ(open_image("web.vmcx"), (u64)-EBADMSG);
    make(); /* a node that is its own parent hangs on nothing */
    put_le16(table(1) + KEYS_HEADER + 6, 1);
    put_le32(table(1) + KEYS_HEADER + 8, KEYS_HEADER);
    CHECK_EQ(open_image("web.vmcx"), (u64)-EBADMSG);
    CHECK(strstr(err.text, "configuration") != NULL);
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(tree_is_the_machine);
    CASE(export_directory);
    CASE(newer_header_counts);
    CASE(log_is_carried_out);
    CASE(damage_is_refused);
    done_all();
    return scratch_end();
}
