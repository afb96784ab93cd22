"""Workload files: TOML read, checked as a whole, and resolved into the flags of each part.

A value is what the flag of the same name takes; a list sweeps, and lists multiply. What is wrong is named by file,
job and key before anything runs.
"""

import difflib
import itertools
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from vkmapctl import units
from vkmapctl.errors import UsageProblem
from vkmapctl.model.script import AnyStep
from vkmapctl.model.workload import Workload
from vkmapctl.plans import gates, script
from vkmapctl.plans.choices import APIS, TOUCHES, UNMAP_ORDERS
from vkmapctl.saved.reading import read_bytes

LARGEST_BYTES = 16 << 20
MOST_PARTS = 1000
MOST_OBJECTS = 100_000
NOT_BESIDE_STEPS = {"offset", "map_size", "placed", "reserve", "touch", "live", "unmap_order"}


class JobTable(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The keys of `[defaults]` and of each `[[job]]`."""

    name: Annotated[str, Meta(description="shown beside each row of the job")] | UnsetType = UNSET
    size: (
        Annotated[
            int | str | list[int | str],
            Meta(description="allocation size: bytes, 64K, a range 4K..1G*4, or 4K..fit*4 up to what fits"),
        ]
        | UnsetType
    ) = UNSET
    offset: Annotated[int | str | list[int | str], Meta(description="map offset, or random")] | UnsetType = UNSET
    map_size: Annotated[int | str | list[int | str], Meta(description="bytes to map, or whole")] | UnsetType = UNSET
    api: (
        Annotated[str | list[str], Meta(description="which functions; all takes turns and gives ratios")] | UnsetType
    ) = UNSET
    memory_type: (
        Annotated[
            int | str | list[int | str],
            Meta(description="index, flags such as De,Vi,Co, all, or malloc for a reference"),
        ]
        | UnsetType
    ) = UNSET
    placed: (
        Annotated[bool | str | list[bool | str], Meta(description="any (or true), low4g, low2g, an address, or false")]
        | UnsetType
    ) = UNSET
    reserve: Annotated[bool | list[bool], Meta(description="unmap with the reserve flag")] | UnsetType = UNSET
    touch: Annotated[str | list[str], Meta(description="what is done to the mapped bytes")] | UnsetType = UNSET
    threads: (
        Annotated[
            int | str | list[int | str],
            Meta(description="threads, each with its own objects; ranges such as 1..cpus*2 too"),
        ]
        | UnsetType
    ) = UNSET
    live: (
        Annotated[
            int | str | list[int | str],
            Meta(description="objects mapped at once by each thread; ranges such as 1..1000*10 too"),
        ]
        | UnsetType
    ) = UNSET
    unmap_order: (
        Annotated[str | list[str], Meta(description="in which order live objects are unmapped")] | UnsetType
    ) = UNSET
    rate: (
        Annotated[float | list[float], Meta(description="cycles per second of each thread, 0 for as fast as they go")]
        | UnsetType
    ) = UNSET
    duration: (
        Annotated[str | list[str], Meta(description="time for each row, such as 250ms or 5s; not beside iterations")]
        | UnsetType
    ) = UNSET
    iterations: (
        Annotated[int | list[int], Meta(description="cycles for each pass, instead of a duration")] | UnsetType
    ) = UNSET
    warmup: Annotated[str | list[str], Meta(description="time before each row that is not counted")] | UnsetType = UNSET
    seed: Annotated[int | list[int], Meta(description="of random offsets, orders, draws and patterns")] | UnsetType = (
        UNSET
    )
    fail_if: Annotated[list[str], Meta(description="conditions such as map.p99>50us")] | UnsetType = UNSET
    period: Annotated[str, Meta(description="a line, and a look for leaks, so often")] | UnsetType = UNSET
    fill: Annotated[bool, Meta(description="take every other address that `placed` may use")] | UnsetType = UNSET
    objects: (
        Annotated[int | list[int | str], Meta(description="of a script: how many of `size`, or their sizes")]
        | UnsetType
    ) = UNSET
    draws: Annotated[int, Meta(ge=1, le=100_000, description="draw so many steps by weight")] | UnsetType = UNSET
    steps: (
        Annotated[tuple[AnyStep, ...], Meta(description="of a script: calls run again and again, see below")]
        | UnsetType
    ) = UNSET


class WorkloadFile(msgspec.Struct, forbid_unknown_fields=True):
    """A workload file: what question it answers, the values that its jobs share, and its jobs."""

    job: Annotated[list[JobTable], Meta(min_length=1)]
    question: Annotated[str, Meta(description="what the workload answers, shown in reports")] = ""
    defaults: JobTable = msgspec.field(default_factory=JobTable)


class Key(NamedTuple):
    """How one key becomes one flag: the flag's name in Workload, what reads a single value, what expands a range."""

    field: str
    read: Callable[[Any], Any]
    spread: Callable[[Any], list[Any]] = lambda value: [value]


def _word(known: tuple[str, ...]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in known:
            raise ValueError(f"'{value}' is unknown{_nearest(str(value), known)}; known: {', '.join(known)}")
        return str(value)

    return read


def _number(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{value!r} is not a whole number from {low} to {high}")
        return value

    return read


def _size(value: Any) -> int:
    return units.parse_mappable(str(value))


def _spread_numbers(value: Any) -> list[Any]:
    """`1..cpus` doubles; `cpus` is what this process may use."""
    if not isinstance(value, str):
        return [value]
    cpus = len(os.sched_getaffinity(0))
    if value == "cpus":
        return [cpus]
    try:
        low, high, factor = units.parse_range(value)
        first, last = int(low), cpus if high == "cpus" else int(high)
    except ValueError:
        raise ValueError(f"'{value}' is not a number, or a range such as 1..8 or 1..cpus*2") from None
    return units.steps_between(max(first, 1), last, factor)


def _seconds(value: Any) -> float:
    return units.parse_duration(value) if isinstance(value, str) else float(value)


def _duration(value: Any) -> float:
    seconds = _seconds(value)
    if seconds <= 0:
        raise ValueError("a duration must be longer than 0")
    return seconds


def _placed(value: Any) -> str | None:
    if isinstance(value, bool):
        return "any" if value else None
    units.parse_place(value)
    return str(value)


def _rate(value: Any) -> float | None:
    if not 0 <= value <= 1e9:
        raise ValueError(f"{value:g} is not a rate from 0 to 1e9 cycles per second")
    return float(value) or None


KEYS = {
    "map_size": Key("map_size", lambda value: None if value in ("whole", None) else _size(value)),
    "api": Key("api", _word(APIS)),
    "memory_type": Key("memory_type", str),
    "placed": Key("placed", _placed),
    "reserve": Key("reserve", bool),
    "touch": Key("touch", _word(TOUCHES)),
    "threads": Key("threads", _number(1, 1024), _spread_numbers),
    "live": Key("live", _number(1, 1_000_000), _spread_numbers),
    "unmap_order": Key("unmap_order", _word(UNMAP_ORDERS)),
    "rate": Key("rate", _rate),
    "duration": Key("seconds", _duration),
    "iterations": Key("iterations", _number(1, (1 << 63) - 1)),
    "warmup": Key("warmup_seconds", _seconds),
    "seed": Key("seed", _number(0, (1 << 63) - 1)),
}
SIZE = Key("sizes", lambda size: size, lambda value: units.parse_sizes(str(value)))
OFFSET = Key("offsets", lambda value: value if value == "random" else units.parse_size(str(value)))


def schema() -> bytes:
    """The JSON schema of workload files, indented."""
    found = msgspec.json.schema(WorkloadFile)
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "vkmapctl workload file", **found}
    return msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"


def read(text: str, *, name: str, flags: Mapping[str, Any] | None = None) -> Workload:
    """The workload of a file's text. flags: keys of JobTable that win over the file, as the command line gives them.

    Raises UsageProblem that names file, job and key.
    """
    if flags and {"duration", "iterations"} <= set(flags):
        raise UsageProblem("--duration and --iterations exclude each other", "give one of them")
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise UsageProblem(f"{name} is not TOML: nested too deeply") from None
    except (tomllib.TOMLDecodeError, ValueError) as error:  # ValueError: a number of thousands of digits
        raise UsageProblem(f"{name} is not TOML: {error}") from None
    _check_keys(tables, WorkloadFile, name)
    defaults = tables.get("defaults", {})
    jobs = tables.get("job", [])
    if not isinstance(defaults, dict) or not isinstance(jobs, list) or not all(isinstance(one, dict) for one in jobs):
        raise UsageProblem(f"{name}: `defaults` is a table and `job` a list of tables", "write [defaults] and [[job]]")
    if not jobs:
        raise UsageProblem(f"{name} has no job", "write at least one [[job]] table")
    question = tables.get("question", "")
    if not isinstance(question, str):
        raise UsageProblem(f"{name}: question must be text")
    _convert(defaults, f"{name}: [defaults]")
    parts: list[Workload] = []
    for i, job in enumerate(jobs):
        label = job.get("name")
        where = f"{name}: job {i + 1}" + (f" ('{label}')" if isinstance(label, str) else "")
        _convert(job, where)
        _check_together(job, where)
        parts += _parts(_merged(defaults, job, flags or {}), where)
        if len(parts) > MOST_PARTS:
            raise UsageProblem(f"{where}: the lists make more than {MOST_PARTS} parts")
    title = Path(name).stem
    if len(parts) == 1 and not parts[0].name:
        return msgspec.structs.replace(parts[0], name=title, question=question)
    return Workload(name=title, question=question, jobs=tuple(parts))


def _convert(table: dict[str, Any], where: str) -> JobTable:
    """The table as it is typed. Raises UsageProblem."""
    _check_keys(table, JobTable, where)
    for path, step, kind in _step_tables(table.get("steps", ()), where):
        _check_keys(step, kind, f"{where}: {path}")
    try:
        return msgspec.convert(table, JobTable)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        key = path.rstrip("`").lstrip(".")
        raise UsageProblem(f"{where}: {key + ': ' if key else ''}{message}") from None


_OPS: dict[str, type] = {kind.__struct_config__.tag: kind for kind in AnyStep.__args__}


def _step_tables(steps: Any, where: str, path: str = "steps") -> Iterable[tuple[str, dict[str, Any], type]]:
    """Each step's table, its place and its class, as far as they can be told."""
    for i, step in enumerate(steps if isinstance(steps, list) else ()):
        place = f"{path}[{i}]"
        if not isinstance(step, dict):
            continue
        op = step.get("op")
        if op not in _OPS:
            raise UsageProblem(
                f"{where}: {place}: unknown op '{op}'{_nearest(str(op), _OPS)}", f"known: {', '.join(_OPS)}"
            )
        yield place, step, _OPS[op]
        yield from _step_tables(step.get("steps"), where, f"{place}.steps")


def _check_keys(table: dict[str, Any], kind: type, where: str) -> None:
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    for key in table:
        if key not in known and not (key == "op" and kind in _OPS.values()):
            raise UsageProblem(f"{where}: unknown key '{key}'{_nearest(key, known)}", f"known: {', '.join(known)}")


def _nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    found = difflib.get_close_matches(word.lower().replace("-", "_"), list(known), 1, 0.5)
    return f"; did you mean '{found[0]}'?" if found else ""


def _parts(table: dict[str, Any], where: str) -> list[Workload]:
    """One Workload for each combination of what sweeps; sizes and offsets sweep inside of it."""
    fixed = _fixed(table, where)
    swept = {key: _values(table[key], how, key, where) for key, how in KEYS.items() if key in table}
    if "duration" in table and "iterations" in table:
        raise UsageProblem(f"{where}: duration and iterations exclude each other", "give one of them")
    for key, how in (("size", SIZE), ("offset", OFFSET)):
        if key in table:
            fixed[how.field] = tuple(_values(table[key], how, key, where))
    names = [KEYS[key].field for key in swept]
    parts = [
        Workload(**fixed, **dict(zip(names, values, strict=True))) for values in itertools.product(*swept.values())
    ]
    for part in parts:
        if part.steps:
            _walk(part, where)
    return parts


def _values(value: Any, how: Key, key: str, where: str) -> list[Any]:
    """A value or a list, ranges expanded, each one read. Raises UsageProblem."""
    listed = list(value) if isinstance(value, list | tuple) else [value]
    if not listed:
        raise UsageProblem(f"{where}: {key}: an empty list leaves nothing to run")
    try:
        return [how.read(one) for entry in listed for one in how.spread(entry)]
    except (ValueError, OverflowError) as error:
        raise UsageProblem(f"{where}: {key}: {error}") from None


def _fixed(table: dict[str, Any], where: str) -> dict[str, Any]:
    """What does not sweep."""
    found: dict[str, Any] = {"name": table.get("name", "")}
    key = ""
    try:
        for key, how in (("period", _duration), ("fill", bool), ("draws", int)):
            if key in table:
                found["period_seconds" if key == "period" else key] = how(table[key])
        key = "fail_if"
        for condition in table.get(key, ()):
            gates.parse_threshold(condition)
        found[key] = tuple(table.get(key, ()))
        key = "objects"
        objects = table.get(key, 0)
        found[key] = tuple(_size(one) for one in objects) if isinstance(objects, list) else int(objects)
        if key in table and not 0 < (len(objects) if isinstance(objects, list) else objects) <= MOST_OBJECTS:
            raise ValueError(f"a script has from 1 to {MOST_OBJECTS} objects")
        key = ""
        if table.get("steps"):
            found["steps"] = _steps(table)
    except script.Impossible as error:
        raise UsageProblem(f"{where}: {error}") from None
    except (ValueError, OverflowError) as error:
        raise UsageProblem(f"{where}: {key}: {error}") from None
    if found.get("fill") and table.get("placed") not in ("low4g", "low2g"):
        raise UsageProblem(f"{where}: fill needs placed = 'low4g' or 'low2g': no other place can be used up")
    return found


def _merged(defaults: Mapping[str, Any], job: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """The job's keys over the defaults, the command line's over both; for a script without what its steps say."""
    merged = {**defaults, **job, **flags}
    for over, under in (("iterations", "duration"), ("duration", "iterations")):
        if over in flags:
            merged.pop(under, None)
    if "steps" in job:
        merged = {key: value for key, value in merged.items() if key not in NOT_BESIDE_STEPS or key in job}
    return merged


def _check_together(table: dict[str, Any], where: str) -> None:
    """Keys that mean nothing beside each other are a mistake, not something to leave out silently."""
    scripted = "steps" in table
    for key in sorted(NOT_BESIDE_STEPS) if scripted else ():
        if key in table and not (key == "placed" and table.get("fill")):
            raise UsageProblem(f"{where}: {key} means nothing beside steps", "each step says what it works on")
    for key in ("objects", "draws") if not scripted else ():
        if key in table:
            raise UsageProblem(f"{where}: {key} needs steps")


def _steps(table: dict[str, Any]) -> tuple[AnyStep, ...]:
    """The steps with sizes in bytes and sound addresses."""
    steps = script.resolved(msgspec.convert(table["steps"], tuple[AnyStep, ...]))
    for one in script.ranges_of(steps).values():
        units.parse_place(one.wanted)
        if one.size > 1 << 47:
            raise ValueError("a range is larger than the address space")
    return steps


def _walk(part: Workload, where: str) -> None:
    """Lets the steps run once in thought, on objects of each size. Raises UsageProblem."""
    for size in part.sizes:
        each = size if isinstance(size, int) else units.parse_fit(size)[0]
        count = part.objects if isinstance(part.objects, int) else 0
        sizes = (each,) * (count or script.object_count(part.steps))
        if isinstance(part.objects, tuple):
            sizes = part.objects
        try:
            script.cycle_of(part.steps, sizes, {}, draws=part.draws, seed=part.seed)
        except script.Impossible as error:
            raise UsageProblem(f"{where}: {error}") from None


def load(wanted: str, flags: Mapping[str, Any] | None = None) -> Workload:
    """The preset of that name, or the file. Raises UsageProblem."""
    return read(text_of(wanted), name=_label(wanted), flags=flags)


def _label(wanted: str) -> str:
    return f"{wanted}.toml" if wanted in presets() else wanted


def presets() -> dict[str, Path]:
    """The files in the package, by name: `quick` first."""
    folder = Path(__file__).parents[1] / "presets"
    names = sorted(path.stem for path in folder.glob("*.toml"))
    return {name: folder / f"{name}.toml" for name in sorted(names, key=lambda name: name != "quick")}


def text_of(wanted: str) -> str:
    """The TOML of a preset or file. Raises UsageProblem where there is none."""
    known = presets()
    path = known.get(wanted, Path(wanted))
    try:
        return read_bytes(path, LARGEST_BYTES).decode()
    except FileNotFoundError:
        raise UsageProblem(
            f"no workload '{wanted}': neither a preset nor a file{_nearest(wanted, known)}",
            f"presets: {', '.join(known)}",
        ) from None
    except UnicodeDecodeError:
        raise UsageProblem(f"{wanted} is not a text file") from None
    except (OSError, ValueError) as error:
        raise UsageProblem(f"cannot read {wanted}: {getattr(error, 'strerror', None) or error}") from None


def question_of(text: str) -> str:
    """The question that a workload's TOML says it answers."""
    return str(tomllib.loads(text).get("question", ""))
