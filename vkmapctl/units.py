"""Sizes, durations and counts as people write and read them."""

import math
import re

_SIZE = r"(?ai)(\d+(?:\.\d+)?)\s*([kmgtpe]?)(?:ib|b)?"
_DURATION = r"(?ai)(\d+(?:\.\d+)?)\s*(ns|us|[\u00b5\u03bc]s|ms|s|m|min|h)"
_RANGE = r"(?a)([^.\s][^*\s]*?)\.\.([^*.\s][^*\s]*)(?:\*(\d{1,18}))?"
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_SIZE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
PLACES = {"any": 1 << 47, "low4g": 1 << 32, "low2g": 1 << 31}  # where a placed map may end
NONE = "-"  # a value that there is not
_LARGEST = 1 << 63
_MOST_DIGITS = 30  # of a size: more are larger than any memory in any unit
LONGEST_SECONDS = 1e9  # some 30 years, well inside 64-bit nanoseconds


def parse_size(text: str) -> int:
    """Bytes of `4096`, `64K`, `256M`, `1G`, `1GiB`; K, M, G, T, P and E are powers of 1024.

    Raises ValueError for anything else, for a fraction of a byte and from 2**63 on.
    """
    match = re.fullmatch(_SIZE, text.strip())
    if not match:
        raise ValueError(f"'{text}' is not a size such as 4096, 64K, 256M or 1GiB")
    if len(match[1].partition(".")[0]) > _MOST_DIGITS:
        raise ValueError(f"'{text[:_MOST_DIGITS]}…' is larger than any memory")
    value = float(match[1]) if "." in match[1] else int(match[1])
    size = value * 1024 ** " kmgtpe".index(match[2].lower() or " ")
    if size >= _LARGEST:
        raise ValueError(f"'{text}' is larger than any memory")
    if size != int(size):
        raise ValueError(f"'{text}' is not a whole number of bytes")
    return int(size)


def parse_range(text: str) -> tuple[str, str, int]:
    """(`4K`, `1G`, 4) of `4K..1G*4`; without a factor it is 2. Raises ValueError."""
    match = re.fullmatch(_RANGE, text.strip())
    if not match or int(match[3] or 2) < 2:
        raise ValueError(f"'{text}' is not a range such as 4K..1G or 4K..1G*4")
    return match[1], match[2], int(match[3] or 2)


def parse_fit(text: str) -> tuple[int, int]:
    """The lowest size in bytes and the factor of `4K..fit*4`. Raises ValueError."""
    low, high, factor = parse_range(text)
    if high != "fit" or not parse_size(low):
        raise ValueError(f"'{text}' is not a range such as 4K..fit*4")
    return parse_size(low), factor


def parse_sizes(text: str) -> list[int | str]:
    """The allocation sizes in bytes of `64K`, or of a range such as `4K..1G*4`; `4K..fit*4` stays as it is.

    Raises ValueError.
    """
    if "..fit" in text:
        parse_fit(text)
        return [text]
    if ".." not in text:
        return [parse_mappable(text)]
    low, high, factor = parse_range(text)
    return [*steps_between(parse_mappable(low), parse_mappable(high), factor)]


def parse_mappable(text: str) -> int:
    """As parse_size, but 0 is none either."""
    size = parse_size(text)
    if size == 0:
        raise ValueError("a size of 0 cannot be mapped (VUID-VkMemoryMapInfo-size-07960)")
    return size


def steps_between(low: int, high: int, factor: int) -> list[int]:
    """low, low * factor, … up to high, which ends the list whether or not it is a step. Raises ValueError."""
    if high < low:
        raise ValueError(f"a range goes up: {low} is more than {high}")
    found = []
    while low < high:
        found.append(low)
        low *= factor
    return [*found, high]


def parse_duration(text: str, *, zero: bool = True, most: float = LONGEST_SECONDS) -> float:
    """Seconds of `250ms`, `5s`, `2m`, `1h`, `50us`, and of `0`, which is the same in every unit.

    Raises ValueError for anything else, for more than `most` seconds, and without `zero` for none.
    """
    match = re.fullmatch(_DURATION, text.strip())
    if not match and text.strip() != "0":
        raise ValueError(f"'{text}' is not a duration such as 250ms, 5s or 2m")
    seconds = float(match[1]) * _SECONDS[_time_unit(match[2])] if match else 0.0
    if not seconds and not zero:
        raise ValueError("a duration must be longer than 0")
    if seconds > most:
        raise ValueError(f"'{text}' is longer than " + ("anyone waits" if most == LONGEST_SECONDS else f"{most:g} s"))
    return seconds


def _time_unit(text: str) -> str:
    """Either sign for micro is a u."""
    return "us" if text[0] in "\u00b5\u03bc" else text.lower()


def parse_place(text: str) -> int | None:
    """The address that a place names, None for `any`, `low4g` and `low2g`. Raises ValueError."""
    if text in PLACES:
        return None
    if not re.fullmatch(r"0[xX][0-9a-fA-F]+", text):
        raise ValueError(f"'{text}' is neither any, low4g, low2g nor an address such as 0x10000000")
    address = int(text, 16)
    if not 0 < address < _LARGEST:
        raise ValueError(f"{text} is not an address a program can map")
    return address


def size(value: int) -> str:
    """`256 MiB`, exact where a whole number of a unit, else bytes up to 10 KiB and three digits above."""
    if value == 0:
        return "0 B"
    exponent = min(int(math.log2(value) // 10), len(_SIZE_UNITS) - 1)
    scaled = value / 1024**exponent
    if scaled == int(scaled):
        return f"{int(scaled)} {_SIZE_UNITS[exponent]}"
    if value < 10 * 1024:
        return f"{value} B"
    return f"{_three_digits(scaled)} {_SIZE_UNITS[exponent]}"


def exact_size(value: int) -> str:
    """In the largest unit that it is a whole number of: two sizes never read alike."""
    exponent = next(k for k in reversed(range(len(_SIZE_UNITS))) if value % 1024**k == 0) if value else 0
    return f"{value >> 10 * exponent} {_SIZE_UNITS[exponent]}"


def exact(value: float) -> str:
    """A number as short as it can be without loss: two numbers never read alike."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def duration(ns: float) -> str:
    """`35 ns`, `12.8 us`, `4.10 ms`, `2.00 s`: three digits."""
    for limit, unit in ((1e3, "ns"), (1e6, "us"), (1e9, "ms")):
        if ns < limit * 0.9995:
            value = ns * 1e3 / limit
            return f"{value:.0f} {unit}" if unit == "ns" and value == int(value) else f"{_three_digits(value)} {unit}"
    return f"{_three_digits(ns / 1e9)} s"


def count(value: float) -> str:
    """`950`, `12.3 k`, `4.56 M`, `1.20 G`."""
    for limit, unit in ((1e3, ""), (1e6, " k"), (1e9, " M")):
        if value < limit * 0.9995:
            scaled = value * 1e3 / limit
            return f"{int(value)}" if not unit and value == int(value) else f"{_three_digits(scaled)}{unit}"
    return f"{_three_digits(value / 1e9)} G"


def bandwidth(bytes_per_second: float) -> str:
    """`9.87 GB/s`: powers of 1000, as memory bandwidth is quoted."""
    if bytes_per_second < 1e9:
        return f"{_three_digits(bytes_per_second / 1e6)} MB/s"
    return f"{_three_digits(bytes_per_second / 1e9)} GB/s"


def _three_digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
