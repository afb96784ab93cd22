"""Which GPU of a fleet is not like its peers, or not like itself: plain data, as `fleet outliers --json` prints it.

Shifts are relative: 0.1 is a tenth slower, -0.1 a tenth faster.
"""

from typing import Literal

from vkmapctl.model.base import Data

Verdict = Literal["suspect", "run-again", "cleared"]
Against = Literal["peers", "hosts", "siblings", "itself", "host-itself"]


class Kind(Data, frozen=True, order=True):
    """What peers share. workload: a digest of it."""

    model: str
    cpu: str
    workload: str
    driver: str
    kernel: str


class Odd(Data, frozen=True, kw_only=True):
    """One that differs. verdict: `suspect` where two runs agree, `run-again` where the newest alone says so, `cleared`
    where the one before did and the newest does not.

    against: whom it was held against. `peers`: a GPU less its host; `hosts`: a host and other hosts; `siblings`: a
    single row of a GPU and its host's other GPUs, which is weaker evidence; `itself`: a GPU and its own earlier runs,
    `host-itself`: a host and its own. gpu: empty for a host. alone: the host has one GPU, so that the two cannot be
    told apart. runs: the newest that measured it, and the one before. shift, z, before: in the newest, None for one
    that is cleared in before where that run did not measure it.
    """

    verdict: Verdict
    against: Against
    kind: Kind
    host: str
    gpu: str = ""
    row: str = ""
    shift: float
    z: float
    before: float | None = None
    runs: tuple[str, ...]
    alone: bool = False

    @property
    def slower(self) -> bool:
        """Whether it is a fault that it may have: a faster one has to be explained, too."""
        return (self.before or 0.0 if self.verdict == "cleared" else self.shift) > 0


class Yardstick(Data, frozen=True, kw_only=True):
    """What one comparison could see. count: of what was compared. spread: of one that is well, relative. bar: the z
    above which one is odd. smallest: the slowdown that two runs both find 9 times out of 10.

    chance: how many are to be expected among the slower by chance, in one run. faster: how many were as far on the
    other side, where no fault puts them.
    """

    count: int
    spread: float
    bar: float
    smallest: float
    chance: float
    faster: int


class Group(Data, frozen=True, kw_only=True):
    """Peers, and how they were compared in `run`. reason: why there is no verdict at all, or empty.

    gpus, hosts: with figures in that run. rows: figures of each GPU. thin: GPUs that had less than half of the rows.
    by_gpu, by_host: None where there were too few.
    """

    kind: Kind
    run: str
    gpus: int
    hosts: int
    rows: int
    thin: int = 0
    reason: str = ""
    by_gpu: Yardstick | None = None
    by_host: Yardstick | None = None


class Drift(Data, frozen=True, kw_only=True):
    """GPUs and their own earlier runs. shared: the shift that all of them have, which is nobody's fault.

    was: the kind that they were of in the newest of their earlier runs. runs: as many earlier ones were to be had.
    """

    kind: Kind
    was: Kind
    gpus: int
    hosts: int
    runs: int
    shared: float
    by_gpu: Yardstick | None = None
    by_host: Yardstick | None = None


class Outliers(Data, frozen=True, tag_field="kind", tag="fleet-outliers"):
    """All of a fleet. found: suspects first, the largest shift first."""

    schema: str = "vkmapctl-fleet/1"
    runs: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    drifts: tuple[Drift, ...] = ()
    found: tuple[Odd, ...] = ()
    exit_code: int = 0
