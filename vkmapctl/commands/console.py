"""Where text goes: standard output for results, standard error for everything else, and the one place for errors."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from vkmapctl.errors import UsageProblem, VkmapError
from vkmapctl.text import SIMILAR, clean

if TYPE_CHECKING:
    from vkmapctl.reports.elements import Element

PLAIN_WIDTH = 10_000  # without a terminal nothing is wrapped or cut
_wanted_color = "auto"
LONGEST_LINE = 2000  # characters of an error or a hint: a driver's or a file's own words may be longer


def choose_color(wanted: str) -> None:
    """What --color says: `always`, `never`, or `auto`, which leaves it to the environment and the terminal."""
    global _wanted_color
    _wanted_color = wanted


def colors() -> bool | None:
    """Whether there are colours; None: on a terminal. A flag wins over NO_COLOR, and that over FORCE_COLOR."""
    if _wanted_color != "auto":
        return _wanted_color == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def make(*, stderr: bool = False, color: bool = True) -> Any:
    """A rich console as wide as the terminal. color: not where --no-color is."""
    from rich.console import Console

    forced = color and colors()
    no_color = not color or forced is False
    return Console(
        stderr=stderr,
        force_terminal=forced or None,
        no_color=no_color,
        color_system=None if no_color else "standard" if forced else "auto",
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


def print_view(view: Iterable["Element"], *, stderr: bool = False, color: bool = True) -> None:
    """Prints elements one below the other: drawn on a terminal, as plain lines elsewhere and where rich is too slow.

    What must have colours is drawn elsewhere too, as wide as the terminal that the program was started from, or
    COLUMNS.

    Raises UsageProblem where standard output cannot be written; a standard error that cannot costs what it would show.
    """
    from vkmapctl.reports import plain

    stream = sys.stderr if stderr else sys.stdout
    screen = make(stderr=stderr, color=color) if stream.isatty() or (color and colors()) else None
    with suppress(OSError) if stderr else _writing():
        for element in view:
            if screen and not plain.is_large(element):
                _draw(element, screen)
                continue
            for line in plain.lines_of(element, screen.width if screen else PLAIN_WIDTH):
                stream.write(_encodable(line + "\n", stream))
        stream.flush()


def _draw(element: "Element", screen: Any) -> None:
    from vkmapctl.reports.drawing import drawn

    for part in drawn(element, screen.width):
        screen.print(part)


def write(text: str) -> None:
    """Writes text to standard output as it is. Raises as print_view does."""
    with _writing():
        sys.stdout.write(_encodable(text, sys.stdout))
        sys.stdout.flush()


def _encodable(text: str, stream: Any) -> str:
    encoding = stream.encoding or "utf-8"
    errors = stream.errors if stream.errors == SIMILAR else "replace"
    return text.encode(encoding, errors).decode(encoding)


def write_bytes(data: bytes) -> None:
    """Writes to standard output, whatever its encoding. Raises as print_view does."""
    with _writing():
        sys.stdout.buffer.write(data)
        sys.stdout.flush()


def flush() -> None:
    """What is still buffered must be written while an error can still be reported."""
    with _writing():
        sys.stdout.flush()


def discard() -> None:
    """Standard output is gone: nothing may be written to it at the interpreter's end either."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _writing() -> Iterator[None]:
    """A full disk under standard output becomes UsageProblem; a reader that has gone stays BrokenPipeError."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        discard()
        raise UsageProblem(f"cannot write the output: {error.strerror}") from None


def say(line: str) -> None:
    """Prints to standard error, whether anybody reads it or not."""
    with suppress(OSError):
        print(line.encode("utf-8", "replace").decode(), file=sys.stderr)


def print_error(error: VkmapError) -> None:
    """One line that says what, and the hints."""
    say(f"Error: {_one_line(error.message)}")
    for hint in error.hints:
        say(f"Hint: {_one_line(hint)}")


def _one_line(text: str) -> str:
    """Without line ends, without what would steer a terminal, and of a length that a person reads."""
    line = " ".join(text.split())
    return clean(line, LONGEST_LINE) + (f" ({len(line)} characters)" if len(line) > LONGEST_LINE else "")
