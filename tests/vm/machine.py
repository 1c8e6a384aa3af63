# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""One virtual machine with NVDIMMs: Debian's kernel under QEMU's software emulation.

A case may mount the share `image`: the kernel and the first root that the machine itself was booted with.

What outlives a boot is what outlives a power cut: the NVDIMMs' backing files and the disk of /var/lib/pmemd. The
root file system is fresh each time, unless the machine keeps it. A machine runs one case of tests/vm/cases and the
only verdict that counts is the file the guest leaves in the scratch share; no file is a failure, whatever QEMU says.

A case asks for a power cut by printing POWER_CUT: QEMU gets SIGKILL and the case runs again, with BOOT one higher. By
printing REBOOT it says that it has the machine reboot in order, which it then has to do. A machine that is warm starts
again without QEMU ending when its system reboots by itself, as real ones do: memory keeps what is in it. BOOT stays the same
then, and so do the root file system's changes. By printing HOT_ADD with "SIZE:NODE" behind it, it has an
NVDIMM plugged into the running machine.

By printing SNAPSHOTS it asks, of a machine with one NVDIMM, for so many copies of its backing file as the case's settings say, each
at one instant while the guest goes on: what a loss of power at that instant would leave. The file "snapshots" in the
scratch share says that they are made. By printing RESTORE with a number behind it, in that boot or a later one, it has the
NVDIMM's memory and labels become what snapshot that number has, at the same address and with the same serial number; the file
"restored" then has the number. Whoever asks has stopped region and DIMM before.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

POWER_CUT = "@@power-cut@@"
REBOOT = "@@reboot@@"
HOT_ADD = "@@hot-add@@"
SNAPSHOTS = "@@snapshots@@"
RESTORE = "@@restore@@"
MAX_BOOTS = 20
MIB = 1 << 20


class MachineError(Exception):
    pass


def parse_size(text):
    units = {"M": MIB, "G": 1 << 30}
    if text[-1:] not in units or not text[:-1].isdigit():
        raise MachineError(f"size {text!r} is not a number with M or G behind it")
    return int(text[:-1]) * units[text[-1]]


class Machine:
    """nvdimms: list of "SIZE:NODE", e.g. ["1G:0", "2G:0", "1G:1"]. Nodes 0 and 1 have memory and a processor each.
    virtio_pmem: list of "SIZE", memory that a hypervisor offers by virtio, from a file of its own. cxl: "SIZE" of a persistent
    CXL memory device with a label area, behind a host bridge and a port of its own; "": none."""

    def __init__(
        self,
        image,
        source,
        stage,
        logs,
        nvdimms,
        memory=2048,
        append="",
        echo=None,
        keep_root=False,
        virtio_pmem=(),
        warm=False,
        snapshots=0,
        cxl="",
    ):
        self.image = pathlib.Path(image)
        self.source = pathlib.Path(source)
        self.stage = pathlib.Path(stage)
        self.logs = pathlib.Path(logs)
        self.memory = memory
        self.append = append
        self.echo = echo
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir(parents=True)
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="pmemd-vm.", dir=os.environ.get("TMPDIR", "/var/tmp")))
        self.scratch = self.work / "scratch"
        self.scratch.mkdir()
        self.nvdimms = []
        for number, text in enumerate(nvdimms):
            size, node = text.split(":")
            path = self.work / f"nvdimm{number}"
            # QEMU puts the label area at the end and cuts the rest to `align`: 2 MiB more than the size gives exactly
            # the size.
            self._sparse_file(path, parse_size(size) + 2 * MIB)
            self.nvdimms.append((path, int(node)))
        self.virtio_pmem = []
        for number, text in enumerate(virtio_pmem):
            path = self.work / f"virtio-pmem{number}"
            self._sparse_file(path, parse_size(text))
            self.virtio_pmem.append(path)
        self.warm = warm
        self.cxl = [self.work / name for name in ("cxl", "cxl-labels")] if cxl else []
        for path, size in zip(self.cxl, (cxl, "1M")):
            self._sparse_file(path, parse_size(size))
        self.root = self.image / "root.img"
        if keep_root:
            self.root = self.work / "root.img"
            subprocess.run(["cp", "--sparse=always", str(self.image / "root.img"), str(self.root)], check=True)
        self.keep_root = keep_root
        self.snapshots = snapshots
        self.copies = []  # paths of the snapshots
        self.state = self.work / "state"
        self._sparse_file(self.state, 64 * MIB)
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", str(self.state)], check=True, stdin=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.work, ignore_errors=True)

    @staticmethod
    def _sparse_file(path, size):
        with open(path, "xb") as file:
            file.truncate(size)

    def _arguments(self, case, boot):
        half = self.memory // 2
        arguments = [
            # QEMU must not outlive the runner, however that ends.
            "setpriv",
            "--pdeathsig",
            "KILL",
            "qemu-system-x86_64",
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            *([] if self.warm else ["-no-reboot"]),
            "-qmp",
            f"unix:{self.work}/qmp,server=on,wait=off",
            "-machine",
            f"q35,nvdimm={'on,nvdimm-persistence=mem-ctrl' if self.nvdimms else 'off'}"
            + (",cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=4G" if self.cxl else ""),
            # What the firmware loads over memory that once was code, QEMU looks up in what it translated: little of that, or a
            # warm reboot takes minutes.
            "-accel",
            os.environ.get("PMEMD_VM_ACCEL", "tcg,thread=multi" + (",tb-size=64" if self.warm else "")),
            # Emulated, a string instruction goes one element at a time: without ERMS the kernel and libc clear and copy
            # by 8 bytes or more, not by one.
            "-cpu",
            "max,-erms",
            "-smp",
            "2,sockets=2",
            "-m",
            f"{self.memory}M,slots=64,maxmem=64G",
        ]
        for node in (0, 1):
            arguments += [
                "-object",
                f"memory-backend-ram,id=ram{node},size={half}M",
                "-numa",
                f"node,nodeid={node},memdev=ram{node},cpus={node}",
            ]
        for number, (path, node) in enumerate(self.nvdimms):
            arguments += [
                "-object",
                f"memory-backend-file,id=mem{number},mem-path={path},size={path.stat().st_size},share=on,align=2M",
                "-device",
                f"nvdimm,id=nvdimm{number},memdev=mem{number},label-size=256K,node={node}",
            ]
        for number, path in enumerate(self.virtio_pmem):
            arguments += [
                "-object",
                f"memory-backend-file,id=vmem{number},mem-path={path},size={path.stat().st_size},share=on,align=2M",
                "-device",
                f"virtio-pmem-pci,id=vpmem{number},memdev=vmem{number}",
            ]
        for path in self.cxl:
            arguments += [
                "-object",
                f"memory-backend-file,id={path.name},mem-path={path},size={path.stat().st_size},share=on",
            ]
        arguments += [
            "-kernel",
            str(self.image / "vmlinuz"),
            "-initrd",
            str(self.image / "initrd.gz"),
            "-drive",
            f"file={self.root},format=raw,if=none,id=root,"
            + ("cache=unsafe" if self.keep_root else "snapshot=on"),
            "-device",
            "virtio-blk-pci,drive=root",
            "-drive",
            f"file={self.state},format=raw,if=none,id=state,cache=writeback",
            "-device",
            "virtio-blk-pci,drive=state",
            "-device",
            "virtio-rng-pci",
            "-device",
            "virtio-serial-pci",
            "-chardev",
            "stdio,id=out,signal=off",
            "-device",
            "virtconsole,chardev=out",
            "-serial",
            f"file:{self.logs}/boot{boot}.console",
            # Warnings go to the console too. An emulated processor may stand still for long: no watchdog, and no check
            # whether ten ticks come in time, which the kernel ends in "IO-APIC + timer doesn't work" and a panic.
            "-append",
            "console=ttyS0 loglevel=5 panic=-1 nowatchdog nosoftlockup no_timer_check systemd.show_status=0 "
            f"vmtest={case} vmboot={boot} {self.append}",
        ]
        shares = (
            ("src", self.source, ",readonly=on"),
            ("stage", self.stage, ",readonly=on"),
            ("scratch", self.scratch, ""),
            ("image", self.image, ",readonly=on"),
        )
        for tag, path, access in shares:
            arguments += [
                "-fsdev",
                f"local,id={tag},path={path},security_model=none,multidevs=remap{access}",
                "-device",
                f"virtio-9p-pci,fsdev={tag},mount_tag={tag}",
            ]
        # The last: what comes after it without a bus would be put on this bridge, which takes ports alone.
        if self.cxl:
            arguments += [
                "-device",
                "pxb-cxl,bus_nr=52,bus=pcie.0,id=cxl.1",
                "-device",
                "cxl-rp,port=0,bus=cxl.1,id=cxlport,chassis=0,slot=2",
                # A second port, so that Linux sets up the bridge's decoder: it leaves that of a bridge with one alone, and
                # QEMU before 8.1 then leads to no device, drops what is written and reads zeros.
                "-device",
                "cxl-rp,port=1,bus=cxl.1,id=cxlport1,chassis=0,slot=3",
                "-device",
                f"cxl-type3,bus=cxlport,memdev={self.cxl[0].name},lsa={self.cxl[1].name},id=cxlmem,sn=0x1234",
            ]
        return arguments

    def _command(self, monitor, name, **arguments):
        """One command of QEMU's monitor; what is no answer to it is news."""
        monitor.write(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        monitor.flush()
        for line in monitor:
            answer = json.loads(line)
            if "error" in answer:
                raise MachineError(f"QEMU's monitor: {name}: {answer['error']['desc']}")
            if "return" in answer:
                return
        raise MachineError(f"QEMU's monitor: {name}: no answer")

    def _hot_add(self, text):
        """Plugs an NVDIMM into the running machine."""
        size, node = text.split(":")
        number = len(self.nvdimms)
        path = self.work / f"nvdimm{number}"
        self._sparse_file(path, parse_size(size) + 2 * MIB)
        self.nvdimms.append((path, int(node)))
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(self.work / "qmp"))
            with connection.makefile("rwb") as monitor:
                monitor.readline()
                self._command(monitor, "qmp_capabilities")
                backend = {"qom-type": "memory-backend-file", "mem-path": str(path), "size": path.stat().st_size}
                self._command(monitor, "object-add", id=f"mem{number}", share=True, align=2 * MIB, **backend)
                device = {"driver": "nvdimm", "memdev": f"mem{number}", "label-size": 256 << 10, "node": int(node)}
                self._command(monitor, "device_add", id=f"nvdimm{number}", **device)

    @staticmethod
    def _let_it_run(qemu, seconds):
        """Until it has had so much of the processors: on a busy host the guest is as far then as on an idle one."""

        def used():
            fields = pathlib.Path(f"/proc/{qemu.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        end = used() + seconds
        while qemu.poll() is None and used() < end:
            time.sleep(0.02)

    def _take_snapshots(self, qemu):
        """At moments without plan, on a thread of its own. No verdict hangs on the machine being stopped for long."""
        path, _ = self.nvdimms[0]
        copies = []
        for number in range(self.snapshots):
            self._let_it_run(qemu, random.uniform(0.1, 1.5))
            copy = self.work / f"snapshot{number}"
            qemu.send_signal(signal.SIGSTOP)
            try:
                subprocess.run(["cp", "--sparse=always", str(path), str(copy)], check=True)
            finally:
                qemu.send_signal(signal.SIGCONT)
            copies.append(copy)
        self.copies = copies
        (self.scratch / "snapshots").write_text(str(len(copies)))

    def _restore(self, number):
        """In place: QEMU has the file mapped."""
        with open(self.copies[number], "rb") as source, open(self.nvdimms[0][0], "r+b") as file:
            shutil.copyfileobj(source, file, MIB)
        (self.scratch / "restored").write_text(str(number))

    def _boot(self, case, boot, seconds):
        """Returns the case's exit code, or None if it asked for another boot."""
        verdict = self.scratch / f"boot{boot}.rc"
        log_path = self.logs / f"boot{boot}.out"
        cut = reboot = False
        with open(log_path, "w", encoding="utf-8") as log:
            qemu = subprocess.Popen(
                self._arguments(case, boot),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            late = threading.Event()

            def stop():
                late.set()
                qemu.kill()

            timer = threading.Timer(seconds, stop)
            timer.start()
            try:
                for line in qemu.stdout:
                    line = line.rstrip()
                    if SNAPSHOTS in line:
                        threading.Thread(target=self._take_snapshots, args=(qemu,), daemon=True).start()
                    if line.startswith(RESTORE):
                        self._restore(int(line.removeprefix(RESTORE)))
                    if POWER_CUT in line:
                        cut = True
                        qemu.kill()
                    reboot = reboot or REBOOT in line
                    if line.startswith(HOT_ADD):
                        self._hot_add(line.removeprefix(HOT_ADD).strip())
                    log.write(line + "\n")
                    log.flush()
                    if self.echo:
                        self.echo(line)
                qemu.wait()
            finally:
                timer.cancel()
                qemu.kill()
                qemu.wait()
        if late.is_set():
            raise MachineError(f"boot {boot} was not finished after {seconds:.0f} s and was killed")
        if cut or reboot:
            return None
        if not verdict.exists():
            raise MachineError(f"boot {boot} ended (QEMU's exit code {qemu.returncode}) and left no verdict")
        return int(verdict.read_text())

    def run(self, case, timeout):
        """Runs CASE, over as many boots as it asks for, in TIMEOUT seconds all in all. Raises MachineError, returns
        the exit code."""
        end = time.monotonic() + timeout
        for boot in range(1, MAX_BOOTS + 1):
            code = self._boot(case, boot, max(1.0, end - time.monotonic()))
            if code is not None:
                return code
        raise MachineError(f"the case asked for more than {MAX_BOOTS} boots")
