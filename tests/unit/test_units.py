"""Sizes and durations as people write them, and figures as they read them."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vkmapctl import units

LONGEST_NS = (1 << 64) - 1  # the loop counts time in 64 bits


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("4096", 4096),
        ("64K", 64 << 10),
        ("64k", 64 << 10),
        ("64KiB", 64 << 10),
        ("64kb", 64 << 10),
        ("256M", 256 << 20),
        ("1G", 1 << 30),
        ("1GiB", 1 << 30),
        ("2T", 2 << 40),
        ("1.5K", 1536),
        ("0.5G", 512 << 20),
        (" 8 MiB ", 8 << 20),
        ("12B", 12),
        (str((1 << 63) - 1), (1 << 63) - 1),
    ],
)
def test_sizes(text, expected):
    assert units.parse_size(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", " ", "-1", "+1", "1e6", "0x10", "K", "1KK", "1 6", "1.K", ".5K", "1.0001K", "0.1", "nan", "inf", "64Q",
     "whole", str(1 << 63), "8388608T", "9" * 400 + ".5", "9" * 5000, "1\x00"],
)  # fmt: skip
def test_sizes_refused(text):
    with pytest.raises(ValueError, match=r"\S"):
        units.parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("5s", 5.0), ("5 S", 5.0), ("2m", 120.0), ("2min", 120.0), ("1h", 3600.0), ("1.5s", 1.5),
     ("50us", 50e-6), ("50µs", 50e-6), ("50μs", 50e-6), ("35ns", 35e-9), ("0s", 0.0), ("0", 0.0), (" 0 ", 0.0)],
)  # fmt: skip
def test_durations(text, seconds):
    """Both characters for micro, U+00B5 and U+03BC, come from keyboards."""
    assert units.parse_duration(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    "text", ["", "5", "00", "0.0", "-0", "-5s", "5 s s", "s", "1e3s", "nan s", "infs", "5d", "5\u017f", "1,5s"]
)
def test_durations_refused(text):
    with pytest.raises(ValueError, match="is not a duration"):
        units.parse_duration(text)


@pytest.mark.parametrize("text", ["9" * 400 + "s", "9" * 20 + "h", "300000h", "6000000h"])
def test_a_duration_is_refused_or_fits_the_clock(text):
    """300,000 hours pass 2^60 ns; the loop takes 64 bits."""
    try:
        seconds = units.parse_duration(text)
    except ValueError:
        return
    assert seconds * 1e9 <= LONGEST_NS


def test_a_duration_within_bounds():
    assert units.parse_duration("10s", most=10.0) == 10.0
    with pytest.raises(ValueError, match=r"^'11s' is longer than 10 s$"):
        units.parse_duration("11s", most=10.0)
    for text in ("0", "0ms"):
        with pytest.raises(ValueError, match="longer than 0"):
            units.parse_duration(text, zero=False)


@pytest.mark.parametrize("text", ["9" * 5000, "9" * 5000 + "K", "0..4K*" + "9" * 5000])
def test_what_has_thousands_of_digits_is_refused_in_words(text):
    """Python's own message is about itself."""
    with pytest.raises(ValueError, match=r"larger than any memory|is not a range"):
        units.parse_sizes(text)


@given(st.one_of(st.text(), st.from_regex(r"\A[0-9]{1,30}(\.[0-9]{1,5})?\s?\w{0,3}\Z")))
@example("5\u017f")
@example("5μs")
def test_parsing_raises_nothing_but_value_errors(text):
    for parse in (units.parse_size, units.parse_duration):
        try:
            assert parse(text) >= 0
        except ValueError:
            pass


@pytest.mark.parametrize("exponent", range(5))
@given(count=st.integers(1, 1023))
def test_whole_units_survive_the_round_trip(exponent, count):
    value = count * 1024**exponent
    assert units.parse_size(units.size(value)) == value


@given(st.integers(1, (1 << 63) - 1))
def test_a_formatted_size_is_within_half_a_percent(value):
    number, unit = re.fullmatch(r"([\d.]+) (B|[KMGTPE]iB)", units.size(value)).groups()
    shown = float(number) * 1024 ** "BKMGTPE".index(unit[0])
    assert shown == pytest.approx(value, rel=0.0051)


@given(st.floats(1, 1e15))
@example(999.6)
@example(999_500.0)
def test_a_formatted_duration_parses_back_to_within_half_a_percent(ns):
    assert units.parse_duration(units.duration(ns)) * 1e9 == pytest.approx(ns, rel=0.0051)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.size(0), "0 B"),
        (units.size(4097), "4097 B"),
        (units.size(256 << 20), "256 MiB"),
        (units.duration(0), "0 ns"),
        (units.duration(2.5), "2.50 ns"),
        (units.duration(35), "35 ns"),
        (units.duration(12_800), "12.8 us"),
        (units.duration(999_960), "1.00 ms"),
        (units.duration(4_100_000), "4.10 ms"),
        (units.duration(2e9), "2.00 s"),
        (units.count(950), "950"),
        (units.count(12_345), "12.3 k"),
        (units.count(4_560_000), "4.56 M"),
        (units.count(1.2e9), "1.20 G"),
        (units.bandwidth(9.87e9), "9.87 GB/s"),
        (units.bandwidth(2.1e7), "21.0 MB/s"),
    ],
)
def test_figures_as_people_read_them(shown, expected):
    assert shown == expected


def test_a_sweep_of_sizes_ends_at_its_end():
    assert units.parse_sizes("64K") == [64 << 10]
    assert units.parse_sizes("4K..1M*4") == [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20]
    assert units.parse_sizes("4K..10K") == [4 << 10, 8 << 10, 10 << 10]
    assert units.parse_sizes("4K..fit*4") == ["4K..fit*4"]


@pytest.mark.parametrize("text", ["0", "0..4K", "4M..1K", "4K..", "4K..1M*1", "0..fit", "whole"])
def test_what_is_no_size_to_map(text):
    with pytest.raises(ValueError, match=r".+"):
        units.parse_sizes(text)
