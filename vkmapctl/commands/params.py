"""Types of command line values: each says in one line what it wants."""

import re
from collections.abc import Callable
from typing import Any

import click

from vkmapctl import units


class Parsed(click.ParamType[Any]):
    """A value made by a function that raises ValueError with the message to show."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except (ValueError, OverflowError) as error:
            self.fail(str(error), param, ctx)


def _offset(text: str) -> int | str:
    return text if text == "random" else units.parse_size(text)


def _map_size(text: str) -> int | None:
    return None if text == "whole" else units.parse_size(text)


def _allocation_sizes(text: str) -> str:
    units.parse_sizes(text)
    return text


def _positive_duration(text: str) -> float:
    seconds = units.parse_duration(text)
    if seconds <= 0:
        raise ValueError("a duration must be longer than 0")
    return seconds


def _placed(text: str) -> str:
    units.parse_place(text)
    return text


def _share(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text.strip())
    if not match:
        raise ValueError(f"'{text}' is not a share such as 10%")
    return float(match[1]) / 100


def _requirement(text: str) -> str:
    from vkmapctl.plans import gates

    gates.check_requirement(text)
    return text


def _threshold(text: str) -> Any:
    from vkmapctl.plans import gates

    return gates.parse_threshold(text)


SIZE = Parsed("size", _allocation_sizes)
OFFSET = Parsed("offset", _offset)
MAP_SIZE = Parsed("size", _map_size)
DURATION = Parsed("duration", _positive_duration)
SHARE = Parsed("share", _share)
SPAN = Parsed("duration", units.parse_duration)
PLACED = Parsed("place", _placed)
THRESHOLD = Parsed("condition", _threshold)
REQUIREMENT = Parsed("requirement", _requirement)
