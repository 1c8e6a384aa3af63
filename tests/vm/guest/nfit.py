# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""nfit_test, the kernel's own test of its NVDIMM drivers, for cases with `nfit=yes`: made-up DIMMs whose faults can be
ordered. What it has:

    bus nfit_test.0     a region over two DIMMs (64 MiB), one over four (128 MiB), and one of a fifth DIMM alone (64 MiB)
    bus nfit_test.1     a region of a DIMM without labels that is not armed, and had all kinds of failures; and one of a
                        virtual disk, whose address is past the 52 bits that there are

Their memory is the guest's own, so nothing of it outlives a boot. Numbers of regions and DIMMs are the kernel's choice:
ask regions() and dimms_of().
"""

import fcntl
import glob
import json
import os
import struct

import vm

FOLDER = "/usr/lib/pmemd-tests/nfit"


def load():
    """Loads the modules, and waits until all regions are there."""
    with open(f"{FOLDER}/order", encoding="ascii") as file:
        names = file.read().split()
    # What they link of the kernel's other modules.
    for name in ("dax", "encrypted-keys", "trusted"):
        vm.attempt("modprobe", name)
    for name in names:
        vm.run("insmod", f"{FOLDER}/{name}.ko")
    vm.run("udevadm", "settle")
    vm.check("nfit_test made its regions", len(vm.regions()) == 5, str(vm.regions()))


def dimms_of(region):
    """The kernel's names of the DIMMs of a region, in its order."""
    count = int(vm.read(f"{region['path']}/mappings"))
    return [vm.read(f"{region['path']}/mapping{i}").split(",")[0] for i in range(count)]


def find(ways, armed=True):
    """The region over so many DIMMs."""
    found = [
        region
        for region in vm.regions()
        if int(vm.read(f"{region['path']}/mappings")) == ways
        and (vm.read(f"{region['path']}/read_only") == "0") == armed
    ]
    vm.check(f"there is one {'' if armed else 'read-only '}region of {ways} DIMMs", len(found) == 1, str(found))
    return found[0]


def fail_command(dimm, mask, code=0):
    """Commands of a DIMM fail from now on: bit N of the mask is command N of the kernel's (64: writing labels)."""
    handle = int(vm.read(f"/sys/bus/nd/devices/{dimm}/nfit/handle"), 0)
    for path in glob.glob("/sys/class/nfit_test_dimm/test_dimm*"):
        if int(vm.read(f"{path}/handle"), 0) != handle:
            continue
        for name, value in (("fail_cmd_code", code), ("fail_cmd", mask)):
            with open(f"{path}/{name}", "w", encoding="ascii") as file:
                file.write(f"{value:#x}")
        return
    vm.fail(f"{dimm} is none of nfit_test's", ", ".join(os.listdir("/sys/class/nfit_test_dimm")))


def inject_error(namespace, block, count):
    """Blocks of 512 bytes of a namespace become bad, and the kernel is told."""
    vm.run("ndctl", "inject-error", f"--block={block}", f"--count={count}", namespace)


def inject_smart(dimm, *options):
    vm.run("ndctl", "inject-smart", *options, dimm)


def health(dimm):
    """What ndctl shows of it."""
    return json.loads(vm.run("ndctl", "list", "-DH", "-d", dimm))[0]["health"]


def _parameter(name, value=None):
    path = f"/sys/module/nfit_test/parameters/{name}"
    if value is not None:
        with open(path, "w", encoding="ascii") as file:
            file.write(str(value))
    return int(vm.read(path))


def allow_label_writes(count):
    """After so many writes to label areas all fail (-1: none), and who asks for the first that does is killed."""
    _parameter("label_writes_left", count)


def label_writes():
    """How many there were since the modules were loaded."""
    return _parameter("label_writes")


def _bind(driver, name, verb):
    """By sysfs: ndctl takes seconds for each under emulation. What cannot be bound is not, as at a boot."""
    try:
        with open(f"/sys/bus/nd/drivers/{driver}/{verb}", "w", encoding="ascii") as file:
            file.write(name)
    except OSError as error:
        print(f"{verb} {name}: {error.strerror}", flush=True)


def _seed_is_stuck(region):
    try:
        seed = vm.read(f"{region['path']}/namespace_seed")
        return vm.read(f"/sys/bus/nd/devices/{seed}/size") != "0"
    except OSError:
        return False  # it has not started


def power_up(*regions):
    """What a boot does with the labels of these regions, which share their DIMMs with no others: the kernel forgets what it
    knows and reads them. Returns the regions that it cannot start."""
    allow_label_writes(-1)
    dimms = sorted({dimm for region in regions for dimm in dimms_of(region)})
    for region in regions:
        if os.path.exists(f"{region['path']}/driver"):
            _bind("nd_region", region["name"], "unbind")
    for verb in ("unbind", "bind"):
        for dimm in dimms:
            _bind("nvdimm", dimm, verb)
    for region in regions:
        _bind("nd_region", region["name"], "bind")
        vm.run("udevadm", "settle")
        # Linux 6.1 on a busy machine: a namespace that is started before the region's seed is noted never advances it.
        while _seed_is_stuck(region):
            print(f"ok: {region['name']} is started once more, its seed is in use", flush=True)
            for verb in ("unbind", "bind"):
                _bind("nd_region", region["name"], verb)
            vm.run("udevadm", "settle")
    return [region for region in regions if not os.path.exists(f"{region['path']}/driver")]


def _label_command(dimm, number, command):
    """What the DIMM answers. Who has it open only for reading is refused some that only read."""
    file = os.open(f"/dev/{dimm}", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(file, number, command)
    finally:
        os.close(file)
    return command


def label_area(dimm, length=None):
    """As it is now, byte for byte, by the kernel's command: the whole, or so much of its start. QEMU's DIMMs take long for it."""
    # ND_IOCTL_GET_CONFIG_SIZE and ND_IOCTL_GET_CONFIG_DATA
    answer = _label_command(dimm, 0xC00C4E04, bytearray(12))
    status, size, step = struct.unpack("<III", answer)
    if status != 0 or size == 0 or step == 0:
        vm.fail(f"{dimm} does not say how long its label area is", answer.hex())
    area = b""
    while len(area) < min(size, length or size):
        part = min(step, size - len(area), 4096)
        answer = _label_command(dimm, 0xC00C4E05, bytearray(struct.pack("<III", len(area), part, 0) + bytes(part)))
        if struct.unpack_from("<I", answer, 8)[0] != 0:
            vm.fail(f"{dimm}: its label area cannot be read at {len(area)}", answer[:12].hex())
        area += answer[12:]
    return area


def _slots_in_use(area):
    """Of the index block that counts; the one that is not whole, or the older, does not."""
    size = struct.unpack_from("<Q", area, 32)[0] if area[:16] == b"NAMESPACE_INDEX\0" else 256
    found = []
    for at in (0, size):
        index = area[at : at + size]
        low = high = 0
        for (word,) in struct.iter_unpack("<I", index[:64] + bytes(8) + index[72:]):
            low = (low + word) & 0xFFFFFFFF
            high = (high + low) & 0xFFFFFFFF
        if index[:16] == b"NAMESPACE_INDEX\0" and struct.unpack_from("<II", index, 64) == (low, high):
            found.append((struct.unpack_from("<I", index, 20)[0], index))
    if len(found) == 2:
        first, second = found
        found = [second if first[0] % 3 + 1 == second[0] else first]
    index = found[0][1]
    slots = struct.unpack_from("<I", index, 56)[0]
    return [(slot, 2 * size + slot * 256) for slot in range(slots) if not index[72 + slot // 8] >> slot % 8 & 1]


def labels(region):
    """[(DIMM, slot, label)] of all slots in use."""
    found = []
    for dimm in dimms_of(region):
        area = label_area(dimm, 4096)
        slots = _slots_in_use(area)
        end = max((at + 256 for _, at in slots), default=0)
        area = area if end <= len(area) else label_area(dimm, end)
        found += [(dimm, slot, area[at : at + 256]) for slot, at in slots]
    return found


def labels_of(region, uuid):
    """[(DIMM, slot, label in hex)] of those that are of this uuid (16 bytes)."""
    return [(dimm, slot, label.hex()) for dimm, slot, label in labels(region) if label[:16] == uuid]


def lock(dimm):
    """From its next start on the DIMM is locked; starting it unlocks it, as this kernel knows its passphrase."""
    handle = int(vm.read(f"/sys/bus/nd/devices/{dimm}/nfit/handle"), 0)
    for path in glob.glob("/sys/class/nfit_test_dimm/test_dimm*"):
        if int(vm.read(f"{path}/handle"), 0) == handle:
            with open(f"{path}/lock_dimm", "w", encoding="ascii") as file:
                file.write("1")
            return
    vm.fail(f"{dimm} is none of nfit_test's")
