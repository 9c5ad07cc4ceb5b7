#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's tools: Debian's own open-vm-tools, then its qemu-ga, asked from inside and outside,
and both answers compared.  With MIMIC_LONG set also a reboot and a suspend by the tools.
"""
import json, os, subprocess, time
from vmtest import MIMIC, OVA, Session, Skip, check, main, scratch

PRODUCT = """<ProductSection><Info>Appliance</Info><Product>tools</Product>
<Property ovf:key="role" ovf:type="string" ovf:userConfigurable="true" ovf:value="none"/></ProductSection>
</VirtualSystem>"""

class Guest:
    dir = scratch()
    session = None

def path(name):
    return os.path.join(Guest.dir.name, name)

def mimic(*args, seconds=120, input=None, password=None):
    """A command to the running VM: (exit code, standard output, standard error)."""
    env = dict(os.environ, MIMIC_GUEST_PASSWORD=password or "mimic")
    p = subprocess.run([MIMIC] + list(args), input=input, capture_output=True, timeout=seconds, env=env)
    return p.returncode, p.stdout, p.stderr.decode("utf-8", "replace")

def vm():
    return str(Guest.session.pid)

def ask(*args, **more):
    code, out, err = mimic(args[0], *args[1:], **more)
    check(code == 0, "mimic %s: exit code %d, %s" % (" ".join(args), code, err))
    return out

def inside(command, seconds=120):
    return Guest.session.shell(command, seconds)

def info():
    return json.loads(ask("info", "--json", vm()))

def wait_for(what, seconds=180):
    end, i = time.time() + seconds, None
    while time.time() < end:
        i = info()
        if what(i):
            return i
        time.sleep(0.5)
    raise AssertionError("the guest's tools did not tell it within %d s: %s" % (seconds, i))

def appliance():
    """The package as a folder, with an OVF environment for its guest."""
    subprocess.run(["tar", "-C", Guest.dir.name, "-xf", OVA], check=True)
    names = os.listdir(Guest.dir.name)
    os.unlink(path([n for n in names if n.endswith(".mf")][0]))
    ovf = path([n for n in names if n.endswith(".ovf")][0])
    text = open(ovf).read().replace("</VirtualSystem>", PRODUCT)
    text = text.replace("<VirtualHardwareSection>", '<VirtualHardwareSection ovf:transport="com.vmware.guestInfo">')
    with open(ovf, "w") as f:
        f.write(text)
    return ovf

def tools_are_there(i):
    return i["agent"] == "open-vm-tools" and "exec" in i["can"] and "poweroff" in i["can"] and i["nics"] and i["disks"]

def start_tools():
    inside("systemctl start vgauth open-vm-tools")
    return wait_for(tools_are_there)

def starts():
    os.environ["XDG_RUNTIME_DIR"] = Guest.dir.name
    Guest.session = Session([MIMIC, "run", "--console", "serial", "--throwaway", "--state", path("state"),
                             "--guestinfo", "role=database", "--agent", "qemu", "--property", "role=mail",
                             appliance()])
    Guest.session.login(600)
    inside("systemctl stop qemu-guest-agent") # its port alone starts it
    wait_for(lambda i: not i["can"], 90)
    check(mimic("exec", "-u", "root", vm(), "--", "true")[0] != 0, "a program ran without tools")
    start_tools()

def the_same_inside_and_outside():
    i = info()
    check(i["host"] == inside("hostname"), "host: %s" % i["host"])
    check(i["kernel"] == inside("uname -r"), "kernel: %s" % i["kernel"])
    name = inside(". /etc/os-release; echo $PRETTY_NAME")
    check("Debian" in i["os_name"] and "12" in i["os_name"] and "Debian" in name, "system: %s" % i["os_name"])
    address = inside("ip -4 -o addr show scope global | awk '{print $4}'")
    check(any(address in n["addresses"] for n in i["nics"]), "addresses: %s, not %s" % (i["nics"], address))
    check(i["nics"][0]["mac"] == inside("cat /sys/class/net/e*/address"), "MAC: %s" % i["nics"])
    blocks = inside("stat -f -c '%b %S' /").split()
    root = [d for d in i["disks"] if d["path"] == "/"]
    check(root and abs(root[0]["size"] - int(blocks[0]) * int(blocks[1])) < 1 << 27, "disks: %s" % i["disks"])
    check(i["version"] in inside("vmware-toolbox-cmd -v"), "version: %s" % i["version"])

def lives():
    check(info()["heartbeat_ms"] < 10000, "heartbeat: %s ms" % info()["heartbeat_ms"])
    inside("kill -STOP $(pidof vmtoolsd)")
    wait_for(lambda i: i["heartbeat_ms"] > 5000, 60)
    inside("kill -CONT $(pidof vmtoolsd)")
    wait_for(lambda i: i["heartbeat_ms"] < 3000, 60)

def variables():
    check(inside("vmware-rpctool 'info-get guestinfo.role'") == "database", "what --guestinfo told")
    inside("vmware-rpctool 'info-set guestinfo.inside some value'")
    check(ask("guestinfo", vm(), "get", "inside") == b"some value\n", "a value set inside")
    ask("guestinfo", vm(), "set", "outside", "another one")
    check(inside("vmware-rpctool 'info-get guestinfo.outside'") == "another one", "a value set outside")
    check("Unknown command" in inside("vmware-rpctool nonsense || true"), "an unknown command")
    check(mimic("guestinfo", vm(), "get", "nothing")[0] != 0, "a value that is not there")
    ovf = inside("vmware-rpctool 'info-get guestinfo.ovfEnv'")
    check('key="role"' in ovf and 'value="mail"' in ovf, "OVF environment: %s" % ovf)

def toolbox():
    mhz = inside("vmware-toolbox-cmd stat speed").split()
    check(mhz[1] == "MHz" and int(mhz[0]) > 0, "speed: %s" % mhz)
    check(inside("vmware-toolbox-cmd stat balloon") == "0 MB", "balloon")
    check(inside("vmware-toolbox-cmd stat memres") == "0 MB", "reserved memory")
    check(inside("vmware-toolbox-cmd stat cpures") == "0 MHz", "reserved processor")
    stamp = inside("vmware-toolbox-cmd stat hosttime") # of the host's clock, in the guest's zone: UTC
    told = time.mktime(time.strptime(stamp, "%d %b %Y %H:%M:%S")) - time.timezone
    check(abs(told - time.time()) < 60, "host's time: %s" % stamp)
    check(inside("vmware-toolbox-cmd timesync enable") == "Enabled", "time synchronisation")
    check(inside("vmware-toolbox-cmd timesync status") == "Enabled", "its status")
    check(inside("vmware-toolbox-cmd timesync disable") == "Disabled", "without it")

def clock():
    inside("date -s '2001-01-01 00:00:00'")
    ask("guest", vm(), "time")
    check(abs(int(inside("date +%s")) - time.time()) < 60, "the guest's clock was not set")

def programs():
    code, out, err = mimic("exec", "-u", "root", vm(), "--", "sh", "-c", "echo \"it's $0\"; echo bad >&2; exit 7", "out")
    check((code, out, err) == (7, b"it's out\n", "bad\n"), "exec: %r" % ((code, out, err),))
    check(ask("exec", "-i", "-u", "root", vm(), "--", "cat", input=b"through\0it") == b"through\0it", "input")
    check(mimic("exec", "-u", "root", vm(), "--", "id", password="wrong")[0] != 0, "a wrong password was taken")
    check(mimic("exec", vm(), "--", "id")[0] != 0, "no user was asked for")
    ask("pause", vm())
    code, out, err = mimic("exec", "-u", "root", vm(), "--", "id", seconds=30)
    ask("resume", vm())
    check(code == 71 and "mimic resume" in err, "a program of a paused guest: %d, %s" % (code, err))

def copy(mib, *login):
    data = os.urandom(mib << 20)
    with open(path("big"), "wb") as f:
        f.write(data)
    began = time.time()
    ask("cp", *login, path("big"), vm() + ":/root/big", seconds=600)
    middle = time.time()
    ask("cp", *login, vm() + ":/root/big", path("back"), seconds=600)
    print("# %d MiB: %.1f s into the guest, %.1f s out" % (mib, middle - began, time.time() - middle), flush=True)
    with open(path("back"), "rb") as f:
        check(f.read() == data, "the file is another one after two copies")
    check(mimic("cp", *login, vm() + ":/root/none", path("none"))[0] != 0, "a file that is not there was copied")
    check(not [n for n in os.listdir(Guest.dir.name) if n.startswith("none")], "a file was left of none")
    inside("rm /root/big")
    os.mkdir(path("into"))
    ask("cp", *login, vm() + ":/etc/hostname", path("into"))
    ask("cp", *login, path("into/hostname"), vm() + ":/root/")
    check(inside("cmp /etc/hostname /root/hostname && rm /root/hostname && echo same") == "same", "into directories")
    os.unlink(path("into/hostname"))
    os.rmdir(path("into"))

def files():
    copy(50, "-u", "root")

def freezes():
    ask("guest", vm(), "freeze")
    check(info()["frozen"], "it does not say that it is frozen")
    Guest.session.send("echo written >/root/after; echo @$((6*7))@")
    try:
        Guest.session.expect("@42@", 2) # the shell stands at the file
        check(False, "a file was written while it stood")
    except TimeoutError:
        pass
    finally:
        ask("guest", vm(), "thaw")
    Guest.session.expect("@42@", 60)
    check(inside("cat /root/after") == "written", "what was written while it stood")
    check(not info()["frozen"], "it says that it is frozen")

def balloon():
    ask("balloon", vm(), "128M")
    end = time.time() + 120
    while b"given 128 MiB" not in ask("balloon", vm()):
        check(time.time() < end, "the balloon did not fill")
        time.sleep(0.5)
    check(inside("vmware-toolbox-cmd stat balloon") == "128 MB", "what it tells inside")
    ask("balloon", vm(), "0")

def the_other_agent():
    inside("systemctl stop open-vm-tools; systemctl start qemu-guest-agent", 180)
    i = wait_for(lambda i: i["agent"] == "qemu-ga" and "exec" in i["can"] and i["host"] and i["nics"])
    check(i["host"] == inside("hostname") and i["kernel"] == inside("uname -r"), "host, kernel: %s" % i)
    code, out, err = mimic("exec", vm(), "--", "sh", "-c", "cat; echo bad >&2; exit 5")
    check((code, out, err) == (5, b"", "bad\n"), "exec: %r" % ((code, out, err),))
    freezes()

def its_files():
    copy(50)
    inside("systemctl stop qemu-guest-agent")

def long_only():
    if not os.environ.get("MIMIC_LONG"):
        raise Skip("with MIMIC_LONG=1")

def reboots():
    long_only()
    start_tools()
    ask("guest", vm(), "reboot")
    Guest.session.login(600)

def suspends():
    long_only()
    start_tools()
    ask("guest", vm(), "suspend")
    ask("guest", vm(), "resume")
    check(inside("echo here") == "here", "it does not answer after a resume")

def powers_off():
    start_tools()
    began = time.time()
    ask("guest", vm(), "poweroff")
    told = time.time()
    check(Guest.session.wait(240) == 0, "exit code after power off: %s" % Guest.session.status)
    print("# the tools agreed after %.1f s, and it was off after %.1f s" % (told - began, time.time() - began), flush=True)

main([("the guest's own open-vm-tools are heard of", starts),
      ("what is told outside is so inside", the_same_inside_and_outside),
      ("they live, and it is seen when they do not", lives),
      ("variables both ways, the OVF environment", variables), ("vmware-toolbox-cmd", toolbox),
      ("the guest's clock is set", clock),
      ("programs, with a user's password", programs), ("50 MiB each way, verified", files),
      ("file systems frozen and thawed", freezes), ("memory given back and taken", balloon),
      ("qemu-ga does the same", the_other_agent), ("50 MiB each way by qemu-ga, verified", its_files),
      ("a reboot by the tools", reboots), ("a suspend by the tools", suspends),
      ("a power off by the tools", powers_off)])
