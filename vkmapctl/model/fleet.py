"""The same work on every GPU of many hosts, as plain data: who is expected, who answered what, who did not.

Times are ISO 8601 in UTC, by the clock of the machine that wrote them.
"""

from typing import Literal

import msgspec

from vkmapctl.errors import ExitCode
from vkmapctl.model.base import Data, Note

SCHEMA = "vkmapctl-fleet/1"
State = Literal["ok", "failed", "interrupted", "missing", "foreign", "swapped"]
ENDED_WELL: tuple[State, ...] = ("ok", "swapped")
RATES = ("write", "read")  # metrics of which more is better, in bytes per second; all others are ns


class Roster(Data, frozen=True):
    """Who is expected. gpus: of each host, 0 for as many as it had in its last full run, or is found to have.

    software: a host without a hardware GPU answers with its software driver, as lavapipe is one.
    """

    hosts: tuple[str, ...]
    gpus: int = 0
    name: str = ""
    made: str = ""
    software: bool = False


class FleetRun(Data, frozen=True, kw_only=True):
    """One sweep as it was asked for, which is enough to judge it by. hosts: as ranges, such as `gpu[0001-1250]`.

    command: the words behind `vkmapctl`, such as stress size-sweep. roster: a digest of the roster at that time.
    options: the engine's own, such as a partition. again: the id of the run that this one repeats on some of its hosts.
    """

    schema: str = SCHEMA
    id: str
    command: tuple[str, ...]
    engine: str
    started: str
    roster: str = ""
    hosts: str = ""
    gpus: int = 0
    software: bool = False
    options: dict[str, str] = msgspec.field(default_factory=dict)
    again: str = ""


class EngineEnd(Data, frozen=True, kw_only=True):
    """How the engine ended. hosts: what it says of some of them, which explains silence and judges nothing.

    status: its exit code; None where it was given up. lines: the last it has printed.
    """

    schema: str = SCHEMA
    ended: str
    status: int | None = None
    reason: str = ""
    hosts: dict[str, str] = msgspec.field(default_factory=dict)
    lines: tuple[str, ...] = ()


class SeenGpu(Data, frozen=True, kw_only=True):
    """A GPU that a host has, and what became of the work there.

    slot: its place among the host's GPUs by PCI address, from 0 on. index: the driver's. pci: its address, empty where
    the driver does not tell. uuid: deviceUUID, of a software driver the same on every host. document: the file's name
    beside the envelope, empty where there is none, as `reason` says. exit_code: of the command, None where it was
    killed or never ran. lines: the last of its standard error.
    """

    slot: int
    index: int
    name: str
    type: str = ""
    pci: str = ""
    uuid: str = ""
    driver: str = ""
    document: str = ""
    exit_code: int | None = None
    seconds: float = 0.0
    reason: str = ""
    lines: tuple[str, ...] = ()


class Envelope(Data, frozen=True, kw_only=True):
    """What a host says of itself and of its part of a run, whatever came of it.

    host: its name in the roster; hostname: what it calls itself. job: the engine's id of it. expected: GPUs it was to
    have, 0 where nobody said. exit_code: the worst of its GPUs, 3 where none could be asked. reason: what kept it from
    all or some of the work. lines: the last of standard error, where no GPU could be listed.
    """

    schema: str = SCHEMA
    host: str
    run: str
    hostname: str = ""
    machine_id: str = ""
    boot_id: str = ""
    kernel: str = ""
    cpu: str = ""
    tool: str = ""
    command: tuple[str, ...] = ()
    engine: str = ""
    job: str = ""
    started: str = ""
    ended: str = ""
    exit_code: int = ExitCode.INTERRUPTED
    reason: str = ""
    lines: tuple[str, ...] = ()
    expected: int = 0
    seen: tuple[SeenGpu, ...] = ()


class LedgerEntry(Data, frozen=True, kw_only=True):
    """One GPU of one host at the end of a run. why: empty where all is well. document: its path in the store.

    swapped: the work went well, and the slot holds another card than in the host's last run. foreign: of a host that
    was not asked. gpu: what Observation calls it, empty where it never showed itself.
    """

    host: str
    slot: int
    state: State
    why: str = ""
    document: str = ""
    gpu: str = ""
    model: str = ""
    driver: str = ""
    pci: str = ""


class Ledger(Data, frozen=True, kw_only=True):
    """Every GPU that a run expected, and how it ended. notes: what is told beside that, such as a clock that is off."""

    schema: str = SCHEMA
    run: FleetRun
    ended: EngineEnd | None = None
    entries: tuple[LedgerEntry, ...] = ()
    notes: tuple[Note, ...] = ()
    exit_code: int = ExitCode.OK

    def count(self, state: State) -> int:
        """How many GPUs ended so."""
        return sum(entry.state == state for entry in self.entries)


class Observation(Data, frozen=True, gc=False):
    """One figure of one row of one GPU.

    gpu: deviceUUID and PCI address, as `ecb42e8c…@0000:3b:00.0`. workload: a digest of the resolved workload: equal
    where the same was asked for. row: the row's label. metric: `ns_per_pair`, `map.p50`, `first_touch_ns_per_page`,
    … in ns, or one of RATES. A median at the clock's floor is left out, since it says nothing of the GPU.
    """

    run: str
    host: str
    slot: int
    gpu: str
    model: str
    driver: str
    kernel: str
    cpu: str
    workload: str
    row: str
    metric: str
    value: float
