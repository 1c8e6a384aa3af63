#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""pmemd's command line, configuration, exit statuses, and what it does when bus or name go."""

import os
import re
import select
import socket
import subprocess
import tempfile
import threading
import unittest

import dbus
import harness
import wire


def run(*arguments, **environment):
    """Status and stderr of a pmemd that ends by itself; stdout when it printed there."""
    done = subprocess.run([os.environ["PMEMD_EXE"], *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True,
                          timeout=harness.PATIENCE, check=False, env={**os.environ, **environment})
    return done.returncode, done.stderr, done.stdout


class Usage(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="pmemd-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def one_line(self, stderr, *words):
        self.assertEqual(stderr.count("\n"), 1, stderr)
        self.assertTrue(stderr.startswith("pmemd: "), stderr)
        for word in words:
            self.assertIn(word, stderr)

    def test_version_and_help(self):
        status, err, out = run("--version")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"^pmemd \d+\.\d+\.\d+\n$")
        status, _, out = run("--help")
        self.assertEqual(status, 0)
        for word in ("--bus=", "--backend=", "--state-dir=", "--config=", "--version", "Exit status:", "\n  4 "):
            self.assertIn(word, out)

    def test_bad_options(self):
        for arguments, word in ((["--nonsense"], "--nonsense"), (["--bus=nonsense"], "nonsense"),
                                (["--backend=nonsense"], "nonsense"),
                                (["--backend=file:"], "file:"), (["--backend=file:pmem"], "absolute"), (["surplus"], "surplus"),
                                (["--config=/nonexistent"], "/nonexistent")):
            with self.subTest(arguments):
                status, err, _ = run(*arguments)
                self.assertEqual(status, 2, err)
                self.one_line(err, word)

    def config(self, text):
        path = os.path.join(self.folder, "pmemd.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return "--config=" + path

    def test_bad_configuration(self):
        for text, *words in (("[pmemd]\nBus=nonsense\n", "Bus", "nonsense"),
                             ("[pmemd]\nDefaultProfile=kvm\n", "DefaultProfile", "kvm", "xen"),
                             ("[pmemd]\nMaxQueue=0\n", "MaxQueue", "65536"),
                             ("[pmemd]\nMaxQueuePerUser=-1\n", "MaxQueuePerUser"),
                             ("[pmemd]\nMaxQueue=1e3\n", "MaxQueue"),
                             ("[pmemd]\nPersistenceDomain=maybe\n", "maybe", "require"),
                             ("[pmemd]\nStateDir=here\n", "StateDir", "absolute"),
                             ("[pmemd]\nBackend=nvdimm\n", "Backend", "file:DIR"),
                             ("nonsense\n", "pmemd.conf")):
            with self.subTest(text):
                status, err, _ = run(self.config(text))
                self.assertEqual(status, 2, err)
                self.one_line(err, *words)

    def test_unknown_key_is_a_warning(self):
        status, err, _ = run(self.config("[pmemd]\nNonsense=1\nStateDir=/proc/nonexistent\n[other]\n"),
                             "--backend=file:/nonexistent")
        self.assertEqual(status, 4, err)
        self.assertIn("unknown key Nonsense", err)
        self.assertIn("unknown group [other]", err)

    def test_no_backend(self):
        status, err, _ = run("--backend=file:/nonexistent", "--state-dir=" + self.folder + "/new/state")
        self.assertEqual(status, 3, err)
        self.one_line(err, "/nonexistent")
        self.assertEqual(os.stat(self.folder + "/new/state").st_mode & 0o777, 0o700)

    def test_no_state_dir(self):
        status, err, _ = run("--backend=file:/nonexistent", "--state-dir=/proc/nonexistent")
        self.assertEqual(status, 4, err)
        self.one_line(err, "/proc/nonexistent")

    def test_state_dir_of_others(self):
        """Notes are acted upon at the start: who else may write them is not trusted."""
        state = self.folder + "/state"
        os.mkdir(state)
        for mode in 0o770, 0o702:
            os.chmod(state, mode)
            status, err, _ = run("--backend=file:/nonexistent", "--state-dir=" + state)
            self.assertEqual(status, 4, err)
            self.assertIn(f"state directory {state} is owned by uid {os.getuid()} with mode {mode:04o}", err)
            self.assertIn("chmod go-w", err)
            self.assertEqual(os.listdir(state), [])
        os.chmod(state, 0o755)
        status, err, _ = run("--backend=file:/nonexistent", "--state-dir=" + state)
        self.assertEqual(status, 3, err)

    def test_no_bus(self):
        harness.write_regions(self.folder + "/backend", harness.TWO_NODES)
        status, err, _ = run("--bus=unix:path=/nonexistent/bus", f"--backend=file:{self.folder}/backend",
                             f"--state-dir={self.folder}/state")
        self.assertEqual(status, 1, err)
        self.one_line(err, "unix:path=/nonexistent/bus")


class WithoutStandardFds(unittest.TestCase):
    """Started with 0, 1 and 2 closed: nothing that is opened takes their places, to be printed or logged into."""

    def check(self, *command):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bus:  # that never answers
            bus.bind(self.folder + "/bus")
            bus.listen()
            bus.settimeout(60)
            process = subprocess.Popen([*command, f"--bus=unix:path={self.folder}/bus"],
                                       preexec_fn=lambda: os.closerange(0, 3))
            try:
                with bus.accept()[0]:
                    self.assertEqual([os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in range(3)],
                                     ["/dev/null"] * 3)
            finally:
                process.kill()
                process.wait()

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_pmemd(self):
        harness.write_regions(self.folder + "/backend", harness.TWO_NODES)
        self.check(os.environ["PMEMD_EXE"], f"--backend=file:{self.folder}/backend", f"--state-dir={self.folder}/state")

    def test_pmemctl(self):
        self.check(os.environ["PMEMCTL_EXE"], "list")


class Running(unittest.TestCase):
    def setUp(self):
        self.host = harness.Host().__enter__()
        self.addCleanup(self.host.__exit__)

    def other(self, folder="other", bus=None, **options):
        daemon = harness.Daemon(bus or self.host.bus, os.path.join(self.host.folder, folder), harness.TWO_NODES,
                                **options)
        self.addCleanup(daemon.kill)
        return daemon

    def ends(self, daemon):
        """Starts a daemon that must end by itself: its status and what it said."""
        daemon.start(ready=False)
        return daemon.wait(), daemon.log()

    def test_orderly(self):
        self.assertEqual(self.host.daemon.stop(), 0)
        self.assertEqual(self.host.daemon.log(), "")

    def test_interrupted(self):
        self.host.daemon.process.send_signal(2)
        self.assertEqual(self.host.daemon.wait(), 0)

    def test_name_taken(self):
        status, log = self.ends(self.other())
        self.assertEqual(status, 1, log)
        self.assertIn("org.pmemd1 is taken", log)
        # It did not wait for the name either.
        self.assertEqual(self.host.properties(harness.ROOT, harness.MANAGER)["State"], "ok")

    def test_name_comes_with_the_regions(self):
        """Who has pmemd started by a call (bus activation) gets no answer from before the platform was read."""
        self.host.daemon.stop()
        backend = self.host.daemon.backend_folder
        hold, order = os.path.join(backend, "hold"), os.path.join(backend, "inject.conf")
        for path, text in ((hold, ""), (order, "[list]\nWaitFile=hold\n")):
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        bus = self.host.bus.connect()
        self.addCleanup(bus.close)
        self.host.daemon.start(ready=False)
        while os.path.exists(order):  # the platform is being read when it is gone
            self.assertIsNone(self.host.daemon.process.poll())
        self.assertFalse(bus.name_has_owner(harness.NAME))
        os.unlink(hold)
        while not bus.name_has_owner(harness.NAME):
            self.assertIsNone(self.host.daemon.process.poll())
        manager = dbus.Interface(bus.get_object(harness.NAME, harness.ROOT, introspect=False), harness.MANAGER)
        self.assertEqual(manager.CountRegions("raw"), len(harness.TWO_NODES))

    def test_same_state_directory(self):
        other = self.other()
        other.state_folder = self.host.daemon.state_folder
        status, log = self.ends(other)
        self.assertEqual(status, 4, log)
        self.assertIn(f"process {self.host.daemon.pid}", log)

    def test_same_backend(self):
        other = self.other()
        other.backend = self.host.daemon.backend
        status, log = self.ends(other)
        self.assertEqual(status, 3, log)

    def test_lock_goes_with_the_process(self):
        self.host.daemon.kill()
        self.host.daemon.start()

    def test_bus_gone(self):
        self.host.bus.stop()
        self.assertEqual(self.host.daemon.wait(), 1)
        self.assertIn("connection to the message bus is gone", self.host.daemon.log())

    def test_name_lost(self):
        """A bus gives no name away that is not given up, so this one is a go-between that says it did."""
        self.host.daemon.stop()
        with GoBetween(os.path.join(self.host.folder, "between"), os.path.join(self.host.folder, "bus")) as between:
            daemon = self.other(bus=between)
            daemon.start(settled=False)  # the go-between has room for one
            between.inject("NameLost", "org.example.Other")
            with wire.Connection(self.host.bus.address) as c:
                c.manager("CountRegions", "s", "raw")
            between.inject("NameLost", "org.pmemd1")
            self.assertEqual(daemon.wait(), 1)
            self.assertIn("org.pmemd1 was taken away", daemon.log())

    def test_forged_name_lost(self):
        """Anyone may send a signal of that name: the bus' own alone counts."""
        with wire.Connection(self.host.bus.address) as c:
            for destination in (harness.NAME, c.bus("GetNameOwner", "s", harness.NAME)[0]):
                c.serial += 1
                c.socket.sendall(wire.Message(wire.SIGNAL, c.serial, destination=destination,
                                              path="/org/freedesktop/DBus",
                                              interface="org.freedesktop.DBus", member="NameLost", signature="s",
                                              body=[harness.NAME]).encode())
            c.manager("CountRegions", "s", "raw")
        self.assertEqual(self.host.daemon.stop(), 0)

    def test_configuration_is_used(self):
        path = os.path.join(self.host.folder, "pmemd.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write("[pmemd]\nDefaultProfile=linux\nMaxQueue=1\nBus=unix:path=/nonexistent\n")
        self.host.daemon.stop()
        self.host.daemon.arguments = ["--config=" + path]
        self.host.daemon.start()
        with wire.Connection(self.host.bus.address) as c:
            pool, = c.manager("SetupMgmt", "tta{sv}", 0x480000, 0x490000, [])
            self.assertEqual(c.get_all(pool, harness.REGION)["Profile"], "linux")
            pool, = c.manager("SetupMgmt", "tta{sv}", 0x490000, 0x4a0000, [("profile", ("s", "none"))])
            self.assertEqual(c.get_all(pool, harness.REGION)["Profile"], "none")
            # Management devices have uuids of version 8, by which they are told from what guests write to where there are no labels.
            data, = c.manager("AllocateData", "ta{sv}", 1 << 20, [])
            path = c.get_all(data, harness.REGION)["DevicePath"]
            self.assertEqual((pool[-22], re.search(r"data-[0-9a-f-]{14}(.)", path)[1]), ("8", "4"), path)

    def test_watchdog(self):
        """It feeds the watchdog that the service manager asks for."""
        self.host.daemon.stop()
        path = os.path.join(self.host.folder, "feed")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(harness.PATIENCE)
            command = self.host.daemon.command()
            process = subprocess.Popen(["sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh", *command],
                                       stdin=subprocess.DEVNULL,
                                       env={**os.environ, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
            try:
                seen = set()
                while not {"READY=1", "WATCHDOG=1"} <= seen:
                    seen |= set(notify.recv(65536).decode().split("\n"))
                process.terminate()
                while "STOPPING=1" not in seen:
                    seen |= set(notify.recv(65536).decode().split("\n"))
            finally:
                process.terminate()
                self.assertEqual(harness.wait_exit(process), 0)
        self.assertTrue(any(s.startswith("STATUS=ok: 2 raw") for s in seen), seen)


class GoBetween:
    """Passes the bytes of one connection on, both ways, and puts messages of the bus in between."""

    def __init__(self, path, to):
        self.path, self.to = path, to
        self.address = "unix:path=" + path
        self.wake, self.woken = socket.socketpair()
        self.thread = threading.Thread(target=self._pass_on, daemon=True)

    def _pass_on(self):
        client, _ = self.listener.accept()
        bus = socket.socket(socket.AF_UNIX)
        bus.connect(self.to)
        with client, bus:
            buffer = b""
            while True:
                readable, _, _ = select.select([client, bus, self.woken], [], [])
                if self.woken in readable:
                    data = self.woken.recv(65536)
                    if not data:
                        return
                    client.sendall(data)
                if client in readable:
                    data = client.recv(65536)
                    if not data:
                        return
                    bus.sendall(data)
                if bus in readable:
                    data = bus.recv(65536)
                    if not data:
                        return
                    # Whole lines (of the greeting) and whole messages only: something may come between two.
                    buffer += data
                    while size := self._size(buffer):
                        client.sendall(buffer[:size])
                        buffer = buffer[size:]

    @staticmethod
    def _size(buffer):
        """Bytes of the first whole line or message, 0: there is none yet."""
        if not buffer.startswith(b"l"):
            return buffer.find(b"\r\n") + 2 if b"\r\n" in buffer else 0
        if len(buffer) < 16:
            return 0
        size = 16 + wire.Message.rest(buffer[:16])
        return size if len(buffer) >= size else 0

    def inject(self, member, name):
        self.wake.sendall(wire.Message(wire.SIGNAL, 0x7fffffff, wire.NO_REPLY_EXPECTED, [name],
                                       path="/org/freedesktop/DBus",
                                       interface="org.freedesktop.DBus", member=member, sender="org.freedesktop.DBus",
                                       signature="s").encode())

    def __enter__(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(1)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.wake.close()
        self.thread.join(harness.PATIENCE)
        self.listener.close()
        self.woken.close()


if __name__ == "__main__":
    harness.main()
