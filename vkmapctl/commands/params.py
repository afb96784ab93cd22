"""What commands and their values have in common: an empty value is a mistake, and each type says what it wants."""

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from vkmapctl import units

MOST_SHARE = 1000.0


class Command(click.Command):
    """A command that refuses an empty value, whatever it is for: `--device "$UNSET"` does not mean the default."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            rest = super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # which click's parser leaves out
            raise
        if not ctx.resilient_parsing:  # of a completion
            values, _, parameters = self.make_parser(ctx).parse_args(given)
            for parameter in parameters:
                value = values.get(parameter.name)
                for one in value if isinstance(value, list | tuple) else [value]:
                    if isinstance(one, str) and not one.strip():
                        raise click.BadParameter("it is empty", ctx, parameter)
        return rest


class NoCommand(click.UsageError):
    """A group was named alone; the message is its help: as click says it since 8.2, which Debian 13 does not have."""

    def __init__(self, ctx: click.Context) -> None:
        super().__init__(ctx.get_help(), ctx)


class Group(click.Group):
    """Commands of that kind, which without any of them shows its help as an error."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            raise NoCommand(ctx)
        return super().parse_args(ctx, args)


if TYPE_CHECKING:
    _AnyType = click.ParamType[Any]
else:
    _AnyType = click.ParamType  # which takes no type before click 8.4


class Parsed(_AnyType):
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


def _metric(text: str) -> str:
    from vkmapctl.figures.compare import METRICS

    known = [metric.name for metric in METRICS]
    if text not in known:
        raise ValueError(f"unknown metric '{text}'; known: {', '.join(known)}")
    return text


def _hosts(text: str) -> tuple[str, ...]:
    from vkmapctl import hostlist

    return hostlist.expand(text)


def _environment(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or "\0" in value:
        raise ValueError(f"'{text}' is not NAME=VALUE, nor NAME= for a variable that is not to be there")
    return name, value or None


DURATION = Parsed("duration", partial(units.parse_duration, zero=False))
SPAN = Parsed("duration", units.parse_duration)
SHARE = Parsed("share", _share)
REQUIREMENT = Parsed("requirement", _requirement)
METRIC = Parsed("metric", _metric)
ENVIRONMENT = Parsed("environment", _environment)
HOSTS = Parsed("hosts", _hosts)
