"""Everything that is made of a file: of a saved document each view at two widths, each export, comparisons with itself
and with another; of a workload its plan on two devices.
"""

import io
import xml.etree.ElementTree as ET
from unittest import mock

from builders import a_device, a_gpu
from damage import RECORDED, SWEEP
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from rich.console import Console

from vkmapctl import preview, report
from vkmapctl.figures.compare import CompareReport, Limits, compare, devices_side_by_side
from vkmapctl.figures.compare_recordings import RecordingsReport, compare_recordings
from vkmapctl.figures.recorded_findings import concluded
from vkmapctl.model.documents import SCHEMA, ProbeReport, Run, VerifyReport, to_json
from vkmapctl.model.recorded import RecordReport
from vkmapctl.reports import FORMATS, plot
from vkmapctl.reports.compare import compare_view, devices_view
from vkmapctl.reports.compare_recordings import recordings_view
from vkmapctl.reports.drawing import drawn
from vkmapctl.reports.plain import is_large, lines_of
from vkmapctl.reports.plan import plan_view

WIDTHS = (80, 200)


def made_of(document):
    """All of it as text, by name. Raises whatever one of them raises."""
    views = {"view": [*report.view(document)], "verbose": [*report.view(document, verbose=True)]}
    made = {"json": to_json(document).decode()}
    if isinstance(document, Run):
        others = [(SWEEP, document), (document, SWEEP), (document, document)]
        *_, comparison = [compare(("base", base), ("new", new), Limits()) for base, new in others]
        views["comparison"] = [*compare_view(CompareReport(SCHEMA, Limits(), "fail", (comparison,), 0))]
        views["devices"] = [*devices_view(devices_side_by_side([("base", document)]))]
        views["plots"] = [*plot.plots(document)]
        made["comparison"] = to_json(comparison).decode()
    if isinstance(document, RecordReport):
        others = [(RECORDED, document), (document, RECORDED)]
        *_, comparison = [compare_recordings(("base", base), ("new", new)) for base, new in others]
        views["comparison"] = [*recordings_view(RecordingsReport(SCHEMA, "fail", (comparison,), 0))]
        views["plots"] = [*plot.recorded_plots(document)]
        views["figures"] = [*report.view(concluded(document, SWEEP))]
        made["comparison"] = to_json(comparison).decode()
    for name, view in views.items():
        for width in WIDTHS:
            made[f"{name} {width}"] = shown(view, width)
            made[f"{name} {width}, plain"] = "\n".join(line for one in view for line in lines_of(one, width))
    for form in forms_of(document):
        made[form] = report.export(document, form).decode()
    if "junit" in made:
        ET.fromstring(made["junit"])
    if "openmetrics" in made:
        list(openmetrics(made["openmetrics"]))
    return made


def forms_of(document):
    """What it can be exported to."""
    if isinstance(document, Run):
        return [form for form in FORMATS if form != "pyperf" or any(row.rounds_ns_per_pair for row in document.results)]
    more = {VerifyReport: ("csv", "junit", "openmetrics"), ProbeReport: ("junit",), RecordReport: ("csv",)}
    return ("md", "html", *more.get(type(document), ()))


def plan_of(wanted):
    """The view of a workload's plan, as text."""
    with mock.patch.object(preview, "_devices", return_value=[a_device(), a_gpu()]):
        report = preview.plan(wanted)
    return [shown([*plan_view(report)], width) for width in WIDTHS] + [to_json(report).decode()]


def shown(view, width):
    """As rich draws it on a terminal of that width; what is large, as console.print_view has it, as plain lines."""
    screen = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, markup=False, emoji=False)
    for element in view:
        for part in lines_of(element, width) if is_large(element) else drawn(element, width):
            screen.print(part)
    return screen.file.getvalue()
