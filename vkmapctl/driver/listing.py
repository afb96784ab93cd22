"""Listing devices although one of the machine's drivers, or a layer, breaks: which it is, and the rest without it."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from vkmapctl.driver import layers, loader_output
from vkmapctl.driver.messages import Described, LeftOut
from vkmapctl.driver.process import DriverProcess, Interrupts
from vkmapctl.driver.protocol import Driver
from vkmapctl.errors import DriverDied, ExitCode, KilledForMemory, VkmapError
from vkmapctl.inside import search_path
from vkmapctl.inside.fork import Channel
from vkmapctl.machine import host
from vkmapctl.model.base import Note
from vkmapctl.text import clean

DriverT = TypeVar("DriverT", bound=Driver)

BROKEN, SKIPPED, LOADER_SAID = "driver-left-out", "driver-skipped", "loader-said"
LITTLE_MEMORY = "little-memory"
_CHOICES = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")  # the newer name wins; older loaders know the other alone
_DRIVERS_FAULT = (ExitCode.UNSUPPORTED, ExitCode.FAILED, ExitCode.DRIVER_DIED)
_MOST_SAID = 20


def describe(start: Callable[[], DriverT], *, alone: bool = False) -> tuple[DriverT, Described]:
    """A process with its devices described.

    Where the drivers together cannot be listed, those that can be are chosen for the rest of this process, and each
    of the others is told in left_out and noted as `driver-left-out`. alone: with a fault injected, each would fail
    alike. Raises VkmapError as Driver.describe does where no driver is left, or where a layer is at fault.
    """
    try:
        driver, described = _listed(start)
    except VkmapError as error:
        if alone or isinstance(error, KilledForMemory) or error.exit_code not in _DRIVERS_FAULT:
            raise
        blame = layers.blame(layers.expected(os.environ), lambda: _failure(start) is None)
        left_out = () if blame.layers else _leave_out_broken(start)
        if not left_out:
            if blame.layers or (blame.text and error.exit_code != ExitCode.UNSUPPORTED):
                error.hints = (*error.hints, blame.text)
            raise
        driver, described = _listed(start)
        described = replace(described, left_out=left_out)
    return driver, replace(described, notes=(*_notes(start, driver.said(), described), *described.notes))


def listed(serve: Callable[[Channel], None], *, timeout: float, interrupts: Interrupts) -> Described:
    """The devices, by a process that is ended at once, so that nothing but their listing can fail.

    Raises VkmapError as `describe` does, and Interrupted.
    """
    driver, described = describe(partial(DriverProcess, serve, timeout=timeout, interrupts=interrupts))
    driver.close(0)
    return described


def missing(described: Described) -> list[str]:
    """Which drivers are not among the devices, and why."""
    return [note.message for note in described.notes if note.code in (BROKEN, SKIPPED)]


def _notes(start: Callable[[], Driver], said: str, described: Described) -> Iterator[Note]:
    """Which drivers are missing, what the loader complains of, and which limit leaves a driver hardly any memory."""
    room = host.room(described.taken)
    for bound in (room.memory, room.addresses, room.private):
        if bound and not bound.free:
            yield Note(LITTLE_MEMORY, f"{bound.left_said}: a driver may fail for want of it alone")
    for one in described.left_out:
        yield Note(BROKEN, f"{one.manifest}: {one.reason}")
    if loader_output.skips_a_driver(said):
        for manifest in _skipped(start):
            yield Note(SKIPPED, f"{clean(manifest)}: its vkCreateInstance fails, and the loader goes on without it")
    for line in loader_output.complaints(said)[:_MOST_SAID]:
        yield Note(LOADER_SAID, line)


def _listed(start: Callable[[], DriverT]) -> tuple[DriverT, Described]:
    """What the loader says meanwhile goes to standard error where VK_LOADER_DEBUG asks for it."""
    driver = start()
    try:
        return driver, driver.describe()
    except BaseException:
        driver.close(0)
        raise
    finally:
        if os.environ.get("VK_LOADER_DEBUG"):
            with suppress(OSError):
                print(driver.said(), file=sys.stderr)


def _failure(start: Callable[[], Driver]) -> VkmapError | None:
    """Why the drivers that are chosen now cannot be listed, None where they can."""
    try:
        _listed(start)[0].close(0)
    except VkmapError as error:
        return error
    return None


def _leave_out_broken(start: Callable[[], Driver]) -> tuple[LeftOut, ...]:
    """Leaves out, by the environment, each driver that breaks when it is listed alone. Nothing where all do or none.

    A driver that offers no device when it is alone is not broken, unless it is the one that hides the others.
    """
    living: list[str] = []
    absent: list[str] = []
    left_out: list[LeftOut] = []
    for manifest in manifests():
        error = _failure_of([manifest], start)
        if error is None:
            living.append(manifest)
        elif error.exit_code == ExitCode.UNSUPPORTED:
            absent.append(manifest)
        else:
            kind = error.kind if isinstance(error, DriverDied) else "failed"
            left_out.append(LeftOut(clean(manifest), kind, error.message))
    if living and not left_out:
        hiding = [one for one in absent if _failure_of([*living, one], start)]
        left_out = [
            LeftOut(clean(one), "failed", "with it, the loader lists no device of any driver") for one in hiding
        ]
    if not living or not left_out:
        return ()
    _choose(living)
    return tuple(left_out)


def _skipped(start: Callable[[], Driver]) -> Iterator[str]:
    """The manifests of the drivers that the loader goes on without."""
    for manifest in manifests():
        error = _failure_of([manifest], start)
        if error and any(loader_output.skips_a_driver(hint) for hint in error.hints):
            yield manifest


def _failure_of(chosen: list[str], start: Callable[[], Driver]) -> VkmapError | None:
    """Why these drivers alone cannot be listed, None where they can."""
    with layers.environment_with(dict.fromkeys(_CHOICES, os.pathsep.join(chosen))):
        return _failure(start)


def _choose(chosen: list[str]) -> None:
    for name in _CHOICES:
        os.environ[name] = os.pathsep.join(chosen)


def manifests() -> list[str]:
    """The driver manifests that the loader reads, in its order (LoaderDriverInterface.md, "Driver Discovery")."""
    for name in _CHOICES:
        if os.environ.get(name):
            return _expanded(os.environ[name].split(os.pathsep))
    added = [one for one in os.environ.get("VK_ADD_DRIVER_FILES", "").split(os.pathsep) if one]
    return _expanded([*added, *search_path.folders(os.environ, "vulkan/icd.d")])


def _expanded(places: list[str]) -> list[str]:
    """Files as they are, folders as the manifests in them; each once."""
    found: list[str] = []
    for place in places:
        if os.path.isfile(place):
            found.append(place)
        with suppress(OSError):  # no folder either
            found += sorted(os.path.join(place, name) for name in os.listdir(place) if name.endswith(".json"))
    return list(dict.fromkeys(found))
