#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""pmemd.conf and its drop-ins with a real pmemd: --check-config, reload, Manage=, quotas, rates."""

import os
import signal
import socket
import subprocess
import tempfile
import unittest

import harness
import wire

NOBODY = 65534
MIB = 1 << 20


def check_config(path, *options):
    done = subprocess.run([os.environ["PMEMD_EXE"], "--check-config", "--config=" + path, *options], capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, timeout=harness.PATIENCE, check=False)
    return done.returncode, done.stdout, done.stderr


class Files:
    """pmemd.conf and pmemd.conf.d in a folder."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "pmemd.conf")
        self.drop_ins = self.path + ".d"
        os.makedirs(self.drop_ins, exist_ok=True)
        self.write("")

    def write(self, text, drop_in=None):
        path = os.path.join(self.drop_ins, drop_in) if drop_in else self.path
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path


class CheckConfig(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="pmemd-test-")
        self.addCleanup(folder.cleanup)
        self.files = Files(folder.name)

    def test_effective(self):
        self.files.write("[pmemd]\nMaxQueue=1\nEraseRate=1G\n")
        late = self.files.write("[pmemd]\n\nMaxQueue=3\n[quota user:root]\nBytes=1\n", "20-late.conf")
        self.files.write("[pmemd]\nMaxQueue=2\n", "10-early.conf")
        status, out, err = check_config(self.files.path, "--bus=session")
        self.assertEqual((status, err), (0, ""))
        for wanted in (f"# {late}:3\nMaxQueue=3\n", f"# {self.files.path}:3\nEraseRate=1G\n", "# option --bus\nBus=session\n",
                       "# default\nBackend=ndctl\n", f"\n[quota user:root]\n# {late}:5\nBytes=1\n"):
            self.assertIn(wanted, out)
        # What is printed is a configuration, and the same one.
        again = self.files.write(out, "../other.conf")
        values = [line for line in out.splitlines() if not line.startswith("#")]
        self.assertEqual([line for line in check_config(again)[1].splitlines() if not line.startswith("#")], values)

    def test_warnings(self):
        path = self.files.write("[pmemd]\nMaxQeue=1\n\n[nonsense]\n[quota user:no-such-user-here]\nBytes=1\n", "10.conf")
        status, _, err = check_config(self.files.path)
        self.assertEqual(status, 0)
        self.assertEqual(err.count("\n"), 3, err)
        self.assertIn(f"{path}:2: unknown key MaxQeue", err)
        self.assertIn(f"{path}:4: unknown group [nonsense]", err)
        self.assertIn(f"{path}:6: this host knows no user no-such-user-here", err)

    def test_refused(self):
        path = self.files.write("# a drop-in\n[pmemd]\nEraseRate=fast\n", "10.conf")
        status, out, err = check_config(self.files.path)
        self.assertEqual((status, out), (1, ""))
        self.assertIn(f"{path}:3: EraseRate=fast: must be 0 (no limit), or at least 1M", err)
        # A start fails of the same, with another status.
        done = subprocess.run([os.environ["PMEMD_EXE"], "--config=" + self.files.path], capture_output=True, text=True,
                              timeout=harness.PATIENCE, check=False)
        self.assertEqual((done.returncode, done.stderr), (2, err))

    def test_system_places(self):
        """The host's own folders, in a file system of their own: what masks what."""
        if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
            self.skipTest("needs root and mount namespaces")
        # Mount points may be missing, and must not be made on the host: an overlay of each parent is private, too.
        script = """set -e
            n=0
            for d in /etc /run /usr/lib; do
                n=$((n + 1))
                mkdir -p "$0/$n/up" "$0/$n/work"
            done
            mount -t tmpfs none "$0"
            for n in 1 2 3; do mkdir -p "$0/$n/up" "$0/$n/work"; done
            mount -t overlay none -o "lowerdir=/etc,upperdir=$0/1/up,workdir=$0/1/work" /etc
            mount -t tmpfs none /run
            mount -t overlay none -o "lowerdir=/usr/lib,upperdir=$0/3/up,workdir=$0/3/work" /usr/lib
            for d in /etc /run /usr/lib; do mkdir -p $d/pmemd/pmemd.conf.d; done
            put() { printf '[pmemd]\\n%s\\n' "$2" >"$1"; }
            put /etc/pmemd/pmemd.conf MaxQueue=1
            put /usr/lib/pmemd/pmemd.conf.d/10-a.conf MaxQueue=2
            put /run/pmemd/pmemd.conf.d/10-a.conf MaxQueuePerUser=3
            put /usr/lib/pmemd/pmemd.conf.d/20-b.conf MaxRegionsPerUser=4
            ln -s /dev/null /etc/pmemd/pmemd.conf.d/20-b.conf
            put /usr/lib/pmemd/pmemd.conf.d/30-c.conf StuckAfterSec=5
            put /etc/pmemd/pmemd.conf.d/25-d.conf StuckAfterSec=6
            exec "$PMEMD_EXE" --check-config
            """
        folder = tempfile.TemporaryDirectory(prefix="pmemd-test-")
        self.addCleanup(folder.cleanup)
        done = subprocess.run(["unshare", "-m", "sh", "-c", script, folder.name], capture_output=True, text=True, check=False)
        if "overlay" in done.stderr:
            self.skipTest("no overlay file system")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for wanted in ("# /etc/pmemd/pmemd.conf:2\nMaxQueue=1\n", "# /run/pmemd/pmemd.conf.d/10-a.conf:2\nMaxQueuePerUser=3\n",
                       "# default\nMaxRegionsPerUser=1024\n", "# /usr/lib/pmemd/pmemd.conf.d/30-c.conf:2\nStuckAfterSec=5\n"):
            self.assertIn(wanted, done.stdout)


class Running(unittest.TestCase):
    """A daemon that runs as another user, so that it has the rights it needs and no exemption."""

    def setUp(self):
        self.host = harness.Host(start=False)
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)
        self.files = Files(self.host.folder)
        self.host.daemon.arguments = ["--config=" + self.files.path]
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notify.close)
        self.notify.settimeout(harness.PATIENCE)
        self.process = None

    def connect(self):
        connection = wire.Connection(self.host.bus.address)
        self.addCleanup(connection.close)
        return connection

    def start(self):
        """With a notify socket that stays, for what it says at a reload."""
        path = os.path.join(self.host.folder, "said")
        self.notify.bind(path)
        os.chmod(path, 0o777)
        self.process = subprocess.Popen(self.host.daemon.command(), stdin=subprocess.DEVNULL,
                                        stderr=open(self.host.daemon.log_path, "ab"), env={**os.environ, "NOTIFY_SOCKET": path})
        self.addCleanup(self.end)
        self.wait_for("READY=1")
        self.host.daemon._wait_settled()  # pylint: disable=protected-access

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.assertEqual(harness.wait_exit(self.process), 0, self.host.daemon.log())

    def wait_for(self, *wanted):
        """Until all that was said; the lines in between."""
        said = []
        while not all(any(line.startswith(w) for line in said) for w in wanted):
            said += self.notify.recv(65536).decode().split("\n")
        return said

    def reload(self, *wanted):
        self.process.send_signal(signal.SIGHUP)
        said = self.wait_for("RELOADING=1", "READY=1", "STATUS=", *wanted)
        order = [said.index("RELOADING=1"), said.index("READY=1")]
        self.assertEqual(order, sorted(order))
        self.assertTrue(any(line.startswith("MONOTONIC_USEC=") and int(line[15:]) > 0 for line in said), said)
        return said

    def refused(self, connection, error, member, signature, *body):
        with self.assertRaises(wire.Error) as caught:
            connection.manager(member, signature, *body)
        self.assertEqual(caught.exception.name, "org.pmemd1.Error." + error, caught.exception.text)
        return caught.exception.text

    def states(self, connection):
        return {raw[0]: raw[-1] for raw in connection.manager("ListRaw", "su", "", 0)[0]}

    def test_manage(self):
        self.files.write("[pmemd]\nManage=name:raw1\n")
        self.start()
        c = self.connect()
        self.assertEqual(self.states(c), {"raw0": "not managed", "raw1": "ok"})
        pool, = c.manager("AllocateMgmt", "ta{sv}", 64 * MIB, [])
        self.assertGreaterEqual(c.get_all(pool, harness.REGION)["StartFrame"], 0x4c0000)
        # In the other one at exact frames alone.
        c.manager("SetupMgmt", "tta{sv}", 0x480000, 0x490000, [])
        self.refused(c, "NoSpace", "AllocateData", "ta{sv}", MIB, [("node", ("i", 3))])
        self.files.write("[pmemd]\nManage=0x480000\n")
        self.reload()
        self.assertEqual(self.states(c), {"raw0": "ok", "raw1": "not managed"})
        data, = c.manager("AllocateData", "ta{sv}", MIB, [])
        self.assertLess(c.get_all(data, harness.REGION)["StartFrame"], 0x4c0000)
        self.files.write("[pmemd]\nManage=none\n")
        self.reload()
        text = self.refused(c, "NoSpace", "AllocateData", "ta{sv}", MIB, [])
        self.assertIn("Manage=", text)

    def test_reload(self):
        self.start()
        c = self.connect()
        self.files.write("[pmemd]\nDefaultProfile=none\nDefaultAlignment=16M\n", "10.conf")
        self.reload()
        pool, = c.manager("SetupMgmt", "tta{sv}", 0x480000, 0x490000, [])
        self.assertEqual(c.get_all(pool, harness.REGION)["Profile"], "none")
        c.manager("AllocateData", "ta{sv}", 4096, [("alignment", ("t", 0)), ("mgmt", ("s", c.get_all(pool, harness.REGION)["Uuid"]))])
        data, = c.manager("AllocateData", "ta{sv}", 4096, [])
        self.assertEqual(c.get_all(data, harness.REGION)["StartFrame"] % (16 * MIB // 4096), 0)

        # A bad file leaves all as it was, and says so until it is good again.
        path = self.files.write("[pmemd]\nDefaultProfile=linux\nMaxQueue=0\n", "10.conf")
        said = self.reload(f"STATUS=ok: 2 raw, 1 mgmt, 2 data regions; the configuration of before counts: {path}:3: MaxQueue=0")
        self.assertTrue(said)
        self.assertIn(f"{path}:3: MaxQueue=0: must be a number from 1 to 65536; the configuration of before", self.host.daemon.log())
        other, = c.manager("SetupMgmt", "tta{sv}", 0x4a0000, 0x4b0000, [])
        self.assertEqual(c.get_all(other, harness.REGION)["Profile"], "none")
        self.files.write("[pmemd]\nDefaultProfile=linux\n", "10.conf")
        said = self.reload()
        self.assertNotIn("before counts", said[-1])
        third, = c.manager("SetupMgmt", "tta{sv}", 0x4b0000, 0x4c0000, [])
        self.assertEqual(c.get_all(third, harness.REGION)["Profile"], "linux")

    def test_what_needs_a_restart(self):
        self.host.daemon.state_folder = os.path.join(self.host.folder, "state")
        self.start()
        # The options say all three: then the files change nothing.
        self.files.write("[pmemd]\nBus=session\nStateDir=/srv/other\nBackend=ndctl\n")
        self.reload()
        self.assertNotIn("restart", self.host.daemon.log())
        self.end()
        self.notify.close()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notify.close)
        self.notify.settimeout(harness.PATIENCE)
        os.unlink(os.path.join(self.host.folder, "said"))
        self.files.write(f"[pmemd]\nStateDir={self.host.daemon.state_folder}\n")
        command = [a for a in self.host.daemon.command() if not a.startswith("--state-dir=")]
        self.host.daemon.command = lambda: command
        self.start()
        self.files.write("[pmemd]\nStateDir=/srv/other\nMaxQueue=9\n")
        self.reload()
        self.assertIn("the new values of StateDir count after a restart of pmemd", self.host.daemon.log())

    def as_nobody(self):
        """The daemon and pmemctl as a user that is not root."""
        for folder, _, names in os.walk(self.host.folder):
            os.chown(folder, NOBODY, NOBODY)
            for name in names:
                if name != "bus":
                    os.chown(os.path.join(folder, name), NOBODY, NOBODY)
        self.host.daemon.wrapper = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]

    def ctl(self, *arguments, refused=None):
        result = self.host.ctl(*arguments, user=NOBODY)
        if refused:
            self.assertNotEqual(result.status, 0, result)
            self.assertIn(refused, result.err)
        else:
            self.assertEqual(result.status, 0, result)
        return result

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become another user")
    def test_quota(self):
        self.files.write("[quota default]\nBytes=1M\n")
        self.files.write(f"[quota user:{NOBODY}]\nBytes=32M\n", "10-nobody.conf")
        self.as_nobody()
        self.start()
        self.ctl("setup-mgmt", "0x480000", "0x490000", "--name=pool0")
        self.ctl("allocate-data", "16M", "--name=a")
        self.ctl("plan", "allocate-data", "16M")
        self.ctl("allocate-data", "16M", "--name=b")
        for verb in (["allocate-data"], ["plan", "allocate-data"]):
            refused = self.ctl(*verb, "1M", refused="33554432 bytes").err
            for word in ("owns 33554432 bytes", "asks for 1048576 more", "quota is 33554432 bytes", f"user {NOBODY}"):
                self.assertIn(word, refused)
        refused = self.ctl("setup-data", "0x4b0000", "0x4b0100", "0x488000", "0x488100", refused="quota").err
        self.assertIn("asks for 1048576 more", refused)
        # Erased, it no longer counts.
        self.ctl("release", "pool0/a", "--wait")
        self.ctl("allocate-data", "16M", "--name=c")
        # Root has none.
        self.assertEqual(self.host.ctl("allocate-data", "64M").status, 0)
        # Another quota, at once.
        self.files.write("[quota group:nogroup]\nBytes=unlimited\n", "20-more.conf")
        self.files.write("# none of its own\n", "10-nobody.conf")
        self.reload()
        self.ctl("allocate-data", "64M")

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become another user")
    def test_max_regions(self):
        self.files.write("[pmemd]\nMaxRegionsPerUser=2\n")
        self.as_nobody()
        self.start()
        self.ctl("setup-mgmt", "0x480000", "0x490000", "--name=pool0")
        for name in "ab":
            self.ctl("allocate-data", "1M", "--name=" + name)
        self.ctl("allocate-data", "1M", refused="MaxRegionsPerUser")
        self.assertEqual(self.host.ctl("allocate-data", "1M").status, 0)


if __name__ == "__main__":
    harness.main()
