"""A workload resolved against this machine's devices without running it: rows, memory and time."""

from functools import partial

from vkmapctl.driver import listing
from vkmapctl.driver.process import Interrupts
from vkmapctl.errors import ExitCode, Unsupported
from vkmapctl.inside.layer import LayerChoice
from vkmapctl.machine import host
from vkmapctl.model.case import labels
from vkmapctl.model.device import Device, Room
from vkmapctl.model.documents import SCHEMA, PlannedRow, PlanReport, Refusal
from vkmapctl.model.workload import Job, Plan, Workload
from vkmapctl.plans import patience, workload
from vkmapctl.plans.selectors import select
from vkmapctl.worker.serve import serve

GROUP_SECONDS = 0.05  # to set up and end a group


def plan(
    wanted: Workload, *, selector: str | None = None, timeout: float | None = None, layer: LayerChoice | None = None
) -> PlanReport:
    """Raises VkmapError where there is no driver, or where what is asked for makes no sense on a device."""
    devices, room = _devices(selector, timeout, layer)
    plans: list[Plan] = []
    refused: list[Refusal] = []
    for device in devices:
        for part in wanted.parts():
            try:
                found = workload.resolve(part, device, room)
            except Unsupported as error:
                refused.append(Refusal(device.index, part.name, error.message, part.optional))
                continue
            plans.append(found)
    told = iter(labels([job for one in plans for job in one.jobs]))
    rows = [_row(job) for one in workload.labelled(plans, told) for job in one.jobs]
    groups = sum(len(one.groups) for one in plans)
    return PlanReport(
        schema=SCHEMA,
        workload=wanted,
        devices=tuple(devices),
        rows=tuple(rows),
        refused=tuple(refused),
        memory_bytes=max((row.memory_bytes for row in rows), default=0),
        seconds=sum(row.seconds or 0.0 for row in rows) + groups * GROUP_SECONDS,
        exit_code=ExitCode.UNSUPPORTED
        if refused and not (rows and all(one.optional for one in refused))
        else ExitCode.OK,
    )


def _devices(selector: str | None, timeout: float | None, layer: LayerChoice | None) -> tuple[list[Device], Room]:
    """The devices, and what the machine can give the process that holds them."""
    with Interrupts().caught() as interrupts:
        described = listing.listed(
            partial(serve, layer=layer), timeout=timeout or patience.BASE_SECONDS, interrupts=interrupts
        )
    return select(described.devices, selector), host.room(described.taken)


def _row(job: Job) -> PlannedRow:
    return PlannedRow(job, job.memory_bytes, job.planned_seconds)
