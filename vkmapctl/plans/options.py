"""What a workload can ask for, once: the flags of `stress`, the keys of workload files, their schema and their page.

Plain data, and functions that read one value. Knows neither the command line's library nor the files'.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from vkmapctl import units
from vkmapctl.text import LONGEST_NAME, clean

LONGEST_PAUSE_SECONDS = 10.0  # a thread that sleeps cannot be told to stop
MOST_OBJECTS = 100_000
SLOWEST_RATE, FASTEST_RATE = 0.001, 1e9
MOST_PRESSURE = 100  # per cent
_LARGEST = (1 << 63) - 1
WIDTHS = ("auto", "1", "2", "4", "8", "16", "32", "64", "memcpy", "stream")


class Kind(NamedTuple):
    """What a value looks like.

    values: reads a flag's text or a file's value, which may be a range; raises ValueError. schema: what JSON Schema
    says of one value in a file. limits: the bounds in words. choices: the only words there are. bare: what the flag
    means without a value, None where it needs one.
    """

    values: Callable[[Any], list[Any]]
    schema: dict[str, Any]
    metavar: str = ""
    limits: str = ""
    choices: tuple[str, ...] = ()
    bare: Any = None


class Option(NamedTuple):
    """One thing to ask for.

    name: the key in a file. default: as a file would say it. stored: the field of Workload, where it has another name.
    flag: `stress` has it too, and lists of it sweep. repeatable: the flag may stand several times, and one part takes
    all the values. with_steps, with_trace: means something for a script, for a trace. excludes: the option that cannot
    be asked for beside it.
    """

    name: str
    kind: Kind
    help: str
    default: Any = None
    stored: str = ""
    flag: bool = True
    repeatable: bool = False
    with_steps: bool = True
    excludes: str = ""
    with_trace: bool = False

    @property
    def field(self) -> str:
        """Of Workload."""
        return self.stored or self.name

    @property
    def typed(self) -> str:
        """The flag as it is typed."""
        return "--" + self.name.replace("_", "-")


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    import difflib

    found = difflib.get_close_matches(word.lower().replace("-", "_"), list(known), 1, 0.5)
    return f"; did you mean '{found[0]}'?" if found else ""


def _of_one(read: Callable[[Any], Any], schema: dict[str, Any], metavar: str = "", limits: str = "") -> Kind:
    return Kind(lambda value: [read(value)], schema, metavar, limits)


def _words(*known: str, bare: str | None = None) -> Kind:
    def values(value: Any) -> list[Any]:
        if value not in known:
            raise ValueError(f"'{value}' is unknown{nearest(str(value), known)}; known: {', '.join(known)}")
        return [value]

    return Kind(values, {"enum": list(known)}, choices=known, bare=bare)


def _whole(low: int, high: int, *, ranges: bool = False) -> Kind:
    """Whole numbers. ranges: also `1..8`, which doubles, `1..100*10`, and `cpus`: those that this process may use."""
    limits = f"from {low} to {high if high < _LARGEST else '2^63 - 1'}"
    wanted = f"a whole number {limits}" + (", or a range such as 1..8 or 1..cpus*2" if ranges else "")

    def number(value: Any) -> int:
        found = value
        if isinstance(value, str):
            try:
                found = len(os.sched_getaffinity(0)) if ranges and value == "cpus" else int(value)
            except ValueError:
                raise ValueError(f"'{value[:40]}' is not {wanted}") from None
        if type(found) is not int or not low <= found <= high:
            raise ValueError(f"{value!r} is not {wanted}")
        return found

    def values(value: Any) -> list[Any]:
        if not (ranges and isinstance(value, str) and ".." in value):
            return [number(value)]
        first, last, factor = units.parse_range(value)
        return [*units.steps_between(number(first), number(last), factor)]

    schema = {"type": ["integer", "string"] if ranges else "integer", "minimum": low, "maximum": high}
    return Kind(values, schema, "N", limits)


def _durations(*, zero: bool = False, most: float = units.LONGEST_SECONDS) -> Kind:
    limits = f"at most {most:g} s" if most < units.LONGEST_SECONDS else ""
    schema = {"anyOf": [{"type": "string"}, {"const": 0}]} if zero else {"type": "string"}
    return _of_one(lambda value: units.parse_duration(str(value), zero=zero, most=most), schema, "DURATION", limits)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value


def _name(value: Any) -> str:
    return clean(_text(value), LONGEST_NAME)


def _offset(value: Any) -> int | str:
    return "random" if value == "random" else units.parse_size(str(value))


def _map_size(value: Any) -> int | None:
    return None if value == "whole" else units.parse_mappable(str(value))


def _memory_type(value: Any) -> str:
    if type(value) not in (int, str) or not str(value).strip() or str(value).startswith("-"):
        raise ValueError(f"{value!r} is neither an index nor flags of a memory type, such as De,Vi,Co")
    return str(value)


def _place(value: Any) -> str | None:
    if isinstance(value, bool):
        return "any" if value else None
    units.parse_place(_text(value))
    return str(value)


def _pressure(value: Any) -> int:
    text = str(value).strip().removesuffix("%").strip()
    if isinstance(value, bool) or not text.isdecimal() or len(text) > 3 or int(text) > MOST_PRESSURE:
        raise ValueError(f"{value!r} is not a share from 0% to {MOST_PRESSURE}%")
    return int(text)


def _rate(value: Any) -> float | None:
    try:
        rate = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else -1.0
    except ValueError:
        rate = -1.0
    if rate != 0 and not SLOWEST_RATE <= rate <= FASTEST_RATE:
        raise ValueError(f"{value!r} is not a rate {_RATES}, or 0")
    return rate or None


def _condition(value: Any) -> Any:
    from vkmapctl.plans.gates import parse_threshold

    return parse_threshold(_text(value))


def _widths(value: Any) -> list[Any]:
    text = str(value)
    if ".." in text:
        low, high, factor = units.parse_range(text)
        if low.isdecimal() and high.isdecimal():
            return [one for step in units.steps_between(int(low), int(high), factor) for one in _widths(step)]
    if text not in WIDTHS or isinstance(value, bool | float):
        raise ValueError(f"'{text[:40]}' is no width; known: {', '.join(WIDTHS)}, and ranges of bytes such as 1..16")
    return [text]


def _objects(value: Any) -> int | tuple[int, ...]:
    count = len(value) if isinstance(value, list) else value
    if type(count) is not int or not 0 < count <= MOST_OBJECTS:
        raise ValueError(f"a script has from 1 to {MOST_OBJECTS} objects")
    return tuple(units.parse_mappable(str(one)) for one in value) if isinstance(value, list) else count


_BYTES: dict[str, Any] = {"type": ["integer", "string"], "minimum": 0, "maximum": _LARGEST}
_SOME_BYTES = _BYTES | {"minimum": 1}
_RATES = f"from {SLOWEST_RATE} to {FASTEST_RATE:.0f}"
_SIZES = Kind(lambda value: units.parse_sizes(str(value)), _SOME_BYTES, "SIZE")
_OFFSETS = _of_one(_offset, _BYTES, "OFFSET")
_MAP_SIZES = _of_one(_map_size, _SOME_BYTES, "SIZE")
_MEMORY_TYPES = _of_one(_memory_type, {"type": ["integer", "string"], "minimum": 0, "minLength": 1}, "INDEX|FLAGS|all")
_PLACES = _of_one(_place, {"type": ["boolean", "string"]}, "[any|low4g|low2g|ADDRESS]")._replace(bare="any")
_PRESSURE = _of_one(_pressure, {"type": ["integer", "string"], "minimum": 0, "maximum": MOST_PRESSURE}, "PERCENT")
_RATE = _of_one(_rate, {"type": "number", "minimum": 0, "maximum": FASTEST_RATE}, "N", _RATES)
_CONDITIONS = _of_one(_condition, {"type": "string"}, "CONDITION")
_SWITCH = _of_one(_boolean, {"type": "boolean"})._replace(bare=True)
_OBJECTS = _of_one(
    _objects,
    {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": MOST_OBJECTS},
            {"type": "array", "items": _SOME_BYTES, "minItems": 1, "maxItems": MOST_OBJECTS},
        ]
    },
)
_TRACE = _of_one(lambda value: value, {"type": ["string", "object"]})  # trace_file knows what is in it
_STEPS = _of_one(lambda value: value, {"type": "array"})  # workload_file knows the steps

APIS = _words("auto", "core", "khr", "v1", "all")
TOUCHES = _words("none", "first", "write", "read", "verify")
UNMAP_ORDERS = _words("same", "reverse", "random")
IMPORTS = _words("none", "host", bare="host")
ALLOCATIONS = _words("plain", "dedicated", "export", "device-address")
ACCESSES = _words("sequential", "strided", "random")
_WIDTH = Kind(_widths, {"type": ["integer", "string"], "minimum": 1, "maximum": 64}, "WIDTH", ", ".join(WIDTHS))
GPU_LOADS = _words("none", "copy", "copy-from", "fill")
GPU_PLACES = _words("others", "mapped")
PACES = _words("full", "recorded")

OPTIONS = (
    Option("name", _of_one(_name, {"type": "string"}), "shown beside each row of the job", flag=False, with_trace=True),
    Option(
        "size", _SIZES, "allocation size: bytes, 64K, a range such as 4K..1G*4, or 4K..fit*4 up to what fits",
        default="64M", stored="sizes", repeatable=True,
    ),
    Option(
        "offset", _OFFSETS, "where the map begins: bytes, 64K, or random",
        default=0, stored="offsets", repeatable=True, with_steps=False,
    ),
    Option("map_size", _MAP_SIZES, "bytes to map; whole passes VK_WHOLE_SIZE", default="whole", with_steps=False),
    Option("api", APIS, "which functions; all takes turns and gives ratios", default="auto", with_trace=True),
    Option(
        "memory_type", _MEMORY_TYPES,
        "index, flags such as De,Vi,Co, all for each host-visible one, or malloc as a reference", default="auto",
        with_trace=True,
    ),
    Option(
        "placed", _PLACES,
        "where to place each map: any (or true, or no value), below 4 or 2 GiB (low4g, low2g), or an address",
        with_steps=False,
    ),
    Option(
        "reserve", _SWITCH, "unmap with the reserve flag, and check that the range stays taken",
        default=False, with_steps=False,
    ),
    Option(
        "allocation", ALLOCATIONS,
        "kind of allocation: dedicated to a buffer, exportable as a file descriptor, or with a device address",
        default="plain",
    ),
    Option(
        "pressure", _PRESSURE,
        "fill the memory type's heap with other allocations to this share of its budget, such as 90%", default="0%",
    ),
    Option(
        "import", IMPORTS,
        "import each object from host memory (host, or no value) and free it, instead of map and unmap",
        default="none", stored="imported", with_steps=False,
    ),
    Option("touch", TOUCHES, "what is done to the mapped bytes", default="none", with_steps=False),
    Option(
        "width", _WIDTH,
        "bytes of each load of touch read and each store of touch write; memcpy copies from or to a small buffer, "
        "stream bypasses the caches, auto writes what verify can check, by the widest; ranges such as 1..16 too",
        default="auto",
    ),
    Option(
        "access", ACCESSES, "with a width: in order, one access in each 256 bytes, or in random places",
        default="sequential",
    ),
    Option(
        "threads", _whole(1, 1024, ranges=True),
        "threads, each with its own objects; ranges such as 1..cpus*2 too", default=1,
    ),
    Option(
        "live", _whole(1, 1_000_000, ranges=True),
        "objects mapped at once by each thread; ranges such as 1..1000*10 too", default=1, with_steps=False,
    ),
    Option("unmap_order", UNMAP_ORDERS, "in which order live objects are unmapped", default="same", with_steps=False),
    Option(
        "rate", _RATE,
        "cycles per second of each thread, each counted from the moment it was due; 0 for as fast as they go",
    ),
    Option(
        "gap", _durations(zero=True, most=LONGEST_PAUSE_SECONDS),
        "time that each thread sleeps before each cycle, so that no map follows closely on an unmap",
        default=0, stored="gap_seconds", with_steps=False, excludes="rate",
    ),
    Option(
        "gpu_load", GPU_LOADS,
        "keep the device busy, in turns with the same row while it is idle: copy, copy-from the mapped object, or fill",
        default="none",
    ),
    Option(
        "gpu_on", GPU_PLACES,
        "what the load works on: memory of its own, or the second half of the mapped object, which copy and fill write",
        default="others", with_steps=False,
    ),
    Option("duration", _durations(), "time for each row, such as 250ms or 5s", default="2s", stored="seconds"),
    Option(
        "iterations", _whole(1, _LARGEST), "cycles for each pass, instead of a time", excludes="duration",
        with_trace=True,
    ),
    Option(
        "warmup", _durations(zero=True), "time before each row that is not counted",
        default="100ms", stored="warmup_seconds",
    ),
    Option("seed", _whole(0, _LARGEST), "seed of random offsets, orders, draws and patterns", default=1),
    Option(
        "fail_if", _CONDITIONS, "exit with 5 if a row meets it, such as map.p99>50us", repeatable=True, with_trace=True,
    ),
    Option(
        "pace", PACES, "of a trace: at full speed, or with the times between its calls as they were recorded",
        default="full", with_steps=False, with_trace=True,
    ),
    Option("period", _durations(), "a line, and a look for leaks, so often", stored="period_seconds", flag=False),
    Option(
        "optional", _SWITCH, "of one job of several: left out, and told, where the device lacks what it needs",
        default=False, flag=False, with_trace=True,
    ),
    Option("fill", _SWITCH, "take every other address that `placed` may use", default=False, flag=False),
    Option("objects", _OBJECTS, "of a script: how many of `size`, or their sizes", flag=False),
    Option("draws", _whole(1, 100_000), "of a script: draw so many steps by weight", flag=False),
    Option("trace", _TRACE, "what a recorded program did, replayed: see below", flag=False, with_trace=True),
    Option("steps", _STEPS, "of a script: calls run again and again, see below", flag=False),
)  # fmt: skip
KEYS = {option.name: option for option in OPTIONS}
FLAGS = tuple(option for option in OPTIONS if option.flag)
