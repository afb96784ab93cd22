"""Stress runs, verifications and probes as JUnit XML, as CI systems read it."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from vkmapctl.model.case import memory_label
from vkmapctl.model.device import Device, Probe
from vkmapctl.model.documents import ProbeReport, Run, VerifyReport
from vkmapctl.model.measured import Row
from vkmapctl.reports import columns
from vkmapctl.reports.columns import FIGURES, PERCENTILES
from vkmapctl.reports.common import KINDS, check_label

_RED = ("failure", "error")
Saved = Run | VerifyReport | ProbeReport


class Case(NamedTuple):
    """One test case. kind: `passed`, `failure`, `error` or `skipped`; text: what was seen, or why it was skipped."""

    name: str
    kind: str
    text: str = ""
    output: str = ""
    seconds: float = 0.0


class Suite(NamedTuple):
    """The cases of one device, or of none."""

    name: str
    cases: Sequence[Case]
    device: Device | None = None


def to_junit(document: Saved) -> bytes:
    """A testsuites document: UTF-8, a suite for each device; what did not end well is red in some case."""
    match document:
        case Run():
            suites = [*_run_suites(document)]
        case VerifyReport():
            suites = [*_verify_suites(document)]
        case ProbeReport():
            suites = [*_probe_suites(document)]
    suites = [suite for suite in suites if suite.cases]
    kinds = {case.kind for suite in suites for case in suite.cases}
    telling = (*_RED, "skipped") if document.outcome == "unsupported" else _RED
    if not suites or (document.exit_code and kinds.isdisjoint(telling)):
        text = document.reason or f"outcome {document.outcome}, exit code {document.exit_code}"
        told = "\n".join(f"[{note.code}] {note.message}" for note in document.warnings)
        kind = "error" if document.exit_code else "passed"
        suites.append(Suite(_head(document), [Case("run", kind, text, told)]))
    with_facts = [(suite, _properties(document, suite.device)) for suite in suites]
    return written(_head(document), with_facts, document.started)


def _head(document: Saved) -> str:
    return f"vkmapctl {document.__struct_config__.tag}"


def _device_suites(document: Saved, devices: Sequence[Device]) -> Iterator[tuple[Device, str]]:
    """Each device with its suite's name, which no other device's suite has."""
    names = [device.name for device in devices]
    for device in devices:
        apart = f" (device {device.index})" if names.count(device.name) > 1 else ""
        yield device, f"{_head(document)}: {device.name}{apart}"


def _run_suites(run: Run) -> Iterator[Suite]:
    """A case for each row, and one for each threshold that was missed."""
    for device, name in _device_suites(run, run.devices):
        rows = [row for row in run.results if row.device == device.index]
        cases = [Case(row.job, KINDS[row.status], row.reason, _row_text(row), row.seconds) for row in rows]
        yield Suite(name, cases, device)
    missed = [note.message for note in run.warnings if note.code == "threshold"]
    yield Suite("vkmapctl stress: thresholds", [Case(one.partition(": it is ")[0], "failure", one) for one in missed])


def _row_text(row: Row) -> str:
    rate = next(one for one in FIGURES if one.key == "pairs_per_second")
    shown = {one.key: i for i, one in enumerate(PERCENTILES)}
    parts = [f"pairs/s {rate.text(row)}"]
    for _, call, latency in columns.distributions(row):
        cells = columns.percentiles(latency)
        parts.append(f"{call} p50 {cells[shown['p50_ns']]}, p99 {cells[shown['p99_ns']]}")
    return f"{memory_label(row)}, {row.api}; {'; '.join(parts)}"


def _verify_suites(report: VerifyReport) -> Iterator[Suite]:
    """Skips carry their reasons; a quality finding passes and says what it saw."""
    for device, name in _device_suites(report, report.devices):
        cases = [
            Case(
                name=f"{row.id} {row.title}" + ("" if row.memory_type is None else f" [{check_label(row)}]"),
                kind=KINDS[row.status],
                text=row.detail,
                output=f"rule: {row.rule}\n{row.status}: {row.detail}".rstrip(": "),
                seconds=row.seconds,
            )
            for row in report.results
            if row.device == device.index
        ]
        yield Suite(name, cases, device)


def _probe_suites(report: ProbeReport) -> Iterator[Suite]:
    """A case for each live proof and one for the device as a whole; and one for each gate that does not hold."""
    yield Suite("vkmapctl probe: gate", [Case(one, "error", one) for one in report.missing])
    described = [probe.device for probe in report.devices if probe.device]
    names = {device.index: name for device, name in _device_suites(report, described)}
    for probe in report.devices:
        name = names[probe.device.index] if probe.device else "vkmapctl probe: drivers that were left out"
        yield Suite(name, [*_probe_cases(probe)], probe.device)


def _probe_cases(probe: Probe) -> Iterator[Case]:
    told = "\n".join(f"[{note.code}] {note.message}" for note in probe.notes)
    yield Case("device" if probe.device else probe.reason, KINDS[probe.status], probe.reason, told)
    for proof in probe.proofs:
        yield Case(f"proof {proof.by}", KINDS[proof.status], proof.detail, f"{proof.status}: {proof.detail}")


def written(head: str, suites: Iterable[tuple[Suite, Iterable[tuple[str, str]]]], started: str) -> bytes:
    """Suites, each with its properties, as XML."""
    root = ET.Element("testsuites", name=head)
    for suite, told in suites:
        counts = {kind: sum(case.kind == kind for case in suite.cases) for kind in (*_RED, "skipped")}
        element = ET.SubElement(
            root,
            "testsuite",
            name=suite.name,
            tests=str(len(suite.cases)),
            failures=str(counts["failure"]),
            errors=str(counts["error"]),
            skipped=str(counts["skipped"]),
            time=f"{sum(case.seconds for case in suite.cases):.3f}",
        )
        if started:
            element.set("timestamp", started)
        properties = ET.SubElement(element, "properties")
        for name, value in told:
            ET.SubElement(properties, "property", name=name, value=value)
        seen: dict[str, int] = {}
        for case in suite.cases:
            seen[case.name] = seen.get(case.name, 0) + 1
            again = f" ({seen[case.name]})" if seen[case.name] > 1 else ""
            _add_case(element, suite.name, case._replace(name=case.name + again))
    ET.indent(root)
    data: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def _properties(document: Saved, device: Device | None) -> Iterator[tuple[str, str]]:
    """What is known, by the names that a dashboard can rely on."""
    if device:
        yield "device", device.name
        yield "driver", f"{device.driver_name} {device.driver_info}".strip()
        yield "vulkan", device.api_version
    for name, value in (("loader", document.loader), ("version", document.tool.version)):
        if value:
            yield name, value


def _add_case(suite: ET.Element, suite_name: str, case: Case) -> None:
    element = ET.SubElement(suite, "testcase", classname=suite_name, name=case.name, time=f"{case.seconds:.3f}")
    if case.kind != "passed":
        ET.SubElement(element, case.kind, message=case.text)
    if case.output:
        ET.SubElement(element, "system-out").text = case.output
