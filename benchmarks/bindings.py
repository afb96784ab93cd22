"""Rows against Python: the `vulkan` package's wrappers, and raw cffi over the same functions, each in a plain loop."""

import time
from collections.abc import Iterator
from typing import Any

from machine import Effort, Figures, Machine, interleaved, judge, ratio
from vkmapctl import native
from vkmapctl.native import Pass

SIZE = 64 << 10


def _wrapped(vk: Any, device: Any, memory: Any, pairs: int) -> float:
    """Pairs per second through the wrappers of the `vulkan` package."""
    begin = time.perf_counter()
    for _ in range(pairs):
        vk.vkMapMemory(device, memory, 0, SIZE, 0)
        vk.vkUnmapMemory(device, memory)
    return pairs / (time.perf_counter() - begin)


def _raw(vk: Any, device: Any, memory: Any, pairs: int) -> float:
    """Pairs per second through cffi's function objects, with everything that can be kept kept."""
    map_memory, unmap_memory, data = vk.lib.vkMapMemory, vk.lib.vkUnmapMemory, vk.ffi.new("void **")
    begin = time.perf_counter()
    for _ in range(pairs):
        if map_memory(device, memory, 0, SIZE, 0, data):
            raise RuntimeError("vkMapMemory failed")
        unmap_memory(device, memory)
    return pairs / (time.perf_counter() - begin)


def python_loops(machine: Machine, effort: Effort) -> Iterator[Figures]:
    """Pairs per second of the rate pass against both loops."""
    import vulkan as vk  # after vkmapctl's own use of it, so that both share one set of declarations

    pairs = 20_000 if effort.rounds > 5 else 1_000
    with machine.allocation(SIZE) as memory:
        handle = vk.ffi.cast("VkDeviceMemory", memory)
        api = machine.facts.apis()[0]
        program, results = machine.program(api, [(memory, SIZE)]), native.Results(1)

        def by_loop() -> float:
            machine.run([program], results, Pass.RATE, ns=20_000_000)
            return float(results.total("slice_pairs") / results.total("slice_ns") * 1e9)

        values = interleaved(
            effort.rounds,
            by_loop,
            lambda: _wrapped(vk, machine.device.handle, handle, pairs),
            lambda: _raw(vk, machine.device.handle, handle, pairs),
        )
    figures = Figures("wrappers", f"rate pass ({api}) against vulkan's wrappers", "pairs/s", how="ratio")
    figures.limit = ">= 1000"
    yield judge(figures, values[0], values[1], ratio, lambda times: times >= 1000)
    figures = Figures("raw cffi", f"rate pass ({api}) against raw cffi calls", "pairs/s", how="ratio")
    yield judge(figures, values[0], values[2], ratio, bool)
