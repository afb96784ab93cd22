"""Workload files: TOML read, checked as a whole, and resolved into the flags of each part.

A value is what the flag of the same name takes; a list sweeps, and lists multiply. What is wrong is named by file,
job and key before anything runs.
"""

import itertools
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from vkmapctl import units
from vkmapctl.errors import UsageProblem
from vkmapctl.model.script import AnyStep
from vkmapctl.model.trace import Trace
from vkmapctl.model.workload import Workload
from vkmapctl.plans import judging, script, trace_file
from vkmapctl.plans.options import FLAGS, KEYS, OPTIONS, Option, nearest
from vkmapctl.saved.reading import read_bytes
from vkmapctl.text import LONGEST_NAME, clean

LARGEST_BYTES = 16 << 20
MOST_ROWS = 10_000  # of a whole file, before apis and memory types multiply them
QUESTION = "what the workload answers, shown in reports"
TRACE_KINDS = "#/$defs/trace."  # steps of scripts have the same names
Asked = Mapping[str, Sequence[Any]]  # values by the option's name; one, unless they sweep


def schema() -> bytes:
    """The JSON schema of workload files, indented."""
    steps = msgspec.json.schema(tuple[AnyStep, ...])
    kinds = steps.pop("$defs")
    job = {option.name: _schema_of(option) for option in OPTIONS}
    job["steps"] |= steps
    (trace,), kinds_of_traces = msgspec.json.schema_components([Trace], ref_template=TRACE_KINDS + "{name}")
    kinds |= {f"trace.{name}": kind for name, kind in kinds_of_traces.items()}
    kinds["trace.Latency"]["required"] = [
        key for key in kinds["trace.Latency"]["required"] if key not in trace_file.NULLABLE
    ]
    job["trace"] = {"description": KEYS["trace"].help, "anyOf": [{"type": "string"}, trace]}
    file = {
        "job": {"type": "array", "items": {"$ref": "#/$defs/JobTable"}, "minItems": 1},
        "question": {"description": QUESTION, "type": "string"},
        "defaults": {"$ref": "#/$defs/JobTable"},
    }
    found = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vkmapctl workload file",
        "$ref": "#/$defs/WorkloadFile",
        "$defs": {"WorkloadFile": _table(file, required=["job"]), "JobTable": _table(job), **kinds},
    }
    return msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"


def _table(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **more, "additionalProperties": False}


def _schema_of(option: Option) -> dict[str, Any]:
    one = option.kind.schema
    if option.flag:
        one = {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}
    default = {} if option.default is None else {"default": option.default}
    return {"description": option.help, **one, **default}


def read(text: str, *, name: str, flags: Asked | None = None, folder: Path | None = None) -> Workload:
    """The workload of a file's text. flags: what the command line asks for, which wins over the file. folder: where the
    files are that it names; None where it can name none.

    Raises UsageProblem that names file, job and key.
    """
    typed = flags or {}
    for option, other in _exclusive():
        if {option, other} <= set(typed):
            raise UsageProblem(f"{KEYS[other].typed} and {KEYS[option].typed} exclude each other", "give one of them")
    tables = _tables(text, name)
    defaults = _asked(tables.get("defaults", {}), f"{name}: [defaults]", folder)
    parts: list[Workload] = []
    rows = 0
    for i, job in enumerate(tables["job"]):
        label = job.get("name")
        where = f"{name}: job {i + 1}" + (f" ('{label}')" if isinstance(label, str) else "")
        asked = _merged(defaults, _asked(job, where, folder), typed, where)
        rows += math.prod(len(values) for key, values in asked.items() if key != "fail_if")
        if rows > MOST_ROWS:
            raise UsageProblem(f"{where}: the lists multiply to more than {MOST_ROWS} rows")
        parts += _parts(asked, where)
    title, question = clean(Path(name).stem, LONGEST_NAME), clean(tables.get("question", ""))
    if len(parts) == 1 and not parts[0].name:
        return msgspec.structs.replace(parts[0], name=title, question=question)
    return Workload(name=title, question=question, jobs=tuple(parts))


def _exclusive() -> list[tuple[str, str]]:
    return [(option.name, option.excludes) for option in OPTIONS if option.excludes]


def _tables(text: str, name: str) -> dict[str, Any]:
    """The file as tables: a list of jobs that is not empty, and what else it may have. Raises UsageProblem."""
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise UsageProblem(f"{name} is not TOML: nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageProblem(f"{name} is not TOML: {error}") from None
    except ValueError:
        raise UsageProblem(f"{name}: a number has thousands of digits") from None
    _check_keys(tables, ("job", "question", "defaults"), name)
    jobs = tables.get("job", [])
    if not isinstance(tables.get("defaults", {}), dict) or not (
        isinstance(jobs, list) and all(isinstance(one, dict) for one in jobs)
    ):
        raise UsageProblem(f"{name}: `defaults` is a table and `job` a list of tables", "write [defaults] and [[job]]")
    if not jobs:
        raise UsageProblem(f"{name} has no job", "write at least one [[job]] table")
    if not isinstance(tables.get("question", ""), str):
        raise UsageProblem(f"{name}: question must be text")
    return tables


def _check_keys(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise UsageProblem(f"{where}: unknown key '{key}'{nearest(key, known)}", f"known: {', '.join(known)}")


def _asked(table: dict[str, Any], where: str, folder: Path | None = None) -> dict[str, list[Any]]:
    """The values of a table's keys, each one read. Raises UsageProblem."""
    _check_keys(table, KEYS, where)
    found: dict[str, list[Any]] = {}
    for key, value in table.items():
        match key:
            case "steps":
                found[key] = [_steps(value, where)]
            case "trace":
                found[key] = [trace_file.read(value, f"{where}: trace", folder)]
            case _:
                found[key] = _values(KEYS[key], value, where)
    return found


def flags(options: Mapping[str, Any], where: str) -> dict[str, list[Any]]:
    """The values of options by their names, as `load` takes them. Raises UsageProblem.

    Each is what a workload file has for that key; a tuple serves as a list.
    """
    _check_keys(options, [option.name for option in FLAGS], where)
    given = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
    return {key: _values(KEYS[key], value, where) for key, value in given.items()}


def _values(option: Option, value: Any, where: str) -> list[Any]:
    listed = value if option.flag and isinstance(value, list) else [value]
    found: list[Any] = []
    try:
        for one in listed:
            found += option.kind.values(one)
            if len(found) > MOST_ROWS:
                raise ValueError(f"more than {MOST_ROWS} values")
    except (ValueError, OverflowError) as error:
        raise UsageProblem(f"{where}: {option.name}: {error}") from None
    if not found:
        raise UsageProblem(f"{where}: {option.name}: an empty list leaves nothing to run")
    return found


def _merged(defaults: Asked, job: Asked, flags: Asked, where: str) -> Asked:
    """The job's values over the defaults, the command line's over both; without what means nothing."""
    merged = {**defaults, **job}
    for option, other in _exclusive():
        for over, under in ((option, other), (other, option)):
            if over in flags:
                merged.pop(under, None)
        if option in merged and other in merged:
            raise UsageProblem(f"{where}: {other} and {option} exclude each other", "give one of them")
    merged |= flags
    if "trace" in merged:
        return _of_trace(merged, {**job, **flags}, where)
    if "pace" in job or "pace" in flags:
        raise UsageProblem(f"{where}: pace needs a trace", "vkmapctl record makes one")
    merged.pop("pace", None)
    return _of_steps(merged, job, where)


def _of_steps(merged: dict[str, Any], job: Asked, where: str) -> Asked:
    """What is asked of a job that may be a script."""
    if "steps" not in merged:
        for key in ("objects", "draws"):
            if key in merged:
                raise UsageProblem(f"{where}: {key} needs steps")
        return merged
    means_nothing = {option.name for option in OPTIONS if not option.with_steps}
    allowed = {"placed"} if "fill" in merged else set()  # the addresses that are used up
    for key in sorted(means_nothing - allowed):
        if key in job:
            raise UsageProblem(f"{where}: {key} means nothing beside steps", "each step says what it works on")
    return {key: values for key, values in merged.items() if key not in means_nothing or key in job}


def _of_trace(merged: Asked, asked: Asked, where: str) -> Asked:
    """What is asked of a job that replays a trace. asked: by itself, and not as a default."""
    known = [option.name for option in OPTIONS if option.with_trace]
    for key in asked:
        if key not in known:
            raise UsageProblem(f"{where}: {key} means nothing beside a trace", f"known beside it: {', '.join(known)}")
    return {key: values for key, values in merged.items() if key in known}


def _parts(asked: Asked, where: str) -> list[Workload]:
    """One Workload for each combination of what sweeps; sizes and offsets sweep inside of it."""
    if asked.get("fill", [False])[0] and not set(asked.get("placed", [None])) <= {"low4g", "low2g"}:
        raise UsageProblem(f"{where}: fill needs placed = 'low4g' or 'low2g': no other place can be used up")
    fixed: dict[str, Any] = {"name": ""}
    swept: dict[str, Sequence[Any]] = {}
    for option in OPTIONS:
        values = asked.get(option.name)
        if values is None:
            continue
        if option.name == "fail_if":
            continue
        if option.repeatable:
            fixed[option.field] = tuple(values)
        elif option.flag:
            swept[option.field] = values
        else:
            fixed[option.field] = values[0]
    parts = [
        Workload(**fixed, **dict(zip(swept, values, strict=True))) for values in itertools.product(*swept.values())
    ]
    for part in parts:
        if part.steps:
            _walk(part, where)
    return _judged(parts, asked.get("fail_if", ()), where)


def _judged(parts: list[Workload], conditions: Sequence[Any], where: str) -> list[Workload]:
    """The parts of a job, each with those of its conditions that can judge it. Raises UsageProblem where none can."""
    judging.refuse(conditions, parts, where)
    return [
        msgspec.structs.replace(
            part, fail_if=tuple(one.text for one in conditions if judging.can_judge(one.metric, part))
        )
        for part in parts
    ]


_OPS: dict[str, type] = {kind.__struct_config__.tag: kind for kind in AnyStep.__args__}


def _steps(value: Any, where: str) -> tuple[AnyStep, ...]:
    """The steps with sizes in bytes and sound addresses. Raises UsageProblem that names the step."""
    for path, table, kind in _step_tables(value, where):
        _check_keys(table, ("op", *(field.encode_name for field in msgspec.structs.fields(kind))), f"{where}: {path}")
    try:
        steps = script.resolved(msgspec.convert(value, tuple[AnyStep, ...]))
        for one in script.ranges_of(steps).values():
            units.parse_place(one.wanted)
            if one.size > 1 << 47:
                raise ValueError("a range is larger than the address space")
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise UsageProblem(f"{where}: steps{path.rstrip('`')}: {message}") from None
    except script.Impossible as error:
        raise UsageProblem(f"{where}: {error}") from None
    except (ValueError, OverflowError) as error:
        raise UsageProblem(f"{where}: steps: {error}") from None
    if not steps:
        raise UsageProblem(f"{where}: steps: an empty list leaves nothing to run")
    return steps


def _step_tables(steps: Any, where: str, path: str = "steps") -> Iterable[tuple[str, dict[str, Any], type]]:
    """Each step's table, its place and its class, as far as they can be told."""
    for i, step in enumerate(steps if isinstance(steps, list) else ()):
        place = f"{path}[{i}]"
        if not isinstance(step, dict):
            continue
        op = str(step.get("op"))
        if op not in _OPS:
            raise UsageProblem(f"{where}: {place}: unknown op '{op}'{nearest(op, _OPS)}", f"known: {', '.join(_OPS)}")
        yield place, step, _OPS[op]
        yield from _step_tables(step.get("steps"), where, f"{place}.steps")


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


def load(wanted: str, flags: Asked | None = None) -> Workload:
    """The preset of that name, or the file. Raises UsageProblem."""
    return read(text_of(wanted), name=_label(wanted), flags=flags, folder=Path(wanted).parent)


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
            f"no workload '{wanted}': neither a preset nor a file{nearest(wanted, known)}",
            f"presets: {', '.join(known)}",
        ) from None
    except UnicodeDecodeError:
        raise UsageProblem(f"{wanted} is not a text file") from None
    except (OSError, ValueError) as error:
        raise UsageProblem(f"cannot read {wanted}: {getattr(error, 'strerror', None) or error}") from None


def question_of(text: str) -> str:
    """The question that a workload's TOML says it answers."""
    return clean(str(tomllib.loads(text).get("question", "")))
