"""Pictures of a profile, as SVG to stand inside the page.

Their colors are given by role: those of a file, or of the page, whose style sheet has
them for light, dark and print. Text stays text, in the page's font.
"""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.chip.target import BAND
from snn_deploy.costs.energy import TOTAL, parts_within
from snn_deploy.profile.profile import Profile
from snn_deploy.profile.rows import Rows
from snn_deploy.report.colors import IN_PAGE, LIGHT, Colors
from snn_deploy.report.units import number, percent, shared_prefix, with_prefix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# matplotlib draws with no variables of a style sheet: it gets a code for each
CODES = {role: f"#0102{number:02x}" for number, role in enumerate(LIGHT, start=3)}
DRAWN = parts_within(TOTAL)  # parts of the energy
INCHES = (4.6, 3.1)  # at 100 % about 420 pixels: readable on a telephone
SMALL, NORMAL = 9, 10
MOST_BARS = 48
N_BINS = 60
TICKS = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 6, 8), np.arange(1, 10, 0.2))
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "snn-deploy",
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
    drawn = as_svg(name, profile, CODES)
    for role, code in CODES.items():
        drawn = drawn.replace(code, IN_PAGE[role])
    return drawn


def as_svg(name: str, profile: Profile, colors: Colors) -> str:
    """Return one of ``PICTURES`` without a date, its ids unique in the page."""
    with _drawing(colors) as figure:
        PICTURES[name](figure, profile, colors)
        return _svg(figure, name)


def as_figure(name: str, profile: Profile, colors: Colors) -> "Figure":
    """Return one of ``PICTURES`` as a figure of matplotlib, on paper of its own."""
    with _drawing(colors) as figure:
        figure.set_facecolor(colors["paper"])
        PICTURES[name](figure, profile, colors)
        return figure


def draw_timesteps(figure: "Figure", profile: Profile, colors: Colors) -> None:
    """Draw how many inputs had their answer after how many timesteps."""
    n_timesteps = profile.artifact.network.graph.training.timesteps
    timesteps = profile.rows.column("timesteps")
    width = -(-n_timesteps // MOST_BARS)
    longest = max(n_timesteps, int(timesteps.max()))  # a retry may take more than all
    edges = np.arange(0, longest + width, width) + 0.5
    counts, _ = np.histogram(timesteps, edges)
    axes = figure.subplots()
    axes.bar(edges[:-1] + width / 2, counts, 0.86 * width, color=colors["early"])
    top = 1.16 * max(counts.max(), 1)
    axes.axvline(n_timesteps, color=colors["full"], dashes=(4, 3), ymax=0.9)
    axes.text(
        n_timesteps, 0.92 * top, f"all {n_timesteps} timesteps",
        color=colors["full"], ha="right" if n_timesteps > 1 else "center",
    )  # fmt: skip
    mean = float(timesteps.mean())
    is_left = mean < n_timesteps / 2
    tallest = int(counts.argmax())
    axes.text(
        edges[tallest] + width / 2, counts[tallest] + 0.02 * top,
        f"{percent(counts[tallest] / len(timesteps), 0)} of inputs",
        ha="left" if is_left else "right", va="bottom", fontsize=SMALL,
    )  # fmt: skip
    axes.set_ylim(0, top)
    axes.set_xlim(0.5 - 0.2 * width, longest + 0.5 + 0.2 * width)
    _whole_ticks(axes, longest)
    axes.grid(axis="y")
    axes.set_xlabel("timesteps to the decision")
    axes.set_ylabel("inputs")


def draw_accuracy(figure: "Figure", profile: Profile, colors: Colors) -> None:
    """Draw the accuracy of stopping every input at a timestep, and the cutoff's."""
    accuracy = 100 * profile.accuracy_at
    n = len(accuracy)
    low, high = float(accuracy.min()), float(accuracy.max())
    axes = figure.subplots()
    marker = "o" if n <= MOST_BARS else ""
    axes.plot(np.arange(1, n + 1), accuracy, marker + "-", color=colors["full"], ms=3.5)
    axes.text(
        0.99, 0.04, "every input stopped\nat the same timestep",
        color=colors["full"], transform=axes.transAxes, ha="right", fontsize=SMALL,
    )  # fmt: skip
    if profile.has_cutoff:
        mean = float(profile.rows.column("timesteps").mean())
        right = 100 * float(profile.rows.is_right.mean())
        low, high = min(low, right), max(high, right)
        axes.plot([mean], [right], "D", color=colors["early"], ms=8)
        axes.annotate(
            f"cutoff: {right:.1f} % at {number(mean)}", (mean, high), (0, 10),
            textcoords="offset points", color=colors["early"], va="bottom",
            ha="left" if mean < 0.6 * n else "right",
        )  # fmt: skip
    room = max(high - low, 1.0)
    limits = max(0.0, low - 0.3 * room), high + 0.25 * room
    axes.set_ylim(limits)
    axes.set_yticks([t for t in axes.get_yticks() if t <= 100])
    axes.set_ylim(limits)
    axes.set_xlim(0.5, n + 0.5)
    _whole_ticks(axes, n)
    axes.grid(axis="y")
    axes.set_xlabel("timesteps (of the cutoff: the mean)")
    axes.set_ylabel("accuracy [%]")


def draw_parts(figure: "Figure", profile: Profile, colors: Colors) -> None:
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
        axes.text(0, y + 0.4, name, va="bottom", fontsize=SMALL, color=colors["muted"])
    axes.set_xlim(0, 1.22 * max(longest, 1e-30) / unit)
    axes.set_ylim(bottom=-(len(names) - 1 + 0.4 * (len(runs) - 1)) - 0.45)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"mean energy of an input [{unit_name}]")


def draw_spread(figure: "Figure", profile: Profile, colors: Colors) -> None:
    """Draw how the inputs' energies differ, all known parts together."""
    runs = [(*run, end) for run in _runs(profile, colors) for end in BAND]
    sums = [_sums(rows, end) for _, rows, _, end in runs]
    lowest = min(float(total.min()) for total in sums)
    highest = max(float(total.max()) for total in sums)
    unit, unit_name = shared_prefix([lowest], "J")
    edges = _energy_bins(lowest / unit, highest / unit)
    axes = figure.subplots()
    if lowest > 0:
        axes.set_xscale("log")
        _plain_log_ticks(axes, edges[0], edges[-1])
    for total, (name, _, color, end) in zip(sums, runs, strict=True):
        counts, _ = np.histogram(total / unit, edges)
        _steps(axes, 100 * counts / len(total), edges, end, color)
        if end == "central":
            tallest = int(counts.argmax())
            axes.text(
                edges[tallest], 101 * counts[tallest] / len(total), name,
                color=color, va="bottom", ha="left", fontsize=SMALL,
            )  # fmt: skip
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.12 * axes.get_ylim()[1])
    axes.locator_params(axis="y", nbins=5)
    axes.grid(axis="y")
    axes.set_ylabel("inputs [%]")
    axes.set_xlabel(f"energy of an input [{unit_name}]")


PICTURES: dict[str, Callable[["Figure", Profile, Colors], None]] = {
    "accuracy": draw_accuracy,
    "timesteps": draw_timesteps,
    "parts": draw_parts,
    "spread": draw_spread,
}


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


def _stack(axes: "Axes", y: float, parts: FloatArray, colors: Colors) -> None:
    left = 0.0
    for part, value in zip(DRAWN, parts, strict=True):
        axes.barh(y, value, 0.5, left=left, color=colors[part], lw=0)
        left += value


def _energy_bins(low: float, high: float) -> FloatArray:
    """Return edges of equal ratio, since central and high may be far apart."""
    if low <= 0:
        return np.linspace(0, 1.05 * max(high, 1e-30), N_BINS + 1)
    return np.geomspace(low / 1.15, high * 1.15, N_BINS + 1)


def _steps(
    axes: "Axes", shares: FloatArray, edges: FloatArray, end: str, color: str
) -> None:
    """Draw a histogram: filled at central prices, an outline at the ends."""
    if end == "central":
        axes.stairs(shares, edges, color=color, fill=True, alpha=0.8)
    else:
        axes.stairs(shares, edges, color=color, linewidth=1.0)


def _plain_log_ticks(axes: "Axes", low: float, high: float) -> None:
    from matplotlib.ticker import NullLocator

    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    ticks: list[float] = []
    for steps in TICKS:
        ticks = [s * p for p in powers for s in steps if low <= s * p <= high]
        if len(ticks) >= 3:
            break
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def _whole_ticks(axes: "Axes", n_timesteps: int) -> None:
    """Mark the first timestep, the last, and some between that leave them room."""
    step = max(1, round(n_timesteps / 8))
    between = range(step, n_timesteps, step)
    kept = [t for t in between if step <= 2 * (t - 1) and step <= 2 * (n_timesteps - t)]
    axes.set_xticks(sorted({1, *kept, n_timesteps}))


@contextmanager
def _drawing(colors: Colors) -> "Iterator[Figure]":
    """Give a figure that takes nothing from the user's settings."""
    from matplotlib import style
    from matplotlib.figure import Figure

    colored = {name: colors[role] for name, role in COLORED.items()}
    with style.context(["default", SETTINGS, colored]):
        yield Figure(figsize=INCHES, layout="constrained")


def _svg(figure: "Figure", name: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = text.replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    return text.strip()
