"""How cost grows: each series is a list of (how many, cost), with the unit of both in its name."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from commands import command, environment, run_json

PATIENCE_SECONDS = 10.0  # a series ends with a point that took longer


class Series(NamedTuple):
    """name: what grows. Points are (amount, cost)."""

    name: str
    amount: str
    cost: str
    points: list[tuple[float, float]]


def _stress(*arguments: str) -> Any:
    return run_json("stress", "--duration", "200ms", "--warmup", "20ms", *arguments)


def _timed(*arguments: str) -> tuple[float, Any]:
    begin = time.perf_counter()
    document = run_json(*arguments)
    return time.perf_counter() - begin, document


def _points(amounts: Iterable[int], cost: Callable[[int], float]) -> list[tuple[float, float]]:
    """Each amount and its cost, up to one that is refused or that takes more than PATIENCE_SECONDS."""
    points: list[tuple[float, float]] = []
    for amount in amounts:
        begin = time.perf_counter()
        try:
            points.append((float(amount), cost(amount)))
        except subprocess.CalledProcessError:
            break
        if time.perf_counter() - begin > PATIENCE_SECONDS:
            break
    return points


def _ns_per_pair(*arguments: str) -> float:
    return float(_stress(*arguments)["results"][0]["ns_per_pair"])


def sizes(quick: bool) -> Series:
    """4 KiB to 4 GiB, as far as the machine's memory goes."""
    amounts = (1 << power for power in range(12, 17 if quick else 33, 4))
    points = _points(amounts, lambda size: _ns_per_pair("--size", str(size)))
    return Series("map size", "bytes", "ns per pair", points)


def live(quick: bool) -> Series:
    """1 to 100,000 objects mapped at once, or as many as the driver allows in good time."""
    amounts = (1, 10) if quick else (1, 10, 100, 1_000, 10_000, 60_000, 100_000)
    points = _points(amounts, lambda count: _ns_per_pair("--size", "4K", "--live", str(count)))
    return Series("live objects", "objects", "ns per pair", points)


def set_up(quick: bool) -> Series:
    """Seconds of a whole command that maps each live object once: what allocation and set-up add."""

    def seconds(count: int) -> float:
        return _timed("stress", "--size", "4K", "--live", str(count), "--iterations", "1", "--warmup", "0s")[0]

    points = _points((1, 100) if quick else (1, 1_000, 3_000, 10_000, 30_000, 60_000, 100_000), seconds)
    return Series("set-up of live objects", "objects", "seconds", points)


def threads(quick: bool) -> Series:
    """1 thread to twice as many as there are CPUs."""
    cpus, points, count = len(os.sched_getaffinity(0)), [], 1
    while count <= (min(cpus, 2) if quick else 2 * cpus):
        row = _stress("--size", "64K", "--threads", str(count))["results"][0]
        points.append((float(count), row["pairs_per_second"]))
        count *= 2
    return Series("threads", "threads", "pairs per second", points)


def jobs(quick: bool) -> Series:
    """Rows of one run that is saved: a sweep over sizes, one cycle each."""
    points = []
    with tempfile.TemporaryDirectory() as folder:
        for count in (10, 20) if quick else (10, 100, 1_000, 4_000):
            sweep = [word for i in range(count) for word in ("--size", str(4096 * (i + 1)))]
            file = str(Path(folder, f"{count}.json"))
            seconds, _ = _timed("stress", *sweep, "--iterations", "1", "--warmup", "0s", "--save", file)
            points.append((float(count), seconds))
    return Series("rows of a run", "rows", "seconds", points)


def saved_files(folder: Path, quick: bool) -> Iterator[Series]:
    """Size of a saved run by its rows, its histogram bins by its samples, and seconds until `report show` ends."""
    sizes_of, shown, bins = [], [], []
    for cycles in (100,) if quick else (100, 10_000, 1_000_000):
        row = run_json("stress", "--size", "64K", "--iterations", str(cycles))["results"][0]
        bins.append((float(cycles), float(len(row["map"]["histogram"]["bins"]))))
    document = run_json("stress", "--size", "64K", "--iterations", "10000")
    for count in (10, 100) if quick else (100, 1_000, 10_000):
        rows = [document["results"][0] | {"job": f"job {i}", "allocation_size": 4096 * (i + 1)} for i in range(count)]
        path = folder / f"{count}.json"
        path.write_text(json.dumps(document | {"results": rows}))
        sizes_of.append((float(count), float(path.stat().st_size)))
        begin = time.perf_counter()
        done = subprocess.run(
            [command("vkmapctl"), "report", "show", str(path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        if done.returncode == 0:
            shown.append((float(count), time.perf_counter() - begin))
    yield Series("histogram", "samples", "bins that are not empty", bins)
    yield Series("saved file", "rows", "bytes", sizes_of)
    yield Series("report show", "rows", "seconds", shown)


def all_series(folder: Path, quick: bool) -> Iterator[Series]:
    for measure in (sizes, live, set_up, threads, jobs):
        yield measure(quick)
    yield from saved_files(folder, quick)
