"""No run grows: the memory of parent and worker is the same after N and after 100 N cycles."""

from functools import partial
from pathlib import Path

import builders
import pytest
from msgspec.structs import replace

from vkmapctl.driver.messages import Measure, Measured
from vkmapctl.driver.process import DriverProcess, Interrupts
from vkmapctl.inside.layer import LayerChoice
from vkmapctl.native import Results
from vkmapctl.worker.serve import serve

MIB = 1 << 20


def resident(pid):
    """Private and shared bytes in memory, read once the page tables are summed up (smaps_rollup)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no Rss")


@pytest.mark.parametrize("touch", ["none", "verify"])
@pytest.mark.parametrize("emulate", ["none", "placed"])
def test_memory_does_not_depend_on_the_number_of_samples(emulate, touch, monkeypatch):
    monkeypatch.setenv("VK_LOADER_DRIVERS_SELECT", "*lvp*")
    results = [Results(2) for _ in range(3)]
    layer = LayerChoice(emulate) if emulate != "none" else None
    asked = builders.a_job(
        warmup_seconds=0.0, allocation_size=16 << 10, threads=2, live=2, offset=0, touch=touch,
        placed="any" if emulate == "placed" else None, reserve=emulate == "placed",
    )  # fmt: skip
    child = DriverProcess(partial(serve, results=results, layer=layer), timeout=60, interrupts=Interrupts())
    few = 200

    def measure(iterations):
        for one in results:
            one.clear()
        for reply in child.ask(Measure((replace(asked, iterations=iterations),))):
            if isinstance(reply, Measured):
                break
        assert results[0].fault()[0] == 0
        assert results[0].histogram("map").count == iterations * 4
        return resident(child.pid), resident("self")

    try:
        child.describe()
        measure(few)
        worker, parent = measure(few)
        worker_later, parent_later = measure(100 * few)
    finally:
        child.close()
    assert worker_later - worker < MIB
    assert parent_later - parent < MIB
