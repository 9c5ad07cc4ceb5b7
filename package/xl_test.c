/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "package/xl_int.h"
#include "tests/round.h"

static const char *extra(const char *key)
{
    const char *s = desc_extra(&d, "xl", key);

    return s ? s : "(none)";
}

static void files_of_products(void)
{
    unsigned refused, n = round_corpus("xen/x[lm]/*.cfg", "xl", "round.cfg", &refused);

    if (check_skipped)
        return;
    CHECK(n >= 30);
    CHECK_EQ(refused, 0);
}

static void hvm(void)
{
    store_bytes("disk.qcow2", "x", 1);
    store_bytes("cd.iso", "x", 1);
    CHECK_EQ(open_text("web.cfg",
                       "# a guest\nname = \"web\"\nbuilder='hvm'\nmemory = 1024; maxmem = 2048\n"
                       "uuid = \"c7a5fdb2-cdaf-9455-926a-d65c16db1809\"\nvcpus = 4\n"
                       "firmware = 'ovmf'\nboot = \"dcn\"\nvideoram=16\nvga=\"qxl\"\nlocaltime=1\n"
                       "disk = [ 'format=qcow2, vdev=hda, access=rw, backendtype=qdisk,"
                       "target=/var/lib/xen/disk.qcow2',\n"
                       "  \"cd.iso,,hdc:cdrom,r\", ]\n"
                       "vif = [ 'mac=00:16:3e:00:00:01,bridge=xenbr0,model=e1000,rate=10Mb/s' ]\n"
                       "serial = [ 'pty', \"tcp:localhost:4000,server\" ]\n"
                       "on_crash = 'preserve'\nviridian = [ \"base\", 'freq' ]\n"),
             0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "web");
    CHECK_TEXT(d.machine, "i440fx");
    CHECK_EQ(d.memory, 1ull << 30);
    CHECK_EQ(d.cpus, 4);
    CHECK_EQ(d.firmware, DESC_EFI);
    CHECK_EQ(d.video_memory, 16 << 20);
    CHECK_TEXT(d.display, "qxl");
    CHECK_TEXT(d.clock, "localtime");
    CHECK_TEXT(d.persona, "xen");
    CHECK(d.has_uuid && d.uuid[0] == 0xc7);
    CHECK_TEXT(d.disks->source, "disk.qcow2");
    CHECK(d.disks->path);
    CHECK_TEXT(d.disks->controller, "ide0");
    CHECK_TEXT(d.disks->format, "qcow2");
    CHECK_EQ(d.disks->boot, 2);
    CHECK_EQ(d.disks->next->media, DESC_CDROM);
    CHECK_EQ(d.disks->next->unit, 2);
    CHECK_EQ(d.disks->next->boot, 1);
    CHECK_EQ(d.nics->boot, 3);
    CHECK_EQ(d.nics->mac[5], 1);
    CHECK_TEXT(d.nics->network, "xenbr0");
    CHECK_TEXT(d.ports->to, "pty");
    CHECK_TEXT(d.ports->next->to, "tcp");
    CHECK_TEXT(d.ports->next->target, "localhost:4000,server");
    CHECK_TEXT(extra("maxmem"), "2048");
    CHECK_TEXT(extra("on_crash"), "\"preserve\"");
    CHECK_TEXT(extra("viridian"), "[ \"base\", \"freq\" ]");
    CHECK_TEXT(extra("disk[0]"), "backendtype=qdisk");
    CHECK_TEXT(extra("vif[0]"), "rate=10Mb/s");
    CHECK(has_note("disk0", "beside"));
}

static void pv(void)
{
    CHECK_EQ(open_text("pv.cfg", "name='p'\nkernel='/boot/vmlinuz'\nramdisk='/boot/initrd'\n"
                                 "root='/dev/xvda1 ro'\nextra='quiet'\nmemory=64\n"
                                 "disk=['phy:/dev/vg/root,xvda1,w','file:/x/swap.img,sda2,w',"
                                 "'tap:qcow2:/x/d.qcow2,xvdc,r']\nvif=['']\n"),
             0);
    CHECK_TEXT(d.machine, "pv");
    CHECK_TEXT(d.kernel, "/boot/vmlinuz");
    CHECK_TEXT(d.initrd, "/boot/initrd");
    CHECK_TEXT(d.append, "root=/dev/xvda1 ro quiet");
    CHECK_TEXT(d.disks->controller, "xen0");
    CHECK_TEXT(extra("disk[0]"), "vdev=xvda1");
    CHECK_TEXT(extra("disk[1]"), "vdev=sda2");
    CHECK_EQ(d.disks->next->unit, 1);
    CHECK_EQ(d.disks->next->next->unit, 2);
    CHECK_EQ(d.disks->next->next->mode, DESC_READ);
    CHECK_TEXT(d.disks->next->next->format, "qcow2");
    CHECK_TEXT(d.nics->class, "xen_net");
    round_trip("pv", "xl", "pv-round.cfg");
}

static void python_is_read(void)
{
    CHECK_EQ(open_text("py.cfg",
                       "# -*- mode: python; -*-\nbase = '/srv/' + \"xen\"\nvmid = 3\n"
                       "name = \"vm%d-%s\" % (vmid, 'a')\nmemory = 0x100\nvcpus=1 + 1\n"
                       "disk = [ 'file:%s/d.img,hda,w' % base,\n  # and a CD\n"
                       "  ('file:' 'c.iso' r',hdc:cdrom,r') ]\n"
                       "vif = [\"mac=00:16:3e:00:00:0%(n)x\" % { 'n': 10 }]\nbuilder = '''hvm'''\n"
                       "usb = True; extra_list = (1, 2L, -3,)\n"
                       "disk += [ \\\n 'file:e.img,hdb,w' ]\n"),
             0);
    CHECK_TEXT(err.text, "");
    CHECK_TEXT(d.name, "vm3-a");
    CHECK_EQ(d.memory, 256 << 20);
    CHECK_EQ(d.cpus, 2);
    CHECK_TEXT(d.disks->source, "/srv/xen/d.img");
    CHECK_TEXT(d.disks->next->source, "c.iso");
    CHECK_TEXT(d.disks->next->next->source, "e.img");
    CHECK_EQ(d.nics->mac[5], 10);
    CHECK_TEXT(extra("usb"), "1");
    CHECK_TEXT(extra("extra_list"), "[ 1, 2, -3 ]");
}

static void refuse(const char *text, int code, const char *says)
{
    char all[500];

    snprintf(all, sizeof(all), "name='x'\nmemory=64\nvcpus=1\n%s", text);
    CHECK_EQ(open_text("no.cfg", all), (u64)code);
    CHECK(strstr(err.text, says));
    if (check_failed_now)
        printf("# \"%s\" says \"%s\"\n", text, err.text);
}

static void python_is_not_run(void)
{
    refuse("import os\n", -EOPNOTSUPP, "line 4, column 1");
    refuse("a = os.uname()[4]\n", -EOPNOTSUPP, "line 4, column 5");
    refuse("def f():\n  return 1\n", -EOPNOTSUPP, "line 4");
    refuse("if vcpus == 1:\n  a = 2\n", -EOPNOTSUPP, "line 4");
    refuse("a = [x for x in y]\n", -EOPNOTSUPP, "line 4, column 6");
    refuse("a = int('3')\n", -EOPNOTSUPP, "never executed");
    refuse("a = 'x' * 1000000\n", -EOPNOTSUPP, "line 4");
    refuse("a = 'x'.upper()\n", -EOPNOTSUPP, "line 4");
    refuse("a = unknown\n", -EOPNOTSUPP, "not set before");
    refuse("a = '%q' % 1\n", -EOPNOTSUPP, "conversion");
    refuse("a = 'no end\n", -EBADMSG, "line 4, column 5");
    refuse("a = [ 'no end'\n", -EBADMSG, "bracket");
    refuse("a = 1 = 2\n", -EOPNOTSUPP, "line 4");
    refuse("disk = [ 'x.img,hda,q' ]\n", -EBADMSG, "disk");
    refuse("disk = [ 'x.img,raw,what,w' ]\n", -EBADMSG, "virtual device");
    refuse("disk = [ [ 'x' ] ]\n", -EBADMSG, "no text");
    refuse("memory = 'much'\n", -EBADMSG, "memory");
}

/* Doubling a name forty times must not make forty doublings of memory. */
static void bombs(void)
{
    char text[4000] = "name='x'\nmemory=64\nvcpus=1\na = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'\n";

    for (int i = 0; i < 40; i++)
        strcat(text, "a = a + a\n");
    CHECK_EQ(open_text("bomb.cfg", text), (u64)-E2BIG);
    strcpy(text, "name='x'\nmemory=64\nvcpus=1\na = [1,2,3]\n");
    for (int i = 0; i < 40; i++)
        strcat(text, "a = a + a\n");
    CHECK_EQ(open_text("bomb.cfg", text), (u64)-E2BIG);
    strcpy(text, "name='x'\nmemory=64\nvcpus=1\na = ");
    for (int i = 0; i < 1000; i++)
        strcat(text, "[");
    CHECK_EQ(open_text("bomb.cfg", text), (u64)-E2BIG);
}

static void disk(const char *text, const char *target, const char *format, const char *vdev,
                 bool cd, bool ro, const char *rest)
{
    struct xl_disk k;
    const char *why;

    CHECK(xl_disk_parse(text, &k, &why));
    CHECK_TEXT(k.target, target);
    CHECK_TEXT(k.format, format);
    CHECK_TEXT(k.vdev, vdev);
    CHECK_TEXT(k.rest, rest);
    CHECK_EQ(k.cdrom, cd);
    CHECK_EQ(k.read_only, ro);
    if (check_failed_now)
        printf("# in \"%s\"\n", text);
}

static void disk_spellings(void)
{
    disk("/dev/vg/v,raw,hda,rw", "/dev/vg/v", "raw", "hda", false, false, "");
    disk("/dev/vg/v,,hda", "/dev/vg/v", "", "hda", false, false, "");
    disk("/root/i.iso,,hdc,,cdrom", "/root/i.iso", "", "hdc", true, false, "");
    disk("/root/i.iso,,hdc,cdrom", "/root/i.iso", "", "hdc", true, false, "");
    disk("format=raw, vdev=hda, access=rw, target=/a,b=c", "/a,b=c", "raw", "hda", false, false,
         "");
    disk("/a.qcow2,qcow2,xvda,r,script=x,backendtype=tap", "/a.qcow2", "qcow2", "xvda", false, true,
         "script=x,backendtype=tap");
    disk("phy:/dev/sda8,hda,w", "/dev/sda8", "", "hda", false, false, "");
    disk("phy:sda8,hda,w!", "sda8", "", "hda", false, false, "");
    disk("file:/x.img,xvda:disk,r", "/x.img", "", "xvda", false, true, "");
    disk("tap:aio:/x.img,hda,w", "/x.img", "", "hda", false, false, "");
    disk("tap2:tapdisk:vhd:/x.vhd,sda1,w", "/x.vhd", "vhd", "sda1", false, false, "");
    disk("qcow2:/x,hda,w", "/x", "qcow2", "hda", false, false, "");
    disk("iscsi:iqn.2001-05,xvda,w", "iqn.2001-05", "", "xvda", false, false, "script=block-iscsi");
    disk("vdev=hdc,access=r,devtype=cdrom,format=empty", "", "empty", "hdc", true, true, "");
    disk(",hdc:cdrom,r", "", "", "hdc", true, true, "");
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(hvm);
    CASE(pv);
    CASE(python_is_read);
    CASE(python_is_not_run);
    CASE(bombs);
    CASE(disk_spellings);
    CASE(files_of_products);
    done_all();
    return scratch_end();
}
