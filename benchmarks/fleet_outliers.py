#!/usr/bin/env python3
"""What `fleet outliers` finds in fleets that are made up: false alarms, the smallest slowdown, seconds by size.

Usage: fleet_outliers.py [--gpus N] [--sweeps N] [--json FILE]

A fleet has 8 GPUs a host and 50 rows a GPU. Rows scatter by 3 % (Student's t of 4 degrees, so that its tails are
heavy), GPUs by 1 % and hosts by 2 % and stay as they are from run to run; in each run 2 % of the hosts are busy, which
makes each of their rows slower by 0 to 40 %, those of one host's GPUs alike within 5 %. All of it is drawn from a seed.
"""

import argparse
import json
import math
import platform
import random
import resource
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vkmapctl.figures.fleet_scores import Family, Measured
from vkmapctl.figures.outliers import judge
from vkmapctl.model.outliers import Kind, Odd, Outliers

ROWS, GPUS_A_HOST = 50, 8
ROW_NOISE, GPU_SPREAD, HOST_SPREAD, BUSY = 0.03, 0.01, 0.02, 0.02
DEGREES = 4
KIND = Kind("GPU", "CPU", "workload", "driver", "kernel")
Slow = Mapping[int, float]  # GPU to ln of its slowdown


def student(draw: random.Random) -> float:
    """Student's t with DEGREES degrees of freedom, of variance 1."""
    square = draw.gammavariate(DEGREES / 2, 2)
    return draw.gauss(0, 1) * math.sqrt((DEGREES - 2) / square)


class Fleet:
    """GPUs and hosts that differ for good, and runs of them."""

    def __init__(self, gpus: int, seed: int, rows: int = ROWS, a_host: int = GPUS_A_HOST) -> None:
        self.draw = random.Random(seed)
        self.rows, self.a_host = rows, a_host
        self.gpus = [self.draw.gauss(0, GPU_SPREAD) for _ in range(gpus)]
        self.hosts = [self.draw.gauss(0, HOST_SPREAD) for _ in range(-(-gpus // a_host))]

    def run(self, slow: Slow | None = None, slow_rows: Mapping[tuple[int, int], float] | None = None) -> list[Measured]:
        """A run; slow: whole GPUs, slow_rows: (GPU, row)."""
        draw, slow, slow_rows = self.draw, slow or {}, slow_rows or {}
        noise = [student(draw) * ROW_NOISE for _ in range(4096)]
        found = []
        for host, of_host in enumerate(self.hosts):
            busy = draw.random() < BUSY
            load = [draw.uniform(0, math.log(1.4)) if busy else 0.0 for _ in range(self.rows)]
            for gpu in range(host * self.a_host, min((host + 1) * self.a_host, len(self.gpus))):
                level = of_host + self.gpus[gpu] + slow.get(gpu, 0.0)
                logs = array("d", (level + each + draw.choice(noise) for each in load))
                if busy:
                    logs = array("d", (log + draw.gauss(0, 0.05) for log in logs))
                for row in range(self.rows) if slow_rows else ():
                    logs[row] += slow_rows.get((gpu, row), 0.0)
                found.append(Measured(f"gpu{host:05}", f"{gpu}", KIND, logs))
        return found


def judged(*runs: list[Measured], history: int = 5) -> Outliers:
    """runs: newest first."""
    names = [f"run {len(runs) - i}" for i in range(len(runs))]
    rows = [f"row {i}" for i in range(len(runs[0][0].logs))]
    return judge([Family(rows, [*zip(names, runs, strict=True)])], history)


def odd(found: Outliers, against: str, verdicts: tuple[str, ...] = ("suspect",)) -> list[Odd]:
    """Those that are slower."""
    return [one for one in found.found if one.against == against and one.verdict in verdicts and one.shift > 0]


def false_alarms(gpus: int, sweeps: int) -> dict[str, float]:
    """Of a fleet without a fault, in each sweep: after one run, and after the second that agreed."""
    seen: Counter[str] = Counter()
    for seed in range(sweeps):
        fleet = Fleet(gpus, seed)
        found = judged(fleet.run(), fleet.run())
        seen["siblings, twice"] += len(odd(found, "siblings"))
        for against in ("peers", "hosts"):
            seen[f"{against}, twice"] += len(odd(found, against))
            seen[f"{against}, once"] += len(odd(found, against, ("suspect", "run-again")))
        seen["peers, twice, faster"] += sum(
            one.against == "peers" and one.verdict == "suspect" and one.shift < 0 for one in found.found
        )
    return {name: count / sweeps for name, count in sorted(seen.items())}


LEVELS = (0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.10, 0.15)
OF_ROWS = (0.15, 0.20, 0.25, 0.30, 0.40)


def found_shares(gpus: int, fleets: int = 5, each: int = 20) -> dict[str, Any]:
    """The share of slow GPUs that are suspects after two runs, by their slowdown; and the same of single slow rows.

    each: so many of every slowdown, in each fleet. said: what the results themselves say could be seen.
    """
    found_gpus: Counter[float] = Counter()
    found_rows: Counter[float] = Counter()
    said = []
    for seed in range(fleets):
        fleet = Fleet(gpus, 100 + seed)
        picks = random.Random(seed).sample(range(gpus), each * (len(LEVELS) + len(OF_ROWS)))
        slow = {gpu: LEVELS[i % len(LEVELS)] for i, gpu in enumerate(picks[: each * len(LEVELS)])}
        rows = {(gpu, i % ROWS): OF_ROWS[i % len(OF_ROWS)] for i, gpu in enumerate(picks[len(slow) :])}
        of_gpus = {gpu: math.log1p(level) for gpu, level in slow.items()}
        of_rows = {row: math.log1p(level) for row, level in rows.items()}
        found = judged(fleet.run(of_gpus, of_rows), fleet.run(of_gpus, of_rows))
        found_gpus.update(slow[int(one.gpu)] for one in odd(found, "peers") if int(one.gpu) in slow)
        places = [(int(one.gpu), int(one.row.split()[1])) for one in odd(found, "siblings")]
        found_rows.update(rows[place] for place in places if place in rows)
        said += [group.by_gpu.smallest for group in found.groups if group.by_gpu]
    return {
        "said": max(said),
        "gpus": {f"{one:.0%}": found_gpus[one] / fleets / each for one in LEVELS},
        "rows": {f"{one:.0%}": found_rows[one] / fleets / each for one in OF_ROWS},
    }


def share(found: set[Any], planted: Mapping[Any, float], level: float) -> float:
    of_level = [one for one, log in planted.items() if math.isclose(log, math.log1p(level))]
    return sum(one in found for one in of_level) / len(of_level)


def drift(gpus: int, each: int = 40) -> dict[str, Any]:
    """The same for drift: seven runs, of which the two newest are slower, all of them by 4 % as well."""
    levels = (0.02, 0.03, 0.04, 0.05)
    picks = random.Random(4).sample(range(gpus), each * len(levels))
    slow = {gpu: math.log1p(levels[i % len(levels)]) for i, gpu in enumerate(picks)}
    fleet = Fleet(gpus, 5)
    earlier = [fleet.run() for _ in range(5)]
    all_of_them = dict.fromkeys(range(gpus), math.log1p(0.04))
    newest = [fleet.run({gpu: log + slow.get(gpu, 0.0) for gpu, log in all_of_them.items()}) for _ in range(2)]
    found = judged(*newest, *earlier)
    ours = {int(one.gpu) for one in odd(found, "itself")}
    (one,) = found.drifts
    assert one.by_gpu
    return {
        "shared": one.shared,
        "said": one.by_gpu.smallest,
        "false alarms": len(ours - slow.keys()),
        "gpus": {f"{level:.0%}": share(ours, slow, level) for level in levels},
    }


def small_groups(fleets: int) -> dict[str, float]:
    """The share of fleets without a fault, and of few GPUs, in which a slower one is odd in one run."""
    found = {}
    for gpus, a_host in ((8, 8), (8, 4), (8, 2), (9, 3), (16, 8), (16, 2), (32, 8), (64, 8)):
        with_one = 0
        for seed in range(fleets):
            fleet = Fleet(gpus, seed, rows=5, a_host=a_host)
            with_one += bool(odd(judged(fleet.run()), "peers", ("run-again",)))
        found[f"{gpus} GPUs, {a_host} a host"] = with_one / fleets
    return found


def cost(sizes: Sequence[int]) -> Iterator[dict[str, float]]:
    """Seconds to judge two runs, and of all memory so far."""
    for gpus in sizes:
        fleet = Fleet(gpus, 6)
        runs = [fleet.run(), fleet.run()]
        begin = time.perf_counter()
        judged(*runs)
        seconds = time.perf_counter() - begin
        yield {"gpus": gpus, "seconds": seconds, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, default=10_000)
    parser.add_argument("--sweeps", type=int, default=10)
    parser.add_argument("--fleets", type=int, default=2000, help="of few GPUs")
    parser.add_argument("--largest", type=int, default=100_000, help="fleet whose seconds are measured")
    parser.add_argument("--json", type=Path, help="write what was found")
    asked = parser.parse_args()
    sizes = [size for size in (1_000, 10_000, 100_000) if size <= asked.largest]
    found: dict[str, Any] = {"gpus": asked.gpus, "sweeps": asked.sweeps, "python": platform.python_version()}
    parts = {
        "seconds": lambda: [*cost(sizes)],
        "false alarms in a sweep": lambda: false_alarms(asked.gpus, asked.sweeps),
        "found after two runs": lambda: found_shares(asked.gpus),
        "drift": lambda: drift(asked.gpus),
        "small groups with a false alarm in one run": lambda: small_groups(asked.fleets),
    }
    for name, measure in parts.items():
        begin = time.perf_counter()
        found[name] = measure()
        print(f"{name} ({time.perf_counter() - begin:.0f} s): {json.dumps(found[name], indent=1)}", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(found | {"date": time.strftime("%F")}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
