"""Files to a comparison of verify runs or of probes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from vkmapctl.errors import ExitCode, UsageProblem
from vkmapctl.figures.checked import plural
from vkmapctl.figures.compare_documents import DocumentsReport, compare_probe, compare_verify
from vkmapctl.model.documents import SCHEMA, ProbeReport, VerifyReport
from vkmapctl.saved.files import load
from vkmapctl.text import clean


def compared_documents(
    paths: Sequence[Path], gate: Literal["warn", "fail"], explained: Callable[[Any], Any]
) -> DocumentsReport:
    """Verify runs or probes, the first against each other. explained: tells of older documents what checks mean.

    Raises UsageProblem for files of several kinds or numbers of devices, and for those that hold nothing.
    """
    documents: list[tuple[str, Any]] = [(clean(str(path)), explained(load(path))) for path in paths]
    kinds = [document.__struct_config__.tag for _, document in documents]
    first = kinds[0]
    other = next((i for i, kind in enumerate(kinds) if kind != first), None)
    if other is not None:
        raise UsageProblem(
            f"{documents[0][0]} is a {first} document and {documents[other][0]} a {kinds[other]} document",
            "compare files of one kind",
        )
    if first not in ("verify", "probe"):
        raise UsageProblem(f"{first} documents cannot be compared", "stress, verify and probe documents can")
    if len(documents) < 2:
        raise UsageProblem(f"{documents[0][0]} is one {first}: nothing to compare", "name a second file")
    counts = [_devices(document) for _, document in documents]
    for (name, document), count in zip(documents, counts, strict=True):
        if not count or (isinstance(document, VerifyReport) and not document.results):
            raise UsageProblem(f"{name} has nothing to compare", f"its run was {document.outcome}: report show {name}")
        if count != counts[0]:
            raise UsageProblem(
                f"{documents[0][0]} holds {plural(counts[0], 'device')} and {name} {count}: they are matched by order"
            )
    made = tuple(
        compare_verify(documents[0], one) if first == "verify" else compare_probe(documents[0], one)
        for one in documents[1:]
    )
    code = ExitCode.MISSED if gate == "fail" and any(one.worse for one in made) else ExitCode.OK
    return DocumentsReport(SCHEMA, "verify" if first == "verify" else "probe", gate, made, code)


def _devices(document: VerifyReport | ProbeReport) -> int:
    if isinstance(document, VerifyReport):
        return len(document.devices)
    return sum(probe.device is not None for probe in document.devices)
