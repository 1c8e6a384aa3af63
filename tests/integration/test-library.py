#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""libpmemd as a program of somebody else has it: installed, found by pkg-config, its header alone, its symbols, and the
examples of docs/examples against a real pmemd."""

import os
import re
import shlex
import subprocess
import tempfile
import unittest

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
GIB = 1 << 30


def run(*command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Stage(unittest.TestCase):
    """A tree that was installed as a package does it, once for the class."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="pmemd-stage-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        cls.stage = os.path.join(cls.folder, "stage")
        run("meson", "install", "-C", os.environ["PMEMD_BUILD_ROOT"], "--no-rebuild", "--destdir", cls.stage)
        cls.libdir = cls.find("libpmemd.so.0")
        cls.environment = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": cls.stage,
                           "PKG_CONFIG_LIBDIR": os.path.join(cls.libdir, "pkgconfig")}

    @classmethod
    def find(cls, name, below=""):
        """The folder below the stage, whose path ends so, that has it."""
        [found] = [path for path, _, names in os.walk(cls.stage) if name in names and path.endswith(below)]
        return found

    def flags(self, *options):
        return shlex.split(run("pkg-config", *options, "libpmemd", env=self.environment))

    def compile(self, compiler, *arguments):
        return run(*shlex.split(os.environ[compiler]), *shlex.split(os.environ["PMEMD_TEST_LINK_ARGS"]), "-Wall",
                   "-Wextra", "-Werror", *arguments)


class Library(Stage):
    def test_pkg_config(self):
        include = self.flags("--cflags")
        self.assertTrue(os.path.exists(os.path.join(include[0].removeprefix("-I"), "pmemd", "libpmemd.h")), include)
        self.assertEqual([flag for flag in self.flags("--libs") if not flag.startswith("-L")], ["-lpmemd"])
        self.assertEqual(run("pkg-config", "--print-requires", "--print-requires-private", "libpmemd",
                             env=self.environment), "")
        version = run("pkg-config", "--modversion", "libpmemd", env=self.environment).strip()
        self.assertIn(f"pmemctl {version}\n", run(os.environ["PMEMCTL_EXE"], "--version"))

    def test_header_alone(self):
        """In C11 and C++11, with every warning, without GLib or libsystemd."""
        for compiler, suffix, standard in ("PMEMD_TEST_CC", "c", "-std=c11"), ("PMEMD_TEST_CXX", "cc", "-std=c++11"):
            source = os.path.join(self.folder, "alone." + suffix)
            with open(source, "w", encoding="ascii") as f:
                f.write("#include <pmemd/libpmemd.h>\n#include <pmemd/libpmemd.h>\n"
                        "int main(void) { return pmemd_library_version()[0] == 0; }\n")
            program = os.path.join(self.folder, "alone")
            self.compile(compiler, standard, "-pedantic", "-Wstrict-prototypes" if suffix == "c" else "-Wold-style-cast",
                         *self.flags("--cflags"), source, "-o", program, *self.flags("--libs"))
            run(program, env={**os.environ, "LD_LIBRARY_PATH": self.libdir})

    def test_symbols(self):
        """Exported is what the header declares, the .sym lists, and nothing else."""
        with open(os.path.join(ROOT, "client", "libpmemd.h"), encoding="utf-8") as f:
            text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
        declared = set(re.findall(r"\b(pmemd_\w+)\(", text))
        with open(os.path.join(ROOT, "client", "libpmemd.sym"), encoding="utf-8") as f:
            listed = re.findall(r"^    (pmemd_\w+);$", f.read(), flags=re.M)
        self.assertEqual(listed, sorted(listed))
        lines = run("nm", "-D", "--defined-only", os.path.join(self.libdir, "libpmemd.so.0")).splitlines()
        exported = {line.split()[-1] for line in lines} - {"LIBPMEMD_0@@LIBPMEMD_0", "LIBPMEMD_0"}
        self.assertEqual(declared, set(listed))
        self.assertEqual(exported, {name + "@@LIBPMEMD_0" for name in listed})
        head = run("readelf", "-d", os.path.join(self.libdir, "libpmemd.so.0"))
        self.assertIn("Library soname: [libpmemd.so.0]", head)
        # What is installed does not look for libraries where it was built.
        for path in os.path.join(self.libdir, "libpmemd.so.0"), os.path.join(self.find("pmemctl", "/bin"), "pmemctl"):
            self.assertNotRegex(run("readelf", "-d", path), "RPATH|RUNPATH")


class Example(Stage):
    """docs/examples/allocate-region.c, compiled as its head says."""

    name = "allocate-region"

    def setUp(self):
        self.program = os.path.join(self.folder, self.name)
        source = os.path.join(self.find(self.name + ".c"), self.name + ".c")
        self.compile("PMEMD_TEST_CC", "-o", self.program, source, *self.flags("--cflags", "--libs"))
        self.host = harness.Host().__enter__()
        self.addCleanup(self.host.__exit__)

    def run_example(self, *arguments):
        return subprocess.run([self.program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=harness.PATIENCE, check=False,
                              env={**os.environ, "LD_LIBRARY_PATH": self.libdir})

    def test_allocates_and_releases(self):
        self.assertEqual(self.host.ctl("allocate-mgmt", "256M", "--name=pool0").status, 0)
        done = self.run_example(self.host.bus.address, str(GIB), "guest0")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        lines = done.stdout.splitlines()
        self.assertRegex(lines[0], rf"^allocated [0-9a-f-]{{36}}: {GIB} bytes at frame 0x[0-9a-f]+, device /")
        self.assertIn("erased, its frames are free", lines)
        self.assertTrue(any(line.startswith("erasing by /org/pmemd1/job/") for line in lines), lines)
        self.assertEqual(self.host.ctl("list", "--data", "--json").json()["data"], [])

    def test_refused(self):
        done = self.run_example(self.host.bus.address, str(GIB), "guest0")
        self.assertEqual((done.returncode, done.stdout), (1, ""), done)
        self.assertTrue(done.stderr.startswith("cannot allocate: "), done)
        done = self.run_example("unix:path=/nonexistent", "4096", "x")
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot connect to the bus at unix:path=/nonexistent", done.stderr)


class Lending(Example):
    """docs/examples/lend-region.c"""

    name = "lend-region"

    def test_allocates_and_releases(self):
        for arguments in ("allocate-mgmt", "256M", "--name=pool0"), ("allocate-data", "16M", "--name=guest0"):
            self.assertEqual(self.host.ctl(*arguments).status, 0)
        address = self.host.bus.address
        for found, text in ("", "first"), ("first", "second"):
            done = self.run_example(address, "pool0/guest0", "me", text)
            self.assertEqual((done.returncode, done.stderr), (0, ""), done)
            self.assertEqual(done.stdout.splitlines()[1:], ["found: " + found])
        self.assertEqual(self.host.ctl("leases", "--json").json()["leases"], [])

    def test_refused(self):
        for arguments in ("allocate-mgmt", "256M"), ("allocate-data", "16M", "--name=guest0"), \
                         ("attach", "guest0", "--owner=somebody"):
            self.assertEqual(self.host.ctl(*arguments).status, 0)
        done = self.run_example(self.host.bus.address, "guest0", "me", "text")
        self.assertEqual((done.returncode, done.stdout), (1, ""), done)
        self.assertRegex(done.stderr, "^cannot attach: .*somebody")
        done = self.run_example(self.host.bus.address, "guest1", "me", "text")
        self.assertTrue(done.stderr.startswith("no such region: "), done)
        self.assertEqual(self.run_example("system").returncode, 2)


if __name__ == "__main__":
    harness.main()
