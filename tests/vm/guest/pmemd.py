# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""pmemd as a case sees it: started as a systemd service on the system bus, spoken to by `busctl`, compared with the
platform.

Lists come as dictionaries whose keys are the names in proto/org.pmemd1.xml.
"""

import contextlib
import json
import os
import re
import subprocess
import time

import dbus
import vm

FRAME = 4096
LEAD = 512  # frames that device-dax takes at the start of a device, for its info block
INVALID = (1 << 64) - 1
FRAME_LIMIT = 1 << (52 - 12)
DAEMON = "/usr/libexec/pmemd"
UNIT = "pmemd-case"  # not the name of the installed unit, which systemd-run would not take

NAME = "org.pmemd1"
ROOT = "/org/pmemd1"
MANAGER = "org.pmemd1.Manager"
REGION = "org.pmemd1.Region"
TIMEOUT = 120

LISTS = {
    "ListRaw": "Id StartFrame EndFrame Node LocalNode Step Lead Minimum FreeBytes LargestGap Kind Persistence State",
    "ListMgmt": "Uuid Name StartFrame EndFrame UsedFrames FreeFrames Node LocalNode DataRegions Profile State "
    "OwnerUid Owner DevicePath",
    "ListData": "Uuid Name StartFrame EndFrame Pool ExtentStart ExtentEnd Node LocalNode State Dirty "
    "OwnerUid Owner DevicePath",
    "ListForeign": "Name StartFrame EndFrame Mode Kind Raw",
}


# --- the service ----------------------------------------------------------------------------------


def keep_unit_away():
    """The bus does not start the installed unit: when pmemd runs, and how, is the case's to say."""
    vm.run("systemctl", "mask", "--runtime", "pmemd.service")


def start(*options):
    """Starts pmemd. Returns when it has said READY, which systemd-run waits for, and has ended its recovery."""
    keep_unit_away()
    _start_unit(*options)
    if properties(ROOT, MANAGER)["State"] == "recovering":
        with signals("PropertiesChanged", "org.freedesktop.DBus.Properties") as next_signal:
            while properties(ROOT, MANAGER)["State"] == "recovering":
                next_signal()
    print("ok: pmemd is ready", flush=True)


def _start_unit(*options):
    vm.check(
        "pmemd and its bus policy are installed",
        os.path.exists(DAEMON)
        and any(os.path.exists(f"{folder}/dbus-1/system.d/org.pmemd1.conf") for folder in ("/etc", "/usr/share")),
    )
    status, output, errors = vm.attempt(
        "systemd-run",
        "--quiet",
        f"--unit={UNIT}",
        "--property=Type=notify",
        "--property=NotifyAccess=all",
        "--property=TimeoutStartSec=120",
        "--property=TimeoutStopSec=60",
        "--setenv=G_MESSAGES_DEBUG=all",
        DAEMON,
        "--bus=system",
        "--backend=ndctl",
        "--state-dir=/var/lib/pmemd",
        *options,
        timeout=180,
    )
    if status != 0:
        vm.fail(
            "pmemd did not get ready",
            errors + output + vm.attempt("journalctl", "--no-pager", "-n", "40", "-u", UNIT)[1],
        )


def stop():
    """Stops pmemd as the administrator would; it has to end well."""
    vm.run("systemctl", "stop", UNIT)
    vm.check("pmemd ended without an error", vm.attempt("systemctl", "is-failed", UNIT)[1].strip() != "failed")


def kill():
    """SIGKILL, and the service is gone when this returns."""
    vm.run("systemctl", "kill", "--signal=KILL", UNIT)
    vm.attempt("systemctl", "stop", UNIT)
    vm.attempt("systemctl", "reset-failed", UNIT)


# --- calls ----------------------------------------------------------------------------------------
# Options are a dictionary {key: (signature, value)}, e.g. {"name": ("s", "vm1")}.


def _busctl_words(signature, arguments):
    words = []
    for kind, argument in zip(re.findall(r"a\{sv\}|.", signature), arguments):
        if kind == "a{sv}":
            words.append(len(argument))
            for key, (value_kind, value) in argument.items():
                words += [key, value_kind, value]
        else:
            words.append(argument)
    return [str(word).lower() if isinstance(word, bool) else str(word) for word in words]


def busctl(method, signature="", *arguments, path=ROOT, interface=MANAGER):
    """`busctl call`: (exit status, reply's values, errors)."""
    command = ["busctl", "--json=short", f"--timeout={TIMEOUT}", "call", NAME, path, interface, method]
    if signature:
        command += [signature, *_busctl_words(signature, arguments)]
    status, output, errors = vm.attempt(*command, timeout=TIMEOUT + 30)
    return status, (json.loads(output)["data"] if status == 0 and output.strip() else []), errors.strip()


def call(method, signature="", *arguments, path=ROOT, interface=MANAGER):
    """A call that has to succeed. Its one value, or the list of them."""
    status, values, errors = busctl(method, signature, *arguments, path=path, interface=interface)
    if status != 0:
        vm.fail(f"{method}{arguments} was refused", errors)
    if method in ("SetupData", "AllocateData"):
        wait_until_clean()
    return values[0] if len(values) == 1 else values


_DBUS_TYPES = {
    "s": dbus.String,
    "o": dbus.ObjectPath,
    "t": dbus.UInt64,
    "u": dbus.UInt32,
    "i": dbus.Int32,
    "b": dbus.Boolean,
}


def _dbus_arguments(signature, arguments):
    values = []
    for kind, argument in zip(re.findall(r"a\{sv\}|.", signature), arguments):
        if kind == "a{sv}":
            options = {key: _DBUS_TYPES[value_kind](value) for key, (value_kind, value) in argument.items()}
            values.append(dbus.Dictionary(options, signature="sv"))
        else:
            values.append(argument)
    return values


def _plain(value):
    """A value of dbus-python as `busctl --json` would give it."""
    if isinstance(value, dbus.Dictionary):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (dbus.Array, dbus.Struct, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dbus.Boolean):
        return bool(value)
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(f"{value!r} is of type {type(value).__name__}")


def _ask(method, signature, *arguments, path=ROOT, interface=MANAGER):
    """A call that has to succeed, without a process: it is asked for often, and a process costs much here."""
    try:
        return _plain(dbus.SystemBus().call_blocking(NAME, path, interface, method, signature, arguments, timeout=TIMEOUT))
    except dbus.DBusException as error:
        vm.fail(f"{method}{arguments} was refused", str(error))


def second_client(method, signature, *arguments):
    """The same call from this process, over a connection of its own. Raises dbus.DBusException."""
    values = _dbus_arguments(signature, arguments)
    return dbus.SystemBus().call_blocking(NAME, ROOT, MANAGER, method, signature, values, timeout=TIMEOUT)


def everything():
    """All lists as they are, to be compared. Not by busctl: it is asked for often, and a process costs much here."""
    return {method: second_client(method, "su", "", 0) for method in LISTS}


def refused(what, names, method, signature, *arguments, says=()):
    """A call that has to be refused: with one of the error names (without their prefix, separated by |), a message in
    which every word of `says` occurs, and nothing changed. `busctl` shows no names, so they are asked for with
    a second client."""
    before = everything()
    status, _, errors = busctl(method, signature, *arguments)
    vm.check(f"{what}: busctl fails", status != 0, f"{method}{arguments}")
    try:
        second_client(method, signature, *arguments)
        vm.fail(f"{what}: {method}{arguments} was not refused")
    except dbus.DBusException as error:
        name, message = error.get_dbus_name(), error.get_dbus_message()
    wanted = [word if "." in word else f"org.pmemd1.Error.{word}" for word in names.split("|")]
    vm.check(
        f"{what}: {name.rpartition('.')[2]}: {message}", name in wanted, f"got {name}, wanted {' or '.join(wanted)}"
    )
    vm.check(f"{what}: busctl shows the message", message in errors, errors)
    for word in says:
        vm.check(f"{what}: the message says {word}", str(word).lower() in message.lower(), message)
    vm.check(f"{what}: nothing changed", everything() == before)
    return message


def rows(method):
    """A whole list, over all its pages."""
    found = []
    cursor = ""
    while True:
        page, cursor = _ask(method, "su", cursor, 0)
        found += [dict(zip(LISTS[method].split(), row)) for row in page]
        if not cursor:
            return found


def properties(path, interface=REGION):
    return _ask("GetAll", "s", interface, path=path, interface="org.freedesktop.DBus.Properties")


def plan(operation, **arguments):
    """Plan; arguments as name=(signature, value)."""
    values = call("Plan", "sa{sv}", operation, arguments)
    return {name: value["data"] for name, value in values.items()}


def object_path(uuid):
    return f"{ROOT}/region/{uuid.replace('-', '_')}"


# --- signals and jobs -----------------------------------------------------------------------------


@contextlib.contextmanager
def signals(member, interface=MANAGER):
    """Within it every such signal since the start is seen; yields a function that waits for the next: its values."""
    match = f"type='signal',interface='{interface}',member='{member}',path='{ROOT}'"
    monitor = subprocess.Popen(
        ["busctl", "--json=short", f"--match={match}", "monitor"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def next_signal():
        line = monitor.stdout.readline()
        vm.check(f"signal {member}", line != "", "the monitor ended")
        return tuple(json.loads(line)["payload"]["data"])

    try:
        if "Monitoring" not in monitor.stderr.readline():
            vm.fail(f"busctl cannot monitor {member}")
        yield next_signal
    finally:
        monitor.kill()
        monitor.wait()


def release_data(path):
    """ReleaseData, and the end of its erase."""
    with signals("JobRemoved") as next_job:
        job = call("ReleaseData", "oa{sv}", path, {})
        while True:
            ended, region, result, _ = next_job()
            if ended == job:
                break
    vm.check_equal("the erase job was for", region, path)
    vm.check("the erase job ended well", result == "done", result)


def wait_until_released(uuid):
    """Waits for the end of an erase that started before anyone looked."""
    with signals("JobRemoved") as next_job:
        while any(row["Uuid"] == uuid for row in rows("ListData")):
            _, region, result, _ = next_job()
            if region == object_path(uuid):
                vm.check("the erase job ended well", result == "done", result)
                vm.check("the region is gone with its job", all(row["Uuid"] != uuid for row in rows("ListData")))
    vm.check(f"region {uuid} is released", True)


def wait_until_clean():
    """Waits until all that is new was erased for its first guest: what is written before that may be lost."""
    end = time.monotonic() + 5 * TIMEOUT
    while any(row["Dirty"] and row["State"] == "ok" for row in rows("ListData")):
        if time.monotonic() > end:
            vm.fail("the erases for first guests do not come to their end")
        time.sleep(0.05)


# --- places ---------------------------------------------------------------------------------------


def frames(device_start, device_end):
    """The usable frames (smfn, emfn) of a device that takes bytes [device_start, device_end)."""
    return device_start // FRAME + LEAD, device_end // FRAME


def setup_mgmt(device_start, device_end, **options):
    return properties(call("SetupMgmt", "tta{sv}", *frames(device_start, device_end), options))


def setup_data(device_start, device_end, mgmt_uuid, **options):
    """A data region on device bytes [start, end), its extent taken from the first frame of the pool that none has."""
    pool = next(row for row in rows("ListMgmt") if row["Uuid"] == mgmt_uuid)
    offered = pool["StartFrame"] + pool["UsedFrames"], pool["EndFrame"]
    return properties(call("SetupData", "tttta{sv}", *frames(device_start, device_end), *offered, options))


def check_platform_agrees():
    """Every address that pmemd lists is the kernel's: sysfs, `ndctl list` and /proc/iomem; and the platform has no
    device of which pmemd does not know."""
    # Found by address and not by uuid: the device of a data region has a uuid of its own.
    platform = {item["start"]: item for item in vm.namespaces() if item["uuid"]}
    iomem = vm.iomem()
    for raw, region in zip(rows("ListRaw"), vm.regions(), strict=True):
        what = f"raw region {raw['Id']}"
        vm.check_equal(
            f"{what}: range",
            (raw["StartFrame"] * FRAME, raw["EndFrame"] * FRAME),
            (region["start"], region["start"] + region["size"]),
        )
        vm.check_equal(f"{what}: node", raw["Node"], region["node"])
        vm.check(
            f"{what}: /proc/iomem",
            any(
                (start, end, name) == (raw["StartFrame"] * FRAME, raw["EndFrame"] * FRAME, "Persistent Memory")
                for start, end, name, _ in iomem
            ),
        )
        if raw["Kind"] == "labelled":
            vm.check_equal(
                f"{what}: free bytes", raw["FreeBytes"], sum(end - start for start, end in vm.free_holes(region))
            )

    for row in rows("ListMgmt") + rows("ListData"):
        if row["State"] != "ok":
            continue
        what = f"region {row['Name'] or row['Uuid']}"
        start, end = row["StartFrame"] * FRAME, row["EndFrame"] * FRAME
        vm.check(f"{what}: has a namespace", start - LEAD * FRAME in platform, f"{start:#x}: {sorted(platform)}")
        item = platform.pop(start - LEAD * FRAME)
        vm.check_equal(f"{what}: mode", item["mode"], "devdax")
        vm.check_equal(
            f"{what}: sysfs, device", (item["start"], item["start"] + item["size"]), (start - LEAD * FRAME, end)
        )
        vm.check_equal(
            f"{what}: sysfs, usable", (item["usable_start"], item["usable_start"] + item["usable_size"]), (start, end)
        )
        vm.check_equal(f"{what}: ndctl list, size", item["ndctl"]["daxregion"]["size"], end - start)
        vm.check_equal(f"{what}: ndctl list, label and info block", item["ndctl"]["uuid"], item["ndctl"]["raw_uuid"])
        vm.check_equal(f"{what}: ndctl list, node", item["ndctl"]["target_node"], row["Node"])
        vm.check_equal(f"{what}: device node", row["DevicePath"], item["device"])
        vm.check_equal(f"{what}: name of the label is pmemd's", item["name"].split(":")[0], "pmemd")
        vm.check(
            f"{what}: /proc/iomem", (start, end, os.path.basename(item["device"])) in [entry[:3] for entry in iomem]
        )
        vm.check(
            f"{what}: /proc/iomem, info block",
            (start - LEAD * FRAME, start, item["namespace"]) in [entry[:3] for entry in iomem],
        )

    unsettled = {row["StartFrame"] - LEAD for row in rows("ListData") if row["State"] != "ok"}
    foreign = sorted((row["StartFrame"] * FRAME, row["EndFrame"] * FRAME) for row in rows("ListForeign"))
    for start, item in platform.items():
        if start // FRAME not in unsettled:
            vm.check(
                f"{item['namespace']} ({item['name']}) is listed as foreign",
                (item["start"], item["start"] + item["size"]) in foreign,
                repr(foreign),
            )
