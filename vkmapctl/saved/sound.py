"""What whoever shows or compares a saved document relies on and its types cannot say: checked once, when it is read."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from vkmapctl.model.bins import HIGHEST
from vkmapctl.model.device import MALLOC, Device
from vkmapctl.model.documents import CheckRow, DoctorReport, Document, ProbeReport, Run, VerifyReport
from vkmapctl.model.measured import Bins, Latency, Row
from vkmapctl.model.recorded import RecordReport

SMALLEST, LARGEST = 1e-30, 1e30  # of a number, but for 0: what is made of two such is a number too
ONLY_SHOWN = ("host", "workload")


class Unsound(Exception):
    """What is wrong, and where in what was checked: a path such as `.floor.call_ns`."""

    def __init__(self, what: str, where: str = "") -> None:
        super().__init__(what)
        self.what, self.where = what, where


def check(node: object) -> None:
    """Raises Unsound for a document, or a part of one, that not every view can show."""
    if isinstance(node, int | float):
        if node and not SMALLEST <= node <= LARGEST:
            raise Unsound("the number is negative, or smaller or larger than any that is measured")
    elif isinstance(node, Bins):
        _check_bins(node.bins)
    else:
        for name, part in _parts(node):
            try:
                check(part)
            except Unsound as error:
                raise Unsound(error.what, name + error.where) from None
    if isinstance(node, msgspec.Struct):
        _check_whole(node)


def _parts(node: object) -> Iterator[tuple[str, object]]:
    """What it is made of, each with its place in it."""
    if isinstance(node, tuple):
        yield from ((f"[{i}]", one) for i, one in enumerate(node))
    elif isinstance(node, dict):
        yield from ((f".{name}", one) for name, one in node.items())
    elif isinstance(node, msgspec.Struct):
        for name in node.__struct_fields__:
            part = getattr(node, name)
            if name not in ONLY_SHOWN and not (name == "memory_type" and part == MALLOC):
                yield f".{name}", part


def _check_bins(bins: Iterable[tuple[int, int]]) -> None:
    before = -1
    for edge, count in bins:
        if not (before < edge <= HIGHEST and 0 < count <= LARGEST):
            raise Unsound("bins are not in their order, or one is empty or beyond the last", ".bins")
        before = edge


def _check_whole(node: msgspec.Struct) -> None:
    """What holds between the parts of one thing."""
    match node:
        case Latency():
            if node.histogram.bins and not node.count:
                raise Unsound("there are samples in the histogram", ".count")
        case Row():
            if not node.allocation_size and node.status != "unsupported":
                raise Unsound("a row of no size cannot have been measured", ".allocation_size")
        case Device():
            for i, one in enumerate(node.memory_types):
                if one.heap >= len(node.heaps):
                    raise Unsound("there is no such heap", f".memory_types[{i}].heap")
        case Document():
            _check_devices(node)


def _check_devices(document: Document) -> None:
    match document:
        case Run() | VerifyReport():
            devices = list(document.devices)
        case ProbeReport() | DoctorReport():
            devices = [probe.device for probe in document.devices if probe.device]
        case RecordReport():
            _check_places(".objects", [one.device for one in document.objects], len(document.devices))
            _check_places(".memory_types", [one.device for one in document.memory_types], len(document.devices))
            return
        case _:
            return
    known = [device.index for device in devices]
    if len(set(known)) < len(known):
        raise Unsound("two devices have the same index", ".devices")
    if isinstance(document, DoctorReport) and document.device not in (None, *known):
        raise Unsound("there is no such device", ".device")
    rows: Sequence[Row | CheckRow] = document.results if isinstance(document, Run | VerifyReport | DoctorReport) else ()
    for i, row in enumerate(rows):
        if row.device not in known:
            raise Unsound("there is no such device", f".results[{i}].device")


def _check_places(name: str, places: Iterable[int | None], devices: int) -> None:
    for i, place in enumerate(places):
        if place is not None and place >= devices:
            raise Unsound("there is no such device", f"{name}[{i}].device")
