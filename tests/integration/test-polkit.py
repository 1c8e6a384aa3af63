#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Who may do what: every method for root, owners, members of the group, others; with a polkit that says yes, no, nothing, and
with none; and what happens between a question to polkit and its answer. Polkit is python-dbusmock's here; test-polkitd has the
real one."""

import os
import re
import subprocess
import sys
import unittest
import xml.etree.ElementTree as xml

import harness
import system_bus
import wire

HERE = os.path.dirname(os.path.abspath(__file__))
POLICY = os.path.join(HERE, "..", "..", "policy", "org.pmemd1.conf")
INTERFACE = os.path.join(HERE, "..", "..", "proto", "org.pmemd1.xml")
ERRORS = "org.pmemd1.Error."
MIB = 1 << 20
# Users that every Debian has, and nothing runs as: the bus does not talk with users it knows no name of.
ALICE, BOB, *OTHERS = (5, 9, 10, 38, 39)
INTERACTIVE = 4  # flag of a message
NO_REGION = harness.ROOT + "/region/00000000_0000_4000_8000_000000000000"
NO_JOB = harness.ROOT + "/job/00000000_0000_4000_8000_000000000000"

POLKIT = "org.freedesktop.PolicyKit1"
AUTHORITY = "/org/freedesktop/PolicyKit1/Authority"
AUTHORITY_IFACE = "org.freedesktop.PolicyKit1.Authority"
MOCK = "org.freedesktop.DBus.Mock"

# The bus lets root be polkit, as python-dbusmock is run by root here.
POLKIT_RULES = """
  <policy context="default">
    <allow send_destination="org.freedesktop.PolicyKit1"/>
  </policy>
  <policy user="root">
    <allow own="org.freedesktop.PolicyKit1"/>
  </policy>
"""


def bus_config():
    """With the rules of policy/org.pmemd1.conf; the group daemon stands for pmemd, which needs not exist here."""
    with open(POLICY, encoding="utf-8") as f:
        rules = re.search(r"<busconfig>(.*)</busconfig>", f.read(), re.S).group(1)
    return system_bus.CONFIG.replace("RULES", POLKIT_RULES + rules.replace('group="pmemd"', 'group="daemon"'))


class Polkit:
    """python-dbusmock's polkit. Says no to every action that is not allowed."""

    def __init__(self, address):
        self.connection = wire.Connection(address)
        self.connection.bus("AddMatch", "s", f"type='signal',member='NameOwnerChanged',arg0='{POLKIT}'")
        self.process = subprocess.Popen([sys.executable, "-m", "dbusmock", "--template", "polkitd"],
                                        env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address},
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.connection.wait_signal("NameOwnerChanged")
        self.call("AddMethod", "sssss", AUTHORITY_IFACE, "CancelCheckAuthorization", "s", "", "")
        self.connection.bus("AddMatch", "s", f"type='signal',sender='{POLKIT}',member='MethodCalled'")

    def call(self, member, signature="", *body):
        return self.connection.call(POLKIT, AUTHORITY, MOCK, member, signature, *body)

    def allow(self, *actions):
        self.call("SetAllowed", "as", ["org.pmemd1." + a for a in actions])

    def hang(self, hang=True):
        self.call("SimulateHang", "b", hang)

    def answer(self):
        """Gives the answers that were held back: as was allowed when the questions came."""
        self.call("ReleaseHangingCalls")

    def wait_called(self, method):
        """The next call of that method, from the first one on: its arguments."""
        while True:
            body = self.connection.wait_signal("MethodCalled").body
            if body[0] == method:
                return body[1]

    def wait_asked(self):
        """The next question: (sender, action, details, flags, id)."""
        subject, action, details, flags, cancel = self.wait_called("CheckAuthorization")
        assert subject[0] == "system-bus-name", subject
        return subject[1]["name"], action, details, flags, cancel

    def calls(self):
        """(method, arguments) of all questions and cancellations that were not yet looked at."""
        self.call("HaveHangingCalls")  # its reply comes behind them
        signals, self.connection.signals = self.connection.signals, []
        return [tuple(s.body) for s in signals
                if s.member == "MethodCalled" and s.body[0] in ("CheckAuthorization", "CancelCheckAuthorization")]

    def stop(self):
        self.connection.close()
        self.process.kill()
        harness.wait_exit(self.process)


class Case(unittest.TestCase):
    """Each test has a host with a pool of root's, pool0, and polkit."""

    def setUp(self):
        self.host = harness.Host(bus_config=bus_config()).__enter__()
        self.addCleanup(self.host.__exit__)
        self.address = self.host.bus.address
        self.root = wire.Connection(self.address, descriptors=True)
        self.addCleanup(self.root.close)
        self.root.bus("AddMatch", "s", "type='signal',sender='org.pmemd1'")
        self.pool, = self.root.manager("SetupMgmt", "tta{sv}", 0x480000, 0x490000, [("name", ("s", "pool0"))])
        self.polkit = Polkit(self.address)
        self.addCleanup(lambda: self.polkit.stop())  # of the one that is there by then

    def connect(self, uid):
        connection = system_bus.connect_as(self.address, uid, descriptors=True)
        self.addCleanup(connection.close)
        return connection

    def data(self, owner=0, name=""):
        """A data region of that user."""
        path, = self.root.manager("AllocateData", "ta{sv}", 4 * MIB, [("name", ("s", name))])
        if owner:
            self.root.manager("SetOwner", "oua{sv}", path, owner, [])
        return path

    def mgmt(self, owner=0):
        path, = self.root.manager("AllocateMgmt", "ta{sv}", 8 * MIB, [])
        if owner:
            self.root.manager("SetOwner", "oua{sv}", path, owner, [])
        return path

    def job(self, owner=0):
        """An erase job that does not end, of a region of that user."""
        hold = os.path.join(self.host.daemon.backend_folder, "hold")
        with open(hold, "w", encoding="utf-8"), \
                open(os.path.join(self.host.daemon.backend_folder, "inject.conf"), "w", encoding="utf-8") as inject:
            inject.write("[zero]\nWaitFile=hold\n")
        self.addCleanup(os.unlink, hold)
        return self.root.manager("ReleaseData", "oa{sv}", self.data(owner), [])[0]

    def take_away(self, path):
        """The device of a data region goes; what to call to bring it back."""
        image = self.root.get_all(path, harness.REGION)["DevicePath"]
        folder, name = os.path.split(image)
        moves = [(image, image + ".away")]
        record = os.path.join(folder, name[len("data-"):-len(".img")] + ".dev")
        moves.append((record, record + ".away"))
        for old, new in moves:
            os.rename(old, new)
        return name, lambda: [os.rename(new, old) for old, new in moves]

    def orphan(self):
        """A data device that no journal knows; its name."""
        path = self.data()
        name, bring_back = self.take_away(path)
        self.root.manager("Forget", "sa{sv}", uuid_of(path), [])
        bring_back()
        self.refused("InvalidArgument", self.root.manager, "Forget", "sa{sv}", name, [])  # which has pmemd look
        return name

    def lists(self):
        return [self.root.manager(m, "su", "", 0) for m in ("ListRaw", "ListMgmt", "ListData", "ListForeign", "ListLeases")]

    def state(self, region):
        return self.root.get_all(region, harness.REGION)["State"]

    def refused(self, error, call, *arguments):
        with self.assertRaises(wire.Error) as caught:
            call(*arguments)
        self.assertEqual(caught.exception.name, ERRORS + error, caught.exception.text)
        return caught.exception.text

    def missing(self, action, call, *arguments):
        """The call is refused for want of that action, and says what to do."""
        text = self.refused("NotAuthorized", call, *arguments)
        self.assertIn("org.pmemd1." + action, text)
        self.assertIn("ask an administrator for org.pmemd1." + action, text)
        self.assertIn("join group pmemd" if action in ("setup-data", "attach", "release") else "as root", text)


def uuid_of(path):
    return path.rsplit("/", 1)[1].replace("_", "-")


# (name, (object, interface, method, arguments)) of what takes an action.
def calls(region, second, pool, job, lent, orphan="none", gone="/none"):
    m = lambda member, signature="", *body: (harness.ROOT, harness.MANAGER, member, signature, *body)
    plan = [("bytes", ("t", 8 * MIB))]
    return [
        ("Repair", m("Repair", "sa{sv}", uuid_of(pool), [])),
        ("SetupMgmt", m("SetupMgmt", "tta{sv}", 0x4f0000, 0x4f1000, [])),
        ("AllocateMgmt", m("AllocateMgmt", "ta{sv}", 8 * MIB, [])),
        ("SetupData", m("SetupData", "tttta{sv}", 0x4e0000, 0x4e1000, 0x488000, 0x490000, [])),
        ("AllocateData", m("AllocateData", "ta{sv}", 4 * MIB, [])),
        ("PlanMgmt", m("Plan", "sa{sv}", "AllocateMgmt", plan)),
        ("PlanData", m("Plan", "sa{sv}", "AllocateData", plan)),
        ("RenameMgmt", m("Rename", "osa{sv}", pool, "", [])),
        ("RenameData", m("Rename", "osa{sv}", region, "", [])),
        ("Pause", (job, harness.JOB, "Pause")),
        ("Resume", (job, harness.JOB, "Resume")),
        ("ReleaseData", m("ReleaseData", "oa{sv}", region, [])),
        ("ReleaseMgmt", m("ReleaseMgmt", "oa{sv}", pool, [])),
        ("SetOwner", m("SetOwner", "oua{sv}", second, BOB, [])),
        ("Attach", m("Attach", "osa{sv}", lent, "guest", [])),
        ("Detach", m("Detach", "osa{sv}", lent, "guest", [])),
        ("ClearBadFrames", m("ClearBadFrames", "oa{sv}", second, [])),
        ("ClearBadFramesPlan", m("ClearBadFrames", "oa{sv}", second, [("dry-run", ("b", True))])),
        ("ClearBadFramesRaw", m("ClearBadFrames", "oa{sv}", "/", [("raw", ("s", "raw0"))])),
        ("Adopt", m("Adopt", "sa{sv}", orphan, [])),
        ("Forget", m("Forget", "sa{sv}", uuid_of(gone), [])),
    ]


def open_calls(region):
    m = lambda member, signature="", *body: (harness.ROOT, harness.MANAGER, member, signature, *body)
    return [
        ("CountRegions", m("CountRegions", "s", "raw")),
        ("ListRaw", m("ListRaw", "su", "", 0)),
        ("ListMgmt", m("ListMgmt", "su", "", 0)),
        ("ListData", m("ListData", "su", "", 0)),
        ("ListForeign", m("ListForeign", "su", "", 0)),
        ("ListLeases", m("ListLeases", "su", "", 0)),
        ("GetRegion", m("GetRegion", "s", region.rsplit("/", 1)[1].replace("_", "-"))),
        ("GetMetrics", m("GetMetrics")),
        ("ListDimms", m("ListDimms")),
        ("LocateList", m("LocateList", "at", [0, 0x480000, (1 << 40) - 1])),
    ]


BASE = {"SetupMgmt": "setup-mgmt", "AllocateMgmt": "setup-mgmt", "SetupData": "setup-data",
        "AllocateData": "setup-data", "PlanMgmt": "setup-mgmt", "PlanData": "setup-data", "RenameMgmt": "setup-mgmt",
        "RenameData": "setup-data", "Pause": "release", "Resume": "release", "ReleaseData": "release",
        "ReleaseMgmt": "release", "SetOwner": "manage-all", "Attach": "attach", "Detach": "attach", "ClearBadFrames": "repair",
        "ClearBadFramesPlan": "repair", "ClearBadFramesRaw": "repair",
        "Adopt": "repair", "Forget": "repair", "Repair": "repair"}
OF_A_TARGET = ("RenameMgmt", "RenameData", "Pause", "Resume", "ReleaseData", "ReleaseMgmt", "SetOwner", "Attach",
               "Detach", "ClearBadFrames", "ClearBadFramesPlan")
GROUP = ("setup-data", "attach", "release")  # what policy/org.pmemd1.rules grants


class EveryMethod(Case):
    def all_calls(self, owner):
        """(name, call) of every method; the targets belong to owner."""
        region, second, pool, job = self.data(owner), self.data(owner), self.mgmt(owner), self.job(owner)
        orphan, gone = self.orphan(), self.data(owner)
        self.take_away(gone)
        while self.state(gone) != "missing":  # the watch tells pmemd in a moment
            pass
        return calls(region, second, pool, job, self.data(owner), orphan, gone) + open_calls(self.pool)

    def do(self, connection, call):
        return connection.call(harness.NAME, *call)

    def try_all(self, uid, owner, wanted):
        """wanted(name): the action that is missing, None: it is done."""
        every = self.all_calls(owner)
        connection = self.connect(uid)
        for name, call in every:
            with self.subTest(name):
                action = wanted(name)
                if action is None:
                    self.do(connection, call)
                    continue
                before = self.lists()
                self.missing(action, self.do, connection, call)
                self.assertEqual(self.lists(), before)

    def test_none_is_left_out(self):
        methods = {m.get("name") for i in xml.parse(INTERFACE).getroot() for m in i.findall("method")}
        named = {n for n, _ in calls(NO_REGION, NO_REGION, NO_REGION, NO_JOB, NO_REGION) + open_calls(NO_REGION)}
        variants = ("Plan", "Rename", "ClearBadFrames")
        self.assertEqual({next((v for v in variants if n.startswith(v)), n) for n in named} | {"Locate"}, methods)  # whose frame it is decides, no action: Sight.test_locate
        self.assertEqual(set(BASE), {n for n, _ in calls(NO_REGION, NO_REGION, NO_REGION, NO_JOB, NO_REGION)})

    def test_root(self):
        """Polkit, which would say no, is not asked."""
        self.polkit.calls()
        self.try_all(0, ALICE, lambda name: None)
        self.assertEqual(self.polkit.calls(), [])

    def test_owner(self):
        """Who has every action but manage-all: all of what is one's own, but giving it away."""
        self.polkit.allow("setup-mgmt", "setup-data", "attach", "release", "repair")
        self.try_all(ALICE, ALICE, lambda name: "manage-all" if name == "SetOwner" else None)

    def test_member_of_the_group(self):
        self.polkit.allow(*GROUP)
        self.try_all(ALICE, ALICE, lambda name: BASE.get(name) if BASE.get(name) not in GROUP else None)

    def test_others_regions(self):
        self.polkit.allow("setup-mgmt", "repair", *GROUP)
        self.try_all(BOB, ALICE, lambda name: "manage-all" if name in OF_A_TARGET else None)

    def test_manager_of_all(self):
        self.polkit.allow("setup-mgmt", "manage-all", "repair", *GROUP)
        self.try_all(BOB, ALICE, lambda name: None)

    def test_manage_all_alone(self):
        """It comes on top of the action, not in its place."""
        self.polkit.allow("manage-all")
        self.try_all(BOB, ALICE, lambda name: BASE.get(name) if name != "SetOwner" else None)

    def test_denied(self):
        self.try_all(ALICE, ALICE, BASE.get)

    def test_absent(self):
        self.polkit.stop()
        every = self.all_calls(ALICE)
        connection = self.connect(ALICE)
        before = self.lists()
        for name, call in every:
            with self.subTest(name):
                if name not in BASE:
                    self.do(connection, call)
                    continue
                text = self.refused("NotAuthorized", self.do, connection, call)
                self.assertIn("no polkit on this bus", text)
                self.assertIn("only root may", text)
                self.assertIn(BASE[name], text)
        self.assertEqual(self.lists(), before)
        for _, call in every:
            self.do(self.root, call)
        self.polkit = Polkit(self.address)

    def test_hangs(self):
        """No answer within 10 s: all are refused, none is done, and polkit is told to forget them."""
        self.polkit.allow("setup-mgmt", "manage-all", "repair", *GROUP)
        self.polkit.hang()
        every = self.all_calls(ALICE)
        connection = self.connect(ALICE)
        before = self.lists()
        serials = [(name, connection.send(harness.NAME, *call)) for name, call in every if name in BASE]
        asked = {self.polkit.wait_asked()[4] for _ in serials}
        for name, call in every:
            if name not in BASE:
                self.do(connection, call)
        for name, serial in serials:
            with self.subTest(name):
                text = self.refused("TimedOut", connection.wait, serial)
                self.assertIn("within 10 s", text)
                self.assertIn(BASE[name], text)
        self.assertEqual({self.polkit.wait_called("CancelCheckAuthorization")[0] for _ in serials}, asked)
        self.polkit.answer()
        self.polkit.calls()
        self.assertEqual(self.lists(), before)


class Question(Case):
    def ask(self, flags=0, *call):
        self.polkit.calls()
        connection = self.connect(ALICE)
        serial = connection.send(harness.NAME, harness.ROOT, harness.MANAGER, *call, flags=flags)
        asked = self.polkit.wait_asked()
        self.assertEqual(asked[0], connection.name)
        try:
            connection.wait(serial)
        except wire.Error as e:
            self.assertEqual(e.name, ERRORS + "NotAuthorized")
        return asked

    def test_interaction_only_when_the_message_asks(self):
        call = ("AllocateData", "ta{sv}", 4 * MIB, [])
        self.assertEqual(self.ask(0, *call)[3], 0)
        self.assertEqual(self.ask(INTERACTIVE, *call)[3], 1)

    def test_details(self):
        region = self.data(ALICE, "guest0")
        uuid = region.rsplit("/", 1)[1].replace("_", "-")
        _, action, details, _, _ = self.ask(0, "ReleaseData", "oa{sv}", region, [])
        self.assertEqual(action, "org.pmemd1.release")
        self.assertEqual(details, {"verb": "ReleaseData", "region": f"pool0/guest0 ({uuid})", "range": "", "bytes": "",
                                   "subject": f"pool0/guest0 ({uuid})"})
        _, action, details, _, _ = self.ask(0, "SetupMgmt", "tta{sv}", 0x4f0000, 0x4f1000, [])
        self.assertEqual((action, details["range"], details["subject"]),
                         ("org.pmemd1.setup-mgmt", "0x4f0000-0x4f1000", "0x4f0000-0x4f1000"))
        _, _, details, _, _ = self.ask(0, "AllocateData", "ta{sv}", 4 * MIB, [])
        self.assertEqual((details["bytes"], details["subject"]), (str(4 * MIB),) * 2)

    def test_nonsense_is_not_asked_about(self):
        self.polkit.calls()
        connection = self.connect(ALICE)
        self.refused("InvalidArgument", connection.manager, "AllocateData", "ta{sv}", 1, [("no", ("s", ""))])
        self.refused("InvalidArgument", connection.manager, "Plan", "sa{sv}", "ReleaseData", [])
        self.assertEqual(self.polkit.calls(), [])

    def test_processes_of_others(self):
        """Who may release a region of one's own learns that somebody else uses it, and not which process that is."""
        region, connection = self.data(ALICE), self.connect(ALICE)
        path = self.root.get_all(region, harness.REGION)["DevicePath"]
        self.polkit.allow("release")
        with open(path, "rb"):
            text = self.refused("Busy", connection.manager, "ReleaseData", "oa{sv}", region, [])
            self.assertIn("1 process of another user has it open", text)
            self.assertNotRegex(text, rf"(?<![0-9a-f-]){os.getpid()}(?![0-9a-f-])")
            self.assertIn(f"process {os.getpid()} (", self.refused("Busy", self.root.manager, "ReleaseData", "oa{sv}", region, []))
            self.assertEqual(self.state(region), "ok")
            # The wait of an erase is told likewise.
            hold = os.path.join(self.host.daemon.backend_folder, "hold")
        for operation in "open_content", "destroy":
            with open(hold, "w", encoding="utf-8"), \
                    open(os.path.join(self.host.daemon.backend_folder, "inject.conf"), "w", encoding="utf-8") as inject:
                inject.write(f"[{operation}]\nWaitFile=hold\n")
            connection.manager("ReleaseData", "oa{sv}", region, [])
            while os.path.exists(inject.name):
                pass
            with open(path, "rb"):
                os.unlink(hold)
                self.assertEqual(self.root.wait_signal("JobRemoved").body[2], "failed")
                reason = connection.get_all(region, harness.REGION)["StateReason"]
                self.assertIn("1 process of another user has it open", reason)
                self.assertNotRegex(reason, rf"(?<![0-9a-f-]){os.getpid()}(?![0-9a-f-])")

    def test_what_is_not_there_is_refused_alike(self):
        """Who may not release learns nothing of what there is."""
        connection = self.connect(ALICE)
        self.missing("release", connection.manager, "ReleaseData", "oa{sv}", NO_REGION, [])
        self.polkit.allow("release")
        self.refused("NoSuchRegion", connection.manager, "ReleaseData", "oa{sv}", NO_REGION, [])


class Meanwhile(Case):
    """What happens between a question and its answer."""

    def setUp(self):
        super().setUp()
        self.region = self.data(ALICE, "guest0")
        self.alice = self.connect(ALICE)
        self.polkit.allow("release", "setup-data")
        self.polkit.hang()

    def release(self):
        serial = self.alice.send(harness.NAME, harness.ROOT, harness.MANAGER, "ReleaseData", "oa{sv}", self.region, [])
        return serial, self.polkit.wait_asked()

    def test_nothing_is_done_before_the_answer(self):
        serial, _ = self.release()
        self.assertEqual(self.state(self.region), "ok")
        self.polkit.answer()
        self.alice.wait(serial)
        self.assertEqual(self.root.wait_signal("JobRemoved").body[1:3], (self.region, "done"))

    def test_caller_leaves(self):
        _, (_, _, _, _, cancel) = self.release()
        self.root.bus("AddMatch", "s", f"type='signal',member='NameOwnerChanged',arg0='{self.alice.name}'")
        self.alice.close()
        self.root.wait_signal("NameOwnerChanged")
        self.root.manager("CountRegions", "s", "data")  # pmemd, too, has seen it by the time it answers
        self.assertEqual(self.polkit.calls(), [("CancelCheckAuthorization", [cancel])])
        self.polkit.answer()
        self.polkit.calls()
        self.assertEqual(self.state(self.region), "ok")

    def test_region_goes(self):
        serial, _ = self.release()
        self.root.manager("ReleaseData", "oa{sv}", self.region, [])
        self.root.wait_signal("JobRemoved")
        self.polkit.answer()
        self.refused("NoSuchRegion", self.alice.wait, serial)

    def test_region_is_given_away(self):
        """The verdict was for a region of one's own; somebody else's takes another."""
        serial, _ = self.release()
        self.polkit.hang(False)
        self.root.manager("SetOwner", "oua{sv}", self.region, BOB, [])
        self.polkit.answer()
        self.missing("manage-all", self.alice.wait, serial)
        self.assertEqual([(name, arguments[1]) for name, arguments in self.polkit.calls()],
                         [("CheckAuthorization", "org.pmemd1.manage-all")])
        self.assertEqual(self.state(self.region), "ok")

    def test_polkit_leaves(self):
        serial, _ = self.release()
        self.polkit.stop()
        self.refused("NotAuthorized", self.alice.wait, serial)
        self.assertEqual(self.state(self.region), "ok")
        self.polkit = Polkit(self.address)

    def test_pmemd_stops(self):
        serial, _ = self.release()
        self.assertEqual(self.host.daemon.stop(), 0)
        self.refused("Busy", self.alice.wait, serial)
        self.host.daemon.start()
        self.assertEqual(self.state(self.region), "ok")

    def test_others_are_served(self):
        serial, _ = self.release()
        bob = self.connect(BOB)
        self.assertEqual(bob.manager("CountRegions", "s", "data"), (1,))
        self.alice.manager("ListData", "su", "", 0)
        self.root.manager("Rename", "osa{sv}", self.region, "other", [])
        self.polkit.answer()
        self.alice.wait(serial)

    def test_caps(self):
        """At most 32 questions of a user, over all connections, and 96 in all: the bus allows pmemd 128."""
        plan = (harness.ROOT, harness.MANAGER, "Plan", "sa{sv}", "AllocateData", [("bytes", ("t", 4 * MIB))])
        second = self.connect(ALICE)
        serials = [(c, c.send(harness.NAME, *plan)) for c in (self.alice, second) for _ in range(16)]
        for _ in serials:
            self.polkit.wait_asked()
        for connection in self.alice, second, self.connect(ALICE):
            self.assertIn("limit is 32", self.refused("LimitsExceeded", connection.call, harness.NAME, *plan))
        more = [(c, c.send(harness.NAME, *plan)) for c in [self.connect(uid) for uid in (BOB, OTHERS[0])] for _ in range(32)]
        for _ in more:
            self.polkit.wait_asked()
        self.assertIn("limit is 96", self.refused("LimitsExceeded", self.connect(OTHERS[1]).call, harness.NAME, *plan))
        self.assertEqual(self.connect(OTHERS[2]).get_all(self.region, harness.REGION)["StartFrame"], 0)
        with wire.Connection(self.address) as root:
            root.manager("Plan", "sa{sv}", *plan[4:])
        self.polkit.answer()
        for connection, serial in serials + more:
            connection.wait(serial)
        self.polkit.hang(False)
        self.alice.call(harness.NAME, *plan)


class Sight(Case):
    """Owners see all of what is theirs, and no more of others' than anyone."""

    HIDDEN = {"StartFrame": 0, "EndFrame": 0, "ExtentStart": 0, "ExtentEnd": 0, "DevicePath": "", "GuestPath": "", "StateReason": "",
              "OwnerUid": 0xffffffff, "Owner": ""}

    def setUp(self):
        super().setUp()
        self.mine, self.theirs = self.data(ALICE, "mine"), self.data(BOB, "theirs")
        self.full = {p: self.root.get_all(p, harness.REGION) for p in (self.mine, self.theirs, self.pool)}
        self.assertEqual([self.full[p]["OwnerUid"] for p in (self.mine, self.theirs)], [ALICE, BOB])

    def wanted(self, path):
        return self.full[path] if path == self.mine else {**self.full[path], **self.HIDDEN}

    def test_objects(self):
        for first in (self.mine, self.theirs, self.pool):
            alice = self.connect(ALICE)  # whom pmemd does not know yet
            for path in (first, self.mine, self.theirs, self.pool):
                self.assertEqual(alice.get_all(path, harness.REGION), self.wanted(path))
        managed, = self.connect(ALICE).call(harness.NAME, harness.ROOT, "org.freedesktop.DBus.ObjectManager",
                                            "GetManagedObjects")
        for path in self.full:
            self.assertEqual(managed[path][harness.REGION], self.wanted(path))
        start, = self.connect(ALICE).call(harness.NAME, self.mine, "org.freedesktop.DBus.Properties", "Get", "ss",
                                          harness.REGION, "StartFrame")
        self.assertEqual(start, self.full[self.mine]["StartFrame"])

    def test_first_words_of_a_connection(self):
        """A burst before pmemd knows who sends it: each call is answered, as that user, in order."""
        alice = self.connect(ALICE)
        serials = []
        for _ in range(60):
            serials.append(alice.send(harness.NAME, self.mine, "org.freedesktop.DBus.Properties", "GetAll", "s",
                                      harness.REGION))
            serials.append(alice.send(harness.NAME, harness.ROOT, harness.MANAGER, "ListData", "su", "", 0))
        answers = {}
        while len(answers) < len(serials):
            message = alice.receive()
            if message.kind in (wire.METHOD_RETURN, wire.ERROR):
                self.assertEqual(message.kind, wire.METHOD_RETURN, message.body)
                answers[message.reply_serial] = message.body
        self.assertEqual(sorted(answers), serials)
        for serial in serials[::2]:
            self.assertEqual(answers[serial][0], self.full[self.mine])

    def test_errors_of_reads(self):
        for _ in range(2):
            alice = self.connect(ALICE)
            for _ in range(2):
                with self.assertRaises(wire.Error) as caught:
                    alice.get_all(NO_REGION, harness.REGION)
                self.assertEqual(caught.exception.name, "org.freedesktop.DBus.Error.UnknownObject")

    def test_lists(self):
        entries, after = self.connect(ALICE).manager("ListData", "su", "", 0)
        self.assertEqual(after, "")
        full, _ = self.root.manager("ListData", "su", "", 0)
        for entry, all_of_it in zip(entries, full):
            if entry[1] == "mine":
                self.assertEqual(entry, all_of_it)
            else:
                self.assertEqual(entry[2:4] + entry[5:7] + entry[11:], (0, 0, 0, 0, 0xffffffff, "", ""))
        pages, after = [], ""
        alice = self.connect(ALICE)
        while not pages or after:
            page, after = alice.manager("ListData", "su", after, 1)
            pages += page
        self.assertEqual(pages, entries)

    def test_device_paths(self):
        alice = self.connect(ALICE)
        self.assertEqual(alice.manager("GetRegion", "s", self.full[self.mine]["DevicePath"]), (self.mine,))
        for path in self.theirs, self.pool:
            self.refused("NoSuchRegion", alice.manager, "GetRegion", "s", self.full[path]["DevicePath"])

    def test_locate(self):
        """Frames of one's own regions and their extents; whatever the others are, the answer is the same."""
        alice, bob = self.connect(ALICE), self.connect(BOB)
        mine, pool = self.full[self.mine], self.full[self.pool]
        start, extent = mine["StartFrame"], mine["ExtentStart"]
        usable, = alice.manager("Locate", "t", start + 5)
        self.assertEqual(usable, self.root.manager("Locate", "t", start + 5)[0])
        self.assertEqual((usable[:3], usable[3]["Part"], usable[3]["OwnerUid"]), (("data", self.mine, 5 * 4096), "usable", ALICE))
        self.assertEqual(alice.manager("Locate", "t", start)[0][2], 0)
        kind, path, offset, details = alice.manager("Locate", "t", extent)[0]
        self.assertEqual((kind, path, offset, details["Part"], details["ExtentOf"]), ("mgmt", self.pool, 0, "extent", self.mine))
        self.assertEqual((details["OwnerUid"], details["Owner"]), (0xffffffff, ""))
        others = [self.full[self.theirs]["StartFrame"], self.full[self.theirs]["ExtentStart"], pool["StartFrame"], mine["EndFrame"] + 1,
                  pool["EndFrame"] - 1, 0, (1 << 40) - 1]
        texts = {self.refused("NotAuthorized", alice.manager, "Locate", "t", frame).replace(hex(frame), "F") for frame in others}
        self.assertEqual(len(texts), 1, texts)
        self.refused("NotAuthorized", bob.manager, "Locate", "t", start)
        asked = [others[0], start + 5, *others[1:]]
        hidden = ("hidden", "/", 0, {})
        self.assertEqual(alice.manager("LocateList", "at", asked)[0], [hidden, usable, *[hidden] * (len(others) - 1)])
        # A pool's owner knows its frames, but not whose extents they are.
        self.root.manager("SetOwner", "oua{sv}", self.pool, ALICE, [])
        kind, path, _, details = alice.manager("Locate", "t", self.full[self.theirs]["ExtentStart"])[0]
        self.assertEqual((kind, path, details["Part"], details["OwnerUid"], "ExtentOf" in details), ("mgmt", self.pool, "extent", ALICE, False))
        self.assertEqual(alice.manager("Locate", "t", pool["StartFrame"])[0][3]["Part"], "superblock")
        self.refused("NotAuthorized", alice.manager, "Locate", "t", self.full[self.theirs]["StartFrame"])

    def test_given_away(self):
        alice = self.connect(ALICE)
        self.assertEqual(alice.get_all(self.mine, harness.REGION), self.full[self.mine])
        self.root.manager("SetOwner", "oua{sv}", self.mine, BOB, [])
        self.assertEqual(alice.get_all(self.mine, harness.REGION)["StartFrame"], 0)

    def test_maker_is_owner(self):
        self.polkit.allow("setup-data")
        alice = self.connect(ALICE)
        made, = alice.manager("AllocateData", "ta{sv}", 4 * MIB, [])
        self.assertEqual(alice.get_all(made, harness.REGION)["OwnerUid"], ALICE)
        self.assertEqual(self.root.get_all(made, harness.REGION)["OwnerUid"], ALICE)


if __name__ == "__main__":
    harness.main()
