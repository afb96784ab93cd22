"""Files of known failures: which check may break, on which memory type of which driver, and why.

[[known]]
check = "R1"
memory_type = "De Vi Co"      # as verify prints it, or the index; without it, every type
driver = "radv"               # a part of the driver's name or id; without it, every driver
versions = ">=25.0, <26.3"    # of the driver; without it, every version
reason = "a failing reserve is ignored"
"""

import operator
import re
import tomllib
from collections.abc import Callable, Collection
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from vkmapctl.errors import UsageProblem
from vkmapctl.model.base import Data
from vkmapctl.model.device import Device
from vkmapctl.saved.reading import read_bytes
from vkmapctl.text import clean

LARGEST_BYTES = 1 << 20
_BOUND = r"(>=|<=|==|>|<)\s*([0-9]{1,9}(?:\.[0-9]{1,9})*)"
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    ">=": operator.ge, "<=": operator.le, "==": operator.eq, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


class Known(Data, frozen=True, forbid_unknown_fields=True):
    """One entry. What is left out holds for all."""

    check: str
    reason: Annotated[str, Meta(min_length=1)]
    memory_type: str | Annotated[int, Meta(ge=0)] | None = None
    driver: str | None = None
    versions: str = ""

    def covers(self, check: str, device: Device, memory_type: int | None, flags: Collection[str]) -> bool:
        """Whether the entry is about this check on this memory type of this device."""
        if check != self.check:
            return False
        names = f"{device.driver_name} {device.driver_id}".casefold()
        if self.driver is not None and self.driver.casefold() not in names:
            return False
        if isinstance(self.memory_type, int) and self.memory_type != memory_type:
            return False
        if isinstance(self.memory_type, str) and set(self.memory_type.split()) != set(flags):
            return False
        return all(_holds(bound, version_of(device)) for bound in re.findall(_BOUND, self.versions))

    def __str__(self) -> str:
        where = [f"memory type {self.memory_type}" if self.memory_type is not None else "", self.driver or ""]
        words = [word for word in (*where, self.versions) if word]
        return clean(f"{self.check} ({', '.join(words)})" if words else self.check)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    known: list[Known] = []


def version_of(device: Device) -> str:
    """The driver's version as its users know it: Mesa's drivers tell it in driverInfo alone."""
    told = re.search(r"(?a)\d+(?:\.\d+)+", device.driver_info)
    return told[0] if told else device.driver_version


def _holds(bound: tuple[str, str], version: str) -> bool:
    """Whether a version keeps a bound such as (`<`, `26.3`): number by number, what is missing counts as 0."""
    sign, limit = bound
    found = [int(number) for number in re.findall(r"(?a)\d+", version)]
    wanted = [int(number) for number in limit.split(".")]
    for ours, theirs in zip_longest(found, wanted, fillvalue=0):
        if ours != theirs:
            return _COMPARE[sign](ours, theirs)
    return _COMPARE[sign](0, 0)


def read(path: Path, checks: Collection[str]) -> tuple[Known, ...]:
    """The entries of a file. checks: the ids that there are. Raises UsageProblem that names the file and the entry."""
    try:
        file = msgspec.convert(tomllib.loads(read_bytes(path, LARGEST_BYTES).decode()), _File)
    except OSError as error:
        raise UsageProblem(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:  # ValueError: msgspec's, and no UTF-8
        raise UsageProblem(f"{path} is no list of known failures: {error}", "docs/ci.md shows one") from None
    for number, known in enumerate(file.known, 1):
        where = f"{path}: entry {number}"
        if known.check not in checks:
            raise UsageProblem(f"{where}: no check '{known.check}'", f"known: {', '.join(checks)}")
        if known.versions and not re.fullmatch(rf"{_BOUND}(?:\s*,\s*{_BOUND})*", known.versions):
            raise UsageProblem(f"{where}: '{known.versions}' is no range of versions such as >=25.0, <26.3")
    return tuple(msgspec.structs.replace(known, reason=clean(known.reason)) for known in file.known)
