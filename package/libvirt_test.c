/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/round.h"

static void files_of_products(void)
{
    static const char *const patterns[] = { "libvirt/*.xml", "vmx/libvirt/*.xml", "xen/xl/*.xml",
                                            "xen/xm/*.xml" };
    unsigned good = 0, bad = 0;

    for (size_t i = 0; i < LEN(patterns); i++) {
        unsigned refused;

        good += round_corpus(patterns[i], "libvirt", "round.xml", &refused);
        bad += refused;
    }
    if (check_skipped)
        return;
    CHECK(good >= 70);
    CHECK_EQ(bad, 0);
}

static const char domain[] =
    "<domain type='kvm' id='3' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
    "  <name>web</name>\n  <uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>\n"
    "  <description>what it does</description>\n  <memory unit='MiB'>512</memory>\n"
    "  <currentMemory unit='MiB'>256</currentMemory>\n"
    "  <vcpu placement='static' current='1'>4</vcpu>\n"
    "  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>"
    "<loader readonly='yes' secure='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>"
    "<nvram>/var/lib/web_VARS.fd</nvram></os>\n"
    "  <features><acpi/><hyperv><relaxed state='on'/></hyperv></features>\n"
    "  <cpu mode='custom'><topology sockets='2' dies='1' cores='2' threads='1'/></cpu>\n"
    "  <clock offset='localtime'><timer name='rtc'/></clock>\n"
    "  <devices><emulator>/usr/bin/qemu</emulator>"
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>"
    "<source file='/var/lib/libvirt/images/web.qcow2'/><target dev='vda' bus='virtio'/>"
    "<serial>S1</serial><boot order='2'/><alias name='x'/></disk>"
    "<disk type='block' device='disk'><driver name='qemu' type='raw'/>"
    "<source dev='/dev/vg/data'/><target dev='sdc' bus='scsi'/>"
    "<address type='drive' controller='1' bus='0' target='0' unit='2'/></disk>"
    "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/>"
    "<boot order='1'/></disk>"
    "<disk type='network' device='disk'><source protocol='rbd' name='pool/image'>"
    "<host name='mon1'/></source><target dev='vdb' bus='virtio'/></disk>"
    "<controller type='usb' index='0'/><controller type='scsi' index='1' model='virtio-scsi'>"
    "<driver iothread='1'/></controller><controller type='pci' index='0' model='pcie-root'/>"
    "<interface type='bridge'><mac address='52:54:00:AB:cd:01'/><source bridge='br0'/>"
    "<model type='virtio'/><link state='down'/></interface>"
    "<interface type='network'><source network='lab'/></interface>"
    "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='2445' tls='no'/>"
    "<target port='0'/></serial><serial type='pty'/><parallel type='file'>"
    "<source path='/tmp/lpt'/></parallel>"
    "<video><model type='qxl' ram='65536' vram='16384' heads='1'/></video>"
    "<sound model='ich9'/><tpm model='tpm-crb'><backend type='emulator'/></tpm>"
    "<hostdev mode='subsystem' type='pci'/></devices>\n"
    "  <qemu:commandline><qemu:arg value='-x'/></qemu:commandline>\n</domain>\n";

static void machine(void)
{
    unlink(in_dir("web.qcow2"));
    CHECK_EQ(open_text("web.xml", domain), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "web");
    CHECK(d.has_uuid && d.uuid[0] == 0xc7 && d.uuid[15] == 9);
    CHECK_TEXT(d.annotation, "what it does");
    CHECK_EQ(d.memory, 512u << 20);
    CHECK_EQ(d.cpus, 4);
    CHECK_EQ(d.cores_per_socket, 2);
    CHECK_EQ(d.firmware, DESC_EFI);
    CHECK(d.secure_boot && d.tpm);
    CHECK_TEXT(d.nvram, "/var/lib/web_VARS.fd");
    CHECK_TEXT(d.machine, "q35");
    CHECK_TEXT(d.clock, "localtime");
    CHECK_TEXT(d.persona, "hyperv");
    CHECK_TEXT(d.display, "qxl");
    CHECK_EQ(d.video_memory, 16u << 20);
    CHECK_TEXT(d.sound, "ich9");
    CHECK_TEXT(desc_extra(&d, "libvirt", "devices/controller[2]/driver"), "<driver iothread='1'/>");
    CHECK_TEXT(desc_extra(&d, "libvirt", "@xmlns:qemu"),
               "http://libvirt.org/schemas/domain/qemu/1.0");
    CHECK(has_note("hostdev", "kept for writing back"));
}

static void disks(void)
{
    const struct desc_disk *k;

    store_bytes("web.qcow2", "x", 1);
    CHECK_EQ(open_text("web.xml", domain), 0);
    k = d.disks;
    CHECK_TEXT(k->source, "web.qcow2");
    CHECK(k->path && strstr(k->path, "/web.qcow2"));
    CHECK_TEXT(k->format, "qcow2");
    CHECK_TEXT(k->controller, "virtio0");
    CHECK_TEXT(k->serial, "S1");
    CHECK_EQ(k->boot, 2);
    CHECK(has_note("disk0", "was found beside the description"));
    k = k->next;
    CHECK_TEXT(k->source, "/dev/vg/data");
    CHECK(!k->path);
    CHECK_TEXT(k->controller, "scsi1");
    CHECK_EQ(k->unit, 2);
    CHECK_TEXT(desc_device(&d, "scsi1")->class, "virtio_scsi");
    k = k->next;
    CHECK_EQ(k->media, DESC_CDROM);
    CHECK_TEXT(k->controller, "sata0");
    CHECK(!k->source);
    k = k->next;
    CHECK_TEXT(k->source, "rbd:pool/image");
    CHECK_EQ(k->unit, 1);
    CHECK(!k->path && has_note("disk2", "is no file"));
    unlink(in_dir("web.qcow2"));
}

static void cards_and_ports(void)
{
    CHECK_EQ(open_text("web.xml", domain), 0);
    CHECK_TEXT(d.nics->class, "virtio_net");
    CHECK_TEXT(d.nics->network, "br0");
    CHECK(d.nics->has_mac && d.nics->mac[3] == 0xab && !d.nics->connected);
    CHECK_TEXT(d.nics->next->class, "rtl8139");
    CHECK_TEXT(d.nics->next->network, "lab");
    CHECK_TEXT(d.ports->to, "tcp");
    CHECK_TEXT(d.ports->target, "127.0.0.1:2445");
    CHECK_TEXT(d.ports->next->to, "pty");
    CHECK_EQ(d.ports->next->next->kind, DESC_PARALLEL);
    CHECK_TEXT(d.ports->next->next->target, "/tmp/lpt");
}

static void there_and_back(void)
{
    CHECK_EQ(open_text("web.xml", domain), 0);
    CHECK_EQ(round_trip("domain", "libvirt", "web2.xml"), 0);
    CHECK(!run("xmllint --noout web2.xml"));
    CHECK_EQ(round_trip("domain again", "libvirt", "web3.xml"), 0);
    CHECK(!run("cmp web2.xml web3.xml"));
}

/* A block device's image that lies beside the domain becomes a file. */
static void a_disk_is_converted(void)
{
    static const u8 zeroes[65536];
    struct package_options o = { .verify = true };

    store_bytes("data", zeroes, sizeof(zeroes));
    CHECK_EQ(open_text("web.xml", domain), 0);
    unlink(in_dir("moved.xml"));
    CHECK_EQ(package_write(in_dir("moved.xml"), &o, &d, &notes, &err), 0);
    CHECK_TEXT(err.text, "");
    CHECK_EQ(open_path(in_dir("moved.xml")), 0);
    CHECK(d.disks->next->path && strstr(d.disks->next->path, "moved-disk1.raw"));
    CHECK_TEXT(d.disks->next->format, "raw");
    CHECK(!desc_extra(&d, "libvirt", "devices/disk[2]@type"));
    CHECK(desc_extra(&d, "libvirt", "devices/disk[4]/source") != NULL);
    unlink(in_dir("data"));
}

static void wrapped(void)
{
    static char text[sizeof(domain) + 400];

    snprintf(text, sizeof(text),
             "<domainsnapshot><name>s1</name><parent><name>s0</name></parent>"
             "<creationTime>1600000000</creationTime>%s</domainsnapshot>",
             domain);
    CHECK_EQ(open_text("snap.xml", text), 0);
    CHECK_TEXT(d.name, "web");
    CHECK_TEXT(d.snapshots->name, "s1");
    CHECK_TEXT(d.snapshots->parent, "s0");
    CHECK_TEXT(desc_extra(&d, "libvirt", "@id"), "3");
    snprintf(text, sizeof(text), "<domstatus state='running' pid='1'>%s</domstatus>", domain);
    CHECK_EQ(open_text("status.xml", text), 0);
    CHECK(has_note("state", "starts anew"));
    CHECK_EQ(open_text("x.xml", "<domain type='lxc'><name>a</name></domain>"), (u64)-EOPNOTSUPP);
    CHECK_EQ(open_text("x.xml", "<domain type='kvm'><memory unit='ells'>5</memory></domain>"),
             (u64)-EBADMSG);
    CHECK(strstr(err.text, "ells") != NULL);
    CHECK_EQ(
        open_text("x.xml", "<domain type='kvm'><memory>18446744073709551615</memory></domain>"),
        (u64)-EBADMSG);
}

/* A controller that is listed as the second and one that is only meant, as the first */
static void controllers_keep_their_numbers(void)
{
    CHECK_EQ(open_text("c.xml",
                       "<domain type='kvm'><name>c</name><memory>65536</memory><devices>"
                       "<controller type='ide' index='1'/><disk type='file' device='disk'>"
                       "<target dev='hdb' bus='ide'/></disk><disk type='file' device='disk'>"
                       "<target dev='hde' bus='ide'/></disk></devices></domain>"),
             0);
    CHECK_TEXT(d.devices->name, "ide1");
    CHECK_TEXT(d.disks->controller, "ide0");
    CHECK_TEXT(d.disks->next->controller, "ide1");
    CHECK_EQ(round_trip("numbers", "libvirt", "c2.xml"), 0);
}

static void machine_of_another_product(void)
{
    static const u8 zeroes[65536];
    struct package_options o = { .verify = true };

    store_bytes("a.img", zeroes, sizeof(zeroes));
    CHECK_EQ(open_text("a.vmx", "displayName = \"a\"\nmemsize = \"64\"\nscsi0.present = "
                                "\"TRUE\"\nscsi0.virtualDev = \"pvscsi\"\nscsi0:0.fileName = "
                                "\"a.img\"\nethernet0.present = \"TRUE\"\n"
                                "ethernet0.virtualDev = \"vmxnet3\"\nfirmware = \"efi\"\n"),
             0);
    CHECK_EQ(package_write(in_dir("fromvmx.xml"), &o, &d, &notes, &err), 0);
    CHECK_TEXT(err.text, "");
    CHECK(!run("xmllint --noout fromvmx.xml"));
    CHECK_EQ(open_path(in_dir("fromvmx.xml")), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "a");
    CHECK_EQ(d.firmware, DESC_EFI);
    CHECK_TEXT(d.nics->class, "vmxnet3");
    CHECK_TEXT(d.nics->network, "default");
    CHECK_TEXT(d.devices->class, "pvscsi");
    CHECK(d.disks->path && strstr(d.disks->path, "fromvmx-disk0."));
    CHECK_TEXT(d.persona, "kvm");
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(machine);
    CASE(disks);
    CASE(cards_and_ports);
    CASE(there_and_back);
    CASE(a_disk_is_converted);
    CASE(wrapped);
    CASE(controllers_keep_their_numbers);
    CASE(machine_of_another_product);
    CASE(files_of_products);
    done_all();
    return scratch_end();
}
