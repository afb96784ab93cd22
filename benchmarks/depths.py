#!/usr/bin/env python3
"""Shows how ns per pair depend on where the stack begins: vkmapctl's rate pass beside a hand-written loop.

Where a driver's stack and its objects lie alike modulo 4 KiB, its calls take several times as long. Each process draws
that lot when it starts; here both loops run at 256 depths of the stack, in each of several processes, which are so many
lots. Usage: depths.py [PROCESSES], 4 unless told.
"""

import ctypes
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from vkmapctl._loop import ffi, lib

from loops import SIZE
from machine import Machine, opened
from vkmapctl import native
from vkmapctl.native import Pass

DEPTHS, TURNS = range(0, 4096, 16), 3
LOOP_PAIRS, HAND_PAIRS = 1_000_000, 50_000
SLOW = 1.25  # times the median of the process


def _least_of_turns(run: Callable[[int], float]) -> list[float]:
    """At each depth; the turns lie apart in time, since others use the machine too."""
    turns = [[run(depth) for depth in DEPTHS] for _ in range(TURNS)]
    return [min(values) for values in zip(*turns, strict=True)]


def one_process(machine: Machine) -> dict[str, tuple[list[float], list[float]]]:
    """ns per pair at each depth, of each api: of vkmapctl's rate pass, and of the loop that is written by hand."""
    found = {}
    for api in machine.facts.apis():
        with machine.allocation(SIZE) as memory:
            functions, name = machine.functions(api), "pairs1" if api == "v1" else "pairs2"
            program, results = machine.program(api, [(memory, SIZE)]), native.Results(1)
            loop = _address(ffi.addressof(lib, "vkm_run"))
            hand = ctypes.cast(getattr(machine.reference.library, f"reference_{name}"), ctypes.c_void_p).value or 0
            results.control.threads = 1
            where = [_address(one) for one in (program.raw, machine.clock.raw, results.control, results.stats[0])]

            def by_loop(depth: int, loop=loop, where=where, results=results) -> float:
                results.control.arrived = 0
                return _cpu_ns(machine, LOOP_PAIRS, depth, loop, *where, Pass.RATE, LOOP_PAIRS, native.FOREVER)

            def by_hand(depth: int, hand=hand, functions=functions, memory=memory) -> float:
                wanted = (functions.map, functions.unmap, functions.device, memory, HAND_PAIRS, 0, 0)
                return _cpu_ns(machine, HAND_PAIRS, depth, hand, *wanted)

            found[api] = _least_of_turns(by_loop), _least_of_turns(by_hand)
    return found


def _cpu_ns(machine: Machine, pairs: int, *arguments: int) -> float:
    """ns of CPU time per pair of a call at a depth: what others take of the machine is not in it."""
    begin = time.thread_time_ns()
    machine.reference.call("deep", *arguments)
    return (time.thread_time_ns() - begin) / pairs


def _address(pointer: object) -> int:
    return int(ffi.cast("uintptr_t", pointer))


def main() -> None:
    if sys.argv[1:] == ["--one"]:
        with tempfile.TemporaryDirectory() as name, opened(Path(name), emulate=False) as machine:
            print(json.dumps(one_process(machine)))
        return
    processes = int(sys.argv[1]) if sys.argv[1:] else 4
    command = [sys.executable, __file__, "--one"]
    found = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(processes)]
    print(f"{processes} processes, {len(DEPTHS)} depths of the stack in each: ns per pair, its spread over the lots")
    for api in found[0]:
        for i, side in enumerate(("vkmapctl", "by hand")):
            middles = [statistics.median(one[api][i]) for one in found]
            ratios = sorted(value / middle for one, middle in zip(found, middles, strict=True) for value in one[api][i])
            slow = sum(ratio > SLOW for ratio in ratios) / len(ratios)
            print(
                f"{api:5} {side:9} median {statistics.median(middles):6.2f} ns; times it: "
                f"9 of 10 {ratios[len(ratios) * 9 // 10]:.2f}, most {ratios[-1]:.2f}; slow lots {slow:.1%}"
            )


if __name__ == "__main__":
    main()
