# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""pmemd as its Debian package installs it: a service of systemd's, with drop-ins that a case puts and takes away.
"""

import contextlib
import ctypes
import glob
import json
import os
import time

import dbus
import pmemd
import vm
from vm import attempt, check, run

UNIT = "pmemd.service"
PACKAGES = "/mnt/stage/packages"
DROP_INS = f"/run/systemd/system/{UNIT}.d"


# --- packages -------------------------------------------------------------------------------------


def packages():
    """The .deb files to be installed: without debug symbols, and without pmemd-libvirt, which wants a host with libvirt."""
    left_out = ("-dbgsym_", "-dev_", "pmemd-libvirt_")
    return sorted(path for path in glob.glob(f"{PACKAGES}/*.deb") if not any(word in path for word in left_out))


def apt(*words):
    """apt-get without a network: what it needs is there. Its output, errors included."""
    status, output, errors = attempt("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-q", *words, timeout=300)
    check(f"apt-get {' '.join(words)}", status == 0, output + errors)
    return output + errors


def next_version():
    """The same packages with a higher version."""
    folder = "/run/next"
    made = []
    for number, path in enumerate(packages()):
        tree = f"{folder}/{number}"
        os.makedirs(folder, exist_ok=True)
        run("dpkg-deb", "-R", path, tree)
        control = f"{tree}/DEBIAN/control"
        with open(control, encoding="utf-8") as file:
            version = next(line for line in file if line.startswith("Version: ")).split()[1]
        text = vm.read(control).replace(version, f"{version}+next")
        with open(control, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        made.append(f"{folder}/{number}.deb")
        run("dpkg-deb", "-Znone", "-b", tree, made[-1])
    return made


# --- the unit -------------------------------------------------------------------------------------


def show(name):
    return run("systemctl", "show", "--value", f"--property={name}", UNIT).strip()


def restart():
    """(is it running, why not)"""
    attempt("systemctl", "reset-failed", UNIT)
    status, _, errors = attempt("systemctl", "restart", UNIT, timeout=180)
    return status == 0, errors.strip()


def put_drop_in(*lines):
    """Gives the unit these lines, in the place of those of the last call; none: takes them away. As restart()."""
    os.makedirs(DROP_INS, exist_ok=True)
    with open(f"{DROP_INS}/test.conf", "w", encoding="utf-8") as file:
        file.write("[Service]\n" + "".join(f"{line}\n" for line in lines))
    run("systemctl", "daemon-reload")
    return restart()


@contextlib.contextmanager
def drop_in(*lines):
    """Within it the service runs with these lines, too."""
    running, why = put_drop_in(*lines)
    check(f"it starts with {' '.join(lines)}", running, why)
    try:
        yield
    finally:
        put_drop_in()


def journal(since):
    """What the unit logged since cursor(), and systemd of it."""
    run("journalctl", "--sync")
    # Not --after-cursor: where the cursor's own entry is another unit's, it leaves out one of this unit's.
    return run("journalctl", "--no-pager", "--quiet", "-o", "cat", "-u", UNIT, f"--cursor={since}")


def cursor():
    """The journal's end, for journal()."""
    run("journalctl", "--sync")
    return run("journalctl", "-n", "0", "--show-cursor").strip().rpartition(" ")[2]


# --- one thread of it -----------------------------------------------------------------------------


@contextlib.contextmanager
def stopped_thread(name):
    """Within it the thread of pmemd with this name does not run, and all others do: as one that the kernel keeps."""
    seize, interrupt, detach, wait_all = 0x4206, 0x4207, 17, 0x40000000
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def ptrace(request, thread):
        if libc.ptrace(request, thread, None, None) != 0:
            vm.fail(f"ptrace({request:#x}, {thread}): {os.strerror(ctypes.get_errno())}")

    threads = f"/proc/{show('MainPID')}/task"
    thread = next(int(tid) for tid in os.listdir(threads) if vm.read(f"{threads}/{tid}/comm") == name)
    ptrace(seize, thread)
    ptrace(interrupt, thread)
    os.waitpid(thread, wait_all)
    try:
        yield
    finally:
        ptrace(detach, thread)


# --- what it does, as an answer and not as a check ------------------------------------------------


def lists():
    """All lists, without what may change when the kernel finds its devices anew."""
    return {
        method: [
            {key: value for key, value in zip(words.split(), row) if key not in ("DevicePath", "Id")}
            for row in pmemd.second_client(method, "su", "", 0)[0]
        ]
        for method, words in pmemd.LISTS.items()
    }


def manager():
    """The Manager's properties, by this process's own connection: asked for often, and a process costs much here."""
    proxy = dbus.SystemBus().get_object(pmemd.NAME, pmemd.ROOT, introspect=False)
    return dbus.Interface(proxy, dbus.PROPERTIES_IFACE).GetAll(pmemd.MANAGER, timeout=pmemd.TIMEOUT)


def settle():
    """Waits until pmemd, which is started by that if need be, has compared journals and platform. Its properties."""
    gone = 0
    while True:
        try:
            found = manager()
        except dbus.DBusException as error:
            # One that was just killed may have the name for a moment more.
            gone += 1
            if gone > 3 or error.get_dbus_name().rpartition(".")[2] not in ("ServiceUnknown", "NoReply"):
                raise
            continue
        if found["State"] != "recovering":
            return found


def wait_for_first_erase(uuid):
    """Returns when a region's erase for its first guest has ended, well or not: its job has the name of that of a release."""
    path = pmemd.object_path(uuid).replace("/region/", "/job/")
    end = time.monotonic() + 60
    while pmemd.busctl("Get", "ss", "org.pmemd1.Job", "State", path=path, interface=dbus.PROPERTIES_IFACE)[0] == 0:
        if time.monotonic() > end:
            return


def release(uuid):
    """ReleaseData and its erase: "", or why not."""
    wait_for_first_erase(uuid)
    with pmemd.signals("JobRemoved") as next_job:
        status, values, errors = pmemd.busctl("ReleaseData", "oa{sv}", pmemd.object_path(uuid), {})
        while status == 0:
            job, region, result, _ = next_job()
            if job == values[0]:
                return "" if result == "done" else f"{result}: {pmemd.properties(region)['StateReason']}"
    return errors


def user_call(user, method, signature, *arguments):
    """A call as that user: (error name without its prefix, "" if it was done; the reply or the message)."""
    program = (
        "import sys, json, dbus, pmemd\n"
        "try:\n    print(json.dumps(['', pmemd.second_client(*json.loads(sys.argv[1]))]))\n"
        "except dbus.DBusException as error:\n"
        "    print(json.dumps([error.get_dbus_name().rpartition('.')[2], error.get_dbus_message()]))\n"
    )
    words = json.dumps([method, signature, *arguments])
    return tuple(json.loads(run("runuser", "-u", user, "--", "/usr/bin/python3", "-c", program, words)))
