"""Replaying a trace: its objects, addresses and host memory made ready, then all of its threads at once, and no call
beside theirs.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from vkmapctl import native
from vkmapctl.errors import CallFailed, Unsupported
from vkmapctl.figures import causes
from vkmapctl.inside.allocations import chained
from vkmapctl.inside.device import OpenDevice
from vkmapctl.inside.vkapi import result_name
from vkmapctl.machine.ranges import LOWEST_ADDRESS, Range, host_memory, reserve_for
from vkmapctl.model.loop import REPLAY_APIS, Fault
from vkmapctl.model.measured import Cause
from vkmapctl.model.trace import Trace, TraceFit
from vkmapctl.model.workload import Job
from vkmapctl.plans.replay import Chained, ReplayProgram, imported, laid_out
from vkmapctl.plans.replay import chained as chained_by
from vkmapctl.plans.trace_fit import places_of


class Replaying(NamedTuple):
    """One job's replay, ready to run. ranges: the addresses between guards that it uses.

    replaced: what is done otherwise than recorded, that only the driver could tell.
    """

    replay: native.Replay
    threads: int
    ranges: Sequence[Range]
    replaced: Sequence[str]


@contextmanager
def prepared(device: OpenDevice, job: Job) -> Iterator[Replaying]:
    """Raises Unsupported where there are no such addresses, or no such host memory for the driver."""
    trace, fit = job.traced, job.fit
    assert trace is not None
    assert fit is not None
    replaced: list[str] = []
    with ExitStack() as held:
        hosts = held.enter_context(_hosts(device, trace, fit))
        chains = held.enter_context(_chains(device, trace, fit, replaced))
        program = laid_out(trace, fit, job.pace, chains, {i: one.begin for i, one in hosts.items()})
        places = held.enter_context(_places(trace, fit))
        replay = _replay(device, trace, program, places.taken)
        places.lost = replay.lost
        yield Replaying(replay, len(trace.threads), [*hosts.values(), *places.taken], replaced)


def cause(results: native.Results, job: Job) -> Cause | None:
    """The first thing that did not go as recorded, None where all went so."""
    fault, result, place, _ = results.fault()
    if fault is Fault.OK:
        return None
    return causes.of_fault(fault, result_name(result) if result else "", place, None, job.api)


def _replay(device: OpenDevice, trace: Trace, program: ReplayProgram, places: Sequence[Range]) -> native.Replay:
    available = [api for api in REPLAY_APIS if api in device.facts.apis()]
    functions = native.ReplayFunctions(
        device.address,
        device.function("vkAllocateMemory"),
        device.function("vkFreeMemory"),
        device.function("vkFlushMappedMemoryRanges"),
        device.function("vkInvalidateMappedMemoryRanges"),
        {api: device.map_functions(api) for api in available},
    )
    return native.Replay(
        functions,
        program.threads,
        objects=trace.objects,
        ranges=program.ranges,
        places=[(one.begin, one.length) for one in places],
        channels=program.channels,
    )


@contextmanager
def _chains(device: OpenDevice, trace: Trace, fit: TraceFit, replaced: list[str]) -> Iterator[dict[Chained, int]]:
    """What allocations chain; of a kind that the driver does not have for them nothing, which is told."""
    found: dict[Chained, int] = {}
    with ExitStack() as held:
        for one in sorted(chained_by(trace, fit)):
            try:
                found[one] = held.enter_context(chained(device, *one))
            except (Unsupported, CallFailed) as error:
                replaced.append(f"an allocation is plain: {error.message}")
        yield found


@contextmanager
def _hosts(device: OpenDevice, trace: Trace, fit: TraceFit) -> Iterator[dict[int, Range]]:
    """Host memory for each object that is imported, by the object's number."""
    sizes = imported(trace, fit)
    if not sizes:
        yield {}
        return
    with host_memory([*sizes.values()], fit.import_alignment) as ranges:
        for one in ranges:
            accepted = device.pointer_types(one.begin)
            for index in set(fit.imports) - set(accepted):
                kind = device.facts.memory_type(index).label
                raise Unsupported(f"memory type {kind} does not take a pointer to {one.length} bytes of host memory")
        yield dict(zip(sizes, ranges, strict=True))


class _Places:
    """Reserved address ranges. lost: tells of each whether some of it is somebody else's."""

    def __init__(self) -> None:
        self.taken: list[Range] = []
        self.lost: Callable[[], list[bool]] = list


@contextmanager
def _places(trace: Trace, fit: TraceFit) -> Iterator[_Places]:
    """The trace's address ranges, where it places maps in them on this device."""
    places = _Places()
    try:
        lowest = LOWEST_ADDRESS
        for wanted in trace.ranges if places_of(trace, fit) else ():
            one = reserve_for(
                "low4g" if wanted.low else "any",
                max(wanted.size, native.PAGE),
                lowest if wanted.low else LOWEST_ADDRESS,
            )
            lowest = one.end + one.above if wanted.low else lowest
            places.taken.append(one)
        yield places
    finally:
        lost = places.lost()
        for i, one in enumerate(places.taken):
            if i < len(lost) and lost[i]:
                one.release_guards()
            else:
                one.release()
