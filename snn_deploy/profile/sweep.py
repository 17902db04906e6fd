"""Compile and profile one network many ways, and say which of them no other beats."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from snn_deploy.artifact import pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.cutoff.rules.rule import Settings
from snn_deploy.data.data import Data, read_data
from snn_deploy.errors import SnnDeployError
from snn_deploy.files.writing import text_writer, write_whole
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.graph import Graph
from snn_deploy.profile.calibrating import calibrated
from snn_deploy.profile.profile import profile_inputs
from snn_deploy.profile.summary import summarize
from snn_deploy.profile.sweep_file import Point, Sweep
from snn_deploy.version import __version__

# what is kept of a point that can be; None: unknown
MEASURED: dict[str, Any] = {
    "neurocores": int, "mean_timesteps": float, "n_inputs": int, "stops_early": bool,
    **dict.fromkeys(
        ("accuracy_all_timesteps", "energy_all_timesteps_j", "accuracy",
         "mean_squared_error", "mean_absolute_error", "energy_j", "latency_s"),
        (float, type(None)),
    ),
}  # fmt: skip
# what is better, and whether more of it is
GOALS = {
    "accuracy": True, "mean_squared_error": False, "mean_timesteps": False,
    "energy_j": False, "neurocores": False,
}  # fmt: skip

Outcome = dict[str, Any]  # of a point, ready for JSON


class Bench:
    """What all points share: the model and its inputs, read once."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.graph = load_model(sweep.model)
        digest = hashlib.sha256(f"{__version__} {sweep.confidence}".encode())
        for path in (sweep.model, sweep.calibration, sweep.data):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        self.sha256 = digest.hexdigest()

    def name(self, point: Point) -> str:
        """Return the name of the file that keeps what a point gave."""
        what = [self.sha256, self.sweep.limit, asdict(point)]
        digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode())
        return f"{digest.hexdigest()[:24]}.json"

    def measure(self, point: Point) -> Outcome:
        """Return what a point gives, or why it cannot be."""
        try:
            return {**asdict(point), "refusal": "", **self._measured(point)}
        except SnnDeployError as error:
            return {**asdict(point), "refusal": str(error)}

    def _measured(self, point: Point) -> Outcome:
        graph, target = self.graph, read_target(point.target)
        if point.timesteps:
            training = replace(graph.training, timesteps=point.timesteps)
            graph = replace(graph, training=training)
        if point.weight_bits:
            target = target.with_weight_bits(point.weight_bits)
        artifact = pack(compile_model(graph, target))
        data = self._data(self.sweep.data, graph)
        if data.targets is None:  # values have nothing to stop at
            settings = Settings(budget=point.budget, confidence=self.sweep.confidence)
            inputs = self._data(self.sweep.calibration, graph)
            artifact = calibrated(artifact, inputs, settings)
        calibration = artifact.calibration
        profile = profile_inputs(
            artifact,
            open_backend("cpu"),
            data,
            cutoff=None if calibration is None else calibration.cutoff,
            calibration=calibration,
            limit=self.sweep.limit or None,
        )
        found = summarize(profile)
        full = found["all_timesteps"]
        early = found["with_cutoff"] or full
        return {
            "neurocores": len(artifact.network.cores),
            "accuracy_all_timesteps": full["accuracy"],
            "energy_all_timesteps_j": full["mean_energy_j"],
            "accuracy": early["accuracy"],
            "mean_squared_error": early["mean_squared_error"],
            "mean_absolute_error": early["mean_absolute_error"],
            "mean_timesteps": early["mean_timesteps"],
            "energy_j": early["mean_energy_j"],
            "latency_s": early["mean_latency_s"],
            "stops_early": calibration is not None and calibration.stops_early,
            "n_inputs": found["n_inputs"],
        }

    def _data(self, path: Path, graph: Graph) -> Data:
        n_outputs = graph.head.n_outputs
        return read_data(path, graph.input.shape, graph.training, n_outputs=n_outputs)


Measure = Callable[[Bench, Sequence[Point]], Iterable[Outcome]]


def one_by_one(bench: Bench, points: Sequence[Point]) -> Iterator[Outcome]:
    """Yield what each point gives, measured here."""
    for point in points:
        yield bench.measure(point)


def run_sweep(
    sweep: Sweep,
    folder: Path,
    measure: Measure = one_by_one,
    progress: Callable[[Iterable[Outcome], int, str], Iterable[Outcome]] = (
        lambda found, n, what: found
    ),
) -> list[Outcome]:
    """Return what all points give, in order; those that ``folder`` keeps are not run.

    Parameters
    ----------
    sweep : Sweep
    folder : path
        Each point's outcome is kept there as soon as it is known.
    measure : callable
        Yields the outcomes of points, in order.
    progress : callable
        Wraps the outcomes to show progress.
    """
    bench = Bench(sweep)
    folder.mkdir(parents=True, exist_ok=True)
    kept = {point: _kept(folder / bench.name(point), point) for point in sweep.points}
    todo = [point for point in sweep.points if kept[point] is None]
    found = progress(measure(bench, todo), len(todo), "ways")
    for point, outcome in zip(todo, found, strict=True):
        text = json.dumps(outcome, indent=1, sort_keys=True)
        path = folder / bench.name(point)
        write_whole(path, text_writer(text + "\n"))
        kept[point] = outcome
    return [outcome for outcome in kept.values() if outcome is not None]


def _kept(path: Path, point: Point) -> Outcome | None:
    """Return what an earlier run has kept of a point, if it is whole."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not asdict(point).items() <= found.items():
        return None
    refusal = found.get("refusal")
    kinds = {} if refusal else MEASURED
    is_whole = (
        isinstance(refusal, str)
        and found.keys() == {*asdict(point), "refusal", *kinds}
        and all(isinstance(found[name], kind) for name, kind in kinds.items())
    )
    return found if is_whole else None


def unbeaten(outcomes: Sequence[Outcome]) -> list[bool]:
    """Return which outcomes no other beats: as good in all ``GOALS``, better in one.

    Those that were refused are beaten.
    """
    return [
        not outcome["refusal"] and not any(_beats(o, outcome) for o in outcomes)
        for outcome in outcomes
    ]


def _beats(one: Outcome, other: Outcome) -> bool:
    if one["refusal"]:
        return False
    mine, others = (
        [_worth(o[name], is_more) for name, is_more in GOALS.items()]
        for o in (one, other)
    )
    as_good = all(m >= o for m, o in zip(mine, others, strict=True))
    return as_good and mine != others


def _worth(value: float | None, is_more_better: bool) -> float:
    """Return a number that is larger for what is better; the unknown is all alike."""
    if value is None:
        return 0.0
    return value if is_more_better else -value
