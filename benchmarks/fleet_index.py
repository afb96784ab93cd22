"""A fleet's index at scale: documents made of a saved run, for other hosts and with other figures, indexed and queried.

Usage: fleet_index.py [--documents N] [--gpus N] [--folder DIR] [--json FILE]

Each step runs in a process of its own, so that its memory is its own. Wall time and CPU time are told, since a machine
that others use makes the first longer. The documents stay in DIR where one is given, and are made once.
"""

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import zlib
from functools import cache
from pathlib import Path
from typing import Any

SAVED = Path(__file__).parents[1] / "docs" / "results" / "h100-size-sweep.json"
COMMAND = ("stress", "size-sweep")
STARTED, ENDED = "2026-11-26T01:00:00+00:00", "2026-11-26T01:30:00+00:00"
STEPS = {  # what is timed, in a process that has `store`; the result is printed
    "index": "index = Index(store); result = 0",
    "index again, nothing new": "index = Index(store); result = 0",
    "ledger": "result = len(judged(store, 'one').entries)",
    "observations": "result = sum(1 for _ in Index(store).observations(['one']))",
}
STEP = """
import json, os, resource, sys, time
from pathlib import Path
from vkmapctl.fleet.index import Index
from vkmapctl.fleet.store import Store
from vkmapctl.fleet.sweep import judged
store = Store(Path(sys.argv[1]))
wall, before = time.monotonic(), sum(os.times()[:4])
exec(sys.argv[2])
wall, cpu = time.monotonic() - wall, sum(os.times()[:4]) - before
self, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps({"wall_s": round(wall, 2), "cpu_s": round(cpu, 2), "peak_mib": round(self / 1024, 1),
                  "reader_peak_mib": round(children / 1024, 1), "result": result}))
"""
VARIANTS = 100  # of noise, drawn for each GPU


@cache
def rows_of(variant: int) -> Any:
    """A gzip stream as it stands after the saved run's rows with 3 % of noise, and before what is a GPU's own."""
    saved = json.loads(SAVED.read_bytes())
    noise = random.Random(variant)
    for row in saved["results"]:
        row["ns_per_pair"] *= noise.lognormvariate(0, 0.03)
    shared = {key: value for key, value in saved.items() if key not in ("host", "devices")}
    stream = zlib.compressobj(wbits=31)
    return stream, stream.compress(json.dumps(shared, separators=(",", ":")).encode()[:-1])


def host_document(host: str, slot: int, variant: int) -> bytes:
    """The saved run as another GPU might have left it."""
    saved = _saved()
    own = {"host": saved["host"] | {"hostname": host},
           "devices": [saved["devices"][0] | {"device_uuid": uuid(host, slot), "pci_address": pci(slot)}]}  # fmt: skip
    stream, begun = rows_of(variant)
    rest = stream.copy()
    return begun + rest.compress(b"," + json.dumps(own, separators=(",", ":")).encode()[1:]) + rest.flush()


@cache
def _saved() -> dict[str, Any]:
    return dict(json.loads(SAVED.read_bytes()))


def uuid(host: str, slot: int) -> str:
    """A deviceUUID that no other GPU has."""
    return f"{int(host.removeprefix('gpu')):024x}{slot:08x}"


def pci(slot: int) -> str:
    """A PCI address for each slot."""
    return f"0000:{slot + 1:02x}:00.0"


def fill(folder: str, number: int, gpus: int) -> int:
    """Everything that one host leaves of a run; the size of its documents as they are kept."""
    from vkmapctl.fleet import store
    from vkmapctl.model.documents import to_json
    from vkmapctl.model.fleet import Envelope, SeenGpu

    host = f"gpu{number:06}"
    noise = random.Random(number)
    where = Path(folder) / host
    where.mkdir()
    size, seen = 0, []
    for slot in range(gpus):
        data = host_document(host, slot, noise.randrange(VARIANTS))
        size += len(data)
        name = f"{slot}-stress.json.gz"
        (where / name).write_bytes(data)
        seen.append(
            SeenGpu(slot=slot, index=slot, name="NVIDIA H100 80GB HBM3", type="discrete", pci=pci(slot),
                    uuid=uuid(host, slot), document=name, exit_code=0)
        )  # fmt: skip
    envelope = Envelope(host=host, run="one", command=COMMAND, started=STARTED, ended=ENDED, expected=gpus,
                        boot_id=f"boot of {host}", exit_code=0, seen=tuple(seen))  # fmt: skip
    (where / store.BEGUN).write_bytes(to_json(envelope))
    (where / store.ENVELOPE).write_bytes(to_json(envelope))
    return size


def make(folder: Path, documents: int, gpus: int) -> int:
    """A store of one run with so many documents; the size of them all."""
    from vkmapctl import hostlist
    from vkmapctl.fleet.store import Store
    from vkmapctl.model.fleet import EngineEnd, FleetRun, Roster

    hosts = range(1, documents // gpus + 1)
    names = [f"gpu{number:06}" for number in hosts]
    to = Store(folder)
    to.write_roster(Roster(tuple(names), gpus))
    to.begin(
        FleetRun(id="one", command=COMMAND, engine="slurm", started=STARTED, hosts=hostlist.fold(names), gpus=gpus)
    )
    with multiprocessing.Pool(os.cpu_count()) as pool:
        sizes = pool.starmap(fill, ((str(folder / "runs" / "one"), number, gpus) for number in hosts), chunksize=16)
    to.end("one", EngineEnd(ended=ENDED, status=0))
    return sum(sizes)


def step(folder: Path, code: str) -> dict[str, Any]:
    """What one step cost."""
    done = subprocess.run([sys.executable, "-c", STEP, str(folder), code], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--gpus", type=int, default=8, help="of each host")
    parser.add_argument("--folder", type=Path, help="where the store is made, or was")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fleet-index-") as scratch:
        folder = options.folder or Path(scratch) / "store"
        made = None if (folder / "runs").exists() else make(folder, options.documents, options.gpus)
        for name in ("index.db", "index.db-journal"):
            (folder / name).unlink(missing_ok=True)
        steps = {name: step(folder, code) for name, code in STEPS.items()}
        found: dict[str, Any] = {
            "documents": options.documents,
            "document_bytes": SAVED.stat().st_size,
            "kept_bytes_each": made and made // options.documents,
            "index_mib": round((folder / "index.db").stat().st_size / (1 << 20), 1),
            "steps": steps,
        }
    for name, cost in steps.items():
        print(f"{name:26} {cost['wall_s']:8.2f} s  {cost['cpu_s']:8.2f} s CPU  {cost['peak_mib']:7.1f} MiB  "
              f"{cost['reader_peak_mib']:7.1f} MiB each reader  "
              f"{cost['result']:,}")  # fmt: skip
    print(f"{options.documents:,} documents of {found['document_bytes']:,} bytes, index {found['index_mib']} MiB")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
