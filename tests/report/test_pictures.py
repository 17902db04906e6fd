"""pictures: drawn from the profile, whatever its size, and leave no trace."""

import re
from itertools import combinations

import matplotlib
import numpy as np
import pytest

from snn_deploy.report.chart import width
from snn_deploy.report.colors import LIGHT
from snn_deploy.report.pictures import as_svg
from tests.report.profiles import (
    NO_ENERGY,
    early_rows,
    fixed_rows,
    profile,
    row,
    without_cutoff,
)

ALL = ("timesteps", "accuracy", "parts", "spread", "classes", "activity", "front")


@pytest.mark.parametrize("n", [1, 2, 200])
def test_pictures_are_labelled(n: int) -> None:
    axes = ("timesteps", "accuracy [%]", "mean energy of an input [", "inputs [%]")
    for name, words in zip(ALL[:4], axes, strict=True):
        drawn = as_svg(name, profile(n), LIGHT)

        assert drawn.startswith("<svg")
        assert words in drawn


def test_settings_of_the_user_change_nothing() -> None:
    expected = [as_svg(name, profile(), LIGHT) for name in ALL]

    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        found = [as_svg(name, profile(), LIGHT) for name in ALL]
        after = dict(matplotlib.rcParams)

    assert found == expected
    assert before == after


def test_cutoff_stands_at_its_mean() -> None:
    assert "cutoff: 96.7 % at 2<" in as_svg("accuracy", profile(), LIGHT)


def test_bars_name_their_sums() -> None:
    drawn = as_svg("parts", profile(), LIGHT)

    for text in ("20.0 µJ", "38.0 µJ", "60.0 µJ", "114 µJ"):
        assert f">{text}<" in drawn


def test_energies_of_zero_are_drawn() -> None:
    zero = dict.fromkeys(NO_ENERGY, 0.0)
    free = profile(rows=early_rows(5, **zero), fixed_rows=fixed_rows(5, **zero))

    assert "inputs [%]" in as_svg("spread", free, LIGHT)
    assert "0 J" in as_svg("parts", free, LIGHT)


def test_perfect_accuracy_fits() -> None:
    assert "accuracy" in as_svg("accuracy", profile(accuracy_at=np.ones(6)), LIGHT)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_the_axis_of_accuracy_ends_at_0_and_100(share: float) -> None:
    accuracy_at = np.linspace(0, share, 6)

    drawn = as_svg("accuracy", without_cutoff(accuracy_at=accuracy_at), LIGHT)

    ticks = [float(t) for t in re.findall(r">([\d.]+)</text>", drawn)]
    assert "\N{MINUS SIGN}" not in drawn
    assert ">-" not in drawn
    assert max(ticks) <= 100


def test_energies_close_together_still_have_ticks() -> None:
    rows = fixed_rows(3)
    alike = profile(rows=rows, fixed_rows=rows)
    ticks = re.findall(r">([\d.]+)</text>", as_svg("spread", alike, LIGHT))

    assert len({float(tick) for tick in ticks if 50 <= float(tick) <= 150}) >= 3


def _boxes(drawn: str) -> list[tuple[str, float, float, float, float]]:
    """Return the words of a picture, and about where they lie."""
    found = []
    for x, y, anchor, size, words in re.findall(
        r'<text x="([\d.-]+)" y="([\d.-]+)" text-anchor="(\w+)" '
        r'style="font-size:([\d.]+)px[^>]*>([^<]+)<',
        drawn,
    ):
        wide = width(words, float(size))
        left = float(x) - {"start": 0, "middle": 0.5, "end": 1}[anchor] * wide
        top = float(y) - 0.7 * float(size)
        found.append((words, left, left + wide, top, float(y)))
    return found


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("timesteps", [(1, 2, 3), (4, 4, 4), (1, 4, 4), (1, 1, 4)])
def test_no_words_lie_on_others(name: str, timesteps: tuple[int, ...]) -> None:
    rows = tuple(row(i, timesteps[i % 3]) for i in range(30))

    boxes = _boxes(as_svg(name, profile(rows=rows), LIGHT))

    assert len(boxes) >= 5
    for (one, a, b, c, d), (other, e, f, g, h) in combinations(boxes, 2):
        assert b <= e or f <= a or d <= g or h <= c, (one, other)


def test_colors_are_those_that_are_given() -> None:
    grays = {role: f"#{n:02x}{n:02x}{n:02x}" for n, role in enumerate(LIGHT, 40)}

    for name in ALL:
        drawn = as_svg(name, profile(), grays)

        assert set(re.findall(r"#[0-9a-f]{6}\b", drawn)) <= {*grays.values()}
        assert grays["muted"] in drawn
