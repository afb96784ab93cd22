"""Figures of a recording as its sentences tell them."""

from vkmapctl.model.recorded import RecordReport
from vkmapctl.units import count, duration


def number(value: float) -> str:
    """`52,352`; from a million on three digits."""
    return f"{value:,.0f}" if value < 1e6 else count(value)


def many(value: int, one: str) -> str:
    """`1 object`, `52,352 objects`."""
    return f"{number(value)} {one}{'s' * (value != 1)}"


def times(value: int) -> str:
    """`once`, `52,352 times`."""
    return "once" if value == 1 else f"{number(value)} times"


def spent(seconds: float) -> str:
    """A time in words."""
    return duration(seconds * 1e9)


def share(seconds: float, report: RecordReport) -> str:
    """`0.6 % of the program's 2.00 s`, or the time alone where the recording tells no whole."""
    if not report.seconds:
        return spent(seconds)
    return f"{per_cent(seconds / report.seconds)} of the program's {spent(report.seconds)}"


def per_cent(part: float) -> str:
    """`0.6 %`."""
    value = part * 100
    if value and value < 0.01:
        return "less than 0.01 %"
    return f"{value:.0f} %" if value >= 10 else f"{value:.2g} %"


def often(times: int, report: RecordReport) -> str:
    """`100 a second`, and of a program that presents `1.0 a frame`."""
    said = f"{count(times / report.seconds)} a second" if report.seconds else "in all"
    frames = report.frames
    if frames and frames.count and frames.marked_by == "present":
        return f"{said}, {times / frames.count:.1f} a frame"
    return said
