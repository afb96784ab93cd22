"""Any saved document as text, Markdown, CSV, JUnit or a page: which module of reports/ makes it.

A form is imported when it is asked for.
"""

from collections.abc import Callable, Iterable

from vkmapctl.errors import UsageProblem
from vkmapctl.model.documents import DoctorReport, ProbeReport, Run, SelftestReport, VerifyReport
from vkmapctl.reports.elements import Element


def view(document: Run | ProbeReport | VerifyReport | SelftestReport | DoctorReport) -> Iterable[Element]:
    """As it is shown at the end of its command, and again by `report show`."""
    match document:
        case Run():
            from vkmapctl.reports.stress import run_view

            return run_view(document)
        case ProbeReport():
            from vkmapctl.reports.probe import probe_view

            return probe_view(document)
        case VerifyReport():
            from vkmapctl.reports.verify import verify_view

            return verify_view(document)
        case DoctorReport():
            from vkmapctl.reports.doctor import doctor_view

            return doctor_view(document)
        case SelftestReport():
            from vkmapctl.reports.verify import selftest_view

            return selftest_view(document)


def export(document: object, wanted: str) -> bytes:
    """A saved document as one of reports.FORMATS. Raises UsageProblem for one that has no such form."""
    from vkmapctl.reports import export as exports
    from vkmapctl.reports import sheets, trackers

    if isinstance(document, Run | VerifyReport | ProbeReport) and wanted == "junit":
        from vkmapctl.reports.junit import to_junit

        return to_junit(document)
    if isinstance(document, Run | VerifyReport) and wanted == "openmetrics":
        return trackers.to_openmetrics(document)
    if not isinstance(document, Run):
        raise UsageProblem(f"only stress runs export to {wanted}", "report show prints any saved document")
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
