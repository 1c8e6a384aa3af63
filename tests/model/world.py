# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""What pmemd has to hold and to answer, by docs/architecture.md and proto/org.pmemd1.xml: an independent model.

Pure values: no bus, no files. A World is one state of the host; decide() says what a call may answer and act() does what
was answered. Where the documents leave the order of two faults open, a refusal is a set of names that are all right.
Nothing here was made from the C code: where the two differ, the documents decide who is wrong.
"""

import copy
import re
from dataclasses import dataclass, field

FRAME = 4096
INVALID = (1 << 64) - 1
LIMIT = 1 << (52 - 12)
MIB = 1 << 20
PROFILES = {"xen": (32, 8), "linux": (64, 0), "none": (0, 0)}
MAX_REGIONS = 1024
ANSWERS = 1024
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
HEALTHS = ("unknown", "ok", "non-critical", "critical", "fatal")
CREATING = ("SetupMgmt", "SetupData", "AllocateMgmt", "AllocateData")


def up(number, step):
    return -(-number // step) * step


def own_frames(profile, frames):
    """Frames that the hypervisor's tables of so many frames take: each product rounded up."""
    return sum(-(-frames * size // FRAME) for size in PROFILES[profile])


def required(profile, frames):
    """The same of a data region, which always takes one at least."""
    return max(1, own_frames(profile, frames))


def overlaps(a, b):
    return a[0] < b[1] and b[0] < a[1]


def runs(frames):
    """The ranges that a set of frames is made of."""
    found = []
    for frame in sorted(frames):
        if found and found[-1][1] == frame:
            found[-1] = (found[-1][0], frame + 1)
        else:
            found.append((frame, frame + 1))
    return found


def within(frames, window):
    """Those of a set of frames that are in a range."""
    return {f for f in frames if window[0] <= f < window[1]}


def gaps(window, taken):
    """The free ranges of a window, given what is taken in it (disjoint)."""
    at, found = window[0], []
    for start, end in sorted(taken):
        if start > at:
            found.append((at, start))
        at = max(at, end)
    if at < window[1]:
        found.append((at, window[1]))
    return found


@dataclass
class Raw:
    """One group of regions.conf."""
    id: str
    start: int
    end: int
    node: int
    step: int       # frames
    lead: int       # frames
    zeroed: bool = True     # what is new reads as zeros

    @property
    def unit(self):
        return 2 * MIB if self.step * FRAME >= 2 * MIB else 64 * 1024

    @property
    def minimum(self):
        """Least device range in frames: one step after the lead."""
        return up(self.lead, self.step) + self.step

    def journal(self, max_regions):
        """Frames of the journal: those before the extents, those after them."""
        area = up(max_regions * 512 + MIB, self.unit)
        return (self.unit + 2 * area) // FRAME, self.unit // FRAME


@dataclass
class Pool:
    serial: int
    uuid: str
    name: str
    range: tuple
    raw: Raw
    profile: str
    head: int       # frames: journal and own tables
    tail: int
    uid: int
    answers: list = field(default_factory=list)
    state: str = "ok"
    bad: frozenset = frozenset()    # frames that were seen bad and not cleared

    @property
    def shown(self):
        """The state that the lists tell."""
        return "degraded" if self.state == "ok" and self.bad else self.state

    @property
    def device(self):
        return self.range[0] - self.raw.lead, self.range[1]


OWNER = re.compile(r"[!-~]([ -~]{0,125}[!-~])?")    # of a lease


@dataclass
class Lease:
    owner: str
    uid: int
    sender: str = ""    # the connection it ends with; "": until it is detached
    guest_frame: int = INVALID
    confirmed: bool = True
    since: int = None   # to be learned


@dataclass
class Region:
    serial: int
    uuid: str
    name: str
    range: tuple
    raw: Raw
    pool: int       # serial
    extent: tuple
    uid: int
    state: str = "ok"
    lease: Lease = None
    last: tuple = None      # (owner, uid) of who has it or had it last
    unsure: bool = False    # a crash left more than one that may be the last: no list tells
    dirty: bool = False     # is to be erased before its first guest
    bad: frozenset = frozenset()

    @property
    def shown(self):
        return "degraded" if self.state == "ok" and self.bad else self.state

    @property
    def device(self):
        return self.range[0] - self.raw.lead, self.range[1]


@dataclass
class Refused:
    """One of these errors (names without the prefix)."""
    names: frozenset


@dataclass
class Again:
    """A request-id that was answered: the first answer."""
    path: str       # "": the answer is nothing


@dataclass
class Made:
    """A region is made there."""
    kind: str
    raw: Raw
    range: tuple
    pool: int = 0               # of data
    extent: tuple = (0, 0)      # of data
    required: int = 0
    journal: int = 0            # of mgmt
    requested: int = 0
    bad: int = 0                # frames that allow-degraded puts up with


@dataclass
class Changed:
    """ReleaseData, ReleaseMgmt, Rename, SetOwner, Attach or Detach of this object takes place."""
    kind: str                   # "region" or "pool"
    serial: int


def refused(*names):
    return Refused(frozenset(names))


def name_fault(name):
    """Why no region may have the name; None: it may. "" takes a name away."""
    if name == "" or NAME.fullmatch(name) and not UUID.fullmatch(name):
        return None
    return "InvalidArgument"


class World:
    def __init__(self, raws, foreign=(), profile="xen"):
        self.raws = raws
        self.foreign = list(foreign)    # device ranges
        self.profile = profile
        self.pools = {}
        self.regions = {}
        self.orphans = {}               # data regions whose pool was lost, by serial: of pmemd's, and in no journal
        self.bad = set()                # frames that the platform shows as bad
        self.dimms = {}                 # id: (names of the raw regions that lie on it, health)
        self.serial = 0
        self.released = []              # answers of ReleaseMgmt: their journal is gone, so a start forgets them
        self.forgotten = set()          # request-ids of which nobody can say whether they are kept

    def clone(self):
        other = copy.copy(self)
        other.pools = {k: copy.copy(p) for k, p in self.pools.items()}
        for p in other.pools.values():
            p.answers = [a if a["path"] else dict(a) for a in p.answers]
        other.regions = {k: copy.copy(r) for k, r in self.regions.items()}
        for r in other.regions.values():
            r.lease = copy.copy(r.lease)
        other.orphans = dict(self.orphans)
        other.bad, other.dimms = set(self.bad), dict(self.dimms)
        other.released = list(self.released)
        other.forgotten = set(self.forgotten)
        return other

    # --- frames ---

    def devices(self, raw=None):
        """Device ranges of all that is pmemd's."""
        return [x.device for x in [*self.pools.values(), *self.regions.values()] if raw is None or x.raw is raw]

    def others(self):
        """Device ranges of what is in no journal."""
        return self.foreign + [o.device for o in self.orphans.values()]

    def taken(self, raw):
        return self.devices(raw) + [f for f in self.others() if overlaps(f, (raw.start, raw.end))]

    def raw_gaps(self, raw):
        """What nobody has and can be read."""
        return gaps((raw.start, raw.end), self.taken(raw) + runs(within(self.bad, (raw.start, raw.end))))

    def extents(self, pool):
        return sorted(r.extent for r in self.regions.values() if r.pool == pool.serial)

    def pool_gaps(self, pool):
        start, end = pool.range
        return gaps((start + pool.head, end - pool.tail), self.extents(pool) + runs(pool.bad))

    def extent_free(self, pool, extent):
        """No data region has a frame of it, whether it can be read or not."""
        start, end = pool.range
        return start + pool.head <= extent[0] and extent[1] <= end - pool.tail and not any(
            overlaps(extent, e) for e in self.extents(pool))

    def pool_free(self, pool):
        return sum(e - s for s, e in self.pool_gaps(pool))

    def pool_used(self, pool):
        """The high-water mark: first frame that no extent has, from smfn."""
        return max([pool.range[0] + pool.head] + [e for _s, e in self.extents(pool)]) - pool.range[0]

    def locate(self, frame):
        """What a frame is: (kind, whose (a Pool, a Region, a Raw or None), offset in bytes, part, whose extent)."""
        for thing in [*self.regions.values(), *self.pools.values()]:
            (first, end), start = thing.device, thing.range[0]
            if not first <= frame < end:
                continue
            kind = "data" if isinstance(thing, Region) else "mgmt"
            if frame < start:
                return kind, thing, (frame - first) * FRAME, "lead", None
            if kind == "data":
                return kind, thing, (frame - start) * FRAME, "usable", None
            for region in self.regions.values():
                if region.pool == thing.serial and region.extent[0] <= frame < region.extent[1]:
                    return kind, thing, (frame - region.extent[0]) * FRAME, "extent", region
            at, unit = frame - start, thing.raw.unit // FRAME
            own = own_frames(thing.profile, end - start)
            part = ("superblock" if at < unit or frame >= end - thing.tail else "journal" if at < thing.head - own else
                    "own" if at < thing.head else "free")
            return kind, thing, at * FRAME, part, None
        for first, end in self.others():
            if first <= frame < end:
                return "foreign", None, (frame - first) * FRAME, "", None
        for raw in self.raws:
            if raw.start <= frame < raw.end:
                return "raw", raw, (frame - raw.start) * FRAME, "", None
        return "none", None, 0, "", None

    # --- rules ---

    def rule_range(self, start, end):
        return start != INVALID and end != INVALID and start < end <= LIMIT

    def rule_place(self, start, end):
        """Rules 2 and 3: the raw region of a device that shows [start, end), or None."""
        for raw in self.raws:
            if raw.start <= start and end <= raw.end:
                first = start - raw.lead
                if (first >= raw.start and (first - raw.start) % raw.step == 0 and (end - first) % raw.step == 0
                        and end - first >= raw.minimum):
                    return raw
        return None

    def rule_free(self, raw, start, end):
        """Names of what is in the way of the device."""
        device = (start - raw.lead, end)
        names = {"Exists"} if any(overlaps(device, d) for d in self.devices()) else set()
        return names | ({"Busy"} if any(overlaps(device, f) for f in self.others()) else set())

    def name_taken(self, name, pool, besides=None):
        """pool None: a pool's name."""
        if not name:
            return False
        if pool is None:
            return any(p.name == name for p in self.pools.values() if p is not besides)
        return any(r.name == name for r in self.regions.values()
                   if r.pool == pool.serial and r is not besides and r.state == "ok")

    def find_place(self, frames, node, alignment, slack=lambda raw: True):
        """Least device range first, then the tightest gap, then the lowest address: (raw, range) or None."""
        best = None
        align = max(alignment, FRAME) // FRAME
        for raw in self.raws:
            if node is not None and raw.node != node:
                continue
            device = max(up(raw.lead + frames, raw.step), raw.minimum)
            for start, end in self.raw_gaps(raw):
                first = raw.start + up(start - raw.start, raw.step)
                while first + device <= end and (first + raw.lead) % align:
                    first += raw.step
                if first + device <= end:
                    key = (device, end - start, first)
                    if best is None or key < best[0]:
                        best = (key, raw, (first + raw.lead, first + device))
        return best and best[1:]

    def find_extent(self, pool, frames):
        fits = [(e - s, s) for s, e in self.pool_gaps(pool) if e - s >= frames]
        if not fits:
            return None
        start = min(fits)[1]
        return start, start + frames

    def find_pool(self, key):
        """By name or uuid, as option mgmt takes it."""
        for p in self.pools.values():
            if key and (p.name == key or p.uuid == key.lower()):
                return p
        return None

    def option_fault(self, method, options):
        """A fault of the options alone."""
        known = {"SetupMgmt": {"profile", "name", "max-regions", "init-labels", "request-id", "allow-degraded"},
                 "SetupData": {"name", "request-id", "allow-degraded"},
                 "AllocateMgmt": {"profile", "name", "max-regions", "init-labels", "request-id", "node", "alignment"},
                 "AllocateData": {"name", "request-id", "node", "alignment", "mgmt"},
                 "ReleaseData": {"request-id"}, "ReleaseMgmt": {"request-id"}, "Rename": set(), "SetOwner": set(),
                 "Attach": {"until", "guest-frame", "allow-degraded"}, "Detach": {"force"},
                 "ClearBadFrames": {"dry-run", "raw", "force"},
                 "Adopt": {"uid", "mgmt", "mgmt_smfn", "name", "request-id"},
                 "Forget": {"destroy", "mgmt", "force", "request-id"}}[method]
        if set(options) - known:
            return True
        if "request-id" in options and not UUID.fullmatch(options["request-id"]):
            return True
        if options.get("profile", "xen") not in PROFILES or isinstance(options.get("node"), str):
            return True
        if not 1 <= options.get("max-regions", 1) <= 1 << 20:
            return True
        if options.get("until", "detach") not in ("detach", "disconnect"):
            return True
        return False

    def wish_fault(self, args, options):
        """A size, a node or an alignment that nothing can ever have."""
        node, alignment = options.get("node"), options.get("alignment", 0)
        return (args[0] == 0 or node is not None and node not in {r.node for r in self.raws}
                or alignment % FRAME != 0 or alignment & (alignment - 1) != 0)

    def decide(self, method, args, options, uid=0):
        """Refused, Again, Made or Changed. args: plain values; objects as (kind, serial) or None for one that never was."""
        if self.option_fault(method, options):
            return refused("InvalidArgument")
        if method in ("SetupMgmt", "AllocateMgmt"):
            faults = {name_fault(options.get("name", ""))} - {None}
        elif method in ("SetupData", "AllocateData", "Adopt"):
            faults = {name_fault(options.get("name", ""))} - {None}
        else:
            faults = set()
        if not faults and "request-id" in options:
            found = self.answer(uid, options["request-id"])
            if found:
                same = found["call"] == self.scope(method, args, options)
                return Again(found["path"]) if same else refused("InvalidArgument")
        return getattr(self, "_" + method)(args, options, faults)

    @staticmethod
    def scope(method, args, options):
        return method, tuple(args), tuple(sorted((k, v) for k, v in options.items() if k != "request-id"))

    def answer(self, uid, request_id):
        for p in self.pools.values():
            for a in reversed(p.answers):
                if a["id"] == request_id.lower() and a["uid"] == uid:
                    return a
        return next((a for a in self.released if a["id"] == request_id.lower() and a["uid"] == uid), None)

    def _mgmt(self, raw, start, end, options, faults, requested=0):
        profile = options.get("profile", self.profile)
        head, tail = raw.journal(options.get("max-regions", MAX_REGIONS))
        own = own_frames(profile, end - start)
        if self.name_taken(options.get("name"), None):
            faults = faults | {"Exists"}
        if own + head + tail > end - start:
            return refused("NoSpace", *faults)
        blocked = self.rule_free(raw, start, end)
        if blocked:
            return refused(*blocked, *faults)
        bad = within(self.bad, (start - raw.lead, end))
        if bad and not options.get("allow-degraded") or within(bad, (start, start + head)) or within(bad, (end - tail, end)):
            return refused("Degraded", *faults)
        if faults:
            return refused(*faults)
        return Made("mgmt", raw, (start, end), required=own + head + tail, journal=head + tail,
                    requested=requested or (end - start) * FRAME, bad=len(bad))

    def _SetupMgmt(self, args, options, faults):
        start, end = args
        raw = self.rule_place(start, end) if self.rule_range(start, end) else None
        if raw is None:
            return refused("InvalidArgument", *({"Exists"} if self.name_taken(options.get("name"), None) else ()))
        return self._mgmt(raw, start, end, options, faults)

    def _AllocateMgmt(self, args, options, faults):
        if self.wish_fault(args, options):
            return refused("InvalidArgument", *({"Exists"} if self.name_taken(options.get("name"), None) else ()))
        place = self.find_place(up(args[0], FRAME) // FRAME, options.get("node"), options.get("alignment", 0))
        if place is None:
            return refused("NoSpace", *faults, *({"Exists"} if self.name_taken(options.get("name"), None) else ()))
        return self._mgmt(place[0], *place[1], options, faults, args[0])

    def _SetupData(self, args, options, faults):
        start, end, mgmt_start, mgmt_end = args
        raw = self.rule_place(start, end) if self.rule_range(start, end) else None
        pool = None
        if self.rule_range(mgmt_start, mgmt_end):
            pool = next((p for p in self.pools.values() if p.range[0] <= mgmt_start and mgmt_end <= p.range[1]), None)
        if pool and self.name_taken(options.get("name"), pool):
            faults = faults | {"Exists"}
        if raw is None or not self.rule_range(mgmt_start, mgmt_end):
            return refused("InvalidArgument", *faults)
        if pool is None:
            return refused("NoSuchMgmt", *faults)
        needed = required(pool.profile, end - start)
        extent = (mgmt_start, mgmt_start + needed)
        if needed > mgmt_end - mgmt_start or not self.extent_free(pool, extent):
            return refused("NoSpace", *faults)
        blocked = self.rule_free(raw, start, end)
        if blocked:
            return refused(*blocked, *faults)
        bad = len(within(self.bad, (start - raw.lead, end))) + len(within(pool.bad, extent))
        if bad and not options.get("allow-degraded"):
            return refused("Degraded", *faults)
        if faults:
            return refused(*faults)
        return Made("data", raw, (start, end), pool.serial, extent, needed, requested=(end - start) * FRAME, bad=bad)

    def _AllocateData(self, args, options, faults):
        pools = list(self.pools.values())
        if "mgmt" in options:
            pools = [p for p in pools if p is self.find_pool(options["mgmt"])]
        name = options.get("name")
        if self.wish_fault(args, options):
            return refused("InvalidArgument", *faults, *({"NoSuchMgmt"} if not pools else ()),
                           *({"Exists"} if any(self.name_taken(name, p) for p in pools) else ()))
        place = self.find_place(up(args[0], FRAME) // FRAME, options.get("node"), options.get("alignment", 0))
        if not pools:
            return refused("NoSuchMgmt", *faults, *({"NoSpace"} if place is None else ()))
        if place is None:
            return refused("NoSpace", *faults, *({"Exists"} if any(self.name_taken(name, p) for p in pools) else ()))
        raw, (start, end) = place
        for pool in self.nearest(pools, raw):
            needed = required(pool.profile, end - start)
            extent = self.find_extent(pool, needed)
            if extent:
                if self.name_taken(name, pool):
                    faults = faults | {"Exists"}
                if faults:
                    return refused(*faults)
                return Made("data", raw, (start, end), pool.serial, extent, needed, requested=args[0])
        return refused("NoSpace", *faults, *({"Exists"} if any(self.name_taken(name, p) for p in pools) else ()))

    def nearest(self, pools, raw):
        def order(pool):
            near = 0 if pool.raw is raw else 1 if pool.raw.node == raw.node else 2
            return near, -self.pool_free(pool), pool.range[0]

        return sorted(pools, key=order)

    def _Adopt(self, args, options, faults):
        """args: a device, which is an orphan by its serial number, or a foreign one's name."""
        if args[0][0] == "foreign":
            return refused("NotSupported", *faults)
        orphan = self.orphans.get(args[0][1])
        if orphan is None:
            return refused("NoSuchRegion", *faults)
        pools = list(self.pools.values())
        if "mgmt" in options:
            pools = [p for p in pools if p is self.find_pool(options["mgmt"])]
        if not pools:
            return refused("NoSuchMgmt", *faults)
        frames = orphan.range[1] - orphan.range[0]
        for pool in self.nearest(pools, orphan.raw):
            needed = required(pool.profile, frames)
            extent = self.find_extent(pool, needed)
            if "mgmt_smfn" in options:
                extent = (options["mgmt_smfn"], options["mgmt_smfn"] + needed)
                if not pool.range[0] <= extent[0] < pool.range[1]:
                    return refused("InvalidArgument", *faults)
                if not self.extent_free(pool, extent):
                    return refused("NoSpace", *faults)
                if within(pool.bad, extent):
                    return refused("Degraded", *faults)
            if extent:
                if self.name_taken(options.get("name"), pool):
                    faults = faults | {"Exists"}
                if faults:
                    return refused(*faults)
                return Made("data", orphan.raw, orphan.range, pool.serial, extent, needed)
        return refused("NoSpace", *faults)

    def _Forget(self, args, options, _faults):
        """Of a data region that is missing, or of a device."""
        if args[0][0] == "region":
            region = self._target(args[0], ("region",))
            if region is None:
                return refused("NoSuchRegion")
            return Changed("region", region.serial) if region.state == "missing" else refused("Busy")
        if args[0][0] == "orphan" and args[0][1] in self.orphans and not options.get("destroy"):
            return refused("InvalidArgument")
        return self._Adopt(args, {k: v for k, v in options.items() if k == "mgmt"}, set())

    def _target(self, reference, kinds):
        if reference is None or reference[0] not in kinds:
            return None
        return (self.regions if reference[0] == "region" else self.pools).get(reference[1])

    def _ReleaseData(self, args, _options, _faults):
        region = self._target(args[0], ("region",))
        if region and region.lease:
            return refused("Leased", *({"Degraded"} if region.state == "missing" else ()))
        if region and region.state == "missing":
            return refused("Degraded")
        return Changed("region", region.serial) if region else refused("NoSuchRegion")

    def _ReleaseMgmt(self, args, _options, _faults):
        pool = self._target(args[0], ("pool",))
        if pool is None:
            return refused("NoSuchRegion")
        if any(r.pool == pool.serial for r in self.regions.values()):
            return refused("Busy")
        return Changed("pool", pool.serial)

    def _Rename(self, args, _options, _faults):
        target = self._target(args[0], ("region", "pool"))
        fault = name_fault(args[1])
        if target is None:
            return refused("NoSuchRegion", *({fault} - {None}))
        if getattr(target, "state", "ok") != "ok":
            return refused("Busy", *({fault} - {None}))
        if fault:
            return refused(fault)
        if self.name_taken(args[1], self.pools[target.pool] if args[0][0] == "region" else None, target):
            return refused("Exists")
        return Changed(*args[0])

    def _SetOwner(self, args, _options, _faults):
        target = self._target(args[0], ("region", "pool"))
        if args[1] == 0xFFFFFFFF:
            return refused("InvalidArgument", *(() if target else ("NoSuchRegion",)))
        if target and getattr(target, "state", "ok") != "ok":
            return refused("Busy")
        if target and getattr(target, "lease", None):
            return refused("Leased")
        return Changed(*args[0]) if target else refused("NoSuchRegion")

    def _Attach(self, args, options, _faults):
        region = self._target(args[0], ("region",))
        fault = () if OWNER.fullmatch(args[1]) else ("InvalidArgument",)
        if region is None:
            return refused("NoSuchRegion", "InvalidArgument")
        if region.lease and (region.lease.owner, region.lease.uid) != (args[1], 0):
            return refused("Leased", *fault)
        if region.state != "ok":
            return refused("Degraded" if region.state == "missing" else "Busy", *fault)
        if region.dirty:    # Degraded: that failed
            return refused("Busy", "Degraded", *fault)
        if not region.lease and not options.get("allow-degraded") and (region.bad or self.health(region.raw) == "fatal"):
            return refused("Degraded", *fault)
        return refused(*fault) if fault else Changed("region", region.serial)

    def _ClearBadFrames(self, args, options, _faults):
        """Of a data region; of a raw region's there is no refusal."""
        region = self._target(args[0], ("region",))
        if self._target(args[0], ("pool",)):
            return refused("NotSupported")
        if region is None:
            return refused("NoSuchRegion")
        if region.state == "missing":
            return refused("Degraded", *({"Leased"} if region.lease else ()))
        if region.lease and not options.get("force"):
            return refused("Leased")
        return Changed("region", region.serial)

    def _Detach(self, args, options, _faults):
        region = self._target(args[0], ("region",))
        fault = () if OWNER.fullmatch(args[1]) or args[1] == "" and options.get("force") else ("InvalidArgument",)
        if region is None:
            return refused("NoSuchRegion", "InvalidArgument")
        if fault:
            return refused("Leased", *fault)
        if region.lease is None:
            # Who had it last no longer matters once it is released: it is erased.
            again = region.last == (args[1], 0) and region.state != "quarantined"
            return Changed("region", region.serial) if again else refused("InvalidArgument")
        if (region.lease.owner, region.lease.uid) == (args[1], 0):
            return Changed("region", region.serial)
        if not options.get("force") or args[1] not in ("", region.lease.owner):
            return refused("Leased")
        return Changed("region", region.serial)

    # --- bad frames ---

    def health(self, raw):
        """The worst that the DIMMs under it say; "": there are none."""
        return max((h for names, h in self.dimms.values() if raw.id in names), key=HEALTHS.index, default="")

    def look(self):
        """What the platform shows of a region is remembered with it."""
        for thing in [*self.pools.values(), *self.regions.values()]:
            thing.bad |= within(self.bad, thing.range)

    def nobodys_bad(self, raw):
        taken = self.taken(raw)
        return {f for f in within(self.bad, (raw.start, raw.end)) if not any(s <= f < e for s, e in taken)}

    def cleared(self, frames):
        self.bad -= set(frames)
        for region in self.regions.values():
            region.bad -= frozenset(frames)

    # --- effects ---

    @staticmethod
    def attach(region, owner, options, sender, uid=0):
        """What is not said of a lease that is there stays as it was."""
        old, lease = region.lease, Lease(owner, uid)
        lease.since = old.since if old else None
        lease.guest_frame = options.get("guest-frame", old.guest_frame if old else INVALID)
        until = options.get("until", "disconnect" if old and old.sender else "detach")
        lease.sender = sender if until == "disconnect" else ""
        region.lease, region.last, region.unsure = lease, (owner, uid), False

    def pool_lost(self, serial):
        """A pool and its journal are gone: what was its is an orphan."""
        del self.pools[serial]
        for region in [r for r in self.regions.values() if r.pool == serial]:
            self.orphans[region.serial] = self.regions.pop(region.serial)

    def disconnected(self, sender):
        """A connection is gone, and the leases with it."""
        for region in self.regions.values():
            if region.lease and region.lease.sender == sender:
                region.lease = None

    def act(self, method, args, options, decision, uuid=None, uid=0, sender=""):
        """Does what decide() said; the object it made or changed. uuid: of a new region, None: to be learned. sender: who
        calls, where a lease may end with that."""
        if isinstance(decision, Made):
            self.serial += 1
            if decision.kind == "mgmt":
                profile = options.get("profile", self.profile)
                head, tail = decision.raw.journal(options.get("max-regions", MAX_REGIONS))
                frames = decision.range[1] - decision.range[0]
                thing = pool = Pool(self.serial, uuid, options.get("name", ""), decision.range, decision.raw, profile,
                                    head + own_frames(profile, frames), tail, uid)
                self.pools[self.serial] = thing
            else:
                thing = Region(self.serial, uuid, options.get("name", ""), decision.range, decision.raw, decision.pool,
                               decision.extent, options.get("uid", uid))
                thing.dirty = method in ("SetupData", "AllocateData") and not decision.raw.zeroed
                if method in ("Adopt", "Forget"):
                    del self.orphans[args[0][1]]
                if method == "Forget":      # adopted to be erased
                    thing.state = "quarantined"
                self.regions[self.serial] = thing
                pool = self.pools[decision.pool]
        else:
            pool = thing = self._target((decision.kind, decision.serial), ("region", "pool"))
            if decision.kind == "region":
                pool = self.pools[thing.pool]
            if method == "Rename":
                thing.name = args[1]
            elif method == "SetOwner":
                thing.uid = args[1]
            elif method == "Attach":
                self.attach(thing, args[1], options, sender)
            elif method == "Detach":
                thing.lease = None
            elif method == "Forget":
                del self.regions[thing.serial]
            elif method == "ReleaseMgmt":
                del self.pools[thing.serial]
                if "request-id" in options:
                    self.released.append({"id": options["request-id"].lower(), "uid": uid, "path": "",
                                          "call": self.scope(method, args, options)})
            elif thing.state == "quarantined":
                # It is answered with the same job; whether a new request-id is kept for that, nobody says.
                if "request-id" in options:
                    self.forgotten.add(options["request-id"])
                return thing
            else:
                thing.state = "quarantined"
                thing.name = ""  # is free again
        self.look()
        if "request-id" in options and method != "ReleaseMgmt":
            pool.answers.append({"id": options["request-id"].lower(), "uid": uid, "serial": thing.serial,
                                 "job": method in ("ReleaseData", "Forget"),
                                 "call": self.scope(method, args, options), "path": None, "thing": thing})
            del pool.answers[:-ANSWERS]
            self._set_path(pool.answers[-1])
        return thing

    @staticmethod
    def _set_path(answer):
        uuid = answer["thing"].uuid
        if uuid:
            answer["path"] = f"/org/pmemd1/{'job' if answer['job'] else 'region'}/" + uuid.replace("-", "_")

    def learned(self, thing, uuid):
        """The uuid of a region that a crash kept from being told."""
        thing.uuid = uuid
        for p in self.pools.values():
            for a in p.answers:
                if a["serial"] == thing.serial and a["path"] is None:
                    a["thing"] = thing
                    self._set_path(a)

    def started(self):
        """pmemd has started again: it does not know whether anybody still uses what was lent."""
        self.look()
        self.released.clear()
        for region in self.regions.values():
            if region.lease:
                region.lease.confirmed = False
        for region in self.regions.values():
            region.dirty = False
        for serial in [r.serial for r in self.regions.values() if r.state == "quarantined"]:
            self.erased(serial)

    def erased(self, serial):
        """What could not be read in it was cleared before."""
        region = self.regions.pop(serial, None)
        if region:
            self.bad -= within(self.bad, region.range)
