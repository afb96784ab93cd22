"""Types of command line values: each says in one line what it wants."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from vkmapctl import units

MOST_SHARE = 1000.0


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


def _share(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text.strip())
    share = float(match[1]) / 100 if match else MOST_SHARE + 1
    if share > MOST_SHARE:
        raise ValueError(f"'{text}' is not a share such as 10%, at most {MOST_SHARE:.0%}")
    return share


def _requirement(text: str) -> str:
    from vkmapctl.plans import gates

    gates.check_requirement(text)
    return text


DURATION = Parsed("duration", partial(units.parse_duration, zero=False))
SPAN = Parsed("duration", units.parse_duration)
SHARE = Parsed("share", _share)
REQUIREMENT = Parsed("requirement", _requirement)
