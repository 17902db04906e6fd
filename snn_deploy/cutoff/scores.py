"""How sure the outputs are of their answer: what a rule holds a threshold to.

A score takes outputs ``(..., n_classes)`` and gives a number for each, the higher the
surer. Softmaxes are of the outputs in the trained model's units.
"""

from collections.abc import Callable

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, IntArray
from snn_deploy.cutoff.oracle import gaps
from snn_deploy.errors import CalibrationError
from snn_deploy.ir.quantized import QuantizedGraph

Score = Callable[[IntArray], AnyArray]

SCORES = ("gap", "confidence", "entropy")


def log_softmax(scores: IntArray, scale: float) -> FloatArray:
    """Return the logarithms of the softmax of ``scale * scores``."""
    logits = scores * scale
    logits = logits - logits.max(axis=-1, keepdims=True)
    logs: FloatArray = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return logs


def confidences(scale: float) -> Score:
    """Return the largest softmax as a score, as SEENN [1]_ has it.

    References
    ----------
    .. [1] Y. Li et al., "SEENN: Towards Temporal Spiking Early-Exit Neural Networks",
       NeurIPS 2023.
    """

    def largest(scores: IntArray) -> FloatArray:
        found: FloatArray = np.exp(log_softmax(scores, scale).max(axis=-1))
        return found

    return largest


def certainties(scale: float) -> Score:
    """Return 1 less the normalized entropy of the softmax, as DT-SNN [1]_ has it.

    References
    ----------
    .. [1] Y. Li et al., "Input-Aware Dynamic Timestep Spiking Neural Networks for
       Efficient In-Memory Computing", DAC 2023.
    """

    def ordered(scores: IntArray) -> FloatArray:
        logs = log_softmax(scores, scale)
        entropy = -(np.exp(logs) * logs).sum(axis=-1)
        found: FloatArray = 1 - entropy / np.log(scores.shape[-1])
        return found

    return ordered


def score_called(name: str, scale: float) -> Score:
    """Return the score with this name; ``scale`` is that of the outputs."""
    if name not in SCORES:
        raise CalibrationError(
            f"no score is called {name!r}; choose from {', '.join(SCORES)}"
        )
    if name == "gap":
        return gaps
    return confidences(scale) if name == "confidence" else certainties(scale)


def scale_of(graph: QuantizedGraph) -> float:
    """Return what one unit of the head that answers is in the trained model's units."""
    head = graph.head
    return graph.unit_of(head.name) * abs(head.scale)
