"""The Python API, as `import vkmapctl` offers it: what the commands of the same names do, returned as frozen data.

A document says how its run ended: `outcome`, `exit_code`, `reason`, and a status for each row. What the command refuses
with an error is raised: UsageProblem for an argument that makes no sense, Unsupported where the machine lacks what was
asked for, DriverDied where the driver crashed or hung before anything was known; all are VkmapError. Where the program
is told to end meanwhile (SIGINT, SIGTERM, SIGHUP), KeyboardInterrupt is raised, whose first argument is the document
so far. The driver runs in a forked process; nothing of Vulkan is loaded into the caller's.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from vkmapctl import __version__
from vkmapctl.driver.injection import chosen
from vkmapctl.model.documents import DoctorReport, Document, ProbeReport, Run, SelftestReport, VerifyReport
from vkmapctl.model.recorded import RecordReport
from vkmapctl.plans import workload_file
from vkmapctl.probe import probe as _probe
from vkmapctl.saved import files
from vkmapctl.stress import Stress
from vkmapctl.verify import verify as _verify

DocumentT = TypeVar("DocumentT", bound=Document)
Emulated = Literal["placed", "range"]


def probe(
    device: str | int | None = None,
    *,
    require: Sequence[str] = (),
    expect_driver: str | None = None,
    timeout: float | None = None,
    emulate: Emulated | None = None,
    inject: str | None = None,
    validate: bool = False,
) -> ProbeReport:
    """Each device's mapping features, proved live.

    device: index, part of the name, UUID prefix, driver name or `all`; all by default. require, expect_driver: what
    `missing` names where it is lacking. timeout: seconds without progress after which a driver counts as hung. emulate:
    `placed` or `range`, maps that the test layer places; inject: one of its faults; validate: through the Khronos
    validation layer.
    """
    report = _probe(
        selector=_selector(device),
        requirements=require,
        expected_driver=expect_driver,
        timeout=timeout,
        layer=chosen(emulate, inject, validate),
        version=__version__,
    )
    return _ended(report)


def stress(
    workload: str | os.PathLike[str] = "quick",
    *,
    device: str | int | None = None,
    require: Sequence[str] = (),
    expect_driver: str | None = None,
    timeout: float | None = None,
    emulate: Emulated | None = None,
    inject: str | None = None,
    validate: bool = False,
    together: bool = False,
    **options: Any,
) -> Run:
    """Throughput and latency of map and unmap.

    workload: a preset's name or a TOML file. options: what wins over it, by the keys of workload files, with values as
    they have them: `size=["64K", "1M"], duration="1s", fail_if="map.p99>50us"`. require, expect_driver: Unsupported is
    raised where the device lacks them. together: every device alone, then all at once.

    The others are probe's.
    """
    asked = workload_file.flags(options, "stress()")
    thresholds = asked.pop("fail_if", [])
    wanted = workload_file.load(os.fspath(workload), asked)
    run = Stress(
        wanted,
        selector="all" if together and device is None else _selector(device),
        requirements=require,
        expected_driver=expect_driver,
        thresholds=thresholds,
        timeout=timeout,
        layer=chosen(emulate, inject, validate),
        version=__version__,
        together=together,
    ).run()
    return _ended(run)


def verify(
    *checks: str,
    device: str | int | None = None,
    quirks: Sequence[str] = (),
    known_failures: Sequence[str] = (),
    require: Sequence[str] = (),
    expect_driver: str | None = None,
    timeout: float | None = None,
    emulate: Emulated | None = None,
    inject: str | None = None,
    validate: bool = False,
) -> VerifyReport:
    """The driver against the specification, each check in a process of its own.

    checks: ids such as "M1", all by default. quirks: usage to try as well that the specification forbids.
    known_failures: checks whose breaking does not fail the run.

    The others are stress's.
    """
    report = _verify(
        selector=_selector(device),
        identifiers=checks,
        quirks=quirks,
        known_failures=known_failures,
        requirements=require,
        expected_driver=expect_driver,
        timeout=timeout,
        layer=chosen(emulate, inject, validate),
        version=__version__,
    )
    return _ended(report)


def load(
    path: str | os.PathLike[str],
) -> Run | ProbeReport | VerifyReport | SelftestReport | DoctorReport | RecordReport:
    """A saved document. Raises UsageProblem for a file that is none, with what is wrong and where."""
    return files.load(Path(path))


def save(
    document: Run | ProbeReport | VerifyReport | SelftestReport | DoctorReport | RecordReport,
    path: str | os.PathLike[str],
    *,
    force: bool = False,
) -> None:
    """Writes a document as `--save` does: whole, by rename. Raises UsageProblem where it cannot.

    force: overwrite a file that vkmapctl did not write.
    """
    sink = files.Sink(Path(path), force=force)
    sink.save(document)
    if sink.error:
        raise sink.error


def _selector(device: str | int | None) -> str | None:
    return None if device is None else str(device)


def _ended(document: DocumentT) -> DocumentT:
    if document.outcome == "interrupted":
        raise KeyboardInterrupt(document)
    return document
