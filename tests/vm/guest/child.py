# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""pmemd as a child of the case, spoken to over the case's own connection to the bus: for cases that start it many times.
Under emulation the processes that pmemd.py asks (systemd-run, busctl) take longer than what they ask for."""

import os
import signal
import socket
import subprocess
import time

import dbus
import pmemd
import vm

PATIENCE = 180


class Service:
    """One pmemd at a time."""

    def __init__(self):
        self.process = None
        self.log = "/run/pmemd-child.log"
        self.socket = "/run/pmemd-child.notify"
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.bind(self.socket)
        pmemd.keep_unit_away()

    def start(self, state="/var/lib/pmemd"):
        """Returns when it is ready and has ended its recovery."""
        os.makedirs(state, mode=0o700, exist_ok=True)
        command = [pmemd.DAEMON, "--bus=system", "--backend=ndctl", f"--state-dir={state}"]
        environment = {**os.environ, "NOTIFY_SOCKET": self.socket}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self.notices.settimeout(0.5)
        self.wait("pmemd is ready", self._is_ready)
        self.wait("it has ended its recovery", lambda: manager("State") != "recovering")

    def _is_ready(self):
        try:
            return b"READY=1" in self.notices.recv(4096).split(b"\n")
        except TimeoutError:
            return False

    def wait(self, what, holds):
        """Until it holds; pmemd must not end before."""
        end = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > end or self.process.poll() is not None:
                vm.fail(f"{what}: not after {PATIENCE} s, or pmemd has ended ({self.process.poll()})", self.said())
            time.sleep(0.05)

    def said(self):
        """What it logged since it was started."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self):
        self.process.terminate()
        vm.check_equal("pmemd ended without an error", self._bury(), 0)

    def kill(self):
        """Also one that was killed."""
        self.process.kill()
        vm.check_equal("pmemd was killed", self._bury(), -signal.SIGKILL)

    def _bury(self):
        status = self.process.wait(PATIENCE)
        self.notices.setblocking(False)
        try:
            while self.notices.recv(4096):
                pass
        except BlockingIOError:
            pass
        return status


def manager(name):
    """A property of pmemd's."""
    words = (pmemd.NAME, pmemd.ROOT, dbus.PROPERTIES_IFACE, "Get", "ss", [pmemd.MANAGER, name])
    return str(dbus.SystemBus().call_blocking(*words, timeout=pmemd.TIMEOUT))


def rows(method):
    """As pmemd.rows(), but raises dbus.DBusException, as when pmemd is killed meanwhile."""
    page, cursor = pmemd.second_client(method, "su", "", 0)
    if cursor:
        vm.fail(f"{method} has more than one page")
    return [{key: _plain(value) for key, value in zip(pmemd.LISTS[method].split(), row)} for row in page]


def _plain(value):
    return str(value) if isinstance(value, str) else bool(value) if isinstance(value, dbus.Boolean) else int(value)


def data():
    """The data regions by name."""
    return {row["Name"]: row for row in rows("ListData")}


def release(name):
    pmemd.second_client("ReleaseData", "oa{sv}", pmemd.object_path(data()[name]["Uuid"]), {})
