"""Memory objects as a recording goes by, and the classes of those that are alike."""

from typing import NamedTuple

from vkmapctl.figures.spread import Spread
from vkmapctl.model.recorded import Life

SHORT_NS = 1_000_000_000
SHORT_PART = 0.1  # of the recording: in one of a second, what was there all the time lived for less than a second too
MOST_MAPS_OF_A_USE = 2  # such as one to write and one to read


def short_ns(seconds: float) -> float:
    """How long an object may live to be there for one use, in ns. seconds: of the recording, 0 for an unknown one."""
    return min(SHORT_NS, seconds * 1e9 * SHORT_PART) or SHORT_NS


class Kind(NamedTuple):
    """Which memory: of a device of the process, by its number there, and a memory type, None for none that is known."""

    device: int | None
    memory_type: int | None
    flags: tuple[str, ...]


class OfKind:
    """What was allocated of a kind, and is."""

    __slots__ = ("bytes", "faults", "kind", "maps", "most", "now", "objects")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.objects = self.bytes = self.now = self.most = self.maps = self.faults = 0


class MemoryObject:
    """One VkDeviceMemory from its allocation to its end."""

    __slots__ = (
        "again_faults",
        "again_ns",
        "born_ns",
        "faults",
        "first_map_after_work",
        "flush_ns",
        "flushes",
        "imported",
        "invalidates",
        "kind",
        "low",
        "mapped",
        "mapped_at",
        "maps",
        "ns",
        "shared",
        "size",
        "submits",
        "thread",
        "touched",
    )

    def __init__(self, born_ns: int, size: int, kind: OfKind, thread: int, ns: int, submits: int) -> None:
        self.born_ns, self.size, self.kind, self.thread, self.ns, self.submits = (
            born_ns,
            size,
            kind,
            thread,
            ns,
            submits,
        )
        self.maps = self.again_ns = self.flushes = self.invalidates = self.flush_ns = 0
        self.faults = self.again_faults = 0
        self.mapped = self.low = 0  # bytes that are mapped, and those of them below 4 GiB
        self.mapped_at: int | None = None
        self.shared = self.imported = self.first_map_after_work = self.touched = False

    def life(self, end_ns: int, freed: bool, short_ns: float) -> Life:
        """What it was there for. short_ns: an object that lives no longer is there for one use."""
        if self.imported:
            return "imported"
        if not self.maps:
            return "unmapped"
        if freed and end_ns - self.born_ns < short_ns and self.maps <= MOST_MAPS_OF_A_USE:
            return "per-use"
        return "mapped-again" if self.maps > 1 else "kept"


class ClassKey(NamedTuple):
    """What objects of a class have in common."""

    kind: Kind
    least_bytes: int
    life: Life


class ObjectTally:
    """What is told of a class, object by object."""

    __slots__ = (
        "again_faults",
        "again_ns",
        "bytes",
        "faults",
        "flush_ns",
        "flushes",
        "freed",
        "freed_mapped",
        "invalidates",
        "lifetimes",
        "maps",
        "maps_again",
        "ns",
        "objects",
        "read_back",
        "shared",
    )

    def __init__(self) -> None:
        self.objects = self.bytes = self.freed = self.freed_mapped = self.maps = self.maps_again = self.ns = 0
        self.again_ns = self.flushes = self.invalidates = self.flush_ns = 0
        self.faults = self.again_faults = self.shared = self.read_back = 0
        self.lifetimes = Spread()

    def add(self, one: MemoryObject, end_ns: int, *, freed: bool, read_back: bool) -> None:
        """Counts an object that has ended, or is still there at the recording's end."""
        self.objects += 1
        self.bytes += one.size
        self.maps += one.maps
        self.maps_again += max(one.maps - 1, 0)
        self.ns += one.ns
        self.again_ns += one.again_ns
        self.flushes += one.flushes
        self.invalidates += one.invalidates
        self.flush_ns += one.flush_ns
        self.faults += one.faults
        self.again_faults += one.again_faults
        self.shared += one.shared
        self.read_back += read_back
        if freed:
            self.freed += 1
            self.freed_mapped += one.mapped_at is not None
            self.lifetimes.add(end_ns - one.born_ns)

    def merge(self, other: "ObjectTally") -> None:
        """Adds what another process has of the class."""
        for name in self.__slots__:
            if name != "lifetimes":
                setattr(self, name, getattr(self, name) + getattr(other, name))
        self.lifetimes.merge(other.lifetimes)
