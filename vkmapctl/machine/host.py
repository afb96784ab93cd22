"""The machine that a run was made on, as far as it can change the figures."""

import os
import re
import sys

from vkmapctl.machine import memory, place
from vkmapctl.model.device import Room
from vkmapctl.model.documents import Facts
from vkmapctl.text import clean

# arm64's kernel tells numbers alone, implementer and part: the names of Linux' arch/arm64/include/asm/cputype.h.
_ARM_CPUS = {
    "0x41 0xd03": "Cortex-A53", "0x41 0xd05": "Cortex-A55", "0x41 0xd07": "Cortex-A57", "0x41 0xd08": "Cortex-A72",
    "0x41 0xd0b": "Cortex-A76", "0x41 0xd0c": "Neoverse-N1", "0x41 0xd40": "Neoverse-V1", "0x41 0xd41": "Cortex-A78",
    "0x41 0xd42": "Cortex-A78AE", "0x41 0xd49": "Neoverse-N2", "0x41 0xd4f": "Neoverse-V2", "0x41 0xd84": "Neoverse-V3",
    "0x48 0xd01": "HiSilicon TSV110", "0x4e 0x004": "NVIDIA Carmel", "0x61 0x022": "Apple M1 Icestorm",
    "0x61 0x023": "Apple M1 Firestorm", "0xc0 0xac3": "Ampere-1", "0xc0 0xac4": "Ampere-1A",
}  # fmt: skip


def _text(path: str) -> str:
    with open(path, errors="replace") as file:
        return file.read()


def _first_line(path: str) -> str | None:
    try:
        return _text(path).splitlines()[0].strip() or None
    except (OSError, IndexError):
        return None


def _cpu_model() -> str:
    try:
        lines = _text("/proc/cpuinfo").splitlines()
    except OSError:
        return os.uname().machine
    names = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model")))
    return next(names, "") or _arm_cpus("\n".join(lines)) or os.uname().machine


def _arm_cpus(cpuinfo: str) -> str:
    """The kinds of cores of arm64's /proc/cpuinfo, as `Cortex-A53 + Cortex-A72`; empty where it names none."""
    found = re.findall(r"^CPU implementer\s*: (\w+)$.*?^CPU part\s*: (\w+)$", cpuinfo, re.MULTILINE | re.DOTALL)
    kinds = dict.fromkeys(f"{implementer} {part}" for implementer, part in found)
    return " + ".join(_ARM_CPUS.get(kind, "implementer {} part {}".format(*kind.split())) for kind in kinds)


def _virtualised() -> str | None:
    """Name of the hypervisor where one is visible."""
    if _first_line("/sys/hypervisor/type"):
        return _first_line("/sys/hypervisor/type")
    try:
        flags = _text("/proc/cpuinfo")
    except OSError:
        return None
    vendor = _first_line("/sys/class/dmi/id/sys_vendor")
    if " hypervisor" not in flags and vendor != "QEMU":  # arm64 has no such flag
        return None
    return vendor or "yes"


def memory_available() -> int:
    """Bytes that can be allocated without swapping, by this machine and by its control groups."""
    return memory.available().left


def mappings() -> int:
    """How many mappings this process has."""
    with open("/proc/self/maps", "rb") as maps:
        return sum(1 for _ in maps)


def mappings_available() -> int:
    """Mappings that this process, or one forked from it, may still make: vm.max_map_count less those it has."""
    return int(_first_line("/proc/sys/vm/max_map_count") or 65530) - mappings()


def room(taken: tuple[int, int] = (0, 0)) -> Room:
    """What a run can have of this machine. taken: by its process already, as machine/memory.taken_by has it."""
    cpus = len(os.sched_getaffinity(0))
    addresses, private = memory.addresses(taken[0], cpus), memory.private(taken[1], cpus)
    return Room(memory.available(), mappings_available(), addresses, private)


def describe() -> Facts:
    """Plain facts for the saved document; None for what this machine does not tell."""
    cpu0 = "/sys/devices/system/cpu/cpu0/cpufreq"
    found: Facts = {
        "hostname": os.uname().nodename,
        "machine_id": _first_line("/etc/machine-id"),
        "boot_id": _first_line("/proc/sys/kernel/random/boot_id"),
        "container": place.container(os.environ),
        "kernel": os.uname().release,
        "machine": os.uname().machine,
        "python": sys.version.split()[0],
        "cpu_model": _cpu_model(),
        "cpu_count": os.cpu_count(),
        "cpu_affinity": sorted(os.sched_getaffinity(0)),
        "governor": _first_line(f"{cpu0}/scaling_governor"),
        "clocksource": _first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "load_1min": round(os.getloadavg()[0], 2),
        "virtualised": _virtualised(),
        "memory_available_bytes": memory_available(),
    }
    return {name: clean(value) if isinstance(value, str) else value for name, value in found.items()}


def near_gpu(pci_address: str | None) -> Facts:
    """NUMA node and CPUs next to a GPU, None for what is not known or does not exist."""
    where = f"/sys/bus/pci/devices/{pci_address}"
    node = _first_line(f"{where}/numa_node") if pci_address else None
    return {
        "gpu_numa_node": int(node) if node and node.isdecimal() else None,
        "gpu_local_cpus": _first_line(f"{where}/local_cpulist") if pci_address else None,
    }
