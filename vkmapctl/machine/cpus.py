"""Threads of a run, and which CPUs they are pinned to."""

import os
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

_CLOCK_SOURCES = Path("/sys/devices/system/clocksource/clocksource0/available_clocksource")
_COUNTERS = {"x86_64": "tsc", "aarch64": "arch_sys_counter"}  # the kernel's names, by machine


def parse_list(text: str) -> list[int]:
    """The kernel's list format: `0-2,8` is [0, 1, 2, 8]."""
    cpus: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            cpus += range(int(first), int(last or first) + 1)
    return cpus


def siblings(cpu: int) -> Sequence[int]:
    """The hardware threads of the core that cpu belongs to, itself among them."""
    try:
        found = parse_list(Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text())
    except (OSError, ValueError):
        return [cpu]
    return found or [cpu]


def spread(count: int, allowed: Collection[int], siblings_of: Callable[[int], Sequence[int]] = siblings) -> list[int]:
    """A CPU of its own for each of `count` threads, one of each core before a second of any.

    Empty where there are too few: threads that must share are better left to the scheduler.
    """
    if count > len(allowed):
        return []
    rank = {}
    for cpu in sorted(allowed):
        mates = [one for one in siblings_of(cpu) if one in allowed]
        rank[cpu] = mates.index(cpu) if cpu in mates else 0
    return sorted(allowed, key=lambda cpu: (rank[cpu], cpu))[:count]


def pin(cpu: int) -> None:
    """Keeps the calling thread on one CPU; where that is refused it runs on."""
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError:
        return


def in_threads(count: int, run: Callable[[int], object], give_up: Callable[[], object] = lambda: None) -> None:
    """run(i) in `count` threads, each pinned to a core of its own where there are enough; a single one right here.

    Where not all can be started, give_up ends those that wait for the rest, and RuntimeError is raised.
    """
    if count == 1:
        run(0)
        return
    places = spread(count, os.sched_getaffinity(0))

    def pinned(i: int) -> None:
        if places:
            pin(places[i])
        run(i)

    threads = [threading.Thread(target=pinned, args=(i,)) for i in range(count)]
    started: list[threading.Thread] = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
    except RuntimeError:
        give_up()
        raise
    finally:
        for thread in started:
            thread.join()


def counter_is_trusted() -> bool:
    """Whether the kernel itself still offers the CPU's counter as a clock source (it drops a bad one)."""
    try:
        sources = _CLOCK_SOURCES.read_text().split()
    except OSError:
        return False
    return _COUNTERS.get(os.uname().machine) in sources
