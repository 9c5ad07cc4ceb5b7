/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "package/proxmox_int.h"
#include "tests/round.h"

static const char *extra(const char *key)
{
    const char *s = desc_extra(&d, "proxmox", key);

    return s ? s : "(none)";
}

static void files_of_products(void)
{
    unsigned refused, n = round_corpus("proxmox/*.conf", "proxmox", "100.conf", &refused);

    if (check_skipped)
        return;
    CHECK(n >= 50);
    CHECK_EQ(refused, 0);
}

static void machine(void)
{
    store_bytes("vm-100-disk-0.qcow2", "x", 1);
    store_bytes("vm-100-disk-1.raw", "x", 1);
    CHECK_EQ(open_text("web.conf",
                       "#first%0Aline 100%25\n#second\nbios: ovmf\nboot: order=scsi9;ide2;net1\n"
                       "cores: 2\nsockets: 2\nmemory: 4096\nmachine: pc-q35-5.1\nname: web\n"
                       "efidisk0: local:100/vm-100-disk-7.qcow2,efitype=4m,pre-enrolled-keys=1,"
                       "size=528K\nide2: none,media=cdrom\nlocaltime: 1\nostype: win10\n"
                       "net1: e1000=12:34:56:78:90:12,bridge=vmbr1,firewall=1,link_down=1\n"
                       "scsi9: local:100/vm-100-disk-0.qcow2,discard=on,size=32G,serial=a%2Cb\n"
                       "scsi1: lvm:vm-100-disk-1,ro=1,size=1000K\nscsihw: lsi\n"
                       "virtio0: nfs:100/gone.vmdk,snapshot=1,size=4M\n"
                       "smbios1: uuid=01234567-890a-bcde-f012-34567890abcd,manufacturer=QQ==\n"
                       "tpmstate0: local:100/vm-100-disk-8.raw,size=4M,version=v2.0\n"
                       "vga: qxl,memory=32,clipboard=vnc\nserial0: socket\nserial1: /dev/ttyS0\n"
                       "audio0: device=ich9-intel-hda,driver=spice\nhostpci0: 0f:f2.0\n"
                       "parent: old\nunused0: local:100/vm-100-disk-9.qcow2\n\n[old]\n#was good\n"
                       "memory: 512\nsnaptime: 1234567890\n\n[PENDING]\nmemory: 1024\n"),
             0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "web");
    CHECK_TEXT(d.annotation, "first\nline 100%\nsecond");
    CHECK_EQ(d.cpus, 4);
    CHECK_EQ(d.cores_per_socket, 2);
    CHECK_EQ(d.memory, 4ull << 30);
    CHECK_EQ(d.firmware, DESC_EFI);
    CHECK(d.secure_boot && d.tpm);
    CHECK_TEXT(d.nvram, "local:100/vm-100-disk-7.qcow2");
    CHECK_TEXT(d.machine, "q35");
    CHECK_TEXT(d.clock, "localtime");
    CHECK_TEXT(d.guest_os, "win10");
    CHECK_TEXT(d.display, "qxl");
    CHECK_EQ(d.video_memory, 32 << 20);
    CHECK_TEXT(d.sound, "ich9-intel-hda");
    CHECK_TEXT(extra("vga"), "clipboard=vnc");
    CHECK_TEXT(extra("smbios1"), "manufacturer=QQ==");
    CHECK_TEXT(extra("machine"), "pc-q35-5.1");
    CHECK_EQ(d.uuid[15], 0xcd);
    CHECK_TEXT(d.snapshots->name, "old");
    CHECK_TEXT(d.snapshots->about, "was good");
    CHECK_TEXT(d.snapshots->time, "2009-02-13T23:31:30Z");
    CHECK(d.snapshots->current && !d.snapshots->next);
    CHECK_TEXT(extra("[PENDING]"), "memory: 1024\n");
    CHECK(has_note("hostpci0", "passed") && has_note("unused0", "stays"));
    CHECK_TEXT(d.ports->to, "socket");
    CHECK_TEXT(d.ports->next->target, "/dev/ttyS0");
}

static void drives(void)
{
    const struct desc_disk *cd = d.disks, *scsi1 = cd->next, *scsi9 = scsi1->next,
                           *virtio = scsi9->next;

    CHECK_EQ(cd->media, DESC_CDROM);
    CHECK(!cd->source);
    CHECK_EQ(cd->boot, 2);
    CHECK_TEXT(scsi1->source, "vm-100-disk-1.raw");
    CHECK_TEXT(scsi1->format, "raw");
    CHECK_EQ(scsi1->mode, DESC_READ);
    CHECK_EQ(scsi1->unit, 1);
    CHECK_EQ(scsi1->capacity, 1000 << 10);
    CHECK_TEXT(scsi9->source, "vm-100-disk-0.qcow2");
    CHECK_TEXT(scsi9->format, "qcow2");
    CHECK(strcmp(scsi9->controller, scsi1->controller));
    CHECK_EQ(scsi9->unit, 2); /* the second controller's: seven on each */
    CHECK_EQ(scsi9->boot, 1);
    CHECK_TEXT(scsi9->serial, "a,b");
    CHECK_TEXT(extra("disk[2]"), "scsi9,discard=on");
    CHECK_TEXT(virtio->source, "nfs:100/gone.vmdk");
    CHECK(!virtio->path);
    CHECK_TEXT(virtio->format, "vmdk");
    CHECK_EQ(virtio->mode, DESC_THROWAWAY);
    CHECK_TEXT(desc_device(&d, virtio->controller)->class, "virtio_blk");
    CHECK_TEXT(d.nics->class, "e1000");
    CHECK_TEXT(d.nics->network, "vmbr1");
    CHECK(!d.nics->connected);
    CHECK_EQ(d.nics->boot, 3);
    CHECK_TEXT(extra("net[0]"), "net1,firewall=1");
    CHECK_TEXT(d.persona, "kvm");
}

/* With disks: what is written has them, under the names that Proxmox gives. */
static void disks_travel(void)
{
    const char *raw = "0123456789abcdef";
    char block[65536];

    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = raw[i % 16];
    store_bytes("vm-7-disk-0.raw", block, sizeof(block));
    store_bytes("cd.iso", block, sizeof(block));
    CHECK_EQ(open_text("7.conf", "memory: 64\ncores: 1\nscsi0: local:7/vm-7-disk-0.raw,size=64K\n"
                                 "ide2: local:iso/cd.iso,media=cdrom,size=64K\n"),
             0);
    CHECK_EQ(round_trip("7", "proxmox", "201.conf"), 0);
    CHECK(d.disks);
    CHECK_TEXT(d.disks->source, "vm-201-cd-0.iso");
    CHECK_TEXT(d.disks->next->source, "vm-201-disk-1.raw");
    CHECK_EQ(d.disks->next->capacity, 65536);
}

static void refuse(const char *text, int code, const char *says)
{
    CHECK_EQ(open_text("no.conf", text), (u64)code);
    CHECK(strstr(err.text, says));
    if (check_failed_now)
        printf("# \"%s\" says \"%s\"\n", text, err.text);
}

static void nonsense(void)
{
    refuse("memory: much\ncores: 1\n", -EBADMSG, "memory");
    refuse("memory: 64\ncores: 0\n", -EBADMSG, "cores");
    refuse("memory: 64\ncores: 1024\nsockets: 64\n", -EBADMSG, "too many");
    CHECK_EQ(open_text("odd.conf", "memory: 64\ncores: 1\nthis is nothing\nscsi31: a:b\n"
                                   "ide4: a:b\nscsi0: ../../../etc/passwd\nnet0: what=1\n"),
             0);
    CHECK(has_note("odd.conf", "line 3"));
    CHECK(!d.disks->path);
    CHECK_TEXT(extra("scsi31"), "a:b");
    CHECK_TEXT(d.nics->class, "rtl8139");
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(machine);
    CASE(drives);
    CASE(disks_travel);
    CASE(nonsense);
    CASE(files_of_products);
    done_all();
    return scratch_end();
}
