"""A plan as a table. Knows no driver and no files."""

from collections.abc import Iterable

from vkmapctl import units
from vkmapctl.model.documents import PlanReport
from vkmapctl.model.workload import Job
from vkmapctl.reports.common import device_head
from vkmapctl.reports.elements import Block, Element, Text, table
from vkmapctl.units import NONE


def plan_view(report: PlanReport) -> Iterable[Element]:
    """Devices, a line for each row to come, what is refused, and the sums."""
    for device in report.devices:
        yield from device_head(device, "")
    if report.workload.question:
        yield Text(f"\nquestion: {report.workload.question}")
    plan = table("row", "what", "does", "memory", "time", numeric_from=3)
    for number, row in enumerate(report.rows, 1):
        seconds = NONE if row.seconds is None else units.duration(row.seconds * 1e9)
        job = row.job
        plan.add(str(number), job.job, described(job), units.size(row.memory_bytes), seconds)
    yield Block(plan, above=1)
    for one in report.refused:
        how = "left out" if one.optional else "unsupported"
        yield Text(f"\n{how} on device {one.device}: {one.part or 'the job'}: {one.reason}", style="yellow")
    rows = "1 row" if len(report.rows) == 1 else f"{len(report.rows)} rows"
    open_ended = any(row.seconds is None for row in report.rows)
    beside = ", beside the rows that run by iterations" if open_ended else ""
    memory, seconds = units.size(report.memory_bytes), units.duration(report.seconds * 1e9)
    yield Text(f"\n{rows}, at most {memory} at a time, about {seconds}{beside}")


def described(job: Job) -> str:
    """What a job does beside mapping, in words, and the device meanwhile."""
    told = ", ".join(_replayed(job) if job.traced else _done_by(job)) or "map, unmap"
    return told if job.gpu_load == "none" else f"{told}; GPU: {job.gpu_load}, {job.gpu_on}"


def _replayed(job: Job) -> list[str]:
    words = []
    if job.traced:
        threads = "1 thread" if job.threads == 1 else f"{job.threads} threads"
        words = [f"replays {sum(1 for _ in job.traced.walk())} steps of {threads}"]
        words += [f"{units.count(number)} {call}" for call, number in job.traced.calls().items()]
    words += ["in the recorded time"] if job.pace == "recorded" else []
    return words + [f"otherwise than recorded: {text}" for text in (job.fit.replaced if job.fit else ())]


def _done_by(job: Job) -> list[str]:
    words = []
    if job.scripted:
        mix = f", {job.draws} drawn at random" if job.draws else ""
        words.append(f"{job.steps} steps on {job.object_count} objects{mix}")
    if job.map_size is not None:
        words.append(f"maps {units.size(job.map_size)}")
    if job.placed and not job.scripted:
        words.append(f"placed {job.placed}")
    if job.fill:
        words.append("other addresses taken")
    if job.reserve:
        words.append("reserve")
    if job.touch != "none":
        words.append(f"touch {job.touch}")
    if job.threads > 1:
        words.append(f"{job.threads} threads")
    if job.live > 1:
        order = f", unmapped in {job.unmap_order} order" if job.unmap_order != "same" else ""
        words.append(f"{job.live} live{order}")
    if job.rate:
        words.append(f"{job.rate:g} cycles/s")
    return words
