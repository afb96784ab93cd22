"""Rows of a device at work: pairs while it copies to the mapped object, and round trips, each beside hand-written C."""

import ctypes
from collections.abc import Iterator

import loops
from machine import Effort, Figures, Machine, difference, interleaved, judge, ratio
from vkmapctl import native
from vkmapctl.figures import stats
from vkmapctl.model.loop import LoopStep, Op
from vkmapctl.model.workload import Job
from vkmapctl.native import Pass
from vkmapctl.worker.gpu_work import load_of
from vkmapctl.worker.load import Load
from vkmapctl.worker.round_trips import prepared

SIZE = 16 << 20
TRIP = 256


def a_job(machine: Machine, **changes: str) -> Job:
    """What the load and the round trips need to know of a job."""
    kind = machine.memory_type
    return Job(
        device=machine.facts.index, api=machine.facts.apis()[0], memory_type=kind.index, memory_flags=kind.flags,
        allocation_size=SIZE, offset=0, map_size=None, placed=None, reserve=False, touch="none", threads=1, live=1,
        **changes,
    )  # fmt: skip


def pairs(machine: Machine, effort: Effort) -> Iterator[Figures]:
    """ns per pair while the device copies to the object; both sides start and stop the same load."""
    api = machine.facts.apis()[0]
    name = "pairs1" if api == "v1" else "pairs2"
    job = a_job(machine, gpu_load="copy", gpu_on="mapped")
    with machine.allocation(SIZE) as memory, load_of(machine.device, job, [(memory, SIZE)]) as load:
        program, results = machine.program(api, [(memory, SIZE)]), native.Results(1)
        functions = machine.functions(api)

        def by_hand(count: int) -> float:
            arguments = (functions.map, functions.unmap, functions.device, memory, count)
            return machine.reference.call(name, *arguments) / count

        def by_loop() -> float:
            machine.run([program], results, Pass.RATE, iterations=count)
            return results.total("slice_ns") / results.total("slice_pairs")

        count = loops.pairs_of_a_slice(by_hand)
        values = interleaved(
            effort.slices // 2, lambda: _under(load, by_loop), lambda: _under(load, lambda: by_hand(count))
        )
    figures = Figures(
        f"busy rate {api}", "rate pass while the GPU copies to the object", "ns/pair", how="difference", limit="<= 1 ns"
    )
    yield judge(figures, *values, difference, lambda more: more <= 1.0)


def _under(load: Load, measure: loops.Measure) -> float:
    with load.running() as ready:
        if not ready:
            raise RuntimeError(f"the load failed: {load.failed}")
        return measure()


def trips(machine: Machine, effort: Effort) -> Iterator[Figures]:
    """p50 of a read-back of 256 bytes by the same clock: the same submissions, fence and memory."""
    api, count = machine.facts.apis()[0], 2000 if effort.rounds > 5 else 200
    samples = (ctypes.c_uint64 * count)()
    cycle = [LoopStep(Op.MAP, size=SIZE, whole=True), LoopStep(Op.TO_HOST, size=TRIP), LoopStep(Op.UNMAP)]
    with machine.allocation(SIZE) as memory:
        objects = [native.Object(memory, SIZE)]
        with prepared(machine.device, a_job(machine), objects, cycle, 0) as (steps, queue):
            assert queue is not None
            program, results = machine.laid_out(api, objects, steps, queue=queue), native.Results(1)
            (transfer,) = queue.transfers
            infos = (ctypes.c_uint64 * 2)(*transfer.submits)
            expected = ctypes.create_string_buffer(TRIP + native.SHIFT)
            native.write_pattern(ctypes.addressof(expected), len(expected), transfer.key)

            def by_loop() -> float:
                results.clear()
                machine.run([program], results, Pass.LATENCY, iterations=count)
                return stats.percentile(results.histogram("to-host"), 0.5) or 0.0

            def by_hand() -> float:
                with loops.mapped(machine, memory) as address:
                    done = machine.reference.call(
                        "to_host", queue.submit, queue.wait, queue.reset, machine.device.address, queue.queue,
                        ctypes.addressof(infos), queue.fence, address, ctypes.addressof(expected), TRIP,
                        machine.clock.raw.kind, ctypes.addressof(samples), count,
                    )  # fmt: skip
                if done < count:
                    raise RuntimeError("a round trip of the hand-written loop failed")
                return machine.median_ns(samples)

            values = interleaved(effort.rounds, by_loop, by_hand)
    figures = Figures(
        f"round trip {TRIP} B", "p50 of to-host against the hand-written loop", "ns", how="ratio", limit="<= 1.02"
    )
    yield judge(figures, *values, ratio, lambda more: more <= 1.02)
