"""How far apart the GPUs of a store are, and each from its own runs: what `fleet outliers` has to see through.

Usage: fleet_spread.py STORE [--json FILE]

Runs of one command are taken together. A figure's place is ln of its value less ln of the median of the run's GPUs; a
GPU's shift in a run is the median of its figures' places. All in percent.
"""

import argparse
import json
import math
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

from vkmapctl.fleet.index import Index
from vkmapctl.fleet.store import Store
from vkmapctl.model.fleet import Observation


def spread(found: list[Observation]) -> dict[str, Any]:
    """Of one command's runs: each GPU's shift in each run, and how far figures are from each other."""
    runs = list(dict.fromkeys(one.run for one in found))
    gpus = sorted({(one.host, one.slot) for one in found})
    values = {(one.row, one.metric, one.run, one.host, one.slot): one.value for one in found}
    figures = sorted({key[:2] for key in values})
    shifts, between, within = {}, [], []
    for gpu in gpus:
        shifts["/".join(map(str, gpu))] = [_shift(values, figures, run, gpu, gpus) for run in runs]
    for figure in figures:
        of = {gpu: [values[*figure, run, *gpu] for run in runs if (*figure, run, *gpu) in values] for gpu in gpus}
        middles = [median(one) for one in of.values() if one]
        between.append(100 * math.log(max(middles) / min(middles)))
        within += [100 * math.log(max(one) / min(one)) for one in of.values() if len(one) > 1]
    return {"runs": len(runs), "gpus": len(gpus), "figures": len(figures), "shift_percent": shifts,
            "between_gpus_percent": _told(between), "between_runs_percent": _told(within)}  # fmt: skip


def _shift(values: dict[Any, float], figures: list[Any], run: str, gpu: Any, gpus: list[Any]) -> float:
    places = []
    for figure in figures:
        peers = [values[*figure, run, *one] for one in gpus if (*figure, run, *one) in values]
        if (*figure, run, *gpu) in values:
            places.append(math.log(values[*figure, run, *gpu] / median(peers)))
    return round(100 * median(places), 2)


def _told(found: list[float]) -> dict[str, float]:
    ordered = sorted(found)
    return {"median": round(median(ordered), 1), "p90": round(ordered[int(0.9 * len(ordered))], 1),
            "largest": round(ordered[-1], 1)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    index = Index(Store(options.store))
    commands: dict[str, list[str]] = defaultdict(list)
    for run in index.runs():
        if (asked := index.run(run)) and asked.command[0] == "stress":
            commands[" ".join(asked.command)].append(run)
    told = {command: spread(list(index.observations(runs))) for command, runs in commands.items()}
    text = json.dumps(told, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
