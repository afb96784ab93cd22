"""What may happen, drawn by a seed: a command, a fault in its driver, signals at moments to the run's processes."""

import random
import shlex
import signal
from typing import NamedTuple

from vkmapctl.driver.injection import faults

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # what asks a run to end
WHOM = ("command", "driver", "group", "all")  # the command alone, its driver's processes, its group, all of its session
HANGS = ("map-hangs", "hang")
# A driver that breaks where no layer can: tests/icd.
BREAKS = (
    "load=crash", "vkCreateInstance=hang", "vkCreateInstance=return:-1", "vkEnumeratePhysicalDevices=crash",
    "vkCreateDevice=return:-3", "vkCreateDevice=abort", "vkCreateDevice=exit:0",
    "vkCreateDevice=thread,sleep:200,crash",
    "vkAllocateMemory=return:-2", "vkMapMemory*=hang", "vkMapMemory*=quit:0", "vkMapMemory*=fill:2:3000000",
    "vkMapMemory*=sleep:20", r"vkMapMemory*=write:1:\x1b[2J\x0a,crash", "vkUnmapMemory*=crash",
    "load=fork,sleep:60000", "vkDestroyDevice=crash", "vkDestroyDevice=hang", "vkDestroyInstance=abort", "exit=crash",
    r"deviceName=\x1b]0;x\x07\xff driverInfo=\xe2\x84\xa2", "heapBudget[0]=0",
)  # fmt: skip
CHECKS = {"none": ("M1", "M2", "M3", "M5", "M6"), "placed": ("M1", "M5", "P1", "P2", "P8", "R1", "R2")}
SECONDS = {"probe": 0.5, "stress": 1.5, "verify": 1.5, "doctor": 2.0, "selftest": 5.0}  # within which signals come


class Blow(NamedTuple):
    """A signal. after: seconds after the start; whom: one of WHOM; pause: seconds from SIGSTOP to SIGCONT."""

    after: float
    whom: str
    number: signal.Signals
    pause: float = 0.0

    @property
    def meets_command(self) -> bool:
        return self.whom != "driver"

    @property
    def meets_driver(self) -> bool:
        return self.whom in ("driver", "all")

    @property
    def asks_to_end(self) -> bool:
        return self.meets_command and self.number in ENDING


class Case(NamedTuple):
    """One run. breaks: settings of the test driver, empty for lavapipe itself; inject: a fault of the test layer."""

    seed: str
    number: int
    arguments: tuple[str, ...]
    breaks: str
    inject: str
    blows: tuple[Blow, ...]

    @property
    def faulty(self) -> bool:
        return bool(self.breaks or self.inject)

    def __str__(self) -> str:
        blows = [f"{one.number.name} to {one.whom} after {one.after:.3f} s" for one in self.blows]
        driver = f"VKMAPCTL_ICD={shlex.quote(self.breaks)} " if self.breaks else ""
        return f"{driver}vkmapctl {shlex.join(self.arguments)}; {', '.join(blows) or 'no signal'}"


def case_of(seed: str, number: int) -> Case:
    """The same for the same seed and number."""
    draw = random.Random(f"{seed}/{number}")
    command = draw.choices([*SECONDS], [4, 8, 6, 2, 1])[0]
    emulate = draw.choice(["none", "placed"])
    fault = draw.choice(["none", "layer", "icd"]) if command != "selftest" else "none"
    inject = draw.choice([*faults()]) if fault == "layer" else ""
    breaks = draw.choice(BREAKS) if fault == "icd" else ""
    words = [command, *_own_words(draw, command, emulate)]
    if command != "selftest":
        words += ["--timeout", "1s" if any(hang in inject + breaks for hang in HANGS) else "4s"]
        words += ["--emulate", emulate] * (emulate != "none") + ["--inject", inject] * bool(inject)
    forms = ["--json", "--markdown"] if command == "doctor" else ["--json"]
    words += [draw.choice(forms)] * (draw.random() < 0.6) + ["--quiet"] * (draw.random() < 0.6)
    words += ["--save", "saved.json"] * (draw.random() < 0.6)
    return Case(seed, number, tuple(words), breaks, inject, _blows(draw, command))


def _own_words(draw: random.Random, command: str, emulate: str) -> list[str]:
    if command == "stress":
        sizes = [
            word for size in draw.sample(["4K", "64K", "1M", "16M"], draw.randint(1, 3)) for word in ("--size", size)
        ]
        more = draw.choice([[], ["--touch", "verify"], ["--threads", "2"], ["--live", "5"], ["--api", "all"]])
        placed = ["--placed", "any"] * (emulate == "placed" and draw.random() < 0.5)
        return [*sizes, *more, *placed, "--duration", draw.choice(["100ms", "500ms"]), "--warmup", "0s"]
    if command == "verify":
        return [word for one in draw.sample(CHECKS[emulate], draw.randint(1, 3)) for word in ("--check", one)]
    return []


def _blows(draw: random.Random, command: str) -> tuple[Blow, ...]:
    """A selftest, which takes a minute, is always ended by the first."""
    blows = []
    for i in range(draw.choice([1, 1, 2] if command == "selftest" else [0, 1, 1, 2])):
        number = draw.choice((*ENDING, *ENDING, signal.SIGKILL, signal.SIGSTOP))
        whom = draw.choice(WHOM)
        if command == "selftest" and i == 0:
            number, whom = draw.choice((*ENDING, signal.SIGKILL)), draw.choice(("command", "group", "all"))
        pause = draw.uniform(0.05, 0.6) if number == signal.SIGSTOP else 0.0
        blows.append(Blow(draw.uniform(0.02, SECONDS[command]), whom, number, pause))
    return tuple(sorted(blows))
