"""One sweep over many hosts, by a real Slurm on this machine: each task leaves the documents of its host's GPUs.

Usage: fleet_scale.py [--hosts N] [--gpus N] [--json FILE]

As root, with what scripts/install-cluster installs. The hosts are those of tests/cluster: a slurmd each, in namespaces
of its own; what runs there copies documents that were made before, since it is Slurm and the store that are measured.
"""

import argparse
import json
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from fleet_index import make

TESTS = Path(__file__).parents[1] / "tests"
RUN = "one"  # of fleet_index
# Each file by rename, as vkmapctl writes them; the envelope last.
STUB = """\
#!/bin/bash
from={prepared}/$SLURMD_NODENAME
to={store}/runs/{run}/$SLURMD_NODENAME
mkdir -p "$to"
for name in begun.json $(cd "$from" && ls -- *.gz) envelope.json; do
    cp "$from/$name" "$to/.$name.part" && mv "$to/.$name.part" "$to/$name"
done
"""


def sweep(folder: Path, hosts: int, gpus: int) -> dict[str, Any]:
    """What a sweep of so many hosts took, and what came of it."""
    sys.path[:0] = [str(TESTS)]
    from cluster.hosts import Site

    prepared, store = folder / "prepared", folder / "store"
    make(prepared, hosts * gpus, gpus)
    names = [f"gpu{number:06}" for number in range(1, hosts + 1)]
    begun = time.monotonic()
    site = Site(folder, names, dead_after=120, ssh=False)
    try:
        up = time.monotonic() - begun
        site.script("stub", STUB.format(prepared=prepared / "runs" / RUN, store=store, run=RUN))
        site.vkmapctl("fleet", "init", store, "--hosts", f"gpu[{names[0][3:]}-{names[-1][3:]}]", "--gpus", gpus)
        begun = time.monotonic()
        ledger = site.vkmapctl(
            "fleet", "run", store, "--via", "slurm", "--run", RUN, "--program", folder / "stub", "--json", "--quiet",
            "--", "stress", "size-sweep", timeout=600,
        ).json()  # fmt: skip
        took = time.monotonic() - begun
    finally:
        site.end()
    started, over = (datetime.fromisoformat(at) for at in (ledger["run"]["started"], ledger["ended"]["ended"]))
    ended = [entry["state"] for entry in ledger["entries"]]
    return {
        "hosts": hosts, "gpus": len(ended), "ok": ended.count("ok"), "documents": len(list(store.rglob("*.json.gz"))),
        "hosts_up_s": round(up, 1), "srun_s": (over - started).seconds, "run_and_ledger_s": round(took, 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=250)
    parser.add_argument("--gpus", type=int, default=8, help="of each host")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fleet-scale-") as folder:
        found = sweep(Path(folder), options.hosts, options.gpus)
    print("  ".join(f"{name} {value:,}" for name, value in found.items()))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
