"""JUnit XML, as CI systems read it."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import NamedTuple


class Case(NamedTuple):
    """One test case. kind: `passed`, `failure`, `error` or `skipped`; text: what was seen, or why it was skipped."""

    suite: str
    name: str
    kind: str
    text: str = ""
    output: str = ""
    seconds: float = 0.0


def document(name: str, cases: Sequence[Case]) -> bytes:
    """A testsuites document: UTF-8, with a suite for each `suite` in order of appearance."""
    root = ET.Element("testsuites", name=name)
    for suite_name in dict.fromkeys(case.suite for case in cases):
        mine = [case for case in cases if case.suite == suite_name]
        counts = {kind: sum(case.kind == kind for case in mine) for kind in ("failure", "error", "skipped")}
        suite = ET.SubElement(
            root,
            "testsuite",
            name=suite_name,
            tests=str(len(mine)),
            failures=str(counts["failure"]),
            errors=str(counts["error"]),
            skipped=str(counts["skipped"]),
            time=f"{sum(case.seconds for case in mine):.3f}",
        )
        for case in mine:
            _add_case(suite, case)
    ET.indent(root)
    data: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def _add_case(suite: ET.Element, case: Case) -> None:
    element = ET.SubElement(suite, "testcase", classname=case.suite, name=case.name, time=f"{case.seconds:.3f}")
    if case.kind != "passed":
        ET.SubElement(element, case.kind, message=case.text)
    if case.output:
        ET.SubElement(element, "system-out").text = case.output
