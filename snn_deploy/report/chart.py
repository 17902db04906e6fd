"""Charts as SVG, drawn with the methods of matplotlib's axes that ``pictures`` uses.

PNG files and notebooks draw the same with matplotlib itself, which takes longer to
import and to lay out than a small profile to measure.
"""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

from snn_deploy.report.axis import Axis, Place
from snn_deploy.report.colors import Colors

POINTS = 72  # of an inch; a drawing's units
SMALL, NORMAL = 9, 10
WIDE = 0.56  # of a letter, in its height: a mean of sans-serif fonts
RISE = 0.72  # of a capital letter
GAP = 4.0  # between things
HANDLE = 11.0  # of a legend
SPACES = {"left": "start", "center": "middle", "right": "end"}
MARKS = {
    "o": "m{r} 0a{r} {r} 0 1 0 -{d} 0a{r} {r} 0 1 0 {d} 0z",
    "s": "m-{r} -{r}h{d}v{d}h-{d}z",
    "D": "m0 -{r}l{r} {r}l-{r} {r}l-{r} -{r}z",
    "^": "m0 -{r}l{r} {d}h-{d}z",
}
Draw = Callable[[Place, Place], str]
Named = tuple[
    str, Callable[[float, float], str]
]  # words of a legend; what draws its mark


class Side:
    """A line at the edge of a chart."""

    is_visible = True

    def set_visible(self, visible: bool) -> None:
        """Say whether it is drawn."""
        self.is_visible = visible


class Chart:
    """What is drawn in one pair of axes."""

    transAxes = "axes"  # noqa: N815  as matplotlib calls it

    def __init__(self, colors: Colors, y: Axis) -> None:
        self.colors = colors
        self.x, self.y = Axis(), y
        self.spines = {"left": Side(), "bottom": Side()}
        self.entries: list[Named] = []
        self.drawn: list[tuple[float, Draw]] = []
        self.words: list[Draw] = []
        self.has_grid = False
        self.is_upright = False  # labels of x

    def bar(self, x: Any, height: Any, width: float, *, color: str) -> None:
        """Draw upright bars."""
        x, height = np.atleast_1d(x), np.atleast_1d(height)
        self.x.add([x - width / 2, x + width / 2])
        self.y.add([0 * height, height], sticky=True)
        pairs = list(zip(x.tolist(), height.tolist(), strict=True))
        self._add(
            1.0,
            lambda at, up: "".join(
                _box(at(a - width / 2), at(a + width / 2), up(0), up(h), color)
                for a, h in pairs
            ),
        )

    def barh(
        self, y: Any, width: Any, height: float = 0.8, *, left: float = 0.0,
        color: str, lw: float = 0, label: str = "",
    ) -> None:  # fmt: skip
        """Draw bars to the right."""
        y, width = np.atleast_1d(y), np.atleast_1d(width)
        self.x.add([left + 0 * width, left + width], sticky=True)
        self.y.add([y - height / 2, y + height / 2])
        pairs = list(zip(y.tolist(), width.tolist(), strict=True))
        self._add(
            1.0,
            lambda at, up: "".join(
                _box(
                    at(left),
                    at(left + w),
                    up(b - height / 2),
                    up(b + height / 2),
                    color,
                )
                for b, w in pairs
            ),
        )
        if label:
            self.entries.append(
                (label, lambda x, y: _box(x, x + HANDLE, y - 6, y + 1, color))
            )

    def stairs(
        self, values: Any, edges: Any, *, color: str, fill: bool = False,
        alpha: float = 1.0, linewidth: float = 0.0,
    ) -> None:  # fmt: skip
        """Draw a histogram, its area or its outline."""
        x = np.repeat(np.asarray(edges, np.float64), 2)
        y = np.concatenate([[0.0], np.repeat(np.asarray(values, np.float64), 2), [0.0]])
        self.x.add(x)
        self.y.add(y, sticky=True)
        style = (
            f"fill:{color};fill-opacity:{alpha:g}"
            if fill
            else f"fill:none;stroke:{color};stroke-width:{linewidth:g}"
        )
        self._add(1.0, lambda at, up: _path(_line(x, y, at, up), style))

    def fill_between(
        self, x: Any, low: Any, high: Any, *, color: str, alpha: float, lw: float
    ) -> None:
        """Draw the area between two lines."""
        x = np.concatenate([x, np.flip(x)])
        y = np.concatenate([low, np.flip(high)])
        self.x.add(x)
        self.y.add(y)
        style = f"fill:{color};fill-opacity:{alpha:g}"
        self._add(1.0, lambda at, up: _path(_line(x, y, at, up) + "z", style))

    def plot(
        self, x: Any, y: Any, form: str, *, color: str, ms: float = 6.0,
        lw: float = 1.6, label: str = "", zorder: float = 2.0,
    ) -> None:  # fmt: skip
        """Draw points, a line, or both: ``o-`` is a line through dots."""
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        self.x.add(x)
        self.y.add(y)
        mark, has_line = form.removesuffix("-"), form.endswith("-")
        stroke = f"fill:none;stroke:{color};stroke-width:{lw:g}"

        def points(places: Iterable[tuple[float, float]]) -> str:
            if not mark:
                return ""
            shape = MARKS[mark].format(r=f"{ms / 2:g}", d=f"{ms:g}")
            d = "".join(f"M{a:.1f} {b:.1f}{shape}" for a, b in places)
            return _path(d, f"fill:{color}")

        def draw(at: Place, up: Place) -> str:
            pairs = [(at(a), up(b)) for a, b in zip(x, y, strict=True)]
            line = _path(_line(x, y, at, up), stroke) if has_line and len(x) else ""
            return line + points(pairs)

        self._add(zorder, draw)
        if label:
            line = stroke if has_line else ""
            self.entries.append(
                (
                    label,
                    lambda a, b: (
                        _handle(a, b, line) + points([(a + HANDLE / 2, b - 3)])
                    ),
                )
            )

    def step(
        self, x: Any, y: Any, *, where: str, color: str, lw: float,
        solid_capstyle: str, label: str, zorder: float,
    ) -> None:  # fmt: skip
        """Draw a line that goes on to each point before it rises to it."""
        stroke = f"fill:none;stroke:{color};stroke-width:{lw:g}"
        xs, ys = (
            np.repeat(np.asarray(x, float), 2)[1:],
            np.repeat(np.asarray(y, float), 2),
        )
        self.x.add(x)
        self.y.add(y)
        self._add(zorder, lambda at, up: _path(_line(xs, ys[:-1], at, up), stroke))
        self.entries.append((label, lambda a, b: _handle(a, b, stroke)))

    def vlines(self, x: Any, low: Any, high: Any, *, color: str, lw: float) -> None:
        """Draw upright lines."""
        self.x.add(x)
        self.y.add([low, high])
        ends = list(zip(x, low, high, strict=True))
        style = f"stroke:{color};stroke-width:{lw:g}"
        self._add(
            2.0,
            lambda at, up: _path(
                "".join(f"M{at(a):.1f} {up(b):.1f}V{up(c):.1f}" for a, b, c in ends),
                style,
            ),
        )

    def axvline(
        self, x: float, *, color: str, dashes: tuple[float, float], ymax: float
    ) -> None:
        """Draw a dashed line, up to a share of the height."""
        style = (
            f"stroke:{color};stroke-width:1.6;stroke-dasharray:{dashes[0]} {dashes[1]}"
        )

        def draw(at: Place, up: Place) -> str:
            low, high = (up(limit) for limit in self.y.range)
            return _path(
                f"M{at(x):.1f} {low:.1f}V{low + ymax * (high - low):.1f}", style
            )

        self._add(2.0, draw)

    def text(
        self, x: float, y: float, words: str, *, color: str = "", ha: str = "left",
        va: str = "baseline", fontsize: float = NORMAL, transform: str = "",
    ) -> None:  # fmt: skip
        """Write at a place among the values, or at a share of the axes."""
        color = color or self.colors["ink"]

        def draw(at: Place, up: Place) -> str:
            if not transform:
                return written(at(x), up(y), words, color, ha, va, fontsize)
            (left, right), (low, high) = self.x.range, self.y.range
            a, b = (
                start + share * (end - start)
                for share, start, end in (
                    (x, at(left), at(right)),
                    (y, up(low), up(high)),
                )
            )
            lines = words.split("\n")
            return "".join(
                written(a, b - 1.2 * fontsize * i, line, color, ha, va, fontsize)
                for i, line in enumerate(reversed(lines))
            )

        self.words.append(draw)

    def annotate(
        self, words: str, xy: tuple[float, float], xytext: tuple[float, float], *,
        textcoords: str, color: str, va: str, ha: str, fontsize: float = NORMAL,
    ) -> None:  # fmt: skip
        """Write beside a place among the values, so many points from it."""
        (x, y), (right, above) = xy, xytext
        self.words.append(
            lambda at, up: written(
                at(x) + right, up(y) - above, words, color, ha, va, fontsize
            )
        )

    def set_xlim(self, low: float, high: float) -> None:
        """Set both limits."""
        self.x.set(low, high)

    def set_ylim(
        self,
        low: float | tuple[float, float] | None = None,
        high: float | None = None,
        *,
        bottom: float | None = None,
    ) -> None:
        """Set one limit or both."""
        if isinstance(low, tuple):
            low, high = low
        self.y.set(bottom if low is None else low, high)

    def get_xlim(self) -> tuple[float, float]:
        """Return the limits."""
        return self.x.range

    def get_ylim(self) -> tuple[float, float]:
        """Return the limits."""
        return self.y.range

    def set_xscale(self, name: str) -> None:
        """Make the axis logarithmic."""
        self.x.is_log = name == "log"

    def set_xticks(
        self, ticks: Iterable[float], labels: Sequence[str] | None = None
    ) -> None:
        """Mark these values."""
        self.x.ticks = [*ticks]
        self.x.labels = None if labels is None else [*labels]

    def set_yticks(self, ticks: Iterable[float]) -> None:
        """Mark these values."""
        self.y.ticks = [*ticks]

    def get_yticks(self) -> list[float]:
        """Return the marked values."""
        return [tick for tick, _ in self.y.marked()]

    def minorticks_off(self) -> None:
        """There are none."""

    def locator_params(self, axis: str, nbins: int) -> None:
        """Say how many ticks there may be."""
        (self.x if axis == "x" else self.y).n_bins = nbins

    def tick_params(self, axis: str, labelrotation: float) -> None:
        """Write the labels of x upwards."""
        self.is_upright = axis == "x" and labelrotation == 90

    def grid(self, axis: str) -> None:
        """Draw a line at each tick of y."""
        self.has_grid = axis == "y"

    def set_xlabel(self, words: str) -> None:
        """Say what x is."""
        self.x.label = words

    def set_ylabel(self, words: str) -> None:
        """Say what y is."""
        self.y.label = words

    def margins(self) -> tuple[float, float, float]:
        """Return the room left, right and below that ticks and labels take."""
        names = [width(text, SMALL) for _, text in self.y.marked()]
        left = GAP + (max(names) + 2 * GAP if names else 0)
        left += NORMAL + GAP if self.y.label else 0
        marks = [width(text, SMALL) for _, text in self.x.marked()]
        tall = max(marks, default=0) if self.is_upright else SMALL * bool(marks)
        below = tall + GAP * (1 + bool(marks)) + (NORMAL + GAP) * bool(self.x.label)
        right = GAP + (0 if self.is_upright else max(marks[-1:], default=0) / 2)
        return left, right, below

    def svg(
        self, left: float, right: float, top: float, bottom: float, clip: str
    ) -> str:
        """Return everything, inside its box and around it."""
        at, up = self.x.place(left, right), self.y.place(bottom, top)
        muted, rule = self.colors["muted"], self.colors["rule"]
        y_marks, x_marks = self.y.marked(), self.x.marked()
        found = []
        if self.has_grid:
            d = "".join(f"M{left:.1f} {up(t):.1f}H{right:.1f}" for t, _ in y_marks)
            found.append(_path(d, f"stroke:{rule};stroke-width:0.8"))
        box = _box(left, right, top, bottom, "none")
        found.append(f'<clipPath id="{clip}">{box}</clipPath>')
        inner = "".join(
            draw(at, up) for _, draw in sorted(self.drawn, key=lambda d: d[0])
        )
        found.append(f'<g clip-path="url(#{clip})">{inner}</g>')
        d = ""
        if self.spines["left"].is_visible:
            d += f"M{left:.1f} {top:.1f}V{bottom:.1f}"
            d += "".join(f"M{left:.1f} {up(t):.1f}h-3.5" for t, _ in y_marks)
        if self.spines["bottom"].is_visible:
            d += f"M{left:.1f} {bottom:.1f}H{right:.1f}"
            d += "".join(f"M{at(t):.1f} {bottom:.1f}v3.5" for t, _ in x_marks)
        found.append(_path(d, f"fill:none;stroke:{muted};stroke-width:0.8"))
        found += [
            written(left - 6, up(t), text, muted, "right", "center", SMALL)
            for t, text in y_marks
        ]
        found += [self._x_mark(at(t), bottom + 6, text) for t, text in x_marks]
        found.append(self._axis_names(left, right, top, bottom))
        found += [draw(at, up) for draw in self.words]
        return "".join(found)

    def _x_mark(self, x: float, y: float, text: str) -> str:
        muted = self.colors["muted"]
        if self.is_upright:
            return written(x, y, text, muted, "right", "center", SMALL, turned=True)
        return written(x, y, text, muted, "center", "top", SMALL)

    def _axis_names(self, left: float, right: float, top: float, bottom: float) -> str:
        muted, (room, _, below) = self.colors["muted"], self.margins()
        middle = (left + right) / 2, (top + bottom) / 2
        found = ""
        if self.x.label:
            y = bottom + below - GAP
            found += written(
                middle[0], y, self.x.label, muted, "center", "baseline", NORMAL
            )
        if self.y.label:
            x = left - room + GAP + RISE * NORMAL / 2
            found += written(
                x,
                middle[1],
                self.y.label,
                muted,
                "center",
                "center",
                NORMAL,
                turned=True,
            )
        return found

    def _add(self, order: float, draw: Draw) -> None:
        self.drawn.append((order, draw))


class Sheet:
    """The paper of a picture: one chart, or some side by side, below a legend."""

    def __init__(self, name: str, colors: Colors, inches: tuple[float, float]) -> None:
        self.name = name
        self.colors = colors
        self.inches = inches
        self.charts: list[Chart] = []
        self.n_columns = 0  # of the legend; 0: there is none

    def set_size_inches(self, wide: float, high: float) -> None:
        """Set the size."""
        self.inches = wide, high

    def subplots(self, n_rows: int = 1, n: int = 1, *, sharey: bool = False) -> Any:
        """Return a chart, or several in a row that share their y."""
        y = Axis()
        self.charts = [Chart(self.colors, y) for _ in range(n)]
        return self.charts[0] if n == 1 else self.charts

    def svg(self) -> str:
        """Return the drawing, ids unique by its name."""
        wide, high = (POINTS * size for size in self.inches)
        legend, top = self._legend()
        each = wide / len(self.charts)
        margins = [chart.margins() for chart in self.charts]
        bottom = high - max(below for *_, below in margins)
        charts = [
            chart.svg(
                i * each + left,
                (i + 1) * each - right,
                top,
                bottom,
                f"{self.name}-clip{i}",
            )
            for i, (chart, (left, right, _)) in enumerate(
                zip(self.charts, margins, strict=True)
            )
        ]
        inner = "".join([legend, *charts])
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {high:g}" '
            f'font-family="sans-serif">{inner}</svg>'
        )

    def _legend(self) -> tuple[str, float]:
        """Return the legend, column by column, and where the charts may begin."""
        entries = [entry for chart in self.charts for entry in chart.entries]
        if not self.n_columns or not entries:
            return "", 2 * GAP
        n = min(self.n_columns, len(entries))
        long = len(entries) % n or n  # columns with one more
        n_rows = -(-len(entries) // n)
        found, x, start = "", GAP, 0
        for column in range(n):
            end = start + n_rows - (column >= long)
            for row, (label, draw) in enumerate(entries[start:end]):
                y = GAP + SMALL + 13 * row
                found += draw(x, y)
                found += written(
                    x + HANDLE + GAP, y, label, self.colors["ink"], "left",
                    "baseline", SMALL,
                )  # fmt: skip
            names = [width(label, SMALL) for label, _ in entries[start:end]]
            x += HANDLE + 4 * GAP + max(names)
            start = end
        return found, 3 * GAP + 13 * n_rows


def width(text: str, size: float) -> float:
    """Return about how wide a text is."""
    return WIDE * size * len(text)


def written(
    x: float, y: float, words: str, color: str, ha: str, va: str, size: float,
    *, turned: bool = False,
) -> str:  # fmt: skip
    """Return a text at a place, aligned as matplotlib does."""
    down = {"baseline": 0.0, "bottom": -0.2, "center": RISE / 2, "top": 0.9}[va] * size
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return (
        f'<text x="{x:.1f}" y="{y + down:.1f}" text-anchor="{SPACES[ha]}"{turn} '
        f'style="font-size:{size:g}px;fill:{color}">{escape(words, quote=False)}</text>'
    )


def _line(x: Any, y: Any, at: Place, up: Place) -> str:
    points = zip(np.ravel(x).tolist(), np.ravel(y).tolist(), strict=True)
    return "M" + "L".join(f"{at(a):.1f} {up(b):.1f}" for a, b in points)


def _handle(x: float, y: float, style: str) -> str:
    return _path(f"M{x:.1f} {y - 3:.1f}h{HANDLE:g}", style) if style else ""


def _path(d: str, style: str) -> str:
    return f'<path d="{d}" style="{style}"/>' if d else ""


def _box(left: float, right: float, low: float, high: float, color: str) -> str:
    top, tall = min(low, high), abs(high - low)
    return (
        f'<rect x="{left:.2f}" y="{top:.2f}" width="{max(right - left, 0):.2f}" '
        f'height="{tall:.2f}" style="fill:{color}"/>'
    )
