# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""A host with libvirt as a case of libvirt-* sees it: the installed units of pmemd, pmemd-libvirt and libvirt's daemon, virsh, and
domains whose NVDIMM is looked at by the guest of tests/vm/tools/nvdimm-guest.s."""

import glob
import gzip
import hashlib
import json
import lzma
import os
import re
import struct
import subprocess
import time

import vm
from vm import attempt, check, run

FIRMWARE = "/usr/lib/pmemd-tests/nvdimm-guest.bin"
FOLDER = "/var/lib/pmemd-case"  # of guests: QEMU's user may write there
UNITS = ("pmemd.service", "libvirtd.service", "pmemd-libvirt.service")
HOOK = "/etc/libvirt/hooks/qemu.d/pmemd"
PLACE = 4 << 30  # where QEMU puts the NVDIMM of a guest with little RAM
DOCUMENT = "/mnt/src/docs/libvirt.md"
PATIENCE = 120
# The machine puts what is to be tested in its place anew at each start, which takes the hook away for a moment, and libvirt's daemon
# looks for hooks only once. Also, an emulated machine is slow in starting it.
LIBVIRTD = """[Service]
ExecStartPre=/bin/sh -c 'until dmesg | grep -q "pmemd-test: the case starts"; do sleep 0.1; done'
TimeoutStartSec=300
"""


def wait_for(what, condition, seconds=PATIENCE):
    """Until the condition holds: for what nobody announces. Its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            print(attempt("journalctl", "--no-pager", "-n", "60", "-u", "pmemd*", "-u", "libvirtd*")[1])
            vm.fail(f"{what}: not within {seconds} s")
        time.sleep(0.1)
    print(f"ok: {what}", flush=True)
    return value


# --- the host -------------------------------------------------------------------------------------


def start(deadline=None):
    """As the packages leave it: the hook in its place, all three services on, and started with the host. deadline: how long making a
    volume may take, where the emulated machine is slow; None: as usual."""
    if deadline is not None:
        os.makedirs("/etc/systemd/system/pmemd-libvirt.service.d", exist_ok=True)
        with open("/etc/systemd/system/pmemd-libvirt.service.d/case.conf", "w", encoding="utf-8") as file:
            file.write(f"[Service]\nExecStart=\nExecStart=/usr/sbin/pmemd-libvirt --deadline={deadline}\n")
    os.makedirs("/etc/systemd/system/libvirtd.service.d", exist_ok=True)
    with open("/etc/systemd/system/libvirtd.service.d/case.conf", "w", encoding="utf-8") as file:
        file.write(LIBVIRTD)
    run("systemd-sysusers")
    run("systemd-tmpfiles", "--create", "pmemd.conf")
    if not os.path.exists(HOOK):
        os.makedirs(os.path.dirname(HOOK), exist_ok=True)
        os.symlink("/usr/sbin/pmemd-qemu-hook", HOOK)
    run("udevadm", "control", "--reload")
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", *UNITS)
    run("systemctl", "restart", *UNITS, timeout=300)
    os.makedirs(FOLDER, exist_ok=True)
    os.chmod(FOLDER, 0o777)
    wait_ready()


def wait_ready():
    """pmemd has ended its recovery, pmemd-libvirt and libvirt's daemon answer."""
    wait_for("pmemd is ready", lambda: json_of("show").get("daemon", {"state": "recovering"})["state"] != "recovering")
    wait_for("pmemd-libvirt answers", lambda: attempt("pmemctl", "pool", "list")[0] == 0)
    wait_for("libvirt answers", lambda: attempt("virsh", "list")[0] == 0)


def show(unit, name):
    return run("systemctl", "show", "--value", f"--property={name}", unit).strip()


# --- commands -------------------------------------------------------------------------------------


def ctl(*arguments, status=0, user=None):
    """pmemctl; its output, or what it says when it has to fail."""
    return _command(["pmemctl", *arguments], status, user)


def virsh(*arguments, status=0, user=None, timeout=PATIENCE):
    """virsh; its output, or what it says when it has to fail."""
    return _command(["virsh", *arguments], status, user, timeout)


def _command(command, status, user, timeout=PATIENCE):
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )
    what = " ".join(str(word) for word in command[:4]) + (" as another user" if user else "")
    check(f"{what}: exit status {status}", done.returncode == status, f"got {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stderr if status else done.stdout


def json_of(*arguments):
    """What pmemctl prints; {} when it fails."""
    status, output, _ = attempt("pmemctl", "--json", *arguments)
    return json.loads(output) if status == 0 else {}


def pool_row(name):
    return next(row for row in json_of("pool", "list")["pools"] if row["name"] == name)


def volumes(pool):
    """Names of the volumes that libvirt has."""
    return {line.split()[0] for line in run("virsh", "vol-list", pool).splitlines()[2:] if line.split()}


def pool_bytes(name):
    """{"Capacity": ..., "Allocation": ..., "Available": ...}, bytes."""
    shown = run("virsh", "pool-info", "--bytes", name)
    return {key: int(value) for key, value in re.findall(r"^(\w+): +(\d+)$", shown, re.M)}


def leases():
    """{region's name: owner}"""
    return {lease["name"]: lease["owner"] for lease in json.loads(run("pmemctl", "--json", "leases"))["leases"]}


def hook_lent(domain):
    """Whether it was the hook, before QEMU opened it: of what pmemd-libvirt had to lend afterwards, it says so."""
    said = run("journalctl", "--no-pager", "--quiet", "-b", "-u", "pmemd-libvirt.service")
    return f"is lent to domain {domain.name} (" not in said


def is_clean(region):
    """Whether its first erase has ended; no answer is no."""
    found = json_of("show", region).get("region")
    return found is not None and found["dirty"] is False


def walk(name):
    """Runs the commands of docs/libvirt.md behind `<!-- walk: NAME -->`, as they stand there. What they print."""
    with open(DOCUMENT, encoding="utf-8") as file:
        block = re.search(rf"<!-- walk: {name} -->\n\n((?:    .*\n|\n(?=    ))+)", file.read())
    check(f"docs/libvirt.md: {name}", block is not None)
    commands = "".join(line[4:] for line in block[1].splitlines(keepends=True))
    print(commands, flush=True)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=FOLDER,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    print(done.stdout, flush=True)
    check(f"docs/libvirt.md: {name}: exit status 0", done.returncode == 0)
    return done.stdout


def validate(kind, text):
    """libvirt's own schema takes the document."""
    path = f"{FOLDER}/validate.xml"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    status, output, errors = attempt("virt-xml-validate", path, kind)
    check(f"virt-xml-validate: {kind}", status == 0, output + errors + text)


# --- domains --------------------------------------------------------------------------------------


def domain_xml(name, uuid, os_xml, arguments=(), memory=256, devices=""):
    """A domain that has room for NVDIMMs, as docs/libvirt.md says."""
    words = "".join(f"<qemu:arg value='{word}'/>" for word in arguments)
    return f"""<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <maxMemory slots='4' unit='MiB'>4096</maxMemory>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type>{os_xml}</os>
  <features><acpi/></features>
  <cpu mode='maximum'><numa><cell id='0' cpus='0' memory='{memory}' unit='MiB'/></numa></cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    {devices}
  </devices>
  <qemu:commandline>{words}</qemu:commandline>
</domain>
"""


class Domain:
    """A domain whose guest is the firmware: it says what it found in its NVDIMM, then stores the pattern of the next seed."""

    def __init__(self, name, uuid):
        self.name, self.uuid = name, uuid
        self.firmware, self.output = f"{FOLDER}/{name}.bin", f"{FOLDER}/{name}.out"

    def define(self, devices=""):
        text = domain_xml(
            self.name,
            self.uuid,
            f"<loader readonly='yes' type='rom'>{self.firmware}</loader>",
            ("-debugcon", f"file:{self.output}"),
            devices=devices,
        )
        validate("domain", text)
        path = f"{FOLDER}/{self.name}.xml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        virsh("define", path)

    def prepare(self, size, seed, next_seed):
        """What its guest looks for, and stores: patterns of these numbers over the first size bytes."""
        with open(FIRMWARE, "rb") as file:
            firmware = bytearray(file.read())
        struct.pack_into("<QQQQ", firmware, 0, PLACE, size, seed, next_seed)
        for path, content in ((self.firmware, firmware), (self.output, b"")):
            with open(path, "wb") as file:
                file.write(content)
            os.chmod(path, 0o666)

    def said(self):
        with open(self.output, "rb") as file:
            return file.read().decode(errors="replace")

    def found(self):
        """Z: zeros, P: the pattern; once it has stored the next one."""
        return wait_for(f"the guest of {self.name} has stored its pattern", lambda: (text := self.said())[1:] == "W" and text)[0]


# --- a guest with a kernel ------------------------------------------------------------------------


def _cpio(entries):
    """An archive that kernels take for their first root: [(name, mode, content)]."""
    out = bytearray()
    for number, (name, mode, content) in enumerate([*entries, ("TRAILER!!!", 0, b"")]):
        raw = name.encode() + b"\0"
        fields = (number + 1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(raw), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + raw
        out += bytes(-len(out) % 4)
        out += content + bytes(-len(content) % 4)
    return bytes(out)


MODULES = ("libnvdimm", "nfit", "dax", "nd_btt", "nd_pmem")
INIT = """#!/bin/busybox sh
B=/bin/busybox
$B mkdir -p /dev /proc /sys
$B mount -t devtmpfs dev /dev
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
for module in MODULES; do [ ! -e /m/$module.ko ] || $B insmod /m/$module.ko; done
until [ -b /dev/pmem0 ]; do $B sleep 0.2; done
echo "pmem0 $($B cat /sys/block/pmem0/size) $($B head -c BYTES /dev/pmem0 | $B md5sum)" >/dev/ttyS0
$B poweroff -f
"""


def _vmlinux(image):
    """The kernel as it is unpacked, which QEMU starts, too: unpacking it in a machine emulated by an emulated one takes minutes. Where
    it is not packed by xz, the image itself."""
    offset, length = struct.unpack_from("<II", image, 0x248)  # payload_offset, payload_length of Linux's boot protocol
    start = (image[0x1F1] + 1) * 512 + offset
    packed = image[start : start + length]
    return lzma.LZMADecompressor().decompress(packed) if packed.startswith(b"\xfd7zXZ") else image


def kernel_guest(size):
    """The kernel and the first root of a Linux guest that says how large its /dev/pmem0 is, and what stands in its first size bytes, as
    elements of <os>."""
    os.makedirs("/mnt/image", exist_ok=True)
    run("mount", "-t", "9p", "-o", "trans=virtio,version=9p2000.L,msize=524288,ro", "image", "/mnt/image")
    with open("/mnt/image/vmlinuz", "rb") as file:
        kernel = _vmlinux(file.read())
    with open(f"{FOLDER}/vmlinux", "wb") as file:
        file.write(kernel)
    with gzip.open("/mnt/image/initrd.gz", "rb") as file:
        base = file.read()
    run("umount", "/mnt/image")
    init = INIT.replace("MODULES", " ".join(MODULES)).replace("BYTES", str(size))
    entries = [("init", 0o100755, init.encode()), ("m", 0o040755, b"")]
    for module in MODULES:
        for path in glob.glob(f"/lib/modules/*/**/{module}.ko", recursive=True):
            with open(path, "rb") as file:
                entries.append((f"m/{module}.ko", 0o100644, file.read()))
    with open(f"{FOLDER}/initrd", "wb") as file:
        file.write(base + bytes(-len(base) % 512) + _cpio(entries))
    return (
        f"<kernel>{FOLDER}/vmlinux</kernel><initrd>{FOLDER}/initrd</initrd><cmdline>console=ttyS0 quiet panic=-1 no_timer_check nokaslr "
        "mitigations=off init_on_alloc=0 tsc=reliable lpj=4000000 apparmor=0 audit=0 cryptomgr.notests</cmdline>"
    )


def pattern_sum(size, seed):
    """What md5sum says of the pattern of nvdimm-guest.s."""
    return hashlib.md5(struct.pack(f"<{size // 8}Q", *range(seed, seed + size, 8)), usedforsecurity=False).hexdigest()
