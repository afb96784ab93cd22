"""Stores of fleets that never were: documents of the kept H100 run with other hosts, cards and figures."""

import json
from pathlib import Path

from msgspec.structs import replace

from vkmapctl.fleet import store
from vkmapctl.model.documents import to_json
from vkmapctl.model.fleet import EngineEnd, Envelope, FleetRun, Roster, SeenGpu

RESULTS = Path(__file__).parents[2] / "docs" / "results"
COMMAND = ("stress", "size-sweep")
ROWS = 2
STARTED, ENDED = "2026-11-26T01:00:00+00:00", "2026-11-26T01:10:00+00:00"


def uuid(host, slot):
    return f"{sum(map(ord, host)):08x}{slot:024x}"


def pci(slot):
    return f"0000:{slot + 1:02x}:00.0"


def document(name="gpu01", slot=0, *, kind="stress", **changed):
    """A document as a host saves it, as bytes; changed: keys of its head."""
    found = json.loads((RESULTS / f"h100-{'size-sweep' if kind == 'stress' else kind}.json").read_text())
    device = found["devices"][0]["device"] if kind == "probe" else found["devices"][0]
    device |= {"device_uuid": uuid(name, slot), "pci_address": pci(slot)}
    found["devices"] = found["devices"][:1]
    found["host"]["hostname"] = name
    found["results"] = found.get("results", [])[:ROWS]
    return json.dumps(found | changed).encode()


def seen(host="gpu01", slot=0, **changed):
    return SeenGpu(
        **{
            "slot": slot, "index": slot, "name": "NVIDIA H100 80GB HBM3", "type": "discrete", "pci": pci(slot),
            "uuid": uuid(host, slot), "document": f"{slot}-stress.json.gz", "exit_code": 0,
        } | changed
    )  # fmt: skip


def envelope(host="gpu01", run="one", **changed):
    return Envelope(
        **{
            "host": host, "run": run, "command": COMMAND, "boot_id": f"boot of {host}", "started": STARTED,
            "ended": ENDED, "exit_code": 0, "seen": (seen(host),),
        } | changed
    )  # fmt: skip


class Fleet:
    """A store being filled."""

    def __init__(self, path, hosts=("gpu01", "gpu02"), gpus=1):
        self.store = store.Store(path)
        self.store.write_roster(Roster(tuple(hosts), gpus))
        self.gpus = gpus

    def begin(self, run="one", hosts="gpu[01-02]", started=STARTED, **changed):
        asked = FleetRun(id=run, command=COMMAND, engine="slurm", started=started, hosts=hosts, gpus=self.gpus)
        self.store.begin(replace(asked, **changed))
        return run

    def end(self, run="one", **changed):
        self.store.end(run, EngineEnd(**{"ended": ENDED, "status": 0} | changed))

    def put(self, host, name, data, run="one"):
        return store.put(self.store.host_folder(run, host), name, data)

    def begun(self, host, run="one"):
        self.put(host, "begun.json", to_json(envelope(host, run, ended="", seen=())), run)

    def answers(self, host, run="one", **changed):
        """A host that did its part: begun, envelope, and a document of each GPU it has seen."""
        self.begun(host, run)
        said = envelope(host, run, **changed)
        for gpu in said.seen:
            self.put(host, f"{gpu.slot}-stress.json.gz", store.packed(document(host, gpu.slot)), run)
        self.put(host, "envelope.json", to_json(said), run)
