"""Programs run under `vkmapctl record` on lavapipe, and what each process of theirs was recorded to call."""

import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cli_runner import LAVAPIPE, Result, vkmapctl
from scratch import scratch

from vkmapctl.model.recording import MAPS, UNMAPS, Called, Event, Mark, RecordedProcess, RecordingHead
from vkmapctl.saved.recordings import RecordingFile

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
DEVICE_HEADER = HERE.parents[1] / "benchmarks"
COMPILER = "cc -std=c11 -O2 -Wall -Wextra -Werror -pthread".split()


class Process(NamedTuple):
    """What one process was recorded to do. freed_mapped: objects that were mapped when they were freed. left_mapped:
    those that were mapped when it ended."""

    about: RecordedProcess
    events: list[Event]
    freed_mapped: int
    left_mapped: int

    def count(self, *calls: Called) -> int:
        return sum(event.call in calls for event in self.events)

    @property
    def used(self) -> tuple[int, int, int, int]:
        """Calls that allocate, map, unmap and free, under whatever name."""
        return (self.count(Called.ALLOCATE), self.count(*MAPS), self.count(*UNMAPS), self.count(Called.FREE))

    @property
    def threads(self) -> int:
        return len({event.thread for event in self.events})


class Recorded(NamedTuple):
    """How the command ended, the file's head, and its processes, the one with most events first."""

    result: Result
    head: RecordingHead
    processes: list[Process]

    @property
    def process(self) -> Process:
        """The only one."""
        (process,) = self.processes
        return process


def record(
    folder: Path, *program: str | Path, options: tuple[str, ...] = (), timeout: float = 60, **environment: str
) -> Recorded:
    """Records a program. Nothing of it may be lost, and each event must be whole."""
    file = folder / "recording.vkrec"
    command = ("record", "run", "--out", str(file), "--force", *options, "--", *map(str, program))
    result = vkmapctl(*command, driver={**LAVAPIPE, **environment}, timeout=timeout)
    assert result.code == 0, result.err
    recording = RecordingFile(file)
    processes = [_process(about, list(recording.events(i))) for i, about in enumerate(recording.head.processes)]
    for process in processes:
        assert process.about.dropped == 0
        assert len(process.events) == process.about.events
        assert {event.device for event in process.events} <= set(range(len(process.about.devices)))
    return Recorded(result, recording.head, sorted(processes, key=lambda one: -len(one.events)))


def _process(about: RecordedProcess, events: list[Event]) -> Process:
    mapped: set[tuple[int, int]] = set()
    freed_mapped = 0
    for event in events:
        memory = (event.device, event.object)
        if event.call in MAPS and not event.result:
            mapped.add(memory)
        elif event.call in UNMAPS:
            mapped.discard(memory)
        elif event.call == Called.FREE and memory in mapped:
            mapped.remove(memory)
            freed_mapped += 1
    return Process(about, events, freed_mapped, len(mapped))


def memory_calls(process: Process) -> list[list[tuple[Called, int, int, Mark]]]:
    """What each thread did to memory, in order: call, offset or memory type, size, and kind."""
    made: dict[int, list[tuple[Called, int, int, Mark]]] = {}
    for event in process.events:
        if event.call <= Called.INVALIDATE:
            made.setdefault(event.thread, []).append((event.call, event.offset, event.size, event.marks))
    return sorted(made.values())


def calls(process: Process) -> Counter[Called]:
    """How often each was called; gaps are none."""
    return Counter(event.call for event in process.events if event.call != Called.GAP)


@cache
def edges() -> Path:
    """programs/edges.c, built once for this process."""
    built = scratch("edges") / "edges"
    command = [*COMPILER, f"-I{DEVICE_HEADER}", "-o", built, PROGRAMS / "edges.c", "-ldl"]
    subprocess.run(command, check=True)
    return built
