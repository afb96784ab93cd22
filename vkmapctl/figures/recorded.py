"""A recording to its answer: one pass over each process, added up, and what follows from it."""

from collections.abc import Iterable, Sequence

from vkmapctl import rules
from vkmapctl.figures import recorded_findings, stats
from vkmapctl.figures.over_time import together
from vkmapctl.figures.recorded_frames import FrameTally
from vkmapctl.figures.recorded_objects import ClassKey, Kind, ObjectTally, OfKind
from vkmapctl.figures.recorded_process import CallTally, ProcessPass
from vkmapctl.figures.spread import Spread
from vkmapctl.model.base import Note
from vkmapctl.model.documents import Run
from vkmapctl.model.measured import Latency
from vkmapctl.model.recorded import (
    MAPPING,
    MAPPING_CALLS,
    Frames,
    ObjectClass,
    RecordedCall,
    RecordedFaults,
    RecordReport,
    UsedType,
)
from vkmapctl.model.recording import NAMES, Called, RecordedDevice, Recording, RecordingHead

FLOOR_NS = 20.0  # of two readings of the counter around nothing, on processors of the last ten years
LEAST_PAGES = 20  # neighbouring ones, for the time between their faults to mean something
MOST_CLASSES = 200  # of objects that are told, the largest first


def answered(recording: Recording, figures: Run | None = None) -> RecordReport:
    """Where the time went. figures: a stress run of the same device, whose bandwidths and page times are used.

    Raises what reading the recording raises.
    """
    head = recording.head
    devices = tuple(dict.fromkeys(device for process in head.processes for device in process.devices))
    passes = []
    for number, process in enumerate(head.processes):
        one = ProcessPass(process.devices, process.page_size, process.seconds)
        one.run(recording.events(number), recording.faults(number))
        passes.append(one)
    return recorded_findings.concluded(_report(head, devices, passes), figures)


def _report(head: RecordingHead, devices: Sequence[RecordedDevice], passes: Sequence[ProcessPass]) -> RecordReport:
    calls: dict[Called, CallTally] = {}
    classes: dict[ClassKey, ObjectTally] = {}
    kinds: dict[Kind, OfKind] = {}
    frames, by_submit = FrameTally(), FrameTally()
    places = {device: place for place, device in enumerate(devices)}
    for process, one in zip(head.processes, passes, strict=True):
        numbers = [places[device] for device in process.devices]
        for call, tally in one.calls.items():
            calls.setdefault(call, CallTally()).merge(tally)
        for key, objects in one.classes.items():
            classes.setdefault(key._replace(kind=_known(key.kind, numbers)), ObjectTally()).merge(objects)
        for used in one.kinds:
            known = _known(used.kind, numbers)
            _add(kinds.setdefault(known, OfKind(known)), used)
        frames.merge(one.by_present)
        by_submit.merge(one.by_submit)
    presented = bool(frames.lengths.count)
    told = not head.faults_missing
    most = [one.over_time.most for one in passes]
    return RecordReport(
        schema=head.schema,
        tool=head.tool,
        started=head.started,
        host=head.host,
        loader=head.loader,
        layers=head.layers,
        outcome="ok",
        exit_code=0,
        warnings=(*head.warnings, *_warnings(head, passes)),
        program=head.program,
        processes=head.processes,
        devices=tuple(devices),
        dropped=sum(process.dropped for process in head.processes),
        faults_missing=head.faults_missing,
        seconds=head.program.seconds or max((one.last_ns / 1e9 for one in passes), default=0.0),
        mapping_seconds=_seconds(tally.took.total for call, tally in calls.items() if call in MAPPING),
        calls=_calls(calls),
        objects=_classes(classes, told),
        frames=_frames(frames if presented else by_submit, presented, told),
        timeline=together([one.over_time for one in passes]),
        memory_types=tuple(_used_type(one, told) for one in kinds.values()),
        page_faults=_faults(head, passes) if told else None,
        most_objects=sum(one[0] for one in most),
        most_small_objects=sum(one.most_small for one in passes),
        most_allocated_bytes=sum(one[1] for one in most),
        most_mapped_bytes=sum(one[2] for one in most),
        most_low_bytes=sum(one[3] for one in most),
        floor_ns=FLOOR_NS,
    )


def _known(kind: Kind, numbers: Sequence[int]) -> Kind:
    """With the device's place among all, in place of that in its process."""
    return kind if kind.device is None else kind._replace(device=numbers[kind.device])


def _add(one: OfKind, other: OfKind) -> None:
    one.objects += other.objects
    one.bytes += other.bytes
    one.most += other.most
    one.maps += other.maps
    one.faults += other.faults


def _seconds(ns: Iterable[int]) -> float:
    return sum(ns) / 1e9


def _latency(took: Spread) -> Latency:
    return stats.latency(took.histogram(), FLOOR_NS)


def _calls(calls: dict[Called, CallTally]) -> tuple[RecordedCall, ...]:
    """What takes the longest first, those that are not mapping's last."""
    made = [
        RecordedCall(
            NAMES[call],
            one.count,
            one.took.total / 1e9,
            _latency(one.took),
            sum(one.errors.values()),
            one.unreturned,
            {
                rules.result_name(result): count
                for result, count in sorted(one.errors.items(), key=lambda each: -each[1])
            },
        )
        for call, one in calls.items()
    ]
    return tuple(sorted(made, key=lambda one: (one.call not in MAPPING_CALLS, -one.seconds, one.call)))


def _classes(classes: dict[ClassKey, ObjectTally], told: bool) -> tuple[ObjectClass, ...]:
    made = []
    for key, one in classes.items():
        ends = one.lifetimes.histogram()
        made.append(
            ObjectClass(
                *key.kind,
                key.least_bytes,
                key.life,
                one.objects,
                one.bytes,
                one.freed,
                one.freed_mapped,
                one.maps,
                one.maps_again,
                one.ns / 1e9,
                one.again_ns / 1e9,
                one.flushes,
                one.invalidates,
                one.flush_ns / 1e9,
                stats.percentile(ends, 0.5),
                ends.max_ns if ends.count else None,
                one.faults if told else None,
                one.again_faults if told else None,
                one.shared,
                one.read_back,
            )
        )
    made.sort(key=lambda one: (-one.seconds - one.flush_seconds, -one.bytes))
    return tuple(made[:MOST_CLASSES])


def _frames(tally: FrameTally, presented: bool, told: bool) -> Frames | None:
    count = tally.lengths.count
    if not count:
        return None
    calls = tally.calls.histogram()
    return Frames(
        "present" if presented else "submit",
        count,
        _latency(tally.lengths),
        _latency(tally.mapping),
        tally.done.calls / count,
        stats.percentile(calls, 0.5),
        stats.percentile(calls, 0.99),
        calls.max_ns,
        tally.done.maps / count,
        tally.done.allocations / count,
        tally.done.flushes / count,
        tally.done.faults / count if told else None,
    )


def _used_type(one: OfKind, told: bool) -> UsedType:
    return UsedType(*one.kind, one.objects, one.bytes, one.most, one.maps, one.faults if told else None)


def _faults(head: RecordingHead, passes: Sequence[ProcessPass]) -> RecordedFaults:
    inside, mappings = sum(one.faults_in_mappings for one in passes), sum(one.mappings_touched for one in passes)
    between = Spread()
    for one in passes:
        between.merge(one.page_ns)
    return RecordedFaults(
        inside,
        sum(one.faults for one in passes),
        mappings,
        inside / mappings if mappings else None,
        sum(process.lost_faults for process in head.processes),
        head.program.page_faults,
        stats.percentile(between.histogram(), 0.5) if between.count >= LEAST_PAGES else None,
    )


def _warnings(head: RecordingHead, passes: Sequence[ProcessPass]) -> Iterable[Note]:
    dropped, lost = (sum(getattr(one, name) for one in head.processes) for name in ("dropped", "lost_faults"))
    unknown, unfollowed = sum(one.unknown for one in passes), sum(one.unfollowed for one in passes)
    if dropped:
        yield Note(
            "dropped-events", f"{dropped} events were lost: every count is at least so high, and lives are guessed"
        )
    if lost:
        yield Note("lost-page-faults", f"{lost} page faults were lost: their counts are at least so high")
    if unknown:
        yield Note("unknown-objects", f"{unknown} calls were on memory objects whose allocation was not recorded")
    if unfollowed:
        yield Note("unfollowed-objects", f"{unfollowed} objects too many at one time to be followed: calls alone count")
