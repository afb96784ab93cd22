"""Where text goes: standard output for results, standard error for everything else, and the one place for errors."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from vkmapctl.errors import UsageProblem, VkmapError

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
    from vkmapctl.reports import plain

    screen = make(stderr=stderr, color=color)
    with _writing():
        stream = sys.stderr if stderr else sys.stdout
        encoding = stream.encoding or "utf-8"
        for part in view:
            if screen.is_terminal and not plain.is_large(part):
                screen.print(part)
                continue
            for line in plain.lines_of(part, screen):
                stream.write((line.rstrip() + "\n").encode(encoding, "replace").decode(encoding))
        stream.flush()


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
    """Without line ends and without what would steer a terminal."""
    return " ".join("".join(char if char.isprintable() or char.isspace() else "?" for char in text).split())
