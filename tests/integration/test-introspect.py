#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""proto/org.pmemd1.xml is what the running daemon introspects, for the Manager, a region of each kind and a job."""

import os
import unittest
import xml.etree.ElementTree as xml

import harness
import wire

XML = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "proto", "org.pmemd1.xml")


def members(node, interface):
    """{(tag, name): what counts} of one interface. Annotations are left out: the XML has none."""
    found = node.findall(f"./interface[@name='{interface}']")
    if len(found) != 1:
        raise AssertionError(f"{interface} is there {len(found)} times")
    result = {}
    for member in found[0]:
        if member.tag == "property":
            what = (member.get("type"), member.get("access"))
        else:
            default = "out" if member.tag == "signal" else "in"
            what = [(a.get("name"), a.get("type"), a.get("direction", default)) for a in member.findall("arg")]
        key = (member.tag, member.get("name"))
        if member.tag != "annotation":
            assert key not in result, f"{key} is there twice"
            result[key] = what
    return result


class Introspection(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.host = harness.Host().__enter__()
        self.addCleanup(self.host.__exit__)
        self.connection = wire.Connection(self.host.bus.address)
        self.addCleanup(self.connection.close)

    def introspect(self, path):
        text, = self.connection.call(harness.NAME, path, "org.freedesktop.DBus.Introspectable", "Introspect")
        return xml.fromstring(text)

    def check(self, path, interface):
        """The object has that interface of pmemd's, all of it, and no other; each of its properties can be read."""
        promised = members(xml.parse(XML).getroot(), interface)
        node = self.introspect(path)
        self.assertEqual(members(node, interface), promised)
        self.assertEqual([i.get("name") for i in node.findall("interface") if i.get("name").startswith("org.pmemd1.")],
                         [interface])
        self.assertEqual(set(self.connection.get_all(path, interface)), {n for t, n in promised if t == "property"})
        for tag, name in promised:
            if tag == "property":
                serial = self.connection.send(harness.NAME, path, "org.freedesktop.DBus.Properties", "Get", "ss",
                                              interface, name)
                self.connection.wait(serial)

    def test_all(self):
        self.check(harness.ROOT, harness.MANAGER)

        pool, = self.connection.manager("SetupMgmt", "tta{sv}", 0x480000, 0x490000, [])
        data, = self.connection.manager("AllocateData", "ta{sv}", 64 << 20, [])
        self.check(pool, harness.REGION)
        self.check(data, harness.REGION)

        # Erasing waits for the file to go, so the job is there for as long as the test looks at it.
        hold = os.path.join(self.host.daemon.backend_folder, "hold")
        with open(hold, "w", encoding="utf-8"), \
                open(os.path.join(self.host.daemon.backend_folder, "inject.conf"), "w", encoding="utf-8") as inject:
            inject.write("[zero]\nWaitFile=hold\n")
        self.connection.bus("AddMatch", "s", "type='signal',sender='org.pmemd1'")
        job, = self.connection.manager("ReleaseData", "oa{sv}", data, [])
        self.assertEqual(job, data.replace("/region/", "/job/"))
        self.check(job, harness.JOB)
        values = self.connection.get_all(job, harness.JOB)
        self.assertEqual((values["Kind"], values["Region"], values["BytesTotal"]), ("erase", data, 64 << 20))
        self.assertEqual(self.connection.get_all(data, harness.REGION)["State"], "quarantined")
        self.assertEqual([n.get("name") for n in self.introspect(harness.ROOT + "/job").findall("node")],
                         [job.rsplit("/")[-1]])
        managed, = self.connection.call(harness.NAME, harness.ROOT, "org.freedesktop.DBus.ObjectManager",
                                        "GetManagedObjects")
        self.assertEqual(set(managed), {pool, data, job})
        os.unlink(hold)
        self.assertEqual(self.connection.wait_signal("JobRemoved").body, (job, data, "done", ""))

        with self.assertRaises(wire.Error) as caught:
            self.connection.call(harness.NAME, job, harness.JOB, "Pause")
        self.assertEqual(caught.exception.name, "org.freedesktop.DBus.Error.UnknownObject")
        self.assertEqual(self.introspect(harness.ROOT + "/job").findall("node"), [])


if __name__ == "__main__":
    harness.main()
