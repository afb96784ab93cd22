"""Listing devices although one of the machine's drivers dies of it: the drivers are then tried one by one."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from msgspec.structs import replace

from vkmapctl.driver.messages import Described
from vkmapctl.driver.protocol import Driver
from vkmapctl.errors import DriverDied, VkmapError
from vkmapctl.inside import search_path
from vkmapctl.model.base import Note

DriverT = TypeVar("DriverT", bound=Driver)

BROKEN = "driver-left-out"
_CHOICES = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")  # the newer name wins; older loaders know the other alone


def describe(start: Callable[[], DriverT], *, alone: bool = False) -> tuple[DriverT, Described]:
    """A process with its devices described.

    Where the drivers together die of being listed, those that live alone are chosen for the rest of this process, and
    each of the others is noted as `driver-left-out`. alone: with a fault injected, each would die alike. Raises
    VkmapError as Driver.describe does where no driver is left.
    """
    driver = start()
    try:
        return driver, driver.describe()
    except DriverDied as together:
        driver.close(0)
        notes = () if alone else _choose_living(start)
        if not notes:
            raise together from None
    except BaseException:
        driver.close(0)
        raise
    driver = start()
    described = driver.describe()
    return driver, replace(described, notes=(*notes, *described.notes))


def _choose_living(start: Callable[[], Driver]) -> tuple[Note, ...]:
    """Leaves out, by the environment, each driver that dies when it is listed alone. Nothing where all do or none."""
    before = {name: os.environ.get(name) for name in _CHOICES}
    living, notes = [], []
    for manifest in manifests():
        _choose([manifest])
        driver = start()
        try:
            driver.describe()
            living.append(manifest)
        except DriverDied as died:
            notes.append(Note(BROKEN, f"{manifest}: {died.message}"))
        except VkmapError:
            pass  # it has no device here
        finally:
            driver.close(0)
    _choose(living)
    if living and notes:
        return tuple(notes)
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    return ()


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
