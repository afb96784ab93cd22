"""A file that is shown, exported or compared: a saved document, or a recording, which is answered first."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vkmapctl.model.documents import Run


def opened(path: Path, figures: "Run | None" = None) -> Any:
    """Raises UsageProblem for a file that is neither. figures: a stress run of the recorded device."""
    from vkmapctl.saved.recordings import RecordingFile, is_recording

    if is_recording(path):
        from vkmapctl.figures.recorded import answered

        return answered(RecordingFile(path), figures)
    from vkmapctl.saved.files import load

    document = load(path)
    if figures is None:
        return document
    from vkmapctl.figures.recorded_findings import concluded
    from vkmapctl.model.recorded import RecordReport

    return concluded(document, figures) if isinstance(document, RecordReport) else document


def kind_of(path: Path) -> str:
    """The kind that a file says it is; empty for one that says none."""
    from vkmapctl.saved import files
    from vkmapctl.saved.recordings import is_recording

    return "record" if is_recording(path) else files.kind_of(path)
