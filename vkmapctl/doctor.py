"""The parent of a doctor: a probe of every device, a short run on one, and what both mean for a person."""

import os
from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace

from vkmapctl.begun import begun
from vkmapctl.errors import VkmapError
from vkmapctl.figures import advice, outcomes
from vkmapctl.inside import places
from vkmapctl.inside.layer import LayerChoice
from vkmapctl.model.base import Note
from vkmapctl.model.device import Device, Probe
from vkmapctl.model.documents import Answer, DoctorReport, Run
from vkmapctl.model.measured import Row
from vkmapctl.model.workload import Workload
from vkmapctl.plans.selectors import select
from vkmapctl.probe import probe
from vkmapctl.stress import Stress

KIB, MIB = 1 << 10, 1 << 20


def examine(
    *,
    selector: str | None = None,
    timeout: float | None = None,
    layer: LayerChoice | None = None,
    command: Sequence[str] = (),
    version: str = "",
    on_step: Callable[[str], None] = lambda text: None,
    begin: Callable[[DoctorReport], None] = lambda report: None,
    save: Callable[[DoctorReport], None] = lambda report: None,
) -> DoctorReport:
    """Some ten seconds. begin: gets the document before the driver is asked for anything. save: before it is measured.

    Raises VkmapError where no device can be described.
    """
    report = begun(DoctorReport, command=command, version=version, layer=layer)
    begin(report)
    on_step("looking for drivers and devices")
    probed = probe(selector=selector, timeout=timeout, layer=layer)
    report = replace(
        report,
        loader=probed.loader,
        layers=probed.layers,
        injected=probed.injected,
        devices=probed.devices,
        warnings=probed.warnings,
        outcome=probed.outcome,
        exit_code=probed.exit_code,
    )
    save(report)
    known = [one.device for one in probed.devices if one.device]
    if not known or probed.outcome == "interrupted":
        return report
    device = select(known, selector if selector not in (None, "all") else None)[0]
    found = next(one for one in probed.devices if one.device is device)
    on_step(f"measuring on {device.name}")
    return _with_answers(report, found, _measured(device, timeout, layer))


def _measured(device: Device, timeout: float | None, layer: LayerChoice | None) -> Run | VkmapError:
    try:
        wanted = Workload(name="doctor", jobs=_jobs(device))
        return Stress(wanted, selector=str(device.index), timeout=timeout, layer=layer).run()
    except VkmapError as error:
        return error


def _jobs(device: Device) -> tuple[Workload, ...]:
    """What the answers rest on; the placed ones where the device has placed maps."""
    short = partial(Workload, seconds=0.3, warmup_seconds=0.05)
    jobs = [
        short(name=advice.MAP, sizes=(64 * KIB, 16 * MIB)),
        short(name=advice.WRITE, sizes=(16 * MIB,), touch="write", memory_type="all"),
        short(name=advice.READ, sizes=(MIB,), touch="read", memory_type="all"),
    ]
    reserve = device.placed.memory_unmap_reserve
    if device.placed.memory_map_placed:
        placed = short(name=advice.PLACED, placed="any", reserve=reserve, sizes=(64 * KIB, 16 * MIB))
        low = Workload(
            name=advice.LOW, placed="low4g", reserve=reserve, sizes=(64 * KIB,), live=16, touch="verify",
            seconds=1.0, warmup_seconds=0.0,
        )  # fmt: skip
        jobs += [placed, low]
    return tuple(jobs)


def _with_answers(report: DoctorReport, found: Probe, run: Run | VkmapError) -> DoctorReport:
    rows: tuple[Row, ...] = ()
    in_path: tuple[str, ...] = ()
    if isinstance(run, VkmapError):
        status = outcomes.of_error(run)
        report = replace(report, warnings=(*report.warnings, Note("not-measured", run.message)))
    else:
        rows, status = run.results, run.outcome
        in_path = tuple(note.message.split()[0] for note in run.warnings if note.code == "layer-in-path")
    here = (Answer(line.about, "-", line.text, places.PAGE) for line in places.lines(os.environ))
    answers = (*advice.answers(found, rows, in_path), *here)
    usable = found.device is not None and any(one.usable for one in found.device.memory_types)
    outcome = outcomes.worst([report.outcome, "ok" if status == "unsupported" and usable else status])
    return replace(
        report,
        device=found.device.index if found.device else None,
        answers=answers,
        next=advice.next_steps(found, answers),
        results=rows,
        outcome=outcome,
        exit_code=outcomes.EXIT[outcome],
    )
