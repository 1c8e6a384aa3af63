# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Plays steps on a real pmemd and on the model's World, and compares every answer and every list."""

import os
import pwd
import random
import re
import select
import shutil
import time

import harness
import wire
from world import FRAME, INVALID, CREATING, Again, Changed, Made, Refused, runs, within

ERROR = "org.pmemd1.Error."
# What the bus says when the daemon died before it answered.
NO_ANSWER = ("org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.ServiceUnknown",
             "org.freedesktop.DBus.Error.NameHasNoOwner")
FAULT_NAMES = {"EIO": "Hardware", "ENOSPC": "NoSpace", "EBUSY": "Busy"}
SIGNATURES = {"SetupMgmt": "tta{sv}", "SetupData": "tttta{sv}", "AllocateMgmt": "ta{sv}", "AllocateData": "ta{sv}",
              "ReleaseData": "oa{sv}", "ReleaseMgmt": "oa{sv}", "Rename": "osa{sv}", "SetOwner": "oua{sv}",
              "Attach": "osa{sv}", "Detach": "osa{sv}"}
ARGUMENTS = {"SetupMgmt": ("smfn", "emfn"), "SetupData": ("smfn", "emfn", "mgmt_smfn", "mgmt_emfn"),
             "AllocateMgmt": ("bytes",), "AllocateData": ("bytes",)}
TYPES = {"name": "s", "request-id": "s", "profile": "s", "max-regions": "u", "init-labels": "b", "node": "i", "alignment": "t",
         "mgmt": "s", "until": "s", "guest-frame": "t", "allow-degraded": "b", "force": "b", "dry-run": "b", "raw": "s",
         "uid": "u", "mgmt_smfn": "t", "destroy": "b"}
NOBODY = 65534
NEVER = "/org/pmemd1/region/00000000_0000_4000_8000_000000000000"
DATA_PATH = re.compile(r"data-([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})\.img")
FOREIGN = "[Device]\nTag=somebody\nRaw={raw}\nStartFrame={start:#x}\nBytes={bytes}\n"


class Mismatch(Exception):
    """pmemd and the model differ."""


def typed(options):
    return [(k, ("s" if isinstance(v, str) else TYPES[k], v)) for k, v in options.items()]


def user_name(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return ""


def path_of(uuid):
    return "/org/pmemd1/region/" + uuid.replace("-", "_")


def uuid_of(path):
    return path.rsplit("/", 1)[1].replace("_", "-")


class Player:
    """A host in a folder of its own with its world. play(step) raises Mismatch; close() ends it."""

    def __init__(self, folder, groups, world):
        self.folder = folder
        self.world = world
        self.armed = None
        self.held = False
        self.owner = None
        self.jobs = {}
        self.seen = {}          # paths of all objects that ever were, by kind and serial
        self.paths = {}         # of data regions: their device has a uuid of its own
        self.uncertain = set()  # serials whose erase failed, for the next ReleaseData
        self.unclean = set()    # serials whose erase before the first guest failed, for the next start
        self.stats = {"operations": 0, "changes": 0, "refused": 0, "crashes": 0, "injected": 0, "lists": 0, "worlds": 0,
                      "repeated": 0, "storms": 0, "lent": 0, "health": 0, "lost": 0, "adopted": 0}
        os.chmod(folder, 0o711)
        self.bus = harness.Bus(folder).start()
        self.daemon = harness.Daemon(self.bus, folder, groups)
        self.backend = self.daemon.backend_folder
        for i, (start, end) in enumerate(world.foreign):
            raw = next(r for r in world.raws if r.start <= start < r.end)
            with open(os.path.join(self.backend, f"foreign{i}.dev"), "w", encoding="utf-8") as f:
                f.write(FOREIGN.format(raw=raw.id, start=start, bytes=(end - start) * FRAME))
        self.c = wire.Connection(self.bus.address, descriptors=True)
        self.c.bus("AddMatch", "s", "type='signal',interface='org.pmemd1.Manager',member='JobRemoved'")
        self.tenant = None
        if os.geteuid() == 0:
            os.seteuid(NOBODY)
            try:
                self.tenant = wire.Connection(self.bus.address)
            finally:
                os.seteuid(0)
        self.start()
        self.compare(full=True)

    def close(self, keep=False):
        self.c.close()
        if self.tenant:
            self.tenant.close()
        self.daemon.kill()
        self.bus.stop()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- the daemon ---

    def dead(self):
        return self.daemon.process is None or self.daemon.process.poll() is not None

    def start(self):
        self.jobs.clear()
        self.daemon.start(settled=False)
        # What came from the one before says nothing any more.
        self.owner = self.c.bus("GetNameOwner", "s", harness.NAME)[0]
        self.settle()

    def settle(self):
        deadline = time.monotonic() + harness.PATIENCE
        while (state := self.property("State")) == "recovering":
            if time.monotonic() > deadline:
                raise Mismatch("recovery does not end")
        return state

    def property(self, name):
        return self.c.call(harness.NAME, harness.ROOT, "org.freedesktop.DBus.Properties", "Get", "ss", harness.MANAGER, name)[0]

    def take_signals(self):
        for m in self.c.signals:
            if m.member == "JobRemoved" and m.sender == self.owner:
                self.jobs[uuid_of(m.body[1])] = (m.body[2], m.body[3])
        self.c.signals.clear()

    def wait_job(self, uuid):
        """("done" or "failed", message); None: the daemon died."""
        self.take_signals()
        end = None
        try:
            while uuid not in self.jobs:
                if len(self.c.buffer) < 16:
                    if end is None:
                        end = os.pidfd_open(self.daemon.pid)
                    readable, _, _ = select.select([self.c.socket, end], [], [], harness.PATIENCE)
                    if not readable:
                        raise Mismatch(f"the erase of {uuid} does not end")
                    if self.c.socket not in readable:
                        return None
                message = self.c.receive()
                if message.kind == wire.SIGNAL:
                    self.c.signals.append(message)
                    self.take_signals()
            return self.jobs.pop(uuid)
        finally:
            if end is not None:
                os.close(end)

    # --- faults ---

    def inject(self, order):
        path = os.path.join(self.backend, "inject.conf")
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(order)
        os.rename(path + ".new", path)

    def arm(self, step):
        self.armed = step
        self.inject(f"[{step['op']}]\nNth={step['nth']}\nWhen={step['when']}\nError={step['error']}\n")

    def disarm(self):
        self.armed = None
        try:
            os.unlink(os.path.join(self.backend, "inject.conf"))
        except FileNotFoundError:
            pass

    def fired(self):
        """The armed fault, if its call has begun."""
        if self.armed is None or os.path.exists(os.path.join(self.backend, "inject.conf")):
            return None
        fault, self.armed = self.armed, None
        self.stats["injected"] += 1
        return fault

    def hold(self):
        with open(os.path.join(self.backend, "hold"), "w", encoding="utf-8"):
            pass
        self.inject("[zero]\nWaitFile=hold\n")
        self.held = True

    def unhold(self):
        self.held = False
        self.disarm()
        os.unlink(os.path.join(self.backend, "hold"))
        self.finish_erasing()

    def finish_erasing(self):
        for region in [r for r in self.world.regions.values() if r.state == "quarantined" and r.serial not in self.uncertain]:
            result = self.wait_job(region.uuid)
            if result is None or result[0] != "done":
                raise Mismatch(f"the erase of {region.uuid} ended with {result}")
            self.world.erased(region.serial)
        for region in [r for r in self.world.regions.values() if r.dirty and r.serial not in self.unclean]:
            self.wait_clean(region, None)

    # --- calls ---

    def plain(self, reference, world):
        if reference is None:
            return NEVER
        thing = (world.regions if reference[0] == "region" else world.pools).get(reference[1])
        return path_of(thing.uuid) if thing else self.seen.get(tuple(reference), NEVER)

    def wire_args(self, method, args, world):
        return [self.plain(a, world) if SIGNATURES[method][i] == "o" else a for i, a in enumerate(args)]

    def answer(self, call, *args):
        """("ok", body) or ("error", name without prefix, text); ("died",)"""
        try:
            return "ok", call(*args)
        except wire.Error as e:
            if e.name in NO_ANSWER:
                return ("died",)
            return "error", e.name.removeprefix(ERROR), e.text

    @staticmethod
    def body(message):
        if message.kind == wire.ERROR:
            raise wire.Error(message.error_name, message.body[0] if message.body else "")
        message.close()
        return message.body

    def play(self, step):
        """Does the step. It keeps the serial number that stood before it, so that on another host its objects have the same names."""
        self.world.serial = max(self.world.serial, step.setdefault("serial", self.world.serial))
        try:
            getattr(self, "do_" + step["do"])(step)
        except (wire.Error, wire.Closed, harness.HarnessError, OSError) as e:
            raise Mismatch(f"{type(e).__name__}: {e}") from e

    @staticmethod
    def options_in(world, options):
        """A pool that option mgmt names by its serial number, by its uuid."""
        if isinstance(options.get("mgmt"), (tuple, list)):
            pool = world.pools.get(options["mgmt"][1])
            return {**options, "mgmt": pool.uuid if pool and pool.uuid else uuid_of(NEVER)}
        return options

    def do_arm(self, step):
        if not self.held:
            self.arm(step)

    def do_hold(self, _step):
        if not self.held and self.armed is None:
            self.hold()

    def do_unhold(self, _step):
        if self.held:
            self.unhold()
            self.compare()

    def do_restart(self, _step):
        if self.held:
            self.unhold()
        self.disarm()
        if (status := self.daemon.stop()) != 0:
            raise Mismatch(f"pmemd ended with status {status}")
        self.start()
        self.recovered([self.world])

    def do_call(self, step):
        method, args, options = step["method"], step["args"], self.options_in(self.world, step["options"])
        decision = self.world.decide(method, args, options)
        if self.world.forgotten & {options.get("request-id")} or self.is_unsure(self.world, method, args):
            return
        if self.held and method == "ReleaseData" and isinstance(decision, Changed) and decision.serial in self.uncertain:
            # Nothing may be left of it that could be erased, and then the held erase does not hold it: either would be right.
            return
        self.stats["operations"] += 1
        if step["plan"] and method in CREATING:
            self.stats["operations"] += 1
            self.check_plan(method, args, options)
        if method == "Attach":
            reply = self.answer(self.c.attach, *self.wire_args(method, args, self.world), *typed(options))
        else:
            reply = self.answer(self.c.manager, method, SIGNATURES[method], *self.wire_args(method, args, self.world), typed(options))
        fault = self.fired()
        if reply[0] == "died":
            self.killed(method, args, options, decision, fault)
        else:
            self.replied(method, args, options, decision, reply, fault)
            self.compare()

    def wanted(self, decision):
        return decision if isinstance(decision, (Refused, Again)) else f"{decision} done"

    def replied(self, method, args, options, decision, reply, fault):
        failed = reply[0] == "error"
        if isinstance(decision, Refused):
            self.stats["refused"] += 1
            if not failed or reply[1] not in decision.names:
                raise Mismatch(f"{method}: wanted {self.wanted(decision)}, got {reply}")
            return
        if isinstance(decision, Again):
            self.stats["repeated"] += 1
            if failed or reply[1] != ((decision.path,) if decision.path else ()):
                raise Mismatch(f"{method}: wanted {decision}, got {reply}")
            return
        if failed:
            if fault is None or reply[1] != FAULT_NAMES.get(fault["error"]):
                raise Mismatch(f"{method}: wanted {decision} done, got {reply}, fault {fault}")
            if method not in ("ReleaseMgmt", "SetupMgmt", "AllocateMgmt") and not (fault["op"] == "create" and fault["when"] != "after") \
                    and not (method == "Attach" and fault["op"] == "lend"):
                raise Mismatch(f"{method}: failed by {fault}, which is no reason: {reply}")
            if method == "ReleaseMgmt":
                self.half_released(decision.serial)
            return
        # EBUSY may be somebody's new device: pmemd looks again, and finds that nothing is in the way.
        if fault and fault["op"] == "create" and fault["when"] != "after" and fault["error"] != "EBUSY":
            raise Mismatch(f"{method}: done in spite of {fault}")
        if fault and fault["op"] == "lend":
            raise Mismatch(f"{method}: done in spite of {fault}")
        self.stats["changes"] += 1
        uuid = uuid_of(reply[1][0]) if isinstance(decision, Made) else None
        thing = self.world.act(method, args, options, decision, uuid, sender=self.c.name)
        if getattr(thing, "dirty", False) and isinstance(decision, Made) and not self.held:
            self.wait_clean(thing, fault if fault and fault["op"] in ("zero", "open_content") else None)
        if method == "Attach":
            self.check_lent(thing, reply[1])
        if isinstance(decision, Made):
            self.seen[(("pool" if decision.kind == "mgmt" else "region"), thing.serial)] = reply[1][0]
        if method == "ReleaseData":
            if reply[1][0] != path_of(thing.uuid).replace("region", "job", 1):
                raise Mismatch(f"the job of {thing.uuid} is {reply[1][0]}")
            self.uncertain.discard(thing.serial)
            if not self.held:
                self.wait_erased(thing, fault)

    def check_lent(self, region, body):
        """The descriptor is of the region's device, and the details are of the region and its lease."""
        descriptor, details = body
        self.stats["lent"] += 1
        try:
            same = os.path.sameopenfile(descriptor, file := os.open(self.paths[region.uuid], os.O_RDONLY))
            os.close(file)
        finally:
            os.close(descriptor)
        region.lease.since = region.lease.since or details["since"]
        wanted = {"path": self.paths[region.uuid], "bytes": (region.range[1] - region.range[0]) * FRAME, "node": region.raw.node,
                  "since": region.lease.since, "confirmed": True}
        wrong = self.differing(wanted, {k: details.get(k) for k in wanted})
        whole = wanted["bytes"] % (2 << 20) == 0    # else it is none for libvirt
        if wrong or not same or whole != ("<memory model='nvdimm'" in details["memory"]):
            raise Mismatch(f"Attach of {region.uuid}: wanted, got: {wrong}; the same file: {same}; {details}")

    def do_lender(self, step):
        """Somebody who has a region until they disconnect, which they do: at once, after a crash of pmemd, or during one."""
        region = self.world._target(step["target"], ("region",))
        if region is None or self.held:
            return
        self.disarm()
        self.stats["operations"] += 1
        lender = wire.Connection(self.bus.address, descriptors=True)
        options = {"until": "disconnect"}
        decision = self.world.decide("Attach", [step["target"], "lender"], options)
        reply = self.answer(lender.attach, path_of(region.uuid), "lender", *typed(options))
        if isinstance(decision, Refused):
            if reply[0] != "error" or reply[1] not in decision.names:
                raise Mismatch(f"Attach of a lender: wanted {decision}, got {reply}")
            lender.close()
            return
        if reply[0] != "ok":
            raise Mismatch(f"Attach of a lender: {reply}")
        self.world.act("Attach", [step["target"], "lender"], options, decision, sender=lender.name)
        self.check_lent(region, reply[1])
        self.compare()
        name = lender.name
        if step["when"] == "after":
            self.after_kill([self.world])
        if step["when"] != "during":
            lender.close()
        else:
            self.daemon.kill()
            lender.close()
        self.world.disconnected(name)
        if step["when"] == "during":
            self.after_kill(lambda: [self.wait_unlent(self.world._target(step["target"], ("region",))) or self.world])
        else:
            self.wait_unlent(self.world._target(step["target"], ("region",)))
            self.compare()

    def wait_unlent(self, region):
        """pmemd hears of the end of a connection from the bus, as we do: there is nothing to wait for but its list."""
        deadline = time.monotonic() + harness.PATIENCE
        while region.uuid in [r[0] for r in self.rows("ListLeases")]:
            if time.monotonic() > deadline:
                raise Mismatch(f"the lease of {region.uuid} does not end with its connection")
            time.sleep(0.001)

    def wait_erased(self, thing, fault):
        result = self.wait_job(thing.uuid)
        # It may have been the end of the erase before the first guest, told late.
        while result and result[0] == "done" and thing.uuid in [r[0] for r in self.rows("ListData")]:
            result = self.wait_job(thing.uuid)
        fault = fault or self.fired()
        if result is None:
            if not fault or fault["error"] != "kill":
                raise Mismatch(f"pmemd died while it erased; fault {fault}")
            self.after_kill([self.world])
        elif result[0] == "done":
            if fault and not (fault["op"] == "destroy" and fault["when"] != "before"):
                raise Mismatch(f"the erase of {thing.uuid} is done in spite of {fault}")
            self.world.erased(thing.serial)
        elif not fault or fault["error"] == "kill":
            raise Mismatch(f"the erase of {thing.uuid} failed: {result}; fault {fault}")
        else:
            self.uncertain.add(thing.serial)

    def wait_clean(self, region, fault):
        """A new region is erased before its first guest."""
        result = self.wait_job(region.uuid)
        fault = fault or self.fired()
        if result is None:
            if not fault or fault["error"] != "kill":
                raise Mismatch(f"pmemd died while it erased a new region; fault {fault}")
            self.after_kill([self.world])
        elif result[0] == "done":
            if fault:
                raise Mismatch(f"the first erase of {region.uuid} is done in spite of {fault}")
            region.dirty = False
        elif not fault or fault["error"] == "kill":
            raise Mismatch(f"the first erase of {region.uuid} failed: {result}; fault {fault}")
        else:
            self.unclean.add(region.serial)

    def half_released(self, serial):
        """A ReleaseMgmt that failed on the way, its superblocks gone: nothing uses the pool, and the next start ends it."""
        uuid = self.world.pools[serial].uuid
        if [r[10] for r in self.rows("ListMgmt") if r[0] == uuid] not in (["releasing"], []):
            raise Mismatch(f"{uuid} is neither gone nor being released after its release was cut short")
        del self.world.pools[serial]
        self.do_restart(None)

    def check_plan(self, method, args, options):
        options = {k: v for k, v in options.items() if k != "request-id"}
        decision = self.world.decide(method, args, options)
        arguments = [(n, ("t", v)) for n, v in zip(ARGUMENTS[method], args)]
        if {n for n, _ in arguments} & set(options):
            return
        reply = self.answer(self.c.manager, "Plan", "sa{sv}", method, arguments + typed(options))
        if isinstance(decision, Refused):
            if reply[0] != "error" or reply[1] not in decision.names:
                raise Mismatch(f"Plan {method}: wanted {decision}, got {reply}")
            return
        if reply[0] != "ok":
            raise Mismatch(f"Plan {method}: wanted {decision}, got {reply}")
        raw, (start, end) = decision.raw, decision.range
        wanted = {"StartFrame": start, "EndFrame": end, "DeviceStartFrame": start - raw.lead, "DeviceEndFrame": end,
                  "UsableBytes": (end - start) * FRAME, "RequestedBytes": decision.requested,
                  "WastedBytes": (end - start) * FRAME - decision.requested, "OverheadBytes": raw.lead * FRAME,
                  "JournalFrames": decision.journal, "RequiredFrames": decision.required, "Node": raw.node, "LocalNode": raw.node,
                  "Raw": raw.id, "HostMemoryBytes": 0, "BadFrames": decision.bad, "Warning": ""}
        if decision.kind == "data":
            wanted |= {"ExtentStart": decision.extent[0], "ExtentEnd": decision.extent[1],
                       "Pool": self.world.pools[decision.pool].uuid}
        got = reply[1][0]
        if got != wanted:
            raise Mismatch(f"Plan {method}: wanted, got: {self.differing(wanted, got)}")

    @staticmethod
    def differing(wanted, got):
        return {k: (wanted.get(k), got.get(k)) for k in sorted({*wanted, *got}) if wanted.get(k) != got.get(k)}

    # --- bad frames ---

    def write_health(self):
        """What the world's platform shows, as health.conf."""
        text = ""
        for raw in self.world.raws:
            if bad := runs(within(self.world.bad, (raw.start, raw.end))):
                text += f"[{raw.id}]\nBadFrames={' '.join(f'{s:#x}+{e - s}' for s, e in bad)}\n"
        for dimm, (names, health) in self.world.dimms.items():
            text += f"[dimm {dimm}]\nRegions={' '.join(names)}\nState={health}\nTemperature={self.stats['health'] % 100}\n"
        path = os.path.join(self.backend, "health.conf")
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(path + ".new", path)

    def check_health(self):
        """What pmemd cleared it took out of health.conf, and nothing else."""
        path, found = os.path.join(self.backend, "health.conf"), set()
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                for key, value in re.findall(r"^(\w+)=(.*)$", f.read(), re.M):
                    for word in re.split(r"[ ;,]+", value.strip(" ;,")) if key == "BadFrames" and value.strip() else []:
                        first, _, number = word.partition("+")
                        found |= set(range(int(first, 0), int(first, 0) + (int(number, 0) if number else 1)))
        if found != self.world.bad:
            raise Mismatch(f"health.conf: model has {runs(self.world.bad)}, the file {runs(found)}")

    def do_health(self, step):
        """Frames go bad or good again, DIMMs feel otherwise; pmemd hears of it a moment later, or at its start."""
        if self.held or any(r.state != "ok" or r.dirty for r in self.world.regions.values()):
            return      # who knows what is cleared just now
        self.stats["operations"] += 1
        self.stats["health"] += 1
        self.disarm()
        if step["stopped"] and (status := self.daemon.stop()) != 0:
            raise Mismatch(f"pmemd ended with status {status}")
        for first, number in step["good"]:
            self.world.bad -= set(range(first, first + number))
        for first, number in step["bad"]:
            self.world.bad |= set(range(first, first + number))
        # There is always one, whose temperature tells when pmemd has read the file: not all frames that go bad are seen in a list.
        self.world.dimms = {k: tuple(v) for k, v in step["dimms"].items()} or {"d0": ([self.world.raws[0].id], "ok")}
        self.write_health()
        if step["stopped"]:
            self.start()
            self.recovered([self.world])
            return
        self.world.look()
        deadline = time.monotonic() + harness.PATIENCE
        while not self.health_is_known():
            if time.monotonic() > deadline:
                break
            time.sleep(0.002)
        self.compare(full=True)

    def health_is_known(self):
        """pmemd hears of the file from the kernel, as it does of DIMMs: there is nothing to wait for but what it tells."""
        dimms = sorted((r[0], r[1], r[3], r[7]) for r in self.c.manager("ListDimms", "")[0])
        return dimms == sorted((raw, dimm, health, self.stats["health"] % 100)
                               for dimm, (names, health) in self.world.dimms.items() for raw in names)

    def do_clear(self, step):
        """ClearBadFrames of a region, or of what is nobody's in a raw region."""
        w = self.world
        if self.held or any(r.state != "ok" or r.dirty for r in w.regions.values()):
            return
        self.stats["operations"] += 1
        self.disarm()
        options = {k: v for k, v in step["options"].items() if k != "raw"}
        if "raw" in step["options"]:
            raw = next(r for r in w.raws if r.id == step["options"]["raw"])
            path, base, bad, decision = "/", raw.start, w.nobodys_bad(raw), None
            call = ("ClearBadFrames", "oa{sv}", path, typed({**options, "raw": raw.id}))
        else:
            decision = w.decide("ClearBadFrames", [step["target"]], options)
            path = self.plain(step["target"], w)
            thing = w._target(step["target"], ("region",))
            base, bad = (thing.range[0], thing.bad) if thing else (0, ())
            call = ("ClearBadFrames", "oa{sv}", path, typed(options))
        reply = self.answer(self.c.manager, *call)
        if isinstance(decision, Refused):
            self.stats["refused"] += 1
            if reply[0] != "error" or reply[1] not in decision.names:
                raise Mismatch(f"ClearBadFrames: wanted {decision}, got {reply}")
            return
        lost = [(path, s, e, (s - base) * FRAME) for s, e in runs(bad)]
        if reply[0] != "ok" or [tuple(r) for r in reply[1][0]] != lost:
            raise Mismatch(f"ClearBadFrames: wanted {lost}, got {reply}")
        if not step["options"].get("dry-run"):
            w.cleared(bad)
            self.stats["changes"] += 1
        self.compare(full=True)
        self.check_health()

    # --- what is lost, and found ---

    def files_of(self, thing):
        """The files of a device of ours."""
        if not hasattr(thing, "pool"):
            return [f"{thing.uuid}.dev", f"mgmt-{thing.uuid}.img"]
        image = os.path.basename(self.paths[thing.uuid])
        return [DATA_PATH.fullmatch(image)[1] + ".dev", image]

    def restart_without(self, thing):
        """pmemd starts again and a device is not there."""
        away = os.path.join(self.folder, "away")
        os.makedirs(away, exist_ok=True)
        if (status := self.daemon.stop()) != 0:
            raise Mismatch(f"pmemd ended with status {status}")
        for name in self.files_of(thing):
            os.rename(os.path.join(self.backend, name), os.path.join(away, name))
        return away

    def take_away(self, region):
        """A region's device goes while pmemd runs, which it hears of by itself."""
        away = os.path.join(self.folder, "away")
        os.makedirs(away, exist_ok=True)
        for name in self.files_of(region):
            os.rename(os.path.join(self.backend, name), os.path.join(away, name))
        self.await_state(region, "missing")
        return away

    def give_back(self, region, away):
        for name in self.files_of(region):
            os.rename(os.path.join(away, name), os.path.join(self.backend, name))
        region.state = "ok"
        self.await_state(region, region.shown)

    def await_state(self, region, state):
        deadline = time.monotonic() + harness.PATIENCE
        while (now := self.c.get_all(path_of(region.uuid), "org.pmemd1.Region")["State"]) != state:
            if time.monotonic() > deadline:
                raise Mismatch(f"{region.uuid} is {now} and not {state} though its device went or came")
            time.sleep(0.01)

    def bring_back(self, thing, away):
        if (status := self.daemon.stop()) != 0:
            raise Mismatch(f"pmemd ended with status {status}")
        for name in self.files_of(thing):
            os.rename(os.path.join(away, name), os.path.join(self.backend, name))

    def restarted(self):
        self.start()
        self.recovered([self.world])

    def settled(self):
        """Nothing is under way that a restart would change."""
        if self.held or any(r.state != "ok" or r.dirty for r in self.world.regions.values()):
            return False
        self.disarm()
        self.stats["operations"] += 1
        return True

    def expect(self, method, decision, *args):
        reply = self.answer(self.c.manager, method, *args)
        if isinstance(decision, Refused):
            if reply[0] != "error" or reply[1] not in decision.names:
                raise Mismatch(f"{method}: wanted {decision}, got {reply}")
        elif reply[0] != "ok":
            raise Mismatch(f"{method}: wanted {decision} done, got {reply}")
        return reply

    def do_lose(self, step):
        """A data region's device is gone at a start, or goes while pmemd runs (live): the region is missing, its frames are not free. It
        comes back, or is forgotten."""
        w, target = self.world, tuple(step["target"])
        region = w._target(target, ("region",))
        if region is None or not self.settled():
            return
        self.stats["lost"] += 1
        self.expect("Forget", w.decide("Forget", [target], {}), "sa{sv}", region.uuid, [])  # it is there
        mark = self.mark(region)
        live = step.get("live", False)
        away = self.take_away(region) if live else self.restart_without(region)
        region.state = "missing"
        if live:
            self.compare(full=True)
        else:
            self.restarted()
        path = path_of(region.uuid)
        self.expect("ReleaseData", w.decide("ReleaseData", [target], {}), "oa{sv}", path, [])
        self.expect("Attach", w.decide("Attach", [target, "vm1"], {}), "osa{sv}", path, "vm1", [])
        self.expect("ClearBadFrames", w.decide("ClearBadFrames", [target], {}), "oa{sv}", path, [])
        if step["back"] or region.lease:
            if live:
                self.give_back(region, away)
                self.compare(full=True)
            else:
                self.bring_back(region, away)
                region.state = "ok"
                self.restarted()
            self.check_mark(region, mark)
            return
        decision = w.decide("Forget", [target], {})
        reply = self.expect("Forget", decision, "sa{sv}", region.uuid, [])
        if reply[1] != ("/",):
            raise Mismatch(f"Forget of a missing region: {reply}")
        w.act("Forget", [target], {}, decision)
        self.compare(full=True)
        self.check_files()

    def mark(self, region):
        """Puts something into a region that must not be lost."""
        mark = random.Random(region.serial).randbytes(8)
        with open(self.paths[region.uuid], "r+b") as f:
            f.seek(-8, os.SEEK_END)
            f.write(mark)
        return mark

    def check_mark(self, region, mark):
        with open(self.paths[region.uuid], "rb") as f:
            f.seek(-8, os.SEEK_END)
            if f.read() != mark:
                raise Mismatch(f"what was in {region.uuid} is lost")

    def do_lose_pool(self, step):
        """A pool's own device is gone at a start: what was its are orphans. It comes back, or never does."""
        w = self.world
        pool = w.pools.get(step["target"][1])
        if pool is None or not self.settled():
            return
        self.stats["lost"] += 1
        without = w.clone()
        without.pool_lost(pool.serial)
        for region in without.orphans.values():
            self.mark(region)
        away = self.restart_without(pool)
        self.world = without
        self.restarted()
        if step["back"]:
            self.bring_back(pool, away)
            self.world = w
            self.restarted()
        for serial in [*without.orphans, *w.regions]:
            if serial in without.orphans:
                region = without.orphans[serial]
                self.check_mark(region, random.Random(serial).randbytes(8))

    def do_adopt(self, step):
        """Adopt of an orphan, or Forget of it with destroy; maybe cut off. Of a foreign device it is refused."""
        w, method = self.world, step["method"]
        if not self.settled():
            return
        kind, which = step["target"]
        orphan = w.orphans.get(which) if kind == "orphan" else None
        device = next(r[0] for r in self.rows("ListForeign") if r[4] == "foreign") if kind == "foreign" else DATA_PATH.search(self.paths[orphan.uuid])[1] if orphan else uuid_of(NEVER)
        options = self.options_in(w, step["options"])
        args, decision = [tuple(step["target"])], w.decide(method, [tuple(step["target"])], options)
        if step["kill"] is not None and isinstance(decision, Made):
            after = w.clone()
            thing = after.act(method, args, options, decision)
            serial = self.c.send(harness.NAME, harness.ROOT, harness.MANAGER, method, "sa{sv}", device, typed(options))
            time.sleep(step["kill"])    # the moment of the blow is what is random here; nothing is waited for
            self.daemon.kill()
            reply = self.answer(self.c.wait, serial)
            if reply[0] == "error":
                raise Mismatch(f"{method}: wanted {decision}, got {reply}")
            self.after_kill([after] if reply[0] == "ok" else [w, after])
        else:
            reply = self.expect(method, decision, "sa{sv}", device, typed(options))
            if not isinstance(decision, Made):
                self.stats["refused"] += 1
                if not isinstance(decision, Refused) and reply[1] != (decision.path,):
                    raise Mismatch(f"{method}: wanted {decision}, got {reply}")
                return
            thing = w.act(method, args, options, decision, uuid_of(reply[1][0]))
            self.seen["region", thing.serial] = path_of(thing.uuid)
            self.stats["changes"] += 1
            if method == "Forget":
                self.wait_erased(thing, None)
            self.compare(full=True)
        self.stats["adopted"] += 1
        thing = self.world.regions.get(thing.serial)
        if thing and orphan:
            self.check_mark(thing, random.Random(orphan.serial).randbytes(8))

    # --- crashes ---

    def killed(self, method, args, options, decision, fault):
        """The daemon died by an ordered fault in this call."""
        if not fault or fault["error"] != "kill":
            raise Mismatch(f"{method}: pmemd died; fault {fault}")
        before, after = self.world, self.world.clone()
        if isinstance(decision, (Made, Changed)):
            after.act(method, args, options, decision, sender=self.c.name)
        made_data = isinstance(decision, Made) and decision.kind == "data"
        if made_data and fault["op"] == "create":
            worlds = [after] if fault["when"] == "after" else [before]
        elif isinstance(decision, Made) or method == "Attach":
            # The device is opened before the lease is journalled.
            worlds = [before]
        else:
            # The release is journalled, or its hint written, before the backend is asked.
            worlds = [after]
        self.after_kill(worlds)

    def after_kill(self, worlds, again=None):
        self.daemon.kill()
        self.stats["crashes"] += 1
        if self.held:
            os.unlink(os.path.join(self.backend, "hold"))
            self.held = False
        self.disarm()
        if again:
            self.cut_recovery(again)
        self.start()
        self.recovered(worlds)

    def cut_recovery(self, fault):
        """A start that an ordered fault may cut off at any point; the next start has to end it."""
        self.arm(fault)
        try:
            self.start()
            for uuid in [r[0] for r in self.rows("ListData") if r[9] == "quarantined"]:
                if self.wait_job(uuid) is None:
                    break
        except harness.HarnessError as e:
            if not self.dead():
                raise Mismatch(f"a start with {fault}: {e}") from e
        except wire.Error as e:
            if e.name not in NO_ANSWER:
                raise Mismatch(f"a start with {fault}: {e}") from e
        if self.fired():
            self.stats["crashes"] += 1
        self.daemon.kill()
        self.disarm()

    def do_crash(self, step):
        """Calls one after the other without waiting, then SIGKILL: each prefix of them may be what happened."""
        world = self.world.clone()
        # A release that was answered may not have come to its erase yet: what holds that stays until the daemon is dead.
        self.disarm_unless_held()
        worlds, sent, lent = [world], [], set()
        for method, args, options in step["calls"]:
            if world.forgotten & {options.get("request-id")}:
                continue
            if any(self.is_new(a, world) for a in args) or self.is_unsure(world, method, args):
                continue    # nobody can know its path yet
            if method in ("Attach", "Detach", "ReleaseData") and args[0] and tuple(args[0]) in lent and (
                    method != "Detach" or options.get("force")):
                continue    # the bus may still have the descriptor that Attach answered with, and Busy be right
            if method == "Attach" and args[0]:
                lent.add(tuple(args[0]))
            options = self.options_in(self.world, options)
            decision = world.decide(method, args, options)
            serial = self.c.send(harness.NAME, harness.ROOT, harness.MANAGER, method, SIGNATURES[method],
                                 *self.wire_args(method, args, self.world), typed(options))
            self.stats["operations"] += 1
            sent.append((serial, method, decision))
            if isinstance(decision, (Made, Changed)):
                world = world.clone()
                world.act(method, args, options, decision, sender=self.c.name)
                worlds.append(world)
        # The moment of the blow is what is random here; nothing is waited for.
        time.sleep(step["delay"])
        self.daemon.kill()
        done, replies = 0, {}
        while len(replies) < len(sent):
            message = self.c.receive()
            if message.kind != wire.SIGNAL:
                replies[message.reply_serial] = message
        for serial, method, decision in sent:
            reply = self.answer(self.body, replies[serial])
            fine = isinstance(decision, (Made, Changed))
            self.stats["lent"] += reply[0] == "ok" and method == "Attach"
            if reply[0] == "ok" and not isinstance(decision, Refused):
                if fine:
                    done = worlds_done(sent, serial)
                elif reply[1] != (decision.path,) and decision.path:
                    raise Mismatch(f"{method} before a crash: wanted {decision}, got {reply}")
            elif reply[0] == "ok" or reply[0] == "error" and not (isinstance(decision, Refused) and reply[1] in decision.names):
                raise Mismatch(f"{method} before a crash: wanted {self.wanted(decision)}, got {reply}")
        self.stats["worlds"] += len(worlds[done:]) > 1
        self.after_kill(worlds[done:], step["again"])

    @staticmethod
    def is_unsure(world, method, args):
        """A Detach of what nobody has, where a crash hid who had it last: done again, or refused."""
        region = world._target(args[0], ("region",)) if method == "Detach" else None
        return region is not None and region.lease is None and region.unsure

    def is_new(self, reference, world):
        """Names something that is in world, but not yet in ours."""
        return isinstance(reference, (tuple, list)) and bool(
            world._target(reference, ("region", "pool")) and not self.world._target(reference, ("region", "pool")))

    def do_storm(self, step):
        """Renames in batches that the queue takes; the daemon dies in one of them, when so ordered."""
        target = self.world._target(step["target"], ("pool", "region"))
        if target is None or target.state != "ok":
            return
        self.disarm_unless_held()
        path, done, batch = path_of(target.uuid), -1, 100  # a bus takes 128 at once
        for first in range(0, step["number"], batch):
            sent = {self.c.send(harness.NAME, harness.ROOT, harness.MANAGER, "Rename", "osa{sv}", path, f"{step['prefix']}{i}", []): i
                    for i in range(first, first + batch)}
            killed = step["kill"] == first // batch
            if killed:
                # The moment of the blow is what is random here; nothing is waited for.
                time.sleep(step["delay"])
                self.daemon.kill()
            while sent:
                message = self.c.receive()
                if message.kind == wire.SIGNAL:
                    continue
                i = sent.pop(message.reply_serial)
                reply = self.answer(self.body, message)
                if reply == ("ok", ()):
                    done = max(done, i)
                elif reply[0] != "died" or not killed:
                    raise Mismatch(f"Rename {i} of a storm: {reply}")
            self.stats["storms"] += batch
            if killed:
                self.after_kill(lambda: self.named_in_storm(target, step["prefix"], done, first + batch))
                return
        target.name = f"{step['prefix']}{done}"
        self.compare()

    def disarm_unless_held(self):
        if not self.held:
            self.disarm()

    def named_in_storm(self, target, prefix, done, end):
        """After a crash any name from the last that was acknowledged to the last that was asked for is right."""
        world = self.world.clone()
        rows = self.rows("ListMgmt") + self.rows("ListData")
        name = next((r[1] for r in rows if r[0] == target.uuid), "")
        if name in [f"{prefix}{i}" for i in range(max(done, 0), end)]:
            world._target(("pool" if target.serial in world.pools else "region", target.serial), ("pool", "region")).name = name
        elif done >= 0:
            raise Mismatch(f"{target.uuid} has the name {name}; acknowledged was {prefix}{done}")
        return [world]

    def recovered(self, worlds):
        """After a start: erases that were under way end, then one of the worlds has to be what the lists say."""
        self.uncertain.clear()
        self.unclean.clear()
        for row in self.rows("ListData"):
            if row[10]:
                result = self.wait_job(row[0])
                if result is None or result[0] != "done":
                    raise Mismatch(f"after a start the erase of {row[0]} ended with {result}")
        worlds = worlds() if callable(worlds) else worlds
        for world in worlds:
            world.started()
        for serial in worlds[0].regions:
            of = [w.regions[serial] for w in worlds if serial in w.regions]
            for region in of:
                region.unsure = region.unsure or any(r.last != region.last for r in of)
        faults = []
        for world in worlds:
            self.world = world
            try:
                self.compare(full=True)
                self.check_files()
                self.check_health()
                return
            except Mismatch as e:
                faults.append(str(e))
        raise Mismatch("after a crash none of the possible worlds is there:\n" + "\n or ".join(faults))

    def check_files(self):
        wanted = {f"foreign{i}.dev" for i in range(len(self.world.foreign))} | {"regions.conf", "lock"}
        for x in self.world.pools.values():
            wanted |= {f"{x.uuid}.dev", f"mgmt-{x.uuid}.img"}
        for x in [*self.world.regions.values(), *self.world.orphans.values()]:
            if x.state == "missing":
                continue
            image = os.path.basename(self.paths[x.uuid])
            wanted |= {DATA_PATH.fullmatch(image)[1] + ".dev", image}
        got = set(os.listdir(self.backend))
        if {n for n in got if n.endswith((".dev", ".img"))} ^ {n for n in wanted if n.endswith((".dev", ".img"))}:
            raise Mismatch(f"files: too many {sorted(got - wanted)}, too few {sorted(wanted - got)}")

    # --- lists ---

    def rows(self, method, page=0, connection=None):
        found, cursor = [], ""
        while True:
            rows, cursor = (connection or self.c).manager(method, "su", cursor, page)
            found += rows
            self.stats["lists"] += 1
            if page and len(rows) > page:
                raise Mismatch(f"{method} gives {len(rows)} entries of {page}")
            if not cursor:
                return found
            if not rows:
                raise Mismatch(f"{method}: a cursor, but no entries")

    def learn(self, data, mgmt):
        """Regions whose answer a crash swallowed are known by their place."""
        for things, rows in ((self.world.regions, data), (self.world.pools, mgmt)):
            for thing in things.values():
                if thing.uuid is None:
                    uuid = next((r[0] for r in rows if (r[2], r[3]) == thing.range), None)
                    if uuid:
                        self.world.learned(thing, uuid)
                        self.seen[("region" if things is self.world.regions else "pool", thing.serial)] = path_of(uuid)

    def mgmt_rows(self):
        w = self.world
        return [(p.uuid, p.name, *p.range, w.pool_used(p), w.pool_free(p), p.raw.node, p.raw.node,
                 sum(r.pool == p.serial for r in w.regions.values()), p.profile, p.shown, p.uid, user_name(p.uid),
                 os.path.join(self.backend, f"mgmt-{p.uuid}.img"))
                for p in sorted(w.pools.values(), key=lambda p: p.range)]

    def data_rows(self):
        w = self.world
        return [(r.uuid, r.name, *r.range, w.pools[r.pool].uuid, *r.extent, r.raw.node, r.raw.node, r.shown,
                 r.dirty or r.state == "quarantined", r.uid, user_name(r.uid),
                 "" if r.state == "missing" else self.paths.get(r.uuid, ""))
                for r in sorted(w.regions.values(), key=lambda r: r.range)]

    def lease_rows(self):
        w = self.world
        return [(r.uuid, r.name, w.pools[r.pool].uuid, r.lease.owner, r.lease.uid, user_name(r.lease.uid), r.lease.since,
                 "disconnect" if r.lease.sender else "detach", r.lease.confirmed, r.lease.guest_frame)
                for r in sorted(w.regions.values(), key=lambda r: r.range) if r.lease]

    def compare_leases(self):
        """When a lease began is learned once, and stays."""
        rows = self.rows("ListLeases")
        for row in rows:
            for region in self.world.regions.values():
                if region.uuid == row[0] and region.lease and region.lease.since is None:
                    region.lease.since = row[6]
        self.same("ListLeases", self.lease_rows(), rows)

    def raw_rows(self):
        rows = []
        for raw in sorted(self.world.raws, key=lambda r: r.start):
            free = [e - s for s, e in self.world.raw_gaps(raw)]
            rows.append((raw.id, raw.start, raw.end, raw.node, raw.node, raw.step * FRAME, raw.lead * FRAME, raw.minimum * FRAME,
                         sum(free) * FRAME, max(free, default=0) * FRAME, "file", "file", "ok"))
        return rows

    def same(self, what, wanted, got):
        if wanted == got:
            return
        lines = [f"{what}: not as the model has it"]
        lines += [f"  model: {w}" for w in wanted if w not in got] + [f"  pmemd: {g}" for g in got if g not in wanted]
        raise Mismatch("\n".join(lines))

    def compare(self, full=False):
        if self.dead():
            raise Mismatch("pmemd is dead")
        data, mgmt = self.rows("ListData"), self.rows("ListMgmt")
        self.learn(data, mgmt)
        for row in data:
            if row[9] == "missing":
                continue
            if self.paths.setdefault(row[0], row[13]) == row[13] and not (
                    DATA_PATH.fullmatch(row[13].removeprefix(self.backend + "/")) and
                    (row[9] == "quarantined" or os.path.exists(row[13]))):
                raise Mismatch(f"{row[0]} has the path {row[13]}")
        # Of a release that failed on the platform the path may be gone already; that of the others may not.
        shaky = {self.world.regions[s].uuid for s in self.uncertain if s in self.world.regions}
        hide = [(*r[:13], "") if r[0] in shaky else r for r in data]
        self.same("ListData", [(*r[:13], "") if r[0] in shaky else r for r in self.data_rows()], hide)
        self.same("ListMgmt", self.mgmt_rows(), mgmt)
        self.compare_leases()
        if full or self.stats["operations"] % 4 == 0:
            self.same("ListRaw", self.raw_rows(), self.rows("ListRaw"))
            if full:
                got = [(r[1], r[2], r[4], r[5]) for r in self.rows("ListForeign")]
                orphans = [o.device for o in self.world.orphans.values()]
                wanted = [(s, e, "orphan" if (s, e) in orphans else "foreign",
                           next(x.id for x in self.world.raws if x.start <= s < x.end)) for s, e in sorted(self.world.others())]
                self.same("ListForeign", wanted, got)

    # --- reading ---

    def do_read(self, step):
        self.stats["operations"] += 1
        getattr(self, "read_" + step["what"])(random.Random(step["dice"]))

    def read_pages(self, rng):
        page = rng.randrange(1, 9)
        self.same("ListData in pages", [r[0] for r in self.data_rows()], [r[0] for r in self.rows("ListData", page)])
        self.same("ListMgmt in pages", [r[0] for r in self.mgmt_rows()], [r[0] for r in self.rows("ListMgmt", page)])
        self.same("ListRaw in pages", self.raw_rows(), self.rows("ListRaw", page))

    def read_count(self, _rng):
        w = self.world
        for kind, number in (("raw", len(w.raws)), ("mgmt", len(w.pools)), ("data", len(w.regions)), ("foreign", len(w.others()))):
            self.same(f"CountRegions {kind}", (number,), self.c.manager("CountRegions", "s", kind))

    def read_refuse(self, rng):
        calls = [("CountRegions", "s", "Data", "InvalidArgument"), ("CountRegions", "s", "", "InvalidArgument"),
                 ("GetRegion", "s", "nobody/n1", "NoSuchRegion"), ("GetRegion", "s", "/dev/null", "NoSuchRegion"),
                 ("GetRegion", "s", "00000000-0000-4000-8000-000000000000", "NoSuchRegion")]
        method, signature, argument, name = rng.choice(calls)
        reply = self.answer(self.c.manager, method, signature, argument)
        if reply[:2] != ("error", name):
            raise Mismatch(f"{method} {argument!r}: wanted {name}, got {reply}")
        for method in ("ListData", "ListMgmt", "ListRaw", "ListForeign"):
            reply = self.answer(self.c.manager, method, "su", rng.choice(["x", "1", "-", "0x1:2", "zz:zz"]), 1)
            if reply[:2] != ("error", "InvalidArgument"):
                raise Mismatch(f"{method} with a bad cursor: {reply}")
        reply = self.answer(self.c.manager, "Plan", "sa{sv}", "ReleaseData", [])
        if reply[:2] != ("error", "InvalidArgument"):
            raise Mismatch(f"Plan ReleaseData: {reply}")

    def read_get(self, rng):
        w = self.world
        things = [*w.pools.values(), *w.regions.values()]
        for thing in rng.sample(things, min(4, len(things))):
            keys = [thing.uuid]
            kind = "data" if hasattr(thing, "pool") else "mgmt"
            if not getattr(thing, "state", "ok") == "quarantined":
                keys.append(self.paths[thing.uuid] if kind == "data" else os.path.join(self.backend, f"mgmt-{thing.uuid}.img"))
                if kind == "data" and thing.name and w.pools[thing.pool].name:
                    keys.append(f"{w.pools[thing.pool].name}/{thing.name}")
            for key in keys:
                reply = self.answer(self.c.manager, "GetRegion", "s", key)
                if reply != ("ok", (path_of(thing.uuid),)):
                    raise Mismatch(f"GetRegion {key}: {reply}")
            if thing.name and not any(t.name == thing.name for t in w.regions.values() if t.state != "ok"):
                named = [t for t in things if t.name == thing.name]
                reply = self.answer(self.c.manager, "GetRegion", "s", thing.name)
                if reply != ("ok", (path_of(thing.uuid),)) if len(named) == 1 else reply[:2] != ("error", "InvalidArgument"):
                    raise Mismatch(f"GetRegion {thing.name}, the name of {len(named)}: {reply}")

    def read_locate(self, rng):
        """The borders of everything, and frames anywhere, in one call and one by one."""
        w = self.world
        edges = [f for t in [*w.pools.values(), *w.regions.values()] for f in (*t.device, *t.range)]
        edges += [f for r in w.regions.values() for f in r.extent] + [f for r in w.raws for f in (r.start, r.end)]
        edges += [f for p in w.pools.values() for f in (p.range[0] + p.head, p.range[0] + p.raw.unit // FRAME, p.range[1] - p.tail)]
        frames = [rng.choice(edges) + rng.choice((-1, 0, 0, 1)) for _ in range(20)]
        frames += [rng.randrange(r.start, r.end) for r in w.raws for _ in range(4)]
        frames = [max(f, 0) for f in frames]
        replies = self.c.manager("LocateList", "at", frames)[0]
        if len(replies) != len(frames):
            raise Mismatch(f"LocateList gives {len(replies)} entries for {len(frames)}")
        for frame, reply in zip(frames, replies):
            kind, thing, offset, part, extent_of = w.locate(frame)
            region = extent_of or thing
            if getattr(region, "state", "ok") != "ok" and kind in ("data", "mgmt"):
                continue  # its erase may end at any time
            path = path_of(thing.uuid) if kind in ("data", "mgmt") else "/"
            details = reply[3]
            got = reply[:3] + (details.get("Part", ""), details.get("ExtentOf", ""), details.get("Uuid"))
            wanted = (kind, path, offset, part, path_of(extent_of.uuid) if extent_of else "",
                      thing.uuid if kind in ("data", "mgmt") else None)
            if got != wanted:
                raise Mismatch(f"Locate {frame:#x}: model {wanted}, pmemd {reply}")
            lease = thing.lease if kind == "data" else None
            wanted = (lease.owner if lease else "",
                      lease.guest_frame + frame - thing.range[0] if lease and part == "usable" and lease.guest_frame != INVALID else None)
            if (got := (details.get("LeaseOwner", ""), details.get("GuestFrame"))) != wanted:
                raise Mismatch(f"Locate {frame:#x}: lease and guest's frame in the model {wanted}, pmemd {got}")
            if kind == "raw" and details.get("Raw") != thing.id:
                raise Mismatch(f"Locate {frame:#x}: {reply} is in {thing.id}")
        frame, reply = rng.choice(list(zip(frames, replies)))
        single = self.answer(self.c.manager, "Locate", "t", frame)
        if not any(r.state != "ok" for r in w.regions.values()) and single != ("ok", (reply,)):
            raise Mismatch(f"Locate {frame:#x}: {single}, in a list {reply}")

    def read_props(self, _rng):
        w = self.world
        got = self.c.get_all(harness.ROOT, harness.MANAGER)
        free = sum(e - s for raw in w.raws for s, e in w.raw_gaps(raw))
        wanted = {"Backend": "file", "State": "ok", "StateReason": "", "RawRegions": len(w.raws), "MgmtRegions": len(w.pools),
                  "DataRegions": len(w.regions), "ForeignDevices": len(w.others()),
                  "RawBytes": sum(r.end - r.start for r in w.raws) * FRAME,
                  "MgmtBytes": sum(p.range[1] - p.range[0] for p in w.pools.values()) * FRAME,
                  "DataBytes": sum(r.range[1] - r.range[0] for r in w.regions.values()) * FRAME,
                  "FreeBytes": free * FRAME, "QueuedRequests": 0}
        if any(p.bad for p in w.pools.values()):
            wanted["State"] = "degraded"
            wanted.pop("StateReason")
        if self.uncertain:
            wanted.pop("State")
            wanted.pop("StateReason", None)
        wrong = {k: (v, got.get(k)) for k, v in wanted.items() if got.get(k) != v}
        if wrong:
            raise Mismatch(f"properties of the Manager: wanted, got: {wrong}")

    def read_region(self, rng):
        things = [("mgmt", r) for r in self.mgmt_rows()] + [("data", r) for r in self.data_rows()]
        if not things:
            return
        kind, row = rng.choice(things)
        got = self.c.get_all(path_of(row[0]), harness.REGION)
        wanted = {"Kind": kind, "Uuid": row[0], "Name": row[1], "StartFrame": row[2], "EndFrame": row[3],
                  "Bytes": (row[3] - row[2]) * FRAME, "OwnerUid": row[11], "Owner": row[12]}
        if kind == "mgmt":
            wanted |= {"Pool": row[0], "ExtentStart": 0, "ExtentEnd": 0, "UsedFrames": row[4], "FreeFrames": row[5], "Node": row[6],
                       "Profile": row[9], "State": row[10]}
        else:
            wanted |= {"Pool": row[4], "ExtentStart": row[5], "ExtentEnd": row[6], "UsedFrames": 0, "FreeFrames": 0, "Node": row[7],
                       "Profile": "", "State": row[9], "Dirty": row[10]}
            lease = next((r[3:] for r in self.lease_rows() if r[0] == row[0]), None)
            keys = ("LeaseOwner", "LeaseUid", "LeaseUser", "LeaseSinceUsec", "LeaseUntil", "LeaseConfirmed", "LeaseGuestFrame")
            wanted |= dict(zip(keys, lease)) if lease else {"LeaseOwner": "", "LeaseUser": "", "LeaseConfirmed": False}
        thing = next(t for t in [*self.world.pools.values(), *self.world.regions.values()] if t.uuid == row[0])
        wanted["Health"] = self.world.health(thing.raw)
        if thing.state == "ok":     # of another one they may just be being cleared
            wanted |= {"BadFrames": len(thing.bad), "BadExtents": runs(thing.bad)}
            got["BadExtents"] = [tuple(e) for e in got["BadExtents"]]
        wrong = {k: (v, got.get(k)) for k, v in wanted.items() if got.get(k) != v}
        if wrong:
            raise Mismatch(f"properties of {kind} {row[0]}: wanted, got: {wrong}")

    def read_tenant(self, rng):
        """Who may not change anything is refused, and sees neither frames nor owners of what is not the tenant's own."""
        if self.tenant is None:
            return
        for kind, rows, first in (("ListMgmt", self.mgmt_rows(), 2), ("ListData", self.data_rows(), 2)):
            got = self.rows(kind, rng.randrange(0, 5), self.tenant)
            self.same(kind + " of a tenant", sorted(r[0] for r in rows), sorted(r[0] for r in got))
            wanted = {r[0]: r for r in rows}
            for row in got:
                hides = lambda r: tuple(r[first:4]) + (tuple(r[5:7]) if kind == "ListData" else ())
                if wanted[row[0]][11] == NOBODY:
                    if hides(row) != hides(wanted[row[0]]) or row[11] != NOBODY or not row[12]:
                        raise Mismatch(f"a tenant sees {row} of its own, wanted {wanted[row[0]]}")
                elif any(hides(row)) or row[11] != 0xffffffff or row[12] or row[13]:
                    raise Mismatch(f"a tenant sees {row}")
        things = list(self.world.regions.values())
        calls = [("AllocateData", [4096], {}), ("SetupMgmt", [self.world.raws[0].start, self.world.raws[0].end], {})]
        if things:
            thing = rng.choice(things)
            calls += [("ReleaseData", [path_of(thing.uuid)], {}), ("Rename", [path_of(thing.uuid), "mine"], {}),
                      ("SetOwner", [path_of(thing.uuid), NOBODY], {}), ("Detach", [path_of(thing.uuid), "vm1"], {"force": True})]
        method, args, options = rng.choice(calls)
        reply = self.answer(self.tenant.manager, method, SIGNATURES[method], *args, typed(options))
        if reply[:2] != ("error", "NotAuthorized"):
            raise Mismatch(f"{method} of a tenant: {reply}")


def worlds_done(sent, serial):
    """How many changes the call of this serial number has behind it, itself included."""
    return sum(1 for s, _m, d in sent if s <= serial and isinstance(d, (Made, Changed)))
