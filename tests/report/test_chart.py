"""chart: says what matplotlib says of the same pictures, and draws values in place."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from snn_deploy.report.axis import nice_ticks
from snn_deploy.report.chart import Sheet
from snn_deploy.report.colors import LIGHT, graded
from snn_deploy.report.pictures import PICTURES, as_figure, as_svg
from tests.report.profiles import profile


def words_of_matplotlib(figure: Figure) -> set[str]:
    ticks = {
        tick.get_text()
        for axes in figure.axes
        for tick in (*axes.get_xticklabels(), *axes.get_yticklabels())
    }
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    labels = [words for a in figure.axes for words in (a.get_xlabel(), a.get_ylabel())]
    legends = [text.get_text() for legend in figure.legends for text in legend.texts]
    found = {line for text in (*texts, *labels, *legends) for line in text.split("\n")}
    return found - ticks - {""}


@pytest.mark.parametrize("name", sorted({*PICTURES} - {"error"}))
def test_a_chart_says_what_matplotlib_says(name: str) -> None:
    expected = words_of_matplotlib(as_figure(name, profile(40), LIGHT))

    drawn = as_svg(name, profile(40), LIGHT)

    texts = {*re.findall(r">([^<>]+)</text>", drawn)}
    assert expected
    assert expected <= texts


def test_values_are_drawn_at_their_place_between_the_ticks() -> None:
    sheet = Sheet("x", LIGHT, (4, 3))
    chart = sheet.subplots()
    chart.set_xlim(0, 10)
    chart.set_ylim(0, 4)
    chart.set_yticks([0, 2, 4])
    chart.plot([0, 5, 10], [0, 2, 4], "-", color="#123456")

    drawn = sheet.svg()

    (line,) = re.findall(r'd="M(\S+ \S+)L(\S+ \S+)L(\S+ \S+)" style="fill:none;', drawn)
    places = np.array([[float(x) for x in point.split()] for point in line])
    np.testing.assert_allclose(places[1], (places[0] + places[2]) / 2, atol=0.1)
    assert places[0, 0] < places[2, 0]
    assert places[0, 1] > places[2, 1]  # more is further up
    ticks = re.findall(r'y="(\S+)" text-anchor="end" style="[^"]*">(\S+)</text>', drawn)
    heights = {text: float(y) for y, text in ticks}
    assert heights["0"] - heights["2"] == pytest.approx(
        places[0, 1] - places[1, 1], abs=0.2
    )


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (97.55, 99.1, [97.6, 97.8, 98, 98.2, 98.4, 98.6, 98.8, 99]),
        (0, 1137, [0, 200, 400, 600, 800, 1000]),
        (0, 1e-30, [0, 2e-31, 4e-31, 6e-31, 8e-31, 1e-30]),
        (3, 3, [3]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert nice_ticks(low, high, 8) == pytest.approx(expected)


def test_a_line_without_points_leaves_the_others_where_they_are() -> None:
    drawn = []
    none: list[list[float]] = []
    for more in (none, [*none, []]):
        sheet = Sheet("x", LIGHT, (4, 3))
        chart = sheet.subplots()
        for x in [*more, [1, 2, 3]]:
            chart.plot(x, x, "o-", color="#123456")
        drawn.append(sheet.svg())

    assert drawn[0] == drawn[1]


def test_text_is_no_markup() -> None:
    sheet = Sheet("x", LIGHT, (4, 3))
    sheet.subplots().text(0, 0, "<a&b>")

    assert ">&lt;a&amp;b&gt;</text>" in sheet.svg()


def test_the_graded_colors_are_viridis() -> None:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    for share in np.linspace(0, 1, 300):
        assert graded(share) == to_hex(colormaps["viridis"](share))
