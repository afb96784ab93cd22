"""The narrow reader of documents: what a ledger and statistics need, and nothing else, in a fraction of the time.

Whatever it reads may be hostile: sizes are bounded before anything is made of them, text is cleaned as it is kept, and
a figure that no machine measures is left out.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from vkmapctl.model.documents import SCHEMA
from vkmapctl.text import LONGEST_NAME, clean

_MEASURED = ("ok", "missed", "failed")  # statuses of rows that may have figures
_LARGEST = 1e18
Figure = tuple[str, str, float]  # a row's label, a metric and its value, as model/fleet.Observation has them
_MOST_TOLD = 8  # failing checks, or rows, that a reason names


class Read(NamedTuple):
    """What a document says. ok: outcome and exit code agree that all went well. why: what did not."""

    kind: str
    outcome: str
    ok: bool
    why: str
    started: str
    model: str
    type: str
    uuid: str
    pci: str
    driver: str
    kernel: str
    cpu: str
    workload: str
    figures: tuple[Figure, ...]


class _Part(msgspec.Struct, frozen=True, gc=False):
    """A part of a document, of which only these fields are decoded."""


class _Host(_Part, frozen=True, gc=False):
    kernel: str | None = None
    cpu_model: str | None = None


class _Device(_Part, frozen=True, gc=False):
    name: str
    type: str = ""
    driver_name: str = ""
    driver_info: str = ""
    device_uuid: str = ""
    pci_address: str | None = None


class _Probed(_Part, frozen=True, gc=False):
    device: _Device | None = None
    status: str = ""
    reason: str = ""


class _Latency(_Part, frozen=True, gc=False):
    p50_ns: float | None = None
    at_floor: bool = False


class _Rate(_Part, frozen=True, gc=False):
    write: float | None = None
    read: float | None = None


class _Row(_Part, frozen=True, gc=False):
    job: str
    status: str = "ok"
    reason: str = ""
    ns_per_pair: float | None = None
    first_touch_ns_per_page: float | None = None
    map: _Latency | None = None
    unmap: _Latency | None = None
    calls: dict[str, _Latency] = {}
    touch_bytes_per_second: _Rate = _Rate()


class _Check(_Part, frozen=True, gc=False):
    id: str
    status: str
    detail: str = ""


class _Document(_Part, tag_field="kind", frozen=True, gc=False):
    schema: str
    outcome: str
    exit_code: int
    reason: str = ""
    started: str = ""
    host: _Host = _Host()


class _Stress(_Document, tag="stress", frozen=True, gc=False, kw_only=True):
    workload: msgspec.Raw
    devices: tuple[_Device, ...] = ()
    results: tuple[_Row, ...] = ()


class _Probe(_Document, tag="probe", frozen=True, gc=False, kw_only=True):
    devices: tuple[_Probed, ...] = ()
    missing: tuple[str, ...] = ()


class _Verify(_Document, tag="verify", frozen=True, gc=False, kw_only=True):
    devices: tuple[_Device, ...] = ()
    results: tuple[_Check, ...] = ()


_Any = _Stress | _Probe | _Verify
_DECODER: msgspec.json.Decoder[_Any] = msgspec.json.Decoder(_Any)


def read_document(data: bytes) -> Read:
    """Of its JSON. Raises ValueError that says what is wrong, also for a document of more than one device."""
    try:
        found = _DECODER.decode(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if found.schema != SCHEMA:
        raise ValueError(f"it has schema '{clean(found.schema)}', this version reads {SCHEMA}")
    if len(found.devices) > 1:
        raise ValueError(f"it is of {len(found.devices)} devices, not of one GPU")
    first = found.devices[0] if found.devices else None
    device = (first.device if isinstance(first, _Probed) else first) or _Device("")
    ok = found.outcome == "ok" and found.exit_code == 0
    return Read(
        kind=type(found).__struct_config__.tag,  # type: ignore[arg-type]
        outcome=clean(found.outcome, LONGEST_NAME),
        ok=ok,
        why="" if ok else clean(_why(found) or found.reason),
        started=clean(found.started, LONGEST_NAME),
        model=clean(device.name, LONGEST_NAME),
        type=clean(device.type, LONGEST_NAME),
        uuid=clean(device.device_uuid, LONGEST_NAME),
        pci=clean(device.pci_address or "", LONGEST_NAME),
        driver=clean(f"{device.driver_name} {device.driver_info}".strip(), LONGEST_NAME),
        kernel=clean(found.host.kernel or "", LONGEST_NAME),
        cpu=clean(found.host.cpu_model or "", LONGEST_NAME),
        workload=_digest(found.workload) if isinstance(found, _Stress) else "",
        figures=tuple(_figures(found.results)) if isinstance(found, _Stress) else (),
    )


def _digest(workload: msgspec.Raw) -> str:
    """Of what it says, however it is laid out."""
    return blake2b(msgspec.json.format(workload, indent=-1), digest_size=8).hexdigest()


def _why(found: _Any) -> str:
    """What in it did not go well, in a line."""
    if found.reason:
        return found.reason
    if isinstance(found, _Probe):
        one = [probe for probe in found.devices if probe.status != "ok"]
        return "; ".join([*(f"lacks {what}" for what in found.missing[:_MOST_TOLD]), *(p.reason for p in one[:1])])
    if isinstance(found, _Verify):
        bad = [check.id for check in found.results if check.status in ("fail", "crashed", "hung", "lost")]
        return _counted(list(dict.fromkeys(bad)), "check failed", "checks failed")
    rows = [row for row in found.results if row.status != "ok"]
    told = f": {rows[0].status}, {rows[0].reason}" if rows else ""
    return _counted([f"'{row.job}'" for row in rows[:_MOST_TOLD]], "row", "rows", len(rows)) + told


def _counted(names: list[str], one: str, many: str, number: int | None = None) -> str:
    number = len(names) if number is None else number
    if not number:
        return ""
    more = " …" if number > _MOST_TOLD else ""
    return f"{number} {one if number == 1 else many}: {', '.join(names[:_MOST_TOLD])}{more}"


def _figures(rows: tuple[_Row, ...]) -> Iterator[Figure]:
    for row in rows:
        if row.status in _MEASURED:
            label = clean(row.job, LONGEST_NAME)
            for metric, value in _metrics(row):
                if value is not None and 0 < value < _LARGEST:
                    yield label, metric, value


def _metrics(row: _Row) -> list[tuple[str, float | None]]:
    touched = row.touch_bytes_per_second
    found = [
        ("ns_per_pair", row.ns_per_pair),
        ("first_touch_ns_per_page", row.first_touch_ns_per_page),
        ("write", touched.write),
        ("read", touched.read),
    ]
    for call, latency in (("map", row.map), ("unmap", row.unmap), *row.calls.items()):
        if latency is not None and not latency.at_floor:
            found.append((f"{clean(call, LONGEST_NAME)}.p50", latency.p50_ns))
    return found
