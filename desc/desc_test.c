/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "desc/desc.h"
#include "tests/check.h"
#include <errno.h>
#include <jansson.h>

static void small_vm(struct desc *d)
{
    struct desc_disk *k;

    desc_init(d);
    desc_add_device(d, "scsi0", "pvscsi")->foreign = "VirtualSCSI";
    k = desc_add_disk(d, "disk0", DESC_DISK);
    k->controller = "scsi0";
    k->capacity = 4096;
    desc_add_nic(d, "nic0", "vmxnet3");
}

static void defaults(void)
{
    struct desc d;

    desc_init(&d);
    CHECK_TEXT(d.persona, "auto");
    CHECK_EQ(d.cpus, 1);
    CHECK_EQ(d.memory, 1ull << 30);
    CHECK_EQ(desc_check(&d, NULL), 0);
    desc_fini(&d);
}

static void order_is_kept(void)
{
    struct desc d;

    small_vm(&d);
    desc_add_device(&d, "ide0", "ide");
    CHECK_TEXT(d.devices->name, "scsi0");
    CHECK_TEXT(d.devices->next->name, "ide0");
    CHECK(desc_device(&d, "ide0") == d.devices->next);
    CHECK(!desc_device(&d, "ide1"));
    CHECK_EQ(desc_check(&d, NULL), 0);
    desc_fini(&d);
}

static void nonsense_is_refused(void)
{
    struct err e = { 0 };
    struct desc d;

    small_vm(&d);
    d.disks->controller = "scsi9";
    CHECK_EQ(desc_check(&d, &e), (u64)-EINVAL);
    CHECK_TEXT(e.text, "disk0: there is no controller \"scsi9\"");
    d.disks->controller = "scsi0";
    desc_add_disk(&d, "disk1", DESC_DISK)->controller = "scsi0";
    CHECK_EQ(desc_check(&d, &e), (u64)-EINVAL);
    CHECK_TEXT(e.text, "disk0 and disk1: both are unit 0 of scsi0");
    d.disks->next->unit = 1;
    CHECK_EQ(desc_check(&d, &e), 0);
    desc_add_nic(&d, "disk1", "vmxnet3");
    CHECK_EQ(desc_check(&d, &e), (u64)-EINVAL);
    d.nics->next->name = "nic1";
    d.cores_per_socket = 2;
    CHECK_EQ(desc_check(&d, &e), (u64)-EINVAL);
    d.cores_per_socket = 1;
    d.memory = 5;
    CHECK_EQ(desc_check(&d, &e), (u64)-EINVAL);
    desc_fini(&d);
}

static void json_says_all(void)
{
    struct notes n = { 0 };
    struct buf b = { 0 };
    struct desc d;
    json_t *j;

    small_vm(&d);
    desc_add_extra(&d, "ovf", "key", "not utf-8: \xff");
    desc_add_setting(&d, d.devices, "rings", "4");
    d.has_uuid = true;
    d.uuid[15] = 0x42;
    note(&n, NOTE_LOST, "scsi0", "no %s", "luck");
    CHECK_EQ(desc_json(&d, &n, &b), 0);
    CHECK_EQ(buf_add(&b, "", 1), 0);
    j = json_loads((char *)b.p, 0, NULL);
    CHECK(j != NULL);
    CHECK_TEXT(json_string_value(json_object_get(j, "uuid")),
               "00000000-0000-0000-0000-000000000042");
    CHECK_EQ(json_array_size(json_object_get(j, "notes")), 1);
    CHECK_EQ(json_array_size(json_object_get(j, "disks")), 1);
    CHECK_TEXT(json_string_value(
                   json_object_get(json_array_get(json_object_get(j, "extras"), 0), "value")),
               "not utf-8: ?");
    json_decref(j);
    buf_fini(&b);
    notes_fini(&n);
    desc_fini(&d);
}

static void hostile_amounts_are_bounded(void)
{
    static char big[1 << 20];
    struct desc d;
    int i;

    memset(big, 'x', sizeof(big) - 1);
    desc_init(&d);
    for (i = 0; i < 1000 && !desc_add_extra(&d, "f", "k", big); i++)
        ;
    CHECK(i < 100);
    desc_fini(&d);
}

int main(void)
{
    CASE(defaults);
    CASE(order_is_kept);
    CASE(nonsense_is_refused);
    CASE(json_says_all);
    CASE(hostile_amounts_are_bounded);
    return check_end();
}
