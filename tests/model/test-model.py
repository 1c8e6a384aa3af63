#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""Random operations on a real pmemd, with crashes and failures of the backend, against an independent model (world.py).

Each game is a host of its own: random raw regions, foreign devices among them, and random steps on it (steps.py), played
by player.py, which compares every answer, every error's name and every list with what the model says. After a crash
one of the worlds that are possible has to be there.

A second test lends regions and takes them back while pmemd is killed again and again.

PMEMD_MODEL_OPS: operations to reach (3000). PMEMD_MODEL_CYCLES: regions that are lent and released (100). PMEMD_MODEL_JOBS: games at
once (2). PMEMD_TEST_SEED: seed of the first game;
the games after it have the seeds that follow. A game that fails says its seed and the shortest tail of its steps that
fails too, and its folder is kept.
"""

import json
import os
import random
import sys
import tempfile
import time
import traceback
import unittest

sys.path.insert(1, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))

import harness
import player
import steps
import world

OPERATIONS = int(os.environ.get("PMEMD_MODEL_OPS", "3000"))
CYCLES = int(os.environ.get("PMEMD_MODEL_CYCLES", "100"))
JOBS = int(os.environ.get("PMEMD_MODEL_JOBS", "2"))
SEED = int(os.environ.get("PMEMD_TEST_SEED", str(random.randrange(2**32))))
SHRINK_SECONDS = 60


def new_player(seed):
    """A host and its player, and the rest of the seed's chance."""
    rng = random.Random(seed)
    groups, raws, foreign = steps.random_host(rng)
    folder = tempfile.mkdtemp(prefix="pmemd-model-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    return player.Player(folder, groups, world.World(raws, foreign)), rng


def game_length(seed):
    """Most games are short; some are long enough for checkpoints and for request-ids to be forgotten."""
    return random.Random(seed * 31 + 7).choice([300, 700, 1500, 4000])


def fails(seed, tail):
    """Does the tail alone fail, on a new host? What it says, or None."""
    try:
        one, _rng = new_player(seed)
    except player.Mismatch as e:
        return str(e)
    try:
        for step in tail:
            one.play(step)
        if one.held:
            one.play({"do": "unhold"})
        return None
    except player.Mismatch as e:
        return str(e)
    finally:
        one.close()


def shortest_tail(seed, log):
    """The last steps that fail by themselves, without those that are not needed; (steps, what they say) or None."""
    deadline = time.monotonic() + SHRINK_SECONDS
    length, said = 1, None
    while said is None:
        said = fails(seed, log[-length:])
        if said is None and (length >= len(log) or time.monotonic() > deadline):
            return None
        length = length if said else min(len(log), length * 2)
    tail = log[-length:]
    size = len(tail) // 2
    while size and time.monotonic() < deadline:
        at = 0
        while at < len(tail) and time.monotonic() < deadline:
            fewer = tail[:at] + tail[at + size:]
            again = fails(seed, fewer) if fewer else None
            if again:
                tail, said = fewer, again
            else:
                at += size
        size //= 2
    return tail, said


def play_game(seed, length):
    """{counter: number}, and what went wrong or None."""
    log, one = [], None
    try:
        one, rng = new_player(seed)
        chooser = steps.Chooser(rng)
        while one.stats["operations"] < length:
            log.append(chooser.step(one.world, one.held, one.armed))
            one.play(log[-1])
        if one.held:
            one.play({"do": "unhold"})
        one.play({"do": "restart"})
        stats = one.stats
        one.close()
        return stats, None
    except player.Mismatch as e:
        text = [f"game with seed {seed}, after {len(log)} steps: {e}",
                f"again: PMEMD_TEST_SEED={seed} PMEMD_MODEL_JOBS=1 PMEMD_MODEL_OPS={length}"]
        if one:
            one.close(keep=True)
            text.append(f"kept: {one.folder} (pmemd.log: {one.daemon.log()[-2000:]})")
        found = shortest_tail(seed, log)
        if found:
            text.append(f"shortest tail, {len(found[0])} steps, which says: {found[1]}")
            text += [json.dumps(s) for s in found[0]]
        else:
            text.append("no tail fails by itself; the last steps were")
            text += [json.dumps(s) for s in log[-10:]]
        return one.stats if one else {}, "\n".join(text)


def play_call(one, method, args, options):
    one.play({"do": "call", "method": method, "args": args, "options": options, "plan": False})


def lend_and_release(one, rng, owner):
    """One region's life. What a kill lets happen of the calls before it is the player's to find out."""
    before = set(one.world.regions)
    while not (made := set(one.world.regions) - before):
        size = rng.randrange(1, 8 << 20)
        if rng.random() < 0.8:
            play_call(one, "AllocateData", [size], {})
        else:
            kill_during(one, rng, [("AllocateData", [size], {})])
    [serial] = made
    target, used = ("region", serial), False
    while serial in one.world.regions:
        calls = [("Attach", [target, owner], {})] if not used else []
        calls += [("Detach", [target, owner], {}), ("ReleaseData", [target], {})]
        used = used or rng.random() < 0.5
        calls = calls[:rng.randrange(1, len(calls) + 1)]
        if rng.random() < 0.2:
            for call in calls:
                play_call(one, *call)
        else:
            kill_during(one, rng, calls)


def kill_during(one, rng, calls):
    one.play({"do": "crash", "calls": calls, "again": None, "delay": rng.choice([0, rng.uniform(0, 0.002), rng.uniform(0, 0.02)])})


def worker(seeds, pipe):
    """Plays the games; writes a line of JSON a game."""
    with os.fdopen(pipe, "w", encoding="utf-8") as out:
        for seed, length in seeds:
            try:
                stats, wrong = play_game(seed, length)
            except Exception:
                stats, wrong = {}, f"game with seed {seed}: {traceback.format_exc()}"
            out.write(json.dumps([seed, stats, wrong]) + "\n")
            out.flush()
            if wrong:
                return


class Model(unittest.TestCase):
    def test_random(self):
        games, total, seed = [], 0, SEED
        while total < OPERATIONS:
            length = min(game_length(seed), max(OPERATIONS - total, 50))
            games.append((seed, length))
            total += length
            seed += 1
        print(f"# seed {SEED}, {len(games)} games, {total} operations, {JOBS} at once", flush=True)
        started = time.monotonic()
        # Longest first to the one who has least to do.
        shares = [[] for _ in range(JOBS)]
        for game in sorted(games, key=lambda g: -g[1]):
            min(shares, key=lambda s: sum(g[1] for g in s)).append(game)
        pipes = []
        for share in shares:
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(read)
                worker(share, write)
                os._exit(0)
            os.close(write)
            pipes.append((pid, read, share))
        stats, wrong, played = {}, [], 0
        for pid, read, _share in pipes:
            with os.fdopen(read, encoding="utf-8") as lines:
                for line in lines:
                    _seed, one, text = json.loads(line)
                    played += 1
                    for key, number in one.items():
                        stats[key] = stats.get(key, 0) + number
                    if text:
                        wrong.append(text)
            os.waitpid(pid, 0)
        print(f"# model: {stats.get('operations', 0)} operations in {time.monotonic() - started:.0f} s: "
              f"{stats.get('changes', 0)} changes done, {stats.get('refused', 0)} refused, {stats.get('repeated', 0)} repeated by "
              f"request-id; {stats.get('crashes', 0)} crashes, {stats.get('worlds', 0)} of them with more than one possible world, "
              f"{stats.get('injected', 0)} failures injected, {stats.get('health', 0)} times other bad frames or DIMMs, "
              f"{stats.get('lost', 0)} devices lost, {stats.get('adopted', 0)} orphans adopted or destroyed, {stats.get('storms', 0)} renames besides to fill journals, {stats.get('lists', 0)} pages of lists compared", flush=True)
        if wrong:
            self.fail("\n\n".join(wrong))
        self.assertEqual(played, len(games))
        self.assertGreaterEqual(stats["operations"], OPERATIONS)
        # A test that injects nothing proves nothing.
        for key in ("changes", "refused", "repeated", "crashes", "injected", "health"):
            self.assertTrue(OPERATIONS < 1000 or stats[key] > 0, key)
        # That a change is cut off is up to the blow's moment: of few crashes there may be none.
        self.assertTrue(stats["crashes"] < 150 or stats["worlds"] > 0, "worlds")

    def test_lending(self):
        """Regions that are made, lent, given back and released, with pmemd killed at any moment of that: no lease is lost, no frame
        leaks."""
        started, rng = time.monotonic(), random.Random(SEED)
        folder = tempfile.mkdtemp(prefix="pmemd-model-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        raw = world.Raw("raw0", 0x100000, 0x104000, 0, 1, 0)
        group = {"StartFrame": hex(raw.start), "Bytes": str((raw.end - raw.start) * world.FRAME), "Alignment": "4K", "Lead": "0"}
        one = player.Player(folder, {"raw0": group}, world.World([raw]))
        try:
            play_call(one, "AllocateMgmt", [8 << 20], {"max-regions": 16})
            for number in range(CYCLES):
                lend_and_release(one, rng, f"vm{number}")
            one.play({"do": "restart"})
            self.assertEqual((len(one.world.regions), one.rows("ListLeases")), (0, []))
        except player.Mismatch as e:
            one.close(keep=True)
            self.fail(f"PMEMD_TEST_SEED={SEED}, kept: {folder}: {e}\n{one.daemon.log()[-2000:]}")
        one.close()
        print(f"# model: {CYCLES} regions lent {one.stats['lent']} times and released in {time.monotonic() - started:.0f} s, pmemd killed "
              f"{one.stats['crashes']} times, {one.stats['worlds']} of them with more than one possible world", flush=True)
        self.assertGreaterEqual(one.stats["crashes"], CYCLES)


if __name__ == "__main__":
    harness.main()
