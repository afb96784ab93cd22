"""A driver's process that answers at once and runs nowhere: for thousands of command lines in one process."""

from collections.abc import Iterator
from typing import Any

from builders import FULLY_PLACED, NON_COHERENT, a_device, a_gpu, a_histogram, a_probe

from vkmapctl.driver.messages import (
    AskPointer,
    Calibrate,
    Calibrated,
    Described,
    Finish,
    Finished,
    Measure,
    Measured,
    PointerTypes,
    Prove,
    Proved,
    Round,
    Tried,
    Try,
)
from vkmapctl.model.base import Verdict
from vkmapctl.model.device import HostImport, MemoryHeap, MemoryType

DEVICES = (
    a_device(host_import=HostImport(4096)),
    a_gpu(host_import=HostImport(65536)),
    a_gpu(index=2, name="Placed everywhere", placed=FULLY_PLACED, device_uuid="ff" * 16),
    a_device(index=3, name="Not coherent", memory_types=(NON_COHERENT, MemoryType(1, 0, ("Vi", "Pr"))), route="none",
             extensions={}, api_version="1.2.0"),
    a_device(index=4, name="Nothing to map", memory_types=(), heaps=()),
    a_device(index=5, name="Full", heaps=(MemoryHeap(0, 1 << 30, True, budget=1 << 20, usage=1 << 21),)),
)  # fmt: skip


class FakeDriver:
    """As process.DriverProcess, on the devices above; each measured job maps `pairs` times."""

    pairs = 1000

    def __init__(self, serve: Any, **_: Any) -> None:
        self.results = getattr(serve, "keywords", {}).get("results", ())

    def describe(self) -> Described:
        return Described("1.4.309", (), DEVICES, ())

    def answer(self, request: Any, kind: type) -> Any:
        return next(reply for reply in self.ask(request) if isinstance(reply, kind))

    def ask(self, request: Any, **_: Any) -> Iterator[Any]:
        match request:
            case Calibrate():
                self.results[0].stats[0].rate_pairs, self.results[0].stats[0].rate_ns = 1000, 2400
                yield Calibrated("tsc", a_histogram((20, 1000)))
            case Prove(device):
                probe = a_probe(DEVICES[device])
                yield Proved({point.name: point.found for point in probe.entry_points}, probe.proofs)
            case AskPointer():
                yield PointerTypes((0, 3))
            case Try():
                yield Tried(Verdict("pass"))
            case Measure(jobs):
                for results, _ in zip(self.results, jobs, strict=False):
                    results.stats[0].rate_pairs, results.stats[0].rate_ns = self.pairs, 35 * self.pairs
                yield Round((35.0,) * len(jobs))
                yield Measured((None,) * len(jobs))
            case Finish():
                yield Finished()
            case other:
                raise AssertionError(f"no answer to {other}")

    def said(self) -> str:
        return ""

    def end(self) -> None:
        """Nothing to take down."""

    def close(self, grace: float = 2.0) -> None:
        """Nothing to end."""
