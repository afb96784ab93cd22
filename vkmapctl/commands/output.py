"""What the commands do alike with their result: progress, the file of --save, tables or JSON, the exit code."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from vkmapctl.commands import console
from vkmapctl.errors import ExitCode, UsageProblem, VkmapError, of_exception
from vkmapctl.text import clean

_INTERRUPTED = VkmapError("stopped by the user", exit_code=ExitCode.INTERRUPTED)


def command_line() -> list[str]:
    """What was typed behind the program's name, as it may be shown."""
    return [clean(word) for word in sys.argv[1:]]


def progress(line: Callable[[Any], str], output: dict[str, Any]) -> Callable[[Any], None]:
    """Prints a line on stderr for each finished part, unless --quiet."""
    if output["quiet"]:
        return lambda part: None
    return lambda part: console.say(line(part))


def sink_of(output: dict[str, Any]) -> Any:
    """The file of --save, checked before anything is measured."""
    if output["save"] is None:
        return None
    from pathlib import Path

    from vkmapctl.saved.files import Sink

    return Sink(Path(output["save"]), force=output["force"])


def junit_of(output: dict[str, Any]) -> tuple[Any, Callable[[Any], None]]:
    """The file of --junit, checked before anything is measured, and what writes a document to it.

    Raises UsageProblem for the file of --save.
    """
    path = output.pop("junit")
    if path is None:
        return None, lambda document: None
    if output["save"] and os.path.realpath(path) == os.path.realpath(output["save"]):
        raise UsageProblem(f"--save and --junit name one file: {path}", "give each a name of its own")
    from pathlib import Path

    from vkmapctl.reports.junit import to_junit
    from vkmapctl.saved.files import Sink

    sink = Sink(Path(path), force=output["force"], form="junit")
    return sink, lambda document: sink.write(to_junit(document))


def printer(output: dict[str, Any]) -> Any:
    """What makes a document's tables, None where nobody wants them."""
    if output["as_json"] and output["quiet"]:
        return None
    from vkmapctl.report import view

    return partial(view, verbose=output.get("verbose", False))


class Kept:
    """A run's document as it grows, and where it is kept. junit: writes it as JUnit XML too.

    That is done before anything is measured, so that no earlier run's is taken for this one's, and at the end.
    """

    def __init__(self, sink: Any, junit: Callable[[Any], None]) -> None:
        self._sink, self._junit = sink, junit
        self.begun: Any = None
        self.latest: Any = None

    def begin(self, document: Any) -> None:
        """What there is before the driver is asked for anything: all that a refusal can say."""
        self.begun = document

    def save(self, document: Any) -> None:
        """What there is before anything is measured, and as it grows. Raises UsageProblem if its file is lost then."""
        first, self.latest = self.latest is None, document
        if self._sink:
            self._sink.save(document)
            if first and self._sink.error:
                self.latest = self.begun = None
                raise self._sink.error
        if first:
            self._junit(document)

    def end(self, document: Any) -> None:
        """What it was when it broke off."""
        self.save(document)
        self._junit(document)


@contextmanager
def kept(output: dict[str, Any], sink: Any, junit: Callable[[Any], None] = lambda document: None) -> Iterator[Kept]:
    """Keeps the document of a run, whatever becomes of it.

    Where the file is lost at the first save, nothing is measured. Where the run breaks later, what it had by then is
    saved and shown before its error goes on. A run that is refused before that leaves a document with the reason.
    """
    run = Kept(sink, junit)
    try:
        yield run
    except (Exception, KeyboardInterrupt) as raised:
        from vkmapctl.figures import outcomes

        error = of_exception(raised) if isinstance(raised, Exception) else _INTERRUPTED
        if run.latest:
            document = outcomes.broken_off(run.latest, error)
            run.end(document)
            show(document, output)
        elif run.begun and error.exit_code not in (ExitCode.INTERNAL, ExitCode.USAGE):
            document = outcomes.broken_off(run.begun, error, "refused")
            run.end(document)
            if output["as_json"]:
                _write_json(document)
        raise


def conclude(document: Any, output: dict[str, Any], *sinks: Any) -> int:
    """Shows the document and returns its exit code; what kept it from being shown or saved has that code too.

    Raises UsageProblem.
    """
    try:
        show(document, output)
    except UsageProblem as error:
        raise UsageProblem(error.message, *error.hints, exit_code=document.exit_code or None) from None
    return saved(document, *sinks)


def saved(document: Any, *sinks: Any) -> int:
    """The document's exit code. Raises what kept it from being saved."""
    for sink in sinks:
        if sink and sink.error:
            raise UsageProblem(sink.error.message, *sink.error.hints, exit_code=document.exit_code or None)
    return int(document.exit_code)


def show(document: Any, output: dict[str, Any]) -> None:
    """The document as tables, or as JSON on stdout with the tables on stderr."""
    if output["as_json"]:
        _write_json(document)
    view = printer(output)
    if view is not None:
        console.print_view(view(document), stderr=output["as_json"], color=not output["no_color"])


def _write_json(document: Any) -> None:
    from vkmapctl.model.documents import to_json

    console.write_bytes(to_json(document))


def check_plots() -> None:
    """Before anything is measured for them. Raises UsageProblem where the plot library is missing."""
    from vkmapctl.reports import plot

    plot.library()


def show_plots(document: Any, *, color: bool, stderr: bool = False) -> None:
    """The plots of a stress run or a recording, of others none. Raises UsageProblem where the library is missing."""
    from vkmapctl.model.documents import Run
    from vkmapctl.model.recorded import RecordReport
    from vkmapctl.reports import plot

    if isinstance(document, Run):
        console.print_view(plot.plots(document), color=color, stderr=stderr)
    elif isinstance(document, RecordReport):
        console.print_view(plot.recorded_plots(document), color=color, stderr=stderr)
