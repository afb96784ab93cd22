"""Shows that the checker catches broken drivers: each fault of the test layer against what should notice it."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from vkmapctl.checks import registry
from vkmapctl.driver import layers
from vkmapctl.driver.injection import faults
from vkmapctl.driver.process import Interrupts
from vkmapctl.driver.protocol import Interrupted
from vkmapctl.errors import Unsupported
from vkmapctl.figures import outcomes
from vkmapctl.inside.layer import LayerChoice
from vkmapctl.model.base import Status
from vkmapctl.model.case import Touch
from vkmapctl.model.device import MemoryType
from vkmapctl.model.documents import SCHEMA, SelftestReport, Tool, Trial
from vkmapctl.model.workload import Workload
from vkmapctl.plans import patience
from vkmapctl.plans.gates import parse_threshold
from vkmapctl.plans.selectors import select
from vkmapctl.stress import Stress
from vkmapctl.verify import Attempts

HANG_SECONDS = 3.0
EMULATED_ONLY = "(emulated)"  # in the catalogue's description
UNTOUCHED = ("pass", "skip", "ok")  # the verdicts without any fault


class Load(NamedTuple):
    """A short stress run, for what only load shows."""

    touch: Touch = "none"
    fail_if: str | None = None
    period: int = 1


class Notice(NamedTuple):
    """What must notice a fault: a check by its id, or a stress run; and the verdicts that count, one of them."""

    by: str | Load
    verdicts: tuple[str, ...] = ("fail",)


# A fault that is missing here is reported as uncaught.
TRIALS: Mapping[str, tuple[Notice, ...]] = {
    "map-fails": (Notice("M1"),),
    "place-elsewhere": (Notice("P1"),),
    "reserve-lets-go": (Notice("R2"), Notice("R3")),
    "reserve-fails": (Notice("P8"),),
    "reserve-lies": (Notice("R1"),),
    "reserve-keeps": (Notice("R2-view", ("quality",)), Notice("R8", ("quality",))),
    "reserve-ignored": (Notice("R1"), Notice("R1-none"), Notice("R1-all")),
    "reserve-ignores-none": (Notice("R1-none"), Notice("R1-all")),
    "unmap2-fails": (Notice("M5"),),
    "unmap-keeps": (Notice("M10", ("quality",)), Notice("P15", ("quality",))),
    "contents-lost": (Notice("M3"), Notice("P7")),
    "bit-flip": (Notice(Load(touch="verify", period=97), ("failed",)), Notice("M3")),
    "misaligned-pointer": (Notice("M1"),),
    "map2-ignores-offset": (Notice("M4"), Notice("M3")),
    "whole-size-short": (Notice("M2", ("crashed",)),),
    "tramples-neighbours": (Notice("P2"),),
    "place-replaces-64k": (Notice("P2"),),
    "first-place-refused": (Notice("P1-first"),),
    "place-sticks": (Notice("P7-second"),),
    "refused-map-null": (Notice("M9"), Notice("P9-refused"), Notice("P9")),
    "large-maps-fail": (Notice("M11", ("quality",)), Notice("P17", ("quality",))),
    "parallel-maps-collide": (Notice("M12", ("fail", "crashed")),),
    "fork-disturbs": (Notice("M13"), Notice("M8-fork")),
    "free-keeps": (Notice("M7-gone", ("quality",)), Notice("P16")),
    "free-releases": (Notice("P16"), Notice("R7", ("quality",))),
    "shared-address": (Notice("M6"),),
    "map-sleeps": (Notice(Load(fail_if="map.p50>1ms"), ("missed",)),),
    "map-hangs": (Notice("M5", ("hung",)),),
    "map-crashes": (Notice("M5", ("crashed",)),),
    "map-aborts": (Notice("M5", ("crashed",)),),
    "device-lost": (Notice("M8", ("lost",)),),
    "leak": (Notice("M7-leak", ("quality",)),),
    "features-unfilled": (Notice("P12"),),
    "entry-point-null": (Notice("M5"),),
    "out-of-memory": (Notice("M1", ("out-of-memory",)),),
    "init-crashes": (Notice("M1", ("crashed",)),),
    "enumerate-crashes": (Notice("M1", ("crashed",)),),
}


class Seen(NamedTuple):
    """What a check or a stress run said: its verdict, and the evidence in words."""

    verdict: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.verdict}: {self.evidence}" if self.evidence else self.verdict


class Selftest:
    """Runs trials on one device under the layer's emulation."""

    def __init__(self, selector: str | None) -> None:
        self._interrupts = Interrupts()
        with self._interrupts.caught():
            described = self._attempts("").describe()
        self.loader, self.layers = described.loader, layers.names(described.files)
        self.device = select(described.devices, selector)[0]
        usable = [one for one in self.device.memory_types if one.usable]
        if not usable or not self.device.placed.memory_map_placed:
            raise Unsupported(
                f"the test layer cannot emulate placed maps on {self.device.name}",
                "it needs VK_EXT_external_memory_host; lavapipe has it",
            )
        self._memory_type: MemoryType = usable[0]

    def _attempts(self, fault: str) -> Attempts:
        return Attempts(timeout=_patience(fault), layer=LayerChoice("placed", fault), interrupts=self._interrupts)

    def baseline(self) -> dict[str | Load, Seen]:
        """What the trials' checks say where no fault is injected: must be nothing, or the rest means nothing."""
        return {by: self._try("", by) for by in dict.fromkeys(one.by for trial in TRIALS.values() for one in trial)}

    def trials(self, descriptions: Mapping[str, str], baseline: Mapping[str | Load, Seen]) -> Iterator[Trial]:
        """Each fault against each of what must notice it."""
        for fault, description in descriptions.items():
            if EMULATED_ONLY in description and not self.device.placed.emulated:
                how = "needs emulated memory: this driver has placed maps of its own"
                yield Trial(fault, description, "", None, how)
                continue
            for by, verdicts in TRIALS.get(fault, ()):
                name, untouched = name_of(by), baseline[by]
                if untouched.verdict == "skip":
                    yield Trial(
                        fault, description, name, None, f"it cannot be tried here: {untouched.evidence}", verdicts
                    )
                    continue
                seen = self._try(fault, by)
                yield Trial(fault, description, name, seen.verdict in verdicts, str(seen), verdicts)
            if fault not in TRIALS:
                yield Trial(fault, description, "", False, "nothing is meant to notice it")

    def _try(self, fault: str, by: str | Load) -> Seen:
        """Raises Interrupted for a trial that the user ended."""
        if isinstance(by, Load):
            return self._stress(fault, by)
        with self._interrupts.caught():
            row = self._attempts(fault).attempt(registry.load()[by], self.device, self._memory_type)
        return Seen(row.status, row.detail)

    def _stress(self, fault: str, load: Load) -> Seen:
        run = Stress(
            Workload(sizes=(1 << 16,), touch=load.touch, seconds=0.5, warmup_seconds=0.0),
            selector=str(self.device.index),
            thresholds=[parse_threshold(load.fail_if)] if load.fail_if else (),
            timeout=_patience(fault),
            layer=LayerChoice("placed", f"{fault}:{load.period}" if fault else ""),
        ).run()
        if run.outcome == "interrupted":
            raise Interrupted
        seen = [row.reason for row in run.results if row.reason]
        seen += [note.message for note in run.warnings if note.code == "threshold"]
        return Seen(run.outcome, "; ".join(seen))


def _patience(fault: str) -> float:
    """Seconds: little where a hang is meant, so that on a busy machine nothing else counts as one."""
    return HANG_SECONDS if fault == "map-hangs" else patience.BASE_SECONDS


def name_of(by: str | Load) -> str:
    """What notices a fault, in words."""
    if isinstance(by, str):
        return f"verify {by}"
    return (
        "stress"
        + (f" --touch {by.touch}" if by.touch != "none" else "")
        + (f" --fail-if '{by.fail_if}'" if by.fail_if else "")
    )


def noticed_by(fault: str) -> list[str]:
    """What must notice a fault, in words, with the verdict where it is no plain failure."""
    return [
        name_of(by) + ("" if verdicts == ("fail",) else f" ({' or '.join(verdicts)})")
        for by, verdicts in TRIALS.get(fault, ())
    ]


def selftest(
    *,
    selector: str | None,
    version: str,
    on_trial: Callable[[Trial], None] = lambda trial: None,
    save: Callable[[SelftestReport], None] = lambda report: None,
) -> SelftestReport:
    """Injects every fault; the document is saved after every trial.

    Fails if a fault goes uncaught, or if a check complains without any.
    """
    test = Selftest(selector)
    report = SelftestReport(
        schema=SCHEMA, tool=Tool("vkmapctl", version), loader=test.loader, layers=test.layers, device=test.device
    )
    save(report)
    try:
        baseline = test.baseline()
        wrong = [f"{name_of(by)}: {seen}" for by, seen in baseline.items() if seen.verdict not in UNTOUCHED]
        report = replace(report, baseline=tuple(wrong))
        for trial in test.trials(faults(), baseline):
            report = replace(report, trials=(*report.trials, trial))
            save(report)
            on_trial(trial)
    except KeyboardInterrupt:  # between two trials as well
        return report
    caught = not report.baseline and all(trial.caught is not False for trial in report.trials)
    outcome: Status = "ok" if caught else "failed"
    return replace(report, outcome=outcome, exit_code=outcomes.EXIT[outcome])
