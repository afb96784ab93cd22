"""The saved documents, one class for each `kind` of JSON: plain frozen data made of the model's."""

from typing import Any, Literal

import msgspec

from vkmapctl.model.base import Data, Note, Outcome, VerdictStatus
from vkmapctl.model.case import Workload
from vkmapctl.model.device import Device, Probe
from vkmapctl.model.measured import Floor, Row

SCHEMA = "vkmapctl/1"


class Tool(Data, frozen=True):
    name: str
    version: str
    command: tuple[str, ...] = ()


class Run(Data, frozen=True, tag_field="kind", tag="stress"):
    """The saved document of a stress run."""

    schema: str
    tool: Tool
    started: str
    host: dict[str, str | int | float | list[int] | None]
    loader: str
    device: Device | None
    devices: tuple[Device, ...]
    workload: Workload
    outcome: Outcome
    exit_code: int
    floor: Floor | None = None
    results: tuple[Row, ...] = ()
    warnings: tuple[Note, ...] = ()
    layers: tuple[str, ...] = ()


class ProbeReport(Data, frozen=True, tag_field="kind", tag="probe"):
    """The saved document of a probe."""

    schema: str
    tool: Tool
    started: str
    host: dict[str, str | int | float | list[int] | None]
    loader: str
    devices: tuple[Probe, ...]
    outcome: Outcome
    exit_code: int
    missing: tuple[str, ...] = ()
    warnings: tuple[Note, ...] = ()
    layers: tuple[str, ...] = ()


# --- a verify run ---------------------------------------------------------------------------------


class CheckRow(Data, frozen=True):
    """One check on one memory type of one device. memory_type None: it could not run on this device at all."""

    id: str
    title: str
    rule: str
    level: Literal["must", "quality"]
    device: int
    memory_type: int | None
    memory_flags: tuple[str, ...]
    status: VerdictStatus
    detail: str
    seconds: float


class VerifyReport(Data, frozen=True, tag_field="kind", tag="verify"):
    """The saved document of a verify run."""

    schema: str
    tool: Tool
    started: str
    host: dict[str, str | int | float | list[int] | None]
    loader: str
    devices: tuple[Device, ...]
    outcome: Outcome
    exit_code: int
    results: tuple[CheckRow, ...] = ()
    warnings: tuple[Note, ...] = ()


# --- a selftest -----------------------------------------------------------------------------------


class Trial(Data, frozen=True):
    """One fault against one check or stress run. by: its id; how: what was seen; caught None: not to be had here.

    expected: the verdicts that count as caught.
    """

    fault: str
    description: str
    by: str
    caught: bool | None
    how: str
    expected: tuple[str, ...] = ()


class SelftestReport(Data, frozen=True, tag_field="kind", tag="selftest"):
    """The saved document of a selftest."""

    schema: str
    tool: Tool
    device: Device
    baseline: tuple[str, ...]  # what was reported without any fault
    trials: tuple[Trial, ...]
    outcome: str
    exit_code: int


def to_json(document: Data) -> bytes:
    """Indented UTF-8 JSON with a final newline. The `schema` key comes first.

    Bytes of a command line that are no UTF-8 become question marks.
    """
    try:
        data = msgspec.json.encode(document)
    except UnicodeEncodeError:
        data = msgspec.json.encode(_encodable(msgspec.to_builtins(document)))
    return msgspec.json.format(data, indent=1) + b"\n"


def _encodable(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _encodable(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_encodable(value) for value in node]
    return node.encode("utf-8", "replace").decode() if isinstance(node, str) else node
