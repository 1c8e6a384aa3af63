#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""The directory of a pool: pmemd-libvirt with real FUSE mounts over a real pmemd of the file backend. Every row of what libvirt does with a
directory, what it must not do, and what happens when pmemd stops, dies or is slow, and when pmemd-libvirt is killed."""

import contextlib
import errno
import fcntl
import mmap
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

import dbus
import harness

MIB = 1 << 20
DEADLINE = 3.0  # seconds, of pmemd-libvirt
KEPT = 1.0  # the kernel goes by what it was told of a file for
SOON = 1.0  # what looks alone is answered within
MANY = int(os.environ.get("PMEMD_LIBVIRT_REGIONS", "300"))
BUS_NAME = "org.pmemd1.Libvirt"
FTRUNCATE = "77" if os.uname().machine == "x86_64" else "46"  # its number
REGIONS = {
    "raw0": {"StartFrame": "0x480000", "Bytes": "1G", "Node": "0", "Alignment": "4K", "Lead": "0"},
    "raw1": {"StartFrame": "0x4c0000", "Bytes": "4G", "Node": "1", "Alignment": "4K", "Lead": "0"},
}


def options(**values):
    return dbus.Dictionary({key.replace("_", "-"): value for key, value in values.items()}, signature="sv")


class Service:
    """pmemd-libvirt without libvirt, READY when start() returns."""

    def __init__(self, host):
        self.host = host
        self.run, self.pools, self.state = (os.path.join(host.folder, n) for n in ("lv-run", "lv-pools", "lv-state"))
        self.log_path = os.path.join(host.folder, "pmemd-libvirt.log")
        self.process = None

    def start(self):
        path = os.path.join(self.host.folder, "lv-notify")
        if os.path.exists(path):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, open(self.log_path, "ab") as log:
            notify.bind(path)
            self.process = subprocess.Popen(
                [os.environ["PMEMD_LIBVIRT_EXE"], "--bus=" + self.host.bus.address, "--run-dir=" + self.run,
                 "--pools-dir=" + self.pools, "--state-dir=" + self.state, "--no-libvirt",
                 "--device-dir=" + os.path.join(self.host.folder, "lv-dev"), f"--deadline={DEADLINE}"],
                env={**os.environ, "NOTIFY_SOCKET": path}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            ended = os.pidfd_open(self.process.pid)
            try:
                while True:
                    readable, _, _ = select.select([notify, ended], [], [], harness.PATIENCE)
                    if notify not in readable:
                        raise harness.HarnessError("pmemd-libvirt is not ready:\n" + self.log())
                    if b"READY=1" in notify.recv(65536).split(b"\n"):
                        return self
            finally:
                os.close(ended)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def signal(self, number):
        process, self.process = self.process, None
        if process is None:
            return None
        process.send_signal(number)
        return harness.wait_exit(process)

    def enable(self, pool, verb="EnablePool"):
        connection = self.host.bus.connect()
        try:
            proxy = connection.get_object(BUS_NAME, "/org/pmemd1/Libvirt", introspect=False)
            dbus.Interface(proxy, "org.pmemd1.Libvirt1").get_dbus_method(verb)(pool, options())
        finally:
            connection.close()

    def directory(self, pool):
        return os.path.join(self.pools, pool)

    def mounted(self, pool):
        with open("/proc/self/mounts", encoding="utf-8") as f:
            return any(line.split()[1] == self.directory(pool) for line in f)


class Case(unittest.TestCase):
    def setUp(self):
        self.host = harness.Host(REGIONS).__enter__()
        self.addCleanup(self.host.__exit__)
        for pool, start in (("fast", 0x480000), ("large", 0x4c0000)):
            self.host.manager().SetupMgmt(dbus.UInt64(start), dbus.UInt64(start + 0x2000),
                                          options(name=pool, profile="none", max_regions=dbus.UInt32(2048)))
        self.service = Service(self.host).start()
        self.addCleanup(self.end)
        self.until(lambda: self.try_enable("fast"))
        self.service.enable("large")
        self.until(lambda: self.service.mounted("fast") and self.service.mounted("large"))
        self.fast = self.service.directory("fast")
        self.large = self.service.directory("large")

    def end(self):
        process = self.service.process
        if process:
            process.send_signal(signal.SIGCONT)
        status = self.service.signal(signal.SIGTERM)
        if status != 0 or "Sanitizer" in self.service.log():
            print("".join("# " + line + "\n" for line in self.service.log().splitlines()), end="", flush=True)
        for pool in os.listdir(self.service.pools) if os.path.isdir(self.service.pools) else ():
            subprocess.run(["umount", "-l", self.service.directory(pool)], check=False, stderr=subprocess.DEVNULL)
        self.assertIn(status, (0, None), self.service.log())
        self.assertNotIn("Sanitizer", self.service.log())

    def try_enable(self, pool):
        """Its first view comes a moment after it is ready."""
        try:
            self.service.enable(pool)
        except dbus.DBusException:
            return False
        return True

    def until(self, condition, what="the condition"):
        deadline = time.monotonic() + harness.PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline, f"{what} never came\n{self.service.log()}")
            time.sleep(0.01)

    def regions(self, state="ok"):
        return {str(r[1]): int(r[3]) - int(r[2]) for r in self.host.manager().ListData("", dbus.UInt32(0))[0]
                if r[9] == state}

    def refused(self, number, call, *arguments):
        with self.assertRaises(OSError) as caught:
            call(*arguments)
        self.assertEqual(errno.errorcode[caught.exception.errno], errno.errorcode[number])

    def create(self, path, size, mode=0o600):
        """As libvirt does: open, fchmod, fchown, ftruncate, posix_fallocate, fsync, close."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        try:
            os.fchown(fd, 0, 0)
            os.fchmod(fd, mode)
            os.ftruncate(fd, size)
            if size:
                os.posix_fallocate(fd, 0, size)
            os.fsync(fd)
        finally:
            os.close(fd)

    def timed(self, limit, call, *arguments):
        began = time.monotonic()
        result = call(*arguments)
        self.assertLess(time.monotonic() - began, limit)
        return result

    def look(self):
        """All that only looks, each soon."""
        for name in self.timed(SOON, os.listdir, self.fast):
            self.timed(SOON, os.stat, os.path.join(self.fast, name))
        self.timed(SOON, os.statvfs, self.fast)


class Files(Case):
    def test_create_and_remove(self):
        path = os.path.join(self.fast, "disk")
        self.assertEqual(os.listdir(self.fast), [])
        before = os.statvfs(self.fast)
        self.create(path, 10 * MIB + 1)
        self.assertEqual(os.listdir(self.fast), ["disk"])
        st = os.stat(path)
        self.assertEqual((st.st_size, st.st_blocks * 512), (10 * MIB + 4096, 10 * MIB + 4096))
        self.assertEqual((st.st_mode, st.st_uid, st.st_gid, st.st_nlink), (0o100600, 0, 0, 1))
        self.assertLess(abs(st.st_mtime - time.time()), 60)
        self.assertEqual(self.regions(), {"disk": (10 * MIB + 4096) // 4096})
        # Its place is the node of its pool.
        node = [int(r[7]) for r in self.host.manager().ListData("", dbus.UInt32(0))[0]]
        self.assertEqual(node, [0])
        self.until(lambda: os.statvfs(self.fast).f_bfree == before.f_bfree - st.st_size // 4096, "free space")
        after = os.statvfs(self.fast)
        self.assertEqual((after.f_blocks, after.f_frsize), (before.f_blocks, 4096))
        self.refused(errno.EEXIST, self.create, path, MIB)
        os.unlink(path)
        self.assertEqual(os.listdir(self.fast), [])
        self.refused(errno.ENOENT, os.stat, path)
        self.refused(errno.ENOENT, os.unlink, path)
        self.until(lambda: os.statvfs(self.fast).f_bfree == before.f_bfree, "space after the erase")
        self.assertEqual(self.regions(), options())

    def test_capacity(self):
        """What statfs says is free can be had, in one piece here, and not a frame more."""
        free = os.statvfs(self.fast).f_bfree * 4096
        path = os.path.join(self.fast, "all")
        self.refused(errno.ENOSPC, self.create, path, free + 4096)
        self.assertEqual(os.listdir(self.fast), [])
        self.assertRegex(self.service.log(), rf"volume fast/all of {free + 4096} bytes is not made: .*bytes")
        self.create(path, free)
        self.until(lambda: os.statvfs(self.fast).f_bfree == 0, "a full pool")

    def test_content(self):
        path = os.path.join(self.fast, "disk")
        self.create(path, MIB)
        with open(path, "rb", buffering=0) as f:
            self.assertEqual(f.read(0x8200), bytes(0x8200))
            f.seek(60 << 10)
            self.assertEqual(f.read(65536), bytes(4 << 10))
            self.refused(errno.EOPNOTSUPP, f.read, 1)
            f.seek(MIB)
            self.assertEqual(f.read(1), b"")
            with self.assertRaises(OSError):
                mmap.mmap(f.fileno(), 4096, mmap.MAP_SHARED, mmap.PROT_READ)
        for flags in (os.O_RDWR, os.O_WRONLY, os.O_RDONLY | os.O_TRUNC, os.O_RDWR | os.O_CREAT):
            self.refused(errno.EOPNOTSUPP, os.open, path, flags)
        self.refused(errno.EOPNOTSUPP, os.truncate, path, 2 * MIB)
        self.refused(errno.EOPNOTSUPP, os.truncate, path, 0)
        os.truncate(path, MIB)
        fd = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        self.refused(errno.EPERM, os.fchmod, fd, 0o644)
        self.refused(errno.EPERM, os.fchown, fd, 1, 1)
        self.refused(errno.EPERM, os.utime, path, (1, 1))
        os.fchmod(fd, 0o600)

    def test_header(self):
        """Who looks without blocking, as libvirt does, has the kernel keep what it read: the same zeros, of a file of the same size."""
        path = os.path.join(self.fast, "disk")
        self.create(path, MIB)
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, fd)
        for offset in range(0, 64 << 10, 4096):
            self.assertEqual(os.pread(fd, 4096, offset), bytes(4096))
            self.assertEqual(os.stat(path).st_size, MIB)
        with self.assertRaises(OSError) as caught:
            os.pread(fd, 1, 64 << 10)
        self.assertIn(caught.exception.errno, (errno.EIO, errno.EOPNOTSUPP))  # Linux says the one or the other
        self.assertEqual(os.pread(fd, 1, MIB), b"")
        self.assertEqual(os.fstat(fd).st_size, MIB)
        with self.assertRaises(OSError):
            mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self.refused(errno.EOPNOTSUPP, os.open, path, os.O_RDWR | os.O_NONBLOCK)
        # A file that ends where the page does not.
        small = os.path.join(self.fast, "small")
        self.create(small, 4096)
        with open(os.open(small, os.O_RDONLY | os.O_NONBLOCK), "rb") as f:
            self.assertEqual(f.read(), bytes(4096))
        os.unlink(path)
        self.refused(errno.ENOENT, os.stat, path)

    def test_private_mapping(self):
        """What the kernel reads ahead for one, across the end of what can be read, is not the end of the file."""
        path = os.path.join(self.fast, "disk")
        self.create(path, MIB)
        fd = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        with mmap.mmap(fd, MIB, mmap.MAP_PRIVATE, mmap.PROT_READ) as content:
            for offset in range(0, 64 << 10, 4096):
                self.assertEqual(content[offset], 0)
                self.assertEqual(os.lseek(fd, 0, os.SEEK_END), MIB)

    def test_new_file_without_blocking(self):
        """Who opened it for writing while it was new maps nothing of the volume that it is then, where libvirt would find it."""
        path = os.path.join(self.fast, "disk")
        maker = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self.addCleanup(os.close, maker)
        writer = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, writer)
        os.ftruncate(maker, MIB)
        with self.assertRaises(OSError):
            mmap.mmap(writer, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self.refused(errno.EOPNOTSUPP, os.pwrite, writer, b"QFI\xfb", 0)

    def test_questions(self):
        """What libvirt does to each volume when it refreshes a pool costs an open and a close, and little more."""
        names = [f"v{number}" for number in range(40)]
        for name in names:
            self.create(os.path.join(self.fast, name), MIB)

        def refresh():
            for name in os.listdir(self.fast):
                fd = os.open(os.path.join(self.fast, name), os.O_RDONLY | os.O_NONBLOCK)
                self.assertEqual(os.fstat(fd).st_size, MIB)
                self.assertRaises(OSError, os.getxattr, fd, "security.selinux")
                for _ in range(4):
                    self.assertEqual(os.read(fd, 8192), bytes(8192))
                os.close(fd)

        def questions():
            with open(f"/proc/{self.service.process.pid}/io", encoding="ascii") as file:
                return int(file.read().split("syscr: ")[1].split()[0])

        refresh()
        before = questions()
        refresh()
        self.assertLess(questions() - before, 4 * len(names))

    def test_new_file(self):
        """Without a size it is nothing, and leaves nothing."""
        path = os.path.join(self.fast, "disk")
        with open(path, "xb", buffering=0) as f:
            self.assertEqual(os.listdir(self.fast), [])
            self.assertEqual(os.stat(path).st_size, 0)
            self.refused(errno.EEXIST, self.create, path, MIB)
            # As qemu-img, which libvirt has make qcow2.
            f.truncate(0)
            self.refused(errno.EOPNOTSUPP, f.write, b"QFI\xfb")
        self.until(lambda: not os.path.exists(path), "the end of a file without size")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.unlink(path)
        self.assertFalse(os.path.exists(path))
        self.refused(errno.ENOENT, os.unlink, path)
        os.close(fd)
        self.assertEqual(self.regions(), options())
        # A clone: it is made, then writing is refused, and who began it takes it away.
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.ftruncate(fd, MIB)
        self.refused(errno.EOPNOTSUPP, os.write, fd, b"x")
        os.close(fd)
        os.unlink(path)
        self.assertEqual(self.regions(), options())

    def test_not_had(self):
        path = os.path.join(self.fast, "disk")
        self.create(path, MIB)
        other = os.path.join(self.fast, "other")
        self.refused(errno.EOPNOTSUPP, os.rename, path, other)
        self.refused(errno.EPERM, os.link, path, other)
        self.refused(errno.EPERM, os.symlink, "/etc/passwd", other)
        self.refused(errno.EPERM, os.mkdir, other)
        self.refused(errno.EPERM, os.mknod, other, 0o600)
        self.refused(errno.EPERM, os.mkfifo, other)
        self.refused(errno.EOPNOTSUPP, os.setxattr, path, "user.x", b"y")
        for name in (path, self.fast):
            self.refused(errno.EOPNOTSUPP, os.getxattr, name, "user.x")
            self.refused(errno.EOPNOTSUPP, os.listxattr, name)
        fd = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_names(self):
        for name in ("a b", "ä", "x\n", "x\x1b[2J", ".hidden", "..x", "-x", "a" * 64, "a" * 256, "\udcff",
                     "0f6e6a3e-0000-4000-8000-000000000000", "%s%n"):
            with self.subTest(name=name):
                self.refused(errno.EINVAL, self.create, os.path.join(self.fast, name), MIB)
                shown = "".join(c if c.isprintable() else "?" for c in name.replace("\udcff", "\ufffd"))
                if len(name) < 256:  # which the kernel refuses by itself
                    self.until(lambda shown=shown: f"{self.fast}: '{shown}' is no name of a volume: 1 to 63 letters" in self.service.log())
        self.assertEqual(os.listdir(self.fast), [])
        name = "a" * 63
        self.create(os.path.join(self.fast, name), MIB)
        self.assertEqual(os.listdir(self.fast), [name])
        for size in ((1 << 63) - 1, 1 << 62, 1 << 50):
            with self.assertRaises(OSError):
                self.create(os.path.join(self.fast, "huge"), size)
        self.assertEqual(os.listdir(self.fast), [name])

    def test_leased(self):
        path = os.path.join(self.fast, "disk")
        self.create(path, MIB)
        region = self.host.manager().GetRegion("fast/disk")
        self.host.manager().Attach(region, "0f6e6a3e-0000-4000-8000-000000000000", options())
        self.refused(errno.EBUSY, os.unlink, path)
        self.assertEqual(os.listdir(self.fast), ["disk"])
        self.assertIn("0f6e6a3e", self.service.log())
        self.host.manager().Detach(region, "0f6e6a3e-0000-4000-8000-000000000000", options())
        os.unlink(path)

    def test_changes_of_others(self):
        manager = self.host.manager()
        path = manager.AllocateData(dbus.UInt64(MIB), options(mgmt="fast", node=dbus.Int32(0)))
        uuid = str(path).rsplit("/", 1)[1].replace("_", "-")
        self.until(lambda: os.listdir(self.fast) == [uuid], "a region without a name")
        manager.Rename(path, "x", options())
        self.until(lambda: os.listdir(self.fast) == ["x"], "another name")
        self.assertEqual(os.listdir(self.large), [])
        manager.ReleaseData(path, options())
        self.until(lambda: os.listdir(self.fast) == [], "the end of it")
        self.service.enable("fast", "DisablePool")
        self.until(lambda: not self.service.mounted("fast"), "the end of the mount")
        self.assertTrue(self.service.mounted("large"))

    def shown(self):
        """What others did is in the view. The kernel was told of no file meanwhile: a statfs asks for none."""
        before = os.statvfs(self.large).f_files
        self.host.manager().AllocateData(dbus.UInt64(4096), options(mgmt="large", node=dbus.Int32(1)))
        self.until(lambda: os.statvfs(self.large).f_files > before, "another region")

    def test_released_by_others(self):
        """A name that the kernel goes by is not opened when its volume is gone."""
        path = os.path.join(self.fast, "disk")
        self.create(path, MIB)
        self.shown()
        os.stat(path)
        self.host.manager().ReleaseData(self.host.manager().GetRegion("fast/disk"), options())
        self.shown()
        self.refused(errno.ENOENT, os.open, path, os.O_RDONLY | os.O_NONBLOCK)

    def test_renamed_by_others(self):
        """Who looked at a volume and removes it never removes another one, which has got its name meanwhile."""
        manager, path = self.host.manager(), os.path.join(self.fast, "disk")
        self.create(path, MIB)
        self.create(os.path.join(self.fast, "precious"), 2 * MIB)
        regions = [manager.GetRegion("fast/" + name) for name in ("disk", "precious")]
        self.shown()
        looked = time.monotonic()
        self.assertEqual(os.stat(path).st_size, MIB)
        for region, name in zip(regions, ("old", "disk")):
            manager.Rename(region, name, options())
        self.shown()
        with contextlib.suppress(OSError):
            os.unlink(path)
        if time.monotonic() - looked < KEPT:
            self.assertEqual(set(self.regions()) - {""}, {"old", "disk"})

        def removed():
            with contextlib.suppress(OSError):
                os.unlink(path)
            return set(self.regions()) - {""} == {"old"}

        # Who looks again may.
        self.until(removed, "the end of the volume that has the name now")

    def test_others_are_shut_out(self):
        self.create(os.path.join(self.fast, "disk"), MIB)
        script = """if True:
            import os, sys, errno
            os.setgid(65534); os.setuid(65534)
            for call in (lambda: os.listdir("."), lambda: os.open("disk", os.O_RDONLY), lambda: os.unlink("disk"),
                         lambda: os.open("new", os.O_RDWR | os.O_CREAT, 0o600), lambda: os.truncate("disk", 1)):
                try:
                    call()
                except OSError as e:
                    assert e.errno == errno.EACCES, e
                else:
                    sys.exit("it was let in")
        """
        done = subprocess.run([sys.executable, "-c", script], cwd=self.fast, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(list(self.regions()), ["disk"])

    def test_races(self):
        """Eight threads make and remove the same four names: each gets an answer, and what is left is what pmemd has."""
        allowed = {errno.EEXIST, errno.ENOENT, errno.EBUSY}
        strange = []

        def work(seed):
            for i in range(25):
                path = os.path.join(self.fast, f"v{(seed + i) % 4}")
                for call in (lambda p=path: self.create(p, MIB), lambda p=path: os.unlink(p)):
                    try:
                        call()
                    except OSError as e:
                        if e.errno not in allowed:
                            strange.append(e)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(strange, [])
        self.until(lambda: set(os.listdir(self.fast)) == set(self.regions()), "agreement")


class Outages(Case):
    def stopped(self):
        os.kill(self.host.daemon.pid, signal.SIGSTOP)
        self.addCleanup(lambda: self.host.daemon.pid and os.kill(self.host.daemon.pid, signal.SIGCONT))

    def test_stopped(self):
        """pmemd is stopped: what looks is answered, what changes has a deadline, and all is right when it goes on."""
        self.create(os.path.join(self.fast, "disk"), MIB)
        self.stopped()
        made = os.path.join(self.fast, "late")
        results = []
        thread = threading.Thread(target=lambda: results.append(self.outcome(lambda: self.create(made, MIB))))
        began = time.monotonic()
        thread.start()
        while thread.is_alive():
            self.look()
        self.assertLess(time.monotonic() - began, DEADLINE + SOON)
        self.assertEqual(results, [errno.ETIMEDOUT])
        # From now on it is known that there will be no answer.
        self.refused(errno.EIO, lambda: self.timed(SOON, os.unlink, os.path.join(self.fast, "disk")))
        self.refused(errno.EIO, lambda: self.timed(SOON, self.create, os.path.join(self.fast, "x"), MIB))
        self.look()
        self.assertEqual(os.listdir(self.fast), ["disk"])
        os.kill(self.host.daemon.pid, signal.SIGCONT)
        # It was made after all, and nobody was told so: it is removed again.
        self.until(lambda: "late" not in self.regions() and "removed again" in self.service.log(), "the undoing")
        self.until(lambda: self.outcome(lambda: self.create(made, MIB)) == 0, "pmemd's return")
        self.assertEqual(set(self.regions()), {"disk", "late"})
        self.assertEqual(set(os.listdir(self.fast)), {"disk", "late"})

    def test_stopped_while_removing(self):
        path = os.path.join(self.fast, "disk")
        self.create(path, MIB)
        self.stopped()
        self.refused(errno.ETIMEDOUT, lambda: self.timed(DEADLINE + SOON, os.unlink, path))
        self.look()
        os.kill(self.host.daemon.pid, signal.SIGCONT)
        self.until(lambda: os.listdir(self.fast) == list(self.regions()) == [], "the removal")

    def making(self, thread):
        """It waits for its volume, and pmemd-libvirt for pmemd: what is asked after that was answered."""
        def waits():
            with open(f"/proc/self/task/{thread.native_id}/syscall", encoding="ascii") as f:
                return f.read().split()[0] == FTRUNCATE

        self.until(waits, "the file that is being made")
        os.listdir(self.fast)
        self.service.enable("large")

    def outcome(self, call):
        try:
            call()
        except OSError as e:
            return e.errno
        return 0

    def test_killed(self):
        """pmemd dies and comes back: the view stays, the directories too."""
        self.create(os.path.join(self.fast, "disk"), MIB)
        self.host.daemon.kill()
        self.until(lambda: "not running" in self.service.log(), "the news")
        self.look()
        self.assertEqual(os.listdir(self.fast), ["disk"])
        self.refused(errno.EIO, self.create, os.path.join(self.fast, "x"), MIB)
        self.host.daemon.start()
        self.until(lambda: self.outcome(lambda: self.create(os.path.join(self.fast, "x"), MIB)) == 0, "pmemd's return")
        self.assertEqual(sorted(os.listdir(self.fast)), ["disk", "x"])
        self.assertEqual(set(self.regions()), {"disk", "x"})

    def test_lost_answer(self):
        """pmemd is killed with a creation in its hands, and back within the deadline: it is done, once."""
        self.stopped()
        results, disk = [], os.path.join(self.fast, "disk")
        thread = threading.Thread(target=lambda: results.append(self.outcome(lambda: self.create(disk, MIB))))
        thread.start()
        self.making(thread)
        self.host.daemon.kill()
        self.host.daemon.start()
        thread.join()
        # EIO: pmemd was seen to be gone before it was asked.
        self.assertIn(results, ([0], [errno.ETIMEDOUT], [errno.EIO]))
        expected = ["disk"] if results == [0] else []
        self.until(lambda: os.listdir(self.fast) == list(self.regions()) == expected, "agreement")

    def test_unmounted_while_making(self):
        """Who waits for a volume when its pool is not offered any more is told that it failed: nothing is left of it."""
        self.stopped()
        results = []
        thread = threading.Thread(target=lambda: results.append(self.outcome(lambda: self.create(os.path.join(self.fast, "late"), MIB))))
        thread.start()
        self.making(thread)
        self.service.enable("fast", "DisablePool")
        thread.join()
        self.assertNotEqual(results, [0])
        os.kill(self.host.daemon.pid, signal.SIGCONT)
        self.until(lambda: "removed again" in self.service.log() and "late" not in self.regions(), "the undoing")

    def test_service_killed(self):
        """A mount whose server was killed answers nobody; the next one takes its place."""
        self.create(os.path.join(self.fast, "disk"), MIB)
        self.service.signal(signal.SIGKILL)
        self.refused(errno.ENOTCONN, os.listdir, self.fast)
        self.service.start()
        disk = os.path.join(self.fast, "disk")
        self.until(lambda: self.outcome(lambda: os.stat(disk)) == 0, "the mount")
        with open("/proc/self/mounts", encoding="utf-8") as f:
            self.assertEqual(sum(line.split()[1] == self.fast for line in f), 1)

    def test_start_without_pmemd(self):
        self.create(os.path.join(self.fast, "disk"), MIB)
        self.assertEqual(self.service.signal(signal.SIGTERM), 0)
        self.assertFalse(self.service.mounted("fast"))
        self.host.daemon.kill()
        self.service.start()
        self.assertFalse(self.service.mounted("fast"), "a pool without volumes would be a lie")
        self.host.daemon.start()
        self.until(lambda: self.service.mounted("fast"), "the mount")
        self.assertEqual(os.listdir(self.fast), ["disk"])

    def test_unmounted_by_somebody(self):
        self.create(os.path.join(self.fast, "disk"), MIB)
        with open(os.path.join(self.fast, "disk"), "rb"):
            subprocess.run(["umount", "-l", self.fast], check=True)
            self.until(lambda: not self.service.mounted("fast"), "the unmounting")
        self.until(lambda: self.service.mounted("fast") and os.listdir(self.fast) == ["disk"], "the mount")

    def test_second_one(self):
        self.create(os.path.join(self.fast, "disk"), MIB)
        second = Service(self.host)
        with self.assertRaises(harness.HarnessError):
            second.start()
        self.assertNotEqual(harness.wait_exit(second.process), 0)
        self.assertIn("another pmemd-libvirt runs", self.service.log())
        self.look()


class Many(Case):
    def test_many(self):
        """Listing and looking at many volumes asks pmemd nothing."""
        manager = self.host.manager()
        for i in range(MANY):
            manager.AllocateData(dbus.UInt64(4096), options(mgmt="large", node=dbus.Int32(1), name=f"v{i:04}"))
        self.until(lambda: len(os.listdir(self.large)) == MANY, "all volumes")
        os.kill(self.host.daemon.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            names = os.listdir(self.large)
            for name in names:
                with open(os.path.join(self.large, name), "rb", buffering=0) as f:
                    self.assertEqual(os.fstat(f.fileno()).st_size, 4096)
                    self.assertEqual(len(f.read(0x8200)), 4096)
            spent = time.monotonic() - began
        finally:
            os.kill(self.host.daemon.pid, signal.SIGCONT)
        self.assertEqual(sorted(names), [f"v{i:04}" for i in range(MANY)])
        print(f"# {MANY} volumes were listed and looked into in {spent:.3f} s", flush=True)
        self.assertLess(spent, SOON * 10)


def own_mounts():
    """Mounts of the tests are seen by nobody else."""
    if not os.environ.get("PMEMD_TEST_OWN_MOUNTS"):
        os.environ["PMEMD_TEST_OWN_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])


if __name__ == "__main__":
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse") or not shutil.which("umount"):
        print("1..0 # SKIP root and /dev/fuse are needed")
        sys.exit(0)
    own_mounts()
    harness.main()
