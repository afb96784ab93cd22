"""The registry of conformance checks, and the ground that a check stands on.

A check is one small function. It returns None or a remark; it raises Broken where the driver breaks the rule, and
Skip where it cannot be tried here. One process runs one check on one memory type, so it may end in any way.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Literal, NamedTuple

from vkmapctl.errors import VkmapError
from vkmapctl.figures import outcomes
from vkmapctl.machine.addresses import PAGE, map_pages, unmap_pages
from vkmapctl.model.base import Verdict
from vkmapctl.model.device import Device, MemoryType
from vkmapctl.rules import Api

if TYPE_CHECKING:  # the registry can be read where there is no Vulkan at all
    from vkmapctl.checks.calls import Memory
    from vkmapctl.checks.transfer import Buffer, Transfers
    from vkmapctl.inside.device import OpenDevice

Level = Literal["must", "quality"]
Need = Literal["map2", "placed", "range", "reserve"]
MAP_FAILED = -5  # VK_ERROR_MEMORY_MAP_FAILED

_FEATURES: dict[str, str] = {
    "placed": "memoryMapPlaced",
    "range": "memoryMapRangePlaced",
    "reserve": "memoryUnmapReserve",
}


class Broken(Exception):
    """The rule does not hold; the text says what was seen."""


class Skip(Exception):
    """The check cannot be tried here; the text says why."""


class Ground:
    """A device and one of its host-visible memory types; what a check takes is given back at its end."""

    def __init__(self, device: "OpenDevice", memory_type: MemoryType) -> None:
        self.device, self.memory_type = device, memory_type
        self.facts: Device = device.facts
        self.held = ExitStack()

    @property
    def apis(self) -> tuple[Api, ...]:
        return self.facts.apis()

    @property
    def alignment(self) -> int:
        """minPlacedMemoryMapAlignment."""
        return self.facts.placed.min_placed_memory_map_alignment or PAGE

    def allocate(self, size: int) -> "Memory":
        """Memory of this ground's type, freed at the end."""
        from vkmapctl.checks.calls import Memory

        memory = Memory(self.device, self.memory_type, size)
        self.held.callback(memory.free)
        return memory

    def buffer(self, size: int) -> "Buffer":
        """A transfer buffer in memory of its own. Raises Skip where the memory type cannot hold one."""
        from vkmapctl.checks.transfer import Buffer

        return Buffer(self, size)

    def transfers(self) -> "Transfers":
        """The device's own copies and fills."""
        from vkmapctl.checks.transfer import Transfers

        return Transfers(self)

    def placed_size(self, size: int) -> int:
        """size rounded up to what a placed map may have."""
        return -(-size // self.alignment) * self.alignment

    def take_range(self, length: int, protection: int = 0) -> int:
        """An aligned address range of this process's own, given back at the end."""
        base = map_pages(length + self.alignment, protection)
        self.held.callback(unmap_pages, base, length + self.alignment)
        return -(-base // self.alignment) * self.alignment

    def flush(self, memory: "Memory") -> None:
        """Makes host writes through the current mapping stay, where the type needs it."""
        if not self.memory_type.coherent:
            memory.flush(0)

    def invalidate(self, memory: "Memory") -> None:
        """Makes what was flushed visible to the current mapping, where the type needs it."""
        if not self.memory_type.coherent:
            memory.invalidate(0)


class Check(NamedTuple):
    """One rule. `rule`: the valid usage or section of the specification it stands on; `why`: what breaks without."""

    id: str
    title: str
    rule: str
    level: Level
    needs: tuple[Need, ...]
    run: Callable[[Ground], str | None]
    quirk: str | None = None

    @property
    def why(self) -> str:
        return (self.run.__doc__ or "").strip()


REGISTRY: dict[str, Check] = {}


def check(
    identifier: str,
    title: str,
    rule: str,
    *,
    level: Level = "must",
    needs: Iterable[Need] = (),
    quirk: str | None = None,
) -> Callable[[Callable[[Ground], str | None]], Callable[[Ground], str | None]]:
    """Registers a function as a check."""

    def register(function: Callable[[Ground], str | None]) -> Callable[[Ground], str | None]:
        assert identifier not in REGISTRY, identifier
        REGISTRY[identifier] = Check(identifier, title, rule, level, tuple(needs), function, quirk)
        return function

    return register


def load() -> dict[str, Check]:
    """Every check, in the order of its chapters."""
    for chapter in ("ordinary", "placed", "reserve"):
        import_module(f"vkmapctl.checks.{chapter}")
    return REGISTRY


def expect(holds: object, text: str) -> None:
    """Raises Broken unless it holds."""
    if not holds:
        raise Broken(text)


def missing_need(one: Check, facts: Device) -> str | None:
    """Why a check cannot run on a device at all."""
    placed = facts.placed
    there = {
        "map2": facts.route != "none",
        "placed": placed.memory_map_placed,
        "range": placed.memory_map_range_placed,
        "reserve": placed.memory_unmap_reserve,
    }
    for need in one.needs:
        if not there[need]:
            return f"{_FEATURES[need]} is missing" if need in _FEATURES else "no vkMapMemory2 here"
    return None


def verdict_of(error: VkmapError) -> Literal["lost", "out-of-memory"] | None:
    """The verdict on a call that failed because nothing can go on, None on any other."""
    status = outcomes.of_error(error)
    return status if status == "lost" or status == "out-of-memory" else None


def run(one: Check, device: "OpenDevice", memory_type: MemoryType) -> Verdict:
    """Runs a check to its verdict. An error of a call that should succeed is a broken rule too."""
    ground = Ground(device, memory_type)
    broken: Literal["fail", "quality"] = "fail" if one.level == "must" else "quality"
    try:
        with ground.held:
            remark = one.run(ground)
    except Skip as skip:
        return Verdict("skip", str(skip))
    except Broken as seen:
        return Verdict(broken, str(seen))
    except VkmapError as error:
        return Verdict(verdict_of(error) or broken, error.message)
    return Verdict("pass", remark or "")
