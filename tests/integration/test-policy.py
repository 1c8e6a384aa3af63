#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""policy/org.pmemd1.conf on a bus that has the rules of the system bus: who may own, ask and listen."""

import os
import re
import unittest
import xml.etree.ElementTree as xml

import harness
import system_bus
import wire

POLICY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "policy", "org.pmemd1.conf")
NOBODY = 65534
GROUP = "daemon"  # stands for pmemd, which needs not exist where the tests run
GROUP_ID = 1

def listen_and_ask(address, ask_path):
    """Everything that reaches this user while another one changes something: pings mark the begin and the end."""
    with wire.Connection(address) as c:
        c.bus("AddMatch", "s", "type='signal'")
        with open(ask_path, "w", encoding="utf-8"):
            pass  # a FIFO: says that we listen
        with open(ask_path, encoding="utf-8") as f:
            f.read()  # the change was made
        # A reply comes after the signals that the bus handed on before it.
        c.call(harness.NAME, harness.ROOT, "org.freedesktop.DBus.Peer", "Ping")
        return [m.member for m in c.signals if m.path and m.path.startswith(harness.ROOT)]


class Policy(unittest.TestCase):
    def setUp(self):
        with open(POLICY, encoding="utf-8") as f:
            text = f.read()
        rules = re.search(r"<busconfig>(.*)</busconfig>", text, re.S).group(1).replace('group="pmemd"',
                                                                                       f'group="{GROUP}"')
        self.assertIn(f'group="{GROUP}"', rules)
        self.host = harness.Host(bus_config=system_bus.CONFIG.replace("RULES", rules)).__enter__()
        self.addCleanup(self.host.__exit__)
        self.address = self.host.bus.address

    def heard(self, uid, groups=()):
        """Names of the signals of pmemd that reach the user while root sets up a region."""
        fifo = os.path.join(self.host.folder, f"fifo-{uid}-{len(groups)}")
        os.mkfifo(fifo)
        os.chmod(fifo, 0o666)
        change = os.fork()
        if change == 0:
            status = 1
            try:
                with open(fifo, encoding="utf-8") as f:
                    f.read()
                with wire.Connection(self.address) as c:
                    c.bus("AddMatch", "s", "type='signal',member='InterfacesAdded'")
                    c.manager("AllocateMgmt", "ta{sv}", 32 << 20, [])
                    c.wait_signal("InterfacesAdded")  # the bus hands it to all in one go
                status = 0
            finally:
                with open(fifo, "w", encoding="utf-8"):
                    os._exit(status)
        heard = wire.as_user(uid, listen_and_ask, self.address, fifo, groups=groups)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(change, 0)[1]), 0)
        return heard

    def test_signals(self):
        self.assertIn("InterfacesAdded", self.heard(0))
        self.assertEqual(self.heard(NOBODY), [])
        self.assertIn("InterfacesAdded", self.heard(NOBODY, groups=(GROUP_ID,)))

    def test_everyone_may_ask(self):
        def ask():
            with wire.Connection(self.address) as c:
                c.call(harness.NAME, harness.ROOT, "org.freedesktop.DBus.Introspectable", "Introspect")
                c.call(harness.NAME, harness.ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
                return c.manager("CountRegions", "s", "raw")[0], c.get_all(harness.ROOT, harness.MANAGER)["RawRegions"]

        self.assertEqual(wire.as_user(NOBODY, ask), (2, 2))

    def test_refusal_is_the_daemons(self):
        def change():
            with wire.Connection(self.address) as c:
                c.manager("AllocateMgmt", "ta{sv}", 32 << 20, [])

        with self.assertRaises(wire.Error) as caught:
            wire.as_user(NOBODY, change)
        self.assertEqual(caught.exception.name, "org.pmemd1.Error.NotAuthorized")

    def test_descriptors(self):
        """Neither by the name nor by that of the connection, and root neither: pmemd would keep them with the call."""
        null = os.open(os.devnull, os.O_RDONLY)
        self.addCleanup(os.close, null)
        with wire.Connection(self.address, descriptors=True) as c:
            for to in harness.NAME, c.bus("GetNameOwner", "s", harness.NAME)[0]:
                serial = c.send(to, harness.ROOT, harness.MANAGER, "CountRegions", "s", "raw", descriptors=[null])
                with self.assertRaises(wire.Error) as caught:
                    c.wait(serial)
                self.assertEqual(caught.exception.name, "org.freedesktop.DBus.Error.AccessDenied")
            self.assertEqual(c.manager("CountRegions", "s", "raw"), (2,))

    def test_only_root_owns(self):
        def own():
            with wire.Connection(self.address) as c:
                c.bus("RequestName", "su", harness.NAME, 4)

        self.assertEqual(self.host.daemon.stop(), 0)
        with self.assertRaises(wire.Error) as caught:
            wire.as_user(NOBODY, own)
        self.assertEqual(caught.exception.name, "org.freedesktop.DBus.Error.AccessDenied")


class Syntax(unittest.TestCase):
    def test_dbus_daemon_takes_the_file(self):
        """As it is, with its group that this machine may not have; that is a warning at most."""
        host = harness.Host(start=False, bus_config=system_bus.CONFIG.replace("RULES",
                                                                   f"<include>{os.path.abspath(POLICY)}</include>"))
        with host:
            self.assertIsNone(host.bus.process.poll())
            host.daemon.start()
            self.assertEqual(host.daemon.stop(), 0)

    def test_well_formed(self):
        self.assertEqual(xml.parse(POLICY).getroot().tag, "busconfig")


if __name__ == "__main__":
    harness.main()
