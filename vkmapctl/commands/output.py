"""What the commands do alike with their result: progress, the file of --save, tables or JSON, the exit code."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from vkmapctl.commands import console
from vkmapctl.errors import UsageProblem, of_exception


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


def printer(output: dict[str, Any]) -> Any:
    """What makes a document's tables, None where nobody wants them."""
    if output["as_json"] and output["quiet"]:
        return None
    from vkmapctl.report import view

    return view


@contextmanager
def kept(output: dict[str, Any], sink: Any) -> Iterator[Callable[[Any], None]]:
    """Gives what a run calls with its document, before anything is measured and as it grows, to be saved.

    Where the file is lost at the first call, nothing is measured. Where the run breaks later, what it had by then is
    saved and shown before its error goes on.
    """
    latest: list[Any] = []

    def save(document: Any) -> None:
        first = not latest
        latest[:] = [document]
        if sink:
            sink.save(document)
            if first and sink.error:
                latest.clear()
                raise sink.error

    try:
        yield save
    except Exception as error:
        from vkmapctl.figures import outcomes

        if latest:
            document = outcomes.broken_off(latest[0], of_exception(error))
            save(document)
            show(document, output)
        raise


def conclude(document: Any, output: dict[str, Any], *sinks: Any) -> int:
    """Shows the document and returns its exit code; what kept it from being shown or saved has that code too.

    Raises UsageProblem.
    """
    try:
        show(document, output)
    except UsageProblem as error:
        raise UsageProblem(error.message, *error.hints, exit_code=document.exit_code or None) from None
    for sink in sinks:
        if sink and sink.error:
            raise UsageProblem(sink.error.message, *sink.error.hints, exit_code=document.exit_code or None)
    return int(document.exit_code)


def show(document: Any, output: dict[str, Any]) -> None:
    """The document as tables, or as JSON on stdout with the tables on stderr."""
    if output["as_json"]:
        from vkmapctl.model.documents import to_json

        console.write_bytes(to_json(document))
    view = printer(output)
    if view is not None:
        console.print_view(view(document), stderr=output["as_json"], color=not output["no_color"])


def show_plots(document: Any, *, color: bool, stderr: bool = False) -> None:
    """The plots of a stress run; other documents have none. Raises UsageProblem where the plot library is missing."""
    from vkmapctl.model.documents import Run
    from vkmapctl.reports import plot

    if isinstance(document, Run):
        console.print_view(plot.plots(document), color=color, stderr=stderr)
