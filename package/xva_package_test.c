/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "desc/disk.h"
#include "tests/round.h"

static const char *extra(const char *format, const char *key)
{
    const char *s = desc_extra(&d, format, key);

    return s ? s : "(none)";
}

static void command(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void command(const char *fmt, ...)
{
    char text[4000];
    va_list ap;
    int n = snprintf(text, sizeof(text), "cd %s && ", dir);

    va_start(ap, fmt);
    vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
    va_end(ap);
    CHECK_EQ(system(text), 0);
}

/* A sum over the bytes of a disk of the description that is open. */
static u64 disk_sum(const struct desc_disk *k, u64 *size)
{
    struct desc_image how;
    struct err e = { 0 };
    struct image *im;
    u64 sum = 0;
    u8 *b = malloc(1 << 20);

    *size = 0;
    if (desc_image(k, &how, &e) || image_open(&im, &how.how, &e)) {
        printf("# %s\n", e.text);
        CHECK(false);
        free(b);
        return 0;
    }
    *size = image_size(im);
    for (u64 at = 0, n; at < *size; at += n) {
        struct iovec v = { b, n = min_u64(1 << 20, *size - at) };

        CHECK_EQ(image_read(im, at, &v, 1, n), 0);
        for (u64 i = 0; i < n; i++)
            sum = sum * 31 + b[i];
    }
    image_close(im, NULL);
    desc_image_fini(&how);
    free(b);
    return sum;
}

static void export_of_a_product(void)
{
    const char *corpus = check_corpus();
    u64 size;

    if (!corpus)
        return;
    command("gzip -dc %s/peer-made/xenserver71-sha1.xva.gz > product.xva", corpus);
    CHECK_EQ(open_path(in_dir("product.xva")), 0);
    if (check_failed_now || round_trip("product", "xva", "product2.xva"))
        return;
    CHECK_TEXT(d.name, "Vorteil App");
    CHECK_EQ(d.memory, 256 << 20);
    CHECK_EQ(d.cpus, 2);
    CHECK_EQ(d.firmware, DESC_BIOS);
    CHECK_TEXT(d.disks->format, "xva");
    CHECK(d.nics && !d.nics->next);
    disk_sum(d.disks, &size);
    CHECK_EQ(size, 7340032);
    CHECK_TEXT(d.product, "XenServer 7.1.0");
    CHECK_TEXT(extra("xva", "VM/bios_strings"),
               "{\"bios-vendor\": \"Xen\", \"bios-version\": \"\", \"system-manufacturer\": "
               "\"Xen\", \"system-product-name\": \"HVM domU\", \"system-version\": \"\", "
               "\"system-serial-number\": \"\", \"hp-rombios\": \"\", \"oem-1\": \"Xen\", "
               "\"oem-2\": \"MS_VM_CERT/SHA1/bdbeb6e0a816d43fa6d3fe8aaef04c2bad9d3e3d\"}");
}

/* From another format: every object that an import wants is there. */
static void made_from_another(void)
{
    struct package_options o = { .format = "xva" };
    struct notes n = { 0 };
    struct err e = { 0 };
    static char block[5 << 20];
    u64 was, now, size;

    for (size_t i = 2 << 20; i < sizeof(block); i++)
        block[i] = (char)(i * 7 + (i >> 12));
    store_bytes("d.raw", block, sizeof(block));
    CHECK_EQ(open_text("vm.cfg", "name='web'\nmemory=512\nvcpus=4\nbuilder='hvm'\nboot='cd'\n"
                                 "firmware='ovmf'\nuuid='c7a5fdb2-cdaf-9455-926a-d65c16db1809'\n"
                                 "disk=['d.raw,raw,hda,w', ',,hdd,cdrom']\n"
                                 "vif=['mac=00:16:3e:00:00:01,bridge=a', 'bridge=b','bridge=a']\n"),
             0);
    was = disk_sum(d.disks, &size);
    CHECK_EQ(package_write(in_dir("web.xva"), &o, &d, &n, &e), 0);
    CHECK_TEXT(e.text, "");
    notes_fini(&n);
    CHECK_EQ(open_path(in_dir("web.xva")), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "web");
    CHECK_EQ(d.memory, 512 << 20);
    CHECK_EQ(d.cpus, 4);
    CHECK_EQ(d.firmware, DESC_EFI);
    CHECK_EQ(d.uuid[15], 0x09);
    CHECK_EQ(d.disks->boot, 1);
    CHECK_EQ(d.disks->unit, 0);
    CHECK_EQ(d.disks->next->media, DESC_CDROM);
    CHECK_EQ(d.disks->next->unit, 3);
    CHECK_TEXT(d.nics->network, "a");
    CHECK_TEXT(d.nics->next->network, "b");
    CHECK_TEXT(d.nics->next->next->network, "a");
    CHECK_TEXT(extra("xva", "VM/VCPUs_params"), "{}");
    CHECK_TEXT(extra("xva", "VM/is_a_template"), "!boolean \"0\"");
    CHECK_TEXT(extra("xva", "VBD/disk0/bootable"), "!boolean \"1\"");
    CHECK_TEXT(extra("xva", "network/nic2"), "(none)"); /* it is nic0's */
    CHECK_TEXT(extra("xva", "SR/type"), "\"lvm\"");
    now = disk_sum(d.disks, &size);
    CHECK_EQ(size, sizeof(block));
    CHECK_EQ(was, now);
    CHECK_EQ(round_trip("web", "xva", "web2.xva"), 0);
    CHECK_EQ(disk_sum(d.disks, &size), was);
    command("test \"$(tar tf web2.xva | head -1)\" = ova.xml");
    command("tar tf web2.xva | grep -q checksum");
}

static void sums_of_new_versions(void)
{
    struct package_options o = { .format = "xva", .digest = "xxhash" };
    struct notes n = { 0 };
    struct err e = { 0 };
    u64 was, size;

    CHECK_EQ(open_path(in_dir("web.xva")), 0);
    was = disk_sum(d.disks, &size);
    CHECK_EQ(package_write(in_dir("x.xva"), &o, &d, &n, &e), 0);
    notes_fini(&n);
    command("tar tf x.xva | grep -q xxhash");
    CHECK_EQ(open_path(in_dir("x.xva")), 0);
    CHECK_EQ(disk_sum(d.disks, &size), was);
}

#define M(name, value) "<member><name>" name "</name><value>" value "</value></member>"
#define O(class, id, fields)                                                                       \
    "<value><struct>" M("class", class) M("id", id)                                                \
        M("snapshot", "<struct>" fields "</struct>") "</struct></value>"

static void write_xml(const char *objects)
{
    char *text;

    CHECK(asprintf(&text,
                   "<value><struct>" M("version", "<struct>" M("product_brand", "XCP-ng")
                                                      M("product_version", "8.3") "</struct>")
                       M("objects", "<array><data>%s</data></array>") "</struct></value>",
                   objects) > 0);
    store_bytes("ova.xml", text, strlen(text));
    free(text);
    command("tar cf s.xva ova.xml");
}

static void several_and_their_past(void)
{
    write_xml(
        O("VM", "Ref:0",
          M("name_label", "one &lt;b>") M("memory_static_max", "67108864") M("VCPUs_max", "2")
              M("HVM_boot_policy", "") M("PV_bootloader", "pygrub") M("PV_args", "quiet")
                  M("parent", "Ref:5") M("platform", "<struct>" M("cores-per-socket", "2")
                                                         M("secureboot", "true") "</struct>")
                      M("NVRAM", "<struct>" M("EFI-variables", "AAAA") "</struct>")
                          M("guest_metrics", "Ref:9")
                              M("VTPMs", "<array><data><value>Ref:8</value></data></array>"))
            O("VM", "Ref:1",
              M("name_label", "two") M("HVM_boot_policy", "BIOS order")
                  M("HVM_boot_params", "<struct>" M("order", "ncd")
                                           M("firmware", "uefi") "</struct>"))
                O("VM", "Ref:5",
                  M("name_label", "before") M("is_a_snapshot",
                                              "<boolean>1</boolean>") M("snapshot_of", "Ref:0")
                      M("snapshot_time", "<dateTime.iso8601>20240102T03:04:05Z</dateTime.iso8601>"))
                    O("VBD", "Ref:2",
                      M("VM", "Ref:0") M("VDI", "Ref:3") M("userdevice", "xvda") M("type", "Disk")
                          M("mode", "RO"))
                        O("VDI", "Ref:3", M("virtual_size", "4096") M("SR", "Ref:4"))
                            O("VIF", "Ref:6", M("VM", "Ref:1") M("MAC", "00:16:3e:01:02:03"))
                                O("VTPM", "Ref:8", M("VM", "Ref:0") M("profile", "<struct/>")));
    CHECK_EQ(open_path(in_dir("s.xva")), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "one <b>");
    CHECK_TEXT(d.machine, "pv");
    CHECK_TEXT(d.append, "quiet");
    CHECK(d.tpm && d.secure_boot);
    CHECK_EQ(d.cores_per_socket, 2);
    CHECK_TEXT(d.disks->controller, "xen0");
    CHECK_EQ(d.disks->mode, DESC_READ);
    CHECK_EQ(d.disks->capacity, 4096);
    CHECK(!d.disks->path);
    CHECK(has_note("disk0", "not in the archive"));
    CHECK_TEXT(d.snapshots->name, "before");
    CHECK_TEXT(d.snapshots->time, "2024-01-02T03:04:05Z");
    CHECK(d.snapshots->current);
    CHECK_TEXT(extra("xva", "VM/NVRAM"), "{\"EFI-variables\": \"AAAA\"}");
    CHECK_TEXT(extra("xva", "objects/Ref:8"),
               "{\"class\": \"VTPM\", \"id\": \"Ref:8\", \"snapshot\": {\"VM\": \"Ref:0\", "
               "\"profile\": {}}}");
    CHECK(d.next && !d.next->next);
    CHECK_TEXT(d.next->name, "two");
    CHECK_TEXT(d.next->machine, "i440fx");
    CHECK_EQ(d.next->firmware, DESC_EFI);
    CHECK_EQ(d.next->nics->boot, 1);
    d.snapshots = NULL; /* their disks are not carried over, and they with them */
    d.disks->source = NULL;
    CHECK_EQ(round_trip("several", "xva", "s2.xva"), 0);
    CHECK(d.next);
    CHECK_EQ(d.disks->capacity, 4096);
}

static void refuse(const char *xml, int code, const char *says)
{
    store_bytes("ova.xml", xml, strlen(xml));
    command("tar cf no.xva ova.xml");
    CHECK_EQ(open_path(in_dir("no.xva")), (u64)code);
    CHECK(strstr(err.text, says));
    if (check_failed_now)
        printf("# \"%s\" says \"%s\"\n", xml, err.text);
}

static void nonsense(void)
{
    refuse("<x/>", -EOPNOTSUPP, "not known");
    refuse("<value/>", -EBADMSG, "objects");
    refuse("<value><struct><x/></struct></value>", -EBADMSG, "XML-RPC");
    refuse("<value><array><data><x/></data></array></value>", -EBADMSG, "XML-RPC");
    refuse("<value><struct>" M("objects", "<array><data/></array>") "</struct></value>", -EBADMSG,
           "no VM");
    refuse("<value><struct>" M("objects",
                               "<array><data><value>a</value></data></array>") "</struct></value>",
           -EBADMSG, "object 1");
    refuse("<value><struct>" M(
               "objects", "<array><data>" O("VM", "Ref:1",
                                            M("memory_static_max",
                                              "99999999999999999")) "</data>"
                                                                    "</array>") "</struct></value>",
           -EBADMSG, "not possible");
}

/* XenEnterprise 3.x: a directory, its disks in gzip files. */
static void legacy(void)
{
    u64 size, sum;
    const char *xml =
        "<?xml version=\"1.0\"?>\n<appliance version=\"0.1\"><vm name=\"vm\"><label>old</label>"
        "<shortdesc>of 2007</shortdesc><config mem_set=\"268435456\" vcpus=\"2\"/>"
        "<hacks is_hvm=\"false\" kernel_boot_cmdline=\"root=/dev/sda1 ro\"/>"
        "<vbd device=\"sda\" function=\"root\" mode=\"w\" vdi=\"vdi_sda\"/>"
        "<vbd device=\"sdb\" function=\"data\" mode=\"r\" vdi=\"vdi_sdb\"/></vm>"
        "<vdi name=\"vdi_sda\" size=\"5242880\" source=\"file://sda\" "
        "type=\"dir-gzipped-chunks\" variety=\"system\"/>"
        "<vdi name=\"vdi_sdb\" size=\"1\" source=\"file://../out\" type=\"dir-gzipped-chunks\"/>"
        "</appliance>";

    command("mkdir -p old/sda && gzip -c d.raw > old/sda/chunk000000000.gz");
    store_bytes("old/ova.xml", xml, strlen(xml));
    CHECK_EQ(open_path(in_dir("old/ova.xml")), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "old");
    CHECK_TEXT(d.annotation, "of 2007");
    CHECK_TEXT(d.machine, "pv");
    CHECK_TEXT(d.append, "root=/dev/sda1 ro");
    CHECK_EQ(d.memory, 256 << 20);
    CHECK_EQ(d.cpus, 2);
    CHECK_EQ(d.disks->boot, 1);
    CHECK_TEXT(d.disks->format, "xenchunks");
    CHECK(!d.disks->next->path);
    CHECK_EQ(d.disks->next->mode, DESC_READ);
    sum = disk_sum(d.disks, &size);
    CHECK_EQ(size, 5 << 20);
    CHECK(sum != 0);
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(made_from_another);
    CASE(sums_of_new_versions);
    CASE(several_and_their_past);
    CASE(nonsense);
    CASE(legacy);
    CASE(export_of_a_product);
    done_all();
    return scratch_end();
}
