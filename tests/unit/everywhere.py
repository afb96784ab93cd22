"""Everything that is made of a saved document: each view at two widths, each export, the comparison with itself."""

import io
import xml.etree.ElementTree as ET

from rich.console import Console

from vkmapctl import report
from vkmapctl.figures.compare import CompareReport, Limits, compare, devices_side_by_side
from vkmapctl.model.documents import SCHEMA, Run, VerifyReport, to_json
from vkmapctl.reports import FORMATS, plot
from vkmapctl.reports.compare import compare_view, devices_view
from vkmapctl.reports.drawing import drawn
from vkmapctl.reports.plain import lines_of

WIDTHS = (80, 200)


def made_of(document):
    """All of it as text, by name. Raises whatever one of them raises."""
    views = {"view": [*report.view(document)]}
    made = {"json": to_json(document).decode()}
    if isinstance(document, Run):
        comparison = compare(("base", document), ("new", document), Limits())
        views["comparison"] = [*compare_view(CompareReport(SCHEMA, Limits(), "fail", (comparison,), 0))]
        views["devices"] = [*devices_view(devices_side_by_side([("base", document)]))]
        views["plots"] = [*plot.plots(document)]
        made["comparison"] = to_json(comparison).decode()
    for name, view in views.items():
        for width in WIDTHS:
            made[f"{name} {width}"] = shown(view, width)
            made[f"{name} {width}, plain"] = "\n".join(line for one in view for line in lines_of(one, width))
    for form in FORMATS if isinstance(document, Run) else ["junit"] * isinstance(document, VerifyReport):
        made[form] = report.export(document, form).decode()
    if "junit" in made:
        ET.fromstring(made["junit"])
    return made


def shown(view, width):
    """As rich draws it on a terminal of that width."""
    screen = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, markup=False, emoji=False)
    for element in view:
        for part in drawn(element, width):
            screen.print(part)
    return screen.file.getvalue()
