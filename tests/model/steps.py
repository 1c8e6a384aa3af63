# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Random hosts and random steps for the model. A step is a dict of plain values that can be printed and done again.

Objects are named by their serial number in the world, ("region", 7), so that a step means the same on another host.
"""

import uuid

from world import FRAME, INVALID, LIMIT, MIB, Raw, overlaps, required, up

EXTREMES = [0, 1, 511, 512, LIMIT - 1, LIMIT, LIMIT + 1, 1 << 52, 1 << 63, INVALID - 1, INVALID]
BAD_NAMES = ["-x", ".x", "a/b", "a b", "x" * 64, "\u00e4", "0a1b2c3d-0001-0002-0003-0123456789ab", "a\n"]
OWNERS = ["vm1", "vm2", "vm3", "d5b0f9a6-53cb-4f5e-9c12-000000000001"]
BAD_OWNERS = ["", " vm1", "vm1 ", "x" * 128, "v\u00e4", "a\nb"]
UIDS = [0, 1, 65534, 12345, 0xFFFFFFFE, 0xFFFFFFFF]
CROWD = 24  # regions from which on more are released than made


def random_host(rng):
    """(groups of regions.conf, raws, foreign device ranges)"""
    groups, raws, foreign = {}, [], []
    at = 0x100000
    for i in range(rng.randrange(2, 5)):
        step = rng.choice([1, 1, 4, 16, 512])
        lead = rng.choice([0, 0, 0, 1, 16, 512]) if step < 512 else rng.choice([0, 512])
        frames = up(rng.randrange(32 if step == 512 else 12, 72) * MIB // FRAME, step)
        node = rng.randrange(0, 3)
        if rng.random() < 0.5:
            at = up(at + rng.randrange(1, 0x10000), 512)
        groups[f"raw{i}"] = {"StartFrame": hex(at), "Bytes": str(frames * FRAME), "Node": str(node),
                             "Alignment": str(step * FRAME), "Lead": str(lead * FRAME),
                             "Medium": rng.choice(["mapped", "mapped", "file"]), "Zeroed": rng.choice(["yes", "yes", "no"])}
        raw = Raw(f"raw{i}", at, at + frames, node, step, lead, groups[f"raw{i}"]["Zeroed"] == "yes")
        raws.append(raw)
        if rng.random() < 0.3:
            start = at + rng.randrange(0, frames // step - raw.minimum // step) * step
            foreign.append((start, start + raw.minimum))
        at += frames
    return groups, raws, foreign


class Chooser:
    """Makes the next step from a world; all chance comes from rng."""

    def __init__(self, rng, crashes=True):
        self.rng = rng
        self.crashes = crashes
        self.names = 0
        self.asked = []     # (method, args, options) of calls with a request-id, to be repeated

    # --- parts ---

    def new_id(self):
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def name(self, world):
        dice = self.rng.random()
        if dice < 0.70:
            self.names += 1
            return f"n{self.names}"
        if dice < 0.85:
            used = [x.name for x in [*world.pools.values(), *world.regions.values()] if x.name]
            return self.rng.choice(used) if used else "n0"
        if dice < 0.92:
            return ""
        if dice < 0.96:
            return self.rng.choice(["A.b-c_d", "x" * 63, "0", "n1", "a.", "region"])
        return self.rng.choice(BAD_NAMES)

    def options(self, world, method):
        rng, options = self.rng, {}
        if rng.random() < 0.6:
            options["name"] = self.name(world)
        if rng.random() < 0.6:
            options["request-id"] = self.new_id() if rng.random() < 0.98 else rng.choice(["", "x", "0" * 32])
        if method.endswith("Mgmt"):
            if rng.random() < 0.8:
                options["profile"] = rng.choice(["xen", "linux", "none"]) if rng.random() < 0.98 else "XEN"
            options["max-regions"] = rng.choice([1, 16, 100]) if rng.random() < 0.97 else rng.choice([0, 1 << 20, (1 << 20) + 1])
        if method.startswith("Allocate"):
            if rng.random() < 0.4:
                options["node"] = rng.choice([0, 1, 2, 3])
            if rng.random() < 0.3:
                options["alignment"] = rng.choice([0, 4096, 8192, 65536, 2 * MIB, 16 * MIB, 1 << 30, 1 << 60] if rng.random() < 0.9
                                                  else [1, 4095, 4097, 12288, INVALID])
            if method == "AllocateData" and rng.random() < 0.4:
                keys = [k for p in world.pools.values() for k in (("pool", p.serial), p.name) if k]
                options["mgmt"] = rng.choice(keys) if keys and rng.random() < 0.9 else rng.choice(["nobody", "", self.new_id()])
        if rng.random() < (0.4 if world.bad else 0.03) and (method.startswith("Setup") or rng.random() < 0.05):
            options["allow-degraded"] = rng.random() < 0.8
        if rng.random() < 0.02:
            options[rng.choice(["colour", "smfn", "Name", "mgmt", "node", "profile"])] = "blue"
        return options

    def spoil(self, numbers):
        """One of the numbers made slightly or wholly wrong."""
        at = self.rng.randrange(len(numbers))
        if self.rng.random() < 0.3:
            numbers[at] = self.rng.choice(EXTREMES)
        else:
            numbers[at] = max(0, numbers[at] + self.rng.choice([-512, -16, -4, -1, 1, 4, 16, 512, 4096]))
        return numbers

    def place(self, world, least, most):
        """A range of usable frames that fits some gap, or anything."""
        rng = self.rng
        raws = list(world.raws)
        rng.shuffle(raws)
        for raw in raws:
            fits = [(s, e) for s, e in world.raw_gaps(raw) if up(s - raw.start, raw.step) + raw.start + raw.minimum <= e]
            if not fits:
                continue
            start, end = rng.choice(fits)
            first = raw.start + up(start - raw.start, raw.step)
            last = raw.start + (end - raw.start) // raw.step * raw.step
            size = max(raw.minimum, up(rng.randrange(least, most) + raw.lead, raw.step))
            if first + size > last:
                continue
            offset = rng.choice([0, last - size - first, rng.randrange(0, (last - size - first) // raw.step + 1) * raw.step])
            at = first + offset // raw.step * raw.step
            return [at + raw.lead, at + size]
        raw = rng.choice(world.raws)
        return [raw.start + raw.lead, raw.start + raw.lead + least]

    def extent(self, world, frames):
        rng = self.rng
        pools = list(world.pools.values())
        if not pools:
            return [world.raws[0].start, world.raws[0].start + 16]
        pool = rng.choice(pools)
        needed = required(pool.profile, max(1, frames))
        fits = [(s, e) for s, e in world.pool_gaps(pool) if e - s >= needed]
        if not fits or rng.random() < 0.1:
            start = rng.randrange(*pool.range)
            return [start, min(pool.range[1], start + rng.randrange(1, 64))]
        start, end = rng.choice(fits)
        at = rng.choice([start, end - needed, rng.randrange(start, end - needed + 1)])
        return [at, rng.choice([at + needed, end, pool.range[1]])]

    def reference(self, world, kind=None):
        rng = self.rng
        things = [("region", s) for s in world.regions] if kind != "pool" else []
        things += [("pool", s) for s in world.pools] if kind != "region" else []
        if not things or rng.random() < 0.03:
            return rng.choice([None, ("region", rng.randrange(1, world.serial + 2)), ("pool", rng.randrange(1, world.serial + 2))])
        return rng.choice(things)

    def lend(self, world, method):
        """Arguments and options; of Detach mostly what takes place."""
        rng = self.rng
        target = self.reference(world, "region" if rng.random() < 0.97 else None)
        owner, options = rng.choice(OWNERS) if rng.random() < 0.95 else rng.choice(BAD_OWNERS), {}
        if method == "Attach":
            if rng.random() < 0.3:
                options["until"] = rng.choice(["detach", "disconnect", "disconnect"]) if rng.random() < 0.95 else "never"
            if rng.random() < 0.3:
                options["guest-frame"] = rng.randrange(0, 1 << 40)
            if rng.random() < (0.5 if world.bad or world.dimms else 0.1):
                options["allow-degraded"] = rng.random() < 0.5
            return [target, owner], options
        leased = [r for r in world.regions.values() if r.lease]
        if leased and rng.random() < 0.9:
            region = rng.choice(leased)
            target = ("region", region.serial)
            owner = region.lease.owner if rng.random() < 0.7 else owner
        if rng.random() < 0.2:
            options["force"] = rng.random() < 0.8
            owner = "" if rng.random() < 0.3 else owner
        return [target, owner], options

    # --- calls ---

    def call(self, world):
        """(method, args, options)"""
        rng = self.rng
        if self.asked and rng.random() < 0.08:
            return self.repeat()
        method, args, options = self.fresh(world)
        if "request-id" in options:
            self.asked.append((method, args, options))
            del self.asked[:-900]
        return method, args, options

    def repeat(self):
        rng = self.rng
        method, args, options = self.asked[-rng.randrange(1, min(len(self.asked), rng.choice([3, 30, 900])) + 1)]
        if rng.random() < 0.15:
            args = list(args)
            if method.startswith(("Setup", "Allocate")):
                args[0] = (args[0] + 1) % (1 << 64)
            else:
                args[0] = ("region", 1)
        elif rng.random() < 0.1 and method.startswith("Allocate"):
            options = {**options, "node": 1 if options.get("node") != 1 else 2}
        return method, args, options

    def fresh(self, world):
        rng = self.rng
        crowd = len(world.regions)
        if not world.pools or rng.random() < 0.04 and len(world.pools) < 5:
            method = rng.choice(["SetupMgmt", "AllocateMgmt"])
        elif rng.random() < 0.01 and len(world.pools) > 1:
            method = "ReleaseMgmt"
        else:
            out = 0.15 if crowd < 4 else 0.45 if crowd < CROWD else 0.85
            dice = rng.random()
            if dice < 0.15:
                method = rng.choice(["Rename", "SetOwner"])
            elif dice < 0.35:
                method = rng.choice(["Attach", "Detach"])
            elif dice < 0.35 + 0.65 * out:
                method = "ReleaseData"
            else:
                method = rng.choice(["SetupData", "AllocateData"])
        options = self.options(world, method) if method.startswith(("Setup", "Allocate")) else {}
        if method.startswith("Release") and rng.random() < 0.5:
            options["request-id"] = self.new_id()
        if method in ("Rename", "SetOwner") and rng.random() < 0.03:
            options["request-id"] = self.new_id()
        if method == "SetupMgmt":
            args = self.place(world, *rng.choice([(700, 1500), (700, 1500), (2200, 3000), (16, 900)]))
        elif method == "AllocateMgmt":
            args = [rng.choice([rng.randrange(3 * MIB, 8 * MIB), rng.randrange(9 * MIB, 12 * MIB), rng.randrange(1, 3 * MIB)])]
        elif method == "SetupData":
            args = self.place(world, 1, rng.choice([4, 64, 1024]))
            args += self.extent(world, args[1] - args[0])
        elif method == "AllocateData":
            args = [rng.choice([rng.randrange(1, 65536), rng.randrange(1, 4 * MIB), rng.randrange(1, 16 * MIB)])]
        elif method == "ReleaseData":
            args = [self.reference(world, "region" if rng.random() < 0.98 else None)]
        elif method == "ReleaseMgmt":
            args = [self.reference(world, "pool" if rng.random() < 0.95 else None)]
        elif method in ("Attach", "Detach"):
            args, options = self.lend(world, method)
        elif method == "Rename":
            args = [self.reference(world), self.name(world)]
        else:
            args = [self.reference(world), rng.choice(UIDS)]
        if method.startswith("Setup") and rng.random() < 0.2:
            args = self.spoil(args)
        if method.startswith("Allocate") and rng.random() < 0.04:
            args = [rng.choice(EXTREMES)]
        return method, args, options

    def fault(self, error=None):
        rng = self.rng
        op = rng.choice(["create"] * 4 + ["destroy"] * 3 + ["zero"] * 2 + ["lend"] * 2 + ["open_content", "open_medium"])
        when = {"create": ["before", "prepared", "partial", "after"], "destroy": ["before", "partial", "after"],
                "zero": ["before", "partial", "after"]}.get(op, ["before", "after"])
        return {"do": "arm", "op": op, "nth": rng.choice([1, 1, 2, 3, 5]), "when": rng.choice(when),
                "error": error or rng.choice(["EIO", "ENOSPC", "EBUSY", "kill", "kill"])}

    def health(self, world):
        """Some frames go bad, some good; most of them where something is or begins."""
        rng, bad, good = self.rng, [], []
        edges = [f for t in [*world.pools.values(), *world.regions.values()] for f in (t.device[0], t.range[0], t.range[1] - 1)]
        edges += [f for r in world.regions.values() for f in r.extent]
        for _ in range(rng.choice([0, 1, 1, 2, 4]) if len(world.bad) < 300 else 0):
            raw = rng.choice(world.raws)
            if edges and rng.random() < 0.5:
                at = rng.choice(edges) + rng.choice([-1, 0, 0, 1, 5])
                raw = next((r for r in world.raws if r.start <= at < r.end), raw)
            else:
                at = rng.randrange(raw.start, raw.end)
            number = rng.choice([1, 1, 2, rng.randrange(1, 40)])
            at = min(max(at, raw.start), raw.end - 1)
            number = min(number, raw.end - at)
            heads = [(p.range[0], p.range[0] + p.head) for p in world.pools.values()]
            heads += [(p.range[1] - p.tail, p.range[1]) for p in world.pools.values()]
            if not any(overlaps((at, at + number), h) for h in heads):  # a pool's live journal
                bad.append((at, number))
        for at in rng.sample(sorted(world.bad), min(len(world.bad), rng.choice([0, 0, 1, 30]))):
            good.append((at, 1))
        dimms = dict(world.dimms)
        if rng.random() < 0.3:
            dimms.pop(name := rng.choice(["d0", "d1", "d2"]), None)
            if rng.random() < 0.7:
                names = [r.id for r in rng.sample(world.raws, rng.randrange(1, len(world.raws) + 1))]
                dimms[name] = (names, rng.choice(["ok", "non-critical", "critical", "fatal"]))
        return {"do": "health", "bad": bad, "good": good, "dimms": dimms, "stopped": rng.random() < 0.2}

    def clear(self, world):
        rng, options = self.rng, {}
        if rng.random() < 0.3:
            options["dry-run"] = True
        if rng.random() < 0.5:
            return {"do": "clear", "target": None, "options": {**options, "raw": rng.choice(world.raws).id}}
        if rng.random() < 0.5:
            options["force"] = True
        hit = [("region", r.serial) for r in world.regions.values() if r.bad]
        return {"do": "clear", "target": rng.choice(hit) if hit and rng.random() < 0.8 else self.reference(world), "options": options}

    def lose(self, world):
        rng = self.rng
        if rng.random() < 0.4 and world.pools:
            return {"do": "lose_pool", "target": ("pool", rng.choice(sorted(world.pools))), "back": rng.random() < 0.5}
        if not world.regions:
            return None
        return {"do": "lose", "target": ("region", rng.choice(sorted(world.regions))), "back": rng.random() < 0.5,
                "live": rng.random() < 0.5}

    def adopt(self, world):
        """Mostly of an orphan, whatever it is kept in."""
        rng, options = self.rng, {}
        method = rng.choice(["Adopt", "Adopt", "Forget"])
        target = ("orphan", rng.choice(sorted(world.orphans))) if rng.random() < 0.97 else ("orphan", world.serial + 1)
        if world.foreign and rng.random() < 0.03:
            target = ("foreign", f"foreign{rng.randrange(len(world.foreign))}")
        if rng.random() < 0.4 and world.pools:
            pool = rng.choice(list(world.pools.values()))
            options["mgmt"] = rng.choice([("pool", pool.serial), pool.name or ("pool", pool.serial), "nobody"])
            if method == "Adopt" and options["mgmt"] != "nobody" and rng.random() < 0.5:
                free = world.pool_gaps(pool)
                options["mgmt_smfn"] = rng.choice([f[0] for f in free] + [pool.range[0], pool.range[1] - 1] + sorted(pool.bad)[:1])
        if rng.random() < 0.3:
            options["request-id"] = self.new_id()
        if method == "Forget":
            if rng.random() < 0.95:
                options["destroy"] = True
        else:
            if rng.random() < 0.6:
                options["name"] = self.name(world)
            if rng.random() < 0.5:
                options["uid"] = rng.choice([0, 1, 65534, 12345])
        kill = rng.choice([0, rng.uniform(0, 0.003)]) if self.crashes and rng.random() < 0.2 else None
        return {"do": "adopt", "method": method, "target": target, "options": options, "kill": kill}

    def storm(self, world):
        """Many new names for one thing of the oldest pool, so that its journal fills and makes a checkpoint."""
        rng = self.rng
        pool = min(world.pools, default=0)
        targets = [("pool", pool)] + [("region", r.serial) for r in world.regions.values() if r.pool == pool and r.state == "ok"]
        self.names += 1
        return {"do": "storm", "target": rng.choice(targets), "prefix": f"s{self.names}-", "number": 1000,
                "kill": rng.choice([None, rng.randrange(0, 10)]), "delay": rng.uniform(0, 0.02)}

    def step(self, world, held, armed):
        rng = self.rng
        dice = rng.random()
        if self.crashes:
            if dice < 0.012:
                calls = []
                for _ in range(rng.randrange(1, 8)):
                    calls.append(self.call(world))
                    if calls[-1][0] == "ReleaseData":
                        break
                again = {**self.fault("kill"), "nth": 1} if rng.random() < 0.3 else None
                return {"do": "crash", "calls": calls, "again": again,
                        "delay": rng.choice([0, rng.uniform(0, 0.0005), rng.uniform(0, 0.002), rng.uniform(0, 0.01)])}
            if dice < 0.014:
                return {"do": "restart"}
            if dice < 0.060 and not armed and not held:
                return self.fault()
            if dice < 0.070 and not armed and not held:
                return {"do": "hold"}
            if dice < 0.110 and held:
                return {"do": "unhold"}
            if 0.110 <= dice < 0.113:
                return self.storm(world)
            if 0.113 <= dice < 0.118 and world.regions:
                return {"do": "lender", "target": self.reference(world, "region"), "when": rng.choice(["now", "now", "after", "during"])}
        if 0.118 <= dice < 0.126:
            return self.health(world)
        if 0.126 <= dice < 0.129 + (0.01 if world.bad else 0):
            return self.clear(world)
        if 0.139 <= dice < 0.143 and (lost := self.lose(world)):
            return lost
        if 0.143 <= dice < 0.160 and world.orphans:
            return self.adopt(world)
        if dice < 0.25:
            return {"do": "read", "what": rng.choice(["pages", "get", "count", "props", "region", "tenant", "refuse", "locate"]), "dice": rng.getrandbits(32)}
        method, args, options = self.call(world)
        return {"do": "call", "method": method, "args": args, "options": options, "plan": rng.random() < 0.3}
