# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""What a case needs in the guest: checks, and the platform as the kernel and ndctl show it. Knows nothing of pmemd
(see pmemd.py).

Every check says what it looked at; the first that does not hold ends the case. All addresses are integers, in
bytes.
"""

import contextlib
import glob
import hashlib
import json
import mmap
import os
import re
import signal
import stat
import struct
import subprocess
import sys
import time
import traceback
import uuid

from faults import kernel_faults

MIB = 1 << 20
GIB = 1 << 30
PAGE = 4096

BOOT = int(os.environ["BOOT"])
CASE = os.environ["CASE"]
SCRATCH = "/mnt/scratch"
if os.path.exists(f"{SCRATCH}/environment.json"):
    # What the host's environment says on budgets and seeds (tests/vm/run).
    with open(f"{SCRATCH}/environment.json", encoding="utf-8") as settings:
        os.environ.update(json.load(settings))
POWER_CUT = "@@power-cut@@"
REBOOT = "@@reboot@@"
HOT_ADD = "@@hot-add@@"
SNAPSHOTS = "@@snapshots@@"
RESTORE = "@@restore@@"


# --- checks ---------------------------------------------------------------------------------------


def fail(what, detail=""):
    print(f"FAILED: {what}" + (f"\n    {detail}" if detail else ""), flush=True)
    for frame in traceback.extract_stack()[:-2]:
        print(f"    at {os.path.basename(frame.filename)}:{frame.lineno}: {frame.line}")
    sys.exit(1)


def check(what, holds, detail=""):
    if not holds:
        fail(what, detail)
    print(f"ok: {what}", flush=True)


def check_equal(what, got, wanted):
    def show(value):
        return (
            f"{value:#x}" if isinstance(value, int) and not isinstance(value, bool) and value > 0xFFFF else repr(value)
        )

    if got != wanted:
        fail(what, f"got    {show(got)}\n    wanted {show(wanted)}")
    text = show(got)
    print(f"ok: {what}: {text if len(text) <= 120 else text[:117] + '...'}", flush=True)


def check_kernel_log():
    faults = kernel_faults(run("dmesg"))
    check("the kernel's log has no fault", not faults, "\n    ".join(faults[:20]))


def done():
    check_kernel_log()
    print(f"{CASE}: done", flush=True)
    sys.exit(0)


# --- power cuts, and what is remembered over them -------------------------------------------------


def power_cut():
    """The host kills the machine on reading this line. Nothing is flushed or closed before."""
    check_kernel_log()
    print(POWER_CUT, flush=True)
    while True:
        signal.pause()


def ask_for_snapshots():
    """Of the machine's one NVDIMM, while the case goes on; snapshots_taken() says when all are made."""
    print(SNAPSHOTS, flush=True)


def snapshots_taken():
    """How many there are; 0: they are still being made."""
    path = f"{SCRATCH}/snapshots"
    return int(read(path) or "0") if os.path.exists(path) else 0


def restore_snapshot(number):
    """The NVDIMM, which is stopped with its region, has what this snapshot has."""
    print(f"{RESTORE} {number}", flush=True)
    path = f"{SCRATCH}/restored"
    while not os.path.exists(path) or read(path) != str(number):
        time.sleep(0.05)


def reboot():
    """The machine goes down in order and comes up again. Useful to cases whose root file system is kept."""
    print(REBOOT, flush=True)
    run("systemctl", "--no-block", "reboot")
    while True:
        signal.pause()


def warm_reboot():
    """The system reboots and the machine goes on (`reset=warm`): memory keeps what is in it, as over a reboot of a real
    host, and so does the root file system. The case runs again with the same BOOT: it has to save() where it is."""
    check_kernel_log()
    run("sync")
    run("systemctl", "--no-block", "reboot")
    while True:
        signal.pause()


def hot_add(size, node):
    """The host plugs an NVDIMM into the machine, e.g. of size "512M"; it takes the kernel a moment to find it."""
    print(f"{HOT_ADD} {size}:{node}", flush=True)


def save(name, value):
    """Remembers a JSON value on the host, so it is there after a power cut."""
    with open(f"{SCRATCH}/{name}.json.new", "w", encoding="utf-8") as file:
        json.dump(value, file)
    os.rename(f"{SCRATCH}/{name}.json.new", f"{SCRATCH}/{name}.json")


def load(name):
    with open(f"{SCRATCH}/{name}.json", encoding="utf-8") as file:
        return json.load(file)


# --- commands and files ---------------------------------------------------------------------------


def attempt(*command, timeout=120):
    """Runs a command and returns (exit status, output, errors)."""
    result = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=timeout,
        check=False,
    )
    return result.returncode, result.stdout, result.stderr


def run(*command, timeout=120):
    """Runs a command that has to succeed, and returns its output."""
    status, output, errors = attempt(*command, timeout=timeout)
    if status != 0:
        fail(f"{' '.join(str(word) for word in command)}: exit status {status}", (errors + output).strip()[-2000:])
    return output


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read().strip()


# --- the platform ---------------------------------------------------------------------------------


def regions():
    """The kernel's PMEM regions: name, path, start, size, node (the proximity domain's), by address."""
    found = []
    for path in glob.glob("/sys/bus/nd/devices/region*"):
        found.append(
            {
                "name": os.path.basename(path),
                "path": path,
                "start": int(read(f"{path}/resource"), 0),
                "size": int(read(f"{path}/size")),
                "node": int(read(f"{path}/target_node")) if os.path.exists(f"{path}/target_node") else -1,
            }
        )
    return sorted(found, key=lambda region: region["start"])


def init_labels(*dimms):
    """Gives the DIMMs (default: all) an empty label area, so that regions can be divided."""
    run("ndctl", "disable-region", "all")
    run("ndctl", "init-labels", "-f", "-V", "1.2", *(dimms or ["all"]))
    run("ndctl", "enable-region", "all")
    run("udevadm", "settle")


def _parse(text):
    return json.loads(text) if text.strip() else []


def namespaces():
    """What `ndctl list -vN` shows of namespaces that have a size (its entry whole as "ndctl"), with the addresses of
    the kernel's sysfs: namespace (the kernel's name), name, mode, uuid (the label's; "" without labels), start,
    size (with the info block), state; those with a device also device; devdax also usable_start, usable_size."""
    found = []
    for entry in _parse(run("ndctl", "list", "-N", "-v", "-i")):
        path = f"/sys/bus/nd/devices/{entry['dev']}"
        size = int(read(f"{path}/size"))
        if size == 0:
            continue
        item = {
            "namespace": entry["dev"],
            "name": entry.get("name", ""),
            "mode": entry["mode"],
            "uuid": read(f"{path}/uuid") if os.path.exists(f"{path}/uuid") else "",
            "start": int(read(f"{path}/resource"), 0),
            "size": size,
            "state": entry.get("state", "enabled"),
            "region": os.path.basename(os.path.dirname(os.path.realpath(path))),
            "ndctl": entry,
        }
        devices = entry.get("daxregion", {}).get("devices", [])
        if entry["mode"] == "devdax" and devices:
            holder = f"/sys/bus/nd/devices/{read(f'{path}/holder')}"
            item["device"] = f"/dev/{devices[0]['chardev']}"
            item["usable_start"] = int(read(f"{holder}/resource"), 0)
            item["usable_size"] = int(read(f"{holder}/size"))
        elif "blockdev" in entry:
            item["device"] = f"/dev/{entry['blockdev']}"
        found.append(item)
    return sorted(found, key=lambda item: item["start"])


def create_namespace(region, mode, size, name, alignment=2 * MIB):
    """Makes a namespace with ndctl, as any other tool of the host would."""
    command = ["ndctl", "create-namespace", "-r", region["name"], "-m", mode, "-s", size, "-n", name]
    if mode != "raw":
        command += ["-a", alignment, "-M", "mem"]
    made = json.loads(run(*command))
    run("udevadm", "settle")
    return next(item for item in namespaces() if item["namespace"] == made["dev"])


def destroy_namespace(item):
    run("ndctl", "destroy-namespace", "-f", item["namespace"])
    run("udevadm", "settle")


def labels():
    """The labels in force in every DIMM's label area, byte for byte: {label's uuid: ["DIMM: hex", ...]}. Decoded here
    and not by `ndctl read-labels`, which also shows the stale labels of free slots."""
    found = {}
    for path in sorted(glob.glob("/sys/bus/nd/devices/nmem*")):
        dimm = os.path.basename(path)
        copy = f"/run/{dimm}.labels"
        run("ndctl", "read-labels", "-o", copy, dimm)
        with open(copy, "rb") as file:
            area = file.read()
        indexes = []
        if area[:16] == b"NAMESPACE_INDEX\0":
            size = struct.unpack_from("<Q", area, 32)[0]
            indexes = [start for start in (0, size) if _index_is_valid(area[start : start + size])]
        if not indexes:
            continue
        sequences = [struct.unpack_from("<I", area, start + 20)[0] for start in indexes]
        # Sequence numbers go 1, 2, 3, 1, ...: the one that follows the other is in force.
        current = indexes[-1] if len(indexes) == 2 and sequences[1] == sequences[0] % 3 + 1 else indexes[0]
        label_size = 128 << area[current + 19]
        start_of_labels, slots = struct.unpack_from("<QI", area, current + 48)
        for slot in range(slots):
            if area[current + 72 + slot // 8] >> slot % 8 & 1:
                continue
            label = area[start_of_labels + slot * label_size :][:label_size]
            found.setdefault(str(uuid.UUID(bytes=label[:16])), []).append(f"{dimm}: {label.hex()}")
    return found


def index_checksum(index):
    """The checksum of an index block, as it stands in bytes 64 to 72: Fletcher's, over 32-bit words, with its own field
    taken as zero."""
    low = high = 0
    for (word,) in struct.iter_unpack("<I", index[:64] + bytes(8) + index[72:]):
        low = (low + word) & 0xFFFFFFFF
        high = (high + low) & 0xFFFFFFFFFFFFFFFF
    return struct.pack("<Q", (high & 0xFFFFFFFF) << 32 | low)


def _index_is_valid(index):
    return bytes(index[64:72]) == index_checksum(index)


def iomem():
    """/proc/iomem as a list of (start, end, name, depth), end exclusive."""
    found = []
    with open("/proc/iomem", encoding="ascii") as file:
        for line in file:
            match = re.match(r"( *)([0-9a-f]+)-([0-9a-f]+) : (.*)", line.rstrip("\n"))
            found.append((int(match[2], 16), int(match[3], 16) + 1, match[4], len(match[1]) // 2))
    return found


def free_holes(region):
    """Free ranges of a region, computed from the raw ranges of all its namespaces."""
    holes = []
    position = region["start"]
    for item in namespaces():
        if item["region"] != region["name"]:
            continue
        if item["start"] > position:
            holes.append((position, item["start"]))
        position = item["start"] + item["size"]
    if position < region["start"] + region["size"]:
        holes.append((position, region["start"] + region["size"]))
    return holes


def _in_operation(region):
    """How many of the region's namespaces have a driver, or a device over them has."""
    found = 0
    for path in glob.glob(f"{region['path']}/namespace*.*"):
        holder = read(f"{path}/holder")
        found += os.path.exists(f"/sys/bus/nd/devices/{holder}/driver" if holder else f"{path}/driver")
    return found


def restart_region_slowly(region):
    """The region starts anew, as at the boot of a busy machine: who registers it waits for the CPU while its namespaces start on
    the same. Linux 6.1 then mostly leaves its seed at one that is in operation. Returns whether it did."""
    driver = "/sys/bus/nd/drivers/nd_region"
    there = _in_operation(region)
    with open(f"{driver}/unbind", "w", encoding="ascii") as file:
        file.write(region["name"])
    run("udevadm", "settle")
    # Of what this one leaves, who registers gets a sixth; starting takes before either.
    rival = subprocess.Popen(["taskset", "--cpu-list", "0", "nice", "-n", "19", "sh", "-c", "while :; do :; done"])
    registrar = os.fork()
    if registrar == 0:
        file = os.open(f"{driver}/bind", os.O_WRONLY)
        os.sched_setaffinity(0, {0})
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        os._exit(0 if os.write(file, region["name"].encode()) > 0 else 1)
    end = time.monotonic() + 60
    while _in_operation(region) < there and time.monotonic() < end:
        time.sleep(0.1)
    rival.kill()
    rival.wait()
    check_equal(f"{region['name']} is started", os.waitpid(registrar, 0)[1], 0)
    run("udevadm", "settle")
    seed = read(f"{region['path']}/namespace_seed")
    return read(f"/sys/bus/nd/devices/{seed}/size") != "0"


# --- the content of devices -----------------------------------------------------------------------


def open_device(path):
    """Opens a device node that has to be there. Never with O_CREAT: it makes a file of a missing one."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    if not (stat.S_ISCHR(os.fstat(descriptor).st_mode) or stat.S_ISBLK(os.fstat(descriptor).st_mode)):
        os.close(descriptor)
        fail(f"{path} is no device")
    return descriptor


def device_size(path):
    name = os.path.basename(path)
    if name.startswith("dax"):
        return int(read(f"/sys/bus/dax/devices/{name}/size"))
    return int(read(f"/sys/class/block/{name}/size")) * 512


@contextlib.contextmanager
def mapped(path):
    """A device-dax mapped whole. Its size is in sysfs: the file has none, and maps past the end are granted."""
    descriptor = open_device(path)
    try:
        memory = mmap.mmap(descriptor, device_size(path), mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    finally:
        os.close(descriptor)
    try:
        yield memory
    finally:
        memory.close()


def _pattern_pages(size, seed):
    """A page at the start, at the end and at each MiB between, each different."""
    for offset in sorted({*range(0, size, MIB), size - PAGE}):
        yield offset, hashlib.sha256(f"{seed}:{offset}".encode()).digest() * (PAGE // 32)


def write_pattern(path, seed):
    """Stores a pattern in a device-dax by plain stores; under emulation what is stored is in the NVDIMM."""
    with mapped(path) as memory:
        for offset, page in _pattern_pages(len(memory), seed):
            memory[offset : offset + PAGE] = page


def write_block_pattern(path, seed):
    """The same for a block device, through to its memory."""
    descriptor = open_device(path)
    try:
        for offset, page in _pattern_pages(device_size(path), seed):
            os.pwrite(descriptor, page, offset)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def has_pattern(path, seed):
    with mapped(path) as memory:
        return all(memory[offset : offset + PAGE] == page for offset, page in _pattern_pages(len(memory), seed))


def is_zero(path):
    """Whether every byte of a device-dax is zero."""
    zeros = bytes(MIB)
    with mapped(path) as memory:
        return all(memory[offset : offset + MIB] == zeros for offset in range(0, len(memory), MIB))


def first_bytes(path, count=MIB):
    """The first bytes of a device, whichever way it can be read."""
    if os.path.basename(path).startswith("dax"):
        with mapped(path) as memory:
            return hashlib.sha256(memory[:count]).hexdigest()
    descriptor = open_device(path)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return hashlib.sha256(os.pread(descriptor, count, 0)).hexdigest()
    finally:
        os.close(descriptor)
