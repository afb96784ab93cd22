"""How much memory a process may have: of the machine, of its control groups, and by its own limits.

Sources: kernel documentation, admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst; proc(5); setrlimit(2).
"""

import os
import resource
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vkmapctl.machine.reading import text
from vkmapctl.model.device import Bound

MIB = 1 << 20
KEPT = 256 * MIB  # of the machine and of a control group: for the rest of it, and for the driver beside its objects
# What a driver takes when it creates a device. One that works on the CPU has a thread on each, and each of them a stack
# and a heap of addresses (glibc's HEAP_MAX_SIZE), of which little is ever writable. Measured of lavapipe on two CPUs:
# 480 MiB of addresses, 92 MiB of private memory.
_ADDRESSES_KEPT, _ADDRESSES_A_CPU = 512 * MIB, 72 * MIB
_ADDRESSES_A_CPU_32 = 9 * MIB  # HEAP_MAX_SIZE is 1 MiB there
_ADDRESSES = 2 * (sys.maxsize + 1)  # that a pointer can hold
_PRIVATE_KEPT, _PRIVATE_A_CPU = 128 * MIB, 16 * MIB
_RAISE = "raise it (docker run --memory, systemd-run -p MemoryMax=, Slurm's --mem)"
_UNITS = {"kB": 1 << 10}


class Group(NamedTuple):
    """A memory control group. name: its path as /proc/self/cgroup has it; folder: where its files are.

    outermost: none above it can be seen here.
    """

    version: int
    name: str
    folder: str
    outermost: bool


def figures(path: str) -> dict[str, int]:
    """A file of lines such as `oom_kill 3` or `MemTotal: 24 kB`: bytes, or counts, by name."""
    found = {}
    for line in text(path).splitlines():
        name, *words = line.split()[:3] or [""]
        if words and words[0].isdecimal():
            found[name.rstrip(":")] = int(words[0]) * _UNITS.get("".join(words[1:]), 1)
    return found


def groups(root: str = "/") -> list[Group]:
    """The memory control groups that this process is in, as far as they are mounted here: the innermost first.

    root: where /proc and /sys are, for tests.
    """
    found: list[Group] = []
    for line in text(f"{root}proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        version = 2 if number == "0" and not controllers else 1
        if version == 2 or "memory" in controllers.split(","):
            found += _with_ancestors(version, path, root)
    return found


def _with_ancestors(version: int, path: str, root: str) -> Iterator[Group]:
    """As far as a mount shows them: a container may see no more than its own, which is then the mount's root."""
    for top, folder in _mounts(version, root):
        inner = path[len(top.rstrip("/")) :] if f"{path}/".startswith(f"{top.rstrip('/')}/") else ""
        names = [name for name in inner.split("/") if name]
        if ".." in names or not os.path.isdir("/".join([folder, *names])):
            names = []
        for depth in range(len(names), -1, -1):
            below = names[:depth]
            yield Group(version, "/".join([top.rstrip("/"), *below]) or "/", "/".join([folder, *below]), not depth)
        return


def _mounts(version: int, root: str) -> Iterator[tuple[str, str]]:
    """Where the hierarchy is mounted: the group at the mount's root, and the folder (/proc/self/mountinfo)."""
    for line in text(f"{root}proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        kind, options = after.split(" ")[0], after.split(" ")[-1]
        words = before.split(" ")
        if len(words) < 5 or kind != ("cgroup2" if version == 2 else "cgroup"):
            continue
        if version == 2 or "memory" in options.split(","):
            yield words[3], root + words[4].lstrip("/")


def machine(root: str = "/") -> Bound:
    """MemAvailable: what can be allocated without swapping. Swap counts nowhere: memory there is none to measure.

    Raises OSError where /proc is not mounted.
    """
    path = f"{root}proc/meminfo"
    with open(path):
        found = figures(path)
    total = found.get("MemTotal", 0)
    return Bound("this machine's memory", total, found.get("MemAvailable", total), KEPT, "")


def of_group(group: Group, *, kills: bool = False) -> Bound | None:
    """What a control group may still have, None where it has no limit of its own. kills: by what gets it killed alone.

    Page cache counts as free, as it does in MemAvailable, and so does what the kernel can reclaim of its own. Beyond
    memory.high nothing is killed, but everything waits.
    """
    stat = figures(f"{group.folder}/memory.stat")
    if group.version == 2:
        cached = ["inactive_file", "active_file", "slab_reclaimable"]
        names, used = ["memory.max", *(() if kills else ("memory.high",))], "memory.current"
    else:
        cached = ["total_inactive_file", "total_active_file"]
        names, used = ["memory.limit_in_bytes"], "memory.usage_in_bytes"
    limits = {name: int(value) for name in names if (value := text(f"{group.folder}/{name}").strip()).isdecimal()}
    if group.outermost and "hierarchical_memory_limit" in stat:  # of version 1: of all groups above, though unseen
        limits.setdefault("hierarchical_memory_limit", stat["hierarchical_memory_limit"])
    limits = {name: limit for name, limit in limits.items() if limit < 1 << 62}  # version 1 says so that it has none
    taken = text(f"{group.folder}/{used}").strip()
    if not limits or not taken.isdecimal():
        return None
    name = min(limits, key=lambda one: limits[one])
    left = limits[name] - max(int(taken) - sum(stat.get(one, 0) for one in cached), 0)
    return Bound(f"{name} of cgroup {group.name}", limits[name], left, KEPT, _RAISE)


def available(root: str = "/") -> Bound:
    """What gives least: the machine, or one of the control groups that this process is in."""
    bounds = [machine(root), *(bound for group in groups(root) if (bound := of_group(group)))]
    return min(bounds, key=lambda one: one.left)


def addresses(taken: int, cpus: int) -> Bound | None:
    """What RLIMIT_AS, or the width of its pointers, leaves to a process that has taken so many bytes of addresses.

    None where neither limits a process of 64 bits.
    """
    kept = _ADDRESSES_KEPT + cpus * (_ADDRESSES_A_CPU if _ADDRESSES > 1 << 32 else _ADDRESSES_A_CPU_32)
    limited = _limited(resource.RLIMIT_AS, "RLIMIT_AS", taken, kept, "ulimit -v")
    if _ADDRESSES > 1 << 32:
        return limited
    bound = Bound("address space of the driver's 32-bit process", _ADDRESSES, _ADDRESSES - taken, kept)
    return min((one for one in (limited, bound) if one), key=lambda one: one.left)


def private(taken: int, cpus: int) -> Bound | None:
    """The same of RLIMIT_DATA, which counts private writable memory."""
    kept = _PRIVATE_KEPT + cpus * _PRIVATE_A_CPU
    return _limited(resource.RLIMIT_DATA, "RLIMIT_DATA", taken, kept, "ulimit -d")


def _limited(limit: int, name: str, taken: int, kept: int, by: str) -> Bound | None:
    soft = resource.getrlimit(limit)[0]
    if soft == resource.RLIM_INFINITY:
        return None
    return Bound(f"{name} of the driver's process", soft, soft - taken, kept, f"raise it ({by})")


def taken_by(pid: int, root: str = "/") -> tuple[int, int]:
    """Bytes of addresses and of private writable memory that a process has (VmSize and VmData), 0 where unknown."""
    found = figures(f"{root}proc/{pid}/status")
    return found.get("VmSize", 0), found.get("VmData", 0)


class KillWatch:
    """Tells a process that the kernel has killed for memory from one that somebody else has killed.

    Made before that process begins. root: where /proc and /sys are, for tests.
    """

    def __init__(self, root: str = "/") -> None:
        self._root = root
        self._groups = groups(root)
        self._before = self._kills(), self._everywhere(), self._hits()

    def killed(self) -> str:
        """Of a process that has died of SIGKILL: by which limit, in words; empty where it was no lack of memory.

        oom_kill of a process's own group counts whatever limit it was, the machine's included. Where there is no such
        count, /proc/vmstat counts everybody's.
        """
        kills, everywhere, hits = self._before
        if kills is not None:
            if (self._kills() or 0) <= kills:
                return ""
            hit = [group for group, before, now in zip(self._groups, hits, self._hits(), strict=True) if now > before]
            hit = hit or [group for group in self._groups if _was_full(group)]
            bound = next((bound for group in hit if (bound := of_group(group, kills=True))), None) or machine(
                self._root
            )
            return f"the kernel killed it for memory ({bound.said})"
        if everywhere is None or (self._everywhere() or 0) <= everywhere:
            return ""
        return f"the kernel probably killed it for memory ({available(self._root).said})"

    def _kills(self) -> int | None:
        """Processes of this one's own group that were killed so; None where nothing counts them."""
        for group in self._groups:
            name = "memory.events" if group.version == 2 else "memory.oom_control"
            count = figures(f"{group.folder}/{name}").get("oom_kill")
            if count is not None:
                return count
        return None

    def _everywhere(self) -> int | None:
        return figures(f"{self._root}proc/vmstat").get("oom_kill")

    def _hits(self) -> Sequence[int]:
        """How often each group has met its limit: in version 2 its children count too, and the innermost is it."""
        return [
            figures(f"{one.folder}/memory.events").get("oom", 0)
            if one.version == 2
            else int(text(f"{one.folder}/memory.failcnt").strip() or 0)
            for one in self._groups
        ]


def _was_full(group: Group) -> bool:
    """Of version 1, which does not count each kind of limit that was met (Linux 6.18: not that of memory and swap)."""
    bound = of_group(group, kills=True)
    most = text(f"{group.folder}/memory.max_usage_in_bytes").strip()
    return bound is not None and most.isdecimal() and int(most) >= bound.limit - bound.limit // 64
