# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""A private message bus and a real pmemd for the integration tests.

    with harness.Host(regions=harness.TWO_NODES) as host:      # temporary folder + bus + daemon that is READY
        host.manager().CountRegions("raw")                     # python3-dbus proxy
        host.ctl("list", "--json").json()                      # pmemctl; .status, .out, .err
        host.daemon.kill()                                     # SIGKILL
        host.daemon.start()                                    # again, returns when READY

The parts can be used alone: Bus (dbus-daemon), Daemon (pmemd), write_regions (regions.conf of the file backend).
All are context managers, start nothing before __enter__ or start(), and end what they started by its pid. Nothing waits
by the clock: readiness is the daemon's own READY=1, and the end of a process is its pidfd.

A test file is unittest classes and, at its end, harness.main(), which prints TAP: meson and tests/all count each test,
and skips are seen. One test alone: test-x.py Class.test.

The programs come from the environment, as meson sets it: PMEMD_EXE, PMEMCTL_EXE.
Run by /usr/bin/python3, which has the dbus module.
"""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import dbus
import dbus.bus

NAME = "org.pmemd1"
ROOT = "/org/pmemd1"
MANAGER = "org.pmemd1.Manager"
REGION = "org.pmemd1.Region"
JOB = "org.pmemd1.Job"

FRAME = 4096

# Seconds until a test gives up on something that never comes; nothing waits this long when all is well.
PATIENCE = float(os.environ.get("PMEMD_TEST_PATIENCE", "60"))

# Raw regions such as xen-ndctl's examples have: 1 GiB at 0x480000 and 16 GiB right after it.
TWO_NODES = {
    "raw0": {"StartFrame": "0x480000", "Bytes": "1G", "Node": "3", "Alignment": "4K", "Lead": "0"},
    "raw1": {"StartFrame": "0x4c0000", "Bytes": "16G", "Node": "4", "Alignment": "4K", "Lead": "0"},
}

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>custom</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="false"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


class HarnessError(Exception):
    """The set-up of a test failed, not what it tests."""


def resident_slack():
    """Bytes that the daemon's resident memory may grow by without a leak. The address sanitizer keeps freed memory in a quarantine of
    256 MiB: there the leak checker at exit is the judge, and only runaway growth is seen here."""
    with open(os.environ["PMEMD_EXE"], "rb") as f:
        return (320 << 20) if b"__asan_init" in f.read() else (4 << 20)


def wait_exit(process, seconds=PATIENCE):
    """Waits until the Popen ends; its exit status (negative: killed by that signal)."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise HarnessError(f"process {process.pid} did not end within {seconds} s") from None


def write_regions(folder, regions):
    """Writes folder/regions.conf for the file backend. regions: {group: {key: value}}, one group a raw region."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "regions.conf"), "w", encoding="utf-8") as f:
        for group, keys in regions.items():
            f.write(f"[{group}]\n" + "".join(f"{k}={v}\n" for k, v in keys.items()) + "\n")


class Bus:
    """A dbus-daemon of its own that lets everyone do everything. address: what --bus= takes."""

    def __init__(self, folder, config=BUS_CONFIG):
        self.folder = os.path.abspath(folder)
        self.config = config
        self.address = "unix:path=" + os.path.join(self.folder, "bus")
        self.process = None

    def start(self):
        config = os.path.join(self.folder, "bus.conf")
        with open(config, "w", encoding="utf-8") as f:
            f.write(self.config.format(path=os.path.join(self.folder, "bus")))
        with open(os.path.join(self.folder, "bus.log"), "ab") as log:
            self.process = subprocess.Popen(
                ["dbus-daemon", "--nofork", "--nopidfile", "--nosyslog", "--config-file=" + config,
                 "--print-address=1"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        # It prints the address when it listens.
        if not self.process.stdout.readline():
            raise HarnessError(f"dbus-daemon ended at once with status {wait_exit(self.process)}")
        return self

    def stop(self):
        if self.process is not None:
            self.process.kill()
            wait_exit(self.process)
            self.process.stdout.close()
            self.process = None
            try:
                os.unlink(os.path.join(self.folder, "bus"))
            except FileNotFoundError:
                pass

    def connect(self):
        """A new connection (dbus.bus.BusConnection); each has its own unique name. The caller may close() it."""
        connection = dbus.bus.BusConnection(self.address)
        connection.set_exit_on_disconnect(False)
        return connection

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Daemon:
    """pmemd on a bus.

    folder: where regions.conf (given by regions, else already there), the devices and the state directory are.
    wrapper: command put before the program, such as ["valgrind"]. arguments: options added to the usual ones.
    environment: added to that of the test. user: a uid to run as. stderr: log, appended over restarts.
    """

    def __init__(self, bus, folder, regions=None, arguments=(), wrapper=(), environment=None, backend=None, exe=None):
        self.bus_address = getattr(bus, "address", bus)
        self.folder = os.path.abspath(folder)
        self.backend_folder = os.path.join(self.folder, "backend")
        self.state_folder = os.path.join(self.folder, "state")
        self.arguments = list(arguments)
        self.wrapper = list(wrapper)
        self.environment = dict(environment or {})
        self.backend = backend or "file:" + self.backend_folder
        self.exe = exe
        self.process = None
        self.log_path = os.path.join(self.folder, "pmemd.log")
        os.makedirs(self.state_folder, exist_ok=True)
        if regions is not None:
            write_regions(self.backend_folder, regions)

    @property
    def pid(self):
        return self.process.pid if self.process else None

    def command(self):
        exe = self.exe or os.environ["PMEMD_EXE"]
        return [*self.wrapper, exe, "--bus=" + self.bus_address, "--backend=" + self.backend,
                "--state-dir=" + self.state_folder, *self.arguments]

    def start(self, ready=True, settled=True):
        """Starts it and returns when it said READY=1 and its State is no longer "recovering" (until then changes are
        refused with Busy). HarnessError with its log when it ends before that. settled=False: READY alone; ready=False:
        neither."""
        if self.process is not None:
            raise HarnessError("pmemd is already running")
        path = os.path.join(self.folder, "notify")
        if os.path.exists(path):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, open(self.log_path, "ab") as log:
            notify.bind(path)
            environment = {**os.environ, **self.environment, "NOTIFY_SOCKET": path}
            environment.pop("WATCHDOG_USEC", None)
            self.process = subprocess.Popen(self.command(), env=environment, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
            if ready:
                self._wait_ready(notify)
        if ready and settled:
            self._wait_settled()
        return self

    def _wait_settled(self):
        connection = dbus.bus.BusConnection(self.bus_address)
        connection.set_exit_on_disconnect(False)
        deadline = time.monotonic() + PATIENCE
        try:
            properties = dbus.Interface(connection.get_object(NAME, ROOT, introspect=False),
                                        "org.freedesktop.DBus.Properties")
            while properties.Get(MANAGER, "State") == "recovering":
                if time.monotonic() > deadline:
                    raise HarnessError(f"pmemd was still recovering after {PATIENCE} s:\n{self.log()}")
        finally:
            connection.close()

    def _wait_ready(self, notify):
        end = os.pidfd_open(self.process.pid)
        try:
            while True:
                readable, _, _ = select.select([notify, end], [], [], PATIENCE)
                if notify in readable:
                    if b"READY=1" in notify.recv(65536).split(b"\n"):
                        return
                elif end in readable:
                    status = wait_exit(self.process)
                    self.process = None
                    raise HarnessError(f"pmemd ended with status {status} before it was ready:\n{self.log()}")
                else:
                    self.kill()
                    raise HarnessError(f"pmemd was not ready within {PATIENCE} s:\n{self.log()}")
        finally:
            os.close(end)

    def _signal(self, number):
        process, self.process = self.process, None
        if process is None:
            return None
        process.send_signal(number)
        return wait_exit(process)

    def stop(self):
        """SIGTERM; the exit status (0 = all is well), None when it was not running."""
        return self._signal(signal.SIGTERM)

    def kill(self):
        """SIGKILL, as a crash does it."""
        return self._signal(signal.SIGKILL)

    def restart(self):
        """stop() and start(); start() alone after kill()."""
        status = self.stop()
        if status not in (0, None):
            raise HarnessError(f"pmemd ended with status {status}:\n{self.log()}")
        return self.start()

    def wait(self):
        """The exit status of a daemon that ends by itself."""
        process, self.process = self.process, None
        return wait_exit(process)

    def log(self):
        """All it and its predecessors in this folder wrote."""
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()


class Result:
    """What a command did: status, out, err (text)."""

    def __init__(self, arguments, status, out, err):
        self.arguments = arguments
        self.status = status
        self.out = out
        self.err = err

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"{' '.join(self.arguments)}: status {self.status}\nstdout:\n{self.out}\nstderr:\n{self.err}"


def run_ctl(bus, *arguments, environment=None, user=None):
    """Runs pmemctl on the bus (Bus or address, None: no --bus=), without terminal, as another user (uid) if given
    (needs root); a Result."""
    command = [os.environ["PMEMCTL_EXE"]]
    if bus is not None:
        command.append("--bus=" + getattr(bus, "address", bus))
    command += [str(a) for a in arguments]
    if user is not None and os.environ.get("PMEMD_TEST_COVERAGE"):
        # Another user cannot add to the counts of ours, and would say so on stderr.
        with tempfile.TemporaryDirectory(prefix="pmemd-gcov-") as counts:
            os.chmod(counts, 0o777)
            return _run(command, {**(environment or {}), "GCOV_PREFIX": counts}, user)
    return _run(command, environment, user)


def _run(command, environment, user):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE,
                          check=False, env={**os.environ, **(environment or {})}, user=user, group=user,
                          extra_groups=None if user is None else [])
    return Result(command, done.returncode, done.stdout, done.stderr)


class Host:
    """Temporary folder, Bus and Daemon in one; the folder goes at the end, unless PMEMD_TEST_KEEP is set."""

    def __init__(self, regions=None, start=True, bus_config=BUS_CONFIG, **daemon_options):
        self.regions = TWO_NODES if regions is None else regions
        self.start = start
        self.bus_config = bus_config
        self.daemon_options = daemon_options
        self.folder = self.bus = self.daemon = self.connection = None

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="pmemd-test-")
        # Tests that become another user still reach the bus.
        os.chmod(self.folder, 0o711)
        try:
            self.bus = Bus(self.folder, self.bus_config).start()
            self.daemon = Daemon(self.bus, self.folder, self.regions, **self.daemon_options)
            if self.start:
                self.daemon.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        if self.daemon is not None:
            # What it covered it writes down at an orderly end only.
            self.daemon.stop() if os.environ.get("PMEMD_TEST_COVERAGE") else self.daemon.kill()
        if self.bus is not None:
            self.bus.stop()
        if not os.environ.get("PMEMD_TEST_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def object(self, path, interface, connection=None):
        """A python3-dbus proxy for one interface of one object; calls raise dbus.DBusException."""
        if connection is None:
            if self.connection is None:
                self.connection = self.bus.connect()
            connection = self.connection
        return dbus.Interface(connection.get_object(NAME, path, introspect=False), interface)

    def manager(self, connection=None):
        return self.object(ROOT, MANAGER, connection)

    def properties(self, path, interface, connection=None):
        """All properties of one interface of one object, as plain dict of D-Bus values."""
        return dict(self.object(path, "org.freedesktop.DBus.Properties", connection).GetAll(interface))

    def ctl(self, *arguments, **options):
        """pmemctl on this bus; a Result."""
        return run_ctl(self.bus, *arguments, **options)


class TapResult(unittest.TestResult):
    """TAP as the tests run. A failing subtest fails its test."""

    def __init__(self):
        super().__init__()
        self.number = 0
        self.failed = False

    def startTest(self, test):
        super().startTest(test)
        self.failed = False

    def _line(self, word, test, directive=""):
        self.number += 1
        name = test.id().removeprefix("__main__.")
        print(f"{word} {self.number} {name}{directive}", flush=True)

    def _explain(self, test, error, what):
        text = self._exc_info_to_string(error, test)
        print("".join(f"# {line}\n" for line in f"{what} {test.id()}\n{text}".splitlines()), end="", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._line("ok", test)

    def addError(self, test, err):
        super().addError(test, err)
        self._explain(test, err, "ERROR")
        self._line("not ok", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._explain(test, err, "FAIL")
        self._line("not ok", test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._explain(subtest, err, "FAIL")
            if not self.failed:
                self._line("not ok", test)
            self.failed = True

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line("ok", test, f" # SKIP {reason}")


def enter_own_proc():
    """Starts the tests again in a process namespace and with a /proc of their own, in which pmemd may look at every process:
    the host's may belong to a container's keeper, and who cannot be looked at counts as who may have a device open."""
    if os.geteuid() == 0 and not os.environ.get("PMEMD_TEST_OWN_PROC"):
        os.environ["PMEMD_TEST_OWN_PROC"] = "1"
        os.execvp("unshare", ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child",
                              "sh", "-c", '"$@"; exit $?', "sh", sys.executable, *sys.argv])


def main():
    """Runs the tests of the calling file, or those named on the command line, and exits."""
    enter_own_proc()
    loader = unittest.TestLoader()
    module = sys.modules["__main__"]
    suite = loader.loadTestsFromNames(sys.argv[1:], module) if sys.argv[1:] else loader.loadTestsFromModule(module)
    print(f"1..{suite.countTestCases()}", flush=True)
    result = TapResult()
    suite.run(result)
    sys.exit(0 if result.wasSuccessful() and result.testsRun > 0 else 1)
