"""Pictures of a profile, as SVG to stand inside the page.

Their colors are given by role: those of a file, or of the page, whose style sheet has
them for light, dark and print. Text stays text, in the page's font.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.chip.target import BAND
from snn_deploy.costs.energy import TOTAL, parts_within
from snn_deploy.profile.activity import Group, activity_of, classes_of
from snn_deploy.profile.intervals import share_interval
from snn_deploy.profile.profile import Profile
from snn_deploy.profile.rows import Rows
from snn_deploy.report.axes import plain_log_ticks, whole_ticks
from snn_deploy.report.chart import NORMAL, SMALL, Chart, Sheet
from snn_deploy.report.colors import IN_PAGE, LIGHT, Colors
from snn_deploy.report.front import draw_points, points_of
from snn_deploy.report.layers import kind_of
from snn_deploy.report.units import number, percent, shared_prefix, with_prefix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DRAWN = parts_within(TOTAL)  # parts of the energy
INCHES = (4.6, 3.1)  # at 100 % about 420 pixels: readable on a telephone
DOTS = 288  # of an inch of a PNG
MOST_BARS = 48
MOST_CLASSES = 24  # drawn, the worst ones
MOST_UPRIGHT = 14  # classes whose labels stand side by side
LONGEST = 44  # letters of a layer
N_BINS = 60
SETTINGS = {
    "font.size": NORMAL,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "figure.facecolor": "none",
    "grid.linewidth": 0.8,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "lines.linewidth": 1.6,
}
COLORED = {
    "text.color": "ink",
    "axes.labelcolor": "muted",
    "axes.edgecolor": "muted",
    "grid.color": "rule",
    "xtick.color": "muted",
    "ytick.color": "muted",
}  # settings, and the roles of their colors


def in_page(name: str, profile: Profile) -> str:
    """Return one of ``PICTURES`` in the colors of the page's style sheet."""
    return as_svg(name, profile, IN_PAGE)


def as_svg(name: str, profile: Profile, colors: Colors) -> str:
    """Return one of ``PICTURES``, its ids unique in the page."""
    sheet = Sheet(name, colors, INCHES)
    PICTURES[name].draw(sheet, profile, colors)
    return sheet.svg()


def as_figure(name: str, profile: Profile, colors: Colors) -> "Figure":
    """Return one of ``PICTURES`` as a figure of matplotlib, on paper of its own."""
    with _drawing(colors) as figure:
        figure.set_facecolor(colors["paper"])
        PICTURES[name].draw(figure, profile, colors)
        return figure


def write_png(name: str, profile: Profile, path: Path) -> None:
    """Write one of ``PICTURES`` as PNG on white, as large as in a column of a paper."""
    with _drawing(LIGHT) as figure:
        PICTURES[name].draw(figure, profile, LIGHT)
        figure.savefig(path, format="png", dpi=DOTS, facecolor="white")


def draw_timesteps(figure: "Figure | Sheet", profile: Profile, colors: Colors) -> None:
    """Draw how many inputs had their answer after how many timesteps."""
    n_timesteps = profile.artifact.network.graph.training.timesteps
    timesteps = profile.rows.column("timesteps")
    width = -(-n_timesteps // MOST_BARS)
    longest = max(n_timesteps, int(timesteps.max()))  # a retry may take more than all
    edges = np.arange(0, longest + width, width) + 0.5
    counts, _ = np.histogram(timesteps, edges)
    axes = figure.subplots()
    axes.bar(edges[:-1] + width / 2, counts, 0.86 * width, color=colors["early"])
    tallest = int(counts.argmax())
    is_left = edges[tallest] < longest / 2
    top = (1.16 if is_left else 1.28) * max(counts.max(), 1)  # both words on the right
    axes.axvline(n_timesteps, color=colors["full"], dashes=(4, 3), ymax=0.9)
    axes.text(
        n_timesteps, 0.92 * top, f"all {n_timesteps} timesteps",
        color=colors["full"], ha="right" if n_timesteps > 1 else "center",
    )  # fmt: skip
    axes.annotate(
        f"{percent(counts[tallest] / len(timesteps), 0)} of inputs",
        (edges[tallest] + width / 2, counts[tallest] + 0.02 * top),
        (3 if is_left else -3, 0), textcoords="offset points", color=colors["ink"],
        ha="left" if is_left else "right", va="bottom", fontsize=SMALL,
    )  # fmt: skip
    axes.set_ylim(0, top)
    axes.set_xlim(0.5 - 0.2 * width, longest + 0.5 + 0.2 * width)
    whole_ticks(axes, longest)
    axes.grid(axis="y")
    axes.set_xlabel("timesteps to the decision")
    axes.set_ylabel("inputs")


def draw_accuracy(figure: "Figure | Sheet", profile: Profile, colors: Colors) -> None:
    """Draw the accuracy of stopping every input at a timestep, and the cutoff's."""
    accuracy = 100 * profile.accuracy_at
    n = len(accuracy)
    steps = np.arange(1, n + 1)
    n_inputs = len(profile.rows)
    ends = share_interval(profile.accuracy_at * n_inputs, np.array(n_inputs))
    lower, upper = 100 * ends[0], 100 * ends[1]
    low, high = float(lower.min()), float(upper.max())
    axes = figure.subplots()
    axes.fill_between(steps, lower, upper, color=colors["full"], alpha=0.18, lw=0)
    marker = "o" if n <= MOST_BARS else ""
    axes.plot(steps, accuracy, marker + "-", color=colors["full"], ms=3.5)
    axes.text(
        0.99, 0.04, "every input stopped at the\nsame timestep; band: 95 %",
        color=colors["full"], transform=axes.transAxes, ha="right", fontsize=SMALL,
    )  # fmt: skip
    if profile.has_cutoff:
        mean = float(profile.rows.column("timesteps").mean())
        right = 100 * float(profile.rows.is_right.mean())
        low, high = min(low, right), max(high, right)
        axes.plot([mean], [right], "D", color=colors["early"], ms=8)
        is_early = mean < 0.6 * n  # then the line, which rises, is above the words
        axes.annotate(
            f"cutoff: {right:.1f} % at {number(mean)}", (mean, right),
            (8, -5) if is_early else (0, 8), textcoords="offset points",
            color=colors["early"], va="top" if is_early else "bottom",
            ha="left" if is_early else "right",
        )  # fmt: skip
    room = max(high - low, 1.0)
    limits = max(0.0, low - 0.4 * room), high + 0.25 * room
    axes.set_ylim(limits)
    axes.set_yticks([t for t in axes.get_yticks() if t <= 100])
    axes.set_ylim(limits)
    axes.set_xlim(0.5, n + 0.5)
    whole_ticks(axes, n)
    axes.grid(axis="y")
    axes.set_xlabel("timesteps (of the cutoff: the mean)")
    axes.set_ylabel("accuracy [%]")


def draw_error(figure: "Figure | Sheet", profile: Profile, colors: Colors) -> None:
    """Draw the mean squared error of values that are taken at a timestep."""
    errors = profile.squared_error_at
    n = len(errors)
    axes = figure.subplots()
    marker = "o" if n <= MOST_BARS else ""
    steps = np.arange(1, n + 1)
    axes.plot(steps, errors, marker + "-", color=colors["full"], ms=3.5)
    axes.set_ylim(0, 1.15 * max(axes.get_ylim()[1], 1e-30))
    axes.set_xlim(0.5, n + 0.5)
    whole_ticks(axes, n)
    axes.grid(axis="y")
    axes.set_xlabel("timesteps")
    axes.set_ylabel("mean squared error")


def draw_parts(figure: "Figure | Sheet", profile: Profile, colors: Colors) -> None:
    """Draw the parts of the mean energy of an input, over the band of prices."""
    runs = _runs(profile, colors)
    means = [
        np.array([part.mean() for part in _known_parts(rows, end)])
        for _, rows, _ in runs
        for end in BAND
    ]
    longest = max(float(parts.sum()) for parts in means)
    unit, unit_name = shared_prefix([longest], "J")
    names = [f"{name}, {end}" for name, _, _ in runs for end in BAND]
    axes = figure.subplots()
    for place, (name, parts) in enumerate(zip(names, means, strict=True)):
        y = -(place + 0.4 * (place // len(BAND)))
        _stack(axes, y, parts / unit, colors)
        axes.text(
            (float(parts.sum()) + 0.015 * longest) / unit, y,
            with_prefix(float(parts.sum()), "J"), va="center",
        )  # fmt: skip
        axes.text(0, y + 0.29, name, va="bottom", fontsize=SMALL, color=colors["muted"])
    axes.set_xlim(0, 1.22 * max(longest, 1e-30) / unit)
    axes.set_ylim(bottom=-(len(names) - 1 + 0.4 * (len(runs) - 1)) - 0.45)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"mean energy of an input [{unit_name}]")
    for part, means_of in zip(DRAWN, np.array(means).T, strict=True):
        if means_of.any():
            axes.barh([0], [0], color=colors[part], label=part)
    if any(parts.any() for parts in means):
        _legend_above(figure, n_columns=5)


def draw_spread(figure: "Figure | Sheet", profile: Profile, colors: Colors) -> None:
    """Draw how the inputs' energies differ, all known parts together."""
    edges, shares = energy_shares(profile)
    unit, unit_name = shared_prefix([float(edges[edges > 0].min(initial=1.0))], "J")
    edges = edges / unit
    axes = figure.subplots()
    if edges[0] > 0:
        axes.set_xscale("log")
        plain_log_ticks(axes, edges[0], edges[-1])
    colored = {name: color for name, _, color in _runs(profile, colors)}
    for (name, end), heights in shares.items():
        color = colored[name]
        _steps(axes, 100 * heights, edges, end, color)
        if end == "central":
            tallest = int(heights.argmax())
            axes.text(
                edges[tallest], 101 * heights[tallest], name,
                color=color, va="bottom", ha="left", fontsize=SMALL,
            )  # fmt: skip
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.12 * axes.get_ylim()[1])
    axes.locator_params(axis="y", nbins=5)
    axes.grid(axis="y")
    axes.set_ylabel("inputs [%]")
    axes.set_xlabel(f"energy of an input [{unit_name}]")


def energy_shares(
    profile: Profile,
) -> tuple[FloatArray, dict[tuple[str, str], FloatArray]]:
    """Return edges [J], and by run and end of the prices the shares between them."""
    sums = {
        (name, end): _sums(rows, end)
        for name, rows, _ in _runs(profile, LIGHT)
        for end in BAND
    }
    lowest = min(float(total.min()) for total in sums.values())
    highest = max(float(total.max()) for total in sums.values())
    edges = _energy_bins(lowest, highest)
    shares: dict[tuple[str, str], FloatArray] = {
        key: np.histogram(total, edges)[0] / len(total) for key, total in sums.items()
    }
    return edges, shares


def draw_classes(figure: "Figure | Sheet", profile: Profile, colors: Colors) -> None:
    """Draw the accuracy of each class, with its interval; of many the worst."""
    shares = classes_of(profile)[:MOST_CLASSES]
    shares.sort(key=lambda share: share.label)
    axes = figure.subplots()
    ways = [("all timesteps", "full", "o", 1)]
    if profile.has_cutoff:
        ways.insert(0, ("with cutoff", "early", "D", 0))
    lowest = 100.0
    for k, (name, color, marker, way) in enumerate(ways):
        right = np.array([share.n_right[way] for share in shares])
        n = np.array([share.n for share in shares])
        low, high = (100 * end for end in share_interval(right, n))
        y, x = (
            100 * right / n,
            np.arange(len(shares)) + 0.26 * (k - (len(ways) - 1) / 2),
        )
        lowest = min(lowest, float(low.min()))
        axes.vlines(x, low, high, color=colors[color], lw=1.4)
        axes.plot(x, y, marker, color=colors[color], ms=4.5, label=name)
    axes.set_xticks(range(len(shares)), [str(share.label) for share in shares])
    if len(shares) > MOST_UPRIGHT:
        axes.tick_params(axis="x", labelrotation=90)
    axes.set_ylim(max(0.0, lowest - 3), 101.5)
    axes.set_yticks([t for t in axes.get_yticks() if 0 <= t <= 100])
    axes.grid(axis="y")
    axes.set_xlabel("class (label)")
    axes.set_ylabel("accuracy [%]")
    _legend_above(figure)


def draw_activity(figure: "Figure | Sheet", profile: Profile, colors: Colors) -> None:
    """Draw the spikes and the synaptic operations of an input, by layer."""
    groups = activity_of(profile)
    figure.set_size_inches(INCHES[0], max(INCHES[1], 0.55 + 0.42 * len(groups)))
    left, right = figure.subplots(1, 2, sharey=True)
    y = -np.arange(len(groups))
    for axes, values, name, color in (
        (left, [g.spikes for g in groups], "spikes", "early"),
        (right, [g.operations for g in groups], "synaptic operations", "neurocores"),
    ):
        axes.barh(y, values, 0.42, color=colors[color], lw=0)
        top = max(*values, 1e-30)
        for place, value in zip(y, values, strict=True):
            axes.text(
                value + 0.02 * top, place, number(float(f"{value:.3g}")), va="center",
                fontsize=SMALL,
            )  # fmt: skip
        axes.set_xlim(0, 1.4 * top)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines["bottom"].set_visible(False)
        axes.set_xlabel(f"{name} of an input")
    for place, group in zip(y, groups, strict=True):
        left.annotate(
            layer_words(profile, group), (0, place + 0.26), (4, 0), va="bottom",
            ha="left", textcoords="offset points", color=colors["muted"],
            fontsize=SMALL,
        )  # fmt: skip
    left.set_ylim(-len(groups) + 0.6, 0.75)


def layer_words(profile: Profile, group: Group) -> str:
    """Return what a row of the activity is called; layers may share neurocores."""
    if len(group.names) > 1:
        text = ", ".join(group.names)
    else:
        kind = kind_of(profile.artifact.network.graph, group.names[0])
        text = f"{group.names[0]} ({kind})"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}\u2026"


def draw_front(figure: "Figure | Sheet", profile: Profile, colors: Colors) -> None:
    """Draw accuracy against energy of every schedule and fixed timesteps."""
    figure.set_size_inches(INCHES[0], 1.25 * INCHES[1])
    axes = figure.subplots()
    draw_points(axes, profile, colors)
    axes.grid(axis="y")
    _legend_above(figure)


def _legend_above(figure: "Figure | Sheet", n_columns: int = 2) -> None:
    if isinstance(figure, Sheet):
        figure.n_columns = n_columns
        return
    figure.legend(
        loc="outside upper left", ncols=n_columns, handlelength=1.2, frameon=False,
        fontsize=SMALL,
        handletextpad=0.5, columnspacing=1.2, borderpad=0.1,
    )  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """How to draw a picture, and what its files are called."""

    draw: Callable[["Figure | Sheet", Profile, Colors], None]
    file: str


PICTURES = {
    "accuracy": Picture(draw_accuracy, "accuracy"),
    "error": Picture(draw_error, "error"),
    "timesteps": Picture(draw_timesteps, "timesteps"),
    "parts": Picture(draw_parts, "energy_parts"),
    "spread": Picture(draw_spread, "energy_inputs"),
    "classes": Picture(draw_classes, "classes"),
    "activity": Picture(draw_activity, "activity"),
    "front": Picture(draw_front, "front"),
}


def lacks(name: str, profile: Profile) -> str:
    """Return why a picture would say nothing, or nothing if it can be drawn."""
    has_labels = len(profile.accuracy_at) > 0
    unpriced = all(np.isnan(profile.rows.part(part)).all() for part in DRAWN)
    n_timesteps = profile.artifact.network.graph.training.timesteps
    no_shares = "Unknown: the data have no labels."
    if profile.has_errors:
        no_shares = "None: answers are values, no classes."
    reasons = {
        "error": not profile.has_errors and "None: answers are no values.",
        "timesteps": not profile.has_cutoff
        and f"No cutoff: every input took {n_timesteps} timesteps.",
        "accuracy": not has_labels and no_shares,
        "classes": not has_labels and no_shares,
        "front": not has_labels and no_shares,
        "parts": unpriced and "Unknown: the target has no public price of energy.",
    }
    if name in ("front", "spread"):
        reasons[name] = reasons.get(name) or reasons["parts"]
    if name == "front" and not reasons[name] and not points_of(profile):
        reasons[name] = "Unknown: a price of energy is, that no sum can go without."
    return reasons.get(name) or ""


def _runs(profile: Profile, colors: Colors) -> list[tuple[str, Rows, str]]:
    fixed = ("all timesteps", profile.fixed_rows, colors["full"])
    early = ("with cutoff", profile.rows, colors["early"])
    return [early, fixed] if profile.has_cutoff else [fixed]


def _known_parts(rows: Rows, end: str) -> Iterator[FloatArray]:
    """Yield the energies by input of each part [J]; unknown ones are 0."""
    for part in DRAWN:
        yield np.nan_to_num(rows.part(part, end))


def _sums(rows: Rows, end: str) -> FloatArray:
    """Return the energies by input [J] of all parts that are known."""
    total = np.zeros(len(rows))
    for part in _known_parts(rows, end):
        total += part
    return total


def _stack(axes: "Axes | Chart", y: float, parts: FloatArray, colors: Colors) -> None:
    left = 0.0
    for part, value in zip(DRAWN, parts, strict=True):
        axes.barh(y, value, 0.46, left=left, color=colors[part], lw=0)
        left += value


def _energy_bins(low: float, high: float) -> FloatArray:
    """Return edges of equal ratio, since central and high may be far apart."""
    if low <= 0:
        return np.linspace(0, 1.05 * max(high, 1e-30), N_BINS + 1)
    return np.geomspace(low / 1.15, high * 1.15, N_BINS + 1)


def _steps(
    axes: "Axes | Chart", shares: FloatArray, edges: FloatArray, end: str, color: str
) -> None:
    """Draw a histogram: filled at central prices, an outline at the ends."""
    if end == "central":
        axes.stairs(shares, edges, color=color, fill=True, alpha=0.8)
    else:
        axes.stairs(shares, edges, color=color, linewidth=1.0)


@contextmanager
def _drawing(colors: Colors) -> "Iterator[Figure]":
    """Give a figure that takes nothing from the user's settings."""
    from matplotlib import style
    from matplotlib.figure import Figure

    colored = {name: colors[role] for name, role in COLORED.items()}
    with style.context(["default", SETTINGS, colored]):
        yield Figure(figsize=INCHES, layout="constrained")
