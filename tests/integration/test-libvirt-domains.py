#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Domains of a real libvirtd with real QEMU, in mounts of their own, over a real pmemd: the hook, and pmemd-libvirt that follows
the domains. Nothing runs in the guests: QEMU maps the regions all the same."""

import glob
import os
import signal
import subprocess
import sys
import time
import unittest
import uuid

import harness

FIRST, SECOND, THIRD = (str(uuid.UUID(int=number, version=4)) for number in (1, 2, 3))
SOCKET = "/run/libvirt/libvirt-sock"
QEMU_CONF = """
security_driver = "none"
user = "root"
group = "root"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
remember_owner = 0
"""
DOMAIN = """<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid><maxMemory slots='8' unit='MiB'>512</maxMemory>
<memory unit='MiB'>{memory}</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>
<cpu><numa><cell id='0' cpus='0' memory='32' unit='MiB'/></numa></cpu>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{devices}<memballoon model='none'/></devices></domain>"""


def own_mounts():
    """Starts the tests again where the folders of libvirt are their own."""
    if not os.environ.get("PMEMD_TEST_OWN_MOUNTS"):
        os.environ["PMEMD_TEST_OWN_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def wait_for(what, condition, seconds=harness.PATIENCE):
    until = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > until:
            raise AssertionError(f"never came: {what}")
        time.sleep(0.05)
    return result


class Domains(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = harness.Host()
        cls.host.__enter__()
        cls.addClassCleanup(cls.host.__exit__)
        folder = cls.host.folder
        cls.marks = os.path.join(folder, "state-libvirt", "domains")
        for name in ("etc", "lib", "cache", "log"):
            os.mkdir(os.path.join(folder, name))
        for name in ("etc", "lib", "cache", "log"):
            target = "/etc/libvirt" if name == "etc" else f"/var/{name}/libvirt"
            os.makedirs(target, exist_ok=True)
            mount("--bind", os.path.join(folder, name), target)
        mount("-t", "tmpfs", "tmpfs", "/run")
        for name in ("/run/libvirt", "/run/lock"):
            os.makedirs(name)
        with open("/etc/libvirt/qemu.conf", "w", encoding="ascii") as file:
            file.write(QEMU_CONF)
        with open("/etc/libvirt/libvirtd.conf", "w", encoding="ascii") as file:
            file.write('auth_unix_rw = "none"\nauth_unix_ro = "none"\n')
        os.makedirs("/etc/libvirt/hooks/qemu.d")
        with open("/etc/libvirt/hooks/qemu.d/pmemd", "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\nexec {os.environ['QEMU_HOOK_EXE']} --bus={cls.host.bus.address} --marks={cls.marks} \"$@\"\n")
        os.chmod("/etc/libvirt/hooks/qemu.d/pmemd", 0o755)
        cls.libvirtd = cls.follower = None
        cls.addClassCleanup(cls.stop_all)
        cls.start_libvirtd()
        cls.start_follower()
        cls.host.ctl("allocate-mgmt", "256M", "--name=pool0")
        for name in ("vol0", "vol1"):
            result = cls.host.ctl("allocate-data", "16M", f"--name={name}")
            assert result.status == 0, result

    @classmethod
    def start_libvirtd(cls):
        with open(os.path.join(cls.host.folder, "libvirtd.log"), "ab") as log:
            cls.libvirtd = subprocess.Popen(["libvirtd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for("libvirtd", lambda: cls.run_virsh("list").returncode == 0)

    @classmethod
    def stop_libvirtd(cls):
        cls.libvirtd.kill()
        cls.libvirtd.wait()

    @classmethod
    def start_follower(cls):
        folder = cls.host.folder
        with open(os.path.join(folder, "follower.log"), "ab") as log:
            cls.follower = subprocess.Popen(
                [os.environ["PMEMD_LIBVIRT_EXE"], f"--bus={cls.host.bus.address}", f"--run-dir={folder}/run", f"--pools-dir={folder}/pools",
                 f"--state-dir={folder}/state-libvirt", f"--device-dir={folder}/dev"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @classmethod
    def stop_follower(cls):
        cls.follower.terminate()
        cls.follower.wait(harness.PATIENCE)

    @classmethod
    def stop_all(cls):
        for path in glob.glob("/run/libvirt/qemu/*.pid"):
            cls.kill_qemu(path)
        for process in (cls.follower, cls.libvirtd):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        subprocess.run(["umount", "--recursive", "/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt"], check=False)

    @staticmethod
    def kill_qemu(path):
        with open(path, encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGKILL)

    @classmethod
    def run_virsh(cls, *arguments):
        return subprocess.run(["virsh", "-q", "-c", "qemu:///system", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=harness.PATIENCE, check=False)

    def setUp(self):
        self.log_at = os.path.getsize(self.log_path())

    def tearDown(self):
        for name in self.virsh("list", "--all", "--name").split():
            self.run_virsh("destroy", name)
            self.run_virsh("undefine", name)
        self.settled({})

    def log_path(self):
        return os.path.join(self.host.folder, "follower.log")

    def log(self):
        with open(self.log_path(), encoding="utf-8", errors="replace") as file:
            file.seek(self.log_at)
            return file.read()

    def virsh(self, *arguments):
        done = self.run_virsh(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def refused(self, *arguments):
        done = self.run_virsh(*arguments)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stderr

    def ctl(self, *arguments):
        result = self.host.ctl(*arguments)
        self.assertEqual((result.status, result.err), (0, ""), result)
        return result.out

    def leases(self):
        """{name: (owner, confirmed)}"""
        rows = self.host.ctl("--json", "leases").json()["leases"]
        return {row["name"]: (row["owner"], row["confirmed"]) for row in rows}

    def settled(self, wanted):
        wanted = {name: (owner, True) for name, owner in wanted.items()}
        try:
            wait_for("leases", lambda: self.leases() == wanted)
        except AssertionError:
            self.fail(f"{self.leases()} instead of {wanted}; {self.log()}")

    def logged(self, *words):
        try:
            wait_for("log", lambda: all(word in self.log() for word in words))
        except AssertionError:
            self.fail(f"no {words} in {self.log()}")

    def file(self, name, text):
        path = os.path.join(self.host.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def nvdimm(self, volume):
        return self.ctl("domain-xml", f"pool0/{volume}", "--label-size=128K")

    def domain(self, name, domain, *volumes, verb="define"):
        devices = "".join(self.nvdimm(volume) for volume in volumes)
        xml = DOMAIN.format(name=name, uuid=domain, memory=32 + 16 * len(volumes), devices=devices)
        path = self.file(f"{name}.xml", xml)
        return self.virsh(verb, path) if verb == "define" else self.run_virsh(verb, path)

    def qemu_pid(self, name):
        with open(f"/run/libvirt/qemu/{name}.pid", encoding="ascii") as file:
            return int(file.read())

    def mapped(self, name):
        with open(f"/proc/{self.qemu_pid(name)}/maps", encoding="utf-8") as file:
            maps = file.read()
        paths = {volume: self.host.ctl("--json", "show", f"pool0/{volume}").json()["region"]["device_path"] for volume in ("vol0", "vol1")}
        return sorted(volume for volume, path in paths.items() if path in maps)

    def test_two_domains(self):
        """The second start on a region fails, and says why; after the end of the first it does not."""
        self.domain("one", FIRST, "vol0")
        self.domain("two", SECOND, "vol1", "vol0")
        self.virsh("start", "one")
        self.assertEqual(self.mapped("one"), ["vol0"])
        self.settled({"vol0": FIRST})
        said = self.refused("start", "two")
        self.assertIn(f"region pool0/vol0 is held by domain one ({FIRST}) since 20", said)
        self.settled({"vol0": FIRST})
        self.virsh("destroy", "one")
        self.assertEqual(self.leases(), {})
        self.virsh("start", "two")
        self.settled({"vol0": SECOND, "vol1": SECOND})
        # A definition is nothing that holds a region, nor does its end take one away.
        self.virsh("undefine", "two")
        self.settled({"vol0": SECOND, "vol1": SECOND})
        self.virsh("destroy", "two")
        self.assertEqual(self.leases(), {})
        self.assertIn("vol0", self.ctl("list", "--data"))

    def test_transient(self):
        self.assertEqual(self.domain("one", FIRST, "vol0", verb="create").returncode, 0)
        self.settled({"vol0": FIRST})
        done = self.domain("two", SECOND, "vol0", verb="create")
        self.assertIn(f"held by domain one ({FIRST})", done.stderr)
        os.kill(self.qemu_pid("one"), signal.SIGKILL)
        self.settled({})
        self.assertEqual(self.domain("two", SECOND, "vol0", verb="create").returncode, 0)
        self.settled({"vol0": SECOND})

    def test_attached_live(self):
        """No hook runs: the lease is taken afterwards. What another one has is told loudly, and stays with it."""
        self.domain("one", FIRST, "vol0")
        self.domain("two", SECOND)
        self.virsh("start", "one")
        # A machine that knows NVDIMMs, with one that is none of ours.
        spare = self.file("spare", "")
        os.truncate(spare, 16 << 20)
        path = self.host.ctl("--json", "show", "pool0/vol0").json()["region"]["device_path"]
        self.virsh("define", self.file("two.xml", DOMAIN.format(name="two", uuid=SECOND, memory=48, devices=self.nvdimm("vol0").replace(path, spare))))
        self.virsh("start", "two")
        # One that nobody had before; one that was lent before it is attached; one that somebody else had last, whose old descriptors can only be
        # made dead before it is opened; and one that somebody has.
        for name in ("fresh", "lent"):
            self.assertEqual(self.host.ctl("allocate-data", "16M", f"--name={name}").status, 0)
        self.ctl("attach", "pool0/lent", f"--owner={SECOND}")
        for owner in ("attach", "detach"):
            self.ctl(owner, "pool0/vol1", f"--owner={THIRD}")
        for name in ("fresh", "lent", "vol1", "vol0"):
            self.virsh("attach-device", "two", self.file(f"{name}.xml", self.nvdimm(name)), "--live")
        self.logged(f"domain two ({SECOND}) uses region pool0/vol0, which is lent to domain one, {FIRST}: both may write",
                    f"region pool0/vol1 is used, without being lent to it, by domain two ({SECOND}): ")
        self.settled({"vol0": FIRST, "fresh": SECOND, "lent": SECOND})
        self.assertEqual(self.mapped("two"), ["vol0", "vol1"])
        # What is not lent is not free either.
        for arguments in (("attach", "pool0/vol1", f"--owner={FIRST}"), ("release", "pool0/vol1")):
            result = self.host.ctl(*arguments)
            self.assertIn("qemu-system", result.err)
        # The first ends; what it had stays a matter of who has it mapped, until that ends, too.
        self.virsh("destroy", "one")
        self.settled({"fresh": SECOND, "lent": SECOND})
        self.virsh("destroy", "two")
        self.assertEqual(self.leases(), {})
        for name in ("fresh", "lent"):
            self.ctl("release", f"pool0/{name}", "--wait")

    def test_restarts(self):
        """Of libvirt's daemon, of pmemd, of the follower: who runs keeps what it has, and is known to have it."""
        self.domain("one", FIRST, "vol0")
        self.virsh("start", "one")
        self.stop_libvirtd()
        self.start_libvirtd()
        self.host.daemon.restart()
        self.settled({"vol0": FIRST})
        self.stop_follower()
        self.host.daemon.restart()
        self.assertEqual(self.leases(), {"vol0": (FIRST, False)})
        self.start_follower()
        self.settled({"vol0": FIRST})
        self.assertEqual(self.mapped("one"), ["vol0"])

    def test_pmemd_away(self):
        """A domain ends while pmemd is stopped or gone: at once, and the lease ends when pmemd is back."""
        for leave, back in ((lambda: os.kill(self.host.daemon.pid, signal.SIGSTOP), lambda: os.kill(self.host.daemon.pid, signal.SIGCONT)),
                            (self.host.daemon.kill, self.host.daemon.start)):
            self.domain("one", FIRST, "vol0")
            self.virsh("start", "one")
            self.settled({"vol0": FIRST})
            leave()
            try:
                self.virsh("destroy", "one")
                self.assertIn("systemctl status pmemd", self.refused("start", "one"))
            finally:
                back()
            self.settled({})

    def test_all_away(self):
        """The host goes down and comes up: a domain that does not run again keeps nobody out, and what was lent by hand stays."""
        self.domain("one", FIRST, "vol0")
        self.virsh("start", "one")
        self.ctl("attach", "pool0/vol1", f"--owner={THIRD}")
        self.stop_libvirtd()
        self.stop_follower()
        self.host.daemon.kill()
        os.kill(self.qemu_pid("one"), signal.SIGKILL)
        self.host.daemon.start()
        self.start_libvirtd()
        self.start_follower()
        try:
            wait_for("the lease's end", lambda: "vol0" not in self.leases())
            self.assertEqual(self.leases(), {"vol1": (THIRD, False)})
        finally:
            self.ctl("detach", "pool0/vol1", f"--owner={THIRD}")

    def test_released(self):
        """A region that a definition names, and no guest has, may be released; who reads the log learns what to do."""
        self.assertEqual(self.host.ctl("allocate-data", "16M", "--name=vol2").status, 0)
        self.domain("one", FIRST, "vol2")
        path = self.host.ctl("--json", "show", "pool0/vol2").json()["region"]["device_path"]
        self.ctl("release", "pool0/vol2", "--wait")
        self.logged(f"region pool0/vol2 was released, and domain one ({FIRST}) still names it: take {path} out")

    def test_back_again(self):
        """A region whose device was missing when it was looked at first is known by its path when that is back."""
        self.assertEqual(self.host.ctl("allocate-data", "16M", "--name=vol2").status, 0)
        self.domain("one", FIRST, "vol2")
        path = self.host.ctl("--json", "show", "pool0/vol2").json()["region"]["device_path"]
        away = os.path.join(self.host.folder, "away.img")
        self.stop_follower()
        for source, target, state in ((path, away, "missing"), (away, path, "ok")):
            self.host.daemon.kill()
            os.rename(source, target)
            self.host.daemon.start()
            self.assertEqual(self.host.ctl("--json", "show", "pool0/vol2").json()["region"]["state"], state)
            if state == "missing":
                self.start_follower()
            self.logged("pmemd answers")
            self.log_at = os.path.getsize(self.log_path())
        self.ctl("release", "pool0/vol2", "--wait")
        self.logged(f"region pool0/vol2 was released, and domain one ({FIRST}) still names it: take {path} out")


if __name__ == "__main__":
    own_mounts()
    harness.main()
