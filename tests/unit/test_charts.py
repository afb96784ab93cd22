"""Charts before a browser draws them: what tells lines apart, where labels go, and names in lines that fit."""

import re
from itertools import combinations, pairwise

import pytest

from vkmapctl.reports import charts
from vkmapctl.reports.charts import Axis, Interval


def test_no_two_lines_have_dashes_and_marks_in_common() -> None:
    styles = [charts.style(number) for number in range(charts.MOST_LINES)]
    assert len({(one.dash, one.shape) for one in styles}) == charts.MOST_LINES
    assert (styles[0].dash, styles[0].shape) == (0, 0)
    for one, after in pairwise(styles):
        assert one.dash != after.dash
        assert one.shape != after.shape
        assert one.colour != after.colour


@pytest.mark.parametrize("width", [860.0, 360.0])
@pytest.mark.parametrize("far", [1, 3, 6, 8, 12])
def test_labels_of_ticks_have_room_at_every_width(width, far) -> None:
    axis = Axis(1.0, 10.0**far, 70, width - 30)
    ticks = charts.labelled([(10.0**k, f"{k} wide us") for k in range(far + 1)], axis, width)
    shown = [(axis.at(value), charts.room(label) / 2) for value, label in ticks if label]
    assert shown
    assert len(ticks) == far + 1
    assert all(at - half >= 0 and at + half <= width for at, half in shown)
    assert all(abs(one[0] - other[0]) > one[1] + other[1] for one, other in combinations(shown, 2))


def test_a_name_is_broken_at_blanks_and_a_long_word_inside() -> None:
    lines = charts.wrapped(f"dedicated, 64 MiB, placed low4g {'x' * 60} end", 200)
    assert all(charts.room(line) <= 200 for line in lines)
    assert "".join(lines).replace(" ", "") == f"dedicated,64MiB,placedlow4g{'x' * 60}end"
    assert len(charts.wrapped("映射" * 20, 200)) == 3
    assert charts.wrapped("", 200) == [""]


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    [(0.99, 1.02, (0.95, 1.05)), (0.6, 1.1, (0.5, 2.0)), (0.9, 35.0, (0.01, 100.0)), (1e-9, 1.0, (1e-9, 1e9))],
)
def test_a_scale_of_ratios_has_1_in_its_middle(low, high, ends) -> None:
    ticks = charts.ratios(low, high)
    assert (ticks[0], ticks[-1]) == pytest.approx(ends)
    assert 1.0 in ticks


def test_an_interval_that_leaves_the_scale_ends_with_it() -> None:
    far = Interval("p50", 2.0, 0.0, 4.0, "+100 %", "p50 +100 %", "slower")
    drawn = charts.intervals_chart([("row", [far])], label="change", width=860, title="NEW over BASE")
    numbers = [float(one) for one in re.findall(r' x[12]?="([-\d.e]+)"', drawn)]
    assert 0 <= min(numbers)
    assert max(numbers) <= 860
