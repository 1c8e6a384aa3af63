#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""`pmemctl metrics` is what monitoring reads: checked by the parsers of Prometheus' own client library."""

import os
import re
import stat
import subprocess
import unittest

import prometheus_client.openmetrics.parser
import prometheus_client.parser

import harness

NOBODY = 65534
MIB = 1 << 20
PARSERS = {"openmetrics": prometheus_client.openmetrics.parser.text_string_to_metric_families,
           "prometheus": prometheus_client.parser.text_string_to_metric_families}


HERE = os.path.dirname(os.path.abspath(__file__))
UNITS = os.path.join(HERE, "..", "..", "systemd")


class Metrics(unittest.TestCase):
    def setUp(self):
        self.host = harness.Host().__enter__()
        self.addCleanup(self.host.__exit__)

    def ok(self, *arguments, **options):
        result = self.host.ctl(*arguments, **options)
        self.assertEqual((result.status, result.err), (0, ""), result)
        return result.out

    def families(self, form, **options):
        text = self.ok("metrics", f"--format={form}", **options)
        families = {f.name: f for f in PARSERS[form](text)}
        self.assertEqual(len(re.findall("^# TYPE ", text, re.M)), len(families), "a family is there twice")
        return families

    @staticmethod
    def samples(families, name, **labels):
        return [s.value for f in families.values() for s in f.samples if s.name == name and s.labels == labels]

    def test_both_formats(self):
        self.ok("setup-mgmt", "0x480000", "0x490000", "--name=pool0")
        self.ok("allocate-data", "16M")
        self.assertEqual(self.host.ctl("setup-mgmt", "0x480000", "0x490000").status, 1)
        for form in PARSERS:
            with self.subTest(form=form):
                families = self.families(form)
                kinds = {kind: {n for n, f in families.items() if f.type == kind} for kind in ("counter", "histogram")}
                self.assertEqual(kinds, {"counter": {"pmemd_calls"},
                                         "histogram": {"pmemd_queue_wait_seconds", "pmemd_backend_operation_seconds"}})
                self.assertEqual({f.type for f in families.values()}, {"counter", "histogram", "gauge"})
                # Every metric of this version is explained, and named by its unit.
                self.assertEqual([n for n, f in families.items() if not f.documentation], [])
                self.assertTrue(all(n.startswith("pmemd_") for n in families))
                if form == "openmetrics":
                    self.assertEqual({n for n, f in families.items() if f.unit != {"s": "seconds", "e": "bytes"}.get(
                        "s" if n.endswith("_seconds") else "e" if n.endswith("_bytes") else "", "")}, set())
                self.assertEqual(self.samples(families, "pmemd_up"), [1])
                self.assertEqual(self.samples(families, "pmemd_data_bytes"), [16 * MIB])
                self.assertEqual(self.samples(families, "pmemd_node_capacity_bytes", node="4"), [16 << 30])
                self.assertEqual(self.samples(families, "pmemd_calls_total", method="SetupMgmt", outcome="Exists"), [1])
                self.assertEqual(self.samples(families, "pmemd_state", state="ok"), [1])

    def test_default_and_anyone(self):
        text = self.ok("metrics", user=NOBODY)
        self.assertTrue(text.endswith("# EOF\n"))
        self.assertIn("pmemd_up", {f.name for f in PARSERS["openmetrics"](text)})

    def test_bad_usage(self):
        for arguments in (["metrics", "--json"], ["metrics", "--format=table"], ["list", "--format=openmetrics"],
                          ["metrics", "--format=xen-ndctl"], ["list", "--output=x"], ["metrics", "now"]):
            self.assertEqual(self.host.ctl(*arguments).status, 2, arguments)

    def test_output(self):
        path = os.path.join(self.host.folder, "pmemd.prom")
        os.umask(0o022)
        self.assertEqual(self.ok("metrics", "--format=prometheus", "--output=" + path), "")
        with open(path, encoding="utf-8") as file:
            self.assertIn("pmemd_free_bytes", {f.name for f in PARSERS["prometheus"](file.read())})
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o644)
        self.assertEqual([n for n in os.listdir(self.host.folder) if n.startswith("pmemd.prom")], ["pmemd.prom"])

        # Numbers of a pmemd that is gone do not stay.
        self.host.daemon.stop()
        result = self.host.ctl("metrics", "--format=prometheus", "--output=" + path)
        self.assertEqual(result.status, 1)
        with open(path, encoding="utf-8") as file:
            self.assertEqual([(f.name, f.samples[0].value) for f in PARSERS["prometheus"](file.read())], [("pmemd_up", 0)])
        self.assertEqual(self.host.ctl("metrics").out, "")

    def test_output_cannot_be_written(self):
        result = self.host.ctl("metrics", "--output=/nowhere/pmemd.prom")
        self.assertEqual(result.status, 1)
        self.assertIn("/nowhere/pmemd.prom", result.err)

    def test_units(self):
        """The command of the service works, systemd takes both units, and the service is confined."""
        with open(os.path.join(UNITS, "pmemd-metrics.service.in"), encoding="utf-8") as file:
            text = file.read().replace("@bindir@", os.path.dirname(os.environ["PMEMCTL_EXE"]))
        folder = "/var/lib/prometheus/node-exporter"
        self.assertEqual({*re.findall("^ConditionPathIsDirectory=(.*)", text, re.M),
                          *re.findall("^ReadWritePaths=-(.*)", text, re.M)}, {folder})
        command = re.search("^ExecStart=(.*)", text, re.M)[1].replace(folder, self.host.folder).split()
        self.assertEqual(command[0], os.environ["PMEMCTL_EXE"])
        self.ok(*command[1:])
        with open(os.path.join(self.host.folder, "pmemd.prom"), encoding="utf-8") as file:
            self.assertIn("pmemd_up", {f.name for f in PARSERS["prometheus"](file.read())})

        service = os.path.join(self.host.folder, "pmemd-metrics.service")
        with open(service, "w", encoding="utf-8") as file:
            file.write(text)
        for arguments in (["verify", "--man=no", service, os.path.join(UNITS, "pmemd-metrics.timer")],
                          ["security", "--offline=true", "--no-pager", "--threshold=10", service]):
            done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)


if __name__ == "__main__":
    harness.main()
