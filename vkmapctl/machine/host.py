"""The machine that a run was made on, as far as it can change the figures."""

import os
import sys

from vkmapctl.machine import memory, place
from vkmapctl.model.device import Room
from vkmapctl.model.documents import Facts
from vkmapctl.text import clean


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
    return next(names, os.uname().machine)


def _virtualised() -> str | None:
    """Name of the hypervisor where one is visible."""
    if _first_line("/sys/hypervisor/type"):
        return _first_line("/sys/hypervisor/type")
    try:
        flags = _text("/proc/cpuinfo")
    except OSError:
        return None
    return (_first_line("/sys/class/dmi/id/sys_vendor") or "yes") if " hypervisor" in flags else None


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
