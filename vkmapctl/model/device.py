"""A physical device as plain data: what it is, its memory, and what a probe proved of it."""

from collections.abc import Iterable
from typing import Literal

from vkmapctl import rules, units
from vkmapctl.model.base import Data, Note, Status
from vkmapctl.model.measured import Cause
from vkmapctl.rules import Allocation, Api


class MemoryHeap(Data, frozen=True):
    """VkMemoryHeap; sizes in bytes. Budget and usage from VK_EXT_memory_budget, or None."""

    index: int
    size: int
    device_local: bool
    budget: int | None = None
    usage: int | None = None


class MemoryType(Data, frozen=True):
    """VkMemoryType. flags: De(vice local), Vi(sible to the host), Co(herent), Ca(ched), La(zy), Pr(otected), …

    barred: why it must not be allocated from, empty where it may (rules.why_barred).
    The type of index MALLOC is no Vulkan memory: the C library's, as a reference to measure against.
    """

    index: int
    heap: int
    flags: tuple[str, ...]
    barred: str = ""

    @property
    def host_visible(self) -> bool:
        return "Vi" in self.flags

    @property
    def coherent(self) -> bool:
        return "Co" in self.flags

    @property
    def usable(self) -> bool:
        """Whether it can be allocated from and mapped. Saved runs of older versions do not tell what bars a type."""
        return self.host_visible and not self.barred and "Pr" not in self.flags

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

    @property
    def map_alignment(self) -> int:
        """What pointers can be held to: minMemoryMapAlignment, or 1 where that is none."""
        return rules.aligned_to(self.min_memory_map_alignment)


class Bound(Data, frozen=True):
    """A limit of memory, in bytes. name: as its owner knows it; left: what is not taken of it; kept: of that, what no
    plan may take; hint: what raises it.
    """

    name: str
    limit: int
    left: int
    kept: int
    hint: str = ""

    @property
    def free(self) -> int:
        """What a plan may take."""
        return max(self.left - self.kept, 0)

    @property
    def said(self) -> str:
        """`memory.max of cgroup /lab is 2 GiB`."""
        return f"{self.name} is {units.size(self.limit)}"

    @property
    def left_said(self) -> str:
        """The same, with what is left of it."""
        return f"{self.said}, of which {units.size(max(self.left, 0))} is free"


class Room(Data, frozen=True):
    """What the machine can still give the driver's process: bytes, and mappings (vm.max_map_count).

    memory: of the machine, or of the control group that has less. addresses, private: by RLIMIT_AS and by RLIMIT_DATA,
    which counts private writable memory; None without them.
    """

    memory: Bound
    mappings: int
    addresses: Bound | None = None
    private: Bound | None = None

    @property
    def free(self) -> int:
        """Bytes of the host's memory that a plan may fill, whichever limit leaves least."""
        return min(one.free for one in (self.memory, self.addresses, self.private) if one)


class Placed(Data, frozen=True):
    """VK_EXT_map_memory_placed: features and limit. emulated: by a layer of this project, not the driver."""

    memory_map_placed: bool = False
    memory_map_range_placed: bool = False
    memory_unmap_reserve: bool = False
    min_placed_memory_map_alignment: int | None = None
    emulated: bool = False


class HostImport(Data, frozen=True):
    """VK_EXT_external_memory_host: the limit, in bytes. memory_types: those that take a pointer to memory which the
    process has for itself (vkGetMemoryHostPointerPropertiesEXT); None where no driver was asked.
    """

    min_imported_host_pointer_alignment: int
    memory_types: tuple[int, ...] | None = None


class Device(Data, frozen=True):
    """A physical device: vulkaninfo's summary block and what mapping needs.

    `extensions` holds the spec versions of the extensions that matter here. `route` is how map2 is reached
    by the specification's rules: `core` (Vulkan 1.4), `khr` (VK_KHR_map_memory2) or `none`. allocations: the kinds
    that it has; saved runs of older versions do not tell.
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
    host_import: HostImport | None = None
    allocations: tuple[Allocation, ...] = ("plain",)

    @property
    def software(self) -> bool:
        return self.type == "cpu"

    @property
    def no_memory(self) -> str:
        """Why nothing can be mapped, empty where something can."""
        if any(one.usable for one in self.memory_types):
            return ""
        return rules.no_usable_type((one.flags, one.barred) for one in self.memory_types)

    def memory_type(self, index: int) -> MemoryType:
        """The type of that index, or the reference that stands for malloc."""
        return MALLOC_TYPE if index == MALLOC else self.memory_types[index]

    def in_host_memory(self, memory_type: MemoryType) -> bool:
        """Whether memory of that type is taken from the machine's own."""
        if memory_type.index == MALLOC or self.software or self.type == "integrated":
            return True
        return not self.heaps[memory_type.heap].device_local

    def apis(self) -> tuple[Api, ...]:
        """The ways to map on this device, newest first."""
        return rules.apis(self.route, self.extensions)

    def version(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.api_version.split("."))


def same(device: Device, devices: Iterable[Device]) -> Device | None:
    """Which of these it is, also where it has another place among them, as a layer may give it."""

    def identity(one: Device) -> tuple[str, str, str]:
        return one.device_uuid, one.driver_uuid, one.name

    alike = [one for one in devices if identity(one) == identity(device)]
    return next((one for one in alike if one.index == device.index), alike[0] if alike else None)


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
    """One live map, write, unmap, map, read. by: through which functions, or placed, or unmapped with reserve.

    remark: what a user should know of a proof that holds.
    """

    by: Literal["v1", "khr", "core", "placed", "reserve"]
    status: Status
    detail: str = ""
    cause: Cause | None = None
    remark: str = ""


class Probe(Data, frozen=True):
    """What probe found out about one device."""

    device: Device | None
    entry_points: tuple[EntryPoint, ...] = ()
    proofs: tuple[Proof, ...] = ()
    notes: tuple["Note", ...] = ()
    status: Status = "ok"
    reason: str = ""
