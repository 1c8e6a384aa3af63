#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""policy/org.pmemd1.policy, .rules and .conf as the real polkitd and dbus-daemon take them, with users and the group pmemd.

All of it in a mount namespace of its own, where users, groups, actions and rules are the test's: nothing of the machine is
touched, and nothing that its administrator allows matters.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import harness
import system_bus
import wire

HERE = os.path.dirname(os.path.abspath(__file__))
POLICY = os.path.abspath(os.path.join(HERE, "..", "..", "policy"))
POLKITD = "/usr/lib/polkit-1/polkitd"
DTD = "/usr/share/polkit-1/policyconfig-1.dtd"
ERRORS = "org.pmemd1.Error."
MIB = 1 << 20
INTERACTIVE = 4  # flag of a message

GROUP = 21000
CAROL, ERIN, DAVE = 21001, 21002, 21003  # the first two are members
AUTHORITY = ("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority")
AGENT = "org.freedesktop.PolicyKit1.AuthenticationAgent"


def enter_namespace():
    """Starts the program again where mounts are its own."""
    if os.environ.get("PMEMD_TEST_NAMESPACE") != "polkitd":
        os.environ["PMEMD_TEST_NAMESPACE"] = "polkitd"
        os.execvp("unshare", ["unshare", "--mount", "--propagation=private", sys.executable, *sys.argv])


def replace(folder, path, text):
    """path has this text from here on, for us."""
    copy = os.path.join(folder, path.replace("/", "_"))
    with open(copy, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(copy, 0o644)
    subprocess.run(["mount", "--bind", copy, path], check=True)


def replace_folder(folder, path, *files):
    """path is a folder of these files, for us."""
    copy = os.path.join(folder, path.replace("/", "_"))
    os.makedirs(copy)
    os.chmod(copy, 0o755)
    for name in files:
        shutil.copy(name, copy)
        os.chmod(os.path.join(copy, os.path.basename(name)), 0o644)
    subprocess.run(["mount", "--bind", copy, path], check=True)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def agent(address, region):
    """As the user: a request that may ask for authentication, with an agent that is asked and does not want to. What it was asked,
    and what became of the request."""
    with open("/proc/self/stat", encoding="utf-8") as f:
        start = int(f.read().rsplit(")", 1)[1].split()[19])
    with wire.Connection(address) as asked, wire.Connection(address) as asking:
        subject = ("unix-process", [("pid", ("u", os.getpid())), ("start-time", ("t", start)),
                                    ("uid", ("i", os.geteuid()))])
        asked.call(*AUTHORITY, "RegisterAuthenticationAgent", "(sa{sv})ss", subject, "C", "/agent")
        serial = asking.send(harness.NAME, harness.ROOT, harness.MANAGER, "ReleaseData", "oa{sv}", region, [],
                             flags=INTERACTIVE)
        call = asked.receive()
        while call.member != "BeginAuthentication":
            call = asked.receive()
        asked.socket.sendall(wire.Message(wire.ERROR, 1000, wire.NO_REPLY_EXPECTED, ["no"], reply_serial=call.serial,
                                          destination=call.sender, signature="s",
                                          error_name="org.freedesktop.PolicyKit1.Error.Cancelled").encode())
        try:
            return call.body, asking.wait(serial)
        except wire.Error as e:
            return call.body, (e.name, e.text)


class Polkitd(unittest.TestCase):
    """A system bus with polkitd and pmemd, a pool of root's and users."""

    def setUp(self):
        self.host = harness.Host(start=False, bus_config=system_bus.CONFIG.replace(
            "RULES", "<include>/usr/share/dbus-1/system.d/org.freedesktop.PolicyKit1.conf</include>"
            f"<include>{POLICY}/org.pmemd1.conf</include>"))
        # Before the bus starts: it reads users and groups once.
        self.folder = tempfile.mkdtemp(prefix="pmemd-polkitd-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        os.chmod(self.folder, 0o755)
        self.mounts = []
        users = {"carol": CAROL, "erin": ERIN, "dave": DAVE}
        self.mount(replace, "/etc/passwd", read("/etc/passwd") + "".join(
            f"{name}:x:{uid}:65534::/:/bin/false\n" for name, uid in users.items()))
        groups = "".join(line for line in read("/etc/group").splitlines(True) if not line.startswith("pmemd:"))
        self.mount(replace, "/etc/group", groups + f"pmemd:x:{GROUP}:carol,erin\n")
        self.mount(replace_folder, "/usr/share/polkit-1/actions", os.path.join(POLICY, "org.pmemd1.policy"))
        self.mount(replace_folder, "/usr/share/polkit-1/rules.d", os.path.join(POLICY, "org.pmemd1.rules"))
        self.mount(replace_folder, "/etc/polkit-1/rules.d")
        self.host.__enter__()
        self.addCleanup(self.host.__exit__)
        self.address = self.host.bus.address
        self.environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.address}
        self.root = wire.Connection(self.address)
        self.addCleanup(self.root.close)
        self.start_polkitd()
        self.host.daemon.start()
        self.root.manager("SetupMgmt", "tta{sv}", 0x480000, 0x490000, [("name", ("s", "pool0"))])

    def mount(self, how, path, *arguments):
        how(self.folder, path, *arguments)
        self.addCleanup(subprocess.run, ["umount", path], check=True)

    def start_polkitd(self):
        self.root.bus("AddMatch", "s", f"type='signal',member='NameOwnerChanged',arg0='{AUTHORITY[0]}'")
        with open(os.path.join(self.host.folder, "polkitd.log"), "wb") as log:
            process = subprocess.Popen([POLKITD, "--no-debug"], env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log)
        self.addCleanup(harness.wait_exit, process)
        self.addCleanup(process.kill)
        self.root.wait_signal("NameOwnerChanged")

    def connect(self, uid):
        connection = system_bus.connect_as(self.address, uid)
        self.addCleanup(connection.close)
        return connection

    def data(self, owner):
        path, = self.root.manager("AllocateData", "ta{sv}", 4 * MIB, [("name", ("s", "guest0"))])
        self.root.manager("SetOwner", "oua{sv}", path, owner, [])
        return path

    def missing(self, action, call, *arguments):
        with self.assertRaises(wire.Error) as caught:
            call(*arguments)
        text = caught.exception.text
        self.assertEqual(caught.exception.name, ERRORS + "NotAuthorized", text)
        self.assertIn("ask an administrator for org.pmemd1." + action, text)
        # An administrator could do it: polkit knows the action.
        self.assertIn("without authentication", text)

    def test_member_of_the_group(self):
        carol = self.connect(CAROL)
        carol.manager("Plan", "sa{sv}", "AllocateData", [("bytes", ("t", MIB))])
        mine, = carol.manager("AllocateData", "ta{sv}", 4 * MIB, [])
        carol.manager("SetupData", "tttta{sv}", 0x4e0000, 0x4e1000, 0x488000, 0x490000, [])
        carol.manager("Rename", "osa{sv}", mine, "mine", [])
        properties = carol.get_all(mine, harness.REGION)
        self.assertEqual((properties["OwnerUid"], properties["Owner"]), (CAROL, "carol"))
        self.missing("manage-all", carol.manager, "SetOwner", "oua{sv}", mine, ERIN, [])
        self.missing("setup-mgmt", carol.manager, "AllocateMgmt", "ta{sv}", 8 * MIB, [])
        erin = self.connect(ERIN)
        self.missing("manage-all", erin.manager, "ReleaseData", "oa{sv}", mine, [])
        self.missing("manage-all", erin.manager, "Rename", "osa{sv}", mine, "hers", [])
        self.assertEqual(erin.get_all(mine, harness.REGION)["StartFrame"], 0)
        carol.bus("AddMatch", "s", "type='signal',sender='org.pmemd1',member='JobRemoved'")
        carol.manager("ReleaseData", "oa{sv}", mine, [])
        self.assertEqual(carol.wait_signal("JobRemoved").body[1:3], (mine, "done"))

    def test_anybody_else(self):
        region, dave = self.data(DAVE), self.connect(DAVE)
        pool, = self.root.manager("GetRegion", "s", "pool0")
        for action, *call in [
                ("setup-mgmt", "SetupMgmt", "tta{sv}", 0x4e0000, 0x4e1000, []),
                ("setup-mgmt", "AllocateMgmt", "ta{sv}", 8 * MIB, []),
                ("setup-data", "SetupData", "tttta{sv}", 0x4e0000, 0x4e1000, 0x488000, 0x490000, []),
                ("setup-data", "AllocateData", "ta{sv}", MIB, []),
                ("setup-data", "Plan", "sa{sv}", "AllocateData", [("bytes", ("t", MIB))]),
                ("release", "ReleaseData", "oa{sv}", region, []), ("release", "ReleaseMgmt", "oa{sv}", pool, []),
                ("setup-data", "Rename", "osa{sv}", region, "x", []),
                ("setup-mgmt", "Rename", "osa{sv}", pool, "x", []),
                ("manage-all", "SetOwner", "oua{sv}", region, CAROL, [])]:
            with self.subTest(call[0]):
                self.missing(action, dave.manager, *call)
        dave.manager("ListData", "su", "", 0)
        dave.bus("AddMatch", "s", "type='signal',sender='org.pmemd1'")
        self.root.manager("Rename", "osa{sv}", region, "other", [])
        dave.manager("CountRegions", "s", "data")
        self.assertEqual([s.member for s in dave.signals if s.path.startswith(harness.ROOT)], [])

    def test_an_administrators_rule_comes_first(self):
        rules = os.path.join(self.folder, "_etc_polkit-1_rules.d", "40-local")
        with open(rules, "w", encoding="utf-8") as f:
            f.write("""polkit.addRule(function(action, subject) {
                if (action.id == "org.pmemd1.release" && action.lookup("verb") == "ReleaseData" && subject.user == "dave")
                    return polkit.Result.YES;
                if (action.id == "org.pmemd1.setup-data" && subject.user == "carol")
                    return polkit.Result.NO;
            });""")
        os.chmod(rules, 0o644)
        region, dave = self.data(DAVE), self.connect(DAVE)
        self.missing("release", dave.manager, "ReleaseData", "oa{sv}", region, [])
        # polkitd watches the folder, and says when it has read it again.
        self.root.bus("AddMatch", "s", f"type='signal',sender='{AUTHORITY[0]}',member='Changed'")
        os.rename(rules, rules + ".rules")
        self.root.wait_signal("Changed")
        dave.manager("ReleaseData", "oa{sv}", region, [])
        with self.assertRaises(wire.Error) as caught:
            self.connect(CAROL).manager("AllocateData", "ta{sv}", MIB, [])
        self.assertIn("ask an administrator for org.pmemd1.setup-data", caught.exception.text)

    def test_asks_people_only_when_it_may(self):
        region = self.data(DAVE)
        asked, answer = wire.as_user(DAVE, agent, self.address, region)
        action, message, _, _, _, identities = asked
        self.assertEqual(action, "org.pmemd1.release")
        uuid = region.rsplit("/", 1)[1].replace("_", "-")
        self.assertIn(f"(ReleaseData pool0/guest0 ({uuid}))", message)
        self.assertEqual(identities[0][0], "unix-user")
        self.assertEqual(answer[0], ERRORS + "NotAuthorized")
        self.assertIn("nobody authenticated", answer[1])
        # And with nothing that could ask.
        dave = self.connect(DAVE)
        serial = dave.send(harness.NAME, harness.ROOT, harness.MANAGER, "ReleaseData", "oa{sv}", region, [],
                           flags=INTERACTIVE)
        self.missing("release", dave.wait, serial)
        self.assertEqual(self.root.get_all(region, harness.REGION)["State"], "ok")

    def test_actions(self):
        """As polkit itself reads them."""
        listed = subprocess.run(["pkaction", "--verbose"], env=self.environment, stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, check=True, timeout=harness.PATIENCE).stdout
        actions = {}
        for line in listed.splitlines():
            if line.endswith(":") and not line.startswith(" "):
                action = actions.setdefault(line[:-1], {})
            elif ":" in line:
                key, value = line.split(":", 1)
                action[key.strip()] = value.strip()
        self.assertEqual(set(actions), {"org.pmemd1." + n for n in ("setup-mgmt", "setup-data", "release", "attach",
                                                                    "repair", "manage-all")})
        for name, action in actions.items():
            keep = "auth_admin" if name.endswith(("repair", "manage-all")) else "auth_admin_keep"
            self.assertEqual((action["implicit any"], action["implicit inactive"], action["implicit active"]),
                             ("auth_admin", "auth_admin", keep))
            self.assertGreater(len(action["description"]), 20)
            self.assertTrue(action["message"].startswith("Authentication is required to "))
            self.assertTrue(action["message"].endswith("($(verb) $(subject))"))

    def test_policy_is_valid(self):
        subprocess.run(["xmllint", "--noout", "--nonet", "--dtdvalid", DTD, os.path.join(POLICY, "org.pmemd1.policy")],
                       check=True)


if __name__ == "__main__":
    enter_namespace()
    harness.main()
