"""The view of any saved document."""

from collections.abc import Iterable

from vkmapctl.documents import ProbeReport, Run, SelftestReport, VerifyReport
from vkmapctl.report import probe_view, run_view
from vkmapctl.reports.elements import Element
from vkmapctl.reports.verification import selftest_view, verify_view


def view(document: Run | ProbeReport | VerifyReport | SelftestReport) -> Iterable[Element]:
    """As it is shown at the end of its command, and again by `report show`."""
    match document:
        case Run():
            return run_view(document)
        case ProbeReport():
            return probe_view(document)
        case VerifyReport():
            return verify_view(document)
        case SelftestReport():
            return selftest_view(document)
