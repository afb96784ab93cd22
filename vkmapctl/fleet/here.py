"""What one host does of a run: the command on each of its GPUs, one after another, and an envelope whatever happens.

Each command is a process of its own, so that a driver takes no more with it than its GPU's turn.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from vkmapctl.driver import listing
from vkmapctl.driver.process import Interrupts
from vkmapctl.driver.protocol import Interrupted
from vkmapctl.errors import ExitCode, UsageProblem, VkmapError, of_exception
from vkmapctl.fleet import child, store
from vkmapctl.fleet.store import Store
from vkmapctl.inside import server
from vkmapctl.machine import host as machine
from vkmapctl.model.device import Device
from vkmapctl.model.documents import to_json
from vkmapctl.model.fleet import Envelope, SeenGpu
from vkmapctl.plans import patience
from vkmapctl.plans.selectors import twins

KINDS = ("probe", "stress", "verify")  # commands that a fleet runs: of one GPU each, and saved
PROGRAM = (sys.executable, "-P", "-m", "vkmapctl")
_RESERVED = 1 << 16  # bytes of the store kept for the envelope, so that a disk that fills up does not silence the host
_JOBS = ("PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID", "JOB_ID")
_WORST = (
    ExitCode.OK, ExitCode.INTERRUPTED, ExitCode.UNSUPPORTED, ExitCode.MISSED, ExitCode.USAGE, ExitCode.INTERNAL,
    ExitCode.FAILED, ExitCode.DRIVER_DIED,
)  # fmt: skip


class Part(NamedTuple):
    """What a host is to do. name: the host's in the roster. expected: GPUs, 0 where nobody said. seconds: for all."""

    run: str
    name: str
    command: tuple[str, ...]
    expected: int = 0
    software: bool = False
    seconds: float = 3600.0
    engine: str = ""


def own_name(roster_hosts: Sequence[str] = ()) -> str:
    """What this machine is called: by Slurm, or by itself, short where the roster has it so."""
    full = os.environ.get("SLURMD_NODENAME") or os.uname().nodename
    short = full.partition(".")[0]
    return short if short in roster_hosts and full not in roster_hosts else full


def answer(part: Part, to: Store, version: str) -> Envelope:
    """Does the part, and leaves documents and envelope in the store.

    Raises UsageProblem where the store takes no file at all, of what then nobody is told but by standard error.
    """
    if not os.path.isdir(to.path / store.RUNS):
        raise UsageProblem(
            f"{to.path} is no store", "vkmapctl fleet init makes one; is the file system that holds it mounted here?"
        )
    envelope = _begun(part, version)
    try:
        folder = to.host_folder(part.run, part.name)
        store.put(folder, store.BEGUN, to_json(envelope))
        room = _reserve(folder)
    except OSError as error:
        raise UsageProblem(f"cannot write to {to.path}: {error.strerror or error}") from None
    scratch = None
    with Interrupts().caught() as stop:
        try:
            scratch = tempfile.mkdtemp(prefix="vkmapctl-fleet-")
            envelope = _Work(part, folder, Path(scratch), stop).done(envelope)
        except Exception as error:  # the host's answer matters more than where it came from
            told = of_exception(error)
            envelope = replace(envelope, exit_code=told.exit_code, reason=told.message)
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)
        envelope = replace(envelope, ended=store.now())
        _write(room, to_json(envelope))
    return envelope


def _begun(part: Part, version: str) -> Envelope:
    facts = machine.describe()

    def fact(name: str) -> str:
        return str(facts.get(name) or "")

    return Envelope(
        host=part.name,
        run=part.run,
        hostname=fact("hostname"),
        machine_id=fact("machine_id"),
        boot_id=fact("boot_id"),
        kernel=fact("kernel"),
        cpu=fact("cpu_model"),
        tool=version,
        command=part.command,
        engine=part.engine,
        job=_job(),
        started=store.now(),
        expected=part.expected,
    )


def _job() -> str:
    """The engine's id of this job, where it told its processes."""
    if slurm := os.environ.get("SLURM_JOB_ID"):
        return ".".join(filter(None, (slurm, os.environ.get("SLURM_STEP_ID"))))
    return next((os.environ[name] for name in _JOBS if name in os.environ), "")


class _Work:
    """The command on each GPU. scratch: a folder of the host's own."""

    def __init__(self, part: Part, folder: Path, scratch: Path, stop: Interrupts) -> None:
        self._part, self._folder, self._scratch, self._stop = part, folder, scratch, stop
        self._until = time.monotonic() + part.seconds

    def done(self, envelope: Envelope) -> Envelope:
        """The envelope of this host, but for its end."""
        try:
            devices = listing.listed(
                server.serve, timeout=min(patience.BASE_SECONDS, self._part.seconds), interrupts=self._stop
            ).devices
        except Interrupted:
            return replace(envelope, exit_code=ExitCode.INTERRUPTED, reason=self._over())
        except VkmapError as error:
            return replace(envelope, exit_code=error.exit_code, reason=error.message, lines=error.hints)
        gpus = places(devices, software=self._part.software)
        if not gpus:
            names = ", ".join(dict.fromkeys(device.name for device in devices))
            return replace(
                envelope, exit_code=ExitCode.UNSUPPORTED, reason=f"there is no GPU, only a software driver: {names}"
            )
        seen = tuple(self._one(slot, device, devices) for slot, device in enumerate(gpus))
        return replace(envelope, seen=seen, exit_code=_worst(seen), reason=self._over())

    def _one(self, slot: int, device: Device, devices: Sequence[Device]) -> SeenGpu:
        gpu = SeenGpu(
            slot=slot,
            index=device.index,
            name=device.name,
            type=device.type,
            pci=device.pci_address or "",
            uuid=device.device_uuid,
            driver=f"{device.driver_name} {device.driver_info}".strip(),
        )
        if why := self._over():
            return replace(gpu, reason=f"not begun: {why}")
        kind = self._part.command[0]
        saved = self._scratch / f"{slot}-{kind}.json"
        command = [*self._part.command, "--quiet", "--device", _selector(device, devices), "--save", str(saved)]
        ended = child.run([*PROGRAM, *command], self._stop, give_up=self._give_up)
        by_signal = ended.status < 0 or ended.status == ExitCode.INTERRUPTED  # which may have reached it first
        cut = ended.cut or (self._over() if by_signal else "")
        code = ended.status if ended.status >= 0 and not cut else None
        gpu = replace(gpu, exit_code=code, seconds=round(ended.seconds, 3), reason=cut, lines=ended.lines)
        if ended.status < 0 and not cut:
            gpu = replace(gpu, reason=f"vkmapctl was killed by signal {-ended.status}")
        return self._keep(gpu, saved)

    def _keep(self, gpu: SeenGpu, saved: Path) -> SeenGpu:
        """Moves the document into the store."""
        try:
            data = store.packed(saved.read_bytes())
            return replace(gpu, document=store.put(self._folder, f"{saved.name}.gz", data))
        except FileNotFoundError as error:
            if error.filename == str(saved):
                return replace(gpu, reason=gpu.reason or _last(gpu.lines) or "the command left no document")
            return replace(gpu, reason=f"its document is lost: {error.strerror}")
        except OSError as error:
            return replace(gpu, reason=f"its document is lost: {error.strerror or error}")
        finally:
            with suppress(OSError):
                saved.unlink(missing_ok=True)

    def _give_up(self, _seconds: float) -> str:
        return f"not done within {self._part.seconds:g} s" if time.monotonic() > self._until else ""

    def _over(self) -> str:
        """Why nothing more is begun, or nothing."""
        if self._stop.by:
            return f"stopped by {self._stop.by}"
        if time.monotonic() > self._until:
            return f"the host's time of {self._part.seconds:g} s was up"
        return ""


def places(devices: Sequence[Device], *, software: bool) -> list[Device]:
    """The GPUs of a host, each once, in the order of their slots: by PCI address, and without one as they are listed.

    Software devices count where they are wanted and there is no other.
    """
    again = twins(devices)
    found = [device for device in devices if not device.software and device.index not in again]
    if not found and software:
        found = [device for device in devices if device.index not in again]
    first: dict[str, Device] = {}
    for device in found:  # two drivers may list one GPU
        first.setdefault(device.pci_address or f"~{device.index:06}", device)
    return [first[key] for key in sorted(first)]


def _selector(device: Device, devices: Sequence[Device]) -> str:
    """What names this device and no other: the UUID, which stays where an index changes."""
    alike = [one for one in devices if one.device_uuid == device.device_uuid]
    unique = len(alike) == 1 and device.device_uuid.strip("0")
    return device.device_uuid if unique else str(device.index)


def _worst(seen: Sequence[SeenGpu]) -> int:
    codes = [_code(gpu) for gpu in seen]
    return max(codes, key=lambda code: _WORST.index(code) if code in _WORST else len(_WORST))


def _code(gpu: SeenGpu) -> int:
    """Of one; a document that is lost is no success."""
    if gpu.exit_code is None:
        return ExitCode.INTERRUPTED
    return gpu.exit_code or (ExitCode.OK if gpu.document else ExitCode.USAGE)


def _last(lines: Sequence[str]) -> str:
    """The error that a command ended with, without its hints."""
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return errors[-1] if errors else lines[-1] if lines else ""


def _reserve(folder: Path) -> Path:
    part = store.part_of(folder, store.ENVELOPE)
    try:
        with open(part, "xb") as file:
            file.write(bytes(_RESERVED))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return part


def _write(part: Path, data: bytes) -> None:
    """The envelope over what was reserved for it. Raises UsageProblem."""
    try:
        with open(part, "r+b") as file:
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        store.appear_as(part, store.ENVELOPE)
    except OSError as error:
        raise UsageProblem(f"cannot write the envelope to {part.parent}: {error.strerror or error}") from None
