"""Any saved document as text, Markdown, CSV, JUnit or a page: which module of reports/ makes it.

A form is imported when it is asked for.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from vkmapctl.errors import UsageProblem
from vkmapctl.model.documents import DoctorReport, Document, ProbeReport, Run, SelftestReport, VerifyReport
from vkmapctl.model.recorded import RecordReport
from vkmapctl.reports.elements import Element

if TYPE_CHECKING:
    from vkmapctl.reports.page import Page


def view(
    document: Run | ProbeReport | VerifyReport | SelftestReport | DoctorReport | RecordReport, *, verbose: bool = False
) -> Iterable[Element]:
    """As it is shown at the end of its command, and again by `report show`. verbose: with every check and trial."""
    match document:
        case Run():
            from vkmapctl.reports.stress import run_view

            return run_view(document)
        case ProbeReport():
            from vkmapctl.reports.probe import probe_view

            return probe_view(document)
        case VerifyReport():
            from vkmapctl.reports.verify import verify_view

            return verify_view(document, verbose=verbose)
        case DoctorReport():
            from vkmapctl.reports.doctor import doctor_view

            return doctor_view(document)
        case SelftestReport():
            from vkmapctl.reports.selftest import selftest_view

            return selftest_view(document, verbose=verbose)
        case RecordReport():
            from vkmapctl.reports.recording import recording_view

            return recording_view(document)


def export(document: object, wanted: str) -> bytes:
    """A saved document as one of reports.FORMATS. Raises UsageProblem for one that has no such form."""
    from vkmapctl.reports import export as exports
    from vkmapctl.reports import sheets, trackers

    if isinstance(document, Run | VerifyReport | ProbeReport) and wanted == "junit":
        from vkmapctl.reports.junit import to_junit

        return to_junit(document)
    if isinstance(document, Run | VerifyReport) and wanted == "openmetrics":
        return trackers.to_openmetrics(document)
    if isinstance(document, Run):
        if wanted == "html":
            from vkmapctl.reports.html import to_html

            return to_html(document)
        forms: dict[str, Callable[[Run], bytes]] = {
            "md": exports.to_markdown,
            "csv": sheets.to_csv,
            "csv-rounds": sheets.to_csv_rounds,
            "csv-bins": sheets.to_csv_bins,
            "github-benchmark": trackers.to_github_benchmark,
            "bencher": trackers.to_bencher,
            "pyperf": trackers.to_pyperf,
        }
        return forms[wanted](document)
    if isinstance(document, VerifyReport) and wanted == "csv":
        return sheets.verify_csv(document)
    if isinstance(document, RecordReport) and wanted in ("csv", "html"):
        from vkmapctl.reports import recording_html

        return sheets.recording_csv(document) if wanted == "csv" else recording_html.to_html(document)
    if isinstance(document, DoctorReport) and wanted == "md":
        from vkmapctl.reports.doctor import doctor_markdown

        return doctor_markdown(document)
    if wanted not in ("md", "html"):
        kind = document.__struct_config__.tag if isinstance(document, Document) else type(document).__name__
        raise UsageProblem(f"a {kind} does not export to {wanted}", "every saved document exports to md and html")
    from vkmapctl.reports.page import page_html, page_markdown

    made = _page(document)
    return page_html(made) if wanted == "html" else page_markdown(made)


def _page(document: object) -> "Page":
    match document:
        case VerifyReport():
            from vkmapctl.reports.verify import verify_page

            return verify_page(document)
        case SelftestReport():
            from vkmapctl.reports.selftest import selftest_page

            return selftest_page(document)
        case ProbeReport():
            from vkmapctl.reports.probe import probe_page

            return probe_page(document)
        case DoctorReport():
            from vkmapctl.reports.doctor import doctor_page

            return doctor_page(document)
        case RecordReport():
            from vkmapctl.reports.recording import recording_page

            return recording_page(document)
    raise TypeError(f"no page for {type(document).__name__}")
