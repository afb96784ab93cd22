"""Rows inside one process: vkmapctl's loop and hand-written C over the same functions and the same memory."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from machine import Effort, Figures, Machine, difference, in_threads, interleaved, judge, ratio
from vkmapctl import native, units
from vkmapctl.figures import stats
from vkmapctl.model.loop import Op
from vkmapctl.native import Pass

SIZE = 64 << 10
SLICE_NS = 2_000_000
Measure = Callable[[], float]
WHOLE = (1 << 64) - 1


def pairs_of_a_slice(measure: Callable[[int], float]) -> int:
    """So many pairs that a slice takes some 2 ms; measure gives ns per pair for a number of pairs."""
    return max(int(SLICE_NS / max(measure(1000), 0.1)), 1)


def rate(machine: Machine, effort: Effort) -> Iterator[Figures]:
    """ns per pair without a clock inside, for each api."""
    for api in machine.facts.apis():
        with machine.allocation(SIZE) as memory:
            program, results = machine.program(api, [(memory, SIZE)]), native.Results(1)
            functions, name = machine.functions(api), "pairs1" if api == "v1" else "pairs2"

            def by_hand(pairs: int, functions=functions, name=name, memory=memory) -> float:
                reference = machine.reference.call(
                    name, functions.map, functions.unmap, functions.device, memory, pairs
                )
                return reference / pairs

            pairs = pairs_of_a_slice(by_hand)

            def by_loop(program=program, results=results, pairs=pairs) -> float:
                machine.run([program], results, Pass.RATE, iterations=pairs)
                return results.total("slice_ns") / results.total("slice_pairs")

            values = interleaved(effort.slices, by_loop, lambda by_hand=by_hand, pairs=pairs: by_hand(pairs))
            figures = Figures(
                f"rate {api}", "rate pass against the hand-written loop", "ns/pair", how="difference", limit="<= 1 ns"
            )
            yield judge(figures, *values, difference, lambda more: more <= 1.0)


def latency(machine: Machine, effort: Effort) -> Iterator[Figures]:
    """p50 of map by the same clock, for each api."""
    count = 100_000 if effort.rounds > 5 else 10_000
    step = stats.timer_step(machine.clock.floor())
    samples = (ctypes.c_uint64 * count)()
    for api in machine.facts.apis():
        with machine.allocation(SIZE) as memory:
            program, results = machine.program(api, [(memory, SIZE)]), native.Results(1)
            functions, name = machine.functions(api), "clocked1" if api == "v1" else "clocked2"

            def by_hand(functions=functions, name=name, memory=memory) -> float:
                where, kind = ctypes.addressof(samples), machine.clock.raw.kind
                machine.reference.call(
                    name, functions.map, functions.unmap, functions.device, memory, kind, where, count
                )
                return machine.median_ns(samples)

            def by_loop(program=program, results=results) -> float:
                results.clear()
                machine.run([program], results, Pass.LATENCY, iterations=count)
                return stats.percentile(results.histogram("map"), 0.5) or 0.0

            values = interleaved(effort.rounds, by_loop, by_hand)
            figures = Figures(
                f"latency {api}",
                f"p50 of map by the same clock ({machine.clock.name}, step {step:g} ns)",
                "ns",
                how="difference",
                limit=f"<= {step + 1:g} ns",
            )
            # 1 ns more, because vkmapctl's bins hold whole ns.
            yield judge(figures, *values, difference, lambda more: abs(more) <= step + 1)


@contextmanager
def mapped(machine: Machine, memory: int) -> Iterator[int]:
    """The address of a whole allocation, mapped here."""
    functions = machine.functions("v1")
    place = ctypes.c_void_p()
    kinds = (ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)
    result = ctypes.CFUNCTYPE(ctypes.c_int32, *kinds)(functions.map)(
        functions.device, memory, 0, WHOLE, 0, ctypes.addressof(place)
    )
    if result or not place.value:
        raise RuntimeError(f"vkMapMemory: {result}")
    try:
        yield place.value
    finally:
        ctypes.CFUNCTYPE(None, ctypes.c_uint64, ctypes.c_uint64)(functions.unmap)(functions.device, memory)


def touch(machine: Machine, effort: Effort) -> Iterator[Figures]:
    """Bandwidth of writing and of verifying, against memset and memcmp on the same mapping."""
    for size in effort.sizes:
        with machine.allocation(size) as memory:
            yield from _touch(machine, effort, memory, size)


def _touch(machine: Machine, effort: Effort, memory: int, size: int) -> Iterator[Figures]:
    times = max((64 << 20) // size, 1)
    label = units.size(size)
    copy = ctypes.create_string_buffer(size)
    write = machine.program("v1", [(memory, size)], [Op.WRITE])
    verify = machine.program("v1", [(memory, size)], [Op.WRITE, Op.VERIFY])
    results = native.Results(1)

    def by_loop(program: native.Program, kind: str) -> float:
        results.clear()
        machine.run([program], results, Pass.LATENCY, iterations=times)
        return results.total(f"{kind}_bytes") / results.total(f"{kind}_ns")

    def by_hand(name: str, *operands: int) -> float:
        with mapped(machine, memory) as address:
            return size * times / machine.reference.call(name, address, *operands, size, times)

    other = ctypes.addressof(copy)
    for row, program, kind, name, operands in (
        ("write", write, "write", "memset", (0,)),
        ("verify", verify, "read", "memcmp", (other,)),
    ):
        against = (lambda n=name: by_hand(n)) if name == "memset" else (lambda n=name, o=operands: by_hand(n, *o))
        values = interleaved(effort.rounds, lambda p=program, k=kind: by_loop(p, k), against)
        figures = Figures(f"{row} {label}", f"--touch {row} against {name}", "GB/s", how="ratio", limit=">= 0.9")
        yield judge(figures, *values, ratio, lambda share: share >= 0.9)
    values = interleaved(effort.rounds, lambda: by_loop(write, "write"), lambda: by_hand("memcpy", other))
    yield judge(Figures(f"copy {label}", "--touch write against memcpy", "GB/s", how="ratio"), *values, ratio, bool)


WIDTH_SIZE = (
    1 << 20
)  # in the second cache of a current CPU, so that the accesses are what is measured, and no fixed cost


def widths(machine: Machine, effort: Effort) -> Iterator[Figures]:
    """Bandwidth of loads and of stores of each width against a hand-written loop of the same accesses."""
    times = 10 if effort.rounds > 5 else 2
    with machine.allocation(WIDTH_SIZE) as memory, mapped(machine, memory) as address:
        for width in ("1", "2", "4", "8", "16", "32", "stream"):
            each = native.access_bytes(width)
            for op, kind, name in ((Op.READ, "read", "load"), (Op.WRITE, "write", "store")):
                reference = f"{'stream_' * (width == 'stream')}{name}{8 * each}"
                if not each or not machine.reference.has(reference):
                    continue
                yield _of_width(machine, effort, memory, address, (op, kind, width, reference), times)


def _of_width(
    machine: Machine, effort: Effort, memory: int, address: int, what: tuple[Op, str, str, str], times: int
) -> Figures:
    op, kind, width, reference = what
    with machine.allocation(WIDTH_SIZE) as own:
        program, results = machine.program("v1", [(own, WIDTH_SIZE)], [op], width), native.Results(1)

        def by_loop() -> float:
            results.clear()
            machine.run([program], results, Pass.LATENCY, iterations=times)
            return results.total(f"{kind}_bytes") / results.total(f"{kind}_ns")

        values = interleaved(
            effort.slices,
            by_loop,
            lambda: WIDTH_SIZE * times / machine.reference.call(reference, address, WIDTH_SIZE, times),
        )
    row = f"{kind} by {width}" if width != "stream" else f"non-temporal {kind}"
    figures = Figures(row, f"--touch {kind} --width {width} against C", "GB/s", how="ratio", limit=">= 0.98")
    return judge(figures, *values, ratio, lambda share: share >= 0.98)


def threads(machine: Machine, effort: Effort) -> Iterator[Figures]:
    """Pairs per second of two threads over one; the reference is how the hand-written loop scales."""
    api = machine.facts.apis()[0]
    with machine.allocation(SIZE) as first, machine.allocation(SIZE) as second:
        memories = (first, second)
        programs = [machine.program(api, [(memory, SIZE)]) for memory in memories]
        results = {1: native.Results(1), 2: native.Results(2)}
        functions, name = machine.functions(api), "pairs1" if api == "v1" else "pairs2"

        def by_loop(count: int) -> float:
            machine.run(programs[:count], results[count], Pass.RATE, ns=10_000_000)
            return sum(one.slice_pairs / one.slice_ns for one in results[count].stats) * 1e3

        def by_hand(count: int) -> float:
            return _threads_by_hand(machine, functions, name, memories[:count], pairs)

        pairs = 5 * pairs_of_a_slice(lambda n: 1e3 / _threads_by_hand(machine, functions, name, memories[:1], n))

        values = interleaved(
            effort.slices // 2, lambda: by_loop(2), lambda: by_loop(1), lambda: by_hand(2), lambda: by_hand(1)
        )
        scaling = sorted(ratio(two, one) for two, one in zip(values[2], values[3], strict=True))
        figures = Figures("threads 2", "two threads against one", "M pairs/s", how="ratio", limit=">= 1.9")
        figures.note = f"the hand-written loop scales by {scaling[len(scaling) // 2]:.2f} in the same rounds"
        yield judge(figures, values[0], values[1], ratio, lambda more: more >= 1.9)


def _threads_by_hand(
    machine: Machine, functions: native.Functions, name: str, memories: tuple[int, ...], pairs: int
) -> float:
    """Millions of pairs per second of the hand-written loop in as many threads as memories."""
    rates = [0.0] * len(memories)

    def run(i: int) -> None:
        spent = machine.reference.call(name, functions.map, functions.unmap, functions.device, memories[i], pairs)
        rates[i] = pairs / spent * 1e3

    in_threads(machine, len(memories), run)
    return sum(rates)
