/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "package/vagrant_int.h"
#include "tests/round.h"

static void store_text(const char *name, const char *text)
{
    store_bytes(name, text, strlen(text));
}

static void command(const char *text)
{
    char all[1000];

    snprintf(all, sizeof(all), "cd %s && %s", dir, text);
    CHECK_EQ(system(all), 0);
}

static void image_file(const char *name, u64 size)
{
    struct image_create make = { .path = in_dir(name), .format = "qcow2", .size = size };
    struct err e = { 0 };

    unlink(make.path);
    CHECK_EQ(image_create(&make, &e), 0);
    CHECK_TEXT(e.text, "");
}

static const char *extra(const char *key)
{
    const char *s = desc_extra(&d, "vagrant", key);

    return s ? s : "(none)";
}

static void libvirt(void)
{
    const char *vagrantfile =
        "# -*- mode: ruby -*-\nVagrant.configure(\"2\") do |config|\n"
        "  config.vm.provider :libvirt do |lv|\n    lv.memory = 2048\n    lv.cpus = '4'\n"
        "    lv.disk_bus = \"sata\" # as it was\n    lv.machine_type = \"pc-q35-6.2\"\n"
        "    lv.video_type = `reboot`\n    lv.sound_type = \"a#{1+1}\"\n  end\nend\n";

    image_file("box.img", 5 << 20);
    store_text("Vagrantfile", vagrantfile);
    store_text("metadata.json", "{\"provider\":\"libvirt\",\"format\":\"qcow2\","
                                "\"virtual_size\":3,\"architecture\":\"amd64\"}");
    command("tar cf lib.box metadata.json Vagrantfile box.img && gzip -kf lib.box");
    CHECK_EQ(open_path(in_dir("lib.box")), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "lib");
    CHECK_EQ(d.memory, 2ull << 30);
    CHECK_EQ(d.cpus, 4);
    CHECK_TEXT(d.machine, "q35");
    CHECK(!d.display && !d.sound);
    CHECK_TEXT(desc_device(&d, d.disks->controller)->class, "ahci");
    CHECK_TEXT(d.disks->source, "box.img");
    CHECK(d.disks->container && d.disks->offset && d.disks->length);
    CHECK_EQ(d.disks->capacity, 3ull << 30);
    CHECK_TEXT(d.nics->class, "virtio_net");
    CHECK_TEXT(extra("provider"), "libvirt");
    CHECK_TEXT(extra("metadata.json/architecture"), "\"amd64\"");
    CHECK_TEXT(d.files->name, "Vagrantfile");
    CHECK_EQ(mkdir(in_dir("to"), 0700), 0); /* a box's name is its file's */
    CHECK_EQ(round_trip("lib.box", "vagrant", "to/lib.box"), 0);
    CHECK_EQ(d.cpus, 4);
    CHECK_EQ(open_path(in_dir("metadata.json")), 0); /* an unpacked one */
    CHECK_EQ(d.cpus, 4);
    CHECK(d.disks->path && !d.disks->container);
}

static void several_disks(void)
{
    image_file("a.img", 1 << 20);
    image_file("b.img", 2 << 20);
    store_text("metadata.json", "{\"provider\":\"libvirt\",\"disks\":[{\"path\":\"a.img\"},"
                                "{\"path\":\"b.img\",\"format\":\"qcow2\",\"name\":\"data\"},"
                                "{\"path\":\"c.img\"}]}");
    command("tar cf two.box metadata.json a.img b.img");
    CHECK_EQ(open_path(in_dir("two.box")), 0);
    CHECK_TEXT(d.disks->next->source, "b.img");
    CHECK_EQ(d.disks->next->unit, 1);
    CHECK(!d.disks->next->next->path);
    CHECK(has_note("disk2", "not in the box"));
    CHECK_EQ(d.memory, 512 << 20);
}

static void made_from_another(void)
{
    struct package_options o = { .format = "vagrant" };
    struct notes n = { 0 };
    struct err e = { 0 };

    image_file("d.qcow2", 4 << 20);
    CHECK_EQ(open_text("web.cfg", "name='web'\nmemory=768\nvcpus=3\ntype='hvm'\n"
                                  "disk=['d.qcow2,qcow2,hda,w']\nvif=['model=e1000']\n"),
             0);
    CHECK_EQ(package_write(in_dir("web.box"), &o, &d, &n, &e), 0);
    CHECK_TEXT(e.text, "");
    notes_fini(&n);
    CHECK_EQ(open_path(in_dir("web.box")), 0);
    CHECK_TEXT(err.text, "");
    CHECK_EQ(d.memory, 768 << 20);
    CHECK_EQ(d.cpus, 3);
    CHECK_TEXT(desc_device(&d, d.disks->controller)->class, "ide");
    CHECK_TEXT(d.nics->class, "e1000");
    CHECK_EQ(d.disks->capacity, 1 << 30); /* in whole GiB */
}

/* A VM of VMware becomes a box for VMware: its VMX inside, read by the VMX reader. */
static void vmware(void)
{
    struct package_options o = { .format = "vagrant" };
    struct notes n = { 0 };
    struct err e = { 0 };
    struct image_create make = { .path = in_dir("disk.vmdk"), .format = "vmdk", .size = 4 << 20 };

    unlink(make.path);
    CHECK_EQ(image_create(&make, &e), 0);
    CHECK_EQ(open_text("old.vmx", "displayName = \"old\"\nmemsize = \"96\"\n"
                                  "virtualHW.version = \"8\"\nscsi0.present = \"TRUE\"\n"
                                  "scsi0.virtualDev = \"pvscsi\"\nscsi0:0.present = \"TRUE\"\n"
                                  "scsi0:0.fileName = \"disk.vmdk\"\n"),
             0);
    CHECK_EQ(package_write(in_dir("vmw.box"), &o, &d, &n, &e), 0);
    CHECK_TEXT(e.text, "");
    notes_fini(&n);
    command("tar tf vmw.box | grep -q '^box.vmx$'");
    CHECK_EQ(open_path(in_dir("vmw.box")), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "old");
    CHECK_EQ(d.memory, 96 << 20);
    CHECK_TEXT(extra("provider"), "vmware_desktop");
    CHECK(d.disks && d.disks->container && d.disks->length);
    CHECK_EQ(round_trip("vmw.box", "vagrant", "vmw2.box"), 0);
}

static void virtualbox(void)
{
    struct package_options o = { .format = "vagrant" };
    struct notes n = { 0 };
    struct err e = { 0 };

    CHECK_EQ(open_text("web.cfg", "name='web'\nmemory=768\nvcpus=3\ntype='hvm'\n"
                                  "disk=['d.qcow2,qcow2,hda,w']\nvif=['model=e1000']\n"),
             0);
    d.product = "VirtualBox 7";
    CHECK_EQ(package_write(in_dir("vb.box"), &o, &d, &n, &e), 0);
    CHECK_TEXT(e.text, "");
    notes_fini(&n);
    command("tar tf vb.box | grep -q '^box.ovf$'");
    CHECK_EQ(open_path(in_dir("vb.box")), 0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(extra("provider"), "virtualbox");
    CHECK_EQ(d.cpus, 3);
    CHECK(d.disks && d.disks->container && d.disks->length);
}

static void refuse(const char *json, int code, const char *says)
{
    store_text("metadata.json", json);
    command("tar cf no.box metadata.json");
    CHECK_EQ(open_path(in_dir("no.box")), (u64)code);
    CHECK(strstr(err.text, says));
    if (check_failed_now)
        printf("# \"%s\" says \"%s\"\n", json, err.text);
}

static void nonsense(void)
{
    refuse("{\"provider\":", -EBADMSG, "metadata.json");
    refuse("[\"provider\"]", -EBADMSG, "no object");
    refuse("{\"provider\":3}", -EBADMSG, "provider");
    refuse("{\"provider\":\"virtualbox\"}", -EBADMSG, ".ovf");
    refuse("{\"provider\":\"libvirt\",\"disks\":[{}]}", -EBADMSG, "path");
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(libvirt);
    CASE(several_disks);
    CASE(made_from_another);
    CASE(vmware);
    CASE(virtualbox);
    CASE(nonsense);
    done_all();
    return scratch_end();
}
