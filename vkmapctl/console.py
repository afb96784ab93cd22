"""Where text goes: standard output for results, standard error for everything else, and the one place for errors."""

import os
import sys
from collections.abc import Iterable
from typing import Any

from vkmapctl.errors import VkmapError

PLAIN_WIDTH = 10_000  # without a terminal nothing is wrapped or cut


def make(*, stderr: bool = False, color: bool = True) -> Any:
    """A rich console: as wide as the terminal, or plain text of full width where there is none."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    plain = not stream.isatty()
    no_color = plain or not color or "NO_COLOR" in os.environ
    return Console(
        stderr=stderr,
        width=PLAIN_WIDTH if plain else None,
        no_color=no_color,
        color_system=None if no_color else "auto",
        force_terminal=None if not plain else False,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


def print_view(view: Iterable[Any], *, stderr: bool = False, color: bool = True) -> None:
    """Prints renderables one below the other; plain text has no trailing blanks, nor have tables too large for rich."""
    from vkmapctl import plain

    screen = make(stderr=stderr, color=color)
    stream = sys.stderr if stderr else sys.stdout
    for part in view:
        if screen.is_terminal and not plain.is_large(part):
            screen.print(part)
        else:
            stream.writelines(line.rstrip() + "\n" for line in plain.lines_of(part, screen))
    stream.flush()


def print_error(error: VkmapError) -> None:
    """One line that says what, and the hints."""
    print(f"Error: {_one_line(error.message)}", file=sys.stderr)
    for hint in error.hints:
        print(f"Hint: {_one_line(hint)}", file=sys.stderr)


def _one_line(text: str) -> str:
    return " ".join(text.split())
