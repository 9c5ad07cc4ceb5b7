/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an OVF can say, read and written back: documents made here, each for one thing. */
#include "image/image.h"
#include "package/format.h"
#include "package/ovf_env.h"
#include "tests/check.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define HEAD                                                                                       \
    "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" "                                  \
    "xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" "                                        \
    "xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"                              \
    "CIM_ResourceAllocationSettingData\" "                                                         \
    "xmlns:vssd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"                              \
    "CIM_VirtualSystemSettingData\" xmlns:vmw=\"http://www.vmware.com/schema/ovf\" "               \
    "xmlns:vbox=\"http://www.virtualbox.org/ovf/machine\" xml:lang=\"en-US\">"
#define ITEM(id, type, more)                                                                       \
    "<Item><rasd:InstanceID>" #id "</rasd:InstanceID><rasd:ResourceType>" #type                    \
    "</rasd:ResourceType>" more "</Item>"
#define QUANTITY(n) "<rasd:VirtualQuantity>" #n "</rasd:VirtualQuantity>"
#define VM(id, more) "<VirtualSystem ovf:id=\"" id "\"><Info/>" more "</VirtualSystem>"
#define HARDWARE(more)                                                                             \
    "<VirtualHardwareSection><Info/><System><vssd:VirtualSystemType>vmx-13"                        \
    "</vssd:VirtualSystemType></System>" ITEM(1, 3, QUANTITY(1)) ITEM(2, 4, QUANTITY(512)) more    \
        "</VirtualHardwareSection>"
#define SCSI ITEM(3, 6, "<rasd:ResourceSubType>VirtualSCSI</rasd:ResourceSubType>")
#define DISK(id, disk, unit)                                                                       \
    ITEM(id, 17,                                                                                   \
         "<rasd:Parent>3</rasd:Parent><rasd:AddressOnParent>" #unit                                \
         "</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/" disk "</rasd:HostResource>")

static char dir[] = "/tmp/mimic-ovf-XXXXXX";
static struct desc d, d2;
static struct notes notes;
static struct err err;
static struct package_options how;

static const char *at(const char *name)
{
    static char path[4][300];
    static unsigned turn;

    turn = (turn + 1) % LEN(path);
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
    return path[turn];
}

static const char *store(const char *name, const void *p, size_t n)
{
    const char *path = at(name);
    FILE *f = fopen(path, "we");

    CHECK(f && fwrite(p, 1, n, f) == n);
    if (f)
        fclose(f);
    return path;
}

static int read_file(const char *path, struct desc *to)
{
    desc_fini(to);
    notes_fini(&notes);
    desc_init(to);
    err = (struct err){ 0 };
    return package_open(path, &how, to, &notes, &err);
}

static int read_text(const char *text)
{
    return read_file(store("a.ovf", text, strlen(text)), &d);
}

/* Written with these options, and read again into d2; 0 when both went well. */
static int write_again(const char *name)
{
    struct package_options o = how;
    struct notes n = { 0 };
    int r;

    err = (struct err){ 0 };
    unlink(at(name));
    r = package_write(at(name), &o, &d, &n, &err);
    notes_fini(&n);
    return r ? r : read_file(at(name), &d2);
}

static bool noted(enum note_kind kind, const char *part)
{
    for (const struct note *n = notes.first; n; n = n->next)
        if (n->kind == kind && (strstr(n->text, part) || strstr(n->where, part)))
            return true;
    printf("# no note says \"%s\"\n", part);
    return false;
}

static char *slurp(const char *path)
{
    static char text[65536];
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

    if (f)
        fclose(f);
    text[n] = 0;
    return text;
}

static const char options[] = HEAD
    "<References/><DiskSection><Info/><Disk ovf:diskId=\"d\" ovf:capacity=\"${disk.size}\" "
    "ovf:capacityAllocationUnits=\"byte * 2^30\"/></DiskSection>"
    "<DeploymentOptionSection><Info/><Configuration ovf:id=\"small\"><Label>s</Label>"
    "</Configuration><Configuration ovf:id=\"big\"><Label>b</Label></Configuration>"
    "</DeploymentOptionSection>" VM(
        "vm", "<ProductSection ovf:class=\"disk\"><Info/><Product>Thing</Product>"
              "<Property ovf:key=\"size\" ovf:type=\"uint32\" ovf:value=\"3\">"
              "<Value ovf:configuration=\"big\" ovf:value=\"9\"/></Property></ProductSection>" //
        HARDWARE(SCSI DISK(4, "d",
                           0) "<Item ovf:configuration=\"big\"><rasd:InstanceID>1</rasd:InstanceID>"
                              "<rasd:ResourceType>3</rasd:ResourceType>" QUANTITY(
                                  4) "</Item>"
                                     "<Item ovf:bound=\"max\"><rasd:InstanceID>2</rasd:InstanceID>"
                                     "<rasd:ResourceType>4</rasd:ResourceType>" QUANTITY(
                                         4096) "</Item>")) //
    "</Envelope>";

static void deployment_options_are_chosen(void)
{
    CHECK_EQ(read_text(options), 0);
    CHECK_TEXT(err.text, "");
    CHECK_EQ(d.cpus, 1);
    CHECK_EQ(d.memory, 512ull << 20);
    CHECK_EQ(d.disks->capacity, 3ull << 30);
    CHECK_TEXT(d.properties->value, "3");
    CHECK_EQ(write_again("o.ovf"), 0);
    CHECK_EQ(d2.cpus, 1);
    how.option = "big";
    CHECK_EQ(read_file(at("o.ovf"), &d), 0); /* the other choice survived */
    CHECK_EQ(d.cpus, 4);
    CHECK_EQ(d.disks->capacity, 9ull << 30);
    CHECK_TEXT(d.properties->value, "9");
    how.option = NULL;
    CHECK_EQ(write_again("big.ovf"), 0); /* what was chosen is the default of what is written */
    CHECK_EQ(d2.cpus, 4);
    CHECK_EQ(d2.disks->capacity, 9ull << 30);
    CHECK(strstr(slurp(at("big.ovf")), "<Product>Thing</Product>") != NULL);
    how.option = "huge";
    CHECK_EQ(read_text(options), (u64)-EINVAL);
    CHECK_TEXT(err.text, "a.ovf: has no deployment option \"huge\"");
    how.option = NULL;
}

static void properties_are_told_to_the_guest(void)
{
    struct buf b = { 0 };

    CHECK_EQ(read_text(options), 0);
    CHECK_EQ(ovf_env_set(&d, "disk.size=five", &err), (u64)-EINVAL);
    CHECK_TEXT(err.text, "vm: property size: \"five\" is no uint32");
    CHECK_EQ(ovf_env_set(&d, "nothing=5", &err), (u64)-ENOENT);
    CHECK_EQ(ovf_env_set(&d, "disk.size=5", &err), 0);
    CHECK_EQ(ovf_env_text(&d, &d, &b), 0);
    buf_add(&b, "", 1);
    CHECK(strstr((char *)b.p, "<Property oe:key=\"disk.size\" oe:value=\"5\"/>") != NULL);
    buf_fini(&b);
    CHECK_EQ(write_again("p.ovf"), 0); /* the new value is the package's */
    CHECK_TEXT(d2.properties->value, "5");
}

static const char messages[] =
    HEAD "<References><File ovf:id=\"m\" ovf:href=\"fr.xml\"/></References>" VM(
        "vm", "<Name ovf:msgid=\"n\">plain</Name><AnnotationSection><Info/>"
              "<Annotation ovf:msgid=\"a\">only here</Annotation></AnnotationSection>" //
        HARDWARE(""))                                                                  //
    "<Strings xml:lang=\"de-DE\"><Msg ovf:msgid=\"n\">Deutsch</Msg></Strings>"
    "<Strings xml:lang=\"en-US\"><Msg ovf:msgid=\"n\">English</Msg></Strings>"
    "<Strings xml:lang=\"fr\" ovf:fileRef=\"m\"/></Envelope>";

static void texts_are_in_the_users_language(void)
{
    static const char fr[] = "<Strings xmlns:o=\"http://schemas.dmtf.org/ovf/envelope/1\">"
                             "<Msg o:msgid=\"n\">fran\303\247ais</Msg></Strings>";
    static const char *const want[][2] = { { NULL, "English" },
                                           { "de-AT", "Deutsch" },
                                           { "fr", "fran\303\247ais" },
                                           { "ja", "English" } };

    store("fr.xml", fr, sizeof(fr) - 1);
    for (int pass = 0; pass < 2; pass++) /* and again from what was written */
        for (size_t i = 0; i < LEN(want); i++) {
            how.language = want[i][0];
            CHECK_EQ(pass ? read_file(at("lang.ova"), &d) : read_text(messages), 0);
            CHECK_TEXT(d.name, want[i][1]);
            CHECK_TEXT(d.annotation, "only here");
            how.language = NULL;
            if (!pass && !i)
                CHECK_EQ(write_again("lang.ova"), 0);
        }
}

static const char several[] =
    HEAD "<References/><VirtualSystemCollection ovf:id=\"app\"><Info/><Name>The App</Name>"
         "<StartupSection><Info/><Item ovf:id=\"db\" ovf:order=\"0\" ovf:startDelay=\"30\"/>"
         "</StartupSection><ProductSection><Info/><Property ovf:key=\"domain\" ovf:type=\"string\" "
         "ovf:value=\"x.org\"/></ProductSection>" VM("db", HARDWARE("")) //
    "<VirtualSystemCollection ovf:id=\"web/tier\"><Info/>" VM("w1", HARDWARE(""))
        VM("w2", "<EulaSection><Info/><License>agree</License></EulaSection>" HARDWARE("")) //
    "</VirtualSystemCollection></VirtualSystemCollection></Envelope>";

static void collections_stay_what_they_are(void)
{
    struct buf b = { 0 };
    char *text;

    CHECK_EQ(read_text(several), 0);
    CHECK_TEXT(err.text, "");
    CHECK_EQ(write_again("s.ovf"), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d2.name, "db");
    CHECK_TEXT(d2.next->name, "w1");
    CHECK_TEXT(d2.next->next->name, "w2");
    CHECK(d2.next->next->next == NULL);
    CHECK_TEXT(d2.next->next->properties->value, "x.org");
    CHECK(d2.properties->next == NULL);
    text = slurp(at("s.ovf"));
    CHECK(strstr(text, "ovf:startDelay=\"30\"") != NULL);
    CHECK(strstr(text, "<VirtualSystemCollection ovf:id=\"web/tier\">") != NULL);
    CHECK(strstr(text, "<Name>The App</Name>") != NULL);
    CHECK(strstr(text, "<License>agree</License>") != NULL);
    CHECK_EQ(ovf_env_text(d.next, &d, &b), 0);
    buf_add(&b, "", 1);
    CHECK(strstr((char *)b.p, "<Entity oe:id=\"db\">") != NULL);
    CHECK(strstr((char *)b.p, "<Entity oe:id=\"w1\">") == NULL);
    buf_fini(&b);
}

/* ---- where the bytes are ---- */

static u8 bytes[1 << 20], back[1 << 20];

static const char chunked[] =
    HEAD "<References><File ovf:id=\"f\" ovf:href=\"big.raw\" ovf:size=\"1048576\" "
         "ovf:chunkSize=\"300000\"/></References><DiskSection><Info/><Disk ovf:diskId=\"d\" "
         "ovf:fileRef=\"f\" ovf:capacity=\"1048576\"/></DiskSection>" VM(
             "vm", HARDWARE(SCSI DISK(4, "d", 0))) //
    "</Envelope>";

static void fill(void)
{
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (u8)(i * 31 + (i >> 9) + (i >> 16));
}

static void check_disk(const struct desc_disk *k, const char *what)
{
    struct iovec v = { back, sizeof(back) };
    struct image *im = NULL;
    struct err e = { 0 };

    memset(back, 0, sizeof(back));
    CHECK_EQ(package_disk(k, 0, &im, &e), 0);
    CHECK_TEXT(e.text, "");
    if (!im)
        return;
    CHECK_EQ(image_size(im), sizeof(back));
    CHECK_EQ(image_read(im, 0, &v, 1, sizeof(back)), 0);
    if (memcmp(back, bytes, sizeof(back)))
        printf("# %s: other bytes\n", what);
    CHECK(!memcmp(back, bytes, sizeof(back)));
    image_close(im, NULL);
}

static void chunks_are_one_disk(void)
{
    char name[40];

    fill();
    for (u32 i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "big.raw.%09u", i);
        store(name, bytes + i * 300000, min_u64(300000, sizeof(bytes) - i * 300000));
    }
    CHECK_EQ(read_text(chunked), 0);
    CHECK_TEXT(err.text, "");
    check_disk(d.disks, "chunks");
    CHECK_EQ(write_again("chunked.ova"), 0);
    CHECK_TEXT(err.text, "");
    CHECK(d2.disks->pieces == NULL);
    check_disk(d2.disks, "written again");
    unlink(at("big.raw.000000002"));
    CHECK_EQ(read_text(chunked), (u64)-EBADMSG);
    CHECK_TEXT(err.text, "a.ovf: the file \"big.raw.000000002\" of disk0 is missing");
}

static const char packed[] = HEAD
    "<References><File ovf:id=\"f\" ovf:href=\"x.vmdk.gz\" ovf:compression=\"gzip\"/></References>"
    "<DiskSection><Info/><Disk ovf:diskId=\"d\" ovf:fileRef=\"f\" ovf:capacity=\"1048576\"/>"
    "</DiskSection>" VM("vm", HARDWARE(SCSI DISK(4, "d", 0))) "</Envelope>";

static int make_vmdk(const char *path)
{
    struct image_open raw = { .path = store("x.raw", bytes, sizeof(bytes)), .format = "raw" };
    struct image_convert to = { .path = path,
                                .format = "vmdk",
                                .options = "variant=streamOptimized" };
    struct image *im;
    int r = image_open(&im, &raw, &err);

    unlink(path);
    if (r)
        return r;
    r = image_convert(im, &to, &err);
    image_close(im, NULL);
    return r;
}

static void compressed_files_are_read(void)
{
    struct stat st;
    gzFile z;

    fill();
    CHECK_EQ(make_vmdk(at("x.vmdk")), 0);
    CHECK_EQ(stat(at("x.vmdk"), &st), 0);
    z = gzopen(at("x.vmdk.gz"), "wb");
    slurp(at("x.vmdk"));
    if (z) {
        FILE *f = fopen(at("x.vmdk"), "re");
        size_t n = f ? fread(back, 1, sizeof(back), f) : 0;

        CHECK_EQ(n, st.st_size);
        CHECK_EQ(gzwrite(z, back, (unsigned)n), n);
        gzclose(z);
        if (f)
            fclose(f);
    }
    CHECK_EQ(read_text(packed), 0);
    CHECK_TEXT(err.text, "");
    check_disk(d.disks, "gzip");
}

static const char delta[] =
    HEAD "<References><File ovf:id=\"f\" ovf:href=\"base.raw\"/><File ovf:id=\"g\" "
         "ovf:href=\"top.qcow2\"/></References><DiskSection><Info/><Disk ovf:diskId=\"b\" "
         "ovf:fileRef=\"f\" ovf:capacity=\"1048576\"/><Disk ovf:diskId=\"d\" ovf:fileRef=\"g\" "
         "ovf:parentRef=\"b\" ovf:capacity=\"1048576\"/></DiskSection>" VM(
             "vm", HARDWARE(SCSI DISK(4, "d", 0))) "</Envelope>";

static void deltas_lie_over_their_parents(void)
{
    struct image_open base = { .format = "raw" },
                      top = { .path = at("top.qcow2"), .flags = IMAGE_WRITE, .parent = &base };
    struct image_create make = { .path = top.path, .format = "qcow2", .parent = &base };
    struct iovec v = { bytes + 70000, 5000 };
    struct image *im = NULL;

    fill();
    memset(bytes + 70000, 0x55, 5000);
    base.path = store("base.raw", bytes, sizeof(bytes));
    CHECK_EQ(image_create(&make, &err), 0);
    CHECK_EQ(image_open(&im, &top, &err), 0);
    memset(bytes + 70000, 0xaa, 5000);
    CHECK_EQ(image_write(im, 70000, &v, 1, 5000), 0);
    CHECK_EQ(image_close(im, &err), 0);
    CHECK_EQ(read_text(delta), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.disks->parent, "base.raw");
    check_disk(d.disks, "delta");
    CHECK_EQ(write_again("delta.ova"), 0);
    CHECK_TEXT(err.text, "");
    CHECK(d2.disks->base == NULL);
    check_disk(d2.disks, "flattened");
}

/* An archive whose files are all in a folder, as people pack them. */
static void folders_in_archives(void)
{
    char command[600];

    fill();
    CHECK_EQ(make_vmdk(at("x.vmdk")), 0);
    store("f.ovf", packed, sizeof(packed) - 1);
    snprintf(command, sizeof(command),
             "cd %s && mkdir a b && mv f.ovf a && gzip -c x.vmdk >a/x.vmdk.gz && "
             "echo lies >b/x.vmdk.gz && tar cf f.ova b a && "
             "(cd a && sha1sum x.vmdk.gz | sed 's/\\(.*\\)  \\(.*\\)/SHA1(\\2)= \\1/' >f.mf) && "
             "tar cf f.ova b/x.vmdk.gz ./a/f.ovf ./a/f.mf ./a/x.vmdk.gz",
             dir);
    CHECK_EQ(system(command), 0);
    CHECK_EQ(read_file(at("f.ova"), &d), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.disks->source, "a/x.vmdk.gz");
    check_disk(d.disks, "in a folder");
}

/* Only the image knows how big the disk is: the room that was kept for the text is enough. */
static void capacities_that_were_not_said(void)
{
    fill();
    CHECK_EQ(read_text(chunked), (u64)-EBADMSG);
    desc_fini(&d);
    desc_init(&d);
    d.name = "raw";
    CHECK(desc_add_device(&d, "scsi0", "pvscsi") != NULL);
    for (u32 i = 0; i < 8; i++) {
        char name[16];
        struct desc_disk *k;

        snprintf(name, sizeof(name), "disk%u", i);
        k = desc_add_disk(&d, name, DESC_DISK);
        CHECK(k != NULL);
        k->controller = "scsi0";
        k->unit = i < 7 ? i : i + 1;
        k->source = k->path = desc_text(&d, "%s", at("x.raw"));
        k->offset = 512 * i;
        k->length = sizeof(bytes) - 512 * 8;
        k->format = "raw";
    }
    store("x.raw", bytes, sizeof(bytes));
    CHECK_EQ(write_again("room.ova"), 0);
    CHECK_TEXT(err.text, "");
    CHECK_EQ(d2.disks->capacity, sizeof(bytes) - 512 * 8);
}

/* ---- dialects ---- */

static const char ovirt[] =
    "<ovf:Envelope xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1/\" "
    "xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
    "CIM_ResourceAllocationSettingData\" xmlns:vssd=\"v\" "
    "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><References>"
    "<File ovf:href=\"g/i\" ovf:id=\"i\" ovf:size=\"1\"/></References>"
    "<Section xsi:type=\"ovf:DiskSection_Type\"><Info/><Disk ovf:diskId=\"i\" ovf:size=\"40\" "
    "ovf:fileRef=\"g/i\" ovf:parentRef=\"\" ovf:volume-format=\"COW\" "
    "ovf:disk-interface=\"VirtIO_SCSI\"/></Section>"
    "<Content ovf:id=\"out\" xsi:type=\"ovf:VirtualSystem_Type\"><Name>box</Name>"
    "<BiosType>3</BiosType>"
    "<Section ovf:id=\"12345678-1234-1234-1234-123456789abc\" "
    "xsi:type=\"ovf:OperatingSystemSection_Type\"><Info/><Description>rhel_7x64</Description>"
    "</Section><Section xsi:type=\"ovf:VirtualHardwareSection_Type\"><Info/><System>"
    "<vssd:VirtualSystemType>ENGINE 4.1.0.0</vssd:VirtualSystemType></System>"
    "<Item><rasd:Caption>cpus</rasd:Caption><rasd:InstanceId>1</rasd:InstanceId>"
    "<rasd:ResourceType>3</rasd:ResourceType><rasd:num_of_sockets>2</rasd:num_of_sockets>"
    "<rasd:cpu_per_socket>3</rasd:cpu_per_socket></Item>"
    "<Item><rasd:InstanceId>2</rasd:InstanceId><rasd:ResourceType>4</rasd:ResourceType>"
    "<rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits>" QUANTITY(
        2048) "</Item>"
              "<Item><rasd:InstanceId>i</rasd:InstanceId><rasd:ResourceType>17</rasd:ResourceType>"
              "<rasd:HostResource>g/i</rasd:HostResource><rasd:Parent>00</rasd:Parent>"
              "<BootOrder>1</BootOrder></Item>"
              "<Item><rasd:InstanceId>n</rasd:InstanceId><rasd:ResourceType>10</rasd:ResourceType>"
              "<rasd:ResourceSubType>3</rasd:ResourceSubType><rasd:Connection>ovirtmgmt</"
              "rasd:Connection>"
              "<rasd:MACAddress>00:1a:4a:16:01:51</rasd:MACAddress></Item>"
              "</Section></Content></ovf:Envelope>";

static void ovirt_is_understood(void)
{
    how.describe = true;
    CHECK_EQ(read_text(ovirt), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "box");
    CHECK_EQ(d.cpus, 6);
    CHECK_EQ(d.cores_per_socket, 3);
    CHECK_EQ(d.firmware, DESC_EFI);
    CHECK_TEXT(d.guest_os, "rhel_7x64");
    CHECK(d.has_uuid);
    CHECK_EQ(d.disks->capacity, 40ull << 30);
    CHECK_EQ(d.disks->boot, 1);
    CHECK_TEXT(desc_device(&d, d.disks->controller)->class, "virtio_scsi");
    CHECK_TEXT(d.nics->class, "virtio_net");
    CHECK(d.nics->has_mac && d.nics->mac[5] == 0x51);
    how.describe = false;
}

static const char vbox[] = HEAD "<References/>" VM(
    "vm", "<VirtualHardwareSection><Info/><System><vssd:VirtualSystemType>virtualbox-2.2"
          "</vssd:VirtualSystemType></System>" ITEM(1, 3, QUANTITY(2)) ITEM(2, 4, QUANTITY(512))
              ITEM(3, 10, "<rasd:ResourceSubType>E1000</rasd:ResourceSubType>") //
    "</VirtualHardwareSection><vbox:Machine ovf:required=\"false\" version=\"1.12-linux\" "
    "uuid=\"{12345678-1234-1234-1234-123456789abc}\" name=\"vm\"><Hardware>"
    "<CPU count=\"2\"/><Memory RAMSize=\"512\"/><Firmware type=\"EFI\"/><Network>"
    "<Adapter slot=\"0\" enabled=\"false\" MACAddress=\"080027000000\"/>"
    "<Adapter slot=\"1\" enabled=\"true\" MACAddress=\"080027ABCDEF\"/></Network>"
    "<Display VRAMSize=\"16\"/></Hardware></vbox:Machine>") //
    "</Envelope>";

static void virtualboxes_own_part_is_believed_and_kept_right(void)
{
    char *text;

    CHECK_EQ(read_text(vbox), 0);
    CHECK_EQ(d.firmware, DESC_EFI);
    CHECK_EQ(d.video_memory, 16 << 20);
    CHECK(d.nics->has_mac && d.nics->mac[5] == 0xef);
    CHECK_TEXT(d.product, "VirtualBox");
    d.memory = 1ull << 30;
    d.cpus = 4;
    CHECK_EQ(write_again("vbox.ovf"), 0);
    text = slurp(at("vbox.ovf"));
    CHECK(strstr(text, "RAMSize=\"1024\"") && strstr(text, "count=\"4\""));
    CHECK(strstr(text, "virtualbox-2.2") != NULL);
    CHECK_EQ(d2.firmware, DESC_EFI);
    CHECK_EQ(d2.nics->next, NULL);
}

static void version_2_is_the_same_vm(void)
{
    char *text;

    how.version = "2.0";
    CHECK_EQ(read_text(several), 0);
    CHECK_EQ(write_again("two.ovf"), 0);
    how.version = NULL;
    text = slurp(at("two.ovf"));
    CHECK(strstr(text, "xmlns=\"http://schemas.dmtf.org/ovf/envelope/2\"") != NULL);
    CHECK_TEXT(err.text, "");
    CHECK(d2.next && !strcmp(d2.next->name, "w1"));
    CHECK_EQ(read_text(chunked), (u64)-EBADMSG); /* its chunk is gone */
    how.describe = true;
    CHECK_EQ(read_text(vbox), 0);
    how.version = "2.0";
    CHECK_EQ(write_again("new.ovf"), 0);
    text = slurp(at("new.ovf"));
    CHECK(strstr(text, "<EthernetPortItem>") && strstr(text, "<epasd:ResourceSubType>E1000<"));
    CHECK(strstr(text, "<rasd:ResourceSubType>E1000<") == NULL);
    CHECK(d2.nics && !strcmp(d2.nics->class, "e1000"));
    how = (struct package_options){ .verify = true };
}

/* ---- rules ---- */

static const char unknown[] = HEAD "<References/>" VM(
    "vm", "<x:Foo xmlns:x=\"urn:x\" a=\"&lt;1\"><x:Bar>t &amp; u</x:Bar></x:Foo>" HARDWARE(
              ITEM(9, 4711, "<rasd:ElementName>odd</rasd:ElementName>"))) "</Envelope>";

static void what_is_required_and_unknown(void)
{
    CHECK_EQ(read_text(unknown), 0);
    CHECK(noted(NOTE_LOST, "Foo means nothing here, though the package requires it"));
    CHECK(noted(NOTE_LOST, "hardware of type 4711"));
    CHECK_EQ(write_again("u.ovf"), 0);
    CHECK(strstr(slurp(at("u.ovf")), "t &amp; u<") != NULL);
    CHECK(strstr(slurp(at("u.ovf")), "a=\"&lt;1\"") != NULL);
    how.strict = true;
    CHECK_EQ(read_text(unknown), (u64)-EOPNOTSUPP);
    CHECK_TEXT(err.text, "a.ovf: vm: Foo is required and not known");
    how.strict = false;
}

static void hostile_documents_are_refused(void)
{
    static const char *const bad[] = {
        "<!DOCTYPE x [<!ENTITY a \"b\">]><Envelope/>",
        "<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><Envelope/>",
        HEAD "<References/></Envelope>",
        HEAD "<References/>" VM("vm", "") "</Envelope>",
        HEAD "<References/>" VM("vm", HARDWARE(DISK(4, "none", 0))) "</Envelope>",
        HEAD "<References/><DiskSection><Info/><Disk ovf:diskId=\"d\" "
             "ovf:capacity=\"9223372036854775808\"/></DiskSection>" VM(
                 "vm", HARDWARE(DISK(4, "d", 0))) "</Envelope>",
        HEAD "<References><File ovf:id=\"f\" ovf:href=\"x.raw\"/></References><DiskSection><Info/>"
             "<Disk ovf:diskId=\"d\" ovf:fileRef=\"f\" ovf:parentRef=\"d\" ovf:capacity=\"1\"/>"
             "</DiskSection>" VM("vm", HARDWARE(DISK(4, "d", 0))) "</Envelope>",
        HEAD "<References><File ovf:id=\"f\" ovf:href=\"big.raw\" ovf:size=\"9223372036854775807\" "
             "ovf:chunkSize=\"1\"/></References><DiskSection><Info/><Disk ovf:diskId=\"d\" "
             "ovf:fileRef=\"f\" ovf:capacity=\"1\"/></DiskSection>" VM(
                 "vm", HARDWARE(DISK(4, "d", 0))) "</Envelope>",
        HEAD "<References/>" VM("vm", HARDWARE(ITEM(1, 3, QUANTITY(4294967297)))) "</EnvelopeX>",
    };
    char *big = malloc(17 << 20);

    for (size_t i = 0; i < LEN(bad); i++) {
        int r = read_text(bad[i]);

        if (!r)
            printf("# document %zu is taken\n", i);
        CHECK(r < 0 && err.text[0]);
    }
    memset(big, ' ', 17 << 20);
    memcpy(big, "<Envelope/>", 11);
    CHECK_EQ(read_file(store("a.ovf", big, 17 << 20), &d), (u64)-E2BIG);
    for (size_t i = 0; i < 100; i++)
        memcpy(big + 3 * i, "<a>", 3);
    CHECK_EQ(read_file(store("a.ovf", big, 300), &d), (u64)-EBADMSG);
    free(big);
}

/* Capacities that are no number, ids that are none, parents that are not there: with a note. */
static const char broken[] = HEAD
    "<References/><DiskSection><Info/><Disk ovf:diskId=\"d\" "
    "ovf:capacity=\"-5\"/></DiskSection>" VM(
        "vm", HARDWARE(SCSI "<Item><rasd:ResourceType>17</rasd:ResourceType><rasd:HostResource>"
                            "/disk/d</rasd:HostResource><rasd:Parent>77</rasd:Parent></Item>"
                            "<Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>10"
                            "</rasd:ResourceType></Item>")) "</Envelope>";

static void broken_ones_are_taken_with_notes(void)
{
    CHECK_EQ(read_text(broken), 0);
    CHECK_TEXT(err.text, "");
    CHECK(noted(NOTE_LOST, "its capacity \"-5\""));
    CHECK(noted(NOTE_CHANGED, "names no controller: it is on scsi0"));
    CHECK(noted(NOTE_CHANGED, "has the InstanceID 3 of"));
    CHECK_EQ(write_again("b.ovf"), 0);
    CHECK_TEXT(d2.disks->controller, "scsi0");
    CHECK(d2.nics && !d2.nics->next);
}

/* An OVF of our own, of a VM that no OVF ever spoke of, has nothing that must be kept. */
static void our_own_words_need_no_keeping(void)
{
    desc_fini(&d);
    desc_init(&d);
    d.name = "plain";
    d.guest_os = "debian11_64Guest";
    d.hardware_version = 13;
    d.cpus = 4;
    d.cores_per_socket = 2;
    d.memory = 3ull << 30;
    d.firmware = DESC_EFI;
    d.annotation = "a <text>";
    CHECK(desc_add_device(&d, "scsi0", "pvscsi") && desc_add_device(&d, "ide0", "ide"));
    CHECK(desc_add_disk(&d, "disk0", DESC_DISK) && desc_add_disk(&d, "cdrom0", DESC_CDROM));
    d.disks->controller = "scsi0";
    d.disks->capacity = 5ull << 30;
    d.disks->boot = 2;
    d.disks->next->controller = "ide0";
    d.disks->next->unit = 2;
    CHECK(desc_add_nic(&d, "nic0", "vmxnet3") != NULL);
    d.nics->network = "VM Network";
    d.nics->boot = 1;
    CHECK(desc_add_extra(&d, "vmx", "svga.autodetect", "TRUE") == 0);
    CHECK_EQ(write_again("own.ovf"), 0);
    CHECK_TEXT(err.text, "");
    for (const struct desc_extra *x = d2.extras; x; x = x->next)
        printf("# %s = %s\n", x->key, x->value);
    CHECK(d2.extras == NULL);
    CHECK_TEXT(d2.annotation, "a <text>");
    CHECK_TEXT(d2.guest_os, "debian11_64Guest");
    CHECK_EQ(d2.cores_per_socket, 2);
    CHECK_EQ(d2.disks->boot, 2);
    CHECK_EQ(d2.nics->boot, 1);
    CHECK_EQ(d2.disks->capacity, 5ull << 30);
    CHECK_EQ(d2.disks->next->unit, 2);
    CHECK_TEXT(d2.persona, "vmware");
}

int main(void)
{
    char command[100];

    if (!mkdtemp(dir))
        return 1;
    how.verify = true;
    CASE(deployment_options_are_chosen);
    CASE(properties_are_told_to_the_guest);
    CASE(texts_are_in_the_users_language);
    CASE(collections_stay_what_they_are);
    CASE(chunks_are_one_disk);
    CASE(compressed_files_are_read);
    CASE(deltas_lie_over_their_parents);
    CASE(folders_in_archives);
    CASE(capacities_that_were_not_said);
    CASE(ovirt_is_understood);
    CASE(virtualboxes_own_part_is_believed_and_kept_right);
    CASE(version_2_is_the_same_vm);
    CASE(what_is_required_and_unknown);
    CASE(hostile_documents_are_refused);
    CASE(broken_ones_are_taken_with_notes);
    CASE(our_own_words_need_no_keeping);
    desc_fini(&d);
    desc_fini(&d2);
    notes_fini(&notes);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command) ? 1 : check_end();
}
