"""Host names as Slurm and ClusterShell write many of them: `gpu[0001-1250]`, `a[1-3,7]b[0-1]`, lists by comma."""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby, product
from math import prod

MOST_HOSTS = 100_000
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")  # also the name of its folder
_TERM = re.compile(r"((?:[^,\[\]]|\[[^\[\]]*\])+)(?:,|$)")
_PART = re.compile(r"([^\[\]]+)|\[([^\[\]]*)\]")
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9})(?:/(\d{1,9}))?)?")


def is_host(text: str) -> bool:
    """Whether it can be the name of a host."""
    return _HOST.fullmatch(text) is not None


def expand(text: str) -> tuple[str, ...]:
    """The hosts, each once, in their order. Raises ValueError for what is no such list, or names more than MOST_HOSTS.

    As in Slurm, the first number of a range tells the width of all: `[08-10]` is 08, 09, 10.
    """
    found: dict[str, None] = {}
    for parts in _terms(text.strip()):
        if len(found) + prod(len(part) for part in parts) > MOST_HOSTS:
            raise ValueError(f"'{text}' names more than {MOST_HOSTS:,} hosts")
        for words in product(*(list(part) for part in parts)):
            host = "".join(words)
            if not is_host(host):
                raise ValueError(f"'{host}' is no host's name")
            found[host] = None
    if not found:
        raise ValueError("there is no host")
    return tuple(found)


class _Ranges:
    """What stands in brackets; its length is known before any of it is made."""

    def __init__(self, text: str) -> None:
        self._ranges: list[tuple[range, int]] = []
        for one in text.split(","):
            match = _RANGE.fullmatch(one.strip())
            if not match:
                raise ValueError(f"'[{text}]' is no range such as [1-4] or [01-16,20]")
            first, last, step = match[1], match[2] or match[1], int(match[3] or 1)
            if int(last) < int(first) or not step:
                raise ValueError(f"'{one}' is a range of nothing")
            self._ranges.append((range(int(first), int(last) + 1, step), len(first) if first[0] == "0" else 0))

    def __len__(self) -> int:
        return sum(len(one) for one, _ in self._ranges)

    def __iter__(self) -> Iterator[str]:
        return (f"{number:0{width}}" for one, width in self._ranges for number in one)


def _terms(text: str) -> Iterator[list[_Ranges | list[str]]]:
    """Each name of the list in its parts: words, and ranges of numbers."""
    position = 0
    while position < len(text):
        match = _TERM.match(text, position)
        if not match:
            raise ValueError(f"'{text}' is no list of hosts such as gpu[01-16],login")
        yield [[word.strip()] if word else _Ranges(ranges) for word, ranges in _PART.findall(match[1])]
        position = match.end()


def fold(hosts: Iterable[str]) -> str:
    """The shortest such list of these hosts by their last number, in the order of numbers."""
    numbered: dict[tuple[str, str], list[str]] = {}
    words = []
    for host in dict.fromkeys(hosts):
        match = re.fullmatch(r"(.*?)(\d{1,9})(\D*)", host)
        if match:
            numbered.setdefault((match[1], match[3]), []).append(match[2])
        else:
            words.append(host)
    for (before, after), numbers in numbered.items():
        for width, alike in _by_width(numbers):
            spans = ",".join(_spans(alike, width))
            words.append(f"{before}[{spans}]{after}" if len(alike) > 1 else before + spans + after)
    return ",".join(words)


def _by_width(numbers: list[str]) -> Iterator[tuple[int, list[int]]]:
    """The numbers that one range can hold: all where they are written alike, else those of the same length."""
    padded = [one for one in numbers if one[0] == "0" and len(one) > 1]
    width = len(padded[0]) if padded else 0
    if all(f"{int(one):0{width}}" == one for one in numbers):
        yield width, sorted(map(int, numbers))
        return
    for length, alike in groupby(sorted(numbers, key=len), key=len):
        yield length, sorted(map(int, alike))


def _spans(numbers: list[int], width: int) -> Iterator[str]:
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        span = [number for _, number in run]
        yield f"{span[0]:0{width}}" + (f"-{span[-1]:0{width}}" if len(span) > 1 else "")
