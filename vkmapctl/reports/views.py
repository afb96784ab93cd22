"""The view of any saved document; what draws the other kinds is not imported."""

from collections.abc import Iterable

from vkmapctl.model.documents import ProbeReport, Run, SelftestReport, VerifyReport
from vkmapctl.reports.elements import Element


def view(document: Run | ProbeReport | VerifyReport | SelftestReport) -> Iterable[Element]:
    """As it is shown at the end of its command, and again by `report show`."""
    match document:
        case Run():
            from vkmapctl.report import run_view

            return run_view(document)
        case ProbeReport():
            from vkmapctl.reports.probing import probe_view

            return probe_view(document)
        case VerifyReport():
            from vkmapctl.reports.verification import verify_view

            return verify_view(document)
        case SelftestReport():
            from vkmapctl.reports.verification import selftest_view

            return selftest_view(document)
