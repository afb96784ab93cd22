"""What a verify run found: the headline of each device, what broke, what was left out and why. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vkmapctl.model.base import VerdictStatus
from vkmapctl.model.device import Device
from vkmapctl.model.documents import CheckRow, VerifyReport

DIED = ("crashed", "hung", "lost", "out-of-memory")
BROKEN = ("fail", *DIED)
LEFT_OUT = ("skip", "not-run")
CHAPTERS: dict[str, tuple[VerdictStatus, ...]] = {  # in the order in which a reader wants them
    "Failures": ("fail",),
    "Crashes and hangs": ("crashed", "hung", "lost", "out-of-memory"),
    "Quality": ("quality",),
    "Known failures": ("known",),
}
MOST_NAMED = 8  # checks that a headline names


class Seen(NamedTuple):
    """One finding, and on which memory types: empty where it is every one of several that the check ran on."""

    status: VerdictStatus
    types: tuple[str, ...]
    detail: str


class Finding(NamedTuple):
    """A check that did not simply pass, with what was seen. first: any of its rows, for what all have in common."""

    first: CheckRow
    seen: tuple[Seen, ...]


class Left(NamedTuple):
    """Checks that did not run for one reason. types: the memory types, where the checks ran on others."""

    status: VerdictStatus
    checks: tuple[str, ...]
    types: tuple[str, ...]
    reason: str


class Summary(NamedTuple):
    """A verify run of one device."""

    device: Device
    rows: tuple[CheckRow, ...]
    headline: str
    good: bool
    chapters: dict[str, tuple[Finding, ...]]
    left: tuple[Left, ...]
    passes: tuple[str, ...]


def type_label(row: CheckRow) -> str:
    """`#0 De Vi Co Ca`, or nothing where no memory type was involved."""
    return "" if row.memory_type is None else " ".join((f"#{row.memory_type}", *row.memory_flags))


def plural(count: int, one: str, many: str = "") -> str:
    """`1 check`, `2 checks`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def summaries(report: VerifyReport) -> list[Summary]:
    """One for each device."""
    return [_summary(report, device) for device in report.devices]


def by_check(rows: Iterable[CheckRow]) -> dict[str, list[CheckRow]]:
    """The rows of each check, in the order in which they ran."""
    found: dict[str, list[CheckRow]] = {}
    for row in rows:
        found.setdefault(row.id, []).append(row)
    return found


def _summary(report: VerifyReport, device: Device) -> Summary:
    rows = tuple(row for row in report.results if row.device == device.index)
    checks = by_check(rows)
    chapters = {title: tuple(_findings(checks, statuses)) for title, statuses in CHAPTERS.items()}
    odd = {row.id for row in rows if row.status not in ("pass", *LEFT_OUT)}
    passes = tuple(name for name, own in checks.items() if name not in odd and any(r.status == "pass" for r in own))
    headline, good = _headline(report, device, checks, len(passes))
    return Summary(device, rows, headline, good, chapters, tuple(_left(checks)), passes)


def _findings(checks: dict[str, list[CheckRow]], statuses: Sequence[str]) -> Iterable[Finding]:
    for rows in checks.values():
        seen: dict[tuple[VerdictStatus, str], list[str]] = {}
        ran = [row for row in rows if row.status not in LEFT_OUT]
        for row in rows:
            if row.status in statuses:
                seen.setdefault((row.status, row.detail), []).append(type_label(row))
        if seen:
            yield Finding(
                rows[0],
                tuple(
                    Seen(status, () if len(types) == len(ran) > 1 else tuple(types), detail)
                    for (status, detail), types in seen.items()
                ),
            )


def _left(checks: dict[str, list[CheckRow]]) -> Iterable[Left]:
    groups: dict[tuple[VerdictStatus, str, tuple[str, ...]], list[str]] = {}
    for name, rows in checks.items():
        ran = any(row.status not in LEFT_OUT for row in rows)
        reasons: dict[tuple[VerdictStatus, str], list[str]] = {}
        for row in rows:
            if row.status in LEFT_OUT:
                reasons.setdefault((row.status, row.detail), []).append(type_label(row))
        for (status, reason), types in reasons.items():
            some = tuple(types) if ran or len(reasons) > 1 else ()
            groups.setdefault((status, reason, some), []).append(name)
    for (status, reason, some), names in groups.items():
        yield Left(status, tuple(names), some, reason)


def _headline(report: VerifyReport, device: Device, checks: dict[str, list[CheckRow]], passes: int) -> tuple[str, bool]:
    """One sentence, and whether it is good news."""
    made = ["placed maps emulated"] * device.placed.emulated
    made += [f"the fault {report.injected} injected"] * bool(report.injected)
    name = device.name + (f" with {' and '.join(made)}" if made else "")
    statuses = {one: {row.status for row in rows} for one, rows in checks.items()}
    ran = [one for one, found in statuses.items() if not found <= {*LEFT_OUT}]
    broken = [one for one in ran if not statuses[one].isdisjoint(BROKEN)]
    quality = [one for one in ran if "quality" in statuses[one]]
    known = [one for one in ran if "known" in statuses[one]]
    unfinished = report.outcome == "interrupted" or any("not-run" in found for found in statuses.values())
    if broken:
        words = [_named(one, statuses[one]) for one in broken[:MOST_NAMED]]
        words += [f"{len(broken) - MOST_NAMED} more"] * (len(broken) > MOST_NAMED)
        fail = "fails" if len(broken) == 1 else "fail"
        layers = [row.at_fault for rows in checks.values() for row in rows if row.status in BROKEN]
        by = dict.fromkeys(name for names in layers for name in names) if all(layers) else {}
        text = f"{len(broken)} of {plural(len(ran), 'check')} {fail} on {name}: {', '.join(words)}"
        text += f"; not the driver is at fault, but {', '.join(by)}" * bool(by)
        return text + "; not every check was run" * unfinished, False
    if report.reason:
        return f"the run on {name} broke off: {report.reason}", False
    if unfinished:
        return f"nothing fails on {name} so far; not every check was run", False
    if not ran:
        return f"nothing could be checked on {name}: {plural(len(checks), 'check')} skipped", False
    notes = [f"{plural(passes, 'check passes', 'checks pass')}"]
    notes += [f"{', '.join(quality)} {_fall(quality)} short of good quality"] * bool(quality)
    notes += [f"{', '.join(known)} {_fail(known)} as known"] * bool(known)
    if report.outcome not in ("ok", "failed", "unsupported"):
        return f"{'; '.join(notes)} on {name}, but the run is {report.outcome}: see the warnings", False
    begin = f"nothing new fails on {name}" if known else f"everything that {name} offers works"
    return f"{begin}: {'; '.join(notes)}", True


def _fall(names: Sequence[str]) -> str:
    return "falls" if len(names) == 1 else "fall"


def _fail(names: Sequence[str]) -> str:
    return "fails" if len(names) == 1 else "fail"


def _named(name: str, statuses: set[VerdictStatus]) -> str:
    """`P2`, or `M5 (crashed)` where it did not end as a failure does."""
    died = [status for status in DIED if status in statuses]
    return name if "fail" in statuses or not died else f"{name} ({died[0]})"
