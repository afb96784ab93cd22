"""The colours of the page's charts, as people see them who lack the cones for red (protanopia) or green (deuteranopia).

Colours are simulated by the matrices for a complete lack of Machado, Oliveira and Fernandes, "A Physiologically-based
Model for Simulation of Color Vision Deficiency", IEEE TVCG 15 (6), 2009, which are for linear RGB, and told apart by
CIEDE2000 as Sharma, Wu and Dalal give it, "The CIEDE2000 Color-Difference Formula: Implementation Notes, Supplementary
Test Data, and Mathematical Observations", Color Research and Application 30 (1), 2005.
"""

import re
from itertools import combinations, pairwise
from math import atan2, cos, degrees, exp, hypot, radians, sin, sqrt
from pathlib import Path

import pytest

import vkmapctl
from vkmapctl.reports import charts

STYLE = (Path(vkmapctl.__file__).parent / "templates/base.html").read_text()
SEEN_BY = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
}
LEAST_OF_ALL, LEAST_OF_NEIGHBOURS, LEAST_OF_FOUR = 16.0, 19.0, 22.0  # CIEDE2000; 1 is what can just be told
LEAST_CONTRAST = 3.0  # WCAG 2.2, 1.4.11


def palettes() -> dict[str, tuple[list[str], str]]:
    """Of light and dark: the colours in their order, and the paper."""
    light, dark = STYLE.split("prefers-color-scheme: dark", 1)
    found = {}
    for name, text in (("light", light), ("dark", dark)):
        colours = [re.search(rf"--c{i}: (#\w+);", text)[1] for i in range(charts.COLOURS)]
        found[name] = colours, re.search(r"--paper: (#\w+);", text)[1]
    return found


def linear(colour: str) -> list[float]:
    """Linear RGB of `#rrggbb`."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def seen(colour: str, by: str) -> tuple[float, float, float]:
    """CIELAB under D65 of a colour as somebody sees it."""
    rgb = linear(colour)
    r, g, b = (min(max(sum(k * part for k, part in zip(row, rgb, strict=True)), 0), 1) for row in SEEN_BY[by])
    xyz = (
        (0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047,
        0.2126729 * r + 0.7151522 * g + 0.0721750 * b,
        (0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883,
    )
    x, y, z = (part ** (1 / 3) if part > 216 / 24389 else (24389 / 27 * part + 16) / 116 for part in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def ciede2000(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """The difference of two colours in CIELAB."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (hypot(a1, b1) + hypot(a2, b2)) / 2
    stretch = 1 + 0.5 * (1 - sqrt(mean**7 / (mean**7 + 25**7)))
    c1, c2 = hypot(a1 * stretch, b1), hypot(a2 * stretch, b2)
    h1, h2 = degrees(atan2(b1, a1 * stretch)) % 360, degrees(atan2(b2, a2 * stretch)) % 360
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    hue = (h1 + turn / 2) % 360 if c1 * c2 else h1 + h2
    dl, dc, dh = l2 - l1, c2 - c1, 2 * sqrt(c1 * c2) * sin(radians(turn / 2))
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    waves = ((0.17, 1, -30, -1), (0.24, 2, 0, 1), (0.32, 3, 6, 1), (0.20, 4, -63, -1))
    t = 1 + sum(sign * weight * cos(radians(times * hue + shift)) for weight, times, shift, sign in waves)
    sl = 1 + 0.015 * (lightness - 50) ** 2 / sqrt(20 + (lightness - 50) ** 2)
    sc, sh = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    rt = -2 * sqrt(chroma**7 / (chroma**7 + 25**7)) * sin(radians(60 * exp(-(((hue - 275) / 25) ** 2))))
    return sqrt((dl / sl) ** 2 + (dc / sc) ** 2 + (dh / sh) ** 2 + rt * dc / sc * dh / sh)


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.4900, -0.0010), (50, -2.4900, 0.0009), 7.1792),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_formula_gives_what_its_authors_publish(one, other, difference) -> None:
    assert ciede2000(one, other) == pytest.approx(difference, abs=5e-5)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("by", SEEN_BY)
def test_any_two_colours_differ_for_everybody(scheme, by) -> None:
    colours, _ = palettes()[scheme]
    labs = [seen(colour, by) for colour in colours]
    assert min(ciede2000(*pair) for pair in combinations(labs, 2)) >= LEAST_OF_ALL
    assert min(ciede2000(*pair) for pair in pairwise(labs)) >= LEAST_OF_NEIGHBOURS
    assert min(ciede2000(*pair) for pair in combinations(labs[:4], 2)) >= LEAST_OF_FOUR


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_colour_stands_out_from_the_paper(scheme) -> None:
    colours, paper = palettes()[scheme]

    def luminance(colour: str) -> float:
        red, green, blue = linear(colour)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for colour in colours:
        dark, light = sorted((luminance(colour), luminance(paper)))
        assert (light + 0.05) / (dark + 0.05) >= LEAST_CONTRAST, colour


def test_a_palette_of_hues_alone_would_not_pass() -> None:
    """What the page had before: two of its eight were one colour without the cones for red."""
    older = ("#0b62a4", "#bf4408", "#08705a", "#93318a", "#7a5c00", "#4d51c2", "#a3224f", "#4f5b66")
    assert min(ciede2000(*pair) for pair in combinations([seen(one, "protanopia") for one in older], 2)) < 5
