"""Messages between the parent and the driver's process. What is measured travels by shared memory instead."""

from typing import Any, Literal

import msgspec

from vkmapctl.model.base import Data, Note, Verdict
from vkmapctl.model.device import Device, Proof
from vkmapctl.model.measured import Cause, GpuWork, Histogram
from vkmapctl.model.workload import Job


class Prove(Data, frozen=True, tag=True):
    """Asks for the live proof of one device: answered by Proved."""

    device: int


class AskPointer(Data, frozen=True, tag=True):
    """Asks which memory types of a device take a pointer to host memory: answered by PointerTypes."""

    device: int


class Calibrate(Data, frozen=True, tag=True):
    """Asks for the floor: null functions measured into the results of slot 0; answered by Calibrated."""


class Measure(Data, frozen=True, tag=True):
    """Asks for a group of jobs; job i goes to slot i. Answered by Round after each round, then by Measured.

    in_turns: another process measures too; each round but the first waits for a Go.
    """

    jobs: tuple[Job, ...]
    in_turns: bool = False


class Go(Data, frozen=True, tag=True):
    """The next round of jobs that are measured in turns: answered by Round, or after the last by Measured."""


class Try(Data, frozen=True, tag=True):
    """Asks for one conformance check on one memory type: answered by Tried."""

    check: str
    device: int
    memory_type: int


class Finish(Data, frozen=True, tag=True):
    """Asks to destroy everything that is open: answered by Finished."""


Request = Prove | AskPointer | Calibrate | Measure | Go | Try | Finish


class LeftOut(Data, frozen=True):
    """A driver that the others had to be listed without: its manifest's path, how it failed, and what it did."""

    manifest: str
    status: Literal["crashed", "hung", "failed"]
    reason: str


class Described(Data, frozen=True, tag=True):
    """Every device: what the process says first, unasked. files: those mapped into it, by which layers are known.

    validation, here and below: new messages of the validation layer, as `VUID: text`. left_out: filled in the parent,
    and so is taken, what the process has by then: bytes of addresses, and of private writable memory.
    """

    loader: str
    files: tuple[str, ...]
    devices: tuple[Device, ...]
    notes: tuple[Note, ...]
    validation: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    taken: tuple[int, int] = (0, 0)


class Proved(Data, frozen=True, tag=True):
    """resolves: for each map2 name, whether vkGetDeviceProcAddr gives a pointer. pointer_types: as in PointerTypes."""

    resolves: dict[str, bool]
    proofs: tuple[Proof, ...]
    pointer_types: tuple[int, ...] | None = None
    validation: tuple[str, ...] = ()


class PointerTypes(Data, frozen=True, tag=True):
    """Indices of the memory types that take a pointer to host memory; None where the device imports none."""

    pointer_types: tuple[int, ...] | None
    validation: tuple[str, ...] = ()


class Calibrated(Data, frozen=True, tag=True):
    """The clock's name, back-to-back reads of it in ns, and by how much it advances where it stands still between."""

    timer: str
    reads: Histogram
    step_ns: int = 0


class Round(Data, frozen=True, tag=True):
    """ns per pair of each job in one round; None for one that met a fault.

    number: of how many rounds. usage: the process's resident bytes, mappings and files, where the job has a period;
    leak: in words, what of it keeps growing.
    """

    ns_per_pair: tuple[float | None, ...]
    number: int = 1
    rounds: int = 1
    usage: dict[str, int] = msgspec.field(default_factory=dict)
    leak: str = ""


class Measured(Data, frozen=True, tag=True):
    """causes[i]: why job i ended early, None if it did not. gpu[i]: what kept the device busy meanwhile.

    replaced: what a replay did otherwise than recorded, beyond what its plan says.
    """

    causes: tuple[Cause | None, ...]
    notes: tuple[Note, ...] = ()
    validation: tuple[str, ...] = ()
    gpu: tuple[GpuWork | None, ...] = ()
    replaced: tuple[str, ...] = ()


class Tried(Data, frozen=True, tag=True):
    verdict: Verdict
    validation: tuple[str, ...] = ()


class Finished(Data, frozen=True, tag=True):
    validation: tuple[str, ...] = ()


class Refused(Data, frozen=True, tag=True):
    """An error of vkmapctl.errors, to be raised in the parent. call, result: of a CallFailed."""

    message: str
    hints: tuple[str, ...]
    exit_code: int
    call: str = ""
    result: str = ""


Reply = Described | Proved | PointerTypes | Calibrated | Round | Measured | Tried | Finished | Refused


def pack(message: Request | Reply) -> dict[str, Any]:
    """A message as builtin types, as a channel takes it."""
    packed: dict[str, Any] = msgspec.to_builtins(message)
    return packed


def request_of(message: object) -> Request:
    """What arrived in the driver's process. Raises msgspec.ValidationError for anything but a request."""
    request: Request = msgspec.convert(message, Request)
    return request


def reply_of(message: object) -> Reply:
    """What arrived in the parent. Raises msgspec.ValidationError for anything but a reply."""
    reply: Reply = msgspec.convert(message, Reply)
    return reply
