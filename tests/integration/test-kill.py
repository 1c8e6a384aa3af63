#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Random requests of two clients at once while pmemd dies by SIGKILL 50 to 200 ms after each READY, again and again.

What was acknowledged is there, what was refused is not, what got no answer is one or the other (and its request-id tells which),
no two regions overlap; at the end the journals' checker finds no fault.

PMEMD_KILL_CHANGES: acknowledged changes to reach (300). PMEMD_TEST_SEED: seed of the requests.
"""

import multiprocessing
import os
import random
import subprocess
import time
import unittest
import uuid

import dbus
import dbus.bus
import harness

CHANGES = int(os.environ.get("PMEMD_KILL_CHANGES", "300"))
SEED = int(os.environ.get("PMEMD_TEST_SEED", str(random.randrange(2**32))))
MIB = 1 << 20

REGIONS = {
    "a": {"StartFrame": "0x100000", "Bytes": "256M", "Node": "0", "Alignment": "64K", "Medium": "mapped"},
    "b": {"StartFrame": "0x200000", "Bytes": "512M", "Node": "1", "Alignment": "4K", "Medium": "file"},
    "c": {"StartFrame": "0x300000", "Bytes": "256M", "Node": "2", "Alignment": "2M", "Lead": "2M"},
}
LEAD = {"c": 512}
POOLS = {"pool-a": (0x100000, 0x102000), "pool-b": (0x200000, 0x202000)}

# An answer that says nothing about what became of the request.
NO_ANSWER = ("org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.ServiceUnknown",
             "org.freedesktop.DBus.Error.NameHasNoOwner", "org.freedesktop.DBus.Error.Disconnected",
             "org.freedesktop.DBus.Error.UnknownObject")
EXTREMES = [0, 1, 0xFFF, 0x100000, 0x200000, 0x2FFFFF, 1 << 40, (1 << 40) - 1, 1 << 52, 1 << 63, (1 << 64) - 1]


def random_call(rng, serial, known):
    """(method, signature, arguments, name or None) of a request that may be valid, invalid or absurd."""
    dice = rng.random()
    name = f"r{serial}"
    options = {"name": name}
    if dice < 0.35:
        options["node"] = dbus.Int32(rng.choice([0, 1, 2]))
        return "AllocateData", "ta{sv}", [rng.randrange(1, 8 * MIB)], options, name
    if dice < 0.60:
        pool = rng.choice(list(POOLS.values()))
        start = rng.choice([0x102000, 0x202000, 0x300200]) + rng.randrange(0, 0x8000) // 16 * 16
        mgmt = rng.randrange(pool[0] + 0x300, pool[1])
        return "SetupData", "tttta{sv}", [start, start + rng.randrange(16, 2048) // 16 * 16, mgmt, pool[1] - 0x200], options, name
    if dice < 0.85 and known:
        return "ReleaseData", "oa{sv}", [dbus.ObjectPath("/org/pmemd1/region/" + rng.choice(known).replace("-", "_"))], {}, None
    if dice < 0.92:
        return "SetupData", "tttta{sv}", [rng.choice(EXTREMES) for _ in range(4)], options, name
    return rng.choice(["AllocateData", "AllocateMgmt"]), "ta{sv}", [rng.choice(EXTREMES)], {"name": name, "colour": "blue"}, name


class Client:
    """One connection: repeats what got no answer, then asks at random, until the daemon dies."""

    def __init__(self, address, pipe, seed):
        self.address = address
        self.pipe = pipe
        self.rng = random.Random(seed)
        self.prefix = seed % 1000
        self.serial = 0
        self.pending = []

    def call(self, connection, request):
        """"ok", "refused" or "unknown", and the result or the error's name."""
        method, signature, arguments, options, _name = request["call"]
        options = dbus.Dictionary({**options, "request-id": request["id"]}, signature="sv")
        try:
            result = connection.call_blocking(harness.NAME, harness.ROOT, harness.MANAGER, method, signature,
                                              [*arguments, options], timeout=harness.PATIENCE)
            return "ok", str(result)
        except dbus.DBusException as e:
            name = e.get_dbus_name()
            busy = name.endswith(".Busy") and ("stopping" in str(e) or "comparing" in str(e) or "not yet known" in str(e))
            return ("unknown" if name in NO_ANSWER or busy else "refused"), name

    def round(self, known):
        connection = dbus.bus.BusConnection(self.address)
        connection.set_exit_on_disconnect(False)
        log = []
        alive = True
        while alive:
            again = self.pending.pop(0) if self.pending else None
            self.serial += 1
            request = again or {"id": str(uuid.UUID(int=self.rng.getrandbits(128), version=4)),
                                "call": random_call(self.rng, f"{self.prefix}-{self.serial}", known)}
            verdict, result = self.call(connection, request)
            if verdict == "unknown":
                self.pending.append(request)
                alive = not result.startswith("org.freedesktop")
            log.append((request, verdict, result))
        connection.close()
        return log

    def main(self):
        while True:
            known = self.pipe.recv()
            if known is None:
                return
            self.pipe.send(self.round(known))


def client_main(address, pipe, seed):
    Client(address, pipe, seed).main()


class Model:
    """What has to be, by the answers alone."""

    def __init__(self):
        self.created = {}     # uuid -> name: acknowledged
        self.released = set()  # uuids: acknowledged
        self.maybe_released = set()
        self.refused = set()  # names
        self.maybe = set()    # names
        self.results = {}     # request id -> result: a repeated one has to answer the same
        self.changes = 0

    def take(self, log, test):
        for request, verdict, result in log:
            method, _signature, arguments, _options, name = request["call"]
            region = str(arguments[0]).rsplit("/", 1)[1].replace("_", "-") if method == "ReleaseData" else None
            if verdict == "ok":
                test.assertEqual(self.results.setdefault(request["id"], result), result)
                self.changes += 1
                uuid_ = result.rsplit("/", 1)[1].replace("_", "-")
                if region:
                    self.released.add(region)
                else:
                    self.created[uuid_] = name
                    self.maybe.discard(name)
                    test.assertNotIn(name, self.refused)
            elif verdict == "refused":
                test.assertTrue(result.startswith("org.pmemd1.Error."), result)
                test.assertNotIn(result, ["org.pmemd1.Error.Internal", "org.pmemd1.Error.Corrupt", "org.pmemd1.Error.Hardware"])
                if name:
                    self.refused.add(name)
                    self.maybe.discard(name)
            elif region:
                self.maybe_released.add(region)
            else:
                self.maybe.add(name)


class Kill(unittest.TestCase):
    def check(self, host, model):
        rows, cursor = host.manager().ListData("", dbus.UInt32(0))
        self.assertEqual(cursor, "")
        seen = {}
        spans = []
        for row in rows:
            uuid_, name, start, end, state = str(row[0]), str(row[1]), int(row[2]), int(row[3]), str(row[9])
            seen[uuid_] = (name, state)
            lead = 512 if start >= 0x300000 else 0
            spans.append((start - lead, end, uuid_))
            self.assertIn(state, ("ok", "quarantined"), f"{uuid_} {name}")
            self.assertNotIn(name, model.refused)
            if state == "ok" and uuid_ not in model.created:
                self.assertIn(name, model.maybe, f"{uuid_} was never asked for")
        extents = sorted((int(r[5]), int(r[6])) for r in rows)
        for table in (sorted(s[:2] for s in spans), extents):
            for a, b in zip(table, table[1:]):
                self.assertLessEqual(a[1], b[0], "two overlap")
        for uuid_, name in model.created.items():
            if uuid_ in model.released:
                self.assertNotEqual(seen.get(uuid_, ("", "gone"))[1], "ok", f"{uuid_}: released, but live")
            elif uuid_ in model.maybe_released:
                pass
            else:
                self.assertEqual(seen.get(uuid_), (name, "ok"), f"{uuid_}: acknowledged, but lost")
        return [u for u, (_n, state) in seen.items() if state == "ok"]

    def test_kill(self):
        print(f"# seed {SEED}, until {CHANGES} changes are acknowledged", flush=True)
        rng = random.Random(SEED)
        context = multiprocessing.get_context("spawn")
        with harness.Host(regions=REGIONS) as host:
            for name, (start, end) in POOLS.items():
                options = dbus.Dictionary({"name": name, "profile": "none"}, signature="sv")
                host.manager().SetupMgmt(dbus.UInt64(start), dbus.UInt64(end), options, signature="tta{sv}")
            clients = []
            for i in range(2):
                ours, theirs = context.Pipe()
                process = context.Process(target=client_main, args=(host.bus.address, theirs, SEED * 2 % 1000 + i), daemon=True)
                process.start()
                clients.append((process, ours))
            model = Model()
            kills = 0
            known = []
            try:
                while model.changes < CHANGES:
                    for _process, pipe in clients:
                        pipe.send(known)
                    # The moment of the blow is what is random here; nothing is waited for.
                    time.sleep(rng.uniform(0.05, 0.2))
                    host.daemon.kill()
                    kills += 1
                    for _process, pipe in clients:
                        self.assertTrue(pipe.poll(harness.PATIENCE), "a client hangs")
                        model.take(pipe.recv(), self)
                    host.daemon.start()
                    self.settled(host)
                    known = self.check(host, model)
                for _process, pipe in clients:
                    pipe.send(None)
            finally:
                for process, _pipe in clients:
                    process.join(harness.PATIENCE)
            print(f"# {kills} kills, {model.changes} changes acknowledged, {len(model.refused)} requests refused, "
                  f"{len(model.maybe)} without an answer to the end", flush=True)
            self.assertEqual(host.daemon.stop(), 0)
            self.check_journals(host)

    def settled(self, host):
        """Waits until recovery has ended, by the property's change."""
        properties = host.object(harness.ROOT, "org.freedesktop.DBus.Properties")
        deadline = time.monotonic() + harness.PATIENCE
        while str(properties.Get(harness.MANAGER, "State")) == "recovering":
            self.assertLess(time.monotonic(), deadline, "recovery does not end")
        reason = str(properties.Get(harness.MANAGER, "StateReason"))
        self.assertEqual(str(properties.Get(harness.MANAGER, "State")), "ok", reason)

    def check_journals(self, host):
        folder = host.daemon.backend_folder
        images = [f for f in os.listdir(folder) if f.startswith("mgmt-") and f.endswith(".img")]
        self.assertEqual(len(images), len(POOLS))
        for image in images:
            done = subprocess.run([os.environ["JOURNAL_CHECK_EXE"], os.path.join(folder, image)], capture_output=True, text=True,
                                  check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    harness.main()
