"""What a recording says: sentences first, then calls, frames, objects, memory types, and what there was over time."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from vkmapctl.figures.recorded_words import number, spent
from vkmapctl.model.measured import Latency
from vkmapctl.model.recorded import LIVES, MAPPING_CALLS, Moment, ObjectClass, RecordReport, UsedType
from vkmapctl.reports import page as pages
from vkmapctl.reports.charts import round_steps
from vkmapctl.reports.columns import FLOOR_MARK, FLOOR_WORDS
from vkmapctl.reports.columns import percentiles as all_percentiles
from vkmapctl.reports.common import flags_text, notes_view, status_text
from vkmapctl.reports.elements import Block, Column, Element, Fitted, Table, Text
from vkmapctl.reports.fitting import fitted
from vkmapctl.units import NONE, count, duration, size

PERCENTILES = ("p50", "p90", "p99", "p99.9", "max")
MOST_CLASSES = 12  # of objects that are shown; JSON and the pages have all
SPARE = (  # columns that are left out first where there is no room for all
    "shared", "mean", "p99.9", "flushing", "p90", "p50 of life", "faults a map", "bytes",
)  # fmt: skip
_OF_OBJECTS = (
    "memory", "size", "life", "objects", "bytes", "maps", "time", "flushing", "p50 of life", "faults a map", "shared",
)  # fmt: skip
NARROWEST, WIDEST = 20, 100  # columns of a line over time
_BARS = " ▁▂▃▄▅▆▇█"


class Curve(NamedTuple):
    """One thing over time: its name, its value at a moment, and how that is shown."""

    name: str
    value: Callable[[Moment], int]
    show: Callable[[int], str]


CURVES = (
    Curve("live objects", lambda one: one.objects, number),
    Curve("allocated", lambda one: one.allocated_bytes, size),
    Curve("mapped", lambda one: one.mapped_bytes, size),
    Curve("mapped below 4 GiB", lambda one: one.low_bytes, size),
)


def recording_view(report: RecordReport) -> Iterable[Element]:
    """As it is shown when a recording ends, and again by `record show`."""
    for line in heads(report):
        yield Text(line, style="bold" if line == program_text(report) else "")
    yield Text("")
    yield Text(report.answer, style="bold")
    for number_, one in enumerate(report.findings, 1):
        yield Text(f"\n{number_}. {one.text}.")
        if one.saves:
            yield Block(Text.of(("mend: ", "dim"), one.saves), indent=3)
    for title, made, note in tables(report, MOST_CLASSES):
        yield Text(f"\n{title}", style="bold")
        yield fitted(made, SPARE)
        if note:
            yield Block(Text(note, style="dim"))
    shown = curves(report)
    if shown:
        yield Text(f"\nOver time, {spent(_length(report))}", style="bold")
        yield Fitted(lambda width: _lines(report, shown, width), len(shown))
    yield from notes_view(report.warnings)
    yield Text.of("\n", status_text(report.outcome), f" (exit code {report.exit_code})")


def program_text(report: RecordReport) -> str:
    """Which program, how it ended and how long it ran."""
    one = report.program
    if one.signal:
        ended = f"ended by {one.signal}"
    else:
        ended = "still running when the recording ended" if one.exit_code is None else f"exit code {one.exit_code}"
    used = f", {spent(one.cpu_seconds)} of CPU time" if one.cpu_seconds else ""
    return f"{one.name}: {ended}, {spent(report.seconds)}{used}"


def heads(report: RecordReport) -> list[str]:
    """The program, its processes with Vulkan, and their devices."""
    lines = [program_text(report)]
    for device in report.devices:
        lines.append(f"  {device.name}, driver {device.driver_version}, Vulkan {device.api_version}")
    if len(report.processes) != 1:
        names = ", ".join(f"{one.name} ({one.pid})" for one in report.processes[:5])
        more = f" and {len(report.processes) - 5} more" if len(report.processes) > 5 else ""
        lines.append(f"  {len(report.processes)} processes with Vulkan{': ' * bool(names)}{names}{more}")
    return lines


def tables(report: RecordReport, most: int | None = None) -> Iterable[tuple[str, Table, str]]:
    """Calls, frames, objects and memory types: title, table, and what its marks mean. most: so many object classes."""
    if report.calls:
        yield "Calls", _calls(report), _floor_note(report)
    if report.frames:
        yield f"Per {_frame_word(report)}", _frames(report), ""
    if report.objects:
        several = len(report.devices) > 1
        rest = len(report.objects) - most if most else 0
        title = f"Objects ({rest} classes more, which --json has)" if rest > 0 else "Objects"
        yield title, _objects(report.objects[:most], several), _lives_note(report.objects[:most])
        yield "Memory types", _types(report.memory_types, several), _flags_note(report)


def _floor_note(report: RecordReport) -> str:
    if not any(one.latency.at_floor for one in report.calls):
        return ""
    return f"{FLOOR_MARK} not clear of the floor ({duration(report.floor_ns)}): {FLOOR_WORDS}"


def _lives_note(shown: Sequence[ObjectClass]) -> str:
    lives = dict.fromkeys(one.life for one in shown)
    return "; ".join(f"{life.replace('-', ' ')}: {LIVES[life]}" for life in lives)


def _flags_note(report: RecordReport) -> str:
    return flags_text(flag for one in report.memory_types for flag in one.memory_flags)


def legend(report: RecordReport) -> str:
    """What marks and flags mean, in one line."""
    notes = _floor_note(report), _lives_note(report.objects), _flags_note(report)
    return "; ".join(note for note in notes if note)


def _calls(report: RecordReport) -> Table:
    titles = ("call", "calls", "failed", "in all", "mean", *PERCENTILES)
    failed = any(one.failed or one.unreturned for one in report.calls)
    made = Table(
        Column(title, right=i > 0, folds=title == "failed")
        for i, title in enumerate(title for title in titles if failed or title != "failed")
    )
    for one in report.calls:
        troubles = [number(one.failed)] if one.failed else []
        troubles += [f"{one.unreturned} not returned"] if one.unreturned else []
        mean = NONE if one.latency.mean_ns is None else duration(one.latency.mean_ns)
        cells = [one.call, number(one.count), *([" + ".join(troubles) or "0"] if failed else []), spent(one.seconds)]
        made.add(*cells, mean, *_percentiles(one.latency), style="" if one.call in MAPPING_CALLS else "dim")
    return made


def _percentiles(latency: Latency) -> list[str]:
    return all_percentiles(latency)[2:]


def _frame_word(report: RecordReport) -> str:
    return "frame" if report.frames and report.frames.marked_by == "present" else "submission"


def _frames(report: RecordReport) -> Table:
    one = report.frames
    assert one
    made = _numbers(f"{number(one.count)} {_frame_word(report)}s", "mean", *PERCENTILES)
    for name, latency in (("length", one.frame), ("in these calls", one.mapping)):
        mean = NONE if latency.mean_ns is None else duration(latency.mean_ns)
        made.add(name, mean, *(cell.removeprefix(FLOOR_MARK) for cell in _percentiles(latency)))
    percentiles = [NONE if value is None else count(value) for value in (one.calls_p50, None, one.calls_p99, None)]
    made.add("calls", f"{one.calls_mean:.2f}", *percentiles, number(one.calls_max))
    means = {"allocations": one.allocations_mean, "maps": one.maps_mean, "flushes": one.flushes_mean}
    if one.page_faults_mean is not None:
        means["page faults"] = one.page_faults_mean
    for name, mean_count in means.items():
        made.add(name, f"{mean_count:.2f}", *[NONE] * len(PERCENTILES))
    return made


def _objects(classes: Sequence[ObjectClass], several: bool) -> Table:
    made = Table(Column(title, right=i > 2, folds=i == 2) for i, title in enumerate(_OF_OBJECTS))
    for one in classes:
        faults = NONE if one.page_faults is None or not one.maps else count(one.page_faults / one.maps)
        made.add(
            kind_text(one, several),
            f"{size(one.least_bytes)}+" if one.least_bytes else "0 B",
            one.life.replace("-", " "),
            number(one.objects),
            size(one.bytes),
            number(one.maps),
            spent(one.seconds),
            spent(one.flush_seconds) if one.flushes + one.invalidates else NONE,
            NONE if one.lifetime_p50_ns is None else duration(one.lifetime_p50_ns),
            faults,
            number(one.shared),
        )
    return made


def _types(types: Sequence[UsedType], several: bool) -> Table:
    made = _numbers("memory type", "objects", "bytes", "most at one time", "maps", "page faults")
    for one in types:
        faults = NONE if one.page_faults is None else number(one.page_faults)
        made.add(
            kind_text(one, several),
            number(one.objects),
            size(one.bytes),
            size(one.most_bytes),
            number(one.maps),
            faults,
        )
    return made


def kind_text(one: ObjectClass | UsedType, several: bool) -> str:
    """`#1 De Vi Co`, of several devices with the number of its own."""
    if one.memory_type is None:
        return "unknown"
    device = f" [device {one.device}]" if several else ""
    return " ".join((f"#{one.memory_type}", *one.memory_flags)) + device


def _numbers(*titles: str) -> Table:
    return Table(Column(title, right=i > 0, folds=i == 0) for i, title in enumerate(titles))


def ticks(curve: Curve, high: float) -> list[float]:
    """Round numbers from 0 to high: of sizes, powers of two."""
    if curve is CURVES[0]:
        return [tick for tick in round_steps(high) if tick == int(tick)]
    step = 1 << max(int(high / 4).bit_length() - 1, 0)
    step *= 2 if high / step > 6 else 1
    return [float(step * k) for k in range(int(high / step) + 1)]


def curves(report: RecordReport) -> list[Curve]:
    """Those that are not nothing all the time."""
    return [one for one in CURVES if any(one.value(moment) for moment in report.timeline)]


def _length(report: RecordReport) -> float:
    """Seconds that the timeline shows."""
    moments = report.timeline
    step = moments[1].seconds - moments[0].seconds if len(moments) > 1 else 0.0
    return moments[-1].seconds + step if moments else 0.0


def _lines(report: RecordReport, shown: Sequence[Curve], width: int) -> Iterable[Text]:
    names = max(len(one.name) for one in shown)
    ends = {one: f"at most {one.show(max(map(one.value, report.timeline)))}" for one in shown}
    room = max(min(width - names - max(map(len, ends.values())) - 6, WIDEST), NARROWEST)
    for one in shown:
        yield Text(f"  {one.name:{names}}  {bars([one.value(each) for each in report.timeline], room)}  {ends[one]}")


def bars(values: Sequence[int], room: int) -> str:
    """Values as bars of one character, the highest of those that share one; no wider than `room`."""
    columns = min(room, len(values))
    highest = max(values, default=0) or 1
    parts = [values[i * len(values) // columns : (i + 1) * len(values) // columns] for i in range(columns)]
    return "".join(_BARS[-(-max(part) * (len(_BARS) - 1) // highest)] for part in parts)


def recording_page(report: RecordReport) -> pages.Page:
    """The same for Markdown and HTML."""
    entries = [
        pages.Entry(one.code, f"{one.text}.", [("mend", one.saves)] if one.saves else []) for one in report.findings
    ]
    sheets = [pages.sheet_of(title, made) for title, made, _ in tables(report)]
    return pages.Page(
        title=f"vkmapctl record: {report.program.name}",
        headlines=[pages.Headline(report.answer, True)],
        parts=[
            pages.Part(
                heads(report)[0],
                [line.strip() for line in heads(report)[1:]],
                [pages.Section("What was found", entries)],
                sheets,
            )
        ],
        notes=report.warnings,
        outcome=report.outcome,
        exit_code=report.exit_code,
        facts=pages.facts(report),
        legend=legend(report),
    )
