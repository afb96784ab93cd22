"""The saved documents, one class for each `kind` of JSON: plain frozen data made of the model's."""

import re
from typing import Any, Literal

import msgspec

from vkmapctl.errors import ExitCode
from vkmapctl.model.base import Data, Note, Status, VerdictStatus
from vkmapctl.model.device import Device, Probe
from vkmapctl.model.measured import Floor, Row
from vkmapctl.model.workload import Job, Workload

SCHEMA = "vkmapctl/1"
Facts = dict[str, str | int | float | list[int] | None]
# Lists of numbers, also nested, in indented JSON: no string holds a newline, so all of them stand outside of strings.
_NUMBERS = re.compile(rb"\[\n[-+.eE0-9\[\],\s]*\]")


class Tool(Data, frozen=True):
    name: str
    version: str
    command: tuple[str, ...] = ()


class Document(Data, frozen=True, kw_only=True, tag_field="kind"):
    """The head of every saved document.

    host: plain facts about the machine. layers: those between the program and the driver. injected: the fault that the
    test layer was asked for. outcome and exit_code are those of an interrupted run until it is finished, so that a file
    that is left behind claims no success. reason: why it was refused, or broke off; empty for a run that was not.
    """

    schema: str = SCHEMA
    tool: Tool
    started: str = ""
    host: Facts = msgspec.field(default_factory=dict)
    loader: str = ""
    layers: tuple[str, ...] = ()
    injected: str = ""
    outcome: Status = "interrupted"
    exit_code: int = ExitCode.INTERRUPTED
    reason: str = ""
    warnings: tuple[Note, ...] = ()


class OtherSide(Data, frozen=True):
    """The other process of a run with --versus. environment: what it has of its own, as `NAME=VALUE` or `NAME=`."""

    environment: tuple[str, ...]
    loader: str = ""
    layers: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()


class Run(Document, frozen=True, kw_only=True, tag="stress"):
    """A stress run."""

    devices: tuple[Device, ...] = ()
    workload: Workload
    floor: Floor | None = None
    results: tuple[Row, ...] = ()
    versus: OtherSide | None = None


class ProbeReport(Document, frozen=True, kw_only=True, tag="probe"):
    """A probe. missing: what a gate found to be lacking."""

    devices: tuple[Probe, ...] = ()
    missing: tuple[str, ...] = ()


# --- a verify run ---------------------------------------------------------------------------------


class CheckRow(Data, frozen=True):
    """One check on one memory type of one device. memory_type None: it could not run on this device at all.

    at_fault: layers without which it works, so that it is no failure of the driver's.
    breaks: what a broken rule means in practice, empty in documents of older versions.
    """

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
    at_fault: tuple[str, ...] = ()
    breaks: str = ""


class VerifyReport(Document, frozen=True, kw_only=True, tag="verify"):
    """A verify run."""

    devices: tuple[Device, ...] = ()
    results: tuple[CheckRow, ...] = ()


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


class SelftestReport(Document, frozen=True, kw_only=True, tag="selftest"):
    """A selftest. baseline: what was reported without any fault, which must be nothing."""

    device: Device
    baseline: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()


# --- a doctor -------------------------------------------------------------------------------------


class Answer(Data, frozen=True):
    """One question and its answer. verdict: `-` where it is no matter of yes or no. see: the page that explains it."""

    about: str
    verdict: Literal["yes", "no", "-"]
    text: str
    see: str


class DoctorReport(Document, frozen=True, kw_only=True, tag="doctor"):
    """A doctor's. device: the index of the one that was measured; results: the rows that answers rest on."""

    devices: tuple[Probe, ...] = ()
    device: int | None = None
    answers: tuple[Answer, ...] = ()
    next: tuple[str, ...] = ()
    results: tuple[Row, ...] = ()


# --- what a workload would do ---------------------------------------------------------------------


class PlannedRow(Data, frozen=True):
    """A row to come: what it measures, the memory of all its objects, and its time in seconds (None: by iterations)."""

    job: Job
    memory_bytes: int
    seconds: float | None


class Refusal(Data, frozen=True):
    """A part that a device cannot run. optional: the others run without it."""

    device: int
    part: str
    reason: str
    optional: bool = False


class PlanReport(Data, frozen=True, tag_field="kind", tag="plan"):
    """What `workloads check` prints. memory_bytes: the most at one time."""

    schema: str
    workload: Workload
    devices: tuple[Device, ...]
    rows: tuple[PlannedRow, ...]
    refused: tuple[Refusal, ...]
    memory_bytes: int
    seconds: float
    exit_code: int


def to_json(document: Data) -> bytes:
    """Indented UTF-8 JSON with a final newline; numbers in a list, such as a histogram's bins, share a line.

    The `schema` key comes first. Bytes of a command line that are no UTF-8 become question marks.
    """
    try:
        data = msgspec.json.encode(document)
    except UnicodeEncodeError:
        data = msgspec.json.encode(_encodable(msgspec.to_builtins(document)))
    return indented(data)


def indented(data: bytes) -> bytes:
    """The same JSON, laid out for people."""
    return _NUMBERS.sub(lambda found: found[0].translate(None, b" \n"), msgspec.json.format(data, indent=1)) + b"\n"


def _encodable(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _encodable(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_encodable(value) for value in node]
    return node.encode("utf-8", "replace").decode() if isinstance(node, str) else node
