"""Shows that the checker catches broken drivers: each fault of the test layer against what should notice it."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from vkmapctl.checks import registry
from vkmapctl.driver.injection import faults
from vkmapctl.driver.process import Interrupts
from vkmapctl.errors import Unsupported, VkmapError
from vkmapctl.inside.layer import LayerChoice
from vkmapctl.model.case import Touch
from vkmapctl.model.device import Device, MemoryType
from vkmapctl.model.documents import SCHEMA, SelftestReport, Tool, Trial
from vkmapctl.model.workload import Workload
from vkmapctl.plans.gates import parse_threshold
from vkmapctl.plans.selectors import select
from vkmapctl.stress import Stress
from vkmapctl.verify import BROKEN, Attempts

HANG_SECONDS = 3.0
EMULATED_ONLY = "(emulated)"  # in the catalogue's description


class Load(NamedTuple):
    """A short stress run, for what only load shows."""

    touch: Touch = "none"
    fail_if: str | None = None
    period: int = 1


# What must notice each fault: checks by id, or a stress run. A fault that is missing here is reported as uncaught.
TRIALS: Mapping[str, tuple[str | Load, ...]] = {
    "map-fails": ("M1",),
    "place-elsewhere": ("P1",),
    "reserve-lets-go": ("R2", "R3"),
    "reserve-fails": ("P8",),
    "reserve-lies": ("R1",),
    "reserve-keeps": ("R2-view", "R8"),
    "unmap2-fails": ("M5",),
    "contents-lost": ("M3", "P7"),
    "bit-flip": (Load(touch="verify", period=97), "M3"),
    "misaligned-pointer": ("M1",),
    "map2-ignores-offset": ("M4", "M3"),
    "whole-size-short": ("M2",),
    "tramples-neighbours": ("P2",),
    "shared-address": ("M6",),
    "map-sleeps": (Load(fail_if="map.p50>1ms"),),
    "map-hangs": ("M5",),
    "map-crashes": ("M5",),
    "map-aborts": ("M5",),
    "device-lost": ("M8",),
    "leak": ("M7-leak",),
    "features-unfilled": ("P12",),
    "entry-point-null": ("M5",),
    "out-of-memory": ("M1",),
    "init-crashes": ("M1",),
    "enumerate-crashes": ("M1",),
}
CAUGHT = ("quality", *BROKEN)


class Selftest:
    """Runs trials on one device under the layer's emulation."""

    def __init__(self, selector: str | None) -> None:
        self._selector, self._interrupts = selector, Interrupts()
        self.device = self._select()
        usable = [one for one in self.device.memory_types if one.usable]
        if not usable or not self.device.placed.memory_map_placed:
            raise Unsupported(
                f"the test layer cannot emulate placed maps on {self.device.name}",
                "it needs VK_EXT_external_memory_host; lavapipe has it",
            )
        self._memory_type: MemoryType = usable[0]

    def _select(self) -> Device:
        with self._interrupts.caught():
            return select(self._attempts("").describe().devices, self._selector)[0]

    def _attempts(self, fault: str) -> Attempts:
        layer = LayerChoice("placed", fault)
        return Attempts(timeout=HANG_SECONDS, layer=layer, interrupts=self._interrupts)

    def baseline(self) -> list[str]:
        """What the trials' checks report although no fault is injected: must be nothing, or the rest means nothing."""
        wrong = []
        for by in dict.fromkeys(by for trial in TRIALS.values() for by in trial):
            caught, how = self._try("", by)
            if caught:
                wrong.append(f"{name_of(by)}: {how}")
        return wrong

    def trials(self, descriptions: Mapping[str, str]) -> Iterator[Trial]:
        """Each fault against each of its checks."""
        for fault, description in descriptions.items():
            if EMULATED_ONLY in description and not self.device.placed.emulated:
                yield Trial(
                    fault, description, "", None, "needs emulated memory: this driver has placed maps of its own"
                )
                continue
            for by in TRIALS.get(fault, ()):
                caught, how = self._try(fault, by)
                yield Trial(fault, description, name_of(by), caught, how)
            if fault not in TRIALS:
                yield Trial(fault, description, "", False, "nothing is meant to notice it")

    def _try(self, fault: str, by: str | Load) -> tuple[bool, str]:
        if isinstance(by, Load):
            return self._stress(fault, by)
        with self._interrupts.caught():
            try:
                row = self._attempts(fault).attempt(registry.load()[by], self.device, self._memory_type)
            except VkmapError as error:
                return True, error.message
        return row.status in CAUGHT, f"{row.status}: {row.detail}" if row.detail else row.status

    def _stress(self, fault: str, load: Load) -> tuple[bool, str]:
        run = Stress(
            Workload(sizes=(1 << 16,), touch=load.touch, seconds=0.5, warmup_seconds=0.0),
            selector=str(self.device.index),
            thresholds=[parse_threshold(load.fail_if)] if load.fail_if else (),
            timeout=HANG_SECONDS,
            layer=LayerChoice("placed", f"{fault}:{load.period}" if fault else ""),
        ).run()
        seen = [row.reason for row in run.results if row.reason]
        seen += [note.message for note in run.warnings if note.code == "threshold"]
        return run.exit_code != 0, f"{run.outcome}: {'; '.join(seen)}" if seen else run.outcome


def name_of(by: str | Load) -> str:
    """What notices a fault, in words."""
    if isinstance(by, str):
        return f"verify {by}"
    return (
        "stress"
        + (f" --touch {by.touch}" if by.touch != "none" else "")
        + (f" --fail-if '{by.fail_if}'" if by.fail_if else "")
    )


def selftest(
    *, selector: str | None, version: str, on_trial: Callable[[Trial], None] = lambda trial: None
) -> SelftestReport:
    """Injects every fault. Fails if one goes uncaught, or if a check complains without any."""
    test = Selftest(selector)
    wrong = test.baseline()
    trials = []
    for trial in test.trials(faults()):
        trials.append(trial)
        on_trial(trial)
    caught = not wrong and all(trial.caught is not False for trial in trials)
    return SelftestReport(
        schema=SCHEMA,
        tool=Tool("vkmapctl", version),
        device=test.device,
        baseline=tuple(wrong),
        trials=tuple(trials),
        outcome="ok" if caught else "failed",
        exit_code=0 if caught else 4,
    )
