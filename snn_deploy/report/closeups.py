"""A few inputs in detail: the gap against its threshold, the spikes of every layer."""

from collections.abc import Iterator

import numpy as np

from snn_deploy.arrays import BoolArray, FloatArray
from snn_deploy.profile.closeups import Closeup, Closeups, LayerSpikes
from snn_deploy.profile.profile import Profile
from snn_deploy.report.exhibits import Row, figure
from snn_deploy.report.layers import layer_name
from snn_deploy.report.markup import Html, element, section, together
from snn_deploy.report.sprite import Sprite
from snn_deploy.report.units import number, with_prefix

LEFT, WIDTH, RIGHT = 34, 276, 10  # of the drawing; text is as large as on the page
TOP, GAP_HEIGHT = 14, 84
LARGE = 10_000  # from where on a gap is written with a prefix
SLIT = 0.04  # of a timestep, before spikes in a row and behind
MOST_ANSWERS = 20  # timesteps whose answers are written out
ROW, THICK = 2.2, 0.74  # height of a neuron, and of its spikes in it
LEAST_BAND, LARGEST_BAND = 14, 88


def closeups(profile: Profile, found: Closeups, sprite: Sprite) -> Html:
    """Return the section with a card for each input that was looked at closely."""
    cards = [_card(profile, closeup, sprite) for closeup in found.inputs]
    return section(
        "Inputs up close",
        element(
            "p",
            "Measured, each at all timesteps. Above: by how much the best accumulated "
            f"output leads the second best{_thresholds_in_words(profile)}; the digits "
            "below it are the answer of each timestep. Then the spikes of every layer, "
            "a row for each neuron shown, these at equal distances.",
            class_="small",
        ),
        element("div", *cards, class_="cards"),
    )


def betas(profile: Profile) -> FloatArray:
    """Return the thresholds on the gap by timestep, infinite where there is no poll.

    None where there is no cutoff, or one that looks at something else.
    """
    calibration = profile.artifact.calibration
    n_timesteps = profile.artifact.network.graph.training.timesteps
    if (
        not profile.has_cutoff
        or calibration is None
        or not calibration.method.reads_gap
        or calibration.score != "gap"
    ):
        return np.zeros(0)
    found = np.full(n_timesteps, np.inf)
    looks = calibration.looks - 1
    found[looks] = calibration.betas[looks]
    return found


def _thresholds_in_words(profile: Profile) -> str:
    if not np.isfinite(betas(profile)).any():
        return ""
    return "; dashed: the threshold beta; the upright line is the stop"


def _card(profile: Profile, closeup: Closeup, sprite: Sprite) -> Html:
    row = profile.rows[closeup.position]
    label = "no label" if row.label is None else f"label {row.label}"
    facts = [label, f"answer {row.prediction}"]
    if row.label is not None:
        facts[-1] += " (right)" if row.is_right else " (wrong)"
    fixed = profile.fixed_rows[closeup.position]
    if fixed.prediction != row.prediction:
        facts.append(f"at all timesteps {fixed.prediction}")
    facts.append(f"{row.timesteps} timestep{'s' * (row.timesteps > 1)}")
    facts += [with_prefix(row.energy_j, "J"), with_prefix(row.latency_s, "s")]
    return figure(
        f"input-{row.index}",
        f"Input {row.index}",
        drawing(profile, closeup),
        "",
        _numbers(profile, closeup),
        controls=element(
            "div",
            sprite.show(closeup.position, f"input {row.index}"),
            element("p", ", ".join(facts)),
            class_="who",
        ),
        id=f"input-{row.index}",
        class_="card",
    )


def _numbers(profile: Profile, closeup: Closeup) -> tuple[list[str], list[Row]]:
    """Return what the drawing shows, by timestep."""
    limits = betas(profile)
    layers = [f"spikes of {layer.layer}" for layer in closeup.layers]
    columns = ["timestep", "gap", "answer", *["beta"] * bool(len(limits)), *layers]
    rows: list[Row] = [
        (
            t + 1,
            int(closeup.gaps[t]),
            int(closeup.answers[t]),
            *([float(limits[t])] if len(limits) else []),
            *(int(layer.counts[t]) for layer in closeup.layers),
        )
        for t in range(len(closeup.gaps))
    ]
    return columns, rows


def drawing(profile: Profile, closeup: Closeup) -> Html:
    """Return the gap and the spikes of one input as SVG."""
    graph = profile.artifact.network.graph
    row = profile.rows[closeup.position]
    parts = [_gap(closeup, betas(profile))]
    bottom: float = TOP + GAP_HEIGHT
    n_timesteps = len(closeup.gaps)
    if n_timesteps <= MOST_ANSWERS:
        bottom += 12
        parts.append(together(_answers(closeup, row.label, bottom)))
    if profile.has_cutoff:
        x = _x(row.timesteps, n_timesteps)
        parts.append(
            element("path", d=f"M{x:.1f} {TOP - 4}V{TOP + GAP_HEIGHT}", class_="stop")
        )
        parts.append(_text(x, TOP - 5, "stop", "end" if x > 200 else "start", "stop"))
    for layer in closeup.layers:
        height = float(np.clip(ROW * layer.spikes.shape[1], LEAST_BAND, LARGEST_BAND))
        name = layer_name(graph, layer.layer)
        parts.append(_raster(layer, name, bottom + 20, height))
        bottom += 20 + height
    parts.append(_timesteps(n_timesteps, bottom + 14))
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {LEFT + WIDTH + RIGHT} {bottom + 34:.0f}",
        role="img",
        font_family="sans-serif",
        aria_label=f"Input {row.index}: gap and spikes by timestep; its answer is "
        f"taken at timestep {row.timesteps} with a gap of {row.gap}",
    )


def _x(timestep: float, n_timesteps: int) -> float:
    """Return the middle of a timestep's column."""
    return LEFT + WIDTH * (timestep - 0.5) / n_timesteps


def _text(x: float, y: float, text: object, anchor: str, class_: str) -> Html:
    return element(
        "text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, class_=class_
    )


def _gap(closeup: Closeup, thresholds: FloatArray) -> Html:
    n = len(closeup.gaps)
    finite = thresholds[np.isfinite(thresholds)]
    top = float(max(closeup.gaps.max(), finite.max(initial=0), 1))

    def y(value: float) -> float:
        return TOP + GAP_HEIGHT * (1 - value / top)

    points = [f"{_x(t, n):.1f} {y(g):.1f}" for t, g in enumerate(closeup.gaps, 1)]
    half = WIDTH / n / 2
    limits = "".join(
        f"M{_x(t, n) - half:.1f} {y(beta):.1f}h{2 * half:.1f}"
        for t, beta in enumerate(thresholds, 1)
        if np.isfinite(beta)
    )
    frame = f"M{LEFT} {TOP}V{TOP + GAP_HEIGHT}h{WIDTH}"
    dots = "".join(f"M{point}h0" for point in points) if n <= 64 else ""
    return together(
        [
            element("path", d=frame, class_="axis"),
            element("path", d=limits, class_="beta"),
            element("path", d="M" + "L".join(points), class_="gap"),
            element("path", d=dots, class_="dots"),
            _text(LEFT - 4, TOP + 8, _short(top), "end", "tick"),
            _text(LEFT - 4, TOP + GAP_HEIGHT, 0, "end", "tick"),
            _text(LEFT - 4, TOP + GAP_HEIGHT / 2, "gap", "end", "tick"),
        ]
    )


def _short(value: float) -> str:
    return number(value) if value < LARGE else with_prefix(value, "").rstrip()


def _answers(closeup: Closeup, label: int | None, y: float) -> Iterator[Html]:
    n = len(closeup.answers)
    for t, answer in enumerate(closeup.answers.tolist(), 1):
        is_wrong = label is not None and answer != label
        yield _text(_x(t, n), y, answer, "middle", "wrong" if is_wrong else "tick")


def _raster(layer: LayerSpikes, name: str, top: float, height: float) -> Html:
    n_timesteps, n_shown = layer.spikes.shape
    scale = f"scale({WIDTH / n_timesteps:.3f} {height / n_shown:.4f})"
    what = f"{name}: {number(float(layer.counts.sum()))} spikes"
    if n_shown < layer.n_neurons:
        what += f"; {n_shown} of {layer.n_neurons:,} neurons"
    return together(
        [
            _text(LEFT, top - 4, what, "start", "tick"),
            element(
                "rect", x=str(LEFT), y=f"{top:.1f}", width=str(WIDTH),
                height=f"{height:.1f}", class_="band",
            ),
            element(
                "path", d=_runs(layer.spikes), class_="spikes",
                stroke_width=f"{THICK}",
                transform=f"translate({LEFT} {top:.1f}) {scale}",
            ),
        ]
    )  # fmt: skip


def _runs(spikes: BoolArray) -> str:
    """Return a line for each run of spikes of a neuron, in units of one spike."""
    padded = np.zeros((spikes.shape[1], len(spikes) + 2), np.int8)
    padded[:, 1:-1] = spikes.T
    change = np.diff(padded, axis=1)
    neurons, starts = np.nonzero(change == 1)
    _, ends = np.nonzero(change == -1)
    return "".join(
        f"M{start + SLIT:g} {neuron}.5h{end - start - 2 * SLIT:g}"
        for neuron, start, end in zip(neurons, starts, ends, strict=True)
    )


def _timesteps(n: int, y: float) -> Html:
    step = max(1, round(n / 6))
    marks = sorted({1, *range(step, n - step // 2, step), n})
    ticks = [_text(_x(t, n), y, t, "middle", "tick") for t in marks]
    ticks.append(_text(LEFT + WIDTH / 2, y + 14, "timestep", "middle", "tick"))
    return together(ticks)
