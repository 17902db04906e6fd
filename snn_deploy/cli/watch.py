"""``snn-deploy run --watch``: the outputs of inputs as they grow."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from snn_deploy.arrays import FloatArray, IntArray
    from snn_deploy.artifact import Artifact
    from snn_deploy.backends.protocol import Program
    from snn_deploy.backends.results import Activity
    from snn_deploy.cutoff.decision import Cutoff
    from snn_deploy.cutoff.rules.rule import Calibration
    from snn_deploy.data.data import Data
    from snn_deploy.ir.stimuli import Stimulus

MOST_ROWS = 16
BAR = 24  # characters of the longest output


@dataclass(frozen=True, kw_only=True, eq=False)
class Moment:
    """What the monitor sees at one timestep."""

    timestep: int
    scores: "IntArray"  # (n_classes,), accumulated
    answer: int
    score: float  # what is held to the threshold
    beta: float | None  # infinite: not to be reached; None: no threshold
    energy_j: float  # so far; not a number: unknown
    values: "FloatArray"  # (n_classes,), the scores in the network's units


def watch_inputs(
    artifact: "Artifact",
    program: "Program",
    data: "Data",
    indices: Sequence[int],
    calibration: "Calibration | None",
) -> None:
    """Show each input, timestep by timestep: live on a terminal, else as lines.

    The energy is counted by the cpu backend, which does what the others do.
    """
    from snn_deploy.backends.results import limited_in_words
    from snn_deploy.cli.console import out
    from snn_deploy.ir.heads import HeadKind

    show = _show_live if sys.stdout.isatty() else _show_lines
    graph = artifact.network.graph
    is_class = data.targets is None and graph.head.kind is HeadKind.CLASS
    for index in indices:
        activity = _counted(artifact, data, index)
        title = f"input {index}"
        if data.y is not None:
            title += f" (label {data.y[index]})"
        energies = _energies(artifact, activity, calibration)
        stimulus = data.stimulus(index)
        moments = _moments(artifact, program, stimulus, energies, calibration)
        show(title, moments, is_class=is_class)
        limited = limited_in_words(activity.saturations, activity.wraps)
        if limited:
            out(f"{title}: {limited} in all timesteps, where the chip's registers end")


def _moments(
    artifact: "Artifact",
    program: "Program",
    stimulus: "Stimulus",
    energies: "FloatArray",
    calibration: "Calibration | None",
) -> Iterator[Moment]:
    from snn_deploy.cutoff.decision import never
    from snn_deploy.cutoff.monitor import watch_input
    from snn_deploy.cutoff.oracle import answers
    from snn_deploy.cutoff.scores import score_called

    network = artifact.network
    cutoff: Cutoff = never if calibration is None else calibration.cutoff
    score = score_called("gap", 1.0)
    if calibration is not None:
        score = score_called(calibration.score, calibration.scale)
    watched = watch_input(program, network, stimulus, cutoff)
    for t, scores in enumerate(watched, start=1):
        yield Moment(
            timestep=t,
            scores=scores,
            answer=int(answers(scores)),
            score=float(score(scores)),
            beta=threshold_at(calibration, t),
            energy_j=float(energies[t - 1]),
            values=network.graph.in_units(scores, t),
        )


def threshold_at(calibration: "Calibration | None", timestep: int) -> float | None:
    """Return the threshold of the score, ``None`` if the rule has another kind."""
    if calibration is None:
        return None
    return calibration.method.threshold(calibration, timestep)


def threshold_text(beta: float | None) -> str:
    """Return a threshold as text, nothing if the rule has another kind."""
    text = "" if beta is None else f"{beta:.6g}"
    return {"inf": "none", "-inf": "any"}.get(text, text)


def _counted(artifact: "Artifact", data: "Data", index: int) -> "Activity":
    """Return what an input makes the chip do in all timesteps."""
    from snn_deploy.backends.registry import open_backend
    from snn_deploy.cutoff.decision import never
    from snn_deploy.cutoff.monitor import run_inputs

    program = open_backend("cpu").load(artifact.network)
    stimuli = [(index, data.stimulus(index))]
    (result,) = run_inputs(program, artifact.network, stimuli, never)
    return result.activity


def _energies(
    artifact: "Artifact", activity: "Activity", calibration: "Calibration | None"
) -> "FloatArray":
    from snn_deploy.costs.prices import prices_for
    from snn_deploy.costs.stopping import stopping_costs

    network = artifact.network
    looks = np.array([network.graph.training.timesteps])
    if calibration is not None:
        looks = calibration.reads
    prices = prices_for(network, "embedded")
    energies, _ = stopping_costs(network, activity, looks, prices)
    return energies


def _cells(moment: Moment, *, is_class: bool) -> tuple[str, ...]:
    from snn_deploy.report.units import with_prefix

    energy = None if np.isnan(moment.energy_j) else moment.energy_j
    return (
        str(moment.timestep),
        str(moment.answer) if is_class else "",
        f"{moment.score:.6g}" if is_class else "",
        threshold_text(moment.beta),
        with_prefix(energy, "J"),
    )


COLUMNS = ("timestep", "answer", "score", "threshold", "energy so far")


def _show_lines(title: str, moments: Iterator[Moment], *, is_class: bool) -> None:
    from snn_deploy.cli.console import out

    for moment in moments:
        cells = zip(COLUMNS, _cells(moment, is_class=is_class), strict=True)
        named = ", ".join(f"{name} {cell}" for name, cell in cells if cell)
        scores = " ".join(map(str, moment.scores))
        if not is_class:
            values = " ".join(f"{value:.6g}" for value in moment.values)
            scores += f", in the network's units {values}"
        out(f"{title}: {named}, outputs {scores}")


def _show_live(title: str, moments: Iterator[Moment], *, is_class: bool) -> None:
    from rich.console import Console
    from rich.live import Live

    shown: list[Moment] = []
    with Live(console=Console(), auto_refresh=False) as live:
        for moment in moments:
            shown.append(moment)
            live.update(_picture(title, shown, is_class=is_class), refresh=True)


def _picture(title: str, shown: list[Moment], *, is_class: bool) -> Any:
    from rich.console import Group
    from rich.table import Table

    outputs = Table(title=f"{title}, accumulated outputs", title_justify="left")
    for name in ("class" if is_class else "value", "output", ""):
        outputs.add_column(name, justify="left" if not name else "right")
    scores = shown[-1].scores
    low, high = min(0, int(scores.min())), max(1, int(scores.max()))
    for label, value in enumerate(scores.tolist()):
        bar = "█" * round(BAR * (value - low) / (high - low))
        style = "bold green" if is_class and label == shown[-1].answer else ""
        name = str(label) if is_class else f"{shown[-1].values[label]:.6g}"
        outputs.add_row(name, str(value), bar, style=style)
    rows = Table()
    for name in COLUMNS:
        rows.add_column(name, justify="right")
    for moment in shown[-MOST_ROWS:]:
        rows.add_row(*_cells(moment, is_class=is_class))
    return Group(outputs, rows)
