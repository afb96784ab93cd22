"""The plain frozen data that passes between the parts.

Numbers are numbers, units stand in the key's name, a missing value is None. Decoding ignores keys it
does not know, so that older readers open newer files of the same schema.
"""

from typing import Literal

import msgspec

from vkmapctl import rules
from vkmapctl.steps import AnyStep

Api = Literal["v1", "khr", "core"]
Touch = Literal["none", "first", "write", "read", "verify"]
UnmapOrder = Literal["same", "reverse", "random"]
Status = Literal["ok", "failed", "unsupported", "crashed", "hung", "lost", "out-of-memory", "interrupted", "not-run"]
Outcome = Literal["ok", "failed", "missed", "unsupported", "crashed", "hung", "lost", "out-of-memory", "interrupted"]


class Data(msgspec.Struct, frozen=True):
    """Base of everything that is passed or saved."""


# --- the device -----------------------------------------------------------------------------------


class MemoryHeap(Data, frozen=True):
    """VkMemoryHeap; sizes in bytes. Budget and usage from VK_EXT_memory_budget, or None."""

    index: int
    size: int
    device_local: bool
    budget: int | None = None
    usage: int | None = None


class MemoryType(Data, frozen=True):
    """VkMemoryType. flags: De(vice local), Vi(sible to the host), Co(herent), Ca(ched), La(zy), Pr(otected), …

    The type of index MALLOC is no Vulkan memory: the C library's, as a reference to measure against.
    """

    index: int
    heap: int
    flags: tuple[str, ...]

    @property
    def host_visible(self) -> bool:
        return "Vi" in self.flags

    @property
    def coherent(self) -> bool:
        return "Co" in self.flags

    @property
    def usable(self) -> bool:
        """Mappable with nothing but vkAllocateMemory and vkMapMemory: protected memory is not."""
        return rules.usable(self.flags)

    @property
    def label(self) -> str:
        return "malloc" if self.index == MALLOC else f"#{self.index} {' '.join(self.flags)}"


MALLOC = -1
MALLOC_TYPE = MemoryType(MALLOC, MALLOC, ("Vi", "Co", "Ca"))


class Limits(Data, frozen=True):
    """The limits that mapping depends on, in bytes (VkPhysicalDeviceLimits, VkPhysicalDeviceMaintenance3Properties).

    max_memory_allocation_size: a driver may grant more, but need not; None where a saved run does not tell.
    """

    min_memory_map_alignment: int
    non_coherent_atom_size: int
    max_memory_allocation_count: int
    max_memory_allocation_size: int | None = None


class Room(Data, frozen=True):
    """What the machine can still give this process: bytes of memory, and mappings (vm.max_map_count)."""

    memory: int
    mappings: int


class Placed(Data, frozen=True):
    """VK_EXT_map_memory_placed: features and limit. emulated: by a layer of this project, not the driver."""

    memory_map_placed: bool = False
    memory_map_range_placed: bool = False
    memory_unmap_reserve: bool = False
    min_placed_memory_map_alignment: int | None = None
    emulated: bool = False


class Device(Data, frozen=True):
    """A physical device: vulkaninfo's summary block and what mapping needs.

    `extensions` holds the spec versions of the extensions that matter here. `route` is how map2 is reached
    by the specification's rules: `core` (Vulkan 1.4), `khr` (VK_KHR_map_memory2) or `none`.
    """

    index: int
    name: str
    type: str
    vendor_id: int
    device_id: int
    api_version: str
    driver_version: str
    driver_id: str
    driver_name: str
    driver_info: str
    conformance_version: str
    device_uuid: str
    driver_uuid: str
    heaps: tuple[MemoryHeap, ...]
    memory_types: tuple[MemoryType, ...]
    limits: Limits
    extensions: dict[str, int]
    route: Literal["core", "khr", "none"]
    placed: Placed
    pci_address: str | None = None

    @property
    def software(self) -> bool:
        return self.type == "cpu"

    def memory_type(self, index: int) -> MemoryType:
        """The type of that index, or the reference that stands for malloc."""
        return MALLOC_TYPE if index == MALLOC else self.memory_types[index]

    def apis(self) -> tuple[Api, ...]:
        """The ways to map on this device, newest first."""
        return rules.apis(self.route, self.extensions)

    def version(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.api_version.split("."))


class EntryPoint(Data, frozen=True):
    """One name's answer from vkGetDeviceProcAddr beside what the specification says of it.

    `rule`: `pointer` (must be one), `null` (must be NULL) or `unspecified` (may be anything, must not be called).
    """

    name: str
    found: bool
    rule: Literal["pointer", "null", "unspecified"]
    callable: bool

    @property
    def agrees(self) -> bool:
        return self.rule == "unspecified" or self.found == (self.rule == "pointer")


class Proof(Data, frozen=True):
    """One live map, write, unmap, map, read. by: through which functions, or placed, or unmapped with reserve."""

    by: Literal["v1", "khr", "core", "placed", "reserve"]
    status: Status
    detail: str = ""


class Probe(Data, frozen=True):
    """What probe found out about one device."""

    device: Device | None
    entry_points: tuple[EntryPoint, ...] = ()
    proofs: tuple[Proof, ...] = ()
    notes: tuple["Note", ...] = ()
    status: Status = "ok"
    reason: str = ""


# --- a stress run ---------------------------------------------------------------------------------


class Note(Data, frozen=True):
    """A warning in a run: a stable code for scripts and a message for people."""

    code: str
    message: str


class Bins(Data, frozen=True):
    """Latency counts: [lower edge of the bin in ns, count] for each bin that is not empty.

    A bin is exact below 128 ns and at most 1/64 wide above; `overflow` counts samples from 2**40 ns on.
    """

    bins: tuple[tuple[int, int], ...]
    overflow: int


class Histogram(Data, frozen=True):
    """Samples in ns as the loop counts them; bins as (lower edge in ns, count), see Bins."""

    count: int
    sum_ns: int
    min_ns: int
    max_ns: int
    overflow: int
    bins: tuple[tuple[int, int], ...]


class Latency(Data, frozen=True):
    """Distribution of one call's latency. A percentile with fewer samples beyond it than one is None."""

    count: int
    min_ns: int | None
    mean_ns: float | None
    p50_ns: float | None
    p90_ns: float | None
    p99_ns: float | None
    p999_ns: float | None
    max_ns: int | None
    at_floor: bool
    histogram: Bins


class TouchRate(Data, frozen=True):
    """Bandwidth through the mapping, bytes per second."""

    write: float | None = None
    read: float | None = None


class Row(Data, frozen=True):
    """One job's result.

    part: the job's name in its workload file. steps: of a script, 0 for other jobs. touches_pages: what is
    written is one byte of each page. With a `rate` (cycles per second
    and thread), `response` counts each cycle from the moment it was due to its end. together: devices that ran the
    job at the same time.
    """

    job: str
    device: int
    api: Api
    memory_type: int
    memory_flags: tuple[str, ...]
    allocation_size: int
    offset: int | str
    map_size: int | None
    placed: str | None
    reserve: bool
    touch: Touch
    threads: int
    live: int
    pairs: int = 0
    seconds: float = 0.0
    pairs_per_second: float | None = None
    ns_per_pair: float | None = None
    rounds_ns_per_pair: tuple[float, ...] = ()
    ratio_to_v1: tuple[float, float, float] | None = None
    map: Latency | None = None
    unmap: Latency | None = None
    touch_bytes_per_second: TouchRate = TouchRate()
    page_faults: dict[str, int] = {}
    errors: dict[str, int] = {}
    verified_bytes: int = 0
    mismatches: int = 0
    status: Status = "ok"
    reason: str = ""
    part: str = ""
    steps: int = 0
    touches_pages: bool = False
    unmap_order: UnmapOrder = "same"
    rate: float | None = None
    response: Latency | None = None
    missed_cycles: int = 0
    together: int = 1


class Floor(Data, frozen=True):
    """What measuring itself costs here: a pair of clock reads, and a map and unmap that do nothing."""

    timer: str
    timer_ns: float
    timer_step_ns: float
    call_ns: float
    timer_latency: Latency
    call_latency: Latency


class Workload(Data, frozen=True):
    """A stress workload as asked for, before the device is known. Sizes in bytes.

    sizes may hold `LOW..fit*FACTOR`, which only a device can resolve. rate: cycles per second and thread. draws: the
    steps are drawn at random so many times for each cycle. objects: of a script, their number or their sizes. fill:
    the addresses that `placed` names are used up before the job starts. period_seconds: a line and a look for leaks
    so often. jobs: a workload of several parts has them here, and its own flags mean nothing.
    """

    name: str = "flags"
    sizes: tuple[int | str, ...] = (64 << 20,)
    offsets: tuple[int | str, ...] = (0,)
    map_size: int | None = None
    api: str = "auto"
    memory_type: str = "auto"
    placed: str | None = None
    reserve: bool = False
    touch: Touch = "none"
    threads: int = 1
    live: int = 1
    seconds: float = 2.0
    iterations: int | None = None
    warmup_seconds: float = 0.1
    seed: int = 1
    unmap_order: UnmapOrder = "same"
    rate: float | None = None
    fail_if: tuple[str, ...] = ()
    objects: int | tuple[int, ...] = 0
    steps: tuple[AnyStep, ...] = ()
    draws: int | None = None
    fill: bool = False
    period_seconds: float | None = None
    question: str = ""
    jobs: tuple["Workload", ...] = ()

    def parts(self) -> tuple["Workload", ...]:
        """The sets of flags to measure, one after the other."""
        return self.jobs or (msgspec.structs.replace(self, name=""),)


class Job(Data, frozen=True):
    """One row to measure: a workload resolved for one device, one memory type, one range and one api.

    offset: bytes, or `random`. map_size: bytes, or None for VK_WHOLE_SIZE. placed: `any`, `low4g`, `low2g`, an
    address in hexadecimal, or None.
    """

    name: str
    device: int
    api: Api
    memory_type: int
    allocation_size: int
    offset: int | str
    map_size: int | None
    placed: str | None
    reserve: bool
    touch: Touch
    threads: int
    live: int
    seed: int
    part: str = ""
    unmap_order: UnmapOrder = "same"
    rate: float | None = None
    object_sizes: tuple[int, ...] = ()
    steps: tuple[AnyStep, ...] = ()
    draws: int | None = None
    fill: bool = False

    @property
    def object_count(self) -> int:
        """Objects of each thread."""
        return len(self.object_sizes) if self.steps else self.live

    @property
    def memory_bytes(self) -> int:
        """What all objects of all threads take."""
        each = sum(self.object_sizes) if self.steps else self.allocation_size * self.live
        return each * self.threads


class Effort(Data, frozen=True):
    """How long each job is measured: by time, or by cycles of the program where `iterations` is given.

    period_seconds: length of a round, where each one is reported and looked at for leaks.
    """

    seconds: float
    iterations: int | None
    warmup_seconds: float
    period_seconds: float | None = None


class Plan(Data, frozen=True):
    """Groups of jobs; the jobs of a group differ in their api alone and are measured in turns."""

    groups: tuple[tuple[Job, ...], ...]
    effort: Effort
    notes: tuple[Note, ...] = ()


class TestLayer(Data, frozen=True):
    """Layers between loader and driver: this project's own, and the Khronos validation layer.

    emulate: `none`, `placed` or `range`; fault: `NAME[:PERIOD]`.
    """

    emulate: str = "none"
    fault: str = ""
    validate: bool = False

    @property
    def own(self) -> bool:
        """Whether this project's layer takes part."""
        return self.emulate != "none" or bool(self.fault)


# --- a check --------------------------------------------------------------------------------------

VerdictStatus = Literal["pass", "fail", "known", "quality", "skip", "crashed", "hung", "lost", "out-of-memory"]


class Verdict(Data, frozen=True):
    """How one check ended. quality: the driver may do so, but a user should know. known: broken, as expected."""

    status: VerdictStatus
    detail: str = ""
