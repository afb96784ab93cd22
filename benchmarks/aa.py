#!/usr/bin/env python3
"""How often a driver is called slower or faster than itself, and how often one that is slower by a tenth is found.

Usage: aa.py [--pairs N] [--duration D] [--json FILE]

Runs the installed vkmapctl while a process keeps one CPU busy: `stress --versus` of the driver with itself, and with
one that is slower; pairs of single runs that are compared, and half as many pairs of repeated runs. The slower driver
is the tests' own in front of lavapipe, which spins in each map; it needs a C compiler.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import command
from vkmapctl.figures.versus import verdict

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from icd.build import icd

FIVE = "five processes each"
SHORT = "400ms"  # of a row of each repeated run, which has five processes
SPIN = 400  # turns of an empty loop in each map of the driver that stands for the good build
SLOWER = 0.10


@contextmanager
def busy_cpu() -> Iterator[None]:
    """A process that never sleeps."""
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        spinning.kill()
        spinning.wait()


def stress(*arguments: str, **environment: str) -> Any:
    """The document of a run."""
    done = subprocess.run(
        [command("vkmapctl"), "stress", *arguments, "--json", "--quiet"],
        env={**os.environ, **environment}, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def compared(folder: Path, *arguments: str) -> str:
    """The verdict of `report compare` on two runs, one after the other."""
    paths = [str(folder / name) for name in ("a.json", "b.json")]
    for path in paths:
        stress(*arguments, "--save", path, "--force")
    done = subprocess.run(
        [command("vkmapctl"), "report", "compare", *paths, "--json", "--gate", "warn"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    if done.returncode:
        return "refused"
    ((pair,),) = [one["pairs"] for one in json.loads(done.stdout)["comparisons"]]
    return str(pair["verdict"])


def side_by_side(ratios: list[float], *arguments: str, **environment: str) -> str:
    """What `stress --versus` says of its one row; ratios: gets the ratio too."""
    (row,) = stress(*arguments, **environment)["results"]
    ratio = row["versus"]["ratios"]["ns_per_pair"]
    ratios.append(ratio[0])
    return verdict(tuple(ratio))


def slower_by_a_tenth(good: dict[str, str]) -> str:
    """The turns of the loop that make a pair of maps and unmaps of the good driver a tenth longer."""
    there = stress("--duration", "1s", "--versus", "VKMAPCTL_ICD=vkMapMemory2=spin:4000", **good | {"VKMAPCTL_ICD": ""})
    without = 4000 / (there["results"][0]["versus"]["ratios"]["ns_per_pair"][0] - 1)  # turns that the rest is worth
    return f"VKMAPCTL_ICD=vkMapMemory2=spin:{SPIN + round(SLOWER * (SPIN + without))}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--duration", default="2s", help="of a row, but for repeated runs (default: stress's own)")
    parser.add_argument("--json", type=Path, help="write what was found")
    asked = parser.parse_args()
    once = ("quick", "--duration", asked.duration)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        good = icd(folder, f"vkMapMemory2=spin:{SPIN}") | {"VK_LOADER_DRIVERS_SELECT": ""}
        slower = slower_by_a_tenth(good)
        ratios: dict[str, list[float]] = {"versus itself": [], "versus a slower one": []}
        ways: dict[str, Callable[[], str]] = {
            "versus itself": lambda: side_by_side(ratios["versus itself"], *once, "--versus", "VKMAPCTL_AA=1"),
            "versus a slower one": lambda: side_by_side(
                ratios["versus a slower one"], *once, "--versus", slower, **good
            ),
            "one run each": lambda: compared(folder, *once),
            FIVE: lambda: compared(folder, "quick", "--repeat", "5", "--duration", SHORT),
        }
        with busy_cpu():
            for title, judge in ways.items():
                begin, loads, verdicts = time.monotonic(), [], Counter[str]()
                for _ in range(asked.pairs // 2 if title == FIVE else asked.pairs):
                    verdicts[judge()] += 1
                    loads.append(os.getloadavg()[0])
                found[title] = {
                    "verdicts": dict(verdicts),
                    "ratios": ratios.get(title, []),
                    "load": [min(loads), statistics.median(loads), max(loads)],
                    "seconds": time.monotonic() - begin,
                }
                load = "least {:.1f}, median {:.1f}, most {:.1f}".format(*found[title]["load"])
                told = ", ".join(f"{count} {word}" for word, count in verdicts.most_common())
                print(f"{title}: {told}; load: {load}; {found[title]['seconds']:.0f} s", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(found | {"pairs": asked.pairs, "date": time.strftime("%F")}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
