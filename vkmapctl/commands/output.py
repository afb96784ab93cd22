"""What the commands do alike with their result: progress, the file of --save, tables or JSON, the exit code."""

from collections.abc import Callable
from typing import Any

from vkmapctl.commands import console
from vkmapctl.errors import UsageProblem


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


def conclude(document: Any, output: dict[str, Any], *sinks: Any) -> int:
    """Shows the document and returns its exit code; only then raises what kept it from being saved."""
    show(document, output)
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
