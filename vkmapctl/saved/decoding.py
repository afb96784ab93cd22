"""The bytes of a saved document to what they say: cleaned, checked, and row by row, so that memory stays bounded."""

from typing import Any

import msgspec
from msgspec.structs import replace

from vkmapctl.model.documents import SCHEMA, DoctorReport, ProbeReport, Run, SelftestReport, VerifyReport
from vkmapctl.model.measured import Latency, Row
from vkmapctl.model.recorded import RecordReport
from vkmapctl.saved import older, sound
from vkmapctl.saved.cleaning import cleaned

Document = Run | ProbeReport | VerifyReport | SelftestReport | DoctorReport | RecordReport
Bin = tuple[int, int]
MOST_VALUES = 32_000_000  # a run of 128 MiB has some 23 million; one takes 50 bytes of memory
COMMON = 256  # bins of fewer samples are alike in many rows, and there once: most of them are so
_Undecoded: Any = msgspec.defstruct(
    "_Undecoded", [("results", tuple[msgspec.Raw, ...], ())], bases=(Run,), frozen=True, kw_only=True, tag="stress"
)  # a run whose rows are still text
_ANY: Any = _Undecoded | ProbeReport | VerifyReport | SelftestReport | DoctorReport | RecordReport


def decode(data: bytes) -> Document:
    """Raises ValueError (msgspec's errors are such), or RecursionError, that says what is wrong, and where."""
    if data.count(b",") > MOST_VALUES:
        raise ValueError(f"it holds more than {MOST_VALUES:,} values")
    data = cleaned(data)
    schema = msgspec.json.decode(data, type=_Head).schema
    if schema != SCHEMA:
        raise ValueError(f"it has schema '{schema}', this version reads {SCHEMA}")
    document: Any = msgspec.json.decode(data, type=_ANY)
    if isinstance(document, _Undecoded):
        rows = _rows(document.results)
        known = {name: getattr(document, name) for name in Run.__struct_fields__}
        document = Run(**known | {"results": rows})
    _check(document)
    read: Document = older.completed(document) if isinstance(document, Run) else document
    return read


class _Head(msgspec.Struct):
    schema: str = ""


def _rows(undecoded: tuple[msgspec.Raw, ...]) -> tuple[Row, ...]:
    decoder = msgspec.json.Decoder(Row)
    known: dict[Bin, Bin] = {}
    rows = []
    for i, data in enumerate(undecoded):
        try:
            row = decoder.decode(data)
        except msgspec.ValidationError as error:
            what, _, where = str(error).partition(" - at `$")
            raise _wrong(what, f".results[{i}]{where.rstrip('`')}") from None
        latencies = {name: _shared(getattr(row, name), known) for name in ("map", "unmap", "response")}
        rows.append(older.renamed(replace(row, **latencies), data))
    return tuple(rows)


def _shared(latency: Latency | None, known: dict[Bin, Bin]) -> Latency | None:
    """The same, with each common bin as the object that stands for all its like."""
    if latency is None:
        return None
    bins = tuple(known.setdefault(one, one) if one[1] < COMMON else one for one in latency.histogram.bins)
    return replace(latency, histogram=replace(latency.histogram, bins=bins))


def _check(document: Document) -> None:
    try:
        sound.check(document)
    except sound.Unsound as error:
        raise _wrong(error.what, error.where) from None


def _wrong(what: str, where: str) -> msgspec.ValidationError:
    """As msgspec words it."""
    return msgspec.ValidationError(f"{what} - at `${where}`")
