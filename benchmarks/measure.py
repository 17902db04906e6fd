"""What a trained network answers on the chip's integers, timestep by timestep."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.artifact import pack
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.cutoff.monitor import collect_scores
from snn_deploy.cutoff.oracle import answers, gaps
from snn_deploy.cutoff.rules.rule import Settings
from snn_deploy.cutoff.thresholds import stops
from snn_deploy.data.data import Data
from snn_deploy.data.datasets import Split
from snn_deploy.importers.registry import load_model
from snn_deploy.profile.calibrating import calibrated

CONFIDENCE = 0.9
TARGET = "loihi-sim"


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """The test inputs of one network."""

    labels: IntArray  # (n,)
    scores: IntArray  # (n, n_timesteps, n_classes), accumulated, integers
    stops: IntArray  # (n,), where the rule stops

    @property
    def n_timesteps(self) -> int:
        return int(self.scores.shape[1])

    @property
    def accuracies(self) -> list[float]:
        """Accuracy after each timestep, in integers."""
        right = answers(self.scores) == self.labels[:, np.newaxis]
        return [float(share) for share in right.mean(axis=0)]

    @property
    def early_accuracy(self) -> float:
        """Accuracy where the rule stops."""
        found = answers(self.scores)[np.arange(len(self.labels)), self.stops - 1]
        return float((found == self.labels).mean())


def measure(model: Path, split: Split, budget: float, rule: str = "risk") -> Measured:
    """Compile a model, calibrate a rule, and run its test inputs to the end."""
    graph = load_model(model)
    artifact = pack(compile_model(graph, read_target(TARGET)))
    network = artifact.network
    program = open_backend("cpu").load(network)
    calibration, test = (
        Data(x=part.x, y=part.y, training=network.graph.training)
        for part in (split.calibration, split.test)
    )
    settings = Settings(rule=rule, budget=budget, confidence=CONFIDENCE)
    artifact = calibrated(artifact, calibration, settings)
    assert artifact.calibration is not None
    scores = collect_scores(program, network, test.stimuli(), lambda results: results)
    return Measured(
        labels=split.test.y,
        scores=scores,
        stops=stops(scores, artifact.calibration.cutoff),
    )


def timesteps_at(scores: IntArray, labels: IntArray, accuracy: float) -> float:
    """Return the fewest timesteps, on average, at which this accuracy is reached.

    Of all thresholds of the gap, on the inputs themselves: no rule that could be used,
    but a measure that compares networks at equal accuracy.
    """
    gap = gaps(scores).astype(np.float64)
    gap[:, -1] = np.inf
    right = answers(scores) == labels[:, np.newaxis]
    rows = np.arange(len(labels))
    best = float(scores.shape[1])
    for beta in np.unique(np.append(gap[:, :-1], -1)):
        stopped = (gap > beta).argmax(axis=1)
        if right[rows, stopped].mean() >= accuracy - 1e-9:
            best = min(best, float(stopped.mean() + 1))
    return best
