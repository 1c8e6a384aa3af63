#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""The hook of QEMU domains against a real pmemd, run as libvirt runs it: four arguments, the domain's XML on standard input, one
sentence on standard error when a domain must not start."""

import os
import signal
import subprocess
import tempfile
import time
import unittest
import uuid

import harness

HOOK = os.environ["QEMU_HOOK_EXE"]
NOBODY = 65534
FIRST, SECOND, THIRD = (str(uuid.UUID(int=number, version=4)) for number in (1, 2, 3))
NVDIMM = "<memory model='nvdimm'><source><path>{}</path><pmem/></source><target><size unit='KiB'>1024</size></target></memory>"


def domain_xml(domain, *devices, name="guest", rest=""):
    return f"<domain type='kvm' id='1'><name>{name}</name><uuid>{domain}</uuid><devices>{''.join(devices)}</devices>{rest}</domain>"


def nvdimms(*paths):
    return [NVDIMM.format(path) for path in paths]


class Hook(unittest.TestCase):
    def setUp(self):
        self.host = harness.Host().__enter__()
        self.addCleanup(self.host.__exit__)
        self.marks = os.path.join(self.host.folder, "marks")
        self.ctl("allocate-mgmt", "256M", "--name=pool0")
        for name in ("vol0", "vol1"):
            self.ctl("allocate-data", "16M", f"--name={name}")
        self.path = {name: self.region(name)["device_path"] for name in ("vol0", "vol1")}

    def ctl(self, *arguments):
        result = self.host.ctl("--json", *arguments)
        self.assertEqual((result.status, result.err), (0, ""), result)
        return result.json() if result.out else None

    def region(self, name):
        return self.ctl("show", f"pool0/{name}")["region"]

    def leases(self):
        """{name: owner}"""
        return {row["name"]: row["owner"] for row in self.ctl("leases")["leases"]}

    def marked(self):
        return sorted(name for name in os.listdir(self.marks) if name != "lock") if os.path.isdir(self.marks) else []

    def start_hook(self, name, operation, sub="begin", bus=None):
        return subprocess.Popen(
            [HOOK, f"--bus={bus or self.host.bus.address}", f"--marks={self.marks}", name, operation, sub, "-"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def hook(self, xml, operation, sub="begin", name="guest", bus=None):
        """(exit status, what it said)"""
        process = self.start_hook(name, operation, sub, bus)
        out, err = process.communicate(xml if isinstance(xml, bytes) else xml.encode(), timeout=harness.PATIENCE)
        self.assertEqual(out, b"")
        return process.returncode, err.decode()

    def fine(self, *arguments, **options):
        self.assertEqual(self.hook(*arguments, **options), (0, ""))

    def refused(self, xml, *words, **options):
        status, said = self.hook(xml, "prepare", **options)
        self.assertEqual(status, 1, said)
        self.assertRegex(said, r"^pmemd: domain [^\n]*\n$")
        for word in words:
            self.assertIn(word, said)
        return said

    def test_life(self):
        """Lent before the start, confirmed when libvirt's daemon is back, given back at the end; by path and by command line."""
        args = "<qemu:commandline><qemu:arg value='memory-backend-file,id=m,mem-path={}'/></qemu:commandline>"
        xml = domain_xml(FIRST, *nvdimms(self.path["vol0"]), rest=args.format(self.path["vol1"]))
        for _ in range(2):
            self.fine(xml, "prepare")
            self.assertEqual(self.leases(), {"vol0": FIRST, "vol1": FIRST})
            self.assertEqual(self.marked(), [FIRST])
            since = self.ctl("leases")["leases"][0]["since_usec"]
            for operation, sub in (("start", "begin"), ("started", "begin"), ("reconnect", "begin"), ("stopped", "end"),
                                   ("migrate", "begin"), ("restore", "begin"), ("attach", "begin"), ("release", "begin")):
                self.fine(xml, operation, sub)
            self.assertEqual(self.leases(), {"vol0": FIRST, "vol1": FIRST})
            self.assertEqual(self.ctl("leases")["leases"][0]["since_usec"], since)
            self.fine(xml, "release", "end")
            self.assertEqual((self.leases(), self.marked()), ({}, []))
        self.fine(xml, "release", "end")

    def test_confirms(self):
        xml = domain_xml(FIRST, *nvdimms(self.path["vol0"]))
        self.fine(xml, "prepare")
        for operation in ("reconnect", "prepare"):
            self.host.daemon.restart()
            self.assertFalse(self.ctl("leases")["leases"][0]["confirmed"])
            self.fine(xml, operation)
            self.assertTrue(self.ctl("leases")["leases"][0]["confirmed"])

    def test_two_domains(self):
        self.fine(domain_xml(FIRST, *nvdimms(self.path["vol0"]), name="first"), "prepare", name="first")
        second = domain_xml(SECOND, *nvdimms(self.path["vol1"], self.path["vol0"]), name="second")
        said = self.refused(second, f"region pool0/vol0 is held by domain first ({FIRST}) since 20", name="second")
        self.assertRegex(said, r"since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ: ")
        # All or none; and what it does not have it does not give back.
        self.assertEqual((self.leases(), self.marked()), ({"vol0": FIRST}, [FIRST]))
        self.fine(second, "release", "end", name="second")
        self.assertEqual(self.leases(), {"vol0": FIRST})
        self.fine(domain_xml(FIRST, name="first"), "release", "end", name="first")
        self.fine(second, "prepare", name="second")
        self.assertEqual(self.leases(), {"vol0": SECOND, "vol1": SECOND})

    def test_keeps_what_it_had(self):
        """A start that is refused takes back what it has taken, and that alone."""
        self.fine(domain_xml(FIRST, *nvdimms(self.path["vol0"])), "prepare")
        self.ctl("attach", "pool0/vol1", "--owner=me")
        said = self.refused(domain_xml(FIRST, *nvdimms(self.path["vol0"], self.path["vol1"])), "pool0/vol1 is held by 'me' of user root since")
        self.assertNotIn("domain me", said)
        self.assertEqual((self.leases(), self.marked()), ({"vol0": FIRST, "vol1": "me"}, [FIRST]))

    def test_not_ours(self):
        """Neither asked about nor stopped, whatever state pmemd is in."""
        other = os.path.join(self.host.folder, "other")
        self.host.daemon.stop()
        for xml in (domain_xml(FIRST), domain_xml(FIRST, "<disk><source file='/some/disk'/></disk>"),
                    domain_xml(FIRST, *nvdimms(other, "/dev/null"))):
            for operation, sub in (("prepare", "begin"), ("reconnect", "begin"), ("release", "end"), ("nonsense", "begin")):
                self.fine(xml, operation, sub, bus="unix:path=/nowhere")
        self.host.daemon.start()
        with open(other, "w", encoding="ascii"):
            pass
        self.fine(domain_xml(FIRST, *nvdimms(other)), "prepare")
        self.assertEqual((self.leases(), self.marked()), ({}, []))

    def test_paths(self):
        uuids = {name: self.region(name)["uuid"] for name in self.path}
        self.refused(domain_xml(FIRST, *nvdimms(f"/dev/pmemd/by-uuid/{THIRD}")), f"/by-uuid/{THIRD} leads to no region of pmemd")
        self.refused(domain_xml(FIRST, *nvdimms("/dev/pmemd/pool0/none")), "/dev/pmemd/pool0/none leads to no region of pmemd")
        self.refused(domain_xml(FIRST, *nvdimms("/run/pmemd/pools/pool0/vol0")), "name /dev/pmemd/pool0/vol0 ")
        self.refused(domain_xml(FIRST, "<disk><source file='/run/pmemd/pools/pool0/vol0'/></disk>"), "no content for a guest")
        # Lent, and then found to lead nowhere: not for long.
        said = self.refused(domain_xml(FIRST, *nvdimms(f"/dev/pmemd/by-uuid/{uuids['vol0']}")), "does not lead to region pool0/vol0")
        self.assertIn(self.path["vol0"], said)
        self.assertEqual((self.leases(), self.marked()), ({}, []))
        links = [os.path.join(self.host.folder, name) for name in ("symbolic", "hard")]
        os.symlink(self.path["vol0"], links[0])
        os.link(self.path["vol1"], links[1])
        self.fine(domain_xml(FIRST, *nvdimms(*links), *nvdimms(self.path["vol0"])), "prepare")
        self.assertEqual(self.leases(), {"vol0": FIRST, "vol1": FIRST})

    def test_hostile(self):
        for xml in (b"", b"<domain>", b"\xff\xfe<\0", b"<domain><uuid>../../x</uuid></domain>", b"<domain>" * 100000, b" " * (17 << 20)):
            status, said = self.hook(xml, "prepare")
            self.assertEqual((status, said.count("\n")), (1, 1), said)
            for operation, sub in (("release", "end"), ("reconnect", "begin")):
                self.assertEqual(self.hook(xml, operation, sub)[0], 0)
        name = "--bus=unix:path=/nowhere"
        xml = domain_xml(FIRST, *nvdimms(self.path["vol0"]), name="a&#10;\u001b[2J".replace("\u001b", "b"))
        self.fine(xml, "prepare", name=name)
        self.assertEqual(self.leases(), {"vol0": FIRST})
        said = self.refused(domain_xml(SECOND, *nvdimms(self.path["vol0"])), "held by domain a?b[2J (", name="x\ny")
        self.assertIn("domain x?y: ", said)
        for arguments in (["--help"], ["--version"]):
            self.assertEqual(subprocess.run([HOOK, *arguments], capture_output=True, check=False).returncode, 0)
        for arguments in ([], ["a", "prepare", "begin"], ["--no=1", "a", "prepare", "begin", "-"]):
            self.assertEqual(subprocess.run([HOOK, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode, 2)

    def test_stopped(self):
        """pmemd that does not answer costs a start seconds, and the end of a domain fewer."""
        xml = domain_xml(FIRST, *nvdimms(self.path["vol0"]))
        self.fine(xml, "prepare")
        os.kill(self.host.daemon.pid, signal.SIGSTOP)
        try:
            begin = time.monotonic()
            ends = [(operation, self.start_hook("guest", operation, sub))
                    for operation, sub in (("prepare", "begin"), ("release", "end"), ("reconnect", "begin"))]
            for _, process in ends:
                process.stdin.write(xml.encode())
                process.stdin.flush()
                process.stdin.close()
                process.stdin = None
            for operation, process in ends:
                said = process.communicate(timeout=harness.PATIENCE)[1].decode()
                self.assertEqual(process.returncode, 1 if operation == "prepare" else 0, said)
                self.assertRegex(said, r"has not answered for \d s: .*systemctl status pmemd")
            self.assertLess(time.monotonic() - begin, 15)
        finally:
            os.kill(self.host.daemon.pid, signal.SIGCONT)
        # What was asked meanwhile may be done now; the mark is there for who settles it.
        self.assertEqual(self.marked(), [FIRST])

    def test_away(self):
        xml = domain_xml(FIRST, *nvdimms(self.path["vol0"]))
        self.fine(xml, "prepare")
        self.host.daemon.stop()
        self.refused(xml, "cannot be reached")
        self.refused(xml, "cannot be reached", bus="unix:path=/nowhere")
        for operation, sub in (("release", "end"), ("reconnect", "begin")):
            status, said = self.hook(xml, operation, sub)
            self.assertEqual(status, 0)
            self.assertIn("cannot be reached", said)
        self.host.daemon.start()
        self.assertEqual((self.leases(), self.marked()), ({"vol0": FIRST}, [FIRST]))
        self.fine(xml, "release", "end")
        self.assertEqual((self.leases(), self.marked()), ({}, []))

    def test_endless(self):
        """An XML that never ends, and none at all, are no reason to wait for ever; what is said goes to nobody else."""
        xml = domain_xml(FIRST, *nvdimms(self.path["vol0"])).encode()
        process = self.start_hook("guest", "release", "end")
        process.stdin.write(xml)
        process.stdin.flush()
        self.assertEqual(process.wait(harness.PATIENCE), 0)
        self.assertIn("cannot read the domain's XML: ", process.stderr.read().decode())
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
        command = f'exec "{HOOK}" "--bus={self.host.bus.address}" "--marks={self.marks}" guest prepare begin -'
        closed = subprocess.run(["sh", "-c", command + " 0<&-"], capture_output=True, check=False, text=True)
        self.assertEqual(closed.returncode, 1, closed)
        self.assertIn("cannot read the domain's XML", closed.stderr)
        silent = subprocess.run(["sh", "-c", command + " 1>&- 2>&-"], input=xml, check=False)
        self.assertEqual((silent.returncode, self.leases()), (0, {"vol0": FIRST}))
        silent = subprocess.run(["sh", "-c", command + " 1>&- 2>&-"],
                                input=domain_xml(SECOND, *nvdimms(self.path["vol0"])).encode(), check=False)
        self.assertEqual((silent.returncode, self.leases()), (1, {"vol0": FIRST}))

    def test_unauthorized(self):
        """Who is not root is told so, and nothing happens."""
        process = subprocess.run([HOOK, f"--bus={self.host.bus.address}", f"--marks={self.host.folder}/none", "guest", "prepare", "begin", "-"],
                                 input=domain_xml(FIRST, *nvdimms("/dev/pmemd/pool0/vol0")).encode(), capture_output=True, check=False,
                                 user=NOBODY, group=NOBODY, extra_groups=[])
        self.assertEqual((process.returncode, process.stdout), (1, b""), process.stderr)
        self.assertEqual(self.leases(), {})


class Erasing(unittest.TestCase):
    def test_first_guest(self):
        """A new region that is still being erased: a short erase is waited for, of a long one the progress is told."""
        regions = {"raw0": {**harness.TWO_NODES["raw0"], "Zeroed": "no"}}
        with tempfile.TemporaryDirectory() as folder:
            config = os.path.join(folder, "pmemd.conf")
            with open(config, "w", encoding="ascii") as file:
                file.write("[pmemd]\nEraseRate=4M\n")
            with harness.Host(regions, arguments=["--config=" + config]) as host:
                host.ctl("allocate-mgmt", "256M", "--name=pool0")
                for name, size, status in (("short", "8M", 0), ("long", "128M", 1)):
                    result = host.ctl("--json", "allocate-data", size, f"--name={name}")
                    self.assertEqual(result.status, 0, result)
                    done = subprocess.run(
                        [HOOK, f"--bus={host.bus.address}", f"--marks={folder}/marks", "guest", "prepare", "begin", "-"],
                        input=domain_xml(FIRST, *nvdimms(result.json()["region"]["device_path"])).encode(), capture_output=True,
                        check=False)
                    self.assertEqual(done.returncode, status, done.stderr)
                    if status:
                        self.assertRegex(done.stderr.decode(), r"region pool0/long is being erased for its first guest "
                                                               r"\(\d+ % done, \d+ MiB to go, \w+\): start the domain when ")
                leases = host.ctl("--json", "leases").json()["leases"]
                self.assertEqual([row["name"] for row in leases], ["short"])


if __name__ == "__main__":
    harness.main()
