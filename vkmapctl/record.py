"""Recording a program: started with the recording layer, its events drained while it runs, and what came of it.

Knows no terminal, and no driver: the program is somebody else's.
"""

import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from msgspec.structs import replace

from vkmapctl.begun import begun
from vkmapctl.capture import FaultWatch, Ring, in_order_of_time
from vkmapctl.driver import layers, recorded_devices
from vkmapctl.errors import ExitCode, Unsupported
from vkmapctl.machine import cpus, programs
from vkmapctl.model import recording as model
from vkmapctl.model.base import Note
from vkmapctl.native import Clock
from vkmapctl.saved import recordings

RING_EVENTS = 1 << 18  # 16 MiB for each process
_SHARED = "/dev/shm"
_SHARED_ROOM = 256 << 20  # bytes that must be free there
_PACKAGE = os.path.dirname(__file__)
_LAYER, _FOLDER = os.path.join(_PACKAGE, "_record.abi3.so"), os.path.join(_PACKAGE, "layer")
_LAYER_32 = os.path.join(_PACKAGE, "_record_32.abi3.so")  # of a 64-bit vkmapctl, where its compiler could make it
_IDLE_SECONDS, _BUSY_SECONDS = 0.01, 0.002
_BUSY = 0.02  # of a ring's room
_LOOKS_SECONDS = 0.03  # between looks at what the program has loaded, as long as nothing has come
_DRIVERS = re.compile(r"/(libvulkan_\w+\.so|libGLX_nvidia\.so|libnvidia-vulkan|lib(amdvlk|vulkan_lvp))")
_LOADER = re.compile(r"/libvulkan\.so")


class Record:
    """One recording of a program.

    seconds: after so long the program is ended; None: it runs as long as it likes. faults: whether to record page
    faults.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        seconds: float | None = None,
        faults: bool = True,
        command: Sequence[str] = (),
        version: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if not os.path.exists(_LAYER):
            raise Unsupported("vkmapctl's recording layer is not built", "install vkmapctl from its wheel or source")
        self._arguments, self._seconds, self._wants_faults = arguments, seconds, faults
        self._environment = dict(os.environ if environment is None else environment)
        self._base_ns = time.monotonic_ns()
        self._rings: dict[int, _Stream] = {}
        self._watch: FaultWatch | None = None
        self._faults_missing = "" if faults else "--no-faults was given"
        self._loaded: set[str] = set()
        self._program: programs.Program | None = None
        self._head = begun(
            model.RecordingHead,
            command=command,
            version=version,
            layer=None,
            program=model.Program(os.path.basename(arguments[0])),
        )

    def run(self, save: Callable[[Callable[[BinaryIO], None]], None]) -> model.RecordingHead:
        """The head of what was recorded. save: gets what writes the recording; where nothing came, it is not called.

        Raises UsageProblem where there is no such program.
        """
        shared = tempfile.mkdtemp(prefix="vkmapctl-record-", dir=_shared_folder())
        kept = tempfile.mkdtemp(prefix="vkmapctl-record-")
        try:
            return self._record(Path(shared), Path(kept), save)
        finally:
            shutil.rmtree(shared, ignore_errors=True)
            shutil.rmtree(kept, ignore_errors=True)

    def _record(
        self, shared: Path, kept: Path, save: Callable[[Callable[[BinaryIO], None]], None]
    ) -> model.RecordingHead:
        program = programs.Program(
            self._arguments, self._environment | layer_environment(self._environment, shared), self._prepare
        )
        self._program = program
        with open(kept / "faults", "w+b") as faults, program.signals():
            self._follow(program, shared, kept, faults)
            ended = program.poll()
            for stream in self._rings.values():
                stream.drain(ended=True)
            self._take_faults(faults)
            if self._watch:
                self._watch.close()
            streams = list(self._rings.values())
            paths = _faults_by_process(faults, kept, [one.ring.pid for one in streams]) if self._watch else {}
            self._conclude(ended, streams, paths, shared)
            if any(one.events for one in self._head.processes):
                raw = [(one.path, paths.get(one.ring.pid)) for one in streams]
                save(lambda file: recordings.write(file, self._head, raw))
        return self._head

    def _prepare(self, pid: int) -> None:
        if not self._wants_faults:
            return
        try:
            self._watch = FaultWatch(pid, self._base_ns)
        except OSError as error:
            self._faults_missing = faults_refused(error)

    # --- while it runs ----------------------------------------------------------------------------

    def _follow(self, program: programs.Program, shared: Path, kept: Path, faults: BinaryIO) -> None:
        until = None if self._seconds is None else time.monotonic() + self._seconds
        next_look = 0.0
        program.poll()
        while program.running:
            if until is not None and time.monotonic() >= until:
                program.end()
                self._note(Note("ended", f"the program was ended after {self._seconds:g} s, as --for asked"))
                return
            self._find_rings(shared, kept)
            fullest = max([one.drain() for one in self._rings.values()], default=0.0)
            many = self._take_faults(faults)
            if not self._rings and time.monotonic() >= next_look:
                self._loaded |= program.files()
                next_look = time.monotonic() + _LOOKS_SECONDS
            if fullest < 0.25:
                time.sleep(_BUSY_SECONDS if fullest > _BUSY or many else _IDLE_SECONDS)
            program.poll()
        self._find_rings(shared, kept)

    def _find_rings(self, shared: Path, kept: Path) -> None:
        for name in os.listdir(shared):
            pid, _, kind = name.partition(".")
            if kind == "ring" and int(pid) not in self._rings:
                with suppress(OSError, ValueError):  # it is being written at this moment
                    self._rings[int(pid)] = _Stream(Ring(shared / name, self._base_ns), kept / f"{pid}.events")
                    self._loaded |= self._program.files() if self._program else set()

    def _take_faults(self, faults: BinaryIO) -> bool:
        """Whether there were many."""
        if not self._watch:
            return False
        taken = 0
        while data := self._watch.take():
            faults.write(data)
            taken += len(data)
        return taken > recordings.FAULT.size * 1000

    # --- when it has ended ------------------------------------------------------------------------

    def _conclude(
        self, ended: programs.Ended | None, streams: "Sequence[_Stream]", faults: Mapping[int, Path], shared: Path
    ) -> None:
        name = os.path.basename(self._arguments[0])
        program = model.Program(name)
        if ended:
            program = model.Program(
                name, ended.exit_code, ended.signal, ended.seconds, ended.cpu_seconds, ended.page_faults
            )
        processes = tuple(one.described(shared, faults.get(one.ring.pid)) for one in streams)
        if self._watch and processes:
            processes = (replace(processes[0], lost_faults=self._watch.lost), *processes[1:])
        recorded = any(one.events for one in processes)
        self._head = replace(
            self._head,
            program=program,
            processes=processes,
            faults_missing=self._faults_missing,
            loader=next((path for path in sorted(self._loaded) if _LOADER.search(path)), ""),
            layers=tuple(
                one for one in layers.names(self._loaded) if one not in (layers.RECORDING, layers.RECORDING_32)
            ),
            outcome="ok" if recorded else "unsupported",
            exit_code=ExitCode.OK if recorded else ExitCode.UNSUPPORTED,
            reason="" if recorded else self._why_nothing(shared),
        )

    def _note(self, note: Note) -> None:
        self._head = replace(self._head, warnings=(*self._head.warnings, note))

    def _why_nothing(self, shared: Path) -> str:
        """Why no event came, in words, from the surest sign to the weakest."""
        assert self._program is not None
        path, name = self._program.path, os.path.basename(self._arguments[0])
        seen = any(one.name.endswith(".seen") for one in shared.iterdir())
        loader = any(_LOADER.search(one) for one in self._loaded)
        driver = next((os.path.basename(one) for one in sorted(self._loaded) if _DRIVERS.search(one)), "")
        if self._rings:
            return "it made a Vulkan device and no call that is recorded"
        if seen:
            return "it made a Vulkan instance, and no device"
        bits = programs.bits(path)
        if bits not in (None, programs.OWN_BITS) and not (bits == 32 and os.path.exists(_LAYER_32)):
            return f"{name} is a {bits}-bit program, and this vkmapctl was built without a recording layer for those"
        if programs.is_privileged(path):
            return f"{name} is set-uid or has capabilities: the Vulkan loader then ignores the environment"
        if any(one.endswith((os.path.basename(_LAYER), os.path.basename(_LAYER_32))) for one in self._loaded):
            return "the layer was loaded and could not write: a sandbox keeps it from the recorder's folder"
        if loader:
            return f"the Vulkan loader did not take the layer: {self._why_not_taken()}"
        if driver:
            return f"{driver} was loaded without the Vulkan loader, so that no layer sees its calls"
        return f"no Vulkan loader was seen in {name} or its children"

    def _why_not_taken(self) -> str:
        disabled = self._environment.get("VK_LOADER_LAYERS_DISABLE", "")
        if disabled:
            return f"VK_LOADER_LAYERS_DISABLE={disabled}"
        return "no instance was made, the loader is a program's own, or a sandbox hides the layer's file"


class _Stream:
    """A process's ring, and the file that its events go to."""

    def __init__(self, ring: Ring, path: Path) -> None:
        self.ring, self.path = ring, path
        self.events, self._last = 0, 0
        self._first: int | None = None
        self._file = open(path, "wb", buffering=0)

    def drain(self, *, ended: bool = False) -> float:
        """Takes what has come; how full the ring was."""
        full = self.ring.waiting
        while data := self.ring.take(ended=ended):
            self._write(data)
        if ended:
            self._write(self.ring.under_way())
            self._file.close()
        return full

    def _write(self, data: memoryview) -> None:
        if not data:
            return
        left = data
        while left:
            left = left[self._file.write(left) :]
        self.events += len(data) // recordings.EVENT.size
        if self._first is None:
            self._first = _begin_of(data, 0)
        self._last = max(self._last, _begin_of(data, len(data) - recordings.EVENT.size))

    def described(self, shared: Path, faults: Path | None) -> model.RecordedProcess:
        ring = self.ring
        return model.RecordedProcess(
            ring.pid,
            ring.parent,
            ring.name,
            self.events,
            faults.stat().st_size // recordings.FAULT.size if faults else 0,
            ring.dropped,
            page_size=ring.page_size,
            devices=recorded_devices.read(shared / f"{ring.pid}.devices"),
            forked=ring.forked,
            seconds=max(self._last - (self._first or 0), 0) / 1e9,
        )


def _begin_of(data: memoryview, offset: int) -> int:
    return int(recordings.EVENT.unpack_from(data, offset)[6])


def layer_environment(environment: Mapping[str, str], shared: Path) -> dict[str, str]:
    """What a program's environment has beside its own, so that the loader takes the layer for it and its children.

    Both layers are named where there are two: a loader passes over one whose library its process cannot have.
    """
    names = f"{layers.RECORDING}:{layers.RECORDING_32}" if os.path.exists(_LAYER_32) else layers.RECORDING
    clock = Clock(cpus.counter_is_trusted())
    added = {
        "VKMAPCTL_RECORD": str(shared),
        "VKMAPCTL_RECORD_CLOCK": f"{clock.raw.kind}:{clock.raw.mult}",
        "VKMAPCTL_RECORD_EVENTS": str(RING_EVENTS),
        "VK_INSTANCE_LAYERS": _joined(names, environment.get("VK_INSTANCE_LAYERS")),
        "VK_ADD_LAYER_PATH": _joined(_FOLDER, environment.get("VK_ADD_LAYER_PATH")),
    }
    if environment.get("VK_LAYER_PATH"):  # it replaces all other folders
        added["VK_LAYER_PATH"] = _joined(_FOLDER, environment["VK_LAYER_PATH"])
    return added


def _joined(first: str, others: str | None) -> str:
    return f"{first}:{others}" if others else first


def _shared_folder() -> str | None:
    """Shared memory where there is enough of it, else the folder for temporary files."""
    try:
        room = os.statvfs(_SHARED)
    except OSError:
        return None
    free = room.f_bavail * room.f_frsize
    return _SHARED if os.access(_SHARED, os.W_OK | os.X_OK) and free >= _SHARED_ROOM else None


def faults_refused(error: OSError) -> str:
    """Why the kernel lets nobody see page faults, and what to allow."""
    try:
        level = Path("/proc/sys/kernel/perf_event_paranoid").read_text().strip()
    except OSError:
        return "this kernel has no perf_event_open"
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"perf_event_open is not allowed (kernel.perf_event_paranoid is {level}): "
            "sysctl kernel.perf_event_paranoid=2 allows it, and in a container --cap-add PERFMON"
        )
    return f"perf_event_open failed: {os.strerror(error.errno or 0)}"


def _faults_by_process(faults: BinaryIO, kept: Path, pids: Sequence[int]) -> dict[int, Path]:
    """One file for each of these processes, in the order of time."""
    faults.seek(0)
    found: dict[int, bytearray] = {pid: bytearray() for pid in pids}
    while data := faults.read(recordings.FAULT.size << 14):
        for start in range(0, len(data), recordings.FAULT.size):
            record = data[start : start + recordings.FAULT.size]
            mine = found.get(int.from_bytes(record[20:24], "little"))
            if mine is not None:
                mine += record
    paths = {}
    for pid, records in found.items():
        paths[pid] = kept / f"{pid}.faults"
        paths[pid].write_bytes(in_order_of_time(bytes(records)))
    return paths
