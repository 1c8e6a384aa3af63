#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""domain-xml and qemu-args: what libvirt's own schema and a real QEMU say of them, and what is refused."""

import json
import os
import re
import select
import shlex
import socket
import subprocess
import unittest
import xml.etree.ElementTree as ET

import ctl_case
import harness

ERROR = "org.pmemd1.Error."
HERE = os.path.dirname(os.path.abspath(__file__))
RELAXNG = "/usr/share/libvirt/schemas/domain.rng"
NOBODY = 65534
KIB = 1 << 10
MIB = 1 << 20


def domain_of_manual():
    """(before, element, after): the domain that pmemctl(1) shows, around its <memory> element."""
    with open(os.path.join(HERE, "..", "..", "docs", "man", "pmemctl.1"), encoding="utf-8") as page:
        examples = re.findall(r"^\.EX\n(.*?)^\.EE$", page.read(), re.M | re.S)
    [domain] = [example for example in examples if example.startswith("<domain ")]
    return re.fullmatch(r"(.*)(<memory model.*</memory>\n)(.*)", domain.replace(r"\-", "-").replace(r"\(aq", "'"), re.S).groups()


class Qemu:
    """A QEMU that has made its machine and runs nothing, to be asked by QMP."""

    def __init__(self, folder, arguments):
        path = os.path.join(folder, "qmp")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
            listener.listen(1)
            # It connects to us, so there is nothing to poll for; with its death the socket closes.
            self.process = subprocess.Popen(
                ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-S", "-display", "none", "-accel", "tcg", "-qmp",
                 "unix:" + path, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                self.socket = self._accept(listener)
            finally:
                os.unlink(path)
        self.stream = self.socket.makefile("rwb")

    def _accept(self, listener):
        # A QEMU that refuses its arguments ends before it connects.
        ended = os.pidfd_open(self.process.pid)
        try:
            ready = select.select([listener, ended], [], [], harness.PATIENCE)[0]
        finally:
            os.close(ended)
        if listener not in ready:
            self.process.kill()
            raise AssertionError(f"QEMU does not connect: {self.process.communicate()[1].decode()}")
        connection = listener.accept()[0]
        connection.settimeout(harness.PATIENCE)
        return connection

    def ask(self, command):
        self.stream.write(json.dumps({"execute": command}).encode() + b"\n")
        self.stream.flush()
        while True:
            line = self.stream.readline()
            if not line:
                raise AssertionError(f"QEMU ended: {self.process.stderr.read().decode()}")
            answer = json.loads(line)
            if "return" in answer or "error" in answer:
                return answer["return"]

    def __enter__(self):
        try:
            self.ask("qmp_capabilities")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Domain(ctl_case.CtlCase):
    @classmethod
    def setUpClass(cls):
        cls.host = host = harness.Host().__enter__()
        cls.addClassCleanup(host.__exit__)
        cls.run_ok("allocate-mgmt", "256M", "--name=pool0")
        for name, size in ("guest0", "16M"), ("small", "2M"), ("odd", "5M"):
            cls.run_ok("allocate-data", size, "--name=" + name)
        cls.regions = {region["name"]: region for region in cls.run_ok("list", "--data")["data"]}

    @classmethod
    def run_ok(cls, *arguments, **options):
        result = cls.host.ctl("--json", *arguments, **options)
        assert (result.status, result.err) == (0, ""), result
        return ctl_case.valid(result.out)

    def assert_valid(self, element, valid=True):
        """What libvirt's schema says of a domain with the element."""
        before, _, after = domain_of_manual()
        done = subprocess.run(["xmllint", "--noout", "--relaxng", RELAXNG, "-"], input=before + element + after,
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode == 0, valid, done.stderr)

    def test_domain_xml(self):
        guest0 = self.regions["guest0"]
        for options, label in ((), 128), (("--label-size=0",), None), (("--node=3", "--label-size=2M"), 2048):
            with self.subTest(options):
                element = self.text("domain-xml", "guest0", *options)
                self.assert_valid(element)
                memory = ET.fromstring(element)
                self.assertEqual(memory.attrib, {"model": "nvdimm", "access": "shared"})
                self.assertEqual(memory.findtext("source/path"), guest0["device_path"])
                self.assertEqual(memory.findtext("source/alignsize"), "2048")
                self.assertIsNotNone(memory.find("source/pmem"))
                # The size is the whole file's: libvirt makes the backend as large as it says.
                self.assertEqual(int(memory.findtext("target/size")) * KIB, os.stat(guest0["device_path"]).st_size)
                self.assertEqual(memory.findtext("target/label/size"), str(label) if label else None)
                self.assertEqual(memory.findtext("target/node"), "3" if options[0:1] == ("--node=3",) else "0")
                document = self.run_ok("domain-xml", "guest0", *options)["domain_xml"]
                self.assertEqual(document["xml"], element)
                self.assertEqual(document["uuid"], guest0["uuid"])
        # The one of the manual is ours, too, and another would not do.
        _, shown, _ = domain_of_manual()
        self.assert_valid(shown)
        ours = self.run_ok("domain-xml", "guest0")["domain_xml"]
        self.assertEqual(re.sub(r"\s+", "", shown.replace("0f6e6a3e-5b39-4b8f-9d43-7a4bb37be3c0", "X").replace("4194304", "SIZE")),
                         re.sub(r"\s+", "", ours["xml"].replace(ours["device_path"], "/dev/pmemd/by-uuid/X")
                                .replace(str(ours["bytes"] // KIB), "SIZE")))
        self.assert_valid(element.replace("</source>", "<size/></source>"), valid=False)
        self.assert_valid(element.replace("nvdimm", "nvram"), valid=False)

    def test_qemu_takes_it(self):
        guest0 = self.regions["guest0"]
        for name, options, guest_bytes in (("guest0", (), 14 * MIB), ("guest0", ("--label-size=0",), 16 * MIB),
                                           ("small", ("--label-size=0",), 2 * MIB), ("guest0", ("--id=nv0",), 14 * MIB)):
            with self.subTest(name=name, options=options):
                document = self.run_ok("qemu-args", name, "--memory=64M", *options)["qemu_args"]
                lines = self.text("qemu-args", name, "--memory=64M", *options)
                self.assertEqual(shlex.split(lines), document["args"])
                self.assertEqual(document["guest_bytes"], guest_bytes)
                device = "nv0" if "--id=nv0" in options else "pmemd-" + self.regions[name]["uuid"]
                with Qemu(self.host.folder, ["-machine", "q35", *document["args"]]) as qemu:
                    [found] = qemu.ask("query-memory-devices")
                    self.assertEqual(found["type"], "nvdimm")
                    self.assertEqual((found["data"]["id"], found["data"]["size"], found["data"]["memdev"], found["data"]["node"]),
                                     (device, guest_bytes, f"/objects/{device}-mem", 0))
                    [backend] = [b for b in qemu.ask("query-memdev") if b["id"] == device + "-mem"]
                    self.assertEqual((backend["size"], backend["share"]), (self.regions[name]["bytes"], True))
                    qemu.ask("quit")
                    self.assertEqual(harness.wait_exit(qemu.process), 0)
        # None of it changed what the region holds, not even its size.
        self.assertEqual(os.stat(guest0["device_path"]).st_size, 16 * MIB)

    def test_two_regions(self):
        """As the manual has it: the last of several -m has the sums."""
        arguments = []
        for name, node in ("guest0", 0), ("small", 1):
            arguments += self.run_ok("qemu-args", name, "--label-size=0", f"--node={node}", "--memory=64M")["qemu_args"]["args"]
        nodes = ["-smp", "2", "-object", "memory-backend-ram,id=m0,size=32M", "-object", "memory-backend-ram,id=m1,size=32M",
                 "-numa", "node,nodeid=0,memdev=m0,cpus=0", "-numa", "node,nodeid=1,memdev=m1,cpus=1"]
        with Qemu(self.host.folder, ["-machine", "q35", *nodes, *arguments, "-m", "slots=2,maxmem=82M"]) as qemu:
            self.assertEqual([(found["data"]["size"], found["data"]["node"]) for found in qemu.ask("query-memory-devices")],
                             [(16 * MIB, 0), (2 * MIB, 1)])

    def test_memory(self):
        """maxmem is what QEMU wants: the RAM and the region."""
        self.assertIn("-m size=1024M,slots=1,maxmem=1040M\n", self.text("qemu-args", "guest0"))
        self.assertIn("-m size=3072M,slots=1,maxmem=3088M\n", self.text("qemu-args", "guest0", "--memory=3G"))

    def test_refused(self):
        odd = self.regions["odd"]
        for verb in "domain-xml", "qemu-args":
            self.refused(ERROR + "NoSuchRegion", verb, "nothing")
            self.assertIn("management region", self.refused(ERROR + "InvalidArgument", verb, "pool0"))
            self.assertIn("--label-size", self.refused(ERROR + "InvalidArgument", verb, "small"))
            message = self.refused(ERROR + "InvalidArgument", verb, "odd")
            self.assertIn(f"{odd['bytes']} bytes", message)
            self.assertIn(f"{odd['bytes'] % (2 * MIB)} beyond a multiple of 2097152", message)
            # Who may not see the path is told neither it nor anything made of it.
            message = self.refused(ERROR + "NotAuthorized", verb, "guest0", user=NOBODY)
            self.assertIn("hidden from you", message)

    def test_usage(self):
        for arguments in ("--node=-1",), ("--node=128",), ("--label-size=1K",), ("--label-size=131073",), ("--label-size=x",), \
                         ("--memory=0",), ("--memory=1500K",), ("--memory=8P",), ("--id=",), ("--id=a,b",), ("--id=0",), ("x",):
            result = self.host.ctl("qemu-args", "guest0", *arguments)
            self.assertEqual((result.status, result.out), (2, ""), result)
        for arguments in ("--id=a",), ("--memory=1G",), ("--format=xen-ndctl",):
            self.assertEqual(self.host.ctl("domain-xml", "guest0", *arguments).status, 2)

    def test_quarantined(self):
        """A region whose device did not go away is no guest's."""
        self.run_ok("allocate-data", "2M", "--name=gone")
        uuid = self.run_ok("show", "gone")["region"]["uuid"]
        with open(os.path.join(self.host.daemon.backend_folder, "inject.conf"), "w", encoding="utf-8") as f:
            f.write("[destroy]\nWhen=partial\nError=EIO\n")
        self.assertEqual(self.host.ctl("release", uuid, "--wait").status, 1)
        for verb in "domain-xml", "qemu-args":
            self.assertIn("is quarantined", self.refused(ERROR + "Busy", verb, uuid))


if __name__ == "__main__":
    harness.main()
